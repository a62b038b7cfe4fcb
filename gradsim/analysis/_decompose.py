"""Decomposition: what the spread of log10 |dC/dw| comes from, as components of variance."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim.analysis._components import Design, Table
from gradsim.analysis._labels import (
    LAYER_DIMS,
    Array,
    labelled,
    layered,
    with_history,
    without,
)
from gradsim.analysis._quantile import inverted_cdf
from gradsim.analysis._resample import check_interval, resamples_of

ENTRY_MEAN, NORM = "log10_entry_mean", "log10_weight_grad_norm"
_WITHIN = {
    "row": "entry_row_variance",
    "column": "entry_column_variance",
    "residual": "entry_residual_variance",
}


def decompose(
    ds: xr.Dataset,
    *,
    across: str | Sequence[str] = (),
    variable: str | None = None,
    crossed: bool | None = None,
    level: float = 0.95,
    resamples: int = 1000,
) -> xr.Dataset:
    """Components of the variance of log10 |dC/dw|, each as a standard deviation in decades.

    Between layers and networks the log of a derivative is y = mu + layer_l + network_s +
    (network x layer)_sl + ..., with a term for every further factor and combination of factors; the
    components are those of the balanced analysis of variance, unbiased for factors whose levels are
    drawn at random, and for a layer the spread between the layers that `ds` has: select layers with
    `ds.sel` to state others. A network's own term is what any two of its layers share.

    Examples (of `batch="each"`) are within networks if each network drew its own, so that there is
    no term for an example by itself, and crossed with them if all had the same; under
    `batch="mean"` what the batch does is part of the network. Within a layer, measurement `entries`
    gives the terms of row j, |delta_j|, of column k, |a_k|, and what these two do not give (0 for
    one example, whose gradient is delta a^T). Without it the norm of the layer's weight gradient is
    decomposed, and there are no such terms.

    Networks with an exact zero in any layer are left out and counted, and so are single derivatives
    that are 0, of which `entry_zero_share` tells.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    across
        Varied fields that become factors instead of conditions; not "width", whose networks are
        different draws.
    variable
        A variable of logs over layers; None: `log10_entry_mean` where it was measured, else
        `log10_weight_grad_norm`. Any other gives the components between layers and networks alone.
    crossed
        Whether all networks had the same examples; None: whether the call that made `ds` gave them.
    level, resamples
        Of the bootstrap intervals over whole seeds, as in :func:`gradsim.analysis.growth_rate`.

    Returns
    -------
    xarray.Dataset
        float64. Over the conditions and `component` ("network", "layer", "network x layer",
        "example", ..., "row", "column", "residual"): `variance` in squared decades, unbiased and
        kept when negative, `sd`, its root or 0, and the ends `low` and `high` of the interval of
        the sd; nan where a factor has one level. Over the conditions: `networks`, `layers` and
        `examples` that were used, `zero_share` of the networks, and `entry_zero_share`, the mean
        over these of the derivatives that are 0 (nan where not measured).

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or an argument is out of range.

    References
    ----------
    S. R. Searle, G. Casella and C. E. McCulloch, *Variance Components*, Wiley 1992, section 4.4.

    Examples
    --------
    >>> norm = np.add.outer([0.0, 1.0, 2.0, 3.0], [0.0, 2.0])
    >>> ds = xr.Dataset({"log10_weight_grad_norm": (("seed", "layer"), norm)}, {"layer": [1, 2]})
    >>> found = decompose(ds)
    >>> dict(zip(found.component.values.tolist(), found.variance.round(3).values.tolist()))
    {'network': 1.667, 'layer': 2.0, 'network x layer': 0.0}
    """
    check_interval(level, resamples)
    if variable is None:
        variable = ENTRY_MEAN if isinstance(ds, xr.Dataset) and ENTRY_MEAN in ds else NORM
    norms, dim = layered(ds, variable)
    factors = _factors(norms, across)
    examples = "example" in norms.dims
    inner = ["seed", *factors, *["example"] * examples, dim]
    norms = norms.transpose(..., *inner)
    crossed = _shared_examples(ds) if crossed is None else crossed
    design = Design((*factors, *["example"] * examples, dim), examples and not crossed)
    within = _WITHIN if variable == ENTRY_MEAN else {}
    wanted = [*within.values(), *["entry_zero_share"] * bool(within)]
    lacking = [name for name in wanted if name not in ds]
    if lacking:
        raise ValueError(f"ds has {ENTRY_MEAN!r} but not {lacking}; keep all of measure 'entries'")
    others = [ds[name].transpose(*norms.dims) for name in wanted]

    shape = norms.shape[: norms.ndim - len(inner)]
    flat, *rest = (a.values.reshape(-1, *norms.shape[len(shape) :]) for a in (norms, *others))
    rows = [
        _condition(design, values, [r[i] for r in rest[:3]], level, resamples)
        for i, values in enumerate(flat)
    ]
    zeros = [_mean_of(rest[3][i], row[2]) if within else np.nan for i, row in enumerate(rows)]
    template = without(norms, *inner)
    names = [design.name(term) for term in design.terms] + list(within)
    by_component = template.expand_dims(component=names, axis=template.ndim)
    variance, low, high = (np.array([row[0][k] for row in rows]) for k in range(3))
    log = "log10 |dC/dw|" if within else str(norms.attrs.get("long_name", variable))
    ends = f"of the {level:.6g} bootstrap interval over seeds of the sd"
    result = {
        "sd": labelled(
            by_component, np.where(np.isnan(variance), np.nan, _root(variance)),
            f"sd of a component of {log}, decades", "sqrt(max(variance, 0))",
        ),
        "low": labelled(by_component, low, f"lower end {ends}", "inverted_cdf"),
        "high": labelled(by_component, high, f"upper end {ends}", "inverted_cdf"),
        "variance": labelled(
            by_component, variance, f"component of the variance of {log}, squared decades",
            "from mean squares, unbiased",
        ),
    }  # fmt: skip
    counts = np.array([row[1] for row in rows]).T
    texts = {
        "networks": "networks used", "layers": f"{dim}s used", "examples": "examples used",
        "zero_share": "share of networks left out for an exact zero",
    }  # fmt: skip
    for (name, text), values in zip(texts.items(), counts):
        result[name] = labelled(template, values, text, "count" if name != "zero_share" else "mean")
    result["entry_zero_share"] = labelled(
        template, np.array(zeros), "share of derivatives that are exactly 0", "mean, networks used"
    )
    call = f"decompose({across=}, {variable=}, {crossed=}, {level=}, {resamples=})"
    return with_history(xr.Dataset(result), ds, call)


def _factors(norms: xr.DataArray, across: str | Sequence[str]) -> list[str]:
    """Varied fields that become factors, checked."""
    factors = [across] if isinstance(across, str) else list(across)
    fixed = ("seed", "example", "width", *LAYER_DIMS)
    known = [str(name) for name in norms.dims if name not in fixed]
    for name in factors:
        if name not in known or factors.count(name) > 1:
            raise ValueError(
                f"across must name varied fields, each once, of {known} (networks of different "
                f"widths are different draws), got {brief(name)}"
            )
    return factors


def _shared_examples(ds: xr.Dataset) -> bool:
    """Whether the call that made a result gave all networks the same inputs."""
    config = json.loads(ds.attrs.get("gradsim_config", "{}"))
    return config.get("inputs") is not None


def _root(variance: Array) -> Array:
    return np.sqrt(np.maximum(variance, 0.0))


def _condition(
    design: Design, values: Array, within: list[Array], level: float, resamples: int
) -> tuple[Array, tuple[float, ...], Array]:
    """Variance, low and high of each component; counts; and which networks are kept."""
    axes = tuple(range(1, values.ndim))
    present = ~np.isnan(values).all(axis=tuple(range(values.ndim - 1)))
    values, within = values[..., present], [array[..., present] for array in within]
    known = ~np.isnan(values).any(axis=axes) if present.any() else np.zeros(len(values), bool)
    zero = np.isneginf(values).any(axis=axes)
    kept: Array = np.asarray(known & ~zero)
    count = int(kept.sum())
    examples = values.shape[-2] if "example" in design.factors else 1
    share = (zero & known).sum() / known.sum() if known.any() else np.nan
    counts = (count, int(present.sum()), examples, share)
    components = len(design.terms) + len(within)
    if not count:
        return np.full((3, components), np.nan), counts, kept
    table = Table(design, values[kept])
    inside = [_sums(array[kept]) for array in within]

    def estimate(weights: Array) -> Array:
        ratios = [(weights @ total) / (weights @ number) for total, number in inside]
        return np.stack([*table.variances(weights), *ratios], axis=-1)

    with np.errstate(divide="ignore", invalid="ignore"):
        point = estimate(np.ones((1, count)))[0]
        drawn = np.concatenate([estimate(weights) for weights in resamples_of(count, resamples)])
        ends = inverted_cdf(_root(drawn).T, np.array([(1 - level) / 2, (1 + level) / 2]))
    ends = np.where(np.isnan(point) | (count < 2), np.nan, ends)
    return np.stack([point, *ends]), counts, kept


def _sums(array: Array) -> tuple[Array, Array]:
    """Sum and number of the values that each network has."""
    known = ~np.isnan(array)
    axes = tuple(range(1, array.ndim))
    return np.where(known, array, 0.0).sum(axis=axes), known.sum(axis=axes).astype(np.float64)


def _mean_of(array: Array, kept: Array) -> float:
    """Mean of the networks kept, over all that they have."""
    total, number = _sums(array[kept])
    return float(total.sum() / number.sum()) if number.any() else np.nan

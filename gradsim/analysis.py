"""Statistics over networks: quantiles, growth rates and onset distances of labelled results.

Norms are log10: an exact zero is -inf, an absent layer NaN. Only seeds are independent samples,
so intervals resample whole seeds, with all their examples and layers.
"""

import math
from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

LAYER_DIMS = ("layer", "step", "state_step")

_RESAMPLE_SEED = 20_240_229
_BLOCK_ENTRIES = 1 << 22
_DECADES = 125.0  # far from the 308 at which doubles underflow

Array = NDArray[Any]


def quantile(ds: xr.Dataset, q: ArrayLike, *, dim: str | Sequence[str] = "seed") -> xr.Dataset:
    """Quantiles over networks, each of them one of the values, so that -inf stays -inf.

    The definition is NumPy's `inverted_cdf`: the smallest value that at least a share `q` of the
    values does not exceed. NaN (an absent layer) does not count; all NaN gives NaN.

    Parameters
    ----------
    ds
        Results with any dims.
    q
        A probability or a sequence of them.
    dim
        The dimension or dimensions to reduce, for example `("seed", "example")`.

    Returns
    -------
    xarray.Dataset
        Variables with `dim` lose it, keep their dtype, and gain a leading dimension `quantile` if
        `q` is a sequence (else a scalar coordinate). Others are unchanged; text along `dim` goes.

    Raises
    ------
    TypeError, ValueError
        If `ds` is not a Dataset, `q` is not in [0, 1], or `dim` is missing or empty.

    Examples
    --------
    >>> ds = xr.Dataset({"log10_loss": ("seed", [-np.inf, -np.inf, -3.0, 1.0])})
    >>> quantile(ds, [0.5, 0.75]).log10_loss.values.tolist()
    [-inf, -3.0]
    """
    dims = {dim} if isinstance(dim, str) else set(dim)
    levels = np.asarray(q, dtype=np.float64)
    _check_dataset(ds)
    if not levels.size or levels.ndim > 1 or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"q must be a probability in [0, 1] or a sequence of them, got {q!r}")
    for name in dims:
        if not ds.sizes.get(name):
            raise ValueError(f"dim must be among {list(ds.sizes)} and not empty, got {name!r}")
    reduced = {
        name: _reduce(array.variable, levels, dims) if dims & set(array.dims) else array.variable
        for name, array in ds.data_vars.items()
        if array.dtype.kind in "biuf" or not dims & set(array.dims)
    }
    axis = xr.Variable(["quantile"] * levels.ndim, levels, {"long_name": "quantile", "units": "1"})
    result = ds.drop_dims(dims).assign(reduced)[list(reduced)].assign_coords(quantile=axis)
    return _with_history(result, ds, f"quantile(q={levels.tolist()}, dim={dim!r})")


def growth_rate(
    ds: xr.Dataset,
    window: tuple[int, int] | None = None,
    *,
    variable: str = "log10_delta_norm",
    level: float = 0.95,
    resamples: int = 1000,
) -> xr.Dataset:
    """Growth of a norm in decades per layer (step), positive when it grows going backwards.

    The log-norm is a random walk over the layers, so the difference between the two ends of a
    window says all there is (a least-squares fit's own error would be far too small).

    The default window leaves out the output layer, whose activation and cost are its own, and the
    layers near the input, where the forward signal is not yet at its fixed point: it runs from
    max(2, ceil(L / 5)) to L - 1, where L is the last layer (step) present, for each condition on
    its own. It is a share of L because the transient is long where growth is slow. If that leaves
    fewer than two layers it takes all below the output layer; NaN if these are fewer than two.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    window
        First and last layer (step) number, both included; a condition without them gives NaN.
    variable
        A variable of log10 norms over `layer`, `step` or `state_step`.
    level
        Probability content of the intervals.
    resamples
        Number of bootstrap resamples of whole seeds, with a fixed random seed and shared by all
        conditions. The percentile intervals are somewhat narrow below 20 seeds, and for "rms"
        wherever few networks dominate the mean square; NaN below 2 seeds.

    Returns
    -------
    xarray.Dataset
        float64 over the conditions (all dims but seed, example and layer): `growth_typical`, the
        mean of `growth` over networks without exact zeros (their share is `zero_share`);
        `growth_rms`, half the log10 of the ratio of mean squares at the two ends, per layer, zeros
        included; `low` and `high` (..., statistic) with `statistic` "typical" and "rms";
        `zero_share`, the share of networks with an exact zero in the window; `window_first` and
        `window_last`; and `growth` (..., seed[, example]), the difference between the ends per
        layer, -inf where the end towards the input is an exact zero.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or an argument is out of range.

    Examples
    --------
    >>> layer = np.arange(1, 11)
    >>> norm = np.tile(0.5 * (layer - 10), (3, 1))
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), norm)}, {"layer": layer})
    >>> growth_rate(ds).growth_typical.item()
    -0.5
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples!r}")
    norms, dim = layered(ds, variable)
    values, layers = _flat(norms), norms[dim].values
    inside = _default_window(values, layers) if window is None else _window(values, layers, window)
    start, end, bounds = _ends(values, layers, inside)
    growth = _relative(start, end) / (bounds[1] - bounds[0])[:, None, None]
    known = ~np.isnan(growth)
    zero = (np.isneginf(values) & inside[:, None, None]).any(axis=-1) & known
    parts = _parts(growth, start, end, bounds[1] - bounds[0])
    point = _statistics(parts, np.ones((1, values.shape[1])))[0]
    low, high = _interval(parts, known.any(axis=2).sum(axis=1) > 1, level, resamples)

    network, condition = _without(norms, dim), _without(norms, dim, "seed", "example")
    both = condition.expand_dims(statistic=2, axis=condition.ndim)
    both = both.assign_coords(statistic=np.array(["typical", "rms"]))
    name = str(norms.attrs.get("long_name", variable))
    typical, rms = f"typical growth of {name} per {dim}", f"rms growth of {name} per {dim}"
    mean_square = "log10(mean(10^(2 x[first])) / mean(10^(2 x[last]))) / (2 (last - first))"
    interval = f"{level:.6g} bootstrap interval over seeds of growth_typical and growth_rms"
    result = {
        "growth_typical": _labelled(condition, point[0], typical, "mean(growth), zeros left out"),
        "growth_rms": _labelled(condition, point[1], rms, mean_square),
        "low": _labelled(both, low.T, f"lower end of the {interval}", "inverted_cdf"),
        "high": _labelled(both, high.T, f"upper end of the {interval}", "inverted_cdf"),
        "zero_share": _labelled(
            condition, _share(zero, known), "share of exact zeros", "any(x[first..last] = -inf)"
        ),
        "window_first": _labelled(condition, bounds[0], f"first {dim} of the window", "first"),
        "window_last": _labelled(condition, bounds[1], f"last {dim} of the window", "last"),
        "growth": _labelled(
            network, growth, f"growth of {name} per {dim}", "(x[first] - x[last]) / (last - first)"
        ),
    }
    call = f"growth_rate(window={window}, variable={variable!r}, level={level}, {resamples=})"
    return _with_history(xr.Dataset(result), ds, call)


def onset(
    ds: xr.Dataset,
    below: float | EllipsisType | None = ...,
    above: float | None = None,
    *,
    variable: str = "log10_delta_norm",
) -> xr.Dataset:
    """Distance from the output at which a norm has vanished or exploded.

    The norm is taken relative to the same network's norm at its output layer (last step), which
    has distance 0; layer L - 1 has distance 1. An exact zero is below any threshold.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    below
        Ratio, less than 1, below which the norm counts as vanished; 1e-3 if neither is given.
    above
        Ratio, more than 1, above which the norm counts as exploded, instead of `below`.
    variable
        A variable of log10 norms over `layer`, `step` or `state_step`.

    Returns
    -------
    xarray.Dataset
        float64: `first_passage` (..., seed[, example]), the least distance beyond the threshold;
        `last_crossing`, the distance from which on all layers to the input are beyond it; both
        +inf where there is none, so that quantiles stay right, and NaN where there is no value or
        no layer below the output. `share` (...): networks that are ever beyond the threshold.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or not exactly one threshold is given.

    Examples
    --------
    >>> norm = [[-4.0, -3.5, -2.0, 0.0], [-1.0, -3.5, -2.0, 0.0]]
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), norm)}, {"layer": [1, 2, 3, 4]})
    >>> onset(ds, below=1e-3).last_crossing.values.tolist()
    [2.0, inf]
    """
    if isinstance(below, EllipsisType):
        below = 1e-3 if above is None else None
    threshold = _threshold(below, above)
    norms, dim = layered(ds, variable)
    values, layers = _flat(norms), norms[dim].values
    output = _output(values, layers)
    base = _at(values, np.searchsorted(layers, output))
    with np.errstate(invalid="ignore"):
        ratio = values - base[..., None]
    vanished = (ratio < threshold) | np.isneginf(values)
    beyond = vanished if above is None else ratio > threshold
    distance = (output[:, None] - layers)[:, None, None]
    below_output = (distance > 0) & ~np.isnan(values) & ~np.isnan(base)[..., None]
    first, last = _passages(distance, below_output, beyond)

    known = below_output.any(axis=-1)
    network, condition = _without(norms, dim), _without(norms, dim, "seed", "example")
    limit = f"x[{dim}] - x[output] {'<' if above is None else '>'} {threshold:.6g}"
    first_name = f"distance from the output of the first {dim} with {limit}"
    last_name = f"distance from the output from which on {limit}"
    result = {
        "first_passage": _labelled(network, first, first_name, "min(distance beyond)"),
        "last_crossing": _labelled(network, last, last_name, "min(distance with all beyond)"),
        "share": _labelled(
            condition,
            _share(np.isfinite(first), known),
            f"share of networks that ever have {limit}",
            "mean(first_passage < inf)",
        ),
    }
    call = f"onset(below={below}, above={above}, variable={variable!r})"
    return _with_history(xr.Dataset(result), ds, call)


def layered(ds: xr.Dataset, variable: str) -> tuple[xr.DataArray, str]:
    """Pick a variable over layers or steps; its dims become (..., seed, [example,] layer).

    Returns
    -------
    tuple of xarray.DataArray and str
        The transposed variable and the name of its dimension of layers or steps.
    """
    _check_dataset(ds)
    usable = [n for n, v in ds.items() if "seed" in v.dims and set(LAYER_DIMS) & set(v.dims)]
    if variable not in usable:
        raise ValueError(
            f"variable must have the dimension 'seed' and one of {list(LAYER_DIMS)}, here one of "
            f"{usable}, got {variable!r}"
        )
    array = ds[variable]
    dim = next(name for name in LAYER_DIMS if name in array.dims)
    if dim not in array.coords or not array.indexes[dim].is_monotonic_increasing:
        raise ValueError(f"{dim!r} must have a coordinate of increasing numbers")
    if not array.sizes["seed"] or not array.sizes[dim]:
        raise ValueError(f"{variable!r} must have at least one seed and one {dim}")
    tail = [name for name in ("seed", "example", dim) if name in array.dims]
    return array.transpose(..., *tail), dim


def _check_dataset(ds: xr.Dataset) -> None:
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"ds must be an xarray.Dataset, got {type(ds).__name__}")


def _flat(norms: xr.DataArray) -> Array:
    """Return the values as (condition, seed, example, layer)."""
    inner = (norms.sizes["seed"], norms.sizes.get("example", 1), norms.shape[-1])
    return norms.values.astype(np.float64).reshape(-1, *inner)


def _without(norms: xr.DataArray, *dims: str) -> xr.DataArray:
    """Return an array to be filled, with the dims and coordinates that do not involve `dims`."""
    stale = [name for name, coord in norms.coords.items() if set(dims) & set(coord.dims)]
    return norms.drop_vars(stale).isel(dict.fromkeys(dims, 0), missing_dims="ignore", drop=True)


def _labelled(template: xr.DataArray, values: Array, long_name: str, formula: str) -> xr.DataArray:
    filled = template.copy(data=values.reshape(template.shape))
    filled.attrs = {"long_name": long_name, "units": "1", "formula": formula}
    return filled


def _with_history(result: xr.Dataset, source: xr.Dataset, call: str) -> xr.Dataset:
    lines = [source.attrs.get("history", ""), f"gradsim.analysis.{call}"]
    return result.assign_attrs(source.attrs | {"history": "\n".join(filter(None, lines))})


def _reduce(variable: xr.Variable, levels: Array, dims: set[str]) -> xr.Variable:
    inner = [name for name in variable.dims if name in dims]
    array = variable.transpose(..., *inner)
    rest = array.dims[: array.ndim - len(inner)]
    values = array.values.reshape(*array.shape[: len(rest)], -1)
    return xr.Variable(
        ("quantile",) * levels.ndim + rest, _inverted_cdf(values, levels), variable.attrs
    )


def _inverted_cdf(values: Array, levels: Array) -> Array:
    """Quantiles over the last axis without NaN: (...) for a number, else (level, ...)."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.sum(ordered == ordered, axis=-1, keepdims=True)
    position = np.ceil(np.expand_dims(levels, tuple(range(-ordered.ndim, 0))) * count - 1)
    index = position.clip(0, ordered.shape[-1] - 1).astype(np.intp)
    return np.take_along_axis(ordered[(None,) * levels.ndim], index, axis=-1)[..., 0]


def _output(values: Array, layers: Array) -> Array:
    """Return the last layer that has a value, per condition; the first layer if none has."""
    present = ~np.isnan(values).all(axis=(1, 2))
    return np.where(present, layers, layers[0]).max(axis=1)


def _default_window(values: Array, layers: Array) -> Array:
    """Mark the layers of the window: (condition, layer)."""
    output = _output(values, layers)[:, None]
    below = ~np.isnan(values).all(axis=(1, 2)) & (layers < output)
    settled = below & (layers >= np.maximum(2, -(-output // 5)))
    return np.where(settled.sum(axis=1, keepdims=True) > 1, settled, below)


def _window(values: Array, layers: Array, window: tuple[int, int]) -> Array:
    pair = np.asarray(window)
    if pair.shape != (2,) or not np.isin(pair, layers).all() or not pair[0] < pair[1]:
        raise ValueError(
            f"window must be a pair first < last from {layers[0]} to {layers[-1]}, got {window!r}"
        )
    inside = (layers >= window[0]) & (layers <= window[1])
    return np.broadcast_to(inside, (len(values), len(layers)))


def _at(values: Array, index: Array) -> Array:
    return np.take_along_axis(values, index[:, None, None, None], axis=-1)[..., 0]


def _ends(values: Array, layers: Array, inside: Array) -> tuple[Array, Array, Array]:
    """Values at both ends (condition, seed, example) and the ends' numbers (2, condition)."""
    first, last = inside.argmax(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    start, end = _at(values, first), _at(values, last)
    absent = np.isnan(start + end).all(axis=(1, 2)) | (inside.sum(axis=1) < 2)
    start[absent] = end[absent] = np.nan
    return start, end, np.where(absent, np.nan, [layers[first], layers[last]])


def _relative(start: Array, end: Array) -> Array:
    """Difference of logs, -inf where `start` is an exact zero whatever `end` is."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(start) & ~np.isnan(end), -np.inf, start - end)


class _Parts(NamedTuple):
    """What each seed adds to the statistics, (seed, condition); `span` is (condition,)."""

    growth: Array
    finite: Array
    start: Array
    end: Array
    span: Array


def _parts(growth: Array, start: Array, end: Array, span: Array) -> _Parts:
    finite, known = np.isfinite(growth), ~np.isnan(growth)
    return _Parts(
        np.where(finite, growth, 0.0).sum(axis=2).T,
        finite.sum(axis=2).T.astype(np.float64),
        _log_sum_square(np.where(known, start, -np.inf)).T,
        _log_sum_square(np.where(known, end, -np.inf)).T,
        span,
    )


def _log_sum_square(values: Array) -> Array:
    """log10(sum(10^(2 x))) over the last axis."""
    top = _finite_max(values, axis=-1)
    with np.errstate(divide="ignore"):
        return 2 * top + np.log10(np.sum(10.0 ** (2 * (values - top[..., None])), axis=-1))


def _finite_max(values: Array, axis: int) -> Array:
    top = values.max(axis=axis)
    return np.where(np.isfinite(top), top, 0.0)


def _statistics(parts: _Parts, weights: Array) -> Array:
    """Growth (resample, statistic, condition) with each seed counted `weights` (resample, seed)."""
    typical = _divide(weights @ parts.growth, weights @ parts.finite)
    with np.errstate(invalid="ignore"):  # the mean squares have the same number of terms
        ratio = _log_weighted_sum(weights, parts.start) - _log_weighted_sum(weights, parts.end)
        return np.stack([typical, ratio / (2 * parts.span)], axis=1)


def _log_weighted_sum(weights: Array, logs: Array) -> Array:
    """log10(weights @ 10^logs) for any logs.

    A resample without the largest entries may underflow after scaling by the maximum; it is done
    again with the maximum of the entries left over.
    """
    result = np.full((len(weights), logs.shape[1]), -np.inf)
    while np.isfinite(logs).any():
        top = _finite_max(logs, axis=0)
        total = weights @ 10.0 ** (logs - top)
        ready = np.isneginf(result) & (total > 10.0**-_DECADES)
        np.copyto(result, top + np.log10(total, where=ready, out=np.zeros_like(total)), where=ready)
        logs = np.where(logs > top - _DECADES, -np.inf, logs)
    return result


def _interval(parts: _Parts, enough: Array, level: float, resamples: int) -> tuple[Array, Array]:
    """Percentile intervals (statistic, condition) from resampled seeds."""
    blocks = [_statistics(parts, weights) for weights in _resamples(len(parts.growth), resamples)]
    drawn = np.moveaxis(np.concatenate(blocks), 0, -1)
    low, high = _inverted_cdf(drawn, np.array([(1 - level) / 2, (1 + level) / 2]))
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _resamples(seeds: int, resamples: int) -> Iterator[Array]:
    """Yield how often each seed is drawn, (resample, seed), in blocks of bounded size."""
    generator = np.random.default_rng(_RESAMPLE_SEED)
    block = max(1, _BLOCK_ENTRIES // seeds)
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        drawn = generator.integers(seeds, size=(rows, seeds)) + seeds * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * seeds).reshape(rows, seeds) * 1.0


def _divide(total: Array, count: Array) -> Array:
    """Quotient, NaN where the count is 0."""
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _share(hit: Any, known: Any) -> Array:
    """Share of networks (condition,) among those that have a value."""
    return _divide((hit & known).sum(axis=(1, 2)), known.sum(axis=(1, 2)))


def _threshold(below: float | None, above: float | None) -> float:
    """Return the log10 of the one threshold that is given."""
    if (below is None) == (above is None):
        raise ValueError(f"exactly one of below and above must be given, got {below=}, {above=}")
    if below is not None and not 0 < below < 1:
        raise ValueError(f"below must be a ratio in (0, 1), got {below!r}")
    if above is not None and not 1 < above < np.inf:
        raise ValueError(f"above must be a finite ratio > 1, got {above!r}")
    return math.log10(below or above or math.nan)


def _passages(distance: Array, counted: Array, beyond: Array) -> tuple[Array, Array]:
    """First passage and last crossing (condition, seed, example)."""
    known = counted.any(axis=-1)
    first = np.where(counted & beyond, distance, np.inf).min(axis=-1)
    inside = np.where(counted & ~beyond, distance, 0.0).max(axis=-1)
    last = np.where(counted & (distance > inside[..., None]), distance, np.inf).min(axis=-1)
    return np.where(known, first, np.nan), np.where(known, last, np.nan)

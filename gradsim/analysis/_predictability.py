"""Predictability: what rounding does to each network's gradient, from its measured sensitivity."""

import json
import math

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real
from gradsim.analysis._labels import (
    Array,
    check_dataset,
    flat,
    labelled,
    layered,
    share,
    with_history,
    without,
)

_NEEDED = {"log10_delta_norm": "gradient", "z_mean_square": "signal"}
_FLOATS = ("float32", "float64")


def predictability(ds: xr.Dataset, *, limit: float = 1e-3, eps: float | None = None) -> xr.Dataset:
    r"""Relative error that rounding makes in each network's gradient, from what was measured.

    A random error of relative size e in the pre-activations of layer r has in layer s >= r the
    relative size e S_rs, with

    .. math:: S_{rs} = \frac{||\delta^r|| \sqrt{q^r}}{||\delta^s|| \sqrt{q^s}}

    (q the mean square of z): the same Jacobian carries the error forwards and delta backwards, and
    both are taken to be in no special direction of it. Every layer adds a rounding error of its
    own, and delta^l depends on the slopes of all layers s >= l, so its sensitivity is

    .. math:: S_l^2 = \sum_{s \ge l} \sum_{r \le s} S_{rs}^2

    and its relative error about eps S_l: an estimate of its size, within a factor of about ten for
    smooth activations, and not a bound; above for homogeneous ones, whose slopes do not feel an
    error until a sign flips. Where it is past `limit` a network's own gradient is a result of
    rounding; the ensemble stays valid, as the network of nearby weights is as likely.

    Parameters
    ----------
    ds
        Results with the variables `log10_delta_norm` of measurement `gradient` and `z_mean_square`
        of `signal`.
    limit
        Relative error up to which a value counts as valid individually, > 0.
    eps
        Unit of rounding; None: that of the dtype of the run, 2^-52 or 2^-23.

    Returns
    -------
    xarray.Dataset
        float64: `log10_sensitivity` and `log10_relative_error` (..., seed[, example], layer or
        step), nan where delta is exactly 0; `individual_share` (..., layer or step), the share of
        networks up to `limit` among those with a value; `statistical_only` (bool): whether that is
        below 1/2. Attributes `eps` and `limit`.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks a variable (the message names the measurement to add), its dtype is not known,
        or an argument is out of range.

    References
    ----------
    L. N. Trefethen and D. Bau, *Numerical Linear Algebra*, SIAM 1997, lectures 12 to 15 (condition
    and stability). The estimate is derived here.

    Examples
    --------
    >>> import gradsim as gs
    >>> ds = gs.simulate(gs.MLP(depth=90, width=40, loss="linear"), 9, progress=False,
    ...                  vary={"sigma_w": [1.0, 4.0]}, measure=("gradient", "signal"))
    >>> predictability(ds).statistical_only.isel(layer=0).values.tolist()
    [False, True]
    """
    if real("predictability", "limit", limit) == 0:
        raise ValueError("predictability(limit=0): limit must be > 0")
    check_dataset(ds)
    for name, measurement in _NEEDED.items():
        if name not in ds:
            raise ValueError(
                f"predictability needs the variable {name!r}; add {measurement!r} to measure"
            )
    unit = _unit(ds) if eps is None else real("predictability", "eps", eps)
    if unit == 0:
        raise ValueError("predictability(eps=0): eps must be > 0")
    norms, _ = layered(ds, "log10_delta_norm")
    squares = ds.z_mean_square.broadcast_like(norms).transpose(*norms.dims)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = flat(norms) + 0.5 * np.log10(flat(squares))
        sensitivity = _sensitivity(size)
    error = sensitivity + math.log10(unit)
    known = ~np.isnan(error)
    within = np.moveaxis(error <= math.log10(limit), -1, 1)
    shape = within.shape
    shares = share(
        within.reshape(-1, *shape[2:]), np.moveaxis(known, -1, 1).reshape(-1, *shape[2:])
    )
    network, layers = norms, without(norms, "seed", "example")
    result = {
        "log10_sensitivity": labelled(
            network, sensitivity, "log10 sensitivity of delta to relative errors in all layers",
            "0.5 log10(sum_(s>=l) sum_(r<=s) S_rs^2)",
        ),
        "log10_relative_error": labelled(
            network, error, "log10 of the relative error of delta by rounding",
            "log10(eps) + log10_sensitivity",
        ),
        "individual_share": labelled(
            layers, shares, f"share of networks with a relative error up to {limit:g}",
            f"mean(log10_relative_error <= log10({limit:g}))",
        ),
    }  # fmt: skip
    made = xr.Dataset(result)
    made["statistical_only"] = (made.individual_share < 0.5).assign_attrs(
        long_name="whether most networks are valid statistically, not individually", units="1"
    )
    call = f"predictability({limit=}, {eps=})"
    return with_history(made, ds, call).assign_attrs(eps=unit, limit=float(limit))


def _unit(ds: xr.Dataset) -> float:
    """Unit of rounding of the run."""
    dtype = json.loads(ds.attrs.get("gradsim_config", "{}")).get("dtype")
    if dtype not in _FLOATS:
        raise ValueError(
            f"predictability: ds does not say in which of {list(_FLOATS)} it was computed, got "
            f"{brief(dtype)}; pass eps"
        )
    return float(np.finfo(dtype).eps)


def _sensitivity(size: Array) -> Array:
    """Log10 sensitivity (..., layer) from log10 of ||delta|| sqrt(q)."""
    double = 2 * math.log(10) * np.where(np.isnan(size), -np.inf, size)
    below = np.logaddexp.accumulate(double, axis=-1)  # over all r <= s
    term = np.where(np.isneginf(double), -np.inf, below - double)
    total = np.logaddexp.accumulate(term[..., ::-1], axis=-1)[..., ::-1]  # over all s >= l
    return np.where(np.isfinite(size), total / (2 * math.log(10)), np.nan)

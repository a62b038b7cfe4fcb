"""Generalised exponents: how the moments of a gradient's growth scale with depth."""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gradsim.analysis._growth import window_growth
from gradsim.analysis._labels import Array, labelled, with_history, without


def moments(
    ds: xr.Dataset,
    q: ArrayLike,
    window: tuple[int, int] | None = None,
    *,
    variable: str = "log10_delta_norm",
) -> xr.Dataset:
    """Generalised exponents: the growth per layer of the moment of order q of a norm.

    With r the ratio of a network's norms at the two ends of the window, n layers apart, the
    exponent is log10(mean(r^q)) / (q n): what the typical network has for q -> 0 (the mean of
    log10 r, its value at q = 0), and more than that for q > 0 where networks differ. At large q a
    finite ensemble shows its largest member alone: `effective_samples` says how many networks
    carry the mean, and an exponent with few of them is a lower limit.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    q
        Order or orders of the moments, of either sign.
    window
        First and last layer (step), as in :func:`gradsim.analysis.growth_rate`.
    variable
        A variable of log10 norms over `layer`, `step` or `state_step`.

    Returns
    -------
    xarray.Dataset
        float64 with dims (...[, q]): `exponent` in decades per layer (step), positive when the
        norm grows going backwards; `effective_samples` = (sum r^q)^2 / sum r^(2 q), between 1 and
        the number of networks. An exact zero counts as r = 0: it leaves positive moments finite,
        and makes those of q <= 0 -inf.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or an argument is out of range.

    References
    ----------
    A. Crisanti, G. Paladin and A. Vulpiani, *Products of Random Matrices*, Springer 1993, eq. 2.16
    (L(q) / q there); effective sample size: L. Kish, *Survey Sampling*, 1965.

    Examples
    --------
    >>> norm = np.array([[1.0, 0.5, 0.0], [-1.0, -0.5, 0.0]])
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), norm)}, {"layer": [1, 2, 3]})
    >>> moments(ds, [0, 2], window=(1, 3)).exponent.round(3).values.tolist()
    [0.0, 0.425]
    """
    orders = np.asarray(q, np.float64)
    if not orders.size or orders.ndim > 1 or not np.isfinite(orders).all():
        raise ValueError(f"q must be a finite number or a sequence of them, got {q!r}")
    norms, dim, growth, bounds = window_growth(ds, variable, window)
    growth, span = growth.reshape(len(growth), -1), bounds[1] - bounds[0]
    found = [_moment(growth, float(order), span) for order in orders.ravel()]
    condition = without(norms, dim, "seed", "example")
    name = f"{norms.attrs.get('long_name', variable)} per {dim}"
    if orders.ndim:
        condition = condition.expand_dims(q=orders, axis=condition.ndim)
    exponents, samples = (np.stack(side, axis=-1) for side in zip(*found))
    result = {
        "exponent": labelled(
            condition, exponents, f"exponent of the moment of order q of {name}",
            "log10(mean(r^q)) / (q (last - first))",
        ),
        "effective_samples": labelled(
            condition, samples, "networks that carry the moment", "(sum r^q)^2 / sum r^(2 q)"
        ),
    }  # fmt: skip
    made = xr.Dataset(result)
    if not orders.ndim:
        made = made.assign_coords(q=float(orders))
    made["q"].attrs = {"long_name": "order of the moment", "units": "1"}
    return with_history(made, ds, f"moments(q={orders.tolist()}, {window=}, {variable=})")


def _moment(growth: Array, q: float, span: Array) -> tuple[Array, Array]:
    """Exponent and effective samples (condition,) of growth (condition, network) per layer."""
    known = ~np.isnan(growth)
    count = known.sum(axis=1).astype(np.float64)
    absent = count == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = q * span[:, None] * growth if q else np.where(known, 0.0, np.nan)
        logs = np.where(known, logs, -np.inf)
        top = logs.max(axis=1)
        scaled = 10.0 ** (logs - np.where(np.isfinite(top), top, 0.0)[:, None])
        exponent = (top + np.log10(scaled.sum(axis=1) / count)) / (q * span)
        if not q:
            exponent = np.where(known, growth, 0.0).sum(axis=1) / count
        exponent = np.where(np.isposinf(top), -np.inf, exponent)  # q < 0 and an exact zero
        exponent = np.where(np.isneginf(top), -np.inf, exponent)  # every network has one
        samples = scaled.sum(axis=1) ** 2 / (scaled**2).sum(axis=1)
        samples = np.where(np.isfinite(top), samples, 0.0)
    return np.where(absent, np.nan, exponent), np.where(absent, np.nan, samples)

"""Onset: the distance from the output at which a norm has vanished or exploded."""

import math
from types import EllipsisType

import numpy as np
import xarray as xr

from gradsim.analysis._labels import (
    Array,
    at,
    flat,
    labelled,
    layered,
    output_layer,
    share,
    with_history,
    without,
)


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
    threshold = threshold_of(below, above)
    norms, dim = layered(ds, variable)
    values, layers = flat(norms), norms[dim].values
    output = output_layer(values, layers)
    base = at(values, np.searchsorted(layers, output))
    with np.errstate(invalid="ignore"):
        ratio = values - base[..., None]
    vanished = (ratio < threshold) | np.isneginf(values)
    beyond = vanished if above is None else ratio > threshold
    distance = (output[:, None] - layers)[:, None, None]
    below_output = (distance > 0) & ~np.isnan(values) & ~np.isnan(base)[..., None]
    first, last = _passages(distance, below_output, beyond)

    known = below_output.any(axis=-1)
    network, condition = without(norms, dim), without(norms, dim, "seed", "example")
    limit = f"x[{dim}] - x[output] {'<' if above is None else '>'} {threshold:.6g}"
    first_name = f"distance from the output of the first {dim} with {limit}"
    last_name = f"distance from the output from which on {limit}"
    result = {
        "first_passage": labelled(network, first, first_name, "min(distance beyond)"),
        "last_crossing": labelled(network, last, last_name, "min(distance with all beyond)"),
        "share": labelled(
            condition,
            share(np.isfinite(first), known),
            f"share of networks that ever have {limit}",
            "mean(first_passage < inf)",
        ),
    }
    call = f"onset(below={below}, above={above}, variable={variable!r})"
    return with_history(xr.Dataset(result), ds, call)


def threshold_of(below: float | None, above: float | None) -> float:
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

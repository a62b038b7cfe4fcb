"""Growth rates: the difference of a log-norm between the two ends of a window of layers."""

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
from gradsim.analysis._resample import check_interval, percentile_interval, seed_parts, statistics


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
    check_interval(level, resamples)
    norms, dim, values, inside = norms_in_window(ds, variable, window)
    layers = norms[dim].values
    start, end, bounds = _ends(values, layers, inside)
    growth = _per_layer(start, end, bounds)
    known = ~np.isnan(growth)
    zero = (np.isneginf(values) & inside[:, None, None]).any(axis=-1) & known
    parts = seed_parts(growth, start, end, bounds[1] - bounds[0])
    point = statistics(parts, np.ones((1, values.shape[1])))[0]
    low, high = percentile_interval(parts, known.any(axis=2).sum(axis=1) > 1, level, resamples)

    network, condition = without(norms, dim), without(norms, dim, "seed", "example")
    both = condition.expand_dims(statistic=2, axis=condition.ndim)
    both = both.assign_coords(statistic=np.array(["typical", "rms"]))
    name = str(norms.attrs.get("long_name", variable))
    typical, rms = f"typical growth of {name} per {dim}", f"rms growth of {name} per {dim}"
    mean_square = "log10(mean(10^(2 x[first])) / mean(10^(2 x[last]))) / (2 (last - first))"
    interval = f"{level:.6g} bootstrap interval over seeds of growth_typical and growth_rms"
    result = {
        "growth_typical": labelled(condition, point[0], typical, "mean(growth), zeros left out"),
        "growth_rms": labelled(condition, point[1], rms, mean_square),
        "low": labelled(both, low.T, f"lower end of the {interval}", "inverted_cdf"),
        "high": labelled(both, high.T, f"upper end of the {interval}", "inverted_cdf"),
        "zero_share": labelled(
            condition, share(zero, known), "share of exact zeros", "any(x[first..last] = -inf)"
        ),
        "window_first": labelled(condition, bounds[0], f"first {dim} of the window", "first"),
        "window_last": labelled(condition, bounds[1], f"last {dim} of the window", "last"),
        "growth": labelled(
            network, growth, f"growth of {name} per {dim}", "(x[first] - x[last]) / (last - first)"
        ),
    }
    call = f"growth_rate(window={window}, variable={variable!r}, level={level}, {resamples=})"
    return with_history(xr.Dataset(result), ds, call)


def norms_in_window(
    ds: xr.Dataset, variable: str, window: tuple[int, int] | None
) -> tuple[xr.DataArray, str, Array, Array]:
    """Norms, their dim, values (condition, seed, example, layer), and whether a layer is inside."""
    norms, dim = layered(ds, variable)
    values = flat(norms)
    return norms, dim, values, _inside(values, norms[dim].values, window)


def window_growth(
    ds: xr.Dataset, variable: str, window: tuple[int, int] | None
) -> tuple[xr.DataArray, str, Array, Array]:
    """Norms, their dim, growth per layer (condition, seed, example), window ends (2, condition)."""
    norms, dim, values, inside = norms_in_window(ds, variable, window)
    start, end, bounds = _ends(values, norms[dim].values, inside)
    return norms, dim, _per_layer(start, end, bounds), bounds


def _per_layer(start: Array, end: Array, bounds: Array) -> Array:
    return _relative(start, end) / (bounds[1] - bounds[0])[:, None, None]


def _inside(values: Array, layers: Array, window: tuple[int, int] | None) -> Array:
    return _default_window(values, layers) if window is None else _window(values, layers, window)


def _default_window(values: Array, layers: Array) -> Array:
    """Mark the layers of the window: (condition, layer)."""
    output = output_layer(values, layers)[:, None]
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


def _ends(values: Array, layers: Array, inside: Array) -> tuple[Array, Array, Array]:
    """Values at both ends (condition, seed, example) and the ends' numbers (2, condition)."""
    first, last = inside.argmax(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    start, end = at(values, first), at(values, last)
    absent = np.isnan(start + end).all(axis=(1, 2)) | (inside.sum(axis=1) < 2)
    start[absent] = end[absent] = np.nan
    return start, end, np.where(absent, np.nan, [layers[first], layers[last]])


def _relative(start: Array, end: Array) -> Array:
    """Difference of logs, -inf where `start` is an exact zero whatever `end` is."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(start) & ~np.isnan(end), -np.inf, start - end)

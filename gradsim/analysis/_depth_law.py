"""Depth laws: whether a norm goes exponentially with depth or as a power of it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from gradsim.analysis._growth import norms_in_window
from gradsim.analysis._labels import Array, divide, labelled, with_history, without
from gradsim.analysis._quantile import inverted_cdf
from gradsim.analysis._resample import (
    check_interval,
    log_sum_square,
    log_weighted_sum,
    resamples_of,
)

STATISTICS = ("typical", "rms")
LAWS = ("exponential", "power law", "undecided")
_LEAST = 4  # layers of a window


def depth_law(
    ds: xr.Dataset,
    window: tuple[int, int] | None = None,
    *,
    variable: str = "log10_delta_norm",
    level: float = 0.95,
    resamples: int = 1000,
) -> xr.Dataset:
    r"""Exponential or power law: how a norm depends on the number of the layer.

    Two laws of one parameter each are laid through the profile over a window of layers,

    .. math:: \log_{10} x^l = a - g \, l \quad\text{or}\quad \log_{10} x^l = a + p \log_{10} l

    (tanh at sigma_w = 1 without biases has p = 1/2 and no rate g). The log-norm is a random walk
    over layers, so the laws are fitted to its steps, which are independent, by least squares. What
    decides is `advantage`, by how much the power law leaves less of the squared steps: a power law
    where its whole interval over resampled seeds is above 0, exponential where it is below,
    "undecided" where it crosses 0, as it does for a profile that is flat. The better law need not
    be a good one: `misfit_exponential` and `misfit_power` say how far the profile is from each.

    Parameters
    ----------
    ds
        Results with dims (..., seed, [example,] layer or step).
    window
        First and last layer (step), as in :func:`gradsim.analysis.growth_rate`; at least four.
    variable
        A variable of log10 norms over `layer`, `step` or `state_step`.
    level, resamples
        As in :func:`gradsim.analysis.growth_rate`.

    Returns
    -------
    xarray.Dataset
        Over the conditions and `statistic`, "typical" (mean log of networks without exact zeros in
        the window) and "rms" (half the log of the mean square, zeros included): the text `law`;
        float64 `advantage` in squared decades with `advantage_low`, `advantage_high`; `rate` g, in
        decades per layer, positive when the norm grows going backwards, with `rate_low`,
        `rate_high`; `power` p with `power_low`, `power_high`; `misfit_exponential`, `misfit_power`,
        the largest deviation in decades from either curve, which start at the window's last layer.
        nan and "undecided" where there is nothing to compare.

    Raises
    ------
    TypeError, ValueError
        If `ds` lacks the variable or its dims, or an argument is out of range.

    References
    ----------
    S. S. Schoenholz et al., "Deep information propagation", ICLR 2017 (the exponential law and its
    end at criticality).

    Examples
    --------
    >>> layer = np.arange(1, 31)
    >>> rng = np.random.default_rng(0)
    >>> walk = np.cumsum(0.001 * rng.normal(size=(20, 30)), axis=1)
    >>> ds = xr.Dataset({"log10_delta_norm": (("seed", "layer"), 0.5 * np.log10(layer) + walk)},
    ...                 {"layer": layer})
    >>> depth_law(ds).law.values.tolist()
    ['power law', 'power law']
    """
    check_interval(level, resamples)
    norms, dim, values, inside = norms_in_window(ds, variable, window)
    layers = norms[dim].values.astype(np.float64)
    inside = inside & (layers >= 1)
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    found = [_condition(values[i], layers, inside[i], ends, resamples) for i in range(len(values))]
    condition = without(norms, dim, "seed", "example")
    both = condition.expand_dims(statistic=2, axis=condition.ndim)
    both = both.assign_coords(statistic=np.array(STATISTICS))
    name = str(norms.attrs.get("long_name", variable))
    table = np.array(found)  # (condition, statistic, number)
    result = {
        key: labelled(both, table[..., i], text.format(name=name, dim=dim, level=level), formula)
        for i, (key, (text, formula)) in enumerate(_NUMBERS.items())
    }
    low, high = result["advantage_low"].values, result["advantage_high"].values
    words = np.where(low > 0, LAWS[1], np.where(high < 0, LAWS[0], LAWS[2]))
    law = both.copy(data=words)
    law.attrs = {"long_name": f"law of {name} over {dim}s", "units": "1"}
    call = f"depth_law({window=}, {variable=}, {level=}, {resamples=})"
    return with_history(xr.Dataset({"law": law} | result), ds, call)


_END = "{end} end of the {{level:.6g}} bootstrap interval over seeds of {what}"
# name: (long_name, formula)
_NUMBERS = {
    "advantage": (
        "squared steps that the power law explains beyond the exponential, squared decades",
        "sum of squared steps left by the exponential - left by the power law",
    ),
    "rate": ("decades of {name} per {dim} backwards", "g in log10 x = a - g l"),
    "power": ("power of the number of the {dim} in {name}", "p in log10 x = a + p log10 l"),
    **{
        f"{what}_{end}": (_END.format(end=text, what=what), "inverted_cdf")
        for end, text in (("low", "lower"), ("high", "upper"))
        for what in ("advantage", "rate", "power")
    },
    "misfit_exponential": (
        "largest deviation of {name} from the exponential law, decades",
        "max |log10 x - (a - g l)|, 0 at the last",
    ),
    "misfit_power": (
        "largest deviation of {name} from the power law, decades",
        "max |log10 x - (a + p log10 l)|, 0 at the last",
    ),
}


class _Shapes(NamedTuple):
    """Steps of both laws at parameter 1, over the root of the layers that a step spans."""

    root: Array
    line: Array
    log: Array

    def fit(self, profiles: Array) -> tuple[Array, Array, Array]:
        """Advantage, rate and power of profiles (..., layer)."""
        steps = np.diff(profiles, axis=-1) / self.root
        along, curved = steps @ self.line, steps @ self.log
        line, log = self.line @ self.line, self.log @ self.log
        return curved**2 / log - along**2 / line, along / line, curved / log


def _condition(
    values: Array, layers: Array, inside: Array, ends: Array, resamples: int
) -> list[list[float]]:
    """Numbers of both statistics; values are (seed, example, layer)."""
    layers, values = layers[inside], values[..., inside]
    known: Array = np.asarray(~np.isnan(values).any(axis=-1))
    used: Array = np.asarray(known.any(axis=1))
    if len(layers) < _LEAST or not used.any():
        return [[np.nan] * len(_NUMBERS)] * 2
    values, known = values[used], known[used]
    root = np.sqrt(np.diff(layers))
    shapes = _Shapes(root, -root, np.diff(np.log10(layers)) / root)
    finite = known & np.isfinite(values).all(axis=-1)
    total = np.where(finite[..., None], values, 0.0).sum(axis=1)
    count = finite.sum(axis=1, keepdims=True).astype(np.float64)
    squares = log_sum_square(np.moveaxis(np.where(known[..., None], values, -np.inf), 1, -1))

    def typical(weights: Array) -> Array:
        return divide(
            weights @ total, np.broadcast_to(weights @ count, (len(weights), len(layers)))
        )

    def rms(weights: Array) -> Array:
        return 0.5 * log_weighted_sum(weights, squares)

    return [_judged(shapes, layers, of, len(values), ends, resamples) for of in (typical, rms)]


def _judged(
    shapes: _Shapes,
    layers: Array,
    profile: Callable[[Array], Array],
    seeds: int,
    ends: Array,
    resamples: int,
) -> list[float]:
    """Estimates of one statistic, their intervals, and the misfits."""
    with np.errstate(invalid="ignore"):  # a layer in which all are exact zeros
        mean = profile(np.ones((1, seeds)))[0]
        point = np.array(shapes.fit(mean))
        blocks = [shapes.fit(profile(weights)) for weights in resamples_of(seeds, resamples)]
        drawn = inverted_cdf(np.concatenate(blocks, axis=1), ends)
        back, away = mean - mean[-1], layers[-1] - layers
        line = np.abs(back - point[1] * away).max()
        log = np.abs(back - point[2] * np.log10(layers / layers[-1])).max()
    if seeds < 2:
        drawn = np.full((2, 3), np.nan)
    return [*point, *drawn[0], *drawn[1], line, log]

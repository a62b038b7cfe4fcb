"""Gain calibration: the sigma_w that keeps a signal or a gradient, forwards and backwards."""

import math
from typing import Any

import numpy as np
import xarray as xr

from gradsim._validate import real, whole
from gradsim.activations import activations
from gradsim.analysis._resample import resamples_of

CRITERIA = ("forward", "mean_square_backward", "typical_backward")
_WIDE = 0.5  # half-width of the first search in ln sigma_w, about the mean-square gain
_LIMITS = (1e-3, 1e3)  # sigma_w outside counts as none
_STEPS = 7  # gains of one pass
_RESAMPLES = 500


def calibrate_gain(
    activation: str,
    width: int = 100,
    depth: int = 50,
    *,
    sigma_b: float = 0.0,
    q: float = 1.0,
    seeds: int = 200,
    level: float = 0.95,
    slope: float = 0.01,
) -> xr.Dataset:
    """Find the sigma_w that keeps signals, mean-square gradients and typical gradients.

    Three criteria, three gains:

    - "forward": a pre-activation of mean square `q` keeps it, V(q) = q. Infinite width.
    - "mean_square_backward": chi_1 = 1 at the fixed point. Infinite width; for homogeneous
      activations exact at any width.
    - "typical_backward": E ln ||delta^1|| = E ln ||delta^depth|| at this width and depth, for
      Gaussian weights, a cost linear in the last pre-activation and inputs of unit mean square;
      networks with an exact zero are left out. Exact for homogeneous activations, whose gain is
      the same at all depths; for others found by simulation, with an interval over networks.

    Parameters
    ----------
    activation, sigma_b, slope
        As in :func:`gradsim.theory.q_map`.
    width, depth
        Of the networks of the third criterion; `depth` >= 2.
    q
        Mean square that the first criterion keeps, > 0.
    seeds
        Networks of the simulation.
    level
        Probability content of its interval.

    Returns
    -------
    xarray.Dataset
        dim `criterion`, float64: `sigma_w`, `low`, `high` (equal where it is not simulated; nan
        where there is none) and `note`: "exact", "asymptotic", "simulated", or "does not exist: "
        with the reason. The attribute `table` prints it.

    Raises
    ------
    TypeError, ValueError
        If the activation is unknown or an argument is out of range.

    References
    ----------
    K. He et al., ICCV 2015, eqs. 10 and 14; Schoenholz et al. 2017; D. Sussillo and L. F. Abbott,
    arXiv:1412.6558 (typical).

    Examples
    --------
    >>> ds = calibrate_gain("relu", width=50)
    >>> [round(g, 6) for g in ds.sigma_w.values.tolist()]
    [1.414214, 1.414214, 1.451276]
    """
    where = "calibrate_gain"
    entry = activations[activation]
    width, depth = whole(where, "width", width), whole(where, "depth", depth, least=2)
    sigma_b, slope = real(where, "sigma_b", sigma_b), real(where, "slope", slope, least=None)
    if real(where, "q", q) == 0:
        raise ValueError("calibrate_gain(q=0): q must be > 0")
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    seeds = whole(where, "seeds", seeds, least=2)
    rows = [_forward(entry, sigma_b, q, slope), _mean_square(entry, sigma_b, slope)]
    if entry.homogeneous:
        rows.append(_exact(entry, width, slope))
    else:
        guess = rows[1][0] if math.isfinite(rows[1][0]) else rows[0][0]
        rows.append(_simulated(entry, width, depth, sigma_b, slope, seeds, level, guess))
    return _dataset(activation, width, depth, sigma_b, rows)


def _missing(reason: str) -> tuple[float, float, float, str]:
    return math.nan, math.nan, math.nan, f"does not exist: {reason}"


def _forward(entry: Any, sigma_b: float, q: float, slope: float) -> tuple:
    from gradsim.theory._moments import value_square

    value, rest = value_square(entry, q, slope), q - sigma_b * sigma_b
    if rest <= 0:
        return _missing(f"sigma_b^2 = {sigma_b**2:g} alone is not below q = {q:g}")
    if value == 0:
        return _missing("phi is 0")
    gain = math.sqrt(rest / value)
    return gain, gain, gain, "exact" if entry.homogeneous else "asymptotic"


def _mean_square(entry: Any, sigma_b: float, slope: float) -> tuple:
    from gradsim.theory.length_map import edge_of_chaos, square_at_zero

    if entry.homogeneous:  # whatever the biases do to signals, gradients are kept
        square = square_at_zero(entry, slope)
        gain = 1 / math.sqrt(square) if square > 0 else math.nan
        return (gain, gain, gain, "exact") if square > 0 else _missing("phi' is 0")
    try:
        gain = edge_of_chaos(entry.name, sigma_b, slope=slope)
    except ValueError as error:
        return _missing(str(error))
    return gain, gain, gain, "asymptotic"


def _exact(entry: Any, width: int, slope: float) -> tuple:
    from gradsim.theory._layer_law import Slopes, cumulants

    slopes = Slopes(*entry.slopes_at_zero(slope))
    if slopes.mean_square == 0:
        return _missing("phi' is 0")
    gain = math.exp(-cumulants(slopes, width).mean / 2)
    return gain, gain, gain, "exact"


def _simulated(
    entry: Any,
    width: int,
    depth: int,
    sigma_b: float,
    slope: float,
    seeds: int,
    level: float,
    guess: float,
) -> tuple:
    """Root of the mean log over a grid of gains that closes in on it; all share their draws."""
    centre, half = math.log(guess) if guess > 0 else 0.0, _WIDE
    low, high = (math.log(limit) for limit in _LIMITS)
    model = {"activation": entry.name, "width": width, "depth": depth, "slope": slope}
    logs, growth = _grown(model, centre + half * np.linspace(-1, 1, _STEPS), sigma_b, seeds)
    while not _brackets(growth):
        if logs[-1] >= high and logs[0] <= low:
            end = "vanish" if np.nanmax(growth.mean(axis=1)) < 0 else "explode"
            return _missing(f"typical gradients {end} at all sigma_w in {_LIMITS}")
        half = 2 * half
        grid = np.clip(centre + half * np.linspace(-1, 1, 2 * _STEPS), low, high)
        logs, growth = _grown(model, np.unique(grid), sigma_b, seeds)
    for _ in range(2):  # to within a hundredth of the first grid
        k = _crossing(growth.mean(axis=1))
        closer = _grown(model, np.linspace(logs[k], logs[k + 1], _STEPS), sigma_b, seeds)
        if not _brackets(closer[1]):  # other networks have zeros at these gains
            break
        logs, growth = closer
    root = _root(logs, growth.mean(axis=1))
    return *_interval(logs, growth, root, level), "simulated"


def _grown(model: dict, logs: np.ndarray, sigma_b: float, seeds: int) -> tuple:
    """Log10 of ||delta^1|| / ||delta^depth|| (gain, seed), of seeds that are finite everywhere."""
    from gradsim.models import MLP
    from gradsim.simulate import simulate

    net = MLP(**model, sigma_b=sigma_b, loss="linear", output="identity")
    ds = simulate(net, seeds, vary={"sigma_w": np.exp(logs)}, progress=False)
    delta = ds.log10_delta_norm
    ratio = (delta.isel(layer=0) - delta.isel(layer=-1)).values
    kept = np.isfinite(ratio).all(axis=0)
    if kept.sum() < 2:
        return logs, np.full((len(logs), 2), -np.inf)
    return logs, ratio[:, kept]


def _crossing(mean: np.ndarray) -> int:
    """Last gain below the root."""
    return int(np.flatnonzero((mean[:-1] < 0) & (mean[1:] >= 0))[-1])


def _brackets(growth: np.ndarray) -> bool:
    mean = growth.mean(axis=1)
    return bool(np.any((mean[:-1] < 0) & (mean[1:] >= 0)))


def _root(logs: np.ndarray, mean: np.ndarray) -> float:
    k = _crossing(mean)
    share = -mean[k] / (mean[k + 1] - mean[k])
    return float(logs[k] + share * (logs[k + 1] - logs[k]))


def _interval(logs: np.ndarray, growth: np.ndarray, root: float, level: float) -> tuple:
    """Gain with its bootstrap interval: the root moves as the mean does, over the slope there."""
    slope = np.polyfit(logs, growth.mean(axis=1), 1)[0]
    seeds = growth.shape[1]
    at = np.array([np.interp(root, logs, one) for one in growth.T])
    means = np.concatenate([w @ at / seeds for w in resamples_of(seeds, _RESAMPLES)])
    ends = root - np.quantile(means, [(1 + level) / 2, (1 - level) / 2]) / slope
    return math.exp(root), math.exp(ends[0]), math.exp(ends[1])


def _dataset(activation: str, width: int, depth: int, sigma_b: float, rows: list) -> xr.Dataset:
    texts = {
        "sigma_w": "gain: standard deviation of a weight times sqrt(fan_in)",
        "low": "lower end of its interval",
        "high": "upper end of its interval",
        "note": "how it is known, or why there is none",
    }
    data = {
        name: ("criterion", np.array(column), {"long_name": texts[name], "units": "1"})
        for name, column in zip(texts, zip(*rows))
    }
    lines = [f"{activation}, width {width}, depth {depth}, sigma_b {sigma_b:g}"]
    for name, (gain, low, high, note) in zip(CRITERIA, rows):
        value = f"{gain:.6g}" if math.isfinite(gain) else "-"
        spread = f" ({low:.5g} to {high:.5g})" if high > low else ""
        lines.append(f"{name:<21} {value}{spread}  {note}")
    return xr.Dataset(
        data,
        {"criterion": np.array(CRITERIA)},
        {"title": "Gain calibration", "table": "\n".join(lines)},
    )

"""The law of ln ||delta^l||^2 over networks of finite width."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from gradsim._init_scales import input_std
from gradsim.activations import activations
from gradsim.initializers import initializers
from gradsim.theory import _cells, _layer_law
from gradsim.theory._fluctuations import local
from gradsim.theory._fluctuations import walk as _walk
from gradsim.theory._layer_law import Array, Cumulants, Slopes
from gradsim.theory.mean_field import layer_biases, layer_sigmas, layer_widths, profile

LEVELS = (0.05, 0.5, 0.95)
_RATIO = "norm(delta^l)^2 / norm(delta^L)^2"
# name: (long_name, formula)
_VARIABLES = {
    "mean_log": ("mean log of the squared gradient norm", f"E ln({_RATIO} | > 0)"),
    "var_log": ("variance of the log of the squared gradient norm", f"Var ln({_RATIO} | > 0)"),
    "fourth_cumulant_log": ("fourth cumulant of the same log", f"kappa_4 ln({_RATIO} | > 0)"),
    "log_mean_square": ("log of the mean squared gradient norm", f"ln E {_RATIO}"),
    "log_square_ratio": (
        "log of the mean fourth power over the squared mean square",
        "ln(E norm(delta^l)^4 / (E norm(delta^l)^2)^2), norm(delta^L) = 1",
    ),
    "mean_log_limit": ("mean log in the log-normal limit", "sum(ln chi - c / (2 n))"),
    "var_log_limit": ("variance of the log in the log-normal limit", "sum(c / n)"),
    "zero_probability": ("probability of an exact zero", "P(delta^l = 0)"),
    "log10_delta_mean": ("mean log10 of the gradient norm", "mean_log / (2 ln 10)"),
    "log10_delta_sd": ("standard deviation of log10 of the gradient norm", "decades"),
    "log10_delta_quantile": (
        "quantiles of log10 of the gradient norm relative to the last layer's",
        "inverse distribution, exact zeros as -inf",
    ),
}


def finite_width(
    model: Any, quantiles: Sequence[float] = LEVELS, x_norm: float | None = None
) -> xr.Dataset:
    """Predict the law of ln ||delta^l||^2 - ln ||delta^L||^2 over networks of finite widths.

    Exact for homogeneous activations (linear, relu, leaky_relu), Gaussian weights drawn anew in
    every layer, any symmetric biases and a cost that is linear in the output: from layer l + 1 to
    l the squared norm grows by (sigma_w^2 / n_l) (r^2 chi^2_M + s^2 chi^2_(n_l - M)), M ~
    Binomial(n_l, 1/2), for slopes r and s, independently of all other layers and of the input
    (which is not 0). Square orthogonal weights: the same with a point on a sphere.

    Asymptotic otherwise (attribute `validity`): the mean-field profile, with its fluctuations at
    order 1/n along the path from the input, as :func:`walk_coefficients` has them deep inside; the
    log is normal. They are derived here for a cost that is linear in the last pre-activation.

    Parameters
    ----------
    model
        An :class:`gradsim.MLP`, or an :class:`gradsim.RNN` with tied=False, with a plain cell.
    quantiles
        Levels of `log10_delta_quantile`, between 0 and 1; empty for none.
    x_norm
        As in :func:`profile`; it matters to no exact law. None: the norm varies over networks.

    Returns
    -------
    xarray.Dataset
        dim `layer` 1..L (RNN: `step`) and `quantile`, float64, relative to the last layer. Natural
        logs of the squared norm, given that it is not 0: `mean_log`, `var_log`,
        `fourth_cumulant_log`, and the log-normal limit `mean_log_limit`, `var_log_limit` of wide
        networks. `log_mean_square` and `log_square_ratio`: moments, zeros included.
        `zero_probability`. In decades of the norm: `log10_delta_mean`, `log10_delta_sd`, and
        `log10_delta_quantile`, zeros included as -inf (nan for orthogonal weights with kinks).

    Raises
    ------
    ValueError
        If the cell is not plain or normalised, an RNN is tied, `loss_at` is "all", the theory does
        not hold for the initialiser, or a quantile is not between 0 and 1.

    References
    ----------
    B. Hanin, "Which neural net architectures give rise to exploding and vanishing gradients?",
    NeurIPS 2018; B. Hanin and M. Nica, Commun. Math. Phys. 2020, theorem 1 (log-normal limit); J.
    Zavatone-Veth and C. Pehlevan, "Exact marginal prior distributions of finite Bayesian neural
    networks", NeurIPS 2021 (the mixture); J. Gil-Pelaez, Biometrika 1951 (quantiles).

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> model = MLP(depth=11, width=20, activation="relu", init="he_normal", loss="linear",
    ...             output="identity")
    >>> law = finite_width(model)
    >>> round(law.mean_log[0].item(), 5), round(law.var_log[0].item(), 5)
    (-1.37187, 3.11758)
    """
    _check(model)
    levels = _levels(quantiles)
    slopes = exact_slopes(model)
    values = _asymptotic(model, levels, x_norm) if slopes is None else _exact(model, slopes, levels)
    exact = slopes is not None and _is_linear_cost(model)
    return _dataset(model, levels, values, "exact" if exact else "asymptotic (order 1/n)")


def exact_slopes(model: Any) -> Slopes | None:
    """Slopes and kind of weights of a model whose layers have an exact law, else None."""
    entry, init = activations[model.activation], initializers[model.init]
    if not entry.homogeneous:
        return None
    left, right = entry.slopes_at_zero(model.slope)
    if init.make is None:
        return Slopes(left, right) if init.distribution == "gaussian" else None
    square = len(set(layer_widths(model)[:-1])) == 1
    last = layer_widths(model)[-1] <= layer_widths(model)[0]  # rows of a square matrix
    return Slopes(left, right, False) if init.name == "orthogonal" and square and last else None


def _is_linear_cost(model: Any) -> bool:
    last = activations[model.last_activation] if model.last_activation in activations else None
    return model.loss == "linear" and last is not None and last.homogeneous


def _check(model: Any) -> None:
    if model.cell not in _cells.PLAIN or model.norm is not None:
        raise ValueError(
            f"finite_width is known for the cells {list(_cells.PLAIN)} with norm=None, got "
            f"{model.cell!r} with norm={model.norm!r}"
        )
    if getattr(model, "tied", False):
        raise ValueError(
            "finite_width is known for independent weights: an RNN must have tied=False, got "
            "tied=True"
        )
    if getattr(model, "loss_at", "last") != "last":
        raise ValueError(f"finite_width needs a cost on the last state, got {model.loss_at!r}")


def _levels(quantiles: Sequence[float]) -> Array:
    levels = np.asarray(quantiles, np.float64)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantiles must be numbers between 0 and 1, got {quantiles!r}")
    return levels


def _exact(model: Any, slopes: Slopes, levels: Array) -> dict[str, Any]:
    """Sums over the hidden layers from the output down; all arrays start at layer L."""
    widths = list(layer_widths(model)[1:-1][::-1])
    with np.errstate(divide="ignore"):  # no weights: no gradient
        grown = 2 * np.log(layer_sigmas(model)[1:][::-1])
    shifts = np.cumsum(grown)
    total, sums = Cumulants(0.0, 0.0, 0.0, 0.0), [Cumulants(0.0, 0.0, 0.0, 0.0)]
    for n, shift in zip(widths, grown):
        law = _layer_law.cumulants(slopes, n)
        total = total.plus(law._replace(mean=law.mean + shift))
        sums.append(total)
    excess = np.array([slopes.square_excess(n) for n in widths])
    mean_square = shifts + math.log(slopes.mean_square) * np.arange(1, len(widths) + 1)
    spread = np.cumsum([(3 * slopes.flatness - (1 if slopes.gaussian else 3)) / n for n in widths])
    zero, extra = _zeros(model, slopes, widths)
    values: dict[str, Any] = {
        "mean_log": [s.mean for s in sums],
        "var_log": [s.variance for s in sums],
        "fourth_cumulant_log": [s.fourth for s in sums],
        "log_mean_square": np.append(0.0, mean_square) + extra,
        "log_square_ratio": np.append(0.0, np.cumsum(np.log1p(excess))) - extra,
        "mean_log_limit": np.append(0.0, mean_square - spread / 2),
        "var_log_limit": np.append(0.0, spread),
        "zero_probability": zero,
    }
    if levels.size:
        values["quantile"] = _quantiles(slopes, widths, shifts, zero, levels)
    return values


def _zeros(model: Any, slopes: Slopes, widths: list[int]) -> tuple[Array, Array]:
    """P(delta^l = 0) from layer L down, and the log of what other layers take from its moments.

    A dead layer stops the backward pass below it; without biases the forward pass above it too.
    """
    alive = np.log1p(-np.array([slopes.zero_probability(n) for n in widths]))
    own = 0.0  # the last layer's own slopes, where it has any
    if model.last_activation in activations and activations[model.last_activation].homogeneous:
        last = Slopes(*activations[model.last_activation].slopes_at_zero(model.slope))
        own = math.log1p(-last.zero_probability(layer_widths(model)[-1]))
    below = np.append(0.0, np.cumsum(alive))
    if any(b > 0 for b in layer_biases(model)[1:]):
        return abs(np.expm1(own + below)), np.append(0.0, np.full(alive.size, own))
    zero = np.full(below.size, -math.expm1(own + alive.sum()))
    zero[0] = zero[0] if own < 0 else 0.0
    return zero, np.append(0.0, own + alive.sum() - below[1:])


def _quantiles(
    slopes: Slopes, widths: list[int], shifts: Array, zero: Array, levels: Array
) -> Array:
    """Decades (layer, level) from layer L down, exact zeros as -inf."""
    if not slopes.gaussian and abs(slopes.left) != abs(slopes.right):
        return np.full((len(widths) + 1, levels.size), np.nan)
    parts = (levels - zero[1:, None]) / (1 - zero[1:, None])  # levels given that it is not 0
    found = _layer_law.quantiles(slopes, widths, shifts, parts)
    return np.concatenate((np.zeros((1, levels.size)), found)) / (2 * math.log(10))


def _asymptotic(model: Any, levels: Array, x_norm: float | None) -> dict[str, Any]:
    """Mean-field profile and its normal fluctuations."""
    from scipy.special import ndtri  # slow to import

    path = profile(model, x_norm)
    widths, sigmas = layer_widths(model), np.array(layer_sigmas(model))
    places = [local(model.activation, q, model.slope) for q in path.q.values[:-1]]
    drawn = x_norm is None and getattr(model, "initial_state", "gaussian") == "gaussian"
    start = 2 * sigmas[0] ** 4 / widths[0] if drawn else 0.0  # of a chi^2 number of n_0
    steps = _walk(places, path.q.values, sigmas[1:] ** 2, list(widths[1:-1]), start, _drives(model))
    rms = 2 * math.log(10) * path.log10_delta_rms.values[::-1]
    mean, variance = rms + steps.mean[::-1], steps.variance[::-1]
    values = {
        "mean_log": mean,
        "var_log": variance,
        "fourth_cumulant_log": np.zeros_like(mean),
        "log_mean_square": rms,
        "log_square_ratio": variance,
        "mean_log_limit": mean,
        "var_log_limit": variance,
        "zero_probability": np.zeros_like(mean),
    }
    if levels.size:
        spread = np.sqrt(variance)[:, None] * ndtri(levels)
        values["quantile"] = (mean[:, None] + spread) / (2 * math.log(10))
    return values


def _drives(model: Any) -> float:
    """Variance that drawn inputs of an RNN add to the mean square of each step."""
    if getattr(model, "sigma_u", 0.0) == 0:
        return 0.0
    n = model.input_width or model.width
    return 2 * (input_std(model) ** 2 * n) ** 2 / n


def _dataset(model: Any, levels: Array, values: dict[str, Any], validity: str) -> xr.Dataset:
    dim = "step" if hasattr(model, "steps") else "layer"
    decades = 2 * math.log(10)
    values["log10_delta_mean"] = np.array(values["mean_log"]) / decades
    values["log10_delta_sd"] = np.sqrt(values["var_log"]) / decades
    data = {}
    if "quantile" in values:
        values["log10_delta_quantile"] = values.pop("quantile")
    for name, array in values.items():
        long_name, formula = _VARIABLES[name]
        array = np.asarray(array, np.float64)[::-1]
        dims = (dim, "quantile")[: array.ndim]
        data[name] = (dims, array, {"long_name": long_name, "units": "1", "formula": formula})
    coords: dict[str, Any] = {dim: np.arange(1, len(values["mean_log"]) + 1)}
    if levels.size:
        coords["quantile"] = levels
    return xr.Dataset(data, coords, {"title": "Finite width", "validity": validity})

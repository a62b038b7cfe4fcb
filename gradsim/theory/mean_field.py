"""Mean-field predictions for a model: its fixed point, growth rate, and profile over layers."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from gradsim._init_scales import bias_spread, gain
from gradsim.activations import activations
from gradsim.initializers import initializers
from gradsim.theory import _cells, correlation_map
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory.length_map import chi_1, edge_of_chaos, fixed_point, q_map

__all__ = [
    "chi_1",
    "edge_of_chaos",
    "fixed_point",
    "gaussian_mean",
    "mean_field",
    "profile",
    "q_map",
]

_SETTLED = 200  # iterations of a map that settles at once, or soon for a large norm_eps

# name: (long_name, formula)
_VARIABLES = {
    "q_star": ("fixed point of the pre-activation mean square", "q* = V(q*)"),
    "chi_1": ("growth of the gradient mean square per layer", "sigma_w^2 E phi'(sqrt(q*) Z)^2"),
    "c_star": ("fixed point of the correlation of two examples", "c* = c map(c*)"),
    "xi_q": ("depth scale of the mean square in layers", "-1 / ln V'(q*)"),
    "xi_c": ("depth scale of the correlation in layers", "-1 / ln chi_c(c*)"),
    "growth_rms": ("decades per layer, positive when the gradient explodes", "0.5 log10 chi_1"),
    "q": ("pre-activation mean square", "q^l = sigma_w^2 E phi(sqrt(q^(l-1)) Z)^2 + sigma_b^2"),
    "chi": ("factor of E norm(delta)^2 from layer l+1 to l", "sigma_w^2 E phi'(sqrt(q^l) Z)^2"),
    "log10_delta_rms": (
        "log10 of the rms of norm(delta^l) relative to that of norm(delta^L)",
        "0.5 sum_{r=l..L-1} log10 chi^r",
    ),
    "log10_weight_grad_rms": (
        "log10 of the rms of norm(dC/dW^l) relative to that of norm(delta^L)",
        "log10_delta_rms + 0.5 log10(E norm(a^(l-1))^2)",
    ),
}


def mean_field(model: Any) -> xr.Dataset:
    """Predict the fixed point, chi_1 and the gradient growth rate of a wide random network.

    Asymptotic (infinite width), deep inside the network. sigma_w is that of the model's
    initialiser in a square layer. An RNN's inputs have unit mean square and act as a bias of
    standard deviation sigma_u. For homogeneous activations chi_1 is exact at any width where the
    weights are untied and the cost is linear in the last pre-activation. In a residual network
    signals grow for ever: chi_1 is the limit per block. Under norm="batch" the batch is large and
    the gradients of its examples are independent.

    Parameters
    ----------
    model
        A :class:`gradsim.MLP` or :class:`gradsim.RNN` with a plain cell, normalised or not, or an
        MLP with cell "residual", "residual_single" or "residual_pre".

    Returns
    -------
    xarray.Dataset
        Scalars (float64) `q_star` (0 where the length map decays, inf where it diverges, nan where
        every q is fixed), `chi_1`, and `growth_rms` = 0.5 log10 chi_1, in decades per layer or
        step, positive when the norm grows going backwards; `c_star`, `xi_q` and `xi_c` as in the
        functions of these names (nan for residual and normalised networks).

    Raises
    ------
    ValueError
        If the cell is another or both residual and normalised, the theory does not hold for the
        initialiser, or `init="critical"` and there is no critical point.

    References
    ----------
    Poole et al. 2016, eqs. 3 and 6; Schoenholz et al. 2017, the section on backpropagation; He et
    al. 2015, eqs. 10 and 14. Yang and Schoenholz 2017 (residual); Yang et al. 2019, "A mean field
    theory of batch normalization".

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> round(mean_field(MLP(activation="tanh", sigma_w=2.0)).growth_rms.item(), 6)
    0.067196
    """
    values = limits(model)
    if model.cell in _cells.PLAIN and model.norm is None:
        point = (model.activation, gain(model), layer_biases(model)[-1])
        values |= {
            "c_star": correlation_map.c_star(*point, slope=model.slope),
            "xi_q": correlation_map.xi_q(*point, slope=model.slope),
            "xi_c": correlation_map.xi_c(*point, slope=model.slope),
        }
    else:  # not known of residual and normalised networks
        values |= {"c_star": math.nan, "xi_q": math.nan, "xi_c": math.nan}
    return _dataset(model, "Mean field", **values)


def limits(model: Any) -> dict[str, float]:
    """q*, chi_1 and the growth rate alone, which take little time."""
    _cells.check_cell(model)
    sigma_w, sigma_b, slope = gain(model), layer_biases(model)[-1], model.slope
    if model.cell in _cells.RESIDUAL or model.norm is not None:
        values = _other_limits(model, sigma_w, sigma_b)
    else:
        q_star = fixed_point(model.activation, sigma_w, sigma_b, slope=slope)
        chi = chi_1(model.activation, sigma_w, q_star, slope=slope)
        values = {"q_star": q_star, "chi_1": chi}
    chi = values["chi_1"]
    return values | {"growth_rms": 0.5 * math.log10(chi) if chi > 0 else -math.inf}


def _other_limits(model: Any, sigma_w: float, sigma_b: float) -> dict[str, float]:
    """Limits of a residual or normalised network."""
    if model.cell in _cells.RESIDUAL:
        return {"q_star": math.inf, "chi_1": _cells.limit_chi(model, sigma_w)}
    q, slope, cross, w2, b2 = 1.0, 1.0, 0.0, sigma_w * sigma_w, sigma_b * sigma_b
    for _ in range(_SETTLED):  # normalisation brings q to its fixed point at once, up to norm_eps
        shared = w2 * cross + b2
        value, slope, cross = _cells.normalised(model, activations[model.activation], q, shared)
        q = w2 * value + b2
    return {"q_star": q, "chi_1": w2 * slope}


def profile(model: Any, x_norm: float | None = None) -> xr.Dataset:
    """Predict the rms profile over layers, with the transient from the input to the fixed point.

    Asymptotic (infinite width), for a cost that is linear in the last pre-activation; at any
    widths and with the initialiser's own variance in each layer. Inputs of an RNN have unit mean
    square; its cost is on the last state. Cells and norms as in :func:`mean_field`; the input of
    cell "residual_pre" is taken to be Gaussian.

    Parameters
    ----------
    model
        An MLP or RNN as in :func:`mean_field`.
    x_norm
        Euclidean norm of the input x (of an RNN: of the initial state h_0). None means the
        model's default, of unit mean square.

    Returns
    -------
    xarray.Dataset
        dim `layer` 1..L (RNN: `step` 1..T), float64: `q`; `chi`, the factor of E ||delta||^2 from
        layer l+1 to l (NaN at the last layer); `log10_delta_rms`, relative to the last layer; for
        plain cells `log10_weight_grad_rms`, the rms of ||dC/dW^l|| (RNN: of step t's share of it)
        relative to that of ||delta^L||, by E ||delta^l||^2 E ||a^(l-1)||^2, which is exact for
        homogeneous activations without biases.

    Raises
    ------
    ValueError
        If the cell is none of these, `loss_at` is "all", or `x_norm` is negative or not finite.

    References
    ----------
    Poole et al. 2016, eq. 3; Schoenholz et al. 2017, the section on backpropagation.

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> round(profile(MLP(depth=10, activation="tanh")).log10_delta_rms[0].item(), 6)
    -0.551045
    """
    _cells.check_cell(model)
    if getattr(model, "loss_at", "last") != "last":
        raise ValueError(f"profile needs a cost on the last state, got loss_at={model.loss_at!r}")
    first = _input_mean_square(model, x_norm)
    q, chi = _cells.propagate(model, layer_sigmas(model), layer_biases(model), first)
    with np.errstate(divide="ignore"):
        decades = np.append(0.5 * np.log10(chi[::-1]), 0.0)
    growth = np.append(np.cumsum(decades[:-1])[::-1], 0.0)
    values = {"q": q, "chi": np.append(chi, np.nan), "log10_delta_rms": growth}
    if model.cell in _cells.PLAIN:
        values["log10_weight_grad_rms"] = growth + 0.5 * _log10_below(model, q)
    return _dataset(model, "Mean-field profile", **values)


def _log10_below(model: Any, q: np.ndarray) -> np.ndarray:
    """Log10 of E ||a^(l-1)||^2, what each layer's matrix reads, from its q."""
    sigmas, biases = np.array(layer_sigmas(model)), np.array(layer_biases(model))
    widths = np.array(layer_widths(model)[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(widths) + np.log10(np.maximum(q - biases**2, 0.0)) - 2 * np.log10(sigmas)


def layer_widths(model: Any) -> tuple[int, ...]:
    """Units of the input and of every layer, or of the initial state and of every step."""
    return getattr(model, "widths", None) or (model.width,) * (model.depth + 1)


def layer_biases(model: Any) -> list[float]:
    """Return the spread of b, and of U x of an RNN, in each layer."""
    return [bias_spread(model, n) for n in layer_widths(model)[:-1]]


def layer_sigmas(model: Any) -> list[float]:
    """Return the standard deviation of a weight times sqrt(fan_in) in each layer."""
    init = initializers[model.init]
    return [
        gain(model, m) * init.std(m, n, model.fan) / init.std(m, m, model.fan)
        for m, n in pairwise(layer_widths(model))
    ]


def _input_mean_square(model: Any, x_norm: float | None) -> float:
    if x_norm is not None:
        if not 0 <= x_norm < math.inf:
            raise ValueError(f"x_norm must be a finite number >= 0, got {x_norm!r}")
        widths = getattr(model, "widths", None) or (model.width,)
        return x_norm * x_norm / widths[0]
    state = getattr(model, "initial_state", "gaussian")
    if isinstance(state, str):
        return 0.0 if state == "zeros" else 1.0
    return float(np.mean(np.square(state)))


def _dataset(model: Any, title: str, **values: Any) -> xr.Dataset:
    """Label scalars, or arrays over the layers or steps of the model."""
    dim = "step" if hasattr(model, "steps") else "layer"
    data = {}
    for name, value in values.items():
        long_name, formula = _VARIABLES[name]
        attrs = {"long_name": long_name, "units": "1", "formula": formula}
        data[name] = ((dim,) if np.ndim(value) else (), np.asarray(value, np.float64), attrs)
    ds = xr.Dataset(data, attrs={"title": title, "validity": "asymptotic (infinite width)"})
    size = ds.sizes.get(dim, 0)
    return ds.assign_coords({dim: np.arange(1, size + 1)}) if size else ds

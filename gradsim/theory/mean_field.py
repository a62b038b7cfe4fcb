"""Mean-field predictions for a model: its fixed point, growth rate, and profile over layers."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from gradsim._init_scales import bias_spread, gain
from gradsim.initializers import initializers
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

# name: (long_name, formula)
_VARIABLES = {
    "q_star": ("fixed point of the pre-activation mean square", "q* = V(q*)"),
    "chi_1": ("growth of the gradient mean square per layer", "sigma_w^2 E phi'(sqrt(q*) Z)^2"),
    "growth_rms": ("decades per layer, positive when the gradient explodes", "0.5 log10 chi_1"),
    "q": ("pre-activation mean square", "q^l = sigma_w^2 E phi(sqrt(q^(l-1)) Z)^2 + sigma_b^2"),
    "chi": ("factor of E norm(delta)^2 from layer l+1 to l", "sigma_w^2 E phi'(sqrt(q^l) Z)^2"),
    "log10_delta_rms": (
        "log10 of the rms of norm(delta^l) relative to that of norm(delta^L)",
        "0.5 sum_{r=l..L-1} log10 chi^r",
    ),
}


def mean_field(model: Any) -> xr.Dataset:
    """Predict the fixed point, chi_1 and the gradient growth rate of a wide random network.

    Asymptotic (infinite width), deep inside the network. sigma_w is that of the model's
    initialiser in a square layer. An RNN's inputs have unit mean square and act as a bias of
    standard deviation sigma_u. For homogeneous activations chi_1 is exact at any width where the
    weights are untied and the cost is linear in the last pre-activation.

    Parameters
    ----------
    model
        A :class:`gradsim.MLP` or :class:`gradsim.RNN` with the plain cell.

    Returns
    -------
    xarray.Dataset
        Scalars (float64) `q_star` (0 where the length map decays, inf where it diverges, nan where
        every q is fixed), `chi_1`, and `growth_rms` = 0.5 log10 chi_1, in decades per layer or
        step, positive when the norm grows going backwards.

    Raises
    ------
    ValueError
        If the cell is not plain, the theory does not hold for the initialiser, or
        `init="critical"` and there is no critical point.

    References
    ----------
    Poole et al. 2016, eqs. 3 and 6; Schoenholz et al. 2017, the section on backpropagation; He et
    al. 2015, eqs. 10 and 14.

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> round(mean_field(MLP(activation="tanh", sigma_w=2.0)).growth_rms.item(), 6)
    0.067196
    """
    _check_plain(model)
    sigma_w = gain(model)
    q_star = fixed_point(model.activation, sigma_w, _biases(model)[-1], slope=model.slope)
    chi = chi_1(model.activation, sigma_w, q_star, slope=model.slope)
    growth = 0.5 * math.log10(chi) if chi > 0 else -math.inf
    return _dataset(model, "Mean field", q_star=q_star, chi_1=chi, growth_rms=growth)


def profile(model: Any, x_norm: float | None = None) -> xr.Dataset:
    """Predict the rms profile over layers, with the transient from the input to the fixed point.

    Asymptotic (infinite width), for a cost that is linear in the last pre-activation; at any
    widths and with the initialiser's own variance in each layer. Inputs of an RNN have unit mean
    square; its cost is on the last state.

    Parameters
    ----------
    model
        A :class:`gradsim.MLP` or :class:`gradsim.RNN` with the plain cell.
    x_norm
        Euclidean norm of the input x (of an RNN: of the initial state h_0). None means the
        model's default, of unit mean square.

    Returns
    -------
    xarray.Dataset
        dim `layer` 1..L (RNN: `step` 1..T), float64: `q`; `chi`, the factor of E ||delta||^2 from
        layer l+1 to l (NaN at the last layer); `log10_delta_rms`, relative to the last layer.

    Raises
    ------
    ValueError
        If the cell is not plain, `loss_at` is "all", or `x_norm` is negative or not finite.

    References
    ----------
    Poole et al. 2016, eq. 3; Schoenholz et al. 2017, the section on backpropagation.

    Examples
    --------
    >>> from gradsim.models import MLP
    >>> round(profile(MLP(depth=10, activation="tanh")).log10_delta_rms[0].item(), 6)
    -0.551045
    """
    _check_plain(model)
    if getattr(model, "loss_at", "last") != "last":
        raise ValueError(f"profile needs a cost on the last state, got loss_at={model.loss_at!r}")
    sigmas, biases = _layer_sigmas(model), _biases(model)
    q = [sigmas[0] * sigmas[0] * _input_mean_square(model, x_norm) + biases[0] * biases[0]]
    for sigma, bias in zip(sigmas[1:], biases[1:]):
        q.append(q_map(model.activation, sigma, bias, q[-1], slope=model.slope))
    pairs = zip(sigmas[1:], q)  # delta^l takes the weights of layer l + 1 and the slopes of l
    chi = np.array([chi_1(model.activation, s, v, slope=model.slope) for s, v in pairs])
    with np.errstate(divide="ignore"):
        decades = np.append(0.5 * np.log10(chi[::-1]), 0.0)
    growth = np.append(np.cumsum(decades[:-1])[::-1], 0.0)
    return _dataset(
        model,
        "Mean-field profile",
        q=np.array(q),
        chi=np.append(chi, np.nan),
        log10_delta_rms=growth,
    )


def _check_plain(model: Any) -> None:
    if model.cell not in ("dense", "vanilla"):
        raise ValueError(
            f"mean-field theory is known for the cells 'dense' and 'vanilla', got {model.cell!r}"
        )


def _widths(model: Any) -> tuple[int, ...]:
    return getattr(model, "widths", None) or (model.width,) * (model.depth + 1)


def _biases(model: Any) -> list[float]:
    """Return the spread of b, and of U x of an RNN, in each layer."""
    return [bias_spread(model, n) for n in _widths(model)[:-1]]


def _layer_sigmas(model: Any) -> list[float]:
    """Return the standard deviation of a weight times sqrt(fan_in) in each layer."""
    init = initializers[model.init]
    return [
        gain(model, m) * init.std(m, n, model.fan) / init.std(m, m, model.fan)
        for m, n in pairwise(_widths(model))
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

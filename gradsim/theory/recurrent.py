"""Random recurrent networks: mean-field exponents, and the classical conditions on one matrix."""

import math
from typing import Any

import numpy as np
import xarray as xr

from gradsim._init_scales import bias_spread, gain
from gradsim._registry import brief
from gradsim.activations import activations
from gradsim.models import RNN
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory._labelled import labelled
from gradsim.theory.length_map import edge_of_chaos
from gradsim.theory.linear import square_matrix
from gradsim.theory.mean_field import mean_field


def recurrent(model: RNN) -> xr.Dataset:
    """Mean-field exponents and critical gain of a random recurrent network, with or without input.

    Asymptotic (infinite width; for one shared matrix width before time, above about 1000 units to
    a per cent: of tanh at sigma_w = 3 without input the exponent was measured to be lower by
    2.32(9) / N + 51(7) / N^2, N = 48 to 384). Inputs of unit mean square act as a bias drawn anew
    at every step.

    Parameters
    ----------
    model
        A :class:`gradsim.RNN` with the plain cell.

    Returns
    -------
    xarray.Dataset
        Scalars: `q_star`, `chi_1`; natural logs per step `lyapunov_exponent` = ln(chi_1) / 2, the
        largest, and `mean_exponent` = ln sigma_w - 1/2 + E ln|phi'|, the mean of all (-inf where
        slopes are 0); `critical_gain`, the sigma_w at which chi_1 = 1 with these biases and inputs
        (nan where there is none).

    Raises
    ------
    TypeError, ValueError
        If the model is no RNN, or as :func:`mean_field` does.

    References
    ----------
    L. Molgedey, J. Schuchhardt and H. G. Schuster, Phys. Rev. Lett. 69, 3717 (1992); H.
    Sompolinsky, A. Crisanti and H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988) (continuous time);
    R. Engelken, F. Wolf and L. F. Abbott, Phys. Rev. Research 5, 043044 (2023) (the mean).

    Examples
    --------
    >>> round(recurrent(RNN(sigma_w=2.0)).lyapunov_exponent.item(), 6)
    0.154724
    """
    if not isinstance(model, RNN):
        raise TypeError(f"model must be a gradsim RNN, got {brief(model)}")
    limit = mean_field(model)
    chi, q, entry = limit.chi_1.item(), limit.q_star.item(), activations[model.activation]
    mean = _log(gain(model)) - 0.5 + _mean_log_slope(entry, q, model.slope)
    try:
        spread = bias_spread(model, model.width)
        critical = edge_of_chaos(model.activation, spread, slope=model.slope)
    except ValueError:  # no such point; the caller sees nan, edge_of_chaos says why
        critical = math.nan
    values = {
        "q_star": (q, "fixed point of the pre-activation mean square", "q* = V(q*)"),
        "chi_1": (chi, "growth of the gradient mean square per step", "sigma_w^2 E phi'^2"),
        "lyapunov_exponent": (0.5 * _log(chi), "largest Lyapunov exponent, natural log per step",
                              "ln(chi_1) / 2"),
        "mean_exponent": (mean, "mean of all Lyapunov exponents, natural log per step",
                          "ln sigma_w - 1/2 + E ln abs(phi')"),
        "critical_gain": (critical, "sigma_w at which chi_1 = 1", "edge of chaos"),
    }  # fmt: skip
    return labelled("Recurrent", "asymptotic (infinite width)", values)


def _mean_log_slope(entry: Any, q: float, slope: float) -> float:
    """E ln|phi'(sqrt(q) Z)|."""
    if entry.homogeneous or q == 0:
        left, right = entry.slopes_at_zero(slope)
        return (_log(abs(left)) + _log(abs(right))) / 2
    if not q < math.inf or entry.has_zero_slope:
        return -math.inf
    return gaussian_mean(lambda z: np.log(np.abs(entry.slope(z, slope))), q, entry.kinks)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def gradient_conditions(
    weights: Any, activation: str = "tanh", *, slope: float = 0.01
) -> xr.Dataset:
    """Classical conditions for vanishing and exploding gradients, on one recurrent matrix.

    Exact statements about all inputs. That the largest singular value is below 1 / gamma suffices
    for gradients to vanish; that it is above is necessary, and far from sufficient, for them to
    explode. The spectral radius against 1 decides for linear networks alone, and even there only
    after many steps.

    Parameters
    ----------
    weights
        Square matrix W (unit, unit).
    activation, slope
        As in :func:`q_map`; gamma = sup |phi'|.

    Returns
    -------
    xarray.Dataset
        Scalars `largest_singular_value`, `spectral_radius`, `largest_row_sum`, `largest_weight`,
        `gamma`, `threshold` = 1 / gamma; bools `vanishes` (Pascanu: largest_singular_value <
        threshold), `can_explode` (above it), `vanishes_row_sum` (Hochreiter: largest_row_sum <
        threshold), `vanishes_weight` (Hochreiter: largest_weight < threshold / n), and
        `spectral_radius_decides` (a linear activation).

    Raises
    ------
    TypeError, ValueError
        If `weights` is no square matrix of finite numbers or the activation is unknown.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks",
    ICML 2013, section 2.1 and eqs. 6 and 7; S. Hochreiter, Y. Bengio, P. Frasconi and J.
    Schmidhuber, "Gradient flow in recurrent nets", 2001, section 2.

    Examples
    --------
    >>> ds = gradient_conditions([[0.5, 10.0], [0.0, 0.5]], "identity")
    >>> ds.spectral_radius.item(), round(ds.largest_singular_value.item(), 4), ds.vanishes.item()
    (0.5, 10.0249, False)
    """
    w = square_matrix(weights)
    entry = activations[activation]
    gamma = entry.gamma(slope)
    threshold = 1 / gamma if gamma > 0 else math.inf
    values: dict[str, Any] = {
        "largest_singular_value": np.linalg.norm(w, 2),
        "spectral_radius": np.abs(np.linalg.eigvals(w)).max(),
        "largest_row_sum": np.abs(w).sum(axis=1).max(),
        "largest_weight": np.abs(w).max(),
        "gamma": gamma,
        "threshold": threshold,
    }
    linear = entry.homogeneous and len(set(entry.slopes_at_zero(slope))) == 1
    values |= {
        "vanishes": values["largest_singular_value"] < threshold,
        "can_explode": values["largest_singular_value"] > threshold,
        "vanishes_row_sum": values["largest_row_sum"] < threshold,
        "vanishes_weight": values["largest_weight"] < threshold / len(w),
        "spectral_radius_decides": linear,
    }
    data = {
        name: ((), np.asarray(value), {"long_name": name.replace("_", " "), "units": "1"})
        for name, value in values.items()
    }
    return xr.Dataset(data, attrs={"title": "Conditions on one matrix", "validity": "exact"})


def latch(weight: float) -> xr.Dataset:
    """Say how one tanh unit latches a bit: its state, its multiplier and the input that flips it.

    Exact. The more robust the bit is to noise, the faster gradients vanish.

    Parameters
    ----------
    weight
        Self-weight w > 1 of x_t = tanh(w x_(t-1) + input).

    Returns
    -------
    xarray.Dataset
        Scalars `state` (the positive solution of x = tanh(w x)), `multiplier` = w (1 - x^2) per
        step, and `threshold`, the largest constant input that does not flip the bit.

    Raises
    ------
    ValueError
        If `weight` is not a finite number > 1.

    References
    ----------
    Y. Bengio, P. Simard and P. Frasconi, "Learning long-term dependencies with gradient descent is
    difficult", IEEE Trans. Neural Networks 5, 157 (1994), sections III and IV.

    Examples
    --------
    >>> round(latch(1.25).multiplier.item(), 8)
    0.61914387
    """
    from scipy.optimize import brentq  # slow to import

    if not 1 < weight < math.inf:
        raise ValueError(f"weight must be a finite number > 1, got {brief(weight)}")
    low = 0.5 * math.sqrt(1 - 1 / weight)  # below the state, above 0
    x = float(brentq(lambda x: math.tanh(weight * x) - x, low, 1.0, xtol=1e-15))  # type: ignore[arg-type]
    bend = math.sqrt(1 - 1 / weight)
    values = {
        "state": (x, "state of the latched bit", "x = tanh(w x)"),
        "multiplier": (weight / math.cosh(weight * x) ** 2, "dx_t / dx_(t-1) there", "w (1 - x^2)"),
        "threshold": (weight * bend - math.atanh(bend), "constant input that does not flip it",
                      "w b - artanh b, b = sqrt(1 - 1/w)"),
    }  # fmt: skip
    return labelled("Latch", "exact", values)

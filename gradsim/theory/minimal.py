"""Mean field of the minimalRNN, a gated cell simple enough to be solved."""

import math

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory._labelled import labelled


def minimal_rnn(
    sigma_w: float, sigma_v: float = 1.0, bias: float = 0.0, input_mean_square: float = 1.0
) -> xr.Dataset:
    """Mean field of the minimalRNN: h' = u h + (1 - u) z, u = sigmoid(W h + V z + bias).

    Asymptotic (infinite width), and for weights drawn anew at every step: where steps share them
    the gates of different steps are correlated, which moves Q and chi by parts in ten.

    Parameters
    ----------
    sigma_w, sigma_v
        W_ij ~ N(0, sigma_w^2 / N), V_ij ~ N(0, sigma_v^2 / N).
    bias
        Bias mu of the gate.
    input_mean_square
        Mean square R of the (encoded) input z, drawn anew at every step, > 0.

    Returns
    -------
    xarray.Dataset
        Scalars `state_mean_square` Q*, `q_star` of the gate's pre-activations, `chi_1` (growth of
        E ||dC/dh||^2 per step), `growth_rms` = 0.5 log10 chi_1 in decades, `lyapunov_exponent` =
        ln(chi_1) / 2, and `gate_square` E u^2, what chi_1 is without recurrent weights.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite number or out of range.

    References
    ----------
    M. Chen, J. Pennington and S. S. Schoenholz, "Dynamical isometry and a mean field theory of
    RNNs: gating enables signal propagation in recurrent neural networks", ICML 2018, section 3,
    derived here for its equations of the state and of the gradient: Q = R E(1 - u)^2 / (1 - E u^2)
    with q = sigma_w^2 Q + sigma_v^2 R, and chi = E u^2 + sigma_w^2 (Q + R) E u'^2.

    Examples
    --------
    >>> round(minimal_rnn(1.0).chi_1.item(), 6)
    0.364545
    """
    from scipy.optimize import brentq  # slow to import

    w, v = real("minimal_rnn", "sigma_w", sigma_w), real("minimal_rnn", "sigma_v", sigma_v)
    mu = real("minimal_rnn", "bias", bias, least=None)
    r = real("minimal_rnn", "input_mean_square", input_mean_square)
    if r == 0:
        raise ValueError(f"input_mean_square must be > 0, got {brief(input_mean_square)}")

    def excess(size: float) -> float:
        squares = _squares(w * w * size + v * v * r, mu)
        return size - r * squares["rest"] / squares["free"]

    size = float(brentq(excess, 0.0, r, xtol=1e-300, rtol=1e-14))  # type: ignore[arg-type]
    squares = _squares(w * w * size + v * v * r, mu)
    chi = squares["gate"] + w * w * (size + r) * squares["slope"]
    values = {
        "state_mean_square": (size, "mean square of the state", "Q = R E(1-u)^2 / (1 - E u^2)"),
        "q_star": (w * w * size + v * v * r, "mean square of the gate's pre-activations",
                   "sigma_w^2 Q + sigma_v^2 R"),
        "chi_1": (chi, "growth of the gradient mean square per step",
                  "E u^2 + sigma_w^2 (Q + R) E u'^2"),
        "growth_rms": (0.5 * math.log10(chi), "growth of the rms gradient, decades per step",
                       "0.5 log10 chi_1"),
        "lyapunov_exponent": (0.5 * math.log(chi), "largest Lyapunov exponent, natural log",
                              "ln(chi_1) / 2"),
        "gate_square": (squares["gate"], "mean square of the gate", "E u^2"),
    }  # fmt: skip
    return labelled("Mean field of the minimalRNN", "asymptotic (infinite width)", values)


def _squares(q: float, mu: float) -> dict[str, float]:
    """E u^2, E (1-u)^2, E (1-u^2) and E u'^2 of u = sigmoid(sqrt(q) Z + mu)."""

    def u(z: np.ndarray) -> np.ndarray:
        return np.exp(-np.logaddexp(0.0, -(z + mu)))

    def rest(z: np.ndarray) -> np.ndarray:  # 1 - u, without cancellation
        return np.exp(-np.logaddexp(0.0, z + mu))

    return {
        "gate": gaussian_mean(lambda z: u(z) ** 2, q),
        "rest": gaussian_mean(lambda z: rest(z) ** 2, q),
        "free": gaussian_mean(lambda z: rest(z) * (1 + u(z)), q),
        "slope": gaussian_mean(lambda z: (u(z) * rest(z)) ** 2, q),
    }

"""Residual networks in mean field: how signals and gradients grow over blocks."""

import math

import numpy as np
import xarray as xr

from gradsim.activations import activations
from gradsim.theory._moments import slope_square, value_square
from gradsim.theory.length_map import check_finite


def residual_growth(
    activation: str,
    blocks: int,
    *,
    sigma_v: float = 1.0,
    sigma_w: float = 1.0,
    sigma_a: float = 0.0,
    sigma_b: float = 0.0,
    p: float = 1.0,
    slope: float = 0.01,
) -> xr.Dataset:
    """Growth over the blocks h + V phi(W h + b) + a of a fully residual network.

    Asymptotic (infinite width). For tanh ln E ||dC/dh^0||^2 grows as A sqrt(blocks) with
    A = (4/3) sqrt(2/pi) sigma_v^2 sigma_w / sqrt(sigma_v^2 + sigma_a^2); for relu as `blocks`.

    Parameters
    ----------
    activation, slope
        As in :func:`q_map`.
    blocks
        Number of residual blocks, at least 1.
    sigma_v, sigma_w, sigma_a, sigma_b
        Standard deviations of the weights times sqrt(fan_in), and of the biases.
    p
        Mean square of the input h^0.

    Returns
    -------
    xarray.Dataset
        dim `block` 0..blocks, float64: `p`, the mean square of the state after each block, and
        `log_state_gradient` = ln(E ||dC/dh^block||^2 / E ||dC/dh^last||^2).

    Raises
    ------
    ValueError
        If the activation is unknown, a number is negative or not finite, or `blocks` < 1.

    References
    ----------
    G. Yang and S. S. Schoenholz, "Mean field residual networks: on the edge of chaos", NeurIPS
    2017, theorems 3.2 to 3.5 (tanh) and 3.11 (relu).

    Examples
    --------
    >>> round(residual_growth("tanh", 20).log_state_gradient[0].item(), 6)
    4.191172
    """
    check_finite(sigma_v=sigma_v, sigma_w=sigma_w, sigma_a=sigma_a, sigma_b=sigma_b, p=p)
    if blocks < 1:
        raise ValueError(f"blocks must be an integer >= 1, got {blocks!r}")
    entry, state, growth = activations[activation], [float(p)], []
    v2, w2, a2, b2 = (s * s for s in (sigma_v, sigma_w, sigma_a, sigma_b))
    for _ in range(blocks):
        q = w2 * state[-1] + b2
        growth.append(math.log1p(v2 * w2 * slope_square(entry, q, slope)))
        state.append(state[-1] + v2 * value_square(entry, q, slope) + a2)
    total = np.append(np.cumsum(growth[::-1])[::-1], 0.0)
    text = {"units": "1", "long_name": "mean square of the state", "formula": "E h^2"}
    gradient = {"units": "1", "long_name": "ln of the growth of the gradient's mean square",
                "formula": "ln(E norm(dC/dh^block)^2 / E norm(dC/dh^last)^2)"}  # fmt: skip
    data = {
        "p": ("block", np.array(state), text),
        "log_state_gradient": ("block", total, gradient),
    }
    attrs = {"title": "Residual growth", "validity": "asymptotic (infinite width)"}
    return xr.Dataset(data, {"block": np.arange(blocks + 1)}, attrs)

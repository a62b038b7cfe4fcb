"""Depth scale xi_c on which the correlation of two inputs of a tanh network settles."""

import math
from functools import cache

import numpy as np

import gradsim as gs

BIAS = 0.05**0.5  # sigma_b
FIRST, CORRELATION = 2, 0.9  # first layer that is read; of the inputs


def pair(sigma_w: float, width: int) -> np.ndarray:
    """Two inputs of the given correlation whose pre-activations are at the fixed point."""
    first, second = np.linalg.qr(np.random.default_rng(0).normal(size=(width, 2)))[0].T
    second = CORRELATION * first + math.sqrt(1 - CORRELATION**2) * second
    size = (gs.theory.fixed_point("tanh", sigma_w, BIAS) - BIAS**2) / sigma_w**2
    return np.stack([first, second]) * math.sqrt(size * width)


@cache
def xi_c(sigma_w: float) -> float:
    """Depth scale of theory; infinite at the edge of chaos."""
    at_edge = abs(gs.theory.edge_of_chaos("tanh", BIAS) - sigma_w) < 1e-6
    return math.inf if at_edge else gs.theory.xi_c("tanh", sigma_w, BIAS)


def layers(sigma_w: float) -> list[int]:
    """Two layers between which the correlation settles by about 1.5 scales."""
    return [FIRST, FIRST + math.ceil(1.5 * xi_c(sigma_w))]


def scale(correlation: np.ndarray, sigma_w: float) -> float:
    """xi_c from the mean correlation over networks (seed, 2) at `layers`."""
    first, last = np.abs(correlation.mean(axis=0) - _limit(sigma_w))
    return float(np.diff(layers(sigma_w))[0] / math.log(first / last))


@cache
def _limit(sigma_w: float) -> float:
    """Correlation of activations deep inside, from that of pre-activations."""
    q = gs.theory.fixed_point("tanh", sigma_w, BIAS)
    return (q * gs.theory.c_star("tanh", sigma_w, BIAS) - BIAS**2) / (q - BIAS**2)


@cache
def expected_scale(sigma_w: float) -> float:
    """What infinite width has between the same layers: near xi_c, but for the way to c*."""
    q, (one, two) = gs.theory.fixed_point("tanh", sigma_w, BIAS), layers(sigma_w)
    c = CORRELATION + (1 - CORRELATION) * BIAS**2 / q
    z = gs.theory.correlation_profile("tanh", two + 1, sigma_w, BIAS, c=c).signal_correlation
    left = np.abs(z.sel(layer=[one + 1, two + 1]) - gs.theory.c_star("tanh", sigma_w, BIAS)).values
    return (two - one) / math.log(left[0] / left[1])

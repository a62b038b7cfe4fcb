"""NumPy forms of the activations: phi, phi' and phi'' of an array, for the oracle and the theory.

Values also take complex arrays (for erf and gelu close to the real axis), so that a complex step
differentiates them.  Written, as the compiled pairs are, without cancellation in the tails.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .pairs import LECUN, SELU_LEFT, SELU_SCALE

_ROOT, _STEEP = math.sqrt(2), 2 / math.sqrt(math.pi)
_GELU_A, _GELU_B = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715
_ERF, _ERFC = np.frompyfunc(math.erf, 1, 1), np.frompyfunc(math.erfc, 1, 1)


def plain(f: Callable[[Any], Any]) -> Callable[[Any, float], Any]:
    """Form of an activation that has no slope parameter."""
    return lambda z, slope: f(z)


def decay(z):
    """exp(-|z|), analytic on both sides of 0."""
    return np.exp(np.where(np.real(z) < 0, z, -z))


def _log1p(t):
    """log(1 + t) with small complex t too, where that of NumPy cancels."""
    if not np.iscomplexobj(t):
        return np.log1p(t)
    ratio = t.imag / (1 + t.real)
    return np.log1p(t.real) + 0.5 * np.log1p(ratio * ratio) + 1j * np.arctan(ratio)


def _left(z):
    return np.where(np.real(z) > 0, 0 * z, z)


def where_positive(z, right, left):
    """Return right where z > 0, else left."""
    return np.where(np.real(z) > 0, right, left)


def zero(z):
    """Second derivative of straight lines."""
    return np.zeros_like(z)


def sigmoid(z):
    """1 / (1 + exp(-z))."""
    t = decay(z)
    return np.where(np.real(z) < 0, t, 1.0) / (1 + t)


def sigmoid_slope(z):
    """Slope of the sigmoid."""
    t = decay(z)
    return t / (1 + t) ** 2


def sigmoid_second(z):
    """Second derivative of the sigmoid."""
    return -sigmoid_slope(z) * np.tanh(z / 2)


def tanh_slope(z):
    """1 / cosh(z)^2."""
    return 4 * sigmoid_slope(2 * z)


def tanh_second(z):
    """Second derivative of tanh."""
    return -2 * np.tanh(z) * tanh_slope(z)


def lecun_tanh(z):
    """1.7159 tanh(2 z / 3)."""
    return LECUN * np.tanh(2 / 3 * z)


def lecun_tanh_slope(z):
    """Slope of LeCun's tanh."""
    return 2 / 3 * LECUN * tanh_slope(2 / 3 * z)


def lecun_tanh_second(z):
    """Second derivative of LeCun's tanh."""
    return 4 / 9 * LECUN * tanh_second(2 / 3 * z)


def elu(z):
    """Z where z > 0, else exp(z) - 1."""
    return where_positive(z, z, np.expm1(_left(z)))


def elu_slope(z):
    """Slope of elu."""
    return where_positive(z, 1.0, np.exp(_left(z)))


def elu_second(z):
    """Second derivative of elu."""
    return where_positive(z, 0.0, np.exp(_left(z)))


def selu(z):
    """Lambda z where z > 0, else lambda alpha (exp(z) - 1)."""
    return where_positive(z, SELU_SCALE * z, SELU_LEFT * np.expm1(_left(z)))


def selu_slope(z):
    """Slope of selu."""
    return where_positive(z, SELU_SCALE, SELU_LEFT * np.exp(_left(z)))


def selu_second(z):
    """Second derivative of selu."""
    return SELU_LEFT * elu_second(z)


def softplus(z):
    """log(1 + exp(z))."""
    return where_positive(z, z, 0 * z) + _log1p(decay(z))


def silu(z):
    """Z sigmoid(z)."""
    return z * sigmoid(z)


def silu_slope(z):
    """Slope of silu; for z < 0 the terms of its numerator are gathered before they can cancel."""
    t = decay(z)
    return where_positive(z, 1 + t * (1 + z), t * (1 + z + t)) / (1 + t) ** 2


def silu_second(z):
    """Second derivative of silu."""
    return sigmoid_slope(z) * (2 - z * np.tanh(z / 2))


def _gelu_rate(z):
    """Argument of the sigmoid in gelu_tanh, its slope and its second derivative."""
    square = z * z
    return z * (_GELU_A + _GELU_B * square), _GELU_A + 3 * _GELU_B * square, 6 * _GELU_B * z


def gelu_tanh(z):
    """Z sigmoid(2 sqrt(2 / pi) (z + 0.044715 z^3))."""
    return z * sigmoid(_gelu_rate(z)[0])


def gelu_tanh_slope(z):
    """Slope of gelu_tanh."""
    v, rate, _ = _gelu_rate(z)
    t = decay(v)
    rise = np.where(t > 0, z * rate, 0.0)
    return where_positive(z, 1 + t * (1 + rise), t * (1 + rise + t)) / (1 + t) ** 2


def gelu_tanh_second(z):
    """Second derivative of gelu_tanh."""
    v, rate, bend = _gelu_rate(z)
    s = sigmoid_slope(v)
    inner = 2 * rate + z * (bend - rate * rate * np.tanh(v / 2))
    return s * np.where(s > 0, inner, 0.0)


def _mish_parts(z):
    """tanh(softplus(z)), its slope, and 1 - tanh(softplus(z))^2."""
    t, right = decay(z), np.real(z) > 0
    n = np.where(right, 1 + 2 * t, 2 + t)
    d = np.where(right, 1 + 2 * t * (1 + t), 2 + t * n)
    rest = 4 * (1 + t) ** 2 * np.where(right, t * t, 1.0) / (d * d)
    return np.where(right, n, t * n) / d, rest * sigmoid(z), rest


def mish(z):
    """Z tanh(softplus(z))."""
    return z * _mish_parts(z)[0]


def mish_slope(z):
    """Slope of mish."""
    value, slope, _ = _mish_parts(z)
    return value + z * slope


def mish_second(z):
    """Second derivative of mish."""
    value, slope, rest = _mish_parts(z)
    s = sigmoid(z)
    return 2 * slope + z * rest * (sigmoid_slope(z) - 2 * value * s * s)


def _near_axis(z, f, slope, second, third):
    """F of a complex array by its Taylor series in the imaginary part."""
    if not np.iscomplexobj(z):
        return f(z)
    x, y = z.real, z.imag
    return f(x) - y * y / 2 * second(x) + 1j * y * (slope(x) - y * y / 6 * third(x))


def normal_density(z):
    """Density of a standard normal number."""
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def normal_cdf(z):
    """Probability that a standard normal number is below z."""
    return _near_axis(
        z, lambda x: 0.5 * np.float64(_ERFC(-x / _ROOT)), normal_density,
        lambda x: -x * normal_density(x),
        lambda x: (x * x - 1) * normal_density(x),
    )  # fmt: skip


def gelu(z):
    """Z times the probability that a standard normal number is below it."""
    return z * normal_cdf(z)


def gelu_slope(z):
    """Slope of gelu."""
    return normal_cdf(z) + z * normal_density(z)


def gelu_second(z):
    """Second derivative of gelu."""
    return normal_density(z) * (2 - z * z)


def erf(z):
    """Error function."""
    return _near_axis(
        z,
        lambda x: np.float64(_ERF(x)),
        erf_slope,
        erf_second,
        lambda x: (4 * x * x - 2) * erf_slope(x),
    )


def erf_slope(z):
    """Slope of erf."""
    return _STEEP * np.exp(-z * z)


def erf_second(z):
    """Second derivative of erf."""
    return -2 * z * erf_slope(z)


def softsign(z):
    """Z / (1 + |z|)."""
    return z / (1 + np.where(np.real(z) < 0, -z, z))


def softsign_slope(z):
    """Slope of softsign."""
    r = 1 / (1 + np.abs(z))
    return r * r


def softsign_second(z):
    """Second derivative of softsign; 0 at the jump."""
    return -2 * np.sign(z) * softsign_slope(z) / (1 + np.abs(z))


def arctan_slope(z):
    """Slope of the arctangent."""
    return 1 / (1 + z * z)


def arctan_second(z):
    """Second derivative of the arctangent."""
    return -2 * z * arctan_slope(z) ** 2


def clipped(low: float, high: float, scale: float, shift: float) -> Callable:
    """Return scale * z + shift for low < z < high, and constants beyond."""

    def value(z):
        inside = np.where(np.real(z) < low, low, np.where(np.real(z) > high, high, z))
        return scale * inside + shift

    return value


def box(edge: float, height: float) -> Callable:
    """Slope of a clipped line: height for |z| < edge, else 0."""
    return lambda z: np.where(np.abs(z) < edge, height, 0.0)

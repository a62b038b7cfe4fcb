"""The compiled form of every activation: value and slope of one scalar, computed together.

Each is ``pair(z, slope) -> (phi(z), phi'(z))``, where ``slope`` is the field of the model that
leaky_relu reads.  No slope comes from a cancellation such as ``1 - tanh(z)**2``: both tails keep
their relative accuracy down to the smallest normal number, for which exponents carry along what
their rounding dropped.  NaN propagates to every value, and to the slopes that are not constant.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ._jit import by_dtype, jit
from .floats import FORMAT, dropped, fma
from .special import LIFT, arctan, decay, erf_near, furthest, normal_tail, parts, signed_as
from .vecmath import log1p, sigmoid_pair, sincos, tanh_pair

SELU_SCALE, SELU_LEFT = 1.0507009873554804934, 1.7580993408473768599  # lambda, lambda * alpha
LECUN = 1.7159
# gelu_tanh(z) = z sigmoid(a z + b z^3); each with what a float64 drops of it
_GELU_A = (1.5957691216057308, -9.96930880911092e-17)
_GELU_B = (0.07135481627260025, -6.175149918155315e-19)
_FOUR_THIRDS = (4 / 3, float(Fraction(4, 3) - Fraction(4 / 3)))


def _piecewise(width: int) -> dict[str, Callable]:
    """Activations made of straight lines."""
    real = FORMAT[width][0]
    zero, one, three, sixth = real(0), real(1), real(3), real(1 / 6)

    @jit(inline=True)
    def identity(z, slope):
        return z, one

    @jit(inline=True)
    def relu(z, slope):
        return zero if z <= zero else z, one if z > zero else zero

    @jit(inline=True)
    def leaky_relu(z, slope):
        s = one if z > zero else slope
        return s * z, s

    @jit(inline=True)
    def hard_tanh(z, slope):
        a = one if z > one else (-one if z < -one else z)
        return a, one if abs(z) < one else zero

    @jit(inline=True)
    def hard_sigmoid(z, slope):
        y = z + three
        a = one if z >= three else (zero if y < zero else y * sixth)
        return a, sixth if abs(z) < three else zero

    return {
        "identity": identity, "relu": relu, "leaky_relu": leaky_relu, "hard_tanh": hard_tanh,
        "hard_sigmoid": hard_sigmoid,
    }  # fmt: skip


def _smooth(width: int) -> dict[str, Callable]:
    """Sigmoids, algebraic and trigonometric activations."""
    real = FORMAT[width][0]
    one, two = real(1), real(2)
    most, lower = np.finfo(real).max, real(2.0**-LIFT)
    rate, rate_rest = parts(_FOUR_THIRDS, real)
    height, steepness = real(LECUN), real(8 / 3 * LECUN)
    furthest_lecun = real(furthest(width))

    @jit(inline=True)
    def sigmoid(z, slope):
        return sigmoid_pair(z)

    @jit(inline=True)
    def tanh(z, slope):
        return tanh_pair(z)

    @jit(inline=True)
    def lecun_tanh(z, slope):
        w = abs(z)
        w = furthest_lecun if w > furthest_lecun else w
        y = rate * w
        p, q = decay(-y, -fma(rate_rest, w, dropped(rate, w, y)))
        t = p * lower
        numerator = fma(-t, q, one - t)
        t, lifted = fma(t, q, t), fma(p, q, p)
        slope_ = steepness * lifted / fma(t, two + t, one) * lower
        return signed_as(height * (numerator / (one + t)), z), slope_

    @jit(inline=True)
    def softsign(z, slope):
        r = one / (one + abs(z))
        y = most if z > most else (-most if z < -most else z)
        return y / (one + abs(y)), r * r

    @jit(inline=True)
    def sine(z, slope):
        return sincos(z)

    @jit(inline=True)
    def atan(z, slope):
        return arctan(z), one / fma(z, z, one)

    return {
        "sigmoid": sigmoid, "tanh": tanh, "lecun_tanh": lecun_tanh, "softsign": softsign,
        "sine": sine, "arctan": atan,
    }  # fmt: skip


def _rectifiers(width: int) -> dict[str, Callable]:
    """Smooth relatives of relu whose left tail is an exponential."""
    real = FORMAT[width][0]
    zero, one, two, four, six, eight = (real(n) for n in (0, 1, 2, 4, 6, 8))
    most, lower = real(furthest(width)), real(2.0**-LIFT)
    scale, left = real(SELU_SCALE), real(SELU_LEFT)
    a, a_rest = parts(_GELU_A, real)
    b, b_rest = parts(_GELU_B, real)
    b3 = real(3 * _GELU_B[0])
    edge = real(_reach(furthest(width)))

    @jit(inline=True)
    def falling(z):
        """Return (exp(z) - 1, exp(z)) for z <= 0, and of 0 for z > 0."""
        p, q = decay(zero if z > zero else z, zero)
        t = p * lower
        return fma(t, q, t - one), fma(p, q, p) * lower

    @jit(inline=True)
    def elu(z, slope):
        value, t = falling(z)
        return z if z >= zero else value, t

    @jit(inline=True)
    def selu(z, slope):
        value, t = falling(z)
        return scale * z if z >= zero else left * value, scale if z > zero else left * t

    @jit(inline=True)
    def softplus(z, slope):
        t = falling(-abs(z))[1]
        value = (z if z > zero else zero) + log1p(t)
        return value, (t if z < zero else one) / (one + t)

    @jit(inline=True)
    def gated(z, w, rise, lifted):
        """Return z s(v) and its slope, s the sigmoid: w = |z|, rise = w v', lifted exp(-|v|)."""
        t = lifted * lower
        negative, square = z < zero, fma(t, two + t, one)
        value = (w * lifted * -lower if negative else z) / (one + t)
        over = lifted * ((one - rise) + t) * lower if negative else fma(t, one + rise, one)
        return value, over / square

    @jit(inline=True)
    def silu(z, slope):
        w = abs(z)
        w = most if w > most else w
        p, q = decay(-w, zero)
        return gated(z, w, w, fma(p, q, p))

    @jit(inline=True)
    def gelu_tanh(z, slope):
        w = abs(z)
        w = edge if w > edge else w
        square = w * w
        cubic = b * square  # v = w (a + b w^2), and what every rounding of it dropped
        rest = dropped(b, square, cubic) + fma(b, dropped(w, w, square), b_rest * square)
        rate = a + cubic
        part = rate - a
        rest = ((a - (rate - part)) + (cubic - part)) + (rest + a_rest)
        v = w * rate
        p, q = decay(-v, -fma(w, rest, dropped(w, rate, v)))
        return gated(z, w, w * fma(b3, square, a), fma(p, q, p))

    @jit(inline=True)
    def mish(z, slope):
        w = abs(z)
        w = most if w > most else w
        p, q = decay(-w, zero)
        lifted = fma(p, q, p)
        t = lifted * lower
        negative = z < zero
        first, last = four if negative else one, one if negative else four
        middle, other = six if negative else four, four if negative else six
        n = two + t if negative else fma(two, t, one)  # tanh(log(1 + exp z)) = n / d (n t / d)
        d = fma(t, n, two) if negative else fma(two * t, one + t, one)
        both = fma(t, fma(t, fma(t, last, other), middle), first)  # n d
        low, high = eight if negative else four, four if negative else eight
        square = fma(t, fma(t, fma(t, fma(t, last, high), eight), low), first)  # d^2
        value = (w * lifted * -lower if negative else z) * n / d
        rise = four * w
        over = both - fma(rise, t, rise)
        over = lifted * over * lower if negative else fma(rise * t, fma(t, t, t), both)
        return value, over / square

    return {
        "elu": elu, "selu": selu, "softplus": softplus, "silu": silu, "gelu_tanh": gelu_tanh,
        "mish": mish,
    }  # fmt: skip


def _reach(most: float) -> float:
    """Return the w at which the exponent of gelu_tanh is ``most``."""
    w = (most / _GELU_B[0]) ** (1 / 3)
    for _ in range(20):  # Newton
        rate = _GELU_A[0] + 3 * _GELU_B[0] * w * w
        w += (most - w * (_GELU_A[0] + _GELU_B[0] * w * w)) / rate
    return w * (1 + 1e-6)


def _normal(width: int) -> dict[str, Callable]:
    """The normal distribution and its relatives."""
    real = FORMAT[width][0]
    zero, one, two, half = real(0), real(1), real(2), real(0.5)
    lower, root = real(2.0**-LIFT), real(math.sqrt(2))
    edge = real(math.sqrt(furthest(width)) * (1 + 1e-6))
    density, steepness = real(1 / math.sqrt(2 * math.pi)), real(2 / math.sqrt(math.pi))

    @jit(inline=True)
    def bell(w, share):
        """Return 2**LIFT exp(-share w^2)."""
        square = w * w
        p, q = decay(-share * square, -share * dropped(w, w, square))
        return fma(p, q, p)

    @jit(inline=True)
    def gelu(z, slope):
        w = abs(z)
        w = root * edge if w > root * edge else w
        lifted, m = bell(w, half), normal_tail(w)
        negative, beyond = z < zero, fma(-density, w, m)
        value = w * (lifted * m) * -lower if negative else z * (one - lifted * lower * m)
        return value, lifted * beyond * lower if negative else fma(-(lifted * lower), beyond, one)

    @jit(inline=True)
    def erf(z, slope):
        w = abs(z)
        w = edge if w > edge else w
        t = bell(w, one)
        far = fma(t * (two * -lower), normal_tail(root * w), one)
        value = erf_near(w) if w < one else far
        return signed_as(value, z), steepness * t * lower

    return {"gelu": gelu, "erf": erf}


def _all(width: int) -> dict[str, Callable]:
    return _piecewise(width) | _smooth(width) | _rectifiers(width) | _normal(width)


PAIRS = {
    name: by_dtype(single, double)
    for (name, single), double in zip(_all(32).items(), _all(64).values())
}

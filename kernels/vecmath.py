"""Elementary functions of one scalar that LLVM turns into vector code, in float32 and float64.

No libm calls, no branches, no data-dependent stores: a loop over any of these vectorises.  Each
precision is built from one recipe and its own constants, so both share every line of reasoning.
Arguments may be anything; NaN propagates.  ``exp`` underflows gradually; sigmoids and
slopes below the smallest normal number become 0.  Called outside compiled code the
functions take NumPy scalars and give the same results up to the rounding of a fused
multiply-add.  Accuracy (tested): exp, log 2 ulp; log1p, tanh, sigmoid, sin, cos, slopes 4 ulp.
"""

import math

import numpy as np

from ._jit import by_dtype, jit
from .floats import FORMAT, bits, casts, exponent_of, fma, polynomial, pow2, scale
from .trigonometry import sincos

__all__ = [
    "bits",
    "exp",
    "exp_split",
    "exponent_of",
    "log",
    "log1p",
    "log10_of",
    "pow2",
    "scale",
    "sigmoid",
    "sigmoid_pair",
    "sincos",
    "tanh",
    "tanh_pair",
]

# Near-minimax coefficients, lowest order first.
# expm1(r) = r + r^2 P(r) for |r| <= ln(2)/2
_EXPM1 = {
    32: (0.5, 0.16666576266288757, 0.041666556149721146, 0.008363203145563602,
         0.0013926213141530752),
    64: (0.5, 0.16666666666666669, 0.04166666666662399, 0.008333333333330051,
         0.0013888888917281794, 0.00019841269863105968, 2.480152119021773e-05,
         2.7557268378684192e-06, 2.7620138719733994e-07, 2.5100424157005067e-08),
}  # fmt: skip
# 2 atanh(s) = 2 s + s^3 P(s^2) for |s| <= (sqrt(2) - 1) / (sqrt(2) + 1)
_ATANH = {
    32: (0.6666668653488159, 0.3998878002166748, 0.29579949378967285),
    64: (0.666666666666667, 0.39999999999899505, 0.28571428625975487, 0.2222221113479508,
         0.18182889125261723, 0.15331721600556042, 0.14616449685043406),
}  # fmt: skip
# ln(2) in two parts; the first has enough trailing zeros for k * hi to be exact.
_LN2 = {
    32: (0.693138122558594, 9.0580006144737e-06),
    64: (6.93147180369123816490e-01, 1.90821492927058770002e-10),
}


def _exponentials(width):
    """``exp``, ``tanh_pair``, ``sigmoid_pair`` and ``exp_split`` for one precision."""
    real, signed, mantissa, bias = FORMAT[width]
    pattern, number = casts(width)
    expm1 = polynomial(real, _EXPM1[width])
    ln2_hi, ln2_lo = real(_LN2[width][0]), real(_LN2[width][1])
    log2_e = real(1 / math.log(2))
    # Adding 1.5 * 2**mantissa leaves the nearest integer in the low bits of the sum.
    shifter = real(1.5 * 2.0**mantissa)
    shifter_bits = shifter.view(signed)
    # Beyond these exp is infinite or 0; below the next two the results are not normal numbers.
    exp_most = real((bias + 1.25) * math.log(2))
    exp_least = real(-(bias + mantissa + 1.5) * math.log(2))
    tanh_least, sigmoid_least = real(-(bias + 2) * math.log(2)), real(-bias * math.log(2))
    zero, quarter, one, two = real(0), real(0.25), real(1), real(2)
    offset, offset4 = signed(bias), signed(bias + 2)
    sign_bit = signed(-(2 ** (width - 1)))

    @jit(inline=True)
    def split(x):
        """Return (k, q) with exp(x) = 2**k * (1 + q); q keeps its relative accuracy near 0."""
        shifted = fma(x, log2_e, shifter)
        n = shifted - shifter
        r = fma(-n, ln2_lo, fma(-n, ln2_hi, x))
        return signed(pattern(shifted) - shifter_bits), fma(r * r, expm1(r), r)

    @jit(inline=True)
    def power(biased):
        return number(biased << mantissa)

    @jit(inline=True)
    def exp(x):
        y = exp_most if x > exp_most else x
        y = exp_least if y < exp_least else y
        k, q = split(y)
        half = signed(k >> 1)  # two factors, so that neither over- nor underflows by itself
        rest = signed(k - half)
        first = power(signed(half + offset))
        return fma(first, q, first) * power(signed(rest + offset))

    @jit(inline=True)
    def tanh_pair(x):
        y = -two * abs(x)
        y = tanh_least if y < tanh_least else y
        k, q = split(y)
        t4 = power(signed(k + offset4))  # 4 * 2**k: the slope is 4 exp(y) / (1 + exp(y))^2
        t = t4 * quarter
        numerator = fma(-t, q, one - t)  # 1 - exp(y), exact to rounding near 0 where t = 1
        t = fma(t, q, t)
        value = numerator / (one + t)
        sign = signed(pattern(x) & sign_bit)
        return number(pattern(value) | sign), fma(t4, q, t4) / fma(t, two + t, one)

    @jit(inline=True)
    def sigmoid_pair(x):
        y = -abs(x)
        y = sigmoid_least if y < sigmoid_least else y
        k, q = split(y)
        t = power(signed(k + offset))
        t = fma(t, q, t)
        value = (t if x < zero else one) / (one + t)
        return value, t / fma(t, two + t, one)

    return exp, tanh_pair, sigmoid_pair, split


def _logarithms(width):
    """``log`` and ``log1p`` for one precision (the scheme of FreeBSD's msun e_log.c)."""
    real, signed, mantissa, _ = FORMAT[width]
    pattern, number = casts(width)
    atanh = polynomial(real, _ATANH[width])
    ln2_hi, ln2_lo = real(_LN2[width][0]), real(_LN2[width][1])
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    one_bits = one.view(signed)
    root_half = real(math.sqrt(0.5)).view(signed)
    fraction, exponent_zero = signed((1 << mantissa) - 1), signed(0)
    smallest_normal, largest = np.finfo(real).tiny, np.finfo(real).max
    lift, lifted = real(2.0 ** (mantissa + 2)), signed(mantissa + 2)
    negligible = real(2.0 ** -(mantissa + 2))
    infinity, nan = real(np.inf), real(np.nan)
    one_above = signed(one_bits - root_half)

    @jit(inline=True)
    def split(x):
        """Return (k, f), x = 2**k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for normal x > 0."""
        shifted = signed(pattern(x) + one_above)
        k = signed(signed(shifted >> mantissa) - signed(one_bits >> mantissa))
        return k, number(signed(shifted & fraction) + root_half) - one

    @jit(inline=True)
    def join(k, f, tail):
        """Return log(2**k * (1 + f)) + tail, the tail being small."""
        s = f / (two + f)
        z = s * s
        square = half * f * f
        n = real(k)
        low = fma(s, fma(z, atanh(z), square), fma(n, ln2_lo, tail))
        return fma(n, ln2_hi, f - (square - low))

    @jit(inline=True)
    def finish(value, argument, x):
        """Put the limits in: log of 0, of a negative number or NaN, and of infinity."""
        y = value if argument > zero else (-infinity if argument == zero else nan)
        return x if x > largest else y

    @jit(inline=True)
    def log(x):
        small = x < smallest_normal
        k, f = split(x * lift if small else x)
        return finish(join(signed(k - (lifted if small else exponent_zero)), f, zero), x, x)

    @jit(inline=True)
    def log1p(x):
        u = one + x
        lost = (one - (u - x)) if x > one else (x - (u - one))  # what rounding u dropped
        k, f = split(u)
        y = finish(join(k, f, lost / u), u, x)
        return x if abs(x) < negligible else y

    return log, log1p


# exp(x); tanh_pair(x) = (tanh x, 1 / cosh(x)^2); sigmoid_pair(x) = (s, s (1 - s)), s = sigmoid(x)
# exp_split(x) = (k, q) with exp(x) = 2**k (1 + q)
exp, tanh_pair, sigmoid_pair, exp_split = (
    by_dtype(*forms) for forms in zip(_exponentials(32), _exponentials(64))
)
log, log1p = (by_dtype(*forms) for forms in zip(_logarithms(32), _logarithms(64)))


@jit(inline=True)
def tanh(x):
    """Return tanh(x)."""
    return tanh_pair(x)[0]


@jit(inline=True)
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return sigmoid_pair(x)[0]


@jit(inline=True)
def log10_of(sum_of_squares, exponent):
    """Return log10(sqrt(sum_of_squares) * 2**exponent) in float64; -inf for a sum of 0."""
    value = log(np.float64(sum_of_squares))
    return value * np.float64(0.5 / math.log(10)) + exponent * np.float64(math.log10(2))

"""From 32-bit words to numbers of unit variance, in float32 and float64.

Both types start from the same integers, so that they differ by rounding alone.  Words arrive as
uint64 below 2**32.
"""

import math

import numpy as np

from ._jit import by_dtype, jit
from .floats import FORMAT, casts, fma, polynomial
from .vecmath import log

_TOP, _SECOND, _THIRD = np.uint64(1 << 31), np.uint64(1 << 30), np.uint64(1 << 29)

# Near-minimax coefficients, lowest order first.
# -2 log(1 + f) = f (-2 + f P(f)) for sqrt(1/2) <= 1 + f <= sqrt(2)
_LOG32 = polynomial(np.float32, (
    0.9999999403953552, -0.6666666269302368, 0.5000156164169312, -0.4000246822834015,
    0.3325329124927521, -0.2840970754623413, 0.2625511884689331, -0.25445374846458435,
    0.15347301959991455))  # fmt: skip
# 2 atanh(s) = s (2 + s^2 P(s^2)), with s = f / (2 + f)
_ATANH64 = polynomial(np.float64, (
    0.666666666666667, 0.39999999999899505, 0.28571428625975487, 0.2222221113479508,
    0.18182889125261723, 0.15331721600556042, 0.14616449685043406))  # fmt: skip
# sin(pi/4 y) = y P(y^2) and cos(pi/4 y) = 1 + y^2 Q(y^2) for |y| <= 1; in float32 P is pi/4 + P
_SIN32 = polynomial(np.float32, (
    -2.42765256786015e-08, -0.08074543625116348, 0.0024900068528950214, -3.595429006963968e-05,
))  # fmt: skip
_COS32 = polynomial(np.float32, (
    -0.3084251284599304, 0.01585433818399906, -0.00032596138771623373, 3.541952764862799e-06,
))  # fmt: skip
_SIN64 = polynomial(np.float64, (
    0.7853981633974483, -0.08074551218828054, 0.002490394570188844, -3.657620415891387e-05,
    3.133616225433416e-07, -1.7571500746983935e-09, 6.877360573166326e-12))  # fmt: skip
_COS64 = polynomial(np.float64, (
    -0.30842513753404244, 0.015854344243815488, -0.0003259918869271996, 3.590860447448612e-06,
    -2.4611366238309744e-08, 1.1500679700940496e-10, -3.863156948832656e-13))  # fmt: skip

_ROOT_HALF32, _ROOT_HALF64 = np.int32(0x3F3504F3), np.int64(0x3FE6A09E667F3BCD)
_HALF32, _TWO32, _ZERO32 = np.float32(0.5), np.float32(2), np.float32(0)
# -2 ln 2; in float32 as two parts, the first so short that k times it is exact
_LN2_32, _LN2_32_LOW = np.float32(-1.38629150390625), np.float32(-2.857213530660374e-06)
_LN2_64 = -2 * math.log(2)


@jit(inline=True)
def _radius32(w):
    """Return sqrt(-2 log u), u = (w + 1/2) / 2**32, in float32."""
    # w + 1/2 = 2**e (1 + f), e from the bits of the rounded sum as in vecmath.log
    b = np.int32(np.float32(np.float32(np.uint32(w)) + _HALF32).view(np.int32) - _ROOT_HALF32)
    e = np.int32(b >> np.int32(23))
    # f from the integer w - 2**e: float32(w) has lost the digits that count where u is near 1.
    power = np.uint32(np.uint32(2) << np.uint32(np.int32(e - np.int32(1)) & np.int32(31)))
    rest = np.float32(np.int32(np.int64(w) - np.int64(power))) + _HALF32
    unit = np.int32(np.int32(np.int32(127) - e) << np.int32(23)).view(np.float32)
    f = _ZERO32 if e < np.int32(0) else rest * unit  # w = 0 is 2**-1 exactly
    k = np.float32(np.int32(e - np.int32(32)))
    return np.sqrt(fma(k, _LN2_32, fma(f, fma(f, _LOG32(f), -_TWO32), k * _LN2_32_LOW)))


@jit(inline=True)
def _radius64(w):
    """Return sqrt(-2 log u), u = (w + 1/2) / 2**32, in float64."""
    b = np.int64(np.float64(np.float64(w) + 0.5).view(np.int64) - _ROOT_HALF64)  # exact
    k = np.float64((b >> np.int64(52)) - np.int64(32))
    f = np.int64((b & np.int64(2**52 - 1)) + _ROOT_HALF64).view(np.float64) - 1.0
    s = f / (f + 2.0)
    z = s * s
    return np.sqrt(fma(k, _LN2_64, -s * fma(2.0, z * _ATANH64(z), 4.0)))


@jit(inline=True)
def _residual(w):
    """Return the angle of a word less the nearest quarter turn, in 2**-30 eighths of a turn."""
    return np.int32(np.int32(np.uint32((w << np.uint64(2)) | np.uint64(2))) >> np.int32(1))  # exact


def _orient(width):
    """Make the function that turns (r cos, r sin) of a residual by its word's quarter turns."""
    signed = FORMAT[width][1]
    pattern, number = casts(width)
    to_sign = np.uint64(width - 32)

    @jit(inline=True)
    def orient(w, x, y):
        quarter = w + _THIRD  # the nearest, in the two top bits
        swap = quarter & _SECOND != 0
        flip_x = signed(((quarter + _SECOND) & _TOP) << to_sign)
        flip_y = signed((quarter & _TOP) << to_sign)
        x, y = (y if swap else x), (x if swap else y)
        return number(pattern(x) ^ flip_x), number(pattern(y) ^ flip_y)

    return orient


_orient32, _orient64 = _orient(32), _orient(64)
_EIGHTH32, _SLOPE32, _CURVE32 = np.float32(math.pi / 4), np.float32(0.67), np.float32(-0.585)
_UNIT32, _UNIT64 = np.float32(2.0**-30), 2.0**-30


@jit(inline=True)
def _pair32(like, w, v):
    """Return the two normals of a pair of words in float32 (Box and Muller 1958).

    Within 4 * 2**-24 * max(1, |z|) of float64 for all 2**64 pairs, by a search over all radii and
    all angles (3.92).  The last rounding costs 1 of the 4 and the radius
    1.5, so the angle is carried in two parts, y + low, and the leading terms of sine and cosine are
    multiplied and added last, each with one rounding.
    """
    r, t = _radius32(w), _residual(v)
    high = np.int32(np.int32(t + np.int32(64)) & np.int32(-128))  # 24 bits: exact in float32
    y, low = np.float32(high) * _UNIT32, np.float32(np.int32(t - high)) * _UNIT32
    z = y * y
    s = fma(y, _EIGHTH32, fma(y, _SIN32(z), low * _SLOPE32))
    c = fma(z, _COS32(z), (y * low) * _CURVE32)  # cosine less 1
    return _orient32(v, fma(r, c, r), r * s)


@jit(inline=True)
def _pair64(like, w, v):
    """Return the two normals of a pair of words in float64 (Box and Muller 1958)."""
    r, y = _radius64(w), np.float64(_residual(v)) * _UNIT64
    z = y * y
    return _orient64(v, fma(r, z * _COS64(z), r), r * (y * _SIN64(z)))


_ROOT3_32, _ROOT3_64 = np.float32(math.sqrt(3) * 2.0**-31), math.sqrt(3) * 2.0**-31


@jit(inline=True)
def _uniform32(like, w):
    """Return sqrt(3) (2u - 1), u = (w + 1/2) / 2**32, in float32."""
    return (np.float32(np.int32(np.uint32(w ^ _TOP))) + _HALF32) * _ROOT3_32


@jit(inline=True)
def _uniform64(like, w):
    """Return sqrt(3) (2u - 1), u = (w + 1/2) / 2**32, in float64."""
    return (np.float64(w) - (2.0**31 - 0.5)) * _ROOT3_64


# A standard normal that stays within two standard deviations, divided by its own: z = v P(w - h)
# with v = 2u - 1 in (-1, 1) and w = -log(1 - (c v)^2) in [0, 2 h), c = erf(sqrt(2)).  LLVM leaves
# a longer polynomial as a loop: P(x) is low(x) + x^8 high(x).
_TRUNCATED_LOW = polynomial(np.float64, (
    1.8101630167500375, 0.38258539949340714, 0.0042720409889987114, -0.0034931531072277112,
    0.00021059402820141067, 4.965514251886121e-05, -7.5990499039412136e-06,
    -5.425116206539106e-07))  # fmt: skip
_TRUNCATED_HIGH = polynomial(np.float64, (
    1.9615108200573897e-07, -2.110123817524199e-10, -4.299254622175531e-09,
    2.6058595223676827e-10, 8.081577591014375e-11, -1.052312364070641e-11,
    -1.210548434436565e-12, 2.684856937060595e-13, 1.0492060150425888e-14))  # fmt: skip
_SHARE, _HALF_RANGE = -(math.erf(math.sqrt(2)) ** 2), 1.2099514409455525  # -c^2, h
_CENTRE, _UNIT_WORD, _ROOT6 = 2.0**31 - 0.5, 2.0**-31, math.sqrt(6)


@jit(inline=True)
def _truncated64(like, w):
    """Return a normal cut at 2 standard deviations, by its inverse distribution, in float64."""
    v = (np.float64(w) - _CENTRE) * _UNIT_WORD
    x = -log(fma(_SHARE, v * v, 1.0)) - _HALF_RANGE
    x2 = x * x
    return v * fma(x2 * x2 * (x2 * x2), _TRUNCATED_HIGH(x), _TRUNCATED_LOW(x))


@jit(inline=True)
def _truncated32(like, w):
    """Return it in float32: the inverse is too steep at its ends to start from a float32."""
    return np.float32(_truncated64(1.0, w))


@jit(inline=True)
def _triangular64(like, w):
    """Return the sum of two equal uniforms, sqrt(6) (1 - sqrt(1 - |v|)) with the sign of v."""
    v = (np.float64(w) - _CENTRE) * _UNIT_WORD
    return _ROOT6 * v / (1.0 + np.sqrt(1.0 - abs(v)))


@jit(inline=True)
def _triangular32(like, w):
    """Return it in float32."""
    return np.float32(_triangular64(1.0, w))


pair, uniform = by_dtype(_pair32, _pair64), by_dtype(_uniform32, _uniform64)
truncated = by_dtype(_truncated32, _truncated64)
triangular = by_dtype(_triangular32, _triangular64)

"""Sine and cosine of any float32 or float64, reduced exactly and without a branch."""

import math

import numpy as np

from ._jit import by_dtype, jit
from .floats import FORMAT, casts, fma, polynomial

# Bits of 2/pi after the binary point: enough to reduce the largest float64 (Payne & Hanek 1983).
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a42"
    "4dd2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991"
    "d639835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09"
    "b74f463f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046",
    16,
)
_TWO_OVER_PI_BITS = 1184

# Near-minimax coefficients, lowest order first.
# sin(r) = r + r^3 P(r^2) and cos(r) = 1 - r^2/2 + r^4 Q(r^2) for |r| <= pi/4
_SIN = {
    32: (-0.166666641831398, 0.008332747034728527, -0.00019587638962548226),
    64: (-0.16666666666666666, 0.008333333333330936, -0.00019841269836740532,
         2.7557316093198404e-06, -2.5051129896450185e-08, 1.5917988979397435e-10),
}  # fmt: skip
_COS = {
    32: (0.0416666641831398, -0.0013888301327824593, 2.4547689463361166e-05),
    64: (0.041666666666666664, -0.0013888888888887389, 2.48015872987544e-05,
         -2.755731726587808e-07, 2.087614504941318e-09, -1.138254464534925e-11),
}  # fmt: skip


def _window(exponent, mantissa, size):
    """Return the ``size`` bits of 2/pi that matter for a number with that binary exponent.

    They are floor(2/pi * 2**(exponent - mantissa) * 2**(size - 2)) modulo 2**size: times the
    integer mantissa, the two top bits are the quadrant and the rest the fraction of a quadrant.
    """
    shift = exponent - mantissa + size - 2 - _TWO_OVER_PI_BITS
    bits = _TWO_OVER_PI << shift if shift > 0 else _TWO_OVER_PI >> -shift
    return bits % 2**size


def _windows(width, size):
    """Return the windows of all exponents from -1 (|x| >= 1/2) up, in uint64 words, lowest first.

    One table: LLVM gives up on a loop that has too many arrays to tell apart.
    """
    _, _, mantissa, bias = FORMAT[width]
    windows = [_window(e, mantissa, size) for e in range(-1, bias + 2)]
    parts = [w >> low & (2**64 - 1) for w in windows for low in range(0, size, 64)]
    return np.array(parts, dtype=np.uint64)


_WINDOWS32, _WINDOWS64 = _windows(32, 128), _windows(64, 192)
_DIGIT, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)


@jit(inline=True)
def _column(carry, m0, m1, w, w_below):
    """One column of a product in digits of 32 bits: return (carry, digit)."""
    t = m0 * w + carry  # no sum overflows
    u = m1 * w_below + (t & _DIGIT)
    return (t >> _32) + (u >> _32), u & _DIGIT


@jit(inline=True)
def _fraction32(m, i):
    """Return bits 64..127 of mantissa times window, and zeros for the bits below."""
    low, w = _WINDOWS32[_2 * i], _WINDOWS32[_2 * i + _1]
    c = (m * (low >> _32)) >> _32
    t = m * (w & _DIGIT) + c
    return ((m * (w >> _32) + (t >> _32)) << _32) | (t & _DIGIT), c ^ c


@jit(inline=True)
def _fraction64(m, i):
    """Return bits 128..191 of mantissa times window, and bits 64..127."""
    m0, m1 = m & _DIGIT, m >> _32
    i = _3 * i
    low, middle, high = _WINDOWS64[i], _WINDOWS64[i + _1], _WINDOWS64[i + _2]
    c, _ = _column((m0 * (low & _DIGIT)) >> _32, m0, m1, low >> _32, low & _DIGIT)
    c, d2 = _column(c, m0, m1, middle & _DIGIT, low >> _32)
    c, d3 = _column(c, m0, m1, middle >> _32, middle & _DIGIT)
    c, d4 = _column(c, m0, m1, high & _DIGIT, middle >> _32)
    c, d5 = _column(c, m0, m1, high >> _32, high & _DIGIT)
    return (d5 << _32) | d4, (d3 << _32) | d2


def _trigonometry(width):
    """``sincos`` for one precision, its reduction exact over the whole range."""
    real, signed, mantissa, bias = FORMAT[width]
    pattern, number = casts(width)
    sine, cosine = polynomial(real, _SIN[width]), polynomial(real, _COS[width])
    reduce = _fraction32 if width == 32 else _fraction64
    half, one, eighth = real(0.5), real(1), real(math.pi / 4)
    magnitude, sign_bit = signed(2 ** (width - 1) - 1), signed(-(2 ** (width - 1)))
    fraction, hidden = signed((1 << mantissa) - 1), signed(1 << mantissa)
    first, zero, unit, pair = signed(bias - 1), signed(0), signed(1), signed(2)
    to_sign = signed(width - 2)
    quadrant, tail = np.float64(math.pi / 2**65), np.float64(2.0**-63)
    u61, u62 = np.uint64(61), np.uint64(62)

    @jit(inline=True)
    def sincos(x):
        b = signed(pattern(x) & magnitude)
        i = signed((b >> mantissa) - first)  # infinity and NaN have a row of the table too
        i = zero if i < zero else i
        high, low = reduce(np.uint64(signed(b & fraction) | hidden), np.uint64(i))
        # The fraction of a quadrant, signed: rounded to nearest by extending its own top bit.
        turn = np.float64(np.int64((high << _2) | (low >> u62)))
        turn = fma(np.float64(np.int64((low << _2) >> _1)), tail, turn) * quadrant
        size = abs(x)
        near = size <= eighth
        r = (size if near else real(turn)) + (x - x)  # NaN from infinity
        n = zero if near else signed((((high >> u61) + _1) >> _1) & _3)
        z = r * r
        s = fma(r * z, sine(z), r)
        c = fma(-z, fma(-z, cosine(z), half), one)
        swap = signed(n & unit) != zero
        flip = signed(pattern(x) ^ signed(signed(n & pair) << to_sign)) & sign_bit
        flip_cos = signed(signed(signed(n + unit) & pair) << to_sign)
        y = c if swap else s
        return (
            number(pattern(y) ^ flip),
            number(pattern(s if swap else c) ^ flip_cos),
        )

    return sincos


# sincos(x) = (sin x, cos x), x in radians; NaN for infinity.
sincos = by_dtype(_trigonometry(32), _trigonometry(64))

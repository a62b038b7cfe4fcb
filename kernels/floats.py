"""Floating-point numbers as bit patterns, and the pieces that ``vecmath`` is built from."""

from fractions import Fraction

import numpy as np
from numba.core import types
from numba.core.extending import intrinsic, overload

from ._jit import INLINED, by_dtype, jit

# By width: real type, integer type, bits of the mantissa, bias of the exponent.
FORMAT = {32: (np.float32, np.int32, 23, 127), 64: (np.float64, np.int64, 52, 1023)}


_UNROLLED = 12  # longer loops LLVM keeps as loops, and what they are in stays scalar


def fma(x, y, z):
    """Return x * y + z in one rounding, of three numbers of one type (in NumPy: in two)."""
    return x * y + z


@intrinsic
def _fma(_, x, y, z):
    if not isinstance(x, types.Float) or not x == y == z:
        return None

    def emit(context, builder, signature, args):
        return builder.fma(*args)

    return x(x, y, z), emit


@overload(fma, jit_options=INLINED)
def _fused(x, y, z):
    return lambda x, y, z: _fma(x, y, z)


def dropped(x, y, product):
    """Return x * y - product, what rounding the product dropped (in NumPy too)."""
    exact = [Fraction(float(v)) if np.isfinite(v) else None for v in (x, y, product)]
    if None in exact:
        return product - product
    return type(product)(float(exact[0] * exact[1] - exact[2]))


@overload(dropped, jit_options=INLINED)
def _dropped(x, y, product):
    return lambda x, y, product: _fma(x, y, -product)


def polynomial(real, coefficients):
    """Return Horner's rule for fixed coefficients, lowest order first."""
    top, rest = real(coefficients[-1]), tuple(real(c) for c in coefficients[-2::-1])
    upper, lower = rest[:_UNROLLED], rest[_UNROLLED:]

    @jit(inline=True)
    def evaluate(x):
        y = top
        for c in upper:
            y = fma(y, x, c)
        return y

    @jit(inline=True)
    def evaluate_long(x):
        y = evaluate(x)
        for c in lower:
            y = fma(y, x, c)
        return y

    return evaluate_long if lower else evaluate


def casts(width):
    """Return two functions: a number's integer pattern, and the number of a pattern."""
    real, signed, _, _ = FORMAT[width]

    @jit(inline=True)
    def pattern(x):
        return real(x).view(signed)

    @jit(inline=True)
    def number(b):
        return signed(b).view(real)

    return pattern, number


def _bit_functions(width):
    """Make ``bits``, ``scale``, ``pow2`` (its arguments exchanged) and ``exponent_of``."""
    real, signed, mantissa, bias = FORMAT[width]
    pattern, number = casts(width)
    magnitude, smallest_normal = signed(2 ** (width - 1) - 1), signed(1 << mantissa)
    lowest, highest = signed(1 - bias), signed(bias)
    subnormal = 2 * bias + mantissa - 1

    @jit(inline=True)
    def bits(x):
        return signed(pattern(x) & magnitude)

    @jit(inline=True)
    def pow2(like, k):
        return number(signed(signed(k) + highest) << mantissa)

    @jit(inline=True)
    def scale(x, k):
        for _ in range(3):  # enough from the smallest subnormal to the largest finite number
            step = lowest if k < lowest else (highest if k > highest else signed(k))
            x = x * pow2(x, step)
            k = k - step
        return x

    @jit(inline=True)
    def exponent_of(b):
        if b < smallest_normal:  # the pattern is the number, in units of the smallest
            return np.int64(pattern(real(b)) >> mantissa) - subnormal
        return np.int64(b >> mantissa) - bias

    return bits, scale, pow2, exponent_of


_single, _double = _bit_functions(32), _bit_functions(64)
_exponent32, _exponent64 = _single[3], _double[3]
_pow2 = by_dtype(_single[2], _double[2])

# bits(x): the pattern of |x|, int32 or int64.  Patterns are ordered as magnitudes are, with
# infinity and then NaN on top, so an integer maximum over a row finds all three.
bits = by_dtype(_single[0], _double[0])

# scale(x, k): x * 2**k for any integer k, exact when the result can be represented.
scale = by_dtype(_single[1], _double[1])


@jit(inline=True)
def pow2(k, like):
    """Return 2**k exactly, in the type of ``like``, for the k of normal numbers.

    That is -126 to 127 in float32 and -1022 to 1023 in float64; reach further by two factors.
    """
    return _pow2(like, k)


def exponent_of(b):
    """Return floor(log2 |x|) as int64 from ``b = bits(x)``, of subnormal x too.

    The type of ``b`` must still be that of ``bits``: int32 for float32.  Infinity and NaN give
    128 or 1024, and 0 gives -276 or -2097, below every number.
    """
    return _exponent32(b) if isinstance(b, np.int32) else _exponent64(b)


@overload(exponent_of, jit_options=INLINED)
def _exponent_of(b):
    chosen = _exponent32 if b == types.int32 else _exponent64
    return lambda b: chosen(b)

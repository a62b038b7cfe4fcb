"""Norms of scaled rows: no raw value is ever squared.

A squared norm is a pair (mantissa, exponent) of value ``mantissa * 4**exponent``; the mantissa is
a sum of squares taken after scaling by the power of two of the largest magnitude.
"""

import numpy as np

from ._jit import by_dtype, jit
from .activations import largest_bits, scale_row
from .sums import dot
from .vecmath import exponent_of, log, pow2

LOG10_2 = 0.30102999566398119521
HALF_LOG10_E = 0.21714724095162590
# A row whose largest magnitude leaves 2**-WINDOW .. 2**WINDOW is rescaled (float32, float64):
# what is then flushed lies 2**86 (2**782) below the largest entry of its row.
WINDOW = np.array([40, 240], dtype=np.int64)
# A row of zeros has no exponent of its own: it takes that of whatever is added to it.  Every
# exponent below NEARLY_EMPTY means so (a few products may have moved it from EMPTY).
EMPTY = -(2**40)
NEARLY_EMPTY = -(2**39)


@jit(inline=True)
def _power32(like, k):
    return pow2(min(max(k, -126), 127), like)


@jit(inline=True)
def _power64(like, k):
    return pow2(min(max(k, -1022), 1023), like)


_power = by_dtype(_power32, _power64)


@jit(inline=True)
def power(k, like):
    """2**k in the type of ``like``, with k held in the range of normal numbers."""
    return _power(like, k)


@jit(inline=True)
def is_finite(top, single):
    """Whether a pattern from `largest_bits` is a finite number."""
    return exponent_of(top) <= (127 if single else 1023)


@jit
def row_square(x, r):
    """Squared norm of row r of x (rows, units): (mantissa, exponent, `largest_bits`)."""
    top = largest_bits(x, r)
    if top == 0:
        return 0.0, 0, top
    k = exponent_of(top)
    if not is_finite(top, x.itemsize == 4):
        return np.nan, 0, top
    low, high, n = pow2(-(k // 2), x[r, 0]), pow2(-(k - k // 2), x[r, 0]), x.shape[1]
    return np.float64(dot(x, r * n, x, r * n, n, low, high)), k, top


@jit
def rescale_row(x, r, top, e):
    """Bring row r of x, with true values x * 2**e, back into the window; returns its exponent."""
    if top == 0:
        return EMPTY
    single = x.itemsize == 4
    k = exponent_of(top)
    if abs(k) <= WINDOW[0 if single else 1] or not is_finite(top, single):
        return e
    scale_row(x, r, -k)
    return e + k


@jit
def lift_row(x, r, top, e):
    """Bring row r of x to a largest magnitude of at least 1; returns its exponent.

    Any normal slope times its largest entry is then a normal number.
    """
    if top == 0:
        return EMPTY
    single = x.itemsize == 4
    k = exponent_of(top)
    if 0 <= k <= WINDOW[0 if single else 1] or not is_finite(top, single):
        return e
    scale_row(x, r, -k)
    return e + k


@jit(inline=True)
def add_squares(m1, e1, m2, e2):
    """Sum of two squared norms given as (mantissa, exponent)."""
    if m1 == 0.0:
        return m2, e2
    if m2 == 0.0:
        return m1, e1
    if e1 >= e2:
        return m1 + m2 * power(2 * (e2 - e1), m1), e1
    return m2 + m1 * power(2 * (e1 - e2), m1), e2


@jit(inline=True)
def log10_norm(mantissa, exponent):
    """log10 of sqrt(mantissa) * 2**exponent; -inf for 0."""
    if mantissa == 0.0:
        return -np.inf
    return HALF_LOG10_E * log(mantissa) + exponent * LOG10_2


@jit
def add_row(x, r, ex, y, k, ey):
    """x[r] * 2**ex + y[k] * 2**ey into x[r]; returns its exponent, the larger of the two.

    Rows are kept inside the window, so what the smaller one loses lies far below the rounding of
    the larger.  An EMPTY x[r] is written over.
    """
    if ex < NEARLY_EMPTY:
        for i in range(x.shape[1]):
            x[r, i] = y[k, i]
        return ey
    if ey < NEARLY_EMPTY:
        return ex
    if ex >= ey:
        factor = power(ey - ex, x[r, 0])
        for i in range(x.shape[1]):
            x[r, i] += y[k, i] * factor
        return ex
    factor = power(ex - ey, x[r, 0])
    for i in range(x.shape[1]):
        x[r, i] = x[r, i] * factor + y[k, i]
    return ey


@jit
def narrow_row(source, x, r, e):
    """x[r] = source[0] (1, units) of float64, scaled into the window; returns the exponent."""
    top = largest_bits(source, 0)
    if top == 0:
        e = EMPTY
    elif is_finite(top, False) and abs(exponent_of(top)) > WINDOW[0]:
        k = exponent_of(top)
        scale_row(source, 0, -k)
        e += k
    for i in range(source.shape[1]):
        x[r, i] = source[0, i]
    return e

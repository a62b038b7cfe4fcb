"""Numbers as (mantissa, exponent): sums, and products of thousands of factors rounded once."""

import numpy as np

from ._jit import jit
from .norms import log10_norm, power
from .vecmath import bits, exp, exponent_of

ONE = np.float64(1)
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10


@jit(inline=True)
def times(m, e, factor, k):
    """M 2**e times factor 2**k, with a mantissa in [1, 2) where it is finite and not 0."""
    m, e = m * factor, e + k
    if m == 0.0 or not np.isfinite(m):
        return m, 0
    size = exponent_of(bits(m))
    return m * power(-size, ONE), e + size


@jit(inline=True)
def plus(m1, e1, m2, e2):
    """Sum of two numbers m 2**e."""
    if m1 == 0.0:
        return m2, e2
    if m2 == 0.0:
        return m1, e1
    if e1 >= e2:
        return m1 + m2 * power(e2 - e1, ONE), e1
    return m1 * power(e1 - e2, ONE) + m2, e2


@jit(inline=True)
def together(m1, e1, m2, e2):
    """Root of the sum of two squares of numbers m 2**e."""
    if m1 == 0.0:
        return m2, e2
    if m2 == 0.0:
        return m1, e1
    if e1 >= e2:
        m2 *= power(e2 - e1, ONE)
    else:
        m1, e1 = m1 * power(e1 - e2, ONE), e2
    return np.sqrt(m1 * m1 + m2 * m2), e1


@jit
def log10_size(m, e):
    """log10 of m 2**e; -inf for 0."""
    return m if np.isinf(m) else log10_norm(m * m, e)


@jit
def power_of_e(t):
    """exp(t) as (mantissa, exponent), for t far beyond the range of exp too."""
    k = np.int64(np.floor(t * LOG2_E))
    return exp(t - k * LN2_HIGH) * exp(-k * LN2_LOW), k

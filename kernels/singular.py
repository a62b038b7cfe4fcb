"""Singular values of graded rows by one-sided Jacobi rotations, each with its own exponent.

A rotation of two rows that differ by hundreds of decades is written in the ratio of their sizes,
so that the smaller keeps all its digits: every singular value has the relative accuracy that its
row has (Demmel and Veselic 1992, SIAM J. Matrix Anal. Appl. 13, 1204; the factorisation before it
is that of Drmac and Veselic 2008, ibid. 29, 1322).
"""

import numpy as np

from ._jit import jit
from .floats import fma
from .graded import (
    HALF_LOG2_E,
    ONE,
    factor,
    lift,
    normalise_rows,
    row_dot,
    sort_places,
    top_exponent,
)
from .norms import EMPTY, log10_norm, power
from .vecmath import bits, exponent_of, log

PARALLEL = 2.0**-80  # squared cosine of two rows that counts as a right angle
_LOW, _HIGH = 2.0**-20, 2.0**20  # squared norms that a row may keep
_CANCELLED = 2.0**-4  # share of a squared norm after which the difference is summed anew
FACTORISATIONS = 2  # before the rotations: each brings the rows nearer to right angles
SWEEPS = 40  # a bound; matrices without any grading take eight
_FAR = -500  # binary exponent of a ratio that is as good as 0
_GONE = -1000  # binary exponent of a part that is as good as 0 beside a row of about 1
PLACES = 3  # rows of whole numbers that a factorisation needs


@jit(inline=True)
def _rotate(rows, i, k, n, ratio, high, low, along):
    """Rotate rows i (larger) and k to a right angle; row k stands for ratio times itself.

    tan = ratio * tau with tau = 1 / (u + sqrt(ratio^2 + u^2)), u = ratio |cot(2 angle)|, for
    squared norms ``high`` and ``low`` and a product ``along``.  Returns the new squared norms.
    """
    u = 0.5 * (high - low * ratio * ratio) / along
    root = np.sqrt(ratio * ratio + u * u)
    tau = 1.0 / (u + root) if u >= 0.0 else 1.0 / (u - root)
    cosine = 1.0 / np.sqrt(1.0 + tau * tau * ratio * ratio)
    sine, far = cosine * tau, cosine * tau * ratio * ratio
    for j in range(n):
        x, y = rows[i, j], rows[k, j]
        rows[i, j] = fma(far, y, cosine * x)
        rows[k, j] = fma(-sine, x, cosine * y)
    return high + tau * ratio * ratio * along, low - tau * along


@jit
def _measure(rows, j, n, exponents, squares):
    """Note the squared norm of row j, brought back to about 1 where it has left it."""
    squares[j] = row_dot(rows, j, rows, j, 0, n)
    if not _LOW < squares[j] < _HIGH:
        k = top_exponent(rows[j], 0, n)
        if k != EMPTY:
            lift(rows[j], 0, n, -k)
            exponents[j] += k
            squares[j] = row_dot(rows, j, rows, j, 0, n)


@jit
def _sweep(rows, count, n, exponents, squares, stop):
    """One rotation for each pair of rows that do not meet at a right angle; returns how many."""
    turned = 0
    for first in range(count - 1):
        if stop[0, 0]:
            return 0
        for second in range(first + 1, count):
            i, k = first, second
            along = row_dot(rows, i, rows, k, 0, n)
            if along * along <= PARALLEL * squares[i] * squares[k]:
                continue
            turned, gap = turned + 1, exponents[k] - exponents[i]
            if gap > 0 or (gap == 0 and squares[k] > squares[i]):
                i, k, gap = k, i, -gap
            ratio = power(gap, ONE) if gap > _FAR else 0.0
            before = squares[k]
            squares[i], squares[k] = _rotate(rows, i, k, n, ratio, squares[i], squares[k], along)
            if not _LOW < squares[i] < _HIGH:
                _measure(rows, i, n, exponents, squares)
            if not max(_LOW, _CANCELLED * before) < squares[k] < _HIGH:
                _measure(rows, k, n, exponents, squares)
    return turned


@jit
def orthogonalise(rows, count, n, exponents, squares, stop):
    """Rotate rows (count, n) * 2**exponents until all meet at right angles; fills their squares.

    A ``stop`` (1, 1) is seen within one row of a sweep.
    """
    for _ in range(SWEEPS):
        for j in range(count):
            _measure(rows, j, n, exponents, squares)
        if _sweep(rows, count, n, exponents, squares, stop) == 0:
            return


@jit
def _columns(t, count, rank, taken, exponents, rows, rows_e):
    """Rows i < rank of ``rows``: the columns of L, each brought to an exponent of its own."""
    for i in range(rank):
        top = np.int64(EMPTY)
        for j in range(count):
            if (taken[j] < 0 or taken[j] >= i) and t[j, i] != 0.0:
                top = max(top, exponent_of(bits(t[j, i])) + exponents[j])
        for j in range(count):
            kept = taken[j] < 0 or taken[j] >= i
            gap = exponents[j] - top
            rows[i, j] = t[j, i] * power(gap, ONE) if kept and gap > _GONE else 0.0
        rows_e[i] = top


@jit
def log10_singular_values(t, count, n, exponents, rows, places, scratch, out, stop):
    """Singular values of the rows t (count, n) * 2**exponents into out, as log10, falling.

    ``rows`` (count, max(count, n)), ``places`` (PLACES, max(count, n)) and ``scratch`` as in
    `factor`; t is lost.  Returns how many there are.  After a ``stop`` (1, 1) they mean nothing.
    """
    taken, order, rows_e, rank = places[0], places[1], places[2], 0
    for _ in range(FACTORISATIONS):
        normalise_rows(t, count, n, exponents)
        rank = factor(t, count, n, exponents, True, 0.0, taken, rows, order, scratch, stop)
        _columns(t, count, rank, taken, exponents, rows, rows_e)
        for i in range(rank):
            exponents[i] = rows_e[i]
            for j in range(count):
                t[i, j] = rows[i, j]
        count, n = rank, count
    squares, keys = scratch[0], scratch[1]
    orthogonalise(t, rank, n, rows_e, squares, stop)
    for i in range(rank):
        keys[i] = HALF_LOG2_E * log(squares[i]) + rows_e[i]
    sort_places(keys, order, rank)
    for i in range(rank):
        out[i] = log10_norm(squares[order[i]], rows_e[order[i]])
    return rank

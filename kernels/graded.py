"""Products of many matrices as one graded factor: rows, each with a binary exponent of its own.

The singular values of a product of a thousand matrices span hundreds of decades, and a product
that is formed as one array keeps the largest alone.  Here it is kept as T^T Q: the rows of Q are
orthonormal, and row i of T is t_i * 2**e_i, from the largest to the smallest.  One more matrix
turns Q J into L Q' (:func:`factor`) and T into L^T T (:func:`advance`); pivots keep the rows
graded, so that the error of each is small beside itself (Stewart 1997, SIAM Rev. 39, 3).
`singular` reads the singular values off T.  All in float64; no choice is left to LAPACK.
"""

import numpy as np

from ._jit import jit
from .floats import fma, scale
from .norms import EMPTY, power
from .sums import dot
from .vecmath import bits, exponent_of, log

ONE = np.float64(1)
NOISE = 2.0**-49  # rounding of one unit in a factorisation
HALF_LOG2_E = 0.72134752044448170368
_CANCELLED = 2.0**-20  # a squared norm, updated by subtraction, that has to be summed anew
_BLOCK = 32  # numbers that a sum takes at a time: one that starts at a multiple has no remainder
_NEGLIGIBLE = -120  # binary exponent of a part that no digit of a row depends on
SIZES, SPARE, OWN, SQUARE, SQUARE_E = range(5)  # rows of scratch beside the matrices
SCRATCH = 5


@jit
def top_exponent(row, first, last):
    """Binary exponent of the largest magnitude among elements first..last; EMPTY for zeros."""
    top, part = bits(ONE) * 0, row[first:last]
    for i in range(part.size):
        top = max(top, bits(part[i]))
    return exponent_of(top) if top > 0 else np.int64(EMPTY)


@jit
def lift(row, first, last, k):
    """Multiply elements first..last by 2**k, |k| < 2046."""
    low, high = power(k // 2, ONE), power(k - k // 2, ONE)
    part = row[first:last]
    for i in range(part.size):
        part[i] = part[i] * low * high


@jit
def square(row, first, last):
    """Squared norm (mantissa, exponent) of elements first..last: mantissa * 4**exponent."""
    k = top_exponent(row, first, last)
    if k == EMPTY:
        return 0.0, k
    low, high = power(-(k // 2), ONE), power(-(k - k // 2), ONE)
    return dot(row, first, row, first, last - first, low, high), k


@jit(inline=True)
def row_dot(x, r, y, k, first, last):
    """Sum of x[r, i] y[k, i] over columns first..last."""
    return dot(x, r * x.shape[1] + first, y, k * y.shape[1] + first, last - first, ONE, ONE)


@jit(inline=True)
def add_row(x, r, y, k, factor, first, last):
    """Add factor * y[k] to x[r], columns first..last."""
    target, source = x[r, first:last], y[k, first:last]
    for i in range(target.size):  # from 0: Numba cannot tell that ``first`` is not negative
        target[i] = fma(factor, source[i], target[i])


@jit
def normalise_rows(rows, count, n, exponents):
    """Bring every row to a largest magnitude in [1, 2) and add its exponent to exponents."""
    for j in range(count):
        k = top_exponent(rows[j], 0, n)
        if k != EMPTY:
            lift(rows[j], 0, n, -k)
            exponents[j] += k


@jit
def _before(keys, i, j):
    """Whether place i comes before place j: the larger key does, then the lower place."""
    return keys[i] > keys[j] or (keys[i] == keys[j] and i < j)


@jit
def sort_places(keys, order, count):
    """Put the places 0..count of keys into order, the largest key first (heapsort)."""
    for i in range(count):
        order[i] = i
    start, end = count // 2, count
    while end > 1:
        if start > 0:
            start -= 1
        else:
            end -= 1
            order[0], order[end] = order[end], order[0]
        root = start
        while 2 * root + 1 < end:
            child = 2 * root + 1
            if child + 1 < end and _before(keys, order[child], order[child + 1]):
                child += 1
            if not _before(keys, order[root], order[child]):
                break
            order[root], order[child] = order[child], order[root]
            root = child


@jit
def _arrange(rows, count, n, order, scratch):
    """Sort the columns of rows (count, n) by their largest magnitude; returns the live ones.

    Fills the sizes of the sorted columns, and for each row its largest share of a size.
    """
    sizes, spare, own = scratch[SIZES], scratch[SPARE], scratch[OWN]
    for i in range(n):
        spare[i] = 0.0
    for j in range(count):
        for i in range(n):
            spare[i] = max(spare[i], abs(rows[j, i]))
    sort_places(spare, order, n)
    live = 0
    for i in range(n):
        sizes[i] = spare[order[i]]
        live += sizes[i] > 0.0
    for j in range(count):
        for i in range(n):
            spare[i] = rows[j, order[i]]
        for i in range(n):
            rows[j, i] = spare[i]
        own[j] = _share(rows[j], sizes, 0, live)
    return live


@jit
def _share(row, sizes, first, last):
    """Largest |row| / sizes among elements first..last."""
    top, part, whole = 0.0, row[first:last], sizes[first:last]
    for i in range(part.size):
        top = max(top, abs(part[i]) / whole[i])
    return top


@jit
def _pivot(rows, count, live, rank, taken, exponents, scratch):
    """Row without a direction that has the largest remainder from column ``rank`` on, or -1."""
    squares, shifts = scratch[SQUARE], scratch[SQUARE_E]
    best, size = -1, 0.0
    for j in range(count):
        if taken[j] != -1:
            continue
        if rank > 0:
            last = rows[j, rank - 1] * power(-np.int64(shifts[j]), ONE)
            squares[j] -= last * last
        if rank == 0 or squares[j] < _CANCELLED:
            squares[j], k = square(rows[j], rank, live)
            shifts[j] = k
        if squares[j] > 0.0:
            key = HALF_LOG2_E * log(squares[j]) + shifts[j] + exponents[j]
            if best < 0 or key > size:
                best, size = j, key
    return best


@jit
def factor(rows, count, n, exponents, pivoted, noise, taken, q, order, scratch, stop):
    """Factor rows (count, n) = L Q in place by Householder reflections; returns the rank.

    L is left in ``rows``: column i belongs to reflection i, and a row that gave rise to
    reflection ``taken[j]`` has nothing beyond it; a row with ``taken`` -1 depends on others.
    ``q`` (count, n) receives the reflections: :func:`directions` makes them the rows of Q.
    Where ``pivoted`` the row that is largest with its exponent (count,) comes next, else the rows
    come in their order.  Columns are sorted by size, which keeps the error of each proportional to
    its own (Cox and Higham 1998, in "Numerical Analysis 1997"); on that scale, what is left of a
    row counts as zero below ``noise``.  ``scratch`` (SCRATCH, max(count, n)), ``order`` (n,).
    A ``stop`` (1, 1) ends it at the next row, here and in what follows: the rest means nothing.
    """
    live, rank = _arrange(rows, count, n, order, scratch), 0
    sizes, own = scratch[SIZES], scratch[OWN]
    for j in range(count):
        taken[j] = -1
    for step in range(count):
        if rank == live or stop[0, 0]:
            break
        j = _pivot(rows, count, live, rank, taken, exponents, scratch) if pivoted else step
        if j < 0:
            break
        if _share(rows[j], sizes, rank, live) <= noise * own[j]:
            for i in range(rank, live):
                rows[j, i] = 0.0
            taken[j] = -2
            if pivoted:  # its square is to be left as it is: the rank has not grown
                _restore(rows, count, rank, taken, scratch)
            continue
        _reflect(rows, count, live, rank, j, taken, q)
        taken[j] = rank
        rank += 1
    for j in range(count):
        taken[j] = max(taken[j], -1)
    return rank


@jit
def _restore(rows, count, rank, taken, scratch):
    """Undo the subtraction of `_pivot`, which will come again for the same column."""
    for j in range(count):
        if taken[j] == -1 and rank > 0:
            last = rows[j, rank - 1] * power(-np.int64(scratch[SQUARE_E, j]), ONE)
            scratch[SQUARE, j] += last * last


@jit
def _reflect(rows, count, live, rank, j, taken, q):
    """Reflect what is left of row j onto column ``rank``, and with it all rows to come.

    The reflection I - v v^T is kept as v = q[rank], with zeros before its first column.
    """
    v, (norm, e) = q[rank], square(rows[j], rank, live)
    norm = np.sqrt(norm)
    for i in range(live):
        v[i] = rows[j, i] if i >= rank else 0.0
    lift(v, rank, live, -e)
    length = 1.0 / np.sqrt(norm * (norm + abs(v[rank])))  # sqrt(2) over the norm of v
    norm = norm if v[rank] >= 0.0 else -norm
    v[rank] += norm
    for i in range(rank, live):
        v[i] *= length
    first = rank - rank % _BLOCK
    for k in range(count):
        if taken[k] == -1 and k != j:
            add_row(rows, k, q, rank, -row_dot(rows, k, q, rank, first, live), first, live)
    rows[j, rank] = scale(-norm, e)


@jit
def directions(q, rank, n, order, scratch, stop):
    """Turn the reflections in q (rank, n) into the orthonormal rows of Q, columns in order."""
    sizes, spare = scratch[SIZES], scratch[SPARE]
    live = 0
    for i in range(n):
        live += sizes[i] > 0.0
    for k in range(rank - 1, -1, -1):
        if stop[0, 0]:
            return
        first = k - k % _BLOCK
        for i in range(k + 1, rank):  # rows of Q already, from column k + 1 on
            add_row(q, i, q, k, -row_dot(q, i, q, k, first, live), first, live)
        head = q[k, k]
        for i in range(k, live):
            q[k, i] *= -head
        q[k, k] += 1.0
    for k in range(rank):
        for i in range(n):
            spare[order[i]] = q[k, i] if i < live else 0.0
        for i in range(n):
            q[k, i] = spare[i]


@jit
def advance(rows, count, taken, rank, t, width, exponents, out, out_e, scratch, stop):
    """Rows i < rank of out (rank, width) = sum_j L_ji t_j 2**e_j, with exponents of their own."""
    factors, sizes = scratch[SPARE], scratch[OWN]
    for i in range(rank):
        if stop[0, 0]:
            return
        top = np.int64(EMPTY)
        for j in range(count):
            factors[j] = rows[j, i] if taken[j] < 0 or taken[j] >= i else 0.0
            if factors[j] != 0.0:
                size = exponent_of(bits(factors[j])) + exponents[j]
                sizes[j], top = size, max(top, size)
        for k in range(width):
            out[i, k] = 0.0
        for j in range(count):
            if factors[j] != 0.0 and sizes[j] > top + _NEGLIGIBLE:
                factor = factors[j] * power(exponents[j] - top, ONE)
                add_row(out, i, t, j, factor, 0, width)
        out_e[i] = top
    normalise_rows(out, rank, width, out_e)

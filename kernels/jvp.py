"""Jacobian-vector products of a cell's operations, for many directions at once.

Tangents of a value are a matrix (units, columns) of float64 with one exponent: the derivative of
the value along each direction.  Each rule stands beside a vector-Jacobian product of `ops` or
`normalize`.
"""

import numpy as np

from ._jit import jit
from .floats import fma
from .graded import EMPTY, ONE, lift, top_exponent
from .norms import power
from .program import own_floats, own_ints

# own arrays of a measurement that uses tangents, after its results: tangents of each value, their
# exponents, scratch, weights in float64, the Jacobian at hand, its rows, columns and exponent, the
# values that it is of, and how many affine maps of the cell count in delta
TANGENTS, TANGENT_E, WORK, WIDE, MAP, SHAPE, MADE, DELTAS = range(1, 9)
TANGENT_ARRAYS = 9
_WINDOW = 200  # binary exponent of a matrix that is brought back to about 1


@jit(inline=True)
def matrix(x, q, v, rows, columns):
    """Tangents (rows, columns) of value v."""
    return own_floats(x, q, TANGENTS)[v][: rows * columns].reshape((rows, columns))


@jit(inline=True)
def flat(matrix):
    """All elements of a C-ordered matrix in one row."""
    return matrix.reshape(matrix.size)


@jit
def settle(x, q, v, rows, columns):
    """Bring the tangents of v back to about 1."""
    elements, e = flat(matrix(x, q, v, rows, columns)), own_ints(x, q, TANGENT_E)[0]
    k = top_exponent(elements, 0, elements.size)
    if k == EMPTY:
        e[v] = EMPTY
    elif abs(k) > _WINDOW:
        lift(elements, 0, elements.size, -k)
        e[v] += k


@jit
def set_zero(x, q, v, rows, columns):
    """Tangents of a value that does not depend on what is seeded."""
    flat(matrix(x, q, v, rows, columns))[:] = 0.0
    own_ints(x, q, TANGENT_E)[0, v] = EMPTY


@jit
def seed_block(x, q, v, rows, columns, first):
    """Tangents of v with respect to itself: columns first.. are seeded."""
    t = matrix(x, q, v, rows, columns)
    flat(t)[:] = 0.0
    for i in range(rows):
        t[i, first + i] = 1.0
    own_ints(x, q, TANGENT_E)[0, v] = 0


@jit
def add_seed(x, q, v, units, columns, first):
    """Add the seed of a pre-activation to its tangents."""
    e, t = own_ints(x, q, TANGENT_E)[0], matrix(x, q, v, units, columns)
    if e[v] == EMPTY:
        seed_block(x, q, v, units, columns, first)
        return
    elements, top = flat(t), max(e[v], 0)
    lift(elements, 0, elements.size, max(e[v] - top, -2000))
    for i in range(units):
        t[i, first + i] += power(-top, ONE)
    e[v] = top


@jit
def scaled_sum(x, q, first, ea, second, eb, out, units, columns):
    """Out = f 2**ea * tangents of first + g 2**eb * tangents of second, row by row.

    f and g (units,) are the last two rows of the scratch.
    """
    e, f, g = own_ints(x, q, TANGENT_E)[0], own_floats(x, q, WORK)[2], own_floats(x, q, WORK)[3]
    u, v = _exponent(e[first], ea), _exponent(e[second], eb)
    top = max(u, v)
    if top == EMPTY:
        set_zero(x, q, out, units, columns)
        return
    low = power(max(u - top, -1022), ONE) if u > EMPTY else 0.0
    high = power(max(v - top, -1022), ONE) if v > EMPTY else 0.0
    a, b = matrix(x, q, first, units, columns), matrix(x, q, second, units, columns)
    t = matrix(x, q, out, units, columns)
    for i in range(units):
        one, two = f[i] * low, g[i] * high
        for j in range(columns):
            t[i, j] = fma(two, b[i, j], one * a[i, j])
    e[out] = top
    settle(x, q, out, units, columns)


@jit(inline=True)
def _exponent(e, shift):
    """Exponent of tangents times 2**shift; EMPTY stays what it is."""
    return np.int64(EMPTY) if e == EMPTY else e + shift


@jit
def scaled(x, q, source, out, factors, units, columns):
    """Out = factors (units,) * tangents of source, row by row."""
    a, t = matrix(x, q, source, units, columns), matrix(x, q, out, units, columns)
    for i in range(units):
        f = factors[i]
        for j in range(columns):
            t[i, j] = f * a[i, j]
    own_ints(x, q, TANGENT_E)[0, out] = own_ints(x, q, TANGENT_E)[0, source]
    settle(x, q, out, units, columns)


@jit
def layer_norm(x, q, source, out, y, ey, scale, shift, units, columns):
    """Out = scale * (t - mean(t) - y mean(y t)), means over the units, y (units,) * 2**ey."""
    a, t = matrix(x, q, source, units, columns), matrix(x, q, out, units, columns)
    sums, factor = own_floats(x, q, WORK), power(ey, ONE)
    for j in range(columns):
        sums[0, j], sums[1, j] = 0.0, 0.0
    for i in range(units):
        f = y[i] * factor
        for j in range(columns):
            sums[0, j] += a[i, j]
            sums[1, j] = fma(f, a[i, j], sums[1, j])
    for i in range(units):
        f = -y[i] * factor / units
        for j in range(columns):
            t[i, j] = scale * fma(f, sums[1, j], a[i, j] - sums[0, j] / units)
    e = own_ints(x, q, TANGENT_E)[0]
    e[out] = np.int64(EMPTY) if e[source] == EMPTY else e[source] + shift
    settle(x, q, out, units, columns)

"""Rows of tangents: the derivatives of every value of a layer along several directions.

A row belongs to a direction (a slot) and an example: row slot * count + b, of numbers of T with an
exponent of its own, like all rows of the engine.  Sums over rows are numbers m * 2**e.
"""

from ._jit import jit
from .activations import largest_bits
from .graded import EMPTY, square
from .norms import lift_row
from .program import own_floats, own_ints, own_reals
from .sizes import plus

# own arrays, after the results: tangents of each value and one product (numbers of T), their
# exponents, rows of float64, room of a user's activation, and sums (total, Gauss-Newton, squared
# norm of the direction; slot) with their exponents
TANGENTS, PRODUCT, TANGENT_E, ROWS, PROGRAM, SUMS, SUMS_E = range(1, 8)
FIRST_FREE = 8
TOTAL, GAUSS_NEWTON, NORM = range(3)
WEIGHT, BEND, ONE_ROW, OTHER, STATE, MEAN, RISE, SECOND_RISE = range(8)  # rows of float64
ROWS_COUNT = 8


@jit(inline=True)
def row(x, q, i, n):
    """Row i (n,) of the rows of float64."""
    return own_floats(x, q, ROWS)[i][:n]


@jit(inline=True)
def tangents(x, like, q, v, rows, n):
    """Tangents (rows, n) of value v."""
    return own_reals(x, like, q, TANGENTS)[v][: rows * n].reshape((rows, n))


@jit(inline=True)
def exponents(x, q, v):
    """Exponents of the tangents of value v."""
    return own_ints(x, q, TANGENT_E)[v]


@jit
def add(x, q, which, slot, m, e):
    """Add m * 2**e to one of the sums of a slot."""
    sums, sums_e = own_floats(x, q, SUMS)[which], own_ints(x, q, SUMS_E)[which]
    if m != 0.0:
        sums[slot], sums_e[slot] = plus(sums[slot], sums_e[slot], m, e)


@jit
def set_row(t, e, j, exponent):
    """Bring row j of tangents with an exponent back to about 1."""
    e[j] = lift_row(t, j, largest_bits(t, j), exponent)


@jit
def clear_row(t, e, j):
    """Tangents of what does not depend on a direction."""
    for i in range(t.shape[1]):
        t[j, i] = 0
    e[j] = EMPTY


@jit
def copied(source, r, out):
    """Out = row r of source, in float64; returns its first numbers as many as it has."""
    for i in range(out.size):
        out[i] = source[r, i]
    return out


@jit
def squared(x, q, numbers):
    """Sum of squares of numbers (n,) as m * 2**e."""
    m, e = square(numbers, 0, numbers.size)
    return m, 2 * e if e > EMPTY else 0

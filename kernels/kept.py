"""What both passes kept, as further measurements read it: one layer of one head at a time."""

from . import ops
from ._jit import jit
from .norms import NEARLY_EMPTY
from .program import DEPTH, WIDTH, block, exponent_of_value, ints, value


@jit
def at_output(x, h, layer):
    """Whether a layer is the output of head h: an MLP runs only the first affine map there."""
    return not x.recurrent and layer == ints(x.head)[DEPTH, h]


@jit
def operations(x, h, layer):
    """Number of operations of the cell that a layer of head h runs, from the first on."""
    return x.lead + 1 if at_output(x, h, layer) else x.ops.rows


@jit
def units(x, h, layer):
    """Units of the affine maps of a layer of head h."""
    return x.n_out if at_output(x, h, layer) else ints(x.layer)[WIDTH, layer]


@jit
def deltas(x, like, m, h, layer):
    """Delta (B, widest) of map m for all examples of a head, and its exponents (B,)."""
    line = (m * x.heads + h) * x.layers + layer - 1
    rows = block(x.kept, like, line * x.examples * x.widest, x.examples, x.widest)
    return rows, ints(x.kept_e)[line]


@jit
def delta_row(x, like, m, h, layer, b, n):
    """Delta (1, n) of map m for one example of a head."""
    line = ((m * x.heads + h) * x.layers + layer - 1) * x.examples + b
    return block(x.kept, like, line * x.widest, 1, n)


@jit
def signals(x, like, out, layer):
    """Pre-activations (C * B, units) of an affine map in a hidden layer, and their exponents."""
    return value(x, like, out, layer), exponent_of_value(x, out, layer)


@jit
def counted(x, i):
    """Whether operation i is an affine map whose pre-activation counts in delta."""
    op = ints(x.ops)[i]
    return op[0] == ops.LINEAR and op[7] & ops.IN_DELTA != 0


@jit
def copy_row(rows, r, e, n, out, b, first):
    """Copy n numbers of row r into out[b, first:] as float64; returns e, or EMPTY of a row of 0."""
    top = 0.0
    for i in range(n):
        out[b, first + i] = rows[r, i]
        top = max(top, abs(out[b, first + i]))
    return e if top > 0.0 and e > NEARLY_EMPTY else NEARLY_EMPTY


@jit
def multiplied(x, like, i, u, layer):
    """Rows that the delta of operation i multiplies, and their exponents: of W (0) or U (1)."""
    op = ints(x.ops)[i]
    if u == 0:
        return value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)
    rows = block(x.x, like, (layer - 1) * x.examples * x.n_in, x.examples, x.n_in)
    return rows, ints(x.x_e)[layer - 1]

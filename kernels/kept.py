"""What both passes kept, as further measurements read it: one layer of one head at a time."""

from . import ops
from ._jit import jit
from .norms import NEARLY_EMPTY
from .program import (  # fmt: skip
    DEPTH,
    WIDTH,
    block,
    cotangent,
    exponent_of_value,
    ints,
    reals,
    value,
    value_width,
)


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
def keep_cotangents(x, like, layer, heads):
    """Store the cotangents of what is not linear in a layer; EMPTY where a head runs no such."""
    kept, kept_e = reals(x.kept_cotangents, like), ints(x.kept_cotangent_e)
    for i in range(x.ops.rows):
        if ints(x.bent)[0, i] < 0:
            continue
        v, line = ints(x.ops)[i, 3], ints(x.bent)[0, i] * x.layers + layer - 1
        rows, e = cotangent(x, like, v, heads * x.examples, value_width(x, v, layer))
        for k in range(rows.shape[0]):
            kept_e[line, k] = e[k]
            for j in range(rows.shape[1]):
                kept[line * x.head_rows + k, j] = rows[k, j]


@jit
def kept_cotangent(x, like, i, layer, k):
    """Cotangent (1, widest) of the result of operation i for backward row k, and its exponent."""
    line = ints(x.bent)[0, i] * x.layers + layer - 1
    row = block(x.kept_cotangents, like, (line * x.head_rows + k) * x.widest, 1, x.widest)
    return row, ints(x.kept_cotangent_e)[line, k]


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
def has_matrix(x, op, u):
    """Whether an operation has weights W (u = 0), or input weights U (1) and inputs for them."""
    if op[0] != ops.LINEAR or (u == 1 and x.n_in == 0):
        return False
    return op[7] & (ops.HAS_W if u == 0 else ops.HAS_U) != 0


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

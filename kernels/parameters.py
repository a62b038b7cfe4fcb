"""Gradients of single parameters: matrices (1/B) sum_b delta_b a_b^T, formed in float64.

They are made of the deltas and values that both passes kept; of tied weights they are summed over
the steps.  A gradient is an array with one exponent, so that none leaves the range.
"""

import numpy as np

from . import ops
from ._jit import jit
from .graded import EMPTY, ONE, lift, top_exponent
from .program import (  # fmt: skip
    DEPTH,
    WIDTH,
    block,
    exponent_of_value,
    ints,
    own_floats,
    reals,
    value,
    value_width,
)

W, U, B = range(3)  # parameters of an affine map
FLAG = (ops.HAS_W, ops.HAS_U, ops.HAS_B)


@jit
def _own_part(x, q, array, start, rows, columns):
    """Piece (rows, columns) of own array ``array`` (1, numbers), from number ``start`` on."""
    flat = own_floats(x, q, array)[0]
    return flat[start : start + rows * columns].reshape((rows, columns))


@jit
def fill_row(target, j, source, r, e):
    """Row j of target = row r of source, brought to a largest magnitude in [1, 2); its exponent."""
    for i in range(target.shape[1]):
        target[j, i] = source[r, i]
    k = top_exponent(target[j], 0, target.shape[1])
    if k == EMPTY:
        return k
    lift(target[j], 0, target.shape[1], -k)
    return e + k


@jit
def inputs_row(x, like, op, which, t, r, b, target, j):
    """Row j of target = what a parameter of an affine map multiplies; returns its exponent."""
    if which == W:
        return fill_row(target, j, value(x, like, op[1], t), r, exponent_of_value(x, op[1], t)[r])
    if which == U:
        line = t - 1
        source = block(x.x, like, line * x.examples * x.n_in, x.examples, x.n_in)
        return fill_row(target, j, source, b, ints(x.x_e)[line, b])
    target[j, 0] = 1.0
    return np.int64(0)


@jit
def parameter_gradient(x, like, q, array, op, which, h, layer, first, count):
    """Fill the start of own array ``array`` (1, numbers) with a gradient (units, inputs).

    Of parameter ``which`` of the affine map of operation ``op`` for head h, the mean over examples
    first..first + count; of all steps of a tied network.  Returns (units, inputs, exponent).
    """
    depth, widths = ints(x.head)[DEPTH, h], ints(x.layer)[WIDTH]
    lo, hi = (1, depth + 1) if x.tied else (layer, layer + 1)
    units = x.n_out if not x.recurrent and layer == depth else widths[layer]
    n_in = 1 if which == B else (x.n_in if which == U else value_width(x, op[1], layer))
    rows, at = (hi - lo) * count, units * n_in
    delta = _own_part(x, q, array, at, rows, units)
    inputs = _own_part(x, q, array, at + rows * units, rows, n_in)
    kept, kept_e, top = reals(x.kept, like), ints(x.kept_e), np.int64(EMPTY)
    forward = ints(x.row)[0]
    for sweep in range(2):  # first the largest exponent of a row's product, then all at that
        for t in range(lo, hi):
            line = (op[4] * x.heads + h) * x.layers + t - 1
            for b in range(first, first + count):
                j = (t - lo) * count + b - first
                e = fill_row(delta, j, kept, line * x.examples + b, kept_e[line, b])
                k = inputs_row(x, like, op, which, t, forward[h * x.examples + b], b, inputs, j)
                size = e + k if e > EMPTY and k > EMPTY else np.int64(EMPTY)
                if sweep == 0:
                    top = max(top, size)
                elif size > EMPTY:
                    lift(delta[j], 0, units, max(size - top, -2000))
    out = _own_part(x, q, array, 0, units, n_in)
    if top == EMPTY:
        out.reshape(out.size)[:] = 0.0
        return units, n_in, np.int64(0)
    np.dot(delta.T, inputs, out)
    elements = out.reshape(out.size)
    for i in range(elements.size):
        elements[i] *= ONE / count
    return units, n_in, top


def numbers(units, n_in, rows):
    """Room that `parameter_gradient` needs."""
    return units * n_in + rows * (units + n_in)

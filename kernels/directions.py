"""Directions in the parameters of a layer: its own gradient, and what moving along it changes.

Of an affine map z = W u + U x + b the tangent along (G, G_U, g) is G u + G_U x + g beside W du, and
the map is bilinear: its second differential is 2 G du.
"""

import numpy as np

from . import ops
from ._jit import jit
from .graded import EMPTY, ONE, square
from .kept import delta_row, deltas, operations, units
from .norms import NEARLY_EMPTY, add_row, add_squares, narrow_row
from .parameters import FLAG, B, U, W, fill_row, inputs_row, parameter_gradient
from .program import ints, own_floats, own_ints, reals, value_width
from .sums import dot
from .tangent_rows import FIRST_FREE, NORM, SUMS, SUMS_E, TOTAL, add, exponents, set_row, tangents

# own arrays, after those of `tangent_rows`: a gradient and what it is made of; the gradients of a
# layer (3 map + parameter; numbers), their exponents; rows that they multiply, and products;
# exponents of these rows; whether biases count, and slots of a block
GRADIENT, KEPT, KEPT_E, MOVED, MOVED_E, SETTINGS = range(FIRST_FREE, FIRST_FREE + 6)
BIASES, SLOTS = range(2)


@jit
def _columns(x, op, which, layer):
    """Columns of parameter W, U or b of an affine map."""
    return 1 if which == B else (x.n_in if which == U else value_width(x, op[1], layer))


@jit
def gradients(x, like, q, layer, who, slot):
    """Fill KEPT with the gradients of all parameters of a layer; adds their squares to NORM."""
    h, first, count = who
    norms, norms_e = own_floats(x, q, SUMS)[NORM], own_ints(x, q, SUMS_E)[NORM]
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        if op[0] != ops.LINEAR:
            continue
        for which in range(3 if own_ints(x, q, SETTINGS)[0, BIASES] else 2):
            line = 3 * op[4] + which
            own_ints(x, q, KEPT_E)[0, line] = EMPTY
            if not op[7] & FLAG[which] or (which == U and x.n_in == 0):
                continue
            n, n_in, e = parameter_gradient(
                x, like, q, GRADIENT, op, which, h, layer, first, count
            )  # fmt: skip
            source, target = own_floats(x, q, GRADIENT)[0], own_floats(x, q, KEPT)[line]
            for j in range(n * n_in):
                target[j] = source[j]
            m, k = square(target, 0, n * n_in)
            if k > EMPTY:
                own_ints(x, q, KEPT_E)[0, line] = e
                norms[slot], norms_e[slot] = add_squares(norms[slot], norms_e[slot], m, k + e)


@jit
def _times_gradient(x, q, line, count, n, n_in):
    """Products (count, n) of the rows at hand with a gradient (n, n_in)."""
    moved, made = own_floats(x, q, MOVED)[0], own_floats(x, q, MOVED)[1]
    rows, out = (
        moved[: count * n_in].reshape((count, n_in)),
        made[: count * n].reshape((count, n)),
    )
    gradient = own_floats(x, q, KEPT)[line][: n * n_in].reshape((n, n_in))
    np.dot(rows, gradient.T, out)
    return out


@jit
def _twist(x, like, q, op, layer, who, slot, n):
    """Twice delta times G t: W moves, and so does what it multiplies."""
    h, first, count = who
    n_in, line = value_width(x, op[1], layer), 3 * op[4] + W
    a, ea = tangents(x, like, q, op[1], (slot + 1) * count, n_in), exponents(x, q, op[1])
    moved, some = own_floats(x, q, MOVED)[0][: count * n_in].reshape((count, n_in)), 0
    for b in range(count):
        j = slot * count + b
        own_ints(x, q, MOVED_E)[0, b] = fill_row(moved, b, a, j, ea[j])
        some += ea[j] > NEARLY_EMPTY
    if some == 0:
        return
    made = _times_gradient(x, q, line, count, n, n_in)
    _, ed = deltas(x, like, op[4], h, layer)
    one = own_floats(x, q, MOVED)[0][:n]
    for b in range(count):
        e = own_ints(x, q, MOVED_E)[0, b]
        if e < NEARLY_EMPTY or ed[first + b] < NEARLY_EMPTY:
            continue
        delta = delta_row(x, like, op[4], h, layer, first + b, n)
        for i in range(n):
            one[i] = 2.0 * delta[0, i]
        number = dot(one, 0, made[b], 0, n, ONE, ONE)
        add(x, q, TOTAL, slot, number, ed[first + b] + e + own_ints(x, q, KEPT_E)[0, line])


@jit
def seed_rows(x, like, q, op, layer, who, slot):
    """Add what the moving parameters of an affine map change in its result: G a + G_U x + g_b."""
    h, first, count = who
    n, scratch = units(x, h, layer), reals(x.scratch, like)
    t, e = tangents(x, like, q, op[3], (slot + 1) * count, n), exponents(x, q, op[3])
    part = scratch.reshape(scratch.size)[:n].reshape((1, n))
    for which in range(3):
        line = 3 * op[4] + which
        eg = own_ints(x, q, KEPT_E)[0, line]
        if eg < NEARLY_EMPTY:
            continue
        if which == W:
            _twist(x, like, q, op, layer, who, slot, n)
        n_in = _columns(x, op, which, layer)
        moved = own_floats(x, q, MOVED)[0][: count * n_in].reshape((count, n_in))
        for b in range(count):
            r = ints(x.row)[0, h * x.examples + first + b]
            own_ints(x, q, MOVED_E)[0, b] = inputs_row(
                x, like, op, which, layer, r, first + b, moved, b
            )  # fmt: skip
        made = _times_gradient(x, q, line, count, n, n_in)
        for b in range(count):
            j, k = slot * count + b, own_ints(x, q, MOVED_E)[0, b]
            if k < NEARLY_EMPTY:
                continue
            exponent = narrow_row(made[b : b + 1], part, 0, k + eg)
            set_row(t, e, j, add_row(t, j, e[j], part, 0, exponent))

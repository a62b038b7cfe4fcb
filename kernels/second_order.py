"""Rows of tangents through one operation, and what it adds to a second derivative of the cost.

Along a line theta + t d in the parameters the second derivative of the cost at t = 0 is

    d^2 C = sum over operations v = f(u) of <dC/dv, f''(u)[du, du]>  +  du^T (d^2 cost) du,

with cotangents dC/dv of the one backward pass and tangents du of one forward pass (second-order
Taylor propagation; Griewank and Walther 2008, Evaluating Derivatives, chapter 13).  Every rule here
is the Jacobian-vector product of an operation of `ops` or `normalize` beside its f''[du, du].

Rows of tangents are those of `tangent_rows`.
"""

import numpy as np

from . import ops
from ._jit import jit
from .activations import largest_bits
from .bends import bend_row
from .graded import EMPTY, ONE, lift, top_exponent
from .kept import at_output, kept_cotangent, units
from .norm_curvature import batch_norm, layer_norm
from .norms import NEARLY_EMPTY, add_row, lift_row
from .products import RECURRENT, forward_product
from .program import (  # fmt: skip
    CODE,
    HEAD_SCALE,
    HEAD_SCALE_E,
    MADE,
    SOURCE,
    exponent_of_value,
    floats,
    ints,
    own_reals,
    reals,
    slopes_of,
    value,
    value_width,
)
from .rows import address_of
from .sums import dot
from .tangent_rows import (
    BEND,
    ONE_ROW,
    OTHER,
    PRODUCT,
    PROGRAM,
    TOTAL,
    WEIGHT,
    add,
    clear_row,
    copied,
    exponents,
    row,
    set_row,
    tangents,
)


@jit
def _lifted(numbers, e):
    """Bring numbers * 2**e to a largest magnitude of about 1; returns their exponent."""
    k = top_exponent(numbers, 0, numbers.size)
    if k == EMPTY:
        return k
    lift(numbers, 0, numbers.size, -k)
    return e + k


@jit
def _weighted_square(x, q, n, t):
    """Sum of WEIGHT t^2 over n units; t (n,) of float64 is multiplied into WEIGHT * t."""
    weight, product = row(x, q, WEIGHT, n), row(x, q, OTHER, n)
    for i in range(n):
        product[i] = weight[i] * t[i]
    return dot(product, 0, t, 0, n, ONE, ONE)


@jit
def times_weights(x, like, q, op, layer, h, rows, key, seed):
    """Tangents (rows, units) of an affine map from those of what it reads; or of a copy of it."""
    n, n_in = units(x, h, layer), value_width(x, op[1], layer)
    a, ea = tangents(x, like, q, op[1], rows, n_in), exponents(x, q, op[1])
    t, e = tangents(x, like, q, op[3], rows, n), exponents(x, q, op[3])
    if not op[7] & ops.HAS_W:
        for j in range(rows):
            for i in range(n):
                t[j, i] = a[j, i]
            e[j] = ea[j]
        return
    factor, factor_e = floats(x.head_f)[HEAD_SCALE, h], ints(x.head)[HEAD_SCALE_E, h]
    if not at_output(x, h, layer):
        line = op[4] * x.conditions + ints(x.head)[SOURCE, h]
        factor, factor_e = floats(x.scale)[line, layer], ints(x.scale_e)[line, layer]
    made, some = ints(x.layer)[MADE, layer], 0
    for j in range(rows):
        some += ea[j] > NEARLY_EMPTY
    product = own_reals(x, like, q, PRODUCT)[0][: rows * made].reshape((rows, made))
    if some > 0:
        at, to = address_of(a, 0), address_of(product, 0)
        forward_product(x, like, RECURRENT, op[4], layer, at, rows, to, 1, 0, key, seed)
    number = t.dtype.type(factor)
    for j in range(rows):
        if ea[j] < NEARLY_EMPTY:
            clear_row(t, e, j)
            continue
        for i in range(n):
            t[j, i] = number * product[j, i]
        set_row(t, e, j, ea[j] + factor_e)


@jit
def _map(x, like, q, i, layer, who, slots):
    """phi: slope * t, and the cotangent times phi'' t^2."""
    h, first, count = who
    op, c = ints(x.ops)[i], ints(x.head)[SOURCE, h]
    n, code = value_width(x, op[3], layer), ints(x.condition)[CODE, c] if op[4] < 0 else op[4]
    z, ez = value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)
    slopes = slopes_of(x, like, op[7], layer, n)
    a, ea = tangents(x, like, q, op[1], slots * count, n), exponents(x, q, op[1])
    t, e = tangents(x, like, q, op[3], slots * count, n), exponents(x, q, op[3])
    weight, bend, one = row(x, q, WEIGHT, n), row(x, q, BEND, n), row(x, q, ONE_ROW, n)
    for b in range(count):
        k = h * x.examples + first + b
        r = ints(x.row)[0, k]
        bar, eb = kept_cotangent(x, like, i, layer, k)
        bend_e = bend_row(x, q, PROGRAM, code, copied(z, r, one), ez[r], bend)
        top = np.int64(EMPTY)
        if eb > NEARLY_EMPTY and bend_e > NEARLY_EMPTY:
            for j in range(n):
                weight[j] = bend[j] * bar[0, j]
            top = _lifted(weight, eb + bend_e)
        for s in range(slots):
            j = s * count + b
            if ea[j] < NEARLY_EMPTY:
                clear_row(t, e, j)
                continue
            if top > NEARLY_EMPTY:
                number = _weighted_square(x, q, n, copied(a, j, one))
                add(x, q, TOTAL, s, number, top + 2 * ea[j])
            for m in range(n):
                t[j, m] = slopes[r, m] * a[j, m]
            set_row(t, e, j, ea[j])


@jit
def _multiply(x, like, q, i, layer, who, slots):
    """A * b: b da + a db, and twice the cotangent times da db."""
    h, first, count = who
    op, n = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    a, ea = value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)
    b, eb = value(x, like, op[2], layer), exponent_of_value(x, op[2], layer)
    da, eda = tangents(x, like, q, op[1], slots * count, n), exponents(x, q, op[1])
    db, edb = tangents(x, like, q, op[2], slots * count, n), exponents(x, q, op[2])
    t, e, tmp = (
        tangents(x, like, q, op[3], slots * count, n),
        exponents(x, q, op[3]),
        reals(x.scratch, like),
    )
    one, other = row(x, q, ONE_ROW, n), row(x, q, OTHER, n)
    part = tmp.reshape(tmp.size)[:n].reshape((1, n))
    for j in range(slots * count):
        k = h * x.examples + first + j % count
        r = ints(x.row)[0, k]
        bar, e_bar = kept_cotangent(x, like, i, layer, k)
        clear_row(t, e, j)
        if eda[j] > NEARLY_EMPTY and eb[r] > NEARLY_EMPTY:
            for m in range(n):
                t[j, m] = b[r, m] * da[j, m]
            set_row(t, e, j, eda[j] + eb[r])
        if edb[j] > NEARLY_EMPTY and ea[r] > NEARLY_EMPTY:
            for m in range(n):
                part[0, m] = a[r, m] * db[j, m]
            exponent = lift_row(part, 0, largest_bits(part, 0), edb[j] + ea[r])
            set_row(t, e, j, add_row(t, j, e[j], part, 0, exponent))
        if eda[j] > NEARLY_EMPTY and edb[j] > NEARLY_EMPTY and e_bar > NEARLY_EMPTY:
            copied(db, j, other)
            for m in range(n):
                one[m] = 2.0 * np.float64(bar[0, m]) * np.float64(da[j, m])
            number = dot(one, 0, other, 0, n, ONE, ONE)
            add(x, q, TOTAL, j // count, number, e_bar + eda[j] + edb[j])


@jit
def elementwise(x, like, q, i, layer, who, slots):
    """Tangents and second differential of operation i, which is not an affine map."""
    h, _, count = who
    op, n = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    if op[0] == ops.MAP:
        _map(x, like, q, i, layer, who, slots)
    elif op[0] == ops.MULTIPLY:
        _multiply(x, like, q, i, layer, who, slots)
    elif op[0] == ops.LAYER_NORM:
        layer_norm(x, like, q, i, layer, who, slots)
    elif op[0] == ops.BATCH_NORM:
        batch_norm(x, like, q, i, layer, who, slots)
    else:
        a, ea = tangents(x, like, q, op[1], slots * count, n), exponents(x, q, op[1])
        t, e = tangents(x, like, q, op[3], slots * count, n), exponents(x, q, op[3])
        factor = ONE
        if op[0] == ops.AFFINE:
            factor = floats(x.constants)[op[4] * x.conditions + ints(x.head)[SOURCE, h], 0]
        number = t.dtype.type(factor)
        for j in range(slots * count):
            for m in range(n):
                t[j, m] = number * a[j, m]
            e[j] = ea[j]
            if op[0] == ops.ADD:
                b, eb = tangents(x, like, q, op[2], slots * count, n), exponents(x, q, op[2])
                e[j] = add_row(t, j, e[j], b, j, eb[j])
            set_row(t, e, j, e[j])

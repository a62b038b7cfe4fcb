"""Jacobians of one layer or step: tangents of a cell's values, operation by operation.

Each operation carries the derivative of its result with respect to what was seeded (`jvp`).

Seeds are the states that a layer reads (the Jacobian of the layer), or its pre-activations: every
affine map that counts in delta adds a block of its own.
"""

import numpy as np

from . import ops
from ._jit import jit
from .activations import SOFTMAX
from .floats import fma
from .graded import EMPTY, ONE
from .jvp import (  # fmt: skip
    DELTAS,
    MADE,
    MAP,
    SHAPE,
    TANGENT_E,
    WIDE,
    WORK,
    add_seed,
    flat,
    layer_norm,
    matrix,
    scaled,
    scaled_sum,
    seed_block,
    set_zero,
    settle,
)
from .norms import power
from .products import RECURRENT, weight_tile
from .program import (  # fmt: skip
    DEPTH,
    HEAD_SCALE,
    HEAD_SCALE_E,
    OUTPUT,
    SOURCE,
    TILE,
    WIDTH,
    exponent_of_value,
    floats,
    ints,
    own_floats,
    own_ints,
    slopes_of,
    value,
    value_width,
)

STATES, PREACTIVATIONS, PROJECTION = range(3)  # what is seeded, and read


@jit
def _times_weights(x, like, q, m, layer, source, target, shape, identity, key, seed):
    """Target (units, columns) = W @ source, or the columns ``identity``.. of target set to W.

    ``shape`` is (units, inputs, columns); W is drawn or read tile by tile.
    """
    units, n_in, columns = shape
    out, tile = matrix(x, q, target, units, columns), ints(x.layer)[TILE, layer]
    if identity >= 0:
        flat(out)[:] = 0.0
    for lo in range(0, units, tile):
        hi = min(lo + tile, units)
        w = weight_tile(x, like, RECURRENT, m, layer, lo, hi, 1, key, seed)
        if identity >= 0:
            for i in range(hi - lo):
                for j in range(n_in):
                    out[lo + i, identity + j] = w[i, j]
            continue
        wide = own_floats(x, q, WIDE)[0][: (hi - lo) * n_in].reshape((hi - lo, n_in))
        for i in range(hi - lo):
            for j in range(n_in):
                wide[i, j] = w[i, j]
        piece = flat(out)[lo * columns : hi * columns].reshape((hi - lo, columns))
        np.dot(wide, matrix(x, q, source, n_in, columns), piece)


@jit
def _linear(x, like, q, op, layer, seeded, place, columns, factor, factor_e, units, key, seed):
    """Tangents of an affine map: factor * W @ tangents, and what is seeded there."""
    v, n_in, e = op[3], value_width(x, op[1], layer), own_ints(x, q, TANGENT_E)[0]
    state = op[1] < x.states.rows
    if not op[7] & ops.HAS_W:  # adds inputs and a bias alone
        flat(matrix(x, q, v, units, columns))[:] = flat(matrix(x, q, op[1], units, columns))
        e[v] = e[op[1]]
    elif e[op[1]] == EMPTY:
        set_zero(x, q, v, units, columns)
    else:
        identity = op[1] * n_in if state and seeded == STATES else -1
        shape = (units, n_in, columns)
        _times_weights(x, like, q, op[4], layer, op[1], v, shape, identity, key, seed)
        elements = flat(matrix(x, q, v, units, columns))
        for i in range(elements.size):
            elements[i] *= factor
        e[v] = e[op[1]] + factor_e
        settle(x, q, v, units, columns)
    if seeded == PREACTIVATIONS and op[7] & ops.IN_DELTA:
        add_seed(x, q, v, units, columns, place)


@jit
def _elementwise(x, like, q, i, layer, c, r, columns):
    """Tangents of operation i, which is not an affine map, for forward row r of condition c."""
    op, units = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    factors = own_floats(x, q, WORK)
    first, second = factors[2], factors[3]
    if op[0] == ops.MAP:
        slopes = slopes_of(x, like, op[7], layer, units)
        for j in range(units):
            first[j] = slopes[r, j]
        scaled(x, q, op[1], op[3], first, units, columns)
    elif op[0] == ops.AFFINE:
        first[:units] = floats(x.constants)[op[4] * x.conditions + c, 0]
        scaled(x, q, op[1], op[3], first, units, columns)
    elif op[0] == ops.LAYER_NORM:
        y, e = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)[r]
        for j in range(units):
            first[j] = y[r, j]
        line = op[7] * (x.layers + 1) + layer
        scale, shift = floats(x.norm)[line, r], ints(x.norm_e)[line, r]
        layer_norm(x, q, op[1], op[3], first, e, scale, shift, units, columns)
    elif op[0] == ops.ADD:
        first[:units], second[:units] = 1.0, 1.0
        scaled_sum(x, q, op[1], 0, op[2], 0, op[3], units, columns)
    else:
        a, ea = value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)[r]
        b, eb = value(x, like, op[2], layer), exponent_of_value(x, op[2], layer)[r]
        for j in range(units):
            first[j], second[j] = b[r, j], a[r, j]
        scaled_sum(x, q, op[1], eb, op[2], ea, op[3], units, columns)


@jit
def _output(x, q, v, k, code, units, columns):
    """Tangents of an output row's activations in place of those of its pre-activations."""
    kept, t = floats(x.kept_output), matrix(x, q, v, units, columns)
    slopes = kept[4 * k + 2]
    if code != SOFTMAX:
        scaled(x, q, v, v, slopes, units, columns)
        return
    p, mean = kept[4 * k + 1], own_floats(x, q, WORK)[0]
    mean[:columns] = 0.0
    for i in range(units):
        for j in range(columns):
            mean[j] = fma(p[i], t[i, j], mean[j])
    for i in range(units):
        for j in range(columns):  # the others' mean: of a unit's own seed nothing is left
            t[i, j] = slopes[i] * t[i, j] - p[i] * (mean[j] - p[i] * t[i, j])
    settle(x, q, v, units, columns)


@jit
def _collect(x, q, values, rows, columns):
    """Put the tangents of ``values`` (count,) below each other into MAP, with a shape."""
    e, shape = own_ints(x, q, TANGENT_E)[0], own_ints(x, q, SHAPE)[0]
    top = np.int64(EMPTY)
    for j in range(values.size):
        top = max(top, e[values[j]])
    out = own_floats(x, q, MAP)[0]
    for j in range(values.size):
        source, start = flat(matrix(x, q, values[j], rows, columns)), j * rows * columns
        size = power(max(e[values[j]] - top, -1022), ONE) if e[values[j]] > EMPTY else 0.0
        for i in range(rows * columns):
            out[start + i] = source[i] * size
    shape[0], shape[1], shape[2] = values.size * rows, columns, top if top > EMPTY else 0


@jit
def layer_tangents(x, like, q, layer, k, seeded, key, seed):
    """Fill MAP with a Jacobian of one layer, for backward row k.

    ``seeded`` is STATES: the states written with respect to those read; PREACTIVATIONS: with
    respect to the pre-activations; PROJECTION: the pre-activations with respect to the states.
    """
    h, r, head = k // x.examples, ints(x.row)[0, k], ints(x.head)
    c, last = head[SOURCE, h], not x.recurrent and layer == head[DEPTH, h]
    n_in, n = ints(x.layer)[WIDTH, layer - 1], ints(x.layer)[WIDTH, layer]
    units = x.n_out if last else n
    columns = x.states.rows * n_in
    if seeded == PREACTIVATIONS:
        columns = units if last else own_ints(x, q, DELTAS)[0, 0] * n
    for j in range(x.states.rows):
        if seeded == PREACTIVATIONS:
            set_zero(x, q, ints(x.states)[j, 0], n_in, columns)
        else:
            seed_block(x, q, ints(x.states)[j, 0], n_in, columns, j * n_in)
    place, found, made = 0, 0, own_ints(x, q, MADE)[0]
    for i in range(x.lead + 1 if last else x.ops.rows):
        op = ints(x.ops)[i]
        if op[0] == ops.LINEAR:
            factor = floats(x.head_f)[HEAD_SCALE, h]
            factor_e = head[HEAD_SCALE_E, h]
            if not last:
                factor = floats(x.scale)[op[4] * x.conditions + c, layer]
                factor_e = ints(x.scale_e)[op[4] * x.conditions + c, layer]
            kind = STATES if seeded == PROJECTION else seeded
            _linear(x, like, q, op, layer, kind, place, columns, factor, factor_e, units, key, seed)
            if op[7] & ops.IN_DELTA:
                place += units
                made[found] = op[3]
                found += 1
        elif seeded != PROJECTION:
            _elementwise(x, like, q, i, layer, c, r, columns)
    if last and seeded != PROJECTION:
        _output(x, q, made[0], k, head[OUTPUT, h], units, columns)
    elif seeded != PROJECTION:
        found = x.states.rows
        for j in range(found):
            made[j] = ints(x.states)[j, 1]
    _collect(x, q, made[:found], units, columns)

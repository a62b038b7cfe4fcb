"""Jacobians of one layer or step: tangents of a cell's values, operation by operation.

Each operation carries a matrix (units, columns) of float64 with one exponent: the derivative of
its result with respect to what was seeded.  It is the Jacobian-vector product that stands beside
the vector-Jacobian product of `ops` and `normalize`, for all directions at once.

Seeds are the states that a layer reads (the Jacobian of the layer), or its pre-activations: every
affine map that counts in delta adds a block of its own.
"""

import numpy as np

from . import ops
from ._jit import jit
from .activations import SOFTMAX
from .floats import fma
from .graded import EMPTY, ONE, lift, top_exponent
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
# own arrays of a measurement that uses them, after its results: tangents of each value, their
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


@jit(internal=True)
def settle(x, q, v, rows, columns):
    """Bring the tangents of v back to about 1."""
    elements, e = flat(matrix(x, q, v, rows, columns)), own_ints(x, q, TANGENT_E)[0]
    k = top_exponent(elements, 0, elements.size)
    if k == EMPTY:
        e[v] = EMPTY
    elif abs(k) > _WINDOW:
        lift(elements, 0, elements.size, -k)
        e[v] += k


@jit(internal=True)
def _set_zero(x, q, v, rows, columns):
    """Tangents of a value that does not depend on what is seeded."""
    flat(matrix(x, q, v, rows, columns))[:] = 0.0
    own_ints(x, q, TANGENT_E)[0, v] = EMPTY


@jit(internal=True)
def _seed_block(x, q, v, rows, columns, first):
    """Tangents of v with respect to itself: columns first.. are seeded."""
    t = matrix(x, q, v, rows, columns)
    flat(t)[:] = 0.0
    for i in range(rows):
        t[i, first + i] = 1.0
    own_ints(x, q, TANGENT_E)[0, v] = 0


@jit(internal=True)
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


@jit(internal=True)
def _linear(x, like, q, op, layer, seeded, place, columns, factor, factor_e, units, key, seed):
    """Tangents of an affine map: factor * W @ tangents, and what is seeded there."""
    v, n_in, e = op[3], value_width(x, op[1], layer), own_ints(x, q, TANGENT_E)[0]
    state = op[1] < x.states.rows
    if not op[7] & ops.HAS_W:  # adds inputs and a bias alone
        flat(matrix(x, q, v, units, columns))[:] = flat(matrix(x, q, op[1], units, columns))
        e[v] = e[op[1]]
    elif e[op[1]] == EMPTY:
        _set_zero(x, q, v, units, columns)
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
        _add_seed(x, q, v, units, columns, place)


@jit(internal=True)
def _add_seed(x, q, v, units, columns, first):
    """Add the seed of a pre-activation to its tangents."""
    e, t = own_ints(x, q, TANGENT_E)[0], matrix(x, q, v, units, columns)
    if e[v] == EMPTY:
        _seed_block(x, q, v, units, columns, first)
        return
    elements, top = flat(t), max(e[v], 0)
    lift(elements, 0, elements.size, max(e[v] - top, -2000))
    for i in range(units):
        t[i, first + i] += power(-top, ONE)
    e[v] = top


@jit(internal=True)
def _scaled_sum(x, q, first, ea, second, eb, out, units, columns):
    """Out = f 2**ea * tangents of first + g 2**eb * tangents of second, row by row.

    f and g (units,) are the last two rows of the scratch.
    """
    e, f, g = own_ints(x, q, TANGENT_E)[0], own_floats(x, q, WORK)[2], own_floats(x, q, WORK)[3]
    u, v = _exponent(e[first], ea), _exponent(e[second], eb)
    top = max(u, v)
    if top == EMPTY:
        _set_zero(x, q, out, units, columns)
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


@jit(internal=True)
def _scaled(x, q, source, out, factors, units, columns):
    """Out = factors (units,) * tangents of source, row by row."""
    a, t = matrix(x, q, source, units, columns), matrix(x, q, out, units, columns)
    for i in range(units):
        f = factors[i]
        for j in range(columns):
            t[i, j] = f * a[i, j]
    own_ints(x, q, TANGENT_E)[0, out] = own_ints(x, q, TANGENT_E)[0, source]
    settle(x, q, out, units, columns)


@jit(internal=True)
def _layer_norm(x, q, source, out, y, ey, scale, shift, units, columns):
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


@jit(internal=True)
def _elementwise(x, like, q, i, layer, c, r, columns):
    """Tangents of operation i, which is not an affine map, for forward row r of condition c."""
    op, units = ints(x.ops)[i], value_width(x, ints(x.ops)[i][3], layer)
    factors = own_floats(x, q, WORK)
    first, second = factors[2], factors[3]
    if op[0] == ops.MAP:
        slopes = slopes_of(x, like, op[7], layer, units)
        for j in range(units):
            first[j] = slopes[r, j]
        _scaled(x, q, op[1], op[3], first, units, columns)
    elif op[0] == ops.AFFINE:
        first[:units] = floats(x.constants)[op[4] * x.conditions + c, 0]
        _scaled(x, q, op[1], op[3], first, units, columns)
    elif op[0] == ops.LAYER_NORM:
        y, e = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)[r]
        for j in range(units):
            first[j] = y[r, j]
        line = op[7] * (x.layers + 1) + layer
        scale, shift = floats(x.norm)[line, r], ints(x.norm_e)[line, r]
        _layer_norm(x, q, op[1], op[3], first, e, scale, shift, units, columns)
    elif op[0] == ops.ADD:
        first[:units], second[:units] = 1.0, 1.0
        _scaled_sum(x, q, op[1], 0, op[2], 0, op[3], units, columns)
    else:
        a, ea = value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)[r]
        b, eb = value(x, like, op[2], layer), exponent_of_value(x, op[2], layer)[r]
        for j in range(units):
            first[j], second[j] = b[r, j], a[r, j]
        _scaled_sum(x, q, op[1], eb, op[2], ea, op[3], units, columns)


@jit(internal=True)
def _output(x, q, v, k, code, units, columns):
    """Tangents of an output row's activations in place of those of its pre-activations."""
    kept, t = floats(x.kept_output), matrix(x, q, v, units, columns)
    slopes = kept[4 * k + 2]
    if code != SOFTMAX:
        _scaled(x, q, v, v, slopes, units, columns)
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


@jit(internal=True)
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


@jit(internal=True)
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
            _set_zero(x, q, ints(x.states)[j, 0], n_in, columns)
        else:
            _seed_block(x, q, ints(x.states)[j, 0], n_in, columns, j * n_in)
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

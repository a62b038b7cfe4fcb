"""Measurement `bounds`: the norm of delta bounded by slopes and spectral norms, layer by layer.

The bound of a cotangent's norm goes back through the table of the cell as the cotangent does: an
affine map multiplies it by the spectral norm of W, an activation by its largest slope, a product
by the largest magnitude of the other factor; where paths meet, bounds add.  For a dense network
that is the product of slopes and spectral norms.  Bounds are (mantissa, exponent).
"""

import numpy as np

from . import ops
from ._jit import jit, unit
from .activations import SOFTMAX
from .measure import entries_of
from .norms import NEARLY_EMPTY, row_square
from .outputs import largest, output_gradient
from .products import RECURRENT, weight_tile
from .program import (  # fmt: skip
    ACTIVE,
    CODE,
    DEPTH,
    HEAD_SCALE,
    HEAD_SCALE_E,
    LOSS_ALL,
    MADE,
    OUTPUT,
    OUTPUT_SLOPE,
    SLOPE,
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
)
from .rows import gamma_of
from .sizes import log10_size, plus, times, together
from .spectral import largest_singular
from .unrolled import state_gradient

SPECTRAL, SLOPE_MAX, LOCAL, WITH_GAMMA = range(4)  # variables of the results
# own arrays: results; a matrix; scratch of Lanczos; spectral norms (map or output; L + 1); bounds
# of the values of a layer (local and with gamma; value) and of the states handed down; a gradient
OUT, MATRIX, BASIS, IMAGE, WORK, NORMS, BOUND, BOUND_E, HANDED, HANDED_E, GRADIENT = range(11)


@jit
def _spectral_norm(x, like, q, m, layer, rows, key, seed):
    """Spectral norm of the first rows of W of map m as drawn, before any scale."""
    n_in = ints(x.layer)[WIDTH, layer - 1]
    flat = own_floats(x, q, MATRIX)[0]
    matrix = flat[: rows * n_in].reshape((rows, n_in))
    tile = ints(x.layer)[TILE, layer]
    for lo in range(0, rows, tile):
        hi = min(lo + tile, ints(x.layer)[MADE, layer])
        w = weight_tile(x, like, RECURRENT, m, layer, lo, hi, 1, key, seed)
        for i in range(min(hi, rows) - lo):
            for j in range(n_in):
                matrix[lo + i, j] = w[i, j]
    work = own_floats(x, q, WORK)
    steps = min(n_in, work.shape[1] - 1)
    basis = own_floats(x, q, BASIS)[0][: (steps + 1) * n_in].reshape((steps + 1, n_in))
    image = own_floats(x, q, IMAGE)[0][:rows]
    return largest_singular(matrix, basis, image, work, ints(x.stop))


@jit
def _spectral_norms(x, like, q, key, seed):
    """Spectral norms of every matrix of the network: of hidden layers, and of output rows."""
    norms, active = own_floats(x, q, NORMS), ints(x.layer)[ACTIVE]
    for i in range(x.ops.rows):
        op = ints(x.ops)[i]
        if op[0] != ops.LINEAR or not op[7] & ops.HAS_W:
            continue
        for layer in range(1, 2 if x.tied else x.layers + 1):
            if ints(x.stop)[0, 0]:
                return
            n = ints(x.layer)[WIDTH, layer]
            if x.recurrent or active[layer + 1] > 0:
                norms[op[4], layer] = _spectral_norm(x, like, q, op[4], layer, n, key, seed)
            if not x.recurrent and op[4] == 0 and active[layer] > active[layer + 1]:
                again = active[layer + 1] > 0 and n == x.n_out
                norms[x.streams.rows, layer] = (
                    norms[0, layer]
                    if again
                    else _spectral_norm(x, like, q, 0, layer, x.n_out, key, seed)
                )


@jit
def _weight_norm(x, q, m, h, layer, at_head):
    """Spectral norm (mantissa, exponent) of a matrix under the condition of head h."""
    norms = own_floats(x, q, NORMS)
    if at_head:
        scale, k = floats(x.head_f)[HEAD_SCALE, h], ints(x.head)[HEAD_SCALE_E, h]
        return times(norms[x.streams.rows, layer], 0, abs(scale), k)
    line = m * x.conditions + ints(x.head)[SOURCE, h]
    raw = norms[m, 1 if x.tied else layer]
    return times(raw, 0, abs(floats(x.scale)[line, layer]), ints(x.scale_e)[line, layer])


@jit
def _add(x, q, t, v, m, e):
    """Add m 2**e to the bound of kind t of value v."""
    bound, bound_e = own_floats(x, q, BOUND), own_ints(x, q, BOUND_E)
    bound[t, v], bound_e[t, v] = plus(bound[t, v], bound_e[t, v], m, e)


@jit
def _factor(x, like, i, t, k, layer):
    """Factor of operation i, which is not an affine map, to its first operand: local or gamma."""
    op, r, c = ints(x.ops)[i], ints(x.row)[0, k], ints(x.head)[SOURCE, k // x.examples]
    if op[0] == ops.MAP:
        if t == 1:
            code = ints(x.condition)[CODE, c] if op[4] < 0 else op[4]
            return gamma_of(x, code, floats(x.condition_f)[SLOPE, c]), 0
        n = ints(x.layer)[WIDTH, layer - ints(x.below)[0, op[3]]]
        return largest(slopes_of(x, like, op[7], layer, n), r), 0
    if op[0] == ops.AFFINE:
        return abs(floats(x.constants)[op[4] * x.conditions + c, 0]), 0
    if op[0] == ops.LAYER_NORM:  # scale times a projection
        line = op[7] * (x.layers + 1) + layer
        return floats(x.norm)[line, r], ints(x.norm_e)[line, r]
    if op[0] == ops.MULTIPLY:
        return _magnitude(x, like, op[2], r, layer)
    return 1.0, 0


@jit
def _magnitude(x, like, v, r, layer):
    """Largest magnitude (mantissa, exponent) of row r of a value."""
    return times(largest(value(x, like, v, layer), r), 0, 1.0, exponent_of_value(x, v, layer)[r])


@jit
def _run_layer(x, like, q, t, k, layer, at_head):
    """Take the bounds of kind t through one layer, backwards; returns that of delta."""
    bound, bound_e = own_floats(x, q, BOUND), own_ints(x, q, BOUND_E)
    delta, delta_e, h = 0.0, 0, k // x.examples
    r = ints(x.row)[0, k]
    for i in range(x.lead if at_head else x.ops.rows - 1, -1, -1):
        op = ints(x.ops)[i]
        m, e = bound[t, op[3]], bound_e[t, op[3]]
        if op[0] == ops.LINEAR:
            if op[7] & ops.IN_DELTA:
                delta, delta_e = together(delta, delta_e, m, e)
            if op[7] & ops.HAS_W:
                norm, norm_e = _weight_norm(x, q, op[4], h, layer, at_head)
                m, e = times(m, e, norm, norm_e)
            _add(x, q, t, op[1], m, e)
            continue
        factor, factor_e = _factor(x, like, i, t, k, layer)
        one, one_e = times(m, e, factor, factor_e)
        if op[0] == ops.ADD:
            _add(x, q, t, op[2], m, e)
        elif op[0] == ops.MULTIPLY:
            factor, factor_e = _magnitude(x, like, op[1], r, layer)
            two, two_e = times(m, e, factor, factor_e)
            _add(x, q, t, op[2], two, two_e)
        _add(x, q, t, op[1], one, one_e)
    return delta, delta_e


@jit
def _hand_down(x, q, t):
    """Make the bounds of the states read those of the states written, one layer below."""
    bound, bound_e = own_floats(x, q, BOUND), own_ints(x, q, BOUND_E)
    handed, handed_e, states = own_floats(x, q, HANDED), own_ints(x, q, HANDED_E), ints(x.states)
    for j in range(x.states.rows):
        handed[0, j], handed_e[0, j] = bound[t, states[j, 0]], bound_e[t, states[j, 0]]
    for v in range(bound.shape[1]):
        bound[t, v], bound_e[t, v] = 0.0, 0
    for j in range(x.states.rows):
        _add(x, q, t, states[j, 1], handed[0, j], handed_e[0, j])


@jit
def _write(x, q, variable, s, seeds, k, layer, number):
    """Write one number of one example, or add it to the mean over examples."""
    out, b = own_floats(x, q, OUT), k % x.examples
    place = (variable * seeds + s) * entries_of(x) + (k if x.each else k // x.examples)
    if x.each:
        out[place, layer - 1] = number
        return
    total = number if b == 0 else out[place, layer - 1] + number
    out[place, layer - 1] = total / x.examples if b == x.examples - 1 else total


@jit
def _layer_slope(x, like, k, layer):
    """Largest |phi'| of all activations of a layer."""
    top = 0.0
    for i in range(x.ops.rows):
        if ints(x.ops)[i, 0] == ops.MAP:
            slope, _ = _factor(x, like, i, 0, k, layer)
            top = max(top, slope)
    return top


@jit
def _layer_norm(x, q, h, layer, at_head):
    """Log10 of the largest spectral norm of the matrices of a layer."""
    top = -np.inf
    for i in range(x.lead + 1 if at_head else x.ops.rows):
        op = ints(x.ops)[i]
        if op[0] == ops.LINEAR and op[7] & ops.HAS_W:
            m, e = _weight_norm(x, q, op[4], h, layer, at_head)
            top = max(top, log10_size(m, e))
    return top


@jit
def _bound_row(x, like, q, s, seeds, k):
    """Bounds of one backward row in every layer."""
    h, bound = k // x.examples, own_floats(x, q, BOUND)
    head, last = ints(x.head), ints(x.head)[DEPTH, h]
    for t in range(2):
        for v in range(bound.shape[1]):
            bound[t, v] = 0.0
    for layer in range(last, 0, -1):
        at_head = not x.recurrent and layer == last
        if at_head:
            norm, norm_e, slope, slope_e = output_gradient(x, own_floats(x, q, GRADIENT), h, k)
            code, leak = head[OUTPUT, h], floats(x.head_f)[OUTPUT_SLOPE, h]
            gamma = 0.5 if code == SOFTMAX else gamma_of(x, code, leak)
            out = ints(x.ops)[x.lead, 3]
            m, e = times(norm, norm_e, slope, slope_e)
            _add(x, q, 0, out, m, e)
            m, e = times(norm, norm_e, gamma, 0)
            _add(x, q, 1, out, m, e)
            _write(x, q, SLOPE_MAX, s, seeds, k, layer, log10_size(slope, slope_e))
        else:
            slope = _layer_slope(x, like, k, layer)
            _write(x, q, SLOPE_MAX, s, seeds, k, layer, log10_size(slope, 0))
        if x.recurrent and (head[LOSS_ALL, h] or layer == last):
            g, eg, _, _ = state_gradient(x, like, k, layer)
            mantissa, size, _ = row_square(g, 0)
            m, e = times(np.sqrt(mantissa), size, 1.0, max(eg, np.int64(NEARLY_EMPTY)))
            for t in range(2):
                _add(x, q, t, ints(x.states)[0, 1], m, e)
        for t in range(2):
            m, e = _run_layer(x, like, q, t, k, layer, at_head)
            _write(x, q, LOCAL + t, s, seeds, k, layer, log10_size(m, e))
            _hand_down(x, q, t)
        _write(x, q, SPECTRAL, s, seeds, k, layer, _layer_norm(x, q, h, layer, at_head))


@unit(optional=True)
def write_bounds(x, like, q, s, seeds, key, seed):
    """Spectral norms, largest slopes and both bounds of one network."""
    _spectral_norms(x, like, q, key, seed)
    for k in range(x.head_rows):
        if ints(x.stop)[0, 0]:
            return
        _bound_row(x, like, q, s, seeds, k)

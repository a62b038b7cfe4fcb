"""The forward pass: the table of a cell, run once a layer for all rows."""

import numpy as np

from . import ops
from ._jit import jit, unit
from .activations import largest_bits
from .draws import draw_bias
from .floats import fma
from .heads import run_heads
from .measure import EXTRA
from .normalize import normalize
from .norms import EMPTY, is_finite, power, rescale_row, row_square
from .products import INPUT, RECURRENT, forward_product
from .program import (  # fmt: skip
    ACTIVE,
    BIAS,
    BIAS_E,
    CODE,
    DRIVE,
    DRIVE_E,
    MADE,
    SLOPE,
    START,
    WIDTH,
    address,
    block,
    exponent_of_value,
    floats,
    ints,
    reals,
    slopes_of,
    value,
)
from .rows import homogeneous
from .signal import write_signal
from .vecmath import exponent_of


@unit
def run_forward(x, like, s, seeds, key, seed):
    """Run every layer (step); leaves values, slopes, norms and output rows in memory."""
    _set_start(x, like)
    for layer in range(1, x.layers + 1):
        if ints(x.stop)[0, 0]:
            return
        ints(x.ticks)[0, 0] += 1
        whole = x.recurrent or ints(x.layer)[ACTIVE, layer + 1] > 0
        for i in range(x.ops.rows if whole else x.lead + 1):  # outputs: the first affine map
            op = ints(x.ops)[i]
            if op[0] == ops.LINEAR:
                _linear(x, like, op, layer, s, seeds, key, seed)
            else:
                _elementwise(x, like, i, layer)
        if whole:
            for q in range(x.states.rows):
                _note_norms(x, like, ints(x.states)[q, 1], layer)
            if x.signal:
                write_signal(x, like, layer, s, seeds)


@jit
def _set_start(x, like):
    """Copy the inputs (MLP) or initial states (RNN) of every row into the first states."""
    for q in range(x.states.rows):
        rows = value(x, like, ints(x.states)[q, 0], 1)
        exponent = ints(x.exponent)[ints(x.index)[ints(x.states)[q, 0], 1]]
        for r in range(x.rows):
            c, b = r // x.examples, r % x.examples
            start = ints(x.condition)[START, c] if x.recurrent else 0
            if q > 0 or start < 0:
                exponent[r] = EMPTY
            else:
                exponent[r] = ints(x.start_e if x.recurrent else x.x_e)[start, b]
            source = reals(x.start if x.recurrent else x.x, like)
            for i in range(rows.shape[1]):
                empty = exponent[r] == EMPTY
                rows[r, i] = like if empty else source[start * x.examples + b, i]
        _note_norms(x, like, ints(x.states)[q, 0], 1)


@jit
def _note_norms(x, like, v, layer):
    """Record the squared norms of a value, and bring its rows back into the window."""
    rows, k = value(x, like, v, layer), ints(x.index)[v, layer]
    exponent, square, square_e = ints(x.exponent)[k], floats(x.square)[k], ints(x.square_e)[k]
    for r in range(rows.shape[0]):
        square[r], size, top = row_square(rows, r)
        square_e[r] = size + exponent[r]
        exponent[r] = rescale_row(rows, r, top, exponent[r])


@jit
def _elementwise(x, like, i, layer):
    """Operation i of the table, which is not an affine map, for all rows of a layer."""
    op = ints(x.ops)[i]
    a, ea = value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)
    out, eo = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)
    if op[0] == ops.MAP:
        slopes = slopes_of(x, like, op[7], layer, out.shape[1])
        for c in range(x.conditions):
            code = ints(x.condition)[CODE, c] if op[4] < 0 else op[4]
            rows = _rows_of(x, c)
            _note_overflow(x, code, a, ea, rows, layer)
            ops.map_forward(x, code, floats(x.condition_f)[SLOPE, c], a, ea, out, eo, slopes, rows)
    elif op[0] == ops.AFFINE:
        for c in range(x.conditions):
            constant, rows = floats(x.constants)[op[4] * x.conditions + c], _rows_of(x, c)
            scale, shift = a.dtype.type(constant[0]), a.dtype.type(constant[1])
            ops.shift_forward(a, ea, scale, shift, out, eo, rows)
    elif op[0] >= ops.LAYER_NORM:
        normalize(x, like, i, layer)
        for r in range(x.rows):
            if ints(x.bad)[0, r] == 0 and not is_finite(largest_bits(out, r), a.itemsize == 4):
                ints(x.bad)[0, r] = layer
    else:
        b, eb = value(x, like, op[2], layer), exponent_of_value(x, op[2], layer)
        if op[0] == ops.ADD:
            ops.add_forward(a, ea, b, eb, out, eo)
        else:
            ops.multiply_forward(a, ea, b, eb, out, eo)


@jit(inline=True)
def _rows_of(x, c):
    """First row of condition c, and the one after its last."""
    return c * x.examples, (c + 1) * x.examples


@jit
def _note_overflow(x, code, z, ez, rows, layer):
    """Note rows whose true pre-activations leave the range of T where phi needs them."""
    limit = 127 if z.itemsize == 4 else 1023
    for r in range(rows[0], rows[1]):
        if ez[r] > 0 and not homogeneous(x, code) and ints(x.bad)[0, r] == 0:
            if exponent_of(largest_bits(z, r)) + ez[r] > limit:
                ints(x.bad)[0, r] = layer


@jit
def _linear(x, like, op, layer, s, seeds, key, seed):
    """Affine map of the cell: one product for all rows, then scale, bias and input drive."""
    m, a = op[4], address(x.store, like, ints(x.address)[op[1], layer])
    has_w = op[7] & ops.HAS_W
    if op[1] >= x.states.rows and has_w:
        _note_norms(x, like, op[1], layer)
    n, again = ints(x.layer)[WIDTH, layer], x.tied and layer > 1
    squares = 1 if x.signal and not again else 0
    if squares:
        _set_counts(x, m, n)
    if has_w:
        forward_product(
            x, like, RECURRENT, m, layer, a, x.rows, x.product.at, again, 2 * squares, key, seed
        )
    if not x.tied:
        draw_bias(x, like, m, layer, key, seed)
    if not x.recurrent and m == 0:  # an output layer is the cell's first affine map alone
        run_heads(x, like, layer, s, seeds)
        if ints(x.layer)[ACTIVE, layer + 1] == 0:
            return
    if x.n_in > 0 and op[7] & ops.HAS_U:
        inputs = address(x.x, like, (layer - 1) * x.examples * x.n_in)
        forward_product(
            x, like, INPUT, m, layer, inputs, x.examples, x.drive.at, again, squares, key, seed
        )
    _affine(x, like, op, layer)


@jit
def _set_counts(x, m, hidden):
    """Ask `forward_product` for the norms of the hidden and output rows of W, and of U."""
    squares = floats(x.weight_square)
    for q in range(3 * m, 3 * m + 3):
        squares[q, 0] = x.n_out if q == 3 * m + 1 else hidden
        squares[q, 1] = 0.0


@jit
def _affine(x, like, op, layer):
    """Z = scale * product + bias + drive for every row; notes the first non-finite layer."""
    made, product = ints(x.layer)[MADE, layer], value(x, like, op[1], layer)
    if op[7] & ops.HAS_W:
        product = block(x.product, like, 0, x.rows, made)
    ea = exponent_of_value(x, op[1], layer)
    z, ez = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)
    e_push = ints(x.batch_e)[EXTRA]
    fed = x.n_in > 0 and op[7] & ops.HAS_U
    push = block(x.push, like, 0, x.examples if fed else 1, z.shape[1])
    for c in range(x.conditions):
        line = op[4] * x.conditions + c
        scale = z.dtype.type(floats(x.scale)[line, layer])
        _set_push(x, like, op, c, layer, push, e_push)
        for b in range(x.examples):
            r = c * x.examples + b
            e = ea[r] + ints(x.scale_e)[line, layer]
            j = b if fed else 0
            ez[r], top = ops.affine_row(product, z, r, scale, e, push, j, e_push[j])
            if ints(x.bad)[0, r] == 0 and not is_finite(top, z.itemsize == 4):
                ints(x.bad)[0, r] = layer


@jit
def _set_push(x, like, op, c, layer, push, e_push):
    """Bias and input drive of condition c, one row an example, and their exponents (examples,)."""
    m, real = op[4], push.dtype.type
    bias, bias_e = floats(x.condition_f)[BIAS, c], ints(x.condition)[BIAS_E, c]
    if bias == 0.0 or not op[7] & ops.HAS_B:
        bias, bias_e = 0.0, np.int64(EMPTY)
    standard = block(x.bias, like, _bias_start(x, m, layer), 1, push.shape[1])
    if x.n_in == 0 or not op[7] & ops.HAS_U:
        if bias != 0.0:
            for i in range(push.shape[1]):
                push[0, i] = real(bias) * standard[0, i]
        e_push[0] = bias_e
        _add_shift(x, m, c, push, 0, e_push)
        return
    drive, drive_e = floats(x.condition_f)[DRIVE, c], ints(x.condition)[DRIVE_E, c]
    fed = block(x.drive, like, 0, x.examples, push.shape[1])
    for b in range(x.examples):
        top = max(bias_e, drive_e + ints(x.x_e)[layer - 1, b])
        e_push[b] = top
        constant = real(bias * power(bias_e - top, bias))
        factor = real(drive * power(drive_e + ints(x.x_e)[layer - 1, b] - top, drive))
        for i in range(push.shape[1]):
            push[b, i] = constant * standard[0, i] + factor * fed[b, i]
        _add_shift(x, m, c, push, b, e_push)


@jit
def _add_shift(x, m, c, push, b, e_push):
    """Add to row b of the push what biases hold beside their draws: a number, and chrono biases."""
    shift, shift_e = floats(x.shift)[m, c], ints(x.shift_e)[m, c]
    span, old_e, real = floats(x.chrono_span)[m, 0], e_push[b], push.dtype.type
    if shift == 0.0 and span == 0.0:
        return
    top = max(old_e, shift_e, 0) if span != 0.0 else max(old_e, shift_e)
    old, chrono = power(old_e - top, real(0)), floats(x.chrono)[m]
    shift, unit = shift * power(shift_e - top, shift), power(-top, shift) if span != 0.0 else 0.0
    for i in range(push.shape[1]):
        rest = real(0) if old_e == EMPTY else push[b, i] * old  # an empty row is not written
        push[b, i] = rest + real(fma(unit, chrono[i], shift))
    e_push[b] = top


@jit
def _bias_start(x, m, layer):
    """Where the standard biases of map m lie: given ones are kept for every layer."""
    return (m * (x.layers + 1) + layer if x.given else m) * x.widest

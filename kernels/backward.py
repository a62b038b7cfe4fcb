"""The backward pass: the table of a cell, run once a layer through its vector-Jacobian products.

Backward rows are heads x examples, the deepest heads first, so that the rows of a layer are the
first ones.  Cotangents live for one layer; what a layer hands down changes place, not memory.
"""

from . import ops
from ._jit import jit, unit
from .activations import largest_bits
from .kept import keep_cotangents
from .measure import (
    INPUT,
    ROW_DELTA,
    clear_layer,
    delta_rows,
    entries_of,
    mean_row_norm,
    write_layer,
)  # fmt: skip
from .normalize import normalize_vjp
from .norms import EMPTY, lift_row
from .products import INPUT as U
from .products import RECURRENT as W
from .products import backward_product
from .program import (  # fmt: skip
    ACTIVE,
    CODE,
    DRIVE,
    DRIVE_E,
    HEAD_SCALE,
    HEAD_SCALE_E,
    SOURCE,
    WIDTH,
    address,
    block,
    cotangent,
    floats,
    ints,
    reals,
    slopes_of,
    value,
    value_width,
)
from .rows import never_zero
from .totals import add_untied, finish
from .unrolled import enter


@unit
def run_backward(x, like, s, seeds, key, seed):
    """Run every layer (step) from the last to the first and write the gradient norms."""
    place, active = ints(x.place), ints(x.layer)[ACTIVE]
    for v in range(x.place.columns):
        place[0, v], place[1, v] = v * x.head_rows * x.widest, v
    for layer in range(x.layers, 0, -1):
        if ints(x.stop)[0, 0]:
            return
        ints(x.ticks)[0, 0] += 1
        heads = active[layer]
        inner = heads if x.recurrent else active[layer + 1]  # heads that run the whole cell
        if x.recurrent:
            enter(x, like, layer, s)
        clear_layer(x, heads)
        _empty_heads(x, inner, heads)
        for i in range(x.ops.rows - 1, -1, -1):
            op = ints(x.ops)[i]
            if op[0] != ops.LINEAR:
                _elementwise(x, like, i, layer, heads if i < x.lead else inner)
                continue
            if inner > 0:
                delta_rows(x, like, i, layer, 0, inner, 0)
                _linear(x, like, op, layer, inner, key, seed)
            if op[4] == 0 and heads > inner:
                delta_rows(x, like, i, layer, inner, heads, 1)
                _head_linear(x, like, op, layer, inner, heads, key, seed)
        if x.keep_cotangents:
            keep_cotangents(x, like, layer, heads)
        _note_zeros(x, like, layer, inner, heads)
        write_layer(x, like, s, seeds, layer, heads)
        if x.n_in > 0:
            _write_input_norms(x, like, layer, s, seeds, heads)
        if x.totals and not x.tied:
            add_untied(x, heads)
        _hand_down(x, like, layer, heads)
    finish(x, like, s, seeds)


@jit
def _empty_heads(x, inner, heads):
    """Heads that end in this layer run a part of the cell; the rest of it hands them nothing."""
    for v in range(x.place.columns):
        exponent = ints(x.cotangent_e)[ints(x.place)[1, v]]
        for k in range(inner * x.examples, heads * x.examples):
            exponent[k] = EMPTY


@jit
def _elementwise(x, like, i, layer, heads):
    """Vector-Jacobian product of operation i, which is not an affine map."""
    op = ints(x.ops)[i]
    count, n = heads * x.examples, value_width(x, op[3], layer)
    co, eo = cotangent(x, like, op[3], count, n)
    ci, ei = cotangent(x, like, op[1], count, n)
    tmp, rows, index = reals(x.scratch, like), ints(x.row)[0], ints(x.index)
    if op[0] == ops.MAP:
        ops.map_vjp(slopes_of(x, like, op[7], layer, n), rows, co, eo, ci, ei, op[5], tmp)
    elif op[0] == ops.AFFINE:
        for h in range(heads):
            line = op[4] * x.conditions + ints(x.head)[SOURCE, h]
            scale = co.dtype.type(floats(x.constants)[line, 0])
            part = (h * x.examples, (h + 1) * x.examples)
            ops.scale_vjp(scale, co, eo, ci, ei, op[5], tmp, part)
    elif op[0] >= ops.LAYER_NORM:
        normalize_vjp(x, like, i, layer, heads)
    else:
        cj, ej = cotangent(x, like, op[2], count, n)
        if op[0] == ops.ADD:
            ops.pass_vjp(co, eo, ci, ei, op[5])
            ops.pass_vjp(co, eo, cj, ej, op[6])
        else:
            a, ea = value(x, like, op[1], layer), ints(x.exponent)[index[op[1], layer]]
            b, eb = value(x, like, op[2], layer), ints(x.exponent)[index[op[2], layer]]
            ops.multiply_vjp(b, eb, rows, co, eo, ci, ei, op[5], tmp)
            ops.multiply_vjp(a, ea, rows, co, eo, cj, ej, op[6], tmp)


@jit
def _linear(x, like, op, layer, inner, key, seed):
    """Affine map for the heads that run the whole cell: delta @ W."""
    m, count, widths = op[4], inner * x.examples, ints(x.layer)[WIDTH]
    d, ed = cotangent(x, like, op[3], count, widths[layer])
    n_in, at = value_width(x, op[1], layer), address(x.cotangents, like, ints(x.place)[0, op[3]])
    if x.n_in > 0 and op[7] & ops.HAS_U:
        backward_product(x, like, U, m, layer, at, count, d.shape[1], key, seed)
        _input_linear(x, like, m, d, ed)
    if not op[7] & ops.HAS_W:
        ci, ei = cotangent(x, like, op[1], count, n_in)
        ops.pass_vjp(d, ed, ci, ei, op[5])
        return
    backward_product(x, like, W, m, layer, at, count, d.shape[1], key, seed)
    product = block(x.product, like, 0, count, n_in)
    ci, ei = cotangent(x, like, op[1], count, n_in)
    scale, scale_e, tmp = floats(x.scale), ints(x.scale_e), reals(x.scratch, like)
    for k in range(count):
        i = m * x.conditions + ints(x.head)[SOURCE, k // x.examples]
        e, factor = ed[k] + scale_e[i, layer], d.dtype.type(scale[i, layer])
        ei[k] = ops.scale_row_vjp(product, ci, k, factor, e, ei[k], op[5], tmp)


@jit
def _input_linear(x, like, m, d, ed):
    """Set or add delta @ U of one affine map: the gradient with respect to the step's inputs."""
    product = block(x.product, like, 0, d.shape[0], x.n_in)
    ci, ei, tmp = (
        reals(x.input_cotangents, like),
        ints(x.input_cotangent_e)[0],
        reals(x.scratch, like),
    )
    for k in range(d.shape[0]):
        c = ints(x.head)[SOURCE, k // x.examples]
        e = ed[k] + ints(x.condition)[DRIVE_E, c]
        factor = d.dtype.type(floats(x.condition_f)[DRIVE, c])
        ei[k] = ops.scale_row_vjp(product, ci, k, factor, e, ei[k], m < x.last_drive, tmp)


@jit
def _write_input_norms(x, like, layer, s, seeds, heads):
    """Norm of dC/dx_t of every result."""
    rows, e = reals(x.input_cotangents, like), ints(x.input_cotangent_e)[0]
    out, entries = floats(x.layered), entries_of(x)
    for i in range(heads * x.examples if x.each else heads):
        h, b = (i // x.examples, i % x.examples) if x.each else (i, -1)
        norm = mean_row_norm(x, rows, e, h, b)
        out[(INPUT * seeds + s) * entries + i, layer - 1] = norm


@jit
def _head_linear(x, like, op, layer, inner, heads, key, seed):
    """Output rows of the heads whose depth is this layer: they enter here, with their own delta."""
    first, count = inner * x.examples, (heads - inner) * x.examples
    ed, n_in = ints(x.delta_e)[0, first:], value_width(x, op[1], layer)
    at = address(x.delta, like, first * x.n_out)
    backward_product(x, like, W, op[4], layer, at, count, x.n_out, key, seed)
    product = block(x.product, like, 0, count, n_in)
    ci, ei = cotangent(x, like, op[1], first + count, n_in)
    scale, scale_e = floats(x.head_f)[HEAD_SCALE], ints(x.head)[HEAD_SCALE_E]
    for k in range(count):
        h = inner + k // x.examples
        factor = ci.dtype.type(scale[h])
        for i in range(ci.shape[1]):
            ci[first + k, i] = factor * product[k, i]
        ei[first + k] = ed[k] + scale_e[h]


@jit
def _note_zeros(x, like, layer, inner, heads):
    """Status of the rows whose delta became exactly 0 in this layer: dead (1) or underflow (3)."""
    zero, acc = ints(x.zero), floats(x.acc)[ROW_DELTA]
    for k in range(heads * x.examples):
        if acc[k] != 0.0 or zero[1, k] != 0:
            continue
        zero[0, k], zero[1, k] = layer, 1
        if k >= inner * x.examples:
            zero[1, k] = ints(x.zero_head)[0, k]
        elif _underflowed(x, like, layer, inner, k):
            zero[1, k] = 3


@jit
def _underflowed(x, like, layer, inner, k):
    """Whether an activation of the cell lost a cotangent that is not truly 0."""
    for i in range(x.ops.rows):
        op = ints(x.ops)[i]
        if op[0] == ops.MAP:
            c = ints(x.head)[SOURCE, k // x.examples]
            code = ints(x.condition)[CODE, c] if op[4] < 0 else op[4]
            n = value_width(x, op[3], layer)
            rows, _ = cotangent(x, like, op[3], inner * x.examples, n)
            slopes = slopes_of(x, like, op[7], layer, n)
            if ops.underflowed(slopes, ints(x.row)[0, k], rows, k, never_zero(x, code)):
                return True
    return False


@jit
def _hand_down(x, like, layer, heads):
    """Make the cotangents of the states read those of the states written, one layer below."""
    place = ints(x.place)
    for q in range(x.states.rows):
        read, written = ints(x.states)[q, 0], ints(x.states)[q, 1]
        for i in range(2):
            place[i, read], place[i, written] = place[i, written], place[i, read]
        n = ints(x.layer)[WIDTH, layer - 1]
        rows, e = cotangent(x, like, written, heads * x.examples, n)
        for k in range(rows.shape[0]):
            e[k] = lift_row(rows, k, largest_bits(rows, k), e[k])

"""Per-layer measurements of the backward pass: they read the rows of a layer while in cache.

Squared norms of the layer are gathered in ``acc`` over the affine maps of the cell, and written
as logarithms when the layer is done.
"""

import numpy as np

from . import ops
from ._jit import jit, unit
from .batch import common_rows, mean_square, outer_square, unit_rows
from .norms import add_squares, log10_norm, power, rescale_row, row_square
from .program import DEPTH, WIDTH, block, cotangent, floats, ints, reals, value

# variables of `layered`, `scalar`, and of both signals
DELTA, BIAS, WEIGHT, RECURRENT, INPUT_WEIGHT, INPUT = range(6)
LOSS, INPUT_GRADIENT, TOTAL = range(3)
WEIGHT_NORM, Z_SQUARE, A_SQUARE, SATURATED, INACTIVE, DEAD = range(6)
# rows of `acc`: squared norms per backward row; of `acc_mean`: per head
ROW_DELTA, ROW_WEIGHT, ROW_INPUT_WEIGHT = range(3)
MEAN_BIAS, MEAN_WEIGHT, MEAN_INPUT_WEIGHT = range(3)
# rows of `batch_e`
SIZES, EXTRA, ROWS, NONE, COUNT, OTHER_ROWS = range(6)


@jit
def log10_scaled(square, scale, exponent):
    """log10 of sqrt(square) * |scale| * 2**exponent."""
    return log10_norm(square * scale * scale, exponent)


@jit
def true_square(x, r, e):
    """Squared norm of the true row x[r] * 2**e; inf or 0 outside the range of float64."""
    mantissa, exponent, _ = row_square(x, r)
    if np.isnan(mantissa):  # a value has left the range
        return np.inf
    half = power(exponent + e, mantissa)
    return mantissa * half * half


@jit
def add_shares(slopes, r, gamma, never_zero, counts):
    """Add the units of row r with |phi'| < 1e-3 gamma, and with phi' = 0, to counts (2,).

    A 0 where the slope is never zero is one that is too small for a float.
    """
    limit = slopes.dtype.type(1e-3 * gamma)
    for i in range(slopes.shape[1]):
        counts[0] += abs(slopes[r, i]) < limit
        counts[1] += not never_zero and slopes[r, i] == 0


@jit
def dead_units(a, slopes, lo, hi, never_zero):
    """Number of units that are dead (a = phi' = 0) in every row of lo..hi."""
    dead = 0
    for i in range(a.shape[1]):
        alive = never_zero
        for r in range(lo, hi):
            alive = alive or a[r, i] != 0 or slopes[r, i] != 0
        dead += not alive
    return dead


@jit
def _add(acc, acc_e, q, k, mantissa, exponent):
    """acc[q, k] += a squared norm."""
    acc[q, k], acc_e[q, k] = add_squares(acc[q, k], acc_e[q, k], mantissa, exponent)


@jit
def clear_layer(x, heads):
    """Forget the squared norms of the layer before."""
    acc, acc_e, mean, mean_e = floats(x.acc), ints(x.acc_e), floats(x.acc_mean), ints(x.acc_mean_e)
    for q in range(3):
        for k in range(heads * x.examples):
            acc[q, k], acc_e[q, k] = 0.0, 0
        for h in range(heads):
            mean[q, h], mean_e[q, h] = 0.0, 0


@unit
def delta_rows(x, like, i, layer, first, last, at_head):
    """Gather the squared norms of the affine map of operation i, for heads first..last.

    Its delta lies in `delta` where the heads end in this layer, else with the cotangents.
    """
    op, widths = ints(x.ops)[i], ints(x.layer)[WIDTH]
    if at_head:
        start, count = first * x.examples, (last - first) * x.examples
        d = block(x.delta, like, start * x.n_out, count, x.n_out)
        ed = ints(x.delta_e)[0, start:]
    else:
        d, ed = cotangent(x, like, op[3], last * x.examples, widths[layer])
    a, line = value(x, like, op[1], layer), ints(x.index)[op[1], layer]
    step = layer - 1 if x.n_in > 0 else -1
    if x.keep_delta:
        _keep(x, like, op[4], layer, d, ed, first)
    size, acc, acc_e = ints(x.batch_e)[SIZES], floats(x.acc), ints(x.acc_e)
    square, square_e, rows = floats(x.square)[line], ints(x.square_e)[line], ints(x.row)[0]
    alone = x.each or x.examples == 1
    counted, has_w, has_u = op[7] & ops.IN_DELTA, op[7] & ops.HAS_W, op[7] & ops.HAS_U
    for h in range(first, last):
        for b in range(x.examples):
            k = h * x.examples + b
            j = k - first * x.examples
            mantissa, exponent, top = row_square(d, j)
            exponent += ed[j]
            ed[j] = rescale_row(d, j, top, ed[j])  # its product with W keeps all digits
            size[j] = exponent
            if counted:
                _add(acc, acc_e, ROW_DELTA, k, mantissa, exponent)
            if alone and has_w:
                r = rows[k]
                _add(acc, acc_e, ROW_WEIGHT, k, mantissa * square[r], exponent + square_e[r])
            if alone and has_u and step >= 0:
                part = mantissa * floats(x.x_square)[step, b]
                _add(acc, acc_e, ROW_INPUT_WEIGHT, k, part, exponent + ints(x.x_square_e)[step, b])
        if not alone:
            _batch_rows(x, like, op, d, ed, h, first, a, line, step)


@jit
def _keep(x, like, m, layer, d, ed, first):
    """Store the delta rows of heads first.. for the total gradient or for the caller."""
    kept, kept_e = reals(x.kept, like), ints(x.kept_e)
    for k in range(d.shape[0]):
        h, b = first + k // x.examples, k % x.examples
        line = (m * x.heads + h) * x.layers + layer - 1
        kept_e[line, b] = ed[k]
        for i in range(d.shape[1]):
            kept[line * x.examples + b, i] = d[k, i]


@jit
def _batch_rows(x, like, op, d, ed, h, first, a, line, step):
    """Gather the squared norms of the gradients of one head's mean over examples."""
    count, lists, acc, acc_e = x.examples, ints(x.batch_e), floats(x.acc_mean), ints(x.acc_mean_e)
    rows_d, size, none = lists[ROWS, :count], lists[SIZES], lists[NONE, :count]
    for b in range(count):
        rows_d[b] = (h - first) * count + b
    share = 1.0 / count**2
    if op[7] & ops.IN_DELTA:
        scaled = block(x.batch, like, 0, count, d.shape[1])
        top = common_rows(d, ed, size, none, rows_d, scaled)
        mantissa, exponent = mean_square(
            scaled, block(x.batch, like, count * d.shape[1], 1, d.shape[1])
        )
        _add(acc, acc_e, MEAN_BIAS, h, mantissa * share, exponent + top)
    if op[7] & ops.HAS_W:
        rows_a = ints(x.row)[0, h * count : (h + 1) * count]
        ea, sa = ints(x.exponent)[line], ints(x.square_e)[line]
        mantissa, exponent = outer_mean(x, like, d, ed, size, rows_d, a, ea, sa, rows_a)
        _add(acc, acc_e, MEAN_WEIGHT, h, mantissa * share, exponent)
    if step >= 0 and op[7] & ops.HAS_U:
        inputs = block(x.x, like, step * count * x.n_in, count, x.n_in)
        ex, sx, rows_x = ints(x.x_e)[step], ints(x.x_square_e)[step], lists[COUNT, :count]
        mantissa, exponent = outer_mean(x, like, d, ed, size, rows_d, inputs, ex, sx, rows_x)
        _add(acc, acc_e, MEAN_INPUT_WEIGHT, h, mantissa * share, exponent)


@jit
def outer_mean(x, like, d, ed, size_d, rows_d, a, ea, size_a, rows_a):
    """Squared norm (mantissa, exponent) of sum_b d_b a_b^T over the rows named."""
    count, units, n_in = rows_d.size, d.shape[1], a.shape[1]
    scaled_d = block(x.batch, like, 0, count, units)
    scaled_a = block(x.batch, like, count * units, count, n_in)
    start = count * (units + n_in)
    space = block(x.batch, like, start, 1, x.batch.columns - start)
    unit_rows(a, ea, size_a, rows_a, scaled_a)
    extra = ints(x.batch_e)[EXTRA, :count]
    for b in range(count):
        extra[b] = size_a[rows_a[b]]
    top = common_rows(d, ed, size_d, extra, rows_d, scaled_d)
    mantissa, exponent = outer_square(scaled_d, scaled_a, x.outer_tile, space, ints(x.stop))
    return mantissa, exponent + top


@jit
def _write_weights(x, base, layer, seeds, entries, acc, acc_e, q, k):
    """Write the weight norms of one result: row q of acc holds W, row q + 1 the input weights."""
    out, step = floats(x.layered), seeds * entries
    norm = log10_norm(acc[q, k], acc_e[q, k])
    if x.recurrent:
        out[RECURRENT * step + base, layer - 1] = norm
    if x.n_in > 0:
        out[INPUT_WEIGHT * step + base, layer - 1] = log10_norm(acc[q + 1, k], acc_e[q + 1, k])
        mantissa, exponent = add_squares(acc[q, k], acc_e[q, k], acc[q + 1, k], acc_e[q + 1, k])
        norm = log10_norm(mantissa, exponent)
    out[WEIGHT * step + base, layer - 1] = norm


@jit
def entries_of(x):
    """Results of one network: heads, or heads x examples."""
    return x.head_rows if x.each else x.heads


@unit
def write_layer(x, like, s, seeds, layer, heads):
    """Write the gathered norms of one layer as log10, averaged over examples.

    The weight gradient of a batch mean is one number a head; delta is a mean of logs.
    """
    out, acc, acc_e = floats(x.layered), floats(x.acc), ints(x.acc_e)
    mean, mean_e = floats(x.acc_mean), ints(x.acc_mean_e)
    entries = entries_of(x)
    alone, step = x.each or x.examples == 1, seeds * entries
    for h in range(heads):
        total = 0.0
        for b in range(x.examples):
            k = h * x.examples + b
            delta = log10_norm(acc[ROW_DELTA, k], acc_e[ROW_DELTA, k])
            total += delta
            if alone:
                base = s * entries + k
                out[DELTA * step + base, layer - 1] = delta
                out[BIAS * step + base, layer - 1] = delta
                _write_weights(x, base, layer, seeds, entries, acc, acc_e, ROW_WEIGHT, k)
        if not alone:
            base = s * entries + h
            out[DELTA * step + base, layer - 1] = total / x.examples
            out[BIAS * step + base, layer - 1] = log10_norm(
                mean[MEAN_BIAS, h], mean_e[MEAN_BIAS, h]
            )
            _write_weights(x, base, layer, seeds, entries, mean, mean_e, MEAN_WEIGHT, h)


@jit
def mean_row_norm(x, rows, exponent, h, b):
    """log10 norm of one example's row of a head, or its mean over examples where b < 0."""
    total = 0.0
    lo, hi = (0, x.examples) if b < 0 else (b, b + 1)
    for i in range(lo, hi):
        mantissa, e, _ = row_square(rows, h * x.examples + i)
        total += log10_norm(mantissa, e + exponent[h * x.examples + i])
    return total / (hi - lo)


@unit
def write_status(x, like, s, seeds):
    """Status of each result: the most severe of its examples (2, then 3, then 1)."""
    bad, bad_head, zero, rows = ints(x.bad)[0], ints(x.bad_head)[0], ints(x.zero), ints(x.row)[0]
    entries = entries_of(x)
    for h in range(x.heads):
        depth = ints(x.head)[DEPTH, h]
        worst, layer = 0, 0
        for b in range(x.examples):
            k = h * x.examples + b
            at, code = zero[0, k], zero[1, k]
            first = bad[rows[k]]
            if first > (depth if x.recurrent else depth - 1):
                first = 0  # beyond this head's own output
            first = bad_head[k] if first == 0 else first
            if first > 0:
                at, code = first, 2
            if x.each:
                _set_status(x, s, seeds, entries, k, code, at)
            elif _severity(code) > _severity(worst) or (code == worst and at > layer):
                worst, layer = code, at
        if not x.each:
            _set_status(x, s, seeds, entries, h, worst, layer)


@jit
def _severity(status):
    """Order of the status codes: 0 ok, 1 dead, 3 underflow, 2 non-finite."""
    return 3 if status == 2 else (2 if status == 3 else status)


@jit
def _set_status(x, s, seeds, entries, e, status, layer):
    """Write one status; a non-finite forward value leaves no gradient."""
    ints(x.status)[s * entries + e, 0] = status
    ints(x.status)[s * entries + e, 1] = layer
    if status != 2:
        return
    layered, scalar, states = floats(x.layered), floats(x.scalar), floats(x.state_norm)
    for q in range(6):
        for i in range(layered.shape[1]):
            layered[(q * seeds + s) * entries + e, i] = np.nan
    for q in range(3):
        scalar[q * seeds + s, e] = np.nan
    slots = x.state_norm.rows // max(x.cells, 1)
    for q in range(x.cells):
        for i in range(states.shape[1]):
            states[q * slots + s * entries + e, i] = np.nan

"""What is known when a backward pass is done: costs, far-end gradients, totals over steps."""

import numpy as np

from . import losses, ops
from ._jit import jit, unit
from .activations import largest_bits
from .measure import (
    INPUT_GRADIENT,
    LOSS,
    OTHER_ROWS,
    ROW_INPUT_WEIGHT,
    ROW_WEIGHT,
    ROWS,
    SIZES,
    TOTAL,
    entries_of,
    mean_row_norm,
    outer_mean,
)  # fmt: skip
from .norms import EMPTY, add_squares, log10_norm
from .program import DEPTH, WIDTH, block, cotangent, floats, ints, reals
from .sizes import plus
from .unrolled import write_states
from .vecmath import exponent_of


@jit
def add_untied(x, heads):
    """Add the squared weight gradients of one untied step to the total over steps."""
    alone = x.each or x.examples == 1
    acc = floats(x.acc if alone else x.acc_mean)
    acc_e = ints(x.acc_e if alone else x.acc_mean_e)
    total, total_e = floats(x.total)[0], ints(x.total_e)[0]
    for q in range(ROW_WEIGHT, ROW_INPUT_WEIGHT + 1):
        for k in range(heads * x.examples if alone else heads):
            total[k], total_e[k] = add_squares(total[k], total_e[k], acc[q, k], acc_e[q, k])


@jit
def _tied_total(x, like, h, first, count):
    """Squared norm of the gradient of the shared weights, for examples first..first + count."""
    steps, n, lists = ints(x.head)[DEPTH, h], x.n_out, ints(x.batch_e)
    size, rows_d = lists[SIZES], lists[ROWS, : steps * count]
    rows_a, rows = lists[OTHER_ROWS, : steps * count], ints(x.row)[0]
    total, total_e = 0.0, 0
    for i in range(x.ops.rows):
        op = ints(x.ops)[i]
        if op[0] != ops.LINEAR:
            continue
        line = (op[4] * x.heads + h) * x.layers
        d = block(x.kept, like, line * x.examples * x.widest, x.layers * x.examples, n)
        ed = ints(x.kept_e)[line : line + x.layers].reshape(x.layers * x.examples)
        for t in range(steps):
            for b in range(count):
                j, k = t * count + b, t * x.examples + first + b
                rows_d[j], rows_a[j] = k, t * x.rows + rows[h * x.examples + first + b]
                size[k] = exponent_of(largest_bits(d, k)) + ed[k]
        if op[7] & ops.HAS_W:
            a = block(x.store, like, ints(x.address)[op[1], 1], steps * x.rows, n)
            at = ints(x.index)[op[1], 1]
            ea = ints(x.exponent)[at : at + steps].reshape(steps * x.rows)
            sa = ints(x.square_e)[at : at + steps].reshape(steps * x.rows)
            part, part_e = outer_mean(x, like, d, ed, size, rows_d, a, ea, sa, rows_a)
            total, total_e = add_squares(total, total_e, part, part_e)
        if x.n_in > 0 and op[7] & ops.HAS_U:
            ex = ints(x.x_e).reshape(x.x_e.rows * x.examples)
            sx = ints(x.x_square_e).reshape(x.x_e.rows * x.examples)
            inputs = reals(x.x, like)
            part, part_e = outer_mean(x, like, d, ed, size, rows_d, inputs, ex, sx, rows_d)
            total, total_e = add_squares(total, total_e, part, part_e)
    return total, total_e


@unit
def finish(x, like, s, seeds):
    """Costs, the gradient at the far end (inputs or initial state), and total weight gradients."""
    rows, e = cotangent(x, like, ints(x.states)[0, 1], x.head_rows, ints(x.layer)[WIDTH, 0])
    if x.recurrent:
        write_states(x, like, x.heads, 0, s)
    cost, cost_e, scalar = floats(x.cost)[0], ints(x.cost_e)[0], floats(x.scalar)
    for h in range(x.heads):
        mantissa, exponent = 0.0, np.int64(EMPTY)
        for b in range(x.examples):
            k = h * x.examples + b
            mantissa, exponent = plus(mantissa, exponent, cost[k], cost_e[k])
            if x.each:
                scalar[LOSS * seeds + s, k] = losses.log10_cost(cost[k], cost_e[k])
        if not x.each:
            mean = losses.log10_cost(mantissa / x.examples, exponent)
            scalar[LOSS * seeds + s, h] = mean
    for i in range(entries_of(x)):
        h, b = (i // x.examples, i % x.examples) if x.each else (i, -1)
        if not x.recurrent:
            norm = mean_row_norm(x, rows, e, h, b)
            scalar[INPUT_GRADIENT * seeds + s, i] = norm
        if x.totals:
            scalar[TOTAL * seeds + s, i] = _log10_total(x, like, i, h, b)


@jit
def _log10_total(x, like, i, h, b):
    """log10 norm of the gradient of all weights of the run, over its steps, of one result."""
    if not x.tied:
        return log10_norm(floats(x.total)[0, i], ints(x.total_e)[0, i])
    count = x.examples if b < 0 else 1
    mantissa, exponent = _tied_total(x, like, h, max(b, 0), count)
    return log10_norm(mantissa / count**2, exponent)

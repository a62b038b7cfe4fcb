"""What only unrolled networks have: costs on states, and norms of dC/dh at every step."""

from . import losses
from ._jit import jit, unit
from .activations import largest_bits
from .heads import output_row, target_row
from .measure import entries_of, mean_row_norm
from .norms import EMPTY, add_row, add_squares, lift_row, log10_norm, narrow_row, row_square
from .program import ACTIVE, DEPTH, LOSS, LOSS_ALL, cotangent, floats, ints, reals, slopes_of, value
from .sizes import plus


@unit
def enter(x, like, step, s):
    """Start the heads whose last step this is, add the cost of this step, note the norms."""
    active = ints(x.layer)[ACTIVE]
    for q in range(x.states.rows):
        rows, e = cotangent(x, like, ints(x.states)[q, 1], active[step] * x.examples, x.n_out)
        for k in range(active[step + 1] * x.examples, rows.shape[0]):
            e[k] = EMPTY
            for i in range(x.n_out):
                rows[k, i] = 0
    rows, e = cotangent(x, like, ints(x.states)[0, 1], active[step] * x.examples, x.n_out)
    head, scratch = ints(x.head), reals(x.scratch, like)
    for k in range(rows.shape[0]):
        h = k // x.examples
        if head[LOSS_ALL, h] or head[DEPTH, h] == step:
            g, eg = _state_cost(x, like, k, step)
            e[k] = add_row(rows, k, e[k], scratch, 0, narrow_row(g, scratch, 0, eg))
            e[k] = lift_row(rows, k, largest_bits(rows, k), e[k])
    write_states(x, like, active[step], step, s)


@jit
def _state_cost(x, like, k, step):
    """Add the cost of backward row k at a step; returns its gradient (1, unit) and exponent."""
    g, eg, part, part_e = state_gradient(x, like, k, step)
    cost, cost_e = floats(x.cost)[0], ints(x.cost_e)[0]
    cost[k], cost_e[k] = plus(cost[k], cost_e[k], part, part_e)
    return g, eg


@jit
def state_gradient(x, like, k, step):
    """Gradient (1, unit) of the cost of backward row k at a step, its exponent, and the cost."""
    h, r, written = k // x.examples, ints(x.row)[0, k], ints(x.states)[0, 1]
    state, es = value(x, like, written, step), ints(x.exponent)[ints(x.index)[written, step]]
    h64, slopes, g = output_row(x, 1), output_row(x, 2), output_row(x, 3)
    for i in range(x.n_out):
        h64[0, i] = state[r, i]
    if x.cost_slot >= 0:
        source = slopes_of(x, like, x.cost_slot, step, x.n_out)
        for i in range(x.n_out):
            slopes[0, i] = source[r, i]
    y = target_row(x, h, k % x.examples, step)
    eg, part, part_e = losses.state_cost(ints(x.head)[LOSS, h], h64, es[r], slopes, y, g)
    return g, eg, part, part_e


@jit
def write_states(x, like, heads, step, s):
    """Norms of dC/d(state) after a step (0: of the initial state): of h; of c and of both."""
    out, entries = floats(x.state_norm), entries_of(x)
    slots = x.state_norm.rows // max(x.cells, 1)
    for q in range(min(x.cells, 2)):
        rows, e = cotangent(x, like, ints(x.states)[q, 1], heads * x.examples, x.n_out)
        for i in range(heads * x.examples if x.each else heads):
            h, b = (i // x.examples, i % x.examples) if x.each else (i, -1)
            out[q * slots + s * entries + i, step] = mean_row_norm(x, rows, e, h, b)
    if x.cells < 3:
        return
    h_rows, e_h = cotangent(x, like, ints(x.states)[0, 1], heads * x.examples, x.n_out)
    c_rows, e_c = cotangent(x, like, ints(x.states)[1, 1], heads * x.examples, x.n_out)
    for i in range(heads * x.examples if x.each else heads):
        lo, hi = (i, i + 1) if x.each else (i * x.examples, (i + 1) * x.examples)
        total = 0.0
        for k in range(lo, hi):
            m1, e1, _ = row_square(h_rows, k)
            m2, e2, _ = row_square(c_rows, k)
            mantissa, exponent = add_squares(m1, e1 + e_h[k], m2, e2 + e_c[k])
            total += log10_norm(mantissa, exponent)
        out[2 * slots + s * entries + i, step] = total / (hi - lo)

"""What only unrolled networks have: costs on states, and norms of dC/dh at every step."""

from . import losses
from ._jit import jit, unit
from .activations import largest_bits
from .heads import output_row, target_row
from .measure import entries_of, mean_row_norm
from .norms import EMPTY, add_row, lift_row, narrow_row
from .program import ACTIVE, DEPTH, LOSS, LOSS_ALL, cotangent, floats, ints, reals, slopes_of, value


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
    write_states(x, rows, e, step, s)


@jit(internal=True)
def _state_cost(x, like, k, step):
    """Add the cost of backward row k at a step; returns its gradient (1, unit) and exponent."""
    h, r, written = k // x.examples, ints(x.row)[0, k], ints(x.states)[0, 1]
    state, es = value(x, like, written, step), ints(x.exponent)[ints(x.index)[written, step]]
    h64, slopes, g = output_row(x, 1), output_row(x, 2), output_row(x, 3)
    for i in range(x.n_out):
        h64[0, i] = state[r, i]
    if x.cost_slot >= 0:
        source = slopes_of(x, like, x.cost_slot, step)
        for i in range(x.n_out):
            slopes[0, i] = source[r, i]
    y = target_row(x, h, k % x.examples, step)
    eg, part, part_e = losses.state_cost(ints(x.head)[LOSS, h], h64, es[r], slopes, y, g)
    cost, cost_e = floats(x.cost)[0], ints(x.cost_e)[0]
    cost[k], cost_e[k] = losses.add_costs(cost[k], cost_e[k], part, part_e)
    return g, eg


@jit(internal=True)
def write_states(x, rows, e, step, s):
    """Norms of dC/dh after a step (0: of the initial state)."""
    out, entries = floats(x.state_norm), entries_of(x)
    for i in range(rows.shape[0] if x.each else rows.shape[0] // x.examples):
        h, b = (i // x.examples, i % x.examples) if x.each else (i, -1)
        out[s * entries + i, step] = mean_row_norm(x, rows, e, h, b)

"""The engine: runs a recorded cell forward and backward, for every network of a chunk.

One network is one draw; all rows (conditions x examples) share it.  Layers of an MLP and steps
of an RNN are the same loop: only the address of the weights, and where a cost enters, differ.
"""

from ._jit import call_at, jit
from .backward import run_backward
from .draws import draw_network
from .forward import run_forward
from .measure import write_status
from .norms import EMPTY
from .program import floats, ints


@jit
def run(x, like, seeds, first, last, key):
    """Run networks first..last of ``seeds`` (S,) uint64; slot s of a result is network seeds[s].

    ``x`` is a record of `program.CONTEXT`, ``like`` any number of the dtype of the run.
    """
    for s in range(first, last):
        _clear(x)
        draw_network(x, like, key, seeds[s])
        run_forward(x, like, s, seeds.size, key, seeds[s])
        if x.gradient:
            run_backward(x, like, s, seeds.size, key, seeds[s])
            write_status(x, like, s, seeds.size)
            for q in range(x.hooks.rows):
                if not ints(x.stop)[0, 0]:
                    call_at(ints(x.hooks)[q, 0], x, like, q, s, seeds.size, key, seeds[s])
        if ints(x.stop)[0, 0]:
            return


@jit
def _clear(x):
    """Forget the network before."""
    bad, bad_head, zero = ints(x.bad), ints(x.bad_head), ints(x.zero)
    cost, cost_e, total, total_e = floats(x.cost), ints(x.cost_e), floats(x.total), ints(x.total_e)
    for r in range(x.rows):
        bad[0, r] = 0
    for k in range(x.head_rows):
        bad_head[0, k], zero[0, k], zero[1, k] = 0, 0, 0
        cost[0, k], cost_e[0, k] = 0.0, EMPTY
        total[0, k], total_e[0, k] = 0.0, 0

"""Heads of an MLP: the output layer of every depth, its cost and the delta that enters there."""

import numpy as np

from . import losses
from ._jit import jit, unit
from .activations import SOFTMAX, largest_bits
from .measure import (
    A_SQUARE,
    DEAD,
    INACTIVE,
    SATURATED,
    WEIGHT_NORM,
    Z_SQUARE,
    add_shares,
    log10_scaled,
    true_square,
)  # fmt: skip
from .norms import is_finite, narrow_row, power
from .program import (  # fmt: skip
    ACTIVE,
    BIAS,
    BIAS_E,
    HEAD_SCALE,
    HEAD_SCALE_E,
    LOSS,
    MADE,
    OUTPUT,
    OUTPUT_SLOPE,
    SOURCE,
    TARGET,
    TARGET_STEP,
    block,
    exponent_of_value,
    floats,
    ints,
    reals,
)
from .rows import gamma_of, never_zero

_Z, _A, _SLOPES, _DELTA, _ALIVE = range(5)  # rows of `output`


@jit
def output_row(x, q):
    """Row q of the scratch of one output row (1, n_out), float64."""
    return block(x.output, np.float64(0), q * x.n_out, 1, x.n_out)


@jit
def target_row(x, h, b, step):
    """Target of example b for a head at a step (n_out,)."""
    at = ints(x.head)[TARGET_STEP, h]
    at = step if at < 0 else at
    return floats(x.y)[(ints(x.head)[TARGET, h] * x.slices + at) * x.examples + b]


@unit
def run_heads(x, like, layer, s, seeds):
    """Output rows of the heads whose depth is this layer: cost, delta and signal."""
    active, head = ints(x.layer)[ACTIVE], ints(x.head)
    product = block(x.product, like, 0, x.rows, ints(x.layer)[MADE, layer])
    exponent = exponent_of_value(x, ints(x.ops)[x.lead, 1], layer)
    for h in range(active[layer + 1], active[layer]):
        for b in range(x.examples):
            k = h * x.examples + b
            r = ints(x.row)[0, k]
            e = _logits(x, like, product, exponent[r] + head[HEAD_SCALE_E, h], h, r)
            square = true_square(output_row(x, _Z), 0, e)
            if not is_finite(largest_bits(output_row(x, _Z), 0), False):
                ints(x.bad_head)[0, k] = layer
            if x.gradient:
                ea = _cost(x, like, e, h, b)
                if x.keep_output:
                    own = head[LOSS, h] == losses.CROSS_ENTROPY or head[OUTPUT, h] == SOFTMAX
                    _keep(x, k, e if own else ea, ea)  # other outputs leave z at the scale of a
            else:
                ea = losses.output_row(
                    x, head[OUTPUT, h], floats(x.head_f)[OUTPUT_SLOPE, h], output_row(x, _Z), e,
                    output_row(x, _A), output_row(x, _SLOPES),
                )  # fmt: skip
            if x.signal:
                _signal(x, square, ea, h, b, s, seeds)
        if x.signal:
            scale = floats(x.head_f)[HEAD_SCALE, h]
            norm = log10_scaled(floats(x.weight_square)[1, 1], scale, head[HEAD_SCALE_E, h])
            floats(x.head_signal)[WEIGHT_NORM * seeds + s, h] = norm


@jit
def _keep(x, k, e, ea):
    """Store the output row at hand for the measurements."""
    kept, kept_e, size = floats(x.kept_output), ints(x.kept_output_e), 4 * x.n_out
    for i in range(size):
        kept[4 * k + i // x.n_out, i % x.n_out] = floats(x.output)[i // x.n_out, i % x.n_out]
    kept_e[0, k], kept_e[1, k], kept_e[2, k] = e, ea, ints(x.delta_e)[0, k]


@jit
def _logits(x, like, product, e, h, r):
    """Output pre-activations of forward row r; returns their exponent."""
    c = ints(x.head)[SOURCE, h]
    scale, bias = floats(x.head_f)[HEAD_SCALE, h], floats(x.condition_f)[BIAS, c]
    e_bias, top = ints(x.condition)[BIAS_E, c], e
    if bias != 0.0:
        top = max(e, e_bias)
        bias *= power(e_bias - top, bias)
    scale *= power(e - top, scale)
    standard = reals(x.bias, like)[x.layers if x.given else 0]
    z = output_row(x, _Z)
    for i in range(x.n_out):
        z[0, i] = scale * product[r, i] + bias * standard[i]
    return top


@jit
def _cost(x, like, e, h, b):
    """Cost and delta of the output row at hand; returns the exponent of the activations."""
    k, head = h * x.examples + b, ints(x.head)
    slopes, delta = output_row(x, _SLOPES), output_row(x, _DELTA)
    ea, ed, cost, cost_e = losses.output_delta(
        x, head[OUTPUT, h], floats(x.head_f)[OUTPUT_SLOPE, h], head[LOSS, h], output_row(x, _Z), e,
        target_row(x, h, b, 0), output_row(x, _A), slopes, delta,
    )  # fmt: skip
    floats(x.cost)[0, k], ints(x.cost_e)[0, k] = cost, cost_e
    ints(x.delta_e)[0, k] = narrow_row(delta, reals(x.delta, like), k, ed)
    ints(x.zero_head)[0, k] = _zero_reason(x, head[OUTPUT, h], head[LOSS, h], slopes)
    return ea


@jit
def _zero_reason(x, code, loss, slopes):
    """Status of an output row if its delta is 0: a saturated output (3), or no gradient (1)."""
    if loss == losses.CROSS_ENTROPY:
        return 3
    if never_zero(x, code):
        for i in range(slopes.shape[1]):
            if slopes[0, i] == 0:
                return 3
    return 1


@jit
def _signal(x, square, ea, h, b, s, seeds):
    """Add one output row to the signal of its head: means over units and examples."""
    out, code = floats(x.head_signal), ints(x.head)[OUTPUT, h]
    a, slopes, alive = output_row(x, _A), output_row(x, _SLOPES), output_row(x, _ALIVE)
    if b == 0:
        for q in range(Z_SQUARE, DEAD + 1):
            out[q * seeds + s, h] = 0.0
        for i in range(x.n_out):
            alive[0, i] = 0.0
    share = 1.0 / (x.examples * x.n_out)
    out[Z_SQUARE * seeds + s, h] += square * share
    out[A_SQUARE * seeds + s, h] += true_square(a, 0, ea) * share
    counts = ints(x.counts)[0]
    counts[0], counts[1] = 0, 0
    gamma = 0.25 if code == SOFTMAX else gamma_of(x, code, floats(x.head_f)[OUTPUT_SLOPE, h])
    positive = never_zero(x, code)
    add_shares(slopes, 0, gamma, positive, counts)
    out[SATURATED * seeds + s, h] += counts[0] * share
    out[INACTIVE * seeds + s, h] += counts[1] * share
    for i in range(x.n_out):
        if positive or a[0, i] != 0 or slopes[0, i] != 0:
            alive[0, i] = 1.0
        if b == x.examples - 1:
            out[DEAD * seeds + s, h] += (1.0 - alive[0, i]) / x.n_out

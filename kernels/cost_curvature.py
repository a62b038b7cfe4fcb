"""What the cost itself adds to a second derivative: its Hessian, and that of an output activation.

The Gauss-Newton part is du^T H du with H the Hessian of the cost in the output a^L, or of
cross-entropy in the logits (Schraudolph 2002, Neural Computation 14, 1723): never negative.
"""

import numpy as np

from . import losses
from ._jit import jit
from .activations import SOFTMAX
from .bends import bend_row
from .graded import EMPTY, ONE
from .heads import output_row, target_row
from .norms import NEARLY_EMPTY, power
from .program import (  # fmt: skip
    LOSS,
    OUTPUT,
    OUTPUT_SLOPE,
    exponent_of_value,
    floats,
    ints,
    slopes_of,
    value,
)
from .sums import dot
from .tangent_rows import (  # fmt: skip
    BEND,
    GAUSS_NEWTON,
    ONE_ROW,
    OTHER,
    PROGRAM,
    STATE,
    TOTAL,
    WEIGHT,
    add,
    copied,
    exponents,
    row,
    squared,
    tangents,
)


@jit
def _both(x, q, slot, m, e):
    """A part of the Gauss-Newton curvature is one of the whole."""
    add(x, q, GAUSS_NEWTON, slot, m, e)
    add(x, q, TOTAL, slot, m, e)


@jit
def _deviations(x, q, k, t):
    """WEIGHT = t - mean(t) under the probabilities of a softmax row, which STATE receives."""
    n = t.size
    p, weight = copied(floats(x.kept_output), 4 * k + 1, row(x, q, STATE, n)), row(x, q, WEIGHT, n)
    mean = dot(p, 0, t, 0, n, ONE, ONE)
    for i in range(n):
        weight[i] = t[i] - mean
    return p, weight


@jit
def _entropy(x, q, h, k, slot, t, e):
    """Cross-entropy of logits: p (1 - p) t^2, or the variance of t under a softmax."""
    n, other = t.size, row(x, q, OTHER, t.size)
    if ints(x.head)[OUTPUT, h] != SOFTMAX:
        slopes = floats(x.kept_output)[4 * k + 2]
        for i in range(n):
            other[i] = slopes[i] * t[i]
        _both(x, q, slot, dot(other, 0, t, 0, n, ONE, ONE), 2 * e)
        return
    y, mass = target_row(x, h, k % x.examples, 0), 0.0
    for i in range(n):
        mass += y[i]
    p, weight = _deviations(x, q, k, t)
    for i in range(n):
        other[i] = p[i] * weight[i]
    _both(x, q, slot, mass * dot(other, 0, weight, 0, n, ONE, ONE), 2 * e)


@jit
def _softmax(x, q, k, slot, t, e, g, eg, square):
    """Softmax under another cost: p'' = p ((t - mean)^2 - variance)."""
    n, other, bend = t.size, row(x, q, OTHER, t.size), row(x, q, BEND, t.size)
    p, weight = _deviations(x, q, k, t)
    for i in range(n):
        other[i] = p[i] * weight[i]
    if square:
        m, shift = squared(x, q, other)
        _both(x, q, slot, m, shift + 2 * e)
    centre = dot(p, 0, g, 0, n, ONE, ONE)
    for i in range(n):
        bend[i] = (g[i] - centre) * other[i]
    add(x, q, TOTAL, slot, dot(bend, 0, weight, 0, n, ONE, ONE), eg + 2 * e)


@jit
def output_curvature(x, like, q, v, who, slots):
    """Output rows of an MLP: tangents of v are those of the pre-activations."""
    h, first, count = who
    n, head, kept = x.n_out, ints(x.head), floats(x.kept_output)
    rows, e = tangents(x, like, q, v, slots * count, n), exponents(x, q, v)
    t, other = row(x, q, ONE_ROW, n), row(x, q, OTHER, n)
    for b in range(count):
        k = h * x.examples + first + b
        g, eg, loss = output_row(x, 3), 0, head[LOSS, h]
        entropy, soft = loss == losses.CROSS_ENTROPY, head[OUTPUT, h] == SOFTMAX
        bend, bend_e = row(x, q, BEND, n), np.int64(EMPTY)
        if not entropy:
            a, ea = kept[4 * k + 1 : 4 * k + 2], ints(x.kept_output_e)[1, k]
            eg, _, _ = losses.simple_cost(loss, a, ea, target_row(x, h, first + b, 0), g)
        if not entropy and not soft:
            z, _slope = copied(kept, 4 * k, t), floats(x.head_f)[OUTPUT_SLOPE, h]
            bend_e = bend_row(x, q, PROGRAM, head[OUTPUT, h], z, ints(x.kept_output_e)[0, k], bend)
            for i in range(n):
                bend[i] *= g[0, i]
        for s in range(slots):
            j = s * count + b
            if e[j] < NEARLY_EMPTY:
                continue
            copied(rows, j, t)
            if entropy:
                _entropy(x, q, h, k, s, t, e[j])
                continue
            if soft:
                _softmax(x, q, k, s, t, e[j], g[0], eg, loss == losses.MSE)
                continue
            if loss == losses.MSE:
                for i in range(n):
                    other[i] = kept[4 * k + 2, i] * t[i]
                m, shift = squared(x, q, other)
                _both(x, q, s, m, shift + 2 * e[j])
            if bend_e > NEARLY_EMPTY and eg > NEARLY_EMPTY:
                for i in range(n):
                    other[i] = bend[i] * t[i]
                add(x, q, TOTAL, s, dot(other, 0, t, 0, n, ONE, ONE), bend_e + eg + 2 * e[j])


@jit
def state_curvature(x, like, q, step, who, slots):
    """Cost on the state of an RNN after a step."""
    h, first, count = who
    n, written, loss = x.n_out, ints(x.states)[0, 1], ints(x.head)[LOSS, h]
    if loss == losses.LINEAR_COST:
        return
    rows, e = tangents(x, like, q, written, slots * count, n), exponents(x, q, written)
    t, _other, state = row(x, q, ONE_ROW, n), row(x, q, OTHER, n), row(x, q, STATE, n)
    for j in range(slots * count):
        if e[j] < NEARLY_EMPTY:
            continue
        copied(rows, j, t)
        if loss == losses.MSE:
            m, shift = squared(x, q, t)
            _both(x, q, j // count, m, shift + 2 * e[j])
            continue
        b = first + j % count
        r, y = ints(x.row)[0, h * x.examples + b], target_row(x, h, b, step)
        slopes = slopes_of(x, like, x.cost_slot, step, n)
        copied(value(x, like, written, step), r, state)
        true = power(exponent_of_value(x, written, step)[r], ONE)
        gauss, total = 0.0, 0.0
        for i in range(n):
            if t[i] != 0.0:  # where not, the slope may have underflowed
                one, rest = t[i] / (state[i] * true), t[i] * (state[i] * true) / slopes[r, i]
                gauss += t[i] / slopes[r, i] * t[i]
                total += y[i] * one * one + (1.0 - y[i]) * rest * rest
        add(x, q, GAUSS_NEWTON, j // count, gauss, 2 * e[j])
        add(x, q, TOTAL, j // count, total, 2 * e[j])

"""Measurement `curvature`: g'Hg and its Gauss-Newton part along each layer's own gradient g.

The tangents of a layer start in that layer and go on to the output; those of all layers that have
started are rows of one matrix, so that each layer costs one product.  Rows that do not fit into
one block run in several.  Nothing is differentiated twice: see `second_order`.
"""

import numpy as np

from . import ops
from ._jit import jit, unit
from .cost_curvature import output_curvature, state_curvature
from .directions import SETTINGS, SLOTS, gradients, seed_rows
from .kept import operations
from .measure import entries_of
from .norms import LOG10_2, log10_norm
from .program import (  # fmt: skip
    DEPTH,
    LOSS_ALL,
    WIDTH,
    ints,
    own_floats,
    own_ints,
)
from .second_order import elementwise, times_weights
from .sizes import log10_size, times
from .tangent_rows import GAUSS_NEWTON, NORM, SUMS, SUMS_E, TOTAL, clear_row, exponents, tangents

OUT = 0
# variables
GRADIENT_NORM, CURVATURE, SIGN, GAUSS_NEWTON_CURVATURE, STEP, CHANGE = range(6)
VARIABLES = 6


@jit
def _enter(x, like, q, layer, before, who, slots):
    """Tangents of the states that a layer reads: those written below; none for a new slot."""
    _, _, count = who
    n = ints(x.layer)[WIDTH, layer - 1]
    for p in range(x.states.rows):
        read, written = ints(x.states)[p, 0], ints(x.states)[p, 1]
        t, e = tangents(x, like, q, read, slots * count, n), exponents(x, q, read)
        source = tangents(x, like, q, written, slots * count, n)
        for j in range(slots * count):
            if j >= before * count:
                clear_row(t, e, j)
                continue
            for i in range(n):
                t[j, i] = source[j, i]
            e[j] = exponents(x, q, written)[j]


@jit
def _layer(x, like, q, layer, who, slots, fresh, key, seed):
    """Tangents of one layer; those of slot ``fresh`` start here."""
    h, _, count = who
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        if op[0] != ops.LINEAR:
            elementwise(x, like, q, i, layer, who, slots)
            continue
        times_weights(x, like, q, op, layer, h, slots * count, key, seed)
        if fresh >= 0:
            seed_rows(x, like, q, op, layer, who, fresh)
    depth = ints(x.head)[DEPTH, h]
    if x.recurrent and (ints(x.head)[LOSS_ALL, h] or layer == depth):
        state_curvature(x, like, q, layer, who, slots)
    elif layer == depth:
        output_curvature(x, like, q, ints(x.ops)[x.lead, 3], who, slots)


@jit
def _block(x, like, q, lo, hi, who, key, seed):
    """Second derivatives along the gradients of layers lo..hi; of a tied network along one."""
    depth, before = ints(x.head)[DEPTH, who[0]], 0
    sums, sums_e = own_floats(x, q, SUMS), own_ints(x, q, SUMS_E)
    for which in range(3):
        for slot in range(hi - lo + 1):
            sums[which, slot], sums_e[which, slot] = 0.0, 0
    if x.tied:
        gradients(x, like, q, 1, who, 0)
    for layer in range(lo, depth + 1):
        if ints(x.stop)[0, 0]:
            return
        slots = 1 if x.tied else min(layer, hi) - lo + 1
        fresh = 0 if x.tied else (layer - lo if layer <= hi else -1)
        if fresh >= 0 and not x.tied:
            gradients(x, like, q, layer, who, fresh)
        _enter(x, like, q, layer, before, who, slots)
        _layer(x, like, q, layer, who, slots, fresh, key, seed)
        before = slots


@jit
def _log10(m, e):
    """log10 of |m| 2**e; -inf for 0."""
    m, e = times(m, e, 1.0, 0)
    return log10_size(abs(m), e)


@jit
def _write(x, q, slot, count, place, step, column):
    """Write the results of one direction: g'Hg and g'g are means over examples."""
    sums, sums_e, out = own_floats(x, q, SUMS), own_ints(x, q, SUMS_E), own_floats(x, q, OUT)
    norm = log10_norm(sums[NORM, slot], sums_e[NORM, slot])
    out[GRADIENT_NORM * step + place, column] = norm
    if norm == -np.inf:
        return  # no direction: NaN
    total = sums[TOTAL, slot] / count
    size = _log10(total, sums_e[TOTAL, slot]) - 2.0 * norm
    gauss = _log10(sums[GAUSS_NEWTON, slot] / count, sums_e[GAUSS_NEWTON, slot]) - 2.0 * norm
    out[CURVATURE * step + place, column] = size
    out[SIGN * step + place, column] = np.sign(total)
    out[GAUSS_NEWTON_CURVATURE * step + place, column] = gauss
    if total > 0.0:
        change = 2.0 * norm - size - LOG10_2
        out[STEP * step + place, column] = -size
        out[CHANGE * step + place, column] = change


@jit
def _entry(x, like, q, s, seeds, who, entry, key, seed):
    """Curvature of every layer of one result."""
    last = 1 if x.tied else ints(x.head)[DEPTH, who[0]]
    block, step = own_ints(x, q, SETTINGS)[0, SLOTS], seeds * entries_of(x)
    for lo in range(1, last + 1, block):
        hi = min(lo + block - 1, last)
        _block(x, like, q, lo, hi, who, key, seed)
        for layer in range(lo, hi + 1):
            _write(x, q, layer - lo, who[2], s * entries_of(x) + entry, step, layer - 1)


@unit(optional=True)
def write_curvature(x, like, q, s, seeds, key, seed):
    """Curvature along the gradient of every layer, for every result of one network."""
    for entry in range(entries_of(x)):
        if ints(x.stop)[0, 0]:
            return
        place = s * entries_of(x) + entry
        if ints(x.status)[place, 0] == 2:
            continue  # the forward pass left the range: the result reads NaN
        if x.each:
            h, b = entry // x.examples, entry % x.examples
            _entry(x, like, q, s, seeds, (h, b, 1), entry, key, seed)
        else:
            _entry(x, like, q, s, seeds, (entry, 0, x.examples), entry, key, seed)

"""Measurement `clipping`: norm of the whole gradient, and what clipping by value makes of it."""

import numpy as np

from . import ops
from ._jit import jit, unit
from .floats import scale
from .graded import square
from .measure import entries_of
from .norms import add_squares, log10_norm
from .parameters import FLAG, parameter_gradient
from .program import DEPTH, ints, own_floats
from .vecmath import bits, exponent_of

# own arrays: results; a gradient and what it is made of; the threshold of an entry, or 0
OUT, GRADIENT, THRESHOLD = range(3)
BEFORE, AFTER, SHARE = range(3)  # variables


@jit
def _take(elements, e, threshold):
    """Set numbers * 2**e beyond the threshold to 0; returns how many there are."""
    limit, count = scale(threshold, -e), 0
    for i in range(elements.size):
        if abs(elements[i]) > limit:
            elements[i] = 0.0
            count += 1
    return count


@jit
def _entry(x, like, q, s, seeds, h, first, count, entry):
    """Norms of the gradient of one result before and after, and the share of clipped entries."""
    threshold, out = own_floats(x, q, THRESHOLD)[0, 0], own_floats(x, q, OUT)
    before, before_e, after, after_e = 0.0, np.int64(0), 0.0, np.int64(0)
    clipped, total, depth = 0, 0, ints(x.head)[DEPTH, h]
    for layer in range(1, 2 if x.tied else depth + 1):
        for i in range(x.ops.rows):
            op = ints(x.ops)[i]
            if op[0] != ops.LINEAR or (not x.recurrent and layer == depth and op[4] > 0):
                continue
            for which in range(3):
                if not op[7] & FLAG[which] or (which == 1 and x.n_in == 0):
                    continue
                units, n_in, e = parameter_gradient(
                    x, like, q, GRADIENT, op, which, h, layer, first, count
                )
                elements = own_floats(x, q, GRADIENT)[0][: units * n_in]
                mantissa, k = square(elements, 0, elements.size)
                before, before_e = add_squares(before, before_e, mantissa, k + e)
                if threshold > 0.0:
                    clipped += _take(elements, e, threshold)
                    mantissa, k = square(elements, 0, elements.size)
                    after, after_e = add_squares(after, after_e, mantissa, k + e)
                total += elements.size
    size = exponent_of(bits(threshold))  # what was clipped is as large as the threshold
    part = scale(threshold, -size)
    after, after_e = add_squares(after, after_e, clipped * part * part, size)
    step, place = seeds * entries_of(x), s * entries_of(x) + entry
    out[BEFORE * step + place, 0] = log10_norm(before, before_e)
    out[AFTER * step + place, 0] = log10_norm(after, after_e)
    out[SHARE * step + place, 0] = clipped / total


@unit(optional=True)
def write_clipping(x, like, q, s, seeds, key, seed):
    """Clipping of every result of one network."""
    for entry in range(entries_of(x)):
        if ints(x.stop)[0, 0]:
            return
        if x.each:
            h, b = entry // x.examples, entry % x.examples
            _entry(x, like, q, s, seeds, h, b, 1, entry)
        else:
            _entry(x, like, q, s, seeds, entry, 0, x.examples, entry)

"""Measurement `signal`: what the forward pass of each condition carries, layer by layer."""

from . import ops
from ._jit import jit, unit
from .measure import (
    A_SQUARE,
    DEAD,
    INACTIVE,
    SATURATED,
    WEIGHT_NORM,
    Z_SQUARE,
    add_shares,
    dead_units,
    true_square,
)  # fmt: skip
from .norms import add_squares, log10_norm
from .program import CODE, DRIVE, DRIVE_E, SLOPE, floats, ints, slopes_of, value
from .rows import gamma_of, never_zero


@unit
def write_signal(x, like, layer, s, seeds):
    """Signal of every condition in one layer, averaged over units and examples."""
    states, index = ints(x.states), ints(x.index)
    state = value(x, like, states[0, 1], layer)
    exponent = ints(x.exponent)[index[states[0, 1], layer]]
    for c in range(x.conditions):
        lo, hi = c * x.examples, (c + 1) * x.examples
        _put(x, WEIGHT_NORM, s, seeds, c, layer, _weight_norm(x, c, layer))
        _put(x, A_SQUARE, s, seeds, c, layer, _mean_square(state, exponent, lo, hi))
        square, linear, maps, dead = 0.0, 0, 0, 0.0
        counts = ints(x.counts)[0]
        counts[0], counts[1] = 0, 0
        for i in range(x.ops.rows):
            op = ints(x.ops)[i]
            rows = value(x, like, op[3], layer)
            if op[0] == ops.LINEAR and op[7] & ops.IN_DELTA:
                linear += 1
                square += _mean_square(rows, ints(x.exponent)[index[op[3], layer]], lo, hi)
            elif op[0] == ops.MAP:
                slopes = slopes_of(x, like, op[7], layer, rows.shape[1])
                code = ints(x.condition)[CODE, c] if op[4] < 0 else op[4]
                gamma = gamma_of(x, code, floats(x.condition_f)[SLOPE, c])
                positive = never_zero(x, code)
                for r in range(lo, hi):
                    add_shares(slopes, r, gamma, positive, counts)
                dead += dead_units(rows, slopes, lo, hi, positive) / rows.shape[1]
                maps += 1
        units = max(maps, 1) * (hi - lo) * state.shape[1]
        _put(x, Z_SQUARE, s, seeds, c, layer, square / max(linear, 1))
        _put(x, SATURATED, s, seeds, c, layer, counts[0] / units)
        _put(x, INACTIVE, s, seeds, c, layer, counts[1] / units)
        _put(x, DEAD, s, seeds, c, layer, dead / max(maps, 1))


@jit
def _put(x, variable, s, seeds, c, layer, number):
    """Write one result."""
    floats(x.layer_signal)[(variable * seeds + s) * x.conditions + c, layer - 1] = number


@jit
def _mean_square(rows, exponent, lo, hi):
    """Mean over rows lo..hi and units of the true values squared."""
    total = 0.0
    for r in range(lo, hi):
        total += true_square(rows, r, exponent[r])
    return total / ((hi - lo) * rows.shape[1])


@jit
def _weight_norm(x, c, layer):
    """log10 Frobenius norm of all weight matrices of a layer under condition c."""
    total, exponent = 0.0, 0
    raw = floats(x.weight_square)
    for m in range(x.streams.rows):
        line = m * x.conditions + c
        scale = floats(x.scale)[line, layer]
        part = raw[3 * m, 1] * scale * scale
        total, exponent = add_squares(total, exponent, part, ints(x.scale_e)[line, layer])
        if x.n_in > 0:
            scale = floats(x.condition_f)[DRIVE, c]
            part = raw[3 * m + 2, 1] * scale * scale
            total, exponent = add_squares(total, exponent, part, ints(x.condition)[DRIVE_E, c])
    return log10_norm(total, exponent)

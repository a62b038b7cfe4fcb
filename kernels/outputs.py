"""Output rows as the measurements see them once both passes are done."""

import numpy as np

from . import losses
from ._jit import jit
from .activations import SOFTMAX
from .heads import target_row
from .norms import NEARLY_EMPTY, power, row_square
from .program import LOSS, OUTPUT, floats, ints
from .sizes import ONE, power_of_e, times
from .vecmath import exp

_FAR = 1e5  # as in `losses`


@jit
def largest(rows, r):
    """Largest magnitude of row r of rows (rows, units)."""
    top = 0.0
    for i in range(rows.shape[1]):
        top = max(top, abs(np.float64(rows[r, i])))
    return top


@jit
def _entropy_gradient(x, h, k):
    """Norm of dC/da, and largest slope, of a cross-entropy output row: each (mantissa, exponent).

    Both may be far beyond the range of a float where their product is near 1.
    """
    z, e, y = (
        floats(x.kept_output)[4 * k],
        ints(x.kept_output_e)[0, k],
        target_row(x, h, k % x.examples, 0),
    )
    a, n = floats(x.kept_output)[4 * k + 1], x.n_out
    true, top, nearest, square = power(e, ONE), 0.0, _FAR, 0.0
    if ints(x.head)[OUTPUT, h] == SOFTMAX:
        first = 0
        for i in range(n):
            first = i if z[i] > z[first] else first
        for i in range(n):
            gap = min((z[first] - z[i]) * true, _FAR)
            top = max(top, gap) if y[i] != 0.0 else top
            nearest = min(nearest, gap) if i != first else nearest
        rest = 0.0
        for i in range(n):
            gap = min((z[first] - z[i]) * true, _FAR)
            part = y[i] / a[first] * exp(gap - top) if y[i] != 0.0 else 0.0
            square += part * part
            rest += exp(nearest - gap) if i != first else 0.0
        m, shift = power_of_e(-nearest)
        slope_m, slope_e = times(2.0 * rest * a[first] * a[first], 0, m, shift)
    else:
        # dC/da = (1 - y) / (1 - a) - y / a, where one denominator is 1 / (1 + exp(|z|))
        for i in range(n):
            size = min(abs(z[i] * true), _FAR)
            far = 1.0 - y[i] if z[i] > 0.0 else y[i]
            top, nearest = max(top, size if far != 0.0 else 0.0), min(nearest, size)
        for i in range(n):
            size = min(abs(z[i] * true), _FAR)
            far = 1.0 - y[i] if z[i] > 0.0 else y[i]
            rise = far * exp(size - top) if far != 0.0 else 0.0
            part = (1.0 + exp(-size)) * (rise - (1.0 - far) * exp(-top))
            square += part * part
        m, shift = power_of_e(-nearest)
        slope_m, slope_e = times(m, shift, 1.0 / (1.0 + exp(-nearest)) ** 2, 0)
    m, shift = power_of_e(top)
    norm_m, norm_e = times(m, shift, np.sqrt(square), 0)
    return norm_m, norm_e, slope_m, slope_e


@jit
def output_gradient(x, g, h, k):
    """Norm of dC/da and largest slope of an output row, each (mantissa, exponent).

    The Jacobian of softmax is no diagonal: 2 max p (1 - p) bounds its norm (Gershgorin).
    """
    if ints(x.head)[LOSS, h] == losses.CROSS_ENTROPY:
        return _entropy_gradient(x, h, k)
    kept = floats(x.kept_output)
    a, e = kept[4 * k + 1 : 4 * k + 2], ints(x.kept_output_e)[1, k]
    y = target_row(x, h, k % x.examples, 0)
    shift, _, _ = losses.simple_cost(ints(x.head)[LOSS, h], a, e, y, g)
    mantissa, size, _ = row_square(g, 0)
    top = largest(kept, 4 * k + 2) * (2.0 if ints(x.head)[OUTPUT, h] == SOFTMAX else 1.0)
    norm_m, norm_e = times(np.sqrt(mantissa), size, 1.0, max(shift, np.int64(NEARLY_EMPTY)))
    slope_m, slope_e = times(top, 0, 1.0, 0)
    return norm_m, norm_e, slope_m, slope_e

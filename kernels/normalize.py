"""Layer and batch normalisation: (x - mean) / sqrt(variance + eps), beside their products back.

Statistics are taken in float64 of numbers scaled by a power of two, so that nothing is squared raw.
A scale 1 / sqrt(variance + eps) is kept as mantissa * 2**exponent: the products back need it.
"""

import numpy as np

from . import ops
from ._jit import jit, unit
from .activations import largest_bits
from .norms import EMPTY, NEARLY_EMPTY, add_row, is_finite, power
from .program import (  # fmt: skip
    SOURCE,
    cotangent,
    exponent_of_value,
    floats,
    ints,
    reals,
    value,
    value_width,
)
from .vecmath import bits, exponent_of

ONE = np.float64(1)
_FAR = 900  # binary exponents beyond which eps is all that is left of the variance


@jit(inline=True)
def _shifts(k):
    """2**k as a product of two factors, in float64."""
    return power(k // 2, ONE), power(k - k // 2, ONE)


@jit
def _inverse_root(variance, eps, e):
    """(1 / sqrt(variance + eps / 4**e), its share of 2**e): the scale of numbers times 2**e."""
    if eps > 0.0 and e < -_FAR // 2:
        return 1.0 / np.sqrt(eps), 0
    return 1.0 / np.sqrt(variance + eps * power(-2 * e, ONE)), -e


@jit
def layer_norm_row(x, r, e, eps, out):
    """Row r of out: x[r] * 2**e less its mean over units, over its root mean square deviation.

    Returns (exponent of out, mantissa and exponent of the scale).
    """
    n, top = x.shape[1], largest_bits(x, r)
    k = exponent_of(top) if top > 0 and is_finite(top, x.itemsize == 4) else 0
    low, high = _shifts(-k)
    mean, variance = 0.0, 0.0
    for i in range(n):
        mean += np.float64(x[r, i]) * low * high
    mean /= n
    for i in range(n):
        y = np.float64(x[r, i]) * low * high - mean
        variance += y * y
    scale, shift = _inverse_root(variance / n, eps, k + e)
    for i in range(n):
        out[r, i] = x.dtype.type((np.float64(x[r, i]) * low * high - mean) * scale)
    size = exponent_of(bits(scale))
    return k + e + shift, scale * power(-size, ONE), shift + size


@jit
def layer_norm_vjp(y, ey, r, co, k, e, scale, tmp):
    """Tmp = scale * (g - mean(g) - y mean(g y)) for g = co[k], y = row r * 2**ey."""
    n, factor = co.shape[1], power(ey, ONE)
    mean, along = 0.0, 0.0
    for i in range(n):
        mean += np.float64(co[k, i])
        along += np.float64(co[k, i]) * np.float64(y[r, i])
    mean, along = mean / n, along / n * factor * factor
    for i in range(n):
        g = np.float64(co[k, i]) - mean - np.float64(y[r, i]) * along
        tmp[0, i] = tmp.dtype.type(g * scale)


@jit
def batch_norm_rows(x, ex, lo, hi, eps, out, eo, scale, work):
    """Rows lo..hi of out: every unit of x less its mean over the rows, over its deviation.

    Fills scale (units,) and returns its exponent; ``work`` (units,) is scratch.
    """
    n, count, top = x.shape[1], hi - lo, np.int64(NEARLY_EMPTY)
    for r in range(lo, hi):
        largest = largest_bits(x, r)
        if largest > 0 and is_finite(largest, x.itemsize == 4):
            top = max(top, exponent_of(largest) + ex[r])
    top = 0 if top == NEARLY_EMPTY else top
    for i in range(n):
        work[i], scale[i] = 0.0, 0.0
    for r in range(lo, hi):
        low, high = _shifts(ex[r] - top)
        for i in range(n):
            work[i] += np.float64(x[r, i]) * low * high
    for i in range(n):
        work[i] /= count
    for r in range(lo, hi):
        low, high = _shifts(ex[r] - top)
        for i in range(n):
            y = np.float64(x[r, i]) * low * high - work[i]
            scale[i] += y * y
    shift = 0
    for i in range(n):
        scale[i], shift = _inverse_root(scale[i] / count, eps, top)
    size = np.int64(-1023)
    for i in range(n):
        size = max(size, exponent_of(bits(scale[i])))
    for r in range(lo, hi):
        low, high = _shifts(ex[r] - top)
        for i in range(n):
            y = (np.float64(x[r, i]) * low * high - work[i]) * scale[i]
            out[r, i] = x.dtype.type(y)
        eo[r] = top + shift
    for i in range(n):
        scale[i] *= power(-size, ONE)
    return shift + size


@jit
def batch_norm_vjp(y, ey, r, co, eo, k, count, scale, shift, ci, ei, acc, mean, along, tmp):
    """Cotangents of ``count`` rows from k on, whose normalised values are rows r.. of y.

    scale * (g - mean(g) - y mean(g y)) with means over the rows; ``mean`` and ``along`` (units,).
    """
    n, top = co.shape[1], np.int64(NEARLY_EMPTY)
    for b in range(count):
        top = max(top, eo[k + b])
    for i in range(n):
        mean[i], along[i] = 0.0, 0.0
    for b in range(count):
        part = power(eo[k + b] - top, ONE) if eo[k + b] > NEARLY_EMPTY else 0.0
        factor = power(ey[r + b], ONE)
        for i in range(n):
            g = np.float64(co[k + b, i]) * part
            mean[i] += g / count
            along[i] += g * (np.float64(y[r + b, i]) * factor) / count
    for b in range(count):
        part = power(eo[k + b] - top, ONE) if eo[k + b] > NEARLY_EMPTY else 0.0
        factor = power(ey[r + b], ONE)
        for i in range(n):
            g = np.float64(co[k + b, i]) * part - mean[i]
            g -= np.float64(y[r + b, i]) * factor * along[i]
            tmp[0, i] = tmp.dtype.type(g * scale[i])
        e = top + shift if top > NEARLY_EMPTY else np.int64(EMPTY)
        ei[k + b] = add_row(ci, k + b, ei[k + b] if acc else EMPTY, tmp, 0, e)


@unit
def normalize(x, like, i, layer):
    """One normalisation, for all rows of a layer."""
    op = ints(x.ops)[i]
    a, ea = value(x, like, op[1], layer), exponent_of_value(x, op[1], layer)
    out, eo = value(x, like, op[3], layer), exponent_of_value(x, op[3], layer)
    line, n = op[7] * (x.layers + 1) + layer, a.shape[1]
    scale, shift, work = floats(x.norm)[line], ints(x.norm_e)[line], floats(x.work)[0]
    for c in range(x.conditions):
        eps = floats(x.constants)[op[4] * x.conditions + c, 0]
        lo, hi = c * x.examples, (c + 1) * x.examples
        if op[0] == ops.BATCH_NORM:
            part = scale[c * n : (c + 1) * n]
            shift[c] = batch_norm_rows(a, ea, lo, hi, eps, out, eo, part, work)
        else:
            for r in range(lo, hi):
                eo[r], scale[r], shift[r] = layer_norm_row(a, r, ea[r], eps, out)


@unit
def normalize_vjp(x, like, i, layer, heads):
    """Vector-Jacobian product of a normalisation."""
    op = ints(x.ops)[i]
    count, n = heads * x.examples, value_width(x, op[3], layer)
    co, eo = cotangent(x, like, op[3], count, n)
    ci, ei = cotangent(x, like, op[1], count, n)
    y, ey = value(x, like, op[3], layer), ints(x.exponent)[ints(x.index)[op[3], layer]]
    tmp, rows, line = reals(x.scratch, like), ints(x.row)[0], op[7] * (x.layers + 1) + layer
    scale, shift = floats(x.norm)[line], ints(x.norm_e)[line]
    mean, along = floats(x.work)[1], floats(x.work)[2]
    for h in range(heads):
        c, k = ints(x.head)[SOURCE, h], h * x.examples
        if op[0] == ops.BATCH_NORM:
            part = scale[c * n : (c + 1) * n]
            batch_norm_vjp(
                y, ey, rows[k], co, eo, k, x.examples, part, shift[c], ci, ei, op[5],
                mean, along, tmp,
            )  # fmt: skip
            continue
        for j in range(k, k + x.examples):
            r = rows[j]
            layer_norm_vjp(y, ey[r], r, co, j, eo[j], scale[r], tmp)
            e = eo[j] + shift[r]
            ei[j] = add_row(ci, j, ei[j] if op[5] else EMPTY, tmp, 0, e)

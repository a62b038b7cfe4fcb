"""Measurement `noise`: how much the weight gradients of examples differ, in every layer.

With g_i the weight gradient of example i and c_ij the cosine of g_i and g_j, everything follows
from the norms ||g_i|| and the sums of c_ij and c_ij ||g_i|| ||g_j|| over pairs i != j.  Cosines
come from Gram matrices of unit rows while there are few examples; else both sums are squared norms
of summed outer products, less their diagonal.
"""

import numpy as np

from . import ops
from ._jit import jit, unit
from .activations import largest_bits
from .floats import scale
from .kept import delta_row, deltas, has_matrix, multiplied, operations, units
from .measure import COUNT, ROWS, SIZES, outer_mean
from .norms import NEARLY_EMPTY, add_squares, log10_norm, power, row_square
from .program import (
    DEPTH,
    floats,
    ints,
    own_floats,
    own_ints,
    own_reals,
)
from .vecmath import exponent_of

MEAN, RMS, SQUARE, VARIANCE, SCALE, COSINE, LOG_SQUARE, SQUARE_SIGN, LOG_VARIANCE = range(9)
# own arrays: results; squared norms of each map's gradient, then of all (map or all; example);
# cosines (example; example, or nothing where sums are formed); exponents of the norms; unit rows
# and Gram matrices (numbers of T); exponents of the scaled deltas
OUT, NORMS, COSINES, NORMS_E, UNIT_ROWS, MOVED = range(6)

ONE = np.float64(1)


@jit
def _norms(x, like, q, h, layer):
    """Squared norms of the weight gradient of every example: of each matrix W and U, and of all."""
    norms, norms_e = own_floats(x, q, NORMS), own_ints(x, q, NORMS_E)
    last, rows = norms.shape[0] - 1, ints(x.row)[0]
    for b in range(x.examples):
        norms[last, b], norms_e[last, b] = 0.0, 0
    n = units(x, h, layer)
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        if op[0] != ops.LINEAR:
            continue
        _, ed = deltas(x, like, op[4], h, layer)
        line = ints(x.index)[op[1], layer]
        for b in range(x.examples):
            r = rows[h * x.examples + b]
            square, e, _ = row_square(delta_row(x, like, op[4], h, layer, b, n), 0)
            e += ed[b]
            for u in range(2):
                norms[2 * op[4] + u, b], norms_e[2 * op[4] + u, b] = 0.0, 0
                if not has_matrix(x, op, u):
                    continue
                if u == 0:
                    m, k = floats(x.square)[line, r], ints(x.square_e)[line, r]
                else:
                    m, k = floats(x.x_square)[layer - 1, b], ints(x.x_square_e)[layer - 1, b]
                norms[2 * op[4] + u, b], norms_e[2 * op[4] + u, b] = square * m, e + k
                norms[last, b], norms_e[last, b] = add_squares(
                    norms[last, b], norms_e[last, b], square * m, e + k
                )


@jit
def _scaled_row(rows, r, n, k, factor, out, b):
    """out[b] = the first n numbers of row r times 2**-k times factor."""
    low, high = power(-(k // 2), rows[r, 0]), power(-(k - k // 2), rows[r, 0])
    number = rows.dtype.type(factor)
    for i in range(n):
        out[b, i] = rows[r, i] * low * high * number


@jit
def _spaces(x, like, q, n, n_in):
    """Unit rows (B, n) and (B, n_in), and two Gram matrices (B, B), of T."""
    flat, count = own_reals(x, like, q, UNIT_ROWS)[0], x.examples
    first, second = count * n, count * (n + n_in)
    d, a = flat[:first].reshape((count, n)), flat[first:second].reshape((count, n_in))
    third = second + count * count
    p = flat[second:third].reshape((count, count))
    return d, a, p, flat[third : third + count * count].reshape((count, count))


@jit
def _add_cosines(x, like, q, h, i, u, layer):
    """Add what one matrix has of the cosine of every two examples."""
    op, n, rows_a = ints(x.ops)[i], units(x, h, layer), ints(x.row)[0]
    norms, norms_e = own_floats(x, q, NORMS), own_ints(x, q, NORMS_E)
    factor, _ = multiplied(x, like, i, u, layer)
    d, a, p, r = _spaces(x, like, q, n, factor.shape[1])
    last = norms.shape[0] - 1
    for b in range(x.examples):
        j = b if u else rows_a[h * x.examples + b]
        delta = delta_row(x, like, op[4], h, layer, b, n)
        m, k, _ = row_square(delta, 0)
        own, own_e, whole = norms[2 * op[4] + u, b], norms_e[2 * op[4] + u, b], norms[last, b]
        share = np.sqrt(own / whole) * power(own_e - norms_e[last, b], ONE) if own > 0.0 else 0.0
        _scaled_row(delta, 0, n, k, share / np.sqrt(m) if m > 0.0 else 0.0, d, b)
        m, k, _ = row_square(factor, j)
        _scaled_row(factor, j, a.shape[1], k, 1.0 / np.sqrt(m) if m > 0.0 else 0.0, a, b)
    np.dot(d, d.T, p)
    np.dot(a, a.T, r)
    cosines = own_floats(x, q, COSINES)
    for b in range(x.examples):
        for j in range(x.examples):
            cosines[b, j] += np.float64(p[b, j]) * np.float64(r[b, j])


@jit
def _outer(x, like, q, h, i, u, layer, as_units):
    """Squared norm of the sum over examples of what one matrix has of g, or of g / ||g||."""
    op, n, lists = ints(x.ops)[i], units(x, h, layer), ints(x.batch_e)
    norms, norms_e = own_floats(x, q, NORMS), own_ints(x, q, NORMS_E)
    _, ed = deltas(x, like, op[4], h, layer)
    factor, ea = multiplied(x, like, i, u, layer)
    d, _, _, _ = _spaces(x, like, q, n, factor.shape[1])
    rows_d, size, exponents = lists[ROWS, : x.examples], lists[SIZES], own_ints(x, q, MOVED)[0]
    last = norms.shape[0] - 1
    for b in range(x.examples):
        rows_d[b] = b
        delta = delta_row(x, like, op[4], h, layer, b, n)
        _, k, _ = row_square(delta, 0)
        whole = norms[last, b]
        part = (1.0 / np.sqrt(whole) if whole > 0.0 else 0.0) if as_units else 1.0
        _scaled_row(delta, 0, n, k, part, d, b)
        exponents[b] = k + ed[b] - (norms_e[last, b] if as_units else 0)
        top = largest_bits(d, b)
        size[b] = exponents[b] + exponent_of(top) if top > 0 else NEARLY_EMPTY
    rows_a = lists[COUNT, : x.examples]
    size_a = ints(x.x_square_e)[layer - 1] if u else ints(x.square_e)[ints(x.index)[op[1], layer]]
    if u == 0:
        rows_a = ints(x.row)[0, h * x.examples : (h + 1) * x.examples]
    return outer_mean(x, like, d, exponents, size, rows_d, factor, ea, size_a, rows_a)


@jit
def _sums(x, like, q, h, layer, top):
    """Sums over pairs i != j of cosines, and of g_i . g_j in units of 4**top."""
    norms, norms_e = own_floats(x, q, NORMS), own_ints(x, q, NORMS_E)
    last, cosines = norms.shape[0] - 1, own_floats(x, q, COSINES)
    gram = cosines.shape[0] == x.examples
    cosine, product = 0.0, 0.0
    if gram:
        for b in range(x.examples):
            for j in range(x.examples):
                cosines[b, j] = 0.0
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        for u in range(2):
            if not has_matrix(x, op, u):
                continue
            if gram:
                _add_cosines(x, like, q, h, i, u, layer)
                continue
            m, e = _outer(x, like, q, h, i, u, layer, 1)
            cosine += scale(m, 2 * e)
            m, e = _outer(x, like, q, h, i, u, layer, 0)
            product += scale(m, 2 * (e - top))
    for b in range(x.examples):
        size = _size(norms[last, b], norms_e[last, b] - top)
        if not gram:
            cosine -= 1.0 if norms[last, b] > 0.0 else 0.0
            product -= size * size
            continue
        for j in range(x.examples):
            if j != b:
                cosine += cosines[b, j]
                product += cosines[b, j] * size * _size(norms[last, j], norms_e[last, j] - top)
    return cosine, product


@jit
def _size(square, e):
    """Norm of a squared norm (mantissa, exponent)."""
    return np.sqrt(square) * power(e, ONE)


@jit
def _log10_square(number, top):
    """log10 of |number| * 4**top."""
    return 2.0 * log10_norm(abs(number), top)


@jit
def _layer(x, like, q, s, seeds, h, layer):
    """Measure one layer of one head."""
    _norms(x, like, q, h, layer)
    norms, norms_e = own_floats(x, q, NORMS), own_ints(x, q, NORMS_E)
    last, top, alive, mean, count = norms.shape[0] - 1, np.int64(NEARLY_EMPTY), 0, 0.0, x.examples
    for b in range(count):
        if norms[last, b] != 0.0:
            alive, top = alive + 1, max(top, norms_e[last, b])
    top = 0 if alive == 0 else top
    for b in range(count):
        mean += norms[last, b] * power(2 * (norms_e[last, b] - top), ONE)
    mean /= count
    cosine, product = _sums(x, like, q, h, layer, top)
    square = product / (count * (count - 1.0))
    variance = mean - square
    _put(x, q, MEAN, s, seeds, h, layer, log10_norm(max(product / count + mean, 0.0) / count, top))
    _put(x, q, RMS, s, seeds, h, layer, log10_norm(mean, top))
    _put(x, q, SQUARE, s, seeds, h, layer, scale(square, 2 * top))
    _put(x, q, VARIANCE, s, seeds, h, layer, scale(variance, 2 * top))
    _put(x, q, SCALE, s, seeds, h, layer, variance / square)
    pairs = alive * (alive - 1.0)
    _put(x, q, COSINE, s, seeds, h, layer, cosine / pairs if pairs > 0.0 else np.nan)
    _put(x, q, LOG_SQUARE, s, seeds, h, layer, _log10_square(square, top))
    _put(x, q, SQUARE_SIGN, s, seeds, h, layer, np.sign(square))
    _put(x, q, LOG_VARIANCE, s, seeds, h, layer, _log10_square(variance, top))


@jit
def _put(x, q, variable, s, seeds, h, layer, number):
    """Write one number."""
    own_floats(x, q, OUT)[(variable * seeds + s) * x.heads + h, layer - 1] = number


@unit(optional=True)
def write_noise(x, like, q, s, seeds, key, seed):
    """Sizes and differences of the weight gradients of all examples, in every layer."""
    for h in range(x.heads):
        for layer in range(1, ints(x.head)[DEPTH, h] + 1):
            if ints(x.stop)[0, 0]:
                return
            _layer(x, like, q, s, seeds, h, layer)

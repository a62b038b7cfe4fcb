"""Gradients of a mean over examples: norms of (1/B) sum_b delta_b a_b^T and (1/B) sum_b delta_b.

Rows of one batch carry different exponents; they are first brought to the largest one.
"""

import numpy as np

from ._jit import jit
from .activations import scale_row
from .norms import NEARLY_EMPTY, row_square


@jit
def _part(space, start, rows, columns):
    """Piece (rows, columns) of space (1, numbers), from number ``start`` on."""
    return space.reshape(space.size)[start : start + rows * columns].reshape((rows, columns))


@jit
def unit_rows(x, ex, size, row, scaled):
    """scaled[b] = row row[b] of x brought to a largest magnitude in [1, 2).

    ``ex`` and ``size`` (rows,) are the exponents of the rows and of their true largest magnitude.
    """
    for b in range(row.size):
        r = row[b]
        for i in range(scaled.shape[1]):
            scaled[b, i] = x[r, i]
        scale_row(scaled, b, ex[r] - size[r])


@jit
def common_rows(x, ex, size, extra, row, scaled):
    """scaled[b] = true row row[b] of x times 2**(extra[b] - top), none above 2; returns top."""
    top = np.int64(NEARLY_EMPTY)
    for b in range(row.size):
        top = max(top, size[row[b]] + extra[b])
    for b in range(row.size):
        r = row[b]
        for i in range(scaled.shape[1]):
            scaled[b, i] = x[r, i]
        scale_row(scaled, b, ex[r] + extra[b] - top)
    return top


@jit(reassoc=True)
def _gram_sum(p, q):
    """(sum of p * q, sum of the diagonal of p * q) for two Gram matrices (rows, rows)."""
    total, diagonal = 0.0, 0.0
    for i in range(p.shape[0]):
        diagonal += np.float64(p[i, i]) * np.float64(q[i, i])
        for j in range(p.shape[0]):
            total += np.float64(p[i, j]) * np.float64(q[i, j])
    return total, diagonal


@jit
def outer_square(d, a, space):
    """Squared norm (mantissa, exponent) of d.T @ a; d (rows, units), a (rows, n_in).

    Two Gram matrices cost less than the product while there are few rows; where they cancel, the
    product is formed after all.  ``space`` holds max(2 rows^2, units n_in) numbers.
    """
    rows, units, n_in = d.shape[0], d.shape[1], a.shape[1]
    if rows * (units + n_in) < units * n_in:
        p = _part(space, 0, rows, rows)
        q = _part(space, rows * rows, rows, rows)
        np.dot(d, d.T, p)
        np.dot(a, a.T, q)
        total, diagonal = _gram_sum(p, q)
        if total > (1e-2 if d.itemsize == 4 else 1e-4) * diagonal:
            return total, 0
    product = _part(space, 0, units, n_in)
    np.dot(d.T, a, product)
    mantissa, exponent, _ = row_square(product.reshape((1, units * n_in)), 0)
    return mantissa, exponent


@jit
def mean_square(d, space):
    """Squared norm (mantissa, exponent) of the sum of the rows of d (rows, units)."""
    total = _part(space, 0, 1, d.shape[1])
    for i in range(d.shape[1]):
        total[0, i] = 0
    for b in range(d.shape[0]):
        for i in range(d.shape[1]):
            total[0, i] += d[b, i]
    mantissa, exponent, _ = row_square(total, 0)
    return mantissa, exponent

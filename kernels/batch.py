"""Gradients of a mean over examples: norms of (1/B) sum_b delta_b a_b^T and (1/B) sum_b delta_b.

Rows of one batch carry different exponents; they are first brought to the largest one.
"""

import numpy as np

from ._jit import jit
from .activations import scale_row
from .norms import NEARLY_EMPTY, add_squares, row_square
from .sums import dot


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


@jit
def _gram(d, a, tile, space, stop):
    """Squared norm of d.T @ a from the products d @ d.T and a @ a.T, and that without cancelling.

    ``tile`` rows of both products are formed at a time.
    """
    rows, units, n_in = d.shape[0], d.shape[1], a.shape[1]
    total, diagonal = 0.0, 0.0
    for lo in range(0, rows, tile):
        if stop[0, 0]:
            break
        hi = min(lo + tile, rows)
        p = _part(space, 0, hi - lo, rows)
        q = _part(space, p.size, hi - lo, rows)
        np.dot(_part(d, lo * units, hi - lo, units), d.T, p)
        np.dot(_part(a, lo * n_in, hi - lo, n_in), a.T, q)
        total += dot(p, 0, q, 0, p.size, 1.0, 1.0)
        for i in range(hi - lo):
            diagonal += np.float64(p[i, lo + i]) * np.float64(q[i, lo + i])
    return total, diagonal


@jit
def outer_square(d, a, tile, space, stop):
    """Squared norm (mantissa, exponent) of d.T @ a; d (rows, units), a (rows, n_in).

    Two Gram matrices cost less than the product while there are few rows; where they cancel, the
    product is formed after all, ``tile`` units at a time, so that a ``stop`` (1, 1) is soon seen.
    ``space`` holds tile (2 rows + n_in) numbers.
    """
    rows, units, n_in = d.shape[0], d.shape[1], a.shape[1]
    if rows * (units + n_in) < units * n_in:
        total, diagonal = _gram(d, a, tile, space, stop)
        if total > (1e-2 if d.itemsize == 4 else 1e-4) * diagonal:
            return total, 0
    total, exponent = 0.0, 0
    for lo in range(0, units, tile):
        if stop[0, 0]:
            break
        hi = min(lo + tile, units)
        piece = d
        if hi - lo < units:
            piece = _part(space, 0, rows, hi - lo)
            for b in range(rows):
                for i in range(hi - lo):
                    piece[b, i] = d[b, lo + i]
        product = _part(space, rows * tile, hi - lo, n_in)
        np.dot(piece.T, a, product)
        mantissa, k, _ = row_square(product.reshape((1, product.size)), 0)
        total, exponent = add_squares(total, exponent, mantissa, k)
    return total, exponent


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

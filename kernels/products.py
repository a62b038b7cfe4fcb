"""Matrix products of all rows with the weights of one layer, tile by tile.

A tile is some rows of W: drawn into the worker's memory by address (the same bits each time), or
a piece of a stored or given matrix.  Only the products themselves call BLAS.
"""

import numpy as np

from ._jit import jit, unit
from .draws import fill
from .program import MADE, TILE, WIDTH, address, block, floats, ints, view
from .sums import dot

RECURRENT, INPUT = range(2)  # the two matrices of an affine map: W and U


@jit
def weight_tile(x, like, which, m, layer, lo, hi, again, key, seed):
    """Rows lo..hi of matrix ``which`` of map m; drawn unless in memory: given, made, or kept."""
    n_in = ints(x.layer)[WIDTH, layer - 1] if which == RECURRENT else x.n_in
    array = x.weights if which == RECURRENT else x.input_weights
    start = ints(x.weight_address if which == RECURRENT else x.input_address)[m, layer]
    if x.given or x.stored:
        start += lo * n_in
    at = address(array, like, start)
    made = x.made and which == RECURRENT
    if not (x.given or made or (again and x.stored)):
        stream, source = ints(x.streams)[m, which], 0 if x.tied else layer
        fill(x, like, at, (hi - lo) * n_in, x.distribution, lo * n_in, source, stream, key, seed)
    return view(at, like, hi - lo, n_in)


@unit
def forward_product(x, like, which, m, layer, a_at, rows, out_at, again, squares, key, seed):
    """Out (rows, units) = a (rows, n_in) @ W.T for map m of a layer.

    The first ``squares`` rows of this map in `weight_square` hold row counts, and receive the sum
    of squares of as many first rows of W (the one row of U: the third).
    """
    recurrent = which == RECURRENT
    made = ints(x.layer)[MADE if recurrent else WIDTH, layer]
    a = view(a_at, like, rows, ints(x.layer)[WIDTH, layer - 1] if recurrent else x.n_in)
    out = view(out_at, like, rows, made)
    tile = ints(x.layer)[TILE, layer] if recurrent else made
    first = 3 * m + (0 if recurrent else 2)
    for lo in range(0, made, tile):
        hi = min(lo + tile, made)
        w = weight_tile(x, like, which, m, layer, lo, hi, again, key, seed)
        for q in range(first, first + squares):
            count = min(np.int64(floats(x.weight_square)[q, 0]), hi) - lo
            floats(x.weight_square)[q, 1] += dot(w, 0, w, 0, max(count, 0) * w.shape[1], 1.0, 1.0)
        for top in range(0, rows, x.row_tile):
            if ints(x.stop)[0, 0]:
                return
            end = min(top + x.row_tile, rows)
            _times_transposed(a, w, out, block(x.part, like, 0, end - top, hi - lo), top, end, lo)


@jit
def _rows(x, lo, hi):
    """Rows lo..hi of a C-ordered x (rows, units), C-ordered."""
    n = x.shape[1]
    return x.reshape(x.size)[lo * n : hi * n].reshape((hi - lo, n))


@jit
def _times_transposed(a, w, out, piece, top, end, lo):
    """Rows top..end, columns lo.. of out = a @ w.T; ``piece`` serves where w is only a tile."""
    if w.shape[0] == out.shape[1]:
        np.dot(_rows(a, top, end), w.T, _rows(out, top, end))
        return
    np.dot(_rows(a, top, end), w.T, piece)
    for r in range(piece.shape[0]):
        for i in range(piece.shape[1]):
            out[top + r, lo + i] = piece[r, i]


@unit
def backward_product(x, like, which, m, layer, d_at, rows, made, key, seed):
    """`product` (rows, n_in) = d (rows, made) @ W for map m of a layer."""
    recurrent = which == RECURRENT
    n_in = ints(x.layer)[WIDTH, layer - 1] if recurrent else x.n_in
    d, out = view(d_at, like, rows, made), block(x.product, like, 0, rows, n_in)
    tile = min(ints(x.layer)[TILE, layer], made) if recurrent else made
    for lo in range(0, made, tile):
        hi = min(lo + tile, made)
        w = weight_tile(x, like, which, m, layer, lo, hi, 1, key, seed)
        for top in range(0, rows, x.row_tile):
            if ints(x.stop)[0, 0]:
                return
            end = min(top + x.row_tile, rows)
            piece = block(x.part, like, 0, end - top, hi - lo)
            result = block(x.part, like, (end - top) * (hi - lo), end - top, n_in)
            _times(d, w, out, piece, result, top, end, lo)


@jit
def _times(d, w, out, piece, result, top, end, lo):
    """Rows top..end of out = d[:, lo:] @ w, set where lo = 0 and added to it elsewhere."""
    if w.shape[0] == d.shape[1]:
        np.dot(_rows(d, top, end), w, _rows(out, top, end))
        return
    for r in range(piece.shape[0]):
        for i in range(piece.shape[1]):
            piece[r, i] = d[top + r, lo + i]
    np.dot(piece, w, result)
    for r in range(piece.shape[0]):
        for i in range(result.shape[1]):
            before = out[top + r, i] if lo > 0 else out.dtype.type(0)
            out[top + r, i] = before + result[r, i]

"""Measurement `entries`: how the log sizes of a layer's derivatives vary over rows and columns.

Analysis of variance of y_jk = log10 |dC/dW_jk| over rows j and columns k, zeros left out.  For one
example y_jk = log10 |delta_j| + log10 |a_k|, so that two lists tell all and nothing is left over;
the gradient of a batch mean is formed.
"""

import numpy as np

from ._jit import jit, unit
from .formed import formed_gradient
from .kept import delta_row, deltas, has_matrix, multiplied, operations, units
from .norms import LOG10_2
from .program import DEPTH, ints, own_floats
from .vecmath import log

# own arrays: results (place; number); sums and counts of rows, then of columns; a gradient and the
# rows it is made of
OUT, SUMS, FORMED = range(3)
MEAN, ROW, COLUMN, RESIDUAL, ZERO_SHARE = range(5)
LOG10_E = 0.43429448190325182765


@jit
def _list(rows, r, n, e):
    """Mean and variance of log10 of the n numbers of row r times 2**e that are not 0; how many."""
    count, total = 0, 0.0
    for i in range(n):
        if rows[r, i] != 0:
            total += log(abs(np.float64(rows[r, i])))
            count += 1
    if count == 0:
        return 0.0, np.nan, 0
    mean, square = total / count, 0.0
    for i in range(n):
        if rows[r, i] != 0:
            square += (log(abs(np.float64(rows[r, i]))) - mean) ** 2
    variance = square / (count - 1) if count > 1 else np.nan
    return mean * LOG10_E + e * LOG10_2, variance * LOG10_E * LOG10_E, count


@jit
def _single(x, like, i, u, h, b, layer):
    """Number, mean, and variances over rows and columns, of the derivatives of one example."""
    op, n = ints(x.ops)[i], units(x, h, layer)
    _, ed = deltas(x, like, op[4], h, layer)
    rows, e = multiplied(x, like, i, u, layer)
    r = b if u else ints(x.row)[0, h * x.examples + b]
    down, row, count = _list(delta_row(x, like, op[4], h, layer, b, n), 0, n, ed[b])
    along, column, other = _list(rows, r, rows.shape[1], e[r])
    return n * rows.shape[1], count * other, down + along, row, column, 0.0


@jit
def _add_up(g, sums):
    """Turn g into logs, 0 where it was 0; sums and counts of its rows (0, 1), columns (2, 3)."""
    for k in range(sums.shape[1]):
        for i in range(4):
            sums[i, k] = 0.0
    for j in range(g.shape[0]):
        for k in range(g.shape[1]):
            size = log(abs(g[j, k])) * LOG10_E if g[j, k] != 0 else np.inf
            g[j, k] = size
            if size != np.inf:
                sums[0, j] += size
                sums[1, j] += 1
                sums[2, k] += size
                sums[3, k] += 1


@jit
def _between(total, count, n, mean):
    """Sum of squares between n groups about the mean, and how many groups have a member."""
    square, groups = 0.0, 0
    for i in range(n):
        if count[i] > 0:
            square += count[i] * (total[i] / count[i] - mean) ** 2
            groups += 1
    return square, groups


@jit
def _variance(square, groups, left, count):
    """Variance between groups without what the residual adds to it; it may come out negative."""
    return (square / (groups - 1) - left) * groups / count if groups > 1 else np.nan


@jit
def _formed(x, like, q, i, u, h, layer):
    """As `_single`, of the mean over examples, with the variance that is left."""
    g, top = formed_gradient(x, like, i, u, h, layer, own_floats(x, q, FORMED)[0])
    sums = own_floats(x, q, SUMS)
    _add_up(g, sums)
    count, mean, square = 0.0, 0.0, 0.0
    for j in range(g.shape[0]):
        mean, count = mean + sums[0, j], count + sums[1, j]
    if count == 0:
        return g.size, 0, 0.0, np.nan, np.nan, 0.0
    mean /= count
    for j in range(g.shape[0]):
        for k in range(g.shape[1]):
            if g[j, k] != np.inf:
                square += (g[j, k] - mean) ** 2
    rows, n = _between(sums[0], sums[1], g.shape[0], mean)
    columns, m = _between(sums[2], sums[3], g.shape[1], mean)
    free = count - n - m + 1
    left = (square - rows - columns) / free if free > 0 else 0.0
    row, column = _variance(rows, n, left, count), _variance(columns, m, left, count)
    mean += top * LOG10_2 - log(np.float64(x.examples)) * LOG10_E
    return g.size, np.int64(count), mean, row, column, left


@jit
def _layer(x, like, q, s, h, b, layer):
    """Measure one layer of one head, for one example or (b < 0) for the mean over examples.

    Several matrices count by their numbers of derivatives; what their means differ by is residual.
    """
    entry = h * x.examples + b if x.each else h
    entries = x.head_rows if x.each else x.heads
    out = own_floats(x, q, OUT)[(s * entries + entry) * x.layers + layer - 1]
    size, total, origin, shift, square, left = 0, 0, 0.0, 0.0, 0.0, 0.0
    row, column, rows, columns = 0.0, 0.0, 0, 0
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        for u in range(2):
            if not has_matrix(x, op, u):
                continue
            if b >= 0:
                whole, n, mean, over_rows, over_columns, rest = _single(x, like, i, u, h, b, layer)
            else:
                whole, n, mean, over_rows, over_columns, rest = _formed(x, like, q, i, u, h, layer)
            size += whole
            if n == 0:
                continue
            if total == 0:
                origin = mean
            total, shift = total + n, shift + n * (mean - origin)
            square, left = square + n * (mean - origin) ** 2, left + n * rest
            if not np.isnan(over_rows):
                row, rows = row + n * over_rows, rows + n
            if not np.isnan(over_columns):
                column, columns = column + n * over_columns, columns + n
    out[ZERO_SHARE] = 1.0 - total / size
    out[MEAN] = -np.inf
    if total > 0:
        shift /= total
        out[MEAN], out[RESIDUAL] = origin + shift, left / total + (square / total - shift * shift)
    if rows > 0:
        out[ROW] = row / rows
    if columns > 0:
        out[COLUMN] = column / columns


@unit(optional=True)
def write_entries(x, like, q, s, seeds, key, seed):
    """Analysis of variance of the derivatives of every layer of one network."""
    alone = x.each or x.examples == 1
    entries = x.head_rows if x.each else x.heads
    for h in range(x.heads):
        for b in range(x.examples if alone else 1):
            place = s * entries + (h * x.examples + b if x.each else h)
            if ints(x.status)[place, 0] == 2:  # the forward pass left the range
                continue
            for layer in range(1, ints(x.head)[DEPTH, h] + 1):
                if ints(x.stop)[0, 0]:
                    return
                _layer(x, like, q, s, h, b if alone else -1, layer)

"""Measurement `partials`: how the sizes of single derivatives are spread in a layer.

A derivative with respect to a weight is delta_j a_k for one example, so its log is a sum of one
number from each of two lists: all are counted without being stored, and a quantile is the sum of
that rank, found between the edges of its bin by walking the two sorted lists.  The gradient of a
batch mean is formed; its logs are one list, and the other holds a single number.  Sums are in
bins from the lower edge of the histogram on, which is 1: 0 is what lies below it.
"""

import numpy as np

from . import ops
from ._jit import jit, unit
from .batch import common_rows
from .formed import formed_gradient
from .kept import counted, delta_row, deltas, multiplied, operations, units
from .measure import COUNT, NONE, SIZES
from .norms import LOG10_2, row_square
from .program import DEPTH, ints, own_floats, own_ints
from .vecmath import log

# own arrays: results; two lists of logs (part; numbers) of every matrix; counts (bins and both
# sides); cells of one row; sums of one bin; quantiles asked for and the bin of the lower edge;
# their lengths (part; 2); a gradient and the rows it is made of
OUT, FIRST, SECOND, CELLS, SUMS, ASKED, COUNTS, LENGTHS, FORMED = range(9)
LOG10_E = 0.43429448190325182765
PER_DECADE = 100.0


@jit
def _logs(rows, r, n, e, out, start, offset):
    """Append to out[start:] the logs, in bins, of the n numbers of row r that are not 0.

    True numbers are rows * 2**e.  Returns the new length.
    """
    shift = e * LOG10_2 * PER_DECADE - offset
    for i in range(n):
        size = log(abs(np.float64(rows[r, i])))
        out[start + i] = size * (LOG10_E * PER_DECADE) + shift
    end = start
    for i in range(n):
        if rows[r, i] != 0:
            out[end] = out[start + i]
            end += 1
    return end


@jit
def _count(x, q, parts):
    """Count all sums of both lists of every part into the cells; returns how many there are."""
    counts = own_ints(x, q, COUNTS)[0]
    cells = own_ints(x, q, CELLS)[0].view(np.int32)  # conversions fill twice as many lanes
    first, second = own_floats(x, q, FIRST), own_floats(x, q, SECOND)
    lengths = own_ints(x, q, LENGTHS)
    last, total = np.float64(counts.size - 1), 0
    for i in range(counts.size):
        counts[i] = 0
    for p in range(parts):
        n = lengths[p, 1]
        total += lengths[p, 0] * n
        for j in range(lengths[p, 0]):
            for lo in range(0, n, cells.size):
                _cells(first[p, j], second[p], lo, min(n - lo, cells.size), last, cells)
                for k in range(min(n - lo, cells.size)):
                    counts[np.uint64(cells[k])] += 1  # unsigned: no look at the sign
    return total


@jit
def _cells(number, numbers, lo, n, last, cells):
    """Cell of number + numbers[lo + k], for n of them."""
    for k in range(n):
        cells[k] = np.int32(min(max(number + numbers[lo + k], 0.0), last))


@jit
def _below(x, q, parts, limit):
    """Number of sums below a limit, of sorted lists."""
    first, second = own_floats(x, q, FIRST), own_floats(x, q, SECOND)
    lengths = own_ints(x, q, LENGTHS)
    total = 0
    for p in range(parts):
        end = lengths[p, 1]
        for j in range(lengths[p, 0]):
            number = first[p, j]
            while end > 0 and number + second[p, end - 1] >= limit:
                end -= 1
            total += end
    return total


@jit
def _gather(x, q, parts, low, high, sums):
    """Fill sums with all that lie in [low, high), of sorted lists; returns how many."""
    first, second = own_floats(x, q, FIRST), own_floats(x, q, SECOND)
    lengths = own_ints(x, q, LENGTHS)
    found = 0
    for p in range(parts):
        end = lengths[p, 1]
        for j in range(lengths[p, 0]):
            number = first[p, j]
            while end > 0 and number + second[p, end - 1] >= high:
                end -= 1
            k = end - 1
            while k >= 0 and number + second[p, k] >= low:
                sums[found] = number + second[p, k]
                found, k = found + 1, k - 1
    return found


@jit
def _select(x, q, parts, low, high, rank, count):
    """Sum of a rank (from 1) among the ``count`` sums in [low, high), of sorted lists."""
    sums = own_floats(x, q, SUMS)[0]
    while count > sums.size:
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:  # one number, many times
            return low
        less = _below(x, q, parts, middle) - _below(x, q, parts, low)
        if rank <= less:
            high, count = middle, less
        else:
            low, rank, count = middle, rank - less, count - less
    count = _gather(x, q, parts, low, high, sums)
    sums[:count].sort()
    return sums[rank - 1]


@jit
def _ends(x, q, parts):
    """Smallest and largest sum, of sorted lists."""
    first, second = own_floats(x, q, FIRST), own_floats(x, q, SECOND)
    lengths = own_ints(x, q, LENGTHS)
    low, high = np.inf, -np.inf
    for p in range(parts):
        n, m = lengths[p, 0], lengths[p, 1]
        if n > 0 and m > 0:
            low = min(low, first[p, 0] + second[p, 0])
            high = max(high, first[p, n - 1] + second[p, m - 1])
    return low, high


@jit
def _in_cell(x, q, parts, cell, rank):
    """Sum of a rank (from 1) among those in one cell, of sorted lists that have been counted."""
    counts = own_ints(x, q, COUNTS)[0]
    low, high = np.float64(cell), cell + 1.0
    if cell == 0:
        low, _ = _ends(x, q, parts)
    elif cell == counts.size - 1:
        _, high = _ends(x, q, parts)
        high += 1.0
    return _select(x, q, parts, low, high, rank, counts[cell])


@jit
def _quantiles(x, q, parts, size, zeros, place, start):
    """Write the quantiles of ``size`` numbers, which are asked for in rising order."""
    out, counts, asked = own_floats(x, q, OUT), own_ints(x, q, COUNTS)[0], own_floats(x, q, ASKED)
    first, second = own_floats(x, q, FIRST), own_floats(x, q, SECOND)
    lengths = own_ints(x, q, LENGTHS)
    for p in range(parts):
        first[p, : lengths[p, 0]].sort()
        second[p, : lengths[p, 1]].sort()
    cell, before = 0, 0
    for i in range(1, asked.shape[1]):
        rank = np.int64(max(np.ceil(asked[0, i] * size), 1.0)) - zeros
        number = -np.inf
        if rank > 0 and parts == 1 and lengths[0, 0] == 1:  # the second list is all there is
            number = first[0, 0] + second[0, rank - 1]
        elif rank > 0:
            while rank > before + counts[cell]:
                before, cell = before + counts[cell], cell + 1
            number = _in_cell(x, q, parts, cell, rank - before)
        out[place, start + i - 1] = (number + asked[0, 0]) / PER_DECADE


@jit
def _write(x, q, parts, size, place, start):
    """Write counts, quantiles and the share of zeros of ``size`` numbers into row ``place``."""
    out, counts, asked = own_floats(x, q, OUT), own_ints(x, q, COUNTS)[0], own_floats(x, q, ASKED)
    zeros = size - _count(x, q, parts)
    for i in range(counts.size):
        out[place, start + i] = counts[i]
    start += counts.size
    _quantiles(x, q, parts, size, zeros, place, start)
    out[place, start + asked.shape[1] - 1] = zeros / size


@jit
def _single(x, like, q, i, u, h, b, layer, part):
    """Fill the lists of one matrix with the logs of delta and of what it multiplies."""
    op, n, offset = ints(x.ops)[i], units(x, h, layer), own_floats(x, q, ASKED)[0, 0]
    lengths = own_ints(x, q, LENGTHS)
    _, ed = deltas(x, like, op[4], h, layer)
    row = delta_row(x, like, op[4], h, layer, b, n)
    rows, e = multiplied(x, like, i, u, layer)
    r = b if u else ints(x.row)[0, h * x.examples + b]
    m = rows.shape[1]
    lengths[part, 0] = _logs(row, 0, n, ed[b], own_floats(x, q, FIRST)[part], 0, offset)
    lengths[part, 1] = _logs(rows, r, m, e[r], own_floats(x, q, SECOND)[part], 0, 0.0)
    return n * m


@jit
def _formed(x, like, q, i, u, h, layer, part):
    """Fill the second list with the logs of the mean over examples of delta a^T."""
    offset = own_floats(x, q, ASKED)[0, 0]
    g, top = formed_gradient(x, like, i, u, h, layer, own_floats(x, q, FORMED)[0])
    lengths = own_ints(x, q, LENGTHS)
    own_floats(x, q, FIRST)[part, 0], lengths[part, 0] = (
        -PER_DECADE * LOG10_E * log(np.float64(x.examples)),
        1,
    )
    numbers = g.reshape((1, g.size))
    lengths[part, 1] = _logs(numbers, 0, g.size, top, own_floats(x, q, SECOND)[part], 0, offset)
    return g.size


@jit
def _biases(x, like, q, h, b, layer):
    """Fill the second list with the logs of the bias gradient: of one example, or of the mean."""
    n, offset, size = units(x, h, layer), own_floats(x, q, ASKED)[0, 0], 0
    lengths, out, count = own_ints(x, q, LENGTHS), own_floats(x, q, SECOND)[0], x.examples
    total = own_floats(x, q, FORMED)[0][:n].reshape((1, n))
    lengths[0, 0], lengths[0, 1], own_floats(x, q, FIRST)[0, 0] = 1, 0, 0.0
    if b < 0:
        own_floats(x, q, FIRST)[0, 0] = -PER_DECADE * LOG10_E * log(np.float64(count))
    for i in range(operations(x, h, layer)):
        if not counted(x, i):
            continue
        m = ints(x.ops)[i, 4]
        delta, e = deltas(x, like, m, h, layer)
        size += n
        if b >= 0:
            row = delta_row(x, like, m, h, layer, b, n)
            lengths[0, 1] = _logs(row, 0, n, e[b], out, lengths[0, 1], offset)
            continue
        lists = ints(x.batch_e)
        for j in range(count):
            _, k, _ = row_square(delta_row(x, like, m, h, layer, j, n), 0)
            lists[SIZES, j] = k + e[j]
        d = own_floats(x, q, FORMED)[0][n : n + count * n].reshape((count, n))
        top = common_rows(delta, e, lists[SIZES], lists[NONE, :count], lists[COUNT, :count], d)
        for k in range(n):
            total[0, k] = 0.0
        for j in range(count):
            for k in range(n):
                total[0, k] += d[j, k]
        lengths[0, 1] = _logs(total, 0, n, top, out, lengths[0, 1], offset)
    return size


@jit
def _layer(x, like, q, s, h, b, layer):
    """Measure one layer of one head, for one example or (b < 0) for the mean over examples."""
    entry = h * x.examples + b if x.each else h
    entries = x.head_rows if x.each else x.heads
    place = (s * entries + entry) * x.layers + layer - 1
    parts, size = 0, 0
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        for u in range(2):
            has = op[7] & ops.HAS_U and x.n_in > 0 if u else op[7] & ops.HAS_W
            if op[0] != ops.LINEAR or not has:
                continue
            if b >= 0:
                size += _single(x, like, q, i, u, h, b, layer, parts)
            else:
                size += _formed(x, like, q, i, u, h, layer, parts)
            parts += 1
    _write(x, q, parts, size, place, 0)
    size = _biases(x, like, q, h, b, layer)
    _write(x, q, 1, size, place, own_floats(x, q, OUT).shape[1] // 2)


@jit
def _left_range(x, s, h, b):
    """Whether the forward pass of a result left the range, so that it has no gradient."""
    entries = x.head_rows if x.each else x.heads
    return ints(x.status)[s * entries + (h * x.examples + b if x.each else h), 0] == 2


@unit(optional=True)
def write_partials(x, like, q, s, seeds, key, seed):
    """Histograms and quantiles of single derivatives, in every layer of one network."""
    alone = x.each or x.examples == 1
    for h in range(x.heads):
        for b in range(x.examples if alone else 1):
            for layer in range(1, ints(x.head)[DEPTH, h] + 1):
                if ints(x.stop)[0, 0] or _left_range(x, s, h, b):
                    break
                _layer(x, like, q, s, h, b if alone else -1, layer)

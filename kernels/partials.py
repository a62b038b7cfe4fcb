"""Measurement `partials`: how the sizes of single derivatives are spread in a layer.

A derivative with respect to a weight is delta_j a_k for one example, so its log is a sum of one
number from each of two lists: all are counted without being stored (`pair_counts`), and a quantile
is the sum of that rank (`pair_ranks`).  The gradient of a batch mean is formed; its logs are one
list, and the other holds a single number.  Sums are in bins from the lower edge of the histogram
on, which is 1: 0 is what lies below it.
"""

import numpy as np

from ._jit import jit, unit
from .batch import common_rows
from .formed import formed_gradient
from .kept import counted, delta_row, deltas, has_matrix, multiplied, operations, units
from .measure import COUNT, NONE, SIZES
from .norms import LOG10_2, row_square
from .ops import LINEAR
from .pair_counts import count
from .pair_ranks import sort, sum_in_cell, two_lists
from .program import DEPTH, ints, own_floats, own_ints
from .vecmath import log

# own arrays: results; lists of logs, one after another, the first a single number; pairs of lists,
# those of the weights, then those of the biases (start and length of both); their numbers; bins and
# both sides, likewise; scratch of `pair_counts`; sums of one bin; the bin of the lower edge, what
# logs are multiples of, and the quantiles asked for; a gradient and the rows it is made of
OUT, LISTS, PAIRS, PARTS, COUNTS, TABLES, CELLS, FRACTIONS, STARTS, SUMS, ASKED, FORMED = range(12)
WEIGHTS, BIASES = range(2)
LOWEST, GRAIN, QUANTILES = range(3)
LOG10_E = 0.43429448190325182765
PER_DECADE = 100.0


@jit
def _logs(x, q, rows, r, n, e, start, offset):
    """Put the logs, in bins, of the n numbers of row r that are not 0 into the lists at ``start``.

    True numbers are rows * 2**e.  Returns where they end.
    """
    out, grain = own_floats(x, q, LISTS)[0], own_floats(x, q, ASKED)[0, GRAIN]
    shift = e * LOG10_2 * PER_DECADE - offset
    for i in range(n):
        size = log(abs(np.float64(rows[r, i])))
        out[start + i] = np.rint((size * (LOG10_E * PER_DECADE) + shift) / grain) * grain
    end = start
    for i in range(n):
        if rows[r, i] != 0:
            out[end] = out[start + i]
            end += 1
    return end


@jit
def _pairs(x, q, kind):
    """Pairs of lists (pair; start, length, start, length) of the weights or of the biases."""
    pairs = own_ints(x, q, PAIRS)
    first = kind * (pairs.shape[0] // 2)
    return pairs[first : first + own_ints(x, q, PARTS)[0, kind]]


@jit
def _add_pair(x, q, kind, first, n, second, m):
    """Note a pair of lists: n numbers from ``first`` on, and m from ``second`` on."""
    parts, pairs = own_ints(x, q, PARTS), own_ints(x, q, PAIRS)
    place = kind * (pairs.shape[0] // 2) + parts[0, kind]
    pairs[place, 0], pairs[place, 1], pairs[place, 2], pairs[place, 3] = first, n, second, m
    parts[0, kind] += 1


@jit
def _single(x, like, q, h, b, layer):
    """Make the lists of one example; returns how many derivatives there are: of weights, biases."""
    n, end, weights, biases = units(x, h, layer), 1, 0, 0
    own_floats(x, q, LISTS)[0, 0] = 0.0
    for i in range(operations(x, h, layer)):
        op = ints(x.ops)[i]
        if op[0] != LINEAR:
            continue
        _, ed = deltas(x, like, op[4], h, layer)
        row, start = delta_row(x, like, op[4], h, layer, b, n), end
        end = _logs(x, q, row, 0, n, ed[b], start, own_floats(x, q, ASKED)[0, LOWEST])
        live = end - start
        if counted(x, i):
            _add_pair(x, q, BIASES, 0, 1, start, live)
            biases += n
        for u in range(2):
            if has_matrix(x, op, u):
                rows, e = multiplied(x, like, i, u, layer)
                r, m, other = b if u else ints(x.row)[0, h * x.examples + b], rows.shape[1], end
                end = _logs(x, q, rows, r, m, e[r], other, 0.0)
                _add_pair(x, q, WEIGHTS, start, live, other, end - other)
                weights += n * m
    return weights, biases


@jit
def _mean(x, like, q, h, layer):
    """Make the lists of a mean over examples; returns how many derivatives there are."""
    n, end, weights, biases = units(x, h, layer), 1, 0, 0
    offset, space = own_floats(x, q, ASKED)[0, LOWEST], own_floats(x, q, FORMED)[0]
    grain = own_floats(x, q, ASKED)[0, GRAIN]
    share = -PER_DECADE * LOG10_E * log(np.float64(x.examples))
    own_floats(x, q, LISTS)[0, 0] = np.rint(share / grain) * grain
    for i in range(operations(x, h, layer)):
        for u in range(2):
            if has_matrix(x, ints(x.ops)[i], u):
                g, top = formed_gradient(x, like, i, u, h, layer, space)
                start = end
                end = _logs(x, q, g.reshape((1, g.size)), 0, g.size, top, start, offset)
                _add_pair(x, q, WEIGHTS, 0, 1, start, end - start)
                weights += g.size
        if counted(x, i):
            total, top = _mean_bias(x, like, ints(x.ops)[i, 4], h, layer, n, space)
            start = end
            end = _logs(x, q, total, 0, n, top, start, offset)
            _add_pair(x, q, BIASES, 0, 1, start, end - start)
            biases += n
    return weights, biases


@jit
def _mean_bias(x, like, m, h, layer, n, space):
    """Sum over examples of the delta (1, n) of map m, and its exponent."""
    lists, examples = ints(x.batch_e), x.examples
    total, d = space[:n].reshape((1, n)), space[n : n + examples * n].reshape((examples, n))
    delta, e = deltas(x, like, m, h, layer)
    for j in range(examples):
        _, k, _ = row_square(delta_row(x, like, m, h, layer, j, n), 0)
        lists[SIZES, j] = k + e[j]
    top = common_rows(delta, e, lists[SIZES], lists[NONE, :examples], lists[COUNT, :examples], d)
    for k in range(n):
        total[0, k] = 0.0
    for j in range(examples):
        for k in range(n):
            total[0, k] += d[j, k]
    return total, top


@jit
def _count(x, q, kind):
    """Count all sums of all pairs into bins; returns how many there are."""
    counts, pairs, lists = own_ints(x, q, COUNTS)[kind], _pairs(x, q, kind), own_floats(x, q, LISTS)
    tables = own_ints(x, q, TABLES).view(np.int32)  # twice as many lanes
    cells, starts = own_ints(x, q, CELLS), own_ints(x, q, STARTS)
    counts[:] = 0
    total = 0
    for p in range(pairs.shape[0]):
        first, second = two_lists(lists[0], pairs[p])
        count(first, second, counts, tables, cells, own_floats(x, q, FRACTIONS), starts)
        total += first.size * second.size
    return total


@jit
def _sort(x, q):
    """Sort the lists of weights whose sums will be looked for: single numbers need it not."""
    pairs, lists = _pairs(x, q, WEIGHTS), own_floats(x, q, LISTS)[0]
    spare, places = own_floats(x, q, FRACTIONS)[0], own_ints(x, q, CELLS)
    for p in range(pairs.shape[0]):
        first, second = two_lists(lists, pairs[p])
        if first.size > 1:
            if p == 0 or pairs[p - 1, 0] != pairs[p, 0]:  # W and U share their delta
                sort(first, spare, places)
            sort(second, spare, places)


@jit
def _write(x, q, kind, size, total, place):
    """Write counts, quantiles and the share of zeros of ``size`` numbers into row ``place``.

    ``total`` of them are not 0; quantiles are asked for in rising order.
    """
    out, counts = own_floats(x, q, OUT), own_ints(x, q, COUNTS)[kind]
    asked, pairs = own_floats(x, q, ASKED)[0], _pairs(x, q, kind)
    lists, sums = own_floats(x, q, LISTS)[0], own_floats(x, q, SUMS)[0]
    row = out[place, kind * (out.shape[1] // 2) :]
    for i in range(counts.size):
        row[i] = counts[i]
    cell, before, zeros = 0, 0, size - total
    for i in range(QUANTILES, asked.size):
        rank, number = np.int64(max(np.ceil(asked[i] * size), 1.0)) - zeros, -np.inf
        if rank > 0:
            while rank > before + counts[cell]:
                before, cell = before + counts[cell], cell + 1
            number = sum_in_cell(lists, pairs, counts, cell, rank - before, sums)
        row[counts.size + i - QUANTILES] = (number + asked[LOWEST]) / PER_DECADE
    row[counts.size + asked.size - QUANTILES] = zeros / size


@jit
def _layer(x, like, q, s, h, b, layer):
    """Measure one layer of one head, for one example or (b < 0) for the mean over examples."""
    entry = h * x.examples + b if x.each else h
    entries = x.head_rows if x.each else x.heads
    place = (s * entries + entry) * x.layers + layer - 1
    own_ints(x, q, PARTS)[:] = 0
    if b >= 0:
        weights, biases = _single(x, like, q, h, b, layer)
    else:
        weights, biases = _mean(x, like, q, h, layer)
    of_weights, of_biases = _count(x, q, WEIGHTS), _count(x, q, BIASES)  # before order is lost
    _sort(x, q)
    _write(x, q, WEIGHTS, weights, of_weights, place)
    _write(x, q, BIASES, biases, of_biases, place)


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

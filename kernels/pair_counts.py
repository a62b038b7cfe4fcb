"""How many sums of two lists fall into each cell of a histogram, counted without forming them.

Cell c holds the sums in [c, c + 1); the first and the last cell take all that lies beyond.  A sum
i + f + j + g of whole parts i, j and fractions f, g falls into cell i + j, or into the next where
f >= 1 - g.  So a list and one more number make the histogram of the list, moved by i, after each
member with f >= 1 - g has gone up by a cell: taken by rising f, every member goes up once, and a
number costs as much as the histogram is long, not the list.  Numbers are put in order by fraction
to one part in `BUCKETS` alone; within such a part both fractions are compared.

Sums are exact (see `gradsim._partials`), so that a sum lies where its rank is looked for.
"""

import numpy as np

from ._jit import jit

BUCKETS = 64  # of fractions
TABLES, FRACTIONS, STARTS = 2, 3, 2  # rows of scratch (see `count`)
_LANES = 64  # a histogram of whole such pieces is added without a remainder
_FEW = 4096  # sums that are counted one by one in no more time
_SPARSE = 8  # cells for a member of the list: beyond it the histogram costs more than the sums


@jit
def _cells(number, numbers, lo, n, last, cells):
    """Cell of number + numbers[lo + k], for n of them."""
    for k in range(n):
        cells[k] = np.int32(min(max(number + numbers[lo + k], 0.0), last))


@jit
def _one_by_one(first, second, counts, cells):
    """Count every sum for itself; ``cells`` is scratch."""
    last = np.float64(counts.size - 1)
    for j in range(first.size):
        for lo in range(0, second.size, cells.size):
            n = min(second.size - lo, cells.size)
            _cells(first[j], second, lo, n, last, cells)
            for k in range(n):
                counts[np.uint64(cells[k])] += 1  # unsigned: no look at the sign


@jit
def _lowest_cell(numbers):
    """Cell of the smallest of some numbers, and how many cells they span; both as float64."""
    low, high = numbers[0], numbers[0]
    for i in range(numbers.size):
        low, high = min(low, numbers[i]), max(high, numbers[i])
    return np.floor(low), np.floor(high) - np.floor(low) + 1.0


@jit
def _by_fraction(numbers, lowest, complement, cells, fractions, starts, loose):
    """Put whole parts above ``lowest`` and fractions (or 1 - fraction) into order by bucket."""
    n = numbers.size
    for i in range(n):
        fraction = numbers[i] - np.floor(numbers[i])
        loose[i] = 1.0 - fraction if complement else fraction
    for bucket in range(starts.size):
        starts[bucket] = 0
    for i in range(n):
        starts[np.uint64(loose[i] * BUCKETS) + np.uint64(2)] += 1
    for bucket in range(2, starts.size):
        starts[bucket] += starts[bucket - 1]
    for i in range(n):
        bucket = np.uint64(loose[i] * BUCKETS) + np.uint64(1)
        at = starts[bucket]
        cells[at], fractions[at] = np.int64(np.floor(numbers[i]) - lowest), loose[i]
        starts[bucket] = at + 1


@jit
def _add(table, histogram):
    """Add a histogram to a table of the same length."""
    for c in range(histogram.size):
        table[c] += histogram[c]


@jit
def _moved(first, second, table, histogram, cells, fractions, starts):
    """Fill the table with the histograms of ``second`` moved by every number of ``first``."""
    i, f, j, g = cells[0], fractions[0], cells[1], fractions[1]
    one = np.int32(1)
    for k in range(second.size):
        histogram[j[k]] += one
    for bucket in range(BUCKETS):
        lo, hi = starts[1, bucket], starts[1, bucket + 1]
        for a in range(starts[0, bucket], starts[0, bucket + 1]):
            row = table[i[a] : i[a] + histogram.size]
            _add(row, histogram)
            for k in range(lo, hi):
                up = np.int32(f[a] >= g[k])
                row[j[k]] -= up
                row[j[k] + 1] += up
        for k in range(lo, hi):
            histogram[j[k]] -= one
            histogram[j[k] + 1] += one


@jit
def count(first, second, counts, tables, cells, fractions, starts):
    """Add the cells of all sums of a number of ``first`` and one of ``second`` to ``counts``.

    Scratch: ``tables`` (TABLES, any length) of int32; ``cells`` (2, n) and ``fractions``
    (FRACTIONS, n) for lists of n numbers; ``starts`` (STARTS, BUCKETS + 2).
    """
    sums = first.size * second.size
    if sums == 0:
        return
    low, span = _lowest_cell(first)
    lowest, own = _lowest_cell(second)
    dense = own <= _SPARSE * second.size and span + own + _LANES <= tables.shape[1]
    if not _FEW <= sums < 2**31 or not dense or max(first.size, second.size) > cells.shape[1]:
        _one_by_one(first, second, counts, tables[0])
        return
    _by_fraction(first, low, False, cells[0], fractions[0], starts[0], fractions[2])
    _by_fraction(second, lowest, True, cells[1], fractions[1], starts[1], fractions[2])
    room = (np.int64(own) // _LANES + 1) * _LANES
    table, histogram = tables[0, : np.int64(span) + room], tables[1, :room]
    table[:], histogram[:] = 0, 0
    _moved(first, second, table, histogram, cells, fractions, starts)
    start, last = np.int64(low + lowest), counts.size - 1
    for c in range(table.size):
        counts[min(max(start + c, 0), last)] += table[c]

"""Sums of a given rank among all sums of pairs of lists, which are not stored.

A row of ``pairs`` is (start, length, start, length) of two lists within ``lists``.  The sums of
one number and a list are looked through; of two lists both are sorted, and the sums below a limit
end further down in the second the further up one goes in the first.
"""

import numpy as np

from ._jit import jit

_CROWD = 16  # numbers in one part of a range that insertion takes too long for


@jit
def sort(numbers, spare, places):
    """Sort numbers (n,): by parts of their range, then by insertion, which finds little to do.

    A branch on the order of two random numbers is a wrong guess half the time: this takes a fifth
    of the time.  ``spare`` (n,) and ``places`` (2, n) are scratch.
    """
    n = numbers.size
    if n < 2:
        return
    low, high = np.min(numbers), np.max(numbers)
    part, starts, most = places[0], places[1, :n], 0
    scale = (n - 1) / (high - low) if high > low else 0.0
    for i in range(n):
        part[i] = min(np.int64((numbers[i] - low) * scale), n - 2)
    for i in range(n):
        starts[i] = 0
    for i in range(n):
        starts[part[i] + 1] += 1
    for i in range(1, n):
        most = max(most, starts[i])
        starts[i] += starts[i - 1]
    if most > _CROWD:
        numbers.sort()
        return
    for i in range(n):
        at = starts[part[i]]
        spare[at], starts[part[i]] = numbers[i], at + 1
    for i in range(n):
        k = i
        while k > 0 and numbers[k - 1] > spare[i]:
            numbers[k], k = numbers[k - 1], k - 1
        numbers[k] = spare[i]


@jit
def two_lists(lists, pair):
    """Both lists of a pair."""
    return lists[pair[0] : pair[0] + pair[1]], lists[pair[2] : pair[2] + pair[3]]


@jit
def _below(lists, pairs, limit):
    """Number of sums below a limit."""
    total = 0
    for p in range(pairs.shape[0]):
        first, second = two_lists(lists, pairs[p])
        if first.size == 1:
            for k in range(second.size):
                total += first[0] + second[k] < limit
            continue
        end = second.size
        for j in range(first.size):
            while end > 0 and first[j] + second[end - 1] >= limit:
                end -= 1
            total += end
    return total


@jit
def _gather(lists, pairs, low, high, sums):
    """Fill sums with all that lie in [low, high); returns how many."""
    found = 0
    for p in range(pairs.shape[0]):
        first, second = two_lists(lists, pairs[p])
        if first.size == 1:
            for k in range(second.size):
                number = first[0] + second[k]
                if low <= number < high:
                    sums[found], found = number, found + 1
            continue
        end = second.size
        for j in range(first.size):
            while end > 0 and first[j] + second[end - 1] >= high:
                end -= 1
            k = end - 1
            while k >= 0 and first[j] + second[k] >= low:
                sums[found] = first[j] + second[k]
                found, k = found + 1, k - 1
    return found


@jit
def _of_rank(numbers, rank):
    """Number of a rank (from 1) among numbers, which change places (Hoare's selection)."""
    lo, hi, at = 0, numbers.size - 1, rank - 1
    while lo < hi:
        pivot, i, j = numbers[(lo + hi) // 2], lo, hi
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i, j = i + 1, j - 1
        if at <= j:
            hi = j
        elif at >= i:
            lo = i
        else:
            break
    return numbers[at]


@jit
def _select(lists, pairs, low, high, rank, count, sums):
    """Sum of a rank (from 1) among the ``count`` sums in [low, high); ``sums`` is scratch."""
    while count > sums.size:
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:  # one number, many times
            return low
        less = _below(lists, pairs, middle) - _below(lists, pairs, low)
        if rank <= less:
            high, count = middle, less
        else:
            low, rank, count = middle, rank - less, count - less
    count = _gather(lists, pairs, low, high, sums)
    return _of_rank(sums[:count], rank)


@jit
def _ends(lists, pairs):
    """Smallest and largest sum."""
    low, high = np.inf, -np.inf
    for p in range(pairs.shape[0]):
        first, second = two_lists(lists, pairs[p])
        if first.size > 0 and second.size > 0:
            low = min(low, np.min(first) + np.min(second))
            high = max(high, np.max(first) + np.max(second))
    return low, high


@jit
def sum_in_cell(lists, pairs, counts, cell, rank, sums):
    """Sum of a rank (from 1) among those in one cell of a histogram that has been counted."""
    low, high = np.float64(cell), cell + 1.0
    if cell == 0:
        low, _ = _ends(lists, pairs)
    elif cell == counts.size - 1:
        _, high = _ends(lists, pairs)
        high += 1.0
    return _select(lists, pairs, low, high, rank, counts[cell], sums)

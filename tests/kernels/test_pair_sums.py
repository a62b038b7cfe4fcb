"""Counts and ranks of the sums of two lists against all sums, formed and sorted in NumPy."""

import numpy as np
import pytest

from gradsim.kernels import pair_counts, pair_ranks

BINS = 300
GRAIN = 2.0**-43
RNG = np.random.default_rng(11)


def counted(first, second, longest=200):
    """Counts of all sums in BINS cells, the ends of which take the rest."""
    counts = np.zeros(BINS, np.int64)
    tables = np.zeros((pair_counts.TABLES, 2048), np.int32)
    cells, fractions = np.zeros((2, longest), np.int64), np.zeros((3, longest))
    starts = np.zeros((pair_counts.STARTS, pair_counts.BUCKETS + 2), np.int64)
    pair_counts.count(first, second, counts, tables, cells, fractions, starts)
    return counts


def rounded(numbers):
    return np.rint(np.asarray(numbers) / GRAIN) * GRAIN


def logs(n, middle=0.0):
    """Logs in bins of 0.01 decade of n Gaussian numbers."""
    return rounded(100 * np.log10(np.abs(RNG.normal(size=n))) + middle)


LISTS = {
    "few": (logs(9, 200), logs(12)),
    "many": (logs(150, 200), logs(180)),
    "beyond both ends": (logs(100, 0), np.append(logs(50), logs(50, 400))),
    "far apart": (logs(100, 200), np.append(logs(99), -1e6)),
    "very far": (np.append(logs(99, 200), 1e9), logs(100, -1e9)),
    "sparse": (logs(100, 150), 1000.0 * np.arange(-50, 50)),
    "longer than the scratch": (logs(70, 200), logs(201)),
    "on the edges": (np.arange(80) / 16 + 100, np.arange(90) / 64),
    "one number": (np.full(70, 100.25), np.full(80, 3.75)),
    "just below an edge": (np.full(70, 100.25), np.full(80, 3.75 - GRAIN)),
    "one and many": (logs(1, 200), logs(180)),
    "none": (logs(0), logs(5)),
}


@pytest.mark.parametrize("name", LISTS)
def test_count__is_that_of_all_sums(name):
    first, second = LISTS[name]
    sums = np.add.outer(first, second).ravel()
    want = np.bincount(np.clip(sums, 0, BINS - 1).astype(int), minlength=BINS)
    np.testing.assert_array_equal(counted(first, second), want)
    np.testing.assert_array_equal(counted(second, first), want)


@pytest.mark.parametrize(
    "numbers",
    [logs(n) for n in (0, 1, 2, 3, 17, 300)]
    + [np.full(40, 2.5), np.append(logs(60), 1e9), np.array([1.0, 1.0 + GRAIN] * 9)],
)
def test_sort__is_numpys(numbers):
    want, n = np.sort(numbers), numbers.size
    pair_ranks.sort(numbers, np.zeros(n), np.zeros((2, n), np.int64))
    np.testing.assert_array_equal(numbers, want)


@pytest.mark.parametrize("room", [3, 1000])
@pytest.mark.parametrize("name", [name for name in LISTS if name != "none"])
def test_sum_in_cell__has_its_rank_among_all_sums(name, room):
    lists, counts = [np.sort(part) for part in LISTS[name]], counted(*LISTS[name])
    sizes = [part.size for part in lists]
    pairs = np.array([[0, sizes[0], sizes[0], sizes[1]], [0, 0, 0, 5]])
    sums, scratch = np.sort(np.add.outer(*lists).ravel()), np.zeros(room)
    last = np.cumsum(counts)
    for rank in np.unique(np.linspace(1, sums.size, 9).astype(int)):
        cell = int(np.searchsorted(last, rank))
        within = rank - (last[cell] - counts[cell])
        got = pair_ranks.sum_in_cell(np.concatenate(lists), pairs, counts, cell, within, scratch)
        assert got == sums[rank - 1]


def test_sum_in_cell__of_one_number_and_a_list_that_is_not_sorted():
    one, many = np.array([100.0]), logs(150, 50)
    counts, lists = counted(one, many), np.append(one, many)
    pairs, want = np.array([[0, 1, 1, 150]]), np.sort(100.0 + many)
    cell = int(np.argmax(counts))
    before = counts[:cell].sum()
    for rank in range(1, counts[cell] + 1):
        got = pair_ranks.sum_in_cell(lists, pairs, counts, cell, rank, np.zeros(2))
        assert got == want[before + rank - 1]

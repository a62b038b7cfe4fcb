"""Singular values of graded rows, and factorisations of rows, against fifty and more digits."""

import mpmath
import numpy as np
import pytest

from gradsim.kernels import graded, singular

RNG = np.random.default_rng(7)
GOES_ON = np.zeros((1, 1), np.int64)  # the stop flag


def found(rows, exponents):
    """log10 of the singular values of rows * 2**exponents."""
    count, n = rows.shape
    size = max(count, n)
    t, out = np.zeros((count, size)), np.full(count, -np.inf)
    t[:, :n] = rows
    places = np.zeros((singular.PLACES, size), np.int64)
    scratch, spare = np.zeros((graded.SCRATCH, size)), np.zeros((count, size))
    e = np.array(exponents, np.int64)
    rank = singular.log10_singular_values(t, count, size, e, spare, places, scratch, out, GOES_ON)
    return out[:rank]


def exact(rows, exponents, digits):
    with mpmath.workdps(digits):
        matrix = mpmath.matrix(rows.tolist())
        for i, e in enumerate(exponents):
            for j in range(rows.shape[1]):
                matrix[i, j] *= mpmath.mpf(2) ** int(e)
        values = mpmath.svd_r(matrix, compute_uv=False)
        return np.sort([float(mpmath.log10(s)) for s in values])[::-1]


@pytest.mark.parametrize("step", [0, 1, 7, 60, 400])
def test_singular_values__of_graded_rows_have_an_error_of_their_own(step):
    rows = RNG.normal(size=(5, 6))
    exponents = -step * RNG.permutation(5)
    want = exact(rows, exponents, 60 + 3 * step)
    np.testing.assert_allclose(found(rows, exponents), want, rtol=0, atol=1e-12 * (1 + 5 * step))


def test_singular_values__of_a_matrix_without_grading_are_lapacks():
    for shape in ((40, 40), (33, 70), (1, 5)):
        rows = RNG.normal(size=shape)
        want = np.log10(np.linalg.svd(rows, compute_uv=False))
        np.testing.assert_allclose(found(rows, [0] * shape[0]), want, rtol=0, atol=1e-11)


@pytest.mark.parametrize("pivoted", [False, True])
@pytest.mark.parametrize("shape", [(7, 7), (4, 50), (40, 33)])
def test_factor__rows_are_l_times_orthonormal_rows(shape, pivoted):
    count, n = shape
    rows = RNG.normal(size=shape) * 10.0 ** -RNG.uniform(0, 9, n)  # columns of unlike sizes
    low, q, size = rows.copy(), np.zeros(shape), max(shape)
    taken, order = np.zeros(size, np.int64), np.zeros(size, np.int64)
    scratch, zero = np.zeros((graded.SCRATCH, size)), np.zeros(count, np.int64)
    rank = graded.factor(low, count, n, zero, pivoted, 1e-13, taken, q, order, scratch, GOES_ON)
    graded.directions(q, rank, n, order, scratch, GOES_ON)
    assert rank == min(shape)
    np.testing.assert_allclose(q[:rank] @ q[:rank].T, np.eye(rank), rtol=0, atol=1e-14)
    for j in range(count):  # beyond its own reflection a row of L is scratch
        if taken[j] >= 0:
            low[j, taken[j] + 1 :] = 0
    scale = np.abs(rows).max(axis=0)
    np.testing.assert_allclose((low[:, :rank] @ q[:rank]) / scale, rows / scale, atol=1e-12)
    assert pivoted or list(taken[:rank]) == list(range(rank))


def test_factor__a_row_that_depends_on_others_has_no_direction():
    rows = RNG.normal(size=(5, 9))
    rows[2] = 3 * rows[0] - rows[1]
    q, taken, order = np.zeros((5, 9)), np.zeros(9, np.int64), np.zeros(9, np.int64)
    scratch, zero = np.zeros((graded.SCRATCH, 9)), np.zeros(5, np.int64)
    low = rows.copy()
    noise = 9 * graded.NOISE
    rank = graded.factor(low, 5, 9, zero, False, noise, taken, q, order, scratch, GOES_ON)
    assert (rank, list(taken[:5])) == (4, [0, 1, -1, 2, 3])


def test_stop__is_seen_by_every_loop_over_rows():
    rows, stop = RNG.normal(size=(6, 6)), np.ones((1, 1), np.int64)
    q, taken, order = np.zeros((6, 6)), np.zeros(6, np.int64), np.zeros(6, np.int64)
    scratch, e = np.zeros((graded.SCRATCH, 6)), np.zeros(6, np.int64)
    low, out = rows.copy(), np.zeros((6, 6))
    assert graded.factor(low, 6, 6, e, True, 0.0, taken, q, order, scratch, stop) == 0
    graded.advance(rows, 6, taken, 6, rows, 6, e, out, e.copy(), scratch, stop)
    assert not out.any()
    singular.orthogonalise(low, 6, 6, e, np.zeros(6), stop)
    np.testing.assert_array_equal(np.sort(low, axis=1), np.sort(rows, axis=1))

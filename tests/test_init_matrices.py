"""Initialisers that make a matrix as a whole: what each matrix is."""

import math

import numpy as np
import pytest
from init_cases import BOTH, FIELDS, SIGMAS, passes, rnn, run, size
from scipy import stats

import gradsim as gs


@pytest.mark.parametrize("shape", [(40, 40), (40, 13), (13, 40), (1, 1)])
def test_orthogonal__has_orthonormal_rows_or_columns(shape):
    for seed in range(5):
        (w,) = gs.network(gs.MLP(width=shape, init="orthogonal", sigma_w=1.5), seed).weights
        w = w / 1.5
        gram = w @ w.T if shape[0] >= shape[1] else w.T @ w
        np.testing.assert_allclose(gram, np.eye(len(gram)), rtol=0, atol=1e-13)


def test_orthogonal__is_haar():
    model = gs.RNN(width=4, steps=1, init="orthogonal")
    q = np.array([gs.network(model, seed).recurrent for seed in range(size(4000))])
    trace, square = np.trace(q, axis1=1, axis2=2), np.trace(q @ q, axis1=1, axis2=2)
    for sample, mean in ((trace, 0), (trace**2, 1), (trace**4, 3), (square, 1)):
        assert abs(sample.mean() - mean) < SIGMAS * sample.std() / math.sqrt(sample.size)
    assert stats.kstest(q[:, 1, 2], stats.beta(1.5, 1.5, -1, 2).cdf).pvalue > 1e-4
    share = np.mean(np.linalg.det(q) > 0)
    assert abs(share - 0.5) < SIGMAS * 0.5 / math.sqrt(len(q))


def test_orthogonal__linear_networks_keep_the_gradient_norm():
    model = gs.MLP(depth=60, width=24, activation="identity", loss="linear", init="orthogonal")
    log = run(model, 5).log10_delta_norm
    np.testing.assert_allclose(log - log.sel(layer=60), 0, atol=1e-12 / math.log(10))
    for tied in (True, False):
        linear = gs.RNN(steps=100, width=24, activation="identity", loss="linear", tied=tied,
                        init="orthogonal", sigma_w=0.9)  # fmt: skip
        log = run(linear, 5).log10_state_grad_norm
        ratio = 10 ** (log.sel(state_step=0) - log.sel(state_step=100))
        np.testing.assert_allclose(ratio, 0.9**100, rtol=1e-12)


def test_identity__is_the_identity():
    weights = gs.network(gs.MLP(width=(3, 5, 2), init="identity"), 0).weights
    for w in weights:
        assert np.array_equal(w, np.eye(*w.shape))


def test_symmetric__has_the_moments_of_the_reference():
    model = gs.RNN(steps=4, width=20, activation="identity", loss="linear", init="symmetric")
    w = gs.network(model, 0).recurrent
    assert np.array_equal(w, w.T)
    log = run(model, size(3000)).log10_state_grad_norm
    for t, moment in enumerate((1.05, 2.2625, 6.235125, 19.674431), start=1):
        square = (100 ** (log.sel(state_step=4 - t) - log.sel(state_step=4))).values
        assert abs(square.mean() - moment) < SIGMAS * square.std() / math.sqrt(square.size), t


@pytest.mark.parametrize(("nonzeros", "count"), [(None, 15), (4, 4)])
def test_sparse__has_k_weights_a_unit_anywhere(nonzeros, count):
    model = gs.MLP(width=(30, 12), init="sparse", nonzeros=nonzeros)
    w = np.array([gs.network(model, seed).weights[0] for seed in range(size(300))])
    assert np.all(np.count_nonzero(w, axis=2) == count)
    share = np.mean(w != 0, axis=(0, 1))
    spread = math.sqrt(count / 30 * (1 - count / 30) / (len(w) * 12))
    assert np.max(np.abs(share - count / 30)) < SIGMAS * spread
    assert stats.kstest(w[w != 0] * math.sqrt(count), "norm").pvalue > 1e-4


@pytest.mark.parametrize("nonzeros", [None, 15])
def test_spectral_radius__is_as_given(nonzeros):
    model = gs.RNN(
        steps=2, width=50, init="spectral_radius", spectral_radius=0.95, nonzeros=nonzeros
    )
    for seed in range(5):
        w = gs.network(model, seed).recurrent
        assert np.max(np.abs(np.linalg.eigvals(w))) == pytest.approx(0.95, rel=1e-12)
        assert nonzeros is None or np.all(np.count_nonzero(w, axis=1) == nonzeros)


def test_spectral_radius__varies_in_one_pass_over_the_same_draws():
    radii = [0.5, 0.9, 1.1]
    model = gs.RNN(steps=6, width=9, init="spectral_radius", activation="identity", loss="linear")
    ds = run(model, 4, vary={"spectral_radius": radii})
    log = ds.log10_state_grad_norm
    log = log.sel(state_step=0) - log.sel(state_step=6) - 6 * np.log10(ds.spectral_radius)
    np.testing.assert_allclose(log, log.isel(spectral_radius=[0] * 3), atol=1e-12)
    assert len(passes(*(model.with_fields(spectral_radius=r) for r in radii))) == 1


TABLE_1A = {  # reference/recurrent.md: norm of h_t, and cos^2 with the top eigenvector
    1: (0.8843076388, 0.3094629156), 5: (0.9000857343, 0.6403082394),
    10: (1.253842635, 0.8558499546), 20: (3.042175845, 0.9780673793),
    50: (52.50069022, 0.9999274376), 100: (6162.877209, 0.9999999947),
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63])
def test_eigenvalues__give_table_1a_for_any_q(seed):
    values = (1.1, 1.0, 0.9, 0.8, 0.5)
    model = gs.RNN(
        steps=100, width=5, activation="identity", init="eigenvalues", eigenvalues=values
    )
    w = gs.network(model, seed).recurrent
    found, q = np.linalg.eigh(w)
    np.testing.assert_allclose(found, values[::-1], rtol=1e-13)
    start = q @ np.full(5, math.sqrt(0.2))
    ds = run(model.with_fields(initial_state=start), [seed], measure=BOTH)
    norm = np.sqrt(5 * ds.a_mean_square.isel(seed=0))
    h = start
    for t in range(1, 101):
        h = w @ h
        if t in TABLE_1A:
            wanted = TABLE_1A[t]
            np.testing.assert_allclose(norm.sel(step=t), wanted[0], rtol=1e-9)
            np.testing.assert_allclose((q[:, -1] @ h) ** 2 / (h @ h), wanted[1], rtol=1e-9)


def test_nonnormal__grows_although_its_radius_is_small():
    model = gs.RNN(steps=20, width=2, activation="identity", init="nonnormal",
                   eigenvalues=(0.5, 0.5), upper=((0, 10), (0, 0)))  # fmt: skip
    wanted = {1: 10.0249378, 2: 10.0062461, 3: 7.50208275, 5: 3.12531247, 10: 0.195317383}
    for seed in range(3):
        w = gs.network(model, seed).recurrent
        for t, value in wanted.items():
            assert np.linalg.norm(np.linalg.matrix_power(w, t), 2) == pytest.approx(value, rel=1e-8)
    drawn = gs.network(rnn("nonnormal"), 1).recurrent
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvals(drawn).real),
        np.sort(FIELDS["nonnormal"]["eigenvalues"]),
        rtol=1e-9,
    )

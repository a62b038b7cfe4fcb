"""Eigenvalues, norms and alignment of weights against NumPy and the power method's closed form."""

import numpy as np
import pytest

import gradsim as gs


def eigenvalues(w):
    values = np.linalg.eigvals(w)
    return values[np.lexsort((-values.imag, -np.abs(values).round(12)))]


def test_spectrum__of_every_layer_is_numpys_under_every_condition(tmp_path):
    model = gs.MLP(width=(6, 6, 4, 4, 6), activation="tanh")
    ds = gs.simulate(model, 3, vary={"sigma_w": [0.5, 2.0]}, measure=["spectrum", "jacobian"])
    for sigma in (0.5, 2.0):
        net = gs.network(model.with_fields(sigma_w=sigma), 2)
        one = ds.sel(sigma_w=sigma, seed=2)
        for layer, w in enumerate(net.weights, 1):
            here = one.sel(layer=layer)
            assert here.spectral_norm == pytest.approx(np.linalg.norm(w, 2), rel=1e-9)
            if w.shape[0] != w.shape[1]:
                assert np.isnan(here.eigenvalue_real).all()
                assert np.isnan(here.spectral_radius)
                continue
            want = eigenvalues(w)
            found = here.eigenvalue_real + 1j * here.eigenvalue_imag
            np.testing.assert_allclose(found[: len(w)], want, rtol=0, atol=1e-11)
            assert here.spectral_radius == pytest.approx(np.abs(want).max(), rel=1e-12)
    gs.save(ds, tmp_path / "s.nc")
    assert gs.load(tmp_path / "s.nc").identical(ds)


def test_spectrum__depths_of_one_pass_have_their_own_output_rows():
    model = gs.MLP(width=5, output_width=3)
    ds = gs.simulate(model, 1, vary={"depth": [2, 4]}, measure=["spectrum"])
    for depth in (2, 4):
        net = gs.network(model.with_fields(depth=depth), 0)
        want = [np.linalg.norm(w, 2) for w in net.weights]
        got = ds.spectral_norm.sel(depth=depth, seed=0)
        np.testing.assert_allclose(got[:depth], want, rtol=1e-9)
        assert np.isnan(got[depth:]).all()


def test_top_alignment__of_a_symmetric_linear_network_is_the_power_methods():
    """Goodfellow, Bengio and Courville 2016, section 8.2.5: cos^2 = c_1^2 l_1^2t / sum c^2 l^2t."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))
    lam = np.array([1.1, 1.0, 0.9, 0.8, 0.5])
    model = gs.RNN(
        steps=100, width=5, activation="identity", loss="linear",
        initial_state=q @ np.ones(5) / np.sqrt(5),
    )  # fmt: skip
    net = gs.Network(model, [q @ np.diag(lam) @ q.T], [np.zeros(5)])
    ds = gs.simulate(net, [0], measure=["spectrum"]).isel(seed=0)
    t = np.arange(101)
    want = lam[0] ** (2 * t) / (lam ** (2 * t[:, None])).sum(1)
    np.testing.assert_allclose(ds.top_alignment, want, rtol=1e-9)
    assert ds.top_alignment[10] == pytest.approx(0.8558499546, abs=1e-10)
    np.testing.assert_allclose(ds.eigenvalue_real, lam, rtol=1e-12)
    assert not ds.eigenvalue_imag.any()


def test_top_alignment__with_a_pair_is_that_with_its_plane():
    model = gs.RNN(steps=6, width=6, sigma_w=1.2)
    for seed in range(6):
        net = gs.network(model, seed)
        values, vectors = np.linalg.eig(net.recurrent)
        lead = vectors[:, np.argmax(np.abs(values))]
        basis = np.linalg.svd(np.column_stack([lead.real, lead.imag]))[0]
        basis = basis[:, : 2 if np.abs(lead.imag).max() > 0 else 1]
        h, want = np.ravel(net.initial_state), []
        for _ in range(7):
            want.append(np.sum((basis.T @ h) ** 2) / np.sum(h**2))
            h = np.tanh(net.recurrent @ h)
        got = gs.simulate(model, [seed], measure=["spectrum"]).top_alignment[0]
        np.testing.assert_allclose(got, want, rtol=1e-9)


def test_spectrum__bits_do_not_depend_on_threads():
    model = gs.RNN(steps=5, width=16)
    one = gs.simulate(model, 8, measure=["spectrum"], threads=1)
    two = gs.simulate(model, 8, measure=["spectrum"], threads=2)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (gs.RNN(cell="lstm"), "'lstm' has 4 weight matrices; cell must be one with a single"),
        (gs.MLP(cell="residual"), "'residual' has 2 weight matrices"),
        (gs.RNN(tied=False), "tied=False draws new weights at every step"),
    ],
)
def test_spectrum__refuses_by_name(model, message):
    with pytest.raises(ValueError, match=message):
        gs.simulate(model, 1, measure=["spectrum"])

"""Singular values and Lyapunov exponents: complex steps, fifty digits, Newman's exact law."""

import jacobian_oracle
import mpmath
import numpy as np
import pytest
from scipy.special import polygamma, psi

import gradsim as gs

BOTH = ("jacobian", "lyapunov")


@gs.cell("highway")
def highway(t, h, phi):
    gate = t.sigmoid(t.linear(h))
    return gate * h + (1 - gate) * t.map(phi, t.linear(h))


MODELS = [
    gs.MLP(depth=4, width=5, sigma_w=1.4, sigma_b=0.3),
    gs.MLP(width=(4, 7, 3, 5), activation="sigmoid", output="softmax", loss="cross_entropy"),
    gs.MLP(depth=2, width=4, output="sigmoid", loss="cross_entropy", sigma_w=2.0),
    gs.MLP(depth=3, width=5, activation="gelu", norm="layer", norm_eps=0.1, output="identity"),
    gs.MLP(depth=3, width=5, cell="residual", norm="layer", norm_eps=0.1, norm_placement="post"),
    gs.MLP(depth=4, width=5, cell="residual_pre", output_width=3, sigma_b=0.2),
    gs.MLP(depth=3, width=4, cell="residual_post", activation="softplus"),
    gs.MLP(depth=3, width=4, cell="highway", activation="sine"),
    gs.RNN(steps=4, width=5, sigma_u=0.5, input_width=3),
    gs.RNN(steps=4, width=4, cell="lstm", sigma_u=0.7, input_width=3, sigma_b=0.2),
    gs.RNN(steps=3, width=4, cell="gru", sigma_u=0.7, input_width=2, tied=False),
    gs.RNN(steps=5, width=3, cell="skip", delay=2, norm="layer", norm_eps=0.2),
    gs.RNN(steps=4, width=4, cell="leaky", leak=0.3),
]


def named(model):
    return f"{type(model).__name__}-{model.cell}-{model.norm}-{model.activation}"


def log10_singular(matrix):
    with np.errstate(divide="ignore"):
        return np.log10(np.linalg.svd(matrix, compute_uv=False))


def examples_of(model, count):
    return None if isinstance(model, gs.RNN) and not model.sigma_u else count


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_jacobian_and_lyapunov__agree_with_complex_steps_for_every_cell(model):
    inputs = examples_of(model, 2)
    net = gs.network(model, 3, inputs=inputs)
    ds = gs.simulate(model, [3], inputs=inputs, measure=BOTH, batch="each").isel(seed=0)
    for b in range(len(net.targets)):
        one = ds.isel(example=b) if "example" in ds.dims else ds
        by_layer, first = jacobian_oracle.jacobians(net, b)
        rows = one.log10_singular_value.values
        for matrix, got in zip([first, *by_layer], [one.log10_input_singular_value.values, *rows]):
            want = log10_singular(matrix)
            tiny = want < want[0] - 12  # rank lost: zero to rounding there, exactly zero here
            np.testing.assert_allclose(got[: want.size][~tiny], want[~tiny], rtol=0, atol=1e-9)
            assert np.all(got[: want.size][tiny] < want[0] - 11)
            assert np.isnan(got[want.size :]).all()
        exponents = one.lyapunov_exponent.values
        found = ~np.isnan(exponents)
        want = jacobian_oracle.growth(jacobian_oracle.steps(net, b), found.sum())
        got, want, lost = exponents[found], want.mean(0), np.isneginf(exponents[found])
        np.testing.assert_allclose(got[~lost], want[~lost], rtol=0, atol=1e-9)
        assert np.all(want[lost] < -8)  # rounding in every layer, where normalisation loses rank


def exact_log10(matrices, digits):
    """Singular values of a product of matrices, the last one first, by mpmath."""
    with mpmath.workdps(digits):
        product = mpmath.eye(len(matrices[0]))
        for matrix in matrices:
            product = product * mpmath.matrix(matrix.tolist())
        return [float(mpmath.log10(s)) for s in mpmath.svd_r(product, compute_uv=False)]


def test_jacobian__of_a_thousand_layers_has_every_singular_value_to_1e6():
    model = gs.MLP(depth=1000, width=3, activation="identity", output="identity")
    weights = gs.network(model, 5).weights
    want = exact_log10(weights[::-1], 1500)
    assert want[0] - want[-1] > 400
    # in float32 the same network but for the rounding of its weights, 2^-24 in each of 1,000 layers
    for dtype, limit in (("float64", 1e-6), ("float32", 1e-2)):
        ds = gs.simulate(model, [5], measure=[gs.measurements.jacobian(layers=[0])], dtype=dtype)
        got = ds.log10_input_singular_value.values[0]
        np.testing.assert_allclose(got, want, rtol=0, atol=limit)


def test_jacobian__of_a_deep_saturated_network_has_tiny_slopes_right():
    model = gs.MLP(depth=120, width=4, sigma_w=6.0, sigma_b=1.0)
    net = gs.network(model, 1)
    a, matrices = net.inputs[0], []
    for w, b in zip(net.weights, net.biases):
        z = w @ a + b
        a = np.tanh(z)
        matrices.append((1 / np.cosh(z) ** 2)[:, None] * w)
    want = exact_log10(matrices[::-1], 900)
    assert want[0] - want[-1] > 200
    ds = gs.simulate(model, [1], measure=["jacobian"])
    np.testing.assert_allclose(ds.log10_input_singular_value[0], want, rtol=0, atol=1e-6)


def test_jacobian__keeps_rows_of_unlike_sizes_apart():
    """What grows last, ordered first: a product whose digits plain QR would lose."""
    weights = [np.array([[1e-3, 0.0], [1.0, 1.0]])] * 60
    biases = [np.zeros(2)] * 60
    net = gs.from_arrays(weights, biases, activation="identity", output="identity", loss="linear")
    ds = gs.simulate(net, [0], measure=["jacobian"])
    want = exact_log10(weights, 800)
    np.testing.assert_allclose(ds.log10_input_singular_value[0], want, rtol=0, atol=1e-6)


def test_jacobian__rank_lost_to_dead_units_is_minus_infinity():
    model = gs.MLP(depth=6, width=8, activation="relu", output="identity")
    net = gs.network(model, 0)
    a, alive = net.inputs[0], []
    for w in net.weights[:-1]:
        z = w @ a
        a = np.maximum(z, 0)
        alive.append(int(np.sum(z > 0)))
    got = gs.simulate(model, [0], measure=BOTH).isel(seed=0)
    for layer in range(1, 6):
        found = np.isfinite(got.log10_singular_value.sel(layer=layer)).sum()
        assert found == min(alive[layer - 1 :]), layer
    assert min(alive) < 8
    assert np.isneginf(got.lyapunov_exponent[min(alive) :]).all()
    assert np.isfinite(got.lyapunov_exponent[: min(alive)]).all()
    assert np.isnan(got.lyapunov_stderr[min(alive) :]).all()


def test_jacobian__means_over_examples_and_layers_asked_for():
    model = gs.MLP(depth=5, width=4, sigma_w=1.5)
    spec = gs.measurements.jacobian(layers=[1, 4], k=2)
    ds = gs.simulate(model, 3, inputs=3, measure=[spec, "lyapunov", "gradient", "signal"])
    each = gs.simulate(model, 3, inputs=3, measure=BOTH, batch="each")
    assert ds.sizes["index"] == 4  # the exponents are four
    assert ds.log10_singular_value.isel(index=slice(2, 4)).isnull().all()
    assert ds.log10_singular_value.sel(layer=[2, 3, 5]).isnull().all()
    for name in ("log10_singular_value", "lyapunov_exponent"):
        want = each[name].mean("example", skipna=False)
        got, want = ds[name].values, want.where(ds[name].notnull()).values
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)
    alone = gs.simulate(model, 3, inputs=3)
    for name in alone.data_vars:
        np.testing.assert_array_equal(ds[name], alone[name])


def test_stretching__bits_do_not_depend_on_threads_chunks_or_memory():
    model = gs.RNN(steps=12, width=6, sigma_u=0.5, cell="gru")
    vary = {"sigma_w": [0.9, 1.4], "steps": [5, 12]}
    full = gs.simulate(model, 9, vary=vary, measure=BOTH, threads=1)
    for threads, seeds in ((2, range(9)), (2, [7, 2]), (1, [8])):
        part = gs.simulate(model, seeds, vary=vary, measure=BOTH, threads=threads)
        for name in full.data_vars:
            np.testing.assert_array_equal(part[name], full[name].sel(seed=list(seeds)))


def test_stretching__of_given_and_unstored_networks_is_that_of_the_drawn_one(tmp_path):
    model = gs.MLP(depth=4, width=6, init="orthogonal", sigma_w=1.2, activation="tanh")
    drawn = gs.simulate(model, [4], measure=BOTH)
    given = gs.simulate(gs.network(model, 4), [4], measure=BOTH)
    for name in drawn.data_vars:
        np.testing.assert_allclose(drawn[name], given[name], rtol=0, atol=1e-12)
    gs.save(drawn, tmp_path / "j.nc")
    assert gs.load(tmp_path / "j.nc").identical(drawn)


ALL = [
    "gradient", "signal", gs.measurements.jacobian(layers=[0, 2]), "lyapunov", "spectrum",
    "curvature",
    gs.measurements.clipping(by="value", threshold=0.01),
]  # fmt: skip


def test_measurements__in_any_combination_order_and_memory_have_the_same_bits():
    vary = {"sigma_w": [0.8, 1.5], "depth": [2, 5], "activation": ["tanh", "relu"]}
    model = gs.MLP(width=6, output_width=4)
    full = gs.simulate(model, 6, vary=vary, inputs=3, measure=ALL, threads=1)
    part = gs.simulate(
        model, [4, 1], vary=vary, inputs=3, measure=ALL[::-1], threads=2, memory_limit=60_000_000
    )
    for name in full.data_vars:
        np.testing.assert_array_equal(part[name], full[name].sel(seed=[4, 1]))
    alone = gs.simulate(model, 6, vary=vary, inputs=3, measure=["spectrum"])
    for name in alone.data_vars:
        np.testing.assert_array_equal(alone[name], full[name])


def test_measurements__of_weights_that_are_not_kept_have_the_same_bits(monkeypatch):
    model = gs.MLP(depth=4, width=7, output_width=3, cell="residual_single", sigma_b=0.2)
    kept = gs.simulate(model, 3, measure=ALL)
    monkeypatch.setattr("gradsim._layout.STORE_BYTES", 0)
    drawn = gs.simulate(model, 3, measure=ALL)
    monkeypatch.setattr("gradsim._layout.TILE", 15)
    tiled = gs.simulate(model, 3, measure=ALL)
    for name in kept.data_vars:
        np.testing.assert_array_equal(drawn[name], kept[name])
        np.testing.assert_allclose(tiled[name], kept[name], rtol=1e-12, atol=1e-12)


def test_lyapunov__of_gaussian_products_is_newmans_within_four_standard_errors():
    """Newman 1986: lambda_k = ln g + (ln(2 / n) + psi((n - k + 1) / 2)) / 2, at every depth."""
    n, depth, seeds = 10, 200, 40
    model = gs.MLP(depth=depth, width=n, activation="identity", output="identity")
    ds = gs.simulate(model, seeds, measure=["lyapunov"])
    k = np.arange(1, n + 1)
    exact = (np.log(2 / n) + psi((n - k + 1) / 2)) / 2
    error = np.sqrt(polygamma(1, (n - k + 1) / 2) / (4 * depth * seeds))
    assert np.all(np.abs(ds.lyapunov_exponent.mean("seed") - exact) < 4 * error)
    # the error each run states is that of its own mean
    stated = np.sqrt((ds.lyapunov_stderr**2).mean("seed"))
    np.testing.assert_allclose(stated / (error * np.sqrt(seeds)), 1, atol=0.1)


def test_lyapunov__of_a_tied_linear_network_tends_to_its_eigenvalues():
    model = gs.RNN(steps=2000, width=4, activation="identity", loss="linear")
    spec = gs.measurements.lyapunov(k=2, transient=1000)
    net = gs.network(model, 2)
    ds = gs.simulate(model, [2], measure=[spec])
    want = np.sort(np.log(np.abs(np.linalg.eigvals(net.weights[0]))))[::-1][:2]
    np.testing.assert_allclose(ds.lyapunov_exponent[0], want, atol=2e-2)


@pytest.mark.parametrize(
    ("spec", "model", "message"),
    [
        (lambda m: m.jacobian(layers=[11]), gs.MLP(), r"layers must be integers from 0 .* 10"),
        (lambda m: m.jacobian(k=-1), gs.MLP(), "k must be an integer >= 1, or 0 for all"),
        (lambda m: m.lyapunov(transient=10), gs.MLP(), "transient must be less than the 10"),
        (lambda m: m.lyapunov(), gs.MLP(norm="batch"), "under norm='batch'"),
        (lambda m: m.jacobian(), gs.MLP(norm="batch"), "under norm='batch'"),
    ],
)
def test_stretching__refuses_by_name(spec, model, message):
    with pytest.raises(ValueError, match=message):
        gs.simulate(model, 2, inputs=3, measure=[spec(gs.measurements)])

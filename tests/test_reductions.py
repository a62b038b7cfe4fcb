"""Bounds, correlation, noise and partials against NumPy and mpmath on the arrays of one network."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

import gradsim as gs

PARTIALS = gs.measurements.partials(low=-6.0, high=0.0, quantiles=(0.1, 0.5, 0.9))
ALL = ["gradient", "signal", "bounds", "correlation", "noise", "entries", PARTIALS]
CLOSE = {"float64": 1e-11, "float32": 2e-5}


def run(model, seeds=2, **more):
    """Result of a few networks, without a bar."""
    return gs.simulate(model, seeds, **{"progress": False, "threads": 1} | more)


def alone(net, b):
    """The network with example b only."""
    return gs.Network(
        net.model, net.weights, net.biases, net.input_weights, net.inputs[b : b + 1],
        net.targets[b : b + 1], net.initial_state,
    )  # fmt: skip


# bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("depth", [4, 1000])
def test_bounds__equal_products_in_numpy(dtype, depth):
    model = gs.MLP(depth=depth, width=9, activation="sigmoid", sigma_w=1.3, sigma_b=0.2)
    ds, net = run(model, [5], measure=["gradient", "bounds"], dtype=dtype), gs.network(model, 5)
    a, slopes, spectral = net.inputs[0], [], []
    for w, b in zip(net.weights, net.biases):
        a = 1 / (1 + np.exp(-(w @ a + b)))
        slopes.append(np.log10(np.max(a * (1 - a))))
        spectral.append(np.log10(np.linalg.norm(w, 2)))
    last = np.log10(np.linalg.norm(a - net.targets[0]))
    after = np.append(np.cumsum(spectral[::-1])[::-1][1:], 0)
    local = np.cumsum(slopes[::-1])[::-1] + after + last
    gamma = np.log10(0.25) * np.arange(depth, 0, -1) + after + last
    limit = CLOSE[dtype] * depth
    for name, expected in {
        "log10_weight_spectral_norm": spectral, "log10_max_slope": slopes,
        "log10_local_bound": local, "log10_gamma_bound": gamma,
    }.items():  # fmt: skip
        np.testing.assert_allclose(ds[name][0], expected, rtol=0, atol=limit, err_msg=name)


def test_bounds__are_never_violated():
    ds = run(gs.MLP(depth=50, width=10), 2000, measure=["gradient", "bounds"])
    gap = ds.log10_local_bound - ds.log10_delta_norm
    assert gap.size == 100_000
    assert gap.min() > -1e-10
    assert (ds.log10_gamma_bound - ds.log10_local_bound).min() > -1e-10


EVERY = {"activation": ["tanh", "sigmoid", "relu", "gelu", "softplus", "selu", "sine"]}


@pytest.mark.parametrize(("model", "vary", "seeds"), [
    (gs.MLP(depth=10, width=6), EVERY | {"sigma_w": [0.3, 1.0, 4.0], "sigma_b": [0.0, 1.0]}, 100),
    (gs.MLP(depth=10, width=6), EVERY | {"cell": ["residual", "residual_pre"]}, 150),
    (gs.RNN(steps=10, width=6, sigma_u=0.5),
     {"cell": ["vanilla", "leaky", "lstm", "gru"], "sigma_w": [0.3, 1.0, 4.0],
      "tied": [True, False]}, 100),
], ids=["gains", "residual", "recurrent"])  # fmt: skip
def test_bounds__are_never_violated_whatever_the_network(model, vary, seeds):
    ds = run(model, seeds, vary=vary, measure=["gradient", "bounds"], threads=None)
    alive = np.isfinite(ds.log10_delta_norm)
    assert alive.sum() > 0.8 * ds.log10_delta_norm.size > 16_000  # together 87,000 pairs
    assert (ds.log10_local_bound - ds.log10_delta_norm).where(alive).min() > -1e-10
    gamma = (ds.log10_gamma_bound - ds.log10_local_bound).where(alive)
    assert gamma.min() > -1e-10


def test_bounds__orthogonal_linear_networks_meet_them():
    model = gs.MLP(depth=200, width=20, activation="identity", init="orthogonal", loss="linear")
    ds = run(model, 20, measure=["gradient", "bounds"])
    assert abs(ds.log10_local_bound - ds.log10_delta_norm).max() < 1e-10
    assert abs(ds.log10_weight_spectral_norm).max() < 1e-12


@pytest.mark.parametrize(
    "model",
    [
        gs.MLP(depth=12, width=9, cell="residual", residual_scale=0.7),
        gs.MLP(depth=12, width=9, norm="layer", activation="relu"),
        gs.MLP(depth=3, width=9, output="softmax", loss="cross_entropy", sigma_w=30.0),
        gs.MLP(depth=3, width=9, output="sigmoid", loss="cross_entropy", sigma_w=3000.0),
        gs.RNN(steps=9, width=8, cell="lstm", loss_at="all", sigma_u=0.5),
        gs.RNN(steps=9, width=8, cell="gru", tied=False),
        gs.RNN(steps=9, width=8, activation="sigmoid", loss="cross_entropy", loss_at="all"),
    ],
    ids=repr,
)  # fmt: skip
def test_bounds__hold_for_every_cell_and_cost(model):
    ds = run(model, 30, measure=["gradient", "bounds"])
    finite = np.isfinite(ds.log10_delta_norm)
    assert finite.any()
    assert (ds.log10_local_bound - ds.log10_delta_norm).where(finite).min() > -1e-10


def test_bounds__spectral_norms_of_structured_matrices():
    rng = np.random.default_rng(0)
    weights = [np.zeros((6, 6)), np.eye(6), np.diag(np.arange(6.0)), np.ones((6, 6)),
               rng.normal(size=(6, 6)) * 1e-150, np.outer(np.arange(6.0), [1, -1] * 3)]  # fmt: skip
    net = gs.from_arrays(weights, [np.zeros(6)] * 6, activation="relu")
    got = 10 ** run(net, 1, measure="bounds").log10_weight_spectral_norm.values[0]
    np.testing.assert_allclose(got, [np.linalg.norm(w, 2) for w in weights], rtol=1e-10)


# correlation -----------------------------------------------------------------------------------


def cosine(u, v, centred=False):
    """Correlation of two vectors."""
    u, v = (u - u.mean(), v - v.mean()) if centred else (u, v)
    return u @ v / np.linalg.norm(u) / np.linalg.norm(v)


@pytest.mark.parametrize("dtype", CLOSE)
def test_correlation__equals_numpy(dtype):
    model, inputs = gs.MLP(depth=5, width=20, sigma_w=1.4, sigma_b=0.2), gs.inputs.circle(3)
    ds = run(model, [4], inputs=inputs, measure="correlation", dtype=dtype)
    net = gs.network(model, 4, inputs=inputs)
    gradients, a = gs.backward(net), net.inputs
    pairs = list(zip(ds["first"].values, ds["second"].values))
    assert pairs == [(0, 1), (0, 2), (1, 2)]
    limit = 1e3 * CLOSE[dtype]
    for layer, (w, b) in enumerate(zip(net.weights, net.biases)):
        z, d = a @ w.T + b, gradients.deltas[layer].array
        a = np.tanh(z)
        for p, (i, j) in enumerate(pairs):
            at = {"layer": layer, "pair": p, "seed": 0}
            for name, rows in (("signal", z), ("delta", d)):
                for form in ("", "_centred"):
                    c = cosine(rows[i], rows[j], form != "")
                    log = ds[f"log10_one_minus_{name}_correlation{form}"][at]
                    assert abs(ds[f"{name}_correlation{form}"][at] - c) < limit
                    assert abs(log - np.log10(1 - c)) < limit
    far = gradients.inputs.array
    got = ds.input_gradient_correlation[0]
    np.testing.assert_allclose(got, [cosine(far[i], far[j]) for i, j in pairs], atol=limit)


def test_correlation__one_minus_it_keeps_its_digits():
    angle = 1e-11
    inputs = np.array([[1.0, 2.0, -1.0], [1.0 + angle, 2.0, -1.0 + 3 * angle]])
    model = gs.MLP(depth=1, width=3, activation="identity", init="identity")
    ds = run(model, 1, inputs=inputs, measure="correlation")
    with mpmath.workdps(50):
        u, v = (mpmath.matrix(row.tolist()) for row in inputs)
        exact = mpmath.log10(1 - (u.T * v)[0] / mpmath.norm(u) / mpmath.norm(v))
    assert abs(ds.log10_one_minus_signal_correlation.item() - float(exact)) < 1e-5


def test_correlation__of_lstm_deltas_equals_numpy():
    model = gs.RNN(steps=5, width=7, cell="lstm", sigma_u=0.7)
    ds = run(model, [3], inputs=2, measure="correlation")
    deltas = gs.backward(gs.network(model, 3, inputs=2)).deltas
    expected = [cosine(*d.array) for d in deltas]
    np.testing.assert_allclose(ds.delta_correlation[0, :, 0], expected, atol=1e-12)


@pytest.mark.parametrize(("cell", "tied"), [("vanilla", True), ("gru", False), ("lstm", True)])
def test_correlation__of_an_rnns_input_gradients_equals_numpy(cell, tied):
    model = gs.RNN(steps=40, width=5, cell=cell, tied=tied, sigma_u=0.7, input_width=9, sigma_w=0.4)
    far = gs.backward(gs.network(model, 3, inputs=3)).inputs
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = [[cosine(g.array[i], g.array[j]) for i, j in pairs] for g in far]
    centred = [[cosine(g.array[i], g.array[j], True) for i, j in pairs] for g in far]
    for dtype, limit in (("float64", 1e-11), ("float32", 2e-4)):
        ds = run(model, [3], inputs=3, measure="correlation", dtype=dtype)
        assert ds.input_gradient_correlation.dims == ("seed", "step", "pair")
        np.testing.assert_allclose(ds.input_gradient_correlation[0], expected, atol=limit)
        got = ds.input_gradient_correlation_centred[0]
        np.testing.assert_allclose(got, centred, atol=limit)


@pytest.mark.parametrize("c0", [-1.0, -0.3, 0.0, 0.9999, 1.0])
def test_pair__has_the_correlation(c0):
    for array in (gs.inputs.pair(c0).array(50), gs.inputs.pair(c0).array(6, 3)[:, 1]):
        gram = array.values @ array.values.T / array.shape[-1]
        np.testing.assert_allclose(gram, [[1, c0], [c0, 1]], atol=1e-14)


def test_circle__is_one():
    gram = gs.inputs.circle(8).array(30).values
    expected = np.cos(2 * np.pi * np.subtract.outer(range(8), range(8)) / 8)
    np.testing.assert_allclose(gram @ gram.T / 30, expected, atol=1e-14)


# noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("count", [2, 12])  # Gram matrices; formed
def test_noise__equals_numpy(dtype, count):
    model = gs.MLP(depth=4, width=7, sigma_b=0.2)
    ds, net = (
        run(model, [1], inputs=count, measure="noise", dtype=dtype),
        gs.network(model, 1, inputs=count),
    )
    each = [gs.backward(alone(net, b)) for b in range(count)]
    for layer in range(4):
        g = np.array([one.weights[layer].to_array().ravel() for one in each])
        mean, square = np.mean(np.sum(g**2, 1)), np.sum(g.mean(0) ** 2)
        u = g / np.linalg.norm(g, axis=1)[:, None]
        signal, noise = (count * square - mean) / (count - 1), (mean - square) * count / (count - 1)
        expected = {
            "log10_mean_gradient_norm": np.log10(square) / 2,
            "log10_example_gradient_rms": np.log10(mean) / 2,
            "gradient_square": signal, "gradient_variance": noise, "noise_scale": noise / signal,
            "mean_cosine": (np.sum(u @ u.T) - count) / count / (count - 1),
            "log10_gradient_square": np.log10(abs(signal)),
            "gradient_square_sign": np.sign(signal), "log10_gradient_variance": np.log10(noise),
        }  # fmt: skip
        for name, value in expected.items():
            got = ds[name].values[0, layer]
            np.testing.assert_allclose(got, value, rtol=100 * CLOSE[dtype], err_msg=name)


@pytest.mark.parametrize("cell", ["vanilla", "gru"])
def test_noise__mean_is_the_gradient_of_the_batch(cell):
    model = gs.RNN(steps=6, width=5, cell=cell, sigma_u=0.7, loss_at="all")
    for count in (3, 9):
        ds = run(model, 3, inputs=count, measure=["gradient", "noise"])
        gap = ds.log10_mean_gradient_norm - ds.log10_weight_grad_norm
        assert abs(gap).max() < 1e-12


# partials --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (gs.MLP(depth=4, width=(9, 5, 8, 6, 7), sigma_b=0.3), 1),
        (gs.MLP(depth=4, width=9, activation="relu"), 1),
        (gs.MLP(depth=2, width=(90, 70, 80), sigma_b=0.3), 1),
        (gs.MLP(depth=3, width=7, activation="relu"), 5),
        (gs.RNN(steps=4, width=6, sigma_u=0.7, tied=False), 1),
        (gs.RNN(steps=4, width=6, sigma_u=0.7, tied=False), 3),
    ],
    ids=str,
)
def test_partials__equal_numpy(model, count):
    ds = (
        run(model, [2], inputs=count, measure=PARTIALS)
        if count > 1
        else run(model, [2], measure=PARTIALS)
    )
    gradients = gs.backward(gs.network(model, 2, inputs=count if count > 1 else None))
    edges = np.append(ds.log10_partial.values, 0.0) - 1e-13
    for layer in range(model.depth):
        weights = gradients.weights[layer].to_array().ravel()
        if isinstance(model, gs.RNN):
            weights = np.append(weights, gradients.input_weights[layer].to_array())
        for name, g in (("weight", weights), ("bias", gradients.biases[layer].to_array())):
            at = {key: ds[f"{name}_partial_{key}"].values[0, layer]
                  for key in ("histogram", "below", "above", "zero_share", "quantile")}  # fmt: skip
            size = np.abs(g[g != 0])
            np.testing.assert_array_equal(at["histogram"], np.histogram(np.log10(size), edges)[0])
            assert at["below"] == np.sum(size < 1e-6)
            assert at["above"] == np.sum(size > 1)
            assert at["zero_share"] == np.mean(g == 0)
            exact = np.quantile(np.abs(g), ds["quantile"].values, method="inverted_cdf")
            np.testing.assert_allclose(10 ** at["quantile"], exact, rtol=1e-12)


def test_partials__far_below_the_range_of_a_float():
    model = gs.MLP(depth=1000, width=6, activation="sigmoid")
    ds = run(model, [0], measure=["gradient", gs.measurements.partials(quantiles=(0.5,))])
    gradient = gs.backward(gs.network(model, 0)).weights
    assert gradient[0].log10_norm() < -500
    for layer in (0, 300, 999):
        log = np.log10(np.abs(gradient[layer].array)) + gradient[layer].exponent * np.log10(2)
        median = np.quantile(log, 0.5, method="inverted_cdf")
        assert abs(ds.weight_partial_quantile[0, layer, 0] - median) < 1e-9
    assert ds.weight_partial_below[0, 0] == 36
    assert (ds.weight_partial_histogram[0].sum("bin") + ds.weight_partial_below[0]
            + ds.weight_partial_above[0] == 36).all()  # fmt: skip


def test_partials__many_equal_ones():
    net = gs.from_arrays([np.eye(40)], [np.zeros(40)], activation="identity", loss="linear")
    ds = run(net, 1, inputs=np.full((1, 40), 0.5), targets=np.full(40, 0.25), measure="partials")
    np.testing.assert_allclose(ds.weight_partial_quantile, np.log10(0.125), atol=1e-14)
    assert ds.weight_partial_histogram.max() == 1600


# all -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("batch", ["mean", "each"])
def test_reductions__same_bits_however_a_run_is_cut_up(dtype, batch, tmp_path):
    for model, vary in (
        (gs.MLP(width=9), {"activation": ["tanh", "relu"], "depth": [2, 5]}),
        (gs.RNN(width=8, sigma_u=0.4, cell="leaky"), {"steps": [2, 4], "leak": [0.3, 1.0]}),
    ):
        usual = {"vary": vary, "inputs": 3, "batch": batch, "measure": ALL, "dtype": dtype}
        whole = run(model, 12, **usual)
        assert run(model, 12, **usual | {"threads": 2}).drop_attrs().identical(whole.drop_attrs())
        part = run(model, [7, 2], **usual).drop_attrs()
        assert part.identical(whole.sel(seed=[7, 2]).drop_attrs())
        last = "depth" if "depth" in vary else "steps"
        ends = whole.log10_local_bound.isel({last: 0})
        assert ends.isel({ends.dims[-1]: slice(2, None)}).isnull().all()
        gs.save(whole, tmp_path / "all.nc")
        assert gs.load(tmp_path / "all.nc").identical(whole)


def test_reductions__one_measurement_does_not_change_another():
    model = gs.MLP(depth=4, width=9)
    whole = run(model, 3, inputs=3, measure=ALL)
    for name in ALL:
        single = run(model, 3, inputs=3, measure=[name])
        for variable in single.data_vars:
            if variable != "log10_total_weight_grad_norm":
                assert whole[variable].identical(single[variable])


def test_reductions__nothing_where_the_forward_pass_left_the_range():
    model = gs.MLP(depth=4, width=5, activation="silu", sigma_w=1e200)
    ds = run(model, 2, inputs=2, measure=ALL)
    assert (ds.status == 2).all()
    for name in (
        "log10_local_bound",
        "delta_correlation",
        "noise_scale",
        "weight_partial_quantile",
        "log10_entry_mean",
    ):
        assert ds[name].isnull().all(), name


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (gs.MLP(norm="batch"), {"measure": "bounds", "inputs": 3}, ["bounds", "norm='batch'"]),
        (gs.MLP(norm="batch"), {"measure": "noise", "inputs": 3}, ["noise", "norm='batch'"]),
        (gs.MLP(), {"measure": "noise"}, ["noise", "at least 2", "got 1"]),
        (gs.MLP(), {"measure": "correlation"}, ["correlation", "at least 2", "gs.inputs.pair"]),
        (gs.MLP(), {"measure": gs.measurements.correlation(pairs="alll"), "inputs": 2}, ["'all'"]),
        (gs.MLP(), {"measure": gs.measurements.partials(low=1.0, high=0.0)}, ["low=1", "high=0"]),
        (gs.MLP(), {"measure": gs.measurements.partials(quantiles=(0.5, 0.1))}, ["rising"]),
        (gs.MLP(), {"vary": {"width": [3, 4]}, "inputs": gs.inputs.pair(0.1)}, ["[3, 4]"]),
        (gs.RNN(), {"inputs": gs.inputs.circle(3)}, ["sigma_u"]),
    ],
)
def test_reductions__refuse_by_name(model, changes, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        run(model, 1, **changes)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(("call", "words"), [
    (lambda: gs.inputs.pair(1.1), "c0 must be in"), (lambda: gs.inputs.circle(1), "at least 2"),
    (lambda: gs.inputs.pair(0.5).array(1), "at least 2 features"),
])  # fmt: skip
def test_inputs__refuse_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_homogeneous_networks__weight_times_gradient_is_the_same_in_every_layer(activation):
    net = gs.network(gs.MLP(depth=30, width=12, activation=activation, sigma_w=1.5), 1)
    gradients = gs.backward(net).weights
    products = [
        np.log2(abs(np.sum(w * g.array))) + g.exponent for w, g in zip(net.weights, gradients)
    ]
    np.testing.assert_allclose(products, products[0], atol=1e-10)


def test_reductions__run_as_plain_python():
    code = (
        "import gradsim as gs; P = gs.measurements.partials; "
        "ds = gs.simulate(gs.MLP(depth=2, width=3), 1, inputs=2, progress=False, threads=1, "
        "measure=['bounds', 'correlation', 'noise', 'entries', P()]); "
        "print(*(float(ds[n].sum()) for n in ('log10_local_bound', 'delta_correlation', "
        "'mean_cosine', 'weight_partial_quantile', 'entry_row_variance')))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ds = run(
        gs.MLP(depth=2, width=3),
        1,
        inputs=2,
        measure=["bounds", "correlation", "noise", "entries", "partials"],
    )
    names = (
        "log10_local_bound", "delta_correlation", "mean_cosine", "weight_partial_quantile",
        "entry_row_variance",
    )  # fmt: skip
    expected = [float(ds[name].sum()) for name in names]
    np.testing.assert_allclose([float(word) for word in made.stdout.split()], expected, rtol=1e-10)

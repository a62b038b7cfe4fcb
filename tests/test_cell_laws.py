"""Exact results for gates, leaks, skips, residual blocks and normalisation."""

import numpy as np
import pytest

import gradsim as gs


def logs(model, seeds, variable="log10_state_grad_norm", **options):
    return gs.simulate(model, seeds, **options)[variable]


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0, 5.0])
def test_lstm__forget_path_is_a_power_of_the_gate(bias):
    """dc_T/dc_0 = sigmoid(b_f)^T where all weights are 0 (Goodfellow et al. 2016, eq. 10.41)."""
    model = gs.RNN(steps=50, width=6, cell="lstm", sigma_w=0.0, forget_bias=bias, loss="linear")
    got = logs(model, 3, "log10_cell_grad_norm")
    f = 1 / (1 + np.exp(-bias))
    assert np.isneginf(got.sel(state_step=50)).all()  # no step reads c_T
    expected = (49 - np.arange(50)) * np.log10(f)
    got = got[:, :50] - got[:, 49]
    np.testing.assert_allclose(got, np.tile(expected, (3, 1)), atol=1e-10)


def test_gru__path_of_the_state_is_a_power_of_the_gate():
    model = gs.RNN(steps=30, width=6, cell="gru", sigma_w=0.0, loss="linear")
    got = logs(model, 3)
    np.testing.assert_allclose(got[:, 0] - got[:, -1], 30 * np.log10(0.5), atol=1e-10)


@pytest.mark.parametrize("tied", [True, False])
def test_sigmoid__is_tanh_at_a_quarter_of_the_gain_with_a_static_bias(tied):
    """h = (1 + k) / 2 with k_t = tanh(W k / 4 + U x / 2 + (W 1 / 2 + b) / 2)."""
    model = gs.RNN(
        steps=40, width=7, tied=tied, activation="sigmoid", loss="linear", sigma_w=6.0,
        sigma_b=0.5, sigma_u=0.7, input_width=3, initial_state=np.linspace(0, 1, 7),
    )  # fmt: skip
    net = gs.network(model, 3, inputs=4)
    drives = net.input_weights if tied else list(net.input_weights)
    pairs = zip(net.weights, net.biases)
    weights, biases = [w / 4 for w in net.weights], [(w.sum(1) / 2 + b) / 2 for w, b in pairs]
    tanh = gs.from_arrays(
        weights[0] if tied else weights, biases, cell="vanilla", steps=40, loss="linear",
        input_weights=drives / 2 if tied else [u / 2 for u in drives], inputs=net.inputs,
        targets=net.targets / 2, initial_state=2 * np.linspace(0, 1, 7) - 1,
    )  # fmt: skip
    found = gs.simulate(net, [3], batch="each", measure=["gradient", "signal"])
    wanted = gs.simulate(tanh, [3], batch="each", measure=["gradient", "signal"])
    two = np.log10(2)  # dC/dh = 2 dC/dk, dC/dz = dC/du / 2 of z = 2 u, dC/db = dC/dz
    for name, shift in (
        ("log10_state_grad_norm", two), ("log10_delta_norm", -two), ("log10_input_grad_norm", 0.0),
        ("log10_input_weight_grad_norm", -two),
    ):  # fmt: skip
        np.testing.assert_allclose(found[name], wanted[name] + shift, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(found.z_mean_square, 4 * wanted.z_mean_square, rtol=1e-11)


def test_sigmoid__layers_are_tanh_layers_at_a_quarter_of_the_gain():
    model = gs.MLP(depth=30, width=6, activation="sigmoid", loss="linear", sigma_w=5.0, sigma_b=0.3)
    net = gs.network(model, 2)
    factors = [0.5] + [0.25] * 29  # the input is no sigmoid
    biases = [net.biases[0] / 2]
    biases += [(w.sum(1) / 2 + b) / 2 for w, b in zip(net.weights[1:], net.biases[1:])]
    tanh = gs.from_arrays(
        [c * w for c, w in zip(factors, net.weights)], biases, activation="tanh", loss="linear",
        inputs=net.inputs, targets=net.targets / 2,
    )  # fmt: skip
    found, wanted = gs.simulate(net, [2]), gs.simulate(tanh, [2])
    np.testing.assert_allclose(
        found.log10_delta_norm, wanted.log10_delta_norm - np.log10(2), atol=1e-11
    )
    np.testing.assert_allclose(
        found.log10_input_grad_norm, wanted.log10_input_grad_norm, atol=1e-11
    )


@pytest.mark.parametrize(("leak", "expected"), [
    (0.1, (0.3486784, 0.1215767, 5.153775e-3, 2.656140e-5)),
])  # fmt: skip
def test_leaky__retains_a_power(leak, expected):
    """W = 0: (1 - leak)^T at T = 10, 20, 50, 100."""
    model = gs.RNN(width=5, cell="leaky", leak=leak, sigma_w=0.0, loss="linear")
    for steps, wanted in zip((10, 20, 50, 100), expected):
        got = logs(model.with_fields(steps=steps), 2)
        np.testing.assert_allclose(10 ** (got[:, 0] - got[:, -1]), wanted, rtol=1e-6)


@pytest.mark.parametrize(("delay", "expected"), [
    (1, 2.656140e-5), (2, 5.153775e-3), (5, 0.1215767), (10, 0.3486784),
])  # fmt: skip
def test_skip__alone_is_a_power_of_its_strength(delay, expected):
    """h_t = 0.9 h_(t-d): 0.9^(T/d) at T = 100 (after Lin et al. 1996)."""
    model = gs.RNN(
        steps=100, width=4, cell="skip", delay=delay, skip=0.9, sigma_w=0.0,
        activation="identity", loss="linear",
    )  # fmt: skip
    got = logs(model, 2)
    np.testing.assert_allclose(10 ** (got[:, 0] - got[:, -1]), expected, rtol=1e-6)


@pytest.mark.parametrize(("a", "b", "expected"), [
    (0.5, 0.4, (0.400976563, 0.164297829, 2.57119358e-2)),
    (0.5, 0.5, (0.500976562, 0.255372047, 0.188827251)),
    (0.6, 0.5, (0.506046618, 0.283292958, 1.55381599)),
    (0.9, 0.2, (0.548678440, 0.928669223, 23.3372757)),
])  # fmt: skip
def test_skip__beside_a_single_step_follows_the_recursion(a, b, expected):
    """h_t = a h_(t-1) + b h_(t-10), impulse response at 10, 20 and 100 steps."""
    for steps, wanted in zip((10, 20, 100), expected):
        net = gs.from_arrays(
            a * np.eye(3), cell="skip", steps=steps, delay=10, skip=b, activation="identity",
            loss="linear",
        )  # fmt: skip
        got = gs.simulate(net, 2).log10_state_grad_norm
        np.testing.assert_allclose(10 ** (got[:, 0] - got[:, -1]), wanted, rtol=1e-8)


@pytest.mark.parametrize("cell", ["residual", "residual_single"])
def test_residual__without_its_branch_keeps_the_gradient(cell):
    """A branch that is zero at the start leaves ||dC/dx|| as it is (Zhang et al. 2019)."""
    model = gs.MLP(
        depth=30, width=8, cell=cell, residual_scale=0.0, loss="linear", output="identity"
    )
    net = gs.network(model, 4)
    got = gs.simulate(model, [4])
    wanted = np.log10(np.linalg.norm(net.weights[-1].T @ net.targets[0]))
    np.testing.assert_allclose(got.log10_input_grad_norm, wanted, atol=1e-12)


def test_residual__with_a_zero_last_matrix_keeps_the_gradient():
    model = gs.MLP(depth=12, width=5, cell="residual", loss="linear", output="identity")
    net = gs.network(model, 1)
    for stacked in net.weights[:-1]:
        stacked[5:] = 0.0  # V
    far = gs.backward(net).inputs.to_array()
    np.testing.assert_allclose(far[0], net.weights[-1].T @ net.targets[0], rtol=1e-12)


def test_batch_norm__of_a_linear_network_grows_the_gradient():
    """E ||delta||^2 grows by (B - 2) / (B - 3) a layer of a wide linear net (Yang et al. 2019).

    The law is that of infinite width; at width 400 a layer's deviation is of the order of 1/400.
    """
    examples, depth = 6, 12
    model = gs.MLP(
        depth=depth, width=400, activation="identity", norm="batch", loss="linear", sigma_w=1.0
    )
    ds = gs.simulate(model, 40, inputs=examples)
    assert (ds.status == 0).all()
    square = 10 ** (2 * ds.log10_delta_norm)  # a mean of logs over examples: close to each other
    growth = (np.log(square[:, 2]) - np.log(square[:, depth - 3])) / (depth - 5)
    error = float(growth.std() / np.sqrt(40))
    assert abs(float(growth.mean()) - np.log((examples - 2) / (examples - 3))) < 4 * error + 0.02


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_norm__does_not_see_the_scale_of_the_weights(norm):
    model = gs.MLP(
        depth=6, width=16, norm=norm, activation="tanh", loss="linear", output="identity"
    )
    ds = gs.simulate(model, 4, inputs=5, vary={"sigma_w": [1e-150, 1.0, 1e150]})
    assert (ds.status == 0).all()
    hidden = ds.log10_delta_norm.isel(layer=slice(0, 5)) + np.log10(ds.sigma_w)
    # dC/dz of a layer is divided by its own scale and multiplied by that of the output layer
    last = hidden - np.log10(ds.sigma_w)
    np.testing.assert_allclose(last.max("sigma_w"), last.min("sigma_w"), atol=1e-9)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: gs.simulate(gs.MLP(norm="batch"), 1), "norm='batch'"),
    (lambda: gs.simulate(gs.MLP(norm="batch"), 1, inputs=4, batch="each"), "batch='each'"),
    (lambda: gs.MLP(cell="residual", width=8, input_width=5), "one width"),
    (lambda: gs.MLP(norm="group"), "norm"),
    (lambda: gs.MLP(residual_scale="1/depth"), "residual_scale"),
    (lambda: gs.RNN(cell="lstm", loss="cross_entropy", activation="sigmoid"), "cross_entropy"),
    (lambda: gs.RNN(cell="skip", delay=0), "delay"),
    (lambda: gs.MLP(cell="lstm"), "cell"),
])  # fmt: skip
def test_bad_field__is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_cell__of_ones_own_is_refused_where_it_is_none():
    with pytest.raises(ValueError, match="affine map"):
        gs.cell("no_weights")(lambda t, h, phi: h)
    with pytest.raises(ValueError, match="already"):
        gs.cell("lstm")(lambda t, h, phi: t.map(phi, t.linear(h)))
    with pytest.raises(TypeError, match="identifier"):
        gs.cell("two words")

"""Numbers far outside the range of a float, against fifty digits and against closed forms.

Nothing may underflow, overflow or read as a false zero: gradients of 10^-1250 and of 10^1900 are
numbers like any other, and what is not a number has a status that says why.
"""

import dataclasses
import math

import numpy as np
import oracle
import pytest

import gradsim as gs

DECADES = {"float64": 1e-9, "float32": 1e-3}  # allowed error of a log10
DTYPES = tuple(DECADES)
OK, DEAD, NOT_FINITE, UNDERFLOW = range(4)
SMALL = {"float32": 82.0, "float64": 704.0}  # exp(-z) is a normal number, not much above the least


def assert_exact(model, seed, *, near, dtypes=DTYPES, **data):
    """log10 norms of one network against fifty digits; ``near`` is log10 of the first delta."""
    net = gs.network(model, seed, **data)
    exact = oracle.exact_norms(net)
    assert exact["log10_delta_norm"][0] == pytest.approx(near, abs=0.5), "not the case meant"
    weights = "log10_recurrent_grad_norm" if isinstance(model, gs.RNN) else "log10_weight_grad_norm"
    for dtype in dtypes:
        ds = gs.simulate(model, [seed], dtype=dtype, **data).isel(seed=0)
        assert ds.status == OK
        for name, found in (
            ("log10_delta_norm", ds.log10_delta_norm),
            ("log10_weight_grad_norm", ds[weights]),
            ("log10_loss", ds.log10_loss),
        ):
            error = np.max(np.abs(found.values - exact[name]))
            assert error <= DECADES[dtype], f"{dtype} {name} is off by {error:.3g} decades"
    return exact


def float64_range(values):
    """Whether a float64 could hold the largest and the smallest of some log10 norms."""
    return np.max(values) < 308 and np.min(values) > -307


# The reference itself ---------------------------------------------------------------------------


ENDS = (("identity", "linear"), ("softmax", "cross_entropy"), ("sigmoid", "cross_entropy"))


@pytest.mark.parametrize(("activation", "output", "loss"), [
    *((name, None, "mse") for name in oracle.ACTIVATIONS),
    *(("tanh", *end) for end in ENDS), *(("relu", *end) for end in ENDS),
])  # fmt: skip
def test_fifty_digits__agree_with_autograd_where_both_can(activation, output, loss):
    model = gs.MLP(
        depth=3, width=5, activation=activation, output=output, loss=loss, sigma_b=0.5, slope=0.3
    )
    net = gs.network(model, 4)
    exact, ref = oracle.exact_norms(net), oracle.variables(oracle.reference(net))
    for name, values in exact.items():
        np.testing.assert_allclose(values, ref[name], rtol=0, atol=1e-13)


# A thousand layers and more -----------------------------------------------------------------------

DEEP = {  # model, seed, log10 of the first delta
    "sigmoid": (gs.MLP(depth=2000, width=8, activation="sigmoid"), 3, -1334.5),
    "tanh shrinking": (gs.MLP(depth=2000, width=8, activation="tanh", sigma_w=0.5), 3, -675.3),
    "relu shrinking": (
        gs.MLP(depth=2000, width=16, activation="relu", sigma_w=math.sqrt(0.5)), 3, -670.2
    ),
    "relu exploding": (gs.MLP(depth=1000, width=16, activation="relu", sigma_w=3.0), 3, 583.2),
    "identity exploding": (
        gs.MLP(depth=2000, width=8, activation="identity", sigma_w=3.0), 3, 1759.6
    ),
    "identity exploding, biased": (
        gs.MLP(depth=2000, width=8, activation="identity", sigma_w=3.0, sigma_b=1.0), 3, 1760.1
    ),
    "tied tanh": (gs.RNN(steps=1000, width=8, sigma_w=0.3), 2, -475.0),
    "untied sigmoid": (
        gs.RNN(steps=1000, width=6, activation="sigmoid", tied=False), 2, -673.1
    ),
    "tied identity, driven": (
        gs.RNN(steps=1000, width=6, activation="identity", sigma_w=3.0, sigma_u=1.0, sigma_b=0.5),
        2, 903.2,
    ),
    "tied relu": (gs.RNN(steps=1000, width=8, activation="relu", sigma_w=3.0), 0, 849.0),
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_1000_layers_and_more__agree_with_fifty_digits(name):
    model, seed, near = DEEP[name]
    exact = assert_exact(model, seed, near=near)
    assert not float64_range(exact["log10_delta_norm"])


def test_1000_steps__total_gradient_is_that_of_its_largest_steps():
    model = gs.RNN(steps=1000, width=8, sigma_w=0.3)  # steps shrink backwards and forwards alike
    for dtype in DTYPES:
        ds = gs.simulate(model, 3, dtype=dtype)
        total, steps = ds.log10_total_weight_grad_norm, ds.log10_weight_grad_norm
        assert (total < -200).all()
        assert (total <= steps.max("step") + math.log10(1000)).all()
        assert np.isfinite(total).all()


# No false zero, no silent NaN -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", [None, "identity", "softmax"])
def test_extreme_gains__give_numbers_or_a_reason(dtype, output):
    gains = [1e-30, 1e-3, 0.5, 3.0, 100.0, 1e30]
    ds = gs.simulate(
        gs.MLP(depth=300, width=8, output=output, sigma_b=0.0), 3, dtype=dtype,
        vary={"activation": list(oracle.ACTIVATIONS), "sigma_w": gains}, inputs=2, batch="each",
    )  # fmt: skip
    delta, status = ds.log10_delta_norm, ds.status
    assert ((status == OK) == np.isfinite(delta).all("layer")).all()
    assert ((status == NOT_FINITE) == np.isnan(delta).any("layer")).all()
    assert (np.isneginf(delta).any("layer") == status.isin([DEAD, UNDERFLOW])).all()
    assert not np.isposinf(delta).any()
    assert ((ds.status_layer > 0) == (status > OK)).all()
    linear = ds.sel(activation=["identity", "leaky_relu"])
    if output != "softmax":  # nothing can saturate
        assert (linear.status == OK).all()
    modest = ds.sel(sigma_w=[1e-30, 1e-3, 0.5, 3.0])
    assert (modest.sel(activation=["tanh", "sigmoid"]).status == OK).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("activation", ["identity", "leaky_relu"])
def test_inputs__of_any_scale_are_exact_where_nothing_saturates(activation, scale):
    model = gs.MLP(depth=4, width=5, activation=activation, slope=0.3, loss="linear")
    plain = gs.simulate(model, 3, inputs=np.ones((1, 5)))
    for dtype in DTYPES:
        ds = gs.simulate(model, 3, inputs=np.full((1, 5), scale), dtype=dtype)
        shift = math.log10(scale)
        for name, moved in (
            ("log10_delta_norm", 0), ("log10_weight_grad_norm", shift), ("log10_loss", shift)
        ):  # fmt: skip
            error = np.max(np.abs(ds[name] - plain[name] - moved))
            assert error <= DECADES[dtype], (dtype, name)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30])
def test_tiny_inputs__agree_with_fifty_digits(activation, scale):
    model = gs.MLP(depth=4, width=5, activation=activation)
    x = scale * np.array([[1.0, -2.0, 0.5, 3.0, -0.1]])
    near = {"tanh": -0.2, "sigmoid": -2.4, "identity": -0.2}[activation]
    exact = assert_exact(model, 1, near=near, inputs=x)
    assert exact["log10_weight_grad_norm"][0] < math.log10(scale) + 2


def test_huge_inputs__saturate_the_first_layer_alone():
    x = 1e300 * np.array([[1.0, -2.0, 0.5, 3.0]])
    for activation in ("tanh", "sigmoid"):
        ds = gs.simulate(gs.MLP(depth=3, width=4, activation=activation), 5, inputs=x)
        assert (ds.status == UNDERFLOW).all()
        assert (ds.status_layer == 1).all()
        assert np.isneginf(ds.log10_delta_norm.sel(layer=1)).all()
        assert np.isfinite(ds.log10_delta_norm.sel(layer=[2, 3])).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_and_tiny_matrices__keep_their_own_exponents(dtype):
    sizes = (1e300, 1e-300, 1e-200, 1e280)
    rng = np.random.default_rng(0)
    plain = [rng.standard_normal((4, 4)) for _ in sizes]
    data = {"inputs": rng.standard_normal((1, 4)), "targets": rng.standard_normal((1, 4))}
    fields = {"activation": "identity", "loss": "linear"}
    nets = [
        gs.from_arrays(matrices, **data, **fields)
        for matrices in (plain, [w * s for w, s in zip(plain, sizes)])
    ]
    unit, scaled = (gs.simulate(net, [0], dtype=dtype).isel(seed=0) for net in nets)
    logs = np.log10(sizes)
    above = np.append(np.cumsum(logs[::-1])[::-1][1:], 0.0)  # gains between a layer and the output
    below = np.append(0.0, np.cumsum(logs)[:-1])
    for name, moved in (
        ("log10_delta_norm", above), ("log10_weight_grad_norm", above + below),
        ("log10_loss", logs.sum()),
    ):  # fmt: skip
        assert np.max(np.abs(scaled[name] - unit[name] - moved)) <= DECADES[dtype], name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma_w", [1e-200, 1e200])
@pytest.mark.parametrize("sigma_b", [0.0, 1.0, 1e250])
def test_gains_and_biases__of_any_size_agree_with_fifty_digits(dtype, sigma_w, sigma_b):
    model = gs.MLP(
        depth=5, width=6, activation="leaky_relu", slope=0.2, sigma_w=sigma_w, sigma_b=sigma_b
    )
    exact = oracle.exact_norms(gs.network(model, 2))
    ds = gs.simulate(model, [2], dtype=dtype, measure=("gradient", "signal")).isel(seed=0)
    assert ds.status == OK
    for name, values in exact.items():
        assert np.max(np.abs(ds[name].values - values)) <= DECADES[dtype], name


# Costs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decades", [200, -200])
def test_loss__of_1e400_has_a_log10(dtype, decades):
    factor, depth = 10.0 ** np.sign(decades), abs(decades)
    net = gs.from_arrays(
        [np.array([[factor]])] * depth, inputs=np.ones((1, 1)), targets=np.zeros((1, 1)),
        activation="identity",
    )  # fmt: skip
    ds = gs.simulate(net, [0], dtype=dtype).isel(seed=0)
    allowed = {"float64": 1e-11, "float32": 1e-4}[dtype]
    assert ds.log10_loss == pytest.approx(2 * decades + math.log10(0.5), abs=allowed)
    layers = np.arange(1, depth + 1)
    expected = decades + np.sign(decades) * (depth - layers)
    np.testing.assert_allclose(ds.log10_delta_norm, expected, rtol=0, atol=allowed)
    grads = gs.backward(net)
    assert grads.weights[0].log10_norm() == pytest.approx(expected[0], abs=1e-11)
    with pytest.raises(OverflowError if decades > 0 else gs.UnderflowError, match=r"10\*\*"):
        grads.weights[0].to_array()


def test_targets__of_zero_leave_a_gradient_of_the_output_alone():
    shrinking = gs.MLP(depth=1500, width=6, activation="identity", sigma_w=0.5)
    exact = assert_exact(shrinking, 4, near=-1010.0, targets=np.zeros(6))
    assert exact["log10_loss"] < -800
    dead = gs.MLP(depth=40, width=3, activation="relu")
    ds = gs.simulate(dead, 20, targets=np.zeros(3))
    gone = np.isneginf(ds.log10_loss)  # the output is exactly 0: so are the cost and its gradient
    assert gone.any()
    assert (gone == np.isneginf(ds.log10_delta_norm.sel(layer=40))).all()
    assert (ds.status[gone] == DEAD).all()
    assert (ds.status_layer[gone] == 40).all()


@pytest.mark.parametrize("loss", ["linear", "mse"])
@pytest.mark.parametrize("size", [1e-300, 1e-20, 1e300])
@pytest.mark.parametrize("power", [-18, 18])
def test_targets__of_any_size_agree_with_fifty_digits(loss, size, power):
    weights = [2.0**power * np.eye(2)] * 12  # outputs of 2^(+-216)
    net = gs.from_arrays(
        weights, inputs=np.array([[0.7, -0.3]]), targets=size * np.array([[1.0, 2.0]]),
        activation="identity", loss=loss,
    )  # fmt: skip
    exact = oracle.exact_norms(net)
    for dtype in DTYPES:
        ds = gs.simulate(net, [0], dtype=dtype).isel(seed=0)
        assert ds.status == OK
        for name, values in exact.items():
            assert np.max(np.abs(ds[name].values - values)) <= DECADES[dtype], (dtype, name)


@pytest.mark.parametrize("size", [1.0, 1e-8, 1e-20, 1e-300])
@pytest.mark.parametrize("output", ["sigmoid", "tanh"])
def test_targets__of_a_saturated_output_may_be_tiny(output, size):
    """A slope of 10^-306 times v is below every float, and no zero."""
    z = SMALL["float64"] / (2 if output == "tanh" else 1)
    net = gs.from_arrays(
        [np.eye(1), np.eye(1)], [np.zeros(1), np.array([-z])], inputs=np.zeros((1, 1)),
        targets=np.array([[size]]), activation="tanh", output=output, loss="linear",
    )  # fmt: skip
    exact = oracle.exact_norms(net)["log10_delta_norm"]
    for dtype in DTYPES:
        ds = gs.simulate(net, [0], dtype=dtype).isel(seed=0)
        assert ds.status == OK
        np.testing.assert_allclose(ds.log10_delta_norm, exact, rtol=0, atol=DECADES[dtype])


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy__with_exploding_logits(output, dtype):
    model = gs.MLP(
        depth=400, width=8, activation="identity", sigma_w=3.0, output=output, loss="cross_entropy"
    )
    label = np.zeros(8)
    label[2] = 1.0
    seeds = range(6)
    for seed in seeds:
        net = gs.network(model, seed, targets=label)
        z, exponent = net.inputs[0], 0.0
        for w in net.weights:  # the logits are z * 10**exponent
            z = w @ z
            exponent += np.log10(np.abs(z).max())
            z = z / np.abs(z).max()
        ds = gs.simulate(model, [seed], targets=label, dtype=dtype).isel(seed=0)
        if output == "softmax":
            loss, delta = z.max() - z[2], (z == z.max()) - label
        else:
            loss, delta = np.sum(np.maximum(z, 0) - label * z), (z > 0) - label
        norm = np.linalg.norm(delta)
        if norm == 0:  # the right label: what is left of the gradient is exp(-10**180)
            assert ds.status == UNDERFLOW
            assert ds.status_layer == 400
            assert np.isneginf(ds.log10_delta_norm).all()
            assert np.isneginf(ds.log10_loss)
            continue
        assert ds.status == OK
        assert exponent > 150
        assert ds.log10_loss == pytest.approx(math.log10(loss) + exponent, abs=DECADES[dtype])
        assert ds.log10_delta_norm[-1] == pytest.approx(math.log10(norm), abs=1e-6)
        assert np.isfinite(ds.log10_delta_norm).all()
    found = gs.simulate(model, seeds, targets=label, dtype=dtype).status
    assert (found == OK).any()


@pytest.mark.parametrize(("dtype", "bias"), [
    ("float32", -60.0), ("float32", -35.0), ("float32", -10.0), ("float32", 12.0),
    ("float64", -500.0), ("float64", -200.0), ("float64", -35.0), ("float64", 25.0),
])  # fmt: skip
def test_cross_entropy__of_the_state_of_an_rnn_near_0_and_1(dtype, bias):
    """States of exp(bias): their logarithms and their complements keep all digits."""
    rng = np.random.default_rng(1)
    w, biases = 0.3 * rng.standard_normal((3, 3)), bias + rng.standard_normal(3)
    net = gs.from_arrays(
        w, biases, cell="vanilla", steps=3, activation="sigmoid", loss="cross_entropy",
        initial_state=(0.5, -1.0, 2.0), targets=np.array([[1.0, 0.0, 0.3]]),
    )  # fmt: skip
    exact = oracle.exact_norms(dataclasses.replace(net, initial_state=np.array([0.5, -1.0, 2.0])))
    ds = gs.simulate(net, [0], dtype=dtype).isel(seed=0)
    assert ds.status == OK
    for name, values in exact.items():
        assert np.max(np.abs(ds[name].values - values)) <= DECADES[dtype], name


@pytest.mark.parametrize("loss", ["mse", "linear", "cross_entropy"])
@pytest.mark.parametrize("scale", [3.0, 30.0, 100.0])
def test_softmax__keeps_its_digits_where_it_saturates(loss, scale):
    """Logits +-scale: 1 - p is far below the rounding of p."""
    model = gs.MLP(depth=1, width=4, output="softmax", loss=loss, input_width=4)
    w = np.diag([1.0, -1.0, 0.2, -0.4])
    x, y = np.full((1, 4), scale), np.array([[0.1, 0.2, 0.0, 0.7]])  # mse to p = 1 would cancel
    net = gs.from_arrays(
        [w], inputs=x, targets=y, activation="tanh", output="softmax", loss=model.loss
    )
    exact = oracle_softmax(scale * np.diag(w), y[0], loss)
    ds = gs.simulate(net, [0]).isel(seed=0)
    assert ds.log10_delta_norm.item() == pytest.approx(exact[0], abs=DECADES["float64"])
    if loss != "linear":  # there the cost itself is p, close to 1
        assert ds.log10_loss.item() == pytest.approx(exact[1], abs=DECADES["float64"])


def oracle_softmax(z, y, loss):
    """log10 of ||delta|| and of the cost in two hundred digits."""
    mp = oracle.mp
    with mp.workdps(200):
        e = [mp.exp(mp.mpf(v)) for v in z]
        p = [v / sum(e) for v in e]
        y = [mp.mpf(v) for v in y]
        g = {
            "mse": [a - t for a, t in zip(p, y)],
            "linear": y,
            "cross_entropy": [-t / a for a, t in zip(p, y)],
        }[loss]
        mean = sum(a * b for a, b in zip(p, g))
        delta = [a * (b - mean) for a, b in zip(p, g)]
        cost = {
            "mse": sum((a - t) ** 2 for a, t in zip(p, y)) / 2,
            "linear": sum(a * t for a, t in zip(p, y)),
            "cross_entropy": -sum(t * mp.log(a) for a, t in zip(p, y)),
        }[loss]
        return float(mp.log10(sum(d * d for d in delta)) / 2), float(mp.log10(abs(cost)))


# True zeros -------------------------------------------------------------------------------------


def zeros_by_hand(net):
    """Largest layer whose delta is exactly 0 in a bias-free relu network, by booleans; else 0."""
    h, masks = net.inputs[0], []
    for w in net.weights:
        z = w @ h
        masks.append(z > 0)
        h = np.where(z > 0, z, 0.0)
        h = h / max(np.abs(h).max(), 1e-300)  # homogeneous: no mask changes
    hidden = masks if net.model.last_activation == "relu" else [*masks[:-1], np.ones(len(z), bool)]
    delta = np.where(hidden[-1], net.targets[0], 0.0)  # v; its size does not matter
    for layer in range(len(masks), 0, -1):
        if not delta.any():
            return layer
        delta = delta / np.abs(delta).max()
        if layer > 1:
            delta = np.where(hidden[layer - 2], net.weights[layer - 1].T @ delta, 0.0)
    return 0


@pytest.mark.parametrize("output", [None, "identity"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dead_relu__is_a_zero_of_the_right_layer(output, dtype):
    model = gs.MLP(depth=60, width=5, activation="relu", output=output, loss="linear")
    seeds = 60
    ds = gs.simulate(model, seeds, dtype=dtype)
    layers = np.array([zeros_by_hand(gs.network(model, seed)) for seed in range(seeds)])
    assert 0 < np.sum(layers > 0) < seeds
    np.testing.assert_array_equal(ds.status_layer, layers)
    np.testing.assert_array_equal(ds.status, np.where(layers > 0, DEAD, OK))
    for seed, last in enumerate(layers):
        delta = ds.log10_delta_norm.sel(seed=seed).values
        assert np.isneginf(delta[:last]).all()
        assert np.isfinite(delta[last:]).all()
    assert (np.isneginf(ds.log10_input_grad_norm) == (layers > 0)).all()


def test_dead_examples__count_in_the_batch_as_the_most_severe():
    model = gs.MLP(depth=8, width=4, activation="relu", output="identity")
    each = gs.simulate(model, 40, inputs=3, batch="each")
    mean = gs.simulate(model, 40, inputs=3)
    np.testing.assert_array_equal(mean.status, each.status.max("example"))
    np.testing.assert_array_equal(mean.status_layer, each.status_layer.max("example"))
    some = (each.status == DEAD).any("example") & ~(each.status == DEAD).all("example")
    assert some.any()
    assert np.isneginf(mean.log10_delta_norm[some.values]).any("layer").all()
    alive = mean.log10_weight_grad_norm[some.values].sel(layer=1)  # the others still have one
    assert np.isfinite(alive).all()


# Saturation and what leaves the range -----------------------------------------------------------


def test_saturation__is_underflow_only_where_the_slopes_underflow():
    """Sigmoid, sigma_w = 300: slopes reach exp(-|z|) with |z| of a few hundred."""
    model = gs.MLP(depth=10, width=4, activation="sigmoid", sigma_w=300.0)
    seeds = 40
    double, single = (gs.simulate(model, seeds, dtype=dtype) for dtype in ("float64", "float32"))
    assert (double.status == OK).all()
    assert (double.log10_delta_norm.isel(layer=0) < -100).any()
    for seed in range(8):
        exact = oracle.exact_norms(gs.network(model, seed))
        found = double.log10_delta_norm.sel(seed=seed).values
        # |z| = 1e3 at most, so that 1e3 eps of it is an error of 1e-10 in ln phi' a layer
        np.testing.assert_allclose(found, exact["log10_delta_norm"], rtol=0, atol=1e-8)
    losses = double.log10_delta_norm.diff("layer").max("layer")  # decades in the worst layer
    assert (single.status.isin([OK, UNDERFLOW])).all()
    assert (single.status == UNDERFLOW).any()
    assert (single.status == OK).any()
    assert (single.status[losses < 25] == OK).all()  # far from the smallest float32
    assert (losses[single.status == UNDERFLOW] > 30).all()
    assert (single.status_layer[single.status == UNDERFLOW] > 0).all()
    assert not np.isnan(single.log10_delta_norm).any()


def chain(weight, biases, activation):
    """One unit a layer: delta^l is weight slope delta^(l+1), a product of small numbers."""
    depth = len(biases) + 1
    return gs.from_arrays(
        [np.array([[weight]])] * depth, [np.array([b]) for b in (*biases, 0.0)],
        inputs=np.ones((1, 1)), targets=np.ones((1, 1)), activation=activation,
        output="identity", loss="linear",
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("power", [-10, -19])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_saturation__keeps_its_digits_while_slopes_are_normal(dtype, power, activation):
    """Slopes of 2^-118 (2^-1016) times weights of 2^-10: the products are no normal numbers."""
    z = SMALL[dtype] / (2 if activation == "tanh" else 1)
    net = chain(2.0**power, [-z] * 5, activation)
    slope = math.exp(-z) if activation == "sigmoid" else 4 * math.exp(-2 * z)
    assert slope > 2 * np.finfo(dtype).tiny > slope * 2.0**power
    ds = gs.simulate(net, [0], dtype=dtype).isel(seed=0)
    assert ds.status == OK
    exact = oracle.exact_norms(net)["log10_delta_norm"]
    np.testing.assert_allclose(ds.log10_delta_norm, exact, rtol=0, atol=DECADES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("depth", [3, 6, 9, 12, 13, 14, 15])
def test_saturation__is_no_zero_after_gradients_have_shrunk(dtype, activation, depth):
    """A slope of 2^-118 (2^-1016) meets a cotangent that has come down through mild layers."""
    z = SMALL[dtype] / (2 if activation == "tanh" else 1)
    net = chain(2.0**-18, [-z] + [0.0] * (depth - 2), activation)
    ds = gs.simulate(net, [0], dtype=dtype).isel(seed=0)
    assert ds.status == OK
    exact = oracle.exact_norms(net)["log10_delta_norm"]
    np.testing.assert_allclose(ds.log10_delta_norm, exact, rtol=0, atol=DECADES[dtype])


@pytest.mark.parametrize(
    ("dtype", "sigma_w"), [("float32", 1e200), ("float32", 1e39), ("float64", 1e308)]
)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_overflow__of_a_bounded_activation_is_not_finite(dtype, sigma_w, activation):
    """Pre-activations beyond the largest float cannot be told from infinity."""
    model = gs.MLP(depth=5, width=8, activation=activation, sigma_w=sigma_w, output="identity")
    x = np.full((1, 8), 100.0)
    ds = gs.simulate(model, 3, inputs=x, dtype=dtype, measure=("gradient", "signal"))
    assert (ds.status == NOT_FINITE).all()
    assert (ds.status_layer == 1).all()
    for name in ("log10_delta_norm", "log10_weight_grad_norm", "log10_bias_grad_norm",
                 "log10_input_grad_norm", "log10_loss"):  # fmt: skip
        assert np.isnan(ds[name]).all(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow__names_the_first_layer(dtype):
    largest, ones = float(np.finfo(dtype).max), np.ones((4, 4))
    data = {"inputs": np.ones((1, 4)), "targets": np.ones((1, 4)), "activation": "tanh"}
    for size, status in ((0.1 * largest, UNDERFLOW), (0.9 * largest, NOT_FINITE)):
        net = gs.from_arrays([ones, ones, size * ones, ones / size], **data)
        ds = gs.simulate(net, [0], dtype=dtype)
        assert ds.status == status  # four times the one is finite, four times the other is not
        assert ds.status_layer == 3
        assert np.isnan(ds.log10_delta_norm).all() == (status == NOT_FINITE)


@pytest.mark.parametrize("dtype", DTYPES)
def test_overflow__of_a_step_of_an_rnn(dtype):
    model = gs.RNN(steps=4, width=8, sigma_w=1.0, sigma_u=1.0, initial_state="zeros")
    inputs = np.ones((2, 4, 8))
    inputs[1, 2] = 1e300
    each = gs.simulate(model, 3, inputs=inputs, dtype=dtype, batch="each")
    mean = gs.simulate(model, 3, inputs=inputs, dtype=dtype)
    assert (each.status.isel(example=0) == OK).all()
    wrong = each.isel(example=1)
    if dtype == "float64":  # 1e300 is a number: the slopes of step 3 underflow
        assert (wrong.status == UNDERFLOW).all()
    else:
        assert (wrong.status == NOT_FINITE).all()
        assert np.isnan(wrong.log10_delta_norm).all()
        assert np.isnan(mean.log10_delta_norm).all()
    assert (wrong.status_layer == 3).all()
    np.testing.assert_array_equal(mean.status, wrong.status)
    assert np.isfinite(each.log10_delta_norm.isel(example=0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_signal__is_never_a_silent_nan(dtype):
    ds = gs.simulate(
        gs.MLP(depth=30, width=6, sigma_b=0.5), 3, dtype=dtype, measure=("gradient", "signal"),
        vary={"activation": list(oracle.ACTIVATIONS), "sigma_w": [1e-30, 1.0, 1e30, 1e200]},
    )  # fmt: skip
    bad = ds.status == NOT_FINITE
    for name in ("z_mean_square", "a_mean_square", "saturated_share", "log10_weight_norm"):
        assert not np.isnan(ds[name].where(~bad, 0.0)).any(), name

"""What the studies compute layer by layer, against JAX, and changes too small for a difference."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gradsim as gs
from gradsim.studies import _components, gradient_variety, var_model
from gradsim.studies._layers import Layers, attainable, difference, least_squares

jax.config.update("jax_enable_x64", True)
PHI = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu, "identity": lambda z: z}


def network(activation, softmax):
    output, loss = ("softmax", "cross_entropy") if softmax else ("identity", "mse")
    model = gs.MLP(
        depth=4, width=5, output_width=3, activation=activation, output=output, loss=loss,
        sigma_w=1.5, sigma_b=0.3,
    )  # fmt: skip
    return gs.network(model, 7, inputs=6)


def cost(net, parameters):
    a = net.inputs
    for i, (w, b) in enumerate(parameters, 1):
        z = a @ w.T + b
        a = PHI[net.model.activation](z) if i < len(parameters) else z
    if net.model.output == "softmax":
        return (jax.nn.logsumexp(a, axis=1) - (net.targets * a).sum(1)).mean()
    return 0.5 * ((a - net.targets) ** 2).sum(1).mean()


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("activation", sorted(PHI))
def test_layers__loss_gradient_and_hessian_are_those_of_jax(activation, softmax):
    net = network(activation, softmax)
    layers, parameters = Layers(net), list(zip(net.weights, net.biases))
    assert layers.loss == pytest.approx(float(cost(net, parameters)), rel=1e-12)
    draw = np.random.default_rng(1)
    steps = [(draw.normal(size=w.shape), draw.normal(size=b.shape)) for w, b in parameters]
    gradient = jax.grad(lambda p: cost(net, p))
    expected, product = jax.jvp(gradient, (parameters,), (steps,))
    got = layers.hessian_times(steps)
    for layer in range(1, 5):
        for mine, theirs in zip(layers.gradient(layer), expected[layer - 1]):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-13)
        for mine, theirs in zip(got[layer - 1], product[layer - 1]):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("activation", sorted(PHI))
def test_layers__change_of_one_layer_is_the_difference_of_two_networks(activation, softmax):
    net = network(activation, softmax)
    layers, draw = Layers(net), np.random.default_rng(2)
    dw, db = draw.normal(size=net.weights[1].shape), draw.normal(size=net.biases[1].shape)
    moved = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    moved[0][1] += dw
    moved[1][1] += db
    other = Layers(gs.Network(net.model, *moved, inputs=net.inputs, targets=net.targets))
    change = layers.output_change(2, dw, db)
    np.testing.assert_allclose(change, other.z[-1] - layers.z[-1], rtol=1e-10, atol=1e-12)
    assert layers.loss_change(change) == pytest.approx(other.loss - layers.loss, rel=1e-9)
    jacobian = np.einsum("bki,bi->bk", layers.jacobian(2), layers.a[1] @ dw.T + db)
    small = layers.output_change(2, 1e-9 * dw, 1e-9 * db) / 1e-9
    np.testing.assert_allclose(small, jacobian, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_difference__keeps_its_digits_where_subtraction_has_none(activation):
    z = np.array([-30.0, -2.0, 0.3, 4.0, 30.0])
    for size in (1e-25, 1e-3, 50.0):
        for d in (size, -size):
            got = difference(gs.activations[activation], z, np.full(5, d))
            with mpmath.workdps(80):
                phi = mpmath.tanh if activation == "tanh" else lambda x: 1 / (1 + mpmath.exp(-x))
                exact = [float(phi(mpmath.mpf(x) + mpmath.mpf(d)) - phi(mpmath.mpf(x))) for x in z]
            np.testing.assert_allclose(got, exact, rtol=1e-13)


@pytest.mark.parametrize(
    "model",
    [
        gs.MLP(2, 3),
        gs.MLP(2, 3, output="identity", cell="residual"),
        gs.MLP(2, 3, output="identity", norm="layer"),
        gs.RNN(2, 3),
    ],
    ids=["output", "cell", "norm", "RNN"],
)
def test_layers__refuse_what_they_do_not_compute(model):
    with pytest.raises(ValueError, match=r"Layers: the network must be an MLP .*, got (MLP|RNN)"):
        Layers(gs.network(model, 0))


def test_over_seeds__gives_the_same_bits_with_any_number_of_threads():
    one, several = (var_model.measure([5, 2, 9], threads) for threads in (1, 3))
    assert one.identical(several)


def test_newton_step__is_the_damped_least_squares_step_of_jax():
    net = network("tanh", softmax=False)
    w, b = net.weights[1], net.biases[1]

    def residual(theta):
        parameters = list(zip(net.weights, net.biases))
        parameters[1] = theta[: w.size].reshape(w.shape), theta[w.size :]
        a = net.inputs
        for i, (weights, bias) in enumerate(parameters, 1):
            z = a @ weights.T + bias
            a = jnp.tanh(z) if i < len(parameters) else z
        return (a - net.targets).ravel()

    theta = np.concatenate([w.ravel(), b])
    j, r = np.array(jax.jacobian(residual)(theta)), np.array(residual(theta))
    damping = 0.1 * (j**2).sum() / len(j)
    expected = -np.linalg.solve(j.T @ j + damping * np.eye(len(theta)), j.T @ r)
    dw, db = Layers(net).newton_step(2, 0.1)
    np.testing.assert_allclose(np.concatenate([dw.ravel(), db]), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_attainable__of_an_output_layer_is_that_of_its_least_squares(activation):
    model = gs.MLP(4, 5, output_width=3, activation=activation, output="identity")
    layers = Layers(gs.network(model, 3, inputs=20))
    best = least_squares(layers)
    a = np.column_stack([layers.a[-2], np.ones(20)])
    rest = layers.y - a @ np.linalg.pinv(a) @ layers.y
    assert best.loss == pytest.approx(0.5 * (rest**2).sum(1).mean(), rel=1e-9)
    assert best.gradient_norm(4) < 1e-10
    assert attainable(layers, 4) == pytest.approx(1 - best.loss / layers.loss, rel=0.02)


def test_attainable__does_not_see_the_scale_of_the_cost():
    model = gs.MLP(3, 4, activation="tanh", output="identity")
    net = gs.network(model, 4, inputs=12)
    small = gs.Network(
        model, [*net.weights[:-1], 1e-60 * net.weights[-1]], net.biases, inputs=net.inputs,
        targets=1e-60 * net.targets,
    )  # fmt: skip
    for layer in (1, 2):
        share = attainable(Layers(net), layer)
        assert 0.05 < share < 1
        assert attainable(Layers(small), layer) == pytest.approx(share, rel=1e-6)


def test_layers__hessian_is_that_of_the_products_one_by_one():
    layers = Layers(network("sigmoid", softmax=True))
    shapes = [part.shape for pair in zip(layers.weights, layers.biases) for part in pair]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    rows = []
    for unit in np.eye(ends[-1]):
        parts = [p.reshape(s) for p, s in zip(np.split(unit, ends[:-1]), shapes)]
        products = layers.hessian_times(list(zip(parts[::2], parts[1::2])))
        rows.append(np.concatenate([part.ravel() for pair in products for part in pair]))
    hessian = np.array(rows)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-10, atol=1e-14)
    got = layers.hessian()
    np.testing.assert_allclose(got, hessian, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(got, got.T)


def test_var_model__entries_are_those_of_the_matrix_power():
    mean, sd = var_model.jacobian(20, True, 5)
    model = gs.RNN(1, 20, activation="identity", loss="linear", sigma_w=var_model.GAIN)
    power = np.linalg.matrix_power(gs.network(model, 5).weights[0], 50)
    at = var_model.TIMES.index(50)
    logs = np.log10(np.abs(power))
    np.testing.assert_allclose([mean[at], sd[at]], [logs.mean(), logs.std()], rtol=1e-9)


def test_gradient_variety__splits_the_variance_completely():
    """Of one example, log10 |delta_j a_k| is a sum of a row and a column, and nothing is left."""
    model = gradient_variety.model("tanh")
    layers = Layers(gs.network(model, 2, inputs=gradient_variety.EXAMPLES))
    whole = _components.split(layers, gradient_variety.HIDDEN, gradient_variety.EXAMPLES)
    for row, layer in zip(whole, gradient_variety.HIDDEN):
        logs = np.log10(np.abs(layers.gradient(layer)[0]))
        np.testing.assert_allclose([row[0], row[1:5].sum()], [logs.mean(), logs.var()], rtol=1e-9)
    one = _components.split(layers, gradient_variety.HIDDEN, 1)
    np.testing.assert_allclose(one[:, 4], 0.0, atol=1e-12)
    assert (one[:, 1] > 0.1).all()

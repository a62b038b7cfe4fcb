"""What the studies compute layer by layer, against JAX, and changes too small for a difference."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gradsim as gs
from gradsim.studies._layers import Layers, difference

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


def test_layers__refuse_a_cost_that_they_have_not():
    with pytest.raises(ValueError, match="output and loss must be"):
        Layers(gs.network(gs.MLP(2, 3), 0))

"""Numbers inside the studies of length ten, clipping and remedies, from another derivation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest

import gradsim as gs
from gradsim import clipping as clip
from gradsim.studies import _latch, _shares, clipping, latching, remedies_echo_state, wall

jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize(("yes", "count"), [(0, 5), (3, 17), (12, 12), (40, 300)])
def test_share__interval_is_the_exact_binomial_one(yes, count):
    hits = np.arange(count) < yes
    expected = binomtest(yes, count).proportion_ci(0.99, method="exact")
    estimate, *ends, _ = _shares.share(hits)
    assert estimate == yes / count
    np.testing.assert_allclose(ends, [expected.low, expected.high], rtol=1e-10, atol=1e-12)


def test_latch__gradient_is_that_of_backward():
    """One unit of gradsim whose inputs are the trained ones, then the noise."""
    units = _latch.Units.drawn([5], 1)
    units.w[:] = 1.7
    noise = np.random.default_rng(0).normal(size=(4, 2, 1))
    by_w, by_inputs = units.gradient(units.run(noise)[1])
    drive = np.concatenate([units.inputs[..., 0], noise]).transpose(1, 0, 2)  # (class, time, 1)
    model = gs.RNN(7, 1, input_width=1, sigma_u=1.0, initial_state="zeros")
    net = gs.network(model, 0, inputs=drive, targets=_latch.TARGETS[:, None])
    ones = [np.full_like(array, value) for array, value in zip(net.weights, [1.7])]
    net = net.with_parameters(np.array([ones[0].item(), 1.0, 0.0]))
    found = gs.backward(net)
    assert by_w.item() == pytest.approx(2 * found.weights[0].to_array().item(), rel=1e-12)
    # weights are of the mean over both classes, deltas of each class alone
    rows = np.array([delta.to_array().reshape(-1) for delta in found.deltas[: _latch.TRAINED]])
    np.testing.assert_allclose(by_inputs[..., 0, 0], rows, rtol=1e-10)


def test_latch__unit_without_noise_keeps_its_fixed_point_and_derivative():
    expected = {1.1: 0.8217558559, 1.25: 0.6191438724, 1.5: 0.3943130255, 2.0: 0.1663720878}
    found = latching.multiplier(np.array(list(expected)))
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-8)


def test_latch__same_network_in_any_set():
    some, alone = (_latch.Units.drawn(ids, 2) for ids in ([3, 8], [8]))
    rates = np.array([0.1, 0.3])
    _latch.train(some, [3, 8], 6, rates, 20)
    _latch.train(alone, [8], 6, rates, 20)
    np.testing.assert_array_equal(some.w[1:], alone.w)


def test_wall__gradient_is_autograd():
    def loss(p):
        x = wall.X0
        for _ in range(wall.TIMES):
            x = p[0] * jax.nn.sigmoid(x) + p[1]
        return (jax.nn.sigmoid(x) - wall.TARGET) ** 2

    points = np.array([[3.5, -1.5], [5.0, -2.4], [6.2, -3.4]])
    cost, gradient = wall.cost(points)
    value, expected = jax.vmap(jax.value_and_grad(loss))(jnp.asarray(points))
    np.testing.assert_allclose(cost, value, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["norm", "value"])
def test_wall__clips_as_the_library_does(method):
    rows = np.array([[3.0, 4.0], [0.1, -0.2], [0.6, -5.0]])
    expected = [clip.clip([row], wall.THRESHOLD, method).gradients[0] for row in rows]
    np.testing.assert_allclose(wall.clipped(rows, method), expected, rtol=1e-12)


def test_wall__undone_counts_steps_that_take_back_over_half():
    costs = np.array([8.0, 4.0, 5.9, 6.1, 2.0, 5.1, 2.0])  # progress 0, 4, 4, 4, 6, 6
    expected = [False, False, False, False, True, False]
    np.testing.assert_array_equal(wall.undone(costs), expected)
    np.testing.assert_array_equal(wall.undone(costs[:3] * [1, 1, 1.1]), [False, True])


@pytest.mark.parametrize("activation", clipping.ACTIVATIONS)
def test_clipping__ratio_across_lags_is_that_of_the_measurement(activation):
    none, by_norm, _ = clipping._ratios(activation, 1)
    model = clipping.BASE.with_fields(activation=activation)
    norm = gs.simulate(model, [1], inputs=1).log10_recurrent_grad_norm.isel(seed=0)
    last = clipping.TIMES
    expected = (norm.sel(step=last - clipping.LAG) - norm.sel(step=last)).item()
    assert none == pytest.approx(expected, abs=1e-9)
    assert by_norm == pytest.approx(expected, abs=1e-9)


def test_echo_state__a_delay_line_recovers_what_it_holds_and_nothing_else():
    inputs = np.random.default_rng(0).uniform(-1, 1, 1500)
    line = np.stack([np.roll(inputs, lag) for lag in range(5)], axis=1)
    shares = remedies_echo_state.recovered(line, inputs)
    np.testing.assert_allclose(shares[:5], 1.0, atol=1e-9)
    assert (shares[5:] < 0.03).all()

"""Statistics of single studies, each against a case whose answer is known."""

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr

import gradsim as gs
from gradsim.studies import _depth_scale, every_direction, order_chaos, shared_weights, which_gain
from gradsim.studies._training import train_on_digits


def test_share__is_1_for_equal_singular_values_and_1_over_n_for_one():
    n = 8
    logs = np.stack([np.zeros(n), np.where(np.arange(n) == 0, 150.0, -150.0)])
    np.testing.assert_allclose(every_direction.share(logs), [1, 1 / n])


def test_every_direction__has_chi_1_of_1():
    for activation, (sigma_b, sigma_w) in every_direction.POINTS.items():
        q = every_direction.settled(activation) * sigma_w**2 + sigma_b**2
        chi_1 = gs.theory.chi_1(activation, sigma_w, q)
        assert chi_1 == pytest.approx(1, abs=1e-8)
        assert gs.theory.q_map(activation, sigma_w, sigma_b, q) == pytest.approx(q, rel=1e-9)


def test_edge__is_where_the_rms_growth_crosses_zero():
    growth = np.array(order_chaos.SIGMA_W) - 1.27
    values = np.stack([growth, growth])
    assert order_chaos.edge(values) == pytest.approx(1.27)


@pytest.mark.parametrize("sigma_w", order_chaos.SCALES)
def test_scale__of_the_correlations_of_theory_is_that_expected(sigma_w):
    q = gs.theory.fixed_point("tanh", sigma_w, _depth_scale.BIAS)
    square = _depth_scale.BIAS**2
    c = _depth_scale.CORRELATION + (1 - _depth_scale.CORRELATION) * square / q
    layers = _depth_scale.layers(sigma_w)
    law: Any = gs.theory.correlation_profile("tanh", layers[1] + 1, sigma_w, _depth_scale.BIAS, c=c)
    z = law.signal_correlation.sel(layer=[layer + 1 for layer in layers]).values
    activations = (q * z - square) / (q - square)
    found = _depth_scale.scale(np.stack([activations, activations]), sigma_w)
    assert found == pytest.approx(_depth_scale.expected_scale(sigma_w), rel=1e-6)


def test_pair__has_its_correlation_and_is_at_the_fixed_point():
    x = _depth_scale.pair(1.0, 400)
    cosine = x[0] @ x[1] / np.linalg.norm(x[0]) / np.linalg.norm(x[1])
    assert cosine == pytest.approx(_depth_scale.CORRELATION)
    q = (x**2).mean(axis=1) + _depth_scale.BIAS**2
    np.testing.assert_allclose(q, gs.theory.fixed_point("tanh", 1.0, _depth_scale.BIAS))


def test_carried__of_one_large_network_is_everything():
    logs = np.array([0.0] * 19 + [200.0])
    assert which_gain.carried(logs) == pytest.approx(1)
    assert which_gain.carried(np.zeros(20)) == pytest.approx(1 / 20)


def test_train_on_digits__first_step_takes_the_share_of_the_loss():
    net = gs.MLP(3, 16, activation="tanh", output="softmax", loss="cross_entropy", sigma_b=0.1)
    ds, start = train_on_digits(
        net, 1, shares=(1e-4, 1e-3), steps=1, examples=10, mean_square=1.0, threads=1
    )
    taken = 1 - 10 ** (ds.log10_final_loss - start)
    xr.testing.assert_allclose(taken.isel(seed=0, drop=True), taken.share, rtol=0.02)
    assert not math.isnan(ds.rate[0])


def test_crossover__of_shared_scalars_is_where_their_window_is_too_narrow():
    """Ln |w| uniform: 90 % of T ln |w| lie within the window up to T = window / (0.9 width)."""
    times = np.array(shared_weights.TIMES)
    slope = np.linspace(0, 0.5, 2001)[:, None]  # decades a step
    exact = shared_weights.WINDOW / (shared_weights.MOST * 0.5)
    assert shared_weights.crossover(slope * times) == pytest.approx(exact, rel=0.15)  # interpolated
    assert shared_weights.crossover(0.01 * slope * times) == math.inf


def test_shares__of_networks_at_the_two_gains():
    logs = np.array([-10.0, -11.0, -9.0, -10.0])
    assert not shared_weights.kept(logs).any()
    assert shared_weights.kept(logs - logs.mean()).all()


def test_best__networks_are_those_of_the_window_that_most_are_in():
    logs = np.array([-9.0, 3.5, -2.0, 4.0, 0.0, -6.1])
    expected = [False, True, True, True, True, False]
    np.testing.assert_array_equal(shared_weights.best(logs), expected)

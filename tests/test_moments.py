"""Moments of growth and shares of networks, against exact laws and plain counts."""

import numpy as np
import pytest
from test_analysis import INF, NAN, profile

import gradsim as gs
from gradsim.analysis import exploded_share, growth_rate, moments, vanished_share


def test_exponent__of_log_normal_growth_is_exact():
    """ln r ~ N(m, s^2): ln E r^q / q = m + q s^2 / 2, here over a grid of quantiles."""
    from scipy.stats import norm

    mean, sd, span = -0.3, 0.05, 4
    steps = mean + sd * norm.ppf((np.arange(20000) + 0.5) / 20000)
    ds = profile(np.outer(steps, [span, 3, 2, 1, 0]))
    found = moments(ds, [-2, 0, 1, 2], window=(1, 5)).exponent.values
    expected = mean + np.array([-2, 0, 1, 2]) * span * sd**2 * np.log(10) / 2
    assert found == pytest.approx(expected, abs=2e-3)


def test_exponent__of_order_2_is_that_of_a_linear_network():
    """E ||delta^l||^2 / ||delta^L||^2 = sigma_w^2 per layer, exactly, for fixed delta^L."""
    model = gs.MLP(
        depth=6, width=30, activation="identity", sigma_w=1.2, loss="linear", output="identity"
    )
    ds = gs.simulate(model, 4000)
    found = moments(ds, 2, window=(1, 6))
    ratio = 100.0 ** (ds.log10_delta_norm.sel(layer=1) - ds.log10_delta_norm.sel(layer=6))
    error = ratio.std("seed").item() / np.sqrt(4000) / ratio.mean().item() / (2 * 5 * np.log(10))
    assert abs(found.exponent.item() - np.log10(1.2)) <= 4 * error
    assert 1 < found.effective_samples.item() < 4000


def test_moments__rise_with_the_order_and_meet_the_typical_growth_at_0():
    ds = gs.simulate(gs.MLP(depth=12, width=10), 200, vary={"sigma_w": [0.5, 2.0]})
    found = moments(ds, [-1, 0, 1, 4])
    assert (found.exponent.diff("q") > 0).all()
    assert (found.effective_samples.sel(q=0) == 200).all()
    assert (found.effective_samples.sel(q=4) < found.effective_samples.sel(q=1)).all()
    typical = growth_rate(ds).growth_typical
    np.testing.assert_allclose(found.exponent.sel(q=0), typical, rtol=1e-12)


def test_moments__of_exact_zeros_and_absent_layers():
    ds = profile([[-INF, -2.0, 0.0], [2.0, 1.0, 0.0]])
    found = moments(ds, [-1, 0, 1], window=(1, 3))
    assert found.exponent.values[:2].tolist() == [-INF, -INF]
    assert found.exponent.values[2] == pytest.approx(np.log10(100 / 2) / 2)
    assert found.effective_samples.values.tolist() == [0, 2, 1]
    dead = moments(profile([[-INF, 0.0, 0.0]]), 1, window=(1, 3))
    assert dead.exponent.item() == -INF
    assert dead.q.item() == 1
    absent = moments(profile([[NAN, NAN, 0.0]]), 1)
    assert np.isnan(absent.exponent)


@pytest.mark.parametrize("q", [np.nan, [], [[1.0]], np.inf])
def test_moments__refuse_other_orders(q):
    with pytest.raises(ValueError, match="q must be"):
        moments(profile([[1.0, 0.0, 0.0]]), q)


def test_shares__count_networks_layer_by_layer():
    ds = profile([[-INF, -3.5, 0.0, 1.0], [5.0, -1.0, 0.0, 1.0], [NAN, 6.0, 0.0, 1.0]])
    assert vanished_share(ds).values == pytest.approx([0.5, 1 / 3, 0, 0])
    assert exploded_share(ds).values == pytest.approx([0.5, 1 / 3, 0, 0])
    assert exploded_share(ds, above=2e4).values == pytest.approx([0, 1 / 3, 0, 0])
    assert vanished_share(profile([[NAN, 0.0]])).isnull().values.tolist() == [True, False]


@pytest.mark.parametrize("call", [
    lambda ds: vanished_share(ds, 2.0), lambda ds: exploded_share(ds, 0.5),
])  # fmt: skip
def test_shares__refuse_ratios_on_the_wrong_side(call):
    with pytest.raises(ValueError, match="must be a"):
        call(profile([[1.0, 0.0]]))

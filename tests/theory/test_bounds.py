"""Norm bounds, gradient correlation over depth, and what initialisers give."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.theory import (
    correlation_profile,
    effective_sigma_w,
    gaussian_norm_bound,
    initial_gains,
    mean_field,
    norm_bounds,
)


def test_norm_bounds__are_those_of_simulation():
    model = gs.MLP(width=(30, 80, 40, 60, 60, 20), activation="tanh", sigma_w=1.3, loss="linear",
                   output="identity")  # fmt: skip
    expected = norm_bounds(model)
    found = []
    for seed in range(8):
        norms = [np.log10(np.linalg.norm(w, 2)) for w in gs.network(model, seed).weights]
        found.append(np.append(np.cumsum(norms[:0:-1])[::-1], 0.0))
    spread = np.std(found, axis=0) / math.sqrt(8)
    # a finite matrix has a norm a little below the limit: at most 4 % at these widths
    gap = expected.log10_gamma_bound - np.mean(found, axis=0)
    assert (gap > -4 * spread - 1e-12).all()
    assert (gap < 0.018 * (5 - expected.layer) + 4 * spread + 1e-12).all()
    ds = gs.simulate(model, 50, progress=False)
    delta = ds.log10_delta_norm - ds.log10_delta_norm.sel(layer=5)
    assert (delta.max("seed") <= expected.log10_gamma_bound + 0.1).all()


def test_norm_bounds__exceed_the_typical_factor_by_a_known_one():
    """2 gamma / sqrt(E phi'^2) a layer (Bai and Yin 1993)."""
    for name in ("relu", "tanh", "sigmoid"):
        ds = norm_bounds(gs.MLP(depth=40, activation=name, sigma_w=1.4, sigma_b=0.3))
        limit = mean_field(gs.MLP(activation=name, sigma_w=1.4, sigma_b=0.3))
        each = math.log10(2 * 1.4 * ds.gamma.item() / math.sqrt(limit.chi_1.item()))
        step = ds.looseness.sel(layer=36) - ds.looseness.sel(layer=37)
        assert step.item() == pytest.approx(each, abs=1e-6)
    ds = norm_bounds(gs.MLP(depth=9, activation="identity", init="orthogonal", sigma_w=1.2))
    np.testing.assert_allclose(ds.looseness, 0, atol=1e-14)  # met with equality
    with pytest.raises(ValueError, match="norm_bounds is known for the cells"):
        norm_bounds(gs.MLP(cell="residual"))
    assert gaussian_norm_bound(1.9, 0.25)
    assert not gaussian_norm_bound(2.1, 0.25)
    with pytest.raises(ValueError, match="gamma must be a finite number > 0"):
        gaussian_norm_bound(1.0, 0.0)


def test_correlation_profile__is_that_of_two_inputs():
    """Gradients of orthogonal inputs through shared biases: c^1 = sigma_b^2 / q^1."""
    n, depth, sw, sb = 200, 6, 1.3, 0.4
    x = np.linalg.qr(np.random.default_rng(0).standard_normal((n, 2)))[0].T * math.sqrt(n)
    model = gs.MLP(depth=depth, width=n, sigma_w=sw, sigma_b=sb, loss="linear", output="identity")
    q = sw**2 + sb**2
    ds = correlation_profile("tanh", depth, sw, sb, c=sb**2 / q, q=q)
    found = []
    for seed in range(15):
        net = gs.network(model, seed, inputs=x)
        v = net.targets[0]
        pair = []
        for one in x:
            grads = gs.backward(gs.network(model, seed, inputs=one[None], targets=v)).deltas
            pair.append([d.to_array()[0] for d in grads])
        found.append([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*pair)])
    found = np.array(found)
    error = found.std(axis=0) / math.sqrt(15)
    assert (np.abs(found.mean(axis=0) - ds.delta_correlation) < 4 * error + 0.01).all()


def test_correlation_profile__keeps_small_differences():
    ds = correlation_profile("tanh", 10, 0.8, 0.3, c=1 - 1e-14)
    rate = ds.log10_signal_decorrelation.diff("layer")[-1].item()
    assert 10**rate == pytest.approx(mean_field(gs.MLP(sigma_w=0.8, sigma_b=0.3)).chi_1.item())
    with pytest.raises(ValueError, match=r"q must be given where q\* is 0"):
        correlation_profile("tanh", 3, 0.9)


def test_initial_gains__of_the_named_schemes():
    """Glorot and Bengio 2010, eqs. 1, 12, 16; He et al. 2015, eq. 10; LeCun et al. 1998."""
    ds = initial_gains(gs.MLP(activation="sigmoid", width=30))
    table = {
        "lecun_normal": 1, "glorot_uniform": 1, "he_normal": 2, "he_uniform": 2,
        "pytorch_linear": 1 / 3, "unscaled_normal": 30, "truncated_normal": 1,
    }  # fmt: skip
    for init, square in table.items():
        assert ds.sigma_w.sel(init=init).item() ** 2 == pytest.approx(square)
    assert ds.growth_rms.sel(init="glorot_normal").item() == pytest.approx(-0.62699169, abs=6e-9)
    assert ds.growth_rms.sel(init="he_uniform").item() == pytest.approx(-0.49788859, abs=6e-9)
    assert ds.chi_1.sel(init="critical").item() == pytest.approx(1)
    assert not ds.mean_field.sel(init="sparse").item()
    assert "does not hold for init='sparse'" in ds.reason.sel(init="sparse").item()
    assert np.isnan(ds.sigma_w.sel(init="random_walk"))
    assert effective_sigma_w(gs.MLP(init="unscaled_normal", sigma_w=2.0), 25) == 10.0

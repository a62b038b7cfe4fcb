"""Correlation maps and depth scales against tables, closed forms and independent quadrature."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.activations import activations
from gradsim.theory import c_map, c_star, chi_1, chi_c, fixed_point, mean_field, xi_c, xi_q
from gradsim.theory._gaussian import pair_mean
from gradsim.theory._pairs import pair_slopes, pair_values

# tanh: sb2, sw2, c*, xi_q, xi_c. Poole et al. 2016; Schoenholz et al. 2017, "Deep information
# propagation", eqs. for xi_q and xi_c, evaluated by 120 x 120 Gauss-Hermite quadrature
SCALES = [
    (0, 1.5, 0, 2.754, 52.36),
    (0, 2, 0, 1.686, 21.72),
    (0, 3, 0, 1.113, 10.93),
    (0, 4, 0, 0.904, 7.98),
    (0.05, 0.5, 1, 1.009, 1.191),
    (0.05, 1, 1, 1.748, 3.627),
    (0.05, 1.5, 1, 1.683, 15.79),
    (0.05, 1.7609546422, 1, 1.52, math.inf),
    (0.05, 2, 0.744082, 1.388, 25.21),
    (0.05, 2.5, 0.446804, 1.180, 11.80),
    (0.05, 3, 0.299318, 1.041, 9.05),
    (0.05, 4, 0.165065, 0.873, 6.98),
]


@pytest.mark.parametrize(("sb2", "sw2", "c", "of_q", "of_c"), SCALES)
def test_mean_field__has_the_table_of_depth_scales(sb2, sw2, c, of_q, of_c):
    ds = mean_field(gs.MLP(activation="tanh", sigma_w=math.sqrt(sw2), sigma_b=math.sqrt(sb2)))
    assert ds.c_star.item() == pytest.approx(c, abs=1e-6)
    assert ds.xi_q.item() == pytest.approx(of_q, abs=5e-4 if of_q != 1.52 else 5e-3)
    if of_c == math.inf:  # the edge is known to ten digits
        assert ds.xi_c.item() > 1e8
    else:
        assert ds.xi_c.item() == pytest.approx(of_c, rel=6e-4)


@pytest.mark.parametrize("eps", [1e-8, 1e-3, 0.3, 1.0, 1.6, 2.0])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "erf", "sine"])
def test_pair__closed_forms_agree_with_quadrature(name, eps):
    """Cho and Saul 2009 (arc-cosine kernels), Williams 1997 (erf)."""
    entry = activations[name]
    for q in (0.01, 1.0, 20.0):
        product, lost = pair_mean(lambda z: entry.value(z, 0.2), q, eps, entry.kinks)
        exact = pair_values(entry, q, eps, 0.2)
        assert product == pytest.approx(exact[0], abs=1e-12 * max(q, 1))
        assert lost == pytest.approx(exact[1], rel=1e-9, abs=1e-13)
        slopes = pair_mean(lambda z: entry.slope(z, 0.2), q, eps, entry.kinks)[0]
        assert slopes == pytest.approx(pair_slopes(entry, q, eps, 0.2), abs=1e-11)


@pytest.mark.parametrize("name", activations)
def test_pair__agrees_with_samples(name):
    entry, rng, n = activations[name], np.random.default_rng(3), 200_000
    z, w = rng.standard_normal((2, n))
    for q, c in ((1.3, 0.6), (4.0, -0.5)):
        u = math.sqrt(q) * np.array([z, c * z + math.sqrt(1 - c * c) * w])
        for f, exact in (
            (entry.value, pair_values(entry, q, 1 - c, 0.1)[0]),
            (entry.slope, pair_slopes(entry, q, 1 - c, 0.1)),
        ):
            sample = f(u[0], 0.1) * f(u[1], 0.1)
            assert abs(sample.mean() - exact) < 4 * sample.std() / math.sqrt(n) + 1e-12


@pytest.mark.parametrize("name", ["tanh", "gelu", "hard_tanh", "softsign", "elu"])
def test_chi_c__is_the_slope_of_the_correlation_map(name):
    sigma_w, sigma_b, step = 1.2, 0.9, 1e-4
    q = fixed_point(name, sigma_w, sigma_b)
    for c in (-0.4, 0.1, 0.7):
        ends = [c_map(name, sigma_w, sigma_b, c + s * step) for s in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(
            chi_c(name, sigma_w, c, q), rel=1e-5
        )
    assert chi_c(name, sigma_w, 1.0, q) == chi_1(name, sigma_w, q)


SETTLED = ("tanh", "sigmoid", "softsign", "hard_tanh", "erf", "sine", "arctan", "lecun_tanh")


@pytest.mark.parametrize("name", SETTLED)
def test_c_star__is_fixed_and_stable(name):
    sigma_b = 0.4
    q = fixed_point(name, 2.0, sigma_b)
    c = c_star(name, 2.0, sigma_b)
    assert c_map(name, 2.0, sigma_b, c) == pytest.approx(c, abs=1e-10)
    assert chi_c(name, 2.0, c, q) <= 1 + 1e-9
    assert (c < 1) == (chi_1(name, 2.0, q) > 1)


def test_c_star__has_limits_without_signal():
    assert c_star("tanh", 0.9, 0.0) == 1.0
    assert xi_c("tanh", 0.9, 0.0) == pytest.approx(-1 / math.log(0.81))
    assert math.isnan(c_star("identity", 0.9, 0.0))
    assert c_star("identity", 0.9, 0.1) == c_star("relu", 1.0, 0.0) == 1.0
    assert xi_c("relu", math.sqrt(2), 0.0) == math.inf
    assert xi_q("relu", 1.0, 0.5) == pytest.approx(1 / math.log(2))


def test_xi_q__is_the_rate_of_the_length_map():
    for name in ("gelu", "sigmoid", "hard_tanh", "sine", "arctan"):
        q = fixed_point(name, 1.2, 0.5)
        ends = [gs.theory.q_map(name, 1.2, 0.5, q * (1 + s)) for s in (1e-5, -1e-5)]
        slope = (ends[0] - ends[1]) / (2e-5 * q)
        assert xi_q(name, 1.2, 0.5) == pytest.approx(-1 / math.log(abs(slope)), rel=1e-6)


def test_c_map__refuses_what_is_no_correlation():
    with pytest.raises(ValueError, match=r"c must be in \[-1, 1\], got 1.5"):
        c_map("tanh", 1.0, 0.1, 1.5)
    with pytest.raises(ValueError, match=r"q must be given where q\* is inf"):
        c_map("relu", 2.0, 0.1, 0.5)

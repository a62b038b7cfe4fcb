"""Spectra of Jacobians against published numbers and samples."""

import math

import numpy as np
import pytest

from gradsim.activations import activations
from gradsim.theory import (
    edge_of_chaos,
    fixed_point,
    fuss_catalan_edge,
    fuss_catalan_moment,
    jacobian_moments,
    universal_edges,
)

HE = math.sqrt(2)

# Pennington, Schoenholz and Ganguli 2018, tables 1 and 2: mu_2 / mu_1^2 at q*
FLATNESS = {
    "identity": {1.0: 1.0},
    "relu": {1.0: 2.0},
    "hard_tanh": {0.2: 1.02600651, 0.5: 1.18666080, 1: 1.46479477, 2: 1.92123004},
    "tanh": {
        0.05: 1.01331982, 0.1: 1.03970912, 0.2: 1.10360044, 0.5: 1.29924413, 0.57004788: 1.34225608,
        1: 1.58347994, 2: 2.04052309,
    },
    # erf(sqrt(pi) x / 2) at q is erf at pi q / 4
    "erf": {
        math.pi / 4 * q: f for q, f in (
            (0.05, 1.00934410), (0.2, 1.08394815), (0.5, 1.26323451), (1, 1.53464066),
            (2, 1.97737720),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FLATNESS)
def test_jacobian_moments__have_the_table(name):
    for q, flatness in FLATNESS[name].items():
        for weights, s_1 in (("gaussian", -1), ("orthogonal", 0)):
            ds = jacobian_moments(name, 7, 1.3, q=q, weights=weights)
            assert ds.flatness.item() == pytest.approx(flatness, abs=6e-9)
            assert ds.variance.item() == pytest.approx(7 * (flatness - 1 - s_1), abs=5e-8)
            assert ds.m_2 / ds.m_1**2 == pytest.approx(1 + ds.variance.item())


def test_jacobian_moments__of_leaky_relu_and_sigmoid():
    for slope, f in ((0.1, 1.96078816), (0.2, 1.85207101)):
        ds = jacobian_moments("leaky_relu", 1, slope=slope)
        assert ds.flatness.item() == pytest.approx(f, abs=6e-9)
    q = fixed_point("sigmoid", edge_of_chaos("sigmoid"), 0.0)
    assert jacobian_moments("sigmoid", 1, q=q).flatness.item() == pytest.approx(4.44876, abs=6e-6)


# lambda_max of J J^T: depth, linear Gaussian, relu Gaussian, relu orthogonal; from the S-transforms
# of Pennington, Schoenholz and Ganguli 2017 and 2018
EDGES = [
    (1, 4, 5.828427, None), (2, 6.75, 11.090170, None), (3, 9.481481, 16.457757, 6.75),
    (5, 14.929920, 27.272773, 12.207031), (10, 28.531167, 54.410859, 25.811748),
    (20, 55.719252, 108.753915, 53.000687), (50, 137.270989, 271.837243, 134.552662),
    (100, 273.186197, 543.660896, None),
]  # fmt: skip


@pytest.mark.parametrize(("depth", "linear", "relu", "orthogonal"), EDGES)
def test_largest_square__has_the_table(depth, linear, relu, orthogonal):
    own = jacobian_moments("identity", depth).largest_square.item()
    assert own == pytest.approx(linear, abs=6e-7)
    assert fuss_catalan_edge(depth) ** 2 == pytest.approx(linear, abs=6e-7)
    own = jacobian_moments("relu", depth, HE).largest_square.item()
    assert own == pytest.approx(relu, abs=6e-7)
    if orthogonal:
        own = jacobian_moments("relu", depth, HE, weights="orthogonal").largest_square.item()
        assert own == pytest.approx(orthogonal, abs=6e-7)


@pytest.mark.parametrize(("name", "weights"), [("hard_tanh", "gaussian"), ("gelu", "orthogonal")])
def test_jacobian_moments__are_those_of_samples(name, weights):
    """Products of D W with independent slopes at variance q, extrapolated in 1/N."""
    depth, q, rng, entry = 3, 0.8, np.random.default_rng(2), activations[name]
    ds = jacobian_moments(name, depth, 1.2, q=q, weights=weights)
    found = {}
    for n, reps in ((40, 40), (80, 20)):
        squares = []
        for _ in range(reps):
            j = np.eye(n)
            for _ in range(depth):
                w = rng.standard_normal((n, n)) / math.sqrt(n)
                w = np.linalg.qr(w)[0] if weights == "orthogonal" else w
                slopes = entry.slope(math.sqrt(q) * rng.standard_normal(n), 0.0)
                j = slopes[:, None] * (1.2 * w @ j)
            squares.append(np.linalg.svd(j, compute_uv=False) ** 2)
        squares = np.array(squares)
        moments = [np.mean(squares**k, axis=1) for k in (1, 2)]
        found[n] = [(m.mean(), m.std() / math.sqrt(reps)) for m in moments]
        found[n].append((squares.max(axis=1).mean(), 0.0))
    for k, exact in enumerate((ds.m_1.item(), ds.m_2.item())):
        value = 2 * found[80][k][0] - found[40][k][0]
        error = math.hypot(2 * found[80][k][1], found[40][k][1])
        assert abs(value - exact) < 4 * error
        assert error < 0.25 * exact
    top = ds.largest_square.item()
    assert 0.6 * top < found[40][2][0] < found[80][2][0] * 1.1 < 1.2 * top


def test_fuss_catalan__moments_and_the_mean_singular_value():
    """Alexeev, Goetze and Tikhomirov 2010; Glorot and Bengio 2010 print 0.8 and 0.5 for the mean
    singular value of a layer's Jacobian, normalised and standard (sigma_w^2 = 1, 1/3)."""
    mean = fuss_catalan_moment(1, 0.5)
    assert mean == pytest.approx(0.84882636, abs=6e-9)
    assert mean * math.sqrt(1 / 3) == pytest.approx(0.49007013, abs=6e-9)
    rng = np.random.default_rng(3)
    w = rng.standard_normal((2, 400, 400)) / 20
    values = np.linalg.svd(w[0] @ w[1], compute_uv=False)
    assert np.mean(values**4) == pytest.approx(fuss_catalan_moment(2, 2), rel=0.1)
    limits = {1: 2, 2: 2.5981, 3: 3.0792, 5: 3.8639, 10: 5.3415, 20: 7.4645}
    for m, edge in limits.items():
        assert fuss_catalan_edge(m) == pytest.approx(edge, abs=6e-5)


def test_universal_edges__have_the_printed_numbers():
    """Pennington, Schoenholz and Ganguli 2018, eqs. 34 to 37: 1.56 and 0.57 at sigma_0 = 1/2."""
    low, high, bernoulli = universal_edges(0.5)
    assert (low, high) == pytest.approx((0.567, 1.557), abs=6e-4)
    assert bernoulli**2 == pytest.approx(math.e / 4)


def test_jacobian_moments__refuse_bad_arguments():
    with pytest.raises(ValueError, match=r"weights must be one of .*got 'haar'"):
        jacobian_moments("relu", 3, weights="haar")
    with pytest.raises(ValueError, match="depth must be an integer >= 1, got 0"):
        jacobian_moments("relu", 0)
    with pytest.raises(ValueError, match="factors must be >= 1, got 0"):
        fuss_catalan_edge(0)

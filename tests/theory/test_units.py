"""One unit, the minimalRNN and matrices with a structure: against mpmath, roots and samples."""

import math

import mpmath
import numpy as np
import pytest

from gradsim import theory
from gradsim.activations import activations


@pytest.mark.parametrize(
    "settings", [(1.0, 1.0, 0.0, 1.0), (2.0, 0.7, 3.0, 0.5), (6.0, 1.4, -2.0, 2.0)]
)
def test_minimal_rnn__solves_its_equations(settings):
    w, v, mu, r = settings
    ds = theory.minimal_rnn(*settings)
    size, q = ds.state_mean_square.item(), ds.q_star.item()
    assert q == pytest.approx(w * w * size + v * v * r, rel=1e-14)

    def mean(f):
        return mpmath.quad(
            lambda z: f(mpmath.sqrt(q) * z + mu) * mpmath.npdf(z), [-12, -4, 0, 4, 12]
        )

    def u(z):
        return 1 / (1 + mpmath.exp(-z))

    squares = (
        mean(lambda z: u(z) ** 2),
        mean(lambda z: u(-z) ** 2),
        mean(lambda z: (u(z) * u(-z)) ** 2),
    )
    assert size == pytest.approx(float(r * squares[1] / (1 - squares[0])), rel=1e-10)
    chi = squares[0] + w * w * (size + r) * squares[2]
    assert ds.chi_1.item() == pytest.approx(float(chi), rel=1e-10)
    assert ds.growth_rms.item() == pytest.approx(float(mpmath.log10(chi)) / 2, abs=1e-12)


def test_minimal_rnn__of_a_shut_gate_copies_its_state():
    ds = theory.minimal_rnn(1.0, 1.0, 60.0)
    assert ds.chi_1.item() == pytest.approx(1.0, abs=1e-12)
    assert 0 < ds.state_mean_square.item() < 1e-12  # what a gate of 1 admits of the input


@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_antisymmetric__is_the_growth_of_samples(damping):
    rng, n, eps = np.random.default_rng(0), 12, 0.2
    w = rng.standard_normal((4000, n, n)) / math.sqrt(n)
    jacobian = np.eye(n) + eps * (w - np.swapaxes(w, 1, 2) - damping * np.eye(n))
    square = np.sum(jacobian**2, (1, 2)) / n
    ds = theory.antisymmetric(eps, 1.0, damping, n)
    error = square.std() / math.sqrt(square.size)
    assert abs(square.mean() - ds.rms.item() ** 2) < 4 * error


def test_antisymmetric__edge_is_that_of_a_wide_matrix():
    n = 200
    w = np.random.default_rng(1).standard_normal((n, n)) / math.sqrt(n)
    modulus = np.hypot(1, 0.1 * np.linalg.eigvalsh(1j * (w - w.T)).max())
    ds = theory.antisymmetric(0.1)
    assert abs(modulus - ds.largest_modulus.item()) < 3 * n ** (-2 / 3) * 0.04
    still = theory.antisymmetric(0.1, 1.0, ds.neutral_damping.item())
    assert still.largest_modulus.item() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(
    ("activation", "weight"), [("sigmoid", 5.0), ("tanh", 1.3), ("softsign", 40.0)]
)
def test_saddle_nodes__bound_the_biases_with_two_attractors(activation, weight):
    ds, phi = theory.saddle_nodes(weight, activation), activations[activation].value
    low, high = sorted(ds.bias.values)

    def attractors(bias):
        ends = np.array([-60.0, 60.0])
        for _ in range(4_000):
            ends = weight * phi(ends, 0.0) + bias
        return abs(ends[1] - ends[0]) > 1e-3

    assert attractors(low + 1e-3)
    assert attractors(high - 1e-3)
    assert not attractors(low - 1e-3)
    assert not attractors(high + 1e-3)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "erf", "arctan", "softsign"])
def test_largest_factor__is_that_of_a_search(activation):
    ds, slope = theory.largest_factor(activation, 0.5), activations[activation].slope
    weights = np.linspace(0.01, 60, 200_001)
    found = weights * slope(weights * 0.5, 0.0)
    assert ds.factor.item() == pytest.approx(found.max(), rel=1e-6)
    assert ds.weight.item() == pytest.approx(weights[found.argmax()], abs=1e-3)
    if activation == "sigmoid":  # Hochreiter's condition
        assert ds.weight.item() == pytest.approx(2 / math.tanh(ds.net.item() / 2), rel=1e-12)


def test_shared_weight__has_the_derivatives_of_a_power():
    ds = theory.shared_weight(0.9, 7, 2.0)
    power = [mpmath.diff(lambda w: 2 * w**7, 0.9, k) for k in range(3)]
    found = [ds[name].item() for name in ("state", "gradient", "curvature")]
    np.testing.assert_allclose(found, [float(x) for x in power], rtol=1e-10)


@pytest.mark.parametrize("steps", [2, 3, 4, 6])
def test_tied_growth__is_that_of_samples(steps):
    n = 4
    w = np.random.default_rng(steps).standard_normal((200_000, n, n)) / 2
    square = np.sum(np.linalg.matrix_power(w, steps) ** 2, (1, 2)) / n
    expected = theory.tied_growth(n, steps)
    assert abs(square.mean() - expected) < 4 * square.std() / math.sqrt(square.size)
    assert expected > 1 == theory.tied_growth(n, 1)
    assert theory.tied_growth(10**6, steps, 0.5) == pytest.approx(0.25**steps, rel=1e-9)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: theory.minimal_rnn(-1.0), "sigma_w must be a finite number >= 0"),
    (lambda: theory.minimal_rnn(1.0, input_mean_square=0.0), "input_mean_square must be > 0"),
    (lambda: theory.antisymmetric(0.0), "step_size must be > 0"),
    (lambda: theory.antisymmetric(0.1, width=0), "width must be an integer >= 1"),
    (lambda: theory.saddle_nodes(4.0), "weight must be above 1 / gamma = 4"),
    (lambda: theory.saddle_nodes(5.0, "relu"), "activation must be one of"),
    (lambda: theory.largest_factor(unit_input=0.0), "unit_input must not be 0"),
    (lambda: theory.shared_weight(1.1, 0), "steps must be an integer >= 1"),
    (lambda: theory.tied_growth(10, 7), "steps must be at most 6"),
    (lambda: theory.complex_radius_mean(0), "width must be an integer >= 1"),
])  # fmt: skip
def test_units__refuse_by_name(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()

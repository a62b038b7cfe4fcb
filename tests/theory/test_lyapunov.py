"""Lyapunov spectra and spectra of Gaussian matrices, against published numbers and samples."""

import math

import numpy as np
import pytest

import gradsim as gs
from gradsim.theory import (
    complex_radius_probability,
    critical_linear_gain,
    lyapunov,
    mean_real_eigenvalues,
    symmetric_growth,
)

# Newman 1986: N, lambda_1, lambda_2, lambda_N, mean, variance of lambda_1, critical gain
NEWMAN = [
    (1, -0.6351814227, None, -0.63518142, -0.6351814227, 1.23370055, 1.88736452),
    (2, -0.2886078325, -0.98175501, None, -0.6351814227, 0.41123352, 1.33456825),
    (5, -0.1065670456, -0.24675320, -1.43990038, -0.5959748401, 0.12258944, 1.11245251),
    (10, -0.0516601220, -0.11028349, -1.78647397, -0.5647813313, 0.05533074, 1.05301778),
    (20, -0.0254162520, -0.05242361, -2.13304756, -0.5409355289, 0.02629158, 1.02574200),
    (50, -0.0100666560, -0.02037484, -2.59119293, -0.5209289285, 0.01020267, 1.01011750),
    (100, -0.0050166660, -0.01009268, -2.93776652, -0.5121930409, 0.00505033, 1.00502927),
]


@pytest.mark.parametrize(("n", "first", "second", "last", "mean", "variance", "gain"), NEWMAN)
def test_lyapunov__has_the_table(n, first, second, last, mean, variance, gain):
    ds = lyapunov(n)
    assert ds.lyapunov_exponent[0].item() == pytest.approx(first, abs=6e-11)
    if second is not None:
        assert ds.lyapunov_exponent[1].item() == pytest.approx(second, abs=6e-9)
    if last is not None:
        assert ds.lyapunov_exponent[-1].item() == pytest.approx(last, abs=6e-9)
    assert ds.mean_exponent.item() == pytest.approx(mean, abs=6e-11)
    assert ds.variance[0].item() == pytest.approx(variance, abs=6e-9)
    assert critical_linear_gain(n) == pytest.approx(gain, abs=6e-9)


def test_lyapunov__of_unit_entries():
    """Products of i.i.d. N(0, 1) 4 x 4 matrices (Newman 1986): sigma_w = sqrt(N)."""
    exponents = lyapunov(4, 2.0).lyapunov_exponent.values
    assert exponents == pytest.approx([0.557966, 0.364819, 0.057966, -0.635181], abs=6e-7)


def test_lyapunov__is_that_of_a_qr_recursion():
    n, steps, rng = 5, 3000, np.random.default_rng(0)
    q, logs = np.eye(n), np.zeros(n)
    for _ in range(steps):
        q, r = np.linalg.qr(rng.standard_normal((n, n)) / math.sqrt(n) @ q)
        logs += np.log(np.abs(np.diag(r)))
    ds = lyapunov(n)
    assert (np.abs(logs / steps - ds.lyapunov_exponent) < 4 * np.sqrt(ds.variance / steps)).all()


def test_lyapunov__of_one_matrix_is_its_circular_law():
    n, rng = 100, np.random.default_rng(1)
    moduli = np.abs(np.linalg.eigvals(1.5 * rng.standard_normal((n, n)) / math.sqrt(n)))
    found, ds = np.sort(np.log(moduli))[::-1], lyapunov(n, 1.5, tied=True)
    assert np.abs(found - ds.lyapunov_exponent.values)[: n // 2].mean() < 0.04
    assert ds.mean_exponent.item() == pytest.approx(lyapunov(n, 1.5).mean_exponent.item())
    assert ds.attrs["validity"].startswith("asymptotic")


def test_eigenvalues__of_gaussian_matrices():
    """Edelman, Kostlan and Shub 1994; Kostlan 1992."""
    for n, mean in ((2, 1.414214), (10, 2.927993), (20, 4.001147), (50, 6.099530)):
        assert mean_real_eigenvalues(n) == pytest.approx(mean, abs=6e-7)
    table = {1: 0.63212056, 10: 0.21913600, 20: 0.11673054, 50: 0.03361312, 100: 0.00828371}
    for n, p in table.items():
        assert complex_radius_probability(n, 1.0) == pytest.approx(p, abs=6e-9)


def test_lyapunov__refuses_bad_arguments():
    with pytest.raises(ValueError, match="width must be an integer >= 1, got 0"):
        lyapunov(0)
    with pytest.raises(ValueError, match="sigma_w must be a finite number > 0, got 0"):
        lyapunov(3, 0)
    with pytest.raises(ValueError, match="radius must be a finite number >= 0"):
        complex_radius_probability(3, -1)


def test_symmetric_growth__has_the_moments():
    """Moments of a symmetric Gaussian matrix; Catalan numbers at infinite width (Wigner 1955)."""
    printed = [1.05, 2.2625, 6.235125, 19.674431]
    for steps, value in enumerate(printed, start=1):
        assert symmetric_growth(20, steps) == pytest.approx(value, abs=6e-7)
    for n in (3, 50):
        polynomial = 14 + 93 / n + 374 / n**2 + 690 / n**3 + 509 / n**4
        assert symmetric_growth(n, 4, 0.9) == pytest.approx(0.9**8 * polynomial)
    assert symmetric_growth(10**6, 3) == pytest.approx(5, rel=1e-5)
    # one number of variance 2: E w^6 = 15 * 8
    assert symmetric_growth(1, 3) == pytest.approx(120)
    with pytest.raises(ValueError, match="steps must be at most 5"):
        symmetric_growth(3, 6)


def test_symmetric_growth__is_that_of_simulation():
    model = gs.RNN(steps=3, width=20, activation="identity", init="symmetric", loss="linear")
    states = gs.simulate(model, 3000, dtype="float32", progress=False).log10_state_grad_norm
    square = 10 ** (2 * (states - states[:, -1])).values
    for t in (1, 2):
        sample = square[:, 3 - t]
        assert abs(sample.mean() - symmetric_growth(20, t)) < 4 * sample.std() / math.sqrt(3000)

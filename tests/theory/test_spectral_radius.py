"""The exact law of the spectral radius of real Gaussian matrices."""

import math

import numpy as np
import pytest
from scipy.special import erf

from gradsim.theory import (
    complex_radius_probability,
    real_radius_probability,
    spectral_radius,
)


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_real_radius_probability__is_that_of_a_sample(n):
    size = 12_000
    matrices = np.random.default_rng(n).standard_normal((size, n, n)) / math.sqrt(n)
    radii = np.abs(np.linalg.eigvals(matrices)).max(axis=1)
    for radius in (0.7, 1.0, 1.3):
        p = real_radius_probability(n, radius)
        error = math.sqrt(p * (1 - p) / size)
        assert abs(np.mean(radii <= radius) - p) < 4 * error
    ds = spectral_radius(n, quantiles=[0.1, 0.8])
    error = radii.std() / math.sqrt(size)
    assert abs(radii.mean() - ds["mean"].item()) < 4 * error
    assert abs(np.log(radii).mean() - ds.mean_log.item()) < 4 * np.log(radii).std() / size**0.5
    square = (radii - radii.mean()) ** 2
    assert abs(square.mean() - ds.sd.item() ** 2) < 4 * square.std() / math.sqrt(size)


def test_real_radius_probability__of_one_number_and_of_two():
    assert real_radius_probability(1, 0.8) == pytest.approx(erf(0.8 / math.sqrt(2)), rel=1e-12)
    x, w = np.polynomial.legendre.leggauss(400)
    r = 1.1 * math.sqrt(2)
    # a pair x +- i y outside or inside; Edelman 1997: density 4 y e^(y^2 - x^2) erfc(sqrt(2) y)
    from scipy.special import erfcx

    angle, rho = np.pi * (1 + x) / 2, r * (1 + x) / 2
    y = np.outer(rho, np.sin(angle))
    density = 4 * y * erfcx(math.sqrt(2) * y) * (rho * np.exp(-(rho**2)))[:, None]
    pair = (w * r / 2) @ density @ (w * np.pi / 2) / (2 * math.sqrt(2 * math.pi))
    real = 2 * (math.sqrt(math.pi) * erf(r) - math.exp(-r * r / 2) * math.sqrt(2 * math.pi)
                * erf(r / math.sqrt(2))) / (2 * math.sqrt(2 * math.pi))  # fmt: skip
    assert real_radius_probability(2, 1.1) == pytest.approx(pair + real, rel=1e-10)


def test_spectral_radius__scales_inverts_and_tends_to_1():
    levels = [0.001, 0.3, 0.999]
    one, half = spectral_radius(7, 1.0, levels), spectral_radius(7, 0.5, levels)
    for name in ("mean", "sd", "radius_quantile"):
        np.testing.assert_allclose(half[name], one[name] / 2, rtol=1e-12)
    assert half.mean_log.item() == pytest.approx(one.mean_log.item() - math.log(2), rel=1e-12)
    assert half.stable_probability.item() == real_radius_probability(7, 2.0)
    found = [real_radius_probability(7, r) for r in one.radius_quantile.values]
    np.testing.assert_allclose(found, levels, atol=1e-9)
    assert one.attrs["validity"] == "exact"
    wide = spectral_radius(120, quantiles=())
    assert 1.04 < wide["mean"].item() < spectral_radius(60, quantiles=())["mean"].item()
    assert real_radius_probability(40, 1.0) > complex_radius_probability(40, 1.0)
    assert real_radius_probability(40, 0.0) == 0.0
    assert real_radius_probability(40, 9.0) == 1.0


def test_spectral_radius__refuses_by_name():
    with pytest.raises(ValueError, match=r"spectral_radius\(width=501\): width must be at most"):
        spectral_radius(501)
    with pytest.raises(TypeError, match="width must be an integer >= 1"):
        real_radius_probability(2.5, 1.0)
    with pytest.raises(ValueError, match="radius must be a finite number >= 0"):
        real_radius_probability(2, -1.0)
    with pytest.raises(ValueError, match="sigma_w must be > 0"):
        spectral_radius(2, 0.0)
    with pytest.raises(ValueError, match="quantiles must be numbers between 0 and 1"):
        spectral_radius(2, quantiles=[1.0])

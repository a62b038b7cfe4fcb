"""Published results on Gaussian matrices and their powers, simulated: rows of the table."""

import math
from functools import cache

import numpy as np

import gradsim as gs
from gradsim import theory

from .reference import Row, mean_of, quantile_of, share_of
from .reference_simulated import LN10
from .reference_simulated_recurrent import QUIET, surely

NETS = {10: 2500, 20: 1000, 50: 100, 100: 24}
LINEAR = {"activation": "identity", "loss": "linear"}


@cache
def spectra(n, init="gaussian"):
    model = gs.RNN(steps=1, width=n, activation="identity", init=init)
    return gs.simulate(model, NETS[n], measure="spectrum", **QUIET)


def radii(n):
    return spectra(n).spectral_radius.values


def leaky_radius(n, leak, gain):
    """Spectral radius of (1 - a) I + a g W."""
    real, imaginary = (spectra(n)[f"eigenvalue_{part}"].values * leak * gain
                       for part in ("real", "imag"))  # fmt: skip
    return np.hypot(1 - leak + real, imaginary).max(axis=1)


def radius_row(n, name, printed, error, simulated, computed):
    return Row(f"Ginibre, N = {n}: {name}", printed, computed, simulated, error=error)


def radius_rows(n, mean, share, errors):
    def law(name):
        return theory.spectral_radius(n, quantiles=())[name].item()

    return [
        radius_row(n, "E rho", mean, errors[0], lambda: mean_of(radii(n)), lambda: law("mean")),
        radius_row(n, "P(rho < 1)", share, errors[1], lambda: share_of(radii(n) < 1),
                   lambda: law("stable_probability")),
    ]  # fmt: skip


def quantile_row(n, level, printed, error):
    def exact():
        return theory.spectral_radius(n, quantiles=[level]).radius_quantile[0].item()

    return radius_row(n, f"{100 * level:g}% of rho", printed, error,
                      lambda: quantile_of(radii(n), level), exact)  # fmt: skip


@cache
def aligned(n):
    """Squared cosine (network, step) of the states with the leading eigenvector."""
    nets = {10: 1000, 50: 100, 100: 20}[n]
    model = gs.RNN(steps=100, width=n, activation="identity", init="symmetric")
    return gs.simulate(model, nets, measure="spectrum", **QUIET).top_alignment


@cache
def powers(n, tied=True):
    """log10 ||W_T ... W_1||_2 (network, T), T = 1, 2, ..."""
    steps, nets = (9, {20: 400, 50: 60}[n]) if tied else (101, {10: 150, 50: 8}[n])
    model = gs.RNN(steps=steps, width=n, tied=tied, **LINEAR)
    ds = gs.simulate(model, nets, measure="jacobian", **QUIET)
    products = ds.log10_singular_value.isel(index=0).transpose("seed", ...).values
    return products[:, -2::-1]  # the last is that of no factor


def norm_of_power(n, t):
    return mean_of(10 ** powers(n)[:, t - 1])


def largest_power(n):
    """Largest norm over t of (0.9 W)^t."""
    log10 = powers(n) + math.log10(0.9) * np.arange(1, powers(n).shape[1] + 1)
    return quantile_of(10 ** log10.max(axis=1), 0.5)


@cache
def symmetric_growth():
    """||W^t v||^2 / ||v||^2 (network, t - 1) of symmetric matrices of 20 rows."""
    model = gs.RNN(steps=5, width=20, init="symmetric", **LINEAR)
    norm = gs.simulate(model, 4000, **QUIET).log10_state_grad_norm
    return 10 ** (2 * (norm - norm[:, -1])).values[:, ::-1]


def orthogonal(t):
    model = gs.RNN(steps=100, width=8, init="orthogonal", sigma_w=0.9, **LINEAR)
    norm = gs.simulate(model, 1, **QUIET).log10_state_grad_norm.values[0]
    return surely(10 ** (norm[100 - t] - norm[100]))


def omega(steps):
    """Regulariser of Pascanu et al. 2013, eq. 9: squared relative changes of norm, summed."""
    model = gs.RNN(steps=steps, width=8, init="orthogonal", sigma_w=0.9, **LINEAR)
    norm = gs.simulate(model, 1, **QUIET).log10_state_grad_norm.values[0]
    return surely(np.sum((10 ** -np.diff(norm) - 1) ** 2))


@cache
def euler_radius():
    model = gs.RNN(steps=1, width=100, activation="identity", init="euler_step")
    return gs.simulate(model, 24, measure="spectrum", **QUIET).spectral_radius.values


ROWS = [
    *radius_rows(10, "1.06441", "0.37899", (0.00052, 0.00153)),
    *radius_rows(20, "1.06788", "0.2765", (0.00044, 0.0018)),
    *radius_rows(50, "1.05966", "0.1543", (0.00056, 0.0033)),
    *(quantile_row(20, level, printed, 0.002)
      for level, printed in ((0.05, "0.9151"), (0.5, "1.05579"), (0.95, "1.2624"))),
    *(Row(f"leaky unit, N = {n}, a = {a}, g = {g}: E radius", printed, None,
          lambda n=n, a=a, g=g: mean_of(leaky_radius(n, a, g)), error=error)
      for n, a, g, printed, error in (
          (20, 0.5, 1, "0.96527", 0.00168), (20, 0.1, 1, "0.99195", 0.00034),
          (20, 0.1, 2, "1.08384", 0.00068), (50, 0.5, 1, "0.98713", 0.00150),
          (50, 0.1, 1, "0.99624", 0.00034), (50, 0.1, 2, "1.09170", 0.00062),
          (100, 0.5, 1, "0.99272", 0.00171), (100, 0.1, 1, "0.99804", 0.00037),
          (100, 0.1, 2, "1.09572", 0.00072))),
    Row("leaky unit, N = 20, a = 0.5, g = 1: P(radius < 1)", "0.702", None,
        lambda: share_of(leaky_radius(20, 0.5, 1) < 1), error=0.02),
    *(Row(f"Ginibre, N = {n}: E norm", printed, None,
          lambda n=n: mean_of(spectra(n).spectral_norm.values), error=error)
      for n, printed, error in ((10, "1.779", 0.005), (50, "1.931", 0.002), (100, "1.960", 0.002))),
    *(Row(f"Pascanu et al. 2013, N = {n}, g = 0.5: P(norm < 1)", printed, None,
          lambda n=n: share_of(spectra(n).spectral_norm.values < 2), error=0.01)
      for n, printed in ((10, "0.90"), (50, "0.88"), (100, "0.87"))),
    *(Row(f"Ginibre, N = {n}: E norm of W^{t}", printed, None, lambda n=n, t=t: norm_of_power(n, t),
          error=error)
      for n, t, printed, error in (
          (20, 1, "1.873", 0.003), (20, 2, "2.315", 0.008), (20, 3, "2.638", 0.016),
          (20, 5, "3.210", 0.040), (50, 1, "1.929", 0.002), (50, 2, "2.435", 0.006),
          (50, 3, "2.817", 0.011), (50, 5, "3.414", 0.024))),
    *(Row(f"Ginibre, N = {n}, g = 0.9: median of the largest norm of W^t", printed, None,
          lambda n=n: largest_power(n), error=0.02)
      for n, printed in ((20, "2.02"), (50, "2.12"))),
    *(Row(f"untied linear, N = {n}: E ln norm(P_T) / T, T = {t}", printed, None,
          lambda n=n, t=t: mean_of(LN10 * powers(n, False)[:, t - 1] / t), error=error)
      for n, t, printed, error in (
          (10, 10, "0.0829", 0.0025), (10, 50, "-0.0177", 0.0014), (10, 100, "-0.0341", 0.0010),
          (50, 10, "0.1457", 0.0016), (50, 100, "0.0119", 0.0006))),
    *(Row(f"symmetric, N = 20: E norm(W^{t} v)^2", printed,
          lambda t=t: theory.symmetric_growth(20, t),
          lambda t=t: mean_of(symmetric_growth()[:, t]))
      for t, printed in ((1, "1.05"), (2, "2.2625"), (3, "6.235125"), (4, "19.674431"))),
    *(Row(f"symmetric, N = {n}: alignment after {t} steps", printed, None,
          lambda n=n, t=t: mean_of(aligned(n).sel(state_step=t).values), error=error)
      for n, t, printed, error in (
          (10, 1, "0.265", 0.006), (10, 5, "0.612", 0.008), (10, 10, "0.769", 0.007),
          (10, 20, "0.874", 0.006), (10, 50, "0.950", 0.004), (10, 100, "0.974", 0.003),
          (50, 1, "0.069", 0.003), (50, 5, "0.267", 0.008), (50, 10, "0.444", 0.010),
          (50, 20, "0.645", 0.011), (50, 50, "0.839", 0.009), (50, 100, "0.923", 0.006),
          (100, 1, "0.039", 0.003), (100, 5, "0.178", 0.009), (100, 10, "0.326", 0.014),
          (100, 20, "0.510", 0.017), (100, 50, "0.749", 0.016), (100, 100, "0.869", 0.013))),
    *(Row(f"orthogonal matrix, g = 0.9, T = {t}", printed, lambda t=t: 0.9**t,
          lambda t=t: orthogonal(t))
      for t, printed in ((10, ".348678"), (20, ".121577"), (50, "5.15378e-3"),
                         (100, "2.65614e-5"))),
    Row("Pascanu et al. 2013, eq. 9, orthogonal, g = 0.9, T = 10", "0.1", lambda: 10 * 0.1**2,
        lambda: omega(10)),
    Row("Chang et al. 2019, eps = 0.1, N = 100: E largest modulus", "1.03579", None,
        lambda: mean_of(euler_radius()), error=0.00018),
    *(Row(f"Ginibre, N = {n}: E ln abs(det W) / N", printed,
          lambda n=n: theory.lyapunov(n, tied=True).mean_exponent.item(),
          lambda n=n: mean_of(np.log(np.hypot(spectra(n).eigenvalue_real.values,
                                              spectra(n).eigenvalue_imag.values)).mean(axis=1)))
      for n, printed in ((10, "-0.5647813313"), (20, "-0.5409355289"),
                         (50, "-0.5209289285"), (100, "-0.5121930409"))),
    *(Row(f"Edelman et al. 1994, N = {n}: real eigenvalues", printed,
          lambda n=n: theory.mean_real_eigenvalues(n),
          lambda n=n: mean_of((spectra(n).eigenvalue_imag.values == 0).sum(axis=1)))
      for n, printed in ((10, "2.927993"), (20, "4.001147"), (50, "6.099530"))),
]  # fmt: skip

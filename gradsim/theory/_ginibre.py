"""Eigenvalues of real Gaussian matrices outside a disc: products of skew-orthogonal polynomials.

C. D. Sinclair, IMRN 2007 (the Pfaffian); P. J. Forrester and T. Nagao, Phys. Rev. Lett. 99, 050603
(2007): p_2j = z^(2 j), p_(2j+1) = z^(2 j + 1) - 2 j z^(2 j - 1), of norm 2 sqrt(2 pi) (2 j)!.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TAIL = 6.0  # beyond sqrt(N) + _TAIL, for unit entries, complex eigenvalues have P < 1e-30


def inside(width: int, r: float) -> float:
    """P(no eigenvalue outside |z| = r) for unit entries."""
    from scipy.special import gammainc, gammaln  # slow to import

    if r == 0:
        return 0.0
    half = (width + 1) // 2
    size = gammaln(2 * np.arange(half) + 1) / 2  # log norms of the polynomials
    kept = np.eye(half) - _real_outside(size, r) - _complex_outside(width, size, r)
    if width % 2:  # an odd number of rows: the last column has the averages over the real line
        j = np.arange(half)
        scale = (j + 0.5) * math.log(2) + gammaln(j + 0.5) - size
        kept[:, -1] = np.exp(scale - scale[-1]) * gammainc(j + 0.5, r * r / 2)
    return min(max(float(np.linalg.det(kept)), 0.0), 1.0)


def _real_outside(size: Array, r: float) -> Array:
    """Products (even, odd) of pairs of real eigenvalues of which one is outside, closed."""
    from scipy.special import gammainc, gammaincc, gammaln  # slow to import

    k = np.arange(size.size)
    j = k[:, None] + 0.5
    both = np.exp(gammaln(j + k) - size[:, None] - size) * gammaincc(j + k, r * r)
    even = np.exp(j * math.log(2) + gammaln(j) - size[:, None]) * gammainc(j, r * r / 2)
    return (both + even * np.exp(2 * k * math.log(r) - r * r / 2 - size)) / math.sqrt(2 * math.pi)


def _complex_outside(width: int, size: Array, r: float) -> Array:
    """Products (even, odd) of pairs of conjugate eigenvalues outside."""
    end, half = math.sqrt(width) + _TAIL, size.size
    if r >= end:
        return np.zeros((half, half))
    rho, weight = panels(np.linspace(r, end, math.ceil((end - r) / 1.5) + 1))
    angular = np.lib.stride_tricks.sliding_window_view(_angular(width, rho), half, axis=1)
    here, lower = angular[:, half:0:-1], angular[:, half - 1 :: -1]  # (radius, j, k): of k - j
    k = np.arange(half)
    total = np.zeros((half, half))
    radial = np.exp(2 * k * np.log(rho)[:, None] - rho[:, None] ** 2 / 2 - size)
    for i, (x, w, u) in enumerate(zip(rho, weight, radial)):
        both = w * x * x * u
        total += both[:, None] * (here[i] * u - lower[i] * (2 * k / x**2 * u))
    return 2 / math.sqrt(2 * math.pi) * total


def _angular(width: int, rho: Array) -> Array:
    """Integrals (radius, d) of sin((2 d + 1) t) erfcx(sqrt(2) rho sin t), d = -half..half."""
    from scipy.special import erfcx  # slow to import

    sines, waves = _waves(width)
    return erfcx(math.sqrt(2) * np.outer(rho, sines)) @ waves


@lru_cache(maxsize=4)
def _waves(width: int) -> tuple[Array, Array]:
    """Nodes sin t (node,) and weighted sin((2 d + 1) t) (node, d)."""
    half = (width + 1) // 2
    x, w = _legendre(width + 150)
    t = (1 + x) * math.pi / 4  # the half from 0 to pi/2; the other is its mirror image
    d = np.arange(-half, half + 1)
    return np.sin(t), np.sin(np.outer(t, 2 * d + 1)) * (w * math.pi / 2)[:, None]


def panels(edges: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights (node,) between edges."""
    x, w = _legendre(12)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


@lru_cache(maxsize=16)
def _legendre(nodes: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(nodes)

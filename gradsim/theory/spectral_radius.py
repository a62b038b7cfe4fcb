"""Largest modulus of the eigenvalues of one Gaussian matrix, real or complex."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import real, whole
from gradsim.theory._ginibre import inside, panels
from gradsim.theory._labelled import labelled

MOST_WIDTH = 500  # the cost of one probability grows as the third power
_PANELS = np.arange(-3.0, 7.0)  # about sqrt(N), in units of the entries: where the law lies


def spectral_radius(
    width: int, sigma_w: float = 1.0, quantiles: Sequence[float] = (0.05, 0.5, 0.95)
) -> xr.Dataset:
    """Law of the spectral radius of W with W_ij ~ N(0, sigma_w^2 / width). Exact.

    A linear recurrent network, and a vector autoregression x_t = A x_(t-1) + noise, is stable where
    the radius is below 1. At sigma_w = 1 the radius tends to 1 from above, and slowly: the mean is
    1.068 at N = 20 and 1.042 at N = 200.

    Parameters
    ----------
    width
        Rows N, an integer from 1 to 500.
    sigma_w
        Standard deviation of a weight times sqrt(width), > 0.
    quantiles
        Levels between 0 and 1; empty for none.

    Returns
    -------
    xarray.Dataset
        Float64: scalars `mean`, `sd`, `mean_log` = E ln rho, `stable_probability` = P(rho < 1); dim
        `quantile`: `radius_quantile`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    As in :func:`real_radius_probability`.

    Examples
    --------
    >>> ds = spectral_radius(20)
    >>> round(ds["mean"].item(), 4), round(ds.stable_probability.item(), 4)
    (1.068, 0.2748)
    """
    from scipy.optimize import brentq  # slow to import

    width = _width("spectral_radius", width)
    if real("spectral_radius", "sigma_w", sigma_w) == 0:
        raise ValueError("spectral_radius(sigma_w=0): sigma_w must be > 0")
    levels = np.asarray(quantiles, np.float64)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"quantiles must be numbers between 0 and 1, got {brief(quantiles)}")
    root = math.sqrt(width)
    edges = np.unique(np.maximum(root + _PANELS, 0.0))
    x, weight = panels(edges)
    below = np.array([inside(width, r) for r in x])
    size, beyond = x / root, 1 - below
    # E f(rho) = f(lowest) + integral of f' (1 - P); for the log the lowest end is 1
    mean = (edges[0] + weight @ beyond) / root
    square = edges[0] ** 2 / width + 2 * (weight / root) @ (size * beyond)
    log = (weight / x) @ np.where(x > root, beyond, -below)
    near = np.searchsorted(np.maximum.accumulate(below), levels)  # each lies between two nodes
    ends = np.concatenate((edges[:1], x, edges[-1:]))
    found = [
        brentq(lambda r, p=p: inside(width, r) - p, ends[i], ends[i + 1], xtol=1e-11)
        for p, i in zip(levels, near)
    ]
    spread = sigma_w * math.sqrt(square - mean * mean)
    values = {
        "mean": (sigma_w * mean, "mean of the spectral radius", "E rho"),
        "sd": (spread, "standard deviation of the spectral radius", "sd rho"),
        "mean_log": (math.log(sigma_w) + log, "mean log of the spectral radius", "E ln rho"),
        "stable_probability": (inside(width, root / sigma_w),
                               "probability of a spectral radius below 1", "P(rho < 1)"),
        "radius_quantile": (sigma_w * np.array(found) / root, "quantile of the spectral radius",
                            "rho_p", "quantile"),
    }  # fmt: skip
    return labelled("Spectral radius", "exact", values, {"quantile": levels})


def real_radius_probability(width: int, radius: float) -> float:
    """P(largest modulus of the eigenvalues <= radius) for real N(0, 1/N) entries. Exact.

    The eigenvalues are a Pfaffian point process, so that the probability that none lies outside a
    disc is a ratio of Pfaffians of skew products <p_j, p_k> inside and over the whole plane. In the
    skew-orthogonal polynomials z^(2 j) and z^(2 j + 1) - 2 j z^(2 j - 1) the latter is 1, and the
    former det(1 - M) with M the products outside, here by quadrature.

    Parameters
    ----------
    width
        Rows N, an integer from 1 to 500.
    radius
        A number >= 0.

    Returns
    -------
    float
        The probability, with an absolute error below 1e-12.

    Raises
    ------
    TypeError, ValueError
        If `width` or `radius` is out of range.

    References
    ----------
    A. Edelman, J. Multivariate Anal. 60, 203 (1997) (the joint density); C. D. Sinclair,
    "Averages over Ginibre's ensemble of random real matrices", IMRN 2007 (the Pfaffian); P. J.
    Forrester and T. Nagao, Phys. Rev. Lett. 99, 050603 (2007) (the polynomials); B. Rider and C. D.
    Sinclair, Ann. Appl. Probab. 24, 1621 (2014) (the limit of large N).

    Examples
    --------
    >>> round(real_radius_probability(1, 1.0), 8)
    0.68268949
    """
    width = _width("real_radius_probability", width)
    radius = real("real_radius_probability", "radius", radius)
    return inside(width, radius * math.sqrt(width))


def complex_radius_probability(width: int, radius: float) -> float:
    """P(largest modulus of the eigenvalues <= radius) for complex entries of variance 1/N. Exact.

    For real matrices see :func:`real_radius_probability`: theirs is somewhat closer to 1 (at N = 20
    their mean is 1.068, here 1.088), and both tend to 1.

    Parameters
    ----------
    width
        Rows N, an integer >= 1.
    radius
        A number >= 0.

    Returns
    -------
    float
        prod_{k=1..N} P(k, N radius^2), P the regularised incomplete gamma function.

    Raises
    ------
    TypeError, ValueError
        If `width` or `radius` is out of range.

    References
    ----------
    E. Kostlan, "On the spectra of Gaussian matrices", Linear Algebra Appl. 162, 385 (1992).

    Examples
    --------
    >>> round(complex_radius_probability(1, 1.0), 8)
    0.63212056
    """
    from scipy.special import gammainc  # slow to import

    width = whole("complex_radius_probability", "width", width)
    radius = real("complex_radius_probability", "radius", radius)
    return float(np.prod(gammainc(np.arange(1, width + 1), width * radius * radius)))


def complex_radius_mean(width: int) -> float:
    """Mean of the largest modulus of the eigenvalues, for complex entries of variance 1/N. Exact.

    Parameters
    ----------
    width
        Rows N, an integer >= 1.

    Returns
    -------
    float
        Integral of 1 - P(radius <= x) over x, see :func:`complex_radius_probability`.

    Raises
    ------
    TypeError, ValueError
        If `width` is out of range.

    References
    ----------
    E. Kostlan, "On the spectra of Gaussian matrices", Linear Algebra Appl. 162, 385 (1992).

    Examples
    --------
    >>> round(complex_radius_mean(20), 6)
    1.087744
    """
    from scipy.integrate import quad  # slow to import

    width = whole("complex_radius_mean", "width", width)
    edge = 1 + 8 / math.sqrt(width)  # P beyond is below 1e-20
    parts = np.linspace(0.0, edge, 41)

    def beyond(x: float) -> float:
        return 1.0 - float(complex_radius_probability(width, x))

    return sum(quad(beyond, a, b, epsabs=1e-13)[0] for a, b in pairwise(parts))


def _width(where: str, width: int) -> int:
    width = whole(where, "width", width)
    if width > MOST_WIDTH:
        raise ValueError(f"{where}(width={width}): width must be at most {MOST_WIDTH}")
    return width

"""Singular values of the input-output Jacobian of a wide network, and of matrix products."""

import math
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import unknown
from gradsim.activations import activations
from gradsim.kernels.activations import Activation
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory._moments import slope_square
from gradsim.theory.length_map import check_finite, check_variance

_WEIGHTS = ("gaussian", "orthogonal")
# name: (long_name, formula)
_VARIABLES = {
    "m_1": ("mean squared singular value", "(sigma_w^2 mu_1)^L"),
    "m_2": ("mean fourth power of a singular value", "m_1^2 (L (mu_2 / mu_1^2 - 1 - s_1) + 1)"),
    "variance": ("variance of the squared singular values at m_1 = 1", "m_2 / m_1^2 - 1"),
    "flatness": ("mu_2 / mu_1^2", "E phi'^4 / (E phi'^2)^2"),
    "largest_square": ("square of the largest singular value", "edge of the spectrum of J J^T"),
}


def jacobian_moments(
    activation: str,
    depth: int,
    sigma_w: float = 1.0,
    *,
    q: float = 1.0,
    weights: str = "gaussian",
    slope: float = 0.01,
) -> xr.Dataset:
    """Moments and edge of the squared singular values of J = D_L W_L ... D_1 W_1.

    Asymptotic (infinite width at fixed depth). The first moment is exact at any width for
    homogeneous activations; the largest value approaches its edge from below as N^(-2/3).

    Parameters
    ----------
    activation, slope
        As in :func:`q_map`.
    depth
        Number of factors L, an integer >= 1; the slopes D of every layer count.
    sigma_w
        Standard deviation of a weight times sqrt(fan_in), or the scale of orthogonal matrices.
    q
        Mean square of the pre-activations of every layer, a number >= 0.
    weights
        "gaussian" (s_1 = -1) or "orthogonal" (s_1 = 0).

    Returns
    -------
    xarray.Dataset
        Scalars `m_1`, `m_2`, `variance` (of the squared singular values, over m_1^2), `flatness`
        and `largest_square`.

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range.

    References
    ----------
    J. Pennington, S. S. Schoenholz and S. Ganguli, "The emergence of spectral universality in deep
    networks", AISTATS 2018, eqs. 21 and 22 (moments) and section 4 (S-transforms); the same,
    "Resurrecting the sigmoid in deep learning through dynamical isometry", NeurIPS 2017.

    Examples
    --------
    >>> ds = jacobian_moments("identity", 2)
    >>> ds.variance.item(), round(ds.largest_square.item(), 6)
    (2.0, 6.75)
    """
    if weights not in _WEIGHTS:
        raise unknown("jacobian_moments: weights", weights, list(_WEIGHTS))
    if depth < 1 or depth != int(depth):
        raise ValueError(f"depth must be an integer >= 1, got {depth!r}")
    entry = activations[activation]
    check_finite(sigma_w=sigma_w, q=q)
    check_variance(q)
    steep = slope_square(entry, q, slope)
    fourth = _slope_mean(entry, q, slope, lambda s: s**4)
    flatness = fourth / steep**2
    spread = depth * (flatness - 1 + (weights == "gaussian"))
    first = (sigma_w * sigma_w * steep) ** depth
    edge = sigma_w ** (2 * depth) * _edge(entry, q, slope, depth, weights == "gaussian")
    values = {
        "m_1": first,
        "m_2": first * first * (spread + 1),
        "variance": spread,
        "flatness": flatness,
        "largest_square": edge,
    }
    data = {
        name: ((), value, dict(zip(("long_name", "formula"), _VARIABLES[name])) | {"units": "1"})
        for name, value in values.items()
    }
    return xr.Dataset(data, attrs={"title": "Jacobian", "validity": "asymptotic (infinite width)"})


def _slope_mean(entry: Activation, q: float, slope: float, f: Any) -> float:
    """E f(phi'(sqrt(q) Z))."""
    if entry.homogeneous or q == 0:
        return float(np.mean(f(np.array(entry.slopes_at_zero(slope)))))
    return gaussian_mean(lambda z: f(entry.slope(z, slope)), q, entry.kinks)


def _edge(entry: Activation, q: float, slope: float, depth: int, gaussian: bool) -> float:
    """Right edge of the spectrum of J J^T at sigma_w = 1.

    With zeta outside the spectrum of D^2, z = E phi'^2 / (zeta - phi'^2) is its moment generating
    function and S(z) = (1 + z) / (z zeta) its S-transform; those of the factors multiply, and x =
    (1 + z) / (z S_J(z)) has its minimum at the edge.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    top = _largest_slope(entry, q, slope) ** 2

    def log_x(u: float) -> float:
        zeta = top * (1 + math.exp(u))
        z = _slope_mean(entry, q, slope, lambda s: s * s / (zeta - s * s))
        factor = math.log(z * zeta) - (0.0 if gaussian else math.log1p(z))
        return math.log1p(z) - math.log(z) + depth * factor

    grid = np.linspace(-30, 12, 85)
    values = [log_x(u) for u in grid]
    k = int(np.argmin(values))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, grid.size - 1)]
    found: Any = minimize_scalar(
        log_x, bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    )
    return math.exp(min(float(found.fun), values[k]))


def _largest_slope(entry: Activation, q: float, slope: float) -> float:
    """Sup |phi'| over the pre-activations that occur: any, but 0 alone at q = 0."""
    if q == 0:
        return max(abs(s) for s in entry.slopes_at_zero(slope))
    return entry.gamma(slope)


def fuss_catalan_moment(factors: int, power: float) -> float:
    """Mean of s^(2 power) over the singular values of a product of square Gaussian matrices.

    Asymptotic (infinite width); entries of variance 1/N, independent factors or powers of one.

    Parameters
    ----------
    factors
        Number of factors m, at least 1.
    power
        p >= 0, whole or not: p = 1/2 with one factor is the mean singular value, 8 / (3 pi).

    Returns
    -------
    float
        C(m p + p, p) / (m p + 1).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    N. Alexeev, F. Goetze and A. Tikhomirov, "Asymptotic distribution of singular values of powers
    of random matrices", Lithuanian Math. J. 50, 121 (2010).

    Examples
    --------
    >>> fuss_catalan_moment(1, 2), fuss_catalan_moment(2, 2)
    (2.0, 3.0)
    """
    from scipy.special import binom  # slow to import

    if factors < 1 or power < 0:
        raise ValueError(f"factors must be >= 1 and power >= 0, got {factors!r} and {power!r}")
    return float(binom(factors * power + power, power) / (factors * power + 1))


def fuss_catalan_edge(factors: int) -> float:
    """Largest singular value of a product of square Gaussian matrices of entries N(0, 1/N).

    Asymptotic (infinite width), for independent factors or powers of one matrix.

    Parameters
    ----------
    factors
        Number of factors m, at least 1.

    Returns
    -------
    float
        sqrt((m + 1)^(m + 1) / m^m), about sqrt(e (m + 1/2)).

    Raises
    ------
    ValueError
        If `factors` < 1.

    References
    ----------
    Alexeev, Goetze and Tikhomirov 2010; Pennington, Schoenholz and Ganguli 2017 (linear networks).

    Examples
    --------
    >>> fuss_catalan_edge(1), round(fuss_catalan_edge(10), 4)
    (2.0, 5.3415)
    """
    if factors < 1:
        raise ValueError(f"factors must be >= 1, got {factors!r}")
    return math.exp(((factors + 1) * math.log(factors + 1) - factors * math.log(factors)) / 2)


def universal_edges(sigma_0: float) -> tuple[float, float, float]:
    """Edges of the singular values of deep orthogonal networks whose total variance is sigma_0^2.

    Asymptotic (infinite width, then infinite depth at fixed L (mu_2 / mu_1^2 - 1) = sigma_0^2).

    Parameters
    ----------
    sigma_0
        Standard deviation of the squared singular values, a number >= 0.

    Returns
    -------
    tuple of float
        Smallest and largest singular value of smooth activations, and the largest of piecewise
        linear ones, sigma_0 sqrt(e), whose smallest is 0.

    Raises
    ------
    ValueError
        If `sigma_0` is negative or not finite.

    References
    ----------
    Pennington, Schoenholz and Ganguli 2018, eqs. 34 to 37.

    Examples
    --------
    >>> [round(s, 2) for s in universal_edges(0.5)[:2]]
    [0.57, 1.56]
    """
    check_finite(sigma_0=sigma_0)
    root = sigma_0 * math.sqrt(sigma_0 * sigma_0 + 4)
    plus, minus = sigma_0 * sigma_0 + root, sigma_0 * sigma_0 - root
    low = math.exp(-plus / 4) * math.sqrt(1 + minus / 2)
    high = math.exp(-minus / 4) * math.sqrt(1 + plus / 2)
    return low, high, sigma_0 * math.sqrt(math.e)

"""Lyapunov exponents of products of Gaussian matrices, and spectra of one such matrix."""

import math
from itertools import pairwise

import numpy as np
import xarray as xr

from gradsim._registry import brief


def lyapunov(width: int, sigma_w: float = 1.0, tied: bool = False) -> xr.Dataset:
    """Lyapunov exponents of W_T ... W_1 with W_ij ~ N(0, sigma_w^2 / width).

    Independent matrices (untied): exact at any width, for any fixed direction or volume and any
    number of factors; lambda_k = ln(sigma_w / sqrt(N)) + (ln 2 + psi((N - k + 1) / 2)) / 2. One
    matrix (tied): the logs of the moduli of its eigenvalues; the mean is exact (and the same), the
    single exponents are asymptotic: the circular law, at the middle of each of N equal shares.

    Parameters
    ----------
    width
        Units N, an integer >= 1.
    sigma_w
        Standard deviation of a weight times sqrt(width); a finite number > 0.
    tied
        Whether all factors are one matrix.

    Returns
    -------
    xarray.Dataset
        dim `index` 1..N, largest first, float64: `lyapunov_exponent` (natural log per step) and
        `variance` per step, psi'((N - k + 1) / 2) / 4, so that after T steps an exponent has the
        standard error sqrt(variance / T) (nan if tied); scalar `mean_exponent`, E ln|det W| / N.

    Raises
    ------
    ValueError
        If `width` or `sigma_w` is out of range.

    References
    ----------
    C. M. Newman, "The distribution of Lyapunov exponents: exact results for random matrices",
    Commun. Math. Phys. 103, 121 (1986); J. Ginibre, J. Math. Phys. 6, 440 (1965) (circular law).

    Examples
    --------
    >>> round(lyapunov(2).lyapunov_exponent[0].item(), 10)
    -0.2886078325
    """
    from scipy.special import digamma, polygamma  # slow to import

    _check(width, sigma_w)
    index = np.arange(1, width + 1)
    shape = (width - index + 1) / 2
    own = math.log(sigma_w / math.sqrt(width)) + (math.log(2) + digamma(shape)) / 2
    exponents, variance = own, polygamma(1, shape) / 4
    if tied:
        exponents = math.log(sigma_w) + np.log((width - index + 0.5) / width) / 2
        variance = np.full(width, np.nan)
    texts = {
        "lyapunov_exponent": ("Lyapunov exponent, natural log per step", "lambda_k"),
        "variance": ("variance of an exponent's increment per step", "psi'((N - k + 1) / 2) / 4"),
        "mean_exponent": ("mean of the exponents", "E ln abs(det W) / N"),
    }
    values = {"lyapunov_exponent": exponents, "variance": variance, "mean_exponent": own.mean()}
    data = {
        name: (("index",) if np.ndim(value) else (), value,
               {"long_name": texts[name][0], "units": "1", "formula": texts[name][1]})
        for name, value in values.items()
    }  # fmt: skip
    validity = "asymptotic (infinite width); the mean is exact" if tied else "exact"
    return xr.Dataset(data, {"index": index}, {"title": "Lyapunov", "validity": validity})


def critical_linear_gain(width: int) -> float:
    """sigma_w at which the largest exponent of untied linear networks is 0. Exact.

    Parameters
    ----------
    width
        Units N, an integer >= 1.

    Returns
    -------
    float
        sqrt(N / 2) exp(-psi(N / 2) / 2).

    Raises
    ------
    ValueError
        If `width` is out of range.

    References
    ----------
    Newman 1986; D. Sussillo and L. F. Abbott, arXiv:1412.6558 (exp(1 / (2 N)) to first order).

    Examples
    --------
    >>> round(critical_linear_gain(1), 8)
    1.88736452
    """
    return math.exp(-float(lyapunov(width).lyapunov_exponent[0]))


def mean_real_eigenvalues(width: int) -> float:
    """Mean number of real eigenvalues of a square Gaussian matrix. Exact.

    Parameters
    ----------
    width
        Rows, an integer >= 1.

    Returns
    -------
    float
        1/2 + sqrt(2) 2F1(1, -1/2; N; 1/2) / B(N, 1/2), about sqrt(2 N / pi) + 1/2.

    Raises
    ------
    ValueError
        If `width` is out of range.

    References
    ----------
    A. Edelman, E. Kostlan and M. Shub, "How many eigenvalues of a random matrix are real?", J.
    Amer. Math. Soc. 7, 247 (1994), corollary 5.3.

    Examples
    --------
    >>> round(mean_real_eigenvalues(2), 6)
    1.414214
    """
    from scipy.special import beta, hyp2f1  # slow to import

    _check(width, 1.0)
    return 0.5 + math.sqrt(2) * float(hyp2f1(1, -0.5, width, 0.5) / beta(width, 0.5))


def complex_radius_probability(width: int, radius: float) -> float:
    """P(largest modulus of the eigenvalues <= radius) for complex entries of variance 1/N. Exact.

    Real matrices follow no such closed law; theirs is somewhat closer to 1 (at N = 20 their mean is
    1.068, here 1.088), and both tend to 1.

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
    ValueError
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

    _check(width, 1.0)
    if not 0 <= radius < math.inf:
        raise ValueError(f"radius must be a finite number >= 0, got {brief(radius)}")
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
    ValueError
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

    _check(width, 1.0)
    edge = 1 + 8 / math.sqrt(width)  # P beyond is below 1e-20
    parts = np.linspace(0.0, edge, 41)

    def beyond(x: float) -> float:
        return 1.0 - float(complex_radius_probability(width, x))

    return sum(quad(beyond, a, b, epsabs=1e-13)[0] for a, b in pairwise(parts))


def _check(width: int, sigma_w: float) -> None:
    if isinstance(width, bool) or width != int(width) or width < 1:
        raise ValueError(f"width must be an integer >= 1, got {brief(width)}")
    if not 0 < sigma_w < math.inf:
        raise ValueError(f"sigma_w must be a finite number > 0, got {brief(sigma_w)}")

"""Lyapunov exponents of products of Gaussian matrices, and how many eigenvalues are real."""

import math

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim.theory._labelled import labelled


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
    values = {
        "lyapunov_exponent": (exponents, "Lyapunov exponent, natural log per step", "lambda_k",
                              "index"),
        "variance": (variance, "variance of an exponent's increment per step",
                     "psi'((N - k + 1) / 2) / 4", "index"),
        "mean_exponent": (own.mean(), "mean of the exponents", "E ln abs(det W) / N"),
    }  # fmt: skip
    validity = "asymptotic (infinite width); the mean is exact" if tied else "exact"
    return labelled("Lyapunov", validity, values, {"index": index})


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


def _check(width: int, sigma_w: float) -> None:
    if isinstance(width, bool) or width != int(width) or width < 1:
        raise ValueError(f"width must be an integer >= 1, got {brief(width)}")
    if not 0 < sigma_w < math.inf:
        raise ValueError(f"sigma_w must be a finite number > 0, got {brief(sigma_w)}")

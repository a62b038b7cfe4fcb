"""The correlation map of a wide random network: c*, and the depth scales xi_q and xi_c.

All results are asymptotic (infinite width). Correlations near 1 are computed as 1 - c, which does
not cancel.

References
----------
Poole et al. 2016; Schoenholz et al. 2017. Y. Cho and L. K. Saul, "Kernel methods for deep
learning", NeurIPS 2009 (arc-cosine kernels: relu). C. K. I. Williams, "Computing with infinite
networks", NeurIPS 1997 (erf).
"""

import math
from functools import lru_cache

from gradsim.activations import activations
from gradsim.theory._moments import limit_slopes, square_growth
from gradsim.theory._pairs import pair_slopes, pair_values
from gradsim.theory.length_map import check_finite, check_variance, chi_1, fixed_point, q_map

_SMALLEST = 1e-14  # 1 - c* below which it counts as 1
_MARGINAL = 1e-9  # chi_1 - 1 up to which the phase counts as ordered


def c_map(
    activation: str,
    sigma_w: float,
    sigma_b: float,
    c: float,
    q: float | None = None,
    *,
    slope: float = 0.01,
) -> float:
    """Correlation of two signals at the next layer.

    Asymptotic (infinite width). Closed for linear, relu, leaky_relu (arc-cosine kernels), erf and
    sine; quadrature for all others.

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.
    c
        Correlation at this layer, in [-1, 1].
    q
        Mean square of both pre-activations at this layer; None means q*.

    Returns
    -------
    float
        (sigma_w^2 E phi(u1) phi(u2) + sigma_b^2) / V(q), V the length map; nan where V(q) is 0.

    Raises
    ------
    ValueError
        If the activation is unknown, a number is out of range, or q* is 0, infinite or undefined
        for an activation that is not homogeneous.

    References
    ----------
    Poole et al. 2016, eq. 5; Cho and Saul 2009, eq. 6 (n = 1); Williams 1997, eq. 11 (erf).

    Examples
    --------
    >>> round(c_map("relu", 2**0.5, 0.0, 0.0) * math.pi, 12)
    1.0
    """
    eps = 1 - _correlation(c)
    q = _operating_point(activation, sigma_w, sigma_b, q, slope)
    following = q_map(activation, sigma_w, sigma_b, q, slope=slope)
    if following == 0:
        return math.nan
    product, deficit = pair_values(activations[activation], q, eps, slope)
    if eps < 1:
        return 1 - sigma_w * sigma_w * deficit / following
    return (sigma_w * sigma_w * product + sigma_b * sigma_b) / following


def chi_c(activation: str, sigma_w: float, c: float, q: float, *, slope: float = 0.01) -> float:
    """Growth of the product of two examples' gradients per layer: sigma_w^2 E phi'(u1) phi'(u2).

    Asymptotic (infinite width). At c = 1 it is chi_1; at the fixed point it is the slope of the
    correlation map.

    Parameters
    ----------
    activation, sigma_w, slope
        As in :func:`q_map`.
    c
        Correlation of the two pre-activations, in [-1, 1].
    q
        Mean square of both; a finite number >= 0.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    ValueError
        If the activation is unknown or a number is out of range.

    References
    ----------
    Poole et al. 2016, eq. 6; Schoenholz et al. 2017 (xi_c); Cho and Saul 2009, eq. 6 (n = 0).

    Examples
    --------
    >>> round(chi_c("relu", 2**0.5, 0.0, 1.0), 12)
    0.5
    """
    eps = 1 - _correlation(c)
    check_finite(sigma_w=sigma_w, q=q)
    if eps == 0:
        return chi_1(activation, sigma_w, q, slope=slope)
    return sigma_w * sigma_w * pair_slopes(activations[activation], q, eps, slope)


def c_star(activation: str, sigma_w: float, sigma_b: float, *, slope: float = 0.01) -> float:
    """Correlation that two signals reach deep in a network: the stable fixed point of the map.

    Asymptotic (infinite width). The map is convex on [0, 1] with slope chi_1 at 1, so it is 1 where
    chi_1 <= 1, and the one fixed point below 1 otherwise.

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.

    Returns
    -------
    float
        c*. Where signals decay to 0 it is the limit of a vanishing bias. nan where every
        correlation is fixed (a linear network without bias).

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative or not finite.

    References
    ----------
    Poole et al. 2016, section 2.2; Schoenholz et al. 2017, section 3.

    Examples
    --------
    >>> c_star("tanh", 1.0, 0.1), round(c_star("tanh", 2.5**0.5, 0.05**0.5), 6)
    (1.0, 0.446804)
    """
    entry = activations[activation]
    q = fixed_point(activation, sigma_w, sigma_b, slope=slope)
    if not 0 < q < math.inf:
        left, right = limit_slopes(entry, q, slope)
        straight = left == right and (entry.homogeneous or q == math.inf)
        return math.nan if straight and sigma_b == 0 else 1.0
    if chi_1(activation, sigma_w, q, slope=slope) <= 1 + _MARGINAL:
        return 1.0
    return 1 - _eps_star(activation, sigma_w, sigma_b, q, slope)


@lru_cache(maxsize=1024)
def _eps_star(name: str, sigma_w: float, sigma_b: float, q: float, slope: float) -> float:
    """1 - c* in the chaotic phase."""
    entry = activations[name]
    from scipy.optimize import brentq  # slow to import

    def excess(log_eps: float) -> float:  # positive between 0 and 1 - c*
        eps = math.exp(log_eps)
        return sigma_w * sigma_w * pair_values(entry, q, eps, slope)[1] / (q * eps) - 1

    if sigma_w * sigma_w * pair_values(entry, q, 1.0, slope)[0] + sigma_b * sigma_b <= 1e-14 * q:
        return 1.0
    low = math.log(_SMALLEST)
    if excess(low) <= 0:
        return 0.0
    return math.exp(float(brentq(excess, low, 0.0, xtol=1e-13)))  # type: ignore[arg-type]


def xi_q(activation: str, sigma_w: float, sigma_b: float, *, slope: float = 0.01) -> float:
    """Depth scale in layers on which the mean square approaches q*: -1 / ln V'(q*).

    Asymptotic (infinite width); V is the length map, V' = sigma_w^2 (E phi'^2 + E phi phi'').

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.

    Returns
    -------
    float
        The scale: inf where V' = 1, nan where signals diverge, 0 where V' = 0.

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative or not finite.

    References
    ----------
    Schoenholz et al. 2017, eq. for xi_q in section 3.1.

    Examples
    --------
    >>> round(xi_q("tanh", 1.0, 0.05**0.5), 3)
    1.748
    """
    q = fixed_point(activation, sigma_w, sigma_b, slope=slope)
    if q == math.inf:
        return math.nan
    return scale_of(sigma_w * sigma_w * square_growth(activations[activation], q, slope))


def xi_c(activation: str, sigma_w: float, sigma_b: float, *, slope: float = 0.01) -> float:
    """Depth scale in layers on which the correlation approaches c*: -1 / ln chi_c(c*).

    Asymptotic (infinite width); gradients have 1 / |ln chi_1|, the same in the ordered phase.

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.

    Returns
    -------
    float
        The scale; inf at the edge of chaos, and for a homogeneous activation without bias, whose
        correlation approaches 1 as a power of depth (relu) or stays what it is (linear).

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative or not finite.

    References
    ----------
    Schoenholz et al. 2017, eq. for xi_c in section 3.1.

    Examples
    --------
    >>> round(xi_c("tanh", 2.5**0.5, 0.05**0.5), 1)
    11.8
    """
    entry = activations[activation]
    q = fixed_point(activation, sigma_w, sigma_b, slope=slope)
    if q == math.inf or (entry.homogeneous and sigma_b == 0):
        return math.inf
    chi = chi_1(activation, sigma_w, q, slope=slope)
    if q == 0 or chi <= 1 + _MARGINAL:
        return math.inf if abs(chi - 1) <= _MARGINAL else scale_of(chi)
    eps = _eps_star(activation, sigma_w, sigma_b, q, slope)
    return scale_of(sigma_w * sigma_w * pair_slopes(entry, q, eps, slope))


def scale_of(factor: float) -> float:
    """-1 / ln of a factor per layer, of either sign: inf at 1 and 0 at 0."""
    size = abs(factor)
    if size == 0:
        return 0.0
    return math.inf if abs(size - 1) < 1e-12 else -1 / math.log(size)


def _correlation(c: float) -> float:
    if not -1 <= c <= 1:
        raise ValueError(f"c must be in [-1, 1], got {c!r}")
    return float(c)


def _operating_point(
    activation: str, sigma_w: float, sigma_b: float, q: float | None, slope: float
) -> float:
    check_finite(sigma_w=sigma_w, sigma_b=sigma_b)
    if q is None:
        q = fixed_point(activation, sigma_w, sigma_b, slope=slope)
        if not 0 < q < math.inf:
            if not (activations[activation].homogeneous and sigma_b == 0):
                raise ValueError(f"q must be given where q* is {q}, got None")
            q = 1.0  # without bias the map of a homogeneous activation does not depend on it
    check_variance(q)
    return q

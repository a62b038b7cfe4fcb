"""The length map of a wide random network: its fixed point, chi_1 and the edge of chaos.

`q` is the mean square of a pre-activation, sigma_w the standard deviation of a weight times
sqrt(fan_in). All results are asymptotic (infinite width) unless a docstring says exact.

References
----------
B. Poole, S. Lahiri, M. Raghu, J. Sohl-Dickstein and S. Ganguli, "Exponential expressivity in deep
neural networks through transient chaos", NeurIPS 2016. S. S. Schoenholz, J. Gilmer, S. Ganguli and
J. Sohl-Dickstein, "Deep information propagation", ICLR 2017. K. He, X. Zhang, S. Ren and J. Sun,
"Delving deep into rectifiers", ICCV 2015.
"""

import math
from functools import lru_cache

from gradsim.activations import activations
from gradsim.kernels.activations import Activation
from gradsim.theory._gaussian import crossing
from gradsim.theory._moments import slope_square, square_at_zero, value_square

_ROUNDING = 1e-12  # sigma_w = sqrt(2) squares to 2.0000000000000004


def q_map(
    activation: str, sigma_w: float, sigma_b: float, q: float, *, slope: float = 0.01
) -> float:
    """Mean square of the next pre-activation: sigma_w^2 E phi(sqrt(q) Z)^2 + sigma_b^2.

    Asymptotic (infinite width); exact at any width, as a mean over networks, for homogeneous phi.

    Parameters
    ----------
    activation
        Name in :data:`gradsim.activations`.
    sigma_w, sigma_b
        Standard deviations of a weight times sqrt(fan_in) and of a bias.
    q
        Mean square of this layer's pre-activation; inf only if the activation is homogeneous.
    slope
        Slope of leaky_relu for negative arguments.

    Returns
    -------
    float
        The mean square at the next layer.

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative or not finite.

    References
    ----------
    Poole et al. 2016, eq. 3; He et al. 2015, eq. 10 (rectifiers).

    Examples
    --------
    >>> q_map("relu", 1.0, 0.0, 4.0)
    2.0
    """
    entry = activations[activation]
    check_finite(sigma_w=sigma_w, sigma_b=sigma_b)
    check_variance(q)
    return sigma_w * sigma_w * value_square(entry, q, slope) + sigma_b * sigma_b


def chi_1(activation: str, sigma_w: float, q: float, *, slope: float = 0.01) -> float:
    """Growth of the mean square of a gradient per layer: sigma_w^2 E phi'(sqrt(q) Z)^2.

    Asymptotic (infinite width); exact at any width for homogeneous activations, untied weights and
    a cost that is linear in the last pre-activation. At `q` = 0 it is the limit from above, at
    `q` = inf the limit; for homogeneous activations it does not depend on `q`.

    Parameters
    ----------
    activation, sigma_w, slope
        As in :func:`q_map`.
    q
        Mean square of the pre-activation; q* for the rate deep inside the network.

    Returns
    -------
    float
        chi_1: below 1 gradients vanish, above 1 they explode.

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative.

    References
    ----------
    Poole et al. 2016, eq. 6; Schoenholz et al. 2017 (backpropagation); He et al. 2015, eq. 14.

    Examples
    --------
    >>> chi_1("relu", 1.0, 3.0)
    0.5
    """
    entry = activations[activation]
    check_finite(sigma_w=sigma_w)
    check_variance(q)
    return sigma_w * sigma_w * slope_square(entry, q, slope)


def fixed_point(activation: str, sigma_w: float, sigma_b: float, *, slope: float = 0.01) -> float:
    """q* = V(q*), the mean square that pre-activations reach deep in a network (V: the length map).

    Asymptotic (infinite width). A bracketed root, so also right where the map converges slowly.
    Where there are several (gelu, silu, mish), the one that a mean square of V(0) + 1 leads to.

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.

    Returns
    -------
    float
        q*; 0.0 where V decays to zero, inf where it diverges, nan where every q is a fixed point
        (homogeneous activation at its critical sigma_w without bias).

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative or not finite.

    References
    ----------
    Poole et al. 2016, eq. 3 with q^l = q^(l-1).

    Examples
    --------
    >>> fixed_point("tanh", 1.0, 0.0), round(fixed_point("tanh", 2.0, 0.0), 6)
    (0.0, 2.121474)
    """
    entry = activations[activation]
    at_zero = q_map(activation, sigma_w, sigma_b, 0.0, slope=slope)
    straight = sigma_w * sigma_w * square_at_zero(entry, slope)  # V'(0) where phi(0) = 0
    if entry.homogeneous:
        if abs(straight - 1) <= _ROUNDING:
            return math.inf if at_zero > 0 else math.nan
        return at_zero / (1 - straight) if straight < 1 else math.inf

    def excess(q: float) -> float:
        return 1 - q_map(activation, sigma_w, sigma_b, q, slope=slope) / q

    start = 1 + at_zero
    if at_zero == 0 and straight <= 1 + _ROUNDING and excess(start) >= -_ROUNDING:
        return 0.0
    return crossing(excess, start)


def edge_of_chaos(activation: str, sigma_b: float = 0.0, *, slope: float = 0.01) -> float:
    """sigma_w at which chi_1 = 1 at the fixed point, for the given sigma_b.

    Asymptotic (infinite width). The edge is a curve in the parameter q*: sigma_w^2 = 1 / E phi'^2,
    sigma_b^2 = q* - sigma_w^2 E phi^2; it is solved for q*. Closed forms without bias: identity 1,
    relu sqrt(2), leaky_relu sqrt(2 / (1 + slope^2)), tanh 1 (q* -> 0). Cached.

    Parameters
    ----------
    activation, sigma_b, slope
        As in :func:`q_map`.

    Returns
    -------
    float
        The critical sigma_w.

    Raises
    ------
    ValueError
        If the activation is unknown, `sigma_b` is negative or not finite, or no such point exists:
        a homogeneous activation with a bias, whose q* diverges where chi_1 = 1; softplus, which has
        chi_1 = 1 at no finite q*; gelu, silu and mish with little bias, whose q* is unstable there.

    References
    ----------
    Poole et al. 2016, eqs. 3 and 6; Schoenholz et al. 2017; He et al. 2015, eqs. 10, 15 (relu).

    Examples
    --------
    >>> edge_of_chaos("tanh"), round(edge_of_chaos("tanh", 1.0), 6)
    (1.0, 1.855589)
    """
    check_finite(sigma_b=sigma_b)
    return _edge_of_chaos(activation, float(sigma_b), float(slope))


@lru_cache(maxsize=4096)
def _edge_of_chaos(activation: str, sigma_b: float, slope: float) -> float:
    entry = activations[activation]
    at_zero = square_at_zero(entry, slope)
    if entry.homogeneous and sigma_b > 0:
        raise ValueError(
            f"edge_of_chaos({activation!r}, sigma_b={sigma_b:g}): there is no such point, because "
            f"at sigma_w = {1 / math.sqrt(at_zero):.6g}, where chi_1 = 1, q grows without bound; "
            "only sigma_b = 0 has one"
        )
    if entry.homogeneous:
        return 1 / math.sqrt(at_zero)
    if sigma_b == 0 and value_square(entry, 0.0, slope) == 0:
        return _reached(entry, 1 / math.sqrt(at_zero), 0.0, 0.0, slope)

    def excess(q: float) -> float:
        ratio = value_square(entry, q, slope) / slope_square(entry, q, slope)
        return (q - ratio - sigma_b * sigma_b) / q

    q = crossing(excess, 1 + sigma_b * sigma_b)
    if q == math.inf:
        raise ValueError(
            f"edge_of_chaos({activation!r}, sigma_b={sigma_b:g}): chi_1 = 1 at no finite q*"
        )
    return _reached(entry, 1 / math.sqrt(slope_square(entry, q, slope)), sigma_b, q, slope)


def _reached(entry: Activation, sigma_w: float, sigma_b: float, q: float, slope: float) -> float:
    """sigma_w, if the fixed point that signals reach there is one where chi_1 = 1."""
    reached = fixed_point(entry.name, sigma_w, sigma_b, slope=slope)
    if abs(chi_1(entry.name, sigma_w, reached, slope=slope) - 1) > 1e-6:
        raise ValueError(
            f"edge_of_chaos({entry.name!r}, sigma_b={sigma_b:g}): there is no such point, because "
            f"at sigma_w = {sigma_w:.6g} signals do not settle at q* = {q:.6g}, where chi_1 = 1"
        )
    return sigma_w


def check_finite(**values: float) -> None:
    """Refuse numbers that are negative or not finite, by name."""
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")


def check_variance(q: float) -> None:
    """Refuse a negative mean square."""
    if q < 0:  # inf and nan are for homogeneous activations; the quadrature refuses them
        raise ValueError(f"q must be a finite number >= 0, got {q!r}")

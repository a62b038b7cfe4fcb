"""The log-norm of a gradient as a random walk over layers: its drift and variance at order 1/n."""

import math
from functools import lru_cache
from typing import Any

import xarray as xr

from gradsim import _random_walk
from gradsim.activations import activations
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory._layer_law import Slopes
from gradsim.theory._moments import limit_slopes, slope_square, square_growth, value_square
from gradsim.theory.length_map import fixed_point


def walk_coefficients(
    activation: str, sigma_w: float, sigma_b: float = 0.0, *, slope: float = 0.01
) -> xr.Dataset:
    """Drift and variance of ln ||delta||^2 per layer, times the width, beyond ln chi_1.

    Per layer of width n, ln ||delta^l||^2 changes by ln chi_1 + drift / n on average, and by
    variance / n in variance, to leading order in 1/n, deep in a network with independent Gaussian
    weights. Exact to that order for homogeneous activations (variance 5 for relu, 2 for linear
    networks); for all others derived here from the fluctuations of one layer:

    - slopes and weights: variance 3 F - 1, F = E phi'^4 / (E phi'^2)^2;
    - the forward mean square: q wanders about q* with variance sigma_w^4 Var(phi^2) / (1 - V'^2)
      / n, is correlated over layers with factor V' and with the slopes of its layer, and moves
      ln chi by (ln chi)'(q);
    - W^(l+1) carries both passes: its part along a^l is fixed by z^(l+1).

    Parameters
    ----------
    activation, sigma_w, sigma_b, slope
        As in :func:`q_map`.

    Returns
    -------
    xarray.Dataset
        Scalars `variance` and `drift` (in ln of the squared norm, times the width; finite only away
        from the edge where V' = 1). Without a finite q* > 0 they are those of the linear, or
        piecewise linear, network that the activation becomes. Attribute `status`: "exact at order
        1/n" or "derived".

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is negative or not finite.

    References
    ----------
    B. Hanin and M. Nica, "Products of many large random matrices and gradients in deep neural
    networks", Commun. Math. Phys. 2020, theorem 1 (homogeneous). D. A. Roberts, S. Yaida and B.
    Hanin, "The principles of deep learning theory", 2022, chapters 4 and 9 (fluctuations of q).

    Examples
    --------
    >>> round(walk_coefficients("relu", 2**0.5).variance.item(), 12)
    5.0
    """
    drift, variance, derived = _coefficients(activation, float(sigma_w), float(sigma_b), slope)
    text = {
        "drift": ("drift of ln norm(delta)^2 per layer, times the width", "n (E X - ln chi_1)"),
        "variance": ("variance of ln norm(delta)^2 per layer, times the width", "n Var X"),
    }
    data = {
        name: ((), value, {"long_name": text[name][0], "units": "1", "formula": text[name][1]})
        for name, value in (("drift", drift), ("variance", variance))
    }
    status = "derived" if derived else "exact at order 1/n"
    attrs = {"title": "Random walk", "validity": "asymptotic (order 1/n)", "status": status}
    return xr.Dataset(data, attrs=attrs)


@lru_cache(maxsize=1024)
def _coefficients(name: str, sigma_w: float, sigma_b: float, slope: float) -> tuple:
    entry = activations[name]
    q = fixed_point(name, sigma_w, sigma_b, slope=slope)
    if entry.homogeneous or not 0 < q < math.inf:
        slopes = Slopes(*limit_slopes(entry, q, slope))
        if slopes.mean_square == 0:  # a saturated activation: nothing is left of the gradient
            return math.nan, math.nan, True
        excess = 3 * slopes.flatness - 1
        return -excess / 2, excess, not entry.homogeneous

    def mean(f: Any) -> float:
        """E f(phi, phi', z / sqrt(q))."""
        root = math.sqrt(q)
        return gaussian_mean(
            lambda z: f(entry.value(z, slope), entry.slope(z, slope), z / root), q, entry.kinks
        )

    w2 = sigma_w * sigma_w
    value, steep = value_square(entry, q, slope), slope_square(entry, q, slope)
    if steep == 0:
        return math.nan, math.nan, True
    growth = w2 * square_growth(entry, q, slope)  # V'
    bend = w2 * mean(lambda a, s, z: a * a * (z**4 - 6 * z * z + 3)) / (4 * q * q)  # V''
    first = mean(lambda a, s, z: s * s * (z * z - 1)) / (2 * q) / steep  # (ln chi)'
    second = mean(lambda a, s, z: s * s * (z**4 - 6 * z * z + 3)) / (4 * q * q) / steep - first**2
    noise = w2 * w2 * (mean(lambda a, s, z: a**4) - value * value)
    joint = mean(lambda a, s, z: a * a * s * s) / (value * steep)
    flatness = mean(lambda a, s, z: s**4) / steep**2
    spread = noise / (1 - growth * growth)
    reach = first / (1 - growth)  # all that one step of q does to ln chi, over all later layers
    variance = 3 * flatness - 1 + 2 * reach * w2 * value * (joint - 1) + reach * reach * noise
    drift = first * bend * spread / 2 / (1 - growth) + second * spread / 2 - (3 * flatness - 1) / 2
    drift += joint * (_alignment(mean, q, value, steep, w2) / (w2 * value) - 1)
    return drift, variance, True


def _alignment(mean: Any, q: float, value: float, steep: float, w2: float) -> float:
    """E (W a . delta)^2 / ||delta||^2 deep in a network; that of a random delta where none is."""
    drive = w2 * value  # mean square of W a; the rest of z is bias
    overlap = mean(lambda a, s, z: z * s * a) * math.sqrt(q)
    noise = (mean(lambda a, s, z: (z * s) ** 2) * q - overlap**2 / value) / steep
    part = drive / q
    kept = (part * overlap / value) ** 2 / (w2 * steep)
    fresh = part * part * noise + part * (q - drive)
    return fresh / (1 - kept) if kept < 1 else drive


def random_walk_gain(activation: str, width: int, *, published: bool = False) -> float:
    """sigma_w that keeps E ln ||delta|| constant over layers of one width, given that it is not 0.

    Exact at any width for "identity" and "relu".

    Parameters
    ----------
    activation
        "identity" or "relu".
    width
        Units of a layer.
    published
        Whether to return the fit as published instead: exp(1 / (2 N)) for linear networks and
        sqrt(2) exp(1.2 / (max(N, 6) - 2.4)) for relu.

    Returns
    -------
    float
        The gain.

    Raises
    ------
    ValueError
        If the activation is another or the width is no positive integer.

    References
    ----------
    D. Sussillo and L. F. Abbott, "Random walk initialization for training very deep feedforward
    networks", arXiv:1412.6558, 2014.

    Examples
    --------
    >>> round(random_walk_gain("identity", 100), 8)
    1.00502927
    """
    if width < 1 or width != int(width):
        raise ValueError(f"width must be an integer >= 1, got {width!r}")
    model = _Walk(activation, "random_walk_published" if published else "random_walk")
    return (_random_walk.published if published else _random_walk.exact)(model, int(width))


class _Walk:
    """What the initialiser of that name reads of a model."""

    def __init__(self, activation: str, init: str) -> None:
        self.activation, self.init = activation, init

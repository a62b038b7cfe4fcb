"""The log-norm of a gradient as a random walk over layers: its drift and variance at order 1/n."""

import math
from functools import lru_cache

import xarray as xr

from gradsim import _random_walk
from gradsim.activations import activations
from gradsim.theory._fluctuations import Local, local
from gradsim.theory._labelled import labelled
from gradsim.theory._layer_law import Slopes
from gradsim.theory._moments import limit_slopes
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
    values = {
        "drift": (drift, "drift of ln norm(delta)^2 per layer, times the width",
                  "n (E X - ln chi_1)"),
        "variance": (variance, "variance of ln norm(delta)^2 per layer, times the width",
                     "n Var X"),
    }  # fmt: skip
    ds = labelled("Random walk", "asymptotic (order 1/n)", values)
    return ds.assign_attrs(status="derived" if derived else "exact at order 1/n")


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

    place = local(name, q, slope)
    if place is None:
        return math.nan, math.nan, True
    w2, p = sigma_w * sigma_w, place
    growth, drive = w2 * p.value_growth, w2 * p.value
    noise = w2 * w2 * p.value_noise
    spread = noise / (1 - growth * growth)
    reach = p.steep_growth / (1 - growth)  # all that one step of q does to ln chi, over all layers
    own = 3 * p.flatness - 1
    variance = own + 2 * reach * drive * (p.joint - 1) + reach * reach * noise
    drift = reach * w2 * p.value_bend * spread / 2 + p.steep_bend * spread / 2 - own / 2
    drift += p.joint * (_alignment(p, q, w2) / drive - 1)
    return drift, variance, True


def _alignment(p: Local, q: float, w2: float) -> float:
    """E (W a . delta)^2 / ||delta||^2 deep in a network; that of a random delta where none is."""
    part = w2 * p.value / q  # W a is that part of z; the rest is bias
    kept = (part * p.overlap) ** 2 / (w2 * p.steep)
    fresh = part * part * p.spread + part * (1 - part) * q
    return fresh / (1 - kept) if kept < 1 else w2 * p.value


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

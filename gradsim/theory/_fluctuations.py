"""Fluctuations of a plain network about its mean-field path, at order 1/n.

The pre-activations of a layer are Gaussian given the layer before, of variance q that itself
wanders: by what the finite average of phi^2 adds in each layer, passed on by V'. The gradient's log
sums, over layers, ln chi(q) and the noise of slopes and weights, which is correlated with that of
phi^2 in its layer. The mean adds second derivatives, Jensen's term, and the part of W^(l+1) along
a^l, which z^(l+1) fixes.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gradsim.activations import activations
from gradsim.kernels.activations import Activation
from gradsim.theory._gaussian import gaussian_mean
from gradsim.theory._layer_law import Slopes
from gradsim.theory._moments import limit_slopes, slope_square, square_growth, value_square

NEAR, FAR = 1e-20, 1e24  # mean squares beyond which phi is as it is at 0 or at infinity


class Local(NamedTuple):
    """Averages of one activation at variance q; derivatives are by q."""

    value: float  # E phi^2
    value_growth: float  # its first derivative
    value_bend: float  # and second
    value_noise: float  # Var phi^2
    steep: float  # E phi'^2
    steep_growth: float  # first derivative of its log
    steep_bend: float  # and second
    flatness: float  # E phi'^4 / (E phi'^2)^2
    joint: float  # E phi^2 phi'^2 / (E phi^2 E phi'^2)
    overlap: float  # E z phi' phi / E phi^2
    spread: float  # (E z^2 phi'^2 - (E z phi' phi)^2 / E phi^2) / E phi'^2


@lru_cache(maxsize=4096)
def local(name: str, q: float, slope: float) -> Local | None:
    """Averages at q; those of a homogeneous activation where q is 0 or infinite; None if flat."""
    entry = activations[name]
    if not q > NEAR and entry.value(np.zeros(1), slope)[0] != 0:
        q = NEAR  # nothing changes further down
    if entry.homogeneous or not NEAR <= q <= FAR:
        return _homogeneous(Slopes(*limit_slopes(entry, math.inf if q > FAR else 0.0, slope)), q)
    value, steep = value_square(entry, q, slope), slope_square(entry, q, slope)
    if steep == 0 or value == 0:
        return None
    return _local(entry, q, slope, value, steep)


def _homogeneous(slopes: Slopes, q: float) -> Local | None:
    square = slopes.mean_square
    if square == 0:
        return None
    size = q if 0 < q < math.inf else 1.0
    noise = (3 * slopes.flatness - 1) * (square * size) ** 2 if NEAR <= q <= FAR else 0.0
    flat = slopes.flatness
    return Local(square * size, square, 0.0, noise, square, 0.0, 0.0, flat, flat, 1.0, 0.0)


def _local(entry: Activation, q: float, slope: float, value: float, steep: float) -> Local:
    root, known = math.sqrt(q), {}

    def at(z: np.ndarray) -> tuple:
        if not known:  # the nodes are the same for all averages
            known["at"] = entry.value(z, slope), entry.slope(z, slope), z / root
        return known["at"]

    def mean(f: Any) -> float:
        """E f(phi, phi', z / sqrt(q)); d/dq E f = E f (x^2 - 1) / (2 q), and so on."""
        return gaussian_mean(lambda z: f(*at(z)), q, entry.kinks)

    first = mean(lambda a, s, x: s * s * (x * x - 1)) / (2 * q) / steep
    overlap = mean(lambda a, s, x: x * s * a) * root
    return Local(
        value=value,
        value_growth=square_growth(entry, q, slope),
        value_bend=mean(lambda a, s, x: a * a * (x**4 - 6 * x * x + 3)) / (4 * q * q),
        value_noise=mean(lambda a, s, x: a**4) - value * value,
        steep=steep,
        steep_growth=first,
        steep_bend=mean(lambda a, s, x: s * s * (x**4 - 6 * x * x + 3)) / (4 * q * q) / steep
        - first**2,
        flatness=mean(lambda a, s, x: s**4) / steep**2,
        joint=mean(lambda a, s, x: a * a * s * s) / (value * steep),
        overlap=overlap / value,
        spread=(mean(lambda a, s, x: (x * s) ** 2) * q - overlap**2 / value) / steep,
    )


class Walk(NamedTuple):
    """Mean, beyond the path, and variance of ln norm(delta^l)^2 less that of L, (layer,)."""

    mean: np.ndarray
    variance: np.ndarray


def walk(
    places: list[Local | None],
    q: np.ndarray,
    w2: np.ndarray,
    widths: list[int],
    start: float,
    drives: np.ndarray | float = 0.0,
) -> Walk:
    """Random walk of the gradient along a path of hidden layers 1..L-1.

    Parameters
    ----------
    places, q, widths
        Averages, variance and units of each hidden layer.
    w2
        sigma_w^2 of the weights that read each hidden layer.
    start
        Variance of q^1.
    drives
        Variance that inputs of their own add to q of every later layer.
    """
    layers = len(places)
    if not np.all(w2 > 0):  # no weights: nothing of the gradient is left to walk
        return Walk(*np.zeros((2, layers + 1)))
    if any(place is None for place in places):
        return Walk(*np.full((2, layers + 1), np.nan))
    here: list[Local] = places  # type: ignore[assignment]
    shift, spread = np.zeros(layers), np.zeros(layers)
    spread[:1] = start
    for i, (p, n) in enumerate(zip(here[:-1], widths)):
        if not NEAR <= q[i + 1] <= FAR:  # homogeneous: chi does not depend on q
            continue
        g = w2[i] * p.value_growth
        shift[i + 1] = g * shift[i] + w2[i] * p.value_bend * spread[i] / 2
        spread[i + 1] = g * g * spread[i] + w2[i] ** 2 * p.value_noise / n + drives
    mean, variance = np.zeros(layers + 1), np.zeros(layers + 1)
    reach, total = 0.0, 0.0  # what a step of q does to all later ln chi; noise of all layers
    aligned = w2[-1] * here[-1].value if layers else 0.0  # (W a . delta)^2 / norm(delta)^2
    for i in reversed(range(layers)):  # bounded where it is not used, so that nothing overflows
        p, n, drive = here[i], widths[i], w2[i] * min(here[i].value, FAR**4)
        own = 3 * p.flatness - 1
        total += own / n
        if reach:
            total += 2 * reach * drive * (p.joint - 1) / n
            total += reach * reach * (w2[i] ** 2 * p.value_noise / n + drives)
        reach = p.steep_growth + (w2[i] * p.value_growth * reach if reach else 0.0)
        variance[i] = total + reach * reach * spread[i]
        mean[i] = mean[i + 1] + p.steep_growth * shift[i] + p.steep_bend * spread[i] / 2
        outside = not NEAR <= q[i] <= FAR  # homogeneous, biases or not: the ratio stays 1
        ratio = 1.0 if outside else aligned / drive
        mean[i] += (p.joint * (ratio - 1) - own / 2) / n
        if i and outside:
            aligned = w2[i - 1] * min(here[i - 1].value, FAR)
        elif i:
            part = w2[i - 1] * here[i - 1].value / q[i]  # W a is that part of z; the rest is bias
            kept = p.overlap**2 * aligned / (w2[i] * p.steep)
            aligned = part * part * (p.spread + kept) + part * (1 - part) * q[i]
    return Walk(mean, variance)

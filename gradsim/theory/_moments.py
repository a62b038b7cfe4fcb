"""Averages of an activation over a normal number of variance q, closed where a form is known."""

import math

import numpy as np

from gradsim.kernels.activations import Activation
from gradsim.theory._gaussian import gaussian_mean

_FAR = 1e150  # stands for an infinite pre-activation


def square_at_zero(entry: Activation, slope: float) -> float:
    """Mean of the squared one-sided slopes at 0."""
    left, right = entry.slopes_at_zero(slope)
    return (left * left + right * right) / 2


def value_square(entry: Activation, q: float, slope: float) -> float:
    """E phi(sqrt(q) Z)^2."""
    if entry.homogeneous:
        return q * square_at_zero(entry, slope)
    if entry.mean_squares is not None:
        return float(entry.mean_squares(q)[0])
    if q == math.inf:
        if any(limit_slopes(entry, q, slope)):
            return math.inf
        return float(np.mean(np.square(entry.value(np.array([-_FAR, _FAR]), slope))))
    return gaussian_mean(lambda z: np.square(entry.value(z, slope)), q, entry.kinks)


def slope_square(entry: Activation, q: float, slope: float) -> float:
    """E phi'(sqrt(q) Z)^2 with its limits at q = 0 and q = inf."""
    if entry.homogeneous or q == 0:
        return square_at_zero(entry, slope)
    if entry.mean_squares is not None:
        return float(entry.mean_squares(q)[1])
    if q == math.inf:
        with np.errstate(over="ignore"):
            return float(np.mean(np.square(entry.slope(np.array([-_FAR, _FAR]), slope))))
    return gaussian_mean(lambda z: np.square(entry.slope(z, slope)), q, entry.kinks)


def value_mean(entry: Activation, q: float, slope: float) -> float:
    """E phi(sqrt(q) Z)."""
    return gaussian_mean(lambda z: entry.value(z, slope), q, entry.kinks)


def square_growth(entry: Activation, q: float, slope: float) -> float:
    """Derivative of E phi(sqrt(q) Z)^2 with respect to q: E phi(u) phi'(u) u / q."""
    if entry.homogeneous:
        return square_at_zero(entry, slope)
    if q == 0:  # its limit: phi'^2 + phi phi'' at 0
        edge = np.array([-1e-300, 1e-300])
        value, bend = (f(edge, slope) for f in (entry.value, entry.second))
        return square_at_zero(entry, slope) + float(np.mean(value * bend))
    if entry.name == "sine":
        return math.exp(-2 * q)
    return gaussian_mean(
        lambda z: entry.value(z, slope) * entry.slope(z, slope) * z / q, q, entry.kinks
    )


def limit_slopes(entry: Activation, q: float, slope: float) -> tuple[float, float]:
    """Slopes (left, right) of the homogeneous activation that phi becomes at q = 0 or inf."""
    if q == math.inf and not entry.homogeneous:
        with np.errstate(over="ignore"):
            left, right = entry.slope(np.array([-_FAR, _FAR]), slope)
        return float(left), float(right)
    return entry.slopes_at_zero(slope)

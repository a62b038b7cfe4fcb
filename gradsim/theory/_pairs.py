"""Averages over two correlated normal numbers, closed where a form is known.

Y. Cho and L. K. Saul, "Kernel methods for deep learning", NeurIPS 2009, eq. 6 (relu and its like);
C. K. I. Williams, "Computing with infinite networks", NeurIPS 1997, eq. 11 (erf).
"""

import math

from gradsim.kernels.activations import Activation
from gradsim.theory._gaussian import pair_mean


def pair_values(entry: Activation, q: float, eps: float, slope: float) -> tuple[float, float]:
    """(E phi(u1) phi(u2), E phi^2 - E phi(u1) phi(u2)) at variance q and correlation 1 - eps."""
    c = 1 - eps
    if entry.homogeneous:
        left, right = entry.slopes_at_zero(slope)
        even, odd = (right - left) ** 2 / 4, (right + left) ** 2 / 4
        lost = q * (odd * eps + even * (eps - 2 / math.pi * _bend(eps)))
        return q * (odd + even) - lost, lost
    if entry.name == "sine":
        product = (math.exp(-q * eps) - math.exp(-q * (2 - eps))) / 2
        return product, -(math.expm1(-q * eps) + math.exp(-2 * q) * -math.expm1(q * eps)) / 2
    if entry.name == "erf":
        full, part = 2 * q / (1 + 2 * q), 2 * q * c / (1 + 2 * q)
        return 2 / math.pi * math.asin(part), 2 / math.pi * _asin_gap(full, part, full * eps)
    return pair_mean(lambda z: entry.value(z, slope), q, eps, entry.kinks)


def pair_slopes(entry: Activation, q: float, eps: float, slope: float) -> float:
    """E phi'(u1) phi'(u2) at variance q and correlation 1 - eps."""
    c = 1 - eps
    if entry.homogeneous or q == 0:
        left, right = entry.slopes_at_zero(slope)
        angle = 2 / math.pi * math.asin(c)
        return (right + left) ** 2 / 4 + (right - left) ** 2 / 4 * angle
    if entry.name == "sine":
        return (math.exp(-q * eps) + math.exp(-q * (2 - eps))) / 2
    if entry.name == "erf":
        return 4 / math.pi / math.sqrt((1 + 2 * q * eps) * (1 + 2 * q * (2 - eps)))
    return pair_mean(lambda z: entry.slope(z, slope), q, eps, entry.kinks)[0]


def _asin_gap(a: float, b: float, gap: float) -> float:
    """Return asin a - asin b, where gap = a - b is known without cancellation and a >= 0."""
    one, two = math.sqrt((1 - a) * (1 + a)), math.sqrt((1 - b) * (1 + b))
    sine = gap * (a + b) / (a * two + b * one) if b > 0 else a * two - b * one
    return math.atan2(sine, a * b + one * two)


def _bend(eps: float) -> float:
    """Sin t - t cos t at cos t = 1 - eps."""
    t = 2 * math.asin(math.sqrt(eps / 2))
    return t**3 / 3 - t**5 / 30 if t < 1e-3 else math.sin(t) - t * math.cos(t)

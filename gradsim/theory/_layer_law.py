"""Exact law of ||delta^l||^2 / ||delta^(l+1)||^2 in one layer with two slopes, and sums of such.

The ratio is s^2 R F: R = chi^2_n / n for Gaussian weights (1 for orthogonal ones), and F the share
that the slopes let through, r^2 B + l^2 (1 - B) with B ~ Beta(M/2, (n - M)/2) and M ~
Binomial(n, 1/2) units on the right side. R and F are independent, and so are the layers.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_FAR = 90.0  # logits of B beyond which less than 1e-19 is left
_SMALLEST = 1e-22  # probabilities that are dropped
_DONE = 1e-14  # size of a characteristic function that counts as 0
_PERIOD = 100.0  # standard deviations that an inverted characteristic function repeats after


class Cumulants(NamedTuple):
    """First four cumulants of a sum of independent terms."""

    mean: float
    variance: float
    third: float
    fourth: float

    def plus(self, other: "Cumulants", times: int = 1) -> "Cumulants":
        """Cumulants with `times` independent terms added."""
        return Cumulants(*(a + times * b for a, b in zip(self, other)))


class Slopes(NamedTuple):
    """Slopes of a homogeneous activation, and whether the weights are Gaussian or orthogonal."""

    left: float
    right: float
    gaussian: bool = True

    @property
    def mean_square(self) -> float:
        """E F."""
        return (self.left**2 + self.right**2) / 2

    @property
    def flatness(self) -> float:
        """E phi'^4 / (E phi'^2)^2: 1 for a linear network, 2 for relu."""
        return (self.left**4 + self.right**4) / 2 / self.mean_square**2

    def square_excess(self, n: int) -> float:
        """E (R F)^2 / (E R F)^2 - 1."""
        if self.gaussian:
            return (3 * self.flatness - 1) / n
        return 3 * (self.flatness - 1) / (n + 2)

    def zero_probability(self, n: int) -> float:
        """P(F = 0)."""
        zeros = (self.left == 0) + (self.right == 0)
        return 1.0 if zeros == 2 else zeros * 2.0**-n


@lru_cache(maxsize=512)
def share(slopes: Slopes, n: int) -> tuple[Array, Array]:
    """Points ln F and their probabilities given F > 0, (point,): trapezium rule in logit B.

    The density in logit B is analytic within pi of the real line and falls exponentially, so that
    the rule converges exponentially.
    """
    from scipy.special import betaln, gammaln  # slow to import

    left, right = abs(slopes.left), abs(slopes.right)
    with np.errstate(divide="ignore"):
        ends = np.log(np.array([left, right]) ** 2)
    if left == right:
        return ends[:1], np.ones(1)
    step = min(0.1, 0.8 / math.sqrt(n))
    y = np.arange(-_FAR, _FAR, step)
    up = np.logaddexp(0, y)  # softplus
    m = np.arange(1, n)
    log_p = gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1) - n * math.log(2)
    weights = np.zeros_like(y)
    for k, p in zip(m, log_p):
        if p > math.log(_SMALLEST):
            weights += np.exp(p + k / 2 * y - n / 2 * up - betaln(k / 2, (n - k) / 2))
    points = np.logaddexp(ends[1] + y - up, ends[0] - up)
    points = np.append(points, ends)
    weights = np.append(step * weights, [2.0**-n] * 2)
    kept = (weights > _SMALLEST) & np.isfinite(points)
    return points[kept], weights[kept] / weights[kept].sum()


@lru_cache(maxsize=512)
def cumulants(slopes: Slopes, n: int) -> Cumulants:
    """Cumulants of ln(R F) given F > 0."""
    from scipy.special import polygamma  # slow to import

    points, p = share(slopes, n)
    mean = float(p @ points)
    m2, m3, m4 = (float(p @ (points - mean) ** k) for k in (2, 3, 4))
    law = Cumulants(mean, m2, m3, m4 - 3 * m2 * m2)
    if not slopes.gaussian:
        return law
    radius = [float(polygamma(k, n / 2)) for k in range(4)]
    radius[0] += math.log(2 / n)
    return law.plus(Cumulants(*radius))


def characteristic(slopes: Slopes, n: int, w: Array) -> Array:
    """E exp(i w ln(R F)) given F > 0, for each w."""
    from scipy.special import loggamma  # slow to import

    points, p = share(slopes, n)
    total = np.zeros(w.shape, np.complex128)
    for part in np.array_split(np.arange(points.size), max(1, points.size // 512)):
        total += np.exp(1j * np.outer(w, points[part])) @ p[part]
    if slopes.gaussian:
        log = loggamma(n / 2 + 1j * w) - loggamma(n / 2) + 1j * w * math.log(2 / n)
        total *= np.exp(log)
    return total


def quantiles(slopes: Slopes, widths: list[int], shifts: Array, levels: Array) -> Array:
    """Quantiles (sum, level) of the sums of ln(R F) + shift over 1, 2, ... layers of `widths`.

    `shifts` (sum,) are those of the whole sums, `levels` (sum, level) those that are asked of each;
    levels of 0 and below give -inf. The characteristic function is inverted by the
    formula of J. Gil-Pelaez (Biometrika 1951), summed at half-odd frequencies: the error is the
    probability beyond half the period.
    """
    if not widths:
        return np.zeros((0, levels.shape[1]))
    laws = {n: cumulants(slopes, n) for n in widths}
    total = Cumulants(0.0, 0.0, 0.0, 0.0)
    sums = [total := total.plus(laws[n]) for n in widths]
    if not slopes.gaussian and sums[-1].variance > 0:
        raise ValueError("quantiles are known for Gaussian weights, got orthogonal ones")
    if sums[-1].variance == 0:
        means = np.add(shifts, [s.mean for s in sums])[:, None]
        return np.where(levels > 0, means, -np.inf)
    w = _frequencies(slopes, widths[0], sums[0].variance, sums[-1].variance)
    factors = {n: characteristic(slopes, n, w) for n in laws}
    product, found = np.ones(w.shape, np.complex128), []
    for n, law, shift, own in zip(widths, sums, shifts, levels):
        product = product * factors[n]
        kept = np.abs(product) > _DONE
        found.append(_invert(w[kept], product[kept], law, own) + shift)
    return np.array(found)


def distribution(slopes: Slopes, widths: list[int], points: Array) -> Array:
    """P(sum of ln(R F) over the layers <= point) for each point, Gaussian weights."""
    total = Cumulants(0.0, 0.0, 0.0, 0.0)
    for n in widths:
        total = total.plus(cumulants(slopes, n))
    w = _frequencies(slopes, widths[0], cumulants(slopes, widths[0]).variance, total.variance)
    product = np.ones(w.shape, complex)
    for n in set(widths):
        product *= characteristic(slopes, n, w) ** widths.count(n)
    coefficients = product * (2 * w[0] / w) / math.pi
    found = 0.5 - np.imag(np.exp(-1j * np.outer(points, w)) @ coefficients)
    return np.clip(found, 0.0, 1.0)


def _frequencies(slopes: Slopes, n: int, first: float, last: float) -> Array:
    """Half-odd multiples of a step, up to where the first layer's law has no more to say."""
    step = 2 * math.pi / (_PERIOD * math.sqrt(last))
    top = 1 / math.sqrt(first)
    while abs(characteristic(slopes, n, np.array([top]))[0]) > _DONE:
        top *= 1.25
    return step * (np.arange(math.ceil(top / step)) + 0.5)


def _invert(w: Array, values: Array, law: Cumulants, levels: Array) -> Array:
    """Quantiles (level,) of a law from its characteristic function at half-odd multiples."""
    from scipy.optimize import brentq  # slow to import

    coefficients = values * (2 * w[0] / w) / math.pi  # w = (k + 1/2) 2 w[0]

    def distribution(t: float) -> float:
        return 0.5 - float(np.sum(np.imag(coefficients * np.exp(-1j * w * t))))

    spread, found = math.sqrt(law.variance), []
    for level in levels:
        if level <= 0:
            found.append(-math.inf)
            continue
        low, high = law.mean - 3 * spread, law.mean + 3 * spread
        while distribution(low) > level:
            low -= 3 * spread
        while distribution(high) < level:
            high += 3 * spread
        root = brentq(lambda t, p=level: distribution(t) - p, low, high, xtol=1e-10 * spread)
        found.append(float(root))  # type: ignore[arg-type]
    return np.array(found)

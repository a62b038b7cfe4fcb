"""Gaussian averages by quadrature, and the root finder that the theory shares."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_ORDER = 16  # Gauss-Legendre nodes per panel
_FINEST = -40  # the panel next to 0 ends at 2**_FINEST: resolves sqrt(q) up to about 1e12
_TAIL = 10  # P(|Z| > 10) = 1.5e-23
SMALLEST, LARGEST = 1e-290, 1e24  # outside, a mean square counts as 0 or as infinite


def _grid(cuts: Sequence[float] = ()) -> tuple[Array, Array]:
    """Nodes and weights (node,): panels halve towards 0, so that no scale of f is too narrow."""
    right = np.concatenate((2.0 ** np.arange(_FINEST, 1), np.arange(2.0, _TAIL + 1)))
    edges = np.unique(np.concatenate((-right, [0.0], right, cuts)))
    x, w = _LEGENDRE
    half = np.diff(edges)[:, None] / 2
    z = (edges[:-1, None] + half * (1 + x)).ravel()
    return z, (half * w).ravel() * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


_LEGENDRE = np.polynomial.legendre.leggauss(_ORDER)
_NODES, _WEIGHTS = _grid()


def gaussian_mean(f: Callable[[Array], Array], q: float, kinks: Sequence[float] = ()) -> float:
    """E f(sqrt(q) Z) for a standard normal Z.

    Composite Gauss-Legendre quadrature split at 0 and at `kinks`, where `f` may jump. For the
    activations and their slopes the error is below 1e-12 of the largest relevant value of `f`.

    Parameters
    ----------
    f
        Function of an array, elementwise; smooth between 0 and the kinks.
    q
        Variance, a finite number >= 0; 0 gives f(0).
    kinks
        Further points where `f` is not smooth.

    Returns
    -------
    float
        The average.

    Raises
    ------
    ValueError
        If `q` is negative or not finite.

    Examples
    --------
    >>> round(gaussian_mean(np.abs, 1.0), 12) == round((2 / np.pi) ** 0.5, 12)
    True
    """
    if not 0 <= q < math.inf:
        raise ValueError(f"q must be a finite number >= 0, got {q!r}")
    with np.errstate(over="ignore", under="ignore"):  # in the tails of exp and cosh
        scale = math.sqrt(q)
        cuts = tuple(k / scale for k in kinks if abs(k) < _TAIL * scale)
        nodes, weights = _grid(cuts) if cuts else (_NODES, _WEIGHTS)
        return float(weights @ f(scale * nodes))


def crossing(f: Callable[[float], float], start: float) -> float:
    """Return the q > 0 at which f, negative below and positive above, is 0.

    `start` > 0 is where the search for a bracket begins. The result is 0.0 if f is positive all the
    way down to `SMALLEST`, and inf if it is negative all the way up to `LARGEST`.
    """
    from scipy.optimize import brentq  # slow to import

    high = start
    while f(high) < 0:
        high *= 2
        if high > LARGEST:
            return math.inf
    low = high
    while f(low) > 0:
        low /= 2
        if low < SMALLEST:
            return 0.0
    if low == high:
        return low
    return float(brentq(f, low, 2 * low, xtol=1e-15 * low))  # type: ignore[arg-type]


def pair_mean(
    f: Callable[[Array], Array], q: float, eps: float, kinks: Sequence[float] = ()
) -> tuple[float, float]:
    """(E f(u1) f(u2), E f(u1)^2 - E f(u1) f(u2)) for u1, u2 ~ N(0, q) of correlation 1 - eps.

    The two share sqrt(q c) Z for c = 1 - eps >= 0, so that the second number is the mean variance
    of f given that share and does not cancel where eps is small. For c < 0 they share it with
    opposite signs.
    """
    c = 1 - eps
    common, own = q * abs(c), q * (eps if c >= 0 else 2 - eps)
    weights, means, variances = given_shared(f, common, own, kinks)
    if c >= 0:
        return float(weights @ means**2), float(weights @ variances)
    product = float(weights @ (means * means[::-1]))  # the nodes are symmetric about 0
    return product, float(weights @ (variances + means**2)) - product


def given_shared(
    f: Callable[[Array], Array], shared: float, own: float, kinks: Sequence[float] = ()
) -> tuple[Array, Array, Array]:
    """Mean and variance of f(m + sqrt(own) Z) at nodes m ~ N(0, shared), after their weights."""
    means, weights, z, inner = _nested(shared, own, tuple(kinks))
    values = f(means[:, None] + math.sqrt(own) * z)
    mean = np.sum(inner * values, axis=1)
    return weights, mean, np.sum(inner * np.square(values - mean[:, None]), axis=1)


@lru_cache(maxsize=1)  # a function and its slope are wanted at the same nodes, one after the other
def _nested(shared: float, own: float, kinks: tuple[float, ...]) -> tuple[Array, ...]:
    """Nodes m ~ N(0, shared) and weights (node,), and those of Z given each (node, inner)."""
    spread, scale = math.sqrt(own), math.sqrt(shared)
    breaks = np.array(sorted({0.0, *kinks, *(-k for k in kinks)}))
    fine = max(math.sqrt(shared + own), 1.0) / min(max(spread, 1e-12), 1.0)
    nodes, weights = _composite(_panels(breaks / scale if scale else np.zeros(1), fine))
    found = (scale * nodes, weights, *_conditional(scale * nodes, spread, breaks))
    for array in found:
        array.flags.writeable = False
    return found


def _panels(centres: Array, fine: float) -> Array:
    """Edges of panels that halve towards each centre down to 1 / (8 fine), within the tail."""
    steps = 2.0 ** np.arange(-min(45, math.ceil(math.log2(fine)) + 3), 1)
    around = np.concatenate((-steps, [0.0], steps))
    edges = np.concatenate((np.arange(-_TAIL, _TAIL + 1.0), (centres[:, None] + around).ravel()))
    return np.unique(np.clip(edges, -_TAIL, _TAIL))


def _composite(edges: Array) -> tuple[Array, Array]:
    """Nodes and weights of a standard normal number on panels (..., edge)."""
    x, w = _LEGENDRE
    half = np.diff(edges)[..., None] / 2
    z = edges[..., :-1, None] + half * (1 + x)
    weights = half * w * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return z.reshape(*edges.shape[:-1], -1), weights.reshape(*edges.shape[:-1], -1)


def _conditional(means: Array, spread: float, breaks: Array) -> tuple[Array, Array]:
    """Nodes and weights of Z for each m (node, inner), split where f(m + spread Z) may kink."""
    if spread == 0:
        return np.zeros((len(means), 1)), np.ones((len(means), 1))
    at = (breaks - means[:, None]) / spread  # where f may kink, in units of Z
    depth = max(0, math.ceil(math.log2(spread))) + 3 if spread > 1 else 0
    steps = 2.0 ** np.arange(-depth, 1) if depth else np.zeros(0)
    around = np.concatenate((-steps, [0.0], steps))
    cuts = np.clip((at[:, :, None] + around).reshape(len(means), -1), -_TAIL, _TAIL)
    plain = np.broadcast_to(np.arange(-_TAIL, _TAIL + 1.0), (len(means), 2 * _TAIL + 1))
    return _composite(np.sort(np.concatenate((plain, cuts), axis=1), axis=1))

"""Gaussian averages by quadrature, and the root finder that the theory shares."""

import math
from collections.abc import Callable, Sequence
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

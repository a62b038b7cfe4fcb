"""A group of reference numbers with the same source, as printed and as theory computes them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

EXACT, ASYMPTOTIC = "exact", "asymptotic"
WIDTHS = (48, 96, 192)


@dataclass(frozen=True)
class Group:
    """Numbers of one source; ``values`` computes them in the order of ``names`` and ``printed``.

    ``error`` is what a printed number may be off, where it was sampled; None: its last digit.
    """

    source: str
    names: tuple[str, ...]
    printed: tuple[str, ...]
    values: Callable[[], Sequence[float]]
    kind: str
    error: float | None = None

    def lines(self):
        """(source, name, printed, computed, whether they agree to the digits) of every number."""
        for name, printed, computed in zip(self.names, self.printed, self.values(), strict=True):
            if printed != ".":  # the source has no number there
                agree = agrees(printed, float(computed), self.error)
                yield self.source, name, printed, float(computed), agree


def agrees(printed, computed, error=None):
    """Whether a number is the printed one, to its last digit; whole numbers are meant exactly."""
    if error is not None:
        return abs(computed - float(printed)) < error
    if not math.isfinite(computed):
        return computed == float(printed)
    places = Decimal(printed).as_tuple().exponent
    half = 0.6 * 10.0**places if "." in printed else 1e-9 * abs(float(printed)) + 1e-9
    return abs(computed - float(printed)) < half


def group(source, names, printed, values, kind=ASYMPTOTIC, error=None):
    """Group from texts of words; one name is counted on."""
    words = printed.split()
    names = names.split() if isinstance(names, str) else list(names)
    if len(names) == 1 < len(words):
        names = [f"{names[0]} {i + 1}" for i in range(len(words))]
    return Group(source, tuple(names), tuple(words), values, kind, error)


@dataclass(frozen=True)
class Row:
    """A published number, what theory computes, and how to simulate it (value, standard error).

    ``computed`` is None where no theory is known; ``printed`` was sampled if it has an ``error``.
    """

    source: str
    printed: str
    computed: Callable[[], float] | None
    simulated: Callable[[], tuple[float, float]]
    tolerance: float | None = None  # None: exact
    error: float = 0.0


def mean_of(sample):
    return sample.mean(), sample.std() / math.sqrt(sample.size)


def share_of(events):
    """Share and its standard error, the latter as if one more event of either kind was seen."""
    p = (np.sum(events) + 1) / (np.size(events) + 2)
    return np.mean(events), math.sqrt(p * (1 - p) / np.size(events))


def quantile_of(sample, level):
    """Quantile, and half the distance between those one standard error of the rank away."""
    step = math.sqrt(level * (1 - level) / sample.size)
    low, middle, high = np.quantile(sample, [max(level - step, 0), level, min(level + step, 1)])
    return middle, (high - low) / 2


def extrapolated(measure, widths=WIDTHS, order=0):
    """Value and error at 1/n = 0 of a straight line through measure(n) = (value, error).

    Order 1: of its slope in 1/n.
    """
    found = np.array([measure(n) for n in widths])
    design = np.stack([np.ones(len(widths)), 1 / np.array(widths)], axis=1)
    weighted = design / found[:, 1:]
    covariance = np.linalg.inv(weighted.T @ weighted)
    value = covariance @ weighted.T @ (found[:, 0] / found[:, 1])
    return value[order], math.sqrt(covariance[order, order])

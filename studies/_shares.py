"""Shares of networks with the exact binomial interval, no point even where it is all or none."""

import math
from typing import Any

import numpy as np
from scipy.stats import beta

from gradsim.studies._study import LEVEL, Row


def interval(hits: Any) -> tuple[float, float]:
    """Interval of Clopper and Pearson (1934) for the share of True in `hits` (network,)."""
    found = np.asarray(hits, dtype=bool)
    count, yes, tail = found.size, int(found.sum()), (1 - LEVEL) / 2
    low = float(beta.ppf(tail, yes, count - yes + 1)) if yes else 0.0
    high = float(beta.ppf(1 - tail, yes + 1, count - yes)) if yes < count else 1.0
    return low, high


def share(hits: Any, theory: float = math.nan) -> Row:
    """Share of True in `hits` (network,) with its interval, as a row of a study; at least one."""
    return float(np.mean(hits)), *interval(hits), theory


def share_bars(ax: Any, x: Any, hits: Any, **style: Any) -> None:
    """Draw the share of True in each row of `hits` (x, network) in per cent, with its interval."""
    rows = np.asarray(hits, dtype=bool)
    mean, ends = rows.mean(axis=1), np.array([interval(row) for row in rows])
    ax.errorbar(x, 100 * mean, 100 * abs(ends.T - mean), fmt="o-", capsize=3, **style)

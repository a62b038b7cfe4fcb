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

"""Parts of a claim: their margins, intervals over networks, and the verdict that follows.

Each `Part` is one statement about one number; it holds if the whole interval of the number lies
within the margin, fails if the whole interval lies outside, and is undecided if the interval
crosses an end. So "no effect" needs an interval within a margin around 0, never the mere lack of a
significant difference.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

LEVEL = 0.99
HOLDS, CONDITION, FAILS = "holds", "holds with a condition", "fails"
UNDECIDED, UNTESTABLE = "undecided", "not testable here"
_RESAMPLES, _RESAMPLE_SEED = 1000, 20_250_101
_COLUMNS = {
    "estimate": "estimate",
    "low": "lower end of the 99 % interval",
    "high": "upper end of the 99 % interval",
    "theory": "value that theory expects",
    "margin_low": "least value at which the part holds",
    "margin_high": "largest value at which the part holds",
}

Row = tuple[float, float, float, float]


@dataclass(frozen=True)
class Part:
    """One statement of a claim: a number that must lie in [low, high].

    `holds` is what the condition of the study says of it, beforehand.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    holds: bool = True


def judged(name: str, parts: Sequence[Part], rows: Sequence[Row]) -> xr.Dataset:
    """Estimates and margins over `part`, of the study `name`."""
    numbers = np.array(rows, dtype=np.float64)
    if numbers.shape != (len(parts), 4):
        raise ValueError(f"{name}: {len(parts)} parts, estimates {numbers.shape}")
    margins = np.array([[part.low, part.high] for part in parts])
    columns = np.concatenate([numbers, margins], axis=1).T
    data = {
        column: ("part", values, {"long_name": text, "units": "1"})
        for (column, text), values in zip(_COLUMNS.items(), columns)
    }
    said = {"long_name": "what the condition says of the part"}
    data["condition_holds"] = ("part", np.array([part.holds for part in parts]), said)
    return xr.Dataset(data, {"part": [part.text for part in parts]})


def status(ds: xr.Dataset) -> list[str]:
    """Whether each part holds, from the numbers in the Dataset alone."""
    return [
        _status(*values)
        for values in zip(*(ds[n].values for n in ("low", "high", "margin_low", "margin_high")))
    ]


def _status(low: float, high: float, margin_low: float, margin_high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return UNTESTABLE
    if margin_low <= low and high <= margin_high:
        return HOLDS
    return FAILS if high < margin_low or low > margin_high else UNDECIDED


def verdict(ds: xr.Dataset) -> str:
    """Verdict on the claim: the parts in one word, undecided as soon as one of them is."""
    found = set(status(ds))
    for word in (UNDECIDED, UNTESTABLE):
        if word in found:
            return word
    return CONDITION if len(found) > 1 else found.pop()


def bootstrap(statistic: Callable[[np.ndarray], Any], values: Any, theory: float = math.nan) -> Row:
    """Estimate, percentile interval from resampled seeds, and theory.

    `values` is (seed, ...); the statistic maps any number of such rows to a number.
    """
    values = np.asarray(values, dtype=np.float64)
    estimate, count = float(statistic(values)), len(values)
    draw = np.random.default_rng(_RESAMPLE_SEED)
    drawn = [statistic(values[draw.integers(count, size=count)]) for _ in range(_RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return estimate, float(low), float(high), theory


def log10_rms(logs: np.ndarray) -> float:
    """Half the log10 of the mean square of 10^logs over networks (seed, ...)."""
    top = logs.max()
    return float(top + 0.5 * np.log10(np.mean(10.0 ** (2 * (logs - top)))))

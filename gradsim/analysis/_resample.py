"""Growth of an ensemble and its bootstrap intervals: whole seeds are resampled."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gradsim.analysis._labels import Array, divide
from gradsim.analysis._quantile import inverted_cdf

_RESAMPLE_SEED = 20_240_229
_BLOCK_ENTRIES = 1 << 22
_DECADES = 125.0  # far from the 308 at which doubles underflow


class Parts(NamedTuple):
    """What each seed adds to the statistics, (seed, condition); `span` is (condition,)."""

    growth: Array
    finite: Array
    start: Array
    end: Array
    span: Array


def seed_parts(growth: Array, start: Array, end: Array, span: Array) -> Parts:
    """Parts of growth and of values at both ends (condition, seed, example)."""
    finite, known = np.isfinite(growth), ~np.isnan(growth)
    return Parts(
        np.where(finite, growth, 0.0).sum(axis=2).T,
        finite.sum(axis=2).T.astype(np.float64),
        log_sum_square(np.where(known, start, -np.inf)).T,
        log_sum_square(np.where(known, end, -np.inf)).T,
        span,
    )


def statistics(parts: Parts, weights: Array) -> Array:
    """Growth (resample, statistic, condition) with each seed counted `weights` (resample, seed)."""
    typical = divide(weights @ parts.growth, weights @ parts.finite)
    with np.errstate(invalid="ignore"):  # the mean squares have the same number of terms
        ratio = log_weighted_sum(weights, parts.start) - log_weighted_sum(weights, parts.end)
        return np.stack([typical, ratio / (2 * parts.span)], axis=1)


def percentile_interval(
    parts: Parts, enough: Array, level: float, resamples: int
) -> tuple[Array, Array]:
    """Percentile intervals (statistic, condition) from resampled seeds."""
    blocks = [statistics(parts, weights) for weights in resamples_of(len(parts.growth), resamples)]
    drawn = np.moveaxis(np.concatenate(blocks), 0, -1)
    low, high = inverted_cdf(drawn, np.array([(1 - level) / 2, (1 + level) / 2]))
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def check_interval(level: float, resamples: int) -> None:
    """Refuse a level that is no probability and a number of resamples below 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level!r}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples!r}")


def block_columns(resamples: int) -> int:
    """Return how many statistics to resample at once, so that what is drawn stays bounded."""
    return max(1, _BLOCK_ENTRIES // resamples)


def resamples_of(seeds: int, resamples: int, stream: int = 0) -> Iterator[Array]:
    """Yield how often each seed is drawn, (resample, seed), in blocks of bounded size.

    Another stream is an independent set of resamples.
    """
    generator = np.random.default_rng(_RESAMPLE_SEED + stream)
    block = max(1, _BLOCK_ENTRIES // seeds)
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        drawn = generator.integers(seeds, size=(rows, seeds)) + seeds * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * seeds).reshape(rows, seeds) * 1.0


def log_sum_square(values: Array) -> Array:
    """log10(sum(10^(2 x))) over the last axis."""
    top = _finite_max(values, axis=-1)
    with np.errstate(divide="ignore"):
        return 2 * top + np.log10(np.sum(10.0 ** (2 * (values - top[..., None])), axis=-1))


def _finite_max(values: Array, axis: int) -> Array:
    top = values.max(axis=axis)
    return np.where(np.isfinite(top), top, 0.0)


def log_weighted_sum(weights: Array, logs: Array) -> Array:
    """log10(weights @ 10^logs) for any logs.

    A resample without the largest entries may underflow after scaling by the maximum; it is done
    again with the maximum of the entries left over.
    """
    result = np.full((len(weights), logs.shape[1]), -np.inf)
    while np.isfinite(logs).any():
        top = _finite_max(logs, axis=0)
        total = weights @ 10.0 ** (logs - top)
        ready = np.isneginf(result) & (total > 10.0**-_DECADES)
        np.copyto(result, top + np.log10(total, where=ready, out=np.zeros_like(total)), where=ready)
        logs = np.where(logs > top - _DECADES, -np.inf, logs)
    return result

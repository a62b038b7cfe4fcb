"""Checks of the arguments of public calls: each error names the argument, the value, the rule."""

import os
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from gradsim.models import choice, whole


def parse_seeds(seeds: Any) -> Sequence[int]:
    """Distinct seeds: n means 0..n-1 (as a range: n may be too large to list).

    Raises
    ------
    TypeError, ValueError
        For anything but a positive integer or an iterable of distinct integers in [0, 2**64).
    """
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        return range(whole("simulate", "seeds", seeds))
    scalar = np.ndim(seeds) == 0 if isinstance(seeds, np.ndarray) else False
    if scalar or isinstance(seeds, str | bytes | bool | float) or not isinstance(seeds, Iterable):
        raise TypeError(f"seeds must be an integer >= 1 or an iterable of integers, got {seeds!r}")
    values = list(np.asarray(seeds).tolist()) if isinstance(seeds, np.ndarray) else list(seeds)
    if not values:
        raise ValueError("seeds must not be empty")
    for value in values:
        if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
            raise TypeError(f"seeds must be integers, got {value!r}")
        if not 0 <= int(value) < 2**64:
            raise ValueError(f"seeds must be in [0, 2**64), got {value}")
    result = [int(value) for value in values]
    if len(set(result)) != len(result):
        repeated = next(v for v in result if result.count(v) > 1)
        raise ValueError(f"seeds must be distinct, got {repeated} more than once")
    return result


def parse_seed(where: str, name: str, value: Any, bits: int) -> int:
    """Seed or key: an integer in [0, 2**bits)."""
    whole(where, name, value, least=0)
    if value >= 2**bits:
        raise ValueError(f"{where}({name}={value!r}): {name} must be in [0, 2**{bits})")
    return int(value)


def parse_dtype(dtype: Any) -> np.dtype:
    """float32 or float64."""
    if dtype is None:
        raise TypeError("dtype must be 'float32' or 'float64', got None")
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be 'float32' or 'float64', got {dtype!r}") from error
    if kind not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return kind


def parse_batch(batch: Any) -> bool:
    """Whether every example is a result of its own."""
    return choice("simulate", "batch", batch, ("mean", "each")) == "each"


def parse_threads(threads: Any) -> int:
    """Number of threads; None means the processors that this process may use."""
    if threads is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    return whole("simulate", "threads", threads)


def parse_memory(limit: Any) -> float:
    """Bytes that a run may take; None means what the machine has free."""
    if limit is None:
        return _available()
    return float(whole("simulate", "memory_limit", limit))


def parse_progress(progress: Any) -> bool | None:
    """True, False or None (a bar on a terminal, for runs of more than about two seconds)."""
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress must be True, False or None, got {progress!r}")
    return None if progress is None else bool(progress)


def _available() -> float:
    """Free memory of the machine in bytes, or no limit where it cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float("inf")

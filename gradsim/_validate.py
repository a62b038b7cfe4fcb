"""Checks of the arguments of public calls: each error names the argument, the value, the rule."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from numbers import Integral, Real
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief, unknown

MOST_LISTED = 10**7  # seeds that are not a range


def whole(where: str, name: str, value: Any, least: int = 1) -> int:
    """Check an integer argument; TypeError or ValueError names it."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{where}({name}={brief(value)}): {name} must be an integer >= {least}")
    if value < least:
        raise ValueError(f"{where}({name}={brief(value)}): {name} must be an integer >= {least}")
    return int(value)


def real(where: str, name: str, value: Any, least: float | None = 0.0) -> float:
    """Check a finite real argument, by default not negative."""
    limit = "a finite number" if least is None else f"a finite number >= {least:g}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{where}({name}={brief(value)}): {name} must be {limit}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of float64
        number = np.inf
    if not np.isfinite(number) or (least is not None and number < least):
        raise ValueError(f"{where}({name}={brief(value)}): {name} must be {limit}")
    return number


def choice(where: str, name: str, value: Any, allowed: Sequence[str]) -> str:
    """Check a name against those allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise unknown(f"{where}: {name}", value, list(allowed))
    return value


def as_numbers(name: str, value: Any) -> np.ndarray:
    """Float64 array of finite numbers (integers stay integers); errors name the argument."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a rectangular array of numbers, got {brief(value)}"
        ) from error
    if np.ma.is_masked(value):
        raise ValueError(f"{name} must not be masked, got {np.ma.count_masked(value)} entries so")
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if array.dtype.kind in "iu":
        return array
    with np.errstate(over="ignore"):  # a long double may be infinite in float64
        array = array.astype(np.float64, copy=False)
    wrong = array.size - np.count_nonzero(np.isfinite(array))
    if wrong:
        raise ValueError(f"{name} must be finite, got {wrong} NaN or infinite")
    return array


def parse_seeds(seeds: Any) -> Sequence[int]:
    """Distinct seeds: n means 0..n-1.  A range stays one, for it may be too long to list.

    Raises
    ------
    TypeError, ValueError
        For anything but a positive integer or an iterable of distinct integers in [0, 2**64).
    """
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        seeds = range(whole("simulate", "seeds", seeds))
    values = seeds if isinstance(seeds, range) else _listed(seeds)
    if not values:
        raise ValueError("seeds must not be empty")
    for value in (values[0], values[-1]) if isinstance(values, range) else values:
        if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
            raise TypeError(f"seeds must be integers, got {brief(value)}")
        if not 0 <= int(value) < 2**64:
            raise ValueError(f"seeds must be in [0, 2**64), got {brief(value)}")
    if isinstance(values, range):
        if abs(values[-1] - values[0]) // abs(values.step) >= sys.maxsize:
            raise ValueError(f"seeds must be fewer than 2**63, got {brief(values)}")
        return values
    return _distinct([int(value) for value in values])


def _listed(seeds: Any) -> list[Any]:
    """Entries of an iterable or an array of one dimension."""
    array = isinstance(seeds, np.ndarray | xr.DataArray)
    scalar = seeds.ndim == 0 if array else isinstance(seeds, str | bytes)
    if scalar or not isinstance(seeds, Iterable):
        raise TypeError(
            f"seeds must be an integer >= 1 or an iterable of integers, got {brief(seeds)}"
        )
    values = np.asarray(seeds).tolist() if array else list(islice(seeds, MOST_LISTED + 1))
    if len(values) > MOST_LISTED:  # an iterable may have no end
        raise ValueError(
            f"seeds must be a range where there are more than {MOST_LISTED}, got {brief(seeds)}"
        )
    return values


def _distinct(seeds: list[int]) -> list[int]:
    seen: set[int] = set()
    for seed in seeds:
        if seed in seen:
            raise ValueError(f"seeds must be distinct, got {seed} more than once")
        seen.add(seed)
    return seeds


def parse_seed(where: str, name: str, value: Any, bits: int) -> int:
    """Seed or key: an integer in [0, 2**bits)."""
    whole(where, name, value, least=0)
    if value >= 2**bits:
        raise ValueError(f"{where}({name}={brief(value)}): {name} must be in [0, 2**{bits})")
    return int(value)


def parse_dtype(dtype: Any) -> np.dtype:
    """float32 or float64."""
    if dtype is None:
        raise TypeError("dtype must be 'float32' or 'float64', got None")
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:  # NumPy parses text
        raise TypeError(f"dtype must be 'float32' or 'float64', got {brief(dtype)}") from error
    if kind not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {brief(dtype)}")
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


def parse_memory(limit: Any) -> int:
    """Bytes that a run may take; None means what this process may still have."""
    if limit is None:
        return _available()
    return whole("simulate", "memory_limit", limit)


def parse_progress(progress: Any) -> bool | None:
    """True, False or None (a bar on a terminal, for runs of more than about two seconds)."""
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress must be True, False or None, got {brief(progress)}")
    return None if progress is None else bool(progress)


def _available() -> int:
    """Bytes that the machine has free, within the process's own limit; all where none is known."""
    free = sys.maxsize
    with suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        free = next((1024 * int(x.split()[1]) for x in file if x.startswith("MemAvailable:")), free)
    with suppress(ImportError, OSError):  # not on every system
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm", encoding="ascii") as file:
                used = int(file.read().split()[0]) * resource.getpagesize()
            free = min(free, max(limit - used, 0))
    return free

"""Checks of one field or argument: each error names it, its value and what is allowed."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from gradsim._registry import unknown


def whole(where: str, name: str, value: Any, least: int = 1) -> int:
    """Check an integer argument; TypeError or ValueError names it."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{where}({name}={value!r}): {name} must be an integer >= {least}")
    if value < least:
        raise ValueError(f"{where}({name}={value!r}): {name} must be an integer >= {least}")
    return int(value)


def real(where: str, name: str, value: Any, least: float | None = 0.0) -> float:
    """Check a finite real argument, by default not negative."""
    limit = "a finite number" if least is None else f"a finite number >= {least:g}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{where}({name}={value!r}): {name} must be {limit}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of float64
        number = np.inf
    if not np.isfinite(number) or (least is not None and number < least):
        raise ValueError(f"{where}({name}={repr(value)[:60]}): {name} must be {limit}")
    return number


def choice(where: str, name: str, value: Any, allowed: Sequence[str]) -> str:
    """Check a name against those allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise unknown(f"{where}: {name}", value, list(allowed))
    return value

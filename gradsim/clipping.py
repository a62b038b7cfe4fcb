"""Gradient clipping, by the norm of the whole gradient or by value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradsim._registry import brief
from gradsim.scaled import Scaled

MODES = ("norm", "value")


@dataclass(frozen=True)
class Clipped:
    """Gradients after clipping.

    Attributes
    ----------
    gradients
        Arrays of the shapes and kinds that came in.
    log10_norm_before, log10_norm_after
        log10 of the Euclidean norm of all gradients together; -inf for zeros.
    clipped
        Share of the entries that were changed: by norm 0 or 1.
    """

    gradients: list[Any]
    log10_norm_before: float
    log10_norm_after: float
    clipped: float


def check(owner: str, threshold: Any, by: Any) -> float:
    """Threshold as a float.

    Raises
    ------
    TypeError, ValueError
        If it is not a positive finite number, or ``by`` is not a mode.
    """
    if not isinstance(by, str) or by not in MODES:
        raise ValueError(f"{owner}(by={brief(by)}): by must be one of {list(MODES)}")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number):
        raise TypeError(f"{owner}(threshold={brief(threshold)}): threshold must be a number")
    if not 0 < threshold < math.inf:
        raise ValueError(
            f"{owner}(threshold={brief(threshold)}): threshold must be a finite number > 0"
        )
    return float(threshold)


def shrink(log10_norm: Any, threshold: float) -> tuple[Any, Any]:
    """log10 of the norm after clipping by norm, and whether it was clipped.

    ``log10_norm`` may be an array; NaN, a gradient that is not finite, stays NaN in both.
    """
    limit = math.log10(threshold)
    least = limit - 1e-15 * max(1.0, abs(limit))  # a norm that is the threshold, to rounding
    reached = np.where(np.isnan(log10_norm), np.nan, np.greater_equal(log10_norm, least))
    return np.minimum(log10_norm, limit), reached


def clip(gradients: Sequence[Any], threshold: float, by: str = "norm") -> Clipped:
    """Clip gradients: Pascanu, Mikolov and Bengio 2013, algorithm 1, or entry by entry.

    Parameters
    ----------
    gradients
        Arrays, or :class:`gradsim.scaled.Scaled` arrays of any size.
    threshold
        By norm: where the norm g of all gradients together is at least the threshold, all are
        multiplied by threshold / g.  By value: every entry is brought into -threshold..threshold.
    by
        "norm" or "value".

    Returns
    -------
    Clipped
        New gradients, their norms and what was clipped.

    Raises
    ------
    TypeError, ValueError
        For a threshold that is not a positive finite number, an unknown mode, or no gradients.
    FloatingPointError
        If an entry is not finite: it has no direction that clipping could keep.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural
    networks", ICML 2013, arXiv:1211.5063, algorithm 1; by value: T. Mikolov, "Statistical
    language models based on neural networks", 2012.

    Examples
    --------
    >>> result = clip([np.array([3.0, 0.0]), np.array([4.0])], threshold=1.0)
    >>> [g.round(3).tolist() for g in result.gradients], result.clipped
    ([[0.6, 0.0], [0.8]], 1.0)
    """
    threshold = check("clip", threshold, by)
    if not isinstance(gradients, Sequence) or not gradients:
        raise TypeError(f"gradients must be a sequence of arrays, got {brief(gradients)}")
    parts = [
        g if isinstance(g, Scaled) else Scaled(np.asarray(g, np.float64), 0) for g in gradients
    ]
    for i, part in enumerate(parts):
        if not np.all(np.isfinite(part.array)):
            raise FloatingPointError(f"gradients[{i}] is not finite: it cannot be clipped")
    before = joint_norm(parts)
    if by == "value":
        new = [_clip_entries(part, threshold) for part in parts]
        changed = sum(int(np.sum(a.array != b.array)) for a, b in zip(new, parts))
        after, share = joint_norm(new), changed / sum(part.array.size for part in parts)
    else:
        after, reached = (float(number) for number in shrink(before, threshold))
        share, new = reached, parts
        if reached:
            new = [_times(part, math.log10(threshold) - before) for part in parts]
    plain = [n if isinstance(g, Scaled) else _plain(n, g) for n, g in zip(new, gradients)]
    return Clipped(plain, before, after, share)


def joint_norm(parts: Sequence[Scaled]) -> float:
    """log10 of the Euclidean norm of all arrays together; -inf for zeros."""
    logs = np.array([part.log10_norm() for part in parts])
    top = logs.max()
    return float(top + 0.5 * np.log10(np.sum(10 ** (2 * (logs - top))))) if top > -np.inf else top


def _clip_entries(part: Scaled, threshold: float) -> Scaled:
    """Entries of array * 2**exponent brought into -threshold..threshold."""
    mantissa, shift = math.frexp(threshold)
    k = shift - part.exponent
    limit = math.ldexp(mantissa, k) if k < 1024 else math.inf
    if limit > 0:
        return Scaled(np.clip(part.array, -limit, limit), part.exponent)
    return Scaled(np.sign(part.array) * threshold, 0)  # every entry but 0 is far above


def _times(part: Scaled, log10_factor: float) -> Scaled:
    """Array times 10**log10_factor, which may be far below 1."""
    k = math.floor(log10_factor * math.log2(10))
    factor = 10 ** (log10_factor - k * math.log10(2))
    return Scaled(part.array * factor, part.exponent + k)


def _plain(part: Scaled, like: Any) -> np.ndarray:
    """Array of the dtype of a gradient that came in as one."""
    array = np.asarray(like)
    kind = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
    return np.ldexp(part.array, part.exponent).astype(kind)

"""Arrays with a binary exponent of their own: gradients that float64 could not hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LOG10_2 = float(np.log10(2.0))
_USUAL = 200  # binary exponents of rows that no product takes out of the range
_FAR = -(2**30)  # exponent of an array of zeros


class UnderflowError(ArithmeticError):
    """A number is too small for float64."""


@dataclass(frozen=True)
class Scaled:
    """The array ``array * 2**exponent``.

    Attributes
    ----------
    array
        float64 mantissas.
    exponent
        Common binary exponent.
    """

    array: np.ndarray
    exponent: int

    @classmethod
    def from_rows(cls, rows: np.ndarray, exponents: np.ndarray) -> "Scaled":
        """Rows (…, unit) with an exponent each, brought to one exponent."""
        rows = np.asarray(rows, np.float64)
        sizes = np.where(np.any(rows != 0, axis=-1), np.asarray(exponents), _FAR)
        top = int(sizes.max(initial=_FAR))
        if top == _FAR:
            return cls(np.zeros_like(rows), 0)
        shift = np.maximum(sizes - top, -5000)
        if not shift.any():
            return cls(rows.copy(), top)
        return cls(np.ldexp(rows, shift[..., None].astype(np.int64)), top)

    @classmethod
    def total(cls, parts: "Sequence[Scaled]") -> "Scaled":
        """Sum of arrays of one shape."""
        live = [part for part in parts if np.any(part.array)]
        top = max((part.exponent for part in live), default=0)
        total = np.zeros_like(parts[0].array)
        for part in live:
            total += np.ldexp(part.array, max(part.exponent - top, -5000))
        return cls(total, top).normalised()

    @classmethod
    def joined(cls, parts: "Sequence[Scaled]", axis: int) -> "Scaled":
        """Arrays one after another along an axis, at the largest of their exponents."""
        if len(parts) == 1:
            return parts[0]
        top = max((p.exponent for p in parts if np.any(p.array)), default=0)
        arrays = [np.ldexp(p.array, max(p.exponent - top, -5000)) for p in parts]
        return cls(np.concatenate(arrays, axis=axis), top)

    def normalised(self) -> "Scaled":
        """The same array with its largest magnitude in [0.5, 1)."""
        k = int(np.frexp(np.max(np.abs(self.array), initial=0.0))[1])
        return Scaled(np.ldexp(self.array, -k), self.exponent + k)

    def log10_norm(self) -> float:
        """log10 of the Euclidean (Frobenius) norm; -inf for zeros."""
        unit = self.normalised()
        norm = float(np.linalg.norm(unit.array))
        return float(np.log10(norm)) + unit.exponent * _LOG10_2 if norm > 0 else -np.inf

    def to_array(self) -> np.ndarray:
        """Plain float64 array.

        Raises
        ------
        OverflowError
            If an entry is too large for float64.
        UnderflowError
            If the largest entry is below the smallest normal float64, though not 0.
        """
        with np.errstate(over="ignore", under="ignore"):
            plain = np.ldexp(self.array, self.exponent)
        if np.any(np.isinf(plain) & np.isfinite(self.array)):
            raise OverflowError(f"10**{self.log10_norm():.6g} is too large for float64")
        largest = np.max(np.abs(plain), initial=0.0)
        if largest < np.finfo(np.float64).tiny and np.any(self.array):
            raise UnderflowError(f"10**{self.log10_norm():.6g} is too small for float64")
        return plain


def row_sum(d: np.ndarray, ed: np.ndarray) -> Scaled:
    """Sum over rows of d_r; ``ed`` (row,) are the rows' exponents."""
    rows = Scaled.from_rows(d, ed)
    return Scaled(rows.array.sum(axis=0), rows.exponent)


def outer_sum(d: np.ndarray, ed: np.ndarray, a: np.ndarray, ea: np.ndarray) -> Scaled:
    """Sum over rows of d_r a_r^T; ``ed`` and ``ea`` (row,) are the rows' exponents.

    What rises in one factor and falls in the other keeps its size.
    """
    k = np.frexp(np.max(np.abs(a), axis=1))[1].astype(np.int64)
    if np.abs(k).max() > _USUAL:
        a, ea = np.ldexp(a, -k[:, None]), ea + k
    rows = Scaled.from_rows(d, ed + ea)
    return Scaled(rows.array.T @ a, rows.exponent)


def times(delta: Scaled, weights: np.ndarray, factor: float) -> Scaled:
    """Factor * delta (example, unit) @ weights (unit, input)."""
    d, w = delta.normalised(), Scaled(weights, 0).normalised()  # their product may overflow
    return Scaled(d.array @ w.array * factor, d.exponent + w.exponent).normalised()

"""Recording a cell: plain arithmetic becomes a short table of operations.

A cell is a function ``cell(t, h, phi)`` that returns the next state.  :func:`trace` runs it once
on symbols and returns the table that the engine interprets; :class:`Eager` runs the same function
on NumPy arrays, which is an oracle for values and (with complex arrays) for derivatives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gradsim.activations import activations
from gradsim.kernels import ops
from gradsim.kernels.draws import STREAMS

PHI = "phi"  # stands for the activation of the row

# Affine maps of a cell in the order of recording, and the streams of their W, U and b.
MATRICES = {
    "W": (STREAMS["W"], STREAMS["U"], STREAMS["b"]),
    "V": (STREAMS["V"], STREAMS["U_V"], STREAMS["b_V"]),
}


@dataclass(frozen=True)
class Table:
    """A recorded cell: what the engine interprets.

    Attributes
    ----------
    ops
        Rows (code, in1, in2, out, aux, accumulate1, accumulate2, slot).
    constants
        (scale, shift) of each `AFFINE` operation.
    states
        (value read, value written) of each state.
    values
        Number of values; the first ones are the states read.
    saved
        Values, other than states, that the backward pass reads.
    matrices
        Names of the affine maps.
    maps
        Number of activations.
    """

    ops: tuple[tuple[int, ...], ...]
    constants: tuple[tuple[float, float], ...]
    states: tuple[tuple[int, int], ...]
    values: int
    saved: tuple[int, ...]
    matrices: tuple[str, ...]
    maps: int


class Value:
    """A symbol of the recorded cell; arithmetic on it records operations."""

    def __init__(self, tape: "Recorder", index: int) -> None:
        self._tape, self.index = tape, index

    def __add__(self, other: "Value | float") -> "Value":
        """Elementwise sum."""
        if isinstance(other, Value):
            return self._tape.record(ops.ADD, self, other)
        return self._tape.affine(self, 1.0, float(other))

    def __mul__(self, other: "Value | float") -> "Value":
        """Elementwise product."""
        if isinstance(other, Value):
            return self._tape.record(ops.MULTIPLY, self, other)
        return self._tape.affine(self, float(other), 0.0)

    def __neg__(self) -> "Value":
        """Elementwise negative."""
        return self._tape.affine(self, -1.0, 0.0)

    def __sub__(self, other: "Value | float") -> "Value":
        """Elementwise difference."""
        return self + (-other)

    def __rsub__(self, other: float) -> "Value":
        """Elementwise difference from a number."""
        return self._tape.affine(self, -1.0, float(other))

    __radd__ = __add__
    __rmul__ = __mul__


class Recorder:
    """The ``t`` of a cell while it is recorded."""

    def __init__(self, states: int) -> None:
        self.rows: list[list[int]] = []
        self.constants: list[tuple[float, float]] = []
        self.matrices: list[str] = []
        self.maps = 0
        self.values = states

    def record(self, code: int, x: Value, y: Value | None = None, aux: int = 0) -> Value:
        """Append one operation and return its result."""
        slot = 0
        if code == ops.MAP:
            slot, self.maps = self.maps, self.maps + 1
        second = -1 if y is None else y.index
        self.rows.append([code, x.index, second, self.values, aux, 0, 0, slot])
        self.values += 1
        return Value(self, self.values - 1)

    def linear(self, x: Value) -> Value:
        """W x + b with a matrix of its own; in an RNN also + U x_t."""
        names = list(MATRICES)
        if len(self.matrices) == len(names):
            raise ValueError(f"a cell must have at most {len(names)} affine maps")
        self.matrices.append(names[len(self.matrices)])
        return self.record(ops.LINEAR, x, aux=len(self.matrices) - 1)

    def map(self, phi: str, x: Value) -> Value:
        """phi(x), with the model's activation or one of the registry by name."""
        return self.record(ops.MAP, x, aux=-1 if phi == PHI else activations[phi].code)

    def sigmoid(self, x: Value) -> Value:
        """Logistic function."""
        return self.map("sigmoid", x)

    def tanh(self, x: Value) -> Value:
        """Hyperbolic tangent."""
        return self.map("tanh", x)

    def affine(self, x: Value, scale: float, shift: float) -> Value:
        """Scale * x + shift for constants of the cell."""
        self.constants.append((scale, shift))
        return self.record(ops.AFFINE, x, aux=len(self.constants) - 1)


@lru_cache
def trace(cell: Callable[..., Any], states: int = 1) -> Table:
    """Record a cell.

    Raises
    ------
    ValueError
        If the cell returns another number of states than it reads, or never uses one of them.
    """
    recorder = Recorder(states)
    read = [Value(recorder, i) for i in range(states)]
    result = cell(recorder, *read, PHI)
    written = list(result) if isinstance(result, tuple) else [result]
    if len(written) != states:
        raise ValueError(f"cell must return {states} states, got {len(written)}")
    indices: list[int] = []
    for value in written:  # every state written is a result of its own
        if value.index < states or value.index in indices:
            value = recorder.affine(value, 1.0, 0.0)
        indices.append(value.index)
    rows = _mark_accumulation(_needed(recorder.rows, indices), indices)
    used = {index for row in rows for index in row[1:3]}
    for i in range(states):
        if i not in used:
            raise ValueError(f"cell must use its state number {i}")
    return Table(
        ops=tuple(map(tuple, rows)),
        constants=tuple(recorder.constants),
        states=tuple(enumerate(indices)),
        values=recorder.values,
        saved=_saved(rows, states, indices),
        matrices=tuple(recorder.matrices),
        maps=recorder.maps,
    )


def _needed(rows: list[list[int]], results: Sequence[int]) -> list[list[int]]:
    """Operations that the results depend on."""
    wanted, kept = set(results), []
    for row in reversed(rows):
        if row[3] in wanted:
            wanted.update(row[1:3])
            kept.append(row)
    return kept[::-1]


def _mark_accumulation(rows: list[list[int]], results: Sequence[int]) -> list[list[int]]:
    """Mark which backward writes add to a cotangent that holds something already."""
    holds = set(results)
    for row in reversed(rows):
        for operand, flag in ((1, 5), (2, 6)):
            row[flag] = int(row[operand] in holds)
            holds.add(row[operand])
    return rows


def _saved(rows: list[list[int]], states: int, results: Sequence[int]) -> tuple[int, ...]:
    """Values other than states that the backward pass reads: operands of maps and products."""
    read: set[int] = set()
    for code, first, second, *_ in rows:
        if code in (ops.LINEAR, ops.MULTIPLY):
            read |= {first, second}
    return tuple(sorted(v for v in read if v >= states and v not in results))


class Eager:
    """The ``t`` of a cell on NumPy arrays (…, unit): the oracle of the engine.

    Parameters
    ----------
    weights, biases
        One matrix (unit, input) and one bias (unit,) per affine map, in the order of recording.
    drives
        What an RNN adds to each map: U x_t (…, unit), or None.
    slope
        Slope of leaky_relu.
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray],
        drives: Sequence[np.ndarray] | None = None,
        slope: float = 0.01,
    ) -> None:
        self._weights, self._biases, self._drives = weights, biases, drives
        self._slope, self._next = slope, 0

    def linear(self, x: np.ndarray) -> np.ndarray:
        """Affine map number `_next`."""
        i, self._next = self._next, self._next + 1
        z = x @ self._weights[i].T + self._biases[i]
        return z if self._drives is None else z + self._drives[i]

    def map(self, phi: str, x: np.ndarray) -> np.ndarray:
        """phi(x) by its NumPy form."""
        return activations[phi].value(x, self._slope)

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """Logistic function."""
        return self.map("sigmoid", x)

    def tanh(self, x: np.ndarray) -> np.ndarray:
        """Hyperbolic tangent."""
        return self.map("tanh", x)

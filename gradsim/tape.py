"""Recording a cell: plain arithmetic becomes a short table of operations.

A cell is a function ``cell(t, h, phi)`` that returns the next state.  :func:`trace` runs it once
on symbols and returns the table that the engine interprets; :class:`gradsim.eager.Eager` runs the
same function on NumPy arrays.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from gradsim.activations import activations
from gradsim.kernels import ops
from gradsim.table import MATRICES, UNNAMED, Constant, Field, Map, Table

PHI = "phi"  # stands for the activation of the row


class Value:
    """A symbol of the recorded cell; arithmetic on it records operations."""

    def __init__(self, tape: "Recorder", index: int) -> None:
        self._tape, self.index = tape, index

    def __add__(self, other: "Value | Constant") -> "Value":
        """Elementwise sum."""
        if isinstance(other, Value):
            return self._tape.record(ops.ADD, self, other)
        return self._tape.affine(self, 1.0, _number(other))

    def __mul__(self, other: "Value | Constant") -> "Value":
        """Elementwise product."""
        if isinstance(other, Value):
            return self._tape.record(ops.MULTIPLY, self, other)
        return self._tape.affine(self, _number(other), 0.0)

    def __neg__(self) -> "Value":
        """Elementwise negative."""
        return self._tape.affine(self, -1.0, 0.0)

    def __sub__(self, other: "Value | Constant") -> "Value":
        """Elementwise difference."""
        return self + (-other)

    def __rsub__(self, other: Constant) -> "Value":
        """Elementwise difference from a number."""
        return self._tape.affine(self, -1.0, _number(other))

    __radd__ = __add__
    __rmul__ = __mul__


def _number(value: Any) -> Constant:
    return value if isinstance(value, Field) else float(value)


class Recorder:
    """The ``t`` of a cell while it is recorded.

    Parameters
    ----------
    states
        Number of states that the cell reads.
    norm, placement
        Normalisation of the model, and where in the cell it has its place.
    """

    def __init__(self, states: int, norm: str | None = None, placement: str = "pre") -> None:
        self.rows: list[list[int]] = []
        self.constants: list[tuple[Constant, Constant]] = []
        self.matrices: list[Map] = []
        self.maps = self.norms = 0
        self.below, self.fields = [True] * states, list[str]()
        self._norm, self._placement = norm, placement

    @property
    def values(self) -> int:
        """Number of values so far."""
        return len(self.below)

    def record(self, code: int, x: Value, y: Value | None = None, aux: int = 0) -> Value:
        """Append one operation and return its result."""
        for operand in (x, y):
            if operand is not None and (
                not isinstance(operand, Value) or operand._tape is not self
            ):
                raise TypeError(f"a cell must compute with its own values, got {operand!r}")
        slot = 0
        if code == ops.MAP:
            slot, self.maps = self.maps, self.maps + 1
        elif code in (ops.LAYER_NORM, ops.BATCH_NORM):
            slot, self.norms = self.norms, self.norms + 1
        elif code == ops.LINEAR:
            slot = self.matrices[aux].flags
        second = -1 if y is None else y.index
        self.rows.append([code, x.index, second, self.values, aux, 0, 0, slot])
        sides = [self.below[v.index] for v in (x, y) if v is not None]
        self.below.append(all(sides) and (code != ops.LINEAR or not self.matrices[aux].weights))
        return Value(self, self.values - 1)

    def linear(self, x: Value, name: str | None = None, **parts: Any) -> Value:
        """W x + U x_t + b with matrices of its own, x_t being the input of an RNN's step.

        ``name`` chooses the random numbers (the keys of `MATRICES`); ``parts`` leaves out
        ``inputs`` (U x_t), ``bias`` (b), or its ``gradient`` from delta, and adds to b: ``shift``
        names a field of the model, and ``chrono`` is the sign of its chrono biases.
        """
        taken = [m.name for m in self.matrices]
        free = [n for n in (UNNAMED if name is None else MATRICES) if n not in taken]
        if name is None and not free:
            raise ValueError(
                f"a cell must have at most {len(UNNAMED)} affine maps without a name, or name "
                f"them: t.linear(h, name) with a name of {list(MATRICES)}"
            )
        if name is not None and name not in free:
            raise ValueError(f"t.linear(name={name!r}): name must be one of {free}")
        made = Map(name or free[0], **parts)
        self.matrices.append(made)
        self.fields += [made.shift] * bool(made.shift) + ["chrono"] * bool(made.chrono)
        return self.record(ops.LINEAR, x, aux=len(self.matrices) - 1)

    def drive(self, x: Value, name: str) -> Value:
        """X + U x_t + b: an affine map without W."""
        return self.linear(x, name, weights=False)

    def norm(self, x: Value, placement: str = "pre") -> Value:
        """The model's normalisation, where it is placed here: "pre" or "post" activation."""
        if self._norm is None or placement != self._placement:
            return x
        self.constants.append((Field(lambda model: model.norm_eps), 0.0))
        code = ops.LAYER_NORM if self._norm == "layer" else ops.BATCH_NORM
        return self.record(code, x, aux=len(self.constants) - 1)

    @property
    def alpha(self) -> Field:
        """Scale of a residual branch."""
        self.fields.append("residual_scale")
        return Field(lambda model: model.alpha)

    def field(self, name: str) -> Field:
        """A number of the model: its field of that name."""
        self.fields.append(name)
        return Field(lambda model: float(getattr(model, name)))

    def map(self, phi: str, x: Value) -> Value:
        """phi(x), with the model's activation or one of the registry by name."""
        return self.record(ops.MAP, x, aux=-1 if phi == PHI else activations[phi].code)

    def sigmoid(self, x: Value) -> Value:
        """Logistic function."""
        return self.map("sigmoid", x)

    def tanh(self, x: Value) -> Value:
        """Hyperbolic tangent."""
        return self.map("tanh", x)

    def affine(self, x: Value, scale: Constant, shift: Constant) -> Value:
        """Scale * x + shift for constants of the cell."""
        self.constants.append((scale, shift))
        return self.record(ops.AFFINE, x, aux=len(self.constants) - 1)


@lru_cache
def trace(
    cell: Callable[..., Any], states: int = 1, norm: str | None = None, placement: str = "pre"
) -> Table:
    """Record a cell that reads ``states`` states, with the normalisation of its model.

    Raises
    ------
    ValueError
        If the cell returns another number of states than it reads, never uses one of them, or has
        no affine map.
    """
    recorder = Recorder(states, norm, placement)
    read = [Value(recorder, i) for i in range(states)]
    result = cell(recorder, *read, PHI)
    written = list(result) if isinstance(result, tuple) else [result]
    if len(written) != states:
        raise ValueError(f"cell must return {states} states, got {len(written)}")
    indices: list[int] = []
    for value in written:
        if not isinstance(value, Value):
            raise TypeError(f"cell must return values made of its states, got {value!r}")
    for value in written:  # every state written is a result of its own
        if value.index < states or value.index in indices:
            value = recorder.affine(value, 1.0, 0.0)
        indices.append(value.index)
    rows = _mark_accumulation(_needed(recorder.rows, indices), indices)
    if all(row[0] != ops.LINEAR for row in rows):
        raise ValueError("cell must have an affine map, t.linear(h), that its result depends on")
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
        norms=recorder.norms,
        below=tuple(recorder.below),
        fields=tuple(dict.fromkeys(recorder.fields)),
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
    """Values other than states that the backward pass reads."""
    read: set[int] = set()
    for code, first, second, out, *_ in rows:
        if code in (ops.LINEAR, ops.MULTIPLY):
            read |= {first, second}
        elif code in (ops.LAYER_NORM, ops.BATCH_NORM):
            read.add(out)
    return tuple(sorted(v for v in read if v >= states and v not in results))

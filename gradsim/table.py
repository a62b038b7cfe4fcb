"""A recorded cell: a short table of operations, its affine maps and its constants.

:mod:`gradsim.tape` makes it of a cell's arithmetic, and the engine interprets it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from gradsim.kernels import ops
from gradsim.kernels.draws import STREAMS

# Affine maps by name, and the streams of their W, U and b; a map without a name takes the first
# of W and V that is free.
MATRICES = {
    "W": (STREAMS["W"], STREAMS["U"], STREAMS["b"]),
    "V": (STREAMS["V"], STREAMS["U_V"], STREAMS["b_V"]),
    **{gate: tuple(STREAMS[f"{p}_{gate}"] for p in "WUb") for gate in "ifgorzn"},
    "hn": (STREAMS["W_n"], -1, STREAMS["b_hn"]),  # the recurrent part of GRU's candidate
}
UNNAMED = ("W", "V")


@dataclass(frozen=True)
class Field:
    """A number of the model in a cell's arithmetic: one value per condition."""

    of: Callable[[Any], float]

    def value(self, model: Any) -> float:
        """The number for one model."""
        return float(self.of(model))

    def _with(self, function: Callable[[float], float]) -> "Field":
        return Field(lambda model: function(self.of(model)))

    def __neg__(self) -> "Field":
        """Negative."""
        return self._with(lambda x: -x)

    def __rsub__(self, other: float) -> "Field":
        """Difference from a number."""
        return self._with(lambda x: other - x)

    def __mul__(self, other: Any) -> Any:
        """Product with a number; a value of the cell takes it from there."""
        if not isinstance(other, Real):
            return NotImplemented
        number = float(other)
        return self._with(lambda x: number * x)

    __rmul__ = __mul__


Constant = float | Field


@dataclass(frozen=True)
class Map:
    """An affine map of a cell: name, and which of W, U and b it has.

    ``gradient`` says whether its pre-activation counts in delta.  To b are added the model's field
    ``shift`` and, times ``chrono``, its chrono biases.
    """

    name: str
    weights: bool = True
    inputs: bool = True
    bias: bool = True
    gradient: bool = True
    shift: str = ""
    chrono: int = 0

    def constant(self, model: Any) -> float:
        """What is added to every bias."""
        return float(getattr(model, self.shift)) if self.shift else 0.0

    @property
    def flags(self) -> int:
        """Bits for the engine."""
        parts = (self.weights, self.inputs, self.bias, self.gradient)
        return sum(flag * bit for flag, bit in zip(parts, ops.FLAGS))

    @property
    def streams(self) -> tuple[int, int, int]:
        """Streams of W, U and b; -1 for what it has not."""
        parts = (self.weights, self.inputs, self.bias)
        return tuple(s if has else -1 for s, has in zip(MATRICES[self.name], parts))  # type: ignore


@dataclass(frozen=True)
class Table:
    """A recorded cell: what the engine interprets.

    Attributes
    ----------
    ops
        Rows (code, in1, in2, out, aux, accumulate1, accumulate2, slot).
    constants
        (scale, shift) of each `AFFINE` operation, (eps, 0) of each normalisation.
    states
        (value read, value written) of each state.
    values
        Number of values; the first ones are the states read.
    saved
        Values, other than states, that the backward pass reads.
    matrices
        The affine maps.
    maps, norms
        Number of activations and of normalisations.
    below
        Whether each value has the width of the layer below.
    fields
        Fields of the model that the cell reads.
    """

    ops: tuple[tuple[int, ...], ...]
    constants: tuple[tuple[Constant, Constant], ...]
    states: tuple[tuple[int, int], ...]
    values: int
    saved: tuple[int, ...]
    matrices: tuple[Map, ...]
    maps: int
    norms: int
    below: tuple[bool, ...]
    fields: tuple[str, ...]

    @property
    def lead(self) -> int:
        """Operations before the first affine map: an output layer runs them too."""
        return [row[0] for row in self.ops].index(ops.LINEAR)

    def numbers(self, model: Any) -> tuple[float, ...]:
        """Scales and shifts, in turn, for one model."""
        flat = [number for pair in self.constants for number in pair]
        return tuple(n.value(model) if isinstance(n, Field) else n for n in flat)

    @property
    def mixes_widths(self) -> bool:
        """Whether a value as wide as the layer below meets, or becomes, one of this layer."""
        meet = any(
            len({self.below[v] for v in row[1:3] if v >= 0}) > 1
            for row in self.ops
            if row[0] in (ops.ADD, ops.MULTIPLY)
        )
        return meet or any(self.below[written] for _, written in self.states)

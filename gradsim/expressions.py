"""Activations that users write: expressions over the built-in ones, recorded like a cell.

An expression is run once on symbols, which gives a short program of elementwise operations.  The
engine runs that program row by row, each value beside its slope; here it runs on NumPy arrays, for
the eager oracle, the theory and the facts that every activation states.
"""

import math
from collections.abc import Callable
from typing import Any

from gradsim._programs import Program, Step, describe
from gradsim._registry import source_text, unknown
from gradsim.activations import activations
from gradsim.kernels import ops
from gradsim.kernels.activations import Activation
from gradsim.kernels.rows import APPLY, LINE, PRODUCT, SUM
from gradsim.tape import Recorder, Value

PRIMITIVES = {
    "tanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus", "erf": "erf", "sin": "sine",
    "arctan": "arctan", "relu": "relu",
}  # fmt: skip
_KINDS = {ops.MAP: APPLY, ops.ADD: SUM, ops.MULTIPLY: PRODUCT, ops.AFFINE: LINE}


class _Expression(Recorder):
    """The ``t`` of an expression while it is recorded."""

    def __init__(self) -> None:
        super().__init__(1)
        self.slopes: dict[int, float] = {}  # of leaky_relu, by the value that it makes
        self.sources: list[str] = []  # of the users' activations that it uses

    def __getattr__(self, name: str) -> Any:
        """Primitives that have no method of their own."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in PRIMITIVES:
            raise unknown("primitive of an activation", name, [*PRIMITIVES, "map"])
        return lambda z: self.map(PRIMITIVES[name], z)

    def linear(self, x: Value, name: str | None = None, **parts: bool) -> Value:
        """Refuse a matrix."""
        raise unknown("primitive of an activation", "linear", [*PRIMITIVES, "map"])

    def map(self, phi: str, x: Value, slope: float = 0.01) -> Value:
        """Activation of the registry by name; ``slope`` is that of leaky_relu."""
        entry = activations[phi]
        if not isinstance(x, Value):
            raise TypeError(f"t.map({phi!r}, ...) must be given an expression in z, got {x!r}")
        if entry.program is None:
            result = self.record(ops.MAP, x, aux=entry.code)
            self.slopes[result.index] = float(slope)
            return result
        self.sources.append(entry.program.source)
        return self._splice(entry.program.steps, x)

    def _splice(self, steps: tuple[Step, ...], x: Value) -> Value:
        """Append another activation's program."""
        made = [x]
        for kind, first, second, code, *constants in steps:
            one, two = made[first], made[second] if second >= 0 else None
            if kind == LINE:
                made.append(self.affine(one, *constants))
            elif kind == APPLY:
                made.append(self.record(ops.MAP, one, aux=code))
                self.slopes[made[-1].index] = constants[0]
            else:
                made.append(self.record(ops.ADD if kind == SUM else ops.MULTIPLY, one, two))
        return made[-1]

    def steps(self, result: Value) -> tuple[Step, ...]:
        """Program up to a result: (kind, operand, operand, code, constant, constant)."""
        needed = {result.index}
        for row in reversed(self.rows):
            if row[3] in needed:
                needed.update(i for i in row[1:3] if i >= 0)
        kept = [row for row in self.rows if row[3] in needed]
        place = {0: 0} | {row[3]: i + 1 for i, row in enumerate(kept)}
        place[-1] = -1
        steps = []
        for code, first, second, out, aux, *_ in kept:
            constants = (self.slopes.get(out, 0.0), 0.0)
            if code == ops.AFFINE:
                constants = self.constants[aux]
            kind = _KINDS[code]
            name = aux if kind == APPLY else -1
            steps.append((kind, place[first], place[second], name, *constants))
        return tuple(steps)


def activation(name: str, f: Callable[[Any, Any], Any]) -> Activation:
    """Add an activation of your own, as an expression over the built-in ones.

    The expression is recorded once and gets its slope, its bound gamma and its theory from the
    operations that it is made of; afterwards every argument that takes the name of an activation
    takes this one.

    Parameters
    ----------
    name
        New name. The name of an existing activation is accepted for the same expression only.
    f
        ``f(t, z)`` returning phi(z) by ``+``, ``-``, ``*``, numbers and the primitives ``t.tanh``,
        ``t.sigmoid``, ``t.softplus``, ``t.erf``, ``t.sin``, ``t.arctan``, ``t.relu`` and
        ``t.map(name, z)`` for any other activation (``t.map("leaky_relu", z, slope=0.2)``).

    Returns
    -------
    Activation
        The entry of :data:`gradsim.activations`. Its ``gamma`` is found by a search over
        abs(z) <= 1e6, and is inf for an expression that is still getting steeper there.

    Raises
    ------
    TypeError, ValueError
        If the name is taken, or the expression uses anything else, does not depend on z or does
        not return an expression.

    Examples
    --------
    >>> import gradsim as gs
    >>> entry = gs.activation("my_mish", lambda t, z: z * t.tanh(t.softplus(z)))
    >>> float(round(entry.gamma(0.0), 6))
    1.088498
    >>> gs.MLP(activation="my_mish").activation
    'my_mish'
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"activation(name={name!r}): name must be a string that is not empty")
    if name in ("softmax", "phi"):
        raise ValueError(f"activation(name={name!r}): the name is taken")
    program = _record(name, f)
    if name in activations:
        known = activations[name]
        if known.program == program:
            return known
        what = "built-in" if known.program is None else "existing"
        raise ValueError(f"activation(name={name!r}): the name of an {what} activation is taken")
    entry = describe(name, program)
    activations.add(name, entry)
    return entry


def _record(name: str, f: Callable[[Any, Any], Any]) -> Program:
    """Run an expression on symbols; errors name the activation."""
    if not callable(f):
        raise TypeError(f"activation({name!r}): f must be a function f(t, z), got {f!r}")
    t = _Expression()
    z = Value(t, 0)
    try:
        result = f(t, z)
    except (TypeError, ValueError) as error:
        allowed = ", ".join(f"t.{p}" for p in (*PRIMITIVES, "map"))
        raise type(error)(
            f"activation({name!r}): f must be made of +, -, *, numbers and {allowed}: {error}"
        ) from error
    if not isinstance(result, Value) or result._tape is not t:
        raise TypeError(f"activation({name!r}): f must return an expression in z, got {result!r}")
    if result.index == 0:
        result = t.affine(result, 1.0, 0.0)
    steps = t.steps(result)
    if not all(math.isfinite(c) for step in steps for c in step[4:]):
        raise ValueError(f"activation({name!r}): f must have finite numbers")
    texts = dict.fromkeys([*t.sources, source_text(f)])
    return Program(steps, "\n".join(texts))

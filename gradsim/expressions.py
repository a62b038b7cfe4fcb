"""Activations that users write: expressions over the built-in ones, recorded like a cell.

An expression is run once on symbols, which gives a short program of elementwise operations.  The
engine runs that program row by row, each value beside its slope; here it runs on NumPy arrays, for
the eager oracle, the theory and the facts that every activation states.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradsim._registry import unknown
from gradsim.activations import activations
from gradsim.kernels import ops
from gradsim.kernels.activations import NEVER, Activation
from gradsim.kernels.rows import APPLY, LINE, PRODUCT, SUM
from gradsim.tape import Recorder, Value

Step = tuple[int, int, int, int, float, float]
Triple = tuple[Any, Any, Any]  # value, slope, second derivative

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

    def __getattr__(self, name: str) -> Any:
        """Primitives that have no method of their own."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in PRIMITIVES:
            raise unknown("primitive of an activation", name, [*PRIMITIVES, "map"])
        return lambda z: self.map(PRIMITIVES[name], z)

    def linear(self, x: Value) -> Value:
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


@dataclass(frozen=True)
class Program:
    """A recorded expression.

    Attributes
    ----------
    steps
        Operations (kind, operand, operand, code, constant, constant) as the engine runs them;
        value 0 is z, value i the result of step i - 1, and the last one phi(z).
    """

    steps: tuple[Step, ...]

    def values(self, z: Any) -> Any:
        """phi(z), of complex z too."""
        made = [z]
        for kind, first, second, code, one, two in self.steps:
            x = made[first]
            if kind == APPLY:
                made.append(_entry(code).value(x, one))
            elif kind == LINE:
                made.append(one * x + two)
            else:
                made.append(x + made[second] if kind == SUM else x * made[second])
        return made[-1]

    def derivatives(self, z: Any) -> Triple:
        """phi, phi' and phi'' of an array."""
        z = np.asarray(z, np.float64)
        made: list[Triple] = [(z, np.ones_like(z), np.zeros_like(z))]
        for kind, first, second, code, one, two in self.steps:
            x, dx, ddx = made[first]
            if kind == APPLY:
                slope, bend = _entry(code).slope(x, one), _entry(code).second(x, one)
                triple = (_entry(code).value(x, one), slope * dx, bend * dx * dx + slope * ddx)
            elif kind == LINE:
                triple = (one * x + two, one * dx, one * ddx)
            else:
                y, dy, ddy = made[second]
                triple = (x + y, dx + dy, ddx + ddy)
                if kind == PRODUCT:
                    triple = (x * y, dx * y + x * dy, ddx * y + 2 * dx * dy + x * ddy)
            made.append(triple)
        return made[-1]

    @property
    def homogeneous(self) -> bool:
        """Whether the program keeps phi(c z) = c phi(z) for every c > 0, step by step."""
        degrees: list[int | None] = [1]
        for kind, first, second, code, _, shift in self.steps:
            x, y = degrees[first], degrees[second] if second >= 0 else None
            if kind == APPLY:
                degree = 1 if x == 1 and _entry(code).homogeneous else None
            elif kind == LINE:
                degree = x if shift == 0 else None
            elif kind == SUM:
                degree = x if x == y else None
            else:
                degree = None if x is None or y is None else x + y
            degrees.append(degree)
        return degrees[-1] == 1

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where a kinked activation of the program changes its piece, besides 0."""
        grid = np.unique(np.concatenate([-_GRID, _GRID]))
        found: set[float] = set()
        made = [np.asarray(grid)]
        for i, (kind, first, _, code, *_) in enumerate(self.steps):
            if kind == APPLY:
                for edge in (0.0, *_entry(code).kinks):
                    found.update(self._crossings(first, edge, grid, made[first]))
            partial = Program(self.steps[: i + 1])
            made.append(partial.values(grid))
        return tuple(sorted(k for k in found if k != 0))

    def _crossings(self, index: int, edge: float, grid: np.ndarray, values: np.ndarray) -> list:
        """Points z at which value number ``index`` of the program passes through ``edge``."""
        from scipy.optimize import brentq  # slow to import

        def f(z: float) -> float:
            return float(Program(self.steps[:index]).values(z)) - edge if index else z - edge

        signs = np.sign(values - edge)
        at = np.flatnonzero(signs[1:] * signs[:-1] < 0)
        exact = grid[signs == 0].tolist() if (signs == 0).sum() < 10 else []
        return exact + [float(brentq(f, grid[i], grid[i + 1])) for i in at]  # type: ignore


def _entry(code: int) -> Activation:
    return list(activations.values())[code]


_GRID = np.concatenate([np.geomspace(1e-6, 1e-2, 40), np.linspace(1e-2, 60, 6000)[1:]])
_FAR = np.geomspace(60, 1e6, 400)


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
    entry = _describe(name, program)
    activations.register(name, entry)
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
    return Program(steps)


def _describe(name: str, program: Program) -> Activation:
    """Facts of an expression, from its program."""
    with np.errstate(all="ignore"):
        gamma, gamma_at = _gamma(program)
        sides = _sides(program)
        homogeneous = program.homogeneous
        straight = (0, 0) if homogeneous else _linear_below(program, sides)
        kinks = program.kinks
    return Activation(
        name=name,
        formula=_formula(program),
        value=lambda z, slope: program.values(z),
        slope=lambda z, slope: program.derivatives(z)[1],
        second=lambda z, slope: program.derivatives(z)[2],
        gamma=lambda slope: gamma,
        gamma_at=gamma_at,
        slopes_at_zero=lambda slope: sides,
        homogeneous=homogeneous,
        has_zero_slope=_can_die(program),
        linear_below=straight,
        reference="user",
        kinks=kinks,
        code=len(activations),
        program=program,
    )


def _can_die(program: Program) -> bool:
    """Whether phi' is exactly 0 on an interval, and not because an exponential underflowed."""
    flat = [_entry(step[3]).has_zero_slope for step in program.steps if step[0] == APPLY]
    with np.errstate(all="ignore"):
        zero = program.derivatives(np.concatenate([-_GRID[::-1], _GRID]))[1] == 0
    return any(flat) and bool(np.any(zero[1:] & zero[:-1]))


def _formula(program: Program) -> str:
    """Text of a program."""
    texts = ["z"]
    for kind, first, second, code, one, two in program.steps:
        x = texts[first]
        if kind == APPLY:
            texts.append(f"{_entry(code).name}({x})")
        elif kind == LINE:
            scaled = x if one == 1 else f"{one:g} {x}"
            texts.append(f"({scaled} + {two:g})" if two else scaled)
        else:
            texts.append(f"({x} + {texts[second]})" if kind == SUM else f"{x} {texts[second]}")
    return texts[-1]


def _gamma(program: Program) -> tuple[float, str]:
    """Largest abs(phi') over a grid, refined at its peak."""
    from scipy.optimize import minimize_scalar  # slow to import

    def steepness(z: Any) -> Any:
        return np.abs(program.derivatives(z)[1])

    grid = np.concatenate([-_FAR[::-1], -_GRID[::-1], [0.0], _GRID, _FAR])
    size = steepness(grid)
    size = np.where(np.isnan(size), 0.0, size)
    top = int(np.argmax(size))
    if top in (0, grid.size - 1) and size[top] > 1.001 * size[1 if top == 0 else -2]:
        return math.inf, "z -> -inf" if top == 0 else "z -> inf"
    best, at = float(size[top]), float(grid[top])
    if 0 < top < grid.size - 1:
        low, high = float(grid[top - 1]), float(grid[top + 1])
        found: Any = minimize_scalar(
            lambda z: -float(steepness(z)), bounds=(low, high), method="bounded",
            options={"xatol": 1e-9 * max(1.0, abs(at))},
        )  # fmt: skip
        if -found.fun > best:
            best, at = float(-found.fun), float(found.x)
    return best, f"{at:.6g}"


def _sides(program: Program) -> tuple[float, float]:
    """Slopes just below and above 0."""
    z = np.array([-1e-300, 1e-300])
    _, slope, second = program.derivatives(z)
    left, right = slope - second * z
    return float(left), float(right)


def _linear_below(program: Program, sides: tuple[float, float]) -> tuple[int, int]:
    """Binary exponents below which phi(z) = slope z to working precision, from phi''.

    The slope deviates by phi''(0) z, or by phi''' z^2 / 2 where phi''(0) = 0; what jumps or bends
    further out is looked for as well.
    """
    if program.values(np.zeros(1))[0] != 0:
        return NEVER, NEVER
    limits = [0.0, 0.0]
    for side, slope in zip((-1.0, 1.0), sides):
        powers = np.arange(-300, 1)
        triple = program.derivatives(side * 2.0**powers)
        bend = np.abs(triple[2])
        if slope == 0:
            if np.any(triple[1] != 0) or np.any(triple[0] != 0):
                return NEVER, NEVER
            continue
        off = np.flatnonzero(~(np.abs(triple[1] / slope - 1) < 1e-6))
        reach = float(powers[off[0]]) if off.size else 0.0
        first, second = bend[0] / abs(slope), bend[powers == -8][0] * 2.0**8 / abs(slope) / 2
        for i, digits in enumerate((25, 54)):
            k = -digits - math.log2(first) if first > 1e-9 else 0.0
            if first <= 1e-9 and second > 1e-9:
                k = (-digits - math.log2(second)) / 2
            limits[i] = min(limits[i], reach, k)
    return math.floor(limits[0]) - 1 if limits[0] < 0 else 0, (
        math.floor(limits[1]) - 1 if limits[1] < 0 else 0
    )

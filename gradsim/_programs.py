"""Programs of activations that users wrote: their NumPy forms, and the facts that follow."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradsim.activations import activations
from gradsim.kernels.activations import NEVER, Activation
from gradsim.kernels.rows import APPLY, LINE, PRODUCT, SUM

Step = tuple[int, int, int, int, float, float]
Triple = tuple[Any, Any, Any]  # value, slope, second derivative


@dataclass(frozen=True)
class Program:
    """A recorded expression.

    Attributes
    ----------
    steps
        Operations (kind, operand, operand, code, constant, constant) as the engine runs them;
        value 0 is z, value i the result of step i - 1, and the last one phi(z).
    source
        Text of the function it was recorded from, after those of the activations it uses.
    """

    steps: tuple[Step, ...]
    source: str = field(default="", compare=False)

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


def describe(name: str, program: Program) -> Activation:
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

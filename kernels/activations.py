"""The table of activations: each one a compiled ``(value, slope)`` pair beside its prose.

A row of the table is all there is to an activation: the compiled pair (`pairs`), the NumPy forms
that serve the eager oracle and the theory (`forms`), and the facts that the engine and the reports
need.  How rows of the engine go through it: `rows`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import forms
from ._jit import jit
from .forms import plain
from .pairs import LECUN, PAIRS, SELU_LEFT, SELU_SCALE
from .vecmath import bits, pow2

SOFTMAX = 1 << 20  # couples the units of a row, so it is an output only (see `losses`)


class Activation(NamedTuple):
    """What is known of one activation; ``value``, ``slope`` and ``second`` are its NumPy forms."""

    name: str
    formula: str
    value: Callable  # (z, slope) -> phi(z); also for complex z
    slope: Callable  # (z, slope) -> phi'(z)
    second: Callable  # (z, slope) -> phi''(z), the one of z < 0 at a kink
    gamma: Callable  # (slope) -> sup |phi'|
    gamma_at: str
    slopes_at_zero: Callable  # (slope) -> (left, right)
    homogeneous: bool  # phi(c z) = c phi(z) for every c > 0
    has_zero_slope: bool  # phi' is exactly 0 on an interval, so that units can die
    linear_below: tuple[int, int]  # binary exponents (float32, float64), see below
    reference: str
    kinks: tuple[float, ...] = ()  # where phi' or phi'' jumps, besides 0
    # (q) -> (E phi^2, E phi'^2) for a normal number of variance q, where quadrature cannot follow
    mean_squares: Callable | None = None
    code: int = -1
    program: Any = None  # of an activation that a user wrote

    @property
    def sup_slope(self) -> str:
        """Gamma at the default slope, as text."""
        return f"{self.gamma(0.01):.10g}"

    @property
    def slope_at_zero(self) -> str:
        """Slopes on the two sides of 0 at the default slope, as text."""
        left, right = (f"{s:.6g}" for s in self.slopes_at_zero(0.01))
        return left if left == right else f"{left} | {right}"


def _constant(number: float) -> Callable[[float], float]:
    return lambda slope: number


def _both(left: float, right: float | None = None) -> Callable[[float], tuple[float, float]]:
    sides = left, left if right is None else right
    return lambda slope: sides


def _sine_squares(q: float) -> tuple[float, float]:
    return -np.expm1(-2 * q) / 2, (1 + np.exp(-2 * q)) / 2


# phi(z) = slope * z and phi'(z) = slope to working precision below 2**linear_below; NEVER where
# phi(0) is not 0.
NEVER = -(2**62)
_ALWAYS, _NOWHERE = (0, 0), (NEVER, NEVER)
_CUBIC = (-13, -27)  # phi = z + O(z^3)
_QUADRATIC = (-26, -55)  # phi = slope z (1 + O(z))

_ROWS = (
    Activation(
        "identity", "z", plain(lambda z: z), plain(np.ones_like), plain(forms.zero),
        _constant(1.0), "everywhere", _both(1.0), True, False, _ALWAYS, "linear network",
    ),
    Activation(
        "sigmoid", "1 / (1 + exp(-z))",
        plain(forms.sigmoid), plain(forms.sigmoid_slope), plain(forms.sigmoid_second),
        _constant(0.25), "0", _both(0.25), False, False, _NOWHERE, "logistic function",
    ),
    Activation(
        "tanh", "tanh(z)", plain(np.tanh), plain(forms.tanh_slope), plain(forms.tanh_second),
        _constant(1.0), "0", _both(1.0), False, False, _CUBIC, "hyperbolic tangent",
    ),
    Activation(
        "relu", "max(z, 0)",
        plain(lambda z: forms.where_positive(z, z, 0 * z)),
        plain(lambda z: forms.where_positive(z, 1.0, 0.0)), plain(forms.zero),
        _constant(1.0), "z > 0", _both(0.0, 1.0), True, True, _ALWAYS, "Nair and Hinton 2010",
    ),
    Activation(
        "leaky_relu", "z if z > 0 else slope * z",
        lambda z, slope: forms.where_positive(z, z, slope * z),
        lambda z, slope: forms.where_positive(z, 1.0, slope), plain(forms.zero),
        lambda slope: max(1.0, abs(slope)), "z > 0 (z < 0 where abs(slope) > 1)",
        lambda slope: (slope, 1.0), True, True, _ALWAYS, "Maas, Hannun and Ng 2013",
    ),
    Activation(
        "elu", "z if z > 0 else exp(z) - 1",
        plain(forms.elu), plain(forms.elu_slope), plain(forms.elu_second),
        _constant(1.0), "z >= 0", _both(1.0), False, False, _QUADRATIC,
        "Clevert, Unterthiner and Hochreiter 2016",
    ),
    Activation(
        "selu", "1.0507010 (z if z > 0 else 1.6732632 (exp(z) - 1))",
        plain(forms.selu), plain(forms.selu_slope), plain(forms.selu_second),
        _constant(SELU_LEFT), "0 from below", _both(SELU_LEFT, SELU_SCALE), False, False,
        _QUADRATIC, "Klambauer et al. 2017",
    ),
    Activation(
        "gelu", "z (1 + erf(z / sqrt(2))) / 2",
        plain(forms.gelu), plain(forms.gelu_slope), plain(forms.gelu_second),
        _constant(1.1289041451851547863), "sqrt(2)", _both(0.5), False, False, _QUADRATIC,
        "Hendrycks and Gimpel 2016",
    ),
    Activation(
        "gelu_tanh", "z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2",
        plain(forms.gelu_tanh), plain(forms.gelu_tanh_slope), plain(forms.gelu_tanh_second),
        _constant(1.1289930686587717655), "1.4185040088", _both(0.5), False, False, _QUADRATIC,
        "Hendrycks and Gimpel 2016",
    ),
    Activation(
        "silu", "z / (1 + exp(-z))",
        plain(forms.silu), plain(forms.silu_slope), plain(forms.silu_second),
        _constant(1.0998393201288669170), "2.3993572805", _both(0.5), False, False, _QUADRATIC,
        "Elfwing, Uchibe and Doya 2018",
    ),
    Activation(
        "mish", "z tanh(log(1 + exp(z)))",
        plain(forms.mish), plain(forms.mish_slope), plain(forms.mish_second),
        _constant(1.0884981612517278612), "1.4905711795", _both(0.6), False, False, _QUADRATIC,
        "Misra 2020",
    ),
    Activation(
        "softplus", "log(1 + exp(z))",
        plain(forms.softplus), plain(forms.sigmoid), plain(forms.sigmoid_slope),
        _constant(1.0), "z -> inf", _both(0.5), False, False, _NOWHERE, "Dugas et al. 2001",
    ),
    Activation(
        "softsign", "z / (1 + abs(z))",
        plain(forms.softsign), plain(forms.softsign_slope), plain(forms.softsign_second),
        _constant(1.0), "0", _both(1.0), False, False, _QUADRATIC, "Bergstra et al. 2009",
    ),
    Activation(
        "hard_tanh", "min(max(z, -1), 1)",
        plain(forms.clipped(-1, 1, 1.0, 0.0)), plain(forms.box(1.0, 1.0)), plain(forms.zero),
        _constant(1.0), "abs(z) < 1", _both(1.0), False, True, _ALWAYS, "Collobert 2004",
        kinks=(-1.0, 1.0),
    ),
    Activation(
        "hard_sigmoid", "min(max(z + 3, 0), 6) / 6",
        plain(forms.clipped(-3, 3, 1 / 6, 0.5)), plain(forms.box(3.0, 1 / 6)), plain(forms.zero),
        _constant(1 / 6), "abs(z) < 3", _both(1 / 6), False, True, _NOWHERE,
        "Courbariaux, Bengio and David 2015; in the form of Howard et al. 2019",
        kinks=(-3.0, 3.0),
    ),
    Activation(
        "erf", "erf(z)", plain(forms.erf), plain(forms.erf_slope), plain(forms.erf_second),
        _constant(1.1283791670955125739), "0", _both(1.1283791670955125739), False, False,
        _CUBIC, "error function; Williams 1997",
    ),
    Activation(
        "sine", "sin(z)", plain(np.sin), plain(np.cos), plain(lambda z: -np.sin(z)),
        _constant(1.0), "k pi", _both(1.0), False, False, _CUBIC, "Sitzmann et al. 2020",
        mean_squares=_sine_squares,
    ),
    Activation(
        "arctan", "arctan(z)",
        plain(np.arctan), plain(forms.arctan_slope), plain(forms.arctan_second),
        _constant(1.0), "0", _both(1.0), False, False, _CUBIC, "inverse tangent",
    ),
    Activation(
        "lecun_tanh", "1.7159 tanh(2 z / 3)",
        plain(forms.lecun_tanh), plain(forms.lecun_tanh_slope), plain(forms.lecun_tanh_second),
        _constant(LECUN * 2 / 3), "0", _both(LECUN * 2 / 3), False, False, _CUBIC,
        "LeCun et al. 1998",
    ),
)  # fmt: skip

TABLE = tuple(entry._replace(code=code) for code, entry in enumerate(_ROWS))
LEAKY_RELU = next(entry.code for entry in TABLE if entry.name == "leaky_relu")
COMPILED = tuple(PAIRS[entry.name] for entry in TABLE)


@jit
def largest_bits(x, r):
    """Bit pattern of the largest magnitude in row r of x (rows, units): NaN counts largest."""
    top = bits(x[r, 0])
    for i in range(1, x.shape[1]):
        top = max(top, bits(x[r, i]))
    return top


@jit
def scale_row(x, r, k):
    """Multiply row r of x (rows, units) by 2**k, exactly where the result is a normal number."""
    far = 252 if x.itemsize == 4 else 2044  # beyond it everything is 0 or infinite already
    k = min(max(k, -far), far)
    half = k // 2
    low, high = pow2(half, x[r, 0]), pow2(k - half, x[r, 0])
    for i in range(x.shape[1]):
        x[r, i] = x[r, i] * low * high

"""What an initialiser is."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

from gradsim._matrices import Draw
from gradsim.kernels import random

DISTRIBUTIONS = {
    "gaussian": random.NORMAL,
    "uniform": random.UNIFORM,
    "truncated": random.TRUNCATED,  # cut at 2 standard deviations, then of unit variance
    "triangular": random.TRIANGULAR,  # the sum of two equal uniforms
}
FANS = ("in", "out", "average")
PARAMETERS = ("fan", "nonzeros", "spectral_radius", "eigenvalues", "upper")  # fields of a model
SHAPING = PARAMETERS[1:]  # those that a matrix made as a whole depends on; see `structure`

Make = Callable[[Draw, int, int, Any], Any]


def _one(model: Any, fan_in: int) -> float:
    return 1.0


@dataclass(frozen=True)
class Bias:
    """How a scheme draws its biases.

    PyTorch has a bias beside W and another beside U; an affine map here has one in all.

    Attributes
    ----------
    distribution
        Name in `DISTRIBUTIONS`.
    std
        ``std(fan_in)``: standard deviation at sigma_b = 1.
    alone
        The law of a map that has W or U alone (of the candidate of a GRU); None means the same.
    """

    distribution: str = "gaussian"
    std: Callable[[int], float] = lambda fan_in: 1.0
    alone: "Bias | None" = None

    def of(self, affine: Any) -> "Bias":
        """Law of the biases of one affine map."""
        both = affine.weights and affine.inputs
        return self if both or self.alone is None else self.alone


@dataclass(frozen=True)
class Initializer:
    """A named initialiser.

    Attributes
    ----------
    name
        Name used in models.
    formula
        Law of W at sigma_w = 1 as text; any other sigma_w multiplies it.
    variance
        Variance of an entry of W as text.
    fan
        What ``scale`` is divided by: "in", "out", "average", "max" of the two, or "-" for 1.
    reference
        Where it comes from.
    distribution
        Of an entry, in `DISTRIBUTIONS`; where ``make`` is given, of the entries of U.
    scale
        Variance of an entry times the fan.
    gain
        ``gain(model, fan_in)``: further factor on W alone.
    bias
        Law of the biases.
    make
        ``make(draw, n_out, n_in, model)`` returns W as a whole.
    parameters, required
        Fields of the model that it takes, and those that it needs.
    square
        Whether all matrices must be square.
    mean_field
        Whether mean-field theory holds, with the sigma_w that :func:`gain` returns.
    source
        Text of a user's function, kept in files that need it.
    """

    name: str
    formula: str
    variance: str
    fan: str
    reference: str
    distribution: str = "gaussian"
    scale: float = 1.0
    gain: Callable[[Any, int], float] = _one
    bias: Bias = Bias()
    make: Make | None = None
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    square: bool = False
    mean_field: bool = True
    source: str = ""

    def std(self, fan_in: int, fan_out: int, fan: str | None = None) -> float:
        """Standard deviation of an entry at sigma_w = 1, without `gain`."""
        sizes = {
            "in": fan_in,
            "out": fan_out,
            "average": (fan_in + fan_out) / 2,
            "max": max(fan_in, fan_out),
            "-": 1,
        }
        return sqrt(self.scale / sizes[fan or self.fan])

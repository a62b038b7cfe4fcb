"""The registry of initialisers.

An initialiser is a distribution of unit variance, drawn by address, times a standard deviation.
Initialisers that share the distribution differ by a scale alone, so they share the draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any

from gradsim._registry import Registry


@dataclass(frozen=True)
class Initializer:
    """A named initialiser.

    Attributes
    ----------
    name
        Name used in models.
    distribution
        "gaussian" or "uniform", of unit variance.
    formula
        Variance of an entry as text; sigma_w = 1 is understood, any other multiplies the
        standard deviation.
    std
        ``std(fan_in, fan_out)``: standard deviation of an entry at sigma_w = 1.
    gain
        ``gain(model)``: further factor that depends on the model ("critical").
    reference
        Where it comes from.
    """

    name: str
    distribution: str
    formula: str
    std: Callable[[int, int], float]
    gain: Callable[[Any], float]
    reference: str


def _critical(model: Any) -> float:
    """sigma_w at which chi_1 = 1 in mean field; inputs of unit mean square act as a bias."""
    from gradsim.theory.mean_field import edge_of_chaos  # SciPy is imported where it is needed

    sigma_b = hypot(model.sigma_b, getattr(model, "sigma_u", 0.0))
    return edge_of_chaos(model.activation, sigma_b, slope=model.slope)


def _fan_in(fan_in: int, fan_out: int) -> float:
    return sqrt(1 / fan_in)


def _average(fan_in: int, fan_out: int) -> float:
    return sqrt(2 / (fan_in + fan_out))


def _double(fan_in: int, fan_out: int) -> float:
    return sqrt(2 / fan_in)


def _one(model: Any) -> float:
    return 1.0


_SCHEMES = {
    "lecun": ("1 / fan_in", _fan_in, "LeCun et al. 1998"),
    "glorot": ("2 / (fan_in + fan_out)", _average, "Glorot and Bengio 2010, eq. 12"),
    "he": ("2 / fan_in", _double, "He et al. 2015, eq. 10"),
}
_SHAPES = {"normal": "gaussian", "uniform": "uniform"}

_ENTRIES = [
    Initializer("gaussian", "gaussian", "1 / fan_in", _fan_in, _one, "mean-field convention"),
    Initializer("uniform", "uniform", "1 / fan_in", _fan_in, _one, "mean-field convention"),
    *(
        Initializer(f"{scheme}_{shape}", distribution, formula, std, _one, reference)
        for scheme, (formula, std, reference) in _SCHEMES.items()
        for shape, distribution in _SHAPES.items()
    ),
    Initializer(
        "critical", "gaussian", "sigma_w*^2 / fan_in with chi_1(sigma_w*) = 1",
        _fan_in, _critical, "Poole et al. 2016; Schoenholz et al. 2017",
    ),
]  # fmt: skip

initializers: Registry[Initializer] = Registry(
    "init", {entry.name: entry for entry in _ENTRIES}, ("distribution", "formula", "reference")
)


def gain(model: Any) -> float:
    """Standard deviation of a weight times sqrt(fan_in) in a square layer of the model.

    It is the sigma_w of mean-field theory for the model's initialiser.
    """
    entry = initializers[model.init]
    return model.sigma_w * entry.gain(model) * entry.std(1, 1)

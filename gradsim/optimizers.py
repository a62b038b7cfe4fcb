"""Optimizers: each is one registration of how a gradient becomes a direction.

The parameters move by -learning_rate * direction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradsim._flat import Flat
from gradsim._registry import Registry

if TYPE_CHECKING:
    from gradsim._train_settings import Settings

Step = Callable[["Settings", Flat | None, Flat, "Bend"], tuple[Flat | None, Flat]]
Bend = np.ndarray | None  # log10 |g'Hg / g'g| of every layer, where an optimizer asks for it


@dataclass(frozen=True)
class Optimizer:
    """A named optimizer.

    Attributes
    ----------
    name
        Name used in :func:`gradsim.train`.
    step
        ``step(settings, state, gradient, curvature)`` returning the next state and the direction;
        the first state is None.
    formula
        Direction d for the gradient g, as text.
    reference
        Source.
    numbers
        Its own arguments of `train`, with their defaults.
    curved
        Whether it asks for the curvature along the gradient of each layer.
    """

    name: str
    step: Step
    formula: str
    reference: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    curved: bool = False


def _sgd(
    settings: "Settings", state: Flat | None, gradient: Flat, curvature: Bend
) -> tuple[None, Flat]:
    return None, gradient


def _momentum(
    settings: "Settings", state: Flat | None, gradient: Flat, curvature: Bend
) -> tuple[Flat, Flat]:
    velocity = (
        gradient if state is None else state.times(settings.number("momentum")).plus(gradient)
    )
    return velocity, velocity


def _rmsprop(
    settings: "Settings", state: Flat | None, gradient: Flat, curvature: Bend
) -> tuple[Flat, Flat]:
    """The state is the root of the mean square: the square of a small number could underflow."""
    decay, epsilon = settings.number("decay"), settings.number("epsilon")
    parameters = gradient.parameters
    new = gradient.times(np.sqrt(1 - decay))
    if state is not None:
        top = np.maximum(state.exponents, new.exponents)
        root = np.hypot(np.sqrt(decay) * state.at(top), new.at(top))
        new = Flat(root, top, parameters)
    else:
        new = Flat(np.abs(new.values), new.exponents, parameters)
    new = new.normalised()
    top = np.maximum(new.exponents, 0) if epsilon > 0 else new.exponents
    scale = new.at(top) + np.ldexp(epsilon, -np.clip(top, -1000, 5000))[parameters.layer]
    ratio = np.divide(gradient.values, scale, out=np.zeros_like(scale), where=scale > 0)
    return new, Flat(ratio, gradient.exponents - top, parameters).normalised()


def _newton(
    settings: "Settings", state: Flat | None, gradient: Flat, curvature: Bend
) -> tuple[None, Flat]:
    """Layers without a curvature, or of 0 without damping, stay as they are."""
    assert curvature is not None
    damping = settings.number("damping")
    least = np.log2(damping) if damping > 0 else -np.inf
    bend = np.where(np.isnan(curvature), -np.inf, curvature)  # of a layer without a gradient
    size = np.logaddexp2(bend / np.log10(2.0), least)  # of |g'Hg / g'g| + damping
    whole = np.isfinite(size)
    shift = np.floor(np.where(whole, size, 0.0)).astype(np.int64)
    scaled = gradient.times(np.where(whole, np.exp2(shift - np.where(whole, size, 0.0)), 0.0))
    exponents = scaled.exponents - shift
    return None, Flat(scaled.values, exponents, gradient.parameters).normalised()


_ENTRIES = (
    Optimizer("sgd", _sgd, "d = g", "H. Robbins and S. Monro 1951"),
    Optimizer("momentum", _momentum, "d = v = momentum v + g",
              "B. T. Polyak 1964, the heavy ball", {"momentum": 0.9}),
    Optimizer("rmsprop", _rmsprop,
              "s = decay s + (1 - decay) g^2 entry by entry, d = g / (sqrt(s) + epsilon)",
              "T. Tieleman and G. Hinton 2012, lecture 6.5", {"decay": 0.9, "epsilon": 1e-8}),
    Optimizer("newton", _newton, "d = g / (|g'Hg / g'g| + damping) layer by layer",
              "Y. N. Dauphin et al. 2014, saddle-free; along each layer's gradient alone",
              {"damping": 0.0}, curved=True),
)  # fmt: skip

optimizers: Registry[Optimizer] = Registry(
    "train: optimizer", {entry.name: entry for entry in _ENTRIES}, ("formula", "reference")
)

"""A cell on NumPy arrays: the oracle of the engine for values and, with complex numbers, slopes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradsim.activations import activations


class Eager:
    """The ``t`` of a cell on NumPy arrays (…, unit): the oracle of the engine.

    Parameters
    ----------
    weights, biases
        One matrix (unit, input) and one bias (unit,) per affine map, in the order of recording;
        None for what a map has not.
    drives
        What an RNN adds to each map: U x_t (…, unit); None without inputs.
    slope
        Slope of leaky_relu.
    model
        Model whose numbers and normalisation the cell reads; needed by cells that do.
    """

    def __init__(
        self,
        weights: Sequence[Any],
        biases: Sequence[Any],
        drives: Sequence[Any] | None = None,
        slope: float = 0.01,
        model: Any = None,
    ) -> None:
        self._weights, self._biases, self._drives = weights, biases, drives
        self._slope, self._next, self._model = slope, 0, model

    def linear(self, x: np.ndarray, name: str | None = None, **parts: Any) -> np.ndarray:
        """Affine map number `_next`; its biases hold all that is added to them."""
        i, self._next = self._next, self._next + 1
        z = x @ self._weights[i].T if parts.get("weights", True) else x
        z = z + self._biases[i] if parts.get("bias", True) else z
        driven = self._drives is not None and parts.get("inputs", True)
        return z + self._drives[i] if driven else z  # type: ignore[index]

    def drive(self, x: np.ndarray, name: str) -> np.ndarray:
        """Affine map without W."""
        return self.linear(x, name, weights=False)

    def norm(self, x: np.ndarray, placement: str = "pre") -> np.ndarray:
        """The model's normalisation, over units or over the examples (…, example, unit)."""
        model = self._model
        if model is None or model.norm is None or placement != model.norm_placement:
            return x
        axis = -2 if model.norm == "batch" else -1
        mean = x.mean(axis=axis, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=axis, keepdims=True)
        return (x - mean) / np.sqrt(variance + model.norm_eps)

    def field(self, name: str) -> float:
        """A number of the model."""
        return float(getattr(self._model, name))

    @property
    def alpha(self) -> float:
        """Scale of a residual branch."""
        return self._model.alpha

    def map(self, phi: str, x: np.ndarray) -> np.ndarray:
        """phi(x) by its NumPy form."""
        return activations[phi].value(x, self._slope)

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """Logistic function."""
        return self.map("sigmoid", x)

    def tanh(self, x: np.ndarray) -> np.ndarray:
        """Hyperbolic tangent."""
        return self.map("tanh", x)

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
        One matrix (unit, input) and one bias (unit,) per affine map, in the order of recording.
    drives
        What an RNN adds to each map: U x_t (…, unit), or None.
    slope
        Slope of leaky_relu.
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray],
        drives: Sequence[np.ndarray] | None = None,
        slope: float = 0.01,
    ) -> None:
        self._weights, self._biases, self._drives = weights, biases, drives
        self._slope, self._next = slope, 0

    def linear(self, x: np.ndarray) -> np.ndarray:
        """Affine map number `_next`."""
        i, self._next = self._next, self._next + 1
        z = x @ self._weights[i].T + self._biases[i]
        return z if self._drives is None else z + self._drives[i]

    def map(self, phi: str, x: np.ndarray) -> np.ndarray:
        """phi(x) by its NumPy form."""
        return activations[phi].value(x, self._slope)

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """Logistic function."""
        return self.map("sigmoid", x)

    def tanh(self, x: np.ndarray) -> np.ndarray:
        """Hyperbolic tangent."""
        return self.map("tanh", x)

"""All parameters of a network as one vector, with a binary exponent a layer.

Arithmetic over the whole vector costs a few calls of NumPy however many layers there are, and a
gradient of 10**-400 stays what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradsim._arrays import shapes_of
from gradsim.models import MLP, RNN
from gradsim.scaled import Scaled

FAR = -(2**30)  # exponent of a layer of zeros
USUAL = 200  # binary exponents within which values are left as they are
MOST = 5000  # a shift beyond which everything is 0 or infinite
_LOG10_2 = float(np.log10(2.0))
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Parameters:
    """Where the parameters of a model lie in the vector: W, U and b of each layer in turn.

    Attributes
    ----------
    shapes
        Shapes of W, U and b of every layer (of tied weights one), those of a cell's maps stacked;
        U only with inputs.
    """

    shapes: tuple[tuple[Shape, ...], ...]

    @staticmethod
    def of(model: MLP | RNN) -> "Parameters":
        """Parameters of a model with all widths set."""
        weights, biases, drives = shapes_of(model)
        kinds = (weights, drives, biases) if drives else (weights, biases)
        return Parameters(tuple(zip(*kinds)))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of parameters of each layer."""
        return np.array([sum(int(np.prod(s)) for s in layer) for layer in self.shapes], np.int64)

    @cached_property
    def starts(self) -> np.ndarray:
        """First parameter of each layer."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def layer(self) -> np.ndarray:
        """Layer of each parameter, from 0."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def penalised(self) -> np.ndarray:
        """1 for a weight, 0 for a bias."""
        mask = np.ones(self.total)
        for *_, biases in self.arrays(mask):
            biases[:] = 0.0
        return mask

    @property
    def total(self) -> int:
        """Number of parameters."""
        return int(self.sizes.sum())

    @property
    def count(self) -> int:
        """Number of layers."""
        return len(self.shapes)

    def arrays(self, vector: np.ndarray) -> list[list[np.ndarray]]:
        """Views of W, U and b of every layer of a vector."""
        views: list[list[np.ndarray]] = []
        start = 0
        for layer in self.shapes:
            views.append([])
            for shape in layer:
                stop = start + int(np.prod(shape))
                views[-1].append(vector[start:stop].reshape(shape))
                start = stop
        return views

    def vector(self, *kinds: Sequence[np.ndarray]) -> np.ndarray:
        """Vector of W, U (where there are inputs) and b, each in layer order."""
        return np.concatenate([array.ravel() for layer in zip(*kinds) for array in layer])


@dataclass(frozen=True)
class Flat:
    """The vector ``values * 2**exponents[layer]``."""

    values: np.ndarray
    exponents: np.ndarray
    parameters: Parameters

    @staticmethod
    def plain(values: np.ndarray, parameters: Parameters) -> "Flat":
        """A plain vector."""
        return Flat(values, np.zeros(parameters.count, np.int64), parameters).normalised()

    @staticmethod
    def gathered(kinds: Sequence[Sequence[Scaled]], parameters: Parameters) -> "Flat":
        """Arrays W, U (where there are inputs) and b, each in layer order."""
        values, exponents = np.zeros(parameters.total), []
        for views, layer in zip(parameters.arrays(values), zip(*kinds)):
            top = max((part.exponent for part in layer if np.any(part.array)), default=FAR)
            for view, part in zip(views, layer):
                np.ldexp(part.array, max(min(part.exponent - top, 0), -MOST), out=view)
            exponents.append(top)
        return Flat(values, np.array(exponents, np.int64), parameters).normalised()

    def normalised(self) -> "Flat":
        """The same vector with every layer of a size whose square float64 holds; zeros at `FAR`."""
        size = np.maximum.reduceat(np.abs(self.values), self.parameters.starts)
        k = np.frexp(size)[1].astype(np.int64)
        exponents = np.where(size == 0, FAR, self.exponents)
        moved = np.where(np.abs(k) > USUAL, k, 0)
        if not moved.any():
            return Flat(self.values, exponents, self.parameters)
        values = np.ldexp(self.values, -moved[self.parameters.layer])
        return Flat(values, exponents + moved, self.parameters)

    def at(self, exponents: np.ndarray) -> np.ndarray:
        """Values that the vector has with other exponents (layer,)."""
        shift = np.clip(self.exponents - exponents, -MOST, MOST)
        if np.abs(shift).max() <= USUAL:  # a product is faster, and as exact
            return self.values * np.repeat(np.ldexp(1.0, shift), self.parameters.sizes)
        return np.ldexp(self.values, shift[self.parameters.layer])

    def to_array(self) -> np.ndarray:
        """Plain vector: 0 and infinite where float64 cannot hold it."""
        return self.at(np.zeros(self.parameters.count, np.int64))

    def times(self, factor: np.ndarray | float) -> "Flat":
        """Product with a number, or with one a layer."""
        mantissa, k = np.frexp(np.broadcast_to(factor, self.exponents.shape))
        values = self.values * np.repeat(mantissa, self.parameters.sizes)
        return Flat(values, self.exponents + k, self.parameters).normalised()

    def plus(self, other: "Flat") -> "Flat":
        """Sum."""
        top = np.maximum(self.exponents, other.exponents)
        return Flat(self.at(top) + other.at(top), top, self.parameters).normalised()

    def log10_norms(self) -> np.ndarray:
        """log10 of the Euclidean norm of every layer; -inf for zeros."""
        unit = self.normalised()
        square = np.add.reduceat(unit.values * unit.values, self.parameters.starts)
        with np.errstate(divide="ignore"):
            return 0.5 * np.log10(square) + np.where(square > 0, unit.exponents * _LOG10_2, 0.0)

    def biases(self) -> "Flat":
        """The same vector with every weight at 0."""
        return Flat(self.values * (1 - self.parameters.penalised), self.exponents, self.parameters)

    def layers(self) -> list[Scaled]:
        """One array a layer."""
        parts = np.split(self.values, self.parameters.starts[1:])
        return [Scaled(part, int(e)) for part, e in zip(parts, self.exponents)]

    @staticmethod
    def joined(layers: Sequence[Scaled], parameters: Parameters) -> "Flat":
        """Vector of one array a layer."""
        exponents = np.array([part.exponent for part in layers], np.int64)
        return Flat(np.concatenate([part.array for part in layers]), exponents, parameters)

"""What a measurement of one's own reads: one network under one condition, after both passes."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._draws import Draws
from gradsim._reader import Reader
from gradsim.models import MLP, RNN
from gradsim.scaled import Scaled

if TYPE_CHECKING:
    from gradsim.plan import Given


class View:
    """One network under one condition, with everything that both passes kept of it.

    Arrays are float64 copies whatever the dtype of the run, each a :class:`Scaled` with an exponent
    of its own; they are made when first asked for. Where the run takes every example for itself
    (``batch="each"``) the view holds that one example.

    Attributes
    ----------
    model
        The condition: a :class:`gradsim.MLP` or :class:`gradsim.RNN` with all its fields.
    seed, key
        Address of the network.
    layers
        range(1, L + 1), or the steps.
    """

    model: MLP | RNN
    seed: int
    key: int

    def __init__(
        self,
        reader: Reader,
        model: MLP | RNN,
        seed: int,
        key: int,
        given: "Given | None",
        drawn: dict[Any, np.ndarray],
    ) -> None:
        self._reader, self._given, self._drawn = reader, given, drawn
        self.model, self.seed, self.key = model, seed, key
        self.layers = reader.layers

    @cached_property
    def deltas(self) -> list[Scaled]:
        """dC/dz (example, unit) in layer order, each example's own cost."""
        return [self._reader.delta(layer) for layer in self.layers]

    @cached_property
    def pre_activations(self) -> list[Scaled]:
        """Z (example, unit) in layer order; of several gates one after another."""
        return [self._reader.pre_activation(layer) for layer in self.layers]

    @cached_property
    def activations(self) -> list[Scaled]:
        """Activations a^0 (the input) to a^L (example, unit); of an RNN the states h_0 to h_T."""
        return [self._reader.state(layer) for layer in (0, *self.layers)]

    @cached_property
    def weight_gradients(self) -> list[Scaled]:
        """dC/dW of every layer or step (unit, input): of the mean over the examples here.

        Those of a tied RNN are the parts that its steps contribute; of several matrices they are
        stacked.
        """
        return [self._reader.layer(layer)[0][0] for layer in self.layers]

    @cached_property
    def input_weight_gradients(self) -> list[Scaled]:
        """dC/dU (unit, feature) of every step of an RNN with inputs, likewise; else none."""
        parts = [self._reader.layer(layer)[2] for layer in self.layers]
        return [one for part in parts for one in part]

    @cached_property
    def gradients(self) -> tuple[list[Scaled], list[Scaled], list[Scaled]]:
        """dC/dW, dC/db and dC/dU in layer order, of a tied RNN one each, summed over its steps.

        As :func:`gradsim.backward` has them: of the mean over the examples here.
        """
        return self._reader.parameters()

    @cached_property
    def input_gradient(self) -> Scaled:
        """dC/dx (example, feature), of an RNN dC/dh_0, over the number of examples here."""
        return self._reader.far()

    @cached_property
    def weights(self) -> list[Scaled]:
        """W (unit, input) in layer order as :func:`gradsim.network` has them, of a tied RNN one."""
        return [Scaled(array, 0) for array in self._parts[0]]

    @cached_property
    def biases(self) -> list[Scaled]:
        """Biases (unit,) in layer order, of a tied RNN one."""
        return [Scaled(array, 0) for array in self._parts[1]]

    @cached_property
    def input_weights(self) -> list[Scaled]:
        """U (unit, feature) of an RNN in step order, one where tied; none without inputs."""
        if self._given is not None:
            return [Scaled(array, 0) for array in _stacked(self._given.input_weights)]
        drives = self._draws.input_weights()
        arrays = [] if drives is None else drives if isinstance(drives, list) else [drives]
        return [Scaled(array, 0) for array in arrays]

    @cached_property
    def _draws(self) -> Draws:
        return Draws(self.model, self.seed, self.key, self._drawn)

    @cached_property
    def _parts(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights and biases, given or drawn by address."""
        if self._given is not None:
            return _stacked(self._given.weights), _stacked(self._given.biases)
        return self._draws.weights()


def _stacked(by_map: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Arrays of layers, from those of their affine maps."""
    return [np.concatenate(parts) for parts in zip(*by_map)]

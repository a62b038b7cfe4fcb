"""The random numbers of one network in NumPy, from the same addresses as the engine's."""

import numpy as np

from gradsim._init_scales import input_std, weight_std
from gradsim._initializer import DISTRIBUTIONS
from gradsim._made import matrix, one_thread
from gradsim.examples import Inputs
from gradsim.initializers import initializers
from gradsim.kernels import random
from gradsim.kernels.draws import STREAMS
from gradsim.models import MLP, RNN


class Draws:
    """Draws of one network.

    Parameters
    ----------
    model
        Model with all widths set.
    seed, key
        Its address.
    """

    def __init__(self, model: MLP | RNN, seed: int, key: int) -> None:
        self._model, self._seed, self._key = model, np.uint64(seed), np.uint64(key)
        self._init = initializers[model.init]
        self.n_out = model.width if isinstance(model, RNN) else model.widths[-1]

    def _normals(
        self, stream: str, layer: int, *shape: int, distribution: str = "gaussian"
    ) -> np.ndarray:
        out, kind = np.empty(int(np.prod(shape))), DISTRIBUTIONS[distribution]
        random.fill(out, kind, 0, layer, STREAMS[stream], self._key, self._seed)
        return out.reshape(shape)

    def _weights(self, stream: str, layer: int, std: float, *shape: int) -> np.ndarray:
        """Weights drawn one by one."""
        return std * self._normals(stream, layer, *shape, distribution=self._init.distribution)

    def _matrix(self, stream: str, layer: int, rows: int, columns: int) -> np.ndarray:
        """W of an affine map: drawn one by one, or made as a whole."""
        std = weight_std(self._model, columns, rows)
        if self._init.make is None:
            return self._weights(stream, layer, std, rows, columns)
        address = int(self._key), int(self._seed)
        with one_thread():
            return std * matrix(self._model, STREAMS[stream], layer, rows, columns, *address)

    def _biases(self, stream: str, layer: int, rows: int, columns: int) -> np.ndarray:
        if not self._model.sigma_b:
            return np.zeros(rows)
        bias = self._init.bias
        drawn = self._normals(stream, layer, rows, distribution=bias.distribution)
        return self._model.sigma_b * bias.std(columns) * drawn

    def _layers(self) -> list[tuple[int, int, int]]:
        """(address layer, units, inputs) of every matrix."""
        model = self._model
        if isinstance(model, MLP):
            pairs = zip(model.widths[1:], model.widths[:-1])
            return [(i + 1, rows, columns) for i, (rows, columns) in enumerate(pairs)]
        steps = [0] if model.tied else range(1, model.steps + 1)
        return [(step, model.width, model.width) for step in steps]

    def weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Matrices W and biases b in layer order."""
        weights, biases = [], []
        for layer, rows, columns in self._layers():
            weights.append(self._matrix("W", layer, rows, columns))
            biases.append(self._biases("b", layer, rows, columns))
        return weights, biases

    def input_weights(self) -> np.ndarray | list[np.ndarray] | None:
        """U of an RNN with inputs."""
        model = self._model
        if not isinstance(model, RNN) or model.sigma_u == 0:
            return None
        shape = model.width, model.input_width or model.width
        drives = [
            self._weights("U", layer, input_std(model), *shape) for layer, _, _ in self._layers()
        ]
        return drives[0] if model.tied else drives

    def inputs(self, inputs: Inputs) -> np.ndarray | None:
        """Inputs (example[, step], feature), given or drawn; None for an RNN without."""
        model = self._model
        if isinstance(model, RNN):
            if model.sigma_u == 0:
                return None
            if inputs.array is not None:
                return np.moveaxis(inputs.array[: model.steps], 0, 1)
            shape = inputs.count, model.input_width or model.width
            drawn = [self._normals("x", t, *shape) for t in range(1, model.steps + 1)]
            return np.stack(drawn, axis=1)
        if inputs.array is not None:
            return inputs.array[0]
        return self._normals("x", 0, inputs.count, model.widths[0])

    def initial_state(self) -> np.ndarray | None:
        """h_0 of an RNN."""
        model = self._model
        if not isinstance(model, RNN):
            return None
        if model.initial_state == "zeros":
            return np.zeros(model.width)
        if model.initial_state == "gaussian":
            return self._normals("h0", 0, model.width)
        return np.array(model.initial_state)

    def targets(self, count: int) -> np.ndarray:
        """Drawn targets (example[, step], feature); v for the linear loss."""
        model = self._model
        if model.loss == "linear":
            return np.broadcast_to(self._normals("v", 0, self.n_out), (count, self.n_out)).copy()
        if isinstance(model, RNN) and model.loss_at == "all":
            steps = [self._target(t, count) for t in range(1, model.steps + 1)]
            return np.stack(steps, axis=1)
        return self._target(0, count)

    def _target(self, step: int, count: int) -> np.ndarray:
        n, loss = self.n_out, self._model.loss
        if loss == "mse":
            return self._normals("y", step, count, n)
        address = step, STREAMS["y"], self._key, self._seed
        if self._model.last_activation == "softmax":
            labels = [random.uniform_word(b, *address) * n for b in range(count)]
            return np.eye(n)[np.minimum(np.array(labels).astype(int), n - 1)]
        coins = [random.uniform_word(i, *address) < 0.5 for i in range(count * n)]
        return np.array(coins, np.float64).reshape(count, n)

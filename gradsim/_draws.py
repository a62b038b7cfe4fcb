"""The random numbers of one network in NumPy, from the same addresses as the engine's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradsim._init_scales import input_std, weight_std
from gradsim._initializer import DISTRIBUTIONS
from gradsim._made import matrix, one_thread
from gradsim._matrices import Draw
from gradsim.cells import maps_of
from gradsim.examples import Inputs
from gradsim.initializers import initializers
from gradsim.kernels import random
from gradsim.kernels.draws import STREAMS
from gradsim.models import MLP, RNN
from gradsim.table import Map


class Draws:
    """Draws of one network.

    Parameters
    ----------
    model
        Model with all widths set.
    seed, key
        Its address.
    kept
        What was drawn or made for other conditions of the same network and pass, which share it;
        grows with what is asked for. None draws anew.
    """

    def __init__(
        self, model: MLP | RNN, seed: int, key: int, kept: dict[Any, np.ndarray] | None = None
    ) -> None:
        self._model, self._seed, self._key = model, np.uint64(seed), np.uint64(key)
        self._kept = kept
        self._init = initializers[model.init]
        self.n_out = model.width if isinstance(model, RNN) else model.widths[-1]

    def _once(self, what: tuple[Any, ...], draw: Callable[[], np.ndarray]) -> np.ndarray:
        """Array by its name among those kept, drawn where there is none."""
        if self._kept is None:
            return draw()
        if what not in self._kept:
            self._kept[what] = draw()
        return self._kept[what]

    def _normals(
        self, stream: int, layer: int, *shape: int, distribution: str = "gaussian"
    ) -> np.ndarray:
        out, kind = np.empty(int(np.prod(shape))), DISTRIBUTIONS[distribution]
        random.fill(out, kind, 0, layer, stream, self._key, self._seed)
        return out.reshape(shape)

    def _weights(self, stream: int, layer: int, std: float, *shape: int) -> np.ndarray:
        """Weights drawn one by one."""
        kind = self._init.distribution
        what = stream, layer, shape, kind
        return std * self._once(
            what, lambda: self._normals(stream, layer, *shape, distribution=kind)
        )

    def _matrix(self, stream: int, layer: int, rows: int, columns: int) -> np.ndarray:
        """W of an affine map: drawn one by one, or made as a whole."""
        std = weight_std(self._model, columns, rows)
        if self._init.make is None:
            return self._weights(stream, layer, std, rows, columns)
        what = stream, layer, (rows, columns), self._model.init
        return std * self._once(what, lambda: self._made(stream, layer, rows, columns))

    def _made(self, stream: int, layer: int, rows: int, columns: int) -> np.ndarray:
        """W at sigma_w = 1, made as a whole."""
        with one_thread():
            return matrix(
                self._model, stream, layer, rows, columns, int(self._key), int(self._seed)
            )

    def _biases(self, affine: Map, layer: int, rows: int, columns: int) -> np.ndarray:
        fixed = np.full(rows, affine.constant(self._model))
        if affine.chrono:
            fixed += affine.chrono * self._chrono(layer, rows)
        if not self._model.sigma_b:
            return fixed
        law = self._init.bias.of(affine)
        drawn = self._normals(affine.streams[2], layer, rows, distribution=law.distribution)
        return self._model.sigma_b * law.std(columns) * drawn + fixed

    def _chrono(self, layer: int, rows: int) -> np.ndarray:
        """Chrono biases log U[1, T_max - 1] (Tallec and Ollivier 2018, eq. 16); 0 without."""
        longest = getattr(self._model, "chrono", None)
        if longest is None:
            return np.zeros(rows)
        uniforms = Draw(STREAMS["chrono"], layer, int(self._key), int(self._seed)).uniforms(rows)
        return np.log1p((longest - 2) * uniforms)

    def _layers(self) -> list[tuple[int, int, int]]:
        """(address layer, units, inputs) of every matrix."""
        model = self._model
        if isinstance(model, MLP):
            pairs = zip(model.widths[1:], model.widths[:-1])
            return [(i + 1, rows, columns) for i, (rows, columns) in enumerate(pairs)]
        steps = [0] if model.tied else range(1, model.steps + 1)
        return [(step, model.width, model.width) for step in steps]

    def weights(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Matrices W and biases b in layer order, those of a cell's maps stacked."""
        model, weights, biases = self._model, [], []
        for i, (layer, rows, columns) in enumerate(self._layers()):
            maps, parts = maps_of(model, i), [np.zeros(0)]
            drawn = [self._matrix(m.streams[0], layer, rows, columns) for m in maps if m.weights]
            weights.append(np.concatenate(drawn))
            parts += [self._biases(m, layer, rows, columns) for m in maps if m.bias]
            biases.append(np.concatenate(parts))
        return weights, biases

    def input_weights(self) -> np.ndarray | list[np.ndarray] | None:
        """U of an RNN with inputs, those of a cell's maps stacked."""
        model = self._model
        if not isinstance(model, RNN) or model.sigma_u == 0:
            return None
        shape, std = (model.width, model.input_width or model.width), input_std(model)
        drives = [
            np.concatenate([self._weights(m.streams[1], layer, std, *shape)
                            for m in maps_of(model, i) if m.inputs])
            for i, (layer, _, _) in enumerate(self._layers())
        ]  # fmt: skip
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
            drawn = [self._normals(STREAMS["x"], t, *shape) for t in range(1, model.steps + 1)]
            return np.stack(drawn, axis=1)
        if inputs.array is not None:
            return inputs.array[0]
        return self._normals(STREAMS["x"], 0, inputs.count, model.widths[0])

    def initial_state(self) -> np.ndarray | None:
        """h_0 of an RNN."""
        model = self._model
        if not isinstance(model, RNN):
            return None
        if model.initial_state == "zeros":
            return np.zeros(model.width)
        if model.initial_state == "gaussian":
            return self._normals(STREAMS["h0"], 0, model.width)
        return np.array(model.initial_state)

    def targets(self, count: int) -> np.ndarray:
        """Drawn targets (example[, step], feature); v for the linear loss."""
        model = self._model
        if model.loss == "linear":
            return np.broadcast_to(
                self._normals(STREAMS["v"], 0, self.n_out), (count, self.n_out)
            ).copy()
        if isinstance(model, RNN) and model.loss_at == "all":
            steps = [self._target(t, count) for t in range(1, model.steps + 1)]
            return np.stack(steps, axis=1)
        return self._target(0, count)

    def _target(self, step: int, count: int) -> np.ndarray:
        n, loss = self.n_out, self._model.loss
        if loss == "mse":
            return self._normals(STREAMS["y"], step, count, n)
        address = step, STREAMS["y"], self._key, self._seed
        if self._model.last_activation == "softmax":
            labels = [random.uniform_word(b, *address) * n for b in range(count)]
            chosen = np.minimum(np.array(labels).astype(int), n - 1)
            return (chosen[:, np.newaxis] == np.arange(n)).astype(np.float64)
        coins = [random.uniform_word(i, *address) < 0.5 for i in range(count * n)]
        return np.array(coins, np.float64).reshape(count, n)

"""The engine with weights and examples that are written before each run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gradsim._arrays import by_map, shapes_of
from gradsim._curvature import CURVATURE, Curvature
from gradsim._flat import Flat, Parameters
from gradsim._reader import Reader
from gradsim._rows import USUAL, row_scaled
from gradsim.examples import Inputs, Targets
from gradsim.kernels.measure import LOSS
from gradsim.kernels.program import HEAD_SCALE_E
from gradsim.models import RNN
from gradsim.network import Network
from gradsim.plan import Given, Model, Options, Pass, build
from gradsim.workspace import Worker

MOVED = ("weights", "input_weights", "bias", "scale_e", "head")  # what each worker has as its own


class Data:
    """Examples of one network in the form of the engine's memory."""

    def __init__(self, net: Network) -> None:
        self.y = np.asarray(net.targets)
        self.count = len(self.y)
        self.x = self.x_e = self.states = self.states_e = None
        if net.inputs is not None:
            recurrent = isinstance(net.model, RNN)
            x = np.moveaxis(net.inputs, 1, 0) if recurrent else net.inputs[np.newaxis]
            self.x, self.x_e = row_scaled(x, np.dtype(np.float64))
        state = getattr(net.model, "initial_state", "zeros")
        if not isinstance(state, str):
            rows = np.atleast_2d(state)
            states = np.broadcast_to(rows, (self.count, rows.shape[1]))
            self.states, self.states_e = row_scaled(states, np.dtype(np.float64))


def plan(model: Model, net_targets: tuple[int, ...], count: int, curved: bool = False) -> Pass:
    """Pass of one model with given weights, inputs and targets, to be written by each worker.

    Parameters
    ----------
    model
        With all widths set.
    net_targets
        Shape of a network's targets: (example, feature) or (example, step, feature).
    count
        Examples of one run.
    curved
        Whether it measures the curvature along the gradient of each layer.
    """
    ones = [[np.ones(shape) for shape in shapes] for shapes in shapes_of(model)]
    parts = zip((ones[0], ones[2], ones[1]), ("weights", "inputs", "bias"))
    given = Given(*(by_map(model, stacked, part) for stacked, part in parts))
    inputs = Inputs(count)
    if not isinstance(model, RNN):
        inputs = Inputs(count, np.zeros((1, count, model.ends[0])))
    elif model.sigma_u > 0:
        inputs = Inputs(count, np.zeros((model.steps, count, model.input_width or model.width)))
    state = getattr(model, "initial_state", "zeros")
    if isinstance(state[0], tuple) and len(state) > 1:
        model = model.with_fields(initial_state=state[:count])
    moves = len(net_targets) == 3
    shape = (net_targets[1] if moves else 1, count, net_targets[-1])
    targets = Targets(np.zeros(shape), False, moves)
    measures = ((CURVATURE(), Curvature),) if curved else ()
    options = Options(np.dtype(np.float64), False, True, False, False, True, measures)
    (item,) = build((model,), inputs, targets, options, given)
    own = {name: item.shared[name] for name in MOVED}
    shared = {name: array for name, array in item.shared.items() if name not in MOVED}
    return replace(item, shared=shared, start=item.start | own)


@dataclass(frozen=True)
class _Piece:
    """A matrix of the vector, where the engine reads it, and its map and layers there."""

    source: np.ndarray
    target: np.ndarray
    m: int
    layers: slice


class Engine:
    """A worker whose weights and examples are written before each run.

    Parameters
    ----------
    model, item
        The model, and its pass from :func:`plan`.
    parameters
        Where its parameters lie in the vector.
    stop
        int64 (1, 1), shared by all workers; a number other than 0 ends the run.
    """

    def __init__(self, model: Model, item: Pass, parameters: Parameters, stop: np.ndarray) -> None:
        self._model, self._item, self._parameters = model, item, parameters
        self._worker = Worker(item, stop)
        self._reader = Reader(model, item, self._worker)
        self._vector = np.zeros(parameters.total)
        self._matrices = list(self._places())
        self._tied = isinstance(model, RNN) and model.tied
        self.count = item.scalars["examples"]

    def _places(self) -> Iterator[_Piece]:
        """Every matrix and bias of the vector."""
        kinds = [list(kind) for kind in zip(*self._parameters.arrays(self._vector))]
        names = ("weights", "inputs", "bias") if len(kinds) == 3 else ("weights", "bias")
        for name, stacked in zip(names, kinds):
            for m, per_layer in enumerate(by_map(self._model, stacked, name)):
                for i, source in enumerate(per_layer):
                    if source.size:
                        yield self._place(name, m, i + 1, source)

    def _place(self, name: str, m: int, layer: int, source: np.ndarray) -> _Piece:
        arrays, last = self._worker.arrays, self._item.scalars["layers"]
        whole = isinstance(self._model, RNN) and self._model.tied
        layers = slice(1, last + 1) if whole else slice(layer, layer + 1)
        if name == "bias":
            first = m * (last + 1)
            rows = slice(first + layers.start, first + layers.stop)
            return _Piece(source, arrays["bias"][rows, : source.size], -1, layers)
        memory, table = ("weights", "weight_address")
        if name == "inputs":
            memory, table = ("input_weights", "input_address")
        start = arrays[table][m, layer]
        target = arrays[memory][0, start : start + source.size].reshape(source.shape)
        return _Piece(source, target, m if name == "weights" else -1, layers)

    def load(self, vector: np.ndarray) -> None:
        """Take the parameters; a matrix of unusual size gets an exponent, as in a plan."""
        self._vector[:] = vector
        scale_e = self._worker.arrays["scale_e"]
        for piece in self._matrices:
            if piece.m < 0:
                piece.target[:] = piece.source
                continue
            k = int(np.frexp(np.max(np.abs(piece.source)))[1])
            k = k if abs(k) >= USUAL else 0
            scale_e[piece.m, piece.layers] = k
            np.ldexp(piece.source, -k, out=piece.target)
        self._worker.arrays["head"][HEAD_SCALE_E, 0] = scale_e[0, -1]

    def examples(self, data: "Data", chosen: np.ndarray | slice) -> None:
        """Take the examples of a run."""
        arrays = self._worker.arrays
        if data.x is not None and data.x_e is not None:
            steps, features = len(data.x), data.x.shape[-1]
            arrays["x"].reshape(steps, self.count, features)[:] = data.x[:, chosen]
            arrays["x_e"][:] = data.x_e[:, chosen]
        y = arrays["y"].reshape(-1, self.count, data.y.shape[-1])
        if data.y.ndim == 3:
            y[1:] = np.moveaxis(data.y[chosen], 1, 0)
        else:
            y[:] = data.y[chosen]
        if data.states is not None and data.states_e is not None:
            arrays["start"][self.count :] = data.states[chosen]
            arrays["start_e"][1] = data.states_e[chosen]

    def run(self, seed: int, key: int) -> tuple[float, int]:
        """log10 of the cost, and the status."""
        self._results = results = self._worker.run(np.array([seed], np.uint64), key)
        return float(results.scalar(LOSS)[0, 0]), int(results.status()[0, 0, 0])

    def curvature(self) -> tuple[np.ndarray, np.ndarray]:
        """log10 |g'Hg / g'g| and its sign (layer,) that the last run has left."""
        names = ("log10_curvature", "curvature_sign")
        size, sign = (self._results.reduced("curvature", name)[0, 0] for name in names)
        return np.atleast_1d(size), np.atleast_1d(sign)

    def gradient(self) -> Flat:
        """Gradient of the mean cost that the last run has left."""
        weights, biases, drives = self._reader.parameters()
        kinds = (weights, drives, biases) if drives else (weights, biases)
        return Flat.gathered(kinds, self._parameters)

"""Training of one network at a time: the engine's gradients, and a vector of parameters."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradsim import clipping
from gradsim._arrays import by_map, shapes_of
from gradsim._flat import Flat, Parameters
from gradsim._matrices import Draw
from gradsim._rows import USUAL, row_scaled
from gradsim._train_settings import Settings
from gradsim.examples import Inputs, Targets
from gradsim.gradients import NOT_FINITE, Reader
from gradsim.kernels.draws import STREAMS
from gradsim.kernels.measure import LOSS
from gradsim.kernels.program import HEAD_SCALE_E
from gradsim.models import RNN
from gradsim.network import Network
from gradsim.optimizers import optimizers
from gradsim.plan import Given, Model, Options, Pass, build
from gradsim.workspace import Worker

MOVED = ("weights", "input_weights", "bias", "scale_e", "head")  # what each worker has as its own
Numbers = dict[str, np.ndarray]


def plan(model: Model, net_targets: tuple[int, ...], count: int) -> Pass:
    """Pass of one model with given weights, inputs and targets, to be written by each worker.

    Parameters
    ----------
    model
        With all widths set.
    net_targets
        Shape of a network's targets: (example, feature) or (example, step, feature).
    count
        Examples of one run.
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
    options = Options(np.dtype(np.float64), False, True, False, False, keep=True)
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
        results = self._worker.run(np.array([seed], np.uint64), key)
        return float(results.scalar(LOSS)[0, 0]), int(results.status()[0, 0, 0])

    def gradient(self) -> Flat:
        """Gradient of the mean cost that the last run has left."""
        weights, biases, drives = self._reader.parameters()
        kinds = (weights, drives, biases) if drives else (weights, biases)
        return Flat.gathered(kinds, self._parameters)


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


def batches(count: int, size: int, key: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of the examples of one batch after another.

    Each epoch is a random order of all examples by an address of its own; what does not fill a
    batch at its end is left out.
    """
    epoch = 0
    while True:
        order = np.argsort(Draw(STREAMS["batch"], epoch, key, seed).uniforms(count), kind="stable")
        for first in range(0, count - size + 1, size):
            yield order[first : first + size]
        epoch += 1


def _kinds(net: Network) -> tuple[list[np.ndarray], ...]:
    """W, U (where there are inputs) and b of a network, each in layer order."""
    drives = net.input_weights
    if drives is None:
        return net.weights, net.biases
    return net.weights, drives if isinstance(drives, list) else [drives], net.biases


class Trainer:
    """Trains networks of one model, one after another, in memory of its own.

    Parameters
    ----------
    model
        With all widths set.
    settings
        What is done with the gradients.
    step_pass, whole_pass
        Passes over the examples of a step, and over all; the same where a step takes all.
    stop
        As in :class:`Engine`.
    """

    def __init__(
        self, model: Model, settings: Settings, step_pass: Pass, whole_pass: Pass, stop: np.ndarray
    ) -> None:
        self._settings, self._stop = settings, stop
        self.parameters = Parameters.of(model)
        self._rates = settings.rates(self.parameters.count)
        self._engine = Engine(model, step_pass, self.parameters, stop)
        self._whole = self._engine
        if whole_pass is not step_pass:
            self._whole = Engine(model, whole_pass, self.parameters, stop)

    def train(self, net: Network, seed: int, key: int, out: Numbers) -> None:
        """Train a network; ``out`` holds views of its results (iteration[, layer] or ())."""
        settings, data = self._settings, Data(net)
        theta, state = self.parameters.vector(*_kinds(net)), None
        order = batches(data.count, self._engine.count, key, seed)
        self._engine.examples(data, slice(None, self._engine.count))
        out["stop_iteration"][...] = settings.steps
        for k in range(settings.steps):
            if self._engine is not self._whole:
                self._engine.examples(data, next(order))
            self._engine.load(theta)
            out["log10_loss"][k], status = self._engine.run(seed, key)
            if self._stop[0, 0]:
                return
            if status == NOT_FINITE:
                out["status"][...], out["stop_iteration"][...] = status, k
                return
            state = self._move(theta, state, k, out)
            if not np.isfinite(theta).all():
                out["status"][...], out["stop_iteration"][...] = NOT_FINITE, k + 1
                return
        if "final_parameter" in out:
            out["final_parameter"][:] = theta
        self._whole.examples(data, slice(None))
        self._whole.load(theta)
        out["log10_final_loss"][...], out["status"][...] = self._whole.run(seed, key)

    def _move(self, theta: np.ndarray, state: Any, k: int, out: Numbers) -> Any:
        """One step of the parameters, in place, with its results."""
        settings, parameters = self._settings, self.parameters
        weights, gradient = Flat.plain(theta, parameters), self._engine.gradient()
        out["log10_weight_norm"][k] = weights.log10_norms()
        out["log10_gradient_norm"][k] = gradient.log10_norms()
        if settings.clip is not None:
            clipped = clipping.clip(gradient.layers(), settings.clip, settings.clip_by)
            gradient = Flat.joined(clipped.gradients, parameters).normalised()
            out["log10_norm_before"][k] = clipped.log10_norm_before
            out["log10_norm_after"][k] = clipped.log10_norm_after
            out["clipped"][k] = clipped.clipped
        if settings.l2 > 0:
            penalty = Flat.plain(theta * parameters.penalised, parameters).times(settings.l2)
            out["log10_penalty_norm"][k] = penalty.log10_norms()
            gradient = gradient.plus(penalty)
        state, direction = optimizers[settings.optimizer].step(settings, state, gradient)
        update = direction.times(-self._rates)
        out["log10_update_norm"][k] = update.log10_norms()
        with np.errstate(over="ignore"):  # what leaves the range ends the training, as a status
            new = theta + update.to_array()
        moved = np.add.reduceat((new != theta).astype(np.float64), parameters.starts)
        out["changed_share"][k] = moved / parameters.sizes
        theta[:] = new
        return state

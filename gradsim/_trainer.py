"""Training of one network at a time: the engine's gradients, and a vector of parameters."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradsim import clipping
from gradsim._flat import Flat, Parameters
from gradsim._matrices import Draw
from gradsim._train_engine import Data, Engine
from gradsim._train_settings import Settings
from gradsim.gradients import NOT_FINITE
from gradsim.kernels.draws import STREAMS
from gradsim.network import Network
from gradsim.optimizers import optimizers
from gradsim.plan import Model, Pass

Numbers = dict[str, np.ndarray]


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
    done
        One number, which counts the steps of all its networks as they are done.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        step_pass: Pass,
        whole_pass: Pass,
        stop: np.ndarray,
        done: list[int],
    ) -> None:
        self._settings, self._stop, self._done = settings, stop, done
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
            self._done[0] += 1
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
        out["log10_bias_gradient_norm"][k] = gradient.biases().log10_norms()
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
        curvature = None
        if settings.curved:
            curvature, out["curvature_sign"][k] = self._engine.curvature()
            out["log10_curvature"][k] = curvature
        rule = optimizers[settings.optimizer]
        state, direction = rule.step(settings, state, gradient, curvature)
        update = direction.times(-self._rates)
        out["log10_update_norm"][k] = update.log10_norms()
        with np.errstate(over="ignore"):  # what leaves the range ends the training, as a status
            new = theta + update.to_array()
        moved = np.add.reduceat((new != theta).astype(np.float64), parameters.starts)
        out["changed_share"][k] = moved / parameters.sizes
        theta[:] = new
        return state

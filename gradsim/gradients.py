"""Gradients of one network, each with an exponent of its own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradsim._memory import pass_bytes, require
from gradsim._registry import brief
from gradsim._validate import parse_memory
from gradsim.cells import maps_of, table_of
from gradsim.examples import parse_inputs, parse_targets
from gradsim.kernels.ops import LINEAR
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.plan import Given, Options, Pass, build
from gradsim.scaled import Scaled, outer_mean, times
from gradsim.sweep import Sweep, bind
from gradsim.tape import Map
from gradsim.workspace import Worker, work_bytes

NOT_FINITE = 2  # status of a network whose forward pass left the range


@dataclass(frozen=True, repr=False)
class Gradients:
    """Gradients of a network's cost (the mean over examples); names as in :class:`Network`.

    Attributes
    ----------
    weights, biases
        dC/dW and dC/db in layer order; of a tied RNN one, summed over steps.
    deltas
        dC_b/dz (example, unit) in layer order, each example's own cost.
    inputs
        dC/dx (example, feature); of an RNN one a step, or None without inputs.
    input_weights
        dC/dU of an RNN.
    initial_state
        dC/dh_0 (example, unit) of an RNN.
    """

    model: MLP | RNN
    weights: list[Scaled]
    biases: list[Scaled]
    deltas: list[Scaled]
    inputs: Scaled | list[Scaled] | None = None
    input_weights: Scaled | list[Scaled] | None = None
    initial_state: Scaled | None = field(default=None)

    def __repr__(self) -> str:
        """One line: the model, and the size of the first weight gradient."""
        return f"Gradients({self.model}, log10 ||dC/dW^1|| = {self.weights[0].log10_norm():.6g})"

    @property
    def recurrent(self) -> Scaled | list[Scaled] | None:
        """dC/dW of an RNN: one where the weights are tied."""
        if not isinstance(self.model, RNN):
            return None
        return self.weights[0] if self.model.tied else self.weights


def backward(net: Network) -> Gradients:
    """Gradients of one network, each with its own exponent.

    Parameters
    ----------
    net
        From :func:`network`, or from :func:`from_arrays` with inputs and targets or with the
        ones that seed 0 draws.

    Returns
    -------
    Gradients
        Of the mean cost over examples; every array is a :class:`Scaled`.

    Raises
    ------
    TypeError, ValueError
        If ``net`` is not a Network, or its arrays have been changed to what does not fit.
    MemoryError
        If the gradients do not fit, before any work.
    OverflowError
        If the forward pass leaves the range of float64.

    Examples
    --------
    >>> from gradsim import MLP, network
    >>> g = backward(network(MLP(depth=300, width=8, activation="sigmoid"), seed=0))
    >>> bool(g.weights[0].log10_norm() < -150)
    True
    """
    if not isinstance(net, Network):
        kind = type(net).__name__
        raise TypeError(f"backward takes a gradsim Network, got {brief(net)} ({kind})")
    given, model = net.given(), net.settled()
    inputs = parse_inputs(net.inputs, isinstance(model, RNN))
    targets = parse_targets(net.targets, (model,), inputs)
    model = bind(Sweep((), (), (model,)), inputs, targets).models[0]
    options = Options(np.dtype(np.float64), False, True, False, False, keep=True)
    memory = parse_memory(None)
    require(memory, network=pass_bytes(model, inputs.count, options, True))
    (item,) = build((model,), inputs, targets, options, given)
    require(memory, network=work_bytes(item))
    worker = Worker(item, np.zeros((1, 1), np.int64))
    results = worker.run(np.array([net.seed or 0], np.uint64), net.key)
    status, layer = results.status()[0, 0].tolist()
    if status == NOT_FINITE:
        raise OverflowError(
            f"backward: the forward pass leaves the range of float64 at layer {layer}, so the "
            "network has no gradient (status 2 of simulate)"
        )
    return _Reader(net, given, item, worker).gradients()


class _Reader:
    """Reads values and deltas of one network out of a worker's memory."""

    def __init__(self, net: Network, given: Given, item: Pass, worker: Worker) -> None:
        self._net, self._given, self._arrays = net, given, worker.arrays
        self._count = item.scalars["examples"]
        self._layers = item.scalars["layers"]
        self._linear = [row for row in table_of(net.model).ops if row[0] == LINEAR]

    def _maps(self, layer: int) -> list[tuple[int, Map]]:
        """Affine maps of a layer (from 1), numbered."""
        return list(enumerate(maps_of(self._net.model, layer - 1)))

    def _values(self, q: int, layer: int) -> Scaled:
        """Input (example, unit) of an affine map of a layer."""
        v, arrays = self._linear[q][1], self._arrays
        address, line = arrays["address"][v, layer], arrays["index"][v, layer]
        n = arrays["layer"][0, layer - arrays["below"][0, v]]
        flat = arrays["store"][0, address : address + self._count * n]
        return Scaled.from_rows(flat.reshape(self._count, n), arrays["exponent"][line])

    def _delta(self, q: int, layer: int) -> Scaled:
        """dC_b/dz (example, unit) of an affine map of a layer."""
        model = self._net.model
        n = model.width if isinstance(model, RNN) else model.widths[layer]
        line = q * self._layers + layer - 1
        rows = self._arrays["kept"][line * self._count : (line + 1) * self._count, :n]
        return Scaled.from_rows(rows, self._arrays["kept_e"][line])

    def _x(self, step: int) -> Scaled:
        first = (step - 1) * self._count
        rows = self._arrays["x"][first : first + self._count]
        return Scaled.from_rows(rows, self._arrays["x_e"][step - 1])

    def _far(self) -> Scaled:
        """Gradient (example, unit) with respect to the input or the initial state."""
        v = table_of(self._net.model).states[0][1]
        start, line = self._arrays["place"][:, v]
        n = self._arrays["layer"][0, 0]
        rows = self._arrays["cotangents"][0, start : start + self._count * n]
        e = self._arrays["cotangent_e"][line, : self._count]
        far = Scaled.from_rows(rows.reshape(self._count, n), e)
        return Scaled(far.array / self._count, far.exponent).normalised()

    def _layer(self, layer: int) -> tuple[Scaled, Scaled, Scaled]:
        """Weight gradient, bias gradient and delta of a layer, those of its maps joined."""
        maps, delta = self._maps(layer), [self._delta(q, layer) for q, _ in self._maps(layer)]
        weights = [outer_mean(delta[q], self._values(q, layer)) for q, m in maps if m.weights]
        biases = [delta[q].mean_rows() for q, m in maps if m.bias]
        counted = [delta[q] for q, m in maps if m.gradient]
        return Scaled.joined(weights, 0), Scaled.joined(biases, 0), Scaled.joined(counted, 1)

    def _step(self, step: int, drives: list[list[np.ndarray]]) -> tuple[Scaled, Scaled]:
        """Gradients of U and of the inputs of a step."""
        x, at = self._x(step), 0 if self._tied else step - 1
        having = [q for q, m in self._maps(step) if m.inputs]
        deltas = [self._delta(q, step) for q in having]
        parts = [times(d, drives[q][at], 1 / self._count) for q, d in zip(having, deltas)]
        return Scaled.joined([outer_mean(d, x) for d in deltas], 0), Scaled.total(parts)

    @property
    def _tied(self) -> bool:
        return isinstance(self._net.model, RNN) and self._net.model.tied

    def gradients(self) -> Gradients:
        """All gradients of the network."""
        net, layers = self._net, range(1, self._layers + 1)
        weights, biases, deltas = map(list, zip(*(self._layer(layer) for layer in layers)))
        far = self._far()
        if not isinstance(net.model, RNN):
            return Gradients(net.model, weights, biases, deltas, inputs=far)
        inputs: Any = None
        gradient_u: Any = None
        if net.input_weights is not None:
            drives = self._given.input_weights
            gradient_u, inputs = map(list, zip(*(self._step(step, drives) for step in layers)))
        if net.model.tied:
            weights, biases = [Scaled.total(weights)], [Scaled.total(biases)]
            gradient_u = None if inputs is None else Scaled.total(gradient_u)
        return Gradients(
            net.model, weights, biases, deltas, inputs=inputs, input_weights=gradient_u,
            initial_state=far,
        )  # fmt: skip

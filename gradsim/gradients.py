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
from gradsim.plan import Given, Model, Options, Pass, build
from gradsim.scaled import Scaled, outer_sum, row_sum, times
from gradsim.sweep import Sweep, bind
from gradsim.tape import Map
from gradsim.workspace import Worker, work_bytes

Rows = tuple[np.ndarray, np.ndarray]  # rows, and the exponent of each
Kinds = tuple[list[Scaled], list[Scaled], list[Scaled]]  # gradients of W, b and U
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
    return _gradients(net, given, Reader(model, item, worker))


class Reader:
    """Reads the gradients of one network out of a worker's memory, after a run with `keep`.

    Parameters
    ----------
    model
        The one condition of the pass.
    item, worker
        The pass and the worker that ran it.
    """

    def __init__(self, model: Model, item: Pass, worker: Worker) -> None:
        self._model, self._arrays = model, worker.arrays
        self._count = item.scalars["examples"]
        self._features = item.scalars["n_in"]
        self.layers = range(1, item.scalars["layers"] + 1)
        self._linear = [row for row in table_of(model).ops if row[0] == LINEAR]

    def _maps(self, layer: int) -> list[tuple[int, Map]]:
        """Affine maps of a layer (from 1), numbered."""
        return list(enumerate(maps_of(self._model, layer - 1)))

    def _values(self, q: int, layer: int) -> Rows:
        """Input (example, unit) of an affine map of a layer, and its exponents."""
        v, arrays = self._linear[q][1], self._arrays
        address, line = arrays["address"][v, layer], arrays["index"][v, layer]
        n = arrays["layer"][0, layer - arrays["below"][0, v]]
        flat = arrays["store"][0, address : address + self._count * n]
        return flat.reshape(self._count, n), arrays["exponent"][line]

    def _delta(self, q: int, layer: int) -> Rows:
        """dC_b/dz (example, unit) of an affine map of a layer, and its exponents."""
        model = self._model
        n = model.width if isinstance(model, RNN) else model.widths[layer]
        line = q * len(self.layers) + layer - 1
        rows = self._arrays["kept"][line * self._count : (line + 1) * self._count, :n]
        return rows, self._arrays["kept_e"][line]

    def _x(self, step: int) -> Rows:
        first = (step - 1) * self._count
        return self._arrays["x"][first : first + self._count], self._arrays["x_e"][step - 1]

    def far(self) -> Scaled:
        """Gradient (example, unit) with respect to the input or the initial state."""
        v = table_of(self._model).states[0][1]
        start, line = self._arrays["place"][:, v]
        n = self._arrays["layer"][0, 0]
        rows = self._arrays["cotangents"][0, start : start + self._count * n]
        e = self._arrays["cotangent_e"][line, : self._count]
        return self._share(Scaled.from_rows(rows.reshape(self._count, n), e))

    def delta(self, layer: int) -> Scaled:
        """Delta of a layer, those of its maps that are counted joined."""
        counted = [q for q, m in self._maps(layer) if m.gradient]
        return Scaled.joined([Scaled.from_rows(*self._delta(q, layer)) for q in counted], 1)

    def layer(self, layer: int) -> Kinds:
        """Gradients of W, b and U of a layer, one of each or none; those of its maps joined."""
        deltas = [(self._delta(q, layer), q, m) for q, m in self._maps(layer)]
        weights = [outer_sum(*d, *self._values(q, layer)) for d, q, m in deltas if m.weights]
        biases = [row_sum(*d) for d, _, m in deltas if m.bias]
        drives: list[Scaled] = []
        if self._features:
            drives = [outer_sum(*d, *self._x(layer)) for d, _, m in deltas if m.inputs]
        return self._shares(weights, biases, drives)

    def parameters(self) -> Kinds:
        """Gradients of all W, b and U in layer order; of tied weights one each."""
        if isinstance(self._model, RNN) and self._model.tied:
            return self._tied()
        layers = [self.layer(layer) for layer in self.layers]
        return tuple([one for kind in kinds for one in kind] for kinds in zip(*layers))  # type: ignore

    def _tied(self) -> Kinds:
        """Gradients of the shared W, b and U: sums over all steps at once."""
        arrays, steps = self._arrays, len(self.layers)
        weights, biases, drives = [], [], []
        for q, m in self._maps(1):
            rows = slice(q * steps * self._count, (q + 1) * steps * self._count)
            d = arrays["kept"][rows], arrays["kept_e"][q * steps : (q + 1) * steps].ravel()
            if m.weights:
                weights.append(outer_sum(*d, *self._steps(q)))
            if m.bias:
                biases.append(row_sum(*d))
            if m.inputs and self._features:
                drives.append(outer_sum(*d, arrays["x"], arrays["x_e"].ravel()))
        return self._shares(weights, biases, drives)

    def _shares(self, *kinds: list[Scaled]) -> Kinds:
        """Means over examples, those of all maps joined."""
        return tuple([self._share(Scaled.joined(g, 0))] if g else [] for g in kinds)  # type: ignore

    def _share(self, total: Scaled) -> Scaled:
        """Mean over examples of their sum."""
        return Scaled(total.array / self._count, total.exponent).normalised()

    def _steps(self, q: int) -> Rows:
        """Input (step * B + b, unit) of an affine map at all steps, and its exponents."""
        pairs = [self._values(q, step) for step in self.layers]
        return np.concatenate([rows for rows, _ in pairs]), np.concatenate([e for _, e in pairs])

    def inputs(self, step: int, drives: list[list[np.ndarray]]) -> Scaled:
        """Gradient of the inputs of a step; ``drives`` is U by map and layer."""
        at = 0 if isinstance(self._model, RNN) and self._model.tied else step - 1
        having = [q for q, m in self._maps(step) if m.inputs]
        share = 1 / self._count
        deltas = [(Scaled.from_rows(*self._delta(q, step)), drives[q][at]) for q in having]
        return Scaled.total([times(d, u, share) for d, u in deltas])


def _gradients(net: Network, given: Given, reader: Reader) -> Gradients:
    """All gradients of a network."""
    weights, biases, drives = reader.parameters()
    deltas = [reader.delta(layer) for layer in reader.layers]
    if not isinstance(net.model, RNN):
        return Gradients(net.model, weights, biases, deltas, inputs=reader.far())
    inputs: Any = None
    gradient_u: Any = None
    if net.input_weights is not None:
        inputs = [reader.inputs(step, given.input_weights) for step in reader.layers]
        gradient_u = drives[0] if net.model.tied else drives
    return Gradients(
        net.model, weights, biases, deltas, inputs=inputs, input_weights=gradient_u,
        initial_state=reader.far(),
    )  # fmt: skip

"""Gradients of one network, each with an exponent of its own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradsim._memory import pass_bytes, require
from gradsim._reader import Reader
from gradsim._registry import brief
from gradsim._validate import parse_memory
from gradsim.examples import parse_inputs, parse_targets
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.plan import Given, Options, build
from gradsim.scaled import Scaled
from gradsim.sweep import Sweep, bind
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
    return _gradients(net, given, Reader(model, item, worker))


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

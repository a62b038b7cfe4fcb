"""Jacobians of one example of a network by complex steps through its cell, run on NumPy arrays.

f(x + i h) has the derivative of f in its imaginary part, to the last digit where h is tiny.
"""

from typing import Any

import numpy as np

import gradsim as gs
from gradsim.cells import cells, maps_of
from gradsim.eager import Eager

STEP = 1e-100


class _Output(Exception):
    """Carries the pre-activation of an output layer, which is the cell's first affine map."""


class _Pushed(Eager):
    """A layer of a network whose pre-activations can be pushed, one map at a time."""

    def __init__(self, net, b, t, push, target):
        given, at = net.given(), 0 if getattr(net.model, "tied", False) else t
        self._maps = maps_of(net.model, t)
        x = None if net.input_weights is None else net.inputs[b, t]

        def of(parts, kept):
            return [p[at] if getattr(m, kept) else None for p, m in zip(parts, self._maps)]

        drives = None if x is None else of(given.input_weights, "inputs")
        super().__init__(
            of(given.weights, "weights"), of(given.biases, "bias"),
            None if drives is None else [None if u is None else u @ x for u in drives],
            model=net.model, slope=net.model.slope,
        )  # fmt: skip
        self._push, self._target = push, target
        self._last = not isinstance(net.model, gs.RNN) and t == net.model.depth - 1

    def linear(self, x, name=None, **parts):
        i = self._next
        z = super().linear(x, name, **parts)
        z = z + self._push if i == self._target else z
        if self._last:
            raise _Output(z)
        return z


def _softmax(z):
    weight = np.exp(z - z.real.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def _layer(net, b, t, states, push: Any = 0.0, target=-1):
    """States (row, unit) after layer t."""
    model = net.model
    try:
        eager = _Pushed(net, b, t, push, target)
        out = cells[model.cell].function(eager, *states, model.activation)
        return list(out) if isinstance(out, tuple) else [out]
    except _Output as found:
        (z,) = found.args
        name = model.last_activation
        return [_softmax(z) if name == "softmax" else gs.activations[name].value(z, model.slope)]


def _start(net, b):
    model = net.model
    first = np.atleast_2d(net.initial_state if isinstance(model, gs.RNN) else net.inputs)
    first = first[b if len(first) > 1 else 0][None]
    return [first, *[np.zeros_like(first)] * (cells[model.cell].states(model) - 1)]


def _path(net, b):
    """States before every layer, and after the last."""
    path = [_start(net, b)]
    for t in range(net.model.depth):
        path.append(_layer(net, b, t, path[-1]))
    return path


def _derivative(net, b, states, first):
    """Imaginary parts (unit, row) of the last state, of rows that carry steps into ``first``."""
    for t in range(first, net.model.depth):
        states = _layer(net, b, t, states)
    return states[0].imag.T / STEP


def jacobians(net, b=0):
    """d a^L / d z^l, l = 1..L, and d a^L / d x of an MLP; d h_T / d h_t, t = 1..T and 0."""
    path, found = _path(net, b), []
    for t, states in enumerate(path):
        n = states[0].shape[1]
        pushed = [states[0] + 1j * STEP * np.eye(n), *states[1:]]
        if t == 0 or isinstance(net.model, gs.RNN):
            found.append(_derivative(net, b, pushed, t))
            continue
        maps = [i for i, m in enumerate(maps_of(net.model, t - 1)) if m.gradient]
        steps = [_layer(net, b, t - 1, path[t - 1], 1j * STEP * np.eye(n), i) for i in maps]
        found.append(np.hstack([_derivative(net, b, step, t) for step in steps]))
    return found[1:], found[0]


def steps(net, b=0):
    """Jacobian of the joint state of every layer or step with respect to the one before."""
    found = []
    for t, states in enumerate(_path(net, b)[:-1]):
        sizes = np.cumsum([0, *(s.shape[1] for s in states)])
        eye = 1j * STEP * np.eye(sizes[-1])
        pushed = [s + eye[:, lo:hi] for s, lo, hi in zip(states, sizes, sizes[1:])]
        out = _layer(net, b, t, pushed)
        found.append(np.hstack([s.imag / STEP + np.zeros((len(eye), 1)) for s in out]).T)
    return found


def growth(matrices, k):
    """Logarithms (layer, index) of the diagonals of R in Q R = J Q of the layer before."""
    q = np.eye(matrices[0].shape[1])[:, :k]
    logs = []
    for matrix in matrices:
        q, r = np.linalg.qr(matrix @ q)
        logs.append(np.log(np.abs(np.diag(r))))
    return np.array(logs)

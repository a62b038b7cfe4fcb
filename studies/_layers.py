"""One MLP layer by layer, in NumPy: what a step in a single layer does to the function.

The engine keeps norms; the studies of single layers need the arrays between. Costs are means over
examples of 1/2 ||y - a||^2 (output "identity") or of the cross-entropy of a softmax.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

import gradsim as gs
from gradsim._validate import parse_seeds, parse_threads

Result = TypeVar("Result")
COSTS = (("identity", "mse"), ("softmax", "cross_entropy"))
Steps = Sequence[tuple[np.ndarray, np.ndarray]]  # (dW, db) of each layer


def over_seeds(function: Callable[[int], Result], seeds: Any, threads: int | None) -> list[Result]:
    """Results of a function of one seed for all seeds, the same for every number of threads."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(parse_threads(threads)) as pool:
        return list(pool.map(function, parse_seeds(seeds)))


class Layers:
    """Forward and backward pass of a network, with every layer's arrays.

    Parameters
    ----------
    net
        An MLP of dense layers whose output is "identity" under "mse" or "softmax" under
        "cross_entropy".

    Raises
    ------
    ValueError
        For any other network.

    Attributes
    ----------
    a, z
        a[0] is the input; a[l] and z[l] (example, unit) belong to layer l; z[0] is not used.
    slopes
        slopes[l] = phi'(z[l]); ones at the output, where delta = a - y.
    deltas
        deltas[l] (example, unit), the gradient of each example's own cost; deltas[0] is dC/dx.
    """

    def __init__(self, net: gs.Network) -> None:
        model: Any = net.model
        plain = isinstance(model, gs.MLP) and model.cell == "dense" and model.norm is None
        if not plain or (model.output, model.loss) not in COSTS:
            raise ValueError(
                "Layers: the network must be an MLP of cell='dense' and norm=None whose output and "
                f"loss are one of {list(COSTS)}, got {model}"
            )
        self.weights, self.biases, self.depth = net.weights, net.biases, len(net.weights)
        self.softmax, self.y = model.output == "softmax", np.asarray(net.targets)
        self._phi = gs.activations[model.activation]
        self._run(np.asarray(net.inputs))

    def _run(self, x: np.ndarray) -> None:
        """Forward and backward."""
        self.a, self.z = [x], [x]
        for w, b in zip(self.weights, self.biases):
            self.z.append(self.a[-1] @ w.T + b)
            self.a.append(self._phi.value(self.z[-1], 0.0))
        self.a[-1] = softmax(self.z[-1]) if self.softmax else self.z[-1]
        self.slopes = [self._phi.slope(z, 0.0) for z in self.z]
        self.slopes[0], self.slopes[-1] = np.ones_like(self.z[0]), np.ones_like(self.z[-1])
        deltas = [self.a[-1] - self.y]
        for w, slope in zip(self.weights[::-1], self.slopes[-2::-1]):
            deltas.append(deltas[-1] @ w * slope)
        self.deltas = deltas[::-1]

    def moved(self, layer: int, dw: np.ndarray, db: np.ndarray) -> "Layers":
        """The same with other weights and biases in one layer."""
        other = copy(self)
        other.weights, other.biases = list(self.weights), list(self.biases)
        other.weights[layer - 1] = self.weights[layer - 1] + dw
        other.biases[layer - 1] = self.biases[layer - 1] + db
        other._run(self.a[0])
        return other

    @property
    def loss(self) -> float:
        """Mean cost."""
        if not self.softmax:
            return float(0.5 * ((self.a[-1] - self.y) ** 2).sum(1).mean())
        z = self.z[-1] - self.z[-1].max(1, keepdims=True)
        return float((np.log(np.exp(z).sum(1)) - (self.y * z).sum(1)).mean())

    def gradient(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Gradient of the mean cost with respect to W and b of a layer from 1."""
        delta = self.deltas[layer] / len(self.y)
        return delta.T @ self.a[layer - 1], delta.sum(0)

    def gradient_norm(self, layer: int) -> float:
        """Norm over W and b of a layer."""
        w, b = self.gradient(layer)
        return float(np.sqrt((w**2).sum() + (b**2).sum()))

    def jacobian(self, layer: int) -> np.ndarray:
        """Derivative (example, output, unit) of the last pre-activation by z of a layer."""
        examples, outputs = self.y.shape
        rows = np.broadcast_to(np.eye(outputs), (examples, outputs, outputs))
        for m in range(self.depth, layer, -1):
            rows = rows @ self.weights[m - 1] * self.slopes[m - 1][:, None]
        return rows

    def output_change(self, layer: int, dw: np.ndarray, db: np.ndarray) -> np.ndarray:
        """Change (example, output) of the last pre-activation, exact however small."""
        change = self.a[layer - 1] @ dw.T + db
        for m in range(layer, self.depth):
            change = difference(self._phi, self.z[m], change) @ self.weights[m].T
        return change

    def loss_change(self, change: np.ndarray) -> float:
        """Change of the mean cost for a change of the last pre-activation, without cancellation."""
        if not self.softmax:
            return float(((self.a[-1] - self.y + 0.5 * change) * change).sum(1).mean())
        shift = np.log1p((self.a[-1] * np.expm1(change)).sum(1))
        return float((shift - (self.y * change).sum(1)).mean())

    def hessian_times(self, steps: Steps) -> list[tuple[np.ndarray, np.ndarray]]:
        """Hessian of the mean cost times a direction: forward over backward (Pearlmutter 1994).

        The directions of a layer are (..., unit, input) and (..., unit), and so are the results.
        """
        tangent, tangents, bends = np.zeros_like(self.a[0]), [], []
        for m, (dw, db) in enumerate(steps, 1):
            tangents.append(tangent)
            dz = tangent @ self.weights[m - 1].T + self.a[m - 1] @ np.swapaxes(dw, -1, -2)
            dz = dz + db[..., None, :]
            bends.append(dz)
            tangent = dz * self.slopes[m]
        a = self.a[-1]
        if self.softmax:
            tangent = a * (tangent - (a * tangent).sum(-1, keepdims=True))
        products, back = [], tangent
        for m in range(self.depth, 0, -1):
            hw = np.swapaxes(back, -1, -2) @ self.a[m - 1]
            hw = hw + np.swapaxes(
                np.broadcast_to(self.deltas[m], back.shape), -1, -2
            ) @ np.broadcast_to(tangents[m - 1], (*back.shape[:-1], self.a[m - 1].shape[-1]))
            products.append((hw / len(self.y), back.sum(-2) / len(self.y)))
            if m > 1:
                plain = self.deltas[m] @ self.weights[m - 1]
                back = (
                    back @ self.weights[m - 1] + self.deltas[m] @ steps[m - 1][0]
                ) * self.slopes[m - 1]
                back = back + plain * self._phi.second(self.z[m - 1], 0.0) * bends[m - 2]
        return products[::-1]

    def hessian(self) -> np.ndarray:
        """Hessian of the mean cost by W and b of each layer in turn, symmetric."""
        sizes = [part.size for pair in zip(self.weights, self.biases) for part in pair]
        columns = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
        steps = [(dw.reshape(-1, *w.shape), db)
                 for w, dw, db in zip(self.weights, columns[::2], columns[1::2])]  # fmt: skip
        parts = [part for pair in self.hessian_times(steps) for part in pair]
        found = np.hstack([part.reshape(sum(sizes), -1) for part in parts])
        return (found + found.T) / 2

    def newton_step(self, layer: int, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Gauss-Newton step (dW, db) of one layer, for the squared error.

        It solves (J J' + damping mean(diag(J J')) 1) alpha = a - y and takes -J' alpha, so it does
        not depend on the scale of the layer's gradient (Levenberg 1944, Marquardt 1963).
        """
        rows, x = self.jacobian(layer), self.a[layer - 1]
        examples, outputs, units = rows.shape
        flat = rows.reshape(-1, units)
        gram = (flat @ flat.T).reshape(examples, outputs, examples, outputs)
        gram = (gram * (x @ x.T + 1)[:, None, :, None]).reshape(len(flat), -1)
        gram[np.diag_indices(len(gram))] += damping * gram.trace() / len(gram)
        alpha = np.linalg.solve(gram, (self.a[-1] - self.y).ravel())
        dz = -(alpha[:, None] * flat).reshape(examples, outputs, units).sum(1)
        return dz.T @ x, dz.sum(0)


def attainable(start: Layers, layer: int, tries: int = 60) -> float:
    """Share of the cost that goes by training one layer alone, by damped Gauss-Newton steps.

    Scale-free: steps, damping and the rule to stop (two steps in turn took less than 1/1,000 of
    the reduction so far) are the same for a cost or a gradient of any size.
    """
    dw, db = np.zeros_like(start.weights[layer - 1]), np.zeros_like(start.biases[layer - 1])
    now, best, damping, idle = start, 0.0, 0.01, 0
    flat = 1e-100 * start.gradient_norm(layer)  # where no slope is left to be scaled
    for _ in range(tries):
        if idle == 2 or now.gradient_norm(layer) <= flat:
            break
        step_w, step_b = now.newton_step(layer, damping)
        change = start.loss_change(start.output_change(layer, dw + step_w, db + step_b))
        if change < best:
            idle = idle + 1 if best - change < 1e-3 * -change else 0
            dw, db, best, damping = dw + step_w, db + step_b, change, max(damping / 10, 1e-13)
            now = start.moved(layer, dw, db)
        else:
            damping *= 10
    return -best / start.loss


def least_squares(layers: Layers) -> Layers:
    """Network whose output layer is the best one for its inputs, by the squared error."""
    a = np.column_stack([layers.a[-2], np.ones(len(layers.y))])
    best = np.linalg.lstsq(a, layers.y, rcond=None)[0].T
    dw, db = best[:, :-1] - layers.weights[-1], best[:, -1] - layers.biases[-1]
    return layers.moved(layers.depth, dw, db)


def softmax(z: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def difference(phi: Any, z: np.ndarray, change: np.ndarray) -> np.ndarray:
    """phi(z + change) - phi(z), to working precision however small the change is."""
    if phi.name == "identity":
        return change
    if phi.name == "relu":
        below = np.maximum(z + change, 0.0)
        return np.where(z > 0, np.maximum(change, -z), below)
    if phi.name == "tanh":
        return 2 * _rise(2 * z, 2 * change)
    if phi.name == "sigmoid":
        return _rise(z, change)
    raise ValueError(f"activation must be sigmoid, tanh, relu or identity, got {phi.name!r}")


def _rise(z: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Rise of the sigmoid s: s(z + d) - s(z) = (1 - e^-d) s(-z) s(z + d), mirrored for d < 0."""
    side = np.where(change < 0, -1.0, 1.0)
    sigmoid = gs.activations["sigmoid"].value
    rise = (
        -np.expm1(-np.abs(change))
        * sigmoid(-side * z, 0.0)
        * sigmoid(side * z + np.abs(change), 0.0)
    )
    return side * rise

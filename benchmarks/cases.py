"""The benchmark cases, and the quantities every contender must deliver, in plain NumPy."""

from dataclasses import dataclass, replace

import numpy as np

ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
SIGMAS = tuple(float(value) for value in np.linspace(0.5, 3.0, 12))


@dataclass(frozen=True)
class Case:
    """One question: a kind of network, its size and its rows (conditions sharing a draw).

    Rows are ordered activation first, sigma_w second.  ``total`` asks for the norm of the
    weight gradient summed over the steps of an RNN; of an LSTM nothing else is compared.
    """

    key: str
    title: str
    kind: str
    depth: int
    width: int = 128
    activations: tuple[str, ...] = ("tanh",)
    sigmas: tuple[float, ...] = (1.0,)
    total: bool = False

    @property
    def tied(self) -> bool:
        """The same weight matrices for all steps."""
        return self.kind != "mlp"

    @property
    def maps(self) -> int:
        """Products of a layer or step."""
        return 4 if self.kind == "lstm" else 1

    @property
    def matrices(self) -> int:
        """Weight matrices drawn per network."""
        return self.maps if self.tied else self.depth

    @property
    def rows(self) -> int:
        """Conditions that share a draw."""
        return len(self.activations) * len(self.sigmas)

    @property
    def flops(self) -> int:
        """Floating-point operations of one network's products, forward and backward."""
        return 2 * 2 * self.maps * self.rows * self.width**2 * self.depth

    def row_scales(self, dtype: str) -> np.ndarray | None:
        """sigma_w of each row, shape (row, 1); None when every row has sigma_w = 1."""
        if set(self.sigmas) == {1.0}:
            return None
        return np.tile(np.array(self.sigmas, dtype), len(self.activations))[:, None]


def _cases() -> dict[str, Case]:
    mlp = Case("a", "MLP, depth 50, width 128, tanh, one row", "mlp", 50)
    rnn = Case("c", "tied tanh RNN, width 128, 100 steps, one row", "rnn", 100)
    rows = {"activations": ACTIVATIONS, "sigmas": SIGMAS}
    many = replace(rnn, key="d", title="tied RNN, width 128, 100 steps, 48 rows", **rows)
    lstm = Case("e", "tied LSTM, width 128, 100 steps, one row", "lstm", 100, total=True)
    sigmas = tuple(float(value) for value in np.linspace(0.5, 3.0, 48))
    cases = [
        mlp,
        replace(mlp, key="b", title="MLP, depth 50, width 128, 48 rows", **rows),
        rnn,
        replace(rnn, key="c+", title=rnn.title + ", with the total weight gradient", total=True),
        many,
        replace(many, key="d+", title=many.title + ", with the total weight gradient", total=True),
        lstm,
        replace(
            lstm,
            key="f",
            title="tied LSTM, width 128, 100 steps, 48 rows",
            sigmas=sigmas,
            total=False,
        ),
    ]
    return {case.key: case for case in cases}


CASES = _cases()

VALUES = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
}

#: phi' written with the activation's own value a = phi(z): valid for NumPy, JAX and PyTorch.
SLOPES_FROM_VALUE = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: a > 0,
    "identity": lambda a: 1,
}


def reference(case: Case, weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict:
    """log10 norms of one network by the textbook recursion.

    ``weights`` has shape (matrix, unit, unit) at sigma_w = 1; ``x`` is the input or initial
    state.  Returns arrays (row, layer or step) under "delta" and "weight", and for an RNN
    (row, state step) under "state" and (row,) under "total".
    """
    one_row = _lstm_row if case.kind == "lstm" else _one_row
    columns = [
        one_row(case, sigma * weights, x, y, name)
        for name in case.activations
        for sigma in case.sigmas
    ]
    return {name: np.stack([column[name] for column in columns]) for name in columns[0]}


def _one_row(case: Case, weights: np.ndarray, x: np.ndarray, y: np.ndarray, name: str) -> dict:
    weights = np.broadcast_to(weights, (case.depth, *weights.shape[1:]))
    states = [x]
    for matrix in weights:
        states.append(VALUES[name](matrix @ states[-1]))
    gradients, deltas = [states[-1] - y], []
    for matrix, state in zip(weights[::-1], states[:0:-1]):
        deltas.append(SLOPES_FROM_VALUE[name](state) * gradients[-1])
        gradients.append(matrix.T @ deltas[-1])
    delta, previous = np.array(deltas[::-1]), np.array(states[:-1])
    norms = {
        "delta": np.linalg.norm(delta, axis=-1),
        "weight": np.linalg.norm(delta, axis=-1) * np.linalg.norm(previous, axis=-1),
    }
    if case.tied:
        norms["state"] = np.linalg.norm(gradients[::-1], axis=-1)
    if case.total:
        norms["total"] = np.linalg.norm(delta.T @ previous)
    with np.errstate(divide="ignore"):
        return {name: np.log10(value) for name, value in norms.items()}


def _lstm_row(case: Case, weights: np.ndarray, x: np.ndarray, y: np.ndarray, name: str) -> dict:
    """Total weight gradient of an LSTM without inputs and biases; matrices i, f, g, o."""
    sigmoid, h, c, steps = VALUES["sigmoid"], x, np.zeros_like(x), []
    for _ in range(case.depth):
        i, f, o = (sigmoid(weights[k] @ h) for k in (0, 1, 3))
        g, before = np.tanh(weights[2] @ h), (h, c)
        c = f * c + i * g
        steps.append((i, f, g, o, c, *before))
        h = o * np.tanh(c)
    dh, dc, total = h - y, np.zeros_like(x), np.zeros_like(weights)
    for i, f, g, o, c, h, c_before in steps[::-1]:
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        deltas = np.array([
            dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g * g),
            dh * np.tanh(c) * o * (1 - o),
        ])  # fmt: skip
        total += deltas[:, :, None] * h
        dh, dc = np.einsum("kij,ki->j", weights, deltas), dc * f
    with np.errstate(divide="ignore"):
        return {"total": np.log10(np.linalg.norm(total))}

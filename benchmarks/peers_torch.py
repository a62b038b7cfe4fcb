"""PyTorch contenders: module by module with autograd, and batched over networks with bmm."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from .cases import SLOPES_FROM_VALUE, Case
from .harness import Contender, Setting, on_threads

VALUES = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
MODULES = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "identity": nn.Identity,
}


def configure(dtype: str) -> None:
    """Flush subnormals, as XLA does: they would slow the vanishing rows down."""
    torch.set_flush_denormal(True)


def log_norms(case: Case, delta, previous, gradients) -> dict:
    """log10 norms from deltas and states (step, ..., row, unit), gradients likewise."""

    def per_row(values):
        return torch.linalg.vector_norm(values, dim=-1).movedim(0, -1)

    norms = {"delta": per_row(delta), "weight": per_row(delta) * per_row(previous)}
    if case.tied:
        norms["state"] = per_row(gradients)
    if case.total:
        total = delta.movedim(0, -1) @ previous.movedim(0, -2)
        norms["total"] = torch.linalg.matrix_norm(total)
    return {name: value.log10() for name, value in norms.items()}


class RowActivation(nn.Module):
    """One activation per equal block of rows."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MODULES[name]() for name in names)

    def forward(self, z):
        """Apply each activation to its block."""
        parts = z.chunk(len(self.blocks))
        return torch.cat([block(part) for block, part in zip(self.blocks, parts)])


class Network(nn.Module):
    """A stack of nn.Linear, or one nn.Linear applied at every step; states are (row, unit)."""

    def __init__(self, case: Case, dtype: str) -> None:
        super().__init__()
        kind, n = getattr(torch, dtype), case.width
        self.case = case
        layers = (nn.Linear(n, n, bias=False, dtype=kind) for _ in range(case.matrices))
        self.layers = nn.ModuleList(layers).requires_grad_(False)
        single = len(case.activations) == 1
        names = case.activations
        self.activation = MODULES[names[0]]() if single else RowActivation(names)
        scales = case.row_scales(dtype)
        self.scales = None if scales is None else torch.from_numpy(scales)
        self.x = torch.empty(n, dtype=kind)
        self.y = torch.empty(n, dtype=kind)

    def draw(self, generator) -> None:
        """Draw new weights, input and target."""
        for layer in self.layers:
            layer.weight.normal_(0.0, self.case.width**-0.5, generator=generator)
        self.x.normal_(generator=generator)
        self.y.normal_(generator=generator)

    def load(self, weights, x, y) -> None:
        """Take the arrays of a given network."""
        for layer, matrix in zip(self.layers, weights):
            layer.weight.copy_(torch.as_tensor(matrix))
        self.x.copy_(torch.as_tensor(x))
        self.y.copy_(torch.as_tensor(y))

    def forward(self, state):
        """All pre-activations and states, from the input on."""
        zs, states = [], [state]
        layers = list(self.layers) * (self.case.depth if self.case.tied else 1)
        for layer in layers:
            z = layer(states[-1])
            zs.append(z if self.scales is None else z * self.scales)
            states.append(self.activation(zs[-1]))
        return zs, states

    def norms(self) -> dict:
        """Gradients of the loss with respect to every z (and state) by autograd."""
        x = self.x.expand(self.case.rows, -1).clone().requires_grad_(True)
        zs, states = self(x)
        loss = 0.5 * ((self.y - states[-1]) ** 2).sum()
        wanted = zs + states if self.case.tied else zs
        gradients = torch.autograd.grad(loss, wanted)
        with torch.no_grad():
            delta = torch.stack(gradients[: len(zs)])
            previous = torch.stack(states[:-1])
            after = torch.stack(gradients[len(zs) :]) if self.case.tied else None
            return log_norms(self.case, delta, previous, after)


def batched(case: Case, weights, x, y) -> dict:
    """Many networks at once, backward pass by hand.

    ``weights`` (matrix, network, unit, unit), ``x`` and ``y`` (network, unit).
    """
    scale = case.row_scales(str(x.dtype).removeprefix("torch."))
    scale = None if scale is None else torch.from_numpy(scale)
    matrices = [weights[0]] * case.depth if case.tied else list(weights)
    states = [x[:, None].expand(-1, case.rows, -1)]
    for matrix in matrices:
        z = torch.bmm(states[-1], matrix.mT)
        states.append(_values(case, z if scale is None else z.mul_(scale)))
    gradients, deltas = [states[-1] - y[:, None]], []
    for matrix, state in zip(matrices[::-1], states[:0:-1]):
        deltas.append(_slopes(case, state, gradients[-1]))
        below = torch.bmm(deltas[-1], matrix)
        gradients.append(below if scale is None else below.mul_(scale))
    after = torch.stack(gradients[::-1]) if case.tied else None
    return log_norms(case, torch.stack(deltas[::-1]), torch.stack(states[:-1]), after)


def _values(case: Case, z):
    if len(case.activations) == 1:
        return VALUES[case.activations[0]](z)
    for name, part in zip(case.activations, z.chunk(len(case.activations), dim=1)):
        if name != "identity":
            part.copy_(VALUES[name](part))
    return z


def _slopes(case: Case, state, gradient):
    groups = len(case.activations)
    parts = zip(case.activations, state.chunk(groups, dim=1), gradient.chunk(groups, dim=1))
    products = [g * SLOPES_FROM_VALUE[name](a) for name, a, g in parts]
    return products[0] if groups == 1 else torch.cat(products, dim=1)


class _Torch(Contender):
    """Shared by both: Python threads with one torch thread each, or torch's own threads."""

    def __init__(self, case: Case, dtype: str, threads: int) -> None:
        super().__init__(case, dtype, threads)
        self.local = threading.local()

    def _start_thread(self, torch_threads: int) -> None:
        torch.set_num_threads(torch_threads)
        torch.set_flush_denormal(True)
        self.local.generator = torch.Generator()
        self.local.generator.seed()

    def _setting(self, label: str, work, size: int, threads: int) -> Setting:
        inner = 1 if threads > 1 else self.threads
        pool = ThreadPoolExecutor(threads, initializer=self._start_thread, initargs=(inner,))

        def run(first, networks):
            on_threads(pool, work, first, networks, size)

        return Setting(f"{label}, {threads} Python x {inner} torch threads", size, run)


class Modules(_Torch):
    """nn.Linear modules and autograd, one network at a time."""

    name = "PyTorch modules"

    def settings(self) -> list[Setting]:
        """Two Python threads, or one with torch's threads."""
        choices = sorted({1, self.threads})
        return [self._setting("one network at a time", self._one, 1, count) for count in choices]

    def _one(self, _start: int) -> None:
        if not hasattr(self.local, "network"):
            self.local.network = Network(self.case, self.dtype)
        self.local.network.draw(self.local.generator)
        self.local.network.norms()

    @staticmethod
    def evaluate(case: Case, dtype: str, weights, x, y) -> dict:
        """Norms of one given network."""
        network = Network(case, dtype)
        network.load(weights, x, y)
        return network.norms()


class Batched(_Torch):
    """torch.bmm over networks, hand-written backward pass."""

    name = "PyTorch bmm"

    def settings(self) -> list[Setting]:
        """Several batch sizes on both ways of threading."""
        values = 4 * self.case.depth * self.case.rows + self.case.matrices * self.case.width
        largest = 2**29 / (values * self.case.width * np.dtype(self.dtype).itemsize)
        sizes = [size for size in (4, 16, 64, 256) if size <= largest]
        return [
            self._setting(f"bmm over {size} networks", lambda _, s=size: self._batch(s), size, t)
            for size in sizes
            for t in sorted({1, self.threads})
        ]

    def _batch(self, size: int) -> None:
        case, n, kind = self.case, self.case.width, getattr(torch, self.dtype)
        generator = self.local.generator
        with torch.inference_mode():
            # Drawn in float32 and widened: float64 draws take several times as long.
            weights = torch.empty((case.matrices, size, n, n))
            weights.normal_(0.0, n**-0.5, generator=generator)
            x, y = torch.randn((2, size, n), generator=generator)
            batched(case, *(array.to(kind) for array in (weights, x, y)))

    @staticmethod
    def evaluate(case: Case, dtype: str, weights, x, y) -> dict:
        """Norms of one given network."""
        kind = getattr(torch, dtype)
        weights, x, y = (torch.as_tensor(array, dtype=kind) for array in (weights, x, y))
        result = batched(case, weights[:, None], x[None], y[None])
        return {name: value[0] for name, value in result.items()}


class Lstm(_Torch):
    """nn.LSTM and autograd, one network at a time."""

    name = "PyTorch nn.LSTM"
    kinds = ("lstm",)

    @classmethod
    def answers(cls, case: Case) -> bool:
        """One row: nn.LSTM has one set of weights."""
        return super().answers(case) and case.rows == 1

    def settings(self) -> list[Setting]:
        """Two Python threads, or one with torch's threads."""
        choices = sorted({1, self.threads})
        return [self._setting("one network at a time", self._one, 1, count) for count in choices]

    def _one(self, _start: int) -> None:
        if not hasattr(self.local, "network"):
            self.local.network = lstm_module(self.case, self.dtype)
        net, n, generator = self.local.network, self.case.width, self.local.generator
        with torch.no_grad():
            net.weight_hh_l0.normal_(0.0, n**-0.5, generator=generator)
        kind = net.weight_hh_l0.dtype
        x, y = torch.randn((2, n), generator=generator, dtype=kind)
        total_gradient(self.case, net, x, y)

    @staticmethod
    def evaluate(case: Case, dtype: str, weights, x, y) -> dict:
        """Norm of the weight gradient of one given network."""
        net, kind = lstm_module(case, dtype), getattr(torch, dtype)
        with torch.no_grad():
            net.weight_hh_l0.copy_(torch.as_tensor(weights, dtype=kind).flatten(0, 1))
        x, y = (torch.as_tensor(array, dtype=kind) for array in (x, y))
        return {"total": total_gradient(case, net, x, y)[None]}


def lstm_module(case: Case, dtype: str) -> nn.LSTM:
    """nn.LSTM whose one input has no effect."""
    net = nn.LSTM(1, case.width, bias=False, dtype=getattr(torch, dtype))
    net.weight_ih_l0.requires_grad_(False).zero_()
    return net


def total_gradient(case: Case, net: nn.LSTM, x, y):
    """log10 norm of the weight gradient, from the initial state x and the target y."""
    inputs, c = torch.zeros(case.depth, 1, dtype=x.dtype), torch.zeros(1, case.width, dtype=x.dtype)
    states, _ = net(inputs, (x[None], c))
    (gradient,) = torch.autograd.grad(0.5 * ((states[-1] - y) ** 2).sum(), net.weight_hh_l0)
    return torch.linalg.vector_norm(gradient).log10()


CONTENDERS = [Modules, Batched, Lstm]


def norms_of(contender: type, case: Case, dtype: str, weights, x, y) -> dict:
    """Run a contender on the given arrays of one network; NumPy arrays come back."""
    result = contender.evaluate(case, dtype, weights, x, y)
    return {name: value.numpy() for name, value in result.items()}

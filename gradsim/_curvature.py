"""Measurement `curvature`: the cost to second order along the gradient of each layer."""

from typing import TYPE_CHECKING

import numpy as np

from gradsim._measurement import LAYERED, NETWORK, Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim.activations import program_shape
from gradsim.kernels import curvature as kernel
from gradsim.kernels.parameters import numbers
from gradsim.kernels.tangent_rows import ROWS_COUNT
from gradsim.models import MLP, RNN

if TYPE_CHECKING:
    from gradsim.plan import Group
    from gradsim.simulate import Run

ROWS = 128  # tangents of a block: more make its products no faster

_VARIABLES = {
    "log10_gradient_norm": kernel.GRADIENT_NORM,
    "log10_curvature": kernel.CURVATURE,
    "curvature_sign": kernel.SIGN,
    "log10_gauss_newton_curvature": kernel.GAUSS_NEWTON_CURVATURE,
    "log10_newton_step": kernel.STEP,
    "log10_newton_loss_change": kernel.CHANGE,
}


class Curvature(Reduction):
    """One tangent a layer, from the layer to the output: L (L + 1) / 2 forward products a row."""

    unit = kernel.write_curvature
    deltas = True
    outputs = True
    cotangents = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._biases, self._real, self._tied = spec.get("biases"), group.real, group.tied
        self._count = 1 if group.options.each else group.examples
        self._slots = 1 if group.tied else max(1, min(group.layers, ROWS // self._count))
        self._maps, self._values = len(group.table.matrices), group.table.values
        self._widest, self._features = group.widest, max(group.widest, group.n_in)
        self._steps = group.layers if group.tied else 1

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse tied and untied networks in one run: their results have other dimensions."""
        if len({getattr(m, "tied", False) for m in run.sweep.models}) > 1:
            raise ValueError(
                "measure 'curvature': steps that share their weights have one curvature together "
                "and others one each; vary must leave tied alone (make two runs)"
            )

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        rows, widest, features = self._slots * self._count, self._widest, self._features
        length, block = program_shape()
        return [
            np.zeros((self._values, rows * widest), self._real),
            np.zeros((1, rows * widest), self._real),
            np.zeros((self._values, rows), np.int64),
            np.zeros((ROWS_COUNT, features)),
            np.zeros((3 * length // 2 + 1, block)),
            np.zeros((3, self._slots)),
            np.zeros((3, self._slots), np.int64),
            np.zeros((1, numbers(widest, features, self._count * self._steps))),
            np.zeros((3 * self._maps, widest * features)),
            np.zeros((1, 3 * self._maps), np.int64),
            np.zeros((2, self._count * features)),
            np.zeros((1, self._count), np.int64),
            np.array([[self._biases, self._slots]], np.int64),
        ]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(variable * S + s) * entries + e; layer, or 1 of tied weights."""
        return kernel.VARIABLES * seeds * self.entries, 1 if self._tied else self.layers

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry[, layer]) of one variable."""
        table = results.reshape(kernel.VARIABLES, -1, self.entries, results.shape[1])
        if name == "newton_loss_change":
            with np.errstate(over="ignore"):
                values = -(10.0 ** table[kernel.CHANGE])
        else:
            values = table[_VARIABLES[name]]
        return values[..., 0] if self._tied else values


def _each(name: str, long_name: str, formula: str) -> list[Variable]:
    """A variable of every layer, of every step of an untied RNN, or of the one of a tied RNN."""
    kinds = (("MLP", "", LAYERED), ("RNN", "untied", LAYERED), ("RNN", "tied", NETWORK))
    return [Variable(name, long_name, formula, dims, (kind,), needs) for kind, needs, dims in kinds]


CURVATURE = Measurement(
    "curvature",
    "the cost to second order along the gradient of each layer (exact; no finite difference)",
    (
        *_each(
            "log10_gradient_norm", "log10 norm of the gradient of a layer's parameters",
            "log10 ||g||, g = dC/d(W, U, b) of the layer or step, of weights that all steps share "
            "summed over steps; without b for biases=False",
        ),
        *_each(
            "log10_curvature", "log10 size of the curvature along the gradient",
            "log10 |g'Hg / g'g|, H = the layer's own block of the Hessian of C",
        ),
        *_each("curvature_sign", "sign of the curvature along the gradient", "-1, 0 or 1"),
        *_each(
            "log10_gauss_newton_curvature", "log10 of the Gauss-Newton curvature",
            "log10 (g' J'QJ g / g'g), J = Jacobian of a^L, or of the logits for cross-entropy, "
            "and Q = Hessian of the cost in these; -inf for a linear cost",
        ),
        *_each(
            "log10_newton_step", "log10 of the Newton step along the gradient",
            "log10 (g'g / g'Hg), the learning rate that minimises the quadratic; NaN where the "
            "curvature is not positive",
        ),
        *_each(
            "newton_loss_change", "change of the cost by the Newton step, to second order",
            "-(g'g)^2 / (2 g'Hg); NaN where the curvature is not positive; 0 or -inf beyond the "
            "range of a float",
        ),
        *_each(
            "log10_newton_loss_change", "log10 size of newton_loss_change",
            "log10 |newton_loss_change|",
        ),
    ),
    {"biases": True},
    reduction=Curvature,
)  # fmt: skip

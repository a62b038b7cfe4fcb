"""Measurement `clipping`: what gradient clipping does to the gradient of every network."""

from typing import TYPE_CHECKING

import numpy as np

from gradsim import clipping
from gradsim._measurement import NETWORK, Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim.kernels import clipping as kernel
from gradsim.kernels.parameters import numbers
from gradsim.models import MLP, RNN

if TYPE_CHECKING:
    from gradsim.plan import Group
    from gradsim.simulate import Run


class Clipping(Reduction):
    """Norm of the whole gradient before and after clipping."""

    unit = kernel.write_clipping
    deltas = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._threshold, self._by = float(spec.get("threshold")), spec.get("by")
        rows = group.examples * (group.layers if group.tied else 1)
        self._room = numbers(group.widest, max(group.widest, group.n_in), rows)

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse a threshold or a mode by name."""
        clipping.check("clipping", spec.get("threshold"), spec.get("by"))

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        limit = self._threshold if self._by == "value" else 0.0
        return [np.zeros((1, self._room)), np.full((1, 1), limit)]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(variable * S + s) * entries + e; 1."""
        return 3 * seeds * self.entries, 1

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry) of one variable."""
        before, after, share = results.reshape(3, -1, self.entries)
        if self._by == "norm":
            after, share = clipping.shrink(before, self._threshold)
        table = {"log10_norm_before": before, "log10_norm_after": after, "clipped": share}
        return table[name]


CLIPPING = Measurement(
    "clipping",
    "what gradient clipping does to the gradient of all parameters",
    (
        Variable(
            "log10_norm_before", "log10 norm of the gradient of all parameters",
            "log10 of the root of the sum of ||dC/dW||^2, ||dC/dU||^2 and ||dC/db||^2 over layers "
            "(biases also where sigma_b = 0), of the mean cost over examples; summed over steps "
            "where they share weights",
            dims=NETWORK,
        ),
        Variable(
            "log10_norm_after", "log10 norm of the gradient after clipping",
            "by norm min(norm, threshold); by value the norm of min(max(g, -threshold), threshold)",
            dims=NETWORK,
        ),
        Variable(
            "clipped", "share of the gradient that is clipped",
            "by norm 1 where the norm is at least the threshold, else 0; by value the share of "
            "entries beyond it; NaN where the gradient is not finite",
            dims=NETWORK,
        ),
    ),
    {"threshold": 1.0, "by": "norm"},
    reduction=Clipping,
)  # fmt: skip

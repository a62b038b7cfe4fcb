"""Measurement `bounds`: how large delta can be, from slopes and spectral norms alone."""

from typing import TYPE_CHECKING

import numpy as np

from gradsim._measurement import Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim.kernels import bounds as kernel
from gradsim.kernels.spectral import STEPS

if TYPE_CHECKING:
    from gradsim.models import MLP, RNN
    from gradsim.plan import Group
    from gradsim.simulate import Run

_VARIABLES = {
    "log10_weight_spectral_norm": kernel.SPECTRAL,
    "log10_max_slope": kernel.SLOPE_MAX,
    "log10_local_bound": kernel.LOCAL,
    "log10_gamma_bound": kernel.WITH_GAMMA,
}


class Bounds(Reduction):
    """Spectral norms by Lanczos steps, once per matrix; bounds through the table of the cell."""

    unit = kernel.write_bounds
    outputs = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        widths = group.widths
        rows = [max(n, group.n_out) for n in widths[1:]]
        self._matrix = max(n * m for n, m in zip(rows, widths))
        self._columns, self._rows = max(widths), max(rows)
        self._maps, self._values = len(group.table.matrices), group.table.values
        self._states, self._outputs = len(group.table.states), group.n_out

    @classmethod
    def check(cls, spec: Spec, model: "MLP | RNN", run: "Run") -> None:
        """Refuse batch normalisation, under which no example's delta has a bound of its own."""
        if model.norm == "batch":
            raise ValueError(
                "measure 'bounds': under norm='batch' the delta of an example depends on the "
                "whole batch and has no such bound; norm must be None or 'layer'"
            )

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        steps = min(self._columns, STEPS)
        return [
            np.zeros((1, self._matrix)),
            np.zeros((1, (steps + 1) * self._columns)),
            np.zeros((1, self._rows)),
            np.zeros((4, steps + 1)),
            np.zeros((self._maps + 1, self.layers + 1)),
            np.zeros((2, self._values)),
            np.zeros((2, self._values), np.int64),
            np.zeros((1, self._states)),
            np.zeros((1, self._states), np.int64),
            np.zeros((1, self._outputs)),
        ]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(variable * S + s) * entries + e; layer."""
        return len(_VARIABLES) * seeds * self.entries, self.layers

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry, layer) of one variable."""
        table = results.reshape(len(_VARIABLES), -1, self.entries, self.layers)
        return table[_VARIABLES[name]]


BOUNDS = Measurement(
    "bounds",
    "what slopes and spectral norms allow delta to be",
    (
        Variable(
            "log10_weight_spectral_norm", "log10 of the spectral norm of the weights",
            "log10 ||W||_2, of the largest where a layer or step has several W",
        ),
        Variable(
            "log10_max_slope", "log10 of the largest slope",
            "log10 max |phi'(z)| over all activations of the layer or step, averaged over "
            "examples; of a softmax output 2 max p (1 - p), which bounds the norm of its Jacobian",
        ),
        Variable(
            "log10_local_bound", "log10 of the local bound on the norm of delta",
            "log10 of prod_(r=l..L) max |phi'(z^r)| prod_(r=l+1..L) ||W^r||_2 ||dC/da^L||, "
            "averaged over examples; bounds of paths that meet, and of costs at several steps, add",
        ),
        Variable(
            "log10_gamma_bound", "log10 of the gamma bound on the norm of delta",
            "as log10_local_bound, with gamma = sup |phi'| for the largest slope of an activation",
        ),
    ),
    reduction=Bounds,
)  # fmt: skip

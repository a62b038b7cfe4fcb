"""Measurement `entries`: how the sizes of a layer's derivatives vary over rows and columns."""

from typing import TYPE_CHECKING

import numpy as np

from gradsim._measurement import Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim.kernels import entries as kernel

if TYPE_CHECKING:
    from gradsim.plan import Group

_VARIABLES = {
    "log10_entry_mean": kernel.MEAN,
    "entry_row_variance": kernel.ROW,
    "entry_column_variance": kernel.COLUMN,
    "entry_residual_variance": kernel.RESIDUAL,
    "entry_zero_share": kernel.ZERO_SHARE,
}


class Entries(Reduction):
    """Two lists for one example; the gradient of a batch mean is formed."""

    unit = kernel.write_entries
    deltas = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        alone = group.options.each or group.examples == 1
        self._biggest = max(group.n_in, group.widest)
        whole = self._biggest * group.widest + 2 * group.examples * self._biggest
        self._formed = 1 if alone else whole

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        return [np.zeros((4, self._biggest)), np.zeros((1, self._formed))]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(s * entries + e) * L + layer; number."""
        return seeds * self.entries * self.layers, len(_VARIABLES)

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry, layer) of one variable."""
        table = results.reshape(-1, self.entries, self.layers, len(_VARIABLES))
        return table[..., _VARIABLES[name]]


_Y = "y_jk = log10 |dC/dW_jk|"
ENTRIES = Measurement(
    "entries",
    "how single derivatives of a layer vary over rows and columns",
    (
        Variable(
            "log10_entry_mean", "mean log10 of a derivative with respect to a weight",
            f"mean of {_Y} over all weight matrices of the layer or step, zeros left out",
        ),
        Variable(
            "entry_row_variance", "variance of the log10 derivatives between rows",
            f"variance of r_j in {_Y} = m + r_j + c_k + e_jk, unbiased; of one example that of "
            "log10 |delta_j|",
        ),
        Variable(
            "entry_column_variance", "variance of the log10 derivatives between columns",
            f"variance of c_k in {_Y} = m + r_j + c_k + e_jk, unbiased; of one example that of "
            "log10 |a_k|",
        ),
        Variable(
            "entry_residual_variance", "variance of the log10 derivatives that is left",
            "variance of e_jk, and of m between several matrices; 0 for one example and matrix",
        ),
        Variable(
            "entry_zero_share", "share of derivatives that are exactly 0", "share of dC/dW_jk = 0"
        ),
    ),
    reduction=Entries,
)  # fmt: skip

"""Measurement `noise`: how much the gradients of examples differ, and what a batch averages out."""

from typing import TYPE_CHECKING

import numpy as np

from gradsim._measurement import Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim.kernels import noise as kernel

if TYPE_CHECKING:
    from gradsim.models import MLP, RNN
    from gradsim.plan import Group
    from gradsim.simulate import Run

_VARIABLES = {
    "log10_mean_gradient_norm": kernel.MEAN,
    "log10_example_gradient_rms": kernel.RMS,
    "gradient_square": kernel.SQUARE,
    "gradient_variance": kernel.VARIANCE,
    "noise_scale": kernel.SCALE,
    "mean_cosine": kernel.COSINE,
    "log10_gradient_square": kernel.LOG_SQUARE,
    "gradient_square_sign": kernel.SQUARE_SIGN,
    "log10_gradient_variance": kernel.LOG_VARIANCE,
}


class Noise(Reduction):
    """Gram matrices of examples where there are few, summed outer products where not."""

    unit = kernel.write_noise
    deltas = True
    examples = False

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._maps, self._count, self._real = len(group.table.matrices), group.examples, group.real
        self._widest, self._widest_in = group.widest, max(group.widest, group.n_in)

    @classmethod
    def check(cls, spec: Spec, model: "MLP | RNN", run: "Run") -> None:
        """Refuse fewer than two examples, and batch normalisation."""
        if model.norm == "batch":
            raise ValueError(
                "measure 'noise': under norm='batch' the examples are one batch and have no "
                "gradients of their own; norm must be None or 'layer'"
            )
        if run.inputs.count < 2:
            raise ValueError(
                f"measure 'noise': inputs must hold at least 2 examples, got {run.inputs.count}"
            )

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        count = self._count
        gram = count if count <= self._widest else 0
        numbers = count * (self._widest + self._widest_in) + 2 * count * count
        return [
            np.zeros((2 * self._maps + 1, count)),
            np.zeros((gram, gram)),
            np.zeros((2 * self._maps + 1, count), np.int64),
            np.zeros((1, numbers), self._real),
            np.zeros((1, count), np.int64),
        ]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(variable * S + s) * H + h; layer."""
        return len(_VARIABLES) * seeds * self.heads, self.layers

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, head, layer) of one variable."""
        table = results.reshape(len(_VARIABLES), -1, self.heads, self.layers)
        return table[_VARIABLES[name]]


_RANGE = "0 or inf beyond the range of a float"
NOISE = Measurement(
    "noise",
    "how much the gradients of examples differ (McCandlish et al. 2018, appendix A.1)",
    (
        Variable(
            "log10_mean_gradient_norm", "log10 norm of the mean weight gradient",
            "log10 ||G_B||, G_B = mean over examples of g_i, all weight matrices of the layer",
        ),
        Variable(
            "log10_example_gradient_rms", "log10 rms norm of the examples' weight gradients",
            "log10 sqrt(mean ||g_i||^2)",
        ),
        Variable(
            "gradient_square", "unbiased squared norm of the expected gradient",
            f"(B ||G_B||^2 - mean ||g_i||^2) / (B - 1), also negative; {_RANGE}",
        ),
        Variable(
            "gradient_variance", "unbiased total variance of the gradient over examples",
            f"(mean ||g_i||^2 - ||G_B||^2) B / (B - 1); {_RANGE}",
        ),
        Variable(
            "noise_scale", "gradient noise scale of one network",
            "gradient_variance / gradient_square, at any size; over networks take the ratio of "
            "the means instead",
        ),
        Variable(
            "mean_cosine", "mean cosine between the gradients of two examples",
            "mean over pairs i != j of <g_i, g_j> / (||g_i|| ||g_j||), those without a 0",
        ),
        Variable(
            "log10_gradient_square", "log10 size of gradient_square", "log10 |gradient_square|",
        ),
        Variable("gradient_square_sign", "sign of gradient_square", "-1, 0 or 1"),
        Variable(
            "log10_gradient_variance", "log10 of gradient_variance", "log10 |gradient_variance|",
        ),
    ),
    reduction=Noise,
)  # fmt: skip

"""Measurement `partials`: histograms and quantiles of the sizes of single derivatives."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._measurement import Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim._registry import brief
from gradsim.kernels import pair_counts
from gradsim.kernels import partials as kernel

if TYPE_CHECKING:
    from gradsim.models import MLP, RNN
    from gradsim.plan import Group
    from gradsim.simulate import Run

QUANTILES = (0.05, 0.5, 0.95)
LOW, HIGH = -8.0, 1.0
_CELLS, _SUMS = 4096, 1024  # pairs of int32; sums of a bin that are looked through at once


def _edges(spec: Spec) -> tuple[int, int]:
    """Lower edge and number of bins, in bins of 0.01 decade."""
    low, high = (round(spec.get(name) * kernel.PER_DECADE) for name in ("low", "high"))
    return low, high - low


class Partials(Reduction):
    """Every derivative is counted; those of one example are never stored."""

    unit = kernel.write_partials
    deltas = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        alone, examples = group.options.each or group.examples == 1, group.examples
        maps, biggest = len(group.table.matrices), max(group.n_in, group.widest)
        matrices = maps * (2 if group.n_in else 1)
        whole = biggest * group.widest  # derivatives of a matrix
        self._low, self._bins = _edges(spec)
        self._pairs = max(matrices, maps)
        self._longest = biggest if alone else 0
        self._numbers = 1 + maps * group.widest + matrices * (biggest if alone else whole)
        self._formed = 0 if alone else whole + 2 * examples * biggest
        self._side = self._bins + 2 + len(spec.get("quantiles")) + 1

    @classmethod
    def check(cls, spec: Spec, model: "MLP | RNN", run: "Run") -> None:
        """Refuse a window without bins, and quantiles that are none."""
        low, high, asked = (spec.get(name) for name in ("low", "high", "quantiles"))
        if not (np.isfinite([low, high]).all() and _edges(spec)[1] >= 1):
            raise ValueError(
                f"partials(low={low:g}, high={high:g}): low must be at least 0.01 below high"
            )
        real = all(isinstance(a, float) and 0 < a < 1 for a in asked)
        if not asked or not real or list(asked) != sorted(set(asked)):
            raise ValueError(
                f"partials(quantiles={brief(asked)}): quantiles must be rising numbers between 0 "
                "and 1"
            )

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Sizes of dimensions bin and quantile."""
        return {"bin": _edges(spec)[1], "quantile": len(spec.get("quantiles"))}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Lower edges of the bins, and quantiles."""
        low, bins = _edges(spec)
        edges = (low + np.arange(bins)) / kernel.PER_DECADE
        prose = "log10 |derivative|: lower edge of a bin of 0.01 decade"
        return {
            "log10_partial": ("bin", edges, {"long_name": prose, "units": "1"}),
            "quantile": (
                "quantile", np.array(spec.get("quantiles"), np.float64),
                {"long_name": "quantile over the derivatives of a layer or step", "units": "1"},
            ),
        }  # fmt: skip

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        return [
            np.zeros((1, self._numbers)),
            np.zeros((2 * self._pairs, 4), np.int64),
            np.zeros((1, 2), np.int64),
            np.zeros((2, self._bins + 2), np.int64),
            np.zeros((pair_counts.TABLES, _CELLS), np.int64),
            np.zeros((2, self._longest), np.int64),
            np.zeros((pair_counts.FRACTIONS, self._longest)),
            np.zeros((pair_counts.STARTS, pair_counts.BUCKETS + 2), np.int64),
            np.zeros((1, _SUMS)),
            np.array([[self._low - 1.0, self._grain, *self.spec.get("quantiles")]]),
            np.zeros((1, self._formed)),
        ]

    @property
    def _grain(self) -> float:
        """What logs are multiples of, so that a sum that is near any bin is exact."""
        return 2.0 ** (int(self._bins + 2).bit_length() - 53)

    def shape(self, seeds: int) -> tuple[int, int]:
        """(s * entries + e) * L + layer; of weights, then of biases: counts, quantiles, zeros."""
        return seeds * self.entries * self.layers, 2 * self._side

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry, layer[, bin or quantile]) of one variable."""
        table = results.reshape(-1, self.entries, self.layers, 2, self._side)
        side = table[..., int(name.startswith("bias")), :]
        what = name.split("_", 2)[2]
        place: Any = {
            "histogram": slice(1, self._bins + 1), "below": 0, "above": self._bins + 1,
            "quantile": slice(self._bins + 2, -1), "zero_share": -1,
        }[what]  # fmt: skip
        return side[..., place]


def _variables(of: str, what: str, symbol: str) -> tuple[Variable, ...]:
    """Variables of the weights, or of the biases."""
    return (
        Variable(
            f"{of}_partial_histogram", f"number of {what} by size",
            f"count of {symbol} with log10_partial <= log10 |{symbol}| < log10_partial + 0.01",
            extra=("bin",),
        ),
        Variable(
            f"{of}_partial_below", f"number of {what} below the histogram",
            f"count of {symbol} that are not 0 and below the first bin",
        ),
        Variable(
            f"{of}_partial_above", f"number of {what} above the histogram",
            f"count of {symbol} above the last bin",
        ),
        Variable(
            f"{of}_partial_quantile", f"log10 of quantiles of {what}",
            f"log10 of the quantile (inverted_cdf) of |{symbol}|; -inf where it is 0",
            extra=("quantile",),
        ),
        Variable(
            f"{of}_partial_zero_share", f"share of {what} that are exactly 0",
            f"share of {symbol} = 0",
        ),
    )  # fmt: skip


PARTIALS = Measurement(
    "partials",
    "how the sizes of single derivatives are spread",
    _variables("weight", "derivatives with respect to weights", "dC/dW_jk")
    + _variables("bias", "derivatives with respect to biases", "dC/db_j"),
    {"low": LOW, "high": HIGH, "quantiles": QUANTILES},
    Partials,
)

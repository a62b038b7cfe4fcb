"""Measurement `correlation`: how alike the signals and the gradients of two examples are."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._measurement import NETWORK, Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim._validate import choice
from gradsim.kernels import correlation as kernel

if TYPE_CHECKING:
    from gradsim.models import MLP, RNN
    from gradsim.plan import Group
    from gradsim.simulate import Run

_NAMES = {
    "signal_correlation": kernel.SIGNAL,
    "delta_correlation": kernel.DELTA,
    "input_gradient_correlation": kernel.INPUT,
}
_FORMS = ("{}", "{}_centred", "log10_one_minus_{}", "log10_one_minus_{}_centred")
_PLACES = {
    form.format(name): 4 * q + k for name, q in _NAMES.items() for k, form in enumerate(_FORMS)
}
_PAIRS = ("all", "first")


def _pairs(spec: Spec, examples: int) -> np.ndarray:
    """Examples (2, pair) of every pair."""
    if spec.get("pairs") == "first":
        others = np.arange(1, examples)
        return np.array([np.zeros_like(others), others])
    return np.array(np.triu_indices(examples, 1))


class Correlation(Reduction):
    """Correlations in float64 of what both passes kept."""

    unit = kernel.write_correlation
    deltas = values = outputs = True
    examples = False

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._count = self._number(spec, group.examples)
        self._examples = group.examples
        self._units = max(len(group.table.matrices) * group.widest, group.n_in)
        self._recurrent = group.recurrent

    @staticmethod
    def _number(spec: Spec, examples: int) -> int:
        first = spec.get("pairs") == "first"
        return examples - 1 if first else examples * (examples - 1) // 2

    @classmethod
    def check(cls, spec: Spec, model: "MLP | RNN", run: "Run") -> None:
        """Refuse fewer than two examples, and an unknown choice of pairs."""
        choice("measurements.correlation", "pairs", spec.get("pairs"), _PAIRS)
        if run.inputs.count < 2:
            raise ValueError(
                f"measure 'correlation': inputs must hold at least 2 examples, got "
                f"{run.inputs.count}; gs.inputs.pair(c0) gives two of a known correlation"
            )

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Size of dimension pair."""
        return {"pair": cls._number(spec, run.inputs.count)}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Examples of every pair."""
        pairs = _pairs(spec, run.inputs.count)
        return {
            name: ("pair", row, {"long_name": f"{name} example of a pair", "units": "1"})
            for name, row in zip(("first", "second"), pairs)
        }

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        return [
            np.zeros((self._examples, self._units)),
            np.zeros((4, max(self._units, 4))),
            np.zeros((1, self._examples), np.int64),
            _pairs(self.spec, self._examples),
        ]

    def shape(self, seeds: int) -> tuple[int, int]:
        """((variable * S + s) * H + h) * P + pair; layer."""
        return len(_PLACES) * seeds * self.heads * self._count, self.layers

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, head[, layer], pair) of one variable."""
        table = results.reshape(len(_PLACES), -1, self.heads, self._count, self.layers)
        values = np.moveaxis(table[_PLACES[name]], -1, -2)
        return values[:, :, 0] if "input_gradient" in name and not self._recurrent else values


_INPUTS = "the input gradients, each of its example's own cost"
_WHAT = [
    ("signal_correlation", "the pre-activations", "z", {}),
    ("delta_correlation", "delta, each of its example's own cost", "delta", {}),
    ("input_gradient_correlation", _INPUTS, "dC/dx", {"dims": NETWORK, "models": ("MLP",)}),
    (
        "input_gradient_correlation", f"{_INPUTS}, at a step", "dC/dx_t",
        {"models": ("RNN",), "needs": "inputs"},
    ),
]  # fmt: skip
_TEXTS = (
    ("correlation of {}", "c = <{0}_1, {0}_2> / (||{0}_1|| ||{0}_2||); NaN where one is 0"),
    ("centred correlation of {}", "as without centring, of {0} less its mean over units"),
    ("log10 of one minus the correlation of {}", "log10 (1 - c), without cancellation"),
    ("log10 of one minus the centred correlation of {}", "log10 (1 - c) of the centred ones"),
)
CORRELATION = Measurement(
    "correlation",
    "how alike the signals and gradients of two examples are",
    tuple(
        Variable(form.format(name), long.format(what), text.format(symbol), extra=("pair",), **more)
        for name, what, symbol, more in _WHAT
        for form, (long, text) in zip(_FORMS, _TEXTS)
    ),
    {"pairs": "all"},
    Correlation,
)

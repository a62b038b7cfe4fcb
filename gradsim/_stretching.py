"""Measurements `jacobian` and `lyapunov`: singular values and growth rates of what a net does."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._measurement import NETWORK, Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim._registry import brief
from gradsim.cells import table_of
from gradsim.kernels import stretching as kernel
from gradsim.kernels.graded import SCRATCH
from gradsim.kernels.ops import IN_DELTA, LINEAR
from gradsim.kernels.singular import PLACES
from gradsim.models import MLP, RNN

if TYPE_CHECKING:
    from gradsim.plan import Group
    from gradsim.simulate import Run


class _Stretching(Reduction):
    """What both share: Jacobians of layers, and a graded product of them."""

    unit = kernel.run_stretching
    outputs = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        table = group.table
        self._deltas = sum(row[0] == LINEAR and bool(row[7] & IN_DELTA) for row in table.ops)
        self._states, self._values = len(table.states), table.values
        self._widest = group.widest
        self._path = group.widths if group.recurrent else [*group.widths[:-1], group.n_out]
        self._columns = group.widest * max(self._states, self._deltas)
        self._through = not group.recurrent and _reads_deltas_alone(table)

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse batch normalisation, under which the examples are one input."""
        if model.norm == "batch":
            raise ValueError(
                f"measure {spec.name!r}: under norm='batch' an output depends on the whole batch "
                "and an example has no Jacobian of its own; norm must be None or 'layer'"
            )

    def _settings(self) -> list[int]:
        raise NotImplementedError

    def _asked(self) -> np.ndarray:
        return np.zeros((1, self.layers + 1), np.int64)

    def _growth(self) -> np.ndarray:
        return np.zeros((1, 1))

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        size, values = self._columns, self._values
        return [
            np.zeros((values, self._widest * size)),
            np.zeros((1, values), np.int64),
            np.zeros((4, size)),
            np.zeros((1, self._widest**2)),
            np.zeros((1, size**2)),
            np.zeros((1, 3), np.int64),
            np.zeros((1, values), np.int64),
            np.full((1, 1), self._deltas),
            np.array([self._settings()], np.int64),
            self._asked(),
            np.zeros((kernel.MATRICES, size**2)),
            np.zeros((3, size), np.int64),
            np.zeros((SCRATCH + 1, size)),
            np.zeros((PLACES, size), np.int64),
            self._growth(),
        ]


def _reads_deltas_alone(table: Any) -> bool:
    """Whether a cell reads its states through pre-activations that count in delta alone."""
    states = range(len(table.states))
    readers = [row for row in table.ops if row[1] in states or row[2] in states]
    kept = any(written in states for _, written in table.states)
    return not kept and all(row[0] == LINEAR and row[7] & IN_DELTA for row in readers)


def _checked(spec: Spec, name: str, least: str) -> int:
    """Value of a parameter that is a number of things."""
    value = spec.get(name)
    if isinstance(value, bool) or value < 0:
        raise ValueError(f"{spec.name}({name}={brief(value)}): {name} must be {least}")
    return value


def _count(spec: Spec, limit: int) -> int:
    """How many of ``limit`` numbers are wanted: all for k = 0."""
    return min(_checked(spec, "k", "an integer >= 1, or 0 for all"), limit) or limit


def _index(size: int) -> dict[str, Any]:
    return {"index": ("index", np.arange(size), {"long_name": "index, from the largest"})}


class Jacobian(_Stretching):
    """Singular values of the Jacobians from each layer to the output."""

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._size = _count(spec, group.n_out)
        self._wanted = sorted(set(spec.get("layers"))) or list(range(self.layers + 1))

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse layers that no model of the run has, besides what has no Jacobian."""
        super().check(spec, model, run)
        deepest = max(m.depth for m in run.sweep.models)
        for layer in spec.get("layers"):
            if not isinstance(layer, int) or isinstance(layer, bool) or not 0 <= layer <= deepest:
                raise ValueError(
                    f"jacobian(layers={brief(spec.get('layers'))}): layers must be integers from 0 "
                    f"(the input) to {deepest}, got {brief(layer)}"
                )

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Singular values of the widest output."""
        widths = (m.width if isinstance(m, RNN) else m.ends[1] for m in run.sweep.models)
        return {"index": max(_count(spec, n) for n in widths)}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Places of the singular values."""
        return _index(cls.extents(spec, run)["index"])

    def _asked(self) -> np.ndarray:
        asked = super()._asked()
        asked[0, [layer for layer in self._wanted if layer <= self.layers]] = 1
        return asked

    def _settings(self) -> list[int]:
        return [1, self._wanted[0], self._through, 0, 0]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(s * entries + e) * (L + 1) + l; index."""
        return seeds * self.entries * (self.layers + 1), self._size

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry, layer, index), or (seed, entry, index) of the input."""
        table = results.reshape(-1, self.entries, self.layers + 1, self._size)
        return table[:, :, 0] if name == "log10_input_singular_value" else table[:, :, 1:]


class Lyapunov(_Stretching):
    """Growth rates of orthogonal vectors along the depth or over the steps."""

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._size = _count(spec, min(self._path) * self._states)
        self._transient = _checked(spec, "transient", "an integer >= 0")

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse a transient that leaves no layer."""
        super().check(spec, model, run)
        if _checked(spec, "transient", "an integer >= 0") >= model.depth:
            raise ValueError(
                f"lyapunov(transient={spec.get('transient')}): transient must be less than the "
                f"{model.depth} layers or steps of every model"
            )

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Exponents of the largest state."""
        return {"index": max(_count(spec, _state_width(m)) for m in run.sweep.models)}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Places of the exponents."""
        return _index(cls.extents(spec, run)["index"])

    def _settings(self) -> list[int]:
        return [0, 0, 0, self._size, self._transient]

    def _growth(self) -> np.ndarray:
        return np.zeros((self.layers, self._size))

    def shape(self, seeds: int) -> tuple[int, int]:
        """(variable * S + s) * entries + e; direction."""
        return 2 * seeds * self.entries, self._size

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry, index)."""
        table = results.reshape(2, -1, self.entries, self._size)
        return table[kernel.ERROR if name == "lyapunov_stderr" else kernel.EXPONENT]


def _state_width(model: MLP | RNN) -> int:
    """Units of the joint state of an RNN, or of the narrowest layer of an MLP."""
    if isinstance(model, RNN):
        return model.width * len(table_of(model).states)
    return min(model.widths)


JACOBIAN = Measurement(
    "jacobian",
    "singular values of the Jacobian from each layer or step to the last",
    (
        Variable(
            "log10_singular_value", "log10 of a singular value of the Jacobian to the output",
            "log10 sigma_i of d a^L / d z^l, or of d h_T / d h_t, averaged over examples; of a "
            "cell with several affine maps z is what delta is the gradient of; layer or step 0 is "
            "log10_input_singular_value",
            extra=("index",),
        ),
        Variable(
            "log10_input_singular_value", "log10 of a singular value of the input's Jacobian",
            "log10 sigma_i of d a^L / d x, or of d h_T / d h_0, averaged over examples",
            dims=NETWORK, extra=("index",),
        ),
    ),
    {"layers": [], "k": 0},
    reduction=Jacobian,
)  # fmt: skip

LYAPUNOV = Measurement(
    "lyapunov",
    "growth rates of small changes along the depth or over the steps",
    (
        Variable(
            "lyapunov_exponent", "finite Lyapunov exponent",
            "mean over layers or steps of ln |R_ii|, Q R = J Q of the layer before, Q = 1 at the "
            "input; of the joint state of a cell with several; averaged over examples",
            dims=NETWORK, extra=("index",),
        ),
        Variable(
            "lyapunov_stderr", "standard error of the Lyapunov exponent",
            "from the means of blocks of N^(1/3) of the N layers or steps",
            dims=NETWORK, extra=("index",),
        ),
    ),
    {"k": 0, "transient": 0},
    reduction=Lyapunov,
)  # fmt: skip

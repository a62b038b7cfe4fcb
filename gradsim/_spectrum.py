"""Measurement `spectrum`: eigenvalues and norms of the weights of every network."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._measurement import LAYERED, NETWORK, STATES, Measurement, Spec, Variable
from gradsim._reduction import Arrays, Reduction
from gradsim.cells import cells, table_of
from gradsim.kernels import spectrum as kernel
from gradsim.kernels.spectral import STEPS
from gradsim.models import MLP, RNN

if TYPE_CHECKING:
    from gradsim.plan import Group
    from gradsim.simulate import Run


def _largest(model: MLP | RNN) -> int:
    """Units of the largest square matrix of a model."""
    if isinstance(model, RNN):
        return model.width
    return max((m for m, n in zip(model.widths, model.widths[1:]) if m == n), default=0)


class Spectrum(Reduction):
    """Eigenvalues by LAPACK, once per matrix; scaled to every condition."""

    unit = kernel.write_spectrum
    examples = False

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._size = max(_largest(model) for model in group.heads)
        self._recurrent, widths = group.recurrent, group.widths
        self._rows, self._columns = max(*widths[1:], group.n_out), max(widths)

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse what has no one matrix to speak of."""
        matrices = sum(m.weights for m in table_of(model).matrices)
        if matrices != 1:
            raise ValueError(
                f"measure 'spectrum': a layer or step of the cell {model.cell!r} has {matrices} "
                "weight matrices; cell must be one with a single matrix, such as "
                f"{[n for n in ('dense', 'vanilla', 'leaky', 'skip') if n in cells]}"
            )
        if isinstance(model, RNN) and not model.tied:
            raise ValueError(
                "measure 'spectrum': tied=False draws new weights at every step, and their product "
                "does not follow their eigenvalues (see 'lyapunov' and 'jacobian'); tied must be "
                "True"
            )

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Eigenvalues of the largest square matrix."""
        return {"index": max(_largest(model) for model in run.sweep.models)}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Places of the eigenvalues."""
        text = {"long_name": "index, from the largest"}
        return {"index": ("index", np.arange(cls.extents(spec, run)["index"]), text)}

    def scratch(self) -> Arrays:
        """Arrays in the order of the kernel."""
        steps, size = min(self._columns, STEPS), max(self._rows, self._columns)
        return [
            np.zeros((1, self._rows * self._columns)),
            np.zeros((1, (steps + 1) * self._columns)),
            np.zeros((1, size)),
            np.zeros((4, steps + 1)),
            np.zeros((4 * self.layers + 2, size)),
            np.zeros((1, 2 * self.layers + 1)),
            np.zeros((2, size)),
            np.zeros((1, size), np.int64),
        ]

    def shape(self, seeds: int) -> tuple[int, int]:
        """(s * heads + h) * (L + 1) + l; real parts, imaginary parts, scalars."""
        return seeds * self.heads * (self.layers + 1), 2 * self._size + kernel.SCALARS

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, head, layer or state[, index]) of one variable."""
        table, n = results.reshape(-1, self.heads, self.layers + 1, results.shape[1]), self._size
        if name == "top_alignment":
            return table[..., 2 * n + kernel.ALIGNMENT]
        columns = {
            "eigenvalue_real": slice(0, n),
            "eigenvalue_imag": slice(n, 2 * n),
            "spectral_radius": 2 * n + kernel.RADIUS,
            "spectral_norm": 2 * n + kernel.NORM,
        }
        return table[:, :, 1 if self._recurrent else slice(1, None), columns[name]]


def _both(name: str, long_name: str, formula: str, extra: tuple[str, ...] = ()) -> list[Variable]:
    """A variable of every layer of an MLP, and of the one matrix of an RNN."""
    return [
        Variable(name, long_name, formula, dims, (kind,), extra=extra)
        for kind, dims in (("MLP", LAYERED), ("RNN", NETWORK))
    ]


SPECTRUM = Measurement(
    "spectrum",
    "eigenvalues and norms of the weights",
    (
        *_both(
            "eigenvalue_real", "real part of an eigenvalue of the weights",
            "Re lambda_i of W by falling modulus, of a pair that with Im > 0 first; NaN where W is "
            "not square", ("index",),
        ),
        *_both(
            "eigenvalue_imag", "imaginary part of an eigenvalue of the weights", "Im lambda_i",
            ("index",),
        ),
        *_both("spectral_radius", "spectral radius of the weights", "max |lambda_i|"),
        *_both("spectral_norm", "spectral norm of the weights", "largest singular value of W"),
        Variable(
            "top_alignment", "alignment of a state with the leading eigenvector",
            "squared cosine of the angle between h_t and the eigenvector of the eigenvalue of "
            "largest modulus, or the plane of a pair, averaged over examples", dims=STATES,
            models=("RNN",),
        ),
    ),
    reduction=Spectrum,
)  # fmt: skip

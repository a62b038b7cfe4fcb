"""How a measurement reduces a network to numbers: a kernel of its own, and the arrays it works on.

A measurement that the passes do not take themselves is one module: a `Reduction`, its variables
and a kernel unit that runs on every network once both passes are done, while everything that they
kept is in memory.  The engine finds the unit by its address: it is compiled when first asked for.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gradsim._measurement import Spec

if TYPE_CHECKING:
    from gradsim.models import MLP, RNN
    from gradsim.plan import Group
    from gradsim.simulate import Run
    from gradsim.workspace import Worker

Arrays = list[np.ndarray]
NOT_FINITE = 2  # status of a network whose forward pass left the range


class Reduction:
    """One measurement of one pass.

    Attributes
    ----------
    unit
        Kernel (x, like, q, s, seeds, key, seed), made by ``_jit.unit(optional=True)``: measures
        the network in memory and writes slot s of the results; q is its row of ``x.hooks``.  None
        where `measure` does so in Python.
    deltas, values, outputs, cotangents
        What the passes must keep in memory: every delta, every pre-activation, the output rows,
        the cotangents of everything that is not linear with the arguments of the activations.
    examples
        Whether every example has a result of its own under ``batch="each"``.
    """

    unit: ClassVar[Any] = None
    deltas: ClassVar[bool] = False
    values: ClassVar[bool] = False
    outputs: ClassVar[bool] = False
    cotangents: ClassVar[bool] = False
    examples: ClassVar[bool] = True

    def __init__(self, spec: Spec, group: "Group") -> None:
        self.spec, self.layers, self.heads = spec, group.layers, len(group.heads)
        self.entries = group.head_rows if group.options.each and self.examples else self.heads

    @classmethod
    def check(cls, spec: Spec, model: "MLP | RNN", run: "Run") -> None:
        """Refuse by name, with ValueError, a call in which the measurement makes no sense."""

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Size of every further dimension, before anything is made."""
        return {}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Coordinates along the further dimensions, each (dimension, values, attributes)."""
        return {}

    def scratch(self) -> Arrays:
        """Arrays (rows, columns) of a worker, with what they hold at the start."""
        return []

    def measure(
        self, worker: "Worker", status: np.ndarray, out: np.ndarray, seed: int, key: int
    ) -> None:
        """Measure the network in a worker's memory, where there is no unit.

        ``status`` (entry,) is that of its rows; ``out`` are its rows of the results.
        """
        raise NotImplementedError

    def shape(self, seeds: int) -> tuple[int, int]:
        """Rows and columns of the results of a chunk, NaN at the start."""
        raise NotImplementedError

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry, layer, …) of one variable, from the results of a chunk."""
        raise NotImplementedError


def finite(values: np.ndarray, status: np.ndarray) -> np.ndarray:
    """Values (seed, entry, …) with NaN where the forward pass left the range.

    ``status`` (seed, entry) may have several examples for one entry: any of them counts.
    """
    bad = (status == NOT_FINITE).reshape(*values.shape[:2], -1).any(axis=-1)
    if not bad.any():
        return values
    return np.where(bad.reshape(bad.shape + (1,) * (values.ndim - 2)), np.nan, values)

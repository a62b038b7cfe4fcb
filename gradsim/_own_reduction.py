"""How a measurement that a user wrote is taken: its function is called on every network."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gradsim._measurement import LAYERED, NETWORK, STATES, Spec, Variable
from gradsim._reader import Reader
from gradsim._reduction import NOT_FINITE, Reduction
from gradsim._registry import brief
from gradsim.models import MLP, RNN
from gradsim.views import View

if TYPE_CHECKING:
    from gradsim.plan import Group
    from gradsim.simulate import Run
    from gradsim.workspace import Worker

Function = Callable[..., Mapping[str, Any]]


class OwnReduction(Reduction):
    """Calls a user's function on every network; one subclass a measurement."""

    deltas = values = outputs = True
    function: ClassVar[Function]
    variables: ClassVar[tuple[Variable, ...]]
    along: ClassVar[dict[str, np.ndarray]]

    def __init__(self, spec: Spec, group: "Group") -> None:
        super().__init__(spec, group)
        self._models, self._given = group.heads, group.given
        self._alone = group.options.each and self.examples
        self._places: dict[str, tuple[slice, tuple[int, ...]]] = {}
        self._columns = 0
        for variable in self.variables:
            shape = self._shape(variable, self.layers)
            last = self._columns + math.prod(shape)
            self._places[variable.name] = slice(self._columns, last), shape
            self._columns = last

    def _shape(self, variable: Variable, layers: int) -> tuple[int, ...]:
        own = {LAYERED: (layers,), STATES: (layers + 1,), NETWORK: ()}[variable.dims]
        return (*own, *(len(self.along[dim]) for dim in variable.extra))

    @classmethod
    def check(cls, spec: Spec, model: MLP | RNN, run: "Run") -> None:
        """Refuse variables over states where there are none."""
        states = [v.name for v in cls.variables if v.dims == STATES]
        if states and isinstance(model, MLP):
            raise ValueError(
                f"measure {spec.name!r}: {states[0]!r} is over state_step, which an RNN alone has; "
                "dims must start with 'layer'"
            )

    @classmethod
    def extents(cls, spec: Spec, run: "Run") -> dict[str, int]:
        """Size of every further dimension."""
        return {dim: len(values) for dim, values in cls.along.items()}

    @classmethod
    def coords(cls, spec: Spec, run: "Run") -> dict[str, Any]:
        """Coordinates that the user gave."""
        return {
            dim: (dim, values, {"long_name": dim.replace("_", " "), "units": "1"})
            for dim, values in cls.along.items()
        }

    def shape(self, seeds: int) -> tuple[int, int]:
        """S * entries + e; numbers of all variables."""
        return seeds * self.entries, self._columns

    def read(self, name: str, results: np.ndarray) -> np.ndarray:
        """Values (seed, entry[, layer, …]) of one variable."""
        place, shape = self._places[name]
        return results[:, place].reshape(-1, self.entries, *shape)

    def measure(
        self, worker: "Worker", status: np.ndarray, out: np.ndarray, seed: int, key: int
    ) -> None:
        """Call the function on every condition (and example) whose forward pass is finite."""
        drawn: dict[Any, np.ndarray] = {}  # what the conditions of the network share
        good = (status != NOT_FINITE).reshape(self.entries, -1).all(axis=1)
        for e in np.flatnonzero(good).tolist():
            head, b = divmod(e, self.entries // self.heads)
            model = self._models[head]
            reader = Reader(model, worker.item, worker, head, b if self._alone else None)
            found = self._call(View(reader, model, seed, key, self._given, drawn))
            for variable in self.variables:
                place, shape = self._places[variable.name]
                values = found[variable.name]
                out[e, place].reshape(shape)[tuple(map(slice, values.shape))] = values

    def _call(self, view: View) -> dict[str, np.ndarray]:
        """Arrays that the function returns, checked."""
        name, wanted = self.spec.name, [variable.name for variable in self.variables]
        try:
            found = type(self).function(view, **dict(self.spec.parameters))
        except Exception as error:
            error.add_note(f"in measurement {name!r} of seed {view.seed}, {brief(view.model)}")
            raise
        if not isinstance(found, Mapping) or set(found) != set(wanted):
            got = sorted(found) if isinstance(found, Mapping) else found
            raise ValueError(
                f"measurement {name!r} must return a dict of {wanted}, got {brief(got)}"
            )
        arrays = {}
        for variable in self.variables:
            shape = self._shape(variable, len(view.layers))
            array = np.asarray(found[variable.name])
            if array.dtype.kind not in "biuf" or array.shape != shape:
                raise ValueError(
                    f"measurement {name!r}: {variable.name!r} must be real numbers of shape "
                    f"{shape}, got {array.dtype} of shape {array.shape}"
                )
            arrays[variable.name] = array
        return arrays

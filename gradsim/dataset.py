"""From the results of all passes to one labelled Dataset."""

import json
import math
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from llvmlite.binding import get_host_cpu_name

from gradsim._measurement import LAYERED, NETWORK, STATES, Spec, Variable
from gradsim.cells import cells
from gradsim.kernels import measure as slots
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.measurements import measurements
from gradsim.models import RNN

if TYPE_CHECKING:
    from gradsim.plan import Pass
    from gradsim.simulate import Run
    from gradsim.workspace import Results

TITLE = "gradsim: ensembles of backward passes through random deep networks"
CONVENTIONS = "gradsim-1.0"
SCHEMA = 1

_LAYERED = {
    "log10_delta_norm": slots.DELTA,
    "log10_bias_grad_norm": slots.BIAS,
    "log10_weight_grad_norm": slots.WEIGHT,
    "log10_recurrent_grad_norm": slots.RECURRENT,
    "log10_input_weight_grad_norm": slots.INPUT_WEIGHT,
    "log10_input_grad_norm": slots.INPUT,
}
_SCALAR = {
    "log10_loss": slots.LOSS,
    "log10_input_grad_norm": slots.INPUT_GRADIENT,
    "log10_total_weight_grad_norm": slots.TOTAL,
}
_STATES = {
    "log10_state_grad_norm": 0,
    "log10_cell_grad_norm": 1,
    "log10_joint_state_grad_norm": 2,
}
_SIGNAL = {
    "log10_weight_norm": slots.WEIGHT_NORM,
    "z_mean_square": slots.Z_SQUARE,
    "a_mean_square": slots.A_SQUARE,
    "saturated_share": slots.SATURATED,
    "inactive_share": slots.INACTIVE,
    "dead_share": slots.DEAD,
}
_SIZES = {"fan_in": "inputs of a unit", "fan_out": "units", "n_parameters": "weights and biases"}


def _from_results(variable: Variable, results: "Results") -> np.ndarray:
    """Values (seed, entry or head[, layer]) of one variable of a chunk."""
    if variable.name in _SIGNAL:
        return results.signal(_SIGNAL[variable.name])
    if variable.dims == STATES:
        return results.states(_STATES[variable.name])
    if variable.dims == LAYERED:
        return results.layered(_LAYERED[variable.name])
    if variable.name == "status":
        return results.status()[..., 0]
    if variable.name == "status_layer":
        return results.status()[..., 1]
    return results.scalar(_SCALAR[variable.name])


class Collector:
    """Holds the arrays of a result while chunks arrive, in any order."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._recurrent = isinstance(run.sweep.models[0], RNN)
        wanted = list(self._wanted(run.measure))
        self._owner = {variable.name: spec for spec, variable in wanted}
        self._variables = [variable for _, variable in wanted]
        self._reductions = {spec.name: kind for spec, kind in run.options.measures}
        self._extents: dict[str, int] = {}
        for spec, reduction in run.options.measures:
            for dim, size in reduction.extents(spec, run).items():  # several may share a dim
                self._extents[dim] = max(self._extents.get(dim, 0), size)
        self._layers = max(model.depth for model in run.sweep.models)
        self._arrays: dict[str, np.ndarray] = {}
        self._check_names()

    def _check_names(self) -> None:
        """Refuse coordinates of the examples whose names the result has for something else."""
        taken = {*self._run.sweep.dims, "seed", self._dim(), "state_step", *_SIZES}
        taken |= {variable.name for variable in self._variables} | set(self._extents)
        for name in self._run.inputs.coords if self._run.each else ():
            if str(name) in taken:
                raise ValueError(
                    f"inputs: the result has a {name!r} of its own; rename that coordinate"
                )

    def _wanted(self, specs: tuple[Spec, ...]) -> Any:
        kind = "RNN" if self._recurrent else "MLP"
        inputs = any(getattr(m, "sigma_u", 0.0) > 0 for m in self._run.sweep.models)
        memory = any(cells[m.cell].memory for m in self._run.sweep.models)
        tied = any(getattr(m, "tied", False) for m in self._run.sweep.models)
        for spec in specs:
            for variable in measurements[spec.name].variables:
                asked = spec.get("total") if variable.needs == "total" else True
                asked = memory if variable.needs == "memory" else asked
                asked = inputs if variable.needs == "inputs" else asked
                asked = tied if variable.needs == "tied" else asked
                asked = not tied if variable.needs == "untied" else asked
                if kind in variable.models and asked:
                    yield spec, variable

    def _each(self, variable: Variable) -> bool:
        """Whether a variable has the example dimension: `signal` averages over examples."""
        reduction = self._reductions.get(self._owner[variable.name].name)
        averaged = variable.name in _SIGNAL if reduction is None else not reduction.examples
        return self._run.each and not averaged

    def _shape(self, variable: Variable) -> list[int]:
        shape = [len(self._run.sweep.models), len(self._run.seeds)]
        if self._each(variable):
            shape.append(self._run.inputs.count)
        if variable.dims != NETWORK:
            shape.append(self._layers + (variable.dims == STATES))
        return shape + [self._extents[dim] for dim in variable.extra]

    def nbytes(self) -> int:
        """Size of the result, in Python's own integers: it may be far beyond any memory."""
        return sum(math.prod(self._shape(v)) * np.dtype(v.kind).itemsize for v in self._variables)

    def allocate(self) -> None:
        """Make room for the result; what it holds comes with its chunks or parts."""
        for variable in self._variables:
            self._arrays[variable.name] = np.empty(self._shape(variable), variable.kind)

    def add(self, item: "Pass", first: int, results: "Results") -> None:
        """Place the results of one chunk whose seeds start at position ``first``."""
        conditions = list(item.conditions)
        place = slice(first, first + results.seeds)
        for variable in self._variables:
            owner, out = self._owner[variable.name].name, self._arrays[variable.name]
            if owner in self._reductions:
                values = results.reduced(owner, variable.name)
            elif variable.dims == STATES and _STATES[variable.name] >= item.scalars["cells"]:
                out[conditions, place] = np.nan  # a cell without a memory
                continue
            else:
                values = _from_results(variable, results)
            values = values.reshape(results.seeds, len(conditions), -1, *values.shape[2:])
            values = np.moveaxis(values, 1, 0)  # condition, seed, example or 1, …
            if not self._each(variable):
                values = values[:, :, 0]
            if values.shape[2:] != out.shape[2:]:  # others have more layers, or more values
                out[conditions, place] = np.nan
            out[(conditions, place, *map(slice, values.shape[2:]))] = values

    def insert(self, first: int, part: xr.Dataset) -> None:
        """Place the result of a part whose seeds start at position ``first``."""
        place = slice(first, first + part.sizes["seed"])
        for name, out in self._arrays.items():
            target = out[:, place]
            target[:] = part[name].values.reshape(target.shape)

    def dataset(self, seconds: float) -> xr.Dataset:
        """Labelled result."""
        run = self._run
        data = {v.name: self._array(v) for v in self._variables}
        ds = xr.Dataset(data, coords=self._coords())
        ds.attrs = attributes("simulate", run.config(), run.dtype, run.threads, seconds)
        return ds

    def _dim(self) -> str:
        return "step" if self._recurrent else "layer"

    def _array(self, variable: Variable) -> xr.DataArray:
        sweep = self._run.sweep
        dims = [*sweep.dims, "seed"]
        if self._each(variable):
            dims.append("example")
        if variable.dims != NETWORK:
            dims.append("state_step" if variable.dims == STATES else self._dim())
        dims += variable.extra
        array = self._arrays[variable.name]
        values = array.reshape(*sweep.shape, *array.shape[1:])
        text = {"long_name": variable.long_name, "units": "1", "formula": variable.formula}
        return xr.DataArray(values, dims=dims, attrs=text)

    def _coords(self) -> dict[str, Any]:
        run, dim = self._run, self._dim()
        coords: dict[str, Any] = {}
        for name, label in zip(run.sweep.dims, run.sweep.labels):
            coords[name] = (name, label, {"long_name": name.replace("_", " "), "units": "1"})
        kind = np.uint64 if max(run.seeds) >= 2**63 else np.int64
        coords["seed"] = ("seed", np.array(run.seeds, kind), {"long_name": "network", "units": "1"})
        along = np.arange(1, self._layers + 1)
        prose = {"layer": "layer, from the input", "step": "time step"}
        coords[dim] = (dim, along, {"long_name": prose[dim], "units": "1"})
        if any(v.dims == STATES for v in self._variables):
            steps = np.arange(self._layers + 1)
            text = {"long_name": "state, 0 is the initial one", "units": "1"}
            coords["state_step"] = ("state_step", steps, text)
        if any(self._each(v) for v in self._variables):
            coords["example"] = ("example", np.arange(run.inputs.count), {"long_name": "example"})
            coords |= {str(name): v for name, v in run.inputs.coords.items()}
        for spec, reduction in run.options.measures:
            for name, coord in reduction.coords(spec, run).items():
                if name not in coords or len(coord[1]) > len(coords[name][1]):
                    coords[name] = coord
        return coords | self._sizes()

    def _sizes(self) -> dict[str, Any]:
        """Coordinates fan_in, fan_out and n_parameters, along the varied fields that matter."""
        models, dims = self._run.sweep.models, [*self._run.sweep.dims, self._dim()]
        table = np.full((3, len(models), self._layers), np.nan)
        for i, model in enumerate(models):
            if isinstance(model, RNN):
                drive = model.input_width if model.sigma_u > 0 and model.input_width else 0
                table[0, i, : model.steps] = model.width
                table[1, i, : model.steps] = model.width
                table[2, i, : model.steps] = model.width * (model.width + drive + 1)
            else:
                widths = np.array(model.widths)
                table[0, i, : model.depth], table[1, i, : model.depth] = widths[:-1], widths[1:]
                table[2, i, : model.depth] = widths[1:] * (widths[:-1] + 1)
        coords = {}
        for (name, text), values in zip(_SIZES.items(), table):
            array = values.reshape(*self._run.sweep.shape, self._layers)
            kept = list(dims)
            for axis in reversed(range(len(dims) - 1)):
                first = array.take([0], axis)
                if np.array_equal(np.broadcast_to(first, array.shape), array, equal_nan=True):
                    array = first.squeeze(axis)
                    del kept[axis]
            whole = array if np.isnan(array).any() else array.astype(np.int64)
            coords[name] = (kept, whole, {"long_name": text, "units": "1"})
        return coords


def version() -> str:
    """Version of gradsim, also when it runs from the repository uninstalled."""
    from gradsim import __version__

    return __version__


def attributes(
    call: str, config: dict[str, Any], dtype: str, threads: int, seconds: float
) -> dict[str, str]:
    """Attributes of the result of a public call: what it was, and what rebuilds it."""
    return {
        "title": TITLE,
        "source": f"gradsim {version()}",
        "history": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} gradsim.{call}",
        "references": "see the documentation of gradsim",
        "Conventions": CONVENTIONS,
        "gradsim_config": json.dumps(config, sort_keys=True, separators=(",", ":")),
        "gradsim_provenance": json.dumps(provenance(dtype, threads, seconds), sort_keys=True),
    }


def provenance(dtype: str, threads: int, seconds: float) -> dict[str, Any]:
    """What made a result, in how long."""
    import numba
    import scipy

    return {
        "schema": SCHEMA,
        "software": {
            "gradsim": version(),
            "python": platform.python_version(),
            "numba": numba.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,  # whose BLAS the kernels call
            "xarray": xr.__version__,
        },
        "cpu": f"{platform.machine()} {get_host_cpu_name()}",  # what LLVM compiles for
        "dtype": dtype,
        "threads": threads,
        "kernel_hash": KERNEL_HASH,
        "elapsed_seconds": round(seconds, 3),
    }


def maker(provenance: dict[str, Any]) -> dict[str, Any]:
    """What of a provenance decides the bits of a result."""
    names = ("schema", "software", "cpu", "dtype", "kernel_hash")
    return {name: provenance.get(name) for name in names}


def describe(model: Any) -> dict[str, Any]:
    """Model as plain data for the stored configuration."""
    return {"kind": type(model).__name__, **asdict(model)}

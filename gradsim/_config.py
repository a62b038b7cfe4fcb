"""The stored configuration of a call: plain data with one text, from which the call is made again.

Given arrays are stored by value where they are small; larger ones by their digest, and their values
beside the results under the names of `ARRAYS`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim.measurements import measurements
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.sweep import tuples

if TYPE_CHECKING:
    from gradsim.simulate import Run

KINDS = {"MLP": MLP, "RNN": RNN}
ARRAYS = {"inputs": "given_inputs", "targets": "given_targets", "network": "given_parameters"}
LISTED = 65536  # entries of an array that the configuration holds by value


def text(config: Any) -> str:
    """The one text of a configuration."""
    return json.dumps(config, sort_keys=True, separators=(",", ":"))


def without_seeds(config: Mapping[str, Any]) -> dict[str, Any]:
    """What results must share to be parts of one: everything but the seeds."""
    return {name: value for name, value in config.items() if name != "seeds"}


def digest(config: Mapping[str, Any]) -> str:
    """SHA-256 of all but the seeds of a configuration."""
    return sha256(text(without_seeds(config)).encode()).hexdigest()


def compact(seeds: Sequence[int]) -> dict[str, list[int]]:
    """Seeds as [first, stop] where they are a range."""
    ranged = isinstance(seeds, range) and seeds.step == 1  # it may be too long to walk through
    whole = ranged or all(seed == expected for seed, expected in zip(seeds, count(seeds[0])))
    return {"range": [seeds[0], seeds[-1] + 1]} if whole else {"list": list(seeds)}


def seeds_of(config: Mapping[str, Any]) -> Sequence[int]:
    """Seeds of a configuration."""
    seeds = config["seeds"]
    return range(*seeds["range"]) if "range" in seeds else seeds["list"]


def given_arrays(run: "Run") -> dict[str, np.ndarray]:
    """Arrays that the caller gave, by their names in the configuration."""
    targets = None if run.targets is None else run.targets.array
    arrays = {"inputs": run.inputs.array, "targets": targets, "network": run.parameters}
    return {name: array for name, array in arrays.items() if array is not None}


def stored_arrays(run: "Run") -> xr.Dataset:
    """Given arrays that the configuration does not hold by value, as coordinates of a result."""
    coords = {}
    for name, array in given_arrays(run).items():
        if array.size > LISTED:
            dims = [f"{ARRAYS[name]}_{axis}" for axis in range(array.ndim)]
            text = {"long_name": f"{name} that were given", "units": "1"}
            coords[ARRAYS[name]] = (dims, array, text)
    return xr.Dataset(coords=coords)


def array_text(array: np.ndarray) -> dict[str, Any]:
    """Given array for the configuration: its values where it is small, else its digest."""
    stored: dict[str, Any] = {
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "sha256": sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
    }
    return stored | ({"values": array.tolist()} if array.size <= LISTED else {})


def differences(stored: Any, asked: Any, where: str = "") -> list[str]:
    """Where two configurations differ, each as `name: stored ..., now ...`."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        names = [*stored, *(name for name in asked if name not in stored)]
        pairs = ((n, stored.get(n, "nothing"), asked.get(n, "nothing")) for n in names)
        return [d for n, a, b in pairs for d in differences(a, b, f"{where}.{n}".lstrip("."))]
    if stored == asked:
        return []
    return [f"{where}: stored {brief(stored)}, now {brief(asked)}"]


def model_of(config: Mapping[str, Any]) -> MLP | RNN:
    """Model of a configuration.

    Raises
    ------
    ValueError
        If this version does not have such a model.
    """
    values = {name: tuples(value) for name, value in config["model"].items()}
    kind = KINDS.get(values.pop("kind"))
    known = [field.name for field in fields(kind)] if kind else []
    if kind is None or not set(values) <= set(known):
        raise ValueError(
            f"gradsim_config: this version of gradsim has no such model: {brief(config['model'])}"
        )
    return kind(**values)


def vary_of(config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """``vary`` of a configuration."""
    return {name: [tuples(value) for value in values] for name, values in config["vary"]}


def call_of(config: Mapping[str, Any], stored: xr.Dataset) -> dict[str, Any]:
    """Arguments, model and seeds among them, of the call that a configuration is of.

    Parameters
    ----------
    config
        As :meth:`gradsim.simulate.Run.config` makes it, or that of `train` or a study.
    stored
        Values of the given arrays that the configuration has not, by the names of `ARRAYS`: the
        result itself, or the arrays of a run folder.

    Raises
    ------
    ValueError
        If it is no such configuration, or a given array is missing.
    """
    if "study" in config and "source" in config:
        return {"seeds": seeds_of(config)}
    if "train" in config:
        asked = dict(config["train"])
        vary = {name: list(map(tuples, values)) for name, values in asked.pop("vary")}
        return _network_call(config, stored) | asked | {"vary": vary}
    if "vary" not in config or "measure" not in config:
        raise ValueError(
            "gradsim_config must be that of a result of gradsim.simulate, gradsim.train or a study "
            f"to be run again, got {brief(config)}"
        )
    return _network_call(config, stored) | {
        "vary": vary_of(config),
        "batch": config["batch"],
        "measure": [_spec(name, values) for name, values in config["measure"].items()],
        "dtype": config["dtype"],
    }


def _network_call(config: Mapping[str, Any], stored: xr.Dataset) -> dict[str, Any]:
    """Arguments that `simulate` and `train` share."""
    model = model_of(config)
    inputs, targets, parameters = (_given(config, name, stored) for name in ARRAYS)
    return {
        "model": model if parameters is None else Network.of_vector(model, parameters),
        "seeds": seeds_of(config),
        "inputs": _inputs(config, inputs),
        "targets": None if targets is None else _targets(targets),
        "key": config["key"],
    }


def _given(config: Mapping[str, Any], name: str, stored: xr.Dataset) -> np.ndarray | None:
    """One given array, checked against its digest."""
    kept = config.get(name)
    if kept is None:
        return None
    if "values" in kept:
        array = np.array(kept["values"], kept["dtype"]).reshape(kept["shape"])
    elif ARRAYS[name] in stored:
        array = stored[ARRAYS[name]].values
    else:
        raise ValueError(
            f"{name} of shape {tuple(kept['shape'])} are too large for gradsim_config and are not "
            f"stored as {ARRAYS[name]!r}, so the call cannot be made again"
        )
    if array_text(array)["sha256"] != kept["sha256"]:
        raise ValueError(f"{name} do not have the sha256 that gradsim_config states for them")
    return array


def _inputs(config: Mapping[str, Any], array: np.ndarray | None) -> Any:
    """Inputs as a user gives them, from the layout (step or 1, example, feature)."""
    if array is None:
        return None if config["examples"] == 1 else config["examples"]
    plain = np.moveaxis(array, 0, 1) if config["model"]["kind"] == "RNN" else array[0]
    labels = config.get("input_coords")
    if not labels:
        return plain
    dims = ("example", "step", "feature") if plain.ndim == 3 else ("example", "feature")
    coords = {
        name: ("example", np.array(label["values"], label["dtype"]), label["attrs"])
        for name, label in labels.items()
    }
    return xr.DataArray(plain, dims=dims, coords=coords)


def _targets(array: np.ndarray) -> np.ndarray:
    """Targets as a user gives them, from (step or 1, example or 1[, feature])."""
    moves, single = array.shape[0] > 1, array.ndim == 3 and array.shape[1] == 1
    if moves:
        return np.moveaxis(array, 0, 1)
    return array[0, 0] if single else array[0]


def _spec(name: str, parameters: Mapping[str, Any]) -> Any:
    """Measurement with its parameters in the types that it declares."""
    declared = measurements[name].defaults
    values = {n: tuples(v) if isinstance(declared.get(n), tuple) else v
              for n, v in parameters.items()}  # fmt: skip
    return measurements[name](**values)


def input_coords(run: "Run") -> dict[str, Any]:
    """Coordinates of the examples of given inputs, as plain data."""
    return {
        str(name): {
            "values": coord.values.tolist(),
            "dtype": coord.dtype.str,
            "attrs": {k: v for k, v in coord.attrs.items() if isinstance(v, str | int | float)},
        }
        for name, coord in run.inputs.coords.items()
    }

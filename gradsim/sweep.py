"""From a model and ``vary`` to the conditions of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from gradsim._memory import conditions_bytes, require
from gradsim._registry import brief, unknown
from gradsim.examples import Inputs, Targets, check_targets
from gradsim.models import MLP, RNN

Model = MLP | RNN


@dataclass(frozen=True)
class Sweep:
    """All conditions of a run.

    Attributes
    ----------
    dims
        Varied fields in the order of ``vary``.
    labels
        One coordinate per field: numbers, names, or the text of values that can be neither.
    models
        One model per condition, the last field varying fastest.
    """

    dims: tuple[str, ...]
    labels: tuple[np.ndarray, ...]
    models: tuple[Model, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each varied field."""
        return tuple(len(label) for label in self.labels)


def check_sequence(name: str, values: Any) -> None:
    """Refuse what is not a sequence of values of a varied field."""
    array = isinstance(values, np.ndarray | xr.DataArray) and values.ndim > 0
    if isinstance(values, str | bytes | Mapping) or not (array or isinstance(values, Sequence)):
        raise TypeError(f"vary[{name!r}] must be a sequence of values, got {brief(values)}")
    if len(values) == 0:
        raise ValueError(f"vary[{name!r}] must not be empty")


def values_of(values: Any) -> list[Any]:
    """Values of a varied field, as plain Python where they are NumPy numbers."""
    if isinstance(values, np.ndarray | xr.DataArray):
        return np.asarray(values).tolist()
    return [v.tolist() if isinstance(v, np.generic | np.ndarray) else v for v in values]


def tuples(value: Any) -> Any:
    """Lists, as those that JSON makes of tuples, as tuples."""
    return tuple(tuples(v) for v in value) if isinstance(value, list) else value


def label(name: str, values: list[Any]) -> np.ndarray:
    """Coordinate of a varied field; a value that cannot be one is labelled by its text."""
    simple = all(isinstance(v, bool | int | float | str) for v in values)
    kinds = {type(v) for v in values} - {int, float}
    mixed = bool(kinds) and len({type(v) for v in values}) > 1
    label = np.array(values) if simple and not mixed else np.array([str(v) for v in values])
    if len(np.unique(label)) != len(label):
        raise ValueError(f"vary[{name!r}] must hold distinct values, got {brief(values)}")
    return label


def expand(model: Model, vary: Mapping[str, Any] | None, memory: int) -> Sweep:
    """Conditions of a sweep: the product of all varied fields.

    Raises
    ------
    TypeError, ValueError
        For a field that the model does not have, an empty or repeated value, or a value that the
        model refuses.
    MemoryError
        If there are more conditions than fit in ``memory`` bytes.
    """
    if not isinstance(model, MLP | RNN):
        raise TypeError(f"model must be a gradsim MLP, RNN or Network, got {brief(model)}")
    if vary is None:
        vary = {}
    if not isinstance(vary, Mapping):
        raise TypeError(f"vary must map field names to sequences, got {brief(vary)}")
    names = [field.name for field in fields(model)]
    for name in vary:
        if name not in names:
            raise unknown(f"vary: field of {type(model).__name__}", name, names)
    if "depth" in vary and isinstance(getattr(model, "width", None), tuple):
        raise ValueError("vary['depth']: the tuple width sets the depth; vary width instead")
    for name, given in vary.items():
        check_sequence(name, given)
    require(memory, conditions=conditions_bytes(prod(map(len, vary.values()))))
    values = {name: [tuples(v) for v in values_of(given)] for name, given in vary.items()}
    labels = tuple(label(name, v) for name, v in values.items())
    models = tuple(
        _replaced(model, dict(zip(values, chosen))) for chosen in product(*values.values())
    )
    return Sweep(tuple(values), labels, models)


def _replaced(model: Model, values: dict[str, Any]) -> Model:
    """Model of one condition; a tuple width replaces ends and depth that came from another."""
    if isinstance(model, MLP) and isinstance(values.get("width"), tuple | list):
        ends = {"input_width": None, "output_width": None, "depth": 10}
        values = {**{k: v for k, v in ends.items() if isinstance(model.width, tuple)}, **values}
    return model.with_fields(**values)


def bind(sweep: Sweep, inputs: Inputs, targets: Targets | None) -> Sweep:
    """Set the ends that are None from given inputs and targets, and check all others.

    Raises
    ------
    ValueError
        If given arrays contradict a model.
    """
    return Sweep(sweep.dims, sweep.labels, tuple(_bound(m, inputs, targets) for m in sweep.models))


def _bound(model: Model, inputs: Inputs, targets: Targets | None) -> Model:
    kind = type(model).__name__
    if model.norm == "batch" and inputs.count < 2:
        raise ValueError(
            f"{kind}(norm='batch'): the examples of a network are its batch; inputs must hold at "
            f"least 2, got {inputs.count}"
        )
    if inputs.array is not None:
        features = inputs.array.shape[-1]
        if model.input_width is None:
            model = model.with_fields(input_width=features)
        elif model.input_width != features:
            raise ValueError(
                f"{kind}(input_width={model.input_width}): inputs have {features} features"
            )
    if isinstance(model, MLP):
        if targets is not None and targets.width is not None and model.output_width is None:
            model = model.with_fields(output_width=targets.width)
    else:
        model = _bound_rnn(model, inputs)
    if targets is not None:
        check_targets(targets, model, inputs.count)
    return model


def _bound_rnn(model: RNN, inputs: Inputs) -> RNN:
    if inputs.asked and model.sigma_u == 0:
        raise ValueError("RNN(sigma_u=0.0): inputs have no effect; set sigma_u > 0")
    if model.sigma_u > 0 and model.input_width is None:
        model = model.with_fields(input_width=model.width)
    if inputs.array is not None and inputs.array.shape[0] < model.steps:
        raise ValueError(
            f"RNN(steps={model.steps}): inputs have {inputs.array.shape[0]} steps, fewer"
        )
    state = model.initial_state
    if isinstance(state[0], tuple) and len(state) not in (1, inputs.count):
        raise ValueError(f"RNN(initial_state of {len(state)} examples): inputs have {inputs.count}")
    return model

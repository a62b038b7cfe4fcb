"""Inputs and targets in every form that a user has them, checked and brought to one layout."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief
from gradsim._validate import as_numbers, whole
from gradsim.models import MLP, RNN


@dataclass(frozen=True)
class Inputs:
    """Inputs of a run.

    Attributes
    ----------
    count
        Examples of each network.
    array
        (step, example, feature), with one step for an MLP; None where inputs are drawn.
    coords
        Coordinates of the example dimension, kept from a DataArray.
    asked
        Whether the caller asked for inputs at all.
    recurrent
        Whether they are sequences.
    """

    count: int
    array: np.ndarray | None = None
    coords: dict[Hashable, Any] = field(default_factory=dict)
    asked: bool = True
    recurrent: bool = False

    def plain(self) -> np.ndarray | None:
        """Array as a user gives it: (example, feature) or (example, step, feature)."""
        if self.array is None:
            return None
        return np.moveaxis(self.array, 0, 1) if self.recurrent else self.array[0]


def _dims(recurrent: bool) -> tuple[str, ...]:
    return ("example", "step", "feature") if recurrent else ("example", "feature")


def _ordered(name: str, value: xr.DataArray, allowed: tuple[str, ...]) -> np.ndarray:
    """Values of a DataArray with its dimensions in the order of ``allowed``."""
    extra = [dim for dim in value.dims if dim not in allowed]
    if extra:
        raise ValueError(f"{name} must have dimensions among {allowed}, got {brief(value.dims)}")
    return value.transpose(*(dim for dim in allowed if dim in value.dims)).values


def parse_inputs(inputs: Any, recurrent: bool) -> Inputs:
    """Inputs as a number of drawn examples or an array (step, example, feature).

    Raises
    ------
    TypeError, ValueError
        For a wrong type, shape or dimension name, or values that are not finite.
    """
    if inputs is None:
        return Inputs(1, asked=False)
    if isinstance(inputs, xr.Dataset):
        raise TypeError("inputs must be an array or a DataArray, got a Dataset")
    if not isinstance(inputs, xr.DataArray | list | tuple) and np.ndim(inputs) == 0:
        return Inputs(whole("simulate", "inputs", inputs))
    dims, coords = _dims(recurrent), {}
    if isinstance(inputs, xr.DataArray):
        missing = [dim for dim in dims if dim not in inputs.dims and dim != "example"]
        if missing:
            raise ValueError(f"inputs must have dimensions {dims}, got {brief(inputs.dims)}")
        coords = {k: v for k, v in inputs.coords.items() if v.dims == ("example",)}
        inputs = _ordered("inputs", inputs, dims)
        if inputs.ndim == len(dims) - 1:
            inputs = inputs[np.newaxis]
    array = as_numbers("inputs", inputs).astype(np.float64)
    if array.ndim == 1 and not recurrent:
        array = array[np.newaxis]
    if array.ndim != len(dims):
        raise ValueError(f"inputs must have dimensions {dims}, got shape {array.shape}")
    steps = np.moveaxis(array, 1, 0) if recurrent else array[np.newaxis]
    return Inputs(array.shape[0], np.ascontiguousarray(steps), coords, recurrent=recurrent)


@dataclass(frozen=True)
class Targets:
    """Given targets (step or 1, example or 1, feature), or labels (step or 1, example)."""

    array: np.ndarray
    labels: bool
    moves: bool  # every step has its own target

    @property
    def width(self) -> int | None:
        """Features, where they are known."""
        return None if self.labels else self.array.shape[-1]

    @cached_property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return self.array.min().item(), self.array.max().item()

    def plain(self, inputs: Inputs) -> np.ndarray:
        """Array as a user gives it: a row per given example, else what all drawn ones share."""
        if self.moves:
            return np.moveaxis(self.array, 0, 1)
        if self.labels or self.array.shape[1] > 1:
            return self.array[0]
        row = self.array[0, 0]
        return np.tile(row, (inputs.count, 1)) if inputs.asked else row


def parse_targets(targets: Any, models: Sequence[MLP | RNN], inputs: Inputs) -> Targets | None:
    """Given targets, read the same way for all models of a run.

    Accepted are (example, feature) or (feature,) shared by the examples, for an RNN also
    (example, step, feature); integer labels (example,) or (example, step) with cross-entropy.

    Raises
    ------
    TypeError, ValueError
        For a wrong type or shape, or values that are not finite.
    """
    if targets is None:
        return None
    recurrent, losses = isinstance(models[0], RNN), {model.loss for model in models}
    if len(losses) > 1 and "linear" in losses:
        raise ValueError("targets: loss='linear' reads them as v; vary the loss without targets")
    if isinstance(targets, xr.Dataset):
        raise TypeError("targets must be an array or a DataArray, got a Dataset")
    if isinstance(targets, xr.DataArray):
        targets = _ordered("targets", targets, _dims(recurrent))
    array = as_numbers("targets", targets)
    whole_numbers = "cross_entropy" in losses and array.dtype.kind in "iu"
    if whole_numbers and _are_labels(array, inputs):
        return Targets(*_label_steps(array.astype(np.int64), recurrent, inputs))
    array = array.astype(np.float64)
    most = 3 if recurrent else 2
    if not 1 <= array.ndim <= most:
        raise ValueError(f"targets must have 1 to {most} dimensions, got shape {array.shape}")
    if array.ndim > 1 and array.shape[0] != inputs.count:
        raise ValueError(f"targets must have {inputs.count} examples, got shape {array.shape}")
    if array.ndim == 3:
        return Targets(np.ascontiguousarray(np.moveaxis(array, 1, 0)), False, True)
    return Targets(array.reshape(1, -1, array.shape[-1]), False, False)


def _are_labels(array: np.ndarray, inputs: Inputs) -> bool:
    """Whether an integer array of targets holds class labels, not features."""
    if array.ndim == 1:
        return array.size == inputs.count
    one_hot = np.isin(array, (0, 1)).all()
    return array.ndim == 2 and array.shape[0] == inputs.count and not one_hot


def _label_steps(
    array: np.ndarray, recurrent: bool, inputs: Inputs
) -> tuple[np.ndarray, bool, bool]:
    """Labels (step or 1, example), with the flags of `Targets`."""
    if array.ndim == 1:
        return array[np.newaxis], True, False
    if not recurrent:
        raise ValueError(f"targets: labels must have shape ({inputs.count},), got {array.shape}")
    return np.ascontiguousarray(array.T), True, True


def check_targets(targets: Targets, model: MLP | RNN, examples: int) -> None:
    """Refuse targets that do not fit the output, the steps or the loss of a model."""
    n_out = model.width if isinstance(model, RNN) else model.ends[1]
    low, high = targets.range
    if targets.moves and targets.array.shape[0] < model.depth:
        raise ValueError(f"targets must have {model.depth} steps, got {targets.array.shape[0]}")
    if targets.labels:
        if low < 0 or high >= n_out:
            wrong = low if low < 0 else high
            raise ValueError(f"targets: labels must be in 0..{n_out - 1}, got {wrong}")
        return
    crossed = model.loss == "cross_entropy"
    labels = f", or {examples} integer labels" if crossed else ""
    if crossed and (low < 0 or high > 1):
        raise ValueError(
            f"targets must be in [0, 1] for loss='cross_entropy'{labels}, got {low:g} to {high:g}"
        )
    if targets.width != n_out:
        raise ValueError(f"targets must have {n_out} features{labels}, got {targets.width}")


def target_block(targets: Targets, count: int, n_out: int, slices: int) -> np.ndarray:
    """Targets (slice, example, feature); slice t is step t, slice 0 any step."""
    array = targets.array
    if targets.labels:
        array = array[..., np.newaxis] == np.arange(n_out)
    block = np.zeros((slices, count, n_out))
    if targets.moves:
        used = min(len(array), slices - 1)
        block[1 : used + 1] = array[:used]
    else:
        block[:] = array
    return block

"""Inputs and targets in every form that a user has them, checked and brought to one layout."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from gradsim.models import MLP, RNN, whole


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
    """

    count: int
    array: np.ndarray | None = None
    coords: dict[Hashable, Any] = field(default_factory=dict)
    asked: bool = True


def _dims(recurrent: bool) -> tuple[str, ...]:
    return ("example", "step", "feature") if recurrent else ("example", "feature")


def as_numbers(name: str, value: Any) -> np.ndarray:
    """Float64 array of finite numbers (integers stay integers); errors name the argument."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a rectangular array of numbers, got {repr(value)[:60]}"
        ) from error
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite, got {np.sum(~np.isfinite(array))} NaN or infinite"
        )
    return array if array.dtype.kind in "iu" else array.astype(np.float64)


def _ordered(name: str, value: xr.DataArray, allowed: tuple[str, ...]) -> np.ndarray:
    """Values of a DataArray with its dimensions in the order of ``allowed``."""
    extra = [dim for dim in value.dims if dim not in allowed]
    if extra:
        raise ValueError(f"{name} must have dimensions among {allowed}, got {value.dims}")
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
            raise ValueError(f"inputs must have dimensions {dims}, got {inputs.dims}")
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
    return Inputs(array.shape[0], np.ascontiguousarray(steps), coords)


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


def parse_targets(targets: Any, model: MLP | RNN, inputs: Inputs) -> Targets | None:
    """Given targets, for the loss of a model.

    Accepted are (example, feature) or (feature,) shared by the examples, for an RNN also
    (example, step, feature); integer labels (example,) or (example, step) with cross-entropy.

    Raises
    ------
    TypeError, ValueError
        For a wrong type or shape, or values that are not finite.
    """
    if targets is None:
        return None
    recurrent = isinstance(model, RNN)
    if isinstance(targets, xr.Dataset):
        raise TypeError("targets must be an array or a DataArray, got a Dataset")
    if isinstance(targets, xr.DataArray):
        targets = _ordered("targets", targets, _dims(recurrent))
    array = as_numbers("targets", targets)
    labels = (
        model.loss == "cross_entropy" and array.dtype.kind in "iu" and _are_labels(array, inputs)
    )
    if labels:
        return Targets(*_label_steps(array, recurrent, inputs))
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


def target_block(
    targets: Targets, model: MLP | RNN, count: int, n_out: int, slices: int
) -> np.ndarray:
    """Targets (slice, example, feature) of one model; slice t is step t, slice 0 any step.

    Raises
    ------
    ValueError
        If the targets do not fit the output, the steps or the loss.
    """
    array = targets.array
    if targets.labels:
        if array.min() < 0 or array.max() >= n_out:
            raise ValueError(f"targets: labels must be in 0..{n_out - 1}, got {array.max()}")
        array = np.eye(n_out)[array]
    if array.shape[-1] != n_out:
        raise ValueError(f"targets must have {n_out} features, got {array.shape[-1]}")
    if model.loss == "cross_entropy" and (array.min() < 0 or array.max() > 1):
        raise ValueError("targets must be in [0, 1] for loss='cross_entropy'")
    if targets.moves and array.shape[0] < model.depth:
        raise ValueError(f"targets must have {model.depth} steps, got {array.shape[0]}")
    block = np.zeros((slices, count, n_out))
    if targets.moves:
        block[1 : array.shape[0] + 1] = array
    else:
        block[:] = array
    return block

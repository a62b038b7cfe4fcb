"""Arrays under PyTorch's names of parameters, brought to gradsim's order of stacking."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradsim._registry import brief
from gradsim._validate import as_numbers

# Blocks of weight_hh by cell.  PyTorch stacks i, f, g, o of an LSTM and r, z, n of a GRU; these are
# gradsim's orders too, but that a GRU's b_hn stands before its b_n.
BLOCKS = {1: "vanilla", 3: "gru", 4: "lstm"}
LEAVES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
ALLOWED = (
    f"{', '.join(LEAVES)} of an nn.RNN, nn.LSTM or nn.GRU of one layer and one direction, or "
    "0.weight, 0.bias, 2.weight, ... of a chain of nn.Linear"
)
_RECURRENT = re.compile(r"(?:^|.*\.)((?:weight|bias)_(?:ih|hh|hr)(?:_l\d+)?(?:_reverse)?)$")
_LINEAR = re.compile(r"(?:(.*)\.)?(weight|bias)$")


@dataclass(frozen=True)
class Named:
    """Arguments of :func:`gradsim.from_arrays` that a mapping holds; steps come beside it."""

    cell: str
    weights: Any
    biases: Any
    input_weights: np.ndarray | None = None


def read_names(mapping: Mapping[Any, Any]) -> Named:
    """Read a chain of linear layers or one recurrent layer by its names.

    Raises
    ------
    TypeError, ValueError
        For a name that is neither, one that is missing, or an array of another shape.
    """
    if not mapping:
        raise ValueError(f"weights: the mapping is empty; allowed are {ALLOWED}")
    for name in mapping:
        if not isinstance(name, str):
            got = brief(name)
            raise TypeError(f"weights: names must be text, got {got}; allowed are {ALLOWED}")
    if any(_RECURRENT.match(name) for name in mapping):
        return _recurrent(mapping)
    return _linear(mapping)


def _refused(name: str, why: str = "unknown name") -> ValueError:
    return ValueError(f"weights[{name!r}]: {why}; allowed are {ALLOWED}")


def _array(mapping: Mapping[str, Any], name: str, ndim: int) -> np.ndarray:
    """Entry as float64 with ``ndim`` dimensions."""
    what = f"weights[{name!r}]"
    try:
        value = np.asarray(mapping[name])
    except (TypeError, RuntimeError) as error:  # a tensor of another device, or with a gradient
        raise TypeError(f"{what} must be an array of numbers: {brief(str(error))}") from error
    array = as_numbers(what, value).astype(np.float64, copy=False)
    if array.ndim != ndim:
        raise ValueError(f"{what} must have {ndim} dimensions, got shape {array.shape}")
    return array


def _sized(mapping: Mapping[str, Any], name: str, rows: int, ndim: int) -> np.ndarray:
    """Entry with a given first dimension."""
    array = _array(mapping, name, ndim)
    if len(array) != rows:
        raise ValueError(f"weights[{name!r}] must have {rows} rows, got shape {array.shape}")
    return array


def _recurrent(mapping: Mapping[str, Any]) -> Named:
    """One recurrent layer; the shape of weight_hh tells its cell."""
    first = next(name for name in mapping if _RECURRENT.match(name))
    prefix = first[: first.rfind(".") + 1]
    names = {leaf: prefix + leaf for leaf in LEAVES}
    for name in mapping:
        if name not in names.values():
            raise _refused(name, f"not a parameter of the one recurrent layer {prefix!r}")
    has_bias = names["bias_ih_l0"] in mapping or names["bias_hh_l0"] in mapping
    for leaf in LEAVES if has_bias else LEAVES[:2]:
        if names[leaf] not in mapping:
            raise _refused(names[leaf], "missing")
    ih, hh, b_ih, b_hh = (names[leaf] for leaf in LEAVES)
    weights = _array(mapping, hh, 2)
    rows, width = weights.shape
    cell = next((cell for k, cell in BLOCKS.items() if rows == k * width), None)
    if cell is None:
        raise ValueError(
            f"weights[{hh!r}] must have 1 (nn.RNN), 3 (nn.GRU) or 4 (nn.LSTM) times as many rows "
            f"as columns, got shape {weights.shape}"
        )
    drive = _sized(mapping, ih, rows, 2)
    biases = None
    if has_bias:
        biases = _summed(cell, _sized(mapping, b_ih, rows, 1), _sized(mapping, b_hh, rows, 1))
    return Named(cell, weights, biases, drive)


def _summed(cell: str, b_ih: np.ndarray, b_hh: np.ndarray) -> np.ndarray:
    """One bias vector per affine map; that of a GRU's W_n is inside the reset gate."""
    if cell != "gru":
        return b_ih + b_hh
    gates = 2 * len(b_ih) // 3
    return np.concatenate([b_ih[:gates] + b_hh[:gates], b_hh[gates:], b_ih[gates:]])


def _linear(mapping: Mapping[str, Any]) -> Named:
    """Chain of linear layers in the order of the mapping; a layer without bias has zeros."""
    layers: dict[str, list[str]] = {}
    for name in mapping:
        found = _LINEAR.match(name)
        if found is None:
            raise _refused(name)
        layers.setdefault(name[: found.start(2)], []).append(found[2])
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    for prefix, leaves in layers.items():
        if "weight" not in leaves:
            raise _refused(f"{prefix}weight", "missing")
        matrix = _array(mapping, f"{prefix}weight", 2)
        if weights and matrix.shape[1] != len(weights[-1]):
            raise ValueError(
                f"weights['{prefix}weight'] of shape {matrix.shape} must have {len(weights[-1])} "
                "columns, the rows of the layer before it in the mapping"
            )
        rows = len(matrix)
        bias = _sized(mapping, f"{prefix}bias", rows, 1) if "bias" in leaves else np.zeros(rows)
        weights.append(matrix)
        biases.append(bias)
    return Named("dense", weights, biases)

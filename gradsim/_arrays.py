"""Weights, biases and input weights that a user gives as arrays: checked and made float64."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradsim._registry import brief
from gradsim._validate import as_numbers, whole
from gradsim.cells import maps_of, table_of
from gradsim.models import MLP, RNN

FREE = {
    "activation", "output", "loss", "slope", "loss_at", "initial_state", "residual_scale", "norm",
    "norm_placement", "norm_eps", "leak", "delay", "skip",
}  # fmt: skip
Shape = tuple[int, ...]


def arrays(name: str, values: Any, ndim: int) -> list[np.ndarray]:
    """Sequence of finite arrays of ``ndim`` dimensions in float64, copied only where needed."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or len(values) == 0:
        raise TypeError(f"{name} must be a sequence of arrays, got {brief(values)}")
    result = [as_numbers(f"{name}[{i}]", value) for i, value in enumerate(values)]
    for i, array in enumerate(result):
        if array.ndim != ndim:
            raise ValueError(f"{name}[{i}] must have {ndim} dimensions, got shape {array.shape}")
    return [array.astype(np.float64, copy=False) for array in result]


def one_or_more(name: str, values: Any, ndim: int) -> tuple[list[np.ndarray], bool]:
    """Arrays of ``ndim`` dimensions from one or a sequence of them, and whether it was one."""
    single = _nesting(values) == ndim
    return arrays(name, [values] if single else values, ndim), single


def _nesting(value: Any) -> int:
    """Dimensions of an array, or of nested sequences by their first entries."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return 1 + (_nesting(value[0]) if value else 0)
    return np.ndim(value)


def check_shapes(name: str, found: list[np.ndarray], shapes: list[Shape]) -> None:
    """Refuse arrays that do not have the shapes of a model."""
    got = [array.shape for array in found]
    if got != shapes:
        raise ValueError(f"{name} must be of sizes {_sizes(shapes)}, got {_sizes(got)}")


def _sizes(shapes: list[Shape]) -> str:
    return brief([shape[0] if len(shape) == 1 else shape for shape in shapes[:20]])


def shapes_of(model: MLP | RNN) -> tuple[list[Shape], list[Shape], list[Shape]]:
    """Shapes of W, b and U of every layer, those of a cell's affine maps stacked."""
    if isinstance(model, RNN):
        features = (model.input_width or model.width) if model.sigma_u > 0 else 0
        sizes = [(model.width, model.width)] * (1 if model.tied else model.steps)
    else:
        features, sizes = 0, list(zip(model.widths[1:], model.widths[:-1]))
    maps = [maps_of(model, layer) for layer in range(len(sizes))]
    weights = [(sum(m.weights for m in ms) * n, k) for ms, (n, k) in zip(maps, sizes)]
    biases = [(sum(m.bias for m in ms) * n,) for ms, (n, _) in zip(maps, sizes)]
    drives = [(sum(m.inputs for m in ms) * n, features) for ms, (n, _) in zip(maps, sizes)]
    return weights, biases, drives if features else []


def by_map(model: MLP | RNN, stacked: list[np.ndarray], part: str) -> list[list[np.ndarray]]:
    """Arrays by affine map and layer, from arrays of layers; empty where a map has none."""
    split: list[list[np.ndarray]] = [[] for _ in table_of(model).matrices]
    for layer, whole_layer in enumerate(stacked):
        having = [q for q, m in enumerate(maps_of(model, layer)) if getattr(m, part)]
        pieces = dict(zip(having, np.split(whole_layer, max(len(having), 1))))
        for q, pile in enumerate(split):
            pile.append(pieces.get(q, whole_layer[:0]))
    return split


def read_mlp(weights: Any, cell: str, fields: dict[str, Any]) -> tuple[MLP, list[np.ndarray]]:
    """Model of matrices in layer order, and the matrices."""
    matrices, count = arrays("weights", weights, 2), _stacked(MLP(cell=cell))
    widths = [matrices[0].shape[1]]
    for i, matrix in enumerate(matrices):
        if matrix.shape[1] != widths[-1]:
            shape = matrix.shape
            raise ValueError(f"weights[{i}] of shape {shape} must have {widths[-1]} columns")
        if i < len(matrices) - 1 and len(matrix) % count:
            raise ValueError(
                f"weights[{i}] of shape {matrix.shape} must stack the {count} matrices of "
                f"cell={cell!r}"
            )
        widths.append(len(matrix) // (count if i < len(matrices) - 1 else 1))
    return MLP(width=tuple(widths), cell=cell, **fields), matrices


def read_rnn(
    weights: Any, input_weights: Any, steps: Any, cell: str, fields: dict[str, Any]
) -> tuple[RNN, list[np.ndarray], list[np.ndarray]]:
    """Model of one recurrent matrix tied over ``steps``, or of one a step, and its matrices."""
    matrices, tied = one_or_more("weights", weights, 2)
    count = whole("from_arrays", "steps", steps) if tied else len(matrices)
    if steps not in (None, count):
        raise ValueError(f"from_arrays(steps={brief(steps)}): weights hold {count} steps")
    shapes, width = {w.shape for w in matrices}, matrices[0].shape[1]
    stacked = _stacked(RNN(cell=cell))
    if shapes != {(stacked * width, width)}:
        wanted = "square and alike" if stacked == 1 else f"{stacked} square ones, stacked"
        raise ValueError(f"weights of an RNN must be {wanted}, got {brief(sorted(shapes))}")
    drives: list[np.ndarray] = []
    if input_weights is not None:
        drives, _ = one_or_more("input_weights", input_weights, 2)
        fields = fields | {"input_width": drives[0].shape[1], "sigma_u": 1.0}
    model = RNN(steps=count, width=width, tied=tied, cell=cell, **fields)
    check_shapes("input_weights", drives, shapes_of(model)[2])
    return model, matrices, drives


def _stacked(model: MLP | RNN) -> int:
    """Matrices W of a cell."""
    return sum(m.weights for m in table_of(model).matrices)


def read_biases(biases: Any, model: MLP | RNN) -> list[np.ndarray]:
    """Biases of every layer, zero where there are none."""
    shapes = shapes_of(model)[1]
    if biases is None:
        return [np.zeros(shape) for shape in shapes]
    tied = isinstance(model, RNN) and model.tied
    vectors = one_or_more("biases", biases, 1)[0] if tied else arrays("biases", biases, 1)
    check_shapes("biases", vectors, shapes)
    return vectors

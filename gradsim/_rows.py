"""Parameters of the rows of a pass, and the data that it is given."""

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._init_scales import input_std, weight_std
from gradsim._initializer import DISTRIBUTIONS
from gradsim.activations import activations, engine_facts, output_code
from gradsim.examples import Inputs, Targets, target_block
from gradsim.initializers import initializers
from gradsim.kernels import losses
from gradsim.kernels.draws import BERNOULLI, CLASS, GIVEN, NORMAL, VECTOR
from gradsim.kernels.program import TARGET_STEP
from gradsim.models import MLP, RNN

if TYPE_CHECKING:
    from gradsim.plan import Given, Group

Arrays = dict[str, np.ndarray]

LOSS_CODES = {
    "mse": losses.MSE, "cross_entropy": losses.CROSS_ENTROPY, "linear": losses.LINEAR_COST
}  # fmt: skip
USUAL = 20  # binary exponents within which a scale needs none of its own


def _scaled(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mantissas and binary exponents, 0 for every usual size."""
    array = np.asarray(values, np.float64)
    exponent = np.frexp(array)[1].astype(np.int64)
    exponent[np.abs(exponent) < USUAL] = 0
    return np.ldexp(array, -exponent), exponent


def row_scaled(array: np.ndarray, real: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Rows (…, unit) as mantissas and one exponent a row, 0 for every usual size."""
    exponent = np.frexp(np.max(np.abs(array), axis=-1, initial=0.0))[1].astype(np.int64)
    exponent[np.abs(exponent) < USUAL] = 0
    return np.ldexp(array, -exponent[..., None]).astype(real), exponent


def _weight_scales(group: "Group") -> np.ndarray:
    """Standard deviations (map, condition, layer) of the hidden weights."""
    scale = np.zeros((len(group.table.matrices), len(group.forward), group.layers + 1))
    widths, base = np.array(group.widths), group.widest + 1
    pairs, place = np.unique(widths[:-1] * base + widths[1:], return_inverse=True)
    for c, model in enumerate(group.forward):  # a deep network has few pairs of widths
        std = np.array([weight_std(model, *divmod(pair, base)) for pair in pairs.tolist()])
        scale[:, c, 1:] = std[place]
    scale[[i for i, m in enumerate(group.table.matrices) if not m.weights]] = 1.0
    return scale


def _constants(group: "Group") -> np.ndarray:
    """Scales and shifts (constant * C + c, 2) of the cell."""
    numbers = [group.table.numbers(model) for model in group.forward]
    table = np.array(numbers, np.float64).reshape(len(numbers), -1, 2)
    return np.moveaxis(table, 0, 1).reshape(-1, 2)


def _bias_scales(group: "Group") -> np.ndarray:
    """Standard deviations (map, layer) of the biases at sigma_b = 1."""
    law = initializers[group.first.init].bias
    return np.array(
        [[0.0, *(law.of(m).std(n) for n in group.widths[:-1])] for m in group.table.matrices]
    )


def _bias_kinds(group: "Group") -> np.ndarray:
    """Distributions (map, 1) of the biases."""
    law = initializers[group.first.init].bias
    return _table(*([DISTRIBUTIONS[law.of(m).distribution]] for m in group.table.matrices))


def _shifts(group: "Group", given: bool) -> np.ndarray:
    """What is added to every bias (map, condition); 0 for what given biases hold."""
    maps = group.table.matrices
    return np.array([[0.0 if given else m.constant(c) for c in group.forward] for m in maps])


def _chrono(group: "Group", given: bool) -> np.ndarray:
    """T_max - 2 of the chrono biases (map, 1) with their sign; 0 for what given biases hold."""
    longest = getattr(group.first, "chrono", None)
    span = 0.0 if given or longest is None else longest - 2
    return np.array([[m.chrono * span] for m in group.table.matrices], np.float64)


def _starts(group: "Group") -> list[Any]:
    """Initial states of the pass: zeros is start -1, the drawn one 0, arrays follow."""
    arrays = [getattr(m, "initial_state", "zeros") for m in group.forward]
    given = [state for state in arrays if not isinstance(state, str)]
    return ["zeros", "gaussian", *dict.fromkeys(given)]


def conditions(group: "Group", given: "Given | None") -> Arrays:
    """Parameters of every forward condition and head of a group."""
    forward, heads = group.forward, group.heads
    scale = _weight_scales(group)
    head = np.array([weight_std(m, group.widths[m.depth - 1], group.n_out) for m in heads])
    bias = [m.sigma_b for m in forward]
    drive = [input_std(m) if isinstance(m, RNN) and group.n_in else 0.0 for m in forward]
    if given is not None:  # arrays carry their own scale
        scale[:], head[:], bias = 1.0, 1.0, [float(_any_bias(given))] * len(forward)
        drive = [1.0 if group.n_in else 0.0] * len(forward)
    scale, scale_e = _scaled(scale)
    head, head_e = _scaled(head)
    if given is not None:
        shifts = _matrix_exponents(group, given.weights)
        scale_e += shifts[:, None, :]
        head_e += np.array([shifts[0, m.depth] for m in heads])
    bias, bias_e = _scaled(bias)
    drive, drive_e = _scaled(drive)
    shift, shift_e = _scaled(_shifts(group, given is not None))
    starts, kinds = _starts(group), _kinds(group)
    at = [starts.index(getattr(m, "initial_state", "zeros")) - 1 for m in forward]
    all_steps = [getattr(m, "loss_at", "last") == "all" for m in heads]
    layers = group.layers + 1
    return {
        "condition": _table([activations[m.activation].code for m in forward], bias_e, drive_e, at),
        "condition_f": np.array([[m.slope for m in forward], bias, drive], np.float64),
        "constants": _constants(group),
        "scale": scale.reshape(-1, layers),
        "scale_e": scale_e.reshape(-1, layers),
        "bias_scale": _bias_scales(group),
        "bias_kind": _bias_kinds(group),
        "shift": shift,
        "shift_e": shift_e,
        "chrono_span": _chrono(group, given is not None),
        "head": _table(
            group.source, group.depths, [output_code(m.last_activation) for m in heads],
            [LOSS_CODES[m.loss] for m in heads], all_steps, head_e,
            [kinds.index(_kind(m)) for m in heads], [-1 if _kind(m)[2] else 0 for m in heads],
        ),
        "head_f": np.array([[m.slope for m in heads], head], np.float64),
        "row": (group.source[:, None] * group.examples + np.arange(group.examples)).reshape(1, -1),
    } | engine_facts()  # fmt: skip


def _table(*rows: Any) -> np.ndarray:
    return np.array([np.asarray(row, np.int64) for row in rows], np.int64)


def _any_bias(given: "Given") -> bool:
    """Whether any given bias is not 0."""
    return any(np.any(b) for per_map in given.biases for b in per_map)


def _matrix_exponents(group: "Group", matrices: list[list[np.ndarray]]) -> np.ndarray:
    """Binary exponents (map, layer) that bring given matrices to a usual size."""
    shifts = np.zeros((len(matrices), group.layers + 1), np.int64)
    for m, per_layer in enumerate(matrices):
        for layer in range(1, group.layers + 1):
            array = per_layer[0 if group.tied else layer - 1]
            k = int(np.frexp(np.max(np.abs(array), initial=0.0))[1])
            shifts[m, layer] = k if abs(k) >= USUAL else 0
    return shifts


# Targets ---------------------------------------------------------------------------------------


def _kind(model: MLP | RNN) -> tuple[str, str, bool]:
    """What the targets of a head are: its loss, its output, and one target a step or one in all."""
    moves = getattr(model, "loss_at", "last") == "all" and model.loss != "linear"
    return model.loss, model.last_activation if model.loss == "cross_entropy" else "", moves


def _kinds(group: "Group") -> list[tuple[str, str, bool]]:
    return list(dict.fromkeys(_kind(m) for m in group.heads))


def _drawn(kind: tuple[str, str, bool]) -> int:
    """Kernel code of drawn targets."""
    if kind[0] == "linear":
        return VECTOR
    if kind[0] == "mse":
        return NORMAL
    return CLASS if kind[1] == "softmax" else BERNOULLI


# Data ------------------------------------------------------------------------------------------


def data(
    group: "Group", inputs: Inputs, targets: Targets | None, given: "Given | None", rows: Arrays
) -> tuple[dict[str, int], Arrays]:
    """Switches of what is given, and the arrays that a worker's memory starts with."""
    real, b_count = group.real, group.examples
    steps = (group.layers if group.n_in else 0) if group.recurrent else 1
    features = group.n_in if group.recurrent else group.widths[0]
    x = np.zeros((steps, b_count, features))
    if inputs.array is not None and steps:
        x[:] = inputs.array[:steps]
    x, x_e = row_scaled(x, real)
    kinds = _kinds(group)
    moves = targets.moves if targets is not None else any(kind[2] for kind in kinds)
    slices = group.layers + 1 if moves else 1
    y = np.zeros((len(kinds), slices, b_count, group.n_out))
    if targets is not None:
        y[:] = target_block(targets, b_count, group.n_out, slices)
        for h, model in enumerate(group.heads):
            rows["head"][TARGET_STEP, h] = _given_step(model, targets)
    states = [np.atleast_2d(state) for state in _starts(group)[2:]]
    starts = np.zeros((1 + len(states) if group.recurrent else 0, b_count, group.widths[0]))
    for q, state in enumerate(states):
        starts[q + 1] = state
    start, start_e = row_scaled(starts, real)
    arrays = {
        "x": x.reshape(steps * b_count, features),
        "x_e": x_e,
        "y": y.reshape(-1, group.n_out),
        "target_kind": _table(
            [_drawn(kind) if targets is None else GIVEN for kind in kinds],
            [kind[2] if targets is None else moves for kind in kinds],
        ),
        "start": start.reshape(len(starts) * b_count, group.widths[0]),
        "start_e": start_e,
    }
    if given is not None:
        arrays |= _given_arrays(group, given)
    scalars = {
        "x_given": inputs.array is not None, "steps_of_x": steps, "slices": slices,
        "biased": np.any(rows["condition_f"][1]),
    }  # fmt: skip
    return {name: int(number) for name, number in scalars.items()}, arrays


def _given_step(model: MLP | RNN, targets: Targets) -> int:
    """Slice of given targets: the step's own, the last step's, or the only one."""
    if not targets.moves:
        return 0
    return -1 if getattr(model, "loss_at", "last") == "all" else model.depth


def _given_arrays(group: "Group", given: "Given") -> Arrays:
    """Given matrices, flat in the order of the layout, and biases (map, layer, unit)."""
    real, empty = group.real, np.zeros(0, group.real)
    biases = np.zeros((len(group.table.matrices), group.layers + 1, group.widest), real)
    for m, per_layer in enumerate(given.biases):
        for layer in range(1, group.layers + 1):
            bias = per_layer[0 if group.tied else layer - 1]
            biases[m, layer, : bias.size] = _cast("biases", bias, real)
    shifts = _matrix_exponents(group, given.weights)
    flat = [
        np.ldexp(array, -shifts[m, i + 1]).astype(real).reshape(-1)
        for m, per_layer in enumerate(given.weights)
        for i, array in enumerate(per_layer)
    ]
    drives = [
        _cast("input_weights", array, real).reshape(-1)
        for per_layer in given.input_weights
        for array in per_layer
    ]
    return {
        "weights": np.concatenate([empty, *flat]).reshape(1, -1),
        "input_weights": np.concatenate([empty, *drives]).reshape(1, -1),
        "bias": biases.reshape(-1, group.widest),
    }


def _cast(name: str, array: np.ndarray, real: np.dtype) -> np.ndarray:
    """Array in the dtype of the run; ValueError where its range is exceeded."""
    if np.max(np.abs(array), initial=0.0) > np.finfo(real).max:
        raise ValueError(f"{name} must lie in the range of {real}, got {np.max(np.abs(array)):g}")
    return array.astype(real)

"""Where everything of a pass lies in a worker's memory: sizes, switches and addresses."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsim._initializer import DISTRIBUTIONS
from gradsim.cells import cells
from gradsim.initializers import initializers
from gradsim.kernels import ops

if TYPE_CHECKING:
    from gradsim.plan import Group, Options
    from gradsim.table import Table

TILE = 2**22  # elements of a weight matrix held at a time
STORE_BYTES = 2**27  # weights of a network that are kept for the backward pass
ROW_WORK = 2**32  # multiplications of one matrix product: the stop flag is read in between

Arrays = dict[str, np.ndarray]


@dataclass
class Sizes:
    """Elements of the flat arrays of a worker, and exponent rows of its values."""

    store: int = 0
    lines: int = 0
    slopes: int = 0
    weights: int = 0
    input_weights: int = 0
    part: int = 0
    batch: int = 0  # gradients that one product sums: of examples, and of tied steps


def _active_heads(group: "Group") -> np.ndarray:
    """Heads of depth >= l, for l = 0 .. L + 1."""
    depths = np.sort(group.depths)
    return depths.size - np.searchsorted(depths, np.arange(group.layers + 2))


def _rows_made(group: "Group", active: np.ndarray) -> np.ndarray:
    """Rows of W drawn at each layer: hidden units, or outputs, or the larger of the two."""
    made = np.array(group.widths)
    if not group.recurrent:
        hidden = np.where(active[2:] > 0, made[1:], 0)
        made[1:] = np.maximum(hidden, np.where(active[1:-1] > active[2:], group.n_out, 0))
    return made


def _starts(first: int, sizes: np.ndarray) -> tuple[np.ndarray, int]:
    """Addresses of consecutive blocks from ``first`` on, and the one after the last."""
    ends = first + np.cumsum(sizes, dtype=np.int64)
    return ends - sizes, int(ends[-1]) if len(ends) else first


def _place_values(group: "Group", sizes: Sizes) -> Arrays:
    """Addresses of values, their exponent rows, and addresses of slopes, by layer."""
    table, layers, widths = group.table, group.layers, np.array(group.widths)
    block = group.row_count * widths  # of all rows of a layer
    address = np.zeros((table.values, layers + 1), np.int64)
    index = np.zeros((table.values, layers + 1), np.int64)
    slopes = np.zeros((max(table.maps, 1), layers + 1), np.int64)
    kept = layers if group.recurrent else layers - 1  # an MLP's output has rows of its own
    for read, written in table.states:
        starts, sizes.store = _starts(sizes.store, block[: kept + 1])
        lines = np.arange(sizes.lines, sizes.lines + kept + 1)
        address[written, : kept + 1], index[written, : kept + 1] = starts, lines
        address[read, 1:], index[read, 1:] = starts[:layers], lines[:layers]
        sizes.lines += kept + 1
    states = {v for pair in table.states for v in pair}
    saved = saved_values(table, group.options)
    for v in (v for v in range(table.values) if v not in states):
        last = layers if table.below[v] else kept  # what precedes the maps of an output layer
        if v in saved:
            below = table.below[v]
            starts, sizes.store = _starts(sizes.store, block[1 - below : last + 1 - below])
            address[v, 1 : last + 1] = starts
            index[v, 1 : last + 1] = np.arange(sizes.lines, sizes.lines + last)
            sizes.lines += last
        else:  # scratch: the next layer writes over it
            address[v, 1 : last + 1], index[v, 1 : last + 1] = sizes.store, sizes.lines
            sizes.store, sizes.lines = sizes.store + int(block.max()), sizes.lines + 1
    for code, *_, out, _, _, _, slot in table.ops:
        if code == ops.MAP:
            below = table.below[out]
            last = layers if below else kept
            starts, sizes.slopes = _starts(sizes.slopes, block[1 - below : last + 1 - below])
            slopes[slot, 1 : last + 1] = starts
    return {"address": address, "index": index, "slope_address": slopes}


def _place_weights(
    group: "Group", made: np.ndarray, tile: np.ndarray, present: bool, sizes: Sizes
) -> tuple[Arrays, bool]:
    """Addresses of W and U by map and layer, and whether all of them are kept."""
    matrices, layers, widths = group.table.matrices, group.layers, np.array(group.widths)
    weights = np.zeros((len(matrices), layers + 1), np.int64)
    drives = np.zeros((len(matrices), layers + 1), np.int64)
    size, drive = made[1:] * widths[:-1], widths[1:] * group.n_in
    has_w, has_u = sum(m.weights for m in matrices), sum(m.inputs for m in matrices)
    whole = (has_w * int(size.sum()) + has_u * int(drive.sum())) * group.real.itemsize
    stored = present or group.tied or whole <= STORE_BYTES
    if not stored:
        sizes.weights = int((tile[1:] * widths[:-1]).max())
        sizes.input_weights = int(drive.max())
        return {"weight_address": weights, "input_address": drives}, stored
    count = 1 if group.tied else layers  # tied: every step reads the first one's
    for m, matrix in enumerate(matrices):
        own_w, own_u = size[:count] * matrix.weights, drive[:count] * matrix.inputs
        if not group.recurrent and m > 0:
            own_w[-1] = 0  # the output layer has the cell's first map alone
        weights[m, 1:], sizes.weights = _starts(sizes.weights, own_w)
        drives[m, 1:], sizes.input_weights = _starts(sizes.input_weights, own_u)
    return {"weight_address": weights, "input_address": drives}, stored


def saved_values(table: "Table", options: "Options") -> set[int]:
    """Values, other than states, that a pass keeps for its way back or for a measurement."""
    saved = set(table.saved)
    if options.any("values"):
        saved |= {row[3] for row in table.ops if row[0] == ops.LINEAR}
    if options.any("cotangents"):
        saved |= {row[1] for row in table.ops if row[0] == ops.MAP}
    return saved - {v for pair in table.states for v in pair}


def keeps_deltas(options: "Options", tied: bool) -> bool:
    """Whether a pass keeps every delta: for the caller, a measurement or a total of tied steps."""
    return options.keep or options.any("deltas") or (options.total and tied)


def bent(table: "Table") -> list[int]:
    """Place of every operation among those that are not linear in what it reads, or -1."""
    bends = [code in (ops.MAP, ops.MULTIPLY) or code >= ops.LAYER_NORM for code, *_ in table.ops]
    return [sum(bends[:i]) if bend else -1 for i, bend in enumerate(bends)]


def _cost_slot(group: "Group") -> int:
    """Slopes of the activation that makes an RNN's state (cross-entropy reads them), or -1."""
    for row in group.table.ops:
        if group.recurrent and row[0] == ops.MAP and row[3] == group.table.states[0][1]:
            return row[7]
    return -1


def layout(group: "Group", given: bool) -> tuple[dict[str, int], Arrays, Sizes]:
    """Scalars and address arrays of the engine's record, and the sizes of what they address."""
    table, options, sizes = group.table, group.options, Sizes()
    active = _active_heads(group)
    made = _rows_made(group, active)
    fan_in = np.array([1, *group.widths[:-1]])
    tile = np.maximum(1, np.minimum(made, TILE // fan_in))
    arrays = _place_values(group, sizes)
    init = initializers[group.first.init]
    present = given or init.make is not None
    addresses, stored = _place_weights(group, made, tile, present, sizes)
    biggest = int(np.max(tile[1:] * fan_in[1:]))
    row_tile = max(1, min(max(group.row_count, group.head_rows), ROW_WORK // biggest))
    if options.total and group.tied:
        sizes.batch = group.examples * group.layers
    elif group.examples > 1:
        sizes.batch = group.examples
    work = max(sizes.batch, 1) * max(group.widest, group.n_in)
    if np.any(tile[1:] < made[1:]):
        sizes.part = row_tile * int(np.max(tile[1:] + fan_in[1:]))
    layers = np.zeros((4, group.layers + 2), np.int64)
    layers[0, :-1], layers[1, :-1], layers[2, :-1], layers[3] = group.widths, made, tile, active
    arrays |= addresses | {
        "ops": np.array(table.ops, np.int64),
        "states": np.array(table.states, np.int64),
        "below": np.array([table.below], np.int64),
        "bent": np.array([bent(table)], np.int64),
        "streams": np.array([m.streams for m in table.matrices], np.int64),
        "layer": layers,
    }
    scalars = {
        "layers": group.layers, "rows": group.row_count, "heads": len(group.heads),
        "conditions": len(group.forward), "examples": group.examples, "n_in": group.n_in,
        "n_out": group.n_out, "widest": group.widest, "head_rows": group.head_rows,
        "row_tile": row_tile,
        "outer_tile": max(1, min(group.widest, ROW_WORK // (2 * work))),
        "recurrent": group.recurrent, "tied": group.tied, "given": given,
        "stored": stored,
        "made": init.make is not None and not given,
        "distribution": DISTRIBUTIONS[init.distribution],
        "each": options.each, "gradient": options.gradient, "signal": options.signal,
        "totals": options.total and group.recurrent,
        "keep_delta": keeps_deltas(options, group.tied),
        "keep_cotangents": options.any("cotangents"),
        "keep_output": options.any("outputs") and not group.recurrent,
        "cost_slot": _cost_slot(group),
        "last_drive": max(
            (r[4] for r in table.ops if r[0] == ops.LINEAR and r[7] & ops.HAS_U), default=0
        ),
        "lead": table.lead,
        "cells": (3 if cells[group.first.cell].memory else 1) if group.recurrent else 0,
    }  # fmt: skip
    return {name: int(number) for name, number in scalars.items()}, arrays, sizes

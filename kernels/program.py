"""What a pass hands to the engine: one record of sizes, switches and array addresses.

A kernel over a hundred array arguments compiles for minutes, because every call passes every
array piece by piece.  A record is one pointer.  Its fields are whole numbers (sizes, switches) and
arrays (:data:`ARRAY`: where, rows, columns), read through :func:`ints`, :func:`floats` and
:func:`reals`.  Python builds the record and keeps the arrays alive (`gradsim.workspace`).

Sizes: S seeds of a chunk, L layers or steps, B examples; C forward conditions and H heads (a
forward condition with a depth, an output and a loss) sorted by falling depth; forward rows are
c * B + b, backward rows h * B + b; V values, M affine maps and K activations of the cell.  T is the
dtype of the run; a function that touches arrays of T takes ``like``, any number of that type.
"""

import ctypes

import numba
import numpy as np
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from ._jit import by_dtype, jit

ARRAY = np.dtype((np.record, [("at", np.int64), ("rows", np.int64), ("columns", np.int64)]))

SCALARS = (
    "layers", "rows", "heads", "conditions", "examples", "n_in", "n_out", "widest", "head_rows",
    "row_tile",  # rows of one matrix product
    "outer_tile",  # units, or examples, of one product of a batch gradient
    "recurrent", "tied",
    "given",  # weights are arrays, not draws
    "made",  # recurrent (of an MLP: all) weights are put in memory before the run
    "stored",  # the weights of all layers fit
    "biased",  # any condition has a bias
    "distribution",  # of weights, see random.NORMAL ...
    "each",  # every example is a result of its own
    "gradient", "signal",  # what is measured
    "totals",  # the gradient of all weights of an RNN over its steps
    "keep_delta",  # store every delta (totals of tied weights, network export, measurements)
    "keep_cotangents",  # store the cotangent of the result of every operation that is not linear
    "keep_output",  # store the output rows of an MLP
    "cost_slot",  # slopes that belong to an RNN's state, for cross-entropy; -1 without
    "last_drive",  # the affine map with U that the backward pass meets first
    "lead",  # operations before the first affine map: output layers run them too
    "cells",  # states whose gradient norms are wanted: h, or h and c and both
    "x_given", "steps_of_x", "slices",  # slices of the targets: steps + 1, or 1
)  # fmt: skip

# Arrays of whole numbers, of float64 and of T, with their rows and columns.
INTS = {
    "ops": "operation; code, in1, in2, out, aux, acc1, acc2, slot (flags of an affine map)",
    "below": "1; value: whether it has the width of the layer below",
    "bent": "1; operation: its place among those that are not linear, or -1",
    "states": "state; value read, value written",
    "layer": "see WIDTH ...; L + 2",
    "address": "value; L + 1: where it starts in `store`",
    "index": "value; L + 1: its row in `exponent`",
    "slope_address": "activation; L + 1",
    "weight_address": "map; L + 1",
    "input_address": "map; L + 1",
    "streams": "map; streams of W, U, b",
    "bias_kind": "map; 1: distribution of its biases",
    "shift_e": "map; C",
    "condition": "see CODE ...; C",
    "scale_e": "map * C + c; L + 1",
    "head": "see SOURCE ...; H",
    "row": "1; H * B: forward row of each backward row",
    "target_kind": "kind, whether each step has its own; blocks",
    "exponent": "line; C * B: exponents of values",
    "square_e": "line; C * B",
    "place": "start, exponent row of each cotangent (they change place at each layer); V",
    "cotangent_e": "value; H * B",
    "delta_e": "1; H * B: exponents of the output rows",
    "kept_e": "(map * H + h) * L + l; B",
    "kept_cotangent_e": "bent * L + l; H * B",
    "x_e": "step; B",
    "x_square_e": "step; B",
    "start_e": "initial state; B",
    "batch_e": "6 scratch rows: sizes, sizes, rows, zeros, 0 1 2 ..., rows; rows of a batch",
    "acc_e": "see ROW_DELTA ...; H * B",
    "acc_mean_e": "see MEAN_BIAS ...; H",
    "total_e": "1; H * B",
    "cost_e": "1; H * B",
    "input_cotangent_e": "1; H * B",
    "bad": "1; C * B: first layer with a non-finite forward value, 0 without",
    "bad_head": "1; H * B",
    "kept_output_e": "exponents of z, a and delta of the output rows; H * B",
    "zero_head": "1; H * B: status of an output row whose delta is 0",
    "zero": "first layer (from the output) of zero delta, its status; H * B",
    "counts": "1; 2",
    "status": "S * entries; status, layer",
    "ticks": "1; layers done",
    "norm_e": "norm * (L + 1) + l; exponents of scales: of each row, or of each condition",
    "stop": "1; set to end the run",
    "hooks": "measurement; address of its kernel, then start, rows, columns of its arrays",
    "facts": "see rows.HOMOGENEOUS ...; activation",
    "programs": "operation of a user's activation; kind, operand, operand, code",
}
FLOATS = {
    "constants": "constant * C + c; scale, shift",
    "norm": "norm * (L + 1) + l; scales: of each row, or of each condition and unit",
    "work": "3; widest",
    "facts_f": "see rows.GAMMA ...; activation",
    "program_f": "operation of a user's activation; its constants",
    "program_rows": "value and slope of every value of a program; rows.BLOCK",
    "condition_f": "see SLOPE ...; C",
    "scale": "map * C + c; L + 1",
    "bias_scale": "map; L + 1: standard deviation of a bias at sigma_b = 1",
    "shift": "map; C: what is added to all biases",
    "chrono_span": "map; 1: T_max - 2 of its chrono biases with their sign, 0 without",
    "chrono": "map; widest: chrono biases",
    "head_f": "see OUTPUT_SLOPE ...; H",
    "square": "line; C * B: squared norm of a value as mantissa * 4**square_e",
    "x_square": "step; B",
    "y": "(block * slices + t) * B + b; n_out",
    "output": "z, a, slopes, delta and live units of one output row; n_out",
    "kept_output": "4 (h * B + b) + z, a, slopes, delta of an output row; n_out",
    "acc": "see ROW_DELTA ...; H * B: squared norms of a layer",
    "acc_mean": "see MEAN_BIAS ...; H: of a batch mean",
    "total": "1; H * B: squared norm summed over untied steps",
    "cost": "1; H * B",
    "weight_square": "3 m + hidden, output, input rows; row count, squared norm of raw weights",
    "layered": "see measure.DELTA ...: (variable * S + s) * entries + e; L",
    "state_norm": "(state * S + s) * entries + e; L + 1",
    "scalar": "variable * S + s; entries",
    "layer_signal": "(variable * S + s) * C + c; L",
    "head_signal": "variable * S + s; H",
}
REALS = {
    "store": "1; values of every layer, then scratch",
    "slopes": "1; slopes of every layer",
    "product": "1; one matrix product",
    "part": "1; one tile of it",
    "cotangents": "1; V * H * B * widest",
    "delta": "h * B + b; n_out: delta of the output rows",
    "kept": "((map * H + h) * L + l) * B + b; widest: every delta",
    "kept_cotangents": "(bent * L + l) * H * B + h * B + b; widest",
    "weights": "1; elements",
    "input_weights": "1; elements",
    "bias": "map * (L + 1) + l (given) or map; widest",
    "drive": "1; B * n: U x of one step",
    "push": "1; B * n: bias and input drive of one condition",
    "x": "step * B + b; features",
    "start": "initial state * B + b; n",
    "scratch": "1; widest",
    "batch": "1; scaled copies and products of a batch gradient",
    "input_cotangents": "h * B + b; n_in",
}

CONTEXT = np.dtype(
    (
        np.record,
        [(name, np.int64) for name in SCALARS]
        + [(name, ARRAY) for name in (*INTS, *FLOATS, *REALS)],
    )
)

WIDTH, MADE, TILE, ACTIVE = range(4)  # n_l; rows of W drawn; rows held at a time; heads >= l
CODE, BIAS_E, DRIVE_E, START = range(4)
SLOPE, BIAS, DRIVE = range(3)
SOURCE, DEPTH, OUTPUT, LOSS, LOSS_ALL, HEAD_SCALE_E, TARGET, TARGET_STEP = range(8)
OUTPUT_SLOPE, HEAD_SCALE = range(2)


@intrinsic
def _pointer(typingctx, address):
    """Address as a pointer."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(address), codegen


if numba.config.DISABLE_JIT:

    def _view(address, shape, kind):
        count = int(shape[0] * shape[1])
        buffer = (ctypes.c_byte * (count * np.dtype(kind).itemsize)).from_address(int(address))
        return np.frombuffer(buffer, kind, count).reshape(shape)

else:

    @jit(inline=True)
    def _view(address, shape, kind):
        return numba.carray(_pointer(address), shape, kind)


@jit(inline=True)
def ints(array):
    """View of an int64 array of the record (rows, columns)."""
    return _view(array.at, (array.rows, array.columns), np.int64)


@jit(inline=True)
def floats(array):
    """View of a float64 array of the record (rows, columns)."""
    return _view(array.at, (array.rows, array.columns), np.float64)


@jit(inline=True)
def own_floats(x, q, j):
    """Array j (rows, columns) of float64 of the measurement with row q of `hooks`."""
    row = ints(x.hooks)[q]
    return _view(row[1 + 3 * j], (row[2 + 3 * j], row[3 + 3 * j]), np.float64)


@jit(inline=True)
def own_ints(x, q, j):
    """Array j (rows, columns) of int64 of the measurement with row q of `hooks`."""
    row = ints(x.hooks)[q]
    return _view(row[1 + 3 * j], (row[2 + 3 * j], row[3 + 3 * j]), np.int64)


@jit(inline=True)
def _reals32(like, array):
    return _view(array.at, (array.rows, array.columns), np.float32)


@jit(inline=True)
def _reals64(like, array):
    return _view(array.at, (array.rows, array.columns), np.float64)


_reals = by_dtype(_reals32, _reals64)


@jit(inline=True)
def reals(array, like):
    """View of an array of T of the record (rows, columns)."""
    return _reals(like, array)


@jit(inline=True)
def _view32(like, at, rows, columns):
    return _view(at, (rows, columns), np.float32)


@jit(inline=True)
def _view64(like, at, rows, columns):
    return _view(at, (rows, columns), np.float64)


_view_real = by_dtype(_view32, _view64)


@jit(inline=True)
def view(at, like, rows, columns):
    """View (rows, columns) of T at an address."""
    return _view_real(like, at, rows, columns)


@jit(inline=True)
def own_reals(x, like, q, j):
    """Array j (rows, columns) of T of the measurement with row q of `hooks`."""
    row = ints(x.hooks)[q]
    return _view_real(like, row[1 + 3 * j], row[2 + 3 * j], row[3 + 3 * j])


@jit(inline=True)
def _size32(like):
    return 4


@jit(inline=True)
def _size64(like):
    return 8


_size = by_dtype(_size32, _size64)


@jit(inline=True)
def address(array, like, start):
    """Address of element ``start`` of an array of T of the record."""
    return array.at + _size(like) * start


@jit(inline=True)
def block(array, like, start, rows, columns):
    """View (rows, columns) of an array of T of the record, from element ``start`` on."""
    return view(address(array, like, start), like, rows, columns)


@jit(inline=True)
def value_width(x, v, layer):
    """Units of value v of a layer; what precedes its affine maps is as wide as its input."""
    return ints(x.layer)[WIDTH, layer - ints(x.below)[0, v]]


@jit(inline=True)
def value(x, like, v, layer):
    """Rows (C * B, units) of value v of a layer."""
    return block(x.store, like, ints(x.address)[v, layer], x.rows, value_width(x, v, layer))


@jit(inline=True)
def exponent_of_value(x, v, layer):
    """Exponents (C * B,) of value v of a layer."""
    return ints(x.exponent)[ints(x.index)[v, layer]]


@jit(inline=True)
def slopes_of(x, like, slot, layer, n):
    """Slopes (C * B, n units) of activation ``slot`` of the cell in a layer."""
    return block(x.slopes, like, ints(x.slope_address)[slot, layer], x.rows, n)


@jit(inline=True)
def cotangent(x, like, v, rows, n):
    """Cotangents (rows, n) of value v and their exponents (rows of all heads,)."""
    place = ints(x.place)
    return block(x.cotangents, like, place[0, v], rows, n), ints(x.cotangent_e)[place[1, v]]

"""Memory of a worker and of a chunk's results: allocated once, described to the engine."""

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim._layout import bent
from gradsim._reduction import finite
from gradsim.activations import program_shape
from gradsim.kernels import engine
from gradsim.kernels._jit import load_units
from gradsim.kernels.program import CONTEXT, INTS, REALS

if TYPE_CHECKING:
    from gradsim._layout import Sizes
    from gradsim.plan import Group, Pass

Shapes = dict[str, tuple[int, int]]
ALIGNMENT = 64


def work_shapes(group: "Group", scalars: dict[str, int], sizes: "Sizes", given: bool) -> Shapes:
    """Rows and columns of every array that a worker writes."""
    maps, layers, b_count = len(group.table.matrices), group.layers, group.examples
    rows, head_rows, heads = group.row_count, group.head_rows, len(group.heads)
    widest, n_in, values = group.widest, group.n_in, group.table.values
    backward = scalars["gradient"]
    conditions, norms = len(group.forward), group.table.norms * (layers + 1)
    kept = maps * heads * layers if scalars["keep_delta"] else 0
    bends = (1 + max(bent(group.table))) * layers if scalars["keep_cotangents"] else 0
    widest_in = max(widest, n_in)
    batch = sizes.batch * (widest + widest_in) + scalars["outer_tile"] * (
        2 * sizes.batch + widest_in
    )
    shapes = {
        "exponent": (sizes.lines, rows),
        "square_e": (sizes.lines, rows),
        "square": (sizes.lines, rows),
        "place": (2, values),
        "cotangent_e": (values, head_rows),
        "delta_e": (1, head_rows),
        "kept_e": (kept, b_count),
        "kept_cotangent_e": (bends, head_rows),
        "x_square_e": (scalars["steps_of_x"], b_count),
        "x_square": (scalars["steps_of_x"], b_count),
        "batch_e": (6, max(head_rows, sizes.batch, kept * b_count)),
        "acc_e": (3, head_rows),
        "acc": (3, head_rows),
        "acc_mean_e": (3, heads),
        "acc_mean": (3, heads),
        "total_e": (1, head_rows),
        "total": (1, head_rows),
        "cost_e": (1, head_rows),
        "cost": (1, head_rows),
        "input_cotangent_e": (1, head_rows),
        "bad": (1, rows),
        "bad_head": (1, head_rows),
        "zero_head": (1, head_rows),
        "zero": (2, head_rows),
        "counts": (1, 2),
        "ticks": (1, 1),
        "output": (5, group.n_out),
        "kept_output": (4 * head_rows if scalars["keep_output"] else 0, group.n_out),
        "kept_output_e": (3, head_rows),
        "weight_square": (3 * maps, 2),
        "store": (1, sizes.store),
        "slopes": (1, sizes.slopes),
        "product": (1, max(rows, head_rows) * widest_in),
        "part": (1, sizes.part),
        "cotangents": (1, values * head_rows * widest if backward else 0),
        "delta": (head_rows, group.n_out),
        "kept": (kept * b_count, widest),
        "kept_cotangents": (bends * head_rows, widest),
        "drive": (1, b_count * widest if n_in else 0),
        "push": (1, b_count * widest),
        "chrono": (maps, widest),
        "scratch": (1, widest_in),
        "norm": (norms, max(rows, conditions * widest)),
        "norm_e": (norms, max(rows, conditions)),
        "work": (3, widest),
        "program_rows": program_shape(),
        "batch": (1, batch if backward and sizes.batch > 0 else 0),
        "input_cotangents": (head_rows if n_in else 0, n_in),
    }
    if not given:
        shapes |= {
            "weights": (1, sizes.weights),
            "input_weights": (1, sizes.input_weights),
            "bias": (maps, widest),
        }
    return shapes


def _kind(name: str, real: np.dtype) -> np.dtype:
    if name in REALS:
        return real
    return np.dtype(np.int64 if name in INTS else np.float64)


def _empty(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Zeros that start on a cache line, so that equal work gives equal bits."""
    size = shape[0] * shape[1] * kind.itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(kind).reshape(shape)


def _aligned(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Copies that start on a cache line."""
    copies = [_empty(array.shape, array.dtype) for array in arrays]
    for copy, array in zip(copies, arrays):
        copy[:] = array
    return copies


def work_bytes(item: "Pass") -> int:
    """Memory of one worker."""
    sizes = [r * c * _kind(name, item.real).itemsize for name, (r, c) in item.shapes.items()]
    making = item.maker.nbytes if item.maker else 0
    own = sum(array.nbytes for part in item.reductions for array in part.scratch())
    return sum(sizes) + sum(array.nbytes for array in item.start.values()) + making + own


def results_bytes(item: "Pass") -> int:
    """Memory of the results of one network."""
    p = item.scalars
    entries = p["head_rows"] if p["each"] else p["heads"]
    own = sum(math.prod(part.shape(1)) for part in item.reductions)
    return 8 * (7 * entries * (p["layers"] + 2) + 6 * p["conditions"] * p["layers"] + own)


@cache
def _ready(real: np.dtype) -> None:
    """Make the engine ready for a dtype: to ask it again takes longer than a small network."""
    load_units(CONTEXT, real)


@cache
def _address(unit: Any, real: np.dtype) -> int:
    """Where a measurement's kernel lies for a dtype: to look it up again takes milliseconds."""
    return unit.address(CONTEXT, real)


class Worker:
    """One worker's memory and the record that describes it to the engine.

    Parameters
    ----------
    item
        The pass to run.
    stop
        int64 (1, 1), shared by all workers; a number other than 0 ends the run.
    """

    def __init__(self, item: "Pass", stop: np.ndarray) -> None:
        _ready(item.real)
        self.item = item
        self._like = item.real.type(0)
        self._record: Any = np.zeros(1, CONTEXT).view(np.recarray)[0]
        for name, number in item.scalars.items():
            setattr(self._record, name, number)
        self.arrays: dict[str, np.ndarray] = {}
        for name, array in item.shared.items():
            self._set(name, np.ascontiguousarray(array, _kind(name, item.real)))
        for name, array in item.start.items():
            self._set(name, _empty(array.shape, _kind(name, item.real)))
            self.arrays[name][:] = array
        for name, shape in item.shapes.items():
            self._set(name, _empty(shape, _kind(name, item.real)))
        self.arrays["batch_e"][4] = np.arange(self.arrays["batch_e"].shape[1])
        self._set("stop", stop)
        self._own = [_aligned(part.scratch()) for part in item.reductions]
        self._set("hooks", self._hooks())

    def _hooks(self) -> np.ndarray:
        """Kernels of further measurements, and their arrays after a place for their results."""
        item, width = self.item, max((4 + 3 * len(own) for own in self._own), default=1)
        compiled = [(p, own) for p, own in zip(item.reductions, self._own) if p.unit is not None]
        hooks = np.zeros((len(compiled), width), np.int64)
        for q, (part, own) in enumerate(compiled):
            hooks[q, 0] = _address(part.unit, item.real)
            for j, array in enumerate(own):
                hooks[q, 4 + 3 * j : 7 + 3 * j] = array.ctypes.data, *array.shape
        return hooks

    def _set(self, name: str, array: np.ndarray) -> None:
        """Describe an array (rows, columns) to the engine and keep it alive."""
        self.arrays[name] = array
        field = getattr(self._record, name)
        field.at, field.rows, field.columns = array.ctypes.data, *array.shape

    @property
    def ticks(self) -> int:
        """Layers done since the start, forward and backward."""
        return int(self.arrays["ticks"][0, 0])

    def run(self, seeds: np.ndarray, key: int) -> "Results":
        """Run the networks ``seeds`` and return their results."""
        results = Results(self.item, len(seeds))
        for name, array in results.arrays.items():
            self._set(name, array)
        pairs = list(zip(self.item.reductions, results.own))
        compiled = [array for part, array in pairs if part.unit is not None]
        for q, array in enumerate(compiled):
            self.arrays["hooks"][q, 1:4] = array.ctypes.data, *array.shape
        python = [pair for pair in pairs if pair[0].unit is None]
        seeds, maker = seeds.astype(np.uint64), self.item.maker
        if maker is None and not python:
            self._run(seeds, 0, len(seeds), key)
            return results
        for s, seed in enumerate(seeds.tolist()):
            if maker is not None:
                maker.fill(self.arrays["weights"][0], key, seed, self.arrays["stop"])
            self._run(seeds, s, s + 1, key)
            for part, array in python:
                if not self.arrays["stop"][0, 0]:
                    rows = array.reshape(len(seeds), -1, array.shape[1])[s]
                    part.measure(self, results.status()[s, :, 0], rows, seed, key)
        return results

    def _run(self, seeds: np.ndarray, first: int, last: int, key: int) -> None:
        engine.run(self._record, self._like, seeds, first, last, np.uint64(key))


class Results:
    """Results of a chunk of networks, NaN where a condition has no such layer."""

    def __init__(self, item: "Pass", seeds: int) -> None:
        p = item.scalars
        self.seeds, self.item = seeds, item
        self.entries = p["head_rows"] if p["each"] else p["heads"]
        lines = seeds * self.entries if p["gradient"] else 0
        signal = 6 * seeds if p["signal"] else 0
        shapes = {
            "layered": (6 * lines, p["layers"]),
            "state_norm": (p["cells"] * lines, p["layers"] + 1),
            "scalar": (3 * seeds, self.entries),
            "layer_signal": (signal * p["conditions"], p["layers"]),
            "head_signal": (signal, p["heads"]),
        }
        self.arrays = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
        self.arrays["status"] = np.zeros((max(lines, 1), 2), np.int64)
        self.own = [np.full(part.shape(seeds), np.nan) for part in item.reductions]

    def reduced(self, measurement: str, variable: str) -> np.ndarray:
        """Values (seed, entry or head, layer, …) of a variable that a reduction measures."""
        parts = self.item.reductions
        (q,) = (q for q, part in enumerate(parts) if part.spec.name == measurement)
        values = parts[q].read(variable, self.own[q])
        return finite(values, self.status()[..., 0])

    def layered(self, variable: int) -> np.ndarray:
        """Results (seed, entry, layer) of one layered variable."""
        return self.arrays["layered"].reshape(6, self.seeds, self.entries, -1)[variable]

    def states(self, q: int) -> np.ndarray:
        """Norms (seed, entry, step 0..T) of the gradient of h (0), c (1) or both (2)."""
        return self.arrays["state_norm"].reshape(
            -1, self.seeds, self.entries, self.item.scalars["layers"] + 1
        )[q]

    def scalar(self, variable: int) -> np.ndarray:
        """Results (seed, entry) without layers."""
        return self.arrays["scalar"].reshape(3, self.seeds, self.entries)[variable]

    def status(self) -> np.ndarray:
        """Status and its layer (seed, entry, 2)."""
        return self.arrays["status"].reshape(self.seeds, self.entries, 2)

    def signal(self, variable: int) -> np.ndarray:
        """Signal (seed, head, layer): of the hidden layers, and of each head's own output."""
        p, item = self.item.scalars, self.item
        hidden = self.arrays["layer_signal"].reshape(6, self.seeds, p["conditions"], p["layers"])
        signal = hidden[variable][:, item.sources, :].copy()
        layers = np.arange(1, p["layers"] + 1)
        signal[:, layers > item.depths[:, None]] = np.nan
        if not p["recurrent"]:
            head = self.arrays["head_signal"].reshape(6, self.seeds, p["heads"])[variable]
            signal[:, np.arange(p["heads"]), item.depths - 1] = head
        return signal

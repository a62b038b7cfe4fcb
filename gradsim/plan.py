"""The plan: conditions become passes, rows and slots.

Conditions that differ in row fields alone (activation, gain, depth, loss, …) share one pass: one
draw of the weights and one matrix product per layer.  Structural fields (width, cell, tying, the
distribution of the weights) run as separate passes with the same addresses.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradsim import _rows
from gradsim._init_scales import init_structure
from gradsim._initializer import PARAMETERS
from gradsim._layout import layout
from gradsim._made import Maker
from gradsim._measurement import Spec
from gradsim._reduction import Reduction
from gradsim.cells import cells, table_of
from gradsim.examples import Inputs, Targets
from gradsim.models import MLP, RNN
from gradsim.table import Table
from gradsim.workspace import Shapes, work_shapes

Model = MLP | RNN
BLOCK_BYTES = 2**26  # values of the rows of one block


@dataclass(frozen=True)
class Options:
    """What of a run shapes its passes.

    ``gradient`` is the backward pass; ``measures`` are what further kernels take of a network.
    """

    dtype: np.dtype
    each: bool
    gradient: bool
    signal: bool
    total: bool
    keep: bool = False
    measures: tuple[tuple[Spec, type[Reduction]], ...] = ()

    def any(self, what: str) -> bool:
        """Whether any measurement needs ``deltas``, ``values``, … of `Reduction` to be kept."""
        return any(getattr(reduction, what) for _, reduction in self.measures)


@dataclass(frozen=True)
class Given:
    """Weights that are arrays, by affine map and layer (1..L; one for tied weights)."""

    weights: list[list[np.ndarray]]
    input_weights: list[list[np.ndarray]]
    biases: list[list[np.ndarray]]


@dataclass(frozen=True)
class Pass:
    """One block of conditions: what the engine needs, and where its results go.

    Attributes
    ----------
    scalars
        Sizes and switches of the engine's record.
    shared
        Arrays that all workers read.
    start
        Arrays that a worker's memory starts with.
    shapes
        Shape and kind of every array of a worker.
    conditions
        Flat index of the condition in the sweep, for every head.
    sources, depths
        Forward condition and depth of every head.
    cost
        Rough time of one network in seconds.
    maker
        Puts the weights of a network into memory, where the initialiser makes whole matrices.
    reductions
        What further kernels measure.
    """

    scalars: dict[str, int]
    shared: dict[str, np.ndarray]
    start: dict[str, np.ndarray]
    shapes: Shapes
    conditions: tuple[int, ...]
    sources: np.ndarray
    depths: np.ndarray
    real: np.dtype
    cost: float
    maker: Maker | None
    reductions: tuple[Reduction, ...] = ()


def structure(model: Model) -> tuple:
    """Everything of a model that cannot be a row of a shared pass."""
    weights = init_structure(model)
    if isinstance(model, RNN):
        inputs = model.input_width if model.sigma_u > 0 else 0
        memory = cells[model.cell].memory
        gates = model.tied, table_of(model), memory, model.chrono
        return ("RNN", model.width, inputs, *gates, weights)
    return ("MLP", model.width, *model.ends, table_of(model), weights)


def forward_key(model: Model) -> tuple:
    """Everything of a model that its forward rows depend on, within one structure."""
    key: tuple = (model.activation, model.slope, model.init, model.sigma_w, model.sigma_b)
    key += tuple(getattr(model, name) for name in PARAMETERS)
    if isinstance(model, RNN):
        key += (model.sigma_u, model.initial_state)
    table = table_of(model)
    return (*key, *table.numbers(model), *(m.constant(model) for m in table.matrices))


def build(
    models: tuple[Model, ...],
    inputs: Inputs,
    targets: Targets | None,
    options: Options,
    given: Given | None = None,
) -> Iterator[Pass]:
    """Passes of a run, in an order that depends on the conditions alone."""
    groups: dict[tuple, list[int]] = {}
    for i, model in enumerate(models):
        groups.setdefault(structure(model), []).append(i)
    for members in groups.values():
        for block in _blocks(models, members, inputs.count, options):
            group = Group(models, block, inputs.count, options, given)
            yield _assemble(group, inputs, targets, given)


def _blocks(
    models: tuple[Model, ...], members: list[int], examples: int, options: Options
) -> Iterator[list[int]]:
    """Blocks of conditions whose values fit; those with the same forward rows stay together."""
    families: dict[tuple, list[int]] = {}
    for i in members:
        families.setdefault(forward_key(models[i]), []).append(i)
    layers = max(models[i].depth for i in members)
    table = table_of(models[members[0]])
    values = len(table.states) + len(table.saved) + table.maps + table.norms
    row = layers * max(widths_of(models[members[0]], layers)) * options.dtype.itemsize * values
    count = max(1, int(BLOCK_BYTES // (row * examples)))
    chosen = list(families.values())
    for start in range(0, len(chosen), count):
        yield [i for family in chosen[start : start + count] for i in family]


def widths_of(model: Model, layers: int) -> list[int]:
    """Widths n_0 .. n_L of the hidden chain that all depths of a pass share."""
    if isinstance(model, RNN):
        return [model.width] * (layers + 1)
    if isinstance(model.width, tuple):
        return list(model.width)
    return [model.ends[0], *[model.width] * layers]


class Group:
    """Facts about the conditions of one pass that its parts share.

    ``heads`` are the conditions by falling depth; ``forward`` the distinct forward conditions,
    and ``source`` the one that each head reads.
    """

    def __init__(
        self,
        models: tuple[Model, ...],
        members: list[int],
        examples: int,
        options: Options,
        given: Given | None = None,
    ) -> None:
        self.given = given
        self.options, self.examples, self.real = options, examples, options.dtype
        self.members = sorted(members, key=lambda i: -models[i].depth)
        self.heads = [models[i] for i in self.members]
        self.first = self.heads[0]
        keys = list(dict.fromkeys(forward_key(m) for m in self.heads))
        self.source = np.array([keys.index(forward_key(m)) for m in self.heads], np.int64)
        self.forward = [self.heads[int(np.argmax(self.source == c))] for c in range(len(keys))]
        self.depths = np.array([m.depth for m in self.heads], np.int64)
        self.layers = int(self.depths.max())
        self.table: Table = table_of(self.first)
        self.widths = widths_of(self.first, self.layers)
        self.recurrent = isinstance(self.first, RNN)
        self.n_out = self.widths[-1] if isinstance(self.first, RNN) else self.first.ends[1]
        self.widest = max(*self.widths, self.n_out)
        self.n_in = structure(self.first)[2] if self.recurrent else 0
        self.tied = isinstance(self.first, RNN) and self.first.tied
        self.row_count = len(self.forward) * examples
        self.head_rows = len(self.heads) * examples


def _assemble(group: Group, inputs: Inputs, targets: Targets | None, given: Given | None) -> Pass:
    """Arrays of one pass."""
    scalars, addresses, sizes = layout(group, given is not None)
    rows = _rows.conditions(group, given)
    switches, start = _rows.data(group, inputs, targets, given, rows)
    scalars |= switches
    shared = addresses | rows
    for name in ("weights", "input_weights", "bias"):
        if name in start:
            shared[name] = start.pop(name)
    maker = None if given else Maker.of(group, addresses, addresses["layer"][1])
    cost = _cost(group, scalars, addresses["layer"][1, 1:-1])
    return Pass(
        scalars=scalars,
        shared=shared,
        start=start,
        shapes=work_shapes(group, scalars, sizes, given is not None),
        conditions=tuple(group.members),
        sources=group.source,
        depths=group.depths,
        real=group.real,
        cost=cost + (maker.seconds if maker else 0.0),
        maker=maker,
        reductions=tuple(kind(spec, group) for spec, kind in group.options.measures),
    )


def _cost(group: Group, scalars: dict[str, int], made: np.ndarray) -> float:
    """Rough time of one network in seconds, for chunk sizes and progress."""
    fan_in = np.array(group.widths[:-1], np.float64)
    single = group.real.itemsize == 4
    weights = float(np.sum(made * fan_in)) * len(group.table.matrices)
    products = weights * (group.row_count + (group.head_rows if scalars["gradient"] else 0))
    elements = float(np.sum(fan_in + 50)) * (2 * group.row_count + 3 * group.head_rows)
    drawn = 0 if scalars["given"] else weights / (group.layers if group.tied else 1)
    seconds = drawn * (1e-9 if single else 2e-9) * (1 if scalars["stored"] else 2)
    return seconds + products * (2e-11 if single else 4e-11) + elements * 1e-9 + 2e-6

"""Reads what both passes kept of one network out of a worker's memory: rows, deltas, gradients."""

from typing import TYPE_CHECKING

import numpy as np

from gradsim.cells import maps_of, table_of
from gradsim.kernels.ops import LINEAR
from gradsim.models import MLP, RNN
from gradsim.scaled import Scaled, outer_sum, row_sum, times
from gradsim.table import Map

if TYPE_CHECKING:
    from gradsim.plan import Pass
    from gradsim.workspace import Worker

Rows = tuple[np.ndarray, np.ndarray]  # rows, and the exponent of each
Kinds = tuple[list[Scaled], list[Scaled], list[Scaled]]  # gradients of W, b and U
Z, A = range(2)  # of an output row


class Reader:
    """One network under one condition, in the memory of the worker that ran it with all deltas.

    Parameters
    ----------
    model
        The condition.
    item, worker
        The pass and the worker that ran it.
    head
        Place of the condition in the pass.
    example
        The one example to read; None means all.
    """

    def __init__(
        self,
        model: "MLP | RNN",
        item: "Pass",
        worker: "Worker",
        head: int = 0,
        example: int | None = None,
    ) -> None:
        self._model, self._arrays = model, worker.arrays
        self._all, self._heads = item.scalars["examples"], item.scalars["heads"]
        self._head, self._source = head, int(item.sources[head])
        self._chosen = slice(0, self._all) if example is None else slice(example, example + 1)
        self._count = self._chosen.stop - self._chosen.start
        self._features = item.scalars["n_in"]
        self._kept = item.scalars["layers"]  # of the deepest condition
        self.layers = range(1, model.depth + 1)
        self._table = table_of(model)
        self._linear = [row for row in self._table.ops if row[0] == LINEAR]

    def _maps(self, layer: int) -> list[tuple[int, Map]]:
        """Affine maps of a layer (from 1), numbered."""
        return list(enumerate(maps_of(self._model, layer - 1)))

    def _units(self, layer: int) -> int:
        return self._model.width if isinstance(self._model, RNN) else self._model.widths[layer]

    def _ends(self, layer: int) -> bool:
        """Whether a layer is the output of an MLP, which has rows of its own."""
        return isinstance(self._model, MLP) and layer == self._model.depth

    def _value(self, v: int, layer: int) -> Rows:
        """Value v (example, unit) of a layer, and its exponents."""
        arrays = self._arrays
        address, line = arrays["address"][v, layer], arrays["index"][v, layer]
        n = arrays["layer"][0, layer - arrays["below"][0, v]]
        first = self._source * self._all
        flat = arrays["store"][0, address + first * n : address + (first + self._all) * n]
        e = arrays["exponent"][line, first : first + self._all]
        return flat.reshape(self._all, n)[self._chosen], e[self._chosen]

    def _values(self, q: int, layer: int) -> Rows:
        """Input (example, unit) of an affine map of a layer, and its exponents."""
        return self._value(self._linear[q][1], layer)

    def _delta(self, q: int, layer: int) -> Rows:
        """dC_b/dz (example, unit) of an affine map of a layer, and its exponents."""
        line = (q * self._heads + self._head) * self._kept + layer - 1
        rows = self._arrays["kept"][line * self._all : (line + 1) * self._all, : self._units(layer)]
        return rows[self._chosen], self._arrays["kept_e"][line][self._chosen]

    def _x(self, step: int) -> Rows:
        rows = self._arrays["x"][(step - 1) * self._all : step * self._all]
        return rows[self._chosen], self._arrays["x_e"][step - 1][self._chosen]

    def _output(self, what: int) -> Scaled:
        """Z or a (example, unit) of the output layer of an MLP."""
        first = self._head * self._all
        rows = self._arrays["kept_output"][4 * first + what : 4 * (first + self._all) : 4]
        e = self._arrays["kept_output_e"][what, first : first + self._all]
        return Scaled.from_rows(rows[self._chosen], e[self._chosen])

    def state(self, layer: int) -> Scaled:
        """Activations a (example, unit) of a layer or state h of a step; 0 is the input or h_0."""
        if self._ends(layer):
            return self._output(A)
        return Scaled.from_rows(*self._value(self._table.states[0][1], layer))

    def pre_activation(self, layer: int) -> Scaled:
        """Z (example, unit) of a layer, those of its maps that are counted in delta joined."""
        if self._ends(layer):
            return self._output(Z)
        rows = [self._value(self._linear[q][3], layer) for q, m in self._maps(layer) if m.gradient]
        return Scaled.joined([Scaled.from_rows(*row) for row in rows], 1)

    def far(self) -> Scaled:
        """Gradient (example, unit) with respect to the input or the initial state."""
        start, line = self._arrays["place"][:, self._table.states[0][1]]
        n, first = self._arrays["layer"][0, 0], self._head * self._all
        memory = self._arrays["cotangents"][0, start + first * n : start + (first + self._all) * n]
        e = self._arrays["cotangent_e"][line, first : first + self._all]
        rows = memory.reshape(self._all, n)
        return self._share(Scaled.from_rows(rows[self._chosen], e[self._chosen]))

    def delta(self, layer: int) -> Scaled:
        """Delta of a layer, those of its maps that are counted joined."""
        counted = [q for q, m in self._maps(layer) if m.gradient]
        return Scaled.joined([Scaled.from_rows(*self._delta(q, layer)) for q in counted], 1)

    def layer(self, layer: int) -> Kinds:
        """Gradients of W, b and U of a layer, one of each or none; those of its maps joined."""
        deltas = [(self._delta(q, layer), q, m) for q, m in self._maps(layer)]
        weights = [outer_sum(*d, *self._values(q, layer)) for d, q, m in deltas if m.weights]
        biases = [row_sum(*d) for d, _, m in deltas if m.bias]
        drives: list[Scaled] = []
        if self._features:
            drives = [outer_sum(*d, *self._x(layer)) for d, _, m in deltas if m.inputs]
        return self._shares(weights, biases, drives)

    def parameters(self) -> Kinds:
        """Gradients of all W, b and U in layer order; of tied weights one each."""
        if isinstance(self._model, RNN) and self._model.tied:
            return self._tied()
        layers = [self.layer(layer) for layer in self.layers]
        return tuple([one for kind in kinds for one in kind] for kinds in zip(*layers))  # type: ignore

    def _tied(self) -> Kinds:
        """Gradients of the shared W, b and U: sums over all steps at once."""
        weights, biases, drives = [], [], []
        for q, m in self._maps(1):
            d = self._deltas(q)
            if m.weights:
                weights.append(outer_sum(*d, *self._steps(q)))
            if m.bias:
                biases.append(row_sum(*d))
            if m.inputs and self._features:
                drives.append(outer_sum(*d, *self._drives()))
        return self._shares(weights, biases, drives)

    def _deltas(self, q: int) -> Rows:
        """Deltas (step * B + b, unit) of an affine map at all steps, and their exponents."""
        first, count = (q * self._heads + self._head) * self._kept, len(self.layers)
        rows = self._arrays["kept"][first * self._all : (first + count) * self._all]
        return self._of_examples(rows[:, : self._units(1)], self._arrays["kept_e"][first:][:count])

    def _drives(self) -> Rows:
        """Inputs (step * B + b, feature) of all steps, and their exponents."""
        count = len(self.layers)
        return self._of_examples(
            self._arrays["x"][: count * self._all], self._arrays["x_e"][:count]
        )

    def _of_examples(self, rows: np.ndarray, exponents: np.ndarray) -> Rows:
        """What belongs to the examples here, of rows (step * B + b, unit)."""
        if self._count == self._all:
            return rows, exponents.ravel()
        cut = rows.reshape(len(exponents), self._all, -1)[:, self._chosen]
        return cut.reshape(-1, rows.shape[1]), exponents[:, self._chosen].ravel()

    def _steps(self, q: int) -> Rows:
        """Input (step * B + b, unit) of an affine map at all steps, and its exponents."""
        pairs = [self._values(q, step) for step in self.layers]
        return np.concatenate([rows for rows, _ in pairs]), np.concatenate([e for _, e in pairs])

    def _shares(self, *kinds: list[Scaled]) -> Kinds:
        """Means over examples, those of all maps joined."""
        return tuple([self._share(Scaled.joined(g, 0))] if g else [] for g in kinds)  # type: ignore

    def _share(self, total: Scaled) -> Scaled:
        """Mean over examples of their sum."""
        return Scaled(total.array / self._count, total.exponent).normalised()

    def inputs(self, step: int, drives: list[list[np.ndarray]]) -> Scaled:
        """Gradient of the inputs of a step; ``drives`` is U by map and layer."""
        at = 0 if isinstance(self._model, RNN) and self._model.tied else step - 1
        having = [q for q, m in self._maps(step) if m.inputs]
        share = 1 / self._count
        deltas = [(Scaled.from_rows(*self._delta(q, step)), drives[q][at]) for q in having]
        return Scaled.total([times(d, u, share) for d, u in deltas])

"""Kernels write nowhere but into their own memory: every array lies between guard bytes.

The engine reads its arrays through addresses, so that a wrong index is no error: it would change
what happens to lie beside an array.
"""

from itertools import islice

import numpy as np
import pytest
from test_combinations import EXAMPLES, draws, model_of, refusal, structure_refusal

import gradsim as gs
from gradsim import workspace

GUARD, BYTE = 4096, 0xAB
EACH = 7  # models of each kind


class Guarded:
    """Allocates arrays between guard bytes, and finds those that were written over."""

    def __init__(self):
        self.blocks = []

    def empty(self, shape, kind):
        """In place of `workspace._empty`: zeros on a cache line."""
        size = shape[0] * shape[1] * kind.itemsize
        memory = np.full(size + 2 * GUARD + workspace.ALIGNMENT, BYTE, np.uint8)
        first = GUARD + -(memory.ctypes.data + GUARD) % workspace.ALIGNMENT
        memory[first : first + size] = 0
        self.blocks.append((memory, first, first + size))
        return memory[first : first + size].view(kind).reshape(shape)

    def copied(self, array):
        """Copy of a whole array."""
        rows = array.reshape(1, -1) if array.ndim != 2 else array
        copy = self.empty(rows.shape, array.dtype)
        copy[:] = rows
        return copy.reshape(array.shape)

    def damaged(self):
        """Shapes of blocks whose guard bytes changed."""
        return [last - first for memory, first, last in self.blocks
                if np.any(memory[:first] != BYTE) or np.any(memory[last:] != BYTE)]  # fmt: skip


@pytest.fixture
def guarded(monkeypatch):
    """Guards round everything that kernels read or write: what workers hold, and their results."""
    guards, describe, allocate = Guarded(), workspace.Worker._set, workspace.Results.__init__

    def set_guarded(worker, name, array):
        inside = any(m.ctypes.data <= array.ctypes.data < m.ctypes.data + m.size
                     for m, *_ in guards.blocks)  # fmt: skip
        describe(worker, name, array if inside or name == "stop" else guards.copied(array))

    def allocate_guarded(results, item, seeds):
        allocate(results, item, seeds)
        results.arrays = {name: guards.copied(a) for name, a in results.arrays.items()}

    monkeypatch.setattr(workspace, "_empty", guards.empty)
    monkeypatch.setattr(workspace.Worker, "_set", set_guarded)
    monkeypatch.setattr(workspace.Results, "__init__", allocate_guarded)
    return guards


def models(kind):
    """Models of random combinations with examples and initialiser, none of which is refused."""
    for fields, inits in islice(draws(kind), EACH):
        while (refused := structure_refusal(kind, fields)) is not None:
            fields |= refused[1]
        init = next(init for init in inits if refusal(fields, init) is None)
        yield model_of(kind, fields, init)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["MLP", "RNN"])
def test_kernels__leave_what_lies_round_their_arrays(guarded, kind, dtype):
    for i, model in enumerate(models(kind)):
        name = "depth" if kind == "MLP" else "steps"
        several = getattr(model, "sigma_u", 1.0) > 0
        options = {
            "vary": {"sigma_b": [0.0, 0.4], name: [1, 4]}, "inputs": EXAMPLES if several else None,
            "batch": "each" if i % 2 and model.norm != "batch" else "mean", "dtype": dtype,
            "measure": [("gradient",), ("curvature", "signal"), ("signal",)][i % 3],
        }  # fmt: skip
        if model.init == "critical":
            del options["vary"]["sigma_b"]
        gs.simulate(model, 2, threads=1, progress=False, **options)
        gs.backward(gs.network(model, 1, inputs=options["inputs"]))
        assert not guarded.damaged(), model
        assert len(guarded.blocks) > 100  # both runs allocated here
        guarded.blocks.clear()


def test_guard__notices_a_byte_beyond_an_array():
    guards = Guarded()
    array = guards.empty((2, 3), np.dtype(np.float64))
    memory, first, last = guards.blocks[0]
    assert not guards.damaged()
    array[:] = 1
    assert not guards.damaged()
    memory[last] = 0
    assert guards.damaged() == [48]
    memory[last], memory[first - 1] = BYTE, 0
    assert guards.damaged() == [48]

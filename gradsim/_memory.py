"""What a call takes in memory at the least, from sizes alone: refused before any of it is made.

Sizes are Python's own integers, for what a call asks for may be far beyond any memory.
"""

import os
from typing import TYPE_CHECKING

from gradsim.cells import table_of
from gradsim.models import MLP, RNN

if TYPE_CHECKING:
    from gradsim.plan import Options

WORD = 8  # bytes of a float64, an exponent or an address
CONDITION = 4096  # bytes of a model and its part of the plan
MATRIX = 256  # bytes of a matrix and its bias beside their entries
RESULTS = 6  # layered variables of a backward pass


def require(memory: int, **needs: int) -> None:
    """Refuse with MemoryError what is more than ``memory`` bytes in all."""
    if sum(needs.values()) > memory:
        parts = [f"{_gigabytes(size)} ({what.replace('_', ' ')})" for what, size in needs.items()]
        raise MemoryError(
            f"the call needs at least {' + '.join(parts)}, more than the {_gigabytes(memory)} that "
            "memory_limit or the machine allows; ask for fewer seeds, conditions, examples, layers "
            "or units"
        )


def _gigabytes(size: int) -> str:
    return f"{min(size, 10**300) / 1e9:.3g} GB"  # a float has to hold it


def resident_bytes() -> int:
    """Memory of this process now; where the system does not tell, the most it has had."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:  # macOS, whose ru_maxrss is in bytes
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def conditions_bytes(count: int) -> int:
    """Bytes of the models of a sweep."""
    return CONDITION * count


def network_bytes(model: MLP | RNN, examples: int) -> int:
    """Bytes of a network as NumPy arrays."""
    count = 1 if isinstance(model, RNN) and model.tied else model.depth
    return WORD * (_matrix_entries(model) + _data_entries(model, examples)) + MATRIX * count


def pass_bytes(model: MLP | RNN, examples: int, options: "Options", given: bool) -> int:
    """Bytes that one worker takes for one condition, and the result of one network."""
    table, layers = table_of(model), model.depth
    size = options.dtype.itemsize
    kept = len(table.states) + len(table.saved)
    places = 2 * table.values + max(table.maps, 1) + 2 * len(table.matrices) + 4
    values = examples * _hidden_units(model) * (kept + table.maps) * size
    exponents = 3 * examples * kept * (layers - 1) * WORD
    whole = given or (isinstance(model, RNN) and model.tied)
    weights = _matrix_entries(model) * size if whole else 0
    entries = (examples if options.each else 1) if options.gradient else 0
    words = _data_entries(model, examples) + layers * (places + RESULTS * entries)
    return values + exponents + weights + words * WORD


def _hidden_units(model: MLP | RNN) -> int:
    if isinstance(model, RNN):
        return model.steps * model.width
    if isinstance(model.width, tuple):
        return sum(model.width[1:-1])
    return (model.depth - 1) * model.width


def _features(model: RNN) -> int:
    return (model.input_width or model.width) if model.sigma_u > 0 else 0


def _matrix_entries(model: MLP | RNN) -> int:
    """Entries of all matrices W and U."""
    maps = table_of(model).matrices
    w, u = sum(m.weights for m in maps), sum(m.inputs for m in maps)
    if isinstance(model, RNN):
        count = 1 if model.tied else model.steps
        return count * model.width * (w * model.width + u * _features(model))
    if isinstance(model.width, tuple):
        sizes = [a * b for a, b in zip(model.width, model.width[1:])]
        return w * sum(sizes[:-1]) + sizes[-1]
    first, last = model.ends
    if model.depth == 1:
        return first * last
    return model.width * (w * first + w * (model.depth - 2) * model.width + last)


def _data_entries(model: MLP | RNN, examples: int) -> int:
    """Entries of the inputs and of the targets."""
    if isinstance(model, MLP):
        return examples * sum(model.ends)
    moves = model.loss_at == "all" and model.loss != "linear"
    return examples * (model.steps * _features(model) + (model.steps if moves else 1) * model.width)

"""The registry of activations; each is one row of :data:`gradsim.kernels.activations.TABLE`."""

import numpy as np

from gradsim._registry import Registry
from gradsim.kernels import rows
from gradsim.kernels.activations import SOFTMAX, TABLE, Activation

activations: Registry[Activation] = Registry(
    "activation",
    {entry.name: entry for entry in TABLE},
    ("formula", "sup_slope", "gamma_at", "slope_at_zero", "homogeneous", "reference"),
)


def outputs() -> tuple[str, ...]:
    """Names that an output may have."""
    return (*activations, "softmax")


def output_code(name: str) -> int:
    """Kernel code of an output activation: softmax couples units and is an output only."""
    return SOFTMAX if name == "softmax" else activations[name].code


def engine_facts() -> dict[str, np.ndarray]:
    """What the engine's record holds of every activation (see `kernels.rows`)."""
    integers, numbers, programs, constants = [], [], [], []
    for entry in activations.values():
        first = len(programs)
        if entry.program is not None:
            programs += [step[:4] for step in entry.program.steps]
            constants += [step[4:] for step in entry.program.steps]
        flags = (entry.homogeneous, not entry.has_zero_slope, *entry.linear_below)
        integers.append((*flags, first, len(programs)))
        numbers.append((entry.gamma(0.0), *entry.slopes_at_zero(0.0)))
    return {
        "facts": np.array(integers, np.int64).T.copy(),
        "facts_f": np.array(numbers, np.float64).T.copy(),
        "programs": np.array(programs, np.int64).reshape(-1, 4),
        "program_f": np.array(constants, np.float64).reshape(-1, 2),
    }


def program_shape() -> tuple[int, int]:
    """Shape of a worker's memory for programs: value and slope of each value of the longest."""
    lengths = [len(e.program.steps) for e in activations.values() if e.program is not None]
    return 2 * (1 + max(lengths, default=0)), rows.BLOCK

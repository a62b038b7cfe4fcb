"""The registry of activations; each is one row of :data:`gradsim.kernels.activations.TABLE`."""

from gradsim._registry import Registry
from gradsim.kernels.activations import SOFTMAX, TABLE, Activation

activations: Registry[Activation] = Registry(
    "activation",
    {entry.name: entry for entry in TABLE},
    ("formula", "gamma_at", "homogeneous", "has_zero_slope", "reference"),
)

OUTPUTS = (*activations, "softmax")


def output_code(name: str) -> int:
    """Kernel code of an output activation: softmax couples units and is an output only."""
    return SOFTMAX if name == "softmax" else activations[name].code

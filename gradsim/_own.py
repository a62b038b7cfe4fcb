"""What users wrote: activations, cells, initialisers and measurements of their own, by their text.

Files name the text of what they need, and the workers of a cluster are sent the entries.
"""

from typing import Any

from gradsim._measurement import Spec
from gradsim._registry import Registry
from gradsim.activations import activations
from gradsim.cells import cells, table_of
from gradsim.initializers import initializers
from gradsim.kernels.ops import MAP
from gradsim.measurements import measurements

REGISTRIES: dict[str, Registry] = {
    "activations": activations,
    "cells": cells,
    "initializers": initializers,
    "measurements": measurements,
}


def text_of(entry: Any) -> str:
    """Text of the function that a user registered; empty for what gradsim brings itself."""
    program = getattr(entry, "program", None)  # an activation's, recorded from its function
    return program.source if program is not None else getattr(entry, "source", "")


def entries() -> dict[str, dict[str, Any]]:
    """Everything that users added, by kind and name."""
    return {
        kind: {name: entry for name, entry in registry.items() if text_of(entry)}
        for kind, registry in REGISTRIES.items()
    }


def add(made: dict[str, dict[str, Any]]) -> None:
    """Add what another process has, where the name is free."""
    for kind, found in made.items():
        for name, entry in found.items():
            if name not in REGISTRIES[kind]:
                REGISTRIES[kind].add(name, entry)


def texts(models: Any, specs: tuple[Spec, ...]) -> dict[str, dict[str, str]]:
    """Text of what a call uses, by kind and name: what a reader needs to run the call again."""
    known, phis = list(activations.values()), set()
    for model in models:
        named = [row[4] for row in table_of(model).ops if row[0] == MAP and row[4] >= 0]
        phis |= {known[code].name for code in named} | {model.activation, model.last_activation}
    used = {
        "activations": sorted(phi for phi in phis if phi in activations),  # softmax is none
        "cells": [model.cell for model in models],
        "initializers": [model.init for model in models],
        "measurements": [spec.name for spec in specs],
    }
    written = {
        kind: {name: text for name in names if (text := text_of(REGISTRIES[kind][name]))}
        for kind, names in used.items()
    }
    return {kind: found for kind, found in written.items() if found}

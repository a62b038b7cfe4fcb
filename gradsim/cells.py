"""Cells: how one layer or one time step computes, in plain arithmetic.

A cell is recorded once (:mod:`gradsim.tape`) and gets its backward pass, its measurements and its
eager oracle from the operations that it is made of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradsim._registry import Registry


@dataclass(frozen=True)
class Cell:
    """A named cell.

    Attributes
    ----------
    name
        Name used in models.
    function
        ``function(t, h, phi)`` returning the next state.
    model
        Kind of model that it belongs to: "MLP" or "RNN".
    formula
        What it computes, as text.
    """

    name: str
    function: Callable[..., Any]
    model: str
    formula: str


def dense(t: Any, h: Any, phi: Any) -> Any:
    """phi(W h + b), fully connected; with a drive U x in the affine map it is the Elman step."""
    return t.map(phi, t.linear(h))


cells: Registry[Cell] = Registry(
    "cell",
    {
        "dense": Cell("dense", dense, "MLP", "phi(W h + b)"),
        "vanilla": Cell("vanilla", dense, "RNN", "phi(W h + U x + b)"),
    },
    ("model", "formula"),
)

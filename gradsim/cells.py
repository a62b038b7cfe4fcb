"""Cells: how one layer or one time step computes, in plain arithmetic.

A cell is recorded once (:mod:`gradsim.tape`) and gets its backward pass, its measurements and its
eager oracle from the operations that it is made of.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradsim._registry import Registry, source_text
from gradsim.table import Field, Map, Table
from gradsim.tape import trace

MLP_ONLY, RNN_ONLY, ANY = ("MLP",), ("RNN",), ("MLP", "RNN")


def _one(model: Any) -> int:
    return 1


@dataclass(frozen=True)
class Cell:
    """A named cell.

    Attributes
    ----------
    name
        Name used in models.
    function
        ``function(t, h, phi)`` returning the next state; of several states ``function(t, h, c,
        phi)`` returning all of them, h first: the cost is on h.
    models
        Kinds of model that may use it.
    formula
        What it computes, as text.
    states
        ``states(model)``: how many states it reads and returns.
    memory
        Whether the second state is a memory cell whose gradient is measured too.
    source
        Text of a user's function, kept in files that need it.
    fields
        Fields of a model that belong to it.
    """

    name: str
    function: Callable[..., Any]
    models: tuple[str, ...]
    formula: str
    states: Callable[[Any], int] = _one
    memory: bool = False
    source: str = ""
    fields: tuple[str, ...] = ()


def dense(t: Any, h: Any, phi: Any) -> Any:
    """phi(W h + b), fully connected; with a drive U x in the affine map it is the Elman step."""
    return t.norm(t.map(phi, t.norm(t.linear(h))), "post")


def _branch(t: Any, h: Any, phi: Any) -> Any:
    """V phi(W h + b): the branch of a residual block with two matrices."""
    inner = t.norm(t.map(phi, t.norm(t.linear(h))), "post")
    return t.linear(inner, bias=False, gradient=False, inputs=False)


def residual(t: Any, h: Any, phi: Any) -> Any:
    """H + alpha V phi(W h + b)."""
    return h + t.alpha * _branch(t, h, phi)


def residual_single(t: Any, h: Any, phi: Any) -> Any:
    """H + alpha phi(W h + b): a residual block with one matrix."""
    return h + t.alpha * dense(t, h, phi)


def residual_post(t: Any, h: Any, phi: Any) -> Any:
    """phi(h + alpha V phi(W h + b)): activation after the addition (He et al. 2016a)."""
    return t.map(phi, residual(t, h, phi))


def residual_pre(t: Any, h: Any, phi: Any) -> Any:
    """H + alpha (W phi(h) + b): activation before the matrix (He et al. 2016b)."""
    return h + t.alpha * t.linear(t.norm(t.map(phi, t.norm(h)), "post"))


def leaky(t: Any, h: Any, phi: Any) -> Any:
    """(1 - leak) h + leak phi(W h + U x + b): leaky integrator (Jaeger et al. 2007)."""
    leak = t.field("leak")
    return (1 - leak) * h + leak * dense(t, h, phi)


def skip(t: Any, *args: Any) -> Any:
    """phi(W h + U x + b) + skip * h of ``delay`` steps ago (after Lin et al. 1996)."""
    *h, phi = args  # h[k] is the state of k + 1 steps ago
    new = dense(t, h[0], phi) + t.field("skip") * h[-1]
    return (new, *h[:-1]) if len(h) > 1 else new


def lstm(t: Any, h: Any, c: Any, phi: Any) -> Any:
    """Long short-term memory with a forget gate (Gers, Schmidhuber and Cummins 2000)."""
    i = t.sigmoid(t.norm(t.linear(h, "i", chrono=-1)))
    f = t.sigmoid(t.norm(t.linear(h, "f", shift="forget_bias", chrono=1)))
    g = t.map(phi, t.norm(t.linear(h, "g")))
    o = t.sigmoid(t.norm(t.linear(h, "o")))
    c = f * c + i * g
    return o * t.map(phi, c), c


def gru(t: Any, h: Any, phi: Any) -> Any:
    """Gated recurrent unit, the reset gate after the matrix product (the PyTorch form)."""
    r = t.sigmoid(t.norm(t.linear(h, "r")))
    z = t.sigmoid(t.norm(t.linear(h, "z")))
    inner = r * t.linear(h, "hn", inputs=False, gradient=False)
    n = t.map(phi, t.norm(t.drive(inner, "n")))
    return (1 - z) * n + z * h


def _delay(model: Any) -> int:
    return model.delay


def _two(model: Any) -> int:
    return 2


_SCALE = ("residual_scale",)
_ENTRIES = (
    Cell("dense", dense, MLP_ONLY, "phi(W h + b)"),
    Cell("residual", residual, MLP_ONLY, "h + residual_scale V phi(W h + b)", fields=_SCALE),
    Cell("residual_single", residual_single, MLP_ONLY, "h + residual_scale phi(W h + b)",
         fields=_SCALE),
    Cell("residual_post", residual_post, MLP_ONLY, "phi(h + residual_scale V phi(W h + b))",
         fields=_SCALE),
    Cell("residual_pre", residual_pre, MLP_ONLY, "h + residual_scale (W phi(h) + b)",
         fields=_SCALE),
    Cell("vanilla", dense, RNN_ONLY, "phi(W h + U x + b)"),
    Cell("leaky", leaky, RNN_ONLY, "(1 - leak) h + leak phi(W h + U x + b)", fields=("leak",)),
    Cell("skip", skip, RNN_ONLY, "phi(W h + U x + b) + skip h_(t-delay)", _delay,
         fields=("delay", "skip")),
    Cell(
        "lstm", lstm, RNN_ONLY,
        "c' = sigmoid(f + forget_bias) c + sigmoid(i) phi(g), h' = sigmoid(o) phi(c')", _two,
        memory=True, fields=("forget_bias", "chrono"),
    ),
    Cell(
        "gru", gru, RNN_ONLY,
        "(1 - sigmoid(z)) phi(U_n x + b_n + sigmoid(r) (W_n h + b_hn)) + sigmoid(z) h",
    ),
)  # fmt: skip

cells: Registry[Cell] = Registry(
    "cell", {entry.name: entry for entry in _ENTRIES}, ("models", "fields", "formula")
)


def table_of(model: Any) -> Table:
    """Recorded table of a model's cell."""
    entry = cells[model.cell]
    return trace(entry.function, entry.states(model), model.norm, model.norm_placement)


def maps_of(model: Any, layer: int) -> tuple[Map, ...]:
    """Affine maps of a layer, from 0: the last one of an MLP has the cell's first map alone."""
    maps = table_of(model).matrices
    last = not hasattr(model, "steps") and layer == model.depth - 1
    return maps[:1] if last else maps


def cell(name: str, *, memory: bool = False) -> Callable[[Callable[..., Any]], Cell]:
    """Register a cell of one's own: a decorator.

    Parameters
    ----------
    name
        Name to use in models.
    memory
        False: ``function(t, h, phi)`` returns the next h.  True: ``function(t, h, c, phi)`` with a
        memory cell c returns (h, c); c_0 = 0.

    Returns
    -------
    callable
        Decorator that registers the function and returns its `Cell`.  The function computes with
        ``+``, ``-`` and ``*`` on its states, with ``t.linear(h)`` (an affine map with matrices of
        its own, in an RNN with its input too), ``t.map(phi, z)`` (the model's activation),
        ``t.map(name, z)``, ``t.sigmoid``, ``t.tanh``, ``t.norm`` and ``t.field(name)`` (a number
        of the model).  ``t.linear(h, "f", shift="forget_bias", chrono=1)`` adds that field and the
        chrono biases to those of a gate.

    Raises
    ------
    TypeError, ValueError
        If the name is taken by another function, or the function is no cell.

    Examples
    --------
    >>> @cell("highway")
    ... def highway(t, h, phi):
    ...     gate = t.sigmoid(t.linear(h))
    ...     return gate * h + (1 - gate) * t.map(phi, t.linear(h))
    >>> highway.models
    ('MLP', 'RNN')
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"cell(name={name!r}): name must be an identifier")

    def register(function: Callable[..., Any]) -> Cell:
        source = source_text(function)
        if name in cells:
            if not source or cells[name].source != source:
                raise ValueError(f"cell(name={name!r}): there is a cell of that name already")
            return cells[name]
        fields = trace(function, 2 if memory else 1).fields
        formula = (inspect.getdoc(function) or "of the user").splitlines()[0]
        states = _two if memory else _one
        entry = Cell(name, function, ANY, formula, states, memory, source, fields)
        cells.add(name, entry)
        return entry

    return register


__all__ = ["Cell", "Field", "cell", "cells", "table_of"]

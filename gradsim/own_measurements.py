"""Measurements that users write in Python, from what both passes kept of a network."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from gradsim._measurement import LAYERED, NETWORK, STATES, Measurement, Variable
from gradsim._own_reduction import Function, OwnReduction
from gradsim._registry import brief, source_text
from gradsim.measurements import measurements
from gradsim.models import MLP, RNN

_ALONG = {"layer": LAYERED, "state_step": STATES}  # dims that a user names; none is NETWORK
_TEXTS = ("long_name", "formula", "dims")
_KINDS = (bool, int, float, str, tuple)  # of parameters


def measurement(
    name: str,
    variables: Mapping[str, Any],
    *,
    coords: Mapping[str, Sequence[float]] | None = None,
    examples: bool = True,
) -> Callable[[Function], Measurement]:
    """Register a measurement of one's own: a decorator.

    The function is called once per network and condition, in Python, after both passes. It combines
    with every model, sweep, batch, dtype and number of threads, and is asked for by name like any
    other; a result depends on the view and the parameters alone.

    Parameters
    ----------
    name
        Name to use in ``measure``.
    variables
        Maps the name of each variable to its long_name, or to a dict with "long_name" and, as
        wanted, "formula" and "dims": a tuple that starts with "layer" (the default; steps of an
        RNN) or "state_step" (0..T of an RNN) or neither (one number a network), and goes on with
        names of ``coords``.
    coords
        Values along further dimensions, by name.
    examples
        Whether, under ``batch="each"``, every example has a result of its own, from a view of it
        alone. False: one result from a view of all.

    Returns
    -------
    callable
        Decorator of ``function(view, *, parameter=default, …)``, which is given a
        :class:`gradsim.View` and returns a dict of all variables, each with one entry a layer (a
        network of fewer layers returns fewer). It returns the registered `Measurement`, which makes
        specs: ``gs.measurements.name(parameter=value)``.

    Raises
    ------
    TypeError, ValueError
        If a name is taken or is none, a text is missing, a dimension is unknown, or the function
        has parameters without a default or of a kind other than bool, int, float, str and tuple.
        A run raises ValueError where the function returns something else.

    Examples
    --------
    >>> import gradsim as gs
    >>> @gs.measurement("kurtosis", {"delta_kurtosis": "kurtosis of delta"})
    ... def kurtosis(view):
    ...     squares = [delta.normalised().array ** 2 for delta in view.deltas]
    ...     return {"delta_kurtosis": [np.mean(s**2) / np.mean(s) ** 2 for s in squares]}
    >>> gs.simulate(gs.MLP(depth=4), 10, measure="kurtosis", progress=False).delta_kurtosis.dims
    ('seed', 'layer')
    """
    where = f"measurement(name={brief(name)})"
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"{where}: name must be an identifier")
    along = _coordinates(where, coords or {})
    made = _variables(where, variables, along)

    def register(function: Function) -> Measurement:
        defaults, source = _defaults(where, function), source_text(function)
        if name in measurements:
            if not source or measurements[name].source != source:
                raise ValueError(f"{where}: there is a measurement of that name already")
            return measurements[name]
        _free(where, [*(v.name for v in made), *along])
        purpose = (inspect.getdoc(function) or "of the user").splitlines()[0]
        parts = {
            "function": staticmethod(function), "variables": made, "along": along,
            "examples": bool(examples),
        }  # fmt: skip
        reduction = type(f"Own_{name}", (OwnReduction,), parts)
        entry = Measurement(name, purpose, made, defaults, reduction, source)
        measurements.add(name, entry)
        return entry

    return register


def _free(where: str, names: list[str]) -> None:
    """Refuse names that a result has for something else."""
    taken = {"seed", "layer", "step", "state_step", "example", "fan_in", "fan_out", "n_parameters"}
    taken |= {field.name for model in (MLP, RNN) for field in fields(model)}
    known = [v for entry in measurements.values() for v in entry.variables]
    taken |= {v.name for v in known} | {dim for v in known for dim in v.extra}
    for found in names:
        if found in taken or names.count(found) > 1:
            raise ValueError(f"{where}: the name {found!r} is taken; rename it")


def _coordinates(where: str, coords: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Values along further dimensions."""
    made = {}
    for dim, values in coords.items():
        array = np.asarray(values)
        if not str(dim).isidentifier() or array.ndim != 1 or array.dtype.kind not in "iufU":
            raise TypeError(
                f"{where}: coords must map identifiers to sequences of numbers or str, got "
                f"{brief({dim: values})}"
            )
        made[dim] = array
    return made


def _variables(where: str, variables: Mapping[str, Any], along: Any) -> tuple[Variable, ...]:
    """Variables of a measurement, from what a user wrote."""
    if not isinstance(variables, Mapping) or not variables:
        raise TypeError(f"{where}: variables must map names to texts, got {brief(variables)}")
    made = []
    for name, text in variables.items():
        texts = {"long_name": text} if isinstance(text, str) else text
        if not str(name).isidentifier() or not isinstance(texts, Mapping):
            raise TypeError(
                f"{where}: variables must map identifiers to a str or a dict of {list(_TEXTS)}, "
                f"got {brief({name: text})}"
            )
        if set(texts) - set(_TEXTS) or not texts.get("long_name"):
            raise ValueError(
                f"{where}: {name!r} must have a long_name and may have of {list(_TEXTS)}, got "
                f"{brief(dict(texts))}"
            )
        dims = tuple(texts.get("dims", ("layer",)))
        own = _ALONG.get(dims[0] if dims else "", NETWORK)
        extra = dims if own == NETWORK else dims[1:]
        unknown = [dim for dim in extra if dim not in along]
        if unknown:
            raise ValueError(
                f"{where}: dims of {name!r} must start with one of {list(_ALONG)} or neither and "
                f"go on with coords {sorted(along)}, got {brief(dims)}"
            )
        formula = texts.get("formula", "of the user")
        made.append(Variable(name, texts["long_name"], formula, dims=own, extra=extra))
    return tuple(made)


def _defaults(where: str, function: Function) -> dict[str, Any]:
    """Parameters of a function with their defaults."""
    if not callable(function):
        raise TypeError(f"{where}: must decorate a function, got {brief(function)}")
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise TypeError(f"{where}: the function must take a view")
    rest = parameters[1:]
    for parameter in rest:
        if type(parameter.default) not in _KINDS:
            raise TypeError(
                f"{where}: parameter {parameter.name!r} must have a default of one of "
                f"{[kind.__name__ for kind in _KINDS]}"
            )
    return {parameter.name: parameter.default for parameter in rest}

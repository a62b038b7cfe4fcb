"""Checks of the fields that an initialiser takes."""

from itertools import pairwise
from typing import Any

import numpy as np

from gradsim._initializer import FANS, PARAMETERS
from gradsim._validate import choice, real, whole
from gradsim.initializers import initializers


def check_init(model: Any) -> None:
    """Check the initialiser's fields of a model and set them to plain numbers and tuples.

    Raises
    ------
    TypeError, ValueError
        If a field has a wrong value, is missing, or belongs to other initialisers; or if the
        initialiser makes square matrices only and a layer is not square.
    """
    entry, kind = initializers[model.init], type(model).__name__
    for n_out, n_in in _shapes(model) if entry.square else ():
        if n_out != n_in:
            raise ValueError(
                f"{kind}(init={model.init!r}): all matrices must be square, got a layer of {n_out} "
                f"units with {n_in} inputs"
            )
    for name in PARAMETERS:
        value = getattr(model, name)
        if value is None and name in entry.required:
            raise ValueError(f"{kind}(init={model.init!r}): {name} must be set, got None")
        if value is None:
            continue
        if name not in entry.parameters:
            takers = [key for key, other in initializers.items() if name in other.parameters]
            raise ValueError(
                f"{kind}({name}={repr(value)[:60]}): init={model.init!r} does not take {name}, "
                f"which belongs to {takers}"
            )
        model._set(name, _CHECKS[name](kind, name, value, model))


def _shapes(model: Any) -> list[tuple[int, int]]:
    widths = getattr(model, "widths", None) or (model.width, model.width)
    return [(n_out, n_in) for n_in, n_out in pairwise(widths)]


def _fan(kind: str, name: str, value: Any, model: Any) -> str:
    return choice(kind, name, value, FANS)


def _nonzeros(kind: str, name: str, value: Any, model: Any) -> int:
    number, most = whole(kind, name, value), min(n_in for _, n_in in _shapes(model))
    if number > most:
        raise ValueError(f"{kind}({name}={value!r}): {name} must be at most fan_in = {most}")
    return number


def _radius(kind: str, name: str, value: Any, model: Any) -> float:
    return real(kind, name, value)


def _eigenvalues(kind: str, name: str, value: Any, model: Any) -> tuple[float, ...]:
    numbers = _array(kind, name, value)
    units = {n_out for n_out, _ in _shapes(model)}
    if numbers.ndim != 1 or units != {numbers.size}:
        raise ValueError(
            f"{kind}({name} of shape {numbers.shape}): {name} must hold one real number for each "
            f"of {sorted(units)} units"
        )
    return tuple(numbers.tolist())


def _upper(kind: str, name: str, value: Any, model: Any) -> float | tuple[tuple[float, ...], ...]:
    if np.ndim(value) == 0:
        return real(kind, name, value)
    numbers = _array(kind, name, value)
    if {numbers.shape} != set(_shapes(model)) or np.any(np.tril(numbers)):
        raise ValueError(
            f"{kind}({name} of shape {numbers.shape}): {name} must be a number, or strictly upper "
            f"triangular rows of shape {_shapes(model)[0]}"
        )
    return tuple(map(tuple, numbers.tolist()))


def _array(kind: str, name: str, value: Any) -> np.ndarray:
    """Finite real numbers of an array or of nested sequences."""
    wrong = f"{kind}({name}={repr(value)[:60]}): {name} must hold finite real numbers"
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged
        raise ValueError(wrong) from error
    if array.dtype.kind not in "iuf":
        raise TypeError(wrong)
    if not np.isfinite(array).all():
        raise ValueError(wrong)
    return array.astype(np.float64)


_CHECKS = {
    "fan": _fan,
    "nonzeros": _nonzeros,
    "spectral_radius": _radius,
    "eigenvalues": _eigenvalues,
    "upper": _upper,
}

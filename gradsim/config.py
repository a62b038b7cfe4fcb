"""Configuration files: a call of `simulate` in TOML.

A file and the same call in Python give the same bits and the same `gradsim_config`.
"""

import tomllib
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from gradsim._config_file import ConfigError, Lines, array_of
from gradsim._registry import brief, unknown
from gradsim.inputs import circle, pair
from gradsim.measurements import measurements
from gradsim.models import MLP, RNN
from gradsim.simulate import prepare

__all__ = ["ConfigError", "read"]

KINDS: dict[str, type[MLP] | type[RNN]] = {"MLP": MLP, "RNN": RNN}
CHECKED = (
    "seeds", "inputs", "targets", "batch", "measure", "dtype", "key", "threads", "memory_limit",
)  # fmt: skip
KEYS = ("model", "vary", *CHECKED, "store")
ARRANGEMENTS: dict[str, Callable[[Any], Any]] = {"pair": pair, "circle": circle}


def read(path: str | PathLike[str]) -> dict[str, Any]:
    r"""Read a TOML file and check it: keyword arguments of :func:`gradsim.simulate`.

    The keys `seeds`, `inputs`, `targets`, `batch`, `measure`, `dtype`, `key`, `threads`,
    `memory_limit` and `store` are those of the call; sections are ``[model]``, with its `kind`
    ("MLP" or "RNN") and its fields, ``[vary]``, and ``[measure.NAME]`` for a measurement with
    parameters.  Paths are relative to the file.  Python's None is "none" in ``[vary]``, and a key
    that is left out elsewhere.

    Parameters
    ----------
    path
        The file.  `seeds` is a number, a list or ``{range = [first, stop]}``; `inputs` a number,
        the values, ``{pair = 0.5}``, ``{circle = 8}`` or the path of a .npy, .npz or .nc file
        (``{file = "data.npz", name = "x"}`` where it has several arrays); `targets` the values or
        such a file.

    Returns
    -------
    dict
        ``gradsim.simulate(**read(path))`` runs the file.

    Raises
    ------
    ConfigError
        A ValueError, for whatever `simulate` refuses too: file, line, section and the reason.
    OSError
        If the file, or one that it names, cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> text = 'seeds = 5\n[model]\nkind = "MLP"\n[vary]\nactivation = ["tanh", "relu"]'
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     print(text, file=file, flush=True)
    ...     read(file.name)["vary"]
    {'activation': ['tanh', 'relu']}
    """
    path = Path(path)
    lines = Lines(path, path.read_bytes())
    with lines.errors(""):
        file = tomllib.loads(lines.text)
        _check_keys(file)
    call = {}
    for name, value in file.items():
        with lines.errors(name):
            call[name] = _parsed(name, value, path.parent)
    with lines.errors("vary"):
        prepare(**{name: call.get(name) for name in ("model", "vary")}, **_with_defaults(call))
    return call


def _with_defaults(call: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that `prepare` checks, by default those of `simulate`."""
    usual = {"batch": "mean", "measure": ("gradient",), "dtype": "float64", "key": 0}
    return {name: call.get(name, usual.get(name)) for name in CHECKED}


def _check_keys(file: Mapping[str, Any]) -> None:
    for name in file:
        if name not in KEYS:
            raise unknown("key", name, list(KEYS))
    for name in ("model", "seeds"):
        if name not in file:
            raise ValueError(f"{name} must be given")


def _parsed(name: str, value: Any, folder: Path) -> Any:
    """Argument of `simulate` from what a file has under its name."""
    if name in ("inputs", "targets"):
        return _data(name, value, folder)
    if name == "store":
        return str(folder / _text(name, value))
    return _FORMS[name](value) if name in _FORMS else value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, got {brief(value)}")
    return value


def _section(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a section [{name}], got {brief(value)}")
    return dict(value)


def _model(section: Any) -> MLP | RNN:
    """Model from its kind and its fields."""
    values = _section("model", section)
    if "kind" not in values:
        raise ValueError(f"model: kind must be given, one of {sorted(KINDS)}")
    kind = values.pop("kind")
    if kind not in KINDS:
        raise unknown("model: kind", kind, list(KINDS))
    known = list(KINDS[kind].__dataclass_fields__)
    for name in values:
        if name not in known:
            raise unknown(f"model: field of {kind}", name, known)
    return KINDS[kind](**{name: _frozen(value) for name, value in values.items()})


def _vary(section: Any) -> dict[str, Any]:
    """Varied fields; TOML has no None, so a name that no registry has stands for it."""
    read = _section("vary", section)
    for name, values in read.items():
        if isinstance(values, list):
            read[name] = [None if value == "none" else _frozen(value) for value in values]
    return read


def _frozen(value: Any) -> Any:
    """Nested lists as tuples, as models hold them."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _seeds(value: Any) -> Any:
    """A number, a list, or {range = [first, stop]} as a result stores it."""
    if not isinstance(value, dict):
        return value
    if list(value) == ["list"]:
        return value["list"]
    ends = value.get("range")
    pair = isinstance(ends, list) and len(ends) == 2 and all(type(end) is int for end in ends)
    if ends is None or len(value) != 1 or not pair:
        raise ValueError(
            f"seeds must be a number, a list or {{range = [first, stop]}}, got {brief(value)}"
        )
    return range(*ends)


def _measure(value: Any) -> Any:
    """Names, or a section [measure.NAME] for each with its parameters."""
    if not isinstance(value, dict):
        return value
    return [
        measurements[name](**_section(f"measure.{name}", parameters))
        for name, parameters in value.items()
    ]


_FORMS: dict[str, Callable[[Any], Any]] = {
    "model": _model, "vary": _vary, "seeds": _seeds, "measure": _measure,
}  # fmt: skip


def _data(name: str, value: Any, folder: Path) -> Any:
    """Inputs or targets: a number, values, an arrangement, or an array in a file."""
    if isinstance(value, str):
        return array_of(name, folder / value)
    if not isinstance(value, dict):
        return value
    if name == "inputs" and len(value) == 1 and (form := next(iter(value))) in ARRANGEMENTS:
        return ARRANGEMENTS[form](value[form])
    if "file" not in value or set(value) - {"file", "name"}:
        forms = "{pair = c0}, {circle = k} or " if name == "inputs" else ""
        raise ValueError(f"{name} must be {forms}{{file = path, name = array}}, got {brief(value)}")
    return array_of(name, folder / _text("file", value["file"]), value.get("name"))

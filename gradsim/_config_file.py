"""What a configuration file is read with: where in it an error is, and arrays that it names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gradsim._registry import brief, unknown
from gradsim.storage import LOCK

SUFFIXES = (".npy", ".npz", ".nc")
_HEADER = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*(["']?)([\w.-]+)\1\s*=""")
_ALLOWED = re.compile(r"one of \[[^\]]*\]")  # names that are not what is wrong
_ALIASES = {"MLP": "model", "RNN": "model", "measurement": "measure"}


class ConfigError(ValueError):
    """A configuration is wrong: the message names the file, the line, the section and the rule."""


class Lines:
    """Text of a TOML file, and the line of every key and section in it."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        try:
            self.text = content.decode()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not a text file in UTF-8 ({error})") from error
        self._places: list[tuple[str, str, int]] = []  # section, key, line
        section = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(line):
                section = header[1].strip()
                self._places += [(section, part, number) for part in section.split(".")]
            elif key := _KEY.match(line):
                self._places.append((section, key[2], number))

    @contextmanager
    def errors(self, section: str) -> Iterator[None]:
        """Turn what is refused into a `ConfigError` at its line, looked for in ``section`` first.

        The line is that of the first key that the message names.
        """
        try:
            yield
        except ConfigError:
            raise
        except (TypeError, ValueError) as error:  # also of tomllib, which knows the line itself
            raise ConfigError(f"{self._path}{self._place(str(error), section)}: {error}") from error

    def _place(self, message: str, section: str) -> str:
        words = re.findall(r"\w+", _ALLOWED.sub("", message))
        words = [word for word in words if word != section]
        inside = [place for place in self._places if place[0].split(".")[0] == section]
        aliases = [_ALIASES[word] for word in words if word in _ALIASES]
        for places, names in ((inside, words), (self._places, [*words, section, *aliases])):
            first = {key: (found, line) for found, key, line in reversed(places)}
            for name in names:
                if name in first:
                    found, line = first[name]
                    return f", line {line}" + (f", [{found}]" if found else "")
        return ""


def array_of(what: str, path: Path, name: str | None = None) -> Any:
    """Array of a .npy, .npz or .nc file, a DataArray from the last, whose dimensions have names.

    Raises
    ------
    ValueError
        If the file is of another kind, or has several arrays and ``name`` is none of them.
    OSError
        If it cannot be read.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{what} must be a file of {list(SUFFIXES)}, got {brief(str(path))}")
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return file[_chosen(what, path, name, list(file))]
    with LOCK, xr.open_dataset(path, engine="netcdf4", cache=False) as ds:
        return ds[_chosen(what, path, name, [str(key) for key in ds.data_vars])].load()


def _chosen(what: str, path: Path, name: str | None, known: list[str]) -> str:
    """Name of the array that is meant: the only one, where none is given."""
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        raise unknown(f"{what}: name of an array in {path.name}", name, known)
    return name

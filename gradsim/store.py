"""Run folders: the parts of a run on disk, so that whatever stops it loses nothing that is done.

    config.json     the configuration with its SHA-256, the kernels' hash, seeds of a part
    arrays.nc       given arrays that are too large for the configuration, where there are any
    parts/          part-<first>-<last>.nc: results of the seeds at these places, as `save` writes
    manifest.log    one line for every finished part; made anew from the parts where it is damaged
    lock            held by the process that writes; freed by the system when that process ends

A part appears under its name only when it is complete and on disk.
"""

import contextlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gradsim import _atomic, _config, _manifest, storage
from gradsim._manifest import Entry
from gradsim._run_files import LOCK, is_run, locked, read_config, write_config
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.storage import InvalidFileError

_ARRAYS, _PARTS, _MANIFEST = "arrays.nc", "parts", "manifest.log"
_PART = re.compile(r"part-([0-9]{12,})-([0-9]{12,})\.nc")


def part_path(folder: str, first: int, last: int) -> str:
    """File of a part in a run folder, by the places of its first and last seed."""
    return os.path.join(folder, _PARTS, f"part-{first:012d}-{last:012d}.nc")


class ForeignPartError(InvalidFileError):
    """A part is sound, but of another run: it is not written over."""


class RunFolder:
    """A run folder, open for reading; `writing` opens one for adding parts.

    Attributes
    ----------
    path
        The folder.
    config
        Configuration of the whole run, seeds included.
    part_seeds
        Seeds of a part.
    kernel_hash
        Of the kernels that made its parts.
    entries
        Finished parts by the place of their first seed.

    Raises
    ------
    FileNotFoundError
        If there is no run folder.
    InvalidFileError
        If its configuration is damaged or of a newer format.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        stored = read_config(path)
        self.config: dict[str, Any] = stored["config"]
        self.part_seeds: int = stored["part_seeds"]
        self.kernel_hash: str = stored["kernel_hash"]
        self.seeds = _config.seeds_of(self.config)
        self.digest = _config.digest(self.config)
        self.entries: dict[int, Entry] = {}
        self._unlisted: list[tuple[int, int]] = []
        self._damaged: list[int] = []
        self._read_manifest()

    def _file(self, *names: str) -> str:
        return os.path.join(self.path, *names)

    def part_path(self, first: int, last: int) -> str:
        """File of a part, by the places of its first and last seed."""
        return part_path(self.path, first, last)

    def _read_manifest(self) -> None:
        """Find the parts: those in the manifest are taken at its word until they are read."""
        listed, self._damaged = _manifest.read(self._file(_MANIFEST))
        known = {(entry.first, entry.last): entry for entry in listed}
        for first, last in self._names():
            entry = known.get((first, last))
            if entry is None:
                self._unlisted.append((first, last))
            else:
                self.entries[first] = entry

    def _names(self) -> Iterator[tuple[int, int]]:
        """Places in the names of all part files."""
        try:
            names = os.listdir(self._file(_PARTS))  # of 10^5 files faster than os.scandir
        except FileNotFoundError:
            return
        for name in names:
            if match := _PART.fullmatch(name):
                yield int(match[1]), int(match[2])

    def settle(self) -> None:
        """Take in the parts that the manifest does not have, after checking each.

        Raises
        ------
        InvalidFileError
            If one is damaged or belongs to another run.
        """
        if self._damaged:
            warnings.warn(
                f"{self._file(_MANIFEST)!r}: line {self._damaged[0]} is damaged; the parts were "
                "checked themselves",
                RuntimeWarning, stacklevel=3,
            )  # fmt: skip
        for first, last in self._unlisted:
            self.entries[first] = self.check(first, last)
        self._unlisted = []

    def check(self, first: int, last: int) -> Entry:
        """Check a part file against its own checksum and this run; what the manifest says of it."""
        path = self.part_path(first, last)
        size, digest = storage.checksum(path)
        with storage.load(path, lazy=True) as ds:
            self.check_belongs(ds, path, first, last)
        return Entry(first, last, size, digest)

    def check_belongs(self, ds: xr.Dataset, path: str, first: int, last: int) -> None:
        """Refuse a part that is of another configuration, other kernels or other seeds."""
        config = json.loads(ds.attrs.get("gradsim_config", "{}"))
        wrong = _config.differences(
            _config.without_seeds(self.config), _config.without_seeds(config)
        )
        kernels = json.loads(ds.attrs.get("gradsim_provenance", "{}")).get("kernel_hash")
        wrong += _config.differences(self.kernel_hash, kernels, "kernel_hash")
        expected = np.array(self.seeds[first : last + 1], np.uint64)
        if not wrong and not np.array_equal(ds.seed.values.astype(np.uint64), expected):
            wrong = [f"seeds: not those at places {first} to {last}"]
        if wrong:
            raise ForeignPartError(f"{path!r} belongs to another run: {'; '.join(wrong)}")

    def missing(self) -> list[range]:
        """Ranges of places without a part."""
        gaps, place = [], 0
        for first in sorted(self.entries):
            if first > place:
                gaps.append(range(place, first))
            place = max(place, self.entries[first].last + 1)
        if place < len(self.seeds):
            gaps.append(range(place, len(self.seeds)))
        return gaps

    def read(self, entry: Entry) -> str:
        """Path of a part whose file is the one that the manifest has; checked before it is used."""
        path = self.part_path(entry.first, entry.last)
        if storage.checksum(path) != (entry.size, entry.sha256):
            raise InvalidFileError(
                f"{path!r} is not the file that the manifest of the run has; delete it and call "
                "simulate with this store again"
            )
        return path

    def arrays(self) -> xr.Dataset:
        """Given arrays that the configuration does not hold by value."""
        path = self._file(_ARRAYS)
        return storage.load(path) if os.path.exists(path) else xr.Dataset()


class Writer(RunFolder):
    """A run folder that this process alone adds parts to; made by `writing`."""

    def add(self, places: range, ds: xr.Dataset) -> None:
        """Write a part and list it: both are on disk when this returns.

        Raises
        ------
        OSError
            If it cannot be written; what was written before stays.
        """
        path = self.part_path(places.start, places.stop - 1)
        storage.save(ds, path)
        self.list_part(Entry(places.start, places.stop - 1, *storage.checksum(path)))

    def list_part(self, entry: Entry) -> None:
        """List a part whose file is complete, whoever wrote it."""
        _manifest.append(self._file(_MANIFEST), entry)
        self.entries[entry.first] = entry

    def settle(self) -> None:
        """Take in unlisted parts; those that are damaged are forgotten, to be made again."""
        found = len(self._unlisted)
        for first, last in self._unlisted:
            try:
                self.entries[first] = self.check(first, last)
            except ForeignPartError:
                raise
            except InvalidFileError:
                continue
        self._unlisted = []
        if found or self._damaged:
            _atomic.write(self._file(_MANIFEST), _manifest.text(self.entries.values()))
        self._damaged = []

    def set_seeds(self, seeds: Any) -> None:
        """Give the run other seeds: the old ones first, in their order."""
        self.config = self.config | {"seeds": _config.compact(seeds)}
        self.seeds = seeds
        write_config(self.path, self.config, self.part_seeds)


def check_same(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Refuse a folder of another configuration, or of other kernels than this installation's."""
    wrong = _config.differences(folder.config, json.loads(_config.text(config)))
    wrong += _config.differences(folder.kernel_hash, KERNEL_HASH, "kernel_hash")
    if wrong:
        raise ValueError(
            f"simulate(store={folder.path!r}): the folder holds another run: {'; '.join(wrong)}; "
            "give another folder (gs.extend adds seeds)"
        )


@contextlib.contextmanager
def writing(
    path: str, config: Mapping[str, Any], part_seeds: int, arrays: xr.Dataset | None = None
) -> Iterator[Writer]:
    """Open a run folder for adding parts, and make it where there is none.

    Parameters
    ----------
    path
        The folder.
    config
        Configuration of the run.
    part_seeds
        Seeds of a part, where the folder is new.
    arrays
        Given arrays that are too large for the configuration.

    Raises
    ------
    BlockingIOError
        If another process writes to it.
    ValueError
        If it has another configuration or was made by other kernels; says what differs.
    InvalidFileError, OSError
        If it is damaged, is no run folder, or cannot be written.
    """
    config = json.loads(_config.text(config))
    if os.path.exists(path) and not os.path.isdir(path):
        raise NotADirectoryError(f"simulate(store={path!r}): must be a folder, this is a file")
    if not is_run(path) and os.path.isdir(path) and set(os.listdir(path)) - {LOCK, _PARTS}:
        raise ValueError(f"simulate(store={path!r}): the folder is not empty and is no run folder")
    os.makedirs(os.path.join(path, _PARTS), exist_ok=True)
    with locked(path):
        if not is_run(path):
            if arrays is not None and arrays.variables:
                storage.save(arrays, os.path.join(path, _ARRAYS))
            write_config(path, config, part_seeds)
        folder = Writer(path)
        check_same(folder, config)
        _atomic.remove_temporaries(os.path.join(path, _PARTS))
        folder.settle()
        yield folder

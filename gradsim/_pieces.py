"""Files and run folders whose results become one: what they hold, checked before it is read."""

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from gradsim import _config, storage
from gradsim._manifest import Entry
from gradsim._run_files import is_run
from gradsim.store import RunFolder

_OPEN = 2  # files open at once
_GAP = 4096  # seeds: more of them than this between two are not read
GIVEN = set(_config.ARRAYS.values())


@dataclass(frozen=True, eq=False)
class Piece:
    """A file with the results of some seeds (uint64), of a run folder its part."""

    path: str
    seeds: np.ndarray
    run: RunFolder | None = None
    entry: Entry | None = None

    def open(self) -> xr.Dataset:
        """Open the file lazily, once it is checked."""
        if self.run is None or self.entry is None:
            return storage.load(self.path, lazy=True)
        self.run.read(self.entry)
        ds = storage.load(self.path, lazy=True)
        self.run.check_belongs(ds, self.path, self.entry.first, self.entry.last)
        return ds


@dataclass(frozen=True)
class Source:
    """A result file or a run folder: its pieces, and what they must share with all others."""

    path: str
    config: dict[str, Any]
    kernel_hash: str
    declared: np.ndarray
    pieces: Sequence[Piece]
    arrays: xr.Dataset

    @cached_property
    def digest(self) -> str:
        """Of its configuration without the seeds."""
        return _config.digest(self.config)


def source_of(path: str) -> Source:
    """Look into a result file or a run folder.

    Raises
    ------
    ValueError
        If it is no result with seeds, or damaged.
    """
    if is_run(path):
        return source_of_run(RunFolder(path))
    with storage.load(path, lazy=True) as ds:
        if "gradsim_config" not in ds.attrs or "seed" not in ds.dims:
            raise ValueError(f"{path!r} must be a result of gradsim with the dimension 'seed'")
        config = json.loads(ds.attrs["gradsim_config"])
        seeds = ds.seed.values.astype(np.uint64)
        arrays = (
            ds[[name for name in ds.coords if name in GIVEN]]
            .load()
            .drop_vars("seed", errors="ignore")
        )
        kernels = json.loads(ds.attrs.get("gradsim_provenance", "{}")).get("kernel_hash", "")
    return Source(path, config, kernels, seeds, [Piece(path, seeds)], arrays)


def source_of_run(run: RunFolder) -> Source:
    """What a run folder has."""
    run.settle()
    declared = np.array(run.seeds, np.uint64)
    pieces = [
        Piece(run.part_path(e.first, e.last), declared[e.first : e.last + 1], run, e)
        for _, e in sorted(run.entries.items())
    ]
    return Source(run.path, run.config, run.kernel_hash, declared, pieces, run.arrays())


def check_alike(sources: Sequence[Source]) -> None:
    """Refuse results of different configurations or kernels, with what differs."""
    first = sources[0]
    for other in sources[1:]:
        wrong = _config.differences(first.kernel_hash, other.kernel_hash, "kernel_hash")
        if first.digest != other.digest:
            wrong += _config.differences(
                _config.without_seeds(first.config), _config.without_seeds(other.config)
            )
        if wrong:
            text = "; ".join(wrong).replace("stored", "first").replace("now", "second")
            raise ValueError(f"merge: {first.path!r} and {other.path!r} differ: {text}")


def check_open(sources: Sequence[Source], caller: str) -> None:
    """Refuse results with a verdict, which is of all their networks together."""
    for source in sources:
        if "level" in source.config:
            raise ValueError(
                f"{caller}: {source.path!r} is the result of the study {source.config['study']!r}, "
                "whose estimates and verdict are of all its networks together; run the study with "
                "the seeds that you want (given a store, gs.extend and gs.merge take that)"
            )


class Reader:
    """Reads any seeds of pieces, with few files open.

    Attributes
    ----------
    labels
        What does not depend on the seeds, the same in all pieces.
    variables
        Dims, dtype and attributes of what does, by name.
    provenance
        Of every piece that was opened, by its path.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._opened: OrderedDict[int, xr.Dataset] = OrderedDict()
        self.provenance: dict[str, dict[str, Any]] = {}
        ds = pieces[0].open()
        self._opened[0] = ds
        self._note(pieces[0], ds)
        self.names = [str(name) for name in ds.variables]
        self.coords = {str(name) for name in ds.coords}
        own = [n for n in self.names if "seed" in ds[n].dims and n != "seed"]
        self.variables = {n: (ds[n].dims, ds[n].dtype, dict(ds[n].attrs)) for n in own}
        self.seed_attrs = dict(ds.seed.attrs)
        self.labels = self._labels(ds)
        self.attrs = dict(ds.attrs)
        self.sizes = {str(dim): size for dim, size in ds.sizes.items()}

    @staticmethod
    def _labels(ds: xr.Dataset) -> xr.Dataset:
        fixed = [n for n in ds.variables if "seed" not in ds[n].dims and n not in GIVEN]
        kept = ds[fixed].drop_vars(["seed", *GIVEN], errors="ignore").load().drop_encoding()
        return kept.drop_attrs(deep=False)

    def _note(self, piece: Piece, ds: xr.Dataset) -> None:
        self.provenance[piece.path] = json.loads(ds.attrs.get("gradsim_provenance", "{}"))

    def _open(self, number: int) -> xr.Dataset:
        if number in self._opened:
            self._opened.move_to_end(number)
            return self._opened[number]
        ds = self._pieces[number].open()
        self._opened[number] = ds
        if self._pieces[number].path not in self.provenance:
            self._check(self._pieces[number], ds)
            self._note(self._pieces[number], ds)
        if len(self._opened) > _OPEN:
            self._opened.popitem(last=False)[1].close()
        return ds

    def _check(self, piece: Piece, ds: xr.Dataset) -> None:
        """Refuse a file with other variables or labels than the first one."""
        own = {str(n): (ds[n].dims, ds[n].dtype) for n in ds.variables if "seed" in ds[n].dims}
        own.pop("seed")
        same = own == {name: kind[:2] for name, kind in self.variables.items()}
        if not same or not self._labels(ds).identical(self.labels):
            raise ValueError(
                f"merge: {piece.path!r} and {self._pieces[0].path!r} do not have the same "
                "variables and coordinates"
            )

    @property
    def seed_bytes(self) -> int:
        """Bytes of one seed."""
        return 8 + sum(
            int(np.prod([self.sizes[str(d)] for d in dims if d != "seed"])) * kind.itemsize
            for dims, kind, _ in self.variables.values()
        )

    def empty(self, seeds: int) -> dict[str, np.ndarray]:
        """Arrays for a number of seeds."""
        sizes = self.sizes | {"seed": seeds}
        return {
            name: np.empty([sizes[str(d)] for d in dims], kind)
            for name, (dims, kind, _) in self.variables.items()
        }

    def fill(self, out: dict[str, np.ndarray], at: np.ndarray, number: int, index: Any) -> None:
        """Put the seeds ``index`` (ascending) of a piece to the places ``at`` along seed."""
        ds = self._open(number)
        cuts = np.flatnonzero(np.diff(index) > _GAP) + 1  # what lies far between is not read
        for places, block in zip(np.split(at, cuts), np.split(index, cuts)):
            self._copy(out, places, ds, block)

    def _copy(
        self, out: dict[str, np.ndarray], at: np.ndarray, ds: xr.Dataset, index: np.ndarray
    ) -> None:
        first, last = int(index[0]), int(index[-1]) + 1
        block = slice(first, last)
        chosen = slice(None) if last - first == len(index) else index - first
        straight = np.array_equal(at, np.arange(at[0], at[0] + len(at)))
        target = slice(int(at[0]), int(at[0]) + len(at)) if straight else at
        for name, (dims, _, _) in self.variables.items():
            axis = dims.index("seed")
            values = ds[name].isel(seed=block).values
            before = (slice(None),) * axis
            out[name][(*before, target)] = values[(*before, chosen)]

    def dataset(self, values: dict[str, np.ndarray], seeds: np.ndarray) -> xr.Dataset:
        """Label the values of some seeds, variables in the order of the first piece."""
        kind = np.uint64 if seeds.max() >= 2**63 else np.int64
        whole = {name: (self.variables[name][0], values[name], self.variables[name][2])
                 for name in self.variables}  # fmt: skip
        whole["seed"] = (("seed",), seeds.astype(kind), self.seed_attrs)
        names = [n for n in self.names if n not in GIVEN]
        ordered = {n: whole.get(n, self.labels.variables.get(n)) for n in names}
        return xr.Dataset(ordered).set_coords([n for n in names if n in self.coords])

    def close(self) -> None:
        """Close all files."""
        for ds in self._opened.values():
            ds.close()
        self._opened.clear()


@contextlib.contextmanager
def reading(pieces: Sequence[Piece]) -> Iterator[Reader]:
    """Read pieces and close their files."""
    reader = Reader(pieces)
    try:
        yield reader
    finally:
        reader.close()


def resolved(path: Any, caller: str) -> str:
    """Path without links."""
    return os.path.realpath(storage.as_path(path, caller))

"""`merge`: results of the same configuration become one, in memory or in a file."""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from gradsim import _config, storage
from gradsim._pieces import (
    Piece,
    Reader,
    Source,
    check_alike,
    check_open,
    reading,
    resolved,
    source_of,
)
from gradsim._registry import brief
from gradsim._slabs import growing
from gradsim._validate import parse_memory
from gradsim.dataset import maker

SLAB_BYTES = 2**25
HELD = 2  # copies of a result in memory while it is put together


def merge(
    paths: Any, path: Any = None, *, gaps: bool = False, memory_limit: int | None = None
) -> xr.Dataset:
    """Make one result of files, parts and run folders of the same configuration.

    Parameters
    ----------
    paths
        Result files and run folders, in any order; their configurations may differ in the seeds
        alone.  Seeds that several have must have the same results, bit for bit.
    path
        File to write, slab by slab, so that the result need not fit into memory; None writes none.
    gaps
        Take what is there where seeds are missing: those that a run folder does not have yet, and
        those between the seeds of sources that are ranges.
    memory_limit
        Bytes that the result may take; None means what is free.

    Returns
    -------
    xarray.Dataset
        As one :func:`gradsim.simulate` of all seeds returns it.  Seeds are in the order of the
        configuration where all sources share it, else ascending.  In memory where twice its size
        fits `memory_limit`; else, with `path`, opened lazily, to be closed with ``ds.close()``.

    Raises
    ------
    ValueError
        If configurations, kernels or the results of a shared seed differ, seeds are missing, a
        file is damaged, or it is the file of a study, whose verdict is of all its networks; says
        which.
    MemoryError
        If the result does not fit and `path` is None.
    OSError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> import tempfile
    >>> import gradsim as gs
    >>> model, folder = gs.MLP(depth=3, width=8), tempfile.TemporaryDirectory()
    >>> for first in (0, 5):
    ...     ds = gs.simulate(model, range(first, first + 5), progress=False)
    ...     gs.save(ds, f"{folder.name}/{first}.nc")
    >>> merge([folder.name + "/5.nc", folder.name + "/0.nc"]).seed.values
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> folder.cleanup()
    """
    single = isinstance(paths, str | os.PathLike)
    if not single and not isinstance(paths, Sequence):
        raise TypeError(f"merge: paths must be a sequence of paths, got {brief(paths)}")
    listed = [paths] if single else list(paths)
    if not listed:
        raise ValueError("merge: paths must not be empty")
    sources = [source_of(resolved(item, "merge")) for item in listed]
    check_open(sources, "merge")
    return assemble(sources, path, "merge", gaps=gaps, memory=parse_memory(memory_limit))


def assemble(
    sources: Sequence[Source],
    path: Any,
    call: str,
    *,
    memory: int,
    gaps: bool = False,
    seeds: np.ndarray | None = None,
    spill: bool = False,
) -> xr.Dataset:
    """Put the pieces of sources together, in the order of ``seeds``; see `merge`.

    With ``spill`` the file is only for what does not fit into memory.
    """
    check_alike(sources)
    pieces = [piece for source in sources for piece in source.pieces]
    seeds = _order(sources, pieces, gaps) if seeds is None else seeds
    with reading(pieces) as reader:
        layout = Layout(pieces, seeds, reader)
        needed = HELD * reader.seed_bytes * len(seeds)
        fits = needed <= memory
        if not fits and path is None:
            raise MemoryError(
                f"{call}: the result of {len(seeds)} seeds needs about {needed / 1e9:.3g} GB, more "
                f"than the {memory / 1e9:.3g} GB that memory_limit or the machine allows; give a "
                "path to write it to"
            )
        layout.check_shared()
        arrays = next((s.arrays for s in sources if s.arrays.variables), xr.Dataset())
        if path is None or (spill and fits):
            return layout.whole(arrays, lambda: attributes(sources[0], reader, seeds, call))
        with growing(path) as file:
            for ds in layout.slabs():
                file.append(ds.assign_coords(arrays.coords))
            file.finish(attributes(sources[0], reader, seeds, call))
    return storage.load(path, lazy=not fits)


def _order(sources: Sequence[Source], pieces: Sequence[Piece], gaps: bool) -> np.ndarray:
    """Seeds of the result; ValueError names those that are missing."""
    declared = [source.declared for source in sources]
    alike = all(np.array_equal(declared[0], other) for other in declared[1:])
    seeds = declared[0] if alike else np.unique(np.concatenate(declared))
    found = np.unique(np.concatenate([np.zeros(0, np.uint64), *(p.seeds for p in pieces)]))
    here = np.isin(seeds, found)
    missing = [] if here.all() else _ranges(seeds[~here])
    if all(_is_range(each) for each in declared):
        missing += _between(seeds)
    if not here.any():
        raise ValueError(f"{sources[0].path!r} has no finished part yet")
    if missing and not gaps:
        named = [f"{a}" if a == b else f"{a}..{b}" for a, b in sorted(missing)]
        few = named if len(named) <= 8 else [*named[:8], f"and {len(named) - 8} further ranges"]
        raise ValueError(
            f"merge: seeds are missing: {', '.join(few)}; run them, or take what is there with "
            "gaps=True"
        )
    return seeds[here]


def _is_range(seeds: np.ndarray) -> bool:
    return bool((seeds[1:] - seeds[:-1] == 1).all())


def _ranges(seeds: np.ndarray) -> list[tuple[int, int]]:
    """First and last of all ranges of seeds."""
    seeds = np.sort(seeds)
    cuts = np.flatnonzero(np.diff(seeds) != 1)
    firsts, lasts = np.r_[0, cuts + 1], np.r_[cuts, len(seeds) - 1]
    return [(int(seeds[a]), int(seeds[b])) for a, b in zip(firsts, lasts)]


def _between(seeds: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of seeds that lie between others and are not there."""
    held = _ranges(seeds)
    return [(a[1] + 1, b[0] - 1) for a, b in pairwise(held)]


class Layout:
    """Which piece has each seed of a result."""

    def __init__(self, pieces: Sequence[Piece], seeds: np.ndarray, reader: Reader) -> None:
        self._pieces, self._seeds, self._reader = pieces, seeds, reader
        self._owner = np.full(len(seeds), -1, np.int64)
        self._index = np.zeros(len(seeds), np.int64)
        self._shared: list[tuple[int, np.ndarray, np.ndarray]] = []
        order = np.argsort(seeds, kind="stable")
        for number, piece in enumerate(pieces):
            places = order[np.searchsorted(seeds, piece.seeds, sorter=order)]
            taken = self._owner[places] >= 0
            own = np.flatnonzero(~taken)
            self._owner[places[own]], self._index[places[own]] = number, own
            if taken.any():
                self._shared.append((number, np.flatnonzero(taken), places[taken]))

    @property
    def _step(self) -> int:
        """Seeds of a slab: a power of two, as parts are."""
        return 1 << (max(SLAB_BYTES // self._reader.seed_bytes, 1).bit_length() - 1)

    def take(self, places: np.ndarray, out: dict[str, np.ndarray], first: int = 0) -> None:
        """Put the results of some places into arrays, from position ``first`` along seed."""
        owners, index = self._owner[places], self._index[places]
        for number in dict.fromkeys(owners.tolist()):
            here = np.flatnonzero(owners == number)
            here = here[np.argsort(index[here], kind="stable")]
            self._reader.fill(out, first + here, number, index[here])

    def _blocks(self, count: int) -> Iterator[slice]:
        for first in range(0, count, self._step):
            yield slice(first, min(first + self._step, count))

    def whole(self, arrays: xr.Dataset, attrs: Any) -> xr.Dataset:
        """Everything in memory."""
        out = self._reader.empty(len(self._seeds))
        for block in self._blocks(len(self._seeds)):
            self.take(np.arange(block.start, block.stop), out, block.start)
        ds = self._reader.dataset(out, self._seeds).assign_coords(arrays.coords)
        ds.attrs = attrs()
        return ds

    def slabs(self) -> Iterator[xr.Dataset]:
        """Results of consecutive places, one slab after the other."""
        for block in self._blocks(len(self._seeds)):
            places = np.arange(block.start, block.stop)
            out = self._reader.empty(len(places))
            self.take(places, out)
            ds = self._reader.dataset(out, self._seeds[places])
            ds["seed"] = ds.seed.astype(np.uint64 if self._seeds.max() >= 2**63 else np.int64)
            ds.attrs = self._reader.attrs
            yield ds

    def check_shared(self) -> None:
        """Refuse pieces that disagree about a seed."""
        for number, index, places in self._shared:
            for block in self._blocks(len(index)):
                size = len(index[block])
                first, second = self._reader.empty(size), self._reader.empty(size)
                self.take(places[block], first)
                self._reader.fill(second, np.arange(size), number, index[block])
                self._compare(first, second, number, places[block])

    def _compare(self, first: Any, second: Any, number: int, places: np.ndarray) -> None:
        for name, (dims, _, _) in self._reader.variables.items():
            axis = dims.index("seed")
            a, b = (np.moveaxis(v[name], axis, 0).reshape(len(places), -1) for v in (first, second))
            wrong = [i for i in range(len(places)) if a[i].tobytes() != b[i].tobytes()]
            if wrong:
                place = places[wrong[0]]
                raise ValueError(
                    f"merge: {self._pieces[int(self._owner[place])].path!r} and "
                    f"{self._pieces[number].path!r} have different {name} of seed "
                    f"{self._seeds[place]}"
                )


def attributes(source: Source, reader: Reader, seeds: np.ndarray, call: str) -> dict[str, Any]:
    """Attributes of the whole: the seeds of all pieces, and what made them."""
    ranged = _is_range(seeds)
    text = {"range": [int(seeds[0]), int(seeds[-1]) + 1]} if ranged else {"list": seeds.tolist()}
    attrs = reader.attrs | {"gradsim_config": _config.text(source.config | {"seeds": text})}
    if call != "simulate":
        attrs["history"] = (
            f"{attrs.get('history', '')}\n{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} gradsim.{call}"
        ).lstrip()
    made = json.dumps(_provenance(list(reader.provenance.values())), sort_keys=True)
    return attrs | {"gradsim_provenance": made}


def _provenance(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """What made all pieces: the first, their time in all, and the others where they differ."""
    makers: list[dict[str, Any]] = []
    for piece in pieces:
        makers += [m for m in piece.get("mixed", [maker(piece)]) if m not in makers]
    seconds = sum(piece.get("elapsed_seconds", 0.0) for piece in pieces)
    mixed = {"mixed": makers} if len(makers) > 1 else {}
    return pieces[0] | {"elapsed_seconds": round(seconds, 3)} | mixed

"""What a run folder adds to a run: writing its parts, and putting them together at the end."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from gradsim import _pool, storage
from gradsim._pieces import resolved
from gradsim._run_files import is_run
from gradsim._slabs import growing
from gradsim._validate import parse_threads
from gradsim.merge import SLAB_BYTES
from gradsim.store import RunFolder, check_same

if TYPE_CHECKING:
    from gradsim._work import Work

SAMPLE_BYTES = 2**22  # of the part that is written, as far as its networks run in time
SAMPLE_SECONDS = 0.3


@dataclass(frozen=True)
class Line:
    """Seconds of a file: some of its own, some for each of its seeds."""

    file: float
    seed: float

    def of(self, seeds: int, files: int) -> float:
        """Seconds of a number of files with so many seeds together."""
        return files * self.file + seeds * self.seed


@dataclass(frozen=True)
class Storing:
    """Times of a run folder's files, from a small part written and read in the temporary folder.

    Attributes
    ----------
    write, read, grow
        Of writing a part, of reading it, and of adding it to a file of the whole result.
    """

    write: Line
    read: Line
    grow: Line

    @staticmethod
    def measured(work: "Work", seconds: float) -> "Storing":
        """Time the first networks, one of which takes ``seconds``."""
        most = max(SAMPLE_BYTES // work.seed_bytes, 1)
        count = min(len(work.run.seeds), work.part_seeds, most)
        count = max(1, min(count, int(SAMPLE_SECONDS / seconds)))
        ds = work.part(range(count), _pool.Bar(0, False))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "part.nc")
            calls: tuple[Callable[[xr.Dataset], Any], ...] = (
                lambda part: storage.save(part, path),
                lambda part: storage.load(path),
                lambda part: _grow(part, path),
            )
            first = ds.isel(seed=slice(1))
            one, many = ([_seconds(call, part) for call in calls] for part in (first, ds))
        lines = (_line(a, b, count) for a, b in zip(one, many))
        return Storing(*lines)

    def beside(self, run: float, threads: int, seeds: int, files: int) -> float:
        """Seconds of running and writing parts: one is written while the next one runs."""
        write, processors = self.write.of(seeds, files), parse_threads(None)
        taken = min(max(threads + 1 - processors, 0), 1) / processors  # from those that run
        return max(run + taken * write, write) + write / files

    def together(self, seeds: int, files: int, fits: bool) -> float:
        """Seconds of putting all parts together, in memory or in a file that is then checked."""
        read = self.read.of(seeds, files)
        return read if fits else read + self.grow.of(seeds, files)


def _seconds(call: Callable[[xr.Dataset], Any], part: xr.Dataset) -> float:
    """Wall time of a call, the second time: the first one opens what all later ones use."""
    call(part)
    begin = time.perf_counter()
    call(part)
    return time.perf_counter() - begin


def _line(one: float, many: float, count: int) -> Line:
    slope = max(many - one, 0.0) / max(count - 1, 1)
    return Line(max(one - slope, 0.0), slope)


def _grow(part: xr.Dataset, path: str) -> None:
    with growing(path) as file:
        file.append(part)
        file.finish(part.attrs)
    storage.load(path, lazy=True).close()


def left(run: Any, store: Any) -> int:
    """Seeds that a run folder does not have yet.

    Raises
    ------
    ValueError
        If it is of another run, as `simulate` does.
    """
    path = resolved(store, "estimate")
    if not is_run(path):
        return len(run.seeds)
    folder = RunFolder(path)
    check_same(folder, run.config())
    return sum(map(len, folder.missing()))


def merged_bytes(work: "Work", fits: bool) -> int:
    """Memory of putting parts together: all of the result, or of a slab, and the parts read."""
    whole = work.result_bytes if fits else 2 * SLAB_BYTES
    part = work.seed_bytes * min(work.part_seeds, len(work.run.seeds))
    return whole + 2 * part + work.plan_bytes

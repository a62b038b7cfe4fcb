"""A prepared run cut into parts: ranges of places among its seeds, each a result of its own.

A part is the same Dataset that `simulate` returns for its seeds alone.  Where it is made (in this
process, by a worker of a cluster) and where it goes (memory, a run folder) is up to the caller.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import xarray as xr

from gradsim import _pool
from gradsim._memory import pass_bytes, require
from gradsim.dataset import Collector
from gradsim.plan import build
from gradsim.workspace import results_bytes, work_bytes

if TYPE_CHECKING:
    from gradsim.simulate import Run

PART_BYTES = 2**25  # results of a part
PART_SECONDS = 20.0  # of one thread, roughly: what a killed process loses
MOST_SEEDS = 2**20
COPIES = 2  # of a result while it becomes a Dataset
WRITTEN = 4  # parts in memory where they are written: one runs, one is written, with their copies


class Work:
    """The passes of a run, ready to take any of its seeds.

    Parameters
    ----------
    run
        The checked call.
    whole
        Whether all its results are to be in memory at once, or one part after the other.

    Raises
    ------
    MemoryError
        If the results and one network do not fit, before any work.
    """

    def __init__(self, run: "Run", *, whole: bool = True) -> None:
        self.run = run
        result = Collector(run).nbytes()
        self.seed_bytes = result // len(run.seeds)
        examples, given = run.inputs.count, run.given is not None
        least = max(pass_bytes(m, examples, run.options, given) for m in run.sweep.models)
        held = COPIES * result if whole else WRITTEN * self.seed_bytes
        require(run.memory, result_and_copy=held, network=least)
        self.passes = list(build(run.sweep.models, run.inputs, run.targets, run.options, run.given))
        if not whole:
            held = WRITTEN * self.seed_bytes * min(self.part_seeds, len(run.seeds))
        self._workers = self._fit(held)

    def _fit(self, held: int) -> int:
        """Workers that fit into memory; MemoryError before any work where not even one does."""
        memory = self.run.memory
        chunks = [max(results_bytes(item), _pool.CHUNK_BYTES) for item in self.passes]
        largest = max(work_bytes(item) + chunk for item, chunk in zip(self.passes, chunks))
        made = [item.maker.model.init for item in self.passes if item.maker is not None]
        network = f"network, init={made[0]!r} holds all its weights" if made else "network"
        require(memory, **{"result_and_copy": held, network: largest})
        return max(1, min(self.run.threads, (memory - held) // largest))

    @property
    def part_seeds(self) -> int:
        """Seeds of a part: a power of two that the configuration alone decides."""
        seconds = sum(item.cost for item in self.passes)
        most = min(PART_BYTES // max(self.seed_bytes, 1), int(PART_SECONDS / seconds), MOST_SEEDS)
        return 1 << (max(most, 1).bit_length() - 1)

    def bar(self, seeds: int, progress: bool | None) -> AbstractContextManager["_pool.Bar"]:
        """Progress over a number of seeds."""
        return _pool.Bar(sum(2 * p.scalars["layers"] * seeds for p in self.passes), progress)

    def part(self, places: range, bar: "_pool.Bar") -> xr.Dataset:
        """Result of the seeds at some places (consecutive)."""
        begin = time.perf_counter()
        run = replace(self.run, seeds=self.run.seeds[places.start : places.stop])
        collector = Collector(run)
        collector.allocate()
        _pool.run_passes(self.passes, run.seeds, run.key, self._workers, collector.add, bar)
        return collector.dataset(time.perf_counter() - begin)


def cut(places: Iterable[range], size: int) -> Iterator[range]:
    """Parts of ranges of places: they end at the multiples of ``size``."""
    for gap in places:
        first = gap.start
        while first < gap.stop:
            last = min(first - first % size + size, gap.stop)
            yield range(first, last)
            first = last

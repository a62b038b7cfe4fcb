"""A prepared run cut into parts: ranges of places among its seeds, each a result of its own.

A part is the same Dataset that `simulate` returns for its seeds alone.  Where it is made (in this
process, by a worker of a cluster) and where it goes (memory, a run folder) is up to the caller.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import xarray as xr

from gradsim import _pool
from gradsim._memory import pass_bytes, require
from gradsim.dataset import Collector
from gradsim.plan import build
from gradsim.workspace import results_bytes, work_bytes

if TYPE_CHECKING:
    from gradsim.plan import Pass
    from gradsim.simulate import Run

PART_BYTES = 2**25  # results of a part
PART_SECONDS = 20.0  # of one thread, roughly: what a killed process loses
MOST_SEEDS = 2**20
WRITTEN = 4  # parts in memory where they are written: one runs, one is written, with their copies


class Parts(Protocol):
    """A call that takes any of its seeds, a part at a time."""

    @property
    def part_seeds(self) -> int:
        """Seeds of a part: a power of two that the configuration alone decides."""
        ...

    def bar(self, seeds: int, progress: bool | None) -> AbstractContextManager["_pool.Bar"]:
        """Progress over a number of seeds."""
        ...

    def part(self, places: range, bar: "_pool.Bar") -> xr.Dataset:
        """Result of the seeds at some places (consecutive)."""
        ...


class Call(Protocol):
    """A checked call of `simulate`, of `train` or of a study, whose networks go by their seeds."""

    @property
    def seeds(self) -> Sequence[int]:
        """Networks."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that it may take."""
        ...

    @property
    def dtype(self) -> str:
        """Name of the precision of its networks."""
        ...

    def config(self) -> dict[str, Any]:
        """What rebuilds it, as plain data."""
        ...

    def arrays(self) -> xr.Dataset:
        """Given arrays that the configuration does not hold by value."""
        ...

    def work(self, *, whole: bool = True) -> Parts:
        """Itself cut into parts; with ``whole`` all results are to be in memory at once."""
        ...


class Work:
    """The passes of a run, ready to take any of its seeds.

    Parameters
    ----------
    run
        The checked call.
    whole
        Whether all its results are to be in memory at once, or one part after the other.
    probe
        Whether a few networks are to run alone, whose results fit where all do not.

    Attributes
    ----------
    passes
        What the engine runs.
    result_bytes, held_bytes, run_bytes
        The values of the result; what is in memory beside the workers; and all that the run
        takes, which is what `memory_limit` is about.
    workers
        Threads that there is memory for.

    Raises
    ------
    MemoryError
        If the results and one network do not fit, before any work.
    """

    def __init__(self, run: "Run", *, whole: bool = True, probe: bool = False) -> None:
        self.run = run
        self.result_bytes = Collector(run).nbytes()
        self.seed_bytes = self.result_bytes // len(run.seeds)
        examples, given = run.inputs.count, run.given is not None
        least = max(pass_bytes(m, examples, run.options, given) for m in run.sweep.models)
        held = self.result_bytes if whole else WRITTEN * self.seed_bytes
        require(run.memory, result=0 if probe else held, network=least)
        self.passes = list(build(run.sweep.models, run.inputs, run.targets, run.options, run.given))
        if not whole:
            held = WRITTEN * self.seed_bytes * min(self.part_seeds, len(run.seeds))
        worker = max(map(self._worker_bytes, self.passes))
        made = [item.maker.model.init for item in self.passes if item.maker is not None]
        network = f"network, init={made[0]!r} holds all its weights" if made else "network"
        require(run.memory, **{"result": 0 if probe else held, network: self.plan_bytes + worker})
        self.held_bytes = held + self.plan_bytes
        self.workers = max(1, min(run.threads, (run.memory - self.held_bytes) // worker))
        self.run_bytes = self.held_bytes + self.workers * worker

    @property
    def plan_bytes(self) -> int:
        """Memory of the passes: arrays that all workers read, and what theirs start with."""
        arrays = (a for item in self.passes for part in (item.shared, item.start)
                  for a in part.values())  # fmt: skip
        return sum(array.nbytes for array in arrays)

    def _worker_bytes(self, item: "Pass") -> int:
        """Memory of a worker with the results of its chunk."""
        networks = min(_pool.chunk_seeds(item), len(self.run.seeds))
        return work_bytes(item) + networks * results_bytes(item)

    @property
    def part_seeds(self) -> int:
        """Seeds of a part: a power of two that the configuration alone decides."""
        seconds = sum(item.cost for item in self.passes)
        most = min(PART_BYTES // max(self.seed_bytes, 1), int(PART_SECONDS / seconds), MOST_SEEDS)
        return 1 << (max(most, 1).bit_length() - 1)

    def layers(self, seeds: int) -> int:
        """Layers that a number of seeds takes, forward and backward."""
        return sum(2 * item.scalars["layers"] * seeds for item in self.passes)

    def bar(self, seeds: int, progress: bool | None) -> AbstractContextManager["_pool.Bar"]:
        """Progress over a number of seeds."""
        return _pool.Bar(self.layers(seeds), progress)

    def part(self, places: range, bar: "_pool.Bar") -> xr.Dataset:
        """Result of the seeds at some places (consecutive)."""
        begin = time.perf_counter()
        run = replace(self.run, seeds=self.run.seeds[places.start : places.stop])
        collector = Collector(run)
        collector.allocate()
        _pool.run_passes(self.passes, run.seeds, run.key, self.workers, collector.add, bar)
        return collector.dataset(time.perf_counter() - begin)


def cut(places: Iterable[range], size: int) -> Iterator[range]:
    """Parts of ranges of places: they end at the multiples of ``size``."""
    for gap in places:
        first = gap.start
        while first < gap.stop:
            last = min(first - first % size + size, gap.stop)
            yield range(first, last)
            first = last

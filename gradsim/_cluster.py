"""Parts of a run on the workers of a dask cluster, which the caller brings as a client.

A part may be made twice (a worker died, a call was repeated): both times it has the same bits, and
its file appears complete or not at all.  Where the workers see the run folder they write it
themselves, and only its line of the manifest comes back.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import xarray as xr

from gradsim import _own, _pool
from gradsim._cluster_worker import config_digest, make_part
from gradsim._config import stored_arrays
from gradsim._manifest import Entry
from gradsim._registry import brief
from gradsim._work import Work
from gradsim.dataset import Collector
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.store import Writer

if TYPE_CHECKING:
    from gradsim.simulate import Run

SHARE = 3  # a part is this part of what is left for a thread, so that all end together
SMALLEST = 64  # of what a part may be at most: the smallest one
AHEAD = 2  # parts in flight for every thread of the cluster: one runs, one waits
RECOUNT_SECONDS = 5.0  # between two looks at how many threads there are

Take = Callable[[range, Any], None]  # places, and a Dataset or an Entry


class PartialRunError(RuntimeError):
    """Some networks could not be run, for their workers died of them; all others are kept.

    Attributes
    ----------
    seeds
        The networks, a sequence for each part that failed.
    result
        Dataset of the others; None where they are in a store.
    """

    def __init__(self, message: str, seeds: list[Any], result: xr.Dataset | None = None) -> None:
        super().__init__(message)
        self.seeds, self.result = seeds, result


@dataclass(frozen=True)
class Remote:
    """A client, and what a part may take on its workers.

    Attributes
    ----------
    client
        A connected ``distributed.Client``; its workers have this gradsim installed.
    threads
        Of a part; None is one.
    memory_limit
        Bytes of a part; None is what its worker has free.

    Raises
    ------
    TypeError
        If it is no client.
    """

    client: Any
    threads: int | None = None
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        """Check the client: whoever has one has imported its module."""
        module = sys.modules.get("distributed")
        if module is None or not isinstance(self.client, module.Client):
            raise TypeError(
                f"simulate: client must be a distributed.Client, got {brief(self.client)}"
            )

    @property
    def cores(self) -> int:
        """Threads of all workers now."""
        return sum(self.client.nthreads().values())

    def _shrunk(self, parts: Iterable[range], seeds: int, most: int) -> Iterator[range]:
        """Cut parts so that the last ones of all ``seeds`` are small, and no thread waits long."""
        least, left = max(most // SMALLEST, 1), seeds
        threads = SHARE * max(self.cores, 1)
        for part in parts:
            first = part.start
            while first < part.stop:
                size = min(max(left // threads, least), most, part.stop - first)
                yield range(first, first + size)
                first, left = first + size, left - size

    def run(self, run: "Run", progress: bool | None) -> xr.Dataset:
        """Run all parts, with the result in memory.

        Raises
        ------
        PartialRunError
            If some parts always killed their worker; it holds the others.
        """
        begin = time.perf_counter()
        work, collector = Work(run), Collector(run)
        collector.allocate()
        whole = range(len(run.seeds))
        parts = self._shrunk([whole], len(whole), work.part_seeds)
        with work.bar(len(run.seeds), progress) as bar:
            crew = _Crew(self, work, bar)
            failed = crew.complete(parts, lambda at, ds: collector.insert(at.start, ds))
        result = collector.dataset(time.perf_counter() - begin)
        result = result.assign_coords(stored_arrays(run).coords)
        if failed:
            left = np.concatenate([np.array(part) for part in failed])
            kept = np.setdiff1d(np.arange(len(run.seeds)), left)
            raise _partial(run.seeds, failed, result.isel(seed=kept))
        return result

    def complete(
        self, work: Work, folder: Writer, parts: Iterable[range], progress: bool | None
    ) -> None:
        """Run parts of a run folder, which workers write themselves where they see it.

        Raises
        ------
        PartialRunError
            If some parts always killed their worker; all others are in the folder.
        """

        def take(places: range, made: Any) -> None:
            if isinstance(made, Entry):
                folder.list_part(made)
            else:
                folder.add(places, made)

        missing = sum(map(len, folder.missing()))
        with work.bar(missing, progress) as bar:
            crew = _Crew(self, work, bar, folder.path)
            failed = crew.complete(self._shrunk(parts, missing, folder.part_seeds), take)
        if failed:
            raise _partial(work.run.seeds, failed)


def _partial(
    seeds: Sequence[int], failed: list[range], result: xr.Dataset | None = None
) -> PartialRunError:
    """Error that names the seeds of the parts that failed."""
    lost = [seeds[part.start : part.stop] for part in failed]
    names = ", ".join(f"{part[0]} to {part[-1]}" for part in lost)
    kept = "the others are the error's `result`" if result is not None else "all others are stored"
    return PartialRunError(
        f"simulate: the workers that ran seeds {names} died each time; {kept}", lost, result
    )


class _Crew:
    """The workers of a client at one run, and what is in flight to them."""

    def __init__(
        self, remote: Remote, work: Work, bar: "_pool.Bar", store: str | None = None
    ) -> None:
        from distributed.protocol.pickle import dumps

        self._remote, self._client, self._work, self._bar = remote, remote.client, work, bar
        self._token = uuid4().hex
        self._store = None if store is None else os.path.abspath(store)
        self._config = self._store and config_digest(self._store)
        run = replace(work.run, threads=remote.threads or 1)
        payload = dumps((run, remote.memory_limit, _own.entries(), KERNEL_HASH))
        self._digest = sha256(payload).hexdigest()
        # As a task, not scattered data: the scheduler can make it again when its worker dies.
        self._payload = self._client.submit(bytes, payload, key=f"gradsim-run-{self._token}")

    def complete(self, parts: Iterable[range], take: Take) -> list[range]:
        """Make parts and hand each to ``take`` as it comes, in any order; those that failed."""
        try:
            suspects = self._drain(parts, take, "part", self._window())
            # Parts that only shared a worker with one that kills it do well alone.
            return self._drain(suspects, take, "alone", repeat(1))
        finally:
            self._payload.release()  # else the scheduler would make it again for nobody

    def _window(self) -> Iterator[int]:
        """How many parts may be in flight now: workers may come and go."""
        seen, window = -RECOUNT_SECONDS, 0
        while True:
            if time.monotonic() - seen > RECOUNT_SECONDS:
                seen, window = time.monotonic(), max(AHEAD * self._remote.cores, 1)
            yield window

    def _drain(
        self, parts: Iterable[range], take: Take, name: str, window: Iterator[int]
    ) -> list[range]:
        """Keep a window of parts in flight until all are done; those that killed their workers."""
        from distributed import KilledWorker, as_completed

        queue, failed = iter(parts), []
        flying: dict[Any, range] = {}
        done = as_completed()

        def launch() -> None:
            for places in islice(queue, max(next(window) - len(flying), 0)):
                key = f"gradsim-{name}-{self._token}-{places.start}-{places.stop - 1}"
                future = self._client.submit(
                    make_part, self._payload, self._digest, places, self._store, self._config,
                    key=key,
                )  # fmt: skip
                flying[future] = places
                done.add(future)

        try:
            launch()
            while flying:
                future = next(done)
                places = flying.pop(future)
                if isinstance(future.exception(), KilledWorker):
                    failed.append(places)
                else:
                    take(places, future.result())  # raises what went wrong otherwise
                    self._bar.finish_pass(self._work.layers(len(places)))
                future.release()
                launch()
        finally:
            if flying:
                self._client.cancel(list(flying))
        return sorted(failed, key=lambda places: places.start)

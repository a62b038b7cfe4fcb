"""Parts of a run on the workers of a dask cluster, which the caller brings as a client.

A part may be made twice (a worker died, a call was repeated): both times it has the same bits, and
its file appears complete or not at all.  Where the workers see the run folder they write it
themselves, and only its line of the manifest comes back.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from gradsim import _pool, storage
from gradsim._manifest import Entry
from gradsim._registry import brief
from gradsim._validate import parse_memory
from gradsim._work import Work, cut
from gradsim.activations import activations
from gradsim.cells import cells
from gradsim.dataset import Collector
from gradsim.initializers import initializers
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.store import part_path

if TYPE_CHECKING:
    from gradsim.simulate import Run

AHEAD = 2  # parts in flight for every thread of the cluster: one runs, one waits
RECOUNT_SECONDS = 5.0  # between two looks at how many threads there are
_REGISTRIES = {"cells": cells, "activations": activations, "initializers": initializers}

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


def check_client(client: Any) -> None:
    """Refuse with TypeError what is no ``distributed.Client``."""
    module = sys.modules.get("distributed")  # whoever has a client has imported it
    if module is None or not isinstance(client, module.Client):
        raise TypeError(f"simulate: client must be a distributed.Client, got {brief(client)}")


def run_on(
    client: Any, run: "Run", *, threads: Any, memory_limit: Any, progress: bool | None
) -> xr.Dataset:
    """Run on the workers of a client, with the result in memory.

    Raises
    ------
    PartialRunError
        If some parts always killed their worker; it holds the others.
    """
    begin = time.perf_counter()
    work, collector = Work(run), Collector(run)
    collector.allocate()
    cluster = Cluster(client, work, threads=threads, memory_limit=memory_limit)
    parts = cut([range(len(run.seeds))], cluster.part_seeds())
    with work.bar(len(run.seeds), progress) as bar:
        failed = cluster.complete(parts, lambda at, ds: collector.insert(at.start, ds), bar)
    result = collector.dataset(time.perf_counter() - begin)
    if failed:
        left = np.concatenate([np.array(part) for part in failed])
        kept = np.setdiff1d(np.arange(len(run.seeds)), left)
        raise partial_run(run.seeds, failed, result.isel(seed=kept))
    return result


def partial_run(
    seeds: Sequence[int], failed: list[range], result: xr.Dataset | None = None
) -> PartialRunError:
    """Error that names the seeds of the parts that failed."""
    lost = [seeds[part.start : part.stop] for part in failed]
    names = ", ".join(f"{part[0]} to {part[-1]}" for part in lost)
    kept = "the others are the error's `result`" if result is not None else "all others are stored"
    return PartialRunError(
        f"simulate: the workers that ran seeds {names} died each time; {kept}", lost, result
    )


class Cluster:
    """A run on the workers of a client.

    Parameters
    ----------
    client
        A connected ``distributed.Client``; its workers have this gradsim installed.
    work
        The run; a part takes one thread of a worker, or as many as ``threads``.
    threads, memory_limit
        As the caller of `simulate` gave them: None is one thread, and what each worker has free.
    store
        Run folder, None for results in memory.
    """

    def __init__(
        self, client: Any, work: Work, *, threads: Any, memory_limit: Any, store: str | None = None
    ) -> None:
        from distributed.protocol.pickle import dumps

        self._client, self._work, self._token = client, work, uuid4().hex
        self._store, self._config = store, store and _config_digest(store)
        run = replace(work.run, threads=1 if threads is None else threads)
        payload = dumps((run, memory_limit, _made_by_users(), KERNEL_HASH))
        self._digest = sha256(payload).hexdigest()
        # As a task, not scattered data: the scheduler can make it again when its worker dies.
        self._payload = client.submit(bytes, payload, key=f"gradsim-run-{self._token}")

    def part_seeds(self) -> int:
        """Seeds of a part in memory: fewer than of one on disk, where there are many threads."""
        shares = 4 * max(sum(self._client.nthreads().values()), 1)
        return min(self._work.part_seeds, -(-len(self._work.run.seeds) // shares))

    def complete(self, parts: Iterable[range], take: Take, bar: "_pool.Bar") -> list[range]:
        """Make parts and hand each to ``take`` as it comes, in any order; those that failed."""
        suspects = self._drain(parts, take, bar, "part", self._window())
        # Parts that only shared a worker with one that kills it do well alone.
        return self._drain(suspects, take, bar, "alone", iter(lambda: 1, 0))

    def _window(self) -> Iterator[int]:
        """How many parts may be in flight now: workers may come and go."""
        seen, window = -RECOUNT_SECONDS, 0
        while True:
            if time.monotonic() - seen > RECOUNT_SECONDS:
                threads = sum(self._client.nthreads().values())
                seen, window = time.monotonic(), max(AHEAD * threads, 1)
            yield window

    def _drain(
        self, parts: Iterable[range], take: Take, bar: "_pool.Bar", name: str, window: Iterator[int]
    ) -> list[range]:
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
                    bar.finish_pass(self._work.layers(len(places)))
                future.release()
                launch()
        finally:
            if flying:
                self._client.cancel(list(flying))
        return sorted(failed, key=lambda places: places.start)


def _made_by_users() -> dict[str, dict[str, Any]]:
    """Cells, activations and initialisers that are not gradsim's own: workers need them too."""
    own: dict[str, Callable[[Any], bool]] = {
        "cells": lambda entry: not entry.source,
        "activations": lambda entry: entry.program is None,
        "initializers": lambda entry: getattr(entry.make, "__module__", "gradsim.").startswith(
            "gradsim."
        ),
    }
    return {
        kind: {name: entry for name, entry in registry.items() if not own[kind](entry)}
        for kind, registry in _REGISTRIES.items()
    }


def _config_digest(store: str) -> str:
    """Digest of a run folder's configuration: whoever reads the same sees the same folder."""
    with suppress(FileNotFoundError), open(os.path.join(store, "config.json"), "rb") as file:
        return sha256(file.read()).hexdigest()
    return "absent"


# On a worker ------------------------------------------------------------------------------------

_WORKS: dict[str, Work] = {}
_PREPARING = Lock()


def make_part(
    payload: bytes, digest: str, places: range, store: str | None, config: str | None
) -> "xr.Dataset | Entry":
    """Make one part: its line of the manifest where this worker sees the store, else its result."""
    work = _prepared(payload, digest)
    if store is None or _config_digest(store) != config:
        return work.part(places, _pool.Bar(0, False))
    path = part_path(store, places.start, places.stop - 1)
    if not _finished(path):
        storage.save(work.part(places, _pool.Bar(0, False)), path)
    return Entry(places.start, places.stop - 1, *storage.checksum(path))


def _finished(path: str) -> bool:
    """Whether the part is there already: made by a worker that died after it, or a late one."""
    try:
        storage.load(path, lazy=True).close()
    except (FileNotFoundError, storage.InvalidFileError):
        return False
    return True


def _prepared(payload: bytes, digest: str) -> Work:
    """The run's passes, made once in every worker process."""
    from distributed.protocol.pickle import loads

    with _PREPARING:
        if digest not in _WORKS:
            run, memory_limit, made, kernels = loads(payload)
            if kernels != KERNEL_HASH:
                raise RuntimeError(
                    f"the worker has other kernels ({KERNEL_HASH}) than the caller ({kernels}); "
                    "install the same gradsim everywhere"
                )
            _register(made)
            # Once and for all: parts in threads of one process would undo each other's limit.
            threadpool_limits(1, user_api="blas")
            _WORKS.clear()
            _WORKS[digest] = Work(replace(run, memory=parse_memory(memory_limit)), whole=False)
        return _WORKS[digest]


def _register(made: dict[str, dict[str, Any]]) -> None:
    for kind, entries in made.items():
        for name, entry in entries.items():
            if name not in _REGISTRIES[kind]:
                _REGISTRIES[kind].add(name, entry)

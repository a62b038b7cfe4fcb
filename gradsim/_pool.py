"""Chunks of seeds on a thread pool: results land by place, Ctrl-C stops within a layer."""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib import import_module
from queue import SimpleQueue
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from gradsim.plan import Pass
from gradsim.workspace import Results, Worker, results_bytes

CHUNK_SECONDS = 0.08
CHUNK_BYTES = 2**23  # results of a chunk: they are copied while they lie in cache
POLL_SECONDS = 0.1
BAR_AFTER_SECONDS = 2.0

Place = Callable[[Pass, int, Results], None]


def one_blas_thread() -> threadpool_limits:
    """Limit BLAS to one thread, until the `with` that this is used in ends."""
    import_module("scipy.linalg.cython_blas")  # Numba's own BLAS: only one that is there is limited
    return threadpool_limits(1, user_api="blas")


def run_passes(
    passes: list[Pass],
    seeds: Sequence[int],
    key: int,
    workers: int,
    place: Place,
    bar: "Bar",
) -> None:
    """Run every pass over all seeds and hand each chunk of results to ``place``.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, once all workers have stopped.
    """
    with one_blas_thread():
        for item in passes:
            run_pass(item, np.array(seeds, np.uint64), key, workers, place, bar)


def chunk_seeds(item: Pass) -> int:
    """Most networks of a chunk."""
    return max(1, min(int(CHUNK_SECONDS / item.cost), CHUNK_BYTES // results_bytes(item)))


def _chunks(item: Pass, seeds: int, workers: int) -> list[tuple[int, int]]:
    """Ranges of places, about `CHUNK_SECONDS` each, at least one a worker."""
    size = min(chunk_seeds(item), -(-seeds // workers))
    return [(first, min(first + size, seeds)) for first in range(0, seeds, size)]


def run_pass(
    item: Pass, seeds: np.ndarray, key: int, workers: int, place: Place, bar: "Bar"
) -> None:
    """Run one pass over all seeds (seed,) uint64; ``bar`` is told of the layers done."""
    chunks = _chunks(item, len(seeds), workers)
    stop = np.zeros((1, 1), np.int64)
    crew = [Worker(item, stop) for _ in range(min(workers, len(chunks)))]
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in crew:
        free.put(worker)

    def job(first: int, last: int) -> tuple[int, Results]:
        worker = free.get()
        try:
            return first, worker.run(seeds[first:last], key)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(len(crew), thread_name_prefix="gradsim")
    pending: set[Future[tuple[int, Results]]] = set()
    queue = iter(chunks)
    try:
        while True:
            while len(pending) < 2 * len(crew) and (chunk := next(queue, None)) is not None:
                pending.add(pool.submit(job, *chunk))
            if not pending:
                break
            done, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                first, results = future.result()
                place(item, first, results)
            bar.show(sum(worker.ticks for worker in crew))
    finally:
        stop[0, 0] = 1
        pool.shutdown(wait=True, cancel_futures=True)
    bar.finish_pass(2 * item.scalars["layers"] * len(seeds))


class Bar:
    """Progress over all passes: silent unless the run is long and stderr is a terminal."""

    def __init__(self, total: int, progress: bool | None, unit: str = "layer") -> None:
        self._total, self._done, self._unit = total, 0, unit
        self._wanted = sys.stderr.isatty() if progress is None else progress
        self._after = 0.0 if progress else BAR_AFTER_SECONDS
        self._begin = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, ticks: int) -> None:
        """Move to the layers done so far in this pass."""
        if not self._wanted:
            return
        if self._bar is None and time.monotonic() - self._begin >= self._after:
            self._bar = tqdm(
                total=self._total, desc="gradsim", unit=self._unit, unit_scale=True,
                mininterval=0.2,
            )  # fmt: skip
        if self._bar is not None:
            self._bar.n = min(self._done + ticks, self._total)
            self._bar.refresh()

    def finish_pass(self, layers: int) -> None:
        """Count a finished pass in full (a run without a backward pass ticks half as often)."""
        self._done += layers
        self.show(0)

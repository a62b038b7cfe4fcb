"""`estimate`: what a call of `simulate` will take, from a few of its networks run and timed."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsim import _pool
from gradsim._cluster import Remote
from gradsim._memory import resident_bytes
from gradsim._storing import Storing, left, merged_bytes
from gradsim._work import Work
from gradsim.dataset import Collector
from gradsim.merge import HELD
from gradsim.models import MLP, RNN
from gradsim.network import Network
from gradsim.simulate import prepare
from gradsim.workspace import Worker

if TYPE_CHECKING:
    from gradsim.plan import Pass

TIMED_SECONDS = 0.3  # of running networks, for all passes together
LEAST_SECONDS = 0.02  # of one pass
NETWORK_SECONDS = 2.0  # a network that takes longer is stopped on its way


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a run will take.

    Attributes
    ----------
    seconds
        Wall time, once the kernels are compiled.
    result_bytes
        Values of the result in memory.
    peak_bytes
        Largest resident memory of this process during the run, what it has now included.
    run_bytes
        What the run adds to that: what `memory_limit` is compared with.
    threads
        Threads that the run will use: as many as asked for, fewer where memory is short.
    """

    seconds: float
    result_bytes: int
    peak_bytes: int
    run_bytes: int
    threads: int

    def __repr__(self) -> str:
        """One line with units."""
        sizes = (f"{name}={_size(getattr(self, name))}" for name in (
            "result_bytes", "peak_bytes", "run_bytes"))  # fmt: skip
        return f"Estimate(seconds={self.seconds:.3g}, {', '.join(sizes)}, threads={self.threads})"


def _size(count: int) -> str:
    """Bytes in the unit that suits them."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} B"


def estimate(
    model: MLP | RNN | Network,
    seeds: Any = None,
    *,
    vary: Mapping[str, Any] | None = None,
    inputs: Any = None,
    targets: Any = None,
    batch: str = "mean",
    measure: Any = ("gradient",),
    dtype: Any = "float64",
    key: int = 0,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: bool | None = None,
    store: Any = None,
    client: Any = None,
) -> Estimate:
    """Estimate what :func:`simulate` will take, without running it.

    Parameters
    ----------
    model, seeds, vary, inputs, targets, batch, measure, dtype, key, threads
        As in :func:`simulate`.
    memory_limit
        As in :func:`simulate`; it decides how many threads there is memory for.
    progress
        Has no effect: an estimate is short.
    store
        With one a part is in memory at a time while it runs.  Seconds include writing parts and
        putting them together, from a small part written to the system's temporary folder; of a
        folder that exists, what it does not have yet.
    client
        Its threads count as ones of this machine, and its workers' memory is not counted.

    Returns
    -------
    Estimate
        `seconds`, `result_bytes` and `peak_bytes`.  Seconds come from the first networks of each
        pass, run for about 0.3 s with all threads on this machine as it is now; a network of more
        than 2 s is stopped and its rest taken from the layers done (with further measurements, or
        weights made as whole matrices, it is run to its end).  Compiling kernels, which the first
        use on a machine takes once, is done here and not counted.

    Raises
    ------
    TypeError, ValueError
        As :func:`simulate` does.
    MemoryError
        If not even one network fits; a result that does not is no error here.

    Examples
    --------
    >>> from gradsim import MLP
    >>> estimate(MLP(depth=20, width=16), 1000).result_bytes
    512000
    """
    begin = time.perf_counter()
    run = prepare(
        model, seeds, vary=vary, inputs=inputs, targets=targets, batch=batch, measure=measure,
        dtype=dtype, key=key, threads=threads, memory_limit=memory_limit,
    )  # fmt: skip
    work = Work(run, whole=store is None, probe=True)
    overhead = time.perf_counter() - begin
    seconds, used, needed = _run_seconds(work), work.workers, work.run_bytes
    if client is not None:
        used = Remote(client).cores or 1
        seconds *= work.workers / used
        needed = work.held_bytes
    most = needed
    if store is not None:
        fits = HELD * work.result_bytes <= run.memory
        seconds = _stored_seconds(work, seconds, used, left(run, store), fits, client is not None)
        most = max(needed, merged_bytes(work, fits))
    return Estimate(
        seconds=overhead + seconds,
        result_bytes=work.result_bytes,
        peak_bytes=resident_bytes() + most - work.plan_bytes,  # which is there
        run_bytes=needed,
        threads=used,
    )


def _stored_seconds(
    work: Work, seconds: float, threads: int, missing: int, fits: bool, remote: bool
) -> float:
    """Wall time with a run folder, whose ``missing`` seeds are run; ``seconds`` is that of all."""
    count = len(work.run.seeds)
    storing = Storing.measured(work, seconds * threads / count)
    files, new = -(-count // work.part_seeds), -(-missing // work.part_seeds)
    run = seconds * missing / count
    if remote:  # each worker writes what it has run
        run += storing.write.of(missing, new) / threads
    elif missing:
        run = storing.beside(run, threads, missing, new)
    return run + storing.together(count, files, fits)


def _run_seconds(work: Work) -> float:
    """Wall time of all passes: the costliest are timed, cheap ones go by their modelled cost."""
    passes = sorted(work.passes, key=lambda item: -item.cost)
    modelled = sum(item.cost for item in passes)
    total = timed_cost = spent = 0.0
    with _pool.one_blas_thread():
        for item in passes:
            if spent >= 2 * TIMED_SECONDS:
                break
            begin = time.perf_counter()
            budget = max(TIMED_SECONDS * item.cost / modelled, LEAST_SECONDS)
            total += _pass_seconds(work, item, budget)
            timed_cost += item.cost
            spent += time.perf_counter() - begin
    return total * modelled / timed_cost


def _pass_seconds(work: Work, item: "Pass", budget: float) -> float:
    """Wall time of one pass over all seeds, from ever more of the first ones."""
    run, workers = work.run, work.workers
    count, networks = len(run.seeds), min(workers, len(run.seeds))
    Worker(item, np.zeros((1, 1), np.int64)).run(np.empty(0, np.uint64), run.key)  # compiles
    whole = bool(item.reductions) or item.maker is not None  # more than the clock sees in layers
    both = item.scalars["layers"] * (2 if item.scalars["gradient"] else 1)  # forward, backward
    while True:
        first = replace(run, seeds=run.seeds[:networks])
        clock = _Clock(both * networks, None if whole else NETWORK_SECONDS)
        collector = Collector(first)
        collector.allocate()
        with suppress(_Stopped):
            _pool.run_pass(
                item, np.array(first.seeds, np.uint64), run.key, workers, collector.add, clock
            )
        seconds = clock.seconds() / clock.share
        if seconds >= budget or networks == count:
            return seconds * -(-count // workers) / -(-networks // workers)
        more = min(16.0, 1.5 * budget / seconds)
        networks = min(count, workers * int(networks / workers * max(more, 2.0)))


class _Stopped(Exception):
    """The clock has run out."""


class _Clock(_pool.Bar):
    """In place of a progress bar: knows how much is done, and stops what takes too long."""

    def __init__(self, layers: int, limit: float | None) -> None:
        super().__init__(layers, False)
        self._layers, self._limit = layers, limit
        self._start = time.perf_counter()
        self.share = 1.0

    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._start

    def show(self, ticks: int) -> None:
        """Stop where the limit is passed and some layers are done."""
        if self._limit is not None and ticks > 0 and self.seconds() > self._limit:
            self.share = min(ticks / self._layers, 1.0)
            raise _Stopped

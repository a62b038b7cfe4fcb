"""A checked call of `train`, and its networks on a thread pool: each is trained by one thread."""

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from gradsim import _pool
from gradsim._config import stored_arrays
from gradsim._memory import pass_bytes, require
from gradsim._train_engine import Data, options, plan
from gradsim._train_results import Condition, Results
from gradsim._train_settings import Settings
from gradsim._trainer import Trainer
from gradsim._work import MOST_SEEDS, PART_BYTES, PART_SECONDS, WRITTEN
from gradsim.dataset import attributes
from gradsim.models import MLP, RNN
from gradsim.network import Network, network
from gradsim.plan import Pass
from gradsim.simulate import Run

STEP_SECONDS = 2e-4  # of a step, roughly, beside its parameters and examples
ENTRY_SECONDS = 2e-9  # of a parameter and an example at a step
Job = tuple[int, Condition, tuple[Pass, Pass], range]


@dataclass(frozen=True)
class Training:
    """Everything that a result of :func:`gradsim.train` depends on.

    Attributes
    ----------
    run
        Arguments that a simulation has too.
    base
        A Network whose parameters are those to start from.
    settings, keep
        The other arguments.
    vary, labels
        Varied values as plain data, and the coordinate of each.
    conditions
        All conditions, the last varied field fastest.
    """

    run: Run
    base: Network | None
    settings: Settings
    keep: bool
    vary: dict[str, list[Any]]
    labels: dict[str, np.ndarray]
    conditions: tuple[Condition, ...]

    @property
    def seeds(self) -> Any:
        """Networks of every condition."""
        return self.run.seeds

    @property
    def memory(self) -> int:
        """Bytes that it may take."""
        return self.run.memory

    @property
    def dtype(self) -> str:
        """All training is in float64."""
        return "float64"

    def config(self) -> dict[str, Any]:
        """What rebuilds the call, as plain data."""
        asked = asdict(self.settings) | {"keep": self.keep, "vary": [*map(list, self.vary.items())]}
        simulated = {"measure", "batch", "vary"}  # of a simulation alone
        config = {k: v for k, v in self.run.config().items() if k not in simulated}
        return config | {"train": asked}

    def arrays(self) -> xr.Dataset:
        """Given arrays that the configuration does not hold by value."""
        return stored_arrays(self.run)

    def work(self, *, whole: bool = True) -> "TrainWork":
        """Itself cut into parts; with ``whole`` all results are to be in memory at once."""
        return TrainWork(self, whole)

    def of(self, places: range) -> "Training":
        """The same call with the seeds at some places alone."""
        seeds = self.run.seeds[places.start : places.stop]
        return replace(self, run=replace(self.run, seeds=seeds))

    def results(self) -> Results:
        """Room for its results, not yet made."""
        return Results(self.run, self.labels, self.conditions, self.keep)


class TrainWork:
    """A training ready to take any of its seeds, as :class:`gradsim._work.Work` does.

    Raises
    ------
    MemoryError
        If the results and one network do not fit, before any work.
    """

    def __init__(self, training: Training, whole: bool) -> None:
        self.run = training
        self.seed_bytes = training.results().nbytes() // len(training.seeds)
        count = len(training.seeds)
        held = 2 * count if whole else WRITTEN * min(self.part_seeds, count)
        require(training.memory, result_and_copy=held * self.seed_bytes)
        self.workers = self._workers(held * self.seed_bytes)

    def _workers(self, held: int) -> int:
        """Threads that there is memory for."""
        run = self.run.run
        largest = max(
            2 * pass_bytes(c.model, run.inputs.count, options(c.settings.curved), True)
            for c in self.run.conditions
        )
        require(run.memory, result_and_copy=held, network=largest)
        return max(1, min(run.threads, (run.memory - held) // largest))

    @property
    def part_seeds(self) -> int:
        """Seeds of a part: a power of two that the configuration alone decides."""
        examples, seconds = self.run.run.inputs.count, 0.0
        for condition in self.run.conditions:
            entries = condition.parameters.total * (condition.settings.batch_size or examples)
            seconds += self.run.settings.steps * (STEP_SECONDS + ENTRY_SECONDS * entries)
        most = min(PART_BYTES // max(self.seed_bytes, 1), int(PART_SECONDS / seconds), MOST_SEEDS)
        return 1 << (max(most, 1).bit_length() - 1)

    def bar(self, seeds: int, progress: bool | None) -> "_pool.Bar":
        """Progress over a number of seeds."""
        return _pool.Bar(self._steps(seeds), progress, "step")

    def _steps(self, seeds: int) -> int:
        return len(self.run.conditions) * seeds * self.run.settings.steps

    def part(self, places: range, bar: "_pool.Bar") -> xr.Dataset:
        """Result of the seeds at some places (consecutive)."""
        begin = time.perf_counter()
        training = self.run.of(places)
        results = training.results()
        results.allocate()
        with _pool.one_blas_thread():
            _Crew(training, results, self.workers).run(bar)
        bar.finish_pass(self._steps(len(places)))
        ds = results.dataset()
        seconds = time.perf_counter() - begin
        ds.attrs = attributes("train", training.config(), "float64", training.run.threads, seconds)
        return ds


class _Crew:
    """Trains all networks of a call on a thread pool."""

    def __init__(self, training: Training, results: Results, threads: int) -> None:
        self._run, self._base, self._results = training.run, training.base, results
        self._conditions, self._threads = training.conditions, threads
        self._stop = np.zeros((1, 1), np.int64)
        self._done: list[list[int]] = []  # steps of each job, counted by its own thread
        self._inputs = self._run.inputs.plain() if self._run.inputs.array is not None else None
        if self._inputs is None and self._run.inputs.asked:
            self._inputs = self._run.inputs.count
        targets = self._run.targets
        self._targets = None if targets is None else targets.plain(self._run.inputs)

    def run(self, bar: "_pool.Bar") -> None:
        """Train every network of every condition."""
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gradsim")
        pending: set[Future[None]] = set()
        queue = self._jobs()
        try:
            while True:
                while len(pending) < 2 * self._threads and (job := next(queue, None)) is not None:
                    pending.add(pool.submit(self._job, *job))
                if not pending:
                    break
                done, pending = wait(pending, _pool.POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    future.result()
                bar.show(sum(count for (count,) in self._done))
        finally:
            self._stop[0, 0] = 1
            pool.shutdown(wait=True, cancel_futures=True)

    def _jobs(self) -> Iterator[Job]:
        """Condition and places of its seeds, with its passes: made when they are due."""
        seeds = len(self._run.seeds)
        size = -(-seeds // self._threads)
        for c, condition in enumerate(self._conditions):
            passes = self._passes(condition)
            for first in range(0, seeds, size):
                yield c, condition, passes, range(first, min(first + size, seeds))

    def _passes(self, condition: Condition) -> tuple[Pass, Pass]:
        """Passes over the examples of a step, and over all examples."""
        model, count = condition.model, self._run.inputs.count
        step_count = condition.settings.batch_size or count
        shape = Data(self._network(model, 0)).y.shape
        curved = condition.settings.curved
        if step_count == count:
            return (step := plan(model, shape, count, curved)), step
        whole, step = plan(model, shape, count), plan(model, shape, step_count, curved)
        return step, whole

    def _job(self, c: int, condition: Condition, passes: tuple[Pass, Pass], places: range) -> None:
        done = [0]
        self._done.append(done)
        trainer = Trainer(condition.model, condition.settings, *passes, self._stop, done)
        for s in places:
            if self._stop[0, 0]:
                return
            net = self._network(condition.model, s)
            trainer.train(net, self._run.seeds[s], self._run.key, self._results.views(c, s))

    def _network(self, model: MLP | RNN, s: int) -> Network:
        """Network of a place among the seeds, at its start."""
        run = self._run
        net = network(model, run.seeds[s], key=run.key, inputs=self._inputs, targets=self._targets)
        if self._base is None:
            return net
        base = self._base
        return replace(
            net, weights=base.weights, biases=base.biases, input_weights=base.input_weights
        )

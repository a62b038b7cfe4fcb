"""How a run scales with the workers of a dask cluster: ``python -m benchmarks.scaling``.

The same run on clusters of 1 and of more workers (processes of one thread), in turn, several times;
between them the same networks in as many processes that have nothing to do with each other, which
is how far this machine scales at all.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import gradsim as gs

MODEL = gs.MLP(depth=50, width=64)
# What a cluster does beside its tasks: by default a tenth of a processor on two idle workers.
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
}


def run(client, seeds: int, store: Path | None) -> float:
    """Seconds of one run on a cluster."""
    begin = time.perf_counter()
    with gs.simulate(MODEL, seeds, client=client, store=store, progress=False) as ds:
        seconds = time.perf_counter() - begin
        if ds.sizes["seed"] != seeds:
            raise RuntimeError(f"the run has {ds.sizes['seed']} of {seeds} seeds")
    return seconds


@contextmanager
def cluster(count: int) -> Iterator:
    """Client of a cluster whose workers have loaded the kernels."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as made,
        Client(made) as client,
    ):
        client.wait_for_workers(count)
        run(client, 64 * count, None)
        yield client
        made.scale(0)  # workers take their leave: one that is cut off says so on stderr
        deadline = time.monotonic() + 30
        while client.scheduler_info()["workers"] and time.monotonic() < deadline:
            time.sleep(0.05)


class Alone:
    """A process that runs networks on one thread, when it is told to."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "benchmarks.scaling", "--alone"]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.wait()

    def start(self, seeds: int) -> None:
        """Begin to run a number of networks."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seeds}\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        """Until it is done."""
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError("a process of the benchmark has ended")

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def serve() -> int:
    """Be such a process: every line of stdin is a number of networks."""
    for seeds in chain([64], map(int, sys.stdin)):  # the first ones load the kernels
        gs.simulate(MODEL, seeds, threads=1, progress=False)
        print("done", flush=True)
    return 0


def apart(processes: list[Alone], seeds: int) -> float:
    """Seconds that independent processes take for a number of networks together."""
    begin, shares = time.perf_counter(), len(processes)
    for i, process in enumerate(processes):
        process.start(seeds * (i + 1) // shares - seeds * i // shares)
    for process in processes:
        process.wait()
    return time.perf_counter() - begin


def main() -> int:
    """Print the rate of every cluster, and how much faster it is than one worker."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--store", action="store_true", help="into run folders, parts by workers")
    parser.add_argument("--least", type=float, default=1.85, help="factor of 2 workers")
    parser.add_argument("--dask-defaults", action="store_true", help="without settings of its own")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        return serve()
    import dask

    counts = sorted({1, *asked.workers})
    taken: dict[int, list[float]] = {count: [] for count in counts}
    limit: dict[int, list[float]] = {count: [] for count in counts}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(dask.config.set({} if asked.dask_defaults else QUIET))
        processes = [Alone() for _ in range(max(counts))]
        for process in processes:
            stack.callback(process.close)
        for repeat in range(asked.repeats):
            for count in counts:
                limit[count].append(apart(processes[:count], asked.seeds))
                with cluster(count) as client:
                    store = folder / f"{repeat}-{count}" if asked.store else None
                    taken[count].append(run(client, asked.seeds, store))
    return report(asked.seeds, taken, limit, asked.least)


def report(
    seeds: int, taken: dict[int, list[float]], limit: dict[int, list[float]], least: float
) -> int:
    """Print both; 1 where 2 workers are less than ``least`` times as fast as one."""
    print("| workers | networks a second | times one | processes apart | times one |")
    print("|---|---|---|---|---|")
    factor = 0.0
    for count in taken:
        cells = [str(count)]
        for seconds in (taken, limit):
            middle = statistics.median(seconds[count])
            times = statistics.median(seconds[1]) / middle
            cells += [f"{seeds / middle:.0f}", f"{times:.2f}"]
        factor = float(cells[2]) if count == 2 else factor
        print(f"| {' | '.join(cells)} |")
    return 0 if 2 not in taken or factor >= least else 1


if __name__ == "__main__":
    sys.exit(main())

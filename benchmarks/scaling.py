"""How a run scales with the workers of a dask cluster: ``python -m benchmarks.scaling``.

The same run on clusters of 1 and of more workers (processes of one thread), in turn, several times.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import gradsim as gs

MODEL = gs.MLP(depth=50, width=64)


def run(client, seeds: int, store: Path | None) -> float:
    """Seconds of one run on a cluster."""
    begin = time.perf_counter()
    with gs.simulate(MODEL, seeds, client=client, store=store, progress=False) as ds:
        seconds = time.perf_counter() - begin
        if ds.sizes["seed"] != seeds:
            raise RuntimeError(f"the run has {ds.sizes['seed']} of {seeds} seeds")
    return seconds


def main() -> int:
    """Print the rate of every cluster, and how much faster it is than one worker."""
    from distributed import Client, LocalCluster

    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--store", action="store_true", help="into run folders, parts by workers")
    parser.add_argument("--least", type=float, default=1.85, help="factor of 2 workers")
    asked = parser.parse_args()
    counts = sorted({1, *asked.workers})
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(asked.repeats):
            for count in counts:
                with (
                    LocalCluster(
                        n_workers=count, threads_per_worker=1, dashboard_address=None
                    ) as cluster,
                    Client(cluster) as client,
                ):
                    client.wait_for_workers(count)
                    run(client, 64 * count, None)  # kernels are loaded
                    store = Path(folder) / f"{repeat}-{count}" if asked.store else None
                    seconds[count].append(run(client, asked.seeds, store))
    alone = statistics.median(seconds[1])
    print("| workers | networks a second | times one worker |\n|---|---|---|")
    for count in counts:
        middle = statistics.median(seconds[count])
        print(f"| {count} | {asked.seeds / middle:.0f} | {alone / middle:.2f} |")
    reached = 2 not in seconds or alone / statistics.median(seconds[2]) >= asked.least
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

"""The arithmetic of a run on many nodes: ``python -m benchmarks.plan --networks 1e9 --nodes 1000``.

Rates and sizes are those of a few networks run and saved here.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import replace

import gradsim as gs
from gradsim import _manifest
from gradsim._storing import Storing
from gradsim._work import Work
from gradsim.simulate import prepare

MODEL = gs.MLP(depth=50, width=32)
SAVED = 512  # networks whose file is weighed
TASK_SECONDS = 1e-3  # of a dask scheduler for a task: its own documentation's upper figure


def facts(networks: int, nodes: int, cores: int) -> dict[str, float]:
    """Numbers of the plan, each by what it is called in the guide (docs/long_runs.md)."""
    run = prepare(
        MODEL, networks, vary=None, inputs=None, targets=None, batch="mean",
        measure=("gradient",), dtype="float64", key=0, threads=1, memory_limit=None,
    )  # fmt: skip
    work = Work(replace(run, memory=2**60), whole=False)
    alone = gs.estimate(MODEL, networks, threads=1).seconds / networks
    part = Storing.measured(work, alone).write.of(work.part_seeds, files=1)
    rate = 1 / (alone + part / work.part_seeds)  # a thread writes what it has run
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "part.nc")
        gs.save(gs.simulate(MODEL, SAVED, progress=False), path)
        on_disk = os.path.getsize(path) / SAVED
    parts = -(-networks // work.part_seeds)
    line = len(_manifest.line(_manifest.Entry(networks, networks, 10**7, "0" * 64)))
    per_second = nodes * cores * rate / work.part_seeds
    return {
        "networks a second of one thread": rate,
        "networks of a part": work.part_seeds,
        "seconds of a part": work.part_seeds / rate,
        "MB of a part in memory": work.part_seeds * work.seed_bytes / 1e6,
        "MB of a part on disk": work.part_seeds * on_disk / 1e6,
        "parts": parts,
        "parts of a node's folder": parts / nodes,
        "kB of a folder's manifest": parts / nodes * line / 1e3,
        "GB of all parts on disk": networks * on_disk / 1e9,
        "parts a second": per_second,
        "threads that keep one scheduler half busy": 0.5 / TASK_SECONDS * work.part_seeds / rate,
    }


def main() -> int:
    """Print the plan as a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--networks", type=float, default=1e9)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=64, help="of a node")
    asked = parser.parse_args()
    print("| what | figure |\n|---|---|")
    for name, value in facts(int(asked.networks), asked.nodes, asked.cores).items():
        print(f"| {name} | {value:,.3g} |" if value < 1000 else f"| {name} | {value:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

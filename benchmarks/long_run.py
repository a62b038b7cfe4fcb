"""A run larger than memory into one file: ``python -m benchmarks.long_run --networks 1000000``.

Deep tanh networks go to a run folder, part by part, and are merged into a file; printed are the
seconds of both, the size on disk and the peak memory of the process.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import gradsim as gs


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_run", description=__doc__)
    parser.add_argument("--networks", type=int, default=20_000)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--memory", type=float, default=0.3, help="GB that the run may take")
    parser.add_argument("--folder", type=Path, help="where to put it; default: removed at the end")
    parser.add_argument("--check", type=int, default=5, help="networks to run again at the end")
    return parser.parse_args(argv)


def peak_bytes() -> int:
    """Peak resident memory of this process since its start."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def run(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run, merge and verify; what it took."""
    model = gs.MLP(depth=options.depth, width=options.width)
    gs.simulate(model, 2, dtype=options.dtype)  # compiled, and loaded from the cache
    start, memory = peak_bytes(), int(options.memory * 1e9)
    begin = time.perf_counter()
    ds = gs.simulate(
        model, options.networks, dtype=options.dtype, threads=options.threads,
        store=folder / "run", memory_limit=memory,
    )  # fmt: skip
    ran = time.perf_counter()
    ds.close()
    gs.merge(folder / "run", folder / "merged.nc", memory_limit=memory).close()
    merged = time.perf_counter()
    verified = gs.verify(folder / "merged.nc", options.check) if options.check else None
    return {
        "networks": options.networks,
        "seconds_run": round(ran - begin, 2),
        "seconds_merge": round(merged - ran, 2),
        "networks_per_second": round(options.networks / (ran - begin), 1),
        "parts": len(list((folder / "run" / "parts").iterdir())),
        "file_megabytes": round((folder / "merged.nc").stat().st_size / 1e6, 1),
        "peak_megabytes": round(peak_bytes() / 1e6, 1),
        "peak_megabytes_before": round(start / 1e6, 1),
        "bits_verified": len(verified.seeds) if verified is not None and verified.exact else 0,
    }


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        print(json.dumps(run(options, folder), indent=1))
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

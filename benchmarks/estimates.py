"""How near ``gs.estimate`` comes to what is then measured: ``python -m benchmarks.estimates``.

Every case runs in a process of its own, after the kernels are compiled: an estimate, then the run.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "mlp": "model=gs.MLP(depth=50, width=64), seeds=3000",
    "mlp, 1 thread": "model=gs.MLP(depth=50, width=64), seeds=1500, threads=1",
    "mlp, float32": "model=gs.MLP(depth=50, width=64), seeds=6000, dtype='float32'",
    "narrow, large result": "model=gs.MLP(depth=400, width=4), seeds=8000",
    "wide": "model=gs.MLP(depth=20, width=1024), seeds=20",
    "one huge network": "model=gs.MLP(depth=60, width=2048), seeds=1",
    "sweep of rows": "model=gs.MLP(depth=50, width=64), seeds=400, "
    "vary={'activation': ['tanh', 'relu', 'gelu'], 'sigma_w': [0.5, 1.0, 1.5, 2.0]}",
    "sweep of widths": "model=gs.MLP(depth=30), seeds=600, vary={'width': [16, 32, 64, 128, 256]}",
    "rnn": "model=gs.RNN(steps=100, width=64), seeds=2000",
    "rnn, untied, 1 thread": "model=gs.RNN(steps=50, width=64, tied=False), seeds=800, threads=1",
    "lstm": "model=gs.RNN(steps=50, width=48, cell='lstm', sigma_u=1.0), seeds=1000",
    "batch each": "model=gs.MLP(depth=20, width=64), seeds=300, inputs=32, batch='each'",
    "partials": "model=gs.MLP(depth=10, width=64), seeds=200, measure=['gradient', 'partials']",
    "jacobian": "model=gs.MLP(depth=20, width=32), seeds=200, measure=['jacobian']",
    "noise": "model=gs.MLP(depth=10, width=64), seeds=300, inputs=64, measure=['noise']",
    "store": "model=gs.MLP(depth=50, width=32), seeds=40_000, store=folder + '/run'",
    "store, spilled": "model=gs.MLP(depth=400, width=4), seeds=30_000, store=folder + '/run', "
    "memory_limit=150_000_000",
    "orthogonal": "model=gs.MLP(depth=20, width=64, init='orthogonal'), seeds=500",
}


def measure(case: str) -> dict:
    """Estimate and run one case here."""
    with tempfile.TemporaryDirectory() as folder:
        return measure_in(folder, case)


def measure_in(folder: str, case: str) -> dict:
    """Do so with a folder for what is stored."""
    import gradsim as gs

    call = eval(f"dict({CASES[case]})", {"gs": gs, "folder": folder})
    # Kernels compile, or are read from the cache, on the first use.
    gs.simulate(**call | {"seeds": 1, "threads": 1, "store": None}, progress=False)
    begin = time.perf_counter()
    found = gs.estimate(**call)
    taken = time.perf_counter() - begin
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the largest memory so far
    begin = time.perf_counter()
    ds = gs.simulate(**call, progress=False)
    seconds = time.perf_counter() - begin
    status = Path("/proc/self/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+)", status)
    return {
        "case": case,
        "estimate_took": taken,
        "seconds": [found.seconds, seconds],
        "result_bytes": [found.result_bytes, sum(v.nbytes for v in ds.data_vars.values())],
        "peak_bytes": [found.peak_bytes, 1024 * int(peak)],
    }


def main() -> int:
    """Run all cases, or those named, and print estimate, measurement and ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimates", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one)))
        return 0
    print("| case | seconds: said, measured, ratio | peak MB | result MB | estimate took |")
    print("|---|---|---|---|---|")
    worst = 1.0
    for case in asked.cases:
        words = [sys.executable, "-m", "benchmarks.estimates", "--one", case]
        out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found = json.loads(out)
        cells = []
        for name, unit in (("seconds", 1.0), ("peak_bytes", 1e6), ("result_bytes", 1e6)):
            said, real = found[name]
            worst = max(worst, said / real, real / said)
            cells.append(f"{said / unit:.3g}, {real / unit:.3g}, {said / real:.2f}")
        print(f"| {case} | {' | '.join(cells)} | {found['estimate_took']:.2f} s |", flush=True)
    print(f"\nworst factor: {worst:.2f}")
    return 0 if worst <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())

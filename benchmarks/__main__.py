"""Command line: ``python -m benchmarks --cases a b c d --dtype float32 float64``."""

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from .cases import CASES
from .report import case_table, markdown

MODULES = {"gradsim": "own", "JAX": "peers_jax", "PyTorch": "peers_torch", "limits": "limits"}
PACKAGES = ("gradsim", "numba", "numpy", "jax", "torch")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    keys, note = list(CASES), "c and d include c+ and d+"
    parser.add_argument("--cases", nargs="+", choices=keys, default=keys, help=note)
    dtypes = ["float32", "float64"]
    parser.add_argument("--dtype", nargs="+", choices=dtypes, default=dtypes)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one repetition")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--skip-peers", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare the results, time nothing")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    options.cases = [key for key in CASES if key in options.cases or key[0] in options.cases]
    return options


def limit_cpus(threads: int) -> None:
    """Give this process as many CPUs as threads: XLA sizes its pool by the affinity mask."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def load(skip_peers: bool) -> tuple[dict, dict]:
    """Modules that can be imported, and a reason for each that cannot."""
    modules, missing = {}, {}
    for label, name in MODULES.items():
        if skip_peers and name.startswith("peers"):
            continue
        try:
            modules[label] = importlib.import_module(f".{name}", __package__)
        except ImportError as error:
            missing[label] = f"not installed ({error})"
    return modules, missing


def contenders(modules: dict, case, dtype: str, threads: int) -> tuple[list, dict]:
    """Prepare the contenders of one case, and give a reason for each that cannot run."""
    ready, missing = [], {}
    for label, module in modules.items():
        for kind in [module.Gradsim] if label == "gradsim" else module.CONTENDERS:
            if not kind.answers(case):
                continue
            contender = kind(case, dtype, threads)
            try:
                contender.prepare()
            except ImportError as error:
                missing[kind.name] = f"not available ({error})"
                continue
            ready.append(contender)
    return ready, missing


def work(options: argparse.Namespace) -> None:
    """One precision in one process: all cases, contenders interleaved."""
    limit_cpus(options.threads)
    import scipy.linalg.blas  # noqa: F401  (Numba's BLAS, loaded before its threads are limited)
    from threadpoolctl import threadpool_limits

    from .harness import interleave

    (dtype,) = options.dtype
    modules, missing = load(options.skip_peers)
    for module in modules.values():
        getattr(module, "configure", lambda _: None)(dtype)
    entries = []
    with threadpool_limits(1, user_api="blas"):
        for key in options.cases:
            ready, absent = contenders(modules, CASES[key], dtype, options.threads)
            records = interleave(ready, options.seconds, options.repeats)
            absent = {**missing, **absent}
            entries.append({"case": key, "dtype": dtype, "records": records, "missing": absent})
            print("\n".join(case_table(entries[-1])), flush=True)
    options.worker.write_text(json.dumps(entries))


def check(options: argparse.Namespace) -> int:
    """Run every contender on the arrays of one network; 1 when one of them differs."""
    from .check import check_case

    modules, missing = load(options.skip_peers)
    for label, reason in missing.items():
        print(f"{label}: {reason}")
    peers = [module for label, module in modules.items() if label in ("JAX", "PyTorch")]
    verdicts = [
        check_case(CASES[key], dtype, peers, modules.get("gradsim"))
        for dtype in options.dtype
        for key in options.cases
        if CASES[key].kind != "lstm" or CASES[key].total
    ]
    return 0 if all(verdicts) else 1


def machine(options: argparse.Namespace) -> dict:
    """Where and with what the figures were made."""
    facts = {"date": datetime.date.today().isoformat(), "processor": _processor()}
    facts["python"] = platform.python_version()
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    facts["threads"] = options.threads
    facts["repetitions"] = f"{options.repeats} of about {options.seconds:g} s, interleaved; medians"
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.check:
        return check(options)
    if options.worker:
        work(options)
        return 0
    result: dict = {"machine": machine(options), "entries": []}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in options.dtype:
            part = Path(folder) / f"{dtype}.json"
            command = [sys.executable, "-m", __package__, *(argv or sys.argv[1:])]
            command += ["--dtype", dtype, "--worker", str(part)]
            subprocess.run(command, check=True)
            result["entries"] += json.loads(part.read_text())
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "benchmark.json").write_text(json.dumps(result, indent=1))
    (options.out / "benchmark.md").write_text(markdown(result))
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

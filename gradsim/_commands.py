"""What each command of the command line does; its answer is facts as plain data."""

import argparse
import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xarray as xr

import gradsim as gs
from gradsim import config
from gradsim._config import seeds_of
from gradsim._run_files import is_run
from gradsim._validate import parse_seeds
from gradsim.storage import InvalidFileError
from gradsim.store import RunFolder
from gradsim.verify import VerificationError

FAILURES = (InvalidFileError, VerificationError)
_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")

Facts = dict[str, Any]


def text(facts: Facts) -> str:
    """Facts as lines of name and value."""
    width = max(map(len, facts)) + 2
    return "\n".join(f"{name:{width}}{_plain(value)}" for name, value in facts.items())


def _plain(value: Any) -> str:
    """One line; what is None is not worth a word, and a part with parts of its own is name(...)."""
    if isinstance(value, dict):
        held = {name: part for name, part in value.items() if part is not None}
        return ", ".join(map(_named, held, held.values()))
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"{name}({_plain(value)})" if value else name
    return f"{name}=[{_plain(value)}]" if isinstance(value, list) else f"{name}={_plain(value)}"


def _call(asked: argparse.Namespace) -> Facts:
    """Arguments of `simulate` from the file and the options that go before it."""
    call = config.read(asked.config)
    options = {"threads": asked.threads, "memory_limit": asked.memory_limit}
    return call | {name: value for name, value in options.items() if value is not None}


def run(asked: argparse.Namespace) -> Facts:
    """Run a configuration file into a store, a file, or both."""
    call, out = _call(asked), asked.out
    if asked.store is not None:
        call["store"] = asked.store
    if out is None and "store" not in call:
        raise ValueError("run: --store FOLDER or --out FILE.nc must be given, or store in the file")
    if asked.shard is not None:
        call["seeds"], name = share(parse_seeds(call["seeds"]), asked.shard)
        if "store" in call:
            os.makedirs(call["store"], exist_ok=True)
            call["store"] = os.path.join(call["store"], name)
        if out is not None:
            out = str(Path(out).with_suffix("")) + f".{name}.nc"
    if out is not None and not os.path.isdir(os.path.dirname(os.path.abspath(out))):
        raise FileNotFoundError(f"run: the folder of --out {out!r} does not exist")
    begin = time.perf_counter()
    with gs.simulate(**call, progress=False if asked.quiet else None) as ds:
        seconds = time.perf_counter() - begin
        if out is not None:
            gs.save(ds, out)
        where = {"store": call.get("store"), "out": out}
        return {k: v for k, v in where.items() if v} | {"seconds": seconds} | _contents(ds)


def share(seeds: Any, shard: str) -> tuple[Any, str]:
    """Seeds of one share, and its name: shares are consecutive, and differ by one seed at most.

    Raises
    ------
    ValueError
        If it is not "i/n" with 1 <= i <= n, or there are fewer seeds than shares.
    """
    match = _SHARD.fullmatch(shard)
    i, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= i <= n:
        raise ValueError(f"run: --shard must be I/N with I = 1..N, got {shard!r}")
    if n > len(seeds):
        raise ValueError(f"run: --shard {shard}: there are {len(seeds)} seeds, fewer than shares")
    first, last = (len(seeds) * k // n for k in (i - 1, i))
    return seeds[first:last], f"shard-{i:0{len(str(n))}}-of-{n}"


def estimate(asked: argparse.Namespace) -> Facts:
    """Say what a configuration file will take."""
    return asdict(gs.estimate(**_call(asked)))


def info(asked: argparse.Namespace) -> Facts:
    """Contents of a result file or a run folder, whose checksums are checked."""
    if is_run(asked.path):
        return _run_info(RunFolder(asked.path))
    with gs.load(asked.path, lazy=True) as ds:
        return {"file": asked.path, "bytes": os.path.getsize(asked.path)} | _contents(ds)


def _run_info(folder: RunFolder) -> Facts:
    folder.settle()
    for entry in folder.entries.values():
        folder.read(entry)
    gaps = folder.missing()
    return {
        "store": folder.path,
        "parts": len(folder.entries),
        "seeds": len(folder.seeds),
        "missing": sum(map(len, gaps)),
        "missing_places": [f"{gap.start}..{gap.stop - 1}" for gap in gaps],
        "kernel_hash": folder.kernel_hash,
        **_configured(folder.config),
    }


def _contents(ds: xr.Dataset) -> Facts:
    """Dimensions, variables and provenance of a result."""
    facts: Facts = {"dims": {str(k): v for k, v in ds.sizes.items()}}
    facts["variables"] = [str(name) for name in ds.data_vars]
    if "gradsim_config" in ds.attrs:
        facts |= _configured(json.loads(ds.attrs["gradsim_config"]))
    if "gradsim_provenance" in ds.attrs:
        facts["provenance"] = json.loads(ds.attrs["gradsim_provenance"])
    names = ("title", "source", "history", "verdict")
    return facts | {name: ds.attrs[name] for name in names if name in ds.attrs}


def _configured(stored: Facts) -> Facts:
    """The configuration as far as it fits on a screen."""
    facts = {name: stored[name] for name in ("study", "model", "key", "dtype", "batch", "measure")
             if name in stored}  # fmt: skip
    if "vary" in stored:
        facts["vary"] = dict(stored["vary"])
    if isinstance(stored.get("seeds"), dict):
        seeds = seeds_of(stored)
        facts["seeds"] = f"{len(seeds)}, from {seeds[0]} to {seeds[-1]}"
    return facts


def verify(asked: argparse.Namespace) -> Facts:
    """Run a sample again and compare."""
    found = gs.verify(asked.path, asked.sample, threads=asked.threads)
    return {"file": asked.path, "verified": True, **asdict(found), "seeds": list(found.seeds)}


def merge(asked: argparse.Namespace) -> Facts:
    """Make one file of several."""
    with gs.merge(asked.paths, asked.out, gaps=asked.gaps) as ds:
        return {"out": asked.out, "merged": len(asked.paths)} | _contents(ds)


def extend(asked: argparse.Namespace) -> Facts:
    """Add seeds to a result."""
    quiet = False if asked.quiet else None
    with gs.extend(asked.path, asked.seeds, threads=asked.threads, progress=quiet) as ds:
        return {"file": asked.path} | _contents(ds)

"""What all studies take and leave: the arguments of their command line, and their files."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

import gradsim as gs


def parser(name: str, text: str, networks: int | str, quick: int | str) -> argparse.ArgumentParser:
    """Arguments that all studies take."""
    result = argparse.ArgumentParser(
        prog=name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--seeds", type=int, help=f"networks (default: {networks})")
    result.add_argument("--out", default="results", help="output folder (default: results)")
    result.add_argument("--threads", type=int, help="threads (default: all processors)")
    result.add_argument("--store", help="folder in which a stopped study goes on")
    result.add_argument("--quick", action="store_true", help=f"{quick} networks")
    result.set_defaults(full_run=networks, quick_run=quick)
    return result


def follow(
    asked: argparse.Namespace,
    name: str,
    run: Callable[..., xr.Dataset],
    words: Callable[[xr.Dataset], str],
    **options: Any,
) -> int:
    """Run a study as the command line asks, and print what it finds and where its files are.

    --seeds goes before --quick; several studies may share the folder that --store gives.
    """
    begin = time.perf_counter()
    seeds = asked.quick_run if asked.quick else asked.full_run
    if asked.seeds is not None:
        seeds = asked.seeds
    store = None if asked.store is None else os.path.join(asked.store, name)
    ds = run(seeds, out=asked.out, threads=asked.threads, store=store, **options)
    print(words(ds))
    seconds = time.perf_counter() - begin
    print(f"\n{asked.out}: {name}.nc and {name}.png, in {seconds:.0f} s")
    return 0


def folder_of(out: Any) -> Path | None:
    """Output folder, made before any work; None for none."""
    if out is None:
        return None
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def filed(
    ds: xr.Dataset, folder: Path | None, name: str, figure: Callable[[xr.Dataset], Any]
) -> xr.Dataset:
    """Save a result as NAME.nc and its figure as NAME.png, and return it; None: only that."""
    if folder is not None:
        gs.save(ds, folder / f"{name}.nc")
        figure(ds).savefig(folder / f"{name}.png", dpi=120)
    return ds

"""Runs that go to a folder: what is missing is run, part by part, and put together at the end."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import xarray as xr

from gradsim._config import call_of, differences, text, without_seeds
from gradsim._pieces import resolved, source_of_run
from gradsim._run_files import is_run
from gradsim._work import Call, Parts, Work, cut
from gradsim.merge import assemble
from gradsim.store import RunFolder, Writer, writing

if TYPE_CHECKING:
    from gradsim._cluster import Remote

RESULT = "result.nc"


def run_stored(
    run: Call, store: Any, progress: bool | None, remote: "Remote | None" = None
) -> xr.Dataset:
    """Run what a folder does not have yet, here or on a cluster; the whole result."""
    path = resolved(store, "simulate")
    work = run.work(whole=False)
    with writing(path, run.config(), work.part_seeds, run.arrays()) as folder:
        parts = cut(folder.missing(), folder.part_seeds)
        if remote is None:
            complete(work, folder, parts, progress)
        else:
            assert isinstance(work, Work)  # simulate alone takes a client
            remote.complete(work, folder, parts, progress)
        return result(folder, run.memory)


def complete(
    work: Parts, folder: Writer, parts: Iterable[range], progress: bool | None = None
) -> None:
    """Run parts and write them: one is written while the next one runs.

    Raises
    ------
    KeyboardInterrupt, OSError
        When it was stopped or a part could not be written; those that are done stay.
    """
    parts = list(parts)
    written: Future[None] | None = None
    with work.bar(sum(map(len, parts)), progress) as bar, ThreadPoolExecutor(1) as writer:
        try:
            for places in parts:
                ds = work.part(places, bar)
                if written is not None:
                    written.result()
                written = writer.submit(folder.add, places, ds)
        finally:
            if written is not None:
                written.result()


def result(folder: RunFolder, memory: int) -> xr.Dataset:
    """Result of a complete run folder: in memory where it fits, else a file, opened lazily."""
    path = os.path.join(folder.path, RESULT)
    return assemble([source_of_run(folder)], path, "simulate", memory=memory, spill=True)


def run_again(config: dict[str, Any], arrays: Any, seeds: Any, **options: Any) -> Call:
    """The checked call of a stored configuration, with other seeds.

    Raises
    ------
    ValueError
        If this session would run something else, as with a cell of that name but other arithmetic.
    """
    run = prepared(config, call_of(config, arrays) | {"seeds": seeds} | options)
    now = without_seeds(json.loads(text(run.config())))
    wrong = differences(without_seeds(config), now)
    if wrong:
        raise ValueError(f"the stored call cannot be made again as it was: {'; '.join(wrong)}")
    return run


def prepared(config: dict[str, Any], call: dict[str, Any]) -> Call:
    """A call of the kind that a configuration is of, checked."""
    if "study" in config:
        # Programs beside this one, that are built upon it: started by name.
        return import_module("gradsim.studies._parts").prepare(config, **call)
    if "train" in config:
        from gradsim.train import prepare
    else:
        from gradsim.simulate import prepare
    return prepare(**call)


@contextlib.contextmanager
def grown(path: str, run: Call, progress: bool | None) -> Iterator[Writer]:
    """Give a run folder the seeds of a run, whose first ones are its own, and complete it.

    Raises
    ------
    ValueError
        If it has other seeds, or as `writing` does.
    """
    config, work = run.config(), run.work(whole=False)
    if is_run(path):
        held = RunFolder(path)
        if list(held.seeds) != list(run.seeds[: len(held.seeds)]):
            raise ValueError(
                f"{path!r} has other seeds, of an extension that was stopped; extend as then, or "
                "remove it"
            )
        config = config | {"seeds": held.config["seeds"]}
    with writing(path, config, work.part_seeds, run.arrays()) as folder:
        if len(folder.seeds) < len(run.seeds):
            folder.set_seeds(run.seeds)
        complete(work, folder, cut(folder.missing(), folder.part_seeds), progress)
        yield folder

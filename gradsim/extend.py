"""`extend`: a result with more seeds."""

import shutil
from typing import Any

import numpy as np
import xarray as xr

from gradsim._config import differences
from gradsim._pieces import Source, check_open, resolved, source_of, source_of_run
from gradsim._run_files import is_run
from gradsim._stored import grown, result, run_again
from gradsim._validate import parse_memory, parse_progress, parse_seeds
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.merge import assemble
from gradsim.store import RunFolder


def extend(
    path: Any,
    seeds: Any,
    *,
    threads: int | None = None,
    memory_limit: int | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Add seeds to a stored result: run those that it does not have, as the call that made it.

    Parameters
    ----------
    path
        A result file of :func:`gradsim.simulate` or :func:`gradsim.train`, or a run folder of them
        or of a study.
    seeds
        n: all of 0..n-1; or integers.  Those that it has are not run again.
    threads, memory_limit, progress
        As in :func:`gradsim.simulate`.

    Returns
    -------
    xarray.Dataset
        The result, the old seeds first; the same bits as one call with all of them.  As
        :func:`gradsim.merge` returns it.  A file is replaced when all is done; what was run before
        something stopped it stays in a run folder beside it, ``NAME.extend``.

    Raises
    ------
    ValueError
        If the call cannot be made again: made by other kernels, or with a cell that this session
        does not have.  Or if it is the file of a study, whose verdict is of all its networks.
    TypeError, MemoryError, OSError
        As :func:`gradsim.simulate` and :func:`gradsim.load` do.

    Examples
    --------
    >>> import tempfile
    >>> import gradsim as gs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ds = gs.simulate(gs.MLP(depth=3, width=8), 5, progress=False)
    ...     gs.save(ds, folder + "/run.nc")
    ...     gs.extend(folder + "/run.nc", 8, progress=False).sizes["seed"]
    8
    """
    target, progress = resolved(path, "extend"), parse_progress(progress)
    asked = parse_seeds(seeds)
    options = {"threads": threads, "memory_limit": memory_limit}
    if is_run(target):
        run_folder = RunFolder(target)
        together = _union(run_folder.seeds, asked)
        run = run_again(run_folder.config, run_folder.arrays(), together, **options)
        with grown(target, run, progress) as folder:
            return result(folder, run.memory)
    return _extend_file(source_of(target), asked, options, progress)


def _union(held: Any, asked: Any) -> Any:
    """Seeds that are there, then those asked for beyond them."""
    known = set(held)
    together = [*held, *(seed for seed in asked if seed not in known)]
    first, last = together[0], together[-1]
    whole = last - first == len(together) - 1 and together == list(range(first, last + 1))
    return range(first, last + 1) if whole else together


def _extend_file(
    source: Source, asked: Any, options: dict[str, Any], progress: bool | None
) -> xr.Dataset:
    check_open([source], "extend")
    held = [int(seed) for seed in source.declared]
    together = _union(held, asked)
    memory = parse_memory(options["memory_limit"])
    if len(together) == len(held):
        return assemble([source], None, "extend", memory=memory, gaps=True)
    wrong = differences(source.kernel_hash, KERNEL_HASH, "kernel_hash")
    if wrong:
        raise ValueError(f"extend: {source.path!r} was made by other kernels: {wrong[0]}")
    run = run_again(source.config, source.arrays, list(together[len(held) :]), **options)
    folder_path = source.path + ".extend"
    with grown(folder_path, run, progress) as folder:
        order = np.array(together, np.uint64)
        ds = assemble(
            [source, source_of_run(folder)], source.path, "extend", memory=memory, seeds=order
        )
    shutil.rmtree(folder_path)
    return ds

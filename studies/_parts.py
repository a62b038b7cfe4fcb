"""Studies that may be stopped: the numbers of their networks go to a run folder, part by part."""

import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any

import xarray as xr

from gradsim._config import compact, text
from gradsim._pieces import resolved, source_of_run
from gradsim._validate import parse_memory, parse_seeds
from gradsim._work import cut
from gradsim.dataset import CONVENTIONS
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.merge import assemble
from gradsim.store import writing

Measure = Callable[[Any, int | None], xr.Dataset]


def measured(
    name: str, measure: Measure, seeds: Any, threads: int | None, store: Any, size: int
) -> xr.Dataset:
    """Numbers of every network, those that a run folder has already from there.

    A part has ``size`` networks.  The folder is that of the study's name and source: a study whose
    file changed does not go on with old numbers.

    Raises
    ------
    ValueError, OSError
        As :func:`gradsim.simulate` does for its ``store``.
    """
    chosen = parse_seeds(seeds)
    source = inspect.getsource(inspect.getmodule(measure) or measure).encode()
    config = {"study": name, "source": hashlib.sha256(source).hexdigest()}
    with writing(resolved(store, name), config | {"seeds": compact(chosen)}, size) as folder:
        for places in cut(folder.missing(), folder.part_seeds):
            part = chosen[places.start : places.stop]
            ds = measure(part, threads)
            ds.attrs |= {
                "Conventions": CONVENTIONS,
                "gradsim_config": text(config | {"seeds": compact(part)}),
                "gradsim_provenance": json.dumps({"kernel_hash": KERNEL_HASH}),
            }
            folder.add(places, ds)
        return assemble([source_of_run(folder)], None, "study", memory=parse_memory(None))

"""Studies as calls whose networks go by their seeds: they go on, are extended and verified."""

import contextlib
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import xarray as xr

from gradsim import _pool
from gradsim._config import compact, text
from gradsim._registry import brief
from gradsim._stored import run_stored
from gradsim._validate import parse_memory, parse_seeds, parse_threads
from gradsim.dataset import CONVENTIONS, provenance

Measure = Callable[[Any, int | None], xr.Dataset]


def origin(name: str, made: Any) -> dict[str, str]:
    """Name of a study, and the digest of its file: numbers of another text are not its own."""
    module = made if isinstance(made, ModuleType) else inspect.getmodule(made)
    source = inspect.getsource(module or made).encode()
    return {"study": name, "source": hashlib.sha256(source).hexdigest()}


def made_by(threads: int | None, seconds: float) -> dict[str, str]:
    """Attributes that say which software made numbers, in how long."""
    made = provenance("float64", parse_threads(threads), seconds)
    return {"Conventions": CONVENTIONS, "gradsim_provenance": json.dumps(made, sort_keys=True)}


@dataclass(frozen=True)
class Numbers:
    """The numbers of a study's networks, as a call: see :class:`gradsim._work.Call`.

    Attributes
    ----------
    origin
        Configuration without the seeds.
    measure
        From seeds and threads to a Dataset with the dim `seed`.
    seeds, threads
        Checked seeds; threads as in :func:`gradsim.simulate`.
    part_seeds
        Networks of a part.
    """

    origin: Mapping[str, Any]
    measure: Measure
    seeds: Sequence[int]
    threads: int | None
    part_seeds: int
    memory: int = field(default_factory=lambda: parse_memory(None))
    dtype: str = "float64"

    def config(self) -> dict[str, Any]:
        """What rebuilds it."""
        return {**self.origin, "seeds": compact(self.seeds)}

    def arrays(self) -> xr.Dataset:
        """Nothing: a study's arrays are in its file."""
        return xr.Dataset()

    def work(self, *, whole: bool = True) -> "Numbers":
        """Itself: every part is made by the study's own measure."""
        return self

    def bar(self, seeds: int, progress: bool | None) -> AbstractContextManager["_pool.Bar"]:
        """None is shown: a measure does not say how far it is."""
        return contextlib.nullcontext(_pool.Bar(0, False))

    def part(self, places: range, bar: "_pool.Bar") -> xr.Dataset:
        """Numbers of the seeds at some places."""
        chosen, begin = self.seeds[places.start : places.stop], time.perf_counter()
        ds = self.measure(chosen, self.threads)
        ds.attrs |= {"gradsim_config": text({**self.origin, "seeds": compact(chosen)})}
        ds.attrs |= made_by(self.threads, time.perf_counter() - begin)
        return ds


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
    return run_stored(Numbers(origin(name, measure), measure, chosen, threads, size), store, False)


def prepare(
    config: Mapping[str, Any], seeds: Any, threads: int | None, memory_limit: int | None
) -> Numbers:
    """Call that makes numbers of a stored configuration, for some seeds.

    Raises
    ------
    ValueError
        If this gradsim has no such study, or one of another text.
    """
    name = config["study"]
    spec = find_spec(f"gradsim.studies.{name}") if str(name).isidentifier() else None
    if spec is None or name.startswith("_"):
        raise ValueError(f"gradsim_config: this version of gradsim has no study {brief(name)}")
    module = import_module(spec.name)
    stored = {key: value for key, value in config.items() if key != "seeds"}
    now = origin(name, module)["source"]
    if stored.get("source") != now:
        raise ValueError(
            f"the study {name!r} has changed since (sha256 of its file: stored "
            f"{brief(stored.get('source'))}, now {brief(now)}), so its networks cannot be run again"
        )
    study, size = getattr(module, "STUDY", None), 1
    if study is not None:
        measure, size = study.measure, study.quick
    else:  # a function of the study's name, whose result is that of its networks
        call = partial(getattr(module, name), **stored.get("arguments", {}))
        measure = lambda seeds, threads: call(seeds, threads=threads, progress=False)  # noqa: E731
    chosen = parse_seeds(seeds)
    return Numbers(stored, measure, chosen, threads, size, parse_memory(memory_limit))

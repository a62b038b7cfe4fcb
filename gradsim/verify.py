"""`verify`: networks of a stored result are run again and compared."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gradsim._config import call_of
from gradsim._pieces import Source, reading, resolved, source_of
from gradsim._registry import brief
from gradsim._stored import prepared, run_again
from gradsim._validate import whole
from gradsim._work import Call
from gradsim.dataset import maker
from gradsim.merge import Layout
from gradsim.network import Network

TOLERANCE = {"float64": 1e-10, "float32": 1e-4}  # relative, where a network is not chaotic
CHAOTIC = 10.0  # times the change that one ulp makes
_ULP = {"float64": 2.0**-52, "float32": 2.0**-23}


class VerificationError(ValueError):
    """Networks that were run again are not those that are stored."""


@dataclass(frozen=True)
class Verification:
    """What `verify` compared.

    Attributes
    ----------
    seeds
        Networks that were run again.
    exact
        Whether bits were compared: the software, the kernels and the processor are those that made
        the result.  If not, tolerances were.
    largest
        Largest difference of each variable.
    """

    seeds: tuple[int, ...]
    exact: bool
    largest: dict[str, float]


def verify(path: Any, sample: int = 5, *, threads: int | None = None) -> Verification:
    """Run a sample of the networks of a stored result again and compare.

    Parameters
    ----------
    path
        A result file of :func:`gradsim.simulate`, :func:`gradsim.train` or a study, or a run
        folder, which need not be complete.  Of a study the numbers of its networks are compared.
    sample
        Networks to run: the first, the last and others between them at equal distances.
    threads
        As in :func:`gradsim.simulate`.

    Returns
    -------
    Verification
        The networks and the largest differences, once they have passed: equal bits where the
        provenance is that of this installation; else 1e-10 (float32: 1e-4) relative to the larger
        of 1 and the value, or 10 times the change that one ulp of given inputs, else of the
        weights, makes in a chaotic network (a study has no such handle on its networks: there it
        is the former alone).

    Raises
    ------
    VerificationError
        If a network differs; says which variable and which seed.
    TypeError, ValueError, OSError
        If the call cannot be made again, or as :func:`gradsim.load` does.

    Examples
    --------
    >>> import tempfile
    >>> import gradsim as gs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ds = gs.simulate(gs.MLP(depth=3, width=8), 50, progress=False)
    ...     gs.save(ds, folder + "/run.nc")
    ...     gs.verify(folder + "/run.nc", 3)
    Verification(seeds=(0, 24, 49), exact=True, largest={})
    """
    count = whole("verify", "sample", sample)
    source = source_of(resolved(path, "verify"))
    held = np.concatenate([np.zeros(0, np.uint64), *(piece.seeds for piece in source.pieces)])
    if not len(held):
        raise ValueError(f"verify: {source.path!r} has no finished part yet")
    places = np.unique(np.linspace(0, len(held) - 1, min(count, len(held))).astype(np.int64))
    stored, makers = _stored(source, held, places)
    seeds = [int(seed) for seed in held[places]]
    run = run_again(source.config, source.arrays, seeds, threads=threads, memory_limit=None)
    now = _result(run)
    stored = stored[[name for name in stored.data_vars if "seed" in stored[name].dims]]
    exact = makers == [maker(json.loads(now.attrs["gradsim_provenance"]))]
    largest: dict[str, float] = {}
    changes: dict[str, np.ndarray] = {}
    for name, variable in stored.data_vars.items():
        again = now[name]
        if variable.values.tobytes() == again.values.tobytes():
            continue
        difference = _difference(variable.values, again.values)
        if exact:
            raise _error(source, variable, difference, "made by the same software and processor")
        limit = _allowed(variable.values, TOLERANCE[run.dtype])
        if (difference > limit).any() and "study" not in source.config:
            changes = changes or _changes(source, run, now, threads)
            limit = np.fmax(limit, CHAOTIC * changes[str(name)])
        if (difference > limit).any():
            excess = np.where(difference > limit, difference, 0.0)
            raise _error(source, variable, excess, "beyond the tolerance")
        largest[str(name)] = float(difference.max())
    return Verification(tuple(seeds), exact, largest)


def _stored(source: Source, held: np.ndarray, places: np.ndarray) -> tuple[xr.Dataset, list[Any]]:
    """Stored results of some places, and what made the files that have them."""
    with reading(source.pieces) as reader:
        out = reader.empty(len(places))
        Layout(source.pieces, held, reader).take(places, out)
        made: list[Any] = []
        for each in reader.provenance.values():
            made += [m for m in each.get("mixed", [maker(each)]) if m not in made]
        return reader.dataset(out, held[places]), made


def _result(run: Call) -> xr.Dataset:
    work, places = run.work(), range(len(run.seeds))
    with work.bar(len(places), False) as bar:
        return work.part(places, bar)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Absolute differences: 0 where both are the same infinity or NaN, infinite where one is."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def _allowed(values: np.ndarray, tolerance: float) -> np.ndarray:
    if values.dtype.kind != "f":
        return np.zeros(values.shape)
    size = np.abs(np.where(np.isfinite(values), values, 0.0))
    return tolerance * np.maximum(size, 1.0)


def _changes(
    source: Source, run: Call, now: xr.Dataset, threads: int | None
) -> dict[str, np.ndarray]:
    """What one ulp more or less makes of every network: the largest change along its layers."""
    changes = {str(name): np.zeros(variable.shape) for name, variable in now.data_vars.items()}
    for sign in (1, -1):
        call = _moved(source, 1 + sign * _ULP[run.dtype]) | {"seeds": list(run.seeds)}
        options = {"threads": threads, "memory_limit": None}
        moved = _result(prepared(source.config, call | options))
        for name, largest in changes.items():
            difference = _difference(now[name].values, moved[name].values)
            after = tuple(range(now[name].dims.index("seed") + 1, difference.ndim))
            np.maximum(largest, difference.max(axis=after, keepdims=True), out=largest)
    return changes


def _moved(source: Source, factor: float) -> dict[str, Any]:
    """The stored call with given inputs, else its weights, times a factor."""
    call: dict[str, Any] = call_of(source.config, source.arrays)
    if isinstance(call["inputs"], np.ndarray | xr.DataArray):
        return call | {"inputs": call["inputs"] * factor}
    model, vary = call["model"], call["vary"]
    if isinstance(model, Network):
        return call | {"model": Network.of_vector(model.model, model.vector() * factor)}
    if "sigma_w" in vary:
        vary = vary | {"sigma_w": [sigma * factor for sigma in vary["sigma_w"]]}
    return call | {"model": model.with_fields(sigma_w=model.sigma_w * factor), "vary": vary}


def _error(
    source: Source, variable: xr.DataArray, difference: np.ndarray, why: str
) -> VerificationError:
    place = np.unravel_index(int(np.argmax(difference)), difference.shape)
    seed = variable.seed.values[place[variable.dims.index("seed")]]
    stored = brief(float(variable.values[place]))
    return VerificationError(
        f"verify: {source.path!r}: {variable.name} of seed {seed} is {stored}; run again it "
        f"differs by {difference[place]:.3g}, {why}"
    )

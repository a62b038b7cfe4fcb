"""`load`: results from files and run folders, checked before they are used."""

import os
import sys
from typing import Any

import numpy as np
import xarray as xr

from gradsim import storage
from gradsim._pieces import Piece, Reader, Source, reading, resolved, source_of
from gradsim._run_files import is_run
from gradsim.merge import assemble, attributes
from gradsim.storage import InvalidFileError


def load(path: str | os.PathLike[str], *, lazy: bool | str = False) -> xr.Dataset:
    """Read a result: a file of :func:`gradsim.save`, or a run folder.

    Parameters
    ----------
    path
        File or run folder.
    lazy
        False reads everything and closes the file.  True leaves it open and reads a variable when
        it is used; close it with ``ds.close()`` or a ``with`` statement.  "dask" does the same
        with dask arrays, of a run folder one chunk a part, so that what does not fit into memory
        can be reduced; it needs dask, and for a run folder True means the same.

    Returns
    -------
    xarray.Dataset
        What was saved: dims, coords, dtypes, values and attributes; of a run folder the result of
        its call.

    Raises
    ------
    FileNotFoundError
        If there is nothing of that name.
    InvalidFileError
        A ValueError: what was truncated, altered, of a newer format or not from gradsim; a run
        folder also where seeds are missing, named with the part that is wrong.
    ModuleNotFoundError
        If dask is needed and not installed.
    """
    if lazy not in (False, True, "dask"):
        raise ValueError(f"load(lazy={lazy!r}): lazy must be False, True or 'dask'")
    source = resolved(path, "load")
    if is_run(source):
        return _load_run(source, bool(lazy))
    if lazy == "dask":
        _require_dask()
        return storage.load(source, lazy=True, chunks={})
    return storage.load(source, lazy=bool(lazy))


def _require_dask() -> None:
    try:
        import dask.array  # noqa: F401
    except ModuleNotFoundError as error:
        needed = 'lazy chunks come with dask: pip install "gradsim[distributed]"'
        raise ModuleNotFoundError(needed) from error


def _load_run(path: str, lazy: bool) -> xr.Dataset:
    source = source_of(path)
    here = sum(len(piece.seeds) for piece in source.pieces)
    if here < len(source.declared):
        run = source.pieces[0].run if source.pieces else None
        gaps = run.missing() if run else [range(len(source.declared))]
        first = gaps[0]
        raise InvalidFileError(
            f"load(path={path!r}): the run is not complete: {here} of {len(source.declared)} seeds "
            f"are done, the first gap is at places {first.start}..{first.stop - 1}; call simulate "
            "with this store again, or gs.merge(path, gaps=True)"
        )
    if not lazy:
        return assemble([source], None, "simulate", memory=sys.maxsize)
    _require_dask()
    with reading(source.pieces) as reader:
        data = {name: _lazy(source, reader, name) for name in reader.variables}
        ds = reader.dataset(data, source.declared).assign_coords(source.arrays.coords)
        ds.attrs = attributes(source, reader, source.declared, "simulate")
    return ds


def _lazy(source: Source, reader: Reader, name: str) -> Any:
    """One variable of all parts as a dask array."""
    import dask.array
    from dask.delayed import delayed

    dims, kind, _ = reader.variables[name]
    blocks = []
    for piece in source.pieces:
        sizes = reader.sizes | {"seed": len(piece.seeds)}
        value = delayed(_read)(piece, name)
        blocks.append(dask.array.from_delayed(value, [sizes[str(d)] for d in dims], kind))
    return dask.array.concatenate(blocks, axis=dims.index("seed"))


def _read(piece: Piece, name: str) -> np.ndarray:
    """One variable of a part, checked."""
    with piece.open() as ds:
        return ds[name].values

"""A result file that grows along seed: written slab by slab, never held whole."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from gradsim import storage
from gradsim._atomic import replacing
from gradsim._storable import check_storable

CHUNK_BYTES = 2**20  # of a variable's chunk in the file, uncompressed


class Growing:
    """A file that takes results along seed, in their order; made by `growing`."""

    def __init__(self, path: str) -> None:
        self._path, self._file = path, None
        self._seeds = 0

    def append(self, ds: xr.Dataset) -> None:
        """Add a result whose variables are those of the first one."""
        with storage.LOCK:
            if self._file is None:
                check_storable(ds)
                storage.write_netcdf(ds, self._path, _chunks(ds))
                self._file = netCDF4.Dataset(self._path, "a")
                self._file.set_auto_maskandscale(False)
                for variable in self._file.variables.values():  # written once: nothing to keep
                    if "seed" in variable.dimensions:
                        variable.set_var_chunk_cache(size=2 * CHUNK_BYTES)
            else:
                caches = 2 * CHUNK_BYTES * len(self._file.variables)  # written at the end
                storage.reserve(self._path, ds.nbytes + caches)
                self._extend(ds)
        self._seeds += ds.sizes["seed"]

    def _extend(self, ds: xr.Dataset) -> None:
        assert self._file is not None
        place = slice(self._seeds, self._seeds + ds.sizes["seed"])
        for name, variable in ds.variables.items():
            if "seed" in variable.dims:
                out = self._file[str(name)]
                values = variable.values.astype(out.dtype, copy=False)  # bool is stored as int8
                out[tuple(place if dim == "seed" else slice(None) for dim in variable.dims)] = (
                    values
                )

    def finish(self, attrs: dict[str, Any]) -> None:
        """Set the attributes of the whole and close the file."""
        assert self._file is not None
        with storage.LOCK:
            storage.reserve(self._path, sum(len(str(text)) for text in attrs.values()))
            self._file.setncatts(attrs)
            self.close()

    def close(self) -> None:
        """Close the file, whatever is in it."""
        file, self._file = self._file, None
        if file is not None:
            with storage.LOCK:
                file.close()


@contextlib.contextmanager
def growing(path: str | os.PathLike[str]) -> Iterator[Growing]:
    """Write a file slab by slab: it appears under its name once it is finished.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with replacing(storage.target_of(path)) as temporary:
        file = Growing(temporary)
        try:
            yield file
        except BaseException:
            with contextlib.suppress(RuntimeError):  # what HDF5 could not write before
                file.close()
            raise
        storage.append_trailer(temporary)


def _chunks(ds: xr.Dataset) -> dict[Any, tuple[int, ...]]:
    """Chunks of all variables along seed: one condition, as many seeds as `CHUNK_BYTES` takes."""
    return {
        name: _chunk(variable)
        for name, variable in ds.variables.items()
        if "seed" in variable.dims and variable.size
    }


def _chunk(variable: xr.Variable) -> tuple[int, ...]:
    axis = variable.dims.index("seed")
    after = variable.shape[axis + 1 :]
    line = int(np.prod(after, dtype=np.int64)) * variable.dtype.itemsize
    most = max(1, min(variable.shape[axis], CHUNK_BYTES // max(line, 1)))
    return (*[1] * axis, 1 << (most.bit_length() - 1), *after)

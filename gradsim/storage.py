"""Result files: NetCDF-4 with checksums, written in one step, checked before they are read.

A file is an ordinary NetCDF-4 file followed by 80 bytes, `gradsim-sha256 <64 hex>` and a newline:
the SHA-256 of everything before them. NetCDF libraries ignore the trailer, so any of them opens
the file; `load` verifies it first, because HDF5 reads many damaged files without complaint.
"""

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import xarray as xr

from gradsim._atomic import replacing
from gradsim._storable import check_storable

_MAJOR = 1  # of the newest format this version reads: Conventions = "gradsim-1.0"
_TAG = b"gradsim-sha256 "
_TRAILER_BYTES = len(_TAG) + 64 + 1
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BLOCK_BYTES = 1 << 20
_HDF5_BYTES = 1 << 20  # most that the headers of a file take
_FILTERS = {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}


class InvalidFileError(ValueError):
    """The file is truncated, altered, of a newer format, or was not written by `save`."""


class _FileLock:
    """A reentrant lock that pickles to the lock of the receiving process."""

    def __init__(self) -> None:
        lock = threading.RLock()
        self.acquire, self.release = lock.acquire, lock.release

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __reduce__(self) -> str:
        return "LOCK"


LOCK = _FileLock()  # NetCDF-C crashes when two threads are inside it
_AS_WRITTEN: dict[str, Any] = {
    "engine": "netcdf4",
    "lock": LOCK,
    "decode_times": False,
    "decode_timedelta": False,
}


def save(ds: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset to a NetCDF-4 file, completely or not at all.

    Every array is compressed (zlib 1, shuffle) and carries a Fletcher-32 checksum; scalars, which
    HDF5 cannot filter, are covered by the SHA-256 at the end of the file. The file appears under
    its name only once it is complete and on disk; an existing file is replaced.

    Parameters
    ----------
    ds
        Variables and coordinates of integers, float32, float64, bool or str, of any shape; object
        arrays of str are stored as str. Attributes are str, int (64 bits) or float.
    path
        The file to write; its folder must exist.

    Raises
    ------
    TypeError
        If `ds` is not a Dataset or holds a variable or an attribute that NetCDF cannot give back
        unchanged (complex, float16, object, datetime; dict, list, bool, None).
    ValueError
        If a name, or the text of an attribute, cannot be stored unchanged.
    FileNotFoundError
        If the folder does not exist.

    Examples
    --------
    >>> import tempfile
    >>> ds = xr.Dataset({"log10_loss": ("seed", [-1250.0, -np.inf])}, {"seed": [0, 1]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(ds, folder + "/loss.nc")
    ...     load(folder + "/loss.nc").identical(ds)
    True
    """
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"save(ds=...): must be an xarray.Dataset, got {type(ds).__name__}")
    target = target_of(path)
    check_storable(ds)
    if ds.chunks:  # its worker threads may need the lock
        ds = ds.compute()
    with LOCK, replacing(target) as temporary:
        write_netcdf(ds, temporary)
        append_trailer(temporary)


def load(path: str | os.PathLike[str], *, lazy: bool = False, chunks: Any = None) -> xr.Dataset:
    """Read a file written by `save`, after checking that it is the file that was written.

    Parameters
    ----------
    path
        The file to read.
    lazy
        False reads everything and closes the file. True leaves it open and reads a variable when
        it is used; close it with `ds.close()` or a `with` statement.
    chunks
        Chunks of dask arrays, with `lazy`.

    Returns
    -------
    xarray.Dataset
        The Dataset given to `save`: same dims, coords, dtypes, values (NaN and infinities
        included) and attributes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidFileError
        A ValueError: the file is truncated, altered, from a newer format or not from `save`.
    """
    source = os.path.realpath(as_path(path, "load"))
    with LOCK:
        _check_trailer(source)
        with contextlib.ExitStack() as stack:
            ds = stack.enter_context(xr.open_dataset(source, chunks=chunks, **_AS_WRITTEN))
            _check_format(ds, source)
            _restore_types(ds)
            if lazy:
                stack.pop_all()  # leave the file open
                return ds
            return ds.load().drop_encoding()


def target_of(path: str | os.PathLike[str]) -> str:
    """File that a result goes to: links are followed, and its folder exists."""
    target = os.path.realpath(as_path(path, "save"))
    if os.path.isdir(target):
        raise IsADirectoryError(f"save(path={target!r}): must name a file, this is a folder")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"save(path={target!r}): the folder {folder!r} does not exist")
    return target


def as_path(path: str | os.PathLike[str], caller: str) -> str:
    """Path of a file or folder as text; TypeError names the caller where it is none."""
    try:
        return os.path.expanduser(os.fsdecode(os.fspath(path)))
    except TypeError:
        kind = type(path).__name__
        raise TypeError(f"{caller}(path=...): must be a str or os.PathLike, got {kind}") from None


def checksum(path: str) -> tuple[int, str]:
    """Length of a file, and the SHA-256 that its trailer states (which `load` checks).

    Raises
    ------
    InvalidFileError
        If the file does not end with one.
    """
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size
        file.seek(max(length - _TRAILER_BYTES, 0))
        trailer = file.read()
    _check_tail(path, trailer)
    return length, trailer[len(_TAG) : -1].decode("ascii", "replace")


def write_netcdf(ds: xr.Dataset, path: str, chunks: Mapping[Any, Any] | None = None) -> None:
    """Write a Dataset without a trailer, with the chunks of some variables and `seed` to grow."""
    encoding = {name: _encoding(variable) for name, variable in ds.variables.items()}
    for name, shape in (chunks or {}).items():
        encoding[name]["chunksizes"] = shape
    grows = () if chunks is None else ("seed",)
    reserve(path, ds.nbytes + _text_bytes(ds))
    ds.drop_encoding().to_netcdf(
        path, mode="w", engine="netcdf4", encoding=encoding, unlimited_dims=grows
    )


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    # Strings of fixed length, as HDF5 cannot put a checksum on strings of variable length.
    text = variable.dtype.kind in "UO"
    kind: dict[str, Any] = {"dtype": "S1"} if text else {"_FillValue": None}
    return kind | (_FILTERS if variable.ndim and variable.size else {})


def reserve(path: str, count: int) -> None:
    """Fail where the disk has no room for `count` more bytes and what HDF5 adds to them.

    Once HDF5 itself has failed to write, it may crash the process at any later file.

    Raises
    ------
    OSError
        If there is no room, or a file may not grow so far.
    """
    if hasattr(os, "posix_fallocate"):  # elsewhere HDF5 finds out
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), os.path.getsize(path), count + _HDF5_BYTES)


def _text_bytes(ds: xr.Dataset) -> int:
    """Size of all attributes."""
    attrs = [ds.attrs, *(variable.attrs for variable in ds.variables.values())]
    return sum(len(str(value).encode()) for each in attrs for value in each.values())


def append_trailer(path: str) -> None:
    """End a file with its SHA-256, and bring it to the disk."""
    with open(path, "r+b") as file:
        file.write(_trailer(file, os.path.getsize(path)))
        file.flush()
        os.fsync(file.fileno())


def _trailer(file: BinaryIO, length: int) -> bytes:
    """Build the trailer of the first `length` bytes."""
    file.seek(0)
    digest = hashlib.sha256()
    while length and (block := file.read(min(length, _BLOCK_BYTES))):
        digest.update(block)
        length -= len(block)
    return _TAG + digest.hexdigest().encode() + b"\n"


def _check_trailer(path: str) -> None:
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size - _TRAILER_BYTES
        if file.read(len(_HDF5_SIGNATURE)) != _HDF5_SIGNATURE:
            raise InvalidFileError(f"load(path={path!r}): not a NetCDF-4 file")
        file.seek(max(length, 0))
        trailer = file.read()
        _check_tail(path, trailer)
        if trailer != _trailer(file, length):
            raise InvalidFileError(
                f"load(path={path!r}): the checksum does not match, so the file was altered or "
                f"damaged since it was written; restore it from a copy or run it again"
            )


def _check_tail(path: str, trailer: bytes) -> None:
    if not (trailer.startswith(_TAG) and len(trailer) == _TRAILER_BYTES):
        raise InvalidFileError(
            f"load(path={path!r}): the file does not end with its checksum, so it is truncated "
            f"or was not written by gradsim.save; write or copy it again"
        )


def _check_format(ds: xr.Dataset, path: str) -> None:
    """Refuse a newer major version; files without the attribute are no result, but are ours."""
    conventions = str(ds.attrs.get("Conventions", ""))
    for version in re.findall(r"gradsim-([^\s,]*)", conventions):
        major = re.match(r"\d+", version)
        if major is None or int(major.group()) > _MAJOR:
            raise InvalidFileError(
                f"load(path={path!r}): the file has the format gradsim-{version}, this version of "
                f"gradsim reads formats up to gradsim-{_MAJOR}; install a newer gradsim"
            )


def _restore_types(ds: xr.Dataset) -> None:
    """Turn decoded text back into fixed-width str and NumPy scalars in attributes into numbers."""
    for name, variable in list(ds.variables.items()):
        if variable.dtype.kind in "OU":
            text = variable.values.astype(object).astype(str)  # as wide as its longest entry
            ds[name] = (variable.dims, text, variable.attrs)
    for attrs in [ds.attrs, *(ds[name].attrs for name in ds.variables)]:
        for name, value in attrs.items():
            if isinstance(value, np.generic):
                attrs[name] = value.item()

"""What a worker of a dask cluster does: one part of a run, into the run folder where it sees it."""

import os
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from threading import Lock

import xarray as xr

from gradsim import _own, _pool, storage
from gradsim._manifest import Entry
from gradsim._validate import parse_memory
from gradsim._work import Work
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.store import part_path

_WORKS: dict[str, Work] = {}
_PREPARING = Lock()


def make_part(
    payload: bytes, digest: str, places: range, store: str | None, config: str | None
) -> xr.Dataset | Entry:
    """Make one part: its line of the manifest where this worker sees the store, else its result."""
    work = _prepared(payload, digest)
    if store is None or config_digest(store) != config:
        return work.part(places, _pool.Bar(0, False))
    path = part_path(store, places.start, places.stop - 1)
    if not _finished(path):
        storage.save(work.part(places, _pool.Bar(0, False)), path)
    return Entry(places.start, places.stop - 1, *storage.checksum(path))


def _finished(path: str) -> bool:
    """Whether the part is there already: made by a worker that died after it, or a late one."""
    try:
        storage.load(path, lazy=True).close()
    except (FileNotFoundError, storage.InvalidFileError):
        return False
    return True


def _prepared(payload: bytes, digest: str) -> Work:
    """The run's passes, made once in every worker process."""
    from distributed.protocol.pickle import loads

    with _PREPARING:
        if digest not in _WORKS:
            run, memory_limit, made, kernels = loads(payload)
            if kernels != KERNEL_HASH:
                raise RuntimeError(
                    f"the worker has other kernels ({KERNEL_HASH}) than the caller ({kernels}); "
                    "install the same gradsim everywhere"
                )
            _own.add(made)
            # Once and for all: parts in threads of one process would undo each other's limit.
            _pool.one_blas_thread()
            _WORKS.clear()
            _WORKS[digest] = Work(replace(run, memory=parse_memory(memory_limit)), whole=False)
        return _WORKS[digest]


def config_digest(store: str) -> str:
    """Digest of a run folder's configuration: whoever reads the same sees the same folder."""
    with suppress(FileNotFoundError), open(os.path.join(store, "config.json"), "rb") as file:
        return sha256(file.read()).hexdigest()
    return "absent"

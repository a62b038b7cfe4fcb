"""What makes a folder a run folder: its configuration, and the lock of the one that writes."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from gradsim import _atomic, _config
from gradsim.kernels._jit import KERNEL_HASH
from gradsim.storage import InvalidFileError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

FORMAT = "gradsim-run-1"
CONFIG, LOCK = "config.json", "lock"


def is_run(path: str) -> bool:
    """Whether a path is a run folder."""
    return os.path.isfile(os.path.join(path, CONFIG))


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the folder's lock; the system frees it however the process ends."""
    if fcntl is None:
        raise OSError("simulate(store=...): needs the file locks of a POSIX system (fcntl)")
    with open(os.path.join(path, LOCK), "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BlockingIOError(
                f"simulate(store={path!r}): {file.read().strip() or 'another process'} is writing "
                "to it; wait for it to end, or give another folder"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def write_config(path: str, config: Mapping[str, Any], part_seeds: int) -> None:
    """Write the configuration of a run folder."""
    stored = {
        "format": FORMAT, "config": config, "part_seeds": part_seeds, "kernel_hash": KERNEL_HASH
    }  # fmt: skip
    _atomic.write(os.path.join(path, CONFIG), _rendered(stored))


def _rendered(stored: Mapping[str, Any]) -> bytes:
    """The one text of a configuration file, with its SHA-256."""
    digest = sha256(_config.text(stored).encode()).hexdigest()
    return (json.dumps({**stored, "sha256": digest}, sort_keys=True, indent=1) + "\n").encode()


def read_config(path: str) -> dict[str, Any]:
    """What `write_config` wrote, checked.

    Raises
    ------
    FileNotFoundError
        If there is none.
    InvalidFileError
        If it was altered, or is of a newer format.
    """
    path = os.path.join(path, CONFIG)
    with open(path, "rb") as file:
        content = file.read()
    try:
        stored = json.loads(content)
        intact = _rendered({k: v for k, v in stored.items() if k != "sha256"}) == content
    except (ValueError, AttributeError):
        intact, stored = False, {}
    if not intact:
        raise InvalidFileError(
            f"{path!r}: its sha256 does not match, so it was altered or damaged; restore it"
        )
    if stored["format"] != FORMAT:
        raise InvalidFileError(
            f"{path!r}: the run folder has the format {stored['format']!r}, this version of "
            f"gradsim reads {FORMAT!r}; install a newer gradsim"
        )
    return stored

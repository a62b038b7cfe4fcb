"""Files that appear under their name completely or not at all, and stay when the power fails."""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator

_TEMPORARY = re.compile(r"\.gradsim-[0-9]+-[0-9a-f]{16}\.tmp")
_PROBE_BYTES = 1 << 20


def is_temporary(name: str) -> bool:
    """Whether a file is one that `replacing` had not finished."""
    return _TEMPORARY.fullmatch(name) is not None


@contextlib.contextmanager
def replacing(target: str) -> Iterator[str]:
    """Give a new file's name in the folder of `target`; rename it over `target` on success.

    Raises
    ------
    OSError
        With the cause, where the file cannot be written; `target` is then as it was.
    """
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".gradsim-{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        # Not mkstemp: the result gets the permissions of any new file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        os.replace(temporary, target)
    except BaseException as error:
        failed = _failure(target, temporary, error)
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if failed is error:
            raise
        raise failed from error
    if os.name != "nt":  # where a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _failure(target: str, temporary: str, error: BaseException) -> BaseException:
    """The error to raise: HDF5 does not say why it could not write, but the system does."""
    if isinstance(error, OSError) and error.filename not in (None, temporary):
        return error
    cause: BaseException = error
    if isinstance(error, RuntimeError) or getattr(error, "errno", 0) in (None, errno.EACCES):
        try:
            with open(temporary, "ab") as file:
                file.write(bytes(_PROBE_BYTES))
        except OSError as found:
            cause = found
    if not isinstance(cause, OSError) or cause.errno is None:
        return error
    text = f"{os.strerror(cause.errno)}: {target!r} was not written; what was there is unchanged"
    return type(cause)(cause.errno, text)


def write(path: str, content: bytes) -> None:
    """Write a small file completely or not at all."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def remove_temporaries(folder: str) -> None:
    """Remove what killed writers left unfinished in a folder."""
    with os.scandir(folder) as files:
        for file in files:
            if is_temporary(file.name):
                os.unlink(file.path)

"""The manifest of a run folder: one line for every finished part, each with its own digest.

It only saves time: whatever a line does not say, or says of a file that is not there, is found out
from the parts themselves.  A line is `first last bytes sha256 check`: places of the part's seeds
(both included), length and SHA-256 of its file, and the start of the SHA-256 of the line before.
"""

import os
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

_CHECK = 16  # hexadecimal digits


class Entry(NamedTuple):
    """A finished part: places of its first and last seed, and what its file must be."""

    first: int
    last: int
    size: int
    sha256: str

    @property
    def places(self) -> range:
        """Places of its seeds."""
        return range(self.first, self.last + 1)


def line(entry: Entry) -> str:
    """Line of a part."""
    text = f"{entry.first} {entry.last} {entry.size} {entry.sha256} "
    return f"{text}{sha256(text.encode()).hexdigest()[:_CHECK]}\n"


def read(path: str) -> tuple[list[Entry], list[int]]:
    """Entries of a manifest, and the numbers of its damaged lines.

    A last line without its end is one that a killed process was writing, and is no damage.
    """
    try:
        with open(path, "rb") as file:
            *lines, _ = file.read().split(b"\n")
    except FileNotFoundError:
        return [], []
    entries, damaged = [], []
    for number, text in enumerate(lines, 1):
        body = text[:-_CHECK]
        if sha256(body).hexdigest()[:_CHECK].encode() != text[-_CHECK:]:
            damaged.append(number)
            continue
        first, last, size, digest = body.decode("ascii").split()
        entries.append(Entry(int(first), int(last), int(size), digest))
    return entries, damaged


def append(path: str, entry: Entry) -> None:
    """Add a line, on disk before this returns."""
    with open(path, "r+b" if os.path.exists(path) else "w+b") as file:
        end = file.seek(0, os.SEEK_END)
        tail = _tail(file, end)
        file.seek(end - tail)
        file.truncate()  # what a killed process left of a line
        file.write(line(entry).encode())
        file.flush()
        os.fsync(file.fileno())


def _tail(file, end: int) -> int:
    """Bytes after the last newline."""
    file.seek(max(end - 512, 0))
    return len(file.read().rpartition(b"\n")[2])


def text(entries: Iterable[Entry]) -> bytes:
    """Whole manifest."""
    return "".join(map(line, sorted(entries))).encode()

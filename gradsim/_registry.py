"""Named things: looked up by name with a helpful error, printed as a table."""

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, TypeVar

Entry = TypeVar("Entry")
LISTED = 16  # names that an error lists beside the nearest ones
LONGEST = 60  # characters of a value in a message


def brief(value: object) -> str:
    """Value for a message: its repr in one line, cut where it is long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not print integers of thousands of digits
        text = f"{type(value).__name__} of too many digits"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def unknown(what: str, name: object, known: list[str]) -> ValueError:
    """Error for an unknown name: what is allowed, what came, and the nearest known ones."""
    near = get_close_matches(name, known, n=2) if isinstance(name, str) else []
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    several = f"{len(known)} known names" if near and len(known) > LISTED else sorted(known)
    return ValueError(f"{what} must be one of {several}, got {brief(name)}{hint}")


def source_text(function: Callable) -> str:
    """Text of a function that a user registers, or its name where there is no file."""
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return f"# {getattr(function, '__qualname__', function)!s}: source text not available"


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A mapping from name to entry whose text form is a table; entries are added, never replaced.

    Parameters
    ----------
    kind
        What an entry is, for error messages.
    entries
        The entries by name.
    columns
        Attributes of an entry that the table shows.
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry], columns: tuple[str, ...]) -> None:
        self._kind, self._entries, self._columns = kind, dict(entries), columns

    def __getitem__(self, name: str) -> Entry:
        """Entry of that name; ValueError with the nearest known names otherwise."""
        if not isinstance(name, str) or name not in self._entries:
            raise unknown(self._kind, name, list(self._entries))
        return self._entries[name]

    def add(self, name: str, entry: Entry) -> None:
        """Add an entry; ValueError where the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self._kind} {name!r} exists already")
        self._entries[name] = entry

    def __contains__(self, name: object) -> bool:
        """Whether an entry has that name."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Names in the order of registration."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def __repr__(self) -> str:
        """Table of all entries."""
        rows = [("name", *self._columns)]
        rows += [
            (k, *(str(getattr(e, c)) for c in self._columns)) for k, e in self._entries.items()
        ]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(lines)

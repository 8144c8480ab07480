"""The values that every layer speaks of: header fields, requests, extents and stored entries.

All are frozen and free of I/O. Header names, values and targets are `str` decoded as Latin-1, which maps
every byte to one character and back: what came in goes out byte for byte.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Fields:
    """The header fields of one message, with the case and order in which they came."""

    __slots__ = ("_index", "items")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self.items = tuple(items)
        self._index: dict[str, list[str]] = {}
        for name, value in self.items:
            self._index.setdefault(name.lower(), []).append(value)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self.items == other.items

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        return f"Fields({[name for name, _ in self.items]})"  # values may be credentials

    def names(self) -> Iterable[str]:
        """The names present, in lower case, each once."""
        return self._index.keys()

    def all(self, name: str) -> list[str]:
        """The values of every field line called `name` (lower case), in order."""
        return self._index.get(name, [])

    def get(self, name: str) -> str | None:
        """The field's lines joined by a comma (RFC 9110 5.3), or None where it is absent."""
        values = self._index.get(name)
        return None if values is None else values[0] if len(values) == 1 else ", ".join(values)

    def without(self, names: Iterable[str]) -> "Fields":
        """The same fields less those called `names` (lower case)."""
        dropped = frozenset(names)
        return Fields(item for item in self.items if item[0].lower() not in dropped)

    def with_field(self, name: str, value: str) -> "Fields":
        """The same fields with `name` set to `value`: in place of its first line, else at the end."""
        lower = name.lower()
        if lower not in self._index:
            return Fields((*self.items, (name, value)))
        first = next(number for number, item in enumerate(self.items) if item[0].lower() == lower)
        rest = (item for item in self.items[first + 1 :] if item[0].lower() != lower)
        return Fields((*self.items[:first], (self.items[first][0], value), *rest))


class Extent(NamedTuple):
    """A half-open interval of bytes [start, stop) of one version."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Request:
    """One client's request, as it came.

    `host` is the authority it names (lower case, with a port only where the client gave one); `length` is
    the declared body length, None where there is no body or it is chunked. `lines` are those that `fields` were read
    from, in the same order: with whatever space stood around the values.
    """

    method: str
    target: str
    fields: Fields
    host: str
    client: str = ""
    tls: bool = False
    version: tuple[int, int] = (1, 1)
    length: int | None = None
    chunked: bool = False
    lines: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)


@dataclass(frozen=True, slots=True)
class Head:
    """Status and header fields of a response."""

    status: int
    fields: Fields
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """The primary cache key: where the object lives, and its name decoded once.

    Its text names it in the store, so that no two keys share one: neither `route` nor `bucket` holds a slash, and
    what follows the last `#` is the version.
    """

    route: str
    bucket: str
    object: str
    version: str = ""

    def __str__(self) -> str:
        text = f"{self.route}/{self.bucket}/{self.object}"
        if not self.version and "#" not in self.object:
            return text
        return f"{text}#{self.version.replace('%', '%25').replace('#', '%23')}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of one stored version (one variant of its key).

    `fields` are the origin's, less hop-by-hop and exchange fields. `size` is the complete length in bytes.
    `is_open`: the answer came to a request that showed no credential. Times are seconds since the epoch. `mark`: what
    its store tells versions apart by, where that is not the ETag (`Dialect.mark`). `form`: that of the URL which it
    answers (`Read.form`): the heads of an object's forms differ, the bytes of one mark do not.
    """

    key: str
    version: str
    status: int
    fields: Fields
    size: int
    requested_at: float
    answered_at: float
    is_open: bool
    vary: tuple[tuple[str, str | None], ...] = field(default=())
    mark: str = ""
    form: str = ""

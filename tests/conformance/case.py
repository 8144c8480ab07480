"""What a conformance case is: requests, what the origin answers if it is asked, and what must come of it.

    Case("max-age", "9111 4.2.1", MUST, "a response is fresh for its max-age", (
        Step(answer=fresh()),
        Step(comes=CACHE),
    ))

Every case has a path of its own, on one of a few hosts. A header value that is a number stands for an HTTP date, as
many seconds from the start of the case. A step says whether the origin is asked (`comes`), and may say more of what
the client and the origin see.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Literal

Value = str | int
Headers = Sequence[tuple[str, Value]]
Level = Literal["must", "should", "may"]
MUST: Level = "must"
SHOULD: Level = "should"
MAY: Level = "may"


class Comes(Enum):
    """Where the answer of a step comes from."""

    CACHE = "the store: nobody asks the origin"
    ORIGIN = "the origin, asked without a condition of Nezha's own"
    CHECKED = "the store, after the origin has answered 304 to a condition"
    ANY = "wherever Nezha likes"


CACHE, ORIGIN, CHECKED, ANY = Comes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the origin answers, if it is asked. Without `body` its own is the number of the request.

    `framing` "close": the body ends with the connection; "cut": the connection ends before an answer.
    """

    headers: Headers = ()
    status: int = 200
    body: str | None = None
    framing: Literal["length", "chunked", "close", "cut"] = "length"
    interim: Sequence[tuple[int, Headers]] = ()
    trailers: Headers = ()

    def with_headers(self, *headers: tuple[str, Value]) -> "Answer":
        return replace(self, headers=(*self.headers, *headers))


@dataclass(frozen=True, slots=True)
class Step:
    """One request and what must come of it.

    `path` is put behind the case's own. `sent`: fields the origin must see (None: must not). `has`: fields the client
    must see; "*" any value, ">5" a larger number, None none at all. `asked`: how often the origin was asked in this
    case by the end of the step, waited for where it happens in the background.
    """

    method: str = "GET"
    headers: Headers = ()
    path: str = ""
    body: str | None = None
    answer: Answer = field(default_factory=Answer)
    comes: Comes = ORIGIN
    status: int | None = None
    has: Sequence[tuple[str, Value | None]] = ()
    sent: Sequence[tuple[str, Value | None]] = ()
    text: str | None = None
    says: str | None = None
    asked: int | None = None
    raw_target: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One rule. `section` begins with the number of its RFC; `host` is one of `play.HOSTS`."""

    id: str
    section: str
    level: Level
    rule: str
    steps: tuple[Step, ...]
    host: str = "web.test"


def fresh(*headers: tuple[str, Value], **more: object) -> Answer:
    """An answer that is fresh for an hour."""
    return Answer((("Cache-Control", "max-age=3600"), ("Date", 0), *headers), **more)  # type: ignore[arg-type]


def stale(*headers: tuple[str, Value], control: str = "max-age=10", **more: object) -> Answer:
    """An answer that is stale when it comes."""
    return Answer((("Cache-Control", control), ("Age", "20"), ("Date", 0), *headers), **more)  # type: ignore[arg-type]


def unchanged(*headers: tuple[str, Value]) -> Answer:
    """A 304."""
    return Answer((("Date", 0), *headers), status=304)


def twice(answer: Answer, comes: Comes, *headers: tuple[str, Value], **more: object) -> tuple[Step, ...]:
    """The same request twice: the first answer comes from the origin, the second as said."""
    request = {"headers": headers}
    second: dict[str, object] = {**request, "comes": comes, "answer": answer, **more}
    return (Step(answer=answer, **request), Step(**second))  # type: ignore[arg-type]

"""RFC 9111 3 and 4.2.2: which status codes are stored, and for how long where nothing is stated."""

from tests.conformance.case import (
    ANY,
    CACHE,
    MAY,
    MUST,
    ORIGIN,
    SHOULD,
    Answer,
    Case,
    fresh,
    stale,
    twice,
)

DAY_OLD = (("Last-Modified", -86400), ("Date", 0))
# what the body of an answer with this status is: none where it has none
_TEXT = {204: ""}

_EXPLICIT = (200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 418, 451, 499)
_EXPLICIT_5XX = (500, 501, 502, 503, 504, 599)
_GUESSED = (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501)
_NOT_GUESSED = (201, 202, 302, 303, 307, 400, 403, 418, 500, 502, 503, 504, 599)


def _status(status: int) -> list[Case]:
    body = _TEXT.get(status)
    return [
        Case(
            f"status-{status}-fresh", "9111 3", MAY, f"a fresh {status} is reused",
            twice(fresh(status=status, body=body), CACHE, status=status),
        ),
        Case(
            f"status-{status}-stale", "9111 4", MUST, f"a stale {status} is not reused unasked",
            twice(stale(status=status, body=body), ORIGIN, status=status),
        ),
    ]  # fmt: skip


def _guess(status: int) -> list[Case]:
    answer = Answer(DAY_OLD, status=status, body=_TEXT.get(status))
    cases = [
        Case(
            f"unstated-{status}", "9111 3", MUST, f"a {status} that states no freshness is asked for again",
            twice(answer, ANY if status in {200, 203, 204} else ORIGIN, status=status, asked=2),
        )
    ]  # fmt: skip
    comes, rule = (CACHE, "may be") if status in _GUESSED else (ORIGIN, "is not")
    cases.append(
        Case(
            f"heuristic-{status}", "9111 4.2.2", MAY if comes is CACHE else MUST,
            f"freshness of a {status} {rule} guessed, by its Last-Modified", twice(answer, comes, status=status),
            "guess.test",
        )
    )  # fmt: skip
    public = Answer((*DAY_OLD, ("Cache-Control", "public")), status=status, body=_TEXT.get(status))
    cases.append(
        Case(
            f"heuristic-{status}-public", "9111 4.2.2", MAY, f"freshness of a {status} may be guessed if it is public",
            twice(public, CACHE, status=status), "guess.test",
        )
    )  # fmt: skip
    return cases


CASES = [
    *(case for status in (*_EXPLICIT, *_EXPLICIT_5XX) for case in _status(status)),
    *(case for status in (*_GUESSED, *_NOT_GUESSED) for case in _guess(status)),
    Case(
        "heuristic-share",
        "9111 4.2.2",
        SHOULD,
        "a guess is a small part of the time since Last-Modified",
        twice(Answer((("Last-Modified", -100), ("Age", "50"), ("Date", 0))), ANY, asked=2),
        "guess.test",
    ),
    Case(
        "heuristic-explicit",
        "9111 4.2.2",
        MUST,
        "nothing is guessed where freshness is stated",
        twice(Answer((*DAY_OLD, ("Cache-Control", "max-age=0"))), ANY, asked=2),
        "guess.test",
    ),
    Case(
        "heuristic-expires",
        "9111 4.2.2",
        MUST,
        "nothing is guessed where Expires is there, though malformed",
        twice(Answer((*DAY_OLD, ("Expires", "0"))), ANY, asked=2),
        "guess.test",
    ),
    Case(
        "heuristic-attachment",
        "9111 4.2.2",
        MAY,
        "Content-Disposition does not bear on it",
        twice(Answer((*DAY_OLD, ("Content-Disposition", "attachment"))), CACHE),
        "guess.test",
    ),
    *(
        Case(
            f"route-fresh-{status}",
            "9111 4.2.2",
            MAY,
            f"a route's `fresh` speaks of a {status}",
            twice(Answer((("Date", 0),), status=status, body=_TEXT.get(status)), CACHE, status=status),
            "fresh.test",
        )
        for status in (200, 203, 204, 300, 301, 308, 410)
    ),
    *(
        Case(
            f"route-fresh-{status}",
            "9111 4.2.2",
            MUST,
            f"a route's `fresh` does not speak of a {status}",
            twice(Answer((("Date", 0),), status=status), ORIGIN, status=status),
            "fresh.test",
        )
        for status in (201, 302, 307, 404, 405, 500, 503)
    ),
    Case(
        "route-fresh-stated",
        "9111 4.2.1",
        MUST,
        "a route's `fresh` does not prolong what is stated",
        twice(stale(), ORIGIN),
        "fresh.test",
    ),
    Case(
        "route-fresh-no-cache",
        "9111 5.2.2.4",
        MUST,
        "a route's `fresh` does not outdo no-cache",
        twice(Answer((("Cache-Control", "no-cache"),)), ORIGIN),
        "fresh.test",
    ),
    Case(
        "route-fresh-no-store",
        "9111 5.2.2.5",
        MUST,
        "a route's `fresh` does not outdo no-store",
        twice(Answer((("Cache-Control", "no-store"),)), ORIGIN),
        "fresh.test",
    ),
    Case(
        "route-immutable-503",
        "9111 4.2",
        MUST,
        "a route's `immutable` does not speak of errors",
        twice(stale(status=503), ORIGIN, status=503),
        "lasting.test",
    ),
]

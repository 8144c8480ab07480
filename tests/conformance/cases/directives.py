"""RFC 9111 5.2.2: what else a response says of caching."""

from tests.conformance.case import (
    CACHE,
    CHECKED,
    MAY,
    MUST,
    ORIGIN,
    SHOULD,
    Answer,
    Case,
    Comes,
    Level,
    Step,
    twice,
    unchanged,
)


def _case(id: str, control: str, comes: Comes, rule: str, level: Level = MUST) -> Case:
    return Case(f"directive-{id}", "9111 5.2.2", level, rule, (
        Step(answer=Answer((("Cache-Control", control), ("ETag", '"a"'), ("Date", 0)))),
        Step(answer=unchanged(), comes=comes),
    ))  # fmt: skip


CASES = [
    _case("no-cache", "no-cache", CHECKED, "no-cache: checked before each use"),
    _case("no-cache-max-age", "max-age=3600, no-cache", CHECKED, "no-cache beside max-age"),
    _case("no-cache-case", "max-age=3600, No-CaChE", CHECKED, "no-cache in any case of letters"),
    _case("no-cache-empty", 'max-age=3600, no-cache=""', CHECKED, "no-cache that names nothing", SHOULD),
    _case("no-cache-odd", 'max-age=3600, no-cache="a b"', CHECKED, "no-cache that names what is no field", SHOULD),
    _case("no-cache-both", 'no-cache, no-cache="a", max-age=3600', CHECKED, "no-cache with fields and without", SHOULD),
    _case("no-cache-twice", 'no-cache="a", no-cache, max-age=3600', CACHE, "of two the first counts", MAY),
    _case("no-cache-in-quotes", 'foo="no-cache", max-age=3600', CACHE, "no-cache as a value of something else", MAY),
    _case("must-revalidate", "max-age=3600, must-revalidate", CACHE, "must-revalidate while it is fresh", MAY),
    _case("proxy-revalidate", "max-age=3600, proxy-revalidate", CACHE, "proxy-revalidate while it is fresh", MAY),
    _case("no-transform", "max-age=3600, no-transform", CACHE, "no-transform", MAY),
    _case("pre-check", "max-age=3600, pre-check=0, post-check=0", CACHE, "directives that never were any", MAY),
    Case(
        "directive-no-cache-expires",
        "9111 5.2.2.4",
        MUST,
        "no-cache beside Expires",
        twice(Answer((("Cache-Control", "no-cache"), ("Expires", 3600), ("Date", 0))), ORIGIN),
    ),
    Case(
        "directive-pragma",
        "9111 5.4",
        MAY,
        "Pragma in a response says nothing",
        twice(Answer((("Cache-Control", "max-age=3600"), ("Pragma", "no-cache"))), CACHE),
    ),
    Case(
        "directive-no-cache-asks",
        "9111 5.2.2.4",
        MAY,
        "no-cache does not forbid to store",
        (
            Step(answer=Answer((("Cache-Control", "no-cache"), ("ETag", '"a"')), body="x")),
            Step(answer=unchanged(), comes=CHECKED, text="x"),
        ),
    ),
]

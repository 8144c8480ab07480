"""RFC 9213: CDN-Cache-Control, and Nezha-Cache-Control, which is for Nezha alone."""

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
    Headers,
    Level,
    Step,
    unchanged,
)


def _case(id: str, targeted: str, comes: Comes, rule: str, *more: tuple[str, str | int], level: Level = MUST) -> Case:
    level = MAY if comes is CACHE and level is MUST else level
    headers: Headers = (("CDN-Cache-Control", targeted), ("Age", "60"), ("Date", 0), *more)
    return Case(f"cdn-{id}", "9213 2", level, rule, (
        Step(answer=Answer(headers)), Step(answer=Answer(headers), comes=comes),
    ))  # fmt: skip


LONG, SHORT, NONE = ("Cache-Control", "max-age=3600"), ("Cache-Control", "max-age=1"), ("Cache-Control", "no-store")

CASES = [
    _case("max-age", "max-age=3600", CACHE, "max-age"),
    _case("max-age-max", "max-age=2147483648", CACHE, "as long as can be counted"),
    _case("max-age-max-plus", "max-age=99999999999", CACHE, "longer than that"),
    _case("max-age-stale", "max-age=50", ORIGIN, "stale"),
    _case("max-age-0", "max-age=0", ORIGIN, "max-age=0"),
    _case("s-maxage", "max-age=1, s-maxage=3600", CACHE, "s-maxage counts first"),
    _case("extension", "foobar, max-age=3600", CACHE, "an extension is ignored"),
    _case("parameters", "max-age=3600;foo=bar", CACHE, "so are parameters"),
    _case("expires", "max-age=3600", CACHE, "Expires does not count beside it", ("Expires", -10000), level=MUST),
    _case("expires-bad", "max-age=3600", CACHE, "nor malformed", ("Expires", "0"), level=MUST),
    _case("expires-later", "max-age=0", ORIGIN, "nor later", ("Expires", 10000)),
    _case("expires-only", "foo", ORIGIN, "nor where no lifetime is stated", ("Expires", 10000)),
    _case("over-short", "max-age=3600", CACHE, "Cache-Control does not count beside it, shorter", SHORT),
    _case("over-long", "max-age=1", ORIGIN, "nor longer", LONG),
    _case("over-no-store", "max-age=3600", CACHE, "nor no-store", NONE),
    _case("over-private", "max-age=3600", CACHE, "nor private", ("Cache-Control", "private")),
    _case("no-store", "no-store", ORIGIN, "no-store", LONG, ("Expires", 10000)),
    _case("private", "private", ORIGIN, "private", LONG, ("Expires", 10000)),
    _case("no-cache", "no-cache", ORIGIN, "no-cache", LONG, ("Expires", 10000)),
    _case("false", "no-store=?0, max-age=3600", CACHE, "a directive that is false is not there"),
    _case("space-before", "max-age =3600", ORIGIN, "malformed: ignored, and Cache-Control counts", SHORT),
    _case("space-after", "max-age= 3600", ORIGIN, "malformed: space behind the sign", SHORT),
    _case("case", "MaX-aGe=3600", ORIGIN, "malformed: keys are in lower case", SHORT),
    _case("unknown-type", "max-age=10000, &&&&&", ORIGIN, "malformed: no such type", NONE),
    _case("wrong-type", 'max-age="10000"', ORIGIN, "a time that is no number", NONE, level=SHOULD),
    _case("decimal", "max-age=10000.5", ORIGIN, "a time that is not whole", NONE, level=SHOULD),
    _case("negative", "max-age=-1", ORIGIN, "a time before now", NONE),
    _case("empty", "", CACHE, "an empty one is ignored", LONG),
    _case("malformed-long", "max-age=1, ,", CACHE, "malformed: Cache-Control counts, longer", LONG),
    _case(
        "nezha-first",
        "max-age=1",
        CACHE,
        "Nezha-Cache-Control counts before it",
        ("Nezha-Cache-Control", "max-age=3600"),
    ),
    _case("nezha-shorter", "max-age=3600", ORIGIN, "also shorter", ("Nezha-Cache-Control", "max-age=1")),
    _case("nezha-no-store", "max-age=3600", ORIGIN, "also no-store", ("Nezha-Cache-Control", "no-store")),
    _case("nezha-malformed", "max-age=3600", CACHE, "unless it is malformed", ("Nezha-Cache-Control", "no-store,,")),
    _case("nezha-empty", "max-age=3600", CACHE, "or empty", ("Nezha-Cache-Control", "")),
    Case(
        "cdn-lines",
        "9213 2.1",
        MUST,
        "several lines are one dictionary",
        (
            Step(answer=Answer((("CDN-Cache-Control", "max-age=3600"), ("CDN-Cache-Control", "no-store")))),
            Step(answer=Answer(), comes=ORIGIN),
        ),
    ),
    Case(
        "cdn-forwarded",
        "9213 3.1",
        MAY,
        "it is passed on",
        (
            Step(
                answer=Answer((("CDN-Cache-Control", "max-age=3600"), NONE)),
                has=(("CDN-Cache-Control", "max-age=3600"), NONE),
            ),
            Step(comes=CACHE, has=(("CDN-Cache-Control", "max-age=3600"), NONE)),
        ),
    ),
    Case(
        "cdn-swr",
        "9213 2",
        MAY,
        "stale-while-revalidate in it",
        (
            Step(
                answer=Answer(
                    (("CDN-Cache-Control", "max-age=1, stale-while-revalidate=3600"), ("Age", "60"), ("ETag", '"a"')),
                    body="x",
                )
            ),
            Step(answer=unchanged(), comes=CACHE, text="x", asked=2),
        ),
    ),
    Case(
        "cdn-must-revalidate",
        "9213 2",
        MUST,
        "must-revalidate in it",
        (
            Step(
                answer=Answer(
                    (
                        ("CDN-Cache-Control", "max-age=1, must-revalidate, stale-while-revalidate=3600"),
                        ("Age", "60"),
                        ("ETag", '"a"'),
                    )
                )
            ),
            Step(answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "cdn-field",
        "9213 2",
        MUST,
        'no-cache="..." in it',
        (
            Step(answer=Answer((("CDN-Cache-Control", 'max-age=3600, no-cache="a"'), ("A", "1"), ("B", "2")))),
            Step(comes=CACHE, has=(("A", None), ("B", "2"))),
        ),
    ),
    Case(
        "cdn-authorization",
        "9111 3.5",
        MAY,
        "public in it, for a credential",
        (
            Step(
                headers=(("Authorization", "Bearer a"),),
                answer=Answer((("CDN-Cache-Control", "public, max-age=3600"),)),
            ),
            Step(headers=(("Authorization", "Bearer a"),), comes=CACHE),
        ),
    ),
]

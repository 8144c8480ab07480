"""RFC 9111 4.2.4 and RFC 5861: when a stale answer is served, and when never."""

from tests.conformance.case import (
    ANY,
    CACHE,
    CHECKED,
    MAY,
    MUST,
    ORIGIN,
    Answer,
    Case,
    Step,
    fresh,
    stale,
    unchanged,
)

CUT = Answer(framing="cut")
DOWN = Answer(status=503)
SWR = "max-age=10, stale-while-revalidate=3600"
SIE = "max-age=10, stale-if-error=3600"
_FORBIDDEN = ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=10")


def _error(id: str, control: str, answer: Answer, status: int, rule: str, *headers: tuple[str, str]) -> Case:
    is_served = status == 200
    section = "5861 4" if "stale-if-error" in f"{control}{headers}" else "9111 4.2.4"
    return Case(
        f"stale-{id}", section, MAY if is_served else MUST, rule, (
            Step(answer=stale(control=control, body="stored")),
            Step(headers=headers, answer=answer, comes=ORIGIN, status=status, text="stored" if is_served else None),
        ),
    )  # fmt: skip


CASES = [
    *(
        _error(
            f"{control.partition('=')[0]}-{kind}",
            f"max-age=10, {control}, stale-if-error=3600",
            answer,
            status,
            f"{control}: no stale answer while the origin {what}",
        )
        for control in _FORBIDDEN
        for kind, answer, status, what in (("cut", CUT, 502, "does not answer"), ("503", DOWN, 503, "says 503"))
    ),
    _error("cut", "max-age=10", CUT, 502, "nothing allows it while the origin does not answer"),
    _error("503", "max-age=10", DOWN, 503, "nothing allows it while the origin says 503"),
    _error("if-error-cut", SIE, CUT, 200, "stale-if-error: served while the origin does not answer"),
    *(
        _error(f"if-error-{status}", SIE, Answer(status=status), 200, f"stale-if-error: served instead of a {status}")
        for status in (500, 502, 503, 504)
    ),
    *(
        _error(
            f"if-error-{status}",
            SIE,
            Answer(status=status),
            status,
            f"stale-if-error: a {status} is no error of that kind",
        )
        for status in (403, 404, 410, 501)
    ),
    _error("if-error-over", "max-age=10, stale-if-error=5", DOWN, 503, "stale-if-error: not longer than it says"),
    _error("if-error-bad", "max-age=10, stale-if-error=x", DOWN, 503, "stale-if-error: malformed"),
    _error(
        "if-error-request",
        "max-age=10",
        DOWN,
        200,
        "stale-if-error of a request",
        ("Cache-Control", "stale-if-error=3600"),
    ),
    _error(
        "if-error-request-over",
        "max-age=10",
        DOWN,
        503,
        "not longer than the request says",
        ("Cache-Control", "stale-if-error=5"),
    ),
    _error(
        "if-error-request-must-revalidate",
        "max-age=10, must-revalidate",
        DOWN,
        503,
        "a request does not outdo the answer",
        ("Cache-Control", "stale-if-error=3600"),
    ),
    Case(
        "stale-if-error-says",
        "9211 2",
        MAY,
        "and it says so",
        (
            Step(answer=stale(control=SIE, body="stored")),
            Step(answer=DOWN, status=200, says="detail=origin-error", has=(("Age", ">19"),)),
        ),
    ),
    Case(
        "swr",
        "5861 3",
        MAY,
        "stale-while-revalidate: the stale answer at once, and the origin is asked",
        (
            Step(answer=stale(("ETag", '"a"'), control=SWR, body="old")),
            Step(
                answer=fresh(("ETag", '"b"'), body="new"),
                comes=CACHE,
                text="old",
                asked=2,
                says="detail=stale-while-revalidate",
            ),
        ),
    ),
    Case(
        "swr-304",
        "5861 3",
        MAY,
        "stale-while-revalidate: with its validator",
        (
            Step(answer=stale(("ETag", '"a"'), control=SWR, body="old")),
            Step(answer=unchanged(("ETag", '"a"'), ("Cache-Control", "max-age=60")), comes=CACHE, text="old", asked=2),
        ),
    ),
    Case(
        "swr-over",
        "5861 3",
        MUST,
        "stale-while-revalidate: not longer than it says",
        (
            Step(answer=stale(("ETag", '"a"'), control="max-age=10, stale-while-revalidate=5")),
            Step(answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "swr-range",
        "5861 3",
        MAY,
        "stale-while-revalidate: a range too",
        (
            Step(answer=stale(("ETag", '"a"'), control=SWR, body="hello")),
            Step(headers=(("Range", "bytes=0-1"),), answer=unchanged(), comes=CACHE, status=206, text="he", asked=2),
        ),
    ),
    Case(
        "swr-no-validator",
        "5861 3",
        MAY,
        "stale-while-revalidate: without a validator, and no lifetime",
        (
            Step(answer=stale(control="max-age=0, stale-while-revalidate=3600", body="old")),
            Step(answer=fresh(body="new"), comes=CACHE, text="old", asked=2),
        ),
    ),
    *(
        Case(
            f"swr-{control.partition('=')[0]}",
            "9111 4.2.4",
            MUST,
            f"stale-while-revalidate: not against {control}",
            (
                Step(answer=stale(("ETag", '"a"'), control=f"{SWR}, {control}")),
                Step(answer=unchanged(), comes=CHECKED),
            ),
        )
        for control in _FORBIDDEN
    ),
    Case(
        "swr-request-no-cache",
        "9111 5.2.1.4",
        MUST,
        "stale-while-revalidate: not against no-cache of the request",
        (
            Step(answer=stale(("ETag", '"a"'), control=SWR)),
            Step(headers=(("Cache-Control", "no-cache"),), answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "swr-error",
        "5861 3",
        MAY,
        "stale-while-revalidate: an error of the origin changes nothing",
        (
            Step(answer=stale(("ETag", '"a"'), control=SWR, body="old")),
            Step(answer=DOWN, comes=CACHE, text="old", asked=2),
            Step(answer=DOWN, comes=CACHE, text="old", asked=3),
        ),
    ),
    Case(
        "stale-checked",
        "9111 4.2.4",
        MUST,
        "a stale answer is checked before its use",
        (
            Step(answer=stale(("ETag", '"a"'))),
            Step(answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "must-revalidate-fresh",
        "9111 5.2.2.2",
        MAY,
        "must-revalidate: used while it is fresh",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600, must-revalidate"),))),
            Step(comes=CACHE),
        ),
    ),
    Case(
        "must-revalidate-stale",
        "9111 5.2.2.2",
        MUST,
        "must-revalidate: checked when it is stale",
        (
            Step(answer=stale(("ETag", '"a"'), control="max-age=10, must-revalidate")),
            Step(answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "immutable-reload",
        "8246 2",
        MAY,
        "immutable: a reload does not ask while it is fresh",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600, immutable"), ("ETag", '"a"')))),
            Step(headers=(("Cache-Control", "max-age=0"),), comes=CACHE),
        ),
    ),
    Case(
        "immutable-forced",
        "8246 2",
        MUST,
        "immutable: no-cache asks",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600, immutable"), ("ETag", '"a"')))),
            Step(headers=(("Cache-Control", "no-cache"),), answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "immutable-stale",
        "8246 2",
        MUST,
        "immutable: says nothing once it is stale",
        (
            Step(answer=stale(("ETag", '"a"'), control="max-age=10, immutable")),
            Step(answer=unchanged(), comes=CHECKED),
        ),
    ),
    Case(
        "stale-404-asked",
        "9111 4.3.1",
        MUST,
        "a stale error is asked for without a condition",
        (
            Step(answer=stale(("ETag", '"a"'), ("Last-Modified", -100), status=404)),
            Step(
                answer=Answer((("ETag", '"a"'),), body="there"),
                comes=ORIGIN,
                sent=(("If-None-Match", None), ("If-Modified-Since", None)),
                text="there",
            ),
        ),
    ),
    Case(
        "stale-200-404",
        "9111 4.3.3",
        MUST,
        "a 404 to the question is the answer",
        (
            Step(answer=stale(("ETag", '"a"'), body="old")),
            Step(answer=Answer(status=404), comes=ORIGIN),
            Step(answer=Answer(status=404), comes=ORIGIN, sent=(("If-None-Match", None),)),
        ),
    ),
    Case(
        "stale-200-404-fresh",
        "9111 4.3.3",
        MAY,
        "one that may be stored takes its place",
        (
            Step(answer=stale(("ETag", '"a"'), body="old")),
            Step(answer=fresh(status=404), comes=ORIGIN),
            Step(comes=CACHE, status=404),
        ),
    ),
    Case(
        "stale-200-301",
        "9111 4.3.3",
        MAY,
        "so does a redirect",
        (
            Step(answer=stale(("ETag", '"a"'), body="old")),
            Step(answer=fresh(("Location", "/b"), status=301), comes=ORIGIN),
            Step(comes=CACHE, status=301),
        ),
    ),
    Case(
        "stale-200-503",
        "9111 4.3.3",
        MAY,
        "a 503 leaves it",
        (
            Step(answer=stale(("ETag", '"a"'), body="old")),
            Step(answer=DOWN, comes=ORIGIN),
            Step(answer=unchanged(), comes=CHECKED, text="old"),
        ),
    ),
    Case(
        "stale-warning",
        "9111 5.5",
        MAY,
        "Warning is no more",
        (
            Step(answer=stale(control=SIE)),
            Step(answer=DOWN, comes=ANY, status=200, has=(("Warning", None),)),
        ),
    ),
]

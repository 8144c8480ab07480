"""RFC 9111 3: what may be stored, by method and by what the response says."""

from tests.conformance.case import (
    ANY,
    CACHE,
    MAY,
    MUST,
    ORIGIN,
    SHOULD,
    Answer,
    Case,
    Level,
    Step,
    fresh,
    twice,
)

AUTH = ("Authorization", "Bearer secret")


def _control(id: str, value: str, comes: object, level: Level, rule: str, *more: tuple[str, str | int]) -> Case:
    answer = Answer((("Cache-Control", value), ("Date", 0), *more))
    return Case(f"store-{id}", "9111 5.2.2", level, rule, twice(answer, comes))  # type: ignore[arg-type]


def _authorized(id: str, control: str, comes: object, level: Level, rule: str) -> Case:
    answer = Answer((("Cache-Control", control), ("Date", 0)))
    return Case(f"authorized-{id}", "9111 3.5", level, rule, twice(answer, comes, AUTH))  # type: ignore[arg-type]


CASES = [
    Case(
        "unstated",
        "9111 3",
        MUST,
        "what states neither freshness nor a validator is not reused",
        twice(Answer(), ORIGIN),
    ),
    _control("no-store", "no-store", ORIGIN, MUST, "no-store"),
    _control("no-store-case", "No-StOrE", ORIGIN, MUST, "no-store in any case of letters"),
    _control("no-store-max-age", "max-age=3600, no-store", ORIGIN, MUST, "no-store beside max-age", ("Expires", 3600)),
    _control("no-store-first", "no-store, max-age=3600", ORIGIN, MUST, "no-store before max-age"),
    _control("no-store-value", 'no-store="x", max-age=3600', ORIGIN, MUST, "no-store with a value it has no use for"),
    _control("no-store-etag", "no-store", ORIGIN, MUST, "no-store with a validator", ("ETag", '"a"')),
    _control("no-store-semicolon", "max-age=3600; no-store", ORIGIN, SHOULD, "no-store behind a semicolon"),
    _control("private", "private, max-age=3600", ORIGIN, MUST, "private"),
    _control("private-case", "PRIVATE, max-age=3600", ORIGIN, MUST, "private in any case of letters"),
    _control(
        "private-s-maxage", "private, s-maxage=3600", ORIGIN, MUST, "private beside s-maxage: the more careful one"
    ),
    _control("private-public", "public, private, max-age=3600", ORIGIN, MUST, "private beside public"),
    _control("private-empty", 'private="", max-age=3600', ORIGIN, SHOULD, "private that names no field"),
    _control("private-odd", 'private="a b", max-age=3600', ORIGIN, SHOULD, "private that names no fields but text"),
    _control("private-open", 'private="a, max-age=3600', ORIGIN, SHOULD, "private whose quotes do not end"),
    _control("private-in-quotes", 'x="private", max-age=3600', CACHE, MAY, "private in the value of something else"),
    _control(
        "no-store-in-quotes", 'x="a, no-store", max-age=3600', CACHE, MAY, "no-store in the value of something else"
    ),
    _control("public", "public, max-age=3600", CACHE, MAY, "public"),
    _control("extension", "foo, bar=baz, max-age=3600", CACHE, MUST, "unknown directives are ignored (5.2.3)"),
    _control("extension-quoted", 'foo="a, b", max-age=3600', CACHE, MUST, "an unknown directive's list is its own"),
    _control(
        "understood",
        "max-age=3600, no-store, must-understand",
        CACHE,
        SHOULD,
        "must-understand outdoes no-store for a status that is understood (5.2.2.3)",
    ),
    Case(
        "must-understand-599",
        "9111 5.2.2.3",
        MUST,
        "must-understand: an unknown status is not stored",
        twice(Answer((("Cache-Control", "max-age=3600, must-understand"),), status=599), ORIGIN, status=599),
    ),
    Case(
        "must-understand-599-no-store",
        "9111 5.2.2.3",
        MUST,
        "must-understand and no-store: nor here",
        twice(Answer((("Cache-Control", "max-age=3600, no-store, must-understand"),), status=599), ORIGIN, status=599),
    ),
    Case(
        "no-store-replaces-nothing",
        "9111 3",
        MAY,
        "a no-store answer leaves what is stored alone",
        (
            Step(answer=fresh(("A", "1"))),
            Step(headers=(("Cache-Control", "no-cache"),), answer=Answer((("Cache-Control", "no-store"), ("A", "2")))),
            Step(comes=CACHE, has=(("A", "1"),)),
        ),
    ),
    _authorized("plain", "max-age=3600", ORIGIN, MUST, "the answer to a credential is not stored"),
    _authorized("expires", "x", ORIGIN, MUST, "nor with something else said"),
    _authorized("public", "public, max-age=3600", CACHE, MAY, "but if it is public, for who may have it"),
    _authorized("s-maxage", "s-maxage=3600", CACHE, MAY, "or has s-maxage"),
    _authorized("must-revalidate", "max-age=3600, must-revalidate", CACHE, MAY, "or must-revalidate"),
    _authorized("private", "private, public, max-age=3600", ORIGIN, MUST, "and never if it is private"),
    Case(
        "authorized-other",
        "9111 3.5",
        MUST,
        "what one credential brought is not given to another unasked",
        (
            Step(headers=(AUTH,), answer=fresh(("Cache-Control", "public"))),
            Step(headers=(("Authorization", "Bearer other"),), answer=Answer(status=403), comes=ORIGIN),
            Step(answer=Answer(status=401), comes=ORIGIN),
        ),
    ),
    Case(
        "authorized-refusal",
        "9111 3.5",
        MUST,
        "a refusal is not stored, whatever it says",
        (
            Step(headers=(AUTH,), answer=Answer((("Cache-Control", "public, max-age=3600"),), status=403)),
            Step(headers=(AUTH,), answer=fresh(), comes=ORIGIN),
        ),
    ),
    Case(
        "authorized-after-open",
        "9111 3.5",
        MAY,
        "an open answer is served to who shows a credential, if asked",
        (
            Step(answer=fresh(("ETag", '"a"'), body="x")),
            Step(headers=(AUTH,), answer=Answer((("ETag", '"a"'),), status=304), comes=ANY, status=200),
        ),
    ),
    Case(
        "query-differs",
        "9111 4",
        MUST,
        "another query is another resource",
        (
            Step(path="?a=1", answer=fresh()),
            Step(path="?a=2", answer=fresh(), comes=ORIGIN),
        ),
    ),
    Case(
        "query-same",
        "9111 4",
        MAY,
        "a query does not forbid storing",
        (
            Step(path="?a=1", answer=fresh()),
            Step(path="?a=1", answer=fresh(), comes=CACHE),
        ),
    ),
    Case(
        "head-from-get",
        "9110 9.3.2",
        MAY,
        "a stored answer to GET answers HEAD",
        (
            Step(answer=fresh(body="hello")),
            Step(method="HEAD", comes=CACHE, has=(("Content-Length", "5"),), text=""),
        ),
    ),
    Case(
        "get-from-head",
        "9111 3",
        MUST,
        "a HEAD's answer is none to GET",
        (
            Step(method="HEAD", answer=fresh(body="hello")),
            Step(answer=fresh(body="hello"), comes=ORIGIN, text="hello"),
        ),
    ),
    *(
        Case(
            f"method-{method.lower()}",
            "9111 3",
            MUST,
            f"the answer to {method} does not answer GET",
            (
                Step(method=method, body=body, answer=fresh(body="other")),
                Step(answer=fresh(body="mine"), comes=ORIGIN, text="mine"),
            ),
        )
        for method, body in (
            ("POST", "x"),
            ("PUT", "x"),
            ("DELETE", None),
            ("OPTIONS", None),
            ("PATCH", "x"),
            ("PROPFIND", None),
            ("FOO", None),
            ("QUERY", "x"),
        )
    ),
    *(
        Case(
            f"method-after-get-{method.lower()}",
            "9111 4",
            MUST,
            f"a stored answer to GET does not answer {method}",
            (
                Step(answer=fresh(body="stored")),
                Step(method=method, body=body, answer=Answer(body="own"), comes=ORIGIN, text="own"),
            ),
        )
        for method, body in (("POST", "x"), ("PUT", "x"), ("DELETE", None), ("OPTIONS", None), ("PROPFIND", None))
    ),
    Case(
        "method-case",
        "9110 9.1",
        MUST,
        "methods are case-sensitive",
        (
            Step(answer=fresh(body="stored")),
            Step(method="get", answer=Answer(body="own"), comes=ORIGIN, text="own"),
        ),
    ),
    Case(
        "incomplete-close",
        "9111 3.3",
        MUST,
        "a body that only the connection's end ends may be incomplete",
        twice(fresh(framing="close"), ORIGIN),
    ),
    Case("chunked", "9111 3", MAY, "a chunked body is stored", twice(fresh(framing="chunked"), CACHE)),
    Case("empty", "9111 3", MAY, "an empty body is stored", twice(fresh(body=""), CACHE, text="")),
    Case(
        "set-cookie",
        "9111 7.3",
        MAY,
        "an answer with Set-Cookie is stored, less the cookie",
        (
            Step(answer=fresh(("Set-Cookie", "a=b")), has=(("Set-Cookie", "a=b"),)),
            Step(comes=CACHE, has=(("Set-Cookie", None),)),
        ),
    ),
    *(
        Case(
            f"set-cookie-{name}",
            "9111 7.3",
            MAY,
            f"Set-Cookie is replayed if the answer says {name}",
            (
                Step(answer=Answer((("Cache-Control", control), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")))),
                Step(comes=CACHE, has=(("Set-Cookie", "a=b, c=d"),)),
            ),
        )
        for name, control in (("public", "public, max-age=3600"), ("s-maxage", "s-maxage=3600"))
    ),
    Case(
        "cookie",
        "9111 3",
        MUST,
        "a request with a Cookie is not stored for others",
        (
            Step(headers=(("Cookie", "a=b"),), answer=fresh(body="mine")),
            Step(answer=fresh(body="yours"), comes=ORIGIN, text="yours"),
        ),
    ),
]

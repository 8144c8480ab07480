"""RFC 9111 3.1 and RFC 9110 7.6: which fields are stored, replayed, added and taken out."""

from tests.conformance.case import (
    ANY,
    CACHE,
    CHECKED,
    MAY,
    MUST,
    ORIGIN,
    SHOULD,
    Answer,
    Case,
    Step,
    fresh,
    stale,
    twice,
    unchanged,
)

_KEPT = {
    "Test-Header": "x", "X-Test-Header": "x", "Content-Foo": "x", "X-Content-Foo": "x", "Content-Type": "text/plain",
    "Content-Language": "de", "Content-Location": "/foo", "Content-Security-Policy": "default-src 'self'",
    "Content-Encoding": "x-none", "X-Frame-Options": "deny", "X-XSS-Protection": "1", "Clear-Site-Data": "cookies",
    "Strict-Transport-Security": "max-age=1", "Link": "</a>; rel=next", "Location": "/b", "Allow": "GET",
    "WWW-Authenticate": "Basic", "Retry-After": "5", "Server": "x", "Vary": "Foo", "ETag": '"a"',
    "Accept-Ranges": "none",
    "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Warning": '199 - "x"', "Public-Key-Pins": "x", "Pragma": "x",
    "Content-Disposition": "attachment; filename=a", "Surrogate-Control": "max-age=1",
    "CDN-Cache-Control": "max-age=60",
}  # fmt: skip
_HOP_BY_HOP = {
    "Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic", "Proxy-Authentication-Info": "x=y",
    "Proxy-Authorization": "Basic x", "Proxy-Connection": "close", "TE": "trailers", "Upgrade": "foo",
}  # fmt: skip

CASES = [
    *(
        Case(
            f"header-kept-{name.lower()}",
            "9111 3.1",
            MUST,
            f"{name} is stored",
            (Step(answer=fresh((name, value)), has=((name, value),)), Step(comes=CACHE, has=((name, value),))),
        )
        for name, value in _KEPT.items()
    ),
    *(
        Case(
            f"header-dropped-{name.lower()}",
            "9110 7.6.1",
            MUST,
            f"{name} is of one hop",
            (Step(answer=fresh((name, value)), has=((name, None),)), Step(comes=CACHE, has=((name, None),))),
        )
        for name, value in _HOP_BY_HOP.items()
    ),
    Case(
        "connection-named",
        "9111 3.1",
        MUST,
        "fields that Connection names are neither stored nor forwarded",
        (
            Step(
                answer=fresh(("Connection", "a, B"), ("A", "1"), ("B", "2"), ("C", "3")), has=(("A", None), ("C", "3"))
            ),
            Step(comes=CACHE, has=(("A", None), ("B", None), ("C", "3"))),
        ),
    ),
    Case(
        "connection-named-request",
        "9110 7.6.1",
        MUST,
        "nor are those of a request",
        (
            Step(
                headers=(("Connection", "x-hop"), ("X-Hop", "1"), ("X-End", "2")),
                answer=fresh(),
                sent=(("X-Hop", None), ("X-End", "2")),
            ),
        ),
    ),
    *(
        Case(
            f"request-hop-{name.lower()}",
            "9110 7.6.1",
            MUST,
            f"a request's {name} is of one hop",
            (Step(headers=((name, value),), answer=fresh(), sent=((name, None),)),),
        )
        for name, value in (("Keep-Alive", "5"), ("TE", "trailers"), ("Proxy-Connection", "close"), ("Upgrade", "foo"))
    ),
    Case(
        "multiple-lines",
        "9110 5.3",
        MUST,
        "lines of one field keep their order",
        (
            Step(answer=fresh(("A", "1"), ("B", "x"), ("A", "2"))),
            Step(comes=CACHE, has=(("A", "1, 2"),)),
        ),
    ),
    Case(
        "no-cache-field",
        "9111 5.2.2.4",
        MUST,
        'what no-cache="..." names is not reused without asking',
        (
            Step(
                answer=Answer((("Cache-Control", 'max-age=3600, no-cache="a"'), ("A", "1"), ("B", "2"))),
                has=(("A", "1"),),
            ),
            Step(comes=CACHE, has=(("A", None), ("B", "2"))),
        ),
    ),
    Case(
        "no-cache-fields",
        "9111 5.2.2.4",
        MUST,
        "nor are several",
        (
            Step(
                answer=Answer(
                    (
                        ("Cache-Control", 'no-cache="a, B"'),
                        ("Cache-Control", "max-age=3600"),
                        ("A", "1"),
                        ("B", "2"),
                        ("C", "3"),
                    )
                )
            ),
            Step(comes=CACHE, has=(("A", None), ("B", None), ("C", "3"))),
        ),
    ),
    Case(
        "no-cache-field-token",
        "9111 5.2.2.4",
        SHOULD,
        "the value may come without quotes",
        (
            Step(answer=Answer((("Cache-Control", "no-cache=a, max-age=3600"), ("A", "1"), ("B", "2")))),
            Step(comes=CACHE, has=(("A", None), ("B", "2"))),
        ),
    ),
    Case(
        "private-field",
        "9111 5.2.2.7",
        MUST,
        'what private="..." names is not stored',
        (
            Step(
                answer=Answer((("Cache-Control", 'max-age=3600, private="a"'), ("A", "1"), ("B", "2"))),
                has=(("A", "1"),),
            ),
            Step(comes=CACHE, has=(("A", None), ("B", "2"))),
        ),
    ),
    Case(
        "no-cache-field-checked",
        "9111 5.2.2.4",
        MUST,
        "after a 304 it is that of the 304",
        (
            Step(answer=stale(("ETag", '"a"'), ("A", "1"), control='max-age=10, no-cache="a"')),
            Step(answer=unchanged(("A", "2")), comes=CHECKED, has=(("A", "2"),)),
        ),
    ),
    Case(
        "age-generated",
        "9111 5.1",
        MUST,
        "an answer from the store says its Age",
        (
            Step(answer=fresh(("Age", "30"))),
            Step(comes=CACHE, has=(("Age", ">29"),)),
        ),
    ),
    Case(
        "age-by-date",
        "9111 4.2.3",
        MUST,
        "Date makes an answer as old as it is",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600"), ("Date", -100)))),
            Step(comes=CACHE, has=(("Age", ">99"),)),
        ),
    ),
    Case(
        "age-larger-wins",
        "9111 4.2.3",
        MUST,
        "the larger of both counts",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600"), ("Date", -100), ("Age", "500")))),
            Step(comes=CACHE, has=(("Age", ">499"),)),
        ),
    ),
    Case(
        "age-kept",
        "9111 5.1",
        MUST,
        "an origin's Age stays on an answer that is stored meanwhile",
        (Step(answer=fresh(("Age", "30")), has=(("Age", ">29"),)),),
    ),
    Case(
        "age-kept-pass",
        "9111 5.1",
        MUST,
        "and on one that is not",
        (Step(answer=Answer((("Cache-Control", "no-store"), ("Age", "30"))), has=(("Age", "30"),)),),
    ),
    Case(
        "age-once",
        "9111 5.1",
        MUST,
        "Age comes once",
        (
            Step(answer=fresh(("Age", "30"), ("Age", "40"))),
            Step(comes=CACHE, has=(("Age", ">29"),)),
        ),
    ),
    Case(
        "date-kept",
        "9110 6.6.1",
        MUST,
        "Date is that of the answer",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600"), ("Date", -60)))),
            Step(comes=CACHE, has=(("Date", -60),)),
        ),
    ),
    Case(
        "date-added",
        "9110 6.6.1",
        MUST,
        "an answer without a Date gets one",
        (
            Step(answer=Answer((("Cache-Control", "max-age=3600"),)), has=(("Date", "*"),)),
            Step(comes=CACHE, has=(("Date", "*"),)),
        ),
    ),
    Case(
        "date-added-pass",
        "9110 6.6.1",
        MUST,
        "also one that is not stored",
        (Step(answer=Answer((("Cache-Control", "no-store"),)), has=(("Date", "*"),)),),
    ),
    Case(
        "expires-kept",
        "9111 5.3",
        MUST,
        "Expires is left alone",
        (
            Step(answer=Answer((("Expires", 3600), ("Date", 0)))),
            Step(comes=CACHE, has=(("Expires", 3600),)),
        ),
    ),
    Case(
        "via-request",
        "9110 7.6.3",
        MUST,
        "a gateway says Via toward the origin",
        (Step(answer=fresh(), sent=(("Via", "1.1 nezha"),)),),
    ),
    Case(
        "via-appended",
        "9110 7.6.3",
        MUST,
        "behind those who came before",
        (Step(headers=(("Via", "1.0 a"),), answer=fresh(), sent=(("Via", "1.0 a, 1.1 nezha"),)),),
    ),
    Case(
        "cache-status-hit",
        "9211 2",
        MAY,
        "a hit says so, with what is left",
        (
            Step(answer=fresh()),
            Step(comes=CACHE, says="hit; ttl=3"),
        ),
    ),
    Case(
        "cache-status-miss",
        "9211 2",
        MAY,
        "a miss says why it was forwarded",
        (Step(answer=fresh(), says="fwd=uri-miss; stored"),),
    ),
    Case(
        "cache-status-own",
        "9211 2",
        MAY,
        "an origin's Cache-Status is not taken for Nezha's",
        (
            Step(answer=fresh(("Cache-Status", "origin; hit"))),
            Step(comes=CACHE, says="nezha; hit"),
        ),
    ),
    Case(
        "no-transform",
        "9111 5.2.2.6",
        MUST,
        "no body is transformed",
        twice(
            Answer((("Cache-Control", "max-age=3600, no-transform"), ("Content-Type", "image/x")), body="raw"),
            CACHE,
            text="raw",
        ),
    ),
    Case(
        "content-encoding-apart",
        "9110 8.4",
        MUST,
        "codings are not mixed",
        (
            Step(
                headers=(("Accept-Encoding", "gzip"),),
                answer=fresh(("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip"), body="gz"),
            ),
            Step(
                headers=(("Accept-Encoding", "identity"),),
                answer=fresh(("Vary", "Accept-Encoding"), body="plain"),
                comes=ORIGIN,
                text="plain",
            ),
            Step(headers=(("Accept-Encoding", "gzip"),), comes=CACHE, has=(("Content-Encoding", "gzip"),), text="gz"),
        ),
    ),
    Case(
        "unknown-request-fields",
        "9110 5.1",
        MUST,
        "unknown fields reach the origin unchanged",
        (
            Step(
                headers=(("X-Foo", "a  b"), ("x-bar", "1")),
                answer=fresh(),
                sent=(("X-Foo", "a  b"), ("X-Bar", "1")),
                comes=ANY,
            ),
        ),
    ),
]

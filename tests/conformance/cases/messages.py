"""RFC 9110 6, 7, 9, 10 and 15, RFC 9112: what a gateway does with messages on their way."""

from tests.conformance.case import (
    ANY,
    CACHE,
    MAY,
    MUST,
    ORIGIN,
    SHOULD,
    Answer,
    Case,
    Step,
    fresh,
)

HINT = (103, (("Link", "</styles.css>; rel=preload"), ("X-My-Header", "test")))

CASES = [
    Case(
        "interim-102",
        "9110 15.2",
        MUST,
        "a 102 is relayed, and the answer stored",
        (
            Step(answer=fresh(interim=((102, ()),))),
            Step(comes=CACHE),
        ),
    ),
    Case(
        "interim-103",
        "9110 15.2",
        MUST,
        "so is a 103 with its fields",
        (
            Step(answer=fresh(interim=(HINT,))),
            Step(comes=CACHE),
        ),
    ),
    Case(
        "interim-two",
        "9110 15.2",
        MUST,
        "several of them",
        (
            Step(answer=fresh(interim=((102, ()), HINT))),
            Step(comes=CACHE),
        ),
    ),
    Case(
        "interim-unknown",
        "9110 15.2",
        MUST,
        "also unknown ones",
        (
            Step(answer=fresh(interim=((199, (("A", "1"),)),))),
            Step(comes=CACHE),
        ),
    ),
    Case(
        "interim-pass",
        "9110 15.2",
        MUST,
        "of what is not stored as well",
        (Step(method="POST", body="x", answer=Answer(interim=(HINT,))),),
    ),
    Case(
        "interim-fields",
        "9111 3",
        MUST,
        "their fields are not those of the answer",
        (
            Step(answer=fresh(interim=((103, (("Cache-Control", "no-store"), ("A", "1"))),)), has=(("A", None),)),
            Step(comes=CACHE, has=(("A", None),)),
        ),
    ),
    Case(
        "absolute-form",
        "9112 3.2.2",
        MUST,
        "a target in absolute form names the host",
        (
            Step(raw_target="http://web.test/absolute-form", answer=fresh(body="x")),
            Step(comes=CACHE, text="x"),
        ),
    ),
    Case(
        "absolute-form-query",
        "9112 3.2.2",
        MUST,
        "with its query",
        (
            Step(raw_target="http://web.test/absolute-form-query?a=1", answer=fresh(body="x")),
            Step(path="?a=1", comes=CACHE, text="x"),
        ),
    ),
    Case(
        "trace-0",
        "9110 7.6.2",
        MUST,
        "TRACE with Max-Forwards: 0 goes no further",
        (
            Step(
                method="TRACE",
                headers=(("Max-Forwards", "0"), ("A", "1")),
                comes=CACHE,
                status=200,
                has=(("Content-Type", "message/http; charset=utf-8"),),
            ),
        ),
    ),
    Case(
        "options-0",
        "9110 7.6.2",
        MUST,
        "nor does OPTIONS",
        (Step(method="OPTIONS", headers=(("Max-Forwards", "0"),), comes=CACHE, status=200, has=(("Allow", "*"),)),),
    ),
    *(
        Case(
            f"max-forwards-{method.lower()}",
            "9110 7.6.2",
            MUST,
            f"Max-Forwards of {method} is one less",
            (Step(method=method, headers=(("Max-Forwards", "5"),), answer=Answer(), sent=(("Max-Forwards", "4"),)),),
        )
        for method in ("TRACE", "OPTIONS")
    ),
    Case(
        "max-forwards-get",
        "9110 7.6.2",
        MAY,
        "of other methods it says nothing",
        (Step(headers=(("Max-Forwards", "0"),), answer=fresh(), comes=ORIGIN, sent=(("Max-Forwards", "0"),)),),
    ),
    Case(
        "max-forwards-odd",
        "9110 7.6.2",
        MAY,
        "nor where it is no number",
        (Step(method="OPTIONS", headers=(("Max-Forwards", "x"),), answer=Answer(), sent=(("Max-Forwards", "x"),)),),
    ),
    *(
        Case(
            f"passes-{status}",
            "9110 15",
            MUST,
            f"a {status} that is not stored passes with its fields",
            (
                Step(
                    answer=Answer((("A", "1"), ("Cache-Control", "no-store"), *more), status=status),
                    has=(("A", "1"), *more),
                ),
            ),
        )
        for status, more in (
            (301, (("Location", "/b"),)),
            (302, (("Location", "http://elsewhere.test/"),)),
            (401, (("WWW-Authenticate", "Basic"),)),
            (403, ()),
            (404, ()),
            (405, (("Allow", "GET"),)),
            (409, ()),
            (412, ()),
            (413, ()),
            (416, (("Content-Range", "bytes */5"),)),
            (429, (("Retry-After", "5"),)),
            (451, ()),
            (500, ()),
            (503, (("Retry-After", "5"),)),
            (511, ()),
        )
    ),
    Case("unknown-status", "9110 15", MUST, "an unknown status passes as it is", (Step(answer=Answer(status=599)),)),
    Case(
        "unknown-method",
        "9110 9.1",
        MUST,
        "an unknown method passes as it is",
        (Step(method="BREW", answer=Answer(status=418)),),
    ),
    Case(
        "head-length",
        "9110 9.3.2",
        MUST,
        "a HEAD's answer says the length of GET's",
        (Step(method="HEAD", answer=Answer(body="hello"), has=(("Content-Length", "5"),), text=""),),
    ),
    Case(
        "no-content",
        "9110 15.3.5",
        MUST,
        "a 204 has no body and no length",
        (
            Step(
                answer=Answer((("Cache-Control", "no-store"),), status=204),
                has=(("Content-Length", None), ("Transfer-Encoding", None)),
                text="",
            ),
        ),
    ),
    Case(
        "no-content-stored",
        "9110 15.3.5",
        MUST,
        "also a stored one",
        (
            Step(answer=fresh(status=204)),
            Step(comes=CACHE, status=204, has=(("Content-Length", None), ("Transfer-Encoding", None)), text=""),
        ),
    ),
    Case(
        "trailers-pass",
        "9110 6.5",
        MAY,
        "trailers pass with what is not stored",
        (
            Step(
                answer=Answer(
                    (("Cache-Control", "no-store"), ("Trailer", "X-Sum")), framing="chunked", trailers=(("X-Sum", "1"),)
                )
            ),
        ),
    ),
    Case(
        "trailers-stored",
        "9110 6.5.1",
        MUST,
        "they are not merged into the fields of what is",
        (
            Step(
                answer=fresh(
                    ("Trailer", "X-Sum"), framing="chunked", trailers=(("X-Sum", "1"), ("Cache-Control", "no-store"))
                )
            ),
            Step(comes=CACHE, has=(("X-Sum", None),)),
        ),
    ),
    Case(
        "origin-cut",
        "9110 15.6.3",
        MUST,
        "an origin that gives no answer is a 502",
        (Step(answer=Answer(framing="cut"), status=502),),
    ),
    Case(
        "origin-cut-not-stored",
        "9111 3",
        MUST,
        "which is not stored",
        (
            Step(answer=Answer(framing="cut"), status=502),
            Step(answer=fresh(), comes=ORIGIN),
        ),
    ),
    Case(
        "host-apart",
        "9110 7.2",
        MUST,
        "one path on two hosts is two resources",
        (
            Step(answer=fresh(body="x")),
            Step(raw_target="http://fresh.test/host-apart", answer=fresh(body="y"), comes=ORIGIN, text="y"),
        ),
    ),
    Case(
        "path-case",
        "9110 4.2.3",
        MUST,
        "paths have a case",
        (
            Step(path="/a", answer=fresh(body="x")),
            Step(path="/A", answer=fresh(body="y"), comes=ORIGIN, text="y"),
        ),
    ),
    Case(
        "path-slash",
        "9110 4.2.3",
        MUST,
        "a slash at the end makes another path",
        (
            Step(path="/a", answer=fresh(body="x")),
            Step(path="/a/", answer=fresh(body="y"), comes=ORIGIN, text="y"),
        ),
    ),
    Case(
        "question-mark",
        "9110 4.2.3",
        MUST,
        "an empty query is not none",
        (
            Step(answer=fresh(body="x")),
            Step(path="?", answer=fresh(body="y"), comes=ORIGIN, text="y"),
        ),
    ),
    Case(
        "te-trailers",
        "9110 10.1.4",
        SHOULD,
        "TE is not forwarded",
        (Step(headers=(("TE", "trailers"), ("Connection", "TE")), answer=fresh(), sent=(("TE", None),)),),
    ),
    Case(
        "expect-unknown",
        "9110 10.1.1",
        MAY,
        "an Expect reaches the origin",
        (Step(method="PUT", body="x", headers=(("Expect", "100-continue"),), answer=Answer(), comes=ANY, status=200),),
    ),
]

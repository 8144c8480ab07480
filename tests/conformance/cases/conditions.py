"""RFC 9110 13 and RFC 9111 4.3: conditional requests, Nezha's own and those of clients."""

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
    Comes,
    Level,
    Step,
    fresh,
    stale,
    unchanged,
)

TAG = ("ETag", '"abcdef"')


def _known(id: str, etag: str, value: str, status: int, rule: str, level: Level = MUST) -> Case:
    return Case(f"inm-{id}", "9110 13.1.2", level, rule, (
        Step(answer=fresh(("ETag", etag), body="x")),
        Step(headers=(("If-None-Match", value),), comes=CACHE, status=status, text="" if status == 304 else "x"),
    ))  # fmt: skip


def _since(id: str, modified: int | None, value: str | int, status: int, rule: str, level: Level = MUST) -> Case:
    header = () if modified is None else (("Last-Modified", modified),)
    return Case(f"ims-{id}", "9110 13.1.3", level, rule, (
        Step(answer=fresh(*header, body="x")),
        Step(headers=(("If-Modified-Since", value),), comes=CACHE, status=status, text="" if status == 304 else "x"),
    ))  # fmt: skip


def _asks(
    id: str, header: tuple[str, str | int], sent: tuple[str, str | int], rule: str, level: Level = SHOULD
) -> Case:
    return Case(f"asks-{id}", "9111 4.3.1", level, rule, (
        Step(answer=stale(header, body="x")), Step(answer=unchanged(), comes=CHECKED, sent=(sent,), text="x"),
    ))  # fmt: skip


def _origins(id: str, *headers: tuple[str, str | int], rule: str, comes: Comes = ORIGIN) -> Case:
    return Case(f"origins-{id}", "9111 4.3.2", MUST, rule, (
        Step(answer=fresh(TAG, ("Last-Modified", -1000), body="x")),
        Step(headers=headers, answer=Answer(status=412), comes=comes, status=412 if comes is ORIGIN else 200),
    ))  # fmt: skip


CASES = [
    _known("strong", '"abcdef"', '"abcdef"', 304, "the same strong ETag"),
    _known("other", '"abcdef"', '"x"', 200, "another one"),
    _known("weak", 'W/"abcdef"', 'W/"abcdef"', 304, "the same weak ETag"),
    _known("weak-strong", 'W/"abcdef"', '"abcdef"', 304, "weak comparison: strong asks, weak is stored"),
    _known("strong-weak", '"abcdef"', 'W/"abcdef"', 304, "weak comparison: weak asks, strong is stored"),
    _known("first", '"abcdef"', '"abcdef", "1234", "5678"', 304, "the first of a list"),
    _known("middle", '"abcdef"', '"1234", "abcdef", "5678"', 304, "in its middle"),
    _known("last", '"abcdef"', '"1234","5678","abcdef"', 304, "its last"),
    _known("comma", '"a,b"', '"x", "a,b"', 304, "a comma within an ETag"),
    _known("comma-other", '"a"', '"x,a"', 200, "which is no list"),
    _known("star", '"abcdef"', "*", 304, "* is any"),
    _known("case", '"abcdef"', '"ABCDEF"', 200, "ETags have a case"),
    _known("obs-text", '"abcdef\xfc"', '"abcdef\xfc"', 304, "bytes beyond ASCII", SHOULD),
    _known("unquoted", '"abcdef"', "abcdef", 200, "without quotes it is no ETag", MAY),
    Case(
        "inm-304-fields",
        "9110 15.4.5",
        MUST,
        "a 304 carries what a 200 would have",
        (
            Step(answer=fresh(TAG, ("Content-Location", "/a"), ("Expires", 3600), ("Vary", "Foo"), body="x")),
            Step(
                headers=(("If-None-Match", '"abcdef"'),),
                comes=CACHE,
                status=304,
                has=(
                    TAG,
                    ("Content-Location", "/a"),
                    ("Expires", 3600),
                    ("Vary", "Foo"),
                    ("Cache-Control", "max-age=3600"),
                    ("Date", "*"),
                    ("Age", "*"),
                    ("Content-Length", None),
                    ("Content-Type", None),
                ),
            ),
        ),
    ),
    Case(
        "inm-before-ims",
        "9110 13.2.2",
        MUST,
        "If-None-Match comes before If-Modified-Since: it matches",
        (
            Step(answer=fresh(TAG, ("Last-Modified", -1000), body="x")),
            Step(headers=(("If-None-Match", '"abcdef"'), ("If-Modified-Since", -5000)), comes=CACHE, status=304),
        ),
    ),
    Case(
        "inm-before-ims-other",
        "9110 13.2.2",
        MUST,
        "If-None-Match comes before If-Modified-Since: it does not match",
        (
            Step(answer=fresh(TAG, ("Last-Modified", -1000), body="x")),
            Step(headers=(("If-None-Match", '"other"'), ("If-Modified-Since", -10)), comes=CACHE, status=200, text="x"),
        ),
    ),
    Case(
        "inm-head",
        "9110 13.2.1",
        MUST,
        "HEAD as GET",
        (
            Step(answer=fresh(TAG, body="x")),
            Step(method="HEAD", headers=(("If-None-Match", '"abcdef"'),), comes=CACHE, status=304),
        ),
    ),
    Case(
        "inm-404",
        "9110 13.2.1",
        MUST,
        "preconditions are ignored where a stored answer is no success",
        (
            Step(answer=fresh(TAG, status=404)),
            Step(headers=(("If-None-Match", '"abcdef"'),), comes=CACHE, status=404),
        ),
    ),
    Case(
        "inm-miss",
        "9111 4.3.2",
        MUST,
        "where nothing is stored the condition goes to the origin",
        (
            Step(
                headers=(("If-None-Match", '"abcdef"'),),
                answer=Answer((TAG,), status=304),
                sent=(("If-None-Match", '"abcdef"'),),
            ),
        ),
    ),
    Case(
        "inm-miss-200",
        "9111 4.3.2",
        MUST,
        "and its 200 is the answer, and stored",
        (
            Step(headers=(("If-None-Match", '"old"'),), answer=fresh(TAG, body="x"), text="x"),
            Step(comes=CACHE, text="x"),
        ),
    ),
    _since("equal", -3000, -3000, 304, "as old as Last-Modified"),
    _since("later", -3000, -2000, 304, "later than Last-Modified"),
    _since("earlier", -3000, -4000, 200, "earlier"),
    _since("malformed", -3000, "yesterday", 200, "what is no date is ignored"),
    _since("number", -3000, "0", 200, "nor is a number one"),
    _since("list", -3000, "Thu, 01 Jan 2099 00:00:00 GMT, Thu, 01 Jan 2099 00:00:00 GMT", 200, "nor are two"),
    _since("rfc850", -3000, "Saturday, 01-Jan-50 00:00:00 GMT", 304, "the form of RFC 850"),
    _since("asctime", -3000, "Sat Jan  1 00:00:00 2050", 304, "the form of asctime"),
    _since("no-lm", None, 10, 304, "without Last-Modified Date counts", SHOULD),
    _since("no-lm-earlier", None, -1000, 200, "and says that it is newer", SHOULD),
    _asks("etag", TAG, ("If-None-Match", '"abcdef"'), "by its ETag", MUST),
    _asks("weak-etag", ("ETag", 'W/"abcdef"'), ("If-None-Match", 'W/"abcdef"'), "by a weak one"),
    _asks("lm", ("Last-Modified", -3000), ("If-Modified-Since", -3000), "by its Last-Modified"),
    Case(
        "asks-no-validator",
        "9111 4.3.1",
        MUST,
        "what has no validator is asked for whole",
        (
            Step(answer=stale(body="x")),
            Step(
                answer=Answer(body="y"),
                comes=ORIGIN,
                text="y",
                sent=(("If-None-Match", None), ("If-Modified-Since", None)),
            ),
        ),
    ),
    Case(
        "asks-200",
        "9111 4.3.3",
        MUST,
        "a 200 to the question is the answer, and stored",
        (
            Step(answer=stale(TAG, body="old")),
            Step(answer=fresh(("ETag", '"new"'), body="new"), text="new"),
            Step(comes=CACHE, text="new"),
        ),
    ),
    Case(
        "asks-client-etag",
        "9111 4.3.2",
        MUST,
        "a client's own If-None-Match reaches the origin",
        (
            Step(answer=stale(TAG, body="x")),
            Step(
                headers=(("If-None-Match", '"abcdef"'),),
                answer=unchanged(TAG),
                comes=ANY,
                status=304,
                sent=(("If-None-Match", "*"),),
            ),
        ),
    ),
    Case(
        "asks-client-other",
        "9111 4.3.2",
        MUST,
        "a client that knows another version gets the stored one, once checked",
        (
            Step(answer=stale(TAG, body="x")),
            Step(headers=(("If-None-Match", '"other"'),), answer=fresh(TAG, body="x"), comes=ANY, status=200, text="x"),
        ),
    ),
    Case(
        "asks-client-since",
        "9111 4.3.2",
        MAY,
        "a client's If-Modified-Since, once checked, is a 304",
        (
            Step(answer=stale(("Last-Modified", -3000), body="x")),
            Step(
                headers=(("If-Modified-Since", -3000),),
                answer=unchanged(),
                comes=ANY,
                status=304,
                sent=(("If-Modified-Since", -3000),),
            ),
        ),
    ),
    Case(
        "asks-range",
        "9111 4.3.1",
        MAY,
        "a range is checked as well",
        (
            Step(answer=stale(TAG, body="hello")),
            Step(headers=(("Range", "bytes=1-2"),), answer=unchanged(), comes=CHECKED, status=206, text="el"),
        ),
    ),
    _origins("if-match", ("If-Match", '"other"'), rule="whether If-Match fails is the origin's to say"),
    _origins("if-match-weak", ("If-Match", 'W/"abcdef"'), rule="also where only a weak one matches"),
    _origins("if-unmodified-since", ("If-Unmodified-Since", -5000), rule="so is If-Unmodified-Since"),
    _origins("if-match-holds", ("If-Match", '"abcdef"'), rule="one that holds needs no asking", comes=CACHE),
    _origins("if-match-star", ("If-Match", "*"), rule="nor does *", comes=CACHE),
    _origins("if-unmodified-since-holds", ("If-Unmodified-Since", -10), rule="nor a date that holds", comes=CACHE),
    _origins("if-unmodified-since-odd", ("If-Unmodified-Since", "x"), rule="what is no date is ignored", comes=CACHE),
    _origins(
        "if-match-before-since",
        ("If-Match", '"abcdef"'),
        ("If-Unmodified-Since", -5000),
        rule="If-Match comes before If-Unmodified-Since",
        comes=CACHE,
    ),
]

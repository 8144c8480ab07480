"""RFC 9110 14: ranges of what is stored whole, and of what is not stored."""

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
    Level,
    Step,
    fresh,
    stale,
    unchanged,
)
from tests.conformance.cases.parts import TAG, TEN, part_of


def _whole(
    id: str, asked: str, status: int, text: str | None, rule: str, *more: tuple[str, str], level: Level = MUST
) -> Case:
    where = (("Content-Range", more[0][1]),) if more else ()
    return Case(f"range-{id}", "9110 14", level, rule, (
        Step(answer=fresh(TAG, body=TEN)),
        Step(headers=(("Range", asked),), comes=CACHE, status=status, text=text, has=where),
    ))  # fmt: skip


def _left(id: str, asked: str, rule: str) -> Case:
    """A Range that is to be ignored: 200 from the store, or whatever the origin makes of it."""
    return Case(f"range-ignored-{id}", "9110 14.2", MUST, rule, (
        Step(answer=fresh(TAG, body=TEN)),
        Step(headers=(("Range", asked),), answer=fresh(TAG, body=TEN), comes=ANY, status=200, text=TEN),
    ))  # fmt: skip


def _if_range(id: str, value: str | int, is_partial: bool, rule: str, *headers: tuple[str, str | int]) -> Case:
    return Case(f"if-range-{id}", "9110 13.1.5", MUST, rule, (
        Step(answer=fresh(*headers, body=TEN)),
        Step(headers=(("Range", "bytes=2-3"), ("If-Range", value)), comes=CACHE, status=206 if is_partial else 200,
             text="23" if is_partial else TEN),
    ))  # fmt: skip


def _several(id: str, asked: str, rule: str, *parts: str) -> Case:
    return Case(f"ranges-{id}", "9110 15.3.7.2", MAY, rule, (
        Step(answer=fresh(TAG, ("Content-Type", "text/x"), body=f"{TEN}{'x' * 400}{TEN}")),
        Step(headers=(("Range", asked),), comes=CACHE, status=206, has=(("Content-Range", None),)),
    ))  # fmt: skip


CASES = [
    _whole("first", "bytes=0-1", 206, "01", "the first bytes", ("", "bytes 0-1/10")),
    _whole("middle", "bytes=2-4", 206, "234", "some in the middle", ("", "bytes 2-4/10")),
    _whole("open", "bytes=8-", 206, "89", "to the end", ("", "bytes 8-9/10")),
    _whole("suffix", "bytes=-1", 206, "9", "the last", ("", "bytes 9-9/10")),
    _whole("suffix-long", "bytes=-100", 206, TEN, "more of the last than there are", ("", "bytes 0-9/10")),
    _whole("beyond", "bytes=5-100", 206, "56789", "beyond the end", ("", "bytes 5-9/10")),
    _whole("all", "bytes=0-", 206, TEN, "all of it", ("", "bytes 0-9/10")),
    _whole("unsatisfiable", "bytes=10-", 416, "", "behind the end", ("", "bytes */10")),
    _whole("unsatisfiable-suffix", "bytes=-0", 416, "", "the last none", ("", "bytes */10")),
    _whole("case", "BYTES=0-1", 206, "01", "the unit in any case", level=SHOULD),
    _whole("huge", "bytes=0-99999999999999999999", 206, TEN, "a number as large as they come"),
    _left("unit", "lines=0-1", "another unit"),
    _left("backward", "bytes=4-2", "the last before the first"),
    _left("word", "bytes=a-b", "no numbers"),
    _left("empty", "bytes=", "nothing"),
    _left("minus", "bytes=-", "neither first nor last"),
    _left("no-unit", "0-1", "no unit"),
    _left("space", "bytes= 0 - 1", "space within"),
    _left("signed", "bytes=+0-1", "a sign"),
    _left("hex", "bytes=0x0-0x1", "other digits"),
    Case(
        "range-head",
        "9110 14.2",
        MUST,
        "Range is for GET only",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(
                method="HEAD",
                headers=(("Range", "bytes=0-1"),),
                answer=fresh(TAG, body=TEN),
                comes=ANY,
                status=200,
                has=(("Content-Range", None),),
            ),
        ),
    ),
    Case(
        "range-404",
        "9110 14.2",
        MUST,
        "a stored error is not divided",
        (
            Step(answer=fresh(status=404, body=TEN)),
            Step(headers=(("Range", "bytes=0-1"),), comes=CACHE, status=404, text=TEN),
        ),
    ),
    Case(
        "range-203",
        "9110 14.2",
        MUST,
        "nor is what is no 200",
        (
            Step(answer=fresh(status=203, body=TEN)),
            Step(headers=(("Range", "bytes=0-1"),), comes=CACHE, status=203, text=TEN),
        ),
    ),
    Case(
        "range-inm",
        "9110 13.2.2",
        MUST,
        "preconditions come before Range",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(headers=(("Range", "bytes=0-1"), ("If-None-Match", '"a"')), comes=CACHE, status=304),
        ),
    ),
    Case(
        "range-fields",
        "9110 15.3.7",
        MUST,
        "a 206 carries what a 200 would have",
        (
            Step(
                answer=fresh(TAG, ("Expires", 3600), ("Vary", "Foo"), ("Content-Location", "/a"), ("A", "1"), body=TEN)
            ),
            Step(
                headers=(("Range", "bytes=0-1"),),
                comes=CACHE,
                status=206,
                has=(
                    TAG,
                    ("Expires", 3600),
                    ("Vary", "Foo"),
                    ("Content-Location", "/a"),
                    ("Cache-Control", "max-age=3600"),
                    ("Date", "*"),
                    ("A", "1"),
                    ("Content-Length", "2"),
                ),
            ),
        ),
    ),
    Case(
        "range-empty",
        "9110 14.1.2",
        MUST,
        "of nothing no range can be had",
        (
            Step(answer=fresh(TAG, body="")),
            Step(headers=(("Range", "bytes=0-"),), comes=CACHE, status=416, has=(("Content-Range", "bytes */0"),)),
        ),
    ),
    Case(
        "range-passed",
        "9110 14.2",
        MUST,
        "a Range reaches the origin as it came",
        (
            Step(
                headers=(("Range", "bytes=2-3"),),
                answer=part_of(2, 3, TAG),
                sent=(("Range", "bytes=2-3"),),
                status=206,
                text="23",
            ),
        ),
    ),
    Case(
        "range-200",
        "9110 14.2",
        MUST,
        "an origin that ignores it: the range, or all",
        (Step(headers=(("Range", "bytes=2-3"),), answer=fresh(TAG, body=TEN), comes=ORIGIN, status=206, text="23"),),
    ),
    Case(
        "range-416",
        "9110 15.5.17",
        MUST,
        "an origin's 416 is its client's",
        (
            Step(headers=(("Range", "bytes=20-"),), answer=Answer((("Content-Range", "bytes */10"),), status=416)),
            Step(answer=fresh(TAG, body=TEN), comes=ORIGIN, text=TEN),
        ),
    ),
    Case(
        "range-wrong",
        "9110 15.3.7",
        MUST,
        "a 206 of other bytes is never used",
        (
            Step(headers=(("Range", "bytes=2-3"),), answer=part_of(4, 5, TAG), status=502),
            Step(headers=(("Range", "bytes=4-5"),), answer=part_of(4, 5, TAG), comes=ORIGIN, status=206),
        ),
    ),
    Case(
        "range-unasked",
        "9110 15.3.7",
        MUST,
        "nor is one that nobody asked for",
        (Step(answer=part_of(2, 3, TAG), status=502),),
    ),
    Case(
        "range-chunked",
        "9110 14.2",
        MAY,
        "of a body that came in chunks",
        (
            Step(answer=fresh(TAG, body=TEN, framing="chunked")),
            Step(comes=ANY, answer=fresh(TAG, body=TEN), status=200),
            Step(headers=(("Range", "bytes=2-3"),), comes=CACHE, status=206, text="23"),
        ),
    ),
    _if_range("strong", '"a"', True, "the same strong ETag", TAG),
    _if_range("other", '"b"', False, "another one", TAG),
    _if_range("weak", 'W/"a"', False, "a weak one never", ("ETag", 'W/"a"')),
    _if_range("weak-stored", '"a"', False, "nor where a weak one is stored", ("ETag", 'W/"a"')),
    _if_range("date", -5000, True, "the very Last-Modified", ("Last-Modified", -5000)),
    _if_range("date-later", -4000, False, "a later date", ("Last-Modified", -5000)),
    _if_range("date-earlier", -6000, False, "an earlier date", ("Last-Modified", -5000)),
    _if_range("date-weak", 0, False, "one as young as the answer is no strong validator", ("Last-Modified", 0)),
    _if_range("odd", "x", False, "what is neither", TAG),
    _if_range("no-validator", '"a"', False, "where there is no validator"),
    Case(
        "if-range-alone",
        "9110 13.1.5",
        MUST,
        "without Range it says nothing",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(headers=(("If-Range", '"a"'),), comes=CACHE, text=TEN),
        ),
    ),
    Case(
        "if-range-miss",
        "9110 13.1.5",
        MUST,
        "it reaches the origin with its Range",
        (
            Step(
                headers=(("Range", "bytes=2-3"), ("If-Range", '"a"')),
                answer=part_of(2, 3, TAG),
                status=206,
                sent=(("If-Range", '"a"'), ("Range", "bytes=2-3")),
            ),
        ),
    ),
    _several("two", "bytes=0-1,400-401", "two ranges are two parts"),
    _several("three", "bytes=0-1, 150-151 ,-1", "three ranges, with spaces"),
    _several("backward", "bytes=400-401,0-1", "in the order asked"),
    _several("some-beyond", "bytes=0-1,9999-,400-401", "those that there are"),
    Case(
        "ranges-one",
        "9110 15.3.7.2",
        MUST,
        "what comes to one range is not a part of several",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(
                headers=(("Range", "bytes=0-1,20-30"),),
                comes=CACHE,
                status=206,
                text="01",
                has=(("Content-Range", "bytes 0-1/10"),),
            ),
        ),
    ),
    Case(
        "ranges-overlapping",
        "9110 14.2",
        SHOULD,
        "those that overlap become one",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(
                headers=(("Range", f"bytes={','.join(['0-5', '3-7'] * 40)}"),), comes=CACHE, status=206, text="01234567"
            ),
        ),
    ),
    Case(
        "ranges-near",
        "9110 15.3.7.2",
        MAY,
        "so do those with little between them",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(headers=(("Range", "bytes=0-1,8-9"),), comes=CACHE, status=206, text=TEN),
        ),
    ),
    Case(
        "ranges-none",
        "9110 15.5.17",
        MUST,
        "none that there is",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(
                headers=(("Range", "bytes=10-11,20-30"),),
                comes=CACHE,
                status=416,
                has=(("Content-Range", "bytes */10"),),
            ),
        ),
    ),
    Case(
        "ranges-many",
        "9110 14.2",
        SHOULD,
        "very many are not served in parts",
        (
            Step(answer=fresh(TAG, body="x" * 100_000)),
            Step(
                headers=(("Range", f"bytes={','.join(f'{n * 900}-{n * 900}' for n in range(100))}"),),
                comes=CACHE,
                status=200,
                text="x" * 100_000,
            ),
        ),
    ),
    Case(
        "ranges-malformed",
        "9110 14.2",
        MUST,
        "one that is malformed spoils all",
        (
            Step(answer=fresh(TAG, body=TEN)),
            Step(headers=(("Range", "bytes=0-1,x"),), answer=fresh(TAG, body=TEN), comes=ANY, status=200, text=TEN),
        ),
    ),
    Case(
        "ranges-stale",
        "9111 4.3",
        MUST,
        "several of what is stale are checked",
        (
            Step(answer=stale(TAG, body=f"{TEN}{'x' * 400}")),
            Step(headers=(("Range", "bytes=0-1,300-301"),), answer=unchanged(), comes=CHECKED, status=206),
        ),
    ),
    Case(
        "ranges-miss",
        "9110 14.2",
        MUST,
        "several of what is not stored: the origin's answer",
        (
            Step(
                headers=(("Range", "bytes=0-1,4-5"),),
                answer=fresh(TAG, ("Content-Type", "multipart/byteranges; boundary=x"), status=206, body="parts"),
                status=206,
                text="parts",
                sent=(("Range", "bytes=0-1,4-5"),),
            ),
            Step(answer=fresh(TAG, body=TEN), comes=ORIGIN, text=TEN),
        ),
    ),
]

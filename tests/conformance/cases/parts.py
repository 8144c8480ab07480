"""RFC 9111 3.3 and 3.4: parts that are stored, and what is joined to them."""

from tests.conformance.case import (
    CACHE,
    MAY,
    MUST,
    ORIGIN,
    Answer,
    Case,
    Comes,
    Level,
    Step,
    fresh,
)

TEN = "0123456789"
TAG = ("ETag", '"a"')


def part_of(
    first: int, last: int, *headers: tuple[str, str | int], size: str = "10", body: str | None = None
) -> Answer:
    content = TEN[first : last + 1] if body is None else body
    return fresh(("Content-Range", f"bytes {first}-{last}/{size}"), *headers, status=206, body=content)


def _again(
    id: str,
    first: Answer,
    asked: str,
    then: str,
    comes: Comes,
    text: str,
    rule: str,
    answer: Answer,
    level: Level = MAY,
    sent: tuple[tuple[str, str | None], ...] = (),
) -> Case:
    return Case(f"part-{id}", "9111 3.4", level, rule, (
        Step(headers=(("Range", asked),), answer=first, status=206),
        Step(headers=(("Range", then),) if then else (), answer=answer, comes=comes, status=206 if then else 200,
             text=text, sent=sent),
    ))  # fmt: skip


CASES = [
    _again(
        "same", part_of(2, 5, TAG), "bytes=2-5", "bytes=2-5", CACHE, "2345", "a part is stored and used again", Answer()
    ),
    _again("within", part_of(2, 5, TAG), "bytes=2-5", "bytes=3-4", CACHE, "34", "and what lies within it", Answer()),
    _again("suffix", part_of(5, 9, TAG), "bytes=-5", "bytes=6-", CACHE, "6789", "one from the end", Answer()),
    _again("suffix-suffix", part_of(5, 9, TAG), "bytes=-5", "bytes=-1", CACHE, "9", "and the end of it", Answer()),
    _again(
        "no-validator", part_of(5, 9), "bytes=-5", "bytes=6-8", CACHE, "678", "also one without a validator", Answer()
    ),
    _again(
        "weak", part_of(5, 9, ("ETag", 'W/"a"')), "bytes=-5", "bytes=-5", CACHE, TEN[5:], "or with a weak one", Answer()
    ),
    _again(
        "outside",
        part_of(2, 5, TAG),
        "bytes=2-5",
        "bytes=6-7",
        ORIGIN,
        "67",
        "what lies outside is asked for",
        part_of(6, 7, TAG),
        MUST,
    ),
    _again(
        "overlap",
        part_of(2, 5, TAG),
        "bytes=2-5",
        "bytes=4-7",
        ORIGIN,
        "4567",
        "only what is missing is asked for",
        part_of(6, 7, TAG),
        MAY,
        (("Range", "bytes=6-7"), ("If-Match", '"a"')),
    ),
    _again(
        "complete",
        part_of(0, 4, TAG),
        "bytes=0-4",
        "",
        ORIGIN,
        TEN,
        "a part is completed",
        part_of(5, 9, TAG),
        MAY,
        (("Range", "bytes=5-9"), ("If-Match", '"a"')),
    ),
    _again(
        "weak-outside",
        part_of(2, 5, ("ETag", 'W/"a"')),
        "bytes=2-5",
        "bytes=4-7",
        ORIGIN,
        "4567",
        "parts of a weak validator are never joined",
        part_of(4, 7, ("ETag", 'W/"a"')),
        MUST,
        (("Range", "bytes=4-7"),),
    ),
    _again(
        "none-outside",
        part_of(2, 5),
        "bytes=2-5",
        "",
        ORIGIN,
        TEN,
        "nor are those without one",
        fresh(body=TEN),
        MUST,
        (("Range", None),),
    ),
    Case(
        "part-other",
        "9111 3.4",
        MUST,
        "parts of two versions are never joined",
        (
            Step(headers=(("Range", "bytes=0-4"),), answer=part_of(0, 4, TAG), status=206),
            Step(answer=Answer(status=412), comes=ORIGIN, status=412),
            Step(answer=fresh(("ETag", '"b"'), body="ABCDEFGHIJ"), comes=ORIGIN, status=200, text="ABCDEFGHIJ"),
        ),
    ),
    Case(
        "part-only",
        "9111 3.3",
        MUST,
        "a part does not answer for the whole",
        (
            Step(headers=(("Range", "bytes=0-4"),), answer=part_of(0, 4), status=206),
            Step(answer=fresh(body=TEN), comes=ORIGIN, text=TEN),
        ),
    ),
    Case(
        "part-unknown-size",
        "9111 3.3",
        MUST,
        "nor one of an unknown whole",
        (
            Step(headers=(("Range", "bytes=0-4"),), answer=part_of(0, 4, TAG, size="*"), status=206),
            Step(answer=fresh(TAG, body=TEN), comes=ORIGIN, text=TEN),
        ),
    ),
    Case(
        "part-fields",
        "9111 3.4",
        MUST,
        "the fields of the newer answer count",
        (
            Step(headers=(("Range", "bytes=0-4"),), answer=part_of(0, 4, TAG, ("A", "1"), ("B", "1")), status=206),
            Step(
                answer=part_of(5, 9, TAG, ("A", "2")), comes=ORIGIN, status=200, text=TEN, has=(("A", "2"), ("B", "1"))
            ),
        ),
    ),
    Case(
        "part-no-store",
        "9111 3",
        MUST,
        "a part that says no-store is not stored",
        (
            Step(
                headers=(("Range", "bytes=0-4"),),
                answer=Answer(
                    (("Content-Range", "bytes 0-4/10"), TAG, ("Cache-Control", "no-store")), status=206, body=TEN[:5]
                ),
                status=206,
            ),
            Step(headers=(("Range", "bytes=0-4"),), answer=part_of(0, 4, TAG), comes=ORIGIN, status=206),
        ),
    ),
    Case(
        "part-unstored-200",
        "9110 14.2",
        MUST,
        "what may not be stored comes as the origin sends it",
        (
            Step(
                headers=(("Range", "bytes=0-4"),),
                answer=Answer((("Cache-Control", "no-store"),), body=TEN),
                status=200,
                text=TEN,
            ),
        ),
    ),
]

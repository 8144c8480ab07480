"""RFC 9111 4.1: Vary."""

from tests.conformance.case import (
    ANY,
    CACHE,
    CHECKED,
    MAY,
    MUST,
    ORIGIN,
    Answer,
    Case,
    Comes,
    Headers,
    Level,
    Step,
    fresh,
    stale,
    unchanged,
)

A = (("Foo", "1"),)
B = (("Foo", "2"),)
TWO = (("Foo", "1"), ("Bar", "abc"))
THREE = (("Foo", "1"), ("Bar", "abc"), ("Baz", "789"))


def _case(id: str, vary: str, one: Headers, other: Headers, comes: Comes, rule: str, level: Level = MUST) -> Case:
    return Case(
        f"vary-{id}", "9111 4.1", MAY if comes is CACHE else level, rule,
        (Step(headers=one, answer=fresh(("Vary", vary))),
         Step(headers=other, answer=fresh(("Vary", vary)), comes=comes)),
    )  # fmt: skip


def _alike(id: str, name: str, one: str, other: str, comes: Comes = CACHE) -> Case:
    rule = f"{name} {one!r} and {other!r} mean {'the same' if comes is CACHE else 'different things'}"
    return _case(id, name, ((name, one),), ((name, other),), comes, rule)


CASES = [
    _case("match", "Foo", A, A, CACHE, "a request with the same fields is answered"),
    _case("case", "FOO", A, (("foO", "1"),), CACHE, "names are compared in any case"),
    _case("no-match", "Foo", A, B, ORIGIN, "one with another value is not"),
    _case("value-case", "Foo", (("Foo", "a"),), (("Foo", "A"),), ORIGIN, "values of unknown fields have a case"),
    _case("omit-stored", "Foo", (), A, ORIGIN, "nor one with a field that was not there"),
    _case("omit", "Foo", A, (), ORIGIN, "nor one without a field that was there"),
    _case("empty-absent", "Foo", (("Foo", ""),), (), ANY, "an empty field is not asked to equal none", MAY),
    _case("both-omit", "Foo", (), (), CACHE, "but one without it, where it was not there"),
    _case("other-field", "Foo", (*A, ("Other", "2")), (*A, ("Other", "3")), CACHE, "other fields do not matter"),
    _case("2-match", "Foo, Bar", TWO, TWO, CACHE, "two fields that match"),
    _case("2-no-match", "Foo, Bar", TWO, (("Foo", "2"), ("Bar", "abc")), ORIGIN, "the first of two does not"),
    _case("2-no-match-second", "Foo, Bar", TWO, (("Foo", "1"), ("Bar", "x")), ORIGIN, "the second of two does not"),
    _case("2-omit", "Foo, Bar", TWO, (), ORIGIN, "both are missing"),
    _case("3-match", "Foo, Bar, Baz", THREE, THREE, CACHE, "three fields that match"),
    _case("3-order", "Foo, Bar, Baz", THREE, tuple(reversed(THREE)), CACHE, "in which order does not matter"),
    _case("3-no-match", "Foo, Bar, Baz", THREE, (*TWO, ("Baz", "0")), ORIGIN, "the third of three does not"),
    _case("3-omit", "Foo, Bar, Baz", (*A, ("Baz", "789")), (*A, ("Baz", "789")), CACHE, "one is missing in both"),
    *(
        _case(f"star-{number}", value, A, A, ORIGIN, f"Vary: {value} is never reused")
        for number, value in enumerate(("*", "*, *", ", *", "*, Foo", "Foo, *", " * "), 1)
    ),
    Case(
        "vary-star-lines",
        "9111 4.1",
        MUST,
        "* on a line of its own",
        (
            Step(answer=fresh(("Vary", ""), ("Vary", "*"))),
            Step(answer=fresh(), comes=ORIGIN),
        ),
    ),
    Case(
        "vary-lines",
        "9111 4.1",
        MUST,
        "Vary on several lines names all of them",
        (
            Step(headers=TWO, answer=fresh(("Vary", "Foo"), ("Vary", "Bar"))),
            Step(headers=A, answer=fresh(), comes=ORIGIN),
        ),
    ),
    _alike("space", "Foo", "1,2", " 1, 2 "),
    _alike("list", "Foo", "1,,2", "1, 2"),
    _alike("order-unknown", "Foo", "1, 2", "2, 1", ORIGIN),
    Case(
        "vary-lines-combined",
        "9111 4.1",
        MAY,
        "several lines are one list",
        (
            Step(headers=(("Foo", "1, 2"),), answer=fresh(("Vary", "Foo"))),
            Step(headers=(("Foo", "1"), ("Foo", "2")), comes=CACHE),
        ),
    ),
    _alike("lang-order", "Accept-Language", "en, de", "de, en"),
    _alike("lang-case", "Accept-Language", "en, de", "eN, De"),
    _alike("lang-space", "Accept-Language", "en, de", " en ,   de"),
    _alike("lang-weight", "Accept-Language", "en;q=1.0, de;q=0.50", "de;q=0.5,en"),
    _alike("lang-other-weight", "Accept-Language", "en;q=0.5, de", "en, de;q=0.5", ORIGIN),
    _alike("lang-fewer", "Accept-Language", "en, de", "en", ORIGIN),
    _alike("encoding-order", "Accept-Encoding", "gzip, br", "br, gzip"),
    _alike("encoding-none", "Accept-Encoding", "gzip;q=0", "gzip", ORIGIN),
    _alike("accept-order", "Accept", "text/html, */*;q=0.1", "*/*;q=0.1, text/html"),
    _alike("accept-other", "Accept", "text/html", "text/plain", ORIGIN),
    Case(
        "vary-two-variants",
        "9111 4.1",
        MAY,
        "two variants are stored at a time",
        (
            Step(headers=A, answer=fresh(("Vary", "Foo"), body="one")),
            Step(headers=B, answer=fresh(("Vary", "Foo"), body="two"), comes=ORIGIN, text="two"),
            Step(headers=A, comes=CACHE, text="one"),
            Step(headers=B, comes=CACHE, text="two"),
        ),
    ),
    Case(
        "vary-newest",
        "9111 4",
        MUST,
        "of several that match the one with the latest Date answers",
        (
            Step(
                headers=TWO,
                answer=Answer((("Cache-Control", "max-age=3600"), ("Vary", "Foo"), ("Date", -10)), body="older"),
            ),
            Step(
                headers=(("Foo", "9"), ("Bar", "abc")),
                answer=Answer((("Cache-Control", "max-age=3600"), ("Vary", "Bar"), ("Date", -100)), body="oldest"),
                comes=ORIGIN,
            ),
            Step(headers=TWO, comes=CACHE, text="older"),
        ),
    ),
    Case(
        "vary-checked",
        "9111 4.3.1",
        MUST,
        "the fields that Vary names go out with the question",
        (
            Step(headers=A, answer=stale(("Vary", "Foo"), ("ETag", '"a"'))),
            Step(headers=A, answer=unchanged(), comes=CHECKED, sent=(("Foo", "1"), ("If-None-Match", '"a"'))),
        ),
    ),
    Case(
        "vary-304-selects",
        "9111 4.1",
        MAY,
        "a 304 selects what Vary does not",
        (
            Step(headers=A, answer=fresh(("Vary", "Foo"), ("ETag", '"a"'), body="one")),
            Step(headers=B, answer=unchanged(("ETag", '"a"')), comes=CHECKED, text="one"),
        ),
    ),
    Case(
        "vary-304-selects-one-of-two",
        "9111 4.3.4",
        MAY,
        "and among several by its strong validator",
        (
            Step(headers=A, answer=fresh(("Vary", "Foo"), ("ETag", '"a"'), body="one")),
            Step(headers=B, answer=fresh(("Vary", "Foo"), ("ETag", '"b"'), body="two"), comes=ORIGIN),
            Step(headers=(("Foo", "3"),), answer=unchanged(("ETag", '"a"')), comes=CHECKED, text="one"),
        ),
    ),
    Case(
        "vary-200-same",
        "9111 4.3.3",
        MUST,
        "an answer to another variant is its own",
        (
            Step(headers=A, answer=fresh(("Vary", "Foo"), ("ETag", '"a"'), body="one")),
            Step(headers=B, answer=fresh(("Vary", "Foo"), ("ETag", '"b"'), body="two"), comes=ORIGIN, text="two"),
            Step(headers=A, comes=CACHE, text="one"),
        ),
    ),
    Case(
        "vary-cookie",
        "9111 4.1",
        MUST,
        "Vary: Cookie",
        (
            Step(answer=fresh(("Vary", "Cookie"))),
            Step(headers=(("Cookie", "a=b"),), answer=fresh(body="mine"), comes=ORIGIN, text="mine"),
        ),
    ),
]

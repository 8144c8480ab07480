"""RFC 9111 3.2, 4.3.4 and 4.3.5: what a 304, or the answer to a HEAD, changes in what is stored."""

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
    unchanged,
)

TAG = ("ETag", '"a"')
AGAIN = ("Cache-Control", "max-age=3600")
_UPDATED = {
    "Test-Header": ("a", "b"), "X-Test-Header": ("a", "b"), "Content-Foo": ("a", "b"), "X-Content-Foo": ("a", "b"),
    "Content-Location": ("/a", "/b"), "Content-MD5": ("x", "y"),
    "Content-Type": ("text/plain", "text/plain;charset=utf-8"),
    "Content-Encoding": ("x-a", "x-b"), "Content-Language": ("de", "en"), "Content-Security-Policy": ("a", "b"),
    "X-Frame-Options": ("deny", "sameorigin"), "X-XSS-Protection": ("1", "1; mode=block"), "Link": ("a", "b"),
    "Clear-Site-Data": ("cache", "cookies"), "Public-Key-Pins": ("a", "b"), "Server": ("a", "b"), "Pragma": ("a", "b"),
    "Expires": ("Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT"),
    "CDN-Cache-Control": ("max-age=10", "max-age=3000"),
}  # fmt: skip

CASES = [
    *(
        Case(
            f"304-{name.lower()}",
            "9111 3.2",
            MUST,
            f"a 304 updates {name}, for its client and those after it",
            (
                Step(answer=stale(TAG, (name, old))),
                Step(answer=unchanged(TAG, AGAIN, (name, new)), comes=CHECKED, has=((name, new),)),
                Step(comes=CACHE, has=((name, new),)),
            ),
        )
        for name, (old, new) in _UPDATED.items()
    ),
    Case(
        "304-cache-control",
        "9111 3.2",
        MUST,
        "a 304 updates Cache-Control",
        (
            Step(answer=stale(TAG)),
            Step(answer=unchanged(TAG, AGAIN), comes=CHECKED, has=(AGAIN,)),
            Step(comes=CACHE, has=(AGAIN,)),
        ),
    ),
    Case(
        "304-keeps",
        "9111 3.2",
        MUST,
        "what a 304 does not say stays",
        (
            Step(answer=stale(TAG, ("A", "1"), ("B", "2"))),
            Step(answer=unchanged(AGAIN, ("A", "3")), comes=CHECKED, has=(("A", "3"), ("B", "2"), TAG)),
        ),
    ),
    Case(
        "304-lm",
        "9111 4.3.4",
        MUST,
        "a 304 by Last-Modified",
        (
            Step(answer=stale(("Last-Modified", -5000), ("A", "1"))),
            Step(answer=unchanged(("Last-Modified", -5000), AGAIN, ("A", "2")), comes=CHECKED, has=(("A", "2"),)),
            Step(comes=CACHE, has=(("A", "2"),)),
        ),
    ),
    Case(
        "304-bare",
        "9111 4.3.4",
        MUST,
        "a 304 that says nothing: fresh for as long as before",
        (
            Step(answer=stale(TAG)),
            Step(answer=Answer(status=304), comes=CHECKED),
            Step(comes=CACHE),
        ),
    ),
    Case(
        "304-content-length",
        "9111 3.2",
        MUST,
        "a 304 does not change Content-Length",
        (
            Step(answer=stale(TAG, body="hello")),
            Step(
                answer=unchanged(TAG, AGAIN, ("Content-Length", "10")),
                comes=CHECKED,
                text="hello",
                has=(("Content-Length", "5"),),
            ),
            Step(comes=CACHE, text="hello", has=(("Content-Length", "5"),)),
        ),
    ),
    Case(
        "304-age",
        "9111 4.2.3",
        MUST,
        "the Age is that of the 304",
        (
            Step(answer=stale(TAG, control="max-age=10")),
            Step(answer=unchanged(TAG, ("Cache-Control", "max-age=60"), ("Age", "70")), comes=CHECKED),
            Step(answer=unchanged(TAG), comes=CHECKED),
        ),
    ),
    Case(
        "304-date",
        "9111 3.2",
        MUST,
        "so is the Date",
        (
            Step(answer=Answer((("Cache-Control", "max-age=10"), TAG, ("Date", -100)))),
            Step(answer=unchanged(AGAIN), comes=CHECKED, has=(("Date", 0),)),
            Step(comes=CACHE, has=(("Date", 0),)),
        ),
    ),
    Case(
        "304-no-store",
        "9111 3.2",
        MUST,
        "what a 304 forbids to store is released once more, and does not stay stored",
        (
            Step(answer=stale(TAG)),
            Step(answer=unchanged(TAG, ("Cache-Control", "no-store")), comes=CHECKED),
            Step(answer=fresh(TAG), comes=ORIGIN, sent=(("If-None-Match", None),)),
        ),
    ),
    Case(
        "304-other-strong",
        "9111 4.3.4",
        MUST,
        "a 304 that names another strong validator updates nothing",
        (
            Step(answer=stale(TAG, ("A", "1"), body="x")),
            Step(answer=unchanged(("ETag", '"other"'), AGAIN, ("A", "2")), comes=ANY, status=304, asked=3),
        ),
    ),
    Case(
        "304-weak",
        "9111 4.3.4",
        MUST,
        "a 304 for a weak ETag updates too",
        (
            Step(answer=stale(("ETag", 'W/"a"'), ("A", "1"))),
            Step(answer=unchanged(("ETag", 'W/"a"'), AGAIN, ("A", "2")), comes=CHECKED, has=(("A", "2"),)),
            Step(comes=CACHE, has=(("A", "2"),)),
        ),
    ),
    Case(
        "304-set-cookie",
        "9111 3.2",
        MAY,
        "a 304's Set-Cookie is its client's",
        (
            Step(answer=stale(TAG)),
            Step(answer=unchanged(TAG, AGAIN, ("Set-Cookie", "a=b")), comes=CHECKED, has=(("Set-Cookie", "a=b"),)),
            Step(comes=CACHE, has=(("Set-Cookie", None),)),
        ),
    ),
    Case(
        "304-connection",
        "9111 3.1",
        MUST,
        "what its Connection names is not stored",
        (
            Step(answer=stale(TAG, ("A", "1"))),
            Step(answer=unchanged(TAG, AGAIN, ("Connection", "a"), ("A", "2")), comes=CHECKED, has=(("A", "1"),)),
        ),
    ),
    Case(
        "200-same",
        "9111 4.3.3",
        MUST,
        "a 200 of the same strong validator updates as a 304 does",
        (
            Step(answer=stale(TAG, ("A", "1"), body="x")),
            Step(answer=fresh(TAG, ("A", "2"), body="x"), comes=ANY, has=(("A", "2"),), text="x", status=200),
            Step(comes=CACHE, has=(("A", "2"),), text="x"),
        ),
    ),
    Case(
        "head-updates",
        "9111 4.3.5",
        SHOULD,
        "a HEAD's 200 that describes what is stored updates it",
        (
            Step(answer=stale(TAG, ("A", "1"), body="hello")),
            Step(method="HEAD", answer=fresh(TAG, ("A", "2"), body="hello"), comes=ORIGIN),
            Step(comes=CACHE, has=(("A", "2"),), text="hello"),
        ),
    ),
    Case(
        "head-updates-lm",
        "9111 4.3.5",
        SHOULD,
        "also by Last-Modified and length",
        (
            Step(answer=stale(("Last-Modified", -5000), body="hello")),
            Step(method="HEAD", answer=fresh(("Last-Modified", -5000), body="hello"), comes=ORIGIN),
            Step(comes=CACHE, text="hello"),
        ),
    ),
    Case(
        "head-keeps",
        "9111 4.3.5",
        MUST,
        "what it does not say stays",
        (
            Step(answer=stale(TAG, ("A", "1"), ("B", "1"), body="hello")),
            Step(method="HEAD", answer=fresh(TAG, ("A", "2"), body="hello"), comes=ORIGIN),
            Step(comes=CACHE, has=(("A", "2"), ("B", "1"))),
        ),
    ),
    *(
        Case(
            f"head-other-{id}",
            "9111 4.3.5",
            SHOULD,
            f"one of another {what} makes it stale",
            (
                Step(answer=fresh(TAG, ("Last-Modified", -5000), body="hello")),
                Step(
                    method="HEAD",
                    headers=(("Cache-Control", "no-cache"),),
                    answer=fresh(*headers, body=body),
                    comes=ORIGIN,
                ),
                Step(answer=unchanged(), comes=CHECKED, text="hello"),
            ),
        )
        for id, what, body, headers in (
            ("etag", "ETag", "hello", (("ETag", '"b"'), ("Last-Modified", -5000))),
            ("lm", "Last-Modified", "hello", (TAG, ("Last-Modified", -50))),
            ("length", "length", "hello you", (TAG, ("Last-Modified", -5000))),
        )
    ),
    Case(
        "head-no-store",
        "9111 4.3.5",
        MUST,
        "what a HEAD's answer forbids to store does not stay stored",
        (
            Step(answer=stale(TAG, body="hello")),
            Step(method="HEAD", answer=fresh(TAG, ("Cache-Control", "private"), body="hello"), comes=ORIGIN),
            Step(answer=fresh(TAG, body="hello"), comes=ORIGIN, sent=(("If-None-Match", None),), text="hello"),
        ),
    ),
    Case(
        "head-410",
        "9111 4.3.5",
        MAY,
        "a HEAD's 410 leaves it",
        (
            Step(answer=stale(TAG, body="hello")),
            Step(method="HEAD", answer=fresh(status=410), comes=ORIGIN),
            Step(answer=unchanged(), comes=CHECKED, text="hello"),
        ),
    ),
    Case(
        "head-stale",
        "9111 4.3.5",
        MUST,
        "a HEAD of what is stale is forwarded",
        (
            Step(answer=stale(TAG)),
            Step(method="HEAD", answer=stale(TAG), comes=ORIGIN),
        ),
    ),
]

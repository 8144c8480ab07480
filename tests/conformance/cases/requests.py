"""RFC 9111 5.2.1 and 5.4: what a request says of caching."""

from tests.conformance.case import (
    CACHE,
    CHECKED,
    MAY,
    MUST,
    ORIGIN,
    Answer,
    Case,
    Comes,
    Level,
    Step,
    fresh,
    stale,
    unchanged,
)

TAG = ("ETag", '"a"')


def _case(
    id: str, control: str, answer: Answer, comes: Comes, rule: str, level: Level = MAY, name: str = "Cache-Control"
) -> Case:
    again = unchanged() if comes is CHECKED else answer
    return Case(f"request-{id}", "9111 5.2.1", level, rule, (
        Step(answer=answer), Step(headers=((name, control),), answer=again, comes=comes),
    ))  # fmt: skip


def _aged(seconds: int) -> Answer:
    return fresh(TAG, ("Age", str(seconds)))


CASES = [
    _case("max-age-0", "max-age=0", fresh(TAG), CHECKED, "max-age=0", MUST),
    _case("max-age-young", "max-age=600", _aged(100), CACHE, "max-age: it is young enough"),
    _case("max-age-old", "max-age=600", _aged(1800), CHECKED, "max-age: it is too old", MUST),
    _case("max-age-bad", "max-age=x", _aged(1800), CACHE, "max-age: malformed"),
    _case("max-age-case", "MAX-AGE=0", fresh(TAG), CHECKED, "in any case of letters", MUST),
    _case("max-age-quoted", 'max-age="0"', fresh(TAG), CHECKED, "in quotes", MUST),
    _case("min-fresh", "min-fresh=2000", _aged(1800), CHECKED, "min-fresh: too little is left", MUST),
    _case("min-fresh-enough", "min-fresh=1000", _aged(1800), CACHE, "min-fresh: enough is left"),
    _case("min-fresh-bad", "min-fresh=x", _aged(1800), CACHE, "min-fresh: malformed"),
    _case("no-cache", "no-cache", fresh(TAG), CHECKED, "no-cache", MUST),
    _case("no-cache-lm", "no-cache", fresh(("Last-Modified", -5000)), CHECKED, "no-cache, by Last-Modified", MUST),
    _case("no-cache-none", "no-cache", fresh(), ORIGIN, "no-cache, where nothing can be asked about", MUST),
    _case("no-cache-list", "foo, no-cache, bar=1", fresh(TAG), CHECKED, "no-cache among others", MUST),
    _case("no-cache-in-quotes", 'foo="no-cache"', fresh(TAG), CACHE, "no-cache as the value of something else"),
    _case("unknown", "foo=bar", fresh(TAG), CACHE, "what is unknown is ignored"),
    _case("no-transform", "no-transform", fresh(TAG), CACHE, "no-transform changes nothing here"),
    _case("pragma", "no-cache", fresh(TAG), CHECKED, "Pragma: no-cache", MAY, "Pragma"),
    _case("pragma-unknown", "foo", fresh(TAG), CACHE, "any other Pragma", MAY, "Pragma"),
    Case(
        "request-pragma-and-control",
        "9111 5.4",
        MAY,
        "Pragma does not count beside Cache-Control",
        (
            Step(answer=fresh(TAG)),
            Step(headers=(("Pragma", "no-cache"), ("Cache-Control", "max-age=3000")), comes=CACHE),
        ),
    ),
    _case("max-stale", "max-stale=1000", stale(TAG), CACHE, "max-stale"),
    _case("max-stale-any", "max-stale", stale(TAG), CACHE, "max-stale of any length"),
    _case("max-stale-over", "max-stale=5", stale(TAG), CHECKED, "max-stale: it is staler", MUST),
    _case("max-stale-bad", "max-stale=x", stale(TAG), CHECKED, "max-stale: malformed", MUST),
    *(
        _case(
            f"max-stale-{control}",
            "max-stale=1000",
            stale(TAG, control=f"max-age=10, {value}"),
            CHECKED,
            f"max-stale does not outdo {value}",
            MUST,
        )
        for control, value in (
            ("must", "must-revalidate"),
            ("proxy", "proxy-revalidate"),
            ("no-cache", "no-cache"),
            ("s-maxage", "s-maxage=10"),
        )
    ),
    _case("max-stale-max-age", "max-stale=1000, max-age=5", stale(TAG), CHECKED, "max-age beside max-stale", MUST),
    _case("max-stale-min-fresh", "max-stale=1000, min-fresh=5", stale(TAG), CHECKED, "min-fresh beside max-stale"),
    Case(
        "request-max-stale-says",
        "9211 2",
        MAY,
        "max-stale: it says so",
        (
            Step(answer=stale()),
            Step(headers=(("Cache-Control", "max-stale"),), comes=CACHE, says="detail=max-stale"),
        ),
    ),
    Case(
        "request-no-store",
        "9111 5.2.1.5",
        MUST,
        "no-store: the answer is not stored",
        (
            Step(headers=(("Cache-Control", "no-store"),), answer=fresh()),
            Step(answer=fresh(), comes=ORIGIN),
        ),
    ),
    Case(
        "request-no-store-stored",
        "9111 5.2.1.5",
        MAY,
        "no-store: nothing stored is used, and nothing lost",
        (
            Step(answer=fresh(body="x")),
            Step(headers=(("Cache-Control", "no-store"),), answer=fresh(body="y"), comes=ORIGIN, text="y"),
            Step(comes=CACHE, text="x"),
        ),
    ),
    Case(
        "request-only-if-cached",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached: nothing is stored",
        (Step(headers=(("Cache-Control", "only-if-cached"),), comes=CACHE, status=504),),
    ),
    Case(
        "request-only-if-cached-hit",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached: it is",
        (
            Step(answer=fresh()),
            Step(headers=(("Cache-Control", "only-if-cached"),), comes=CACHE),
        ),
    ),
    Case(
        "request-only-if-cached-stale",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached: it would have to be asked for",
        (
            Step(answer=stale(TAG)),
            Step(headers=(("Cache-Control", "only-if-cached"),), comes=CACHE, status=504),
        ),
    ),
    Case(
        "request-only-if-cached-max-stale",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached beside max-stale",
        (
            Step(answer=stale(TAG)),
            Step(headers=(("Cache-Control", "only-if-cached, max-stale"),), comes=CACHE),
        ),
    ),
    Case(
        "request-only-if-cached-no-cache",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached beside no-cache",
        (
            Step(answer=fresh(TAG)),
            Step(headers=(("Cache-Control", "only-if-cached, no-cache"),), comes=CACHE, status=504),
        ),
    ),
    Case(
        "request-only-if-cached-head",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached: HEAD",
        (Step(method="HEAD", headers=(("Cache-Control", "only-if-cached"),), comes=CACHE, status=504),),
    ),
    Case(
        "request-only-if-cached-vary",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached: another variant",
        (
            Step(headers=(("Foo", "1"),), answer=fresh(TAG, ("Vary", "Foo"))),
            Step(headers=(("Foo", "2"), ("Cache-Control", "only-if-cached")), comes=CACHE, status=504),
        ),
    ),
    Case(
        "request-only-if-cached-credential",
        "9111 5.2.1.7",
        MUST,
        "only-if-cached: a credential that must be asked about",
        (
            Step(answer=fresh(TAG)),
            Step(headers=(("Authorization", "Bearer x"), ("Cache-Control", "only-if-cached")), comes=CACHE, status=504),
        ),
    ),
    Case(
        "request-forwarded",
        "9111 5.2.1",
        MUST,
        "its Cache-Control goes to the origin as it came",
        (
            Step(
                headers=(("Cache-Control", "max-age=0, foo=bar"),),
                answer=fresh(),
                sent=(("Cache-Control", "max-age=0, foo=bar"),),
            ),
        ),
    ),
]

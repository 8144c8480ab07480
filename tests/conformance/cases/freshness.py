"""RFC 9111 4.2, 5.1 and 5.3: max-age, s-maxage, Expires, Date and Age, in their odd forms too."""

from tests.conformance.case import (
    CACHE,
    MAY,
    MUST,
    ORIGIN,
    SHOULD,
    Answer,
    Case,
    Comes,
    Headers,
    Level,
    twice,
)

SOON = "Thu, 18 Aug 2050 02:01:18 GMT"


def _case(id: str, section: str, comes: Comes, rule: str, *headers: tuple[str, str | int], level: Level = MUST) -> Case:
    return Case(id, section, MAY if comes is CACHE and level is MUST else level, rule, twice(Answer(headers), comes))


def _max_age(id: str, value: str, comes: Comes, rule: str, *more: tuple[str, str | int], level: Level = MUST) -> Case:
    # Age 60: what is fresh must be so for longer, so that no clock is waited for.
    headers: Headers = (("Cache-Control", value), ("Age", "60"), ("Date", 0), *more)
    return _case(f"max-age-{id}", "9111 4.2.1", comes, rule, *headers, level=level)


def _expires(
    id: str, value: str | int, comes: Comes, rule: str, *more: tuple[str, str | int], level: Level = MUST
) -> Case:
    headers = (("Expires", value), *(more or (("Date", 0),)))
    return _case(f"expires-{id}", "9111 5.3", comes, rule, *headers, level=level)


def _age(id: str, comes: Comes, rule: str, *values: str, level: Level = SHOULD) -> Case:
    ages = tuple(("Age", value) for value in values)
    return _case(
        f"age-{id}", "9111 5.1", comes, rule, ("Date", 0), ("Cache-Control", "max-age=3600"), *ages, level=level
    )


CASES = [
    _max_age("fresh", "max-age=3600", CACHE, "an answer is fresh for its max-age"),
    _max_age("stale", "max-age=50", ORIGIN, "and no longer"),
    _max_age("0", "max-age=0", ORIGIN, "max-age=0"),
    _max_age("case", "MaX-aGe=3600", CACHE, "in any case of letters"),
    _max_age("quoted", 'max-age="3600"', CACHE, "in quotes", level=SHOULD),
    _max_age("quoted-stale", 'max-age="50"', ORIGIN, "in quotes, and stale"),
    _max_age("single-quoted", "max-age='3600'", ORIGIN, "single quotes are none"),
    _max_age("zeros", "max-age=003600", CACHE, "leading zeros"),
    _max_age("max", "max-age=2147483648", CACHE, "as long as can be counted"),
    _max_age("max-plus", "max-age=99999999999", CACHE, "longer than that", level=SHOULD),
    _max_age("huge", f"max-age={'9' * 300}", CACHE, "much longer than that", level=SHOULD),
    _max_age("negative", "max-age=-3600", ORIGIN, "negative"),
    _max_age("decimal", "max-age=3600.0", ORIGIN, "a decimal is malformed", level=SHOULD),
    _max_age("letter-first", "max-age=a3600", ORIGIN, "malformed by a letter before it", level=SHOULD),
    _max_age("letter-last", "max-age=3600a", ORIGIN, "malformed by a letter behind it", level=SHOULD),
    _max_age("plus", "max-age=+3600", ORIGIN, "malformed by a sign", level=SHOULD),
    _max_age("none", "max-age", ORIGIN, "without a value", level=SHOULD),
    _max_age("empty", "max-age=", ORIGIN, "with an empty value", level=SHOULD),
    _max_age("empty-quotes", 'max-age=""', ORIGIN, "with an empty value in quotes", level=SHOULD),
    _max_age("space-before", "max-age =3600", ORIGIN, "space before the sign", level=SHOULD),
    _max_age("space-after", "max-age= 3600", ORIGIN, "space behind the sign", level=SHOULD),
    _max_age("space-within", "max-age=3 600", ORIGIN, "space within", level=SHOULD),
    _max_age("semicolon", "max-age=3600; x", ORIGIN, "a semicolon is no comma", level=SHOULD),
    _max_age("in-quotes", 'extension="max-age=3600", max-age=1', ORIGIN, "max-age in a quoted value before it"),
    _max_age("in-quotes-rev", 'max-age=1, extension="max-age=3600"', ORIGIN, "or behind it"),
    _max_age("in-quotes-escaped", 'extension="a\\", max-age=3600"', ORIGIN, "or behind an escaped quote"),
    _max_age("extension", "foobar, max-age=3600", CACHE, "an extension before it"),
    _max_age("extension-value", "max-age=3600, foo=bar", CACHE, "an extension behind it"),
    _max_age("like-name", "x-max-age=3600", ORIGIN, "a name that only ends like it"),
    _max_age("empty-members", ",, max-age=3600, ,", CACHE, "empty members of the list"),
    _max_age("first-counts", "max-age=1, max-age=3600", ORIGIN, "of two the first counts, stale", level=SHOULD),
    _max_age(
        "past-expires", "max-age=3600", CACHE, "Expires does not count beside it", ("Expires", -10000), level=MUST
    ),
    _max_age("bad-expires", "max-age=3600", CACHE, "nor where it is malformed", ("Expires", "0"), level=MUST),
    _max_age("0-expires", "max-age=0", ORIGIN, "nor where it is later", ("Expires", 10000)),
    _max_age(
        "bad-and-expires", "max-age=x", ORIGIN, "nor where max-age is malformed", ("Expires", 10000), level=SHOULD
    ),
    _max_age("no-cache", "max-age=3600, no-cache", ORIGIN, "no-cache is the more careful one"),
    _max_age("s-maxage", "s-maxage=3600", CACHE, "s-maxage is for shared caches"),
    _max_age("s-maxage-longer", "max-age=1, s-maxage=3600", CACHE, "it counts instead of max-age, longer"),
    _max_age("s-maxage-shorter", "max-age=3600, s-maxage=1", ORIGIN, "or shorter"),
    _max_age("s-maxage-rev", "s-maxage=1, max-age=3600", ORIGIN, "in any order"),
    _max_age("s-maxage-0", "s-maxage=0, max-age=3600", ORIGIN, "or nothing at all"),
    _max_age("s-maxage-bad", "s-maxage=x, max-age=3600", ORIGIN, "or malformed", level=SHOULD),
    _max_age("s-maxage-expires", "s-maxage=1", ORIGIN, "and instead of Expires", ("Expires", 10000)),
    Case(
        "max-age-lines",
        "9110 5.3",
        MUST,
        "directives on several lines are one list",
        twice(Answer((("Cache-Control", "max-age=3600"), ("Cache-Control", "s-maxage=1"), ("Age", "60"))), ORIGIN),
    ),
    Case(
        "max-age-age",
        "9111 4.2.3",
        MUST,
        "an Age beyond max-age",
        twice(Answer((("Cache-Control", "max-age=10"), ("Age", "15"), ("Date", 0))), ORIGIN),
    ),
    Case(
        "max-age-equal",
        "9111 4.2",
        MUST,
        "an Age of just max-age is stale",
        twice(Answer((("Cache-Control", "max-age=15"), ("Age", "15"), ("Date", 0))), ORIGIN),
    ),
    Case(
        "max-age-date",
        "9111 4.2.3",
        MUST,
        "a Date further back than max-age",
        twice(Answer((("Cache-Control", "max-age=10"), ("Date", -15))), ORIGIN),
    ),
    Case(
        "max-age-date-ahead",
        "9111 4.2.3",
        MAY,
        "a Date ahead of our clock makes nothing younger",
        twice(Answer((("Cache-Control", "max-age=3600"), ("Date", 500))), CACHE),
    ),
    Case(
        "max-age-date-ahead-age",
        "9111 4.2.3",
        MUST,
        "nor does it take the Age away",
        twice(Answer((("Cache-Control", "max-age=60"), ("Date", 500), ("Age", "90"))), ORIGIN),
    ),
    _expires("future", 3600, CACHE, "Expires in an hour"),
    _expires("past", -3600, ORIGIN, "Expires an hour ago"),
    _expires("now", 0, ORIGIN, "Expires now"),
    _expires("before-date", 300, ORIGIN, "before Date, both ahead", ("Date", 400)),
    _expires("slow-date", 10, ORIGIN, "an Age larger than Expires minus Date, Date slow", ("Date", -10), ("Age", "25")),
    _expires("fast-date", 20, ORIGIN, "the same, Date fast", ("Date", 10), ("Age", "15")),
    _expires("no-date", 3600, CACHE, "without Date the time it came counts", ("X", "1"), level=SHOULD),
    _expires("bad-date", 3600, CACHE, "so it does with a malformed one", ("Date", "foo"), level=SHOULD),
    _expires("0", "0", ORIGIN, "0 is in the past"),
    _expires("minus-1", "-1", ORIGIN, "so is -1"),
    _expires("empty", "", ORIGIN, "so is nothing"),
    _expires("word", "never", ORIGIN, "so is a word"),
    _expires("two", "0", ORIGIN, "of two the first counts", ("Expires", 3600), ("Date", 0), level=SHOULD),
    _expires("weekday-case", SOON.replace("Thu", "THU"), CACHE, "a day in any case", level=SHOULD),
    _expires("month-case", SOON.replace("Aug", "AUG"), CACHE, "a month in any case", level=SHOULD),
    _expires("zone-case", SOON.replace("GMT", "gMT"), CACHE, "GMT in any case", level=SHOULD),
    _expires("utc", SOON.replace("GMT", "UTC"), ORIGIN, "another zone is malformed", level=SHOULD),
    _expires("offset", SOON.replace("GMT", "+0000"), ORIGIN, "so is an offset", level=SHOULD),
    _expires("2-digit-year", "Thu, 18 Aug 50 02:01:18 GMT", ORIGIN, "two digits of a year", level=SHOULD),
    _expires("no-comma", SOON.replace(",", ""), ORIGIN, "no comma", level=SHOULD),
    _expires("spaces", SOON.replace(" ", "  "), ORIGIN, "too many spaces", level=SHOULD),
    _expires("dashes", "Thu, 18-Aug-2050 02:01:18 GMT", ORIGIN, "dashes", level=SHOULD),
    _expires("periods", SOON.replace(":", "."), ORIGIN, "periods", level=SHOULD),
    _expires("1-digit-hour", SOON.replace("02:", "2:"), ORIGIN, "one digit of an hour", level=SHOULD),
    _expires("no-such-day", "Thu, 31 Feb 2050 02:01:18 GMT", ORIGIN, "a day that there is not", level=SHOULD),
    _expires("rfc850", "Thursday, 18-Aug-50 02:01:18 GMT", CACHE, "the form of RFC 850", level=MUST),
    _expires("asctime", "Thu Aug 18 02:01:18 2050", CACHE, "the form of asctime", level=MUST),
    _expires("far", "Thu, 18 Aug 9999 02:01:18 GMT", CACHE, "far ahead"),
    _age("word", CACHE, "an Age that is no number is ignored", "abc"),
    _age("negative", CACHE, "so is a negative one", "-7200"),
    _age("decimal", CACHE, "so is a decimal", "7200.0"),
    _age("suffix", ORIGIN, "of a list the first counts, old", "7200,0"),
    _age("suffix-line", ORIGIN, "also on lines", "7200", "0"),
    _age("prefix", CACHE, "of a list the first counts, young", "0,7200"),
    _age("prefix-line", CACHE, "also on lines", "0", "7200"),
    _age("twice", ORIGIN, "twice the same", "7200, 7200"),
    _age("zeros", CACHE, "nothing, twice", "0", "0"),
    _age("huge", ORIGIN, "longer than can be counted", "99999999999", level=MUST),
]

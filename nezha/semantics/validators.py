"""Validators and preconditions (RFC 9110 8.8 and 13): strong and weak comparison, dates, precedence."""

import calendar
import re
from enum import Enum
from functools import lru_cache

from nezha.model import Entry, Fields
from nezha.semantics.headers import members

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
# RFC 9110 5.6.7: IMF-fixdate, RFC 850 and asctime, in this order; in any case of letters (RFC 9111 4.2).
_DATES = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<d>\d\d) (?P<m>\w{3}) (?P<y>\d{4}) (?P<t>\d\d:\d\d:\d\d) GMT",
        r"\w{6,9}, (?P<d>\d\d)-(?P<m>\w{3})-(?P<y>\d\d) (?P<t>\d\d:\d\d:\d\d) GMT",
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<m>\w{3}) (?P<d>[ \d]\d) (?P<t>\d\d:\d\d:\d\d) (?P<y>\d{4})",
    )
)
_LAST_YEAR_OF_2_DIGITS = 69  # 70-99 are 1970-1999: HTTP has seen no earlier date


def parse_date(value: str | None) -> float | None:
    """An HTTP date in any of its three formats, in seconds since the epoch; None where it is none."""
    return None if value is None else _parse_date(value)


@lru_cache(4096)
def _parse_date(value: str) -> float | None:
    for form in _DATES:
        if match := form.fullmatch(value.strip()):
            year, month, day = int(match["y"]), _MONTHS.get(match["m"].lower()), int(match["d"])
            hour, minute, second = (int(part) for part in match["t"].split(":"))
            if len(match["y"]) == 2:
                year += 2000 if year <= _LAST_YEAR_OF_2_DIGITS else 1900
            if month is None or year == 0 or hour > 23 or minute > 59 or second > 60:
                return None
            if not 1 <= day <= calendar.monthrange(year, month)[1]:
                return None
            return float(calendar.timegm((year, month, day, hour, minute, second)))
    return None


def is_strong(etag: str | None) -> bool:
    """Whether an ETag is well formed and strong."""
    return etag is not None and not etag.startswith("W/") and _ETAG.fullmatch(etag) is not None


def is_joinable(entry: Entry) -> bool:
    """Whether other answers can be told to be of this very version: a 200 with a mark, or a strong ETag."""
    return entry.status == 200 and (bool(entry.mark) or is_strong(entry.fields.get("etag")))


def same_strong(one: str | None, other: str | None) -> bool:
    """Strong comparison (RFC 9110 8.8.3.2)."""
    return one == other and is_strong(one)


def same_weak(one: str, other: str) -> bool:
    """Weak comparison (RFC 9110 8.8.3.2)."""
    return one.removeprefix("W/") == other.removeprefix("W/")


class Verdict(Enum):
    """What a request's preconditions say of a stored representation (RFC 9110 13.2.2)."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


def evaluate(request: Fields, stored: Fields) -> Verdict:
    """The verdict of a GET or HEAD request's preconditions on a stored response's fields."""
    etag, modified = stored.get("etag"), parse_date(stored.get("last-modified"))
    since = parse_date(request.get("if-unmodified-since"))
    if (wanted := request.get("if-match")) is not None:
        if not _matches(wanted, etag, strong=True):
            return Verdict.FAILED
    elif since is not None and modified is not None and modified > since:
        return Verdict.FAILED
    if (known := request.get("if-none-match")) is not None:
        return Verdict.NOT_MODIFIED if _matches(known, etag, strong=False) else Verdict.PROCEED
    since = parse_date(request.get("if-modified-since"))
    if modified is None and "last-modified" not in stored:
        modified = parse_date(stored.get("date"))  # RFC 9111 4.3.2
    if since is not None and modified is not None and modified <= since:
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def _matches(value: str, etag: str | None, *, strong: bool) -> bool:
    if value.strip() == "*":
        return True
    if etag is None:
        return False
    compare = same_strong if strong else same_weak
    return any(compare(member, etag) for member in members(value))


def range_applies(request: Fields, stored: Fields) -> bool:
    """Whether a Range is to be honoured, given If-Range (RFC 9110 13.1.5: strong comparison only)."""
    condition = request.get("if-range")
    if condition is None:
        return True
    if condition.lstrip().startswith(('"', "W/")):
        return same_strong(condition.strip(), stored.get("etag"))
    date, modified = parse_date(condition), parse_date(stored.get("last-modified"))
    if date is None or date != modified:
        return False
    # RFC 9110 8.8.2.2: a date is strong only where the origin's Date shows it at least a second old.
    sent = parse_date(stored.get("date"))
    return sent is not None and sent - date >= 1

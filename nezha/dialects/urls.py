"""What several dialects read alike: authorities and names in URLs, what of one is secret, and URLs that are signed."""

import calendar
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote_to_bytes

from nezha.dialects import Credential, Kind, Place
from nezha.model import Request

Parameters = list[tuple[str, str]]
# Parameters whose values are credentials, or parts of one, in any dialect; in lower case. With an upload's id alone GCS
# takes its bytes. The log masks them, and no key holds them.
SECRET_PARAMETERS = frozenset(
    """access_token api_key awsaccesskeyid googleaccessid jwt key key-pair-id password policy secret sig signature token
    upload_id x-amz-credential x-amz-security-token x-amz-signature x-goog-credential x-goog-security-token
    x-goog-signature""".split()
)
_BASIC_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")


def is_address(authority: str) -> bool:
    """Whether it is an IP literal: IPv6 stands in brackets, and no name ends in a label of digits only."""
    return authority.startswith("[") or authority.partition(":")[0].rpartition(".")[2].isdigit()


def decoded(text: str) -> str:
    """A name as the store knows it: percent-decoded once, never normalised, bytes as Latin-1."""
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1")


def bucket_and_name(place: Place, path: str) -> tuple[str, str]:
    """What a path names: its first segment the bucket, where the place is none itself, and the rest the object."""
    rest = path.removeprefix("/")
    if place.bucket:
        return place.bucket, decoded(rest)
    bucket, _, name = rest.partition("/")
    return decoded(bucket), decoded(name)


def parameters_of(request: Request) -> Parameters:
    """The parameters of a request's query, decoded, in order."""
    return parse_qsl(request.query, keep_blank_values=True, encoding="latin-1")


def parameter_names(request: Request) -> set[str]:
    """The names of a query's parameters, decoded, in lower case; some servers part them by `;` too."""
    parted = parse_qsl(request.query.replace(";", "&"), keep_blank_values=True, encoding="latin-1")
    return {name.lower() for name, _ in parted}


def lines(request: Request, names: Iterable[str]) -> list[str]:
    """The header lines called `names`, to be part of what a credential covers."""
    return [f"{name}: {request.fields.get(name)}" for name in names]


def presigned(request: Request, covered: Iterable[str], expires_at: float | None, signed: frozenset[str]) -> Credential:
    """A URL that is itself the secret, with the header lines that it may cover."""
    material = "\n".join((request.host, request.target, *lines(request, sorted(covered))))
    return Credential(Kind.SECRET, material, expires_at=expires_at, signed=signed)


def expiry(date: str, lasts: str) -> float:
    """When a URL of a version 4 signature ends, in seconds since the epoch; 0 (long ago) where it does not say."""
    match, seconds_left = _BASIC_DATE.fullmatch(date), seconds(lasts)
    if match is None or not seconds_left:
        return 0.0
    try:
        return calendar.timegm(tuple(int(group) for group in match.groups())) + seconds_left
    except ValueError:  # a month 13
        return 0.0


def seconds(digits: str) -> float:
    """A number of seconds; 0 where it is none."""
    return float(digits) if digits.isascii() and digits.isdigit() else 0.0

"""How people write sizes, times, shares, addresses, hosts and names in the settings, and what these become.

Each `parse_` function takes what the YAML held (text, a list, a mapping or nothing), or a value that is already
parsed, which it returns as it is. Its `ValueError` says in one line what is wrong and what is allowed, and never
repeats a URL's user information.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9}(?= ?[kKMGTP]))?) ?([KMGTP]iB|[kKMGTP]B|B|)")  # no parts of a byte
_SIZE_HELP = "write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, like 4MiB"
_SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3} | {
    f"{prefix}{suffix}": base**power
    for base, suffix, prefixes in ((1000, "B", "kMGTP"), (1024, "iB", "KMGTP"))
    for power, prefix in enumerate(prefixes, 1)
}
_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)|0")
_TIME_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_FRACTION = re.compile(r"0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?")
_PERCENTAGE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%")

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""One label of a DNS-1123 name."""

NAME = rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*"
"""A DNS-1123 subdomain: what Kubernetes takes as the name of a host alias, or of an object."""

_NO_WILDCARD = " (no wildcard: a pod's hostAliases cannot hold one)"
_BUCKET = rf"(?=.{{3,63}}\Z){LABEL}(?:\.{LABEL})*"
_HOST = re.compile(r"(?:\[([0-9a-f.]*:[0-9a-f:.]*)\]|([a-z0-9.-]+))(?::([0-9]{1,5}))?")
_URL = re.compile(r"(https?://)([!-~]*@)?([^@/?#]*)", re.IGNORECASE | re.ASCII)


def show(value: object) -> str:
    """A value as a message names it: text in quotes on one line, cut when it is long; the kind of anything else."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:57]}...")
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else repr(value)


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes, or a percentage of a whole that is known only later."""

    value: Decimal
    is_percentage: bool

    def of(self, total: int) -> int:
        """The share in bytes where the whole has `total` of them; a size may exceed its whole."""
        return int(self.value * total / 100) if self.is_percentage else int(self.value)

    def __str__(self) -> str:
        return f"{self.value}%" if self.is_percentage else str(self.value)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a port is opened: a name or an IP literal without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return _authority(self.host, self.port)


def parse_size(value: object) -> int:
    """Bytes; a fraction of a byte is dropped."""
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{show(value)} is not a size: {_SIZE_HELP}")
    return int(Decimal(match[1]) * _SIZE_UNITS[match[2]])


def parse_seconds(value: object) -> float:
    """Seconds; only zero may stand without a unit."""
    if isinstance(value, int | float):
        return float(value)
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{show(value)} is not a time: write a number with ms, s, m, h or d, like 30s")
    return float(Decimal(match[1] or 0) * _TIME_UNITS[match[2] or "s"])


def parse_share(value: object) -> Share:
    """A size, or a percentage from 0% to 100%."""
    if isinstance(value, Share):
        return value
    match = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        if Decimal(match[1]) > 100:
            raise ValueError(f"{show(value)} is more than the whole: at most 100%")
        return Share(Decimal(match[1]), is_percentage=True)
    try:
        return Share(Decimal(parse_size(value)), is_percentage=False)
    except ValueError:
        raise ValueError(f"{show(value)} is neither a size nor a percentage: write one like 4MiB or 5%") from None


def parse_fraction(value: object) -> float:
    """A number from 0 to 1."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str) or not _FRACTION.fullmatch(value):
        raise ValueError(f"{show(value)} is not a number from 0 to 1, like 0.01")
    return float(value)


def parse_address(value: object) -> Address:
    """`host:port` to listen on, an IPv6 literal in brackets."""
    if isinstance(value, Address):
        return value
    host, port = _split(value, lowest_port=0)
    if not host or port is None:
        raise ValueError(f"{show(value)} is not an address: write host:port, like 0.0.0.0:8080 or [::]:8080")
    return Address(host, port)


def parse_host(value: object) -> str:
    """A DNS-1123 name or an IP literal, with a port where one is given, as a request's authority writes it."""
    host, port = _split(value, lowest_port=1)
    if host:
        return _authority(host, port)
    if isinstance(value, str) and "*" in value:
        raise ValueError(f"{_show_url(value)} has a wildcard, which a pod's hostAliases cannot hold: name each host")
    if isinstance(value, str) and "/" in value:
        raise ValueError(f"{_show_url(value)} is more than a host: write no scheme and no path, like data.corp:9000")
    raise ValueError(f"{_show_url(value)} is not a host: write a name or an IP address, with :port where one is meant")


def parse_url(value: object) -> str:
    """`http://` or `https://`, a user if need be, a host and perhaps a port; no path."""
    match = _URL.fullmatch(value) if isinstance(value, str) else None
    host, port = _split(match[3], lowest_port=1) if match else ("", None)
    if match is None or not host:
        raise ValueError(f"{_show_url(value)} is not a URL: write http:// or https://, a host and a port, and no path")
    return f"{match[1].lower()}{match[2] or ''}{_authority(host, port)}"


def parse_user_free_url(value: object) -> str:
    """As `parse_url`, where a user has no place: what is sent to an origin are its clients' own credentials."""
    url = parse_url(value)
    if "@" in url:
        raise ValueError(f"{_show_url(url)} names a user, but Nezha has no credentials of its own")
    return url


def parse_alias_address(value: object) -> str:
    """`auto`, or an IP literal in its shortest form."""
    ip = shortest_ip(value) if isinstance(value, str) else ""
    if not ip and value != "auto":
        raise ValueError(f"{show(value)} is neither auto nor an IP address")
    return ip or "auto"


def check_path(value: object) -> object:
    """The value, were it not text that no path can be."""
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError(f"{show(value)} is not a path")
    return value


def _parser_of(what: str, pattern: str) -> Callable[[object], str]:
    """A parser of text that matches the whole of `pattern`; `what` completes "... is not"."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"{show(value)} is not {what}")
        return value

    return parse


parse_origin_name = _parser_of("an origin's name: 1 to 63 of a-z, 0-9 and '-'", r"[a-z0-9-]{1,63}")
parse_bucket = _parser_of("a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-'" + _NO_WILDCARD, _BUCKET)
parse_region = _parser_of("a region's name, like us-east-1" + _NO_WILDCARD, LABEL)
parse_account = _parser_of("an account's name: 3 to 24 of a-z and 0-9" + _NO_WILDCARD, r"[a-z0-9]{3,24}")
parse_header_name = _parser_of("a header's name", r"[!#$%&'+.^_`|~0-9A-Za-z-]+")
parse_service = _parser_of("a Service: write name.namespace", rf"{LABEL}\.{LABEL}")
parse_secret = _parser_of("the name of a Secret", NAME)


def _show_url(value: object) -> str:
    """As `show`, without what may be user information, were the URL ever so wrong."""
    return show(re.sub(r"(.*//)?.*@", r"\1***@", value, flags=re.DOTALL) if isinstance(value, str) else value)


def _authority(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _split(value: object, lowest_port: int) -> tuple[str, int | None]:
    """The host (in lower case, without brackets) and the port that `value` writes; an empty host if it does not."""
    text = value.lower() if isinstance(value, str) else ""
    match = _HOST.fullmatch(f"[{text}]" if text.count(":") > 1 and "[" not in text else text)
    if match is None:
        return "", None
    name, port = match[1] or match[2], None if match[3] is None else int(match[3])
    host = shortest_ip(name)
    # `10.0.0.256` is a DNS-1123 name, but nobody means it as one
    if not host and re.fullmatch(NAME, name) and not name.rpartition(".")[2].isdigit():
        host = name
    is_usable = port is None or lowest_port <= port <= 65535
    return (host, port) if is_usable else ("", None)


def shortest_ip(text: str) -> str:
    """Empty where `text` is no IP literal, or one with a zone, which means something on one machine only."""
    try:
        return "" if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return ""

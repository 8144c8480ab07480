"""Cache-Status as RFC 9211 has it, read strictly: what is no structured field, or says what cannot be, is an error."""

from typing import cast

import http_sf

_FORWARDED = {"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
_TYPES: dict[str, tuple[type, ...]] = {
    "hit": (bool,), "fwd": (http_sf.Token,), "fwd-status": (int,), "ttl": (int,), "stored": (bool,),
    "collapsed": (bool,), "key": (str,), "detail": (http_sf.Token, str),
}  # fmt: skip


def check_cache_status(value: str) -> None:
    """Raises ValueError, which says what is wrong."""
    parsed = http_sf.parse(value.encode("latin-1"), tltype="list", on_duplicate_key=_repeated)
    members = cast("list[tuple[object, dict[str, object]]]", parsed)
    if not members:
        raise ValueError("no cache is named")
    for cache, parameters in members:
        if type(cache) not in {http_sf.Token, str}:
            raise ValueError(f"{value}: a cache is a token or a string")
        _check(value, parameters)


def _repeated(key: str, context: str) -> None:
    raise ValueError(f"{context}: {key} is there twice")


def _check(value: str, parameters: dict[str, object]) -> None:
    for name, said in parameters.items():
        if type(said) not in _TYPES.get(name, ()):
            raise ValueError(f"{value}: {name} is not registered, or of another type")
    if "hit" in parameters and "fwd" in parameters:
        raise ValueError(f"{value}: a hit is not forwarded (2.1)")
    if "fwd" in parameters and str(parameters["fwd"]) not in _FORWARDED:
        raise ValueError(f"{value}: no such reason (2.2)")
    if "fwd" not in parameters and parameters.keys() & {"fwd-status", "stored", "collapsed"}:
        raise ValueError(f"{value}: nothing was forwarded (2.3, 2.5, 2.6)")

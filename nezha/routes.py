"""The table from host names to origins, made once from the settings and read by every request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from nezha.dialects import Dialect, Place
from nezha.dialects.azure import Azure
from nezha.dialects.gcs import Gcs
from nezha.dialects.http import Http
from nezha.dialects.huggingface import HuggingFace
from nezha.dialects.s3 import S3
from nezha.model import Request
from nezha.semantics.freshness import Policy
from nezha.settings import OriginSettings, Settings

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (Azure(), Gcs(), Http(), HuggingFace(), S3())}
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how an origin is reached. Times in seconds; `host` is also the name its certificate must bear."""

    scheme: str
    host: str
    port: int
    ca_file: Path | None
    proxy: str | None = field(repr=False)
    connect_timeout: float
    head_timeout: float
    idle_timeout: float

    @property
    def base(self) -> str:
        """Its URL without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """One host name of one origin, with the origin's policy. Sizes in bytes, times in seconds."""

    name: str
    host: str
    dialect: Dialect
    place: Place
    target: Target
    freshness: Policy
    grant: float
    grant_in_outage: float
    address_grant: float
    stores_anonymous: bool
    honors_no_store: bool
    lanes: int
    max_object: int


class Routes:
    """All routes by host."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._hosts: dict[str, list[Route]] = {}
        self._names: dict[str, list[Route]] = {}
        for route in routes:
            self._hosts.setdefault(route.host, []).append(route)
            self._names.setdefault(name_of(route.host), []).append(route)

    @property
    def hosts(self) -> list[str]:
        """The configured hosts, with a port only where one was given."""
        return list(self._hosts)

    @property
    def names(self) -> list[str]:
        """The configured host names and IP literals, without ports, each once."""
        return list(self._names)

    def all(self, host: str) -> list[Route]:
        """The routes of one configured host: several where origins share a store's name."""
        return self._hosts[host]

    def find(self, host: str) -> Route | None:
        """A route of `host` (an authority, or a name on any port), whatever the bucket; None where there is none."""
        routes = self._hosts.get(host) or self._hosts.get(_without_port(host)) or self._names.get(host)
        return routes[0] if routes else None

    def route(self, request: Request) -> Route | None:
        """The route of a request: where several origins share a store's name, its bucket decides.

        Its host says no port where that is the scheme's own, though the settings may.
        """
        whole = f"{request.host}:{_DEFAULT_PORTS['https' if request.tls else 'http']}"
        hosts = (request.host, whole, _without_port(request.host))
        routes = next((self._hosts[host] for host in hosts if host in self._hosts), [])
        if len(routes) <= 1:
            return routes[0] if routes else None
        for route in routes:
            if route.dialect.bucket_of(route.place, request) in route.place.buckets:
                return route
        return next((route for route in routes if not route.place.buckets), routes[0])


def name_of(authority: str) -> str:
    """An authority without its port; an IPv6 literal without its brackets."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0] if authority.count(":") <= 1 else authority


def _without_port(authority: str) -> str:
    name = name_of(authority)
    return f"[{name}]" if ":" in name else name


def agrees(sni: str | None, authority: str) -> bool:
    """Whether a TLS server name and a Host speak of the same; an address is never sent as SNI (RFC 6066 3)."""
    name = name_of(authority)
    return name == sni if sni is not None else name.replace(".", "").isdigit() or ":" in name


def make_routes(settings: Settings) -> Routes:
    """Every route that the settings configure."""
    return Routes(
        _route(host, place, origin, settings)
        for origin in settings.origins
        for host, place in DIALECTS[origin.dialect].places(origin).items()
    )


def _route(host: str, place: Place, origin: OriginSettings, settings: Settings) -> Route:
    dialect = DIALECTS[origin.dialect]
    return Route(
        name=origin.name,
        host=host,
        dialect=dialect,
        place=place,
        target=_target(place.reached_at or host, origin),
        freshness=Policy(origin.fresh, origin.grace, origin.immutable, dialect.is_object_store, origin.heuristic),
        grant=origin.grant,
        grant_in_outage=origin.grant_in_outage,
        address_grant=origin.address_grant,
        stores_anonymous=origin.anonymous == "store",
        honors_no_store=origin.honor_no_store,
        lanes=origin.parallel,
        max_object=origin.max_object.of(settings.cache.size),
    )


def _target(host: str, origin: OriginSettings) -> Target:
    url = urlsplit(origin.connect or f"https://{host}")
    name = url.hostname or name_of(host)
    return Target(
        scheme=url.scheme,
        host=name,
        port=url.port or _DEFAULT_PORTS[url.scheme],
        ca_file=origin.ca_file,
        proxy=origin.proxy,
        connect_timeout=origin.connect_timeout,
        head_timeout=origin.head_timeout,
        idle_timeout=origin.idle_timeout,
    )

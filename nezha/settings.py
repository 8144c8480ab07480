"""The settings: one frozen tree, which `loading` makes once.

Each field parses its own text: once read, sizes are bytes and times seconds; hosts are written as a request's
authority writes them: lower case, IPv6 in brackets, a port where given.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from nezha import units

_ONLY_FOR = {
    "buckets": ("s3", "gcs"),
    "regions": ("s3",),
    "endpoints": ("s3",),
    "endpoint": ("s3", "azure"),
    "accounts": ("azure",),
    "honor_no_store": ("s3", "gcs", "azure", "huggingface"),
    "credential_headers": ("http",),
    "heuristic": ("http",),
}

Address = units.Address
Share = units.Share
_Listen = Annotated[Address, BeforeValidator(units.parse_address)]
_Part = Annotated[Share, BeforeValidator(units.parse_share)]
_Size = Annotated[int, BeforeValidator(units.parse_size), Field(ge=0, le=2**63 - 1)]
_Seconds = Annotated[float, BeforeValidator(units.parse_seconds), Field(ge=0)]
_Timeout = Annotated[float, BeforeValidator(units.parse_seconds), Field(gt=0)]
_Path = Annotated[Path, BeforeValidator(units.check_path)]
_Fraction = Annotated[float, BeforeValidator(units.parse_fraction)]
_Host = Annotated[str, BeforeValidator(units.parse_host)]
_Bucket = Annotated[str, BeforeValidator(units.parse_bucket)]
_Region = Annotated[str, BeforeValidator(units.parse_region)]
_Account = Annotated[str, BeforeValidator(units.parse_account)]
_HeaderName = Annotated[str, BeforeValidator(units.parse_header_name)]


class Section(BaseModel):
    """Part of the tree: it knows its keys and takes no other; each field is described below it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CacheSettings(Section):
    """The cache port and the store behind it."""

    listen: _Listen = Address("0.0.0.0", 8080)
    """Where HTTP and HTTPS are accepted, both on this one port; port 0 lets the system choose."""
    directory: _Path = Path("/var/cache/nezha")
    """Where bodies, the index and the operators' Unix socket live."""
    size: _Size = 100 * 2**30
    """Bytes of bodies kept."""
    min_free: _Part = units.parse_share("5%")
    """Part of the volume that is always left free: a size or a percentage."""
    memory: _Size = 256 * 2**20
    """Bytes of the hot tier in memory: heads, and the bodies that are read over and over through TLS."""
    slice: _Size = 4 * 2**20
    """Bytes of one slice, the unit of a fill: a power of two from 64KiB to 64MiB."""
    buffers: _Size = 256 * 2**20
    """Bytes of buffers that all running fills share: at least 4 slices."""
    verify: Literal["always", "first", "never"] = "first"
    """When a stored extent's checksum is compared: at each read, at the first after a start, or never."""
    drain: _Seconds = 30.0
    """How long running responses may take to finish at shutdown; keep it below the pod's grace period."""
    connections: Annotated[int, Field(ge=1)] = 10000
    """Client connections held at once; past them the answer is 503 with Retry-After."""
    loop: Literal["uvloop", "asyncio"] = "uvloop"
    """The event loop."""

    @field_validator("slice")
    @classmethod
    def _is_power_of_two(cls, value: int) -> int:
        if value.bit_count() != 1 or not 2**16 <= value <= 2**26:
            raise ValueError(f"must be a power of two from 64KiB to 64MiB, not {value} bytes")
        return value

    @field_validator("buffers")
    @classmethod
    def _holds_four_slices(cls, value: int, info: ValidationInfo) -> int:
        least = 4 * info.data.get("slice", 0)  # absent where it is itself wrong
        if value < least:
            raise ValueError(f"must be at least 4 slices ({least} bytes), not {value} bytes")
        return value


class AdmissionSettings(Section):
    """The webhook that points pods at the cache."""

    enabled: bool = True
    """Whether this process is the webhook, and the one that speaks with the API server; without it only a cache."""
    listen: _Listen = Address("0.0.0.0", 8443)
    """Where the API server sends its reviews, over TLS."""
    address: Annotated[str, BeforeValidator(units.parse_alias_address)] = "auto"
    """What host aliases point at: an IP address, or auto for the ClusterIP of `service`."""
    service: Annotated[str, BeforeValidator(units.parse_service)] = "proxy-cache.nezha"
    """The Service in front of the cache port, as name.namespace."""
    webhook_service: Annotated[str, BeforeValidator(units.parse_service)] | None = None
    """The Service by which the API server calls this port, as name.namespace; without it `service`."""
    cache_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """The HTTP port of `service` where the cache runs in other pods, which are asked whether they are ready."""
    rules_file: _Path = Path("/etc/nezha/hostaliases.yaml")
    """The rules: the `config` key of a mounted ConfigMap, read again when it changes."""
    trust: bool = True
    """Whether injected pods are also made to trust Nezha's CA."""


class TlsSettings(Section):
    """Where Nezha's certificate authority is kept."""

    directory: _Path = Path("/var/lib/nezha/tls")
    """Holds ca.crt and ca.key, which are made here on the first start if they are missing.

    Or what cert-manager made, mounted: tls.crt and tls.key of a CA, and in admission/ those of the admission port."""
    secret: Annotated[str, BeforeValidator(units.parse_secret)] | None = None
    """In a cluster only: the Secret that holds the CA, which then counts instead of `directory`."""
    follow: bool = False
    """Whether the CA is only read, because another process makes and rotates it; the start waits until it is there."""
    overlap: _Seconds = 30 * 86400.0
    """How long the next CA is trusted before it signs; longer than any pod runs, and no pod notices a rotation."""


class LogSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""
    access: bool = True
    """Whether each request leaves one line with its outcome and the reason."""


class TracingSettings(Section):
    """Traces of requests, for an OpenTelemetry collector. They need more libraries: `pip install 'nezha[tracing]'`."""

    endpoint: Annotated[str, BeforeValidator(units.parse_user_free_url)] | None = None
    """The collector, which takes OTLP over HTTP at /v1/traces; without it nothing is traced."""
    sample: _Fraction = 0.01
    """The part of requests that is traced, from 0 to 1, where no `traceparent` of the client says whether."""


class OriginSettings(Section):
    """One origin: the hosts it answers to, and the policy for its objects."""

    name: Annotated[str, BeforeValidator(units.parse_origin_name)]
    """What metrics and logs call it; no two origins share one."""
    dialect: Literal["s3", "gcs", "azure", "huggingface", "http"]
    """The protocol it speaks; http is any web server."""
    buckets: tuple[_Bucket, ...] = ()
    """s3, gcs: the buckets served, under all their names (s3: in `regions` or at `endpoint`); others pass."""
    regions: tuple[_Region, ...] = ()
    """s3: the regions whose names of the buckets are served."""
    endpoints: tuple[Literal["standard", "legacy", "dualstack", "accelerate"], ...] = (
        "standard", "legacy", "dualstack", "accelerate",
    )  # fmt: skip
    """s3: which of the names that Amazon gives a bucket are served and aliased; what is left out bypasses Nezha."""
    endpoint: _Host | None = None
    """s3, azure: a compatible store, as host or host:port; path and virtual-host names are derived from it."""
    accounts: tuple[_Account, ...] = ()
    """azure: the storage accounts served; others pass."""
    hosts: tuple[_Host, ...] = Field(default=(), validate_default=True)
    """Names or IP literals served, beside those the dialect derives; a port is matched where one is given."""
    fresh: _Seconds = 0.0
    """How long an object is fresh where the origin does not say; 0 asks each time, which moves no body."""
    heuristic: bool = False
    """http: where the origin does not say, a tenth of an object's time since Last-Modified counts, at most a day."""
    grace: _Seconds = 7 * 86400.0
    """How long a stale object may still be served; permission is still needed."""
    immutable: bool = False
    """Never ask whether an object changed; permission is still asked."""
    grant: _Seconds = 60.0
    """How long a credential that shows its secret stays permitted unasked, within its own expiry."""
    address_grant: _Seconds = 0.0
    """The same for a signature, by access key, client address and object; it trusts pod addresses."""
    grant_in_outage: _Seconds = 0.0
    """How long a grant outlives its end while the origin cannot be reached."""
    anonymous: Literal["store", "pass"] = "store"
    """What happens to requests without a credential; pass where the origin trusts addresses."""
    honor_no_store: bool = False
    """Object stores: whether an uploader's Cache-Control: no-store forbids storing."""
    credential_headers: tuple[_HeaderName, ...] = ()
    """http: further headers that hold a credential."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 16
    """Lanes of one fill, at most."""
    max_object: _Part = units.parse_share("50%")
    """The largest object stored, a size or a percentage of `cache.size`; larger ones pass."""
    connect: Annotated[str, BeforeValidator(units.parse_user_free_url)] | None = None
    """Where the origin really is, under the name its certificate must bear; without it https and the host asked."""
    ca_file: _Path | None = None
    """Certificates trusted for the origin; without it the system's."""
    proxy: Annotated[str, BeforeValidator(units.parse_url)] | None = Field(default=None, repr=False)
    """The egress proxy, if that is the only way out; a user and password in it are secret."""
    connect_timeout: _Timeout = 10.0
    """How long a connection to the origin may take to stand."""
    head_timeout: _Timeout = 60.0
    """How long the origin may take from the request to its answer's head."""
    idle_timeout: _Timeout = 60.0
    """How long the origin may be silent within a body."""

    @field_validator(*_ONLY_FOR)
    @classmethod
    def _suits_the_dialect(cls, value: object, info: ValidationInfo) -> object:
        allowed = _ONLY_FOR[info.field_name or ""]
        dialect = info.data.get("dialect", allowed[0])  # absent where it is itself wrong
        if value and dialect not in allowed:
            raise ValueError(f"only for the dialect {' or '.join(allowed)}, and this origin's is {dialect}")
        return value

    @field_validator("hosts")
    @classmethod
    def _has_a_name(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        dialect = info.data.get("dialect")
        if dialect == "http" and not value:
            raise ValueError("is required for the dialect http: name the hosts to serve")
        if dialect == "s3" and not (value or info.data.get("buckets", True) or info.data.get("endpoint", True)):
            raise ValueError("an s3 origin needs buckets, an endpoint or hosts")
        if dialect == "azure" and not (value or info.data.get("accounts", True) or info.data.get("endpoint", True)):
            raise ValueError("an azure origin needs accounts, an endpoint or hosts")
        return value


class Settings(Section):
    """All configuration."""

    cache: CacheSettings = CacheSettings()
    """The cache port and the store behind it."""
    admission: AdmissionSettings = AdmissionSettings()
    """The webhook that points pods at the cache."""
    tls: TlsSettings = TlsSettings()
    """Where Nezha's certificate authority is kept."""
    log: LogSettings = LogSettings()
    """What is logged."""
    tracing: TracingSettings = TracingSettings()
    """Traces of requests, for an OpenTelemetry collector. They need more libraries: `pip install 'nezha[tracing]'`."""
    origins: tuple[OriginSettings, ...] = ()
    """The origins served; anything else is refused."""

"""The settings: one frozen tree, made once from YAML text and the variables that override it.

Every plain scalar of the YAML stays text until its field parses it, so that `no`, `0123` and `2024-01-01` can be
names, and a variable means exactly what the same text in the file means. Once read, sizes are bytes and times
seconds; hosts are written as a request's authority writes them: lower case, IPv6 in brackets, a port where given.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from nezha import units
from nezha.errors import SettingsError

BUILT = {"http", "s3"}
"""The dialects that can be served so far; the others are refused by name."""

_ONLY_FOR = {
    "buckets": ("s3",),
    "regions": ("s3",),
    "endpoint": ("s3",),
    "accounts": ("azure",),
    "honor_no_store": ("s3", "gcs", "azure", "huggingface"),
    "credential_headers": ("http",),
}

Address = units.Address
Share = units.Share
_Listen = Annotated[Address, BeforeValidator(units.parse_address)]
_Part = Annotated[Share, BeforeValidator(units.parse_share)]
_Size = Annotated[int, BeforeValidator(units.parse_size), Field(ge=0, le=2**63 - 1)]
_Seconds = Annotated[float, BeforeValidator(units.parse_seconds), Field(ge=0)]
_Timeout = Annotated[float, BeforeValidator(units.parse_seconds), Field(gt=0)]
_Path = Annotated[Path, BeforeValidator(units.check_path)]
_Host = Annotated[str, BeforeValidator(units.parse_host)]
_Bucket = Annotated[str, BeforeValidator(units.parse_bucket)]
_Region = Annotated[str, BeforeValidator(units.parse_region)]
_Account = Annotated[str, BeforeValidator(units.parse_account)]
_HeaderName = Annotated[str, BeforeValidator(units.parse_header_name)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CacheSettings(_Section):
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
    """Bytes of the hot tier in memory."""
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


class AdmissionSettings(_Section):
    """The webhook that points pods at the cache."""

    listen: _Listen = Address("0.0.0.0", 8443)
    """Where the API server sends its reviews, over TLS."""
    address: Annotated[str, BeforeValidator(units.parse_alias_address)] = "auto"
    """What host aliases point at: an IP address, or auto for the ClusterIP of `service`."""
    service: Annotated[str, BeforeValidator(units.parse_service)] = "proxy-cache.nezha"
    """The Service in front of the cache port, as name.namespace."""
    rules_file: _Path = Path("/etc/nezha/hostaliases.yaml")
    """The rules: the `config` key of a mounted ConfigMap, read again when it changes."""
    trust: bool = True
    """Whether injected pods are also made to trust Nezha's CA."""


class TlsSettings(_Section):
    """Where Nezha's certificate authority is kept."""

    directory: _Path = Path("/var/lib/nezha/tls")
    """Holds ca.crt and ca.key, which are made here on the first start if they are missing."""
    secret: Annotated[str, BeforeValidator(units.parse_secret)] | None = None
    """In a cluster only: the Secret that holds the CA, which then counts instead of `directory`."""


class LogSettings(_Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""
    access: bool = True
    """Whether each request leaves one line with its outcome and the reason."""


class OriginSettings(_Section):
    """One origin: the hosts it answers to, and the policy for its objects."""

    name: Annotated[str, BeforeValidator(units.parse_origin_name)]
    """What metrics and logs call it; no two origins share one."""
    dialect: Literal["s3", "gcs", "azure", "huggingface", "http"]
    """The protocol it speaks; http is any web server."""
    buckets: tuple[_Bucket, ...] = ()
    """s3: the buckets served, under all their names in `regions` or at `endpoint`; others pass."""
    regions: tuple[_Region, ...] = ()
    """s3: the regions whose names of the buckets are served."""
    endpoint: _Host | None = None
    """s3: a compatible store, as host or host:port; path and virtual-host names are derived from it."""
    accounts: tuple[_Account, ...] = ()
    """azure: the storage accounts served."""
    hosts: tuple[_Host, ...] = Field(default=(), validate_default=True)
    """Names or IP literals served, beside those the dialect derives; a port is matched where one is given."""
    fresh: _Seconds = 0.0
    """How long an object is fresh where the origin does not say; 0 asks each time, which moves no body."""
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

    @field_validator("dialect")
    @classmethod
    def _is_built(cls, value: str) -> str:
        if value not in BUILT:
            raise ValueError(f"the dialect {value} is not built yet; built are {', '.join(sorted(BUILT))}")
        return value

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
        return value


class Settings(_Section):
    """All configuration."""

    cache: CacheSettings = CacheSettings()
    """The cache port and the store behind it."""
    admission: AdmissionSettings = AdmissionSettings()
    """The webhook that points pods at the cache."""
    tls: TlsSettings = TlsSettings()
    """Where Nezha's certificate authority is kept."""
    log: LogSettings = LogSettings()
    """What is logged."""
    origins: tuple[OriginSettings, ...] = ()
    """The origins served; anything else is refused."""


_Place = tuple[int | str, ...]
_SECTIONS: dict[str, type[_Section]] = {
    "cache": CacheSettings, "admission": AdmissionSettings, "tls": TlsSettings, "log": LogSettings
}  # fmt: skip
_MESSAGES = {
    "value_error": "{error}",
    "missing": "is required",
    "model_type": "{given} is not a mapping of keys to values",
    "tuple_type": "{given} is not a list: write one like [a, b]",
    "path_type": "{given} is not a path",
    "literal_error": "{given} is not one of {expected}",
    "greater_than_equal": "must be at least {ge}, not {given}",
    "greater_than": "must be more than {gt}, not {given}",
    "less_than_equal": "must be at most {le}, not {given}",
} | dict.fromkeys(("bool_parsing", "bool_type"), "{given} is neither true nor false")
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Knows text, lists, mappings, nothing and merge keys; a key is text and stands once in its mapping."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # yaml's own place for them
        first: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{_TAG}null", f"{_TAG}merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag in (None, f"{_TAG}null", f"{_TAG}str", f"{_TAG}seq", f"{_TAG}map")
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                raise yaml.composer.ComposerError(None, None, "a key must be text", key.start_mark)
            if key.value in lines:
                problem = f"the key {units.show(key.value)} stands here again, after line {lines[key.value]}"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node


def load(text: str, environment: Mapping[str, str]) -> Settings:
    """The settings in YAML `text`, overridden by `NEZHA_SECTION__FIELD` variables.

    Raises SettingsError with one line per problem: the field's path, what is wrong, what is allowed.
    """
    tree = _read(text)
    variables, problems = _override(tree, environment)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems += [_describe(detail, variables) for detail in error.errors(include_url=False)]
        raise SettingsError("\n".join(problems)) from None  # its text would show the values, secrets included
    problems += _contradictions(settings.origins)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _read(text: str) -> dict[str, Any]:
    """The YAML's top level; a section without content counts as absent."""
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader that knows even less
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise SettingsError(f"line {line}, column {column}: YAML allows no {chr(error.character)!r}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise SettingsError(f"{where}: not usable YAML: {error.problem}") from None
    except RecursionError:
        raise SettingsError("the YAML is nested too deeply") from None
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise SettingsError(f"the settings must be a mapping of {', '.join(Settings.model_fields)}, not a list or text")
    return {key: value for key, value in tree.items() if value is not None or key not in Settings.model_fields}


def _override(tree: dict[str, Any], environment: Mapping[str, str]) -> tuple[dict[_Place, str], list[str]]:
    """Writes the variables into `tree`: which field came from which variable, and the problems.

    Only names with `__` count: `NEZHA_CONFIG` is the command line's, `NEZHA_PORT` and its like are Kubernetes'.
    """
    given: dict[_Place, str] = {}
    problems = []
    for variable, value in sorted(environment.items()):
        section, nested, field = variable.removeprefix("NEZHA_").lower().partition("__")
        model = _SECTIONS.get(section)
        if not variable.startswith("NEZHA_") or not nested:
            continue
        if section == "origins":
            problems.append(f"{variable}: origins can be set in the file only")
        elif model is None and difflib.get_close_matches(section, Settings.model_fields):  # else it is not ours
            problems.append(f"{variable}: unknown section{_nearest(section, Settings.model_fields)}")
        elif model and field not in model.model_fields:
            problems.append(f"{variable}: unknown key{_nearest(field, model.model_fields)}")
        elif model and isinstance(tree.setdefault(section, {}), dict):  # else it is reported as what it is
            tree[section] = {**tree[section], field: value}  # a copy: by an anchor others may share it
            given[section, field] = variable
    return given, problems


def _describe(detail: ErrorDetails, variables: Mapping[_Place, str]) -> str:
    """One problem that pydantic found, in our words."""
    place, kind, given = detail["loc"], detail["type"], detail["input"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in place).removeprefix(".")
    path += f" (from {variables[place]})" if place in variables else ""
    if kind == "extra_forbidden":
        model = Settings if len(place) == 1 else _SECTIONS.get(str(place[0]), OriginSettings)
        return f"{path}: unknown key{_nearest(str(place[-1]), model.model_fields)}"
    if given is None:
        return f"{path}: has no value; give it one, or leave it out"
    message = _MESSAGES.get(kind, "{given} is not a whole number")  # all that is left is said of an int
    return f"{path}: {message.format(given=units.show(given), **detail.get('ctx', {}))}"


def _plain(key: str) -> str:
    return key if key.isprintable() else units.show(key)


def _nearest(word: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(known)}"


def _contradictions(origins: tuple[OriginSettings, ...]) -> list[str]:
    """Names, hosts and buckets that an earlier origin claims already."""
    problems = []
    for number, origin in enumerate(origins):
        for before, earlier in enumerate(origins[:number]):
            if origin.name == earlier.name:
                problems.append(f"origins[{number}].name: {origin.name!r} is the name of origins[{before}] already")
            problems += [
                f"origins[{number}].{field}: {name} is served by origins[{before}] ({earlier.name}) already, "
                f"and cannot be by {origin.name} too"
                for field, name in _shared(origin, earlier)
            ]
    return problems


def _shared(origin: OriginSettings, earlier: OriginSettings) -> Iterator[tuple[str, str]]:
    """The fields and what they name that `earlier` names too. Two may share a store by buckets of their own."""
    yield from ((f"hosts[{i}]", host) for i, host in enumerate(origin.hosts) if host in _explicit(earlier))
    is_same_store = origin.endpoint == earlier.endpoint  # also where neither names one: the public S3
    buckets, taken = set(origin.buckets), set(earlier.buckets)
    if origin.endpoint and (origin.endpoint in earlier.hosts or (is_same_store and not (buckets and taken))):
        yield "endpoint", origin.endpoint
    elif is_same_store:
        yield from (("buckets", bucket) for bucket in sorted(buckets & taken))


def _explicit(origin: OriginSettings) -> tuple[str | None, ...]:
    return *origin.hosts, origin.endpoint

"""The settings: what each field accepts, and what it becomes."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from nezha import units
from nezha.loading import load
from nezha.settings import (
    Address,
    AdmissionSettings,
    CacheSettings,
    LogSettings,
    OriginSettings,
    Settings,
    Share,
    TlsSettings,
    TracingSettings,
)
from tests.problems import problems

EVERYTHING = """
cache:
  listen: 0.0.0.0:8080
  directory: /var/cache/nezha
  size: 100GiB
  min_free: 5%
  memory: 256MiB
  buffers: 256MiB
  slice: 4MiB
  verify: first
  drain: 30s
  connections: 10000
  loop: uvloop
admission:
  listen: 0.0.0.0:8443
  address: auto
  service: proxy-cache.nezha
  rules_file: /etc/nezha/hostaliases.yaml
  trust: true
tls:
  directory: /var/lib/nezha/tls
log: {level: info, access: true}
tracing: {sample: 0.01}
origins:
  - name: imagenet
    dialect: s3
    buckets: [imagenet]
    regions: [us-east-1]
  - name: minio
    dialect: s3
    endpoint: minio.corp:9000
    buckets: [models]
  - name: toronto
    dialect: http
    hosts: [www.cs.toronto.edu]
    fresh: 1d
    grace: 7d
    immutable: false
    grant: 60s
    address_grant: 0s
    grant_in_outage: 0s
    anonymous: store
    honor_no_store: false
    credential_headers: []
    parallel: 16
    max_object: 50%
    connect: http://127.0.0.1:9000
    ca_file: /path/ca.pem
    proxy: http://egress:3128
    connect_timeout: 10s
    head_timeout: 60s
    idle_timeout: 60s
"""


def origin(fields: str) -> OriginSettings:
    return load(f"origins: [{{name: a, {fields}}}]", {}).origins[0]


def origin_problems(fields: str) -> list[str]:
    return problems(f"origins: [{{name: a, {fields}}}]")


def http(fields: str) -> OriginSettings:
    return origin(f"dialect: http, hosts: [a.org], {fields}")


def http_problems(fields: str) -> list[str]:
    return origin_problems(f"dialect: http, hosts: [a.org], {fields}")


def test_the_documented_example_states_the_defaults_of_the_sections() -> None:
    loaded = load(EVERYTHING, {})
    assert loaded.model_copy(update={"origins": ()}) == Settings()
    assert loaded.cache == CacheSettings(
        listen=Address("0.0.0.0", 8080),
        directory=Path("/var/cache/nezha"),
        size=100 * 2**30,
        min_free=Share(Decimal(5), is_percentage=True),
        memory=256 * 2**20,
        buffers=256 * 2**20,
        slice=4 * 2**20,
        verify="first",
        drain=30.0,
        connections=10000,
        loop="uvloop",
    )
    assert loaded.admission == AdmissionSettings(
        listen=Address("0.0.0.0", 8443),
        address="auto",
        service="proxy-cache.nezha",
        rules_file=Path("/etc/nezha/hostaliases.yaml"),
        trust=True,
    )
    assert loaded.tls == TlsSettings(directory=Path("/var/lib/nezha/tls"), secret=None)
    assert loaded.log == LogSettings(level="info", access=True)
    assert loaded.tracing == TracingSettings(endpoint=None, sample=0.01)


def test_the_documented_example_fills_an_origin() -> None:
    assert load(EVERYTHING, {}).origins[2] == OriginSettings(
        name="toronto",
        dialect="http",
        hosts=("www.cs.toronto.edu",),
        fresh=86400.0,
        grace=7 * 86400.0,
        max_object=Share(Decimal(50), is_percentage=True),
        connect="http://127.0.0.1:9000",
        ca_file=Path("/path/ca.pem"),
        proxy="http://egress:3128",
    )


def test_an_origin_needs_only_a_name_a_dialect_and_hosts() -> None:
    a = http("")
    assert (a.fresh, a.grace, a.grant, a.address_grant, a.grant_in_outage) == (0.0, 7 * 86400.0, 60.0, 0.0, 0.0)
    assert (a.connect_timeout, a.head_timeout, a.idle_timeout) == (10.0, 60.0, 60.0)
    assert (a.immutable, a.anonymous, a.honor_no_store, a.parallel) == (False, "store", False, 16)
    assert (a.connect, a.ca_file, a.proxy, a.endpoint) == (None, None, None, None)
    assert a.max_object.of(1000) == 500


def test_the_tree_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().cache.size = 1


@pytest.mark.parametrize(
    "model",
    [Settings, CacheSettings, AdmissionSettings, TlsSettings, LogSettings, TracingSettings, OriginSettings],
)
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_a_directory_may_be_relative() -> None:
    assert load("cache: {directory: cache}", {}).cache.directory == Path("cache")


# Cache


@pytest.mark.parametrize("size", ["64KiB", "1MiB", "64MiB"])
def test_a_slice_is_a_power_of_two(size: str) -> None:
    assert load(f"cache: {{slice: {size}}}", {}).cache.slice == units.parse_size(size)


@pytest.mark.parametrize("size", ["0", "1", "32KiB", "3MiB", "4MB", "128MiB"])
def test_another_slice_is_refused(size: str) -> None:
    assert problems(f"cache: {{slice: {size}}}") == [
        f"cache.slice: must be a power of two from 64KiB to 64MiB, not {units.parse_size(size)} bytes"
    ]


def test_the_buffers_hold_at_least_four_slices() -> None:
    assert load("cache: {buffers: 256KiB, slice: 64KiB}", {}).cache.buffers == 2**18
    assert problems("cache: {buffers: 255KiB, slice: 64KiB}") == [
        "cache.buffers: must be at least 4 slices (262144 bytes), not 261120 bytes"
    ]


def test_a_wrong_slice_is_not_told_a_second_time_by_the_buffers() -> None:
    assert len(problems("cache: {buffers: 1, slice: 3}")) == 1


# Tracing


def test_traces_go_to_a_collector_by_its_url() -> None:
    tracing = load(
        "tracing: {endpoint: 'HTTP://Collector.corp:4318', sample: 1}", {"NEZHA_TRACING__SAMPLE": "0.5"}
    ).tracing
    assert (tracing.endpoint, tracing.sample) == ("http://collector.corp:4318", 0.5)


def test_what_tracing_cannot_use_is_named() -> None:
    assert problems("tracing: {endpoint: collector, sample: 2, smaple: 1}") == [
        "tracing.endpoint: 'collector' is not a URL: write http:// or https://, a host and a port, and no path",
        "tracing.sample: '2' is not a number from 0 to 1, like 0.01",
        "tracing.smaple: unknown key; did you mean sample?",
    ]
    (problem,) = problems("tracing: {endpoint: 'http://me:hidden@collector:4318'}")
    assert "hidden" not in problem


# Origins


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("buckets: [abc]", "buckets: only for the dialect s3 or gcs, and this origin's is http"),
        ("regions: [us-east-1]", "regions: only for the dialect s3, and this origin's is http"),
        ("endpoint: minio", "endpoint: only for the dialect s3 or azure, and this origin's is http"),
        ("accounts: [abc]", "accounts: only for the dialect azure, and this origin's is http"),
        (
            "honor_no_store: true",
            "honor_no_store: only for the dialect s3 or gcs or azure or huggingface, and this origin's is http",
        ),
    ],
)
def test_what_belongs_to_another_dialect_is_refused(fields: str, problem: str) -> None:
    assert http_problems(fields) == [f"origins[0].{problem}"]


def test_what_belongs_to_another_dialect_may_be_there_empty() -> None:
    assert http("buckets: [], regions: [], accounts: [], endpoint: ~, honor_no_store: false")


def test_credential_headers_are_for_http_only() -> None:
    assert http("credential_headers: [X-Key]").credential_headers == ("X-Key",)
    assert http_problems("credential_headers: [X Key]") == [
        "origins[0].credential_headers[0]: 'X Key' is not a header's name"
    ]
    assert origin_problems("dialect: s3, buckets: [abc], credential_headers: [X-Key]") == [
        "origins[0].credential_headers: only for the dialect http, and this origin's is s3"
    ]


@pytest.mark.parametrize("fields", ["", ", hosts: []"])
def test_an_http_origin_needs_hosts(fields: str) -> None:
    assert origin_problems(f"dialect: http{fields}") == [
        "origins[0].hosts: is required for the dialect http: name the hosts to serve"
    ]


@pytest.mark.parametrize("fields", ["buckets: [abc]", "endpoint: minio:9000", "hosts: [minio.corp]"])
def test_an_s3_origin_is_known_by_buckets_or_an_endpoint_or_hosts(fields: str) -> None:
    assert origin(f"dialect: s3, honor_no_store: true, {fields}")


def test_an_s3_origin_known_by_nothing_is_refused() -> None:
    assert origin_problems("dialect: s3, regions: [us-east-1]") == [
        "origins[0].hosts: an s3 origin needs buckets, an endpoint or hosts"
    ]


def test_wrong_buckets_are_not_told_a_second_time_as_missing() -> None:
    assert origin_problems("dialect: s3, buckets: [a_b]") == [
        "origins[0].buckets[0]: 'a_b' is not a bucket's name: 3 to 63 of a-z, 0-9, '.' and '-' "
        "(no wildcard: a pod's hostAliases cannot hold one)"
    ]


def test_hosts_may_be_added_to_the_buckets_of_an_s3_origin() -> None:
    assert origin("dialect: s3, buckets: [abc], hosts: [s3.corp]").hosts == ("s3.corp",)


def test_accounts_are_for_azure() -> None:
    assert origin("dialect: azure, accounts: [mydata], honor_no_store: true").accounts == ("mydata",)


@pytest.mark.parametrize("fields", ["accounts: [abc]", "endpoint: 'azurite:10000'", "hosts: [blobs.corp]"])
def test_an_azure_origin_is_known_by_accounts_or_an_endpoint_or_hosts(fields: str) -> None:
    assert origin(f"dialect: azure, {fields}")


def test_an_azure_origin_known_by_nothing_is_refused() -> None:
    assert origin_problems("dialect: azure") == [
        "origins[0].hosts: an azure origin needs accounts, an endpoint or hosts"
    ]


@pytest.mark.parametrize("dialect", ["gcs", "huggingface"])
def test_a_store_of_one_place_needs_nothing_more(dialect: str) -> None:
    assert origin(f"dialect: {dialect}").hosts == ()


def test_buckets_may_be_named_for_gcs() -> None:
    assert origin("dialect: gcs, buckets: [models]").buckets == ("models",)


def test_a_host_with_a_wildcard_is_refused_with_the_reason() -> None:
    assert origin_problems("dialect: http, hosts: ['*.a.org']") == [
        "origins[0].hosts[0]: '*.a.org' has a wildcard, which a pod's hostAliases cannot hold: name each host"
    ]


def test_a_url_to_connect_to_names_no_user() -> None:
    assert http("connect: https://b.org").connect == "https://b.org"
    assert http_problems("connect: http://me:hunter2@b.org") == [
        "origins[0].connect: 'http://***@b.org' names a user, but Nezha has no credentials of its own"
    ]


def test_the_user_of_a_proxy_is_kept_but_never_shown() -> None:
    a = http("proxy: http://me:hunter2@egress:3128")
    assert a.proxy == "http://me:hunter2@egress:3128"
    assert "hunter2" not in repr(a)
    assert "hunter2" not in repr(Settings(origins=(a,)))
    assert "ter2" not in http_problems("proxy: http://me:hun/@ter2@egress/path")[0]


@pytest.mark.parametrize("field", ["connect_timeout", "head_timeout", "idle_timeout"])
def test_a_timeout_is_more_than_nothing(field: str) -> None:
    assert http_problems(f"{field}: 0s") == [f"origins[0].{field}: must be more than 0, not '0s'"]

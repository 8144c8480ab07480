"""The settings: what is accepted, what it becomes, and how each mistake is told."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from nezha import settings, units
from nezha.errors import SettingsError
from nezha.settings import (
    Address,
    AdmissionSettings,
    CacheSettings,
    LogSettings,
    OriginSettings,
    Settings,
    Share,
    TlsSettings,
    load,
)

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


def problems(text: str, **variables: str) -> list[str]:
    """The lines of the error that `text` and `variables` raise."""
    with pytest.raises(SettingsError) as raised:
        load(text, variables)
    lines = str(raised.value).split("\n")
    assert all(line and "Input should" not in line and "Value error" not in line for line in lines)
    return lines


def origin(fields: str) -> OriginSettings:
    return load(f"origins: [{{name: a, {fields}}}]", {}).origins[0]


def origin_problems(fields: str) -> list[str]:
    return problems(f"origins: [{{name: a, {fields}}}]")


def http(fields: str) -> OriginSettings:
    return origin(f"dialect: http, hosts: [a.org], {fields}")


def http_problems(fields: str) -> list[str]:
    return origin_problems(f"dialect: http, hosts: [a.org], {fields}")


# What is accepted


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "cache:\norigins:\n", "---\n"])
def test_nothing_at_all_gives_the_defaults_without_origins(text: str) -> None:
    assert load(text, {}) == Settings()
    assert Settings().origins == ()


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
    "model", [Settings, CacheSettings, AdmissionSettings, TlsSettings, LogSettings, OriginSettings]
)
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_a_directory_may_be_relative() -> None:
    assert load("cache: {directory: cache}", {}).cache.directory == Path("cache")


def test_words_that_yaml_would_turn_into_other_things_stay_names() -> None:
    a, b = load(
        "origins: [{name: no, dialect: s3, buckets: [2024-01-01, 0123]}, {name: 1, dialect: http, hosts: [a]}]", {}
    ).origins
    assert (a.name, a.buckets, b.name) == ("no", ("2024-01-01", "0123"), "1")


def test_an_anchor_is_merged_and_what_stands_beside_it_wins() -> None:
    text = """
origins:
  - &first {name: a, dialect: http, hosts: [a.org], fresh: 1d, grant: 5s}
  - {<<: *first, name: b, hosts: [b.org], fresh: 2d}
"""
    b = load(text, {}).origins[1]
    assert (b.name, b.hosts, b.fresh, b.grant) == ("b", ("b.org",), 172800.0, 5.0)


# What stands in the way of the YAML


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("cache: [\n", "line 2, column 1: not usable YAML: "),
        ("cache:\n\tsize: 1\n", "line 2, column 1: not usable YAML: "),
        ("cache: {}\n---\ncache: {}\n", "line 2, column 1: not usable YAML: "),
        ("cache:\n  - *x\n", "line 2, column 5: not usable YAML: found undefined alias"),
        ("cache: !!python/object:os.system {}", "line 1, column 8: not usable YAML: could not determine"),
        ("cache: !!int 5", "line 1, column 8: not usable YAML: could not determine"),
        ("a: 1\nb: \0", r"line 2, column 4: YAML allows no '\x00'"),
        ("[" * 5000, "the YAML is nested too deeply"),
    ],
)
def test_broken_yaml_is_told_by_line_and_column(text: str, start: str) -> None:
    (line,) = problems(text)
    assert line.startswith(start)


def test_a_key_that_stands_twice_is_an_error() -> None:
    assert problems("cache:\n  size: 1GiB\n  drain: 1s\n  size: 2GiB\n") == [
        "line 4, column 3: not usable YAML: the key 'size' stands here again, after line 2"
    ]


@pytest.mark.parametrize("key", ["[a]", "{a: b}", "~"])
def test_a_key_that_is_not_text_is_an_error(key: str) -> None:
    assert problems(f"cache: {{? {key} : 1}}")[0].endswith("not usable YAML: a key must be text")


@pytest.mark.parametrize("text", ["- cache", "cache", "5"])
def test_a_top_level_that_is_no_mapping_is_an_error(text: str) -> None:
    assert problems(text) == [
        "the settings must be a mapping of cache, admission, tls, log, origins, not a list or text"
    ]


@pytest.mark.parametrize("text", ["cache: &a {size: *a}", "cache: &a [*a]", "origins: &a [*a]", "&a {cache: *a}"])
def test_an_anchor_within_itself_is_an_error(text: str) -> None:
    assert problems(text)


# How a mistake is told


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    assert problems("cach: {}\ncache: {szie: 1}\norigins: [{name: a, dialect: http, hosts: [a], frsh: 1s}]") == [
        "cache.szie: unknown key; did you mean size?",
        "origins[0].frsh: unknown key; did you mean fresh?",
        "cach: unknown key; did you mean cache?",
    ]


def test_an_unknown_key_like_no_other_is_told_with_all_that_are_known() -> None:
    assert problems("tls: {zzz: }\nwho: ") == [
        "tls.zzz: unknown key; known are directory, secret",
        "who: unknown key; known are cache, admission, tls, log, origins",
    ]


def test_a_key_with_a_line_break_leaves_one_line_per_problem() -> None:
    assert problems('tls: {"zzz\\n": 1}') == ["tls.'zzz\\n': unknown key; known are directory, secret"]


def test_all_problems_are_told_at_once_each_with_its_path() -> None:
    text = """
cache: {verify: sometimes, connections: 0, loop: , drain: 5, size: {}}
admission: []
log: {level: loud, access: perhaps}
origins:
  - {name: a, dialect: http, hosts: a.org}
  - {dialect: ftp, parallel: 65, ca_file: []}
  - 5
  -
"""
    assert problems(text) == [
        "cache.size: a mapping is not a size: "
        "write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, like 4MiB",
        "cache.verify: 'sometimes' is not one of 'always', 'first' or 'never'",
        "cache.drain: '5' is not a time: write a number with ms, s, m, h or d, like 30s",
        "cache.connections: must be at least 1, not '0'",
        "cache.loop: has no value; give it one, or leave it out",
        "admission: a list is not a mapping of keys to values",
        "log.level: 'loud' is not one of 'debug', 'info', 'warning' or 'error'",
        "log.access: 'perhaps' is neither true nor false",
        "origins[0].hosts: 'a.org' is not a list: write one like [a, b]",
        "origins[1].name: is required",
        "origins[1].dialect: 'ftp' is not one of 's3', 'gcs', 'azure', 'huggingface' or 'http'",
        "origins[1].parallel: must be at most 64, not '65'",
        "origins[1].ca_file: a list is not a path",
        "origins[2]: '5' is not a mapping of keys to values",
        "origins[3]: has no value; give it one, or leave it out",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cache: {connections: many}", "cache.connections: 'many' is not a whole number"),
        ("cache: {connections: 1.5}", "cache.connections: '1.5' is not a whole number"),
        ("cache: {connections: [1]}", "cache.connections: a list is not a whole number"),
        ("admission: {trust: {}}", "admission.trust: a mapping is neither true nor false"),
        ("cache: {directory: ''}", "cache.directory: '' is not a path"),
        ('cache: {directory: "a\\0"}', r"cache.directory: 'a\x00' is not a path"),
        ("cache: {memory: 10000PiB}", "cache.memory: must be at most 9223372036854775807, not '10000PiB'"),
        (
            "cache: {listen: '8080'}",
            "cache.listen: '8080' is not an address: write host:port, like 0.0.0.0:8080 or [::]:8080",
        ),
        ("cache: {min_free: 101%}", "cache.min_free: '101%' is more than the whole: at most 100%"),
        ("admission: {address: me}", "admission.address: 'me' is neither auto nor an IP address"),
        ("admission: {service: nezha}", "admission.service: 'nezha' is not a Service: write name.namespace"),
        ("tls: {secret: A_B}", "tls.secret: 'A_B' is not the name of a Secret"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_a_long_value_is_cut() -> None:
    assert problems(f"tls: {{secret: {'A' * 100}}}") == [f"tls.secret: '{'A' * 57}...' is not the name of a Secret"]


TEXT = st.text("a:*[/@ \n\0é", max_size=6)
TREES = st.recursive(
    st.none() | TEXT | st.sampled_from(["1GiB", "5s", "http", "s3", "0", "true", "a.org"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Settings.model_fields, *CacheSettings.model_fields, *OriginSettings.model_fields]) | TEXT,
            inner,
            max_size=5,
        )
    ),
)


@given(st.dictionaries(st.sampled_from([*Settings.model_fields]), TREES | st.lists(TREES)))
def test_whatever_is_written_gives_settings_or_a_readable_error(tree: object) -> None:
    told = []
    try:
        load(yaml.safe_dump(tree), {})
    except SettingsError as error:
        told = str(error).split("\n")
    assert all(": " in line and "Input should" not in line for line in told)


# Variables


def test_a_variable_overrides_a_scalar_and_leaves_the_rest() -> None:
    cache = load("cache: {size: 1GiB, drain: 5s}", {"NEZHA_CACHE__SIZE": "10GiB", "NEZHA_CACHE__MIN_FREE": "1%"}).cache
    assert (cache.size, cache.drain, cache.min_free.of(100)) == (10 * 2**30, 5.0, 1)


@pytest.mark.parametrize("text", ["", "admission:"])
def test_a_variable_may_fill_a_section_that_the_file_lacks(text: str) -> None:
    assert load(text, {"NEZHA_ADMISSION__TRUST": "false"}).admission.trust is False


def test_a_variable_changes_only_its_own_section_where_two_share_an_anchor() -> None:
    loaded = load("tls: &a {directory: x}\ncache: *a", {"NEZHA_TLS__DIRECTORY": "y"})
    assert (loaded.tls.directory, loaded.cache.directory) == (Path("y"), Path("x"))


def test_variables_of_others_are_ignored() -> None:
    others = {
        "NEZHA_CONFIG": "/etc/nezha/nezha.yaml",
        "NEZHA_SERVICE_HOST": "10.0.0.1",
        "NEZHA_PORT": "tcp://10.0.0.1:8080",
        "NEZHA_PORT_8080_TCP_ADDR": "10.0.0.1",
        "NEZHA_TEST__X": "1",
        "CACHE__SIZE": "1",
        "PATH": "/bin",
    }
    assert load("", others) == Settings()


def test_an_unknown_variable_is_told_by_its_name() -> None:
    variables = {
        "NEZHA_CACHE__SZIE": "1",
        "NEZHA_CACHE__SIZE__X": "1",
        "NEZHA_CAHCE__SIZE": "1",
        "NEZHA_LOG__": "1",
        "NEZHA_ORIGINS__0__FRESH": "1",
    }
    assert problems("", **variables) == [
        "NEZHA_CACHE__SIZE__X: unknown key; did you mean size?",
        "NEZHA_CACHE__SZIE: unknown key; did you mean size?",
        "NEZHA_CAHCE__SIZE: unknown section; did you mean cache?",
        "NEZHA_LOG__: unknown key; known are level, access",
        "NEZHA_ORIGINS__0__FRESH: origins can be set in the file only",
    ]


def test_a_wrong_value_in_a_variable_is_told_by_field_and_variable() -> None:
    assert problems("log: {access: true}", NEZHA_LOG__ACCESS="") == [
        "log.access (from NEZHA_LOG__ACCESS): '' is neither true nor false",
    ]


def test_a_variable_does_not_hide_that_its_section_is_wrong() -> None:
    assert problems("cache: 5", NEZHA_CACHE__SIZE="1") == ["cache: '5' is not a mapping of keys to values"]


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


# Origins


@pytest.mark.parametrize("dialect", ["gcs", "azure", "huggingface"])
def test_a_dialect_that_is_not_built_is_refused_by_name(dialect: str) -> None:
    assert origin_problems(f"dialect: {dialect}, accounts: [abc]") == [
        f"origins[0].dialect: the dialect {dialect} is not built yet; built are http, s3"
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("buckets: [abc]", "buckets: only for the dialect s3, and this origin's is http"),
        ("regions: [us-east-1]", "regions: only for the dialect s3, and this origin's is http"),
        ("endpoint: minio", "endpoint: only for the dialect s3, and this origin's is http"),
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


def test_accounts_are_for_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BUILT", {"azure"})
    assert origin("dialect: azure, accounts: [mydata], honor_no_store: true").accounts == ("mydata",)


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


# Two origins


def test_two_origins_may_not_share_a_name() -> None:
    assert problems("origins: [{name: a, dialect: http, hosts: [a]}, {name: a, dialect: http, hosts: [b]}]") == [
        "origins[1].name: 'a' is the name of origins[0] already"
    ]


def test_two_origins_may_not_claim_the_same_host() -> None:
    text = """
origins:
  - {name: a, dialect: http, hosts: [a.org, b.org]}
  - {name: b, dialect: http, hosts: ["a.org:8080"]}
  - {name: c, dialect: http, hosts: [c.org, B.ORG]}
"""
    assert problems(text, NEZHA_TLS__X="") == [
        "NEZHA_TLS__X: unknown key; known are directory, secret",
        "origins[2].hosts[1]: b.org is served by origins[0] (a) already, and cannot be by c too",
    ]


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ("endpoint: m", "hosts: [m]", "hosts[0]: m"),
        ("hosts: [m]", "endpoint: m", "endpoint: m"),
        ("endpoint: m", "endpoint: m", "endpoint: m"),
        ("endpoint: m, buckets: [abc]", "endpoint: m", "endpoint: m"),
        ("endpoint: m, buckets: [abc, def]", "endpoint: m, buckets: [def, ghi]", "buckets: def"),
        ("buckets: [abc]", "buckets: [abc], regions: [us-east-1]", "buckets: abc"),
    ],
)
def test_two_origins_may_not_claim_the_same_part_of_a_store(first: str, second: str, problem: str) -> None:
    assert problems(f"origins: [{{name: a, dialect: s3, {first}}}, {{name: b, dialect: s3, {second}}}]") == [
        f"origins[1].{problem} is served by origins[0] (a) already, and cannot be by b too"
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("endpoint: m, buckets: [abc]", "endpoint: m, buckets: [def]"),
        ("endpoint: m, buckets: [abc]", "endpoint: n, buckets: [abc]"),
        ("endpoint: m, buckets: [abc]", "buckets: [abc]"),
        ("buckets: [abc]", "buckets: [def]"),
    ],
)
def test_two_origins_may_share_a_store_by_buckets_of_their_own(first: str, second: str) -> None:
    assert load(f"origins: [{{name: a, dialect: s3, {first}}}, {{name: b, dialect: s3, {second}}}]", {})

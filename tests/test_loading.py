"""How the settings come about: what overrides what, and how each mistake is told."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nezha.errors import SettingsError
from nezha.loading import load
from nezha.settings import CacheSettings, OriginSettings, Settings
from tests.problems import problems


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "cache:\norigins:\n", "---\n"])
def test_nothing_at_all_gives_the_defaults_without_origins(text: str) -> None:
    assert load(text, {}) == Settings()
    assert Settings().origins == ()


@pytest.mark.parametrize("text", ["- cache", "cache", "5"])
def test_a_top_level_that_is_no_mapping_is_an_error(text: str) -> None:
    assert problems(text) == [
        "the settings must be a mapping of cache, admission, tls, log, tracing, origins, not a list or text"
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
    assert problems("log: {zzz: }\nwho: ") == [
        "log.zzz: unknown key; known are level, access",
        "who: unknown key; known are cache, admission, tls, log, tracing, origins",
    ]


def test_a_key_with_a_line_break_leaves_one_line_per_problem() -> None:
    assert problems('log: {"zzz\\n": 1}') == ["log.'zzz\\n': unknown key; known are level, access"]


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
    assert problems(text, NEZHA_LOG__X="") == [
        "NEZHA_LOG__X: unknown key; known are level, access",
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

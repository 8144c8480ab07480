"""The table from host names to origins: who serves a request, and where and how that origin is reached."""

from pathlib import Path

import pytest

from nezha.loading import load
from nezha.model import Fields, Request
from nezha.routes import Route, Routes, Target, agrees, make_routes, name_of
from nezha.semantics.freshness import Policy

WEB = "{name: web, dialect: http, hosts: [a.org, 'b.org:8080', 10.0.0.1, '[::1]', '[::2]:9000']}"


def routes(*origins: str) -> Routes:
    return make_routes(load(f"origins: [{', '.join(origins)}]", {}))


def request(host: str, target: str = "/", *, tls: bool = False) -> Request:
    return Request("GET", target, Fields(), host, tls=tls)


def found(table: Routes, host: str, target: str = "/", *, tls: bool = False) -> str | None:
    route = table.route(request(host, target, tls=tls))
    return None if route is None else route.name


# Hosts


def test_hosts_are_as_configured_and_names_have_no_port() -> None:
    table = routes(WEB, "{name: other, dialect: http, hosts: ['a.org:81', c.org]}")
    assert table.hosts == ["a.org", "b.org:8080", "10.0.0.1", "[::1]", "[::2]:9000", "a.org:81", "c.org"]
    assert table.names == ["a.org", "b.org", "10.0.0.1", "::1", "::2", "c.org"]
    assert [route.name for route in table.all("a.org:81")] == ["other"]


def test_without_origins_nothing_is_served() -> None:
    table = routes()
    assert (table.hosts, table.names, table.find("a.org"), found(table, "a.org")) == ([], [], None, None)


@pytest.mark.parametrize(
    ("host", "tls", "served"),
    [
        # a host without a port in the settings serves every port
        ("a.org", False, "a.org"),
        ("a.org:8443", True, "a.org"),
        ("10.0.0.1", False, "10.0.0.1"),
        ("10.0.0.1:81", False, "10.0.0.1"),
        ("[::1]", False, "[::1]"),
        ("[::1]:81", False, "[::1]"),
        # one with a port serves that port only
        ("b.org:8080", False, "b.org:8080"),
        ("b.org", False, None),
        ("b.org:8081", False, None),
        ("[::2]:9000", False, "[::2]:9000"),
        ("[::2]", False, None),
        # no other name is served
        ("", False, None),
        ("x.a.org", False, None),
        ("org", False, None),
        ("::1", False, "[::1]"),
    ],
)
def test_a_port_is_matched_where_the_settings_give_one(host: str, tls: bool, served: str | None) -> None:
    route = routes(WEB).route(request(host, tls=tls))
    assert (route.host if route else None) == served


def test_a_host_configured_with_the_port_of_its_scheme_is_asked_for_without_one() -> None:
    table = routes(
        "{name: plain, dialect: http, hosts: ['a.org:80', '[::1]:80']}",
        "{name: tls, dialect: http, hosts: ['a.org:443']}",
    )
    assert found(table, "a.org") == found(table, "[::1]") == "plain"
    assert found(table, "a.org", tls=True) == "tls"
    assert found(table, "[::1]", tls=True) is None


def test_a_route_for_one_port_comes_before_the_one_for_every_port() -> None:
    table = routes("{name: every, dialect: http, hosts: [a.org]}", "{name: one, dialect: http, hosts: ['a.org:81']}")
    assert [found(table, host) for host in ("a.org", "a.org:81", "a.org:82")] == ["every", "one", "every"]


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("a.org", "a.org"),
        ("a.org:443", "a.org"),
        ("b.org:8080", "b.org:8080"),
        ("b.org", "b.org:8080"),  # a TLS server name says no port
        ("b.org:8081", None),
        ("[::1]:9", "[::1]"),
        ("c.org", None),
        ("", None),
    ],
)
def test_a_host_is_found_by_its_name_alone(host: str, served: str | None) -> None:
    route = routes(WEB).find(host)
    assert (route.host if route else None) == served


# Buckets


MINIO = "dialect: s3, endpoint: 'minio:9000'"
SHARED = (f"{{name: one, {MINIO}, buckets: [abc]}}", f"{{name: two, {MINIO}, buckets: [def, ghi]}}")


@pytest.mark.parametrize(
    ("host", "target", "name"),
    [
        ("minio:9000", "/abc/k", "one"),
        ("minio:9000", "/def/k", "two"),
        ("minio:9000", "/ghi?list-type=2", "two"),
        ("minio:9000", "/%64ef/k", "two"),
        ("minio:9000", "/other/k", "one"),  # which passes it
        ("minio:9000", "/", "one"),
        ("abc.minio:9000", "/def/k", "one"),
        ("def.minio:9000", "/abc/k", "two"),
        ("other.minio:9000", "/k", None),
        ("minio", "/abc/k", None),
    ],
)
def test_origins_that_share_a_store_are_told_apart_by_bucket(host: str, target: str, name: str | None) -> None:
    assert found(routes(*SHARED), host, target) == name


def test_all_routes_of_a_shared_store_are_known() -> None:
    table = routes(*SHARED)
    assert [route.name for route in table.all("minio:9000")] == ["one", "two"]
    first = table.find("minio:9000")
    assert first is not None
    assert first.name == "one"


def test_of_origins_that_share_a_store_one_may_serve_every_other_bucket() -> None:
    table = routes("{name: one, dialect: s3, buckets: [abc]}", "{name: rest, dialect: s3, hosts: [s3.amazonaws.com]}")
    assert found(table, "s3.amazonaws.com", "/abc/k") == "one"
    assert found(table, "s3.amazonaws.com", "/def/k") == "rest"


# Names and addresses


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("a.org", "a.org"),
        ("a.org:80", "a.org"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_the_name_of_an_authority_has_neither_port_nor_brackets(authority: str, name: str) -> None:
    assert name_of(authority) == name


@pytest.mark.parametrize(
    ("sni", "authority", "agree"),
    [
        ("a.org", "a.org", True),
        ("a.org", "a.org:8443", True),
        ("a.org", "b.org", False),
        ("a.org", "x.a.org", False),
        ("a.org", "10.0.0.1", False),
        # no server name is sent for an address, and must be for anything else
        (None, "10.0.0.1", True),
        (None, "10.0.0.1:443", True),
        (None, "[::1]:443", True),
        (None, "[::1]", True),
        (None, "a.org", False),
        (None, "a1", False),
        (None, "", False),
    ],
)
def test_a_tls_server_name_and_a_host_agree(sni: str | None, authority: str, agree: bool) -> None:
    assert agrees(sni, authority) is agree


# What a route knows


def only(text: str) -> Route:
    table = make_routes(load(text, {}))
    route = table.find(table.hosts[0])
    assert route is not None
    return route


def test_a_route_holds_its_origins_policy() -> None:
    route = only("""
cache: {size: 1000}
origins:
  - {name: minio, dialect: s3, endpoint: minio, buckets: [abc], fresh: 1m, grace: 1h, immutable: true, grant: 30s,
     grant_in_outage: 5m, address_grant: 10s, anonymous: pass, honor_no_store: true, parallel: 3, max_object: 10%}
""")
    assert (route.name, route.host, route.dialect.name, route.place.route) == ("minio", "minio", "s3", "minio")
    assert route.freshness == Policy(60, 3600, immutable=True, is_metadata=True)
    assert (route.grant, route.grant_in_outage, route.address_grant) == (30, 300, 10)
    assert (route.stores_anonymous, route.honors_no_store) == (False, True)
    assert (route.lanes, route.max_object) == (3, 100)


def test_a_route_of_the_web_obeys_its_origin() -> None:
    route = only("origins: [{name: web, dialect: http, hosts: [a.org], credential_headers: [X-Key]}]")
    assert route.freshness == Policy(0, 7 * 86400, immutable=False, is_metadata=False)
    assert (route.stores_anonymous, route.honors_no_store) == (True, False)
    assert route.place.credential_headers == {"x-key"}


@pytest.mark.parametrize(
    ("fields", "scheme", "host", "port"),
    [
        ("hosts: [a.org]", "https", "a.org", 443),
        ("hosts: ['a.org:8443']", "https", "a.org", 8443),
        ("hosts: [10.0.0.1]", "https", "10.0.0.1", 443),
        ("hosts: ['[::1]:8443']", "https", "::1", 8443),
        ("hosts: [a.org], connect: 'http://b.org'", "http", "b.org", 80),
        ("hosts: ['a.org:81'], connect: 'https://b.org:9000'", "https", "b.org", 9000),
        ("hosts: [a.org], connect: 'https://[::1]'", "https", "::1", 443),
    ],
)
def test_an_origin_is_reached_by_https_at_its_own_host_unless_told_otherwise(
    fields: str, scheme: str, host: str, port: int
) -> None:
    target = only(f"origins: [{{name: web, dialect: http, {fields}}}]").target
    assert (target.scheme, target.host, target.port) == (scheme, host, port)
    assert target.base == f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def test_a_target_holds_what_is_needed_to_reach_it_and_shows_no_password() -> None:
    target = only("""
origins:
  - {name: web, dialect: http, hosts: [a.org], ca_file: /ca.pem, proxy: "http://me:hunter2@egress:3128",
     connect_timeout: 1s, head_timeout: 2s, idle_timeout: 3s}
""").target
    assert target == Target("https", "a.org", 443, Path("/ca.pem"), "http://me:hunter2@egress:3128", 1, 2, 3)
    assert "hunter2" not in repr(target)

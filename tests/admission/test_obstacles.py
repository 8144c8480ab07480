"""What keeps a pod from reaching Nezha, or from trusting it."""

from typing import Any

import pytest

from nezha.admission import trust
from nezha.admission.obstacles import proxied, untrusting
from nezha.admission.pod import containers
from nezha.admission.target import ClusterTrust, NamespaceTrust

NAMES = ("b.s3.us-east-1.amazonaws.com", "s3.amazonaws.com")
ALL = trust.wish({})
SOURCE = ClusterTrust()


def with_variables(**variables: Any) -> dict[str, Any]:
    entries = [{"name": name, **(value if isinstance(value, dict) else {"value": value})}
               for name, value in variables.items()]  # fmt: skip
    return {"containers": [{"name": "c", "env": entries}]}


def with_mount(path: str, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", "volumeMounts": [{"name": "mine", "mountPath": path, **more}]}]}


def found(spec: dict[str, Any], kind: trust.Wish = ALL) -> list[str]:
    return untrusting(tuple(containers(spec)), spec.get("volumes", []), SOURCE, kind)


@pytest.mark.parametrize("proxy", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_without_exceptions_is_an_obstacle(proxy: str) -> None:
    spec = with_variables(**{proxy: "http://egress:3128"})
    (why,) = proxied(containers(spec), NAMES)
    assert why == f"container c: sets {proxy} without {NAMES[0]} and 1 more in NO_PROXY"


@pytest.mark.parametrize(
    ("exceptions", "left_out"),
    [
        ({"NO_PROXY": "amazonaws.com"}, None),
        ({"no_proxy": "localhost, .AmazonAWS.com ,10.0.0.0/8"}, None),
        ({"NO_PROXY": "*"}, None),
        ({"NO_PROXY": ",".join(NAMES)}, None),
        ({"NO_PROXY": "amazonaws.com", "no_proxy": "amazonaws.com"}, None),
        ({"NO_PROXY": "s3.amazonaws.com"}, f"{NAMES[0]} in NO_PROXY"),
        ({"NO_PROXY": NAMES[0]}, f"{NAMES[1]} in NO_PROXY"),
        (
            {"NO_PROXY": "amazonaws.com", "no_proxy": "localhost"},
            f"{NAMES[0]} and 1 more in NO_PROXY and no_proxy",
        ),
        ({"NO_PROXY": "*.amazonaws.com"}, f"{NAMES[0]} and 1 more in NO_PROXY"),
        ({"NO_PROXY": "aws.com"}, f"{NAMES[0]} and 1 more in NO_PROXY"),
        ({"NO_PROXY": ""}, f"{NAMES[0]} and 1 more in NO_PROXY"),
        ({"NO_PROXY": ", ."}, f"{NAMES[0]} and 1 more in NO_PROXY"),
        ({"NO_PROXY": {"valueFrom": {}}}, f"{NAMES[0]} and 1 more in NO_PROXY"),
    ],
)
def test_exceptions_count_where_every_client_understands_them(exceptions: dict[str, Any], left_out: str | None) -> None:
    spec = with_variables(HTTPS_PROXY={"valueFrom": {"secretKeyRef": {"name": "p", "key": "k"}}}, **exceptions)
    expected = [] if left_out is None else [f"container c: sets HTTPS_PROXY without {left_out}"]
    assert list(proxied(containers(spec), NAMES)) == expected


@pytest.mark.parametrize("variables", [{}, {"HTTPS_PROXY": ""}, {"HTTPS_PROXY": {}}, {"NO_PROXY": "a"}])
def test_no_proxy_is_no_obstacle(variables: dict[str, Any]) -> None:
    assert list(proxied(containers(with_variables(**variables)), NAMES)) == []


def test_a_pod_that_sets_nothing_is_free() -> None:
    assert found({"containers": [{"name": "c"}], "volumes": [{"name": "mine", "emptyDir": {}}]}) == []


@pytest.mark.parametrize("value", ["/etc/ssl/mine.pem", "", {"valueFrom": {"fieldRef": {}}}])
def test_a_variable_of_the_pods_own_is_an_obstacle(value: Any) -> None:
    spec = with_variables(REQUESTS_CA_BUNDLE=value)
    assert found(spec) == ["container c: sets REQUESTS_CA_BUNDLE itself"]
    assert found(spec, trust.wish({trust.TRUST_VARIABLES: "false"})) == []


def test_what_is_already_as_it_should_be_is_none() -> None:
    spec = {
        "containers": [
            {
                "name": "c",
                "env": [{"name": name, "value": value} for name, value in trust.variables(ALL)],
                "volumeMounts": [{**mount, "mountPropagation": "None"} for mount in trust.mounts(ALL)],
            }
        ],
        "volumes": [{"name": "nezha-trust", "projected": {**trust.volume(SOURCE)["projected"], "defaultMode": 420}}],
    }
    assert found(spec) == []


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/nezha-trust", "/etc/nezha-trust/", "/etc/nezha-trust/more", "/etc", "/"),
        *("/etc/ssl/certs", "/etc/ssl/certs/", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl", "/etc/ssl/cert.pem"),
        *("/etc/pki", "/etc/pki/tls/certs/ca-bundle.crt"),
    ],
)
def test_a_mount_of_the_pods_own_above_or_below_ours_is_an_obstacle(path: str) -> None:
    shown = path.rstrip("/") or "/"
    assert found(with_mount(path)) == [f"container c: mounts a volume of its own at {shown}"]


@pytest.mark.parametrize("path", ["/data", "/etc/ssl/certs/mine.crt", "/etc/nezha", "/etc/ssl/private", "/etc/pkix"])
def test_a_mount_beside_ours_is_none(path: str) -> None:
    assert found(with_mount(path)) == []


def test_the_systems_bundle_may_be_the_pods_own_where_it_says_so() -> None:
    kind = trust.wish({trust.TRUST_MOUNT: "false"})
    assert found(with_mount("/etc/ssl/certs"), kind) == []
    assert found(with_mount("/etc"), kind) != []


def test_an_ephemeral_container_has_no_mount_over_the_systems_bundle() -> None:
    spec = with_mount("/etc/ssl/certs")
    assert found({"ephemeralContainers": spec["containers"]}) == []


@pytest.mark.parametrize(
    "volume",
    [
        {"name": "nezha-trust", "emptyDir": {}},
        trust.volume(NamespaceTrust()),
        {"name": "nezha-trust", "projected": {"sources": []}},
        {"name": "nezha-trust", "projected": {"sources": [{"clusterTrustBundle": {"name": "other", "path": "x"}}]}},
        {"name": "nezha-trust", "projected": None},
    ],
)
def test_a_volume_of_our_name_and_another_kind_is_an_obstacle(volume: dict[str, Any]) -> None:
    assert found({"containers": [], "volumes": [volume]}) == ["a volume nezha-trust is there already, of another kind"]

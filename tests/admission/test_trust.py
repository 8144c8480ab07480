"""What makes a pod trust Nezha, and how its annotations choose."""

import pytest

from nezha.admission import trust
from nezha.admission.target import ClusterTrust, NamespaceTrust
from nezha.admission.trust import BUNDLE, Wish

ALL = Wish(is_own=False, has_mounts=True, has_variables=True)


@pytest.mark.parametrize(
    ("annotations", "wish"),
    [
        ({}, ALL),
        ({"nezha.io/trust": "own"}, Wish(is_own=True, has_mounts=True, has_variables=True)),
        ({"nezha.io/trust-mount": "false"}, Wish(is_own=False, has_mounts=False, has_variables=True)),
        ({"nezha.io/trust-variables": "false"}, Wish(is_own=False, has_mounts=True, has_variables=False)),
        ({"nezha.io/trust": "mine", "nezha.io/trust-mount": "no", "nezha.io/trust-variables": "true"}, ALL),
    ],
)
def test_annotations_leave_out_what_they_name(annotations: dict[str, str], wish: Wish) -> None:
    assert trust.wish(annotations) == wish


def test_four_variables_name_one_file() -> None:
    names = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS"}
    assert dict(trust.variables(ALL)) == dict.fromkeys(names, BUNDLE)
    assert trust.variables(Wish(is_own=False, has_mounts=True, has_variables=False)) == ()


def test_the_file_is_mounted_as_a_directory_and_over_the_systems_bundles() -> None:
    found = {each["mountPath"]: each.get("subPath") for each in trust.mounts(ALL)}
    assert found == {
        "/etc/nezha-trust": None,
        "/etc/ssl/certs/ca-certificates.crt": "ca-bundle.crt",
        "/etc/pki/tls/certs/ca-bundle.crt": "ca-bundle.crt",
        "/etc/ssl/cert.pem": "ca-bundle.crt",
    }
    assert all(each["readOnly"] and each["name"] == "nezha-trust" for each in trust.mounts(ALL))
    assert BUNDLE == "/etc/nezha-trust/ca-bundle.crt"


def test_without_the_mounts_the_directory_stays() -> None:
    (directory,) = trust.mounts(Wish(is_own=False, has_mounts=False, has_variables=True))
    assert directory["mountPath"] == "/etc/nezha-trust"
    assert trust.mounts(ALL, is_ephemeral=True) == (directory,)


def test_a_cluster_trust_bundle_is_projected() -> None:
    bundle = {"clusterTrustBundle": {"name": "b", "path": "ca-bundle.crt"}}
    assert trust.volume(ClusterTrust("b")) == {"name": "nezha-trust", "projected": {"sources": [bundle]}}


def test_a_config_map_gives_its_one_key() -> None:
    keys = [{"key": "ca-bundle.crt", "path": "ca-bundle.crt"}]
    assert trust.volume(NamespaceTrust("m")) == {"name": "nezha-trust", "configMap": {"name": "m", "items": keys}}


def test_switches_are_for_the_dialects_that_are_configured() -> None:
    assert trust.switches(frozenset({"s3", "http", "azure"})) == ()
    assert trust.switches(frozenset({"s3", "gcs"})) == (("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"),)
    assert trust.switches(frozenset({"huggingface"})) == (("HF_HUB_DISABLE_XET", "1"),)

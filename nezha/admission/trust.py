"""How a pod is made to trust Nezha: variables, mounts and switches, in three tables, and why each is there.

Measured over the TLS stacks of 32 clients: each variable and the mount is needed by some client that heeds no other,
and together they reach all. The file holds the public roots too, for each setting but node's *replaces* what a client
trusts.
"""

from dataclasses import dataclass
from typing import assert_never

from nezha.admission.review import Json
from nezha.admission.target import TRUST_KEY, ClusterTrust, NamespaceTrust, Trust

VOLUME = "nezha-trust"
DIRECTORY = "/etc/nezha-trust"
"""Where the bundle is mounted as a directory: the kubelet keeps it current there, while the pod runs."""

BUNDLE = f"{DIRECTORY}/{TRUST_KEY}"

TRUST = "nezha.io/trust"
"""The annotation that says, by `own`, that the pod brings its own trust."""
TRUST_MOUNT = "nezha.io/trust-mount"
"""The annotation that, by `false`, leaves out the mounts over the system's bundle."""
TRUST_VARIABLES = "nezha.io/trust-variables"
"""The annotation that, by `false`, leaves out the variables."""

# AWS_CA_BUNDLE is not among them: botocore reads REQUESTS_CA_BUNDLE too, and rclone 1.60 fails where it is set.
VARIABLES = (
    "SSL_CERT_FILE",  # OpenSSL, Go, rustls, curl: aiohttp, httpx, urllib3, pyarrow, obstore, awscrt, minio, rclone
    "REQUESTS_CA_BUNDLE",  # requests and botocore: boto3, aws, s3fs, google-cloud-storage, azure-storage-blob
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",  # gRPC (BoringSSL), which reads nothing else
    "NODE_EXTRA_CA_CERTS",  # Node.js, which adds it to the roots that it was built with
)

# A file mounted over a file: by subPath, which the kubelet does not keep current while the pod runs. A path that an
# image does not have is made by the container runtime; there it is one more place with the same roots.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian and Ubuntu, Alpine: duckdb, wget and git read nothing else
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL, Fedora, Amazon Linux
    "/etc/ssl/cert.pem",  # Alpine's OpenSSL and LibreSSL; Pythons that are built to run anywhere
)


@dataclass(frozen=True, slots=True)
class Switch:
    """A variable that a client of one dialect needs in order to come through at all."""

    dialect: str
    name: str
    value: str


# The pod's own value of a switch stays, without a warning.
SWITCHES = (
    # gcsfs asks for the bucket's layout over gRPC first, and waits 30 s where that gets no HTTP/2
    Switch("gcs", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"),
    # one file is one read that way; with Xet it is many, of pieces that each store's address is asked for first
    Switch("huggingface", "HF_HUB_DISABLE_XET", "1"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod's annotations say about its trust."""

    is_own: bool
    has_mounts: bool
    has_variables: bool


def wish(annotations: Json) -> Wish:
    """What the annotations ask for; whatever is not understood asks for nothing, for trust is all or nothing."""
    return Wish(
        is_own=annotations.get(TRUST) == "own",
        has_mounts=annotations.get(TRUST_MOUNT) != "false",
        has_variables=annotations.get(TRUST_VARIABLES) != "false",
    )


def variables(kind: Wish) -> tuple[tuple[str, str], ...]:
    """Names and values of the variables that trust needs in each container."""
    return tuple((name, BUNDLE) for name in VARIABLES) if kind.has_variables else ()


def mounts(kind: Wish, *, is_ephemeral: bool = False) -> tuple[Json, ...]:
    """The volumeMounts that trust needs in a container; the API server allows an ephemeral one no subPath."""
    directory: Json = {"name": VOLUME, "mountPath": DIRECTORY, "readOnly": True}
    if is_ephemeral or not kind.has_mounts:
        return (directory,)
    files = ({"name": VOLUME, "mountPath": path, "subPath": TRUST_KEY, "readOnly": True} for path in SYSTEM_BUNDLES)
    return directory, *files


def volume(source: Trust) -> Json:
    """The volume that holds the bundle.

    It is not optional: where the bundle is gone after all, the pod waits for it, and the kubelet says so. Without the
    file it would start, and trust nobody.
    """
    match source:
        case ClusterTrust(name):
            projected = {"clusterTrustBundle": {"name": name, "path": TRUST_KEY}}
            return {"name": VOLUME, "projected": {"sources": [projected]}}
        case NamespaceTrust(config_map):
            items = [{"key": TRUST_KEY, "path": TRUST_KEY}]
            return {"name": VOLUME, "configMap": {"name": config_map, "items": items}}
        case _:
            assert_never(source)


def switches(dialects: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Names and values of the variables that clients of these dialects need."""
    return tuple((switch.name, switch.value) for switch in SWITCHES if switch.dialect in dialects)

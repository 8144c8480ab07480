"""Each TLS stack, in a process with exactly what the webhook injects, trusts whom it should and nobody else.

Absent: duckdb, whose httpfs is an extension that it downloads from its own site; the SDKs that are a stack of this
list in other clothes (s3fs, gcsfs and adlfs are aiohttp's; google-cloud-storage and azure-storage-blob requests';
rclone is Go's; huggingface_hub httpx's).
"""

import datetime
import shutil
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from nezha.pki.authority import Authority, issue
from nezha.pki.bundle import public_roots
from nezha.pki.contexts import server_context
from nezha.pki.keeper import load_or_create
from tests.real import servers
from tests.real.servers import PARTS, Nezha
from tests.real.test_name_constraints import built
from tests.real.trust_pod import TrustPod
from tests.real.trust_sites import Sites, sites

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SERVED = "data.trust.example"  # an origin: it leads to Nezha's cache port
PUBLIC = "public.elsewhere.example"  # any site of the internet
ROTATED = "sub.data.trust.example"  # shows a leaf that Nezha's CA may sign
OUTSIDE = "bank.elsewhere.example"  # shows a leaf of Nezha's CA, which may not sign it
BESIDE = "beside.data.trust.example"  # shows one with an address beside a name that is permitted

STACKS = [
    "urllib", "urllib3", "requests", "httpx", "aiohttp", "boto3", "awscrt", "pyarrow_s3", "pyarrow_gcs", "obstore",
    "polars", "deltalake", "minio", "grpc", "curl", "wget", "git", "node", "go",
]  # fmt: skip
KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class World:
    """A running Nezha, the sites beside it, and a pod that knows them all by name."""

    nezha: Nezha
    sites: Sites
    pod: TrustPod


def public_root() -> Authority:
    """A root as browsers trust them: without constraints."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A public root")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + 365 * day)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Authority(builder.sign(key, hashes.SHA256()), key, "a public root")


def shown(authority: Authority, *names: str) -> ssl.SSLContext:
    context = server_context(issue(authority, names, KEY, now=time.time()), KEY)
    context.set_alpn_protocols(["http/1.1", "h2"])
    return context


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter beside which the clients are installed."""
    found = PARTS / f"trust-{sys.version_info[0]}.{sys.version_info[1]}" / "bin" / "python"
    if not found.exists():
        servers.missing(f"{found} is not installed (tests/real/install.sh)")
    return found


@pytest.fixture(scope="module")
def world(address: str, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = public_root()
    other = str(IPv4Address(address) + 65_536)
    home = tmp_path_factory.mktemp("trust")
    (home / "roots.pem").write_bytes(root.certificate_pem)
    origin = {"name": "data", "dialect": "http", "hosts": [SERVED]}
    origin |= {"connect": f"https://{other}:443", "ca_file": str(home / "roots.pem")}
    with (
        tempfile.TemporaryDirectory(prefix="nezha-trust-") as data,
        servers.nezha(address, Path(data), home / "nezha.log", [origin]) as nezha,
    ):
        ours = load_or_create(Path(data) / "tls", [SERVED])
        assert ours.certificate_pem == nezha.authority.read_bytes()
        contexts = {
            other: shown(root, other),  # the origin, as Nezha finds it
            SERVED: shown(root, SERVED),  # the same, as gRPC finds it through Nezha
            PUBLIC: shown(root, PUBLIC),
            ROTATED: shown(ours, ROTATED),
            OUTSIDE: shown(ours, OUTSIDE),
            BESIDE: shown(ours, BESIDE, "10.0.0.1"),
        }
        aliases = {SERVED: address} | dict.fromkeys([PUBLIC, ROTATED, OUTSIDE, BESIDE], other)
        bundle = public_roots() + root.certificate_pem + ours.certificate_pem
        with sites(other, contexts) as found:
            yield World(nezha, found, TrustPod.made(python, home, aliases, bundle))


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_trusts_nezha_and_the_public_and_no_more(world: World, stack: str) -> None:
    if stack in {"curl", "wget", "git", "node"}:
        servers.program(stack)
    program = stack
    if stack == "go":
        if shutil.which("go") is None:
            servers.missing("go is not installed (tests/real/install.sh)")
        program = str(built("go_probe", ["go", "build", "-trimpath", "-o"], "trustprobe"))
    before_asked, before_trusted = world.sites.asked.copy(), world.sites.trusted.copy()
    served = world.nezha.metric("nezha_requests_total", origin="data")

    said = world.pod.ask(program, [SERVED, PUBLIC, ROTATED, OUTSIDE, BESIDE])

    asked = world.sites.asked - before_asked
    trusted = set(world.sites.trusted - before_trusted)
    assert {PUBLIC, ROTATED, OUTSIDE, BESIDE} <= set(asked), f"some were never asked: {said}"
    if stack == "grpc":  # it speaks HTTP/2 only: Nezha passes it on unread, and it is the origin whom it trusts
        assert SERVED in trusted, said
    else:
        assert world.nezha.metric("nezha_requests_total", origin="data") > served, said
    assert trusted - {SERVED, world.sites.address} == {PUBLIC, ROTATED}, said
    assert "ok" not in {said[OUTSIDE], said[BESIDE]}

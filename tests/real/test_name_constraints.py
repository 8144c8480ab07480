"""What the pods' TLS libraries make of the CA's limits: OpenSSL, Go and rustls each verify the same chains.

The last two are asked through the small programs beside this file, which are built once and kept.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nezha.pki.authority import Authority, issue
from nezha.pki.keeper import load_or_create
from tests.pki import forge

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]  # the first run compiles

SOURCES = Path(__file__).parent
NAMES = ["bucket.s3.amazonaws.com", "data.example"]
ADDRESSES = ["10.0.0.1", "2001:db8::1"]
KEY = ec.generate_private_key(ec.SECP256R1())
Command = Callable[[Path, Path, str], list[str]]


@dataclass(frozen=True)
class Stack:
    """One library: the command that verifies a chain, its exit code for no, and its words for a forbidden name."""

    command: Command
    refused: int
    forbidden: str

    def refusal(self, directory: Path, authority: Authority, leaf: x509.Certificate, name: str) -> str | None:
        """Why a client that trusts the CA refuses `leaf` for `name`; None where it accepts."""
        ca, chain = directory / "trusted.pem", directory / "chain.pem"
        ca.write_bytes(authority.certificate_pem)
        chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        run = subprocess.run(self.command(ca, chain, name), capture_output=True, text=True, timeout=60, check=False)
        said = run.stdout + run.stderr
        assert run.returncode in {0, self.refused}, said
        return None if run.returncode == 0 else said

    def assert_forbidden(self, directory: Path, authority: Authority, leaf: x509.Certificate, name: str) -> None:
        """Refused, and for no other reason than a constraint."""
        said = self.refusal(directory, authority, leaf, name)
        assert said is not None, f"accepted for {name}"
        assert re.search(self.forbidden, said), said


def needs(tool: str) -> None:
    """Skips where `tool` is not installed, unless everything has to be there."""
    if shutil.which(tool) is None:
        reason = f"{tool} is not installed"
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(f"{reason}, and REQUIRE_REAL=1")
        pytest.skip(reason)


def built(name: str, command: list[str], product: str) -> Path:
    """The program that `command`, with a scratch directory appended, makes there as `product` from the sources."""
    sources = SOURCES / name
    digest = hashlib.sha256()
    for path in sorted(path for path in sources.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(sources)}\0".encode() + path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nezha-parts" / "verifiers"
    program = cache / f"{name}-{digest.hexdigest()[:16]}"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = subprocess.run(
                [*command, scratch], cwd=sources, capture_output=True, text=True, timeout=600, check=False
            )
            assert made.returncode == 0, made.stdout + made.stderr
            Path(scratch, product).replace(program)
    return program


def openssl() -> Stack:
    needs("openssl")

    def command(ca: Path, chain: Path, name: str) -> list[str]:
        verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore"]
        return [*verify, "-CAfile", str(ca), "-verify_ip" if is_address(name) else "-verify_hostname", name, str(chain)]

    return Stack(command, 2, "(permitted|excluded) subtree violation")


def go() -> Stack:
    needs("go")
    program = built("go_verify", ["go", "build", "-trimpath", "-o"], "goverify")
    forbidden = "not permitted by any constraint|excluded by constraint"
    return Stack(lambda ca, chain, name: [str(program), str(ca), str(chain), name], 1, forbidden)


def rustls() -> Stack:
    needs("cargo")
    cargo = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir"]
    program = built("rustls_verify", cargo, "release/rustls-verify")
    return Stack(lambda ca, chain, name: [str(program), str(ca), str(chain), name], 1, "NameConstraintViolation")


def is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


@pytest.fixture(scope="module", params=[openssl, go, rustls], ids=lambda stack: stack.__name__)
def stack(request: pytest.FixtureRequest) -> Stack:
    make: Callable[[], Stack] = request.param
    return make()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return load_or_create(tmp_path_factory.mktemp("tls"), NAMES)


def leaf_for(authority: Authority, *names: str) -> x509.Certificate:
    return issue(authority, names, KEY, now=time.time())


@pytest.mark.parametrize("name", [*NAMES, "below.data.example"])
def test_a_leaf_for_a_configured_name_is_accepted(
    tmp_path: Path, stack: Stack, authority: Authority, name: str
) -> None:
    assert stack.refusal(tmp_path, authority, leaf_for(authority, name), name) is None


def test_a_leaf_is_good_for_its_own_name_only(tmp_path: Path, stack: Stack, authority: Authority) -> None:
    said = stack.refusal(tmp_path, authority, leaf_for(authority, "data.example"), "bucket.s3.amazonaws.com")
    assert said is not None
    assert not re.search(stack.forbidden, said), said


@pytest.mark.parametrize("name", ["evil.example", "s3.amazonaws.com", "notdata.example", *ADDRESSES])
def test_a_leaf_for_another_name_is_refused(tmp_path: Path, stack: Stack, authority: Authority, name: str) -> None:
    stack.assert_forbidden(tmp_path, authority, leaf_for(authority, name), name)
    stack.assert_forbidden(tmp_path, authority, leaf_for(authority, "data.example", name), "data.example")


@pytest.mark.parametrize(
    "extra",
    [
        x509.RFC822Name("root@evil.example"),
        x509.UniformResourceIdentifier("https://evil.example/"),
        x509.UniformResourceIdentifier("spiffe://cluster.local/admin"),
    ],
    ids=["e-mail", "https", "spiffe"],
)
def test_a_leaf_with_an_email_or_uri_name_is_refused(
    tmp_path: Path, stack: Stack, authority: Authority, extra: x509.GeneralName
) -> None:
    leaf = forge(authority, KEY, [x509.DNSName("data.example"), extra])
    stack.assert_forbidden(tmp_path, authority, leaf, "data.example")


def test_the_forged_leaf_is_refused_for_that_name_alone(tmp_path: Path, stack: Stack, authority: Authority) -> None:
    leaf = forge(authority, KEY, [x509.DNSName("data.example")])
    assert stack.refusal(tmp_path, authority, leaf, "data.example") is None


@pytest.mark.parametrize("names", [NAMES, []], ids=["with names", "addresses alone"])
def test_configured_addresses_are_accepted_and_others_refused(tmp_path: Path, stack: Stack, names: list[str]) -> None:
    authority = load_or_create(tmp_path / "tls", [*names, *ADDRESSES])
    leaf = leaf_for(authority, *ADDRESSES)
    for address in ADDRESSES:
        assert stack.refusal(tmp_path, authority, leaf, address) is None
    for other in ("10.0.0.2", "2001:db8::2", "evil.example"):
        stack.assert_forbidden(tmp_path, authority, leaf_for(authority, other), other)
    for name in names:
        assert stack.refusal(tmp_path, authority, leaf_for(authority, name), name) is None


def test_the_old_certificate_goes_on_accepting_the_names_it_has(tmp_path: Path, stack: Stack) -> None:
    old = load_or_create(tmp_path / "tls", ["data.example"])
    new = load_or_create(tmp_path / "tls", ["data.example", "new.example"])
    assert stack.refusal(tmp_path, old, leaf_for(new, "data.example"), "data.example") is None
    assert stack.refusal(tmp_path, new, leaf_for(new, "new.example"), "new.example") is None
    stack.assert_forbidden(tmp_path, old, leaf_for(new, "new.example"), "new.example")


def test_the_admission_ca_is_accepted_for_a_service(tmp_path: Path, stack: Stack) -> None:
    service = ["proxy-cache.nezha.svc", "proxy-cache.nezha", "localhost", "127.0.0.1"]
    authority = load_or_create(tmp_path / "tls", service, stem="admission-ca")
    for name in service:
        assert stack.refusal(tmp_path, authority, leaf_for(authority, *service), name) is None
    stack.assert_forbidden(tmp_path, authority, leaf_for(authority, "data.example"), "data.example")

"""A CA is kept on disk, limits itself to the configured names, and reports what it cannot use."""

import ipaddress
import os
import ssl
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nezha.errors import SettingsError
from nezha.pki.authority import Authority, issue
from nezha.pki.contexts import server_context
from nezha.pki.keeper import load_or_create
from tests.pki import forge, handshake, trusting

NAMES = ["bucket.s3.amazonaws.com", "data.example"]
DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def connect(authority: Authority, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey, name: str) -> None:
    """A client that trusts the CA connects to `name` and is shown `leaf`."""
    handshake(server_context(leaf, key), trusting(authority.certificate_pem), name)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pkcs8(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, password: str = "") -> bytes:
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


def self_signed(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    extension: x509.ExtensionType | None = None,
    issuer: str = "corp",
    days: int = 30,
) -> bytes:
    """A certificate made with another tool, which names its key in its own way."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corp")]),
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now - 60 * DAY,
        not_valid_after=now + days * DAY,
    )
    builder = builder.add_extension(extension or x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier(b"our own key id"), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def test_the_first_start_makes_files_that_only_we_may_read(tmp_path: Path) -> None:
    old_umask = os.umask(0)
    try:
        directory = tmp_path / "new" / "tls"
        load_or_create(directory, NAMES)
    finally:
        os.umask(old_umask)
    assert mode(directory) == 0o700
    assert {path.name: mode(path) for path in directory.iterdir()} == {"ca.crt": 0o644, "ca.key": 0o600}
    assert (directory / "ca.key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_the_certificate_says_what_the_key_may_do(tmp_path: Path) -> None:
    authority = load_or_create(tmp_path, ["B.example.", "a.example"])
    certificate, find = authority.certificate, authority.certificate.extensions.get_extension_for_class
    key_id = find(x509.SubjectKeyIdentifier).value.digest.hex()
    assert certificate.subject.rfc4514_string() == f"CN=Nezha CA {key_id[:8]}"
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    assert authority.key.curve.name == "secp256r1"
    basic = find(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    usage = find(x509.KeyUsage)
    assert usage.critical
    assert usage.value == x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    assert list(find(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    constraints = find(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [
        x509.DNSName("a.example"),
        x509.DNSName("b.example"),
        x509.RFC822Name("nezha.invalid"),
        x509.UniformResourceIdentifier("nezha.invalid"),
    ]
    assert constraints.value.excluded_subtrees == [
        x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
        x509.IPAddress(ipaddress.ip_network("::/0")),
    ]


def test_validity_starts_a_day_ago_and_ends_in_ten_years(tmp_path: Path) -> None:
    authority = load_or_create(tmp_path, NAMES, now=lambda: 1_800_000_000.0)
    assert authority.certificate.not_valid_before_utc.timestamp() == 1_800_000_000 - 86_400
    assert authority.expires_at == 1_800_000_000 + 3650 * 86_400


@pytest.mark.parametrize("name", ["data.example", "deep.below.data.example"])
def test_a_leaf_for_a_configured_name_or_below_it_is_accepted(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, name: str
) -> None:
    authority = load_or_create(tmp_path, NAMES)
    connect(authority, issue(authority, [name], key, now=time.time()), key, name)


@pytest.mark.parametrize("stolen", ["evil.example", "10.0.0.1", "2001:db8::1"])
@pytest.mark.parametrize("beside", [[], ["data.example"]], ids=["alone", "beside a configured name"])
def test_a_stolen_key_is_worth_nothing_for_other_names(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, stolen: str, beside: list[str]
) -> None:
    authority = load_or_create(tmp_path, NAMES)
    leaf = issue(authority, [*beside, stolen], key, now=time.time())
    with pytest.raises(ssl.SSLCertVerificationError, match=r"permitted subtree violation|excluded subtree violation"):
        connect(authority, leaf, key, stolen)


EMAIL_SUBJECT = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "root@evil.example")])


@pytest.mark.parametrize(
    ("names", "subject", "message"),
    [
        ([x509.RFC822Name("root@evil.example")], None, "permitted subtree violation"),
        ([], EMAIL_SUBJECT, "permitted subtree violation"),
        ([x509.UniformResourceIdentifier("https://evil.example/")], None, "permitted subtree violation"),
        ([x509.UniformResourceIdentifier("spiffe://cluster.local/admin")], None, "permitted subtree violation"),
        ([x509.UniformResourceIdentifier("urn:evil")], None, "unsupported or invalid name syntax"),
    ],
    ids=["e-mail", "e-mail in the subject", "https", "spiffe", "urn"],
)
def test_nor_for_email_and_uri_names(
    tmp_path: Path,
    key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    subject: x509.Name | None,
    message: str,
) -> None:
    authority = load_or_create(tmp_path, NAMES)
    leaf = forge(authority, key, [x509.DNSName("data.example"), *names], subject)
    with pytest.raises(ssl.SSLCertVerificationError, match=message):
        connect(authority, leaf, key, "data.example")


def test_the_forgery_itself_is_faultless(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    authority = load_or_create(tmp_path, NAMES)
    connect(authority, forge(authority, key, [x509.DNSName("data.example")]), key, "data.example")


@pytest.mark.parametrize("names", [["10.0.0.1", "2001:db8::1"], ["10.0.0.1", "2001:DB8:0::1", "data.example"]])
@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::1"])
def test_configured_addresses_are_permitted_and_no_others(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, names: list[str], address: str
) -> None:
    authority = load_or_create(tmp_path, names)
    connect(authority, issue(authority, [address], key, now=time.time()), key, address)
    for other in ("10.0.0.2", "2001:db8::2", "evil.example"):
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
            connect(authority, issue(authority, [other], key, now=time.time()), key, other)


def test_one_family_of_addresses_does_not_open_the_other(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    authority = load_or_create(tmp_path, ["10.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        connect(authority, issue(authority, ["2001:db8::1"], key, now=time.time()), key, "2001:db8::1")


def test_a_leaf_never_outlives_its_ca(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    authority = load_or_create(tmp_path, NAMES, now=lambda: 0.0)
    early = issue(authority, NAMES, key, now=1000.0)
    late = issue(authority, NAMES, key, now=authority.expires_at - 5 * 86_400)
    assert early.not_valid_before_utc.timestamp() == 1000 - 86_400
    assert early.not_valid_after_utc.timestamp() == 1000 + 30 * 86_400
    assert late.not_valid_after_utc == authority.certificate.not_valid_after_utc
    assert early.serial_number != late.serial_number
    with pytest.raises(SettingsError, match=r"ca\.crt: the CA has expired"):
        issue(authority, NAMES, key, now=authority.expires_at)


def test_a_leaf_can_only_serve_and_points_at_its_ca_by_key_id(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    authority = load_or_create(tmp_path, NAMES)
    find = issue(authority, ["Data.Example.", "10.0.0.1"], key, now=time.time()).extensions.get_extension_for_class
    assert list(find(x509.SubjectAlternativeName).value) == [
        x509.DNSName("data.example"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
    ]
    assert find(x509.KeyUsage).critical
    assert find(x509.KeyUsage).value == x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    assert list(find(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not find(x509.BasicConstraints).value.ca
    above = find(x509.AuthorityKeyIdentifier).value
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert (above.key_identifier, above.authority_cert_issuer) == (own.digest, None)


def test_a_name_that_no_certificate_can_hold_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'bücher\.example' is no name for a certificate"):
        load_or_create(tmp_path, ["bücher.example"])


def test_the_same_names_give_the_same_ca(tmp_path: Path) -> None:
    first = load_or_create(tmp_path, NAMES)
    again = load_or_create(tmp_path, [name.upper() for name in reversed(NAMES)])
    assert again.certificate == first.certificate
    assert again.key.private_numbers() == first.key.private_numbers()
    assert "EllipticCurve" not in repr(first)


def test_other_names_give_a_new_certificate_for_the_same_ca(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    old = load_or_create(tmp_path, ["old.example", "both.example"])
    key_file = (tmp_path / "ca.key").read_bytes()
    new = load_or_create(tmp_path, ["both.example", "new.example"])
    assert (tmp_path / "ca.key").read_bytes() == key_file
    assert (tmp_path / "ca.crt").read_bytes() == new.certificate_pem != old.certificate_pem
    assert new.certificate.subject == old.certificate.subject

    leaves = {name: issue(new, [name], key, now=time.time()) for name in ("old.example", "both.example", "new.example")}
    # A pod that still trusts the old certificate keeps what it had, and gets the new name only with the new one.
    connect(old, leaves["both.example"], key, "both.example")
    connect(old, leaves["old.example"], key, "old.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        connect(old, leaves["new.example"], key, "new.example")
    # A pod that trusts the new certificate has exactly the configured names.
    connect(new, leaves["both.example"], key, "both.example")
    connect(new, leaves["new.example"], key, "new.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        connect(new, leaves["old.example"], key, "old.example")


def test_a_pod_may_trust_both_certificates_at_once(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    old = load_or_create(tmp_path, ["old.example"])
    new = load_or_create(tmp_path, ["old.example", "new.example"])
    for bundle in (old.certificate_pem + new.certificate_pem, new.certificate_pem + old.certificate_pem):
        leaf = issue(new, ["old.example"], key, now=time.time())
        handshake(server_context(leaf, key), trusting(bundle), "old.example")


def test_a_crash_between_key_and_certificate_heals(tmp_path: Path) -> None:
    first = load_or_create(tmp_path, NAMES)
    (tmp_path / "ca.crt").unlink()
    again = load_or_create(tmp_path, NAMES)
    assert again.certificate.public_key() == first.certificate.public_key()
    assert again.certificate.subject == first.certificate.subject


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SettingsError, match=r"\.journal: No space left on device: the directory must be"):
        load_or_create(tmp_path, NAMES)
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_together_agree_on_one_ca(tmp_path: Path) -> None:
    made: list[bytes] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        made.append(load_or_create(tmp_path, NAMES).certificate_pem)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_stem_names_another_ca_in_the_same_directory(tmp_path: Path) -> None:
    pods = load_or_create(tmp_path, NAMES)
    other = load_or_create(tmp_path, ["svc.example"], stem="admission-ca")
    assert pods.certificate.public_key() != other.certificate.public_key()
    assert {path.name for path in tmp_path.iterdir()} == {"ca.crt", "ca.key", "admission-ca.crt", "admission-ca.key"}


@pytest.mark.parametrize("own", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_a_ca_of_the_operators_own_is_used_and_limited(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, own: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> None:
    (tmp_path / "ca.key").write_bytes(pkcs8(own))
    (tmp_path / "ca.crt").write_bytes(self_signed(own))
    before = x509.load_pem_x509_certificate(self_signed(own))
    authority = load_or_create(tmp_path, NAMES)
    assert authority.certificate.subject == before.subject
    leaf = issue(authority, ["data.example"], key, now=time.time())
    connect(authority, leaf, key, "data.example")
    loose = ssl.create_default_context(cadata=before.public_bytes(PEM).decode())
    loose.verify_flags &= ~ssl.VERIFY_X509_STRICT
    handshake(server_context(leaf, key), loose, "data.example")  # who trusts their certificate trusts the leaf


Damage = Callable[[Path], object]
Broken = tuple[Damage, str, str]


def replaced(name: str, content: bytes) -> Damage:
    return lambda directory: (directory / name).write_bytes(content)


def with_own(
    extension: x509.ExtensionType | None = None, issuer: str = "corp", days: int = 30
) -> Callable[[Path], None]:
    def replace(directory: Path) -> None:
        own = ec.generate_private_key(ec.SECP256R1())
        (directory / "ca.key").write_bytes(pkcs8(own))
        (directory / "ca.crt").write_bytes(self_signed(own, extension, issuer, days))

    return replace


OTHER = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
BROKEN: dict[str, Broken] = {
    "garbage as key": (replaced("ca.key", b"garbage"), "ca.key", "not an unencrypted PEM private key: restore it"),
    "encrypted key": (replaced("ca.key", pkcs8(OTHER, "secret")), "ca.key", "not an unencrypted PEM private key"),
    "Ed25519 key": (replaced("ca.key", pkcs8(ED25519)), "ca.key", "neither an ECDSA nor an RSA key: replace it"),
    "no key": (lambda directory: (directory / "ca.key").unlink(), "ca.key", "missing, though .*ca.crt is there"),
    "garbage as certificate": (replaced("ca.crt", b"garbage"), "ca.crt", "not a self-signed PEM certificate: remove"),
    "empty certificate": (replaced("ca.crt", b""), "ca.crt", "not a self-signed PEM certificate"),
    "another's certificate": (replaced("ca.crt", self_signed(OTHER)), "ca.crt", "does not belong to the private key"),
    "another's key": (replaced("ca.key", pkcs8(OTHER)), "ca.crt", "does not belong to the private key beside it"),
    "an intermediate": (with_own(issuer="root"), "ca.crt", "not a self-signed PEM certificate"),
    "a leaf": (with_own(x509.BasicConstraints(ca=False, path_length=None)), "ca.crt", "not the certificate of a CA"),
    "no basic constraints": (with_own(x509.OCSPNoCheck()), "ca.crt", "not the certificate of a CA"),
    "expired": (with_own(days=-1), "ca.crt", "valid from .* to .*, which is not now: set the clock, or remove"),
}


@pytest.mark.parametrize(("damage", "file", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_files_that_cannot_be_used_are_named_and_left_alone(
    tmp_path: Path, damage: Damage, file: str, message: str
) -> None:
    load_or_create(tmp_path, NAMES)
    damage(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SettingsError, match=rf"^tls\.directory: {tmp_path}/{file}: {message}"):
        load_or_create(tmp_path, NAMES)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_certificate_of_tomorrow_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, NAMES, now=lambda: time.time() + 2 * 86_400)
    with pytest.raises(SettingsError, match=r"ca\.crt: valid from .* which is not now: set the clock"):
        load_or_create(tmp_path, NAMES)


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("")
    with pytest.raises(
        SettingsError, match=rf"^tls\.directory: {tmp_path}/tls: Not a directory: the directory must be"
    ):
        load_or_create(tmp_path / "tls", NAMES)

"""Certificates that cert-manager made, mounted as its Secrets are: used, read again when they change, never written."""

import asyncio
import ssl
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from nezha.errors import SettingsError
from nezha.pki.admission import Admission, MountedCertificate, OwnCertificate
from nezha.pki.authority import Authority, create, issue
from nezha.pki.certificates import open_certificates, service_names
from nezha.pki.contexts import server_context
from nezha.pki.keeper import ADMISSION, Keeper
from nezha.pki.live import Live
from nezha.pki.pem import key_bytes
from nezha.pki.shelf import Directory
from tests.pki import handshake, trusting
from tests.running import settings_for

SERVICE = "proxy-cache.nezha.svc"
DAY = 86_400.0


def mount(directory: Path, authority: Authority, names: list[str] | None, days: float = 90, age: float = 0) -> None:
    """What the kubelet writes for a Certificate with these names; with None for one with `isCA: true`."""
    directory.mkdir(parents=True, exist_ok=True)
    if names is None:
        crt, key = authority.certificate_pem, key_bytes(authority.key)
    else:
        own = ec.generate_private_key(ec.SECP256R1())
        leaf = issue(authority, names, own, timedelta(days=days), now=time.time() - age)
        crt, key = leaf.public_bytes(Encoding.PEM), key_bytes(own)
    for name, content in (("tls.key", key), ("tls.crt", crt), ("ca.crt", authority.certificate_pem)):
        (directory / name).write_bytes(content)


@pytest.fixture
def issuer() -> Authority:
    return create([SERVICE], "elsewhere", time.time())


def accepts(context: ssl.SSLContext, trust: bytes, name: str) -> bool:
    try:
        handshake(context, trusting(trust), name)
    except ssl.SSLCertVerificationError:
        return False
    return True


async def test_a_mounted_certificate_serves_the_admission_port(tmp_path: Path, issuer: Authority) -> None:
    await asyncio.to_thread(mount, tmp_path, issuer, [SERVICE])
    admission = await asyncio.to_thread(Admission, MountedCertificate(tmp_path))
    assert admission.trust == issuer.certificate_pem
    assert admission.expires_at == pytest.approx(time.time() + 90 * DAY, abs=60)
    assert accepts(admission.context, admission.trust, SERVICE)
    first = admission.expires_at
    await admission.look()
    assert admission.expires_at == first

    renewed = create([SERVICE], "elsewhere", time.time())
    await asyncio.to_thread(mount, tmp_path, renewed, [SERVICE], 30)
    await admission.look()
    assert admission.expires_at < first
    assert admission.trust == renewed.certificate_pem
    assert accepts(admission.context, renewed.certificate_pem, SERVICE)
    assert not accepts(admission.context, issuer.certificate_pem, SERVICE)


async def test_a_mount_that_is_half_swapped_leaves_the_last_good_one(tmp_path: Path, issuer: Authority) -> None:
    await asyncio.to_thread(mount, tmp_path, issuer, [SERVICE])
    admission = await asyncio.to_thread(Admission, MountedCertificate(tmp_path))
    other = key_bytes(ec.generate_private_key(ec.SECP256R1()))
    await asyncio.to_thread((tmp_path / "tls.key").write_bytes, other)
    await admission.look()
    assert accepts(admission.context, issuer.certificate_pem, SERVICE)
    await asyncio.to_thread(mount, tmp_path, issuer, [SERVICE], 30)
    await admission.look()
    assert admission.expires_at == pytest.approx(time.time() + 30 * DAY, abs=60)


def test_without_an_issuer_somebody_else_tells_the_api_server(tmp_path: Path, issuer: Authority) -> None:
    mount(tmp_path, issuer, [SERVICE])
    (tmp_path / "ca.crt").unlink()
    assert Admission(MountedCertificate(tmp_path)).trust == b""


def test_an_unusable_mount_is_named(tmp_path: Path, issuer: Authority) -> None:
    mount(tmp_path, issuer, [SERVICE], days=1, age=2 * DAY)
    with pytest.raises(
        SettingsError, match=rf"^tls\.directory: {tmp_path}/tls\.crt: valid from .* renew it where it is"
    ):
        Admission(MountedCertificate(tmp_path))
    mount(tmp_path, issuer, [SERVICE])
    (tmp_path / "tls.key").write_bytes(key_bytes(issuer.key))
    with pytest.raises(SettingsError, match=r"/tls\.crt: does not belong to the private key beside it: renew it"):
        Admission(MountedCertificate(tmp_path))
    (tmp_path / "tls.crt").write_bytes(b"garbage")
    with pytest.raises(SettingsError, match=r"/tls\.crt: not a PEM certificate"):
        Admission(MountedCertificate(tmp_path))
    (tmp_path / "tls.crt").unlink()
    with pytest.raises(SettingsError, match=r"/tls\.crt: No such file or directory: mount the whole Secret"):
        Admission(MountedCertificate(tmp_path))


async def test_its_own_certificate_is_renewed_and_follows_its_ca(tmp_path: Path) -> None:
    names = service_names("proxy-cache.nezha")
    keeper = Keeper(Directory(tmp_path), names, 3600.0, ADMISSION)
    live = Live(keeper, await asyncio.to_thread(keeper.open))
    clock = [time.time()]
    source = OwnCertificate(live, names, now=lambda: clock[0])
    admission = await asyncio.to_thread(Admission, source)
    for name in names:
        assert accepts(admission.context, admission.trust, name)
    first, trust = admission.expires_at, admission.trust
    await admission.look()
    assert (admission.expires_at, admission.trust) == (first, trust)
    clock[0] += 21 * DAY
    await admission.look()
    assert admission.expires_at == pytest.approx(first + 21 * DAY, abs=1)

    clock[0] = time.time()  # a client would not believe a leaf of the day after tomorrow
    await asyncio.to_thread(keeper.rotate)
    await live.look()
    await admission.look()
    assert admission.trust.startswith(trust)
    assert len(admission.trust) > len(trust)
    assert accepts(admission.context, trust, SERVICE)
    await asyncio.to_thread(keeper.rotate, at_once=True)
    await live.look()
    await admission.look()
    assert accepts(admission.context, admission.trust, SERVICE)
    assert not accepts(admission.context, trust, SERVICE)


def test_a_mounted_ca_is_limited_to_the_configured_names_and_never_written(tmp_path: Path) -> None:
    origin = {"name": "web", "dialect": "http", "hosts": ["data.example"]}
    settings, tls = settings_for(tmp_path, [origin]), tmp_path / "tls"
    wide = create(["example", "com"], "elsewhere", time.time())
    mount(tls, wide, None)
    mount(tls / "admission", wide, [SERVICE])
    before = {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()}
    certificates = open_certificates(settings, ["data.example"], Directory(settings.tls.directory))
    signing = certificates.pods.rotation.signing
    assert signing.is_limited_to(["data.example"])
    assert signing.certificate.subject == wide.certificate.subject
    assert certificates.admission_authority is None
    again = open_certificates(settings, ["data.example"], Directory(settings.tls.directory)).pods.rotation.signing
    key = ec.generate_private_key(ec.SECP256R1())
    # Replicas make a certificate each: a leaf of one is good under that of another.
    context = server_context(issue(again, ["data.example"], key, now=time.time()), key)
    assert accepts(context, signing.certificate_pem, "data.example")
    assert {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()} == before


async def test_a_mounted_ca_that_changes_signs_at_the_next_look(tmp_path: Path) -> None:
    origin = {"name": "web", "dialect": "http", "hosts": ["data.example"]}
    settings, tls = settings_for(tmp_path, [origin]), tmp_path / "tls"

    def make() -> Authority:
        wide = create(["example"], "elsewhere", time.time())
        mount(tls, wide, None)
        mount(tls / "admission", wide, [SERVICE])
        return wide

    await asyncio.to_thread(make)
    certificates = await asyncio.to_thread(
        open_certificates, settings, ["data.example"], Directory(settings.tls.directory)
    )
    other = await asyncio.to_thread(make)
    await certificates.look()
    assert certificates.pods.rotation.signing.id == other.id
    assert certificates.pods.rotation.signing.is_limited_to(["data.example"])


def test_an_unusable_mounted_ca_is_named(tmp_path: Path, issuer: Authority) -> None:
    settings, tls = settings_for(tmp_path, []), tmp_path / "tls"
    mount(tls, issuer, [SERVICE])
    with pytest.raises(SettingsError, match=r"tls/tls\.crt: not the certificate of a CA: .* needs `isCA: true`"):
        open_certificates(settings, [], Directory(settings.tls.directory))
    mount(tls, issuer, None)
    (tls / "tls.key").write_bytes(key_bytes(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(SettingsError, match=r"tls/tls\.crt: does not belong to the private key beside it"):
        open_certificates(settings, [], Directory(settings.tls.directory))
    mount(tls, create([], "elsewhere", time.time() - 4000 * DAY), None)
    with pytest.raises(SettingsError, match=r"tls/tls\.crt: valid from .* renew it where it is made"):
        open_certificates(settings, [], Directory(settings.tls.directory))


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")  # a public root's
def test_the_trust_bundle_holds_the_public_roots_and_every_published_ca_once(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, [])
    certificates = open_certificates(settings, [], Directory(settings.tls.directory))
    loaded = x509.load_pem_x509_certificates(certificates.bundle())
    assert loaded[-1] == certificates.pods.rotation.signing.certificate
    assert len(loaded) == len(set(loaded)) > 100
    for certificate in loaded:  # what a ClusterTrustBundle demands
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    text = certificates.bundle().split(b"-----")
    assert set(text[0::4]) == {b"", b"\n"}

"""The scripted origin over TLS and as a process of its own, and what the raw client does by itself."""

import asyncio
import datetime
import ipaddress
import json
import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.origin import Fault, Object, Origin, Pattern, pattern
from tests.rawclient import RawClient, Truncated, request_bytes


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "origin.test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("origin.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key").write_bytes(secret)
    return folder / "crt", folder / "key"


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def client_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as newer Pythons have it
    return context


# -- TLS


async def test_it_speaks_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with Origin(tls=server_tls) as origin:
        origin.serve("/a", Object(body=Pattern(3_000_000)))
        origin.fault("/a", Fault(reset_after=2_000_000), nth=2)
        assert origin.url == f"https://127.0.0.1:{origin.port}"
        async with await RawClient.open("127.0.0.1", origin.port, client_tls, "origin.test") as client:
            assert (await client.get("/a")).body == pattern(3_000_000)
            with pytest.raises(Truncated) as caught:
                await client.get("/a")
        assert (caught.value.partial, caught.value.is_reset) == (pattern(2_000_000), True)
        async with await RawClient.open("127.0.0.1", origin.port, client_tls) as client:
            assert (await client.get("/a", headers=[("Connection", "close")])).status == 200
            assert await client.eof()


async def test_a_client_that_does_not_trust_it_leaves_nothing_open(server_tls: ssl.SSLContext) -> None:
    async with Origin(tls=server_tls) as origin:
        with pytest.raises(ssl.SSLCertVerificationError):
            await RawClient.open("127.0.0.1", origin.port, ssl.create_default_context())
        await origin.gone()
        async with await RawClient.open("127.0.0.1", origin.port) as client:  # says nothing, and is cut on leaving
            await origin.until(lambda: origin.connections == 2)
    assert await client.eof()
    assert origin.count() == 0


# -- the client's own


async def test_the_client_times_out() -> None:
    async with Origin() as origin, await RawClient.open("127.0.0.1", origin.port, timeout=0.05) as client:
        origin.fault("*", Fault(hold=asyncio.Event()))
        with pytest.raises(TimeoutError):
            await client.get("/a")


async def test_a_request_is_built_as_it_is_asked() -> None:
    assert (
        request_bytes("GET", "/x?", "h:1", [("B", "2"), ("a", "1")])
        == b"GET /x? HTTP/1.1\r\nHost: h:1\r\nB: 2\r\na: 1\r\n\r\n"
    )
    assert request_bytes("PUT", "/", "h", body=b"ab").endswith(b"Content-Length: 2\r\n\r\nab")


# -- as a process


@pytest.mark.parametrize("is_tls", [False, True])
async def test_it_runs_as_a_process(certificate: tuple[Path, Path], client_tls: ssl.SSLContext, is_tls: bool) -> None:
    flags = ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])] if is_tls else []
    command = [sys.executable, "-m", "tests.origin", "--port", "0", "--size", "50000", "--path", "/d", *flags]
    root = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(*command, cwd=root, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        tls = client_tls if is_tls else None
        async with await RawClient.open("127.0.0.1", ready["port"], tls) as client:
            got = await client.get("/d")
            conditional = await client.get("/d", headers=[("If-None-Match", got.get("etag") or "")])
            stats = json.loads((await client.get("/_stats")).body)
        assert (got.body, conditional.status) == (pattern(50_000), 304)
        assert stats == {"requests": 2, "bytes_sent": 50_000, "connections": 1, "conditional": 1}
    finally:
        process.terminate()
        assert await process.wait() == 0

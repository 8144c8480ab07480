"""A rotation while `nezha serve` runs: no connection ends, new ones get the new chain, old bundles hold meanwhile."""

import asyncio
import json
import math
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from nezha.pki.authority import extension
from tests.objects import Object
from tests.origin import Origin
from tests.rawclient import RawClient, request_bytes
from tests.running import HOST, web
from tests.serving import Serving, clean, command, serving

SIZE = 30_000_000
OVERLAP = "3s"


class Nezha:
    """The process, and `nezha ca` beside it."""

    def __init__(self, directory: Path, serving: Serving) -> None:
        self.directory = directory
        self.serving = serving

    async def ca(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command("ca", *arguments, "--config", self.directory / "nezha.yaml"),
            env=clean(None),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said
        return said.decode()

    async def shown(self, use: str = "pods") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.ca("show", "--json"))[use]
        return found

    async def bundle(self) -> bytes:
        """What a pod that starts now is made to trust."""
        async with await self.serving.client() as client:
            return (await client.get("/ca.crt", "nezha")).body

    async def connect(self, bundle: bytes) -> RawClient:
        trust = ssl.create_default_context(cadata=bundle.decode())
        return await RawClient.open("127.0.0.1", self.serving.ready["cache_port"], trust, HOST, limit=65_536)

    async def issuer(self, bundle: bytes) -> str:
        """Who signed the leaf that a client with this bundle accepts."""
        async with await self.connect(bundle) as client:
            der = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        above = extension(x509.load_der_x509_certificate(der), x509.AuthorityKeyIdentifier)
        assert above is not None
        assert above.key_identifier is not None
        return above.key_identifier.hex()[:8]

    async def refuses(self, bundle: bytes) -> bool:
        try:
            await self.issuer(bundle)
        except ssl.SSLCertVerificationError:
            return True
        return False


def tls(directory: Path) -> dict[str, Any]:
    return {"directory": str(directory / "tls"), "overlap": OVERLAP}


async def test_trust_comes_first_and_nobody_notices(tmp_path: Path) -> None:
    async with Origin() as origin, serving(tmp_path, web(origin), tls=tls(tmp_path)) as process:
        origin.serve("/a", Object(body=b"hello", cache_control="max-age=3600"))
        nezha = Nezha(tmp_path, process)
        get = request_bytes("GET", "/a", HOST)
        old_bundle = await nezha.bundle()
        old = (await nezha.shown())["signing"]["id"]
        async with await nezha.connect(old_bundle) as first:
            assert (await first.exchange(get)).body == b"hello"

            said = await nezha.ca("rotate")
            published = await process.event("ca_changed")
            new = published["next"]
            assert (published["signing"], published["retired"]) == (old, [])
            assert said.startswith(f"CA {new} is published now and signs from ")
            both = await nezha.bundle()
            assert both.startswith(old_bundle)
            assert len(both) > len(old_bundle)
            assert await nezha.issuer(old_bundle) == await nezha.issuer(both) == old

            async with await nezha.connect(both) as second:
                signed = await process.event("ca_changed")
                assert (signed["signing"], signed["next"], signed["retired"]) == (new, None, [old])
                assert await nezha.issuer(both) == new
                assert await nezha.issuer(await nezha.bundle()) == new
                assert await nezha.refuses(old_bundle)
                for client in (first, second):  # they were connected before, and are none the wiser
                    assert (await client.exchange(get)).body == b"hello"
        for certificate in ("ca", "leaf", "admission"):
            metric = f'nezha_certificate_expiry_timestamp_seconds{{certificate="{certificate}"}}'
            assert await process.metric(metric) > 1.7e9
        assert math.isnan(await process.metric('nezha_certificate_expiry_timestamp_seconds{certificate="next-ca"}'))


async def test_a_response_runs_on_while_the_key_is_revoked(tmp_path: Path) -> None:
    async with Origin() as origin, serving(tmp_path, web(origin), tls=tls(tmp_path)) as process:
        origin.serve("/big", Object(body=bytes(SIZE)))
        nezha = Nezha(tmp_path, process)
        bundle = await nezha.bundle()
        async with await nezha.connect(bundle) as client:
            await client.send(request_bytes("GET", "/big", HOST))
            head = await client.read_head()  # the client takes no more: the rest is still to be sent
            said = await nezha.ca("revoke")
            assert "Pods that run go on trusting the key of" in said
            assert f"  {HOST}\n" in said
            assert "only a cluster knows" in said
            await process.event("ca_changed")
            assert await client.read_body(head) == bytes(SIZE)
        assert await nezha.refuses(bundle)
        assert await nezha.issuer(await nezha.bundle()) == (await nezha.shown())["signing"]["id"]
        assert (await nezha.shown())["retired"] == []


async def test_the_admission_port_follows_without_a_dropped_connection(tmp_path: Path) -> None:
    async with serving(tmp_path, tls=tls(tmp_path)) as process:
        nezha, port = Nezha(tmp_path, process), process.ready["admission_port"]
        certificate = tmp_path / "tls" / "admission-ca.crt"
        old_trust = await asyncio.to_thread(certificate.read_bytes)

        async def connect(trust: bytes) -> RawClient:
            context = ssl.create_default_context(cadata=trust.decode())
            return await RawClient.open("127.0.0.1", port, context, "proxy-cache.nezha.svc")

        async with await connect(old_trust) as first:
            assert "until the webhook's caBundle holds it" in await nezha.ca("rotate", "admission", "--now")
            assert (await process.event("ca_changed"))["ca"] == "admission-ca"
            await process.event("admission_certificate_changed")
            new_trust = await asyncio.to_thread(certificate.read_bytes)
            assert (await first.get("/healthz", "nezha")).status == 200
            async with await connect(new_trust) as second:
                assert (await second.get("/healthz", "nezha")).status == 200
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(old_trust)


async def test_a_file_that_breaks_while_serving_is_reported_and_the_last_good_ca_stays(tmp_path: Path) -> None:
    async with Origin() as origin, serving(tmp_path, web(origin), tls=tls(tmp_path)) as process:
        nezha, key = Nezha(tmp_path, process), tmp_path / "tls" / "ca.key"
        bundle, good = await nezha.bundle(), await asyncio.to_thread(key.read_bytes)
        await asyncio.to_thread(key.write_bytes, b"garbage")
        assert "ca.key: not an unencrypted PEM private key" in (await process.event("ca_unusable"))["message"]
        assert not await nezha.refuses(bundle)
        await asyncio.to_thread(key.write_bytes, good)
        await nezha.ca("rotate")
        await process.event("ca_changed")
        assert not await nezha.refuses(bundle)

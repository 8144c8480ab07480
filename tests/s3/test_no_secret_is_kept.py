"""Secrets of every kind are planted, and looked for wherever Nezha keeps or tells something."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from tests.faults import Fault
from tests.objects import Object, Pattern
from tests.origin import Origin
from tests.rawclient import request_bytes
from tests.s3.signatures import BUCKET, HOST, KINDS, REGION, Holder, Signed, Verifier, sign
from tests.serving import Serving, serving

HOLDERS = [
    Holder("AKIAHIDDENONE", "a secret"),
    Holder("ASIAHIDDENTWO", "a secret", token="FwoGZXIvYXdzHidden+token//=="),
]
WEB = "web.test"
PAGES = ("/", "/metrics", "/readyz?verbose", "/healthz")


def planted() -> Iterator[tuple[str, Signed, set[str]]]:
    """Requests that carry a secret or a proof: the host, the request, and what must be found nowhere."""
    for kind in KINDS:
        for holder in HOLDERS:
            signed = sign(kind, holder, "GET", "/k")
            proof = unquote((signed.headers.get("Authorization") or signed.target).rpartition("ignature=")[2])
            proof = proof.partition("&")[0] if "presigned" in kind else proof.rpartition(":")[2]
            yield HOST, signed, {proof, holder.access_key, holder.secret_key, *filter(None, [holder.token])}
    url = sign("v4-presigned", HOLDERS[0], "GET", "/k")
    name = "X-Amz-Signature="
    at = url.target.index(name) + len(name)
    yield HOST, Signed("GET", url.target.replace(name, "%58-Amz-Signature="), {}), {url.target[at : at + 64]}
    for number, (field, value) in enumerate(
        [
            ("Authorization", "Bearer hidden-bearer"),
            ("Authorization", "Basic aGlkZGVuOmJhc2lj"),
            ("Authorization", "Magic hidden-magic"),
            ("Cookie", "session=hidden-cookie"),
            ("X-Api-Key", "hidden-api-key"),
            ("Proxy-Authorization", "Basic aGlkZGVuLXByb3h5"),
            ("X-Amz-Server-Side-Encryption-Customer-Key", b64encode(b"hidden customer key, 32 bytes...").decode()),
        ]
    ):
        for host in (HOST, WEB):
            yield host, Signed("GET", f"/k{number}", {field: value}), {value.rpartition(" ")[2]}


def forms(secrets: set[str]) -> set[bytes]:
    """Each secret as it is, percent-encoded, and as JSON would write it."""
    said = {form for each in secrets for form in (each, quote(each, safe=""), json.dumps(each)[1:-1])}
    return {form.encode() for form in said}


def leaks(directory: Path, text: bytes, secrets: set[str]) -> list[str]:
    """Where any of the secrets stands: in a file or its name, or in what was said."""
    kept = [(str(path), path.read_bytes()) for path in directory.rglob("*") if path.is_file()]
    places = [*kept, ("names", "\n".join(name for name, _ in kept).encode()), ("said", text)]
    return [f"{place}: {form!r}" for place, content in places for form in forms(secrets) if form in content]


async def ask(nezha: Serving, host: str, signed: Signed) -> int:
    async with await nezha.client() as client:
        return (await client.get(signed.target, host, list(signed.headers.items()), signed.method)).status


async def test_no_secret_is_on_disk_in_the_log_or_on_a_page(tmp_path: Path) -> None:
    wanted = list(planted())
    secrets = {secret for _, _, hidden in wanted for secret in hidden}
    async with Origin() as origin:
        origin.serve("*", Object(body=Pattern(6_000_000), headers=[("Set-Cookie", "hidden-from-the-origin")]))
        origin.serve("/small", Object(body=b"small"))
        secrets.add("hidden-from-the-origin")
        verify = Verifier(*HOLDERS)
        origin.authorize = lambda request: verify(request) if "ignature" in str(request.head) else None
        s3 = {
            "name": "s3",
            "dialect": "s3",
            "buckets": [BUCKET],
            "regions": [REGION],
            "connect": origin.url,
            "fresh": "1d",
        }
        web = {"name": "web", "dialect": "http", "hosts": [WEB], "connect": origin.url, "fresh": "1d"}
        async with serving(tmp_path, s3, web, log={"level": "debug"}) as nezha:
            statuses = [await ask(nezha, host, signed) for host, signed, _ in [*wanted, *wanted]]
            assert statuses.count(200) > len(wanted)
            # In the middle of a fill, of a broken answer, of a write, and after an error too.
            going = asyncio.Event()
            origin.fault("/held", Fault(hold=going, hold_after=5_000_000))
            origin.fault("/down", Fault(drop=True))
            held = sign("v4", HOLDERS[1], "GET", "/held")
            down = sign("v4-presigned", HOLDERS[1], "GET", "/down")
            put = sign("v4-presigned", HOLDERS[1], "PUT", "/small")
            async with await nezha.client() as client:
                await client.send(request_bytes("GET", held.target, HOST, list(held.headers.items())))
                await origin.held()
                assert await ask(nezha, HOST, down) == 502
                assert await ask(nezha, HOST, put) == 200
                pages = b""
                for page in PAGES:
                    async with await nezha.client() as asker:
                        pages += (await asker.get(page, "nezha")).body
                assert await asyncio.to_thread(leaks, tmp_path, pages, secrets) == []
                going.set()
                await client.read_response()
            nezha.process.terminate()
            assert await nezha.end() == 0
            said = json.dumps(nezha.lines).encode() + nezha.errors.encode()
            assert await asyncio.to_thread(leaks, tmp_path, said, secrets) == []
            assert b"k0" in said  # it was logged
    assert await asyncio.to_thread(lambda: list(tmp_path.rglob("*.x")))  # something was stored


async def test_a_planted_secret_would_be_found(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "row").write_bytes, b"...%2Bhidden%2F...")
    assert await asyncio.to_thread(leaks, tmp_path, b"", {"+hidden/"}) == [f"{tmp_path / 'row'}: b'%2Bhidden%2F'"]
    assert await asyncio.to_thread(leaks, tmp_path, b'{"a": "+hidden/"}', {"+hidden/"})

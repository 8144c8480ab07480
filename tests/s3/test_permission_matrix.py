"""Credentials x reads x states, against an origin that verifies every signature: nobody gets what is not theirs.

The settings are the most generous ones: everything is fresh for a day and for ever, and every secret is remembered.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import Response, request_bytes
from tests.running import Running, running
from tests.s3.signatures import BUCKET, HOST, KINDS, PROOFS, REGION, Holder, Signed, Verifier, sign, tampered

SIZE, PATH = 6_000_000, "/train/k"
JOB = Holder("AKIAJOB", "the job's secret")
ROLE = Holder("ASIAROLE", "the role's secret", token="FwoGZXIvYXdzE//role+token==")
OTHER = Holder("AKIAOTHER", "the other's secret", is_allowed=False)
HELD_AT = 1_000_000


@dataclass(frozen=True)
class Way:
    """A way to read: method, headers that the caller signs where it signs headers, those that it adds unsigned."""

    method: str = "GET"
    signs: tuple[tuple[str, str], ...] = ()
    adds: tuple[tuple[str, str], ...] = ()
    status: int = 200
    start: int = 0
    stop: int = SIZE

    def by(self, kind: str, holder: Holder, *, path: str = PATH, age: float = 0) -> Signed:
        signed = sign(kind, holder, self.method, path, dict(self.signs), age=age)
        return Signed(signed.method, signed.target, {**signed.headers, **dict(self.adds)})


WAYS = {
    "GET": Way(),
    "HEAD": Way("HEAD"),
    "signed Range": Way(signs=(("Range", "bytes=100-4999999"),), status=206, start=100, stop=5_000_000),
    "unsigned Range": Way(adds=(("Range", "bytes=2000000-"),), status=206, start=2_000_000),
    "If-Match": Way(signs=(("If-Match", '"v1"'),)),
    "If-None-Match": Way(signs=(("If-None-Match", '"v1"'),), status=304, stop=0),
}


def impostors(way: Way) -> Iterator[tuple[str, Signed]]:
    """Everybody who may not read, by name."""
    yield "anonymous", Signed(way.method, PATH, dict(way.signs + way.adds))
    token = {"X-Amz-Security-Token": ROLE.token}
    yield "a token alone", Signed(way.method, PATH, dict(way.signs + way.adds) | token)
    yield "an unknown scheme", Signed(way.method, PATH, dict(way.signs + way.adds) | {"Authorization": "Magic 1"})
    thief = Holder(JOB.access_key, "not the job's secret")
    for kind in KINDS:
        yield f"{kind}: wrong secret", way.by(kind, thief)
        yield f"{kind}: tampered", tampered(way.by(kind, JOB))
        yield f"{kind}: not allowed", way.by(kind, OTHER)
        yield f"{kind}: no token", way.by(kind, Holder(ROLE.access_key, ROLE.secret_key))
        yield f"{kind}: wrong token", way.by(kind, Holder(ROLE.access_key, ROLE.secret_key, token="stolen"))
        another = way.by(kind, JOB, path="/train/l")
        yield f"{kind}: of another object", Signed(way.method, another.target.replace("/l", "/k"), another.headers)
        if kind != "v2":  # S3 looks at the date, which proves nothing here that `tampered` does not
            yield f"{kind}: expired", way.by(kind, JOB, age=3600)
    if way.signs and way.signs[0][0] == "Range":
        widened = way.by("v4", JOB)
        yield "v4: a signed Range widened", Signed("GET", PATH, {**widened.headers, "Range": "bytes=0-5999999"})
        rest = {name: value for name, value in widened.headers.items() if name != "Range"}
        yield "v4: a signed Range dropped", Signed("GET", PATH, rest)


@contextlib.asynccontextmanager
async def matrix(tmp_path: Path, **more: object) -> AsyncIterator[tuple[Origin, Running]]:
    async with Origin() as origin:
        origin.serve(PATH, Object(body=Pattern(SIZE), headers=[("x-amz-meta-secret", "head")]))
        origin.authorize = Verifier(JOB, ROLE, OTHER)
        s3 = {"name": "s3", "dialect": "s3", "buckets": [BUCKET], "regions": [REGION], "connect": origin.url, **more}
        async with running(tmp_path, s3) as nezha:
            yield origin, nezha


GENEROUS = {"fresh": "1d", "grant": "1d", "immutable": True, "grace": "1d"}


async def send(nezha: Running, signed: Signed) -> Response:
    return await nezha.get(signed.target, host=HOST, headers=signed.headers, method=signed.method)


async def refused(nezha: Running) -> dict[str, list[tuple[str, str]]]:
    """What everybody who may not read is told, in every way to read: a refusal, and nothing of the object."""
    heads = {}
    sent = nezha.metric("nezha_response_bytes_total", source="cache")
    async with await nezha.client() as client:
        for name, way in WAYS.items():
            for who, signed in impostors(way):
                answer = await client.get(signed.target, HOST, list(signed.headers.items()), signed.method)
                assert answer.status == 403, (name, who)
                assert answer.body == (b"" if way.method == "HEAD" else b"403\n"), (name, who)
                heads[f"{name}: {who}"] = [item for item in answer.headers if item[0] != "Date"]
                assert not {"etag", "x-amz-meta-secret", "age"} & {item[0].lower() for item in heads[f"{name}: {who}"]}
    assert nezha.metric("nezha_response_bytes_total", source="cache") == sent
    return heads


async def read_by_all(nezha: Running, seed: int = 0, etag: str = '"v1"') -> None:
    """Everybody who may read does so in every way, and gets exactly that."""
    body = pattern(SIZE, seed)
    for name, way in WAYS.items():
        ours = replace(way, signs=tuple((field, value.replace('"v1"', etag)) for field, value in way.signs))
        for kind in KINDS:
            for holder in (JOB, ROLE):
                answer = await send(nezha, ours.by(kind, holder))
                assert (answer.status, answer.get("etag")) == (way.status, etag), (name, kind)
                if way.method == "GET" and way.status != 304:
                    assert answer.body == body[way.start : way.stop], (name, kind)


@contextlib.asynccontextmanager
async def filling(origin: Origin, nezha: Running) -> AsyncIterator[None]:
    going = asyncio.Event()
    origin.fault(PATH, Fault(hold=going, hold_after=HELD_AT), nth=1)
    leading = WAYS["GET"].by("v4-presigned", JOB)
    async with await nezha.client() as leader:
        await leader.send(request_bytes("GET", leading.target, HOST, list(leading.headers.items())))
        await origin.held()
        yield
        going.set()
        assert (await leader.read_response()).body == pattern(SIZE)


@contextlib.asynccontextmanager
async def warm(origin: Origin, nezha: Running) -> AsyncIterator[None]:
    await read_by_all(nezha)
    await nezha.quiet()
    assert nezha.metric("nezha_store_bytes") == SIZE
    yield


@contextlib.asynccontextmanager
async def overwritten(origin: Origin, nezha: Running) -> AsyncIterator[None]:
    async with warm(origin, nezha):
        origin.serve(PATH, Object(body=Pattern(SIZE, 2), etag='"v2"'))
        yield


@contextlib.asynccontextmanager
async def written(origin: Origin, nezha: Running) -> AsyncIterator[None]:
    async with warm(origin, nezha):
        put = sign("v4", JOB, "PUT", PATH)
        async with await nezha.client() as client:
            answer = await client.exchange(request_bytes("PUT", PATH, HOST, list(put.headers.items()), b"new"))
        assert answer.status == 200
        yield


STATES: dict[str, Callable[[Origin, Running], contextlib.AbstractAsyncContextManager[None]]] = {
    "filling": filling,
    "warm": warm,
    "overwritten": overwritten,
    "written": written,
}


@pytest.mark.parametrize("state", list(STATES))
async def test_who_may_not_read_is_refused_in_the_same_words_as_when_nothing_was_stored(
    tmp_path: Path, state: str
) -> None:
    async with matrix(tmp_path, **GENEROUS) as (origin, nezha):
        cold = await refused(nezha)
        async with STATES[state](origin, nezha):
            assert await refused(nezha) == cold


@pytest.mark.parametrize("settings", [{}, GENEROUS], ids=["default", "generous"])
async def test_who_may_read_gets_it_in_every_way_cold_and_warm(tmp_path: Path, settings: dict[str, object]) -> None:
    async with matrix(tmp_path, **settings) as (_, nezha):
        await read_by_all(nezha)
        moved = nezha.metric("nezha_origin_bytes_total")
        await read_by_all(nezha)
        await nezha.quiet()
        assert moved == nezha.metric("nezha_origin_bytes_total") == nezha.metric("nezha_store_bytes") == SIZE


async def test_who_may_read_joins_a_running_fill_in_every_way(tmp_path: Path) -> None:
    wanted = [(way, kind) for way in WAYS.values() for kind in KINDS]
    async with matrix(tmp_path) as (origin, nezha), asyncio.TaskGroup() as group:
        async with filling(origin, nezha):
            asked = len(origin.requests)
            reads = [group.create_task(send(nezha, way.by(kind, ROLE))) for way, kind in wanted]
            await origin.arrived(asked + len(wanted))
        for (way, _), answer in zip(wanted, await asyncio.gather(*reads), strict=True):
            assert answer.status == way.status
            if way.method == "GET" and way.status != 304:
                assert answer.body == pattern(SIZE)[way.start : way.stop]


async def test_after_an_overwrite_everybody_gets_the_new_version_who_is_asked_for(tmp_path: Path) -> None:
    async with matrix(tmp_path) as (origin, nezha), overwritten(origin, nezha):
        await read_by_all(nezha, 2, '"v2"')
        for kind in KINDS:
            assert (await send(nezha, WAYS["If-Match"].by(kind, JOB))).status == 412


@pytest.mark.parametrize("settings", [{}, GENEROUS], ids=["default", "generous"])
async def test_a_revoked_key_ends_at_once_for_who_proves_it(tmp_path: Path, settings: dict[str, object]) -> None:
    async with matrix(tmp_path, **settings) as (origin, nezha), warm(origin, nezha):
        origin.authorize = Verifier(Holder(JOB.access_key, JOB.secret_key, is_allowed=False))
        for way in WAYS.values():
            for kind in PROOFS:
                assert (await send(nezha, way.by(kind, JOB))).status == 403


@pytest.mark.parametrize("kind", ["v4-presigned", "v2-presigned"])
async def test_a_revoked_url_ends_with_its_grant(tmp_path: Path, kind: str) -> None:
    async with matrix(tmp_path, fresh="1d", grant="300ms") as (origin, nezha):
        url = WAYS["GET"].by(kind, JOB)
        assert (await send(nezha, url)).status == 200
        origin.authorize = Verifier()
        async with asyncio.timeout(10):
            while (await send(nezha, url)).status == 200:
                pass
        for way in WAYS.values():
            assert (await send(nezha, way.by(kind, JOB))).status == 403
    assert origin.count() > 1


@pytest.mark.parametrize("kind", ["v4-presigned", "v2-presigned"])
async def test_a_presigned_url_ends_when_it_says_although_its_grant_does_not(tmp_path: Path, kind: str) -> None:
    async with matrix(tmp_path, **GENEROUS) as (origin, nezha):
        url = WAYS["GET"].by(kind, JOB, age=599)  # a second of it is left
        origin.authorize = None  # the origin itself would never end it
        assert (await send(nezha, url)).status == 200
        asked = len(origin.requests)
        async with asyncio.timeout(10):
            while len(origin.requests) == asked:
                assert (await send(nezha, url)).status == 200
        assert origin.requests[-1].header("if-none-match") == '"v1"'


@pytest.mark.parametrize("kind", KINDS)
async def test_a_right_to_the_head_is_no_right_to_the_bytes(tmp_path: Path, kind: str) -> None:
    async with matrix(tmp_path, **GENEROUS) as (origin, nezha):
        await send(nezha, WAYS["GET"].by("v4", ROLE))
        await nezha.quiet()
        asked = WAYS["HEAD"].by(kind, JOB)
        assert (await send(nezha, asked)).status == 200
        sent = nezha.metric("nezha_response_bytes_total", source="cache")
        for _ in range(2):
            refused = await send(nezha, replace(asked, method="GET"))
            assert (refused.status, refused.get("etag")) == (403, None)
        assert nezha.metric("nezha_response_bytes_total", source="cache") == sent
        assert origin.count("GET") == 3

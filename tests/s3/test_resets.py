"""An origin that breaks off in the middle of an answer: clients that never retry do not notice."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.faults import Fault
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import Truncated, request_bytes
from tests.real.pod import Pod
from tests.running import running
from tests.s3.signatures import BUCKET, HOST, REGION, Holder, Verifier

JOB = Holder("AKIAJOB", "the job's secret")
SIZE = 20_000_000


@pytest.mark.parametrize(
    ("script", "how"),
    [("boto3_reads", "get"), ("boto3_reads", "download"), ("s3fs_reads", "cat"), ("s3fs_reads", "open")],
)
@pytest.mark.parametrize("fault", [Fault(reset_after=3_000_001), Fault(close_after=1)], ids=["reset", "end"])
async def test_a_client_does_not_see_that_its_origin_broke_off(
    tmp_path: Path, script: str, how: str, fault: Fault
) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        origin.authorize = Verifier(JOB)
        origin.fault("/k", fault, nth={1, 2, 3, 4}, when=lambda request: request.method == "GET")
        s3 = {"name": "s3", "dialect": "s3", "buckets": [BUCKET], "regions": [REGION], "connect": origin.url}
        async with running(tmp_path, s3) as nezha:
            authority = tmp_path / "tls" / "ca.crt"
            pod = (await asyncio.to_thread(Pod.redirected, tmp_path, nezha.port, authority)).with_env(
                AWS_ACCESS_KEY_ID=JOB.access_key,
                AWS_SECRET_ACCESS_KEY=JOB.secret_key,
                AWS_DEFAULT_REGION=REGION,
                AWS_EC2_METADATA_DISABLED="true",
                AWS_MAX_ATTEMPTS="1",
            )
            found = await asyncio.to_thread(pod.run, script, how, {"bucket": BUCKET, "keys": ["k"]})
            assert found == {"k": hashlib.sha256(pattern(SIZE)).hexdigest()}
            assert nezha.metric("nezha_cut_responses_total") == 0
            assert nezha.metric("nezha_requests_total", outcome="error") == 0


@pytest.mark.parametrize("how", ["is busy", "is away"])
async def test_an_origin_that_is_away_for_a_moment_in_the_middle_is_waited_for(tmp_path: Path, how: str) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        origin.fault("/k", Fault(reset_after=3_000_001), nth=1)
        s3 = {"name": "s3", "dialect": "s3", "buckets": [BUCKET], "regions": [REGION], "connect": origin.url}
        async with running(tmp_path, {**s3, "parallel": 1}) as nezha, await nezha.client() as client:
            if how == "is busy":
                origin.fault("/k", Fault(status=503), nth={2, 3})
            await client.send(request_bytes("GET", "/k", HOST))
            await client.read_head()
            if how == "is away":
                await origin.finished(1)
                await origin.stop()
                await nezha.until(lambda: nezha.metric("nezha_origin_requests_total", code="0") >= 1)
                origin.start()
            assert await client.read(SIZE) == pattern(SIZE)
            assert nezha.metric("nezha_cut_responses_total") == 0


async def test_an_origin_that_stays_away_cuts_the_answer(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/k", Object(body=Pattern(SIZE)))
        origin.fault("/k", Fault(reset_after=3_000_001), nth=1)
        origin.fault("/k", Fault(status=503), when=lambda request: request.sequence > 1)
        s3 = {"name": "s3", "dialect": "s3", "buckets": [BUCKET], "regions": [REGION], "connect": origin.url}
        async with running(tmp_path, {**s3, "parallel": 1}) as nezha:
            with pytest.raises(Truncated) as cut:
                await nezha.get("/k", host=HOST)
            assert cut.value.partial == pattern(SIZE)[:3_000_001]
            assert nezha.metric("nezha_cut_responses_total", reason="origin") == 1

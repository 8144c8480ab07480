"""Traces: what a collector is told of requests, what it is not, and that nobody waits for it."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.doubles.collector import Collector, Span
from tests.faults import Fault
from tests.objects import Object, Pattern
from tests.origin import Origin
from tests.rawclient import Truncated, request_bytes
from tests.running import HOST, running, web
from tests.serving import SECONDS, clean, command, document, serving, written

FRESH = "max-age=3600"
SIZE = 3_000_000
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
HEAD_FIELDS = {"traceparent": SAMPLED, "tracestate": "vendor=hidden", "X-Own": "1"}


def to(collector: Collector, sample: float = 1) -> dict[str, object]:
    return {"endpoint": collector.url, "sample": sample}


def only(spans: list[Span]) -> Span:
    assert len(spans) == 1, spans
    return spans[0]


async def test_a_trace_goes_on_where_its_caller_says_so(tmp_path: Path) -> None:
    before = time.time_ns()
    async with Collector() as collector, Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH))
        async with running(tmp_path, web(origin), tracing=to(collector, sample=0)) as nezha:
            assert (await nezha.get("/a?name=shown", headers=HEAD_FIELDS)).body == b"hello"
    asked, question = only(collector.of_kind("server")), only(collector.of_kind("client"))
    assert (asked.name, asked.trace, asked.parent, asked.is_error) == ("GET", TRACE, CALLER, False)
    assert (question.name, question.trace, question.parent) == ("GET", TRACE, asked.id)
    assert before <= asked.start <= question.start <= question.end <= asked.end <= time.time_ns()
    assert asked.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/a",
        "url.query": "name=shown",
        "server.address": HOST,
        "server.port": 80,
        "client.address": "127.0.0.1",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "nezha.origin": "web",
        "nezha.outcome": "miss",
        "nezha.detail": "uri-miss",
    }
    assert question.attributes == {
        "http.request.method": "GET",
        "url.full": f"{origin.url}/a?name=shown",
        "server.address": "127.0.0.1",
        "server.port": origin.port,
        "http.response.status_code": 200,
        "nezha.origin": "web",
    }
    assert asked.resource["service.name"] == "nezha"


async def test_the_origin_sees_the_same_request_traced_or_not(tmp_path: Path) -> None:
    heads = []
    async with Collector() as collector, Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        for name, tracing in (("traced", to(collector)), ("untraced", None)):
            async with running(tmp_path / name, web(origin), tracing=tracing) as nezha:
                await nezha.get("/a", headers=HEAD_FIELDS)
                await nezha.get("/a", headers={"Cookie": "a"})
            heads.append([request.head for request in origin.requests])
            origin.clear()
    assert heads[0] == heads[1]
    assert len(collector.of_kind("client")) == 2


async def test_a_trace_begins_here_where_the_caller_has_none(tmp_path: Path) -> None:
    async with Collector() as collector, Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH))
        async with running(tmp_path, web(origin), tracing=to(collector)) as nezha, await nezha.client() as client:
            for _ in range(2):
                await client.get("/a", HOST)
                await nezha.quiet()
            await client.get("/a", HOST, [("traceparent", "00-none-of-these-01")])
            await client.get("/healthz", "nezha")
    spans = collector.of_kind("server")
    assert [span.attributes["nezha.outcome"] for span in spans] == ["miss", "hit", "hit"]
    assert {span.parent for span in spans} == {""}
    assert len({span.trace for span in spans}) == 3
    assert only(collector.of_kind("client")).parent == spans[0].id


async def test_who_is_not_sampled_is_not_traced(tmp_path: Path) -> None:
    async with Collector() as collector, Origin() as origin:
        origin.serve("*", Object(body=b"hello"))
        async with running(tmp_path / "all", web(origin), tracing=to(collector)) as nezha:
            await nezha.get("/a", headers={"traceparent": NOT_SAMPLED})
        async with running(tmp_path / "none", web(origin), tracing=to(collector, sample=0)) as nezha:
            await nezha.get("/b")
    assert (collector.spans, collector.requests) == ([], [])
    assert origin.count() == 2


async def test_who_reads_along_has_a_trace_of_its_own(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with Collector() as collector, Origin() as origin:
        origin.serve("/a", Object(body=Pattern(SIZE), cache_control=FRESH))
        origin.fault("/a", Fault(hold=release))
        async with running(tmp_path, web(origin), tracing=to(collector)) as nezha, asyncio.TaskGroup() as readers:
            readers.create_task(nezha.get("/a", headers={"traceparent": SAMPLED}))
            await origin.held()
            readers.create_task(nezha.get("/a"))
            await nezha.joined()
            release.set()
    leader, follower = collector.of_kind("server")
    assert (leader.trace, follower.parent) == (TRACE, "")
    assert follower.attributes["nezha.detail"] == "collapsed"
    assert only(collector.of_kind("client")).parent == leader.id


async def test_a_write_is_a_span_too(tmp_path: Path) -> None:
    async with (
        Collector() as collector,
        Origin() as origin,
        running(tmp_path, web(origin), tracing=to(collector)) as nezha,
        await nezha.client(name=HOST) as client,
    ):
        await client.exchange(request_bytes("PUT", "/a", HOST, body=b"hello"))
    asked, question = only(collector.of_kind("server")), only(collector.of_kind("client"))
    assert (asked.name, asked.attributes["url.scheme"], asked.attributes["server.port"]) == ("PUT", "https", 443)
    assert (question.parent, question.attributes["http.response.status_code"]) == (asked.id, 201)


async def test_errors_are_told_as_such(tmp_path: Path) -> None:
    async with Collector() as collector, Origin() as origin:
        origin.serve("/cut", Object(body=Pattern(SIZE), etag=None))
        origin.fault("/cut", Fault(reset_after=100_000))
        origin.fault("/down", Fault(drop=True))
        async with running(tmp_path, web(origin), tracing=to(collector)) as nezha:
            assert (await nezha.get("/down")).status == 502
            assert (await nezha.get("/missing")).status == 404
            with pytest.raises(Truncated):
                await nezha.get("/cut")
    down, missing, cut = collector.of_kind("server")
    assert (down.is_error, down.attributes["error.type"]) == (True, "origin-unreachable")
    assert down.attributes["http.response.status_code"] == 502
    assert (missing.is_error, "error.type" in missing.attributes) == (False, False)
    assert (cut.is_error, cut.attributes["http.response.status_code"]) == (True, 200)
    first = next(span for span in collector.of_kind("client") if span.parent == down.id)
    assert (first.is_error, first.attributes["error.type"]) == (True, "origin-unreachable")


async def test_no_secret_is_told(tmp_path: Path) -> None:
    query = "&".join(
        [
            "X-Amz-Credential=hidden-1%2F20260101", "X-Amz-Signature=hidden-2", "X-Amz-Security-Token=hidden-3",
            "sig=hidden-4", "token=hidden-5", "name=shown",
        ]
    )  # fmt: skip
    fields = {
        "Authorization": "Bearer hidden-6", "Cookie": "hidden-7", "X-Amz-Security-Token": "hidden-8",
        "tracestate": "vendor=hidden-9", "baggage": "user=hidden-10", "User-Agent": "hidden-11",
    }  # fmt: skip
    async with Collector() as collector, Origin() as origin:
        origin.serve("/a", Object(body=b"hidden", cache_control=FRESH))
        origin.fault("/down", Fault(drop=True))
        async with running(tmp_path, web(origin), tracing=to(collector)) as nezha:
            for path in ("/a", "/down", "/missing"):
                for method in ("GET", "HEAD", "DELETE"):
                    await nezha.get(f"{path}?{query}", headers=fields | {"traceparent": SAMPLED}, method=method)
                    await nezha.get(f"{path}&{query}", headers=fields, method=method)
    assert len(collector.of_kind("server")) == 18
    assert b"hidden" not in collector.raw
    assert all("shown" in str(span.attributes) for span in collector.spans)


async def test_a_collector_that_is_away_costs_spans_and_one_line(tmp_path: Path) -> None:
    async with Collector() as collector, Origin() as origin:
        await collector.stop()
        origin.serve("/a", Object(body=b"hello", cache_control=FRESH))
        async with serving(tmp_path, web(origin), tracing=to(collector), cache={"drain": "1s"}) as nezha:
            async with await nezha.client() as client:
                for _ in range(3000):  # more than are kept to be sent
                    assert (await client.get("/a", HOST)).body == b"hello"
            nezha.process.terminate()
            assert await nezha.end() == 0
        complaints = [line for line in nezha.lines if line["event"] == "tracing_failed"]
        assert complaints[0]["level"] == "warning"
        assert [line["message"] for line in complaints[1:]] == ["the last spans could not be sent in time"]
        assert nezha.lines[-1]["event"] == "stopped"
        assert nezha.lines[-1]["seconds"] < 5
        assert nezha.errors == ""


async def test_a_collector_that_never_answers_does_not_keep_the_process(tmp_path: Path) -> None:
    async with Collector() as collector, Origin() as origin:
        collector.fault("*", Fault(hold=asyncio.Event()))
        origin.serve("/a", Object(body=b"hello"))
        async with serving(tmp_path, web(origin), tracing=to(collector)) as nezha:
            async with await nezha.client() as client:
                await client.get("/a", HOST)
            nezha.process.send_signal(signal.SIGTERM)
            await collector.held()
            assert await nezha.end() == 0
        assert nezha.lines[-1]["seconds"] < 5
        assert nezha.errors == ""


async def test_a_process_sends_what_is_left_when_it_ends(tmp_path: Path) -> None:
    async with Collector() as collector, Origin() as origin:
        origin.serve("/a", Object(body=b"hello"))
        async with serving(tmp_path, web(origin), tracing=to(collector)) as nezha:
            async with await nezha.client() as client:
                await client.get("/a", HOST)
            nezha.process.terminate()
            assert await nezha.end() == 0
    assert only(collector.of_kind("server")).attributes["nezha.outcome"] == "miss"
    assert not [line for line in nezha.lines if line["event"] == "tracing_failed"]


def test_the_library_is_asked_for_by_name_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("")  # a module, where a package is looked for
    path = written(tmp_path, document(tmp_path, tracing={"endpoint": "http://127.0.0.1:4318"}))
    ended = subprocess.run(
        command("serve", "--config", path), env=clean({"PYTHONPATH": str(tmp_path)}), capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("nezha: tracing.endpoint: No module named 'opentelemetry")
    assert ended.stderr.endswith("; leave it out, or pip install 'nezha[tracing]'\n")


def test_variables_of_the_library_that_it_cannot_use_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, document(tmp_path, tracing={"endpoint": "http://127.0.0.1:4318"}))
    ended = subprocess.run(
        command("serve", "--config", path), env=clean({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}), capture_output=True,
        text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "the OTEL_ variables of the environment: max_queue_size" in ended.stderr


def test_nobody_who_is_not_traced_loads_the_library(tmp_path: Path) -> None:
    path = written(tmp_path, document(tmp_path))
    text = (
        "import json, sys; from pathlib import Path; from nezha.loading import load; from nezha.server import prepare;"
        f"prepare(load(Path({str(path)!r}).read_text(), {{}})); print(json.dumps(sorted(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", text], env=clean(None), capture_output=True, text=True, check=True)
    loaded = json.loads(ended.stdout)
    assert "nezha.proxy.handler" in loaded
    assert not [name for name in loaded if name.startswith(("opentelemetry", "google.protobuf", "nezha.tracing"))]

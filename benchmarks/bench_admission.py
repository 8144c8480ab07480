"""How long the webhook takes at 300 reviews a second: idle, and beside eight streams that saturate the cache port.

python -m benchmarks.bench_admission [--quick] [--rounds N]
"""

import asyncio
import json
import ssl
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import report
from benchmarks.load import BIG_BYTES, Load, streaming
from benchmarks.measure import Spread
from benchmarks.peers import Way
from benchmarks.processes import Failed
from benchmarks.report import Options, Target, say
from benchmarks.scene import Scene, scene

RATE = 300
CONNECTIONS = 8
STREAMS = 8
SECONDS = 20.0
BIG = f"/{BIG_BYTES}/stream"
# Milliseconds of the 99th percentile.
TARGETS: Mapping[str, Target] = {"idle": Target(most=20), "beside streams": Target(most=100)}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "train-", "annotations": {"nezha.io/inject": "true"}},
    "spec": {
        "initContainers": [{"name": "fetch", "image": "fetch:1", "env": [{"name": "A", "value": "1"}]}],
        "containers": [{"name": "train", "image": "train:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}


@dataclass(frozen=True, slots=True)
class Reviews:
    """How the reviews of one run went, in milliseconds from when each was due; MB/s of the streams beside them."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    mb_per_second: float


Results = Mapping[str, list[Reviews]]
FIGURES = (("p50_ms", 2), ("p99_ms", 2), ("max_ms", 1), ("mb_per_second", 0))


def main() -> None:
    chosen = report.options("benchmarks.bench_admission", __doc__)
    around = report.surroundings(with_nginx=False)
    seconds = 3.0 if chosen.is_quick else SECONDS
    results: defaultdict[str, list[Reviews]] = defaultdict(list)
    with scene() as found:
        found.warm("nezha", Load(BIG, "http"))
        for round_no in range(chosen.rounds):
            for case in TARGETS:
                result = _measure(found, case, seconds)
                results[case].append(result)
                say(f"round {round_no + 1}: {case}: p50 {result.p50_ms:.2f} ms, p99 {result.p99_ms:.2f} ms")
    report.finish("admission", chosen, _document(around, chosen, results), _text(around, chosen, results))


def _measure(found: Scene, case: str, seconds: float) -> Reviews:
    way = found.ways["nezha"]
    if case == "idle":
        return _summed(asyncio.run(_send(way, seconds)), 0.0)
    streams = Load(BIG, "http", connections=STREAMS, seconds=600.0)  # ended with the reviews
    with streaming(found.client, way, streams) as end:
        times = asyncio.run(_send(way, seconds))
        return _summed(times, end().mb_per_second)


def _summed(times: list[float], mb_per_second: float) -> Reviews:
    ordered = [each * 1e3 for each in sorted(times)]
    p50, p99 = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
    return Reviews(p50, p99, ordered[-1], mb_per_second)


async def _send(way: Way, seconds: float) -> list[float]:
    """Seconds that each review took from when it was due; connections take those that are due in turn."""
    due: asyncio.Queue[float | None] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(_client(way, due)) for _ in range(CONNECTIONS)]
        start = time.perf_counter() + 0.5  # the connections stand by then
        for number in range(int(RATE * seconds)):
            at = start + number / RATE
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            due.put_nowait(at)
        for _ in clients:
            due.put_nowait(None)
    return [each for client in clients for each in client.result()]


async def _client(way: Way, due: "asyncio.Queue[float | None]") -> list[float]:
    assert way.admission is not None
    port, ca = way.admission
    trust = ssl.create_default_context(cafile=str(ca))
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    times = []
    while (at := await due.get()) is not None:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        times.append(time.perf_counter() - at)
        if b'"patchType"' not in body:
            raise Failed(f"a pod was not injected: {head!r} {body!r}")
    writer.close()
    return times


def _request() -> bytes:
    fields = {"uid": "u", "kind": {"group": "", "kind": "Pod"}, "operation": "CREATE", "namespace": "n", "object": POD}
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": fields}).encode()
    head = f"POST /mutate HTTP/1.1\r\nHost: n\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


REQUEST = _request()


def _text(around: dict[str, Any], chosen: Options, results: Results) -> str:
    rows = []
    for case, found in results.items():
        spreads = {figure: Spread.of([float(getattr(each, figure)) for each in found]) for figure, _ in FIGURES}
        shown = [spreads[figure].text(digits) for figure, digits in FIGURES]
        rows.append([case, *shown, *TARGETS[case].cells(spreads["p99_ms"].median)])
    return "\n\n".join(
        [
            report.summary(around),
            f"{RATE} reviews a second over {CONNECTIONS} connections; medians of {chosen.rounds} rounds.",
            report.table(["", "p50 ms", "p99 ms", "longest ms", "streams MB/s", "target of p99", ""], rows),
        ]
    )


def _document(around: dict[str, Any], chosen: Options, results: Results) -> dict[str, Any]:
    rows = [
        {"case": case, "target_most_ms": TARGETS[case].most}
        | {figure: [round(float(getattr(each, figure)), 3) for each in found] for figure, _ in FIGURES}
        for case, found in results.items()
    ]
    return around | {"rounds": chosen.rounds, "rate": RATE, "rows": rows}


if __name__ == "__main__":
    report.run(main)

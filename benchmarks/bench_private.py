"""What it costs that every read of a private object is asked for: signed 8 MiB ranges, and boto3, warm.

python -m benchmarks.bench_private [--quick] [--rounds N]
"""

import itertools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.load import BIG_BYTES, Load
from benchmarks.measure import Spread, in_turn
from benchmarks.peers import LIMITED_DELAY_MS, PRIVATE, PUBLIC
from benchmarks.processes import Failed
from benchmarks.report import Options, Target, say
from benchmarks.scene import Scene, scene

PART_BYTES = 8 << 20
CONNECTIONS = 8
QUICK_BYTES = 40_000_003
READS = {False: 5, True: 2}  # of boto3, by whether it is a quick run
ROUND_TRIP = LIMITED_DELAY_MS / 1000
# As boto3's transfers sign: the Range too. Nobody verifies it here; what counts is that every use of it is asked for.
SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIABENCH/20261125/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64
)
# What is measured in each round, by name: (what it is of, how it is read).
RANGES = {
    "direct": ("direct", PRIVATE, SIGNED),
    "private": ("nezha", PRIVATE, SIGNED),
    "public": ("nezha", PUBLIC, ""),
}
# By what is added to the name: how many read, and how long each pauses before a range.
PACES = {"": (CONNECTIONS, 0.0), " alone": (1, 0.0), " alone, paced": (1, ROUND_TRIP)}
TARGETS = {"ranges": Target(least=6.0), "trips": Target(most=1.2)}
# One request for all of it waits for a round trip before the first byte: at 0.1 s a read, 20 ms are over a tenth.
BOTO3 = {"transfer": ("download_file", Target(least=0.9)), "get": ("get_object, one request", Target())}
Results = Mapping[str, list[float]]


def main() -> None:
    chosen = report.options("benchmarks.bench_private", __doc__)
    around = report.surroundings()
    path = f"/{QUICK_BYTES if chosen.is_quick else BIG_BYTES}/warm"
    results: defaultdict[str, list[float]] = defaultdict(list)
    with scene() as found:
        for _, host, header in list(RANGES.values())[1:]:
            found.warm("nezha", Load(path, "https", host, CONNECTIONS, part_bytes=PART_BYTES, header=header))
        steps: list[Callable[[], None]] = [
            lambda: _ranges(found, path, results),
            lambda: _boto3(found, path, chosen, results),
        ]
        for round_no in range(chosen.rounds):
            for step in in_turn(steps, round_no):
                step()
            say(f"round {round_no + 1}: {', '.join(f'{name} {values[-1]:.3g}' for name, values in results.items())}")
    report.finish("private", chosen, around | {"rounds": chosen.rounds, "results": results}, _text(around, results))


def _ranges(found: Scene, path: str, results: defaultdict[str, list[float]]) -> None:
    """All ranges once by each way and pace: MB/s at 8 in parallel, and seconds of a range alone. Raises Failed."""
    for name, (way, host, header) in RANGES.items():
        for suffix, (connections, pause) in PACES.items():
            load = Load(path, "https", host, connections, part_bytes=PART_BYTES, header=header, pause=pause)
            reading, sent = found.read_counted(way, load)
            if way != "direct" and sent:
                raise Failed(f"{load} was not warm: the origin sent {sent} bytes")
            results[f"{name}{suffix}"].append(reading.p50 if connections == 1 else reading.mb_per_second)


def _boto3(found: Scene, path: str, chosen: Options, results: defaultdict[str, list[float]]) -> None:
    """MB/s of boto3 on private and public hits, by each way of boto3's: the median of some reads."""
    bucket, key = path.strip("/").split("/")
    reads = str(READS[chosen.is_quick] + 1)
    for way, (name, host) in itertools.product(BOTO3, (("private", PRIVATE), ("public", PUBLIC))):
        seconds = _read(found, host, [bucket, key, reads, str(int(host == PRIVATE)), way])
        results[f"boto3 {way} {name}"].append(int(bucket) / Spread.of(seconds[1:]).median / 1e6)  # the first connects


def _read(found: Scene, host: str, arguments: list[str]) -> list[float]:
    way = found.ways["nezha"]
    reader = str(Path(__file__).with_name("boto3_reader.py"))
    command = [
        sys.executable,
        "-m",
        "tests.redirect",
        f"127.0.0.1:{way.ports[host, 'https']}",
        reader,
        host,
        *arguments,
    ]
    env = {
        "PATH": os.environ.get("PATH", ""),
        "AWS_ACCESS_KEY_ID": "AKIABENCH",
        "AWS_SECRET_ACCESS_KEY": "of the bench",
        "AWS_EC2_METADATA_DISABLED": "true",
        "REQUESTS_CA_BUNDLE": str(way.ca),
    }
    root = Path(__file__).parents[1]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"boto3 could not read {host}: {done.stderr[-1000:]}")
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def _quotient(results: Results, left: str, right: str) -> Spread:
    return Spread.of([ours / theirs for ours, theirs in zip(results[left], results[right], strict=True)])


def _trips(results: Results, pace: str) -> Spread:
    pairs = zip(results[f"private{pace}"], results[f"public{pace}"], strict=True)
    return Spread.of([(private - public) / ROUND_TRIP for private, public in pairs])


def _text(around: dict[str, Any], results: Results) -> str:
    judged = {
        "signed 8 MiB ranges, 8 in parallel: warm / direct": (
            _quotient(results, "private", "direct"),
            TARGETS["ranges"],
        ),
        **{
            f"boto3 {what}: private / public hits": (
                _quotient(results, f"boto3 {way} private", f"boto3 {way} public"),
                target,
            )
            for way, (what, target) in BOTO3.items()
        },
        # A client that pauses as it works on each range finds everything idle then, and whoever sends 8 MiB after a
        # pause is slower for a while. One that does not pauses too where it waits for the store.
        "added time of a range, in round trips of 20 ms": (_trips(results, " alone, paced"), TARGETS["trips"]),
        "the same, by clients that never pause": (_trips(results, " alone"), Target()),
    }
    rows = [[what, spread.text(2), *target.cells(spread.median)] for what, (spread, target) in judged.items()]
    units = {name: ("s", 4) if " alone" in name else ("MB/s", 0) for name in results}
    each = [[name, units[name][0], Spread.of(values).text(units[name][1])] for name, values in results.items()]
    return "\n\n".join(
        [
            report.summary(around),
            report.table(["figure", "median [lowest-highest of a round]", "target", ""], rows),
            report.table(["row", "unit", "figure"], each),
        ]
    )


if __name__ == "__main__":
    report.run(main)

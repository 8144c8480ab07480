"""What 64 clients that ask at once for one cold object cost: bytes from the origin, memory, time.

python -m benchmarks.bench_herd [--quick] [--rounds N]
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import load, report
from benchmarks.bench_cold_warm import QUICK_BYTES
from benchmarks.load import BIG_BYTES, Load, Reading
from benchmarks.measure import Spread, peak_resident_bytes
from benchmarks.peers import FAST, LIMITED, Scheme
from benchmarks.peers.nezha import BUFFERS_BYTES, nezha
from benchmarks.report import Options, Target, say
from benchmarks.scene import CACHE_GIB, Scene, scene

CLIENTS = 64
SHARE = Target(most=1.05)
MEMORY_MIB = Target(most=(BUFFERS_BYTES >> 20) + 150)
Case = tuple[str, Scheme]
CASES: tuple[Case, ...] = ((LIMITED, "http"), (LIMITED, "https"), (FAST, "http"), (FAST, "https"))


@dataclass(frozen=True, slots=True)
class Herd:
    """What came of one run. `share` is of the object's bytes."""

    reading: Reading
    share: float
    peak_mib: float
    idle_mib: float  # before the herd came


Results = Mapping[Case, list[Herd]]


def main() -> None:
    chosen = report.options("benchmarks.bench_herd", __doc__)
    around = report.surroundings(with_nginx=False)
    size = QUICK_BYTES if chosen.is_quick else BIG_BYTES
    results: defaultdict[Case, list[Herd]] = defaultdict(list)
    with scene(with_proxies=False) as found:
        for round_no, case in itertools.product(range(chosen.rounds), CASES):
            herd = _measure(found, case, f"{round_no}-{'-'.join(case)}", size)
            results[case].append(herd)
            say(
                f"round {round_no + 1}: {_named(case)}: {herd.share:.3f} of the object, "
                f"{herd.peak_mib:.0f} MiB, {herd.reading.seconds:.2f} s"
            )
    document = _document(around, chosen, results) | {"bytes": size}
    report.finish("herd", chosen, document, _text(around, chosen, results))


def _measure(found: Scene, case: Case, name: str, size: int) -> Herd:
    """In a Nezha of its own, for the peak of its memory is since its start."""
    host, scheme = case
    with nezha(found.folder / f"herd-{name}", found.origin, f"{CACHE_GIB}GiB") as way:
        assert way.pid is not None
        idle = peak_resident_bytes(way.pid)
        before = found.origin.bytes_sent()
        wanted = Load(f"/{size}/{name}", scheme, host, connections=CLIENTS)
        reading = load.run(found.client, way, wanted)
        share = (found.origin.bytes_sent() - before) / size
        return Herd(reading, share, peak_resident_bytes(way.pid) / (1 << 20), idle / (1 << 20))


def _named(case: Case) -> str:
    return f"{case[1].upper()}, {'limited' if case[0] == LIMITED else 'unlimited'} origin"


def _text(around: dict[str, Any], chosen: Options, results: Results) -> str:
    rows = []
    for case, found in results.items():
        share, peak = Spread.of([each.share for each in found]), Spread.of([each.peak_mib for each in found])
        seconds = Spread.of([each.reading.seconds for each in found])
        cpu = Spread.of([each.reading.served_cpu_seconds_per_gb for each in found])
        rows.append(
            [
                _named(case),
                share.text(3),
                *SHARE.cells(share.high),
                peak.text(),
                *MEMORY_MIB.cells(peak.high),
                seconds.text(2),
                cpu.text(2),
            ]
        )
    idle = Spread.of([each.idle_mib for found in results.values() for each in found])
    header = ["over", "bytes from the origin / size", "target", "", "peak RSS MiB", "target", "", "seconds", "CPU s/GB"]
    return "\n\n".join(
        [
            report.summary(around),
            f"{CLIENTS} anonymous clients at once, one object that is not stored, {chosen.rounds} rounds, each in a "
            f"Nezha just started ({idle.text()} MiB before they came). A target is met when the worst round meets it; "
            "all clients got the right bytes.",
            report.table(header, rows),
        ]
    )


def _document(around: dict[str, Any], chosen: Options, results: Results) -> dict[str, Any]:
    rows = [
        {
            "host": host,
            "scheme": scheme,
            "clients": CLIENTS,
            "origin_share": [round(each.share, 4) for each in found],
            "is_share_met": all(SHARE.is_met(each.share) for each in found),
            "peak_resident_mib": [round(each.peak_mib, 1) for each in found],
            "is_memory_met": all(MEMORY_MIB.is_met(each.peak_mib) for each in found),
            "idle_resident_mib": [round(each.idle_mib, 1) for each in found],
            "seconds": [each.reading.seconds for each in found],
            "cpu_seconds_per_gb": [round(each.reading.served_cpu_seconds_per_gb, 3) for each in found],
        }
        for (host, scheme), found in results.items()
    ]
    targets = {"origin_share": SHARE.most, "peak_resident_mib": MEMORY_MIB.most}
    return around | {"rounds": chosen.rounds, "targets": targets, "rows": rows}


if __name__ == "__main__":
    report.run(main)

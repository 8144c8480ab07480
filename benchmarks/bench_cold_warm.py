"""How fast a file of 169,001,437 bytes is read directly, cold and warm, through Nezha and through nginx.

python -m benchmarks.bench_cold_warm [--quick] [--rounds N]
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import report
from benchmarks.load import BIG_BYTES, Load, Reading
from benchmarks.measure import Spread, in_turn, touch_memory
from benchmarks.peers import FAST, LIMITED, SCHEMES, Scheme
from benchmarks.peers.nezha import NOT_HOT
from benchmarks.processes import Failed
from benchmarks.report import Options, Target, say
from benchmarks.scene import Scene, scene

NGINX = ("nginx", "nginx, tcp_nopush off")  # the same store; the better one is what Nezha is compared with
SLICE = "nginx, slice 4m"
TOUCHED_BYTES = 4 << 30  # before each cold read: some machines take back at once what is free
QUICK_BYTES = 16_777_259
WARM_READS = {1: 8, 8: 2}  # by clients: how often each reads, so that a tick of 10 ms is little


@dataclass(frozen=True, slots=True)
class Case:
    """What is compared: the same read by several ways."""

    state: str  # cold | warm
    host: str
    scheme: Scheme
    clients: int
    ways: tuple[str, ...]
    target: Target

    @property
    def text(self) -> str:
        """For example `warm HTTPS, 8 clients`."""
        origin = {"warm": "", "cold": ", limited origin" if self.host == LIMITED else ", unlimited origin"}[self.state]
        return f"{self.state} {self.scheme.upper()}, {self.clients} client{'s' * (self.clients > 1)}{origin}"


def cases() -> list[Case]:
    """All, with the targets of Nezha / nginx in MB/s."""
    warm: dict[tuple[Scheme, int], Target] = {
        ("http", 1): Target(least=0.85),
        ("http", 8): Target(least=1.1),
        ("https", 1): Target(least=1.0),
        ("https", 8): Target(least=1.3),
    }
    others = {"http": NGINX, "https": (NOT_HOT, NGINX[0])}
    found = [
        Case("warm", FAST, scheme, clients, ("nezha", *others[scheme], SLICE), target)
        for (scheme, clients), target in warm.items()
    ]
    for host, scheme in itertools.product((FAST, LIMITED), SCHEMES):
        target = Target(least=8.0) if host == LIMITED else Target()
        found.append(Case("cold", host, scheme, 1, ("direct", "nezha", NGINX[0], SLICE), target))
    return found


@dataclass(frozen=True, slots=True)
class Read:
    """What came of one read: how it went, and what the origin sent for it as a share of the object's bytes."""

    reading: Reading
    origin_share: float


Results = Mapping[tuple[Case, str], list[Read]]


def main() -> None:
    chosen = report.options("benchmarks.bench_cold_warm", __doc__)
    around = report.surroundings()
    size = QUICK_BYTES if chosen.is_quick else BIG_BYTES
    results: defaultdict[tuple[Case, str], list[Read]] = defaultdict(list)
    with scene() as found:
        for way in ("nezha", NOT_HOT, *NGINX, SLICE):
            found.warm(way, Load(f"/{size}/warm", "http"))
        touched = 0 if chosen.is_quick else touch_memory()
        say(f"touched {touched / 1e9:.1f} GB")
        for round_no, case in itertools.product(range(chosen.rounds), cases()):
            for way in in_turn(case.ways, round_no):
                read = _measure(found, case, way, round_no, size)
                results[case, way].append(read)
                say(f"round {round_no + 1}: {case.text}, {way}: {read.reading.mb_per_second:.0f} MB/s")
    document = _document(around, chosen, results) | {"bytes": size, "touched_bytes": touched}
    report.finish("cold_warm", chosen, document, _text(around, chosen, results))


def _measure(found: Scene, case: Case, way: str, round_no: int, size: int) -> Read:
    """One read. Raises Failed where a warm one was not warm, or a cold one not cold."""
    if case.state == "warm":
        path, repeat = f"/{size}/warm", WARM_READS[case.clients]
    else:
        # Cold by its name: an object that nobody has read before. Nothing is restarted or removed.
        path, repeat = f"/{size}/{case.host}-{case.scheme}-{round_no}-{way.replace(' ', '').replace(',', '-')}", 1
        os.sync()  # or the bytes of earlier rows would be written to disk during this one
        if way != "direct" and size == BIG_BYTES:
            touch_memory(TOUCHED_BYTES)
    reading, sent = found.read_counted(way, Load(path, case.scheme, case.host, case.clients, repeat))
    if way != "direct" and (sent > 0 if case.state == "warm" else sent < size):
        raise Failed(f"{case.text} by {way} was not {case.state}: the origin sent {sent} bytes")
    return Read(reading, sent / size)


def _speed(results: Results, case: Case, way: str) -> Spread:
    return Spread.of([each.reading.mb_per_second for each in results[case, way]])


def _ratio(results: Results, case: Case, peer: str) -> tuple[float, Spread]:
    """Nezha / peer: of the medians, and of each round."""
    pairs = zip(results[case, "nezha"], results[case, peer], strict=True)
    each_round = Spread.of([our.reading.mb_per_second / their.reading.mb_per_second for our, their in pairs])
    return _speed(results, case, "nezha").median / _speed(results, case, peer).median, each_round


def _best(results: Results, case: Case) -> str:
    """The better nginx without slices."""
    return max((way for way in case.ways if way in NGINX), key=lambda way: _speed(results, case, way).median)


def _text(around: dict[str, Any], chosen: Options, results: Results) -> str:
    ratios = []
    for case in cases():
        peer = _best(results, case)
        ratio = _ratio(results, case, peer)
        target = case.target.cells(ratio[0])
        ratios.append([case.text, _shown(*ratio), *target, _shown(*_ratio(results, case, SLICE)), peer])
    rows = []
    for (case, way), reads in results.items():
        readings = [each.reading for each in reads]
        seconds = Spread.of([each.seconds / each.requests * case.clients for each in readings]).text(3)
        cpu = Spread.of([each.served_cpu_seconds_per_gb for each in readings]).text(2) if way != "direct" else ""
        share = Spread.of([each.origin_share for each in reads]).text(3) if case.state == "cold" else ""
        rows.append([case.text, way, _speed(results, case, way).text(), seconds, cpu, share])
    return "\n\n".join(
        [
            report.summary(around),
            "MB/s of Nezha over MB/s of nginx: "
            f"medians of {chosen.rounds} rounds, in brackets the lowest and highest of a round.",
            report.table(["read", "Nezha / nginx", "target", "", "Nezha / nginx slice", "nginx chosen"], ratios),
            "Each row; seconds are those of one read, CPU seconds those of the proxy's processes.",
            report.table(["read", "by", "MB/s", "seconds", "CPU s/GB", "bytes from the origin / size"], rows),
        ]
    )


def _shown(value: float, spread: Spread) -> str:
    return f"{value:.2f} [{spread.low:.2f}-{spread.high:.2f}]"


def _document(around: dict[str, Any], chosen: Options, results: Results) -> dict[str, Any]:
    rows = [
        {
            "state": case.state,
            "host": case.host,
            "scheme": case.scheme,
            "clients": case.clients,
            "by": way,
            "mb_per_second": [round(each.reading.mb_per_second, 1) for each in reads],
            "seconds": [each.reading.seconds for each in reads],
            "cpu_seconds_per_gb": [round(each.reading.served_cpu_seconds_per_gb, 3) for each in reads],
            "client_cpu_seconds": [each.reading.cpu_seconds for each in reads],
            "origin_share": [round(each.origin_share, 4) for each in reads],
            "cipher": reads[0].reading.cipher,
            "cache_status": reads[-1].reading.cache_status,
        }
        for (case, way), reads in results.items()
    ]
    ratios = []
    for case in cases():
        value, spread = _ratio(results, case, _best(results, case))
        ratios.append(
            {
                "read": case.text,
                "nginx": _best(results, case),
                "ratio": round(value, 3),
                "low": round(spread.low, 3),
                "high": round(spread.high, 3),
                "ratio_to_slice": round(_ratio(results, case, SLICE)[0], 3),
                "target": case.target.least,
                "is_met": case.target.is_met(value) if case.target.least is not None else None,
            }
        )
    return around | {"rounds": chosen.rounds, "ratios": ratios, "rows": rows}


if __name__ == "__main__":
    report.run(main)

"""How long small reads take beside eight streams that saturate the proxy: Nezha and nginx, over HTTP and HTTPS.

python -m benchmarks.bench_isolation [--quick] [--rounds N]
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import report
from benchmarks.load import BIG_BYTES, SMALL_BYTES, Load, Reading
from benchmarks.measure import Spread, in_turn
from benchmarks.peers import Scheme
from benchmarks.processes import Failed
from benchmarks.report import Options, Target, say
from benchmarks.scene import Scene, scene

STREAMS = 8
SMALL_CONNECTIONS = 4
SECONDS = 8.0
BIG, SMALL = f"/{BIG_BYTES}/stream", f"/{SMALL_BYTES}/small"


@dataclass(frozen=True, slots=True)
class Beside:
    """What came of one run: the small reads and the streams beside them."""

    small: Reading
    streams: Reading

    @property
    def p50_ms(self) -> float:
        return self.small.p50 * 1e3

    @property
    def p99_ms(self) -> float:
        return self.small.p99 * 1e3

    @property
    def requests_per_second(self) -> float:
        return self.small.requests / self.small.seconds

    @property
    def mb_per_second(self) -> float:
        return self.streams.mb_per_second


WAYS: Mapping[Scheme, tuple[str, ...]] = {
    "http": ("nezha", "nginx", "nginx, tcp_nopush off"),
    "https": ("nezha", "nginx"),
}
# Nezha / nginx in the 99th percentile.
TARGETS: Mapping[Scheme, Target] = {"http": Target(most=2.0), "https": Target(most=round(1 / 3, 3))}
Results = Mapping[tuple[Scheme, str], list[Beside]]


def main() -> None:
    chosen = report.options("benchmarks.bench_isolation", __doc__)
    around = report.surroundings()
    seconds = 2.0 if chosen.is_quick else SECONDS
    results: defaultdict[tuple[Scheme, str], list[Beside]] = defaultdict(list)
    with scene() as found:
        for way, path in itertools.product(WAYS["http"], (BIG, SMALL)):
            found.warm(way, Load(path, "http"))
        for round_no in range(chosen.rounds):
            for scheme, ways in WAYS.items():
                for way in in_turn(ways, round_no):
                    result = _measure(found, way, scheme, seconds)
                    results[scheme, way].append(result)
                    say(
                        f"round {round_no + 1}: {scheme}, {way}: "
                        f"p50 {result.p50_ms:.2f} ms, p99 {result.p99_ms:.2f} ms, "
                        f"{result.requests_per_second:.0f} req/s beside {result.mb_per_second:.0f} MB/s"
                    )
    report.finish("isolation", chosen, _document(around, chosen, results), _text(around, chosen, results))


def _measure(found: Scene, way: str, scheme: Scheme, seconds: float) -> Beside:
    before = found.origin.bytes_sent()
    streams = Load(BIG, scheme, connections=STREAMS, seconds=600.0)  # ended with the small reads
    small = Load(SMALL, scheme, connections=SMALL_CONNECTIONS, seconds=seconds)
    streamed, read = found.read_beside(way, streams, small)
    if found.origin.bytes_sent() != before:
        raise Failed(f"{way} asked the origin: these were to be hits")
    return Beside(read, streamed)


def _best(results: Results, scheme: Scheme) -> str:
    """The nginx with the shorter 99th percentile."""
    ways = [way for way in WAYS[scheme] if way != "nezha"]
    return min(ways, key=lambda way: Spread.of([each.p99_ms for each in results[scheme, way]]).median)


def _ratio(results: Results, scheme: Scheme, figure: str) -> tuple[float, Spread]:
    """Nezha / nginx: of the medians, and of each round."""
    ours = [float(getattr(each, figure)) for each in results[scheme, "nezha"]]
    theirs = [float(getattr(each, figure)) for each in results[scheme, _best(results, scheme)]]
    each_round = Spread.of([our / their for our, their in zip(ours, theirs, strict=True)])
    return Spread.of(ours).median / Spread.of(theirs).median, each_round


def _text(around: dict[str, Any], chosen: Options, results: Results) -> str:
    ratios = []
    for scheme in WAYS:
        value, spread = _ratio(results, scheme, "p99_ms")
        p50, requests = (_ratio(results, scheme, figure)[0] for figure in ("p50_ms", "requests_per_second"))
        shown = f"{value:.3f} [{spread.low:.3f}-{spread.high:.3f}]"
        peer = _best(results, scheme)
        ratios.append([scheme.upper(), shown, *TARGETS[scheme].cells(value), f"{p50:.3f}", f"{requests:.2f}", peer])
    rows = [
        [
            scheme.upper(),
            way,
            *(Spread.of([float(getattr(each, figure)) for each in found]).text(digits) for figure, digits in FIGURES),
        ]
        for (scheme, way), found in results.items()
    ]
    return "\n\n".join(
        [
            report.summary(around),
            f"Nezha over nginx, medians of {chosen.rounds} rounds, in brackets the lowest and highest of a round.",
            report.table(["over", "p99", "target", "", "p50", "req/s", "nginx chosen"], ratios),
            f"Each row: {SMALL_CONNECTIONS} clients read {SMALL_BYTES} bytes beside {STREAMS} streams of {BIG_BYTES}.",
            report.table(["over", "by", "p50 ms", "p99 ms", "req/s", "streams MB/s"], rows),
        ]
    )


FIGURES = (("p50_ms", 2), ("p99_ms", 2), ("requests_per_second", 0), ("mb_per_second", 0))


def _document(around: dict[str, Any], chosen: Options, results: Results) -> dict[str, Any]:
    rows = [
        {"scheme": scheme, "by": way}
        | {figure: [round(float(getattr(each, figure)), 3) for each in found] for figure, _ in FIGURES}
        for (scheme, way), found in results.items()
    ]
    ratios = []
    for scheme, target in TARGETS.items():
        value, spread = _ratio(results, scheme, "p99_ms")
        ratios.append(
            {
                "scheme": scheme,
                "nginx": _best(results, scheme),
                "p99_ratio": round(value, 4),
                "low": round(spread.low, 4),
                "high": round(spread.high, 4),
                "target_most": target.most,
                "is_met": target.is_met(value),
            }
        )
    return around | {"rounds": chosen.rounds, "ratios": ratios, "rows": rows}


if __name__ == "__main__":
    report.run(main)

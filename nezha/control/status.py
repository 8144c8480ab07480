"""What `nezha status` says of a serving process, from the metrics that it counts anyway."""

import os

from nezha import __version__
from nezha.metrics import Metrics


def counted(metrics: Metrics, size_bytes: int) -> dict[str, object]:
    """The facts that are counted; `requests` by outcome, over all origins."""
    requests: dict[str, int] = {}
    for (_, _, outcome), count in metrics.values(["requests"]).items():
        requests[outcome] = requests.get(outcome, 0) + int(count)
    return {
        "version": __version__,
        "pid": os.getpid(),
        "store": {
            "usable": bool(_value(metrics, "store_usable")),
            "objects": int(_value(metrics, "store_objects")),
            "bytes": int(_value(metrics, "store_bytes")),
            "size_bytes": size_bytes,
        },
        "fills": int(_value(metrics, "fills_running")),
        "fill_bytes_buffered": int(_value(metrics, "fill_bytes_buffered")),
        "grants": int(_value(metrics, "grants")),
        "connections": int(_value(metrics, "connections")),
        "requests": requests,
    }


def _value(metrics: Metrics, name: str) -> float:
    return sum(metrics.values([name]).values())

"""The table of metrics holds what the contract, the chart's rules and its dashboard name."""

import json
import re
from itertools import combinations
from pathlib import Path

from nezha.metrics import TABLE, Metrics

ROOT = Path(__file__).parents[1]
FILES = ROOT / "charts" / "nezha" / "files"
CONTRACT = {
    "requests": ("origin", "outcome"),
    "response_bytes": ("origin", "source"),
    "origin_requests": ("origin", "code"),
    "origin_bytes": ("origin",),
    "first_byte_seconds": ("origin", "outcome"),
    "request_seconds": ("origin", "outcome"),
    "fills_running": (),
    "fill_bytes_buffered": (),
    "grants": (),
    "store_bytes": (),
    "store_objects": (),
    "store_usable": (),
    "store_evicted_bytes": ("reason",),
    "store_errors": ("kind",),
    "corrupt_extents": (),
    "cut_responses": ("reason",),
    "connections": ("port",),
    "reviews": ("outcome",),
    "review_seconds": (),
    "injection_ready": (),
    "certificate_expiry_timestamp_seconds": ("certificate",),
    "build_info": ("version",),
}
SUFFIX = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def test_what_others_rely_on_is_there_by_its_name_and_labels() -> None:
    there = {row.name: tuple(label.name for label in row.labels) for row in TABLE}
    assert {name: there.get(name) for name in CONTRACT} == CONTRACT


def test_rules_and_dashboard_name_only_metrics_that_exist() -> None:
    exist = {f"nezha_{row.name}{suffix}" for row in TABLE for suffix in SUFFIX[row.kind]}
    for file in ("rules.yaml", "dashboard.json"):
        named = set(re.findall(r"\bnezha_\w+", (FILES / file).read_text()))
        assert len(named) > 10
        assert named <= exist


def test_the_dashboard_needs_only_records_that_the_rules_make() -> None:
    made = set(re.findall(r"record: (\S+)", (FILES / "rules.yaml").read_text()))
    assert set(re.findall(r"nezha:\w+:\w+", (FILES / "dashboard.json").read_text())) <= made


def test_no_panel_of_the_dashboard_lies_upon_another() -> None:
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    for one, other in combinations(places, 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_below, (one, other)
    assert max(place["x"] + place["w"] for place in places) == 24


def test_values_are_by_name_and_labels() -> None:
    metrics = Metrics()
    metrics.begin(["a", "b"])
    metrics.count("origin_bytes", "b", by=7)
    metrics.watch("grants", lambda: 3)
    assert metrics.values(("origin_bytes", "grants")) == {
        ("origin_bytes", "a"): 0,
        ("origin_bytes", "b"): 7,
        ("grants",): 3,
    }
    assert metrics.values(("origin_requests",)) == {}  # its codes are not known beforehand

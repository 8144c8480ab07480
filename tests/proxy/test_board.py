"""What the status page says, given figures."""

import math
from html.parser import HTMLParser

from nezha.proxy.board import duration, page, ratio, size
from nezha.proxy.figures import Sample

NOW = 1_700_000_000.0
READY = {"listening": True}
BUSY = {
    ("build_info", "1.2.3"): 1.0,
    ("requests", "imagenet", "hit"): 90.0,
    ("requests", "imagenet", "miss"): 10.0,
    ("requests", "<b>", "pass"): 2.0,
    ("reasons", "imagenet", "miss", "uri-miss"): 10.0,
    ("response_bytes", "imagenet", "cache"): 3 * 2.0**30,
    ("response_bytes", "imagenet", "origin"): 2.0**30,
    ("origin_requests", "imagenet", "200"): 10.0,
    ("origin_bytes", "imagenet"): 2.0**30,
    ("store_bytes",): 5 * 2.0**30,
    ("store_limit_bytes",): 100 * 2.0**30,
    ("store_objects",): 1234.0,
    ("store_usable",): 1.0,
    ("volume_free_bytes",): 7 * 2.0**30,
    ("volume_min_free_bytes",): 2.0**30,
    ("connections", "cache"): 3.0,
    ("certificate_expiry_timestamp_seconds", "ca"): NOW + 400 * 86400,
    ("certificate_expiry_timestamp_seconds", "leaf"): NOW + 2 * 86400,
    ("certificate_expiry_timestamp_seconds", "admission"): NOW - 5,
    ("certificate_expiry_timestamp_seconds", "next-ca"): math.nan,
}
IDLE: dict[tuple[str, ...], float] = {("store_usable",): 1.0, ("volume_free_bytes",): math.nan}


class Reader(HTMLParser):
    """The text of each element that says something, and the elements that were not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1] not in {"style", "script"}:
            self.texts.append((self.open[-1], data.strip()))


def read(samples: list[Sample], facts: dict[str, bool | str] | None = None) -> tuple[list[str], Reader]:
    reader = Reader()
    reader.feed(page(samples, READY if facts is None else facts, 7200.0, NOW))
    assert not reader.open
    return [text for _, text in reader.texts], reader


def test_it_says_how_well_the_cache_does_lately_and_ever() -> None:
    later = {**BUSY, ("requests", "imagenet", "hit"): 93.0, ("requests", "imagenet", "miss"): 11.0}
    texts, _ = read([Sample.of(0.0, BUSY), Sample.of(60.0, later)])
    for text in ("75.0%", "89.4% since start", "75.0% since start", "5.0 GiB", "of 100.0 GiB; 1,234 objects", "2 h"):
        assert any(text in each for each in texts), text
    assert "7.0 GiB of the volume free, 1.0 GiB stay so" in texts
    assert "ready" in texts
    assert "1.2.3 · up 2 h" in texts


def test_it_shows_the_speed_as_two_lines() -> None:
    _, reader = read([Sample.of(0.0, {}), Sample.of(5.0, BUSY), Sample.of(10.0, BUSY)])
    points = [value for name, value in reader.attributes if name == "points"]
    assert points == ["0.0,1.0 100.0,30.0", "0.0,8.3 100.0,30.0"]


def test_it_explains_what_did_not_come_from_the_cache() -> None:
    texts, _ = read([Sample.of(0.0, {}), Sample.of(300.0, BUSY)])
    row = texts.index("uri-miss")
    assert texts[row - 2 : row + 3] == ["imagenet", "miss", "uri-miss", "10", "10"]


def test_what_an_origin_is_called_is_text_and_no_markup() -> None:
    texts, _ = read([Sample.of(0.0, {}), Sample.of(5.0, BUSY)])
    assert "<b>" in texts


def test_an_idle_nezha_without_origins_has_a_page_too() -> None:
    texts, reader = read([Sample.of(0.0, IDLE), Sample.of(5.0, IDLE)])
    assert "No origin is configured." in texts
    assert "Nothing to explain yet." in texts
    assert "\N{EN DASH}" in texts  # no ratio of nothing
    assert not any("of the volume free" in text for text in texts)
    assert not any(name == "points" for name, _ in reader.attributes)
    assert "Admission" not in texts


def test_what_is_wrong_stands_at_the_top() -> None:
    broken = {**BUSY, ("store_usable",): 0.0}
    texts, _ = read([Sample.of(0.0, broken), Sample.of(5.0, broken)], {"not draining": False, "rules kept": "line 3"})
    assert texts[2:7] == [
        "not ready",
        "1.2.3 · up 2 h",
        "not: not draining",
        "rules kept: line 3",
        "the store takes no new bytes: everything comes from the origins",
    ]


def test_certificates_that_end_soon_are_marked_and_those_that_are_not_there_left_out() -> None:
    _, reader = read([Sample.of(0.0, BUSY), Sample.of(5.0, BUSY)])
    words = [text for _, text in reader.texts]
    assert ("td", "400 d") in reader.texts
    assert ("span", "2 d") in reader.texts
    assert ("span", "ended") in reader.texts
    assert "2024-12-18" in words
    assert "next-ca" not in words


def test_admission_is_told_where_there_is_any() -> None:
    asked = {**BUSY, ("reviews", "injected"): 4.0, ("reviews", "error"): 0.0}
    texts, _ = read([Sample.of(0.0, asked), Sample.of(5.0, asked)])
    assert "pods pass unchanged" in texts
    assert "; reviews: 4 injected." in texts
    assert "The rules file has an error." in texts
    ready = {**asked, ("injection_ready",): 1.0, ("rules_current",): 1.0}
    texts, _ = read([Sample.of(0.0, ready), Sample.of(5.0, ready)])
    assert "pods are injected" in texts
    assert "The rules file has an error." not in texts


def test_figures_are_for_people() -> None:
    assert [size(count) for count in (0, 1023, 1024, 5.5 * 2**20, 2.0**70)] == [
        "0 B", "1023 B", "1.0 KiB", "5.5 MiB", "1048576.0 PiB",
    ]  # fmt: skip
    assert (ratio(None), ratio(0.5), ratio(1.0)) == ("\N{EN DASH}", "50.0%", "100.0%")
    assert [duration(seconds) for seconds in (5, 60, 7200, 86400)] == ["5 s", "1 min", "2 h", "1 d"]

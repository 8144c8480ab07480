"""The first decision of a read: what the store can do for a request."""

from dataclasses import replace

import pytest

from nezha.model import Entry, Extent, Fields, Request
from nezha.semantics.decision import (
    Bypass,
    Decision,
    Miss,
    Revalidate,
    Selection,
    Serve,
    Unavailable,
    on_request,
    select,
)
from nezha.semantics.freshness import Policy

SIZE = 10
NOW = 1767225600.0
MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"
EARLIER = "Wed, 31 Dec 2025 00:00:00 GMT"
ENTRY = Entry(
    key="k",
    version="v",
    status=200,
    fields=Fields([("ETag", '"v1"'), ("Last-Modified", MODIFIED), ("Cache-Control", "max-age=60")]),
    size=SIZE,
    requested_at=NOW,
    answered_at=NOW,
    is_open=True,
)
STALE = replace(ENTRY, requested_at=NOW - 100, answered_at=NOW - 100)
ALL = [Extent(0, SIZE)]
WEB, OBJECT_STORE = Policy(), Policy(fresh=60, is_metadata=True)


def get(*items: tuple[str, str], method: str = "GET") -> Request:
    return Request(method, "/k", Fields(items), "a.org")


# Selection


@pytest.mark.parametrize(
    ("items", "selection"),
    [
        ([], Selection(200, Extent(0, SIZE))),
        ([("Range", "bytes=2-4")], Selection(206, Extent(2, 5))),
        ([("Range", "bytes=2-99")], Selection(206, Extent(2, SIZE))),
        ([("Range", "bytes=-3")], Selection(206, Extent(7, SIZE))),
        ([("Range", "bytes=10-")], Selection(416, None)),
        ([("Range", "bytes=-0")], Selection(416, None)),
        ([("Range", "bytes=4-2")], Selection(200, Extent(0, SIZE))),
        ([("Range", "bytes=2-4"), ("If-Range", '"v1"')], Selection(206, Extent(2, 5))),
        ([("Range", "bytes=2-4"), ("If-Range", '"v0"')], Selection(200, Extent(0, SIZE))),
        ([("Range", "bytes=99-"), ("If-Range", '"v0"')], Selection(200, Extent(0, SIZE))),
        ([("If-None-Match", '"v1"')], Selection(304, None)),
        ([("If-None-Match", '"v1"'), ("Range", "bytes=2-4")], Selection(304, None)),
        ([("If-None-Match", '"v0"'), ("Range", "bytes=2-4")], Selection(206, Extent(2, 5))),
        ([("If-Match", '"v0"')], Selection(412, None)),
        ([("If-Match", '"v0"'), ("Range", "bytes=99-")], Selection(412, None)),
        ([("If-Match", '"v1"'), ("Range", "bytes=2-4")], Selection(206, Extent(2, 5))),
    ],
)
def test_preconditions_come_first_then_the_range(items: list[tuple[str, str]], selection: Selection) -> None:
    assert select(get(*items), ENTRY) == selection


def test_a_range_is_defined_for_get_only() -> None:
    assert select(get(("Range", "bytes=2-4"), method="HEAD"), ENTRY) == Selection(200, Extent(0, SIZE))


def test_only_a_200_is_divided() -> None:
    assert select(get(("Range", "bytes=2-4")), replace(ENTRY, status=203)) == Selection(203, Extent(0, SIZE))


def test_an_object_of_no_bytes_is_an_answer() -> None:
    nothing = replace(ENTRY, size=0)
    assert select(get(), nothing) == Selection(200, Extent(0, 0))
    assert select(get(("Range", "bytes=0-")), nothing) == Selection(416, None)
    assert on_request(get(), nothing, [], WEB, NOW) == Serve(Selection(200, Extent(0, 0)), 60)


# A request


def test_what_is_not_stored_is_a_miss() -> None:
    assert on_request(get(), None, [], WEB, NOW) == Miss((), "uri-miss")


@pytest.mark.parametrize(
    ("items", "stored", "decision"),
    [
        ([], ALL, Serve(Selection(200, Extent(0, 10)), 60)),
        ([], [], Miss((Extent(0, 10),), "partial")),
        ([], [Extent(0, 4), Extent(6, 8)], Miss((Extent(4, 6), Extent(8, 10)), "partial")),
        ([("Range", "bytes=1-3")], [Extent(0, 4)], Serve(Selection(206, Extent(1, 4)), 60)),
        ([("Range", "bytes=1-4")], [Extent(0, 4)], Miss((Extent(4, 5),), "partial")),
        ([("Range", "bytes=10-")], [], Serve(Selection(416, None), 60)),
        ([("If-None-Match", '"v1"')], [], Serve(Selection(304, None), 60)),
        ([("If-Match", '"v0"')], [], Miss((), "request")),
    ],
)
def test_what_is_stored_is_served_and_only_its_gaps_are_fetched(
    items: list[tuple[str, str]], stored: list[Extent], decision: Serve | Miss
) -> None:
    assert on_request(get(*items), ENTRY, stored, WEB, NOW) == decision


def test_a_head_needs_no_byte_of_the_object() -> None:
    assert on_request(get(method="HEAD"), ENTRY, [], WEB, NOW) == Serve(Selection(200, Extent(0, SIZE)), 60)


@pytest.mark.parametrize(
    ("value", "method", "reason"),
    [
        ("bytes=0-1,x", "GET", "multiple-ranges"),
        ("bytes=,", "GET", "multiple-ranges"),
        # what we do not understand the origin may, and its 206 would be unasked
        *((value, "GET", "range") for value in ("bytes= 0-1", "bytes=0 - 1", "lines=0-1", "bytes=4-2", "", "x")),
        ("bytes=0-1", "HEAD", "range"),
        ("bytes=0-1,3-4", "HEAD", "multiple-ranges"),
    ],
)
@pytest.mark.parametrize("entry", [None, ENTRY])
def test_a_range_that_is_not_one_of_bytes_is_left_to_the_origin(
    value: str, method: str, reason: str, entry: Entry | None
) -> None:
    assert on_request(get(("Range", value), method=method), entry, ALL, WEB, NOW) == Bypass(reason)


@pytest.mark.parametrize("name", ["Accept-Language", "If-Modified-Since", "If-Range", "X-Token"])
def test_a_request_that_lets_fields_vanish_on_the_way_is_neither_served_nor_stored(name: str) -> None:
    # Stored under their values, the answer to a request without them would be another client's.
    request = get(("Connection", f"keep-alive, {name.lower()}"), (name, "x"))
    assert on_request(request, ENTRY, ALL, WEB, NOW) == Bypass("connection")


@pytest.mark.parametrize("connection", ["keep-alive", "close", "TE", "x-absent", "close, Range"])
def test_an_ordinary_connection_field_changes_nothing(connection: str) -> None:
    request = get(("Connection", connection), ("TE", "trailers"), ("Range", "bytes=0-9"))
    assert on_request(request, ENTRY, ALL, WEB, NOW) == Serve(Selection(206, Extent(0, SIZE)), 60)


@pytest.mark.parametrize("entry", [None, ENTRY])
def test_no_store_in_a_request_keeps_it_out_of_the_store(entry: Entry | None) -> None:
    request = get(("Cache-Control", "no-store"))
    assert on_request(request, entry, ALL, WEB, NOW) == Bypass("request-no-store")
    assert not isinstance(on_request(request, entry, ALL, OBJECT_STORE, NOW), Bypass)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], None),
        ([("Cache-Control", "no-cache")], "request-no-cache"),
        ([("Cache-Control", "max-age=0")], "request-max-age"),
        ([("Cache-Control", "max-age=19")], "request-max-age"),
        ([("Cache-Control", "max-age=20")], None),
        ([("Cache-Control", "max-age=bad")], None),
        ([("Cache-Control", "min-fresh=40")], None),
        ([("Cache-Control", "min-fresh=41")], "request-min-fresh"),
        ([("Cache-Control", "max-age=30, min-fresh=50")], "request-min-fresh"),
        ([("Cache-Control", "max-stale=99")], None),
        ([("Pragma", "no-cache")], "request-no-cache"),
        ([("Pragma", "No-Cache, x")], "request-no-cache"),
        ([("Pragma", "x")], None),
        ([("Pragma", "no-cache"), ("Cache-Control", "max-age=30")], None),
    ],
)
@pytest.mark.parametrize("policy", [WEB, OBJECT_STORE])
def test_a_client_may_want_it_fresher_than_it_is(
    items: list[tuple[str, str]], reason: str | None, policy: Policy
) -> None:
    selection = Selection(200, Extent(0, SIZE))
    expected = Serve(selection, 40) if reason is None else Revalidate(selection, reason)
    assert on_request(get(*items), ENTRY, ALL, policy, NOW + 20) == expected


@pytest.mark.parametrize(
    ("later", "decision"),
    [
        (59, Serve(Selection(200, Extent(0, SIZE)), 1)),
        (60, Revalidate(Selection(200, Extent(0, SIZE)), "stale")),
        (1000, Revalidate(Selection(200, Extent(0, SIZE)), "stale")),
    ],
)
def test_a_stale_object_is_asked_for_first(later: float, decision: Serve | Revalidate) -> None:
    assert on_request(get(), ENTRY, ALL, WEB, NOW + later) == decision


STALE_BY_40 = NOW + 100


def controlled(value: str) -> Entry:
    return replace(ENTRY, fields=ENTRY.fields.with_field("Cache-Control", f"max-age=60, {value}"))


@pytest.mark.parametrize(
    ("response", "request_control", "reason"),
    [
        ("stale-while-revalidate=50", "", "stale-while-revalidate"),
        ("stale-while-revalidate=40", "", "stale-while-revalidate"),
        ("stale-while-revalidate=39", "", None),
        ("stale-while-revalidate=0", "", None),
        ("x", "max-stale", "max-stale"),
        ("x", "max-stale=40", "max-stale"),
        ("x", "max-stale=39", None),
        ("x", "max-stale=x", None),
        ("x", "max-stale=5000", None),  # past the route's grace
        ("x", "max-stale, min-fresh=1", None),
        ("x", "max-stale, max-age=99", None),
        ("x", "max-stale, no-cache", None),
        ("stale-while-revalidate=50", "no-cache", None),
        *((f"stale-while-revalidate=50, {never}", "max-stale", None) for never in ("must-revalidate", "no-cache")),
        ("s-maxage=60, stale-while-revalidate=50", "max-stale", None),
    ],
)
def test_stale_is_served_where_the_origin_or_the_client_says_so(
    response: str, request_control: str, reason: str | None
) -> None:
    request = get(("Cache-Control", request_control))
    grace = 30.0 if request_control == "max-stale=5000" else 1000.0
    decision = on_request(request, controlled(response), ALL, Policy(grace=grace), STALE_BY_40)
    if reason is None:
        assert isinstance(decision, Revalidate)
    else:
        refreshes = reason == "stale-while-revalidate"
        assert decision == Serve(Selection(200, Extent(0, SIZE)), -40, reason, refreshes)


def test_no_uploader_and_no_client_makes_an_object_of_a_store_last() -> None:
    policy = Policy(fresh=60, grace=1000, is_metadata=True)
    request = get(("Cache-Control", "max-stale"))
    decision = on_request(request, controlled("stale-while-revalidate=99"), ALL, policy, STALE_BY_40)
    assert isinstance(decision, Revalidate)


@pytest.mark.parametrize(
    ("control", "later", "is_served"),
    [("max-age=0", 20, True), ("max-age=0", 100, False), ("no-cache", 20, False)],
)
def test_a_reload_does_not_ask_for_what_never_changes(control: str, later: float, is_served: bool) -> None:
    decision = on_request(get(("Cache-Control", control)), controlled("immutable"), ALL, WEB, NOW + later)
    assert isinstance(decision, Serve if is_served else Revalidate)


NEEDS_NOTHING = ("Cache-Control", "only-if-cached")


@pytest.mark.parametrize(
    ("entry", "stored", "items"),
    [
        (None, ALL, ()),
        (STALE, ALL, ()),
        (ENTRY, [], ()),
        (ENTRY, ALL, (("Range", "x"),)),
        (ENTRY, ALL, (("If-Match", '"x"'),)),
    ],
)
def test_who_wants_nothing_asked_gets_what_needs_none(
    entry: Entry | None, stored: list[Extent], items: tuple[tuple[str, str], ...]
) -> None:
    request = get(NEEDS_NOTHING, *items)
    assert on_request(request, entry, stored, WEB, NOW) == Unavailable("only-if-cached")
    assert not isinstance(on_request(request, entry, stored, OBJECT_STORE, NOW), Unavailable)
    assert isinstance(on_request(get(NEEDS_NOTHING), ENTRY, ALL, WEB, NOW), Serve)


@pytest.mark.parametrize(
    ("control", "later", "decision"),
    [
        ("", 20, Serve(Selection(404, Extent(0, SIZE)), 40)),
        ("", 100, Miss((), "stale")),
        ("no-cache", 20, Miss((), "request")),
    ],
)
def test_a_stored_error_is_used_while_it_is_fresh_and_never_asked_about(
    control: str, later: float, decision: Decision
) -> None:
    request = get(("If-None-Match", '"v1"'), ("Range", "bytes=0-1"), ("Cache-Control", control))
    assert on_request(request, replace(ENTRY, status=404), ALL, WEB, NOW + later) == decision


# Several ranges


BIG = replace(ENTRY, size=100_000)
PARTS = (Extent(0, 2), Extent(500, 502))


@pytest.mark.parametrize(
    ("value", "selection"),
    [
        ("bytes=0-1,500-501", Selection(206, Extent(0, 502), PARTS)),
        ("bytes=500-501,0-1", Selection(206, Extent(0, 502), PARTS[::-1])),
        ("bytes=0-1,1-2", Selection(206, Extent(0, 3))),
        ("bytes=0-1,200000-", Selection(206, Extent(0, 2))),
        ("bytes=100000-,200000-", Selection(416, None)),
        (f"bytes={','.join(f'{n}000-{n}001' for n in range(1, 66))}", Selection(200, Extent(0, 100_000))),
        ("bytes=0-1,x", Selection(200, Extent(0, 100_000))),
    ],
)
def test_several_ranges_are_parts(value: str, selection: Selection) -> None:
    assert select(get(("Range", value)), BIG) == selection


def test_several_ranges_come_from_what_is_stored_or_from_the_origin() -> None:
    request = get(("Range", "bytes=0-1,500-501"))
    assert on_request(request, BIG, PARTS, WEB, NOW) == Serve(Selection(206, Extent(0, 502), PARTS), 60)
    assert on_request(request, BIG, PARTS[:1], WEB, NOW) == Bypass("multiple-ranges")
    assert on_request(request, None, (), WEB, NOW) == Bypass("multiple-ranges")
    assert on_request(request, BIG, PARTS, OBJECT_STORE, NOW) == Bypass("multiple-ranges")
    assert Selection(416, None).extents == ()
    assert Selection(206, Extent(0, 502), PARTS).extents == PARTS


@pytest.mark.parametrize(
    "items",
    [[("If-Match", '"v2"')], [("If-Match", '"v2"'), ("Range", "bytes=0-4")], [("If-Unmodified-Since", EARLIER)]],
)
def test_who_knows_another_version_of_a_stored_object_asks_for_it(items: list[tuple[str, str]]) -> None:
    # Else clients that send If-Match with each range would pass a changed object for ever, and never store it.
    assert on_request(get(*items), ENTRY, ALL, OBJECT_STORE, NOW) == Miss((), "request")

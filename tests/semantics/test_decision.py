"""The two decisions of a read: what the store can do for a request, what to do with an origin's answer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Extent, Fields, Head, Request
from nezha.semantics.decision import (
    Bypass,
    Context,
    Fail,
    Forward,
    Framing,
    Freshen,
    Miss,
    Revalidate,
    Selection,
    Serve,
    Store,
    freshened,
    is_completable,
    is_same_version,
    on_request,
    on_response,
    select,
)
from nezha.semantics.freshness import Policy
from nezha.semantics.headers import HOP_BY_HOP
from nezha.semantics.ranges import WHOLE, Span

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
OF_ALL = frozenset({"x-amz-checksum-crc32"})
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
        ([("If-Match", '"v0"')], [], Serve(Selection(412, None), 60)),
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
        ("bytes=0-1,3-4", "GET", "multiple-ranges"),
        ("bytes=0-1,", "GET", "multiple-ranges"),
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


def test_max_stale_does_not_make_a_stale_object_fresh() -> None:
    decision = on_request(get(("Cache-Control", "max-stale")), STALE, ALL, WEB, NOW)
    assert decision == Revalidate(Selection(200, Extent(0, SIZE)), "stale")


@pytest.mark.parametrize(
    "items",
    [[("If-Match", '"v2"')], [("If-Match", '"v2"'), ("Range", "bytes=0-4")], [("If-Unmodified-Since", EARLIER)]],
)
def test_who_knows_another_version_of_a_stored_object_asks_for_it(items: list[tuple[str, str]]) -> None:
    # Else clients that send If-Match with each range would pass a changed object for ever, and never store it.
    assert on_request(get(*items), ENTRY, ALL, OBJECT_STORE, NOW) == Miss((), "request")


# An answer


def context(
    *items: tuple[str, str],
    asked: Span | None = None,
    shows_credential: bool = False,
    policy: Policy = WEB,
    may_store: bool = True,
    honors_no_store: bool = False,
) -> Context:
    return Context(get(*items), asked, shows_credential, policy, may_store, honors_no_store, 100, OF_ALL, NOW, NOW)


def answer(*items: tuple[str, str], status: int = 200) -> Head:
    return Head(status, Fields([("ETag", '"v1"'), *items]))


def part(content_range: str | None, *items: tuple[str, str]) -> Head:
    ranges = [("Content-Range", content_range)] if content_range is not None else []
    return answer(*ranges, *items, status=206)


def test_a_200_is_stored_less_what_was_for_this_exchange_only() -> None:
    head = answer(
        *(("Content-Length", "10"), ("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "5")),
        *(("Set-Cookie", "a=b"), ("Content-Range", "bytes 0-9/10"), ("X-Kept", "2")),
    )
    kept = Fields([("ETag", '"v1"'), ("Content-Length", "10"), ("X-Kept", "2")])
    assert on_response(head, Framing.LENGTH, 10, context()) == Store(200, kept, Extent(0, 10), 10, is_strong=True)


def test_the_size_of_a_chunked_body_is_known_at_its_end() -> None:
    fields = Fields([("ETag", 'W/"v1"')])
    decision = on_response(Head(200, fields), Framing.CHUNKED, None, context())
    assert decision == Store(200, fields, Extent(0, 0), None, is_strong=False)


def test_what_describes_the_whole_object_is_not_taken_from_a_part() -> None:
    checksum = ("X-Amz-Checksum-Crc32", "DUoRhQ==")
    for content_range, asked, length, kept in (("2-4", Span(2, 5), 3, None), ("0-9", Span(0, None), 10, "DUoRhQ==")):
        found = on_response(part(f"bytes {content_range}/10", checksum), Framing.LENGTH, length, context(asked=asked))
        assert isinstance(found, Store)
        assert found.fields.get("x-amz-checksum-crc32") == kept


def test_a_206_is_stored_as_a_part_of_a_200() -> None:
    head = part("bytes 2-4/10", ("Content-Length", "3"), ("Content-Type", "a/b"))
    decision = on_response(head, Framing.LENGTH, 3, context(asked=Span(2, 5)))
    kept = Fields([("ETag", '"v1"'), ("Content-Type", "a/b")])
    assert decision == Store(200, kept, Extent(2, 5), 10, is_strong=True)


def test_a_304_updates_what_is_stored() -> None:
    head = Head(304, Fields([("ETag", '"v1"'), ("Connection", "close"), ("X-New", "1")]))
    assert on_response(head, Framing.LENGTH, 0, context()) == Freshen(Fields([("ETag", '"v1"'), ("X-New", "1")]))


@pytest.mark.parametrize(
    "status", [203, 204, 226, 300, 301, 302, 307, 308, 400, 401, 403, 404, 410, 412, 416, 500, 503]
)
@pytest.mark.parametrize("policy", [WEB, OBJECT_STORE])
def test_any_other_status_is_its_clients_own(status: int, policy: Policy) -> None:
    head = answer(("Cache-Control", "public, max-age=60"), status=status)
    assert on_response(head, Framing.LENGTH, 10, context(policy=policy)) == Forward("status")


@pytest.mark.parametrize(
    ("items", "more", "web", "store"),
    [
        ([], {}, None, None),
        ([], {"may_store": False}, "anonymous", "anonymous"),
        ([("Vary", "*")], {}, "vary", "vary"),
        ([("Vary", "Accept, *")], {}, "vary", "vary"),
        ([("Vary", "Accept")], {}, None, None),
        # RFC 9111 3 binds on the web; on object stores it is the uploader's word, honoured where the route says so
        ([("Cache-Control", "no-store")], {}, "no-store", None),
        ([("Cache-Control", "private")], {}, "private", None),
        ([("Cache-Control", 'private="x-a", max-age=60')], {}, "private", None),
        ([("Cache-Control", "private, no-store")], {}, "no-store", None),
        ([("Cache-Control", "no-store")], {"honors_no_store": True}, "no-store", "no-store"),
        ([("Cache-Control", "private")], {"honors_no_store": True}, "private", "no-store"),
        ([("Cache-Control", "max-age=60")], {"honors_no_store": True}, None, None),
        ([("Cache-Control", "no-cache")], {}, None, None),
        # 3.5: the answer to one who shows a credential
        ([], {"shows_credential": True}, "authorization", None),
        ([("Cache-Control", "max-age=60")], {"shows_credential": True}, "authorization", None),
        ([("Cache-Control", "public")], {"shows_credential": True}, None, None),
        ([("Cache-Control", "s-maxage=0")], {"shows_credential": True}, None, None),
        ([("Cache-Control", "must-revalidate")], {"shows_credential": True}, None, None),
        ([("Cache-Control", "public, private")], {"shows_credential": True}, "private", None),
    ],
)
def test_an_answer_is_stored_where_it_may_be(
    items: list[tuple[str, str]], more: dict[str, Any], web: str | None, store: str | None
) -> None:
    for policy, reason in ((WEB, web), (OBJECT_STORE, store)):
        decision = on_response(answer(*items), Framing.LENGTH, 10, replace(context(policy=policy), **more))
        assert decision == Forward(reason) if reason else isinstance(decision, Store)


@pytest.mark.parametrize(
    ("items", "policy", "reason"),
    [
        ([], WEB, "no-validator"),
        ([("Cache-Control", "max-age=0")], WEB, "no-validator"),
        ([("Cache-Control", "max-age=60")], WEB, None),
        ([("Last-Modified", MODIFIED)], WEB, None),
        ([("ETag", 'W/"v1"')], WEB, None),
        ([], Policy(fresh=5), None),
        ([], OBJECT_STORE, None),
    ],
)
def test_what_is_of_no_use_later_is_not_stored(
    items: list[tuple[str, str]], policy: Policy, reason: str | None
) -> None:
    decision = on_response(Head(200, Fields(items)), Framing.LENGTH, 10, context(policy=policy))
    assert decision == Forward(reason) if reason else isinstance(decision, Store)


def test_a_body_that_only_the_connections_end_ends_is_not_stored() -> None:
    assert on_response(answer(), Framing.CLOSE, None, context()) == Forward("no-length")


@pytest.mark.parametrize(("size", "is_stored"), [(100, True), (101, False)])
def test_an_object_larger_than_the_route_allows_is_not_stored(size: int, is_stored: bool) -> None:
    whole = on_response(answer(), Framing.LENGTH, size, context())
    some = on_response(part(f"bytes 0-4/{size}"), Framing.LENGTH, 5, context(asked=Span(0, 5)))
    for decision in (whole, some):
        assert isinstance(decision, Store) if is_stored else decision == Forward("too-large")


@pytest.mark.parametrize(
    ("head", "framing", "length"),
    [
        (part("bytes 2-4/*"), Framing.LENGTH, 3),
        (part("bytes 2-4/10"), Framing.CHUNKED, None),
        (Head(206, Fields([("Content-Range", "bytes 2-4/10"), ("ETag", 'W/"v1"')])), Framing.LENGTH, 3),
        (Head(206, Fields([("Content-Range", "bytes 2-4/10"), ("Last-Modified", MODIFIED)])), Framing.LENGTH, 3),
        (part(None, ("Content-Type", "Multipart/ByteRanges; boundary=x")), Framing.LENGTH, 300),
    ],
)
def test_a_part_that_no_other_can_be_joined_to_is_its_clients_own(
    head: Head, framing: Framing, length: int | None
) -> None:
    assert on_response(head, framing, length, context(asked=Span(2, 5))) == Forward("partial-unusable")


@pytest.mark.parametrize(
    ("asked", "content_range", "length", "reason"),
    [
        # exactly, or less from where it was asked (RFC 9110 15.3.7)
        (Span(2, 5), "bytes 2-4/10", 3, None),
        (Span(2, 5), "bytes 2-4/10", None, None),
        (Span(2, 5), "bytes 2-3/10", 2, None),
        (Span(2, 99), "bytes 2-9/10", 8, None),
        (Span(2, None), "bytes 2-9/10", 8, None),
        (Span(None, 3), "bytes 7-9/10", 3, None),
        (Span(None, 30), "bytes 0-9/10", 10, None),
        (WHOLE, "bytes 0-9/10", 10, None),
        (Span(2, 5), "bytes 2-4/*", 3, None),
        (Span(None, 3), "bytes 7-9/*", 3, None),
        # anything else contradicts
        (None, "bytes 2-4/10", 3, "unasked 206"),
        (Span(2, 5), None, 3, "bad Content-Range"),
        (Span(2, 5), "bytes 4-2/10", 3, "bad Content-Range"),
        (Span(2, 5), "bytes 2-4/10, bytes 2-4/10", 3, "bad Content-Range"),
        (Span(2, 5), "bytes 3-4/10", 2, "wrong Content-Range"),
        (Span(2, 5), "bytes 2-5/10", 4, "wrong Content-Range"),
        (Span(2, 5), "bytes 0-9/10", 10, "wrong Content-Range"),
        (Span(None, 3), "bytes 6-8/10", 3, "wrong Content-Range"),
        (Span(2, 5), "bytes 3-4/*", 2, "wrong Content-Range"),
        (Span(20, 25), "bytes 0-4/10", 5, "wrong Content-Range"),
        (Span(None, 0), "bytes 9-9/10", 1, "wrong Content-Range"),
        (Span(2, 5), "bytes 2-4/10", 4, "wrong length"),
        (Span(2, 5), "bytes 2-4/10", 0, "wrong length"),
    ],
)
def test_no_byte_is_used_of_a_206_that_contradicts_itself_or_the_request(
    asked: Span | None, content_range: str | None, length: int | None, reason: str | None
) -> None:
    decision = on_response(part(content_range), Framing.LENGTH, length, context(asked=asked))
    assert decision == Fail(reason) if reason else not isinstance(decision, Fail)


def test_an_answer_that_may_not_be_stored_is_checked_all_the_same() -> None:
    refused = context(asked=Span(2, 5), may_store=False)
    assert on_response(part("bytes 3-4/10"), Framing.LENGTH, 2, refused) == Fail("wrong Content-Range")


HEADS = st.builds(
    Head,
    st.sampled_from([200, 206, 304, 404]),
    st.lists(
        st.tuples(
            st.sampled_from(["ETag", "Content-Range", "Cache-Control", "Vary", "Connection", "Set-Cookie", "TE"]),
            st.sampled_from(['"v1"', "bytes 2-4/10", "bytes 0-9/10", "no-store", "max-age=5", "*", "vary"]),
        ),
        max_size=6,
    ).map(Fields),
)


@given(
    HEADS,
    st.sampled_from(Framing),
    st.none() | st.integers(0, 200),
    st.sampled_from([None, Span(2, 5), Span(None, 3), WHOLE]),
    st.booleans(),
)
def test_what_is_stored_is_always_consistent(
    head: Head, framing: Framing, length: int | None, asked: Span | None, is_store: bool
) -> None:
    decision = on_response(head, framing, length, context(asked=asked, policy=OBJECT_STORE if is_store else WEB))
    if isinstance(decision, Store):
        assert decision.size is None or 0 <= decision.extent.start <= decision.extent.stop <= decision.size <= 100
        assert decision.is_strong or decision.extent == Extent(0, decision.size or 0)
        assert (HOP_BY_HOP | {"set-cookie", "content-range"}).isdisjoint(decision.fields.names())


# Versions


@pytest.mark.parametrize(
    ("etag", "is_same"), [('"v1"', True), ('"v2"', False), ('W/"v1"', False), (None, False), ("v1", False)]
)
def test_two_answers_are_one_version_by_equal_strong_validator_only(etag: str | None, is_same: bool) -> None:
    fields = Fields([("Last-Modified", MODIFIED), *([("ETag", etag)] if etag else [])])
    assert is_same_version(ENTRY, fields) is is_same


def test_answers_without_a_strong_validator_are_never_one_version() -> None:
    for fields in (Fields([("ETag", 'W/"v1"')]), Fields([("Last-Modified", MODIFIED)]), Fields()):
        assert not is_same_version(replace(ENTRY, fields=fields), fields)


@pytest.mark.parametrize(
    ("stored", "other", "is_same"), [("1", "1", True), ("1", "2", False), ("1", "", False), ("", "1", False)]
)
def test_where_there_is_a_mark_it_alone_tells_versions_apart(stored: str, other: str, is_same: bool) -> None:
    # the ETag is the same, or none
    assert is_same_version(replace(ENTRY, mark=stored), ENTRY.fields, other) is is_same
    assert is_same_version(replace(ENTRY, mark=stored, fields=Fields()), Fields(), other) is is_same


@pytest.mark.parametrize(
    ("etag", "mark", "may"),
    [('"v1"', "", True), (None, "1", True), ("v1", "1", True), ("v1", "", False), (None, "", False)],
)
def test_a_version_may_be_completed_where_something_strong_names_it(etag: str | None, mark: str, may: bool) -> None:
    fields = Fields([("ETag", etag)] if etag else [])
    assert is_completable(replace(ENTRY, fields=fields, mark=mark)) is may


def test_a_part_of_a_marked_version_is_stored_without_an_etag() -> None:
    head = Head(206, Fields([("ETag", "v1"), ("Content-Range", "bytes 2-4/10")]))
    asked = context(asked=Span(2, 5), policy=OBJECT_STORE)
    assert on_response(head, Framing.LENGTH, 3, asked) == Forward("partial-unusable")
    decision = on_response(head, Framing.LENGTH, 3, replace(asked, mark="1"))
    assert decision == Store(200, Fields([("ETag", "v1")]), Extent(2, 5), 10, is_strong=True)


def test_what_its_dialect_calls_unfit_is_not_stored() -> None:
    asked = replace(context(policy=OBJECT_STORE), unfit="transcoded")
    assert on_response(answer(), Framing.LENGTH, 3, asked) == Forward("transcoded")


# Freshened


STORED = Fields(
    [
        *(("ETag", '"v1"'), ("Content-Length", "10"), ("Content-Type", "a/b"), ("Cache-Control", "max-age=5")),
        *(("Date", EARLIER), ("Age", "50"), ("X-A", "1"), ("X-A", "2"), ("X-B", "3")),
    ]
)


def test_the_fields_of_a_304_replace_those_stored() -> None:
    update = Fields([("Date", MODIFIED), ("cache-control", "max-age=60"), ("x-a", "4"), ("X-New", "5")])
    assert list(freshened(STORED, update)) == [
        *(("ETag", '"v1"'), ("Content-Length", "10"), ("Content-Type", "a/b"), ("X-B", "3")),
        *(("Date", MODIFIED), ("cache-control", "max-age=60"), ("x-a", "4"), ("X-New", "5")),
    ]


@pytest.mark.parametrize(
    "name", ["Content-Length", "Content-Encoding", "Content-Type", "Content-Range", "Set-Cookie", "ETag"]
)
def test_a_304_changes_neither_the_frame_nor_the_name_of_a_version(name: str) -> None:
    for stored in (STORED, STORED.without([name.lower()])):
        assert freshened(stored, Fields([(name, 'W/"x"')])).all(name.lower()) == stored.all(name.lower())


@pytest.mark.parametrize("name", ["Age", "Date"])
def test_the_age_and_the_date_of_the_old_answer_do_not_outlive_it(name: str) -> None:
    assert name.lower() not in freshened(STORED, Fields([("ETag", '"v1"')]))


def test_a_304_of_another_version_updates_nothing() -> None:
    assert freshened(STORED, Fields([("ETag", '"v2"'), ("Cache-Control", "max-age=9999")])) == STORED


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', 'W/"v2"'])
def test_a_304_of_the_version_or_without_a_strong_etag_updates_it(etag: str) -> None:
    assert freshened(STORED, Fields([("ETag", etag), ("X-B", "9")])).get("x-b") == "9"


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "Content-Type"]), st.sampled_from("xy")), max_size=6).map(Fields))
def test_to_freshen_twice_is_to_freshen_once(update: Fields) -> None:
    once = freshened(STORED, update)
    assert freshened(once, update) == once

"""The second decision of a read: what becomes of an origin's answer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nezha.model import Entry, Extent, Fields, Head, Request
from nezha.semantics.freshness import HEURISTIC, Policy
from nezha.semantics.headers import HOP_BY_HOP
from nezha.semantics.ranges import WHOLE, Span
from nezha.semantics.storing import (
    Context,
    Fail,
    Forward,
    Framing,
    Freshen,
    News,
    Store,
    forbids_storing,
    is_about,
    is_beside,
    is_head_of,
    is_same_version,
    on_response,
    outdated,
    own_of,
    renewed,
)

NOW = 1767225600.0
MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"
EARLIER = "Wed, 31 Dec 2025 00:00:00 GMT"
DATE = ("Date", MODIFIED)
ENTRY = Entry(
    key="k",
    version="v",
    status=200,
    fields=Fields([("ETag", '"v1"'), ("Last-Modified", MODIFIED), ("Cache-Control", "max-age=60")]),
    size=10,
    requested_at=NOW,
    answered_at=NOW,
    is_open=True,
)
OF_ALL = frozenset({"x-amz-checksum-crc32"})
WEB, OBJECT_STORE = Policy(), Policy(fresh=60, is_metadata=True)


def get(*items: tuple[str, str], method: str = "GET") -> Request:
    return Request(method, "/k", Fields(items), "a.org")


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
    return Head(status, Fields([("ETag", '"v1"'), DATE, *items]))


def part(content_range: str | None, *items: tuple[str, str]) -> Head:
    ranges = [("Content-Range", content_range)] if content_range is not None else []
    return answer(*ranges, *items, status=206)


def test_a_200_is_stored_less_what_was_for_this_exchange_only() -> None:
    head = answer(
        *(("Content-Length", "10"), ("Connection", "close, X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "5")),
        *(("Set-Cookie", "a=b"), ("Content-Range", "bytes 0-9/10"), ("X-Kept", "2"), ("Trailer", "X-Sum")),
    )
    kept = Fields([("ETag", '"v1"'), DATE, ("Content-Length", "10"), ("X-Kept", "2")])
    assert on_response(head, Framing.LENGTH, 10, context()) == Store(200, kept, Extent(0, 10), 10, is_strong=True)


def test_the_size_of_a_chunked_body_is_known_at_its_end() -> None:
    fields = Fields([("ETag", 'W/"v1"'), DATE])
    decision = on_response(Head(200, fields), Framing.CHUNKED, None, context())
    assert decision == Store(200, fields, Extent(0, 0), None, is_strong=False)


def test_what_describes_the_whole_object_is_not_taken_from_a_part() -> None:
    checksum = ("X-Amz-Checksum-Crc32", "DUoRhQ==")
    for content_range, asked, length, kept in (("2-4", Span(2, 5), 3, None), ("0-9", Span(0, None), 10, "DUoRhQ==")):
        found = on_response(part(f"bytes {content_range}/10", checksum), Framing.LENGTH, length, context(asked=asked))
        assert isinstance(found, Store)
        assert found.fields.get("x-amz-checksum-crc32") == kept
    stored = replace(ENTRY, fields=Fields([checksum]))
    news = News(Fields([("X-Amz-Checksum-Crc32", "AAAAAA==")]), NOW, NOW, is_open=True)
    assert renewed(stored, news, OF_ALL, is_metadata=True).fields.get("x-amz-checksum-crc32") == "DUoRhQ=="


def test_a_206_is_stored_as_a_part_of_a_200() -> None:
    head = part("bytes 2-4/10", ("Content-Length", "3"), ("Content-Type", "a/b"))
    decision = on_response(head, Framing.LENGTH, 3, context(asked=Span(2, 5)))
    kept = Fields([("ETag", '"v1"'), DATE, ("Content-Type", "a/b")])
    assert decision == Store(200, kept, Extent(2, 5), 10, is_strong=True)


def test_a_304_updates_what_is_stored() -> None:
    head = Head(304, Fields([("ETag", '"v1"'), ("Connection", "close"), ("X-New", "1")]))
    assert on_response(head, Framing.LENGTH, 0, context()) == Freshen(Fields([("ETag", '"v1"'), ("X-New", "1")]))


EXPLICIT = [203, 204, 226, 299, 300, 301, 302, 307, 308, 400, 401, 403, 404, 410, 412, 416, 500, 503, 599]


@pytest.mark.parametrize("status", EXPLICIT)
def test_any_status_is_stored_that_says_for_how_long(status: int) -> None:
    head = Head(status, Fields([DATE, ("Cache-Control", "max-age=60"), ("ETag", '"v1"')]))
    stored = Store(status, head.fields, Extent(0, 10), 10, is_strong=False)
    assert on_response(head, Framing.LENGTH, 10, context()) == stored
    assert on_response(head, Framing.LENGTH, 10, context(policy=OBJECT_STORE)) == Forward("status")


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 302, 307, 404, 410, 501, 503, 599])
def test_one_that_does_not_is_stored_where_that_may_be_guessed(status: int) -> None:
    policy = Policy(fresh=60, is_heuristic=True)
    head = Head(status, Fields([("Date", MODIFIED), ("Last-Modified", EARLIER)]))
    decision = on_response(head, Framing.LENGTH, 10, context(policy=policy))
    assert isinstance(decision, Store) if status in HEURISTIC else decision == Forward("status")
    public = Head(status, Fields([*head.fields, ("Cache-Control", "public")]))
    assert isinstance(on_response(public, Framing.LENGTH, 10, context(policy=policy)), Store)


def test_a_validator_of_an_error_is_of_no_use() -> None:
    head = Head(404, Fields([("ETag", '"v1"')]))
    assert on_response(head, Framing.LENGTH, 10, context()) == Forward("no-validator")


@pytest.mark.parametrize(
    ("status", "control", "reason"),
    [
        (200, "no-store, must-understand, max-age=60", None),
        (404, "no-store, must-understand, max-age=60", None),
        (599, "no-store, must-understand, max-age=60", "status"),
        (599, "must-understand, max-age=60", "status"),
        (200, "private, must-understand, max-age=60", "private"),
    ],
)
def test_must_understand_is_for_caches_that_know_the_status(status: int, control: str, reason: str | None) -> None:
    head = Head(status, Fields([("Cache-Control", control)]))
    decision = on_response(head, Framing.LENGTH, 10, context())
    assert decision == Forward(reason) if reason else isinstance(decision, Store)


def test_a_refusal_is_never_stored_for_others() -> None:
    head = Head(403, Fields([("Cache-Control", "public, max-age=60")]))
    assert on_response(head, Framing.LENGTH, 10, context(shows_credential=True)) == Forward("authorization")


@pytest.mark.parametrize(
    ("control", "kept"),
    [
        ("max-age=60", {"x-a", "x-b"}),
        ("max-age=60, public", {"x-a", "x-b", "set-cookie"}),
        ("s-maxage=60", {"x-a", "x-b", "set-cookie"}),
        ('max-age=60, no-cache="x-a"', {"x-b"}),
        ('public, max-age=60, private="X-B, Set-Cookie"', {"x-a"}),
        ('max-age=60, no-cache="vary, date"', {"x-a", "x-b"}),
    ],
)
def test_what_is_for_its_asker_only_is_not_stored(control: str, kept: set[str]) -> None:
    head = Head(
        200,
        Fields([("Cache-Control", control), ("Set-Cookie", "a=b"), ("X-A", "1"), ("X-B", "2"), DATE, ("Vary", "X")]),
    )
    decision = on_response(head, Framing.LENGTH, 10, context())
    assert isinstance(decision, Store)
    assert set(decision.fields.names()) == kept | {"cache-control", "date", "vary"}


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_an_answer_without_a_date_gets_one(date: str | None) -> None:
    items = [("Cache-Control", "max-age=60"), *([("Date", date)] if date else [])]
    decision = on_response(Head(200, Fields(items)), Framing.LENGTH, 10, context())
    assert isinstance(decision, Store)
    assert decision.fields.all("date") == [MODIFIED]
    metadata = on_response(Head(200, Fields(items)), Framing.LENGTH, 10, context(policy=OBJECT_STORE))
    assert isinstance(metadata, Store)
    assert metadata.fields.get("date") == date


def test_what_answers_several_ranges_is_its_clients_own() -> None:
    several = replace(context(), request=get(("Range", "bytes=0-1,4-5")))
    for head in (part(None, ("Content-Type", "multipart/byteranges; boundary=x")), part("bytes 0-1/10")):
        assert on_response(head, Framing.LENGTH, 2, several) == Forward("multiple-ranges")


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
        ([("Cache-Control", 'private="x-a", max-age=60')], {}, None, None),
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
        ([("Cache-Control", "max-age=0, stale-while-revalidate=5")], WEB, None),
        ([("Cache-Control", "max-age=0, stale-if-error=5")], WEB, None),
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


def test_what_is_not_the_objects_bytes_passes() -> None:
    unfit = replace(context(), unfit="transcoded")
    assert on_response(answer(), Framing.LENGTH, 10, unfit) == Forward("transcoded")


def test_a_mark_is_as_good_as_a_strong_validator() -> None:
    head = Head(206, Fields([("Content-Range", "bytes 2-4/10"), ("ETag", 'W/"v1"')]))
    marked = replace(context(asked=Span(2, 5), policy=OBJECT_STORE), mark="7")
    decision = on_response(head, Framing.LENGTH, 3, marked)
    assert isinstance(decision, Store)
    assert decision.is_strong
    entry = replace(ENTRY, mark="7")
    assert is_same_version(entry, Fields([("ETag", '"v2"')]), "7")
    assert not is_same_version(entry, ENTRY.fields, "8")
    assert not is_same_version(ENTRY, ENTRY.fields, "8")
    assert is_about(entry, Fields([("ETag", '"v2"')]), "7")
    assert not is_about(entry, ENTRY.fields, "8")


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({}, False),
        ({"mark": "8"}, False),
        ({"vary": (("accept", "a"),)}, True),
        ({"vary": (("accept", "a"),), "mark": "8"}, True),
        ({"form": "xml"}, True),
        ({"form": "xml", "mark": "8"}, False),
        ({"form": "xml", "mark": "8", "vary": (("accept", "a"),)}, False),
    ],
)
def test_another_form_stays_stored_beside_a_new_entry_if_it_is_of_its_version(
    changes: dict[str, Any], is_kept: bool
) -> None:
    new = replace(ENTRY, mark="7", form="json")
    assert is_beside(replace(new, **changes), new) is is_kept


@pytest.mark.parametrize("control", ["no-store", "private", "private, max-age=5"])
def test_what_may_not_be_stored_may_not_stay_stored(control: str) -> None:
    fields = Fields([("Cache-Control", control)])
    assert forbids_storing(200, fields, WEB, honors_no_store=False) == control.partition(",")[0]
    assert forbids_storing(200, fields, OBJECT_STORE, honors_no_store=False) is None
    assert forbids_storing(200, fields, OBJECT_STORE, honors_no_store=True) == "no-store"


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


@pytest.mark.parametrize("validator", [("ETag", 'W/"v1"'), ("Last-Modified", MODIFIED)])
def test_a_part_without_a_strong_validator_stands_for_itself(validator: tuple[str, str]) -> None:
    head = Head(206, Fields([("Content-Range", "bytes 2-4/10"), validator, DATE]))
    stored = Store(200, Fields([validator, DATE]), Extent(2, 5), 10, is_strong=False)
    assert on_response(head, Framing.LENGTH, 3, context(asked=Span(2, 5))) == stored
    metadata = context(asked=Span(2, 5), policy=OBJECT_STORE)
    assert on_response(head, Framing.LENGTH, 3, metadata) == Forward("partial-unusable")


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
        assert decision.is_strong or not is_store or decision.extent == Extent(0, decision.size or 0)
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


def test_an_error_is_no_version_of_an_object() -> None:
    assert not is_same_version(replace(ENTRY, status=404), ENTRY.fields)


# Renewed


STORED = Fields(
    [
        *(("ETag", '"v1"'), ("Content-Length", "10"), ("Content-Type", "a/b"), ("Cache-Control", "max-age=5")),
        *(("Date", EARLIER), ("Age", "50"), ("X-A", "1"), ("X-A", "2"), ("X-B", "3")),
    ]
)


def freshened(stored: Fields, *update: tuple[str, str], is_metadata: bool = False) -> Fields:
    news = News(Fields(update), NOW + 1, NOW + 2, is_open=False)
    entry = renewed(replace(ENTRY, fields=stored), news, is_metadata=is_metadata)
    assert (entry.requested_at, entry.answered_at, entry.is_open) == (NOW + 1, NOW + 2, False)
    return entry.fields


def test_the_fields_of_a_304_replace_those_stored() -> None:
    update = [
        ("Date", MODIFIED),
        ("cache-control", "max-age=60"),
        ("x-a", "4"),
        ("X-New", "5"),
        ("Content-Type", "c/d"),
    ]
    assert list(freshened(STORED, *update)) == [("ETag", '"v1"'), ("Content-Length", "10"), ("X-B", "3"), *update]


@pytest.mark.parametrize("name", ["Content-Length", "Content-Range", "Set-Cookie", "Connection", "TE"])
def test_a_304_does_not_change_what_frames_a_body_or_is_of_one_exchange(name: str) -> None:
    for stored in (STORED, STORED.without([name.lower()])):
        assert freshened(stored, (name, "x")).all(name.lower()) == stored.all(name.lower())


@pytest.mark.parametrize(
    ("stored", "named", "etag"),
    [
        ('"v1"', 'W/"v1"', '"v1"'),
        ('"v1"', 'W/"v2"', '"v1"'),
        ('W/"v1"', 'W/"v2"', 'W/"v2"'),
        (None, 'W/"v2"', 'W/"v2"'),
    ],
)
def test_a_304_does_not_rename_a_version(stored: str | None, named: str, etag: str) -> None:
    fields = Fields([("ETag", stored), DATE] if stored else [DATE])
    assert freshened(fields, ("ETag", named)).get("etag") == etag


def test_the_age_of_the_old_answer_does_not_outlive_it() -> None:
    fields = freshened(STORED, ("ETag", '"v1"'))
    assert "age" not in fields
    assert fields.all("date") == ["Thu, 01 Jan 2026 00:00:02 GMT"]
    assert "date" not in freshened(STORED, is_metadata=True)


@pytest.mark.parametrize("stored", [STORED, STORED.without(["etag"]), STORED.with_field("ETag", 'W/"v1"')])
def test_a_304_of_another_version_updates_nothing(stored: Fields) -> None:
    assert freshened(stored, ("ETag", '"v2"'), ("Cache-Control", "max-age=9999")) == stored


def test_what_a_304_says_of_fields_counts_from_then_on() -> None:
    assert "x-b" not in freshened(STORED, ("Cache-Control", 'max-age=5, no-cache="x-b"'))
    assert freshened(STORED, ("Cache-Control", "public"), ("Set-Cookie", "a=b")).get("set-cookie") == "a=b"
    assert "set-cookie" not in freshened(STORED, ("Cache-Control", "public"), ("Set-Cookie", "a"), is_metadata=True)


@given(st.lists(st.tuples(st.sampled_from(["A", "B", "Content-Type"]), st.sampled_from("xy")), max_size=6))
def test_to_freshen_twice_is_to_freshen_once(update: list[tuple[str, str]]) -> None:
    once = freshened(STORED, *update)
    assert freshened(once, *update) == once


@pytest.mark.parametrize(
    ("stored", "named", "is_so"),
    [
        ('"v1"', None, True), ('"v1"', '"v1"', True), ('"v1"', '"v2"', False), ('"v1"', 'W/"v2"', True),
        ('W/"v1"', '"v1"', True), ('W/"v1"', '"v2"', False), (None, '"v1"', False), (None, None, True),
    ],
)  # fmt: skip
def test_a_304_is_about_a_version_unless_it_names_another(stored: str | None, named: str | None, is_so: bool) -> None:
    entry = replace(ENTRY, fields=Fields([("ETag", stored)] if stored else []))
    assert is_about(entry, Fields([("ETag", named)] if named else [])) is is_so


V1, OLD = ("ETag", '"v1"'), ("Last-Modified", MODIFIED)


@pytest.mark.parametrize(
    ("stored", "said", "is_so"),
    [
        ([V1, OLD], [V1, OLD, ("Content-Length", "10"), ("X", "1")], True),
        ([V1, OLD], [V1], True),
        ([V1, OLD], [("ETag", '"v2"'), OLD], False),
        ([V1, OLD], [V1, ("Last-Modified", EARLIER)], False),
        ([V1, OLD], [V1, ("Content-Length", "11")], False),
        ([V1, OLD], [OLD], False),
        ([V1, OLD], [], False),
        ([OLD], [OLD], True),
        ([OLD], [("Content-Length", "10")], False),
        ([], [("Content-Length", "10")], True),
        ([], [V1], False),
    ],
)
def test_a_heads_answer_describes_what_it_names_and_does_not_contradict(
    stored: list[tuple[str, str]], said: list[tuple[str, str]], is_so: bool
) -> None:
    assert is_head_of(replace(ENTRY, fields=Fields(stored)), Fields(said)) is is_so


def test_what_is_outdated_is_as_old_as_can_be() -> None:
    entry = outdated(ENTRY)
    assert (entry.requested_at, entry.answered_at, entry.fields) == (0, 0, ENTRY.fields)


def test_an_asker_gets_what_is_not_stored_and_what_is_of_its_exchange() -> None:
    answer = Fields(
        [
            *(("Set-Cookie", "a=b"), ("X-A", "1"), ("X-Id", "7"), ("Date", "d"), ("Age", "5"), ("Content-Length", "3")),
            *(("Connection", "x-hop"), ("X-Hop", "1"), ("Cache-Status", "x"), ("Trailer", "y")),
        ]
    )
    own = own_of(answer, Fields([("X-A", "1"), ("X-Id", "6")]), frozenset({"x-id", "date"}))
    assert list(own) == [("Set-Cookie", "a=b"), ("X-Id", "7")]

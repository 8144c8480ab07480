"""The look: what the store has for a read, what is on its way, and what freshness says of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from nezha.model import Entry, Extent
from nezha.proxy.fill import Fill
from nezha.proxy.fills import Fills
from nezha.proxy.outgoing import Ask
from nezha.semantics.decision import Decision, Miss, Revalidate, Selection, Serve, Unavailable, on_request, select
from nezha.semantics.headers import directives
from nezha.semantics.keys import variant
from nezha.semantics.ranges import WHOLE
from nezha.store.hot import Stored
from nezha.store.store import Store

_ELECTIONS_MAX = 3  # leaders whom the origin refused, before everybody asks at once


@dataclass(frozen=True, slots=True)
class Look:
    """The version there is (if any), the fill that brings the rest of it, and the decision.

    `is_collapsed`: what is selected is still on its way, by somebody else's request. `others`: further versions, where
    Vary selects none of them and a 304 may.
    """

    stored: Stored | None
    fill: Fill | None
    decision: Decision
    is_collapsed: bool = False
    others: tuple[Stored, ...] = ()

    def selection(self, ask: Ask) -> Selection:
        """What is selected as of now: a 304 meanwhile may have changed the fields that preconditions are judged by."""
        assert self.stored is not None
        return selection_of(ask, self.stored, self.fill)


def selection_of(ask: Ask, stored: Stored, fill: Fill | None) -> Selection:
    """What a request selects of a version; of one whose size is not known yet, all (its extent says nothing)."""
    if fill is not None and fill.size is None:
        return Selection(stored.entry.status, Extent(0, 0))
    return select(ask.request, stored.entry)


async def placed(ask: Ask, store: Store) -> Ask:
    """The same read, of the object's own entry where that is the version which it names."""
    if ask.read.current is None or not ask.read.mark:
        return ask
    versions = await store.lookup(str(ask.read.current))
    return replace(ask, is_aside=any(each.entry.mark == ask.read.mark for each in versions))


class Lookout:
    """Looks, and waits for the heads of those who ask already."""

    def __init__(self, store: Store, fills: Fills, now: Callable[[], float]) -> None:
        self._store = store
        self._fills = fills
        self._now = now

    async def look(self, ask: Ask) -> Look:
        """Looks; on a miss for which somebody is asking already, waits for that leader's head and looks again.

        Never for its body. An answer that is not stored releases all who wait at once, and they ask for themselves;
        after a refusal, which speaks of the leader only, the next of them leads.
        """
        look = await self._look(ask)
        if ask.request.method != "GET":
            return look
        key, span = str(ask.key), ask.span or WHOLE
        for _ in range(_ELECTIONS_MAX):
            lead = self._fills.lead_for(key, span, ask.read.form) if isinstance(look.decision, Miss) else None
            if lead is None:
                break
            was_refused = await lead.settled()
            look = await self._look(ask, is_collapsed=True)
            if not was_refused:
                break
        return look

    async def _look(self, ask: Ask, *, is_collapsed: bool = False) -> Look:
        key = str(ask.key)
        mark, form = ask.read.mark, ask.read.form
        there = [*await self._store.lookup(key), *self._fills.hidden(key)]
        # No form answers with the head of another: it asks for its own, whose bytes may be there (`Store.begin`).
        versions = [each for each in there if each.entry.form == form and mark in {"", each.entry.mark}]
        found = variant([each.entry for each in versions], ask.request.fields)
        now = self._now()
        if found is None:
            decision = on_request(ask.request, None, (), ask.route.freshness, now)
            if versions and isinstance(decision, Miss):
                decision = Miss((), "vary-miss")
            return Look(None, None, decision)
        stored = next(each for each in versions if each.entry is found.entry)
        fill = self._fills.of(stored)
        wanted = _wanted(ask, stored.entry)
        parts = fill.slices.coverage(wanted) if fill is not None else stored.body.intervals(wanted)
        # Parts of a body of unknown length cannot be told before its end: who wants one asks for it.
        is_known = fill is None or fill.size is not None or "range" not in ask.request.fields
        decision = on_request(ask.request, stored.entry if is_known else None, parts, ask.route.freshness, now)
        if isinstance(decision, Serve) and not found.is_exact:
            decision = _unselected(ask, decision)
        if ask.route.dialect.is_object_store and _is_refused(decision):
            decision = Miss((), "request")  # in the store's own words, and to those only who may read
        # An object store has one object under a key: of several the newest is asked about, as ever.
        may_choose = not ask.route.dialect.is_object_store
        others = tuple(each for each in versions if may_choose and each.entry in found.others)
        return Look(stored, fill, decision, is_collapsed or _waits(fill, decision), others)

    def turned(self, look: Look, stored: Stored) -> Look:
        """The look at another version, which the origin has selected."""
        return look if stored is look.stored else replace(look, stored=stored, fill=self._fills.of(stored))


def _wanted(ask: Ask, entry: Entry) -> Extent:
    """The bytes on which the decision can turn: what is asked for, or all where an If-Range may ask for all."""
    if ask.span is None or "if-range" in ask.request.fields:
        return Extent(0, entry.size)
    return ask.span.within(entry.size) or Extent(0, 0)


def _unselected(ask: Ask, decision: Serve) -> Decision:
    """What becomes of a version that Vary does not select: only a 304 can (RFC 9111 4.1)."""
    if not ask.route.freshness.is_metadata and "only-if-cached" in directives(ask.request.fields.get("cache-control")):
        return Unavailable("only-if-cached")
    return Revalidate(decision.selection, "vary-miss")


def _is_refused(decision: Decision) -> bool:
    return isinstance(decision, Serve | Revalidate) and decision.selection.status in {412, 416}


def _waits(fill: Fill | None, decision: Decision) -> bool:
    """Whether what is selected is still on its way."""
    if fill is None or not isinstance(decision, Serve | Revalidate):
        return False
    return fill.size is None or not all(fill.slices.has(extent) for extent in decision.selection.extents)

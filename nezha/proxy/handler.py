"""One request from its head to its last byte, as named steps from top to bottom.

    route       whose is the host?                                  421
    classify    what does the dialect say?                          a read, a write, or pass
    look        what does the store have, what is on its way?       (freshness only)
    permit      may this caller have it?                            a grant, or the origin's word
    lead        else ask for it: the answer is stored while it comes
    deliver     head and bytes

A follower waits for a leader's head, never its body; the two meet only at the fill.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import assert_never

from nezha import log
from nezha.dialects import Pass, Read, Write
from nezha.errors import NezhaError, OriginError
from nezha.metrics import Metrics
from nezha.model import Extent
from nezha.proxy.authorize import Authorizer, Changed, Granted, Refused
from nezha.proxy.delivery import Course, Cut, Delivery
from nezha.proxy.fetch import Answered, Fetcher, Filling
from nezha.proxy.fill import Fill
from nezha.proxy.fills import Fills
from nezha.proxy.http1 import Exchange
from nezha.proxy.origin import Answer
from nezha.proxy.outgoing import Ask
from nezha.proxy.passthrough import Passthrough
from nezha.routes import Route, Routes, agrees
from nezha.semantics.decision import Bypass, Miss, Revalidate, Selection, Serve, on_request, select
from nezha.semantics.keys import variant
from nezha.semantics.ranges import WHOLE
from nezha.store.hot import Stored
from nezha.store.store import Store

Pages = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class _Trace:
    """What is said of a request in the log and the metrics."""

    started: float = field(default_factory=time.perf_counter)
    origin: str = ""
    outcome: str = "error"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Look:
    """What there is for a read: the version (if any), the fill that brings the rest of it, and the decision."""

    stored: Stored | None
    fill: Fill | None
    decision: Serve | Revalidate | Miss | Bypass
    is_collapsed: bool = False


class Handler:
    """Strings the steps together."""

    def __init__(
        self, routes: Routes, store: Store, fills: Fills, steps: "Steps", pages: Pages, metrics: Metrics
    ) -> None:
        self._routes = routes
        self._store = store
        self._fills = fills
        self._authorizer = steps.authorizer
        self._fetcher = steps.fetcher
        self._delivery = steps.delivery
        self._passthrough = steps.passthrough
        self._pages = pages
        self._metrics = metrics

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request. Whatever goes wrong becomes an answer, or a cut once a head was sent."""
        route = self._routes.route(exchange.request)
        if route is None:
            await self._pages(exchange)
            return
        trace = _Trace(origin=route.name)
        try:
            await self._dispatch(exchange, route, trace)
        except Cut as error:
            trace.outcome, trace.detail = "error", f"cut: {error.reason}"
            self._metrics.count("cut_responses", error.reason)
            exchange.abort()
        except NezhaError as error:
            await self._fail(exchange, error, trace)
        except ConnectionError:
            trace.detail = "client left"
            exchange.abort()
            raise
        finally:
            self._record(exchange, trace)

    async def _dispatch(self, exchange: Exchange, route: Route, trace: _Trace) -> None:
        request = exchange.request
        sni = exchange.connection.sni
        if request.tls and not agrees(sni, request.host):
            # RFC 9110 7.4: a connection made for one name is not used for another.
            trace.outcome, trace.detail = "error", "misdirected"
            await exchange.answer(421, "the TLS server name and the Host differ\n")
            return
        match route.dialect.classify(route.place, request):
            case Pass(reason):
                await self._pass(exchange, route, reason, trace)
            case Write(keys, bucket):
                await self._write(exchange, route, [str(key) for key in keys], bucket, trace)
            case Read() as read:
                await self._read(exchange, Ask(request, read, route), trace)
            case unreachable:
                assert_never(unreachable)

    # -- not a read

    async def _pass(self, exchange: Exchange, route: Route, reason: str, trace: _Trace) -> None:
        trace.outcome, trace.detail = "pass", reason
        await self._passthrough.forward(exchange, route, _status("fwd=bypass", reason))

    async def _write(
        self, exchange: Exchange, route: Route, keys: list[str], bucket: tuple[str, str], trace: _Trace
    ) -> None:
        """An unsafe request: what it names is dropped before it is sent, and again after its answer."""
        trace.outcome, trace.detail = "pass", "method"
        await self._invalidate(keys, bucket)
        try:
            await self._passthrough.forward(exchange, route, "nezha; fwd=method")
        finally:
            await self._invalidate(keys, bucket)

    async def _invalidate(self, keys: list[str], bucket: tuple[str, str]) -> None:
        for key in keys:
            self._fills.invalidate(key)
            await self._store.remove(key)
        if not keys:
            self._store.raise_epoch(bucket)

    # -- a read

    async def _read(self, exchange: Exchange, ask: Ask, trace: _Trace) -> None:
        look = await self._look(ask)
        if isinstance(look.decision, Miss) and ask.request.method == "GET":
            lead = self._fills.lead_for(str(ask.read.key), ask.span or WHOLE)
            if lead is not None:
                await lead.settled()
                look = await self._look(ask, is_collapsed=True)
        match look.decision:
            case Bypass(reason):
                await self._pass(exchange, ask.route, reason, trace)
            case Miss() | Revalidate() | Serve() if ask.request.method == "HEAD":
                await self._head(exchange, ask, look, trace)
            case Miss() as miss:
                await self._miss(exchange, ask, look.stored, miss, trace)
            case (Serve() | Revalidate()) as decision:
                assert look.stored is not None
                with self._store.lease(look.stored):
                    await self._permit(exchange, ask, look, decision, trace)
            case unreachable:
                assert_never(unreachable)

    async def _look(self, ask: Ask, *, is_collapsed: bool = False) -> _Look:
        """What the store has for a request, what is on its way, and what that means."""
        key = str(ask.read.key)
        versions = [*await self._store.lookup(key), *self._fills.hidden(key)]
        found = variant([each.entry for each in versions], ask.request.fields)
        now = time.time()
        if found is None:
            return _Look(None, None, on_request(ask.request, None, (), ask.route.freshness, now), is_collapsed)
        stored = next(each for each in versions if each.entry is found.entry)
        fill = self._fills.of(stored)
        there = fill.coverage() if fill is not None else stored.intervals()
        if fill is not None and fill.size is None:
            # Its parts cannot be told before its end: who wants one asks for it.
            known = stored.entry if ask.span is None else None
            decision = on_request(ask.request, known, (), ask.route.freshness, now)
        else:
            decision = on_request(ask.request, stored.entry, there, ask.route.freshness, now)
        if isinstance(decision, Serve) and not found.is_exact:
            decision = Revalidate(decision.selection, "vary-miss")
        if ask.route.dialect.is_object_store and _is_refused(decision):
            decision = Bypass("precondition")  # in the store's own words
        return _Look(stored, fill, decision, is_collapsed or _waits(fill, decision))

    async def _permit(
        self, exchange: Exchange, ask: Ask, look: _Look, decision: Serve | Revalidate, trace: _Trace
    ) -> None:
        """Asks the origin where freshness or permission needs it, then delivers what is stored."""
        stored, extent = look.stored, decision.selection.extent
        assert stored is not None
        granted: Granted | Refused | Changed | None = None
        if isinstance(decision, Serve):
            granted = self._authorizer.granted(ask, stored, extent, time.time())
        try:
            outcome = granted or await self._authorizer.ask(ask, stored)
        except OriginError:
            outcome_in_outage = self._authorizer.in_outage(ask, stored, extent, time.time())
            if outcome_in_outage is None:
                raise
            trace.outcome, trace.detail = "stale", "origin-error"
            status = _status("hit", "origin-error")
            course = Course(stored, decision.selection, outcome_in_outage.permission, look.fill, status, "cache")
            await self._delivery.deliver(exchange, ask, course)
            return
        match outcome:
            case Granted(permission, asked):
                selection = self._selection(ask, stored, look.fill)
                said = self._said(look, decision, asked, trace)
                course = Course(stored, selection, permission, look.fill, said, "cache")
                await self._delivery.deliver(exchange, ask, course)
            case Refused(answer):
                await self._relay(exchange, ask, answer, "refused", trace)
            case Changed(answer, requested_at):
                await self._lead(exchange, ask, answer, requested_at, trace)
            case unreachable:
                assert_never(unreachable)

    def _said(self, look: _Look, decision: Serve | Revalidate, status: int | None, trace: _Trace) -> str:
        """The Cache-Status of something served from the store, or from a fill that somebody else leads."""
        if look.is_collapsed:
            trace.outcome, trace.detail = "miss", "collapsed"
            return "nezha; fwd=uri-miss; collapsed"
        if status is not None:
            trace.outcome = "revalidated"
            trace.detail = decision.reason if isinstance(decision, Revalidate) else "permission"
            return f"nezha; fwd=stale; fwd-status={status}; detail=revalidated"
        trace.outcome = "hit"
        return f"nezha; hit; ttl={int(decision.ttl)}" if isinstance(decision, Serve) else "nezha; hit"

    async def _head(self, exchange: Exchange, ask: Ask, look: _Look, trace: _Trace) -> None:
        """A HEAD is answered from a fresh entry to those who may read it; else it is the origin's to answer."""
        if isinstance(look.decision, Serve) and look.stored is not None:
            with self._store.lease(look.stored) as stored:
                granted = self._authorizer.granted(ask, stored, None, time.time())
                if granted is not None:
                    trace.outcome = "hit"
                    said = f"nezha; hit; ttl={int(look.decision.ttl)}"
                    course = Course(stored, look.decision.selection, granted.permission, None, said, "cache")
                    await self._delivery.deliver(exchange, ask, course)
                    return
        await self._pass(exchange, ask.route, "head", trace)

    async def _miss(self, exchange: Exchange, ask: Ask, stored: Stored | None, miss: Miss, trace: _Trace) -> None:
        """Leads: the client's own request goes out, and what comes is stored."""
        outcome = await self._fetcher.lead(ask, stored, miss.gaps)
        await self._follow(exchange, ask, outcome, miss.reason, trace)

    async def _lead(self, exchange: Exchange, ask: Ask, answer: Answer, requested_at: float, trace: _Trace) -> None:
        """The answer to a question turned out to be a new version."""
        outcome = await self._fetcher.take_over(ask, answer, requested_at)
        await self._follow(exchange, ask, outcome, "stale", trace)

    async def _follow(
        self, exchange: Exchange, ask: Ask, outcome: Filling | Answered, reason: str, trace: _Trace
    ) -> None:
        """Delivers what the leader's request brought."""
        match outcome:
            case Filling(stored, fill, permission):
                trace.outcome, trace.detail = "miss", reason
                with self._store.lease(stored):
                    selection = self._selection(ask, stored, fill)
                    said = f"nezha; fwd={reason}; stored"
                    course = Course(stored, selection, permission, fill, said, "origin")
                    await self._delivery.deliver(exchange, ask, course)
            case Answered(answer, why):
                await self._relay(exchange, ask, answer, why, trace)
            case unreachable:
                assert_never(unreachable)

    def _selection(self, ask: Ask, stored: Stored, fill: Fill | None) -> Selection:
        if fill is not None and fill.size is None:
            return Selection(stored.entry.status, Extent(0, 0))
        return select(ask.request, stored.entry)

    async def _relay(self, exchange: Exchange, ask: Ask, answer: Answer, reason: str, trace: _Trace) -> None:
        """The origin's own answer goes to its client, and is nobody else's."""
        trace.outcome, trace.detail = "miss", reason
        is_refusal = 400 <= answer.head.status < 500
        said = "nezha; fwd=request" if is_refusal else _status("fwd=uri-miss", reason)
        if reason in {"too-large", "no-store", "private", "authorization", "vary", "anonymous"}:
            trace.outcome = "pass"
        await self._passthrough.relay(exchange, ask.route, answer, said)

    # -- ends

    async def _fail(self, exchange: Exchange, error: NezhaError, trace: _Trace) -> None:
        trace.outcome, trace.detail = "error", type(error).__name__
        log.event("request_failed", origin=trace.origin, status=error.status, message=str(error))
        if exchange.has_started:
            self._metrics.count("cut_responses", "origin")
            exchange.abort()
            return
        exchange.keeps_alive = exchange.keeps_alive and exchange.body.is_done
        said = ("Cache-Status", f"nezha; fwd=miss; detail={trace.detail}")
        await exchange.answer(error.status, f"{error}\n", said)

    def _record(self, exchange: Exchange, trace: _Trace) -> None:
        """One line and one round of counting a request."""
        seconds = time.perf_counter() - trace.started
        request = exchange.request
        self._metrics.count("requests", trace.origin, trace.outcome)
        self._metrics.observe("request_seconds", seconds, trace.origin, trace.outcome)
        if exchange.first_byte_at:
            self._metrics.observe(
                "first_byte_seconds", exchange.first_byte_at - trace.started, trace.origin, trace.outcome
            )
        log.access(
            origin=trace.origin, outcome=trace.outcome, detail=trace.detail, status=exchange.status,
            method=request.method, host=request.host, target=log.masked(request.target), client=request.client,
            tls=request.tls, bytes=exchange.body_bytes, seconds=round(seconds, 6),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Steps:
    """The parts that do the steps."""

    authorizer: Authorizer
    fetcher: Fetcher
    delivery: Delivery
    passthrough: Passthrough


def _is_refused(decision: Serve | Revalidate | Miss | Bypass) -> bool:
    return isinstance(decision, Serve | Revalidate) and decision.selection.status in {412, 416}


def _waits(fill: Fill | None, decision: Serve | Revalidate | Miss | Bypass) -> bool:
    """Whether what is selected is still on its way."""
    if fill is None or not isinstance(decision, Serve | Revalidate):
        return False
    extent = decision.selection.extent
    return fill.size is None or (extent is not None and not fill.has(extent))


def _status(forward: str, detail: str) -> str:
    return f"nezha; {forward}; detail={detail}"

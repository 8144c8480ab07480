"""One request from its head to its last byte, as named steps from top to bottom.

    route       whose is the host?                                  421
    classify    what does the dialect say?                          a read, a write, or pass
    look        what does the store have, what is on its way?       (freshness only)
    permit      may this caller have it?                            a grant, or the origin's word
    lead        else ask for it: the answer is stored while it comes
    deliver     head and bytes

The origin's side of a miss is `fetch`; the two meet only at the fill.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from nezha import log
from nezha.dialects import Pass, Read, Write
from nezha.errors import NezhaError
from nezha.metrics import Metrics
from nezha.proxy.authorize import Authorizer, Changed, Granted, Permission, Refused
from nezha.proxy.delivery import Course, Cut, Delivery
from nezha.proxy.fetch import Answered, Fetcher, Filling
from nezha.proxy.fills import Fills
from nezha.proxy.http1 import Exchange
from nezha.proxy.look import Look, Lookout, placed, selection_of
from nezha.proxy.outgoing import Ask
from nezha.proxy.passthrough import Passthrough
from nezha.proxy.trace import Trace
from nezha.routes import Route, Routes, agrees
from nezha.semantics.decision import Bypass, Miss, Revalidate, Serve
from nezha.store.store import Store

Pages = Callable[[Exchange], Awaitable[None]]
# Not stored because of what they are: they say nothing of how well the cache does.
_PASSING = frozenset(
    {"too-large", "no-store", "private", "authorization", "vary", "anonymous", "invalidated", "checksum"}
)


@dataclass(frozen=True, slots=True)
class Steps:
    """The parts that do the steps."""

    lookout: Lookout
    authorizer: Authorizer
    fetcher: Fetcher
    delivery: Delivery
    passthrough: Passthrough


class Handler:
    """Strings the steps together."""

    def __init__(
        self, routes: Routes, store: Store, fills: Fills, steps: Steps, pages: Pages, metrics: Metrics
    ) -> None:
        self._routes = routes
        self._store = store
        self._fills = fills
        self._lookout = steps.lookout
        self._steps = steps
        self._pages = pages
        self._metrics = metrics

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request. Whatever goes wrong becomes an answer, or a cut once a head was sent."""
        route = self._routes.route(exchange.request)
        if route is None:
            await self._pages(exchange)
            return
        trace = Trace(route.name)
        try:
            await self._classify(exchange, route, trace)
        except NezhaError as error:
            await self._fail(exchange, error, trace)
        except ConnectionError:
            trace.outcome, trace.detail = "error", "client-left"
            exchange.abort()
            raise
        finally:
            trace.record(exchange, self._metrics)

    async def _classify(self, exchange: Exchange, route: Route, trace: Trace) -> None:
        request = exchange.request
        if request.tls and not agrees(exchange.connection.sni, request.host):
            # RFC 9110 7.4: a connection made for one name is not used for another.
            said = trace.fail("misdirected")
            await exchange.answer(421, "the TLS server name and the Host differ\n", ("Cache-Status", said))
            return
        match route.dialect.classify(route.place, request):
            case Pass(reason):
                await self._pass(exchange, route, reason, trace)
            case Write(keys, bucket):
                await self._write(exchange, route, [str(key) for key in keys], bucket, trace)
            case Read() as read if request.method == "HEAD":
                await self._head(exchange, await placed(Ask(request, read, route), self._store), trace)
            case Read() as read:
                await self._get(exchange, await placed(Ask(request, read, route), self._store), trace)
            case unreachable:
                assert_never(unreachable)

    # -- not from the store

    async def _pass(self, exchange: Exchange, route: Route, reason: str, trace: Trace) -> None:
        trace.fwd = "bypass"
        said = trace.say("pass", reason, f"fwd=bypass; detail={reason}")
        await self._steps.passthrough.forward(exchange, route, said)

    async def _write(
        self, exchange: Exchange, route: Route, keys: list[str], bucket: tuple[str, str], trace: Trace
    ) -> None:
        """An unsafe request: what it names is dropped before it is sent, and again before its answer is told."""
        trace.fwd = "method"
        invalidate = partial(self._invalidate, keys, bucket)
        await invalidate()
        try:
            said = trace.say("pass", "method", "fwd=method")
            await self._steps.passthrough.forward(exchange, route, said, invalidate)
        except BaseException:
            await invalidate()  # the origin may have done it all the same
            raise

    async def _invalidate(self, keys: list[str], bucket: tuple[str, str]) -> None:
        for key in keys:
            self._fills.invalidate(key)
            await self._store.remove(key)
        if not keys:
            self._store.raise_epoch(bucket)
        await self._store.written()

    # -- a read

    async def _head(self, exchange: Exchange, ask: Ask, trace: Trace) -> None:
        """A HEAD is answered from a fresh entry to those who may read it; else it is the origin's to answer."""
        look = await self._lookout.look(ask)
        if isinstance(look.decision, Serve) and look.stored is not None:
            with self._store.lease(look.stored):
                granted = self._steps.authorizer.granted(ask, look.stored, None)
                if granted is not None:
                    await self._deliver(exchange, ask, look, granted.permission, self._said(look, granted, trace))
                    return
        await self._pass(exchange, ask.route, "head", trace)

    async def _get(self, exchange: Exchange, ask: Ask, trace: Trace) -> None:
        trace.fwd = "miss"
        look = await self._lookout.look(ask)
        match look.decision:
            case Bypass(reason):
                await self._pass(exchange, ask.route, reason, trace)
            case Miss(gaps, reason):
                # Leads: the client's own request goes out, and what comes is stored.
                outcome = await self._steps.fetcher.lead(ask, look.stored, gaps, exchange.hint)
                await self._follow(exchange, ask, outcome, reason, trace)
            case Serve() | Revalidate():
                await self._permit(exchange, ask, look, trace)
            case unreachable:
                assert_never(unreachable)

    async def _permit(self, exchange: Exchange, ask: Ask, look: Look, trace: Trace) -> None:
        """Asks the origin where freshness or permission needs it, then delivers what is stored."""
        stored = look.stored
        assert stored is not None
        with self._store.lease(stored):
            outcome = await self._steps.authorizer.permit(
                ask, stored, look.selection(ask).extent, exchange.interim, is_fresh=isinstance(look.decision, Serve)
            )
            if isinstance(outcome, Granted):
                await self._deliver(exchange, ask, look, outcome.permission, self._said(look, outcome, trace))
                return
        match outcome:
            case Refused(answer):
                await self._relay(exchange, ask, Answered(answer, "refused"), "stale", trace)
            case Changed(answer, requested_at):
                # The caller leads the new version.
                leading = await self._steps.fetcher.take_over(ask, answer, requested_at)
                await self._follow(exchange, ask, leading, "stale", trace)
            case unreachable:
                assert_never(unreachable)

    async def _follow(
        self, exchange: Exchange, ask: Ask, outcome: Filling | Answered, reason: str, trace: Trace
    ) -> None:
        """Delivers what the leader's request brought."""
        match outcome:
            case Filling(stored, fill, permission, own):
                said = trace.say("partial" if reason == "partial" else "miss", reason, f"fwd={reason}; stored")
                with self._store.lease(stored):
                    selection = selection_of(ask, stored, fill)
                    course = Course(stored, selection, permission, fill, said, "origin", own)
                    await self._steps.delivery.deliver(exchange, ask, course)
            case Answered():
                await self._relay(exchange, ask, outcome, reason, trace)
            case unreachable:
                assert_never(unreachable)

    async def _deliver(self, exchange: Exchange, ask: Ask, look: Look, permission: Permission, said: str) -> None:
        assert look.stored is not None
        course = Course(look.stored, look.selection(ask), permission, look.fill, said, "cache")
        await self._steps.delivery.deliver(exchange, ask, course)

    async def _relay(self, exchange: Exchange, ask: Ask, answered: Answered, fwd: str, trace: Trace) -> None:
        """The origin's own answer goes to its client, and is nobody else's. One that permits nothing tells nothing."""
        reason, status = answered.reason, answered.answer.head.status
        if 400 <= status < 500:
            said = "fwd=request"
        elif status not in {200, 206, 304}:
            said = "fwd=miss; detail=status"
        else:
            said = f"fwd={fwd}; detail={reason}"
        said = trace.say("pass" if reason in _PASSING else "miss", reason, said)
        await self._steps.passthrough.relay(exchange, ask.route, answered.answer, said)

    def _said(self, look: Look, granted: Granted, trace: Trace) -> str:
        """The Cache-Status of what the store holds, or somebody else's fill brings."""
        decision = look.decision
        if granted.is_outage:
            return trace.say("stale", "origin-error", "hit; detail=origin-error")
        if look.is_collapsed:
            return trace.say("miss", "collapsed", "fwd=uri-miss; collapsed")
        if granted.status is not None:
            reason = decision.reason if isinstance(decision, Revalidate) else "permission"
            return trace.say("revalidated", reason, f"fwd=stale; fwd-status={granted.status}; detail=revalidated")
        left = int(decision.ttl) if isinstance(decision, Serve) else 0
        return trace.say("hit", "", f"hit; ttl={left}")

    async def _fail(self, exchange: Exchange, error: NezhaError, trace: Trace) -> None:
        """An error before the head is an answer; after it, it can only cut the response."""
        said = trace.fail(str(error) if isinstance(error, Cut) else error.word)
        log.event("request_failed", origin=trace.origin, status=error.status, message=str(error))
        if exchange.has_started:
            self._metrics.count("cut_responses", error.reason if isinstance(error, Cut) else "origin")
            exchange.abort()
            return
        exchange.keeps_alive = exchange.keeps_alive and exchange.body.is_done
        await exchange.answer(error.status, f"{error}\n", ("Cache-Status", said))

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
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from nezha import log
from nezha.dialects import Pass, Read, Write
from nezha.errors import NezhaError
from nezha.metrics import Metrics
from nezha.proxy.authorize import Authorizer, Changed, Granted, Refused
from nezha.proxy.delivery import Course, Cut, Delivery
from nezha.proxy.fetch import Answered, Fetcher, Filling
from nezha.proxy.http1 import Exchange
from nezha.proxy.look import Look, Lookout, placed, selection_of
from nezha.proxy.outgoing import Ask
from nezha.proxy.passthrough import Passthrough
from nezha.proxy.refresh import Prober, Refresher
from nezha.proxy.trace import Trace
from nezha.proxy.unsafe import Unsafe
from nezha.routes import Route, Routes, agrees
from nezha.semantics.decision import Bypass, Miss, Revalidate, Serve, Unavailable
from nezha.semantics.headers import directives
from nezha.semantics.locations import hops_left, reflection
from nezha.store.store import Store

if TYPE_CHECKING:
    from nezha.tracing import Tracing

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
    unsafe: Unsafe
    refresher: Refresher
    prober: Prober


class Handler:
    """Strings the steps together. Without `tracing`, requests are not traced."""

    def __init__(
        self, routes: Routes, store: Store, steps: Steps, pages: Pages, metrics: Metrics, tracing: "Tracing | None"
    ) -> None:
        self._routes = routes
        self._store = store
        self._lookout = steps.lookout
        self._steps = steps
        self._pages = pages
        self._metrics = metrics
        self._tracing = tracing

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request. Whatever goes wrong becomes an answer, or a cut once a head was sent."""
        route = self._routes.route(exchange.request)
        if route is None:
            await self._pages(exchange)
            return
        trace = Trace(route.name)
        if self._tracing is not None:
            trace.span = self._tracing.begin(exchange.request)
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
            case Pass() if hops_left(request) == 0 and not route.dialect.is_object_store:
                await self._end_here(exchange, trace)
            case Pass(reason):
                await self._pass(exchange, route, reason, trace)
            case Write() as write:
                trace.fwd = "method"
                said = trace.say("pass", "method", "fwd=method")
                await self._steps.unsafe.forward(exchange, route, write, said)
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

    async def _end_here(self, exchange: Exchange, trace: Trace) -> None:
        """A request that may go no further is answered here (RFC 9110 7.6.2)."""
        said = ("Cache-Status", trace.say("pass", "max-forwards", "detail=max-forwards"))
        if exchange.request.method == "TRACE":
            await exchange.answer(200, reflection(exchange.request), said, kind="message/http")
        else:
            await exchange.answer(200, "", said, ("Allow", "GET, HEAD, OPTIONS, TRACE"))

    async def _refuse_to_ask(self, exchange: Exchange, reason: str, trace: Trace) -> None:
        """The client wants only what needs no asking (RFC 9111 5.2.1.7); whether it is stored, it does not learn."""
        said = trace.say("error", reason, f"detail={reason}")
        await exchange.answer(504, "nothing that may be had without asking\n", ("Cache-Status", said))

    # -- a read

    async def _head(self, exchange: Exchange, ask: Ask, trace: Trace) -> None:
        """A HEAD is answered from a fresh entry to those who may read it; else it is the origin's to answer."""
        look = await self._lookout.look(ask)
        decision, stored = look.decision, look.stored
        if isinstance(decision, Unavailable):
            await self._refuse_to_ask(exchange, decision.reason, trace)
            return
        if isinstance(decision, Serve) and not decision.refreshes and stored is not None:
            with self._store.lease(stored):
                granted = self._steps.authorizer.granted(ask, stored, None)
                if granted is not None:
                    await self._deliver(exchange, ask, look, granted, trace)
                    return
        trace.fwd = "bypass"
        said = trace.say("pass", "head", "fwd=bypass; detail=head")
        answer = await self._steps.prober.probe(ask, stored, exchange.interim)
        self._steps.fetcher.checks.hear(ask, answer.head)
        await self._steps.passthrough.relay(exchange, ask.route, answer, said)

    async def _get(self, exchange: Exchange, ask: Ask, trace: Trace) -> None:
        trace.fwd = "miss"
        look = await self._lookout.look(ask)
        match look.decision:
            case Bypass(reason):
                await self._pass(exchange, ask.route, reason, trace)
            case Unavailable(reason):
                await self._refuse_to_ask(exchange, reason, trace)
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
        decision, extent, authorizer = look.decision, look.selection(ask).extent, self._steps.authorizer
        with self._store.lease(stored):
            outcome: Granted | Refused | Changed | None = None
            if isinstance(decision, Serve):
                outcome = authorizer.granted(ask, stored, extent)
                if outcome is not None and decision.refreshes:
                    self._steps.refresher.start(ask, stored)
            if outcome is None and _wants_no_asking(ask):
                await self._refuse_to_ask(exchange, "only-if-cached", trace)
                return
            if outcome is None:
                outcome = await authorizer.permit(ask, stored, look.others, extent, exchange.interim)
            if isinstance(outcome, Granted):
                await self._deliver(exchange, ask, look, outcome, trace)
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
            case Filling(stored, fill, permission, own, seat):
                said = trace.say("partial" if reason == "partial" else "miss", reason, f"fwd={reason}; stored")
                with self._store.lease(stored), closing(outcome):
                    selection = selection_of(ask, stored, fill)
                    course = Course(stored, selection, permission, fill, said, "origin", own, seat=seat)
                    await self._steps.delivery.deliver(exchange, ask, course)
            case Answered():
                await self._relay(exchange, ask, outcome, reason, trace)
            case unreachable:
                assert_never(unreachable)

    async def _deliver(self, exchange: Exchange, ask: Ask, look: Look, granted: Granted, trace: Trace) -> None:
        said = self._said(look, granted, trace)
        stored = granted.selected or look.stored
        assert stored is not None
        look = self._lookout.turned(look, stored)
        with self._store.lease(stored):
            selection, permission = look.selection(ask), granted.permission
            course = Course(stored, selection, permission, look.fill, said, "cache", granted.own, entry=granted.entry)
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
        if not isinstance(decision, Serve):
            return trace.say("hit", "", "hit; ttl=0")
        if decision.reason:
            return trace.say("stale", decision.reason, f"hit; ttl={int(decision.ttl)}; detail={decision.reason}")
        return trace.say("hit", "", f"hit; ttl={int(decision.ttl)}")

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


def _wants_no_asking(ask: Ask) -> bool:
    is_bound = not ask.route.dialect.is_object_store
    return is_bound and "only-if-cached" in directives(ask.request.fields.get("cache-control"))

"""What is stored is asked about on the side of a request: in the background, or by a HEAD that passes.

RFC 5861 3: a stale object was served, and the origin is asked meanwhile, once. RFC 9111 4.3.5: the answer to a HEAD
tells of what is stored for GET.
"""

from collections.abc import Callable

from nezha import log
from nezha.dialects import Kind
from nezha.errors import OriginError
from nezha.model import Fields
from nezha.proxy.answer import Answer
from nezha.proxy.authorize import Authorizer, Changed, Refused
from nezha.proxy.fetch import Fetcher
from nezha.proxy.fills import Fills
from nezha.proxy.link import Interim
from nezha.proxy.origin import Origins
from nezha.proxy.outgoing import Ask
from nezha.semantics.keys import matches
from nezha.semantics.storing import News, forbids_storing, is_head_of, outdated, renewed
from nezha.store.hot import Stored
from nezha.store.store import Store


class Refresher:
    """Asks about what was served stale, with the request of who it was served to, in a task of the registry."""

    def __init__(self, authorizer: Authorizer, fetcher: Fetcher, store: Store, fills: Fills) -> None:
        self._authorizer = authorizer
        self._fetcher = fetcher
        self._store = store
        self._running: set[str] = set()  # versions that are being asked about
        self._fills = fills

    def start(self, ask: Ask, stored: Stored) -> None:
        """Asks, unless somebody does already."""
        if stored.entry.version not in self._running:
            self._running.add(stored.entry.version)
            self._fills.background(self._refresh(ask, stored), "refresh")

    async def _refresh(self, ask: Ask, stored: Stored) -> None:
        try:
            with self._store.lease(stored):
                outcome = await self._authorizer.ask(ask, stored, _nobody)
            if isinstance(outcome, Changed):
                leading = await self._fetcher.take_over(ask, outcome.answer, outcome.requested_at)
                leading.close()
            elif isinstance(outcome, Refused):
                outcome.answer.abandon()
        except OriginError as error:
            log.warn("refresh_failed", key=stored.entry.key, message=str(error))
        finally:
            self._running.discard(stored.entry.version)


class Prober:
    """Forwards HEADs, and learns of what is stored."""

    def __init__(self, origins: Origins, store: Store, now: Callable[[], float]) -> None:
        self._origins = origins
        self._store = store
        self._now = now

    async def probe(self, ask: Ask, stored: Stored | None, interim: Interim) -> Answer:
        """The origin's answer to a HEAD. Raises OriginError.

        On plain HTTP, what it describes is fresh again; what it does not is asked for before its next use.
        """
        requested_at = self._now()
        answer = await self._origins.fetch(ask.route, "HEAD", ask.head(), interim)
        if stored is not None and answer.head.status == stored.entry.status == 200 and self._may_learn(ask, stored):
            if is_head_of(stored.entry, answer.head.fields):
                news = News(answer.head.fields, requested_at, self._now(), is_open=True)
                entry = renewed(stored.entry, news, is_metadata=False)
            else:
                entry = outdated(stored.entry)
            self._store.freshen(stored, entry)
            if forbids_storing(200, entry.fields, ask.route.freshness, honors_no_store=False):
                await self._store.bar(stored)
        return answer

    def _may_learn(self, ask: Ask, stored: Stored) -> bool:
        """Whether both answers are everybody's: what is not yet does not become so by a HEAD."""
        is_plain = not ask.route.dialect.is_object_store and ask.read.credential.kind is Kind.NONE
        return is_plain and stored.entry.is_open and matches(stored.entry.vary, ask.request.fields)


async def _nobody(status: int, fields: Fields) -> None:
    """Nobody waits for the 1xx heads of such an answer."""

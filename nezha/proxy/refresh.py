"""Background revalidation (RFC 5861 3): a stale object was served, and the origin is asked meanwhile, once."""

from nezha import log
from nezha.errors import OriginError
from nezha.model import Fields
from nezha.proxy.authorize import Authorizer, Changed, Refused
from nezha.proxy.fetch import Answered, Fetcher
from nezha.proxy.fills import Fills
from nezha.proxy.outgoing import Ask
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
                if isinstance(leading, Answered):
                    leading.answer.abandon()
            elif isinstance(outcome, Refused):
                outcome.answer.abandon()
        except OriginError as error:
            log.warn("refresh_failed", key=stored.entry.key, message=str(error))
        finally:
            self._running.discard(stored.entry.version)


async def _nobody(status: int, fields: Fields) -> None:
    """Nobody waits for the 1xx heads of such an answer."""

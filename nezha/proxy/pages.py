"""What the cache port says of itself: status, health, readiness, metrics, the CA certificate.

Nothing here names an object.
"""

import time
from collections.abc import Callable, Mapping
from email.utils import formatdate

from nezha.metrics import Metrics
from nezha.model import Fields
from nezha.proxy import board, shell
from nezha.proxy.history import History
from nezha.proxy.http1 import Exchange

Readiness = Callable[[], Mapping[str, bool | str]]
"""Facts that must all be true, and texts that only tell more."""


class Pages:
    """Answers requests whose Host is no origin's."""

    def __init__(
        self, metrics: Metrics, history: History, certificates: Callable[[], bytes], readiness: Readiness
    ) -> None:
        self._metrics = metrics
        self._history = history
        self._certificates = certificates
        self._readiness = readiness

    async def answer(self, exchange: Exchange) -> None:
        """The page that is asked for, else 421: Nezha is no proxy for that host."""
        request = exchange.request
        if request.tls or request.method not in {"GET", "HEAD"}:
            await self._misdirected(exchange)
            return
        match request.path:
            case "/":
                text = board.page(self._history.until_now(), self._readiness(), self._history.uptime(), time.time())
                await exchange.answer(200, text, *shell.HEADERS, kind="text/html")
            case "/healthz":
                await exchange.answer(200, "ok\n", ("Date", formatdate(usegmt=True)))  # for `nezha doctor`
            case "/readyz":
                await self._ready(exchange)
            case "/metrics":
                await self._send(exchange, "text/plain; version=0.0.4; charset=utf-8", self._metrics.render())
            case "/ca.crt":
                await self._send(exchange, "application/x-pem-file", self._certificates())
            case _:
                await self._misdirected(exchange)

    async def _ready(self, exchange: Exchange) -> None:
        facts = self._readiness()
        is_ready = False not in facts.values()
        lines = [
            f"--  {name}: {fact}\n" if isinstance(fact, str) else f"{'ok' if fact else 'no'}  {name}\n"
            for name, fact in facts.items()
        ]
        detail = "".join(lines) if exchange.request.query == "verbose" else ""
        await exchange.answer(200 if is_ready else 503, f"{detail}{'ready' if is_ready else 'not ready'}\n")

    async def _send(self, exchange: Exchange, kind: str, body: bytes) -> None:
        exchange.start(200, Fields([("Content-Type", kind)]), length=len(body))
        await exchange.write(body)
        await exchange.end()

    async def _misdirected(self, exchange: Exchange) -> None:
        said = ("Cache-Status", "nezha; detail=unknown-host")
        await exchange.answer(421, "no configured origin has this host\n", said)

"""A client's connection inside TLS.

TLS is done here, above the plain transport, with an `SSLObject` between two memory BIOs, so that the pump may encrypt
in its threads (`wire`). While it has the wire, nothing here touches the `SSLObject`: reading is paused and the
transport's buffer is empty.
"""

import asyncio
import ssl
from contextlib import suppress

from nezha.proxy.connection import Connection
from nezha.proxy.wire import TlsWire, Wire

_TLS_READ = 64 << 10


class TlsConnection(Connection):
    """What `Connection` is, and the handshake before it."""

    def __init__(self, transport: asyncio.Transport, context: ssl.SSLContext, *, client: str, sni: str | None) -> None:
        super().__init__(transport, client=client)
        self.sni = sni
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_open = False
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_tls(self) -> bool:
        return True

    async def handshake(self) -> None:
        """Waits for the handshake to end. Raises ConnectionError where it fails."""
        await self._opened

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._incoming.write(data)
        if not self.is_open and not self._shake():
            return
        self._decrypt()

    def eof_received(self) -> bool:
        if not self.is_open:
            return False  # half a handshake has no answer: the transport ends
        if self._is_deaf or self.is_idle:
            return super().eof_received()
        # A client ends its half by close_notify (RFC 8446 6.1); one that ends TCP's has left, whatever is on its way.
        self.abort()
        return False

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError as error:
            self._send()  # the alert
            self._refuse(f"TLS handshake: {error.reason}")
            self.close()
            return False
        self._send()
        self.is_open = True
        if not self._opened.done():
            self._opened.set_result(None)
        return True

    def _refuse(self, message: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectionError(message))
            self._opened.exception()  # seen: the waiter may be gone

    def _decrypt(self) -> None:
        try:
            while data := self._tls.read(_TLS_READ):
                self._arrived(data)
            super().eof_received()  # close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            super().eof_received()
        except ssl.SSLError:
            self._send()
            self.abort()
            return
        self._send()  # answers to a key update

    def _send(self) -> None:
        if self._outgoing.pending and not self.transport.is_closing():
            self.transport.write(self._outgoing.read())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_ending:
            self._tls.write(data)
            self._send()

    def _make_wire(self, fd: int) -> Wire:
        return TlsWire(fd, self._tls, self._outgoing)

    def _end_half(self) -> None:
        self._notify()
        super()._end_half()

    def _notify(self) -> None:
        """Sends close_notify; the client's is not waited for."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send()

    def close(self) -> None:
        if self.is_open and not (self._has_wire or self._is_deaf or self.is_ending):
            self._notify()
        super().close()

    def connection_lost(self, error: Exception | None) -> None:
        self._refuse("the client left during the handshake")
        super().connection_lost(error)

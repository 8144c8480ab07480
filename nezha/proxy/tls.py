"""A client's connection inside TLS.

OpenSSL reads and writes the socket itself, and `TlsTransport` makes that a transport: bulk bytes are copied least so
(`wire`). An SSLSocket is not thread safe. While the pump has the wire, nothing here touches it: reading is paused,
nothing is queued, and an end is left until the wire comes back.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from contextlib import suppress

from nezha.proxy.connection import Connection
from nezha.proxy.wire import FULL_MS, TlsSender, TlsWire, Wire

_READ = 64 << 10
_PUT = 64 << 10  # so little is in doubt while a client is slow: what is pending counts as untaken
_HIGH = 64 << 10
# What the kernel takes past the window: as much as one turn of the pump may well use, and more only grows cold in its
# queue. Against 256 KiB and against no limit, eight clients get up to a tenth more.
_UNSENT = 1 << 20


class TlsConnection(Connection):
    """What `Connection` is, and the handshake before it."""

    transport: "TlsTransport"

    def __init__(self, *, client: str, sni: str | None) -> None:
        super().__init__(client=client)
        self.sni = sni
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_tls(self) -> bool:
        return True

    async def handshake(self) -> None:
        """Waits for the handshake to end. Raises ConnectionError where it fails."""
        await self._opened

    def opened(self) -> None:
        """The handshake has ended well."""
        if not self._opened.done():
            self._opened.set_result(None)

    def cut(self) -> None:
        """TCP has ended without TLS's saying so. Such a client has left (RFC 8446 6.1), whatever is on its way."""
        if self._is_deaf or self.is_idle:
            self.eof_received()
        else:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectionError(f"TLS handshake: {error or 'the client left'}"))
            self._opened.exception()  # seen: the waiter may be gone
        super().connection_lost(error)

    def _make_wire(self, fd: int) -> Wire:
        return self.transport.lend()


class TlsTransport(asyncio.Transport):
    """Takes over a connected socket that does not block and of which nothing was read; serves `connection`."""

    def __init__(self, handle: socket.socket, context: ssl.SSLContext, connection: TlsConnection) -> None:
        """Begins the handshake. Raises OSError where the client has left."""
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 1000 * FULL_MS))  # for the pump
        self._tls = context.wrap_socket(
            handle, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        super().__init__({"socket": self._tls})
        self._loop = asyncio.get_running_loop()
        self._fd = self._tls.fileno()
        self._connection = connection
        self._sender = TlsSender(self._tls)
        self._queue: deque[bytes] = deque()
        self._high = _HIGH
        self._is_open = False
        self._is_lent = False
        self._is_reading = True
        self._is_at_eof = False
        self._is_closing = False
        self._is_lost = False
        self._says_full = False
        connection.connection_made(self)
        self._loop.add_reader(self._fd, self._readable)

    # -- inbound

    def _readable(self) -> None:
        try:
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
                self._connection.opened()
            while self._is_reading and not self._is_closing:
                data = self._tls.recv(_READ)
                if not data:
                    self._at_eof()
                    self._loop.add_reader(self._fd, self._watch)
                    self._connection.eof_received()
                    return
                self._connection.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._fd, self._writable)
        except ssl.SSLEOFError as error:
            self._at_eof()
            if self._is_open:
                self._connection.cut()
            else:
                self._fail(error)
        except OSError as error:  # OpenSSL has sent the alert
            self._fail(error)

    def _watch(self) -> None:
        """What a client that has ended TLS's half does to TCP's, past OpenSSL."""
        try:
            has_left = not socket.socket.recv(self._tls, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)  # lent, it blocks
        except BlockingIOError:
            return
        except OSError:
            has_left = True
        self._loop.remove_reader(self._fd)
        if has_left:
            self._connection.cut()

    def _at_eof(self) -> None:
        self._is_at_eof = True
        self.pause_reading()

    def pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if self._is_reading or self._is_closing or self._is_at_eof:
            return
        self._is_reading = True
        self._loop.add_reader(self._fd, self._readable)
        self._loop.call_soon(self._again)  # what OpenSSL has read already makes no socket readable

    def _again(self) -> None:
        if self._is_reading and not self._is_closing:
            self._readable()

    # -- outbound

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            return
        view = memoryview(data)
        try:
            while view and not self._queue and self._sender.flush():
                self._sender.put(view[:_PUT])
                view = view[_PUT:]
        except OSError as error:
            self._fail(error)
            return
        if view:
            self._queue.append(bytes(view))
        if self.get_write_buffer_size():
            self._loop.add_writer(self._fd, self._writable)
            self._mark()

    def _writable(self) -> None:
        try:
            if not self._is_open:
                self._readable()
            while self._sender.flush() and self._queue:
                self._sender.put(self._queue.popleft())
        except OSError as error:
            self._fail(error)
            return
        if not self.get_write_buffer_size():
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                self._finish()
        self._mark()

    def _mark(self) -> None:
        """Tells the connection when the queue passes its marks."""
        size = self.get_write_buffer_size()
        if not self._says_full and size > self._high:
            self._says_full = True
            self._connection.pause_writing()
        elif self._says_full and size <= self._high // 4:
            self._says_full = False
            self._connection.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._sender.pending) + sum(map(len, self._queue))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _HIGH if high is None else high
        self._mark()

    # -- the pump's

    def lend(self) -> Wire:
        """The way for the pump; nothing is to be queued, and reading is to be off."""
        self._is_lent = True
        return TlsWire(self._fd, self._sender, self._take_back)

    def _take_back(self) -> None:
        self._is_lent = False
        if self._is_lost:
            self._end()
        elif self._sender.pending:  # part of a record: without its rest the client can read nothing that follows
            self._loop.add_writer(self._fd, self._writable)
            self._mark()

    # -- end

    def is_closing(self) -> bool:
        return self._is_closing

    def write_eof(self) -> None:
        """Ends our half; nothing is to be queued. What the client still sends is no longer decrypted."""
        self._notify()
        with suppress(OSError):
            self._tls.shutdown(socket.SHUT_WR)

    def _notify(self) -> None:
        """Sends close_notify; the client's is not waited for."""
        if self._is_open and not self._is_lent:
            with suppress(OSError, ValueError):  # ValueError: it was said, and TLS is over
                self._tls.unwrap()

    def close(self) -> None:
        if self._is_closing:
            return
        self._loop.remove_reader(self._fd)
        self._is_closing = True
        if not self.get_write_buffer_size():
            self._finish()

    def _finish(self) -> None:
        self._notify()
        self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._fail(None)

    def _fail(self, error: Exception | None) -> None:
        self._loop.remove_reader(self._fd)
        self._is_closing = True
        self._queue.clear()
        self._loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._loop.remove_writer(self._fd)
        if not self._is_lent:
            self._end()
        self._connection.connection_lost(error)

    def _end(self) -> None:
        self._sender.close()
        self._tls.close()

"""The pump's way to a client's socket, from its threads: plain, or inside TLS. While it lasts it is the only one.

Plain bytes go from the file to the socket in the kernel. TLS bytes are read into a buffer of the thread's, encrypted
16 records at a time, and leave in one piece.
"""

import asyncio
import fcntl
import os
import socket
import ssl
import struct
import termios
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

_TLS_BATCH = 256 << 10  # larger ones are no faster, and a waiting client may leave most of one unsent
_threads = threading.local()


class Wire(ABC):
    """The pump's way to a socket. Its methods run in a thread and never block; 0 means that the socket is full."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @abstractmethod
    def put(self, data: bytes, *, more: bool) -> int:
        """Sends some of `data`; how much of it was taken. `more` follows at once."""

    @abstractmethod
    def put_file(self, file: int, start: int, stop: int) -> int:
        """Sends some of a file's [start, stop); how much of it was taken."""

    @abstractmethod
    def flush(self) -> bool:
        """Sends what was taken but not sent; whether nothing is left."""

    def rest(self) -> bytes:
        """What was taken but not sent: it must leave before anything else does."""
        return b""


class PlainWire(Wire):
    """The socket itself."""

    def put(self, data: bytes, *, more: bool) -> int:
        try:
            return os.write(self.fd, data) if not more else _send_more(self.fd, data)
        except BlockingIOError:
            return 0

    def put_file(self, file: int, start: int, stop: int) -> int:
        try:
            sent = os.sendfile(self.fd, file, start, stop - start)
        except BlockingIOError:
            return 0
        if not sent:
            raise EOFError("an extent file ended early")
        return sent

    def flush(self) -> bool:
        return True


def _send_more(fd: int, data: bytes) -> int:
    # A socket object made around a descriptor closes it when collected: detach first.
    view = socket.socket(fileno=fd)
    try:
        return view.send(data, socket.MSG_MORE)
    finally:
        view.detach()


def _buffer() -> memoryview:
    """The thread's own, for plain text that is encrypted at once: a waiting connection holds none."""
    if not hasattr(_threads, "buffer"):
        _threads.buffer = memoryview(bytearray(_TLS_BATCH))
    view: memoryview = _threads.buffer
    return view


class TlsWire(Wire):
    """Bytes are encrypted between two memory BIOs, which the connection uses at other times."""

    def __init__(self, fd: int, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> None:
        super().__init__(fd)
        self._tls = tls
        self._outgoing = outgoing
        self._unsent = memoryview(b"")

    def put(self, data: bytes, *, more: bool) -> int:
        if not self.flush():
            return 0
        taken = self._tls.write(data[:_TLS_BATCH])
        if not more:
            self.flush()
        return taken

    def put_file(self, file: int, start: int, stop: int) -> int:
        if not self.flush():
            return 0
        buffer = _buffer()
        read = os.preadv(file, [buffer[: min(stop - start, _TLS_BATCH)]], start)
        if not read:
            raise EOFError("an extent file ended early")
        taken = self._tls.write(buffer[:read])
        self.flush()
        return taken

    def flush(self) -> bool:
        while True:
            if not self._unsent:
                if not self._outgoing.pending:
                    return True
                self._unsent = memoryview(self._outgoing.read())
            try:
                sent = os.write(self.fd, self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]

    def rest(self) -> bytes:
        return bytes(self._unsent) + self._outgoing.read()


async def progress(future: "asyncio.Future[None]", unsent_bytes: Callable[[], int], seconds: float) -> None:
    """Waits for `future`. Raises ConnectionResetError where the client takes no byte for so many seconds meanwhile."""
    try:
        while True:
            before = unsent_bytes()
            if (await asyncio.wait({future}, timeout=seconds))[0]:
                return future.result()
            if unsent_bytes() >= before:
                raise ConnectionResetError("the client takes no bytes")
    finally:
        future.cancel()


def queued_bytes(fd: int) -> int:
    """What the kernel holds of a socket's outgoing bytes: a slow reader is seen here long before there is room."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0])

"""The pump's way to a client's socket, from its threads: plain, or inside TLS. While it lasts it is the only one.

Plain bytes go from the file to the socket in the kernel. TLS bytes are read into a buffer of the thread's, and OpenSSL
writes the socket itself, a record of 16 KiB at a time: against encrypting in memory and sending 16 records in one
piece, that copies each byte twice less, and takes a sixth to a third less CPU time.
"""

import asyncio
import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

# Half of what a socket holds (tcp_wmem): more than fits makes it full, and a full one takes the rest in small bits.
_PLAIN_BATCH = 2 << 20
_TLS_BATCH = 256 << 10  # what is encrypted in one go: smaller ones wait for the interpreter more often
_LARGE_BATCH = 4 << 20  # the same, out of memory: what is read from a file should fit into the processor's own cache
_large = threading.BoundedSemaphore(8)  # for what is pending of so much cannot leave memory
FULL_MS = 5  # how long a thread waits for a socket that is full
_FAST_BYTES_PER_MS = 64_000  # a client as fast as this may have a thread wait for it for a whole batch
_threads = threading.local()


class Wire(ABC):
    """The pump's way to a socket. Its methods run in a thread and hardly block; 0 means that the socket is full."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._wait_ms = 0
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def wait(self, on: bool) -> None:
        """Whether the thread, from here on, waits a little for a socket that is full."""
        self._wait_ms = FULL_MS if on else 0

    def has_room(self) -> bool:
        """Whether the socket takes bytes."""
        return bool(self._poll.poll(self._wait_ms))

    @abstractmethod
    def put(self, data: bytes | memoryview) -> int:
        """Sends some of `data`; how much of it was taken."""

    @abstractmethod
    def put_file(self, file: int, start: int, stop: int) -> int:
        """Sends some of a file's [start, stop); how much of it was taken."""

    @abstractmethod
    def flush(self) -> bool:
        """Sends what was taken but not sent; whether nothing is left."""

    @abstractmethod
    def cork(self, on: bool) -> None:
        """While on, only full segments leave: each that leaves wakes a reader that waits."""

    @abstractmethod
    def close(self) -> None:
        """Gives the way back, in the event loop."""


class PlainWire(Wire):
    """The socket itself, by a descriptor of its own.

    uvloop lets nobody watch a transport's, and that may be closed under a thread.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=os.dup(fd))
        super().__init__(self._socket.fileno())

    def put(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0

    def put_file(self, file: int, start: int, stop: int) -> int:
        try:
            sent = os.sendfile(self.fd, file, start, min(stop - start, _PLAIN_BATCH))
        except BlockingIOError:
            return 0
        if not sent:
            raise EOFError("an extent file ended early")
        return sent

    def flush(self) -> bool:
        return True

    def cork(self, on: bool) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def close(self) -> None:
        self._socket.close()


class TlsSender:
    """What goes into a TLS socket. OpenSSL takes bytes whole; what it could not send at once it wants to see again."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls
        self.pending: bytes | memoryview = b""  # taken, and only part of it sent
        self.keeps_up = False  # the client was fast in taking the last bytes
        self._since, self._count = 0.0, 0  # when those were taken that were taken last, and how many
        self._has_large = False

    @property
    def batch_bytes(self) -> int:
        """How much of a body in memory to `put`: much for a client that keeps up, unless many others have stopped."""
        if self.keeps_up and not self._has_large:
            self._has_large = _large.acquire(blocking=False)
        return _LARGE_BATCH if self._has_large else _TLS_BATCH

    def put(self, data: bytes | memoryview, *, stays: bool = False) -> None:
        """Takes `data`; unless it `stays` as it is, it may be reused at once. Nothing may be pending.

        Raises ConnectionError.
        """
        self._since, self._count = time.monotonic(), len(data)
        if self._send(data):
            self.close()
        else:
            self.pending = data if stays else bytes(data)

    def flush(self) -> bool:
        """Sends what is pending; whether nothing is left. Raises ConnectionError."""
        if self.pending and self._send(self.pending):
            self.close()
        return not self.pending

    def close(self) -> None:
        """Nothing is pending any more."""
        took_ms = (time.monotonic() - self._since) * 1000
        self.keeps_up = took_ms <= max(FULL_MS, self._count / _FAST_BYTES_PER_MS)
        self.pending = b""
        self._give_large()

    def _give_large(self) -> None:
        if self._has_large:
            self._has_large = False
            _large.release()

    def _send(self, data: bytes | memoryview) -> bool:
        try:
            self._tls.send(data)
        except ssl.SSLWantWriteError:
            return False
        except ssl.SSLError as error:  # after an end, OpenSSL says so in words of its own
            raise ConnectionResetError(str(error)) from error
        return True


class TlsWire(Wire):
    """The socket by OpenSSL, which the transport uses at other times; `give_back` says that it may.

    It blocks while a thread waits for a fast client: to hear of a full socket costs Python more than the kernel.
    """

    def __init__(self, fd: int, sender: TlsSender, give_back: Callable[[], None]) -> None:
        super().__init__(fd)
        self._sender = sender
        self._give_back = give_back
        self._blocks = False

    def wait(self, on: bool) -> None:
        if (blocks := on and self._sender.keeps_up) != self._blocks:
            os.set_blocking(self.fd, blocks)
            self._blocks = blocks
        # writing has waited
        super().wait(on and not blocks)

    def put(self, data: bytes | memoryview) -> int:
        if not self.flush():
            return 0
        taken = data[: self._sender.batch_bytes]
        self._sender.put(taken, stays=True)
        return len(taken)

    def put_file(self, file: int, start: int, stop: int) -> int:
        if not self.flush():
            return 0
        buffer = _buffer()
        read = os.preadv(file, [buffer[: min(stop - start, _TLS_BATCH)]], start)
        if not read:
            raise EOFError("an extent file ended early")
        self._sender.put(buffer[:read])
        return read

    def flush(self) -> bool:
        return not self._sender.pending or (bool(self._poll.poll(0)) and self._sender.flush())

    def cork(self, on: bool) -> None:
        pass  # measured: a record that waits for others costs a fifth more

    def close(self) -> None:
        self.wait(False)
        self._give_back()


def _buffer() -> memoryview:
    """The thread's own, for plain text that is encrypted at once: a connection holds none but while it waits."""
    if not hasattr(_threads, "buffer"):
        _threads.buffer = memoryview(bytearray(_TLS_BATCH))
    view: memoryview = _threads.buffer
    return view


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

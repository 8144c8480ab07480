"""The open port: accepts connections, and learns what each wants from its first bytes, which are only looked at.

They stay in the socket: whoever takes it over, a transport or OpenSSL, reads the connection from its start.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from nezha import log
from nezha.proxy.hello import HANDSHAKE, HELLO_MAX, BadHello, Hello, read_hello

HEAD_SECONDS = 30.0  # for a hello, a handshake, or a head that has begun
_AT_ONCE = 64  # of connections accepted in one turn of the loop
_BACKLOG = 1024
_FULL = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_FULL_SECONDS = 1.0  # until accepting is tried again after one of these

Take = Callable[[socket.socket, str, Hello | None], None]


class Arrivals:
    """The port's sockets, and connections whose kind is not known yet. `len` says how many those are."""

    def __init__(self, admits: Callable[[], bool], take: Take) -> None:
        """`take` gets a connection, its client's address, and the hello of one that speaks TLS."""
        self._admits = admits
        self._take = take
        self._ports: list[socket.socket] = []
        self._strangers: set[_Stranger] = set()

    def __len__(self) -> int:
        return len(self._strangers)

    async def open(self, host: str, port: int) -> int:
        """Opens the port at each address of `host`; gives its number. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            opened = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
            opened.setblocking(False)
            self._ports.append(opened)
            loop.add_reader(opened, self._accept, opened)
        return int(self._ports[0].getsockname()[1])

    def _accept(self, port: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                handle, address = port.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                log.event("accept_failed", message=error.strerror or str(error))
                loop = asyncio.get_running_loop()
                loop.remove_reader(port)
                loop.call_later(_FULL_SECONDS, self._resume, port)
                return
            handle.setblocking(False)
            if self._admits():
                self._strangers.add(stranger := _Stranger(handle, str(address[0]), self))
                stranger.look()
            else:
                handle.close()

    def _resume(self, port: socket.socket) -> None:
        if port in self._ports:
            asyncio.get_running_loop().add_reader(port, self._accept, port)

    def known(self, stranger: "_Stranger", hello: Hello | None) -> None:
        """The kind of a connection is known now."""
        self._strangers.discard(stranger)
        stranger.handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._take(stranger.handle, stranger.client, hello)

    def gone(self, stranger: "_Stranger") -> None:
        """A connection has ended before its kind was known, or it was neither."""
        self._strangers.discard(stranger)
        stranger.handle.close()  # over unread bytes: the client sees that it was cut

    def close(self) -> None:
        """Closes the port, and ends those whose kind is not known."""
        while self._ports:
            port = self._ports.pop()
            asyncio.get_running_loop().remove_reader(port)
            port.close()
        for stranger in list(self._strangers):
            stranger.abort()


class _Stranger:
    """A connection whose kind is not known yet."""

    def __init__(self, handle: socket.socket, client: str, arrivals: Arrivals) -> None:
        self.handle = handle
        self.client = client
        self._arrivals = arrivals
        self._wanted = 1  # bytes that are enough to look again
        self._loop = asyncio.get_running_loop()
        self._giving_up = self._loop.call_later(HEAD_SECONDS, self.abort)
        self._loop.add_reader(handle, self.look)

    def look(self) -> None:
        """Looks at what has come."""
        try:
            data = self.handle.recv(HELLO_MAX + 1, socket.MSG_PEEK)
            if len(data) < self._wanted:  # readable all the same: the client has ended its half
                raise BadHello("cut")
            hello = read_hello(data) if data[0] == HANDSHAKE else None
            if data[0] != HANDSHAKE or hello is not None:
                self._await(1)
                self._leave()
                self._arrivals.known(self, hello)
            elif len(data) > HELLO_MAX:
                raise BadHello("too long")
            else:
                self._await(len(data) + 1)
        except BlockingIOError:
            pass
        except (BadHello, OSError):
            self.abort()

    def _await(self, count: int) -> None:
        """Is not readable with fewer bytes: they stay in the socket."""
        if count != self._wanted:
            self._wanted = count
            self.handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _leave(self) -> None:
        self._giving_up.cancel()
        self._loop.remove_reader(self.handle)

    def abort(self) -> None:
        """Ends it."""
        self._leave()
        self._arrivals.gone(self)

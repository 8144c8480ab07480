"""One request to an origin on its way, and its answer: bodies of known length go straight into fill buffers."""

import asyncio
from contextlib import suppress

from nezha.errors import OriginError, OriginUnreachable
from nezha.model import Fields, Head
from nezha.proxy.line import QUANTUM, Arrived
from nezha.proxy.link import Interim, Link
from nezha.semantics.storing import Framing


class Answer:
    """An origin's answer, its body not read yet. It ends by `read` to the end, or by `abandon`."""

    def __init__(self, link: Link, head: Head, framing: Framing, length: int | None) -> None:
        self.head = head
        self.framing = framing
        self.length = length
        self.trailers = Fields()
        self.is_done = framing is Framing.LENGTH and not length
        self._link = link
        self._left = length or 0
        self._rest = b""  # of what was read, where a target held less
        if self.is_done:
            link.release()

    @property
    def unread_bytes(self) -> int:
        """What of it has come and was not read: much of it says that the origin is not what is slow."""
        return 0 if self.is_done else self._link.line.unread_bytes

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises OriginError where it breaks off."""
        while not self.is_done:
            data = self._take()
            if data or self.is_done:
                return data
            await self._link.line.wait(self._link.target.idle_timeout)
            if self._link.line.is_ended and not self._link.line.backlog:
                self._ended()
        return b""

    def _take(self) -> bytes:
        line = self._link.line
        if self.framing is Framing.CHUNKED:
            return self._take_chunked()
        count = min(len(line.backlog), QUANTUM)
        if self.framing is Framing.LENGTH:
            count = min(count, self._left)
        data = bytes(memoryview(line.backlog)[:count])
        del line.backlog[:count]
        self._received(count)
        return data

    def _take_chunked(self) -> bytes:
        try:
            part = self._link.chunk()
        except OriginError:
            self.abandon()
            raise
        if isinstance(part, Fields):
            self.trailers = part
            self.is_done = True
            self._link.release()
            return b""
        self._link.count(len(part))
        return part

    async def fill(self, target: memoryview, arrived: Arrived) -> int:
        """Receives the body into `target` until it is full or the body ends; how much came. Raises OriginError."""
        if self.framing is not Framing.LENGTH:
            return await self._fill_by_reading(target, arrived)
        target = target[: self._left]
        if not target:
            return 0
        got = await self._link.line.fill(target, arrived, self._link.target.idle_timeout)
        self._received(got)
        if got < len(target):
            self._ended()
        return got

    async def _fill_by_reading(self, target: memoryview, arrived: Arrived) -> int:
        got = 0
        while got < len(target):
            data = self._rest or await self.read()
            if not data:
                break
            count = min(len(data), len(target) - got)
            target[got : got + count] = data[:count]
            self._rest = data[count:]
            got += count
            arrived(count)
        return got

    def _received(self, count: int) -> None:
        self._link.count(count)
        if self.framing is Framing.LENGTH:
            self._left -= count
            if self._left == 0 and not self.is_done:
                self.is_done = True
                self._link.release()

    def _ended(self) -> None:
        """The connection has ended: the end of a body framed by that, a fault of any other."""
        self.abandon()
        if self.framing is not Framing.CLOSE or self._link.line.error is not None:
            raise OriginUnreachable("the origin ended the connection in the middle of the body")

    def abandon(self) -> None:
        """Gives up on what is left of the body, and on the connection."""
        self.is_done = True
        self._link.close()

    async def drain(self, most_bytes: int) -> None:
        """Reads a short rest so that the connection can be kept; a longer one is abandoned."""
        if self.is_done:
            return
        if self.length is None or self.length > most_bytes:
            self.abandon()
            return
        with suppress(OriginError):
            while await self.read():
                pass


class Call:
    """One request on its way: its head is sent, its body may follow while the answer is awaited."""

    def __init__(self, link: Link, method: str) -> None:
        self._link = link
        self._method = method

    async def send(self, data: bytes) -> None:
        """Sends some of the request's body, framed by the caller. Raises OriginUnreachable."""
        if self._link.line.is_ended:
            raise OriginUnreachable("the origin ended the connection while the request was sent")
        self._link.transport.write(data)
        await self._link.line.drain()
        self._link.line.last_sent = asyncio.get_running_loop().time()

    async def finish(self, data: bytes) -> None:
        """Sends the last of the request's body. Raises OriginUnreachable."""
        self._link.is_sent = True
        await self.send(data)

    @property
    def may_repeat(self) -> bool:
        """Whether the request went out on a kept connection that ended without a byte of answer."""
        return self._link.is_reused and not self._link.has_answered

    async def answer(self, interim: Interim | None = None) -> Answer:
        """The answer's head. Raises OriginError; the connection is gone then."""
        try:
            return Answer(self._link, *await self._link.head(self._method, interim))
        except BaseException:
            self._link.close()
            raise

    def abandon(self) -> None:
        """Gives up the request."""
        self._link.close()

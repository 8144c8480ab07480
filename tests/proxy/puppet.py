"""A TLS client in the test's hands: what it sends and when, record by record."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.rawclient import RawClient
from tests.running import Running


class Puppet:
    """A TLS client whose every byte goes through the test's hands."""

    def __init__(self, context: ssl.SSLContext, name: str | None, client: RawClient) -> None:
        self.client = client
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, nezha: Running, name: str | None, context: ssl.SSLContext | None = None
    ) -> "AsyncIterator[Puppet]":
        async with await RawClient.open("127.0.0.1", nezha.port) as client:
            yield cls(context or nezha.trust(), name, client)

    def hello(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    async def handshake(self) -> None:
        """The rest of it, once the hello has been sent."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                self.incoming.write(await self.record())
            else:
                return await self.flush()

    async def record(self) -> bytes:
        head = await self.client.read(5)
        return head + await self.client.read(int.from_bytes(head[3:5], "big"))

    async def flush(self) -> None:
        await self.client.send(self.outgoing.read())

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self.flush()

    async def notify(self) -> None:
        """close_notify: there will be no more from this side."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self.flush()

    async def head(self) -> bytes:
        """A head, as it came."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.read(1)
        return head

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes of plain text."""
        got = b""
        while len(got) < size:
            try:
                got += self.tls.read(size - len(got))
            except ssl.SSLWantReadError:
                self.incoming.write(await self.record())
        return got


def fragments(hello: bytes, size: int) -> Iterator[bytes]:
    """The same handshake message in records of at most `size` bytes."""
    assert int.from_bytes(hello[3:5], "big") == len(hello) - 5
    for at in range(5, len(hello), size):
        part = hello[at : at + size]
        yield hello[:3] + len(part).to_bytes(2, "big") + part

"""Whether the cache is ready, where it runs in other pods than the webhook: asked at the Service, as a job would.

Nothing is asked during a review; what the last look said counts.
"""

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 2.0
ANSWER_SECONDS = 5.0
_QUESTION = b"GET /readyz HTTP/1.1\r\nHost: nezha.invalid\r\nConnection: close\r\n\r\n"


class RemoteCache:
    """The cache behind `addresses()`, of which one that is ready is enough."""

    def __init__(self, addresses: Callable[[], tuple[str, ...]], port: int) -> None:
        self._addresses = addresses
        self._port = port
        self.problem: str | None = "not looked at yet"
        """Why it is not ready; None where it is."""

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Asks once."""
        problem: str | None = "the address of its Service is not known"
        for address in self._addresses():
            problem = await self._ask(address)
            if problem is None:
                break
        self.problem = problem

    async def _ask(self, address: str) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await self._first_line(address)
        except (OSError, TimeoutError, ValueError) as error:
            return f"{address} does not answer ({error or type(error).__name__})"
        return None if line.split()[1:2] == [b"200"] else f"{address} is not ready"

    async def _first_line(self, address: str) -> bytes:
        reader, writer = await asyncio.open_connection(address, self._port)
        try:
            writer.write(_QUESTION)
            return await reader.readline()
        finally:
            writer.close()

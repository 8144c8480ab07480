"""A real Chromium without a window, driven by the DevTools protocol over one WebSocket."""

import asyncio
import base64
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.real import servers

SECONDS = 30.0
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip


@dataclass
class Tab:
    """One tab: what it was told, and what it told."""

    socket: aiohttp.ClientWebSocketResponse
    events: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command; its result."""
        number = next(self._numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await self._receive()).get("id") != number:
            self.events.append(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.socket.receive_json(timeout=SECONDS)
        return message

    async def open(self, url: str) -> None:
        """Loads a page, until all of it is there."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.tell(f"{domain}.enable")
        seen = len(self.events)
        await self.tell("Page.navigate", url=url)
        await self.event("Page.loadEventFired", seen)

    async def event(self, method: str, since: int = 0) -> None:
        """Until there is such an event, after the first `since` of all."""
        async with asyncio.timeout(SECONDS):
            while not any(event["method"] == method for event in self.events[since:]):
                self.events.append(await self._receive())

    async def value(self, expression: str) -> Any:
        """What an expression evaluates to in the page; DevTools may, where the page's own scripts may not."""
        result = (await self.tell("Runtime.evaluate", expression=expression, returnByValue=True))["result"]
        return result.get("value")

    async def until(self, expression: str, holds: Callable[[Any], bool]) -> None:
        """Until the expression's value is as it should be."""
        async with asyncio.timeout(SECONDS):
            while not holds(await self.value(expression)):  # noqa: ASYNC110  # a page tells nobody that it changed
                await asyncio.sleep(0.1)

    def requested(self) -> list[str]:
        """The URLs that the page and its scripts asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]  # fmt: skip

    def complaints(self) -> list[str]:
        """What the browser's console says: errors, blocked styles and scripts among them."""
        kinds = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
        return [str(event["params"]) for event in self.events if event["method"] in kinds]

    async def screenshot(self) -> bytes:
        """The page as PNG."""
        shot = await self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def browser(directory: Path, width: int = 1000, height: int = 700) -> AsyncIterator[Tab]:
    """Chromium with one empty tab of that many pixels."""
    profile = directory / "chromium"
    command = [await asyncio.to_thread(servers.program, "chromium"), *_OPTIONS, f"--user-data-dir={profile}"]
    process = await asyncio.create_subprocess_exec(
        *command, "about:blank", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                url = next(each["webSocketDebuggerUrl"] for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                tab = Tab(socket)
                await tab.tell(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                    mobile=width < 600,
                )  # fmt: skip
                yield tab
    finally:
        process.terminate()
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)


async def _port(file: Path) -> int:
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(FileNotFoundError, IndexError):
                return int((await asyncio.to_thread(file.read_text)).splitlines()[0])
            await asyncio.sleep(0.05)

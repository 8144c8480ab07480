"""Plays the cases: one `nezha serve` of its own process, one scripted origin, all cases at once."""

import asyncio
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from tests.conformance.case import CACHE, CHECKED, ORIGIN, Answer, Case, Headers, Step, Value
from tests.faults import head_bytes
from tests.origin import Answer as Script
from tests.origin import Origin
from tests.rawclient import RawClient, Response, Truncated, request_bytes
from tests.serving import serving
from tests.wire import Received

HOSTS: dict[str, dict[str, Any]] = {
    "web.test": {},
    "fresh.test": {"fresh": "1h"},
    "guess.test": {"heuristic": True},
    "lasting.test": {"immutable": True},
}
_AT_ONCE = 24
_SECONDS = 60.0  # nothing here is timed: a machine may be busy


class Failed(Exception):
    """A case was not as it must be."""


class CaseOrigin(Origin):
    """Answers a request with what the step under way of its case says."""

    def __init__(self) -> None:
        super().__init__()
        self.players: dict[str, Player] = {}

    def next_scripted(self, request: Received) -> Script | None:
        player = self.players.get(request.path.split("/")[1])
        return player.answer(request) if player else None


class Player:
    """One case being played."""

    def __init__(self, case: Case, origin: CaseOrigin, port: int) -> None:
        self.case = case
        self.origin = origin
        self.port = port
        self.started = time.time()
        self.asked: list[Received] = []
        self.step = Step()

    def answer(self, request: Received) -> Script:
        """What the origin says to a request of this case."""
        self.asked.append(request)
        answer = self.step.answer
        if answer.framing == "cut":
            return _cut
        headers = self._lines(answer.headers)
        body = (str(len(self.asked)) if answer.body is None else answer.body).encode()
        if answer.status in {204, 304} or request.method == "HEAD":
            length = [] if answer.status in {204, 304} else [("Content-Length", str(len(body)))]
            return self._interim(answer) + head_bytes(answer.status, [*headers, *length])
        if answer.framing == "chunked":
            tail = "".join(f"{name}: {value}\r\n" for name, value in answer.trailers)
            framed = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, tail.encode())
            return (
                self._interim(answer) + head_bytes(answer.status, [*headers, ("Transfer-Encoding", "chunked")]) + framed
            )
        if answer.framing == "close":
            return head_bytes(answer.status, [*headers, ("Connection", "close")]) + body
        return self._interim(answer) + head_bytes(answer.status, [*headers, ("Content-Length", str(len(body)))]) + body

    def _interim(self, answer: Answer) -> bytes:
        return b"".join(head_bytes(status, self._lines(headers)) for status, headers in answer.interim)

    def _lines(self, headers: Headers) -> list[tuple[str, str]]:
        return [(name, self._value(value)) for name, value in headers]

    def _value(self, value: Value) -> str:
        return formatdate(int(self.started) + value, usegmt=True) if isinstance(value, int) else value

    async def play(self) -> None:
        """Raises Failed."""
        for number, step in enumerate(self.case.steps, 1):
            self.step = step
            if step.method not in {"GET", "HEAD"}:
                await self._until_stored()
            before = len(self.asked)
            async with await RawClient.open("127.0.0.1", self.port, timeout=_SECONDS) as client:
                response = await client.exchange(self._request(step))
            try:
                self._check_source(step, response, before)
                self._check_response(step, response, before)
                if step.asked is not None:
                    await self._until_asked(step.asked)
            except Failed as failed:
                said = response.get("cache-status")
                raise Failed(f"step {number}: {failed} ({response.status}, {said}, {self.asked[before:]})") from None

    async def _until_stored(self) -> None:
        """Until no fill runs: an unsafe request ends those of its target, and what they would have stored is gone."""
        async with asyncio.timeout(_SECONDS), await RawClient.open("127.0.0.1", self.port, timeout=_SECONDS) as client:
            while b"nezha_fills_running 0.0" not in (await client.get("/metrics", "nezha")).body:
                pass

    async def _until_asked(self, times: int) -> None:
        await self.origin.until(lambda: len(self.asked) >= times, f"request {times}", _SECONDS)
        expect(len(self.asked) == times, f"the origin was asked {len(self.asked)} times")

    def _request(self, step: Step) -> bytes:
        target = step.raw_target or f"/{self.case.id}{step.path}"
        body = step.body.encode() if step.body is not None else None
        return request_bytes(step.method, target, self.case.host, self._lines(step.headers), body)

    def _check_source(self, step: Step, response: Response, before: int) -> None:
        asked = self.asked[before:]
        if step.comes is CACHE:
            is_refresh = step.asked is not None and "hit" in (response.get("cache-status") or "")
            expect(not asked or is_refresh, "the origin was asked")
        elif step.comes is ORIGIN:
            expect(bool(asked), "the origin was not asked")
            own = {name.lower() for name, _ in step.headers}
            added = {name.lower() for name, _ in asked[-1].headers} - own
            if step.answer.status == 304:
                expect(not added & {"if-none-match", "if-modified-since"}, "the origin was asked about a stored answer")
        elif step.comes is CHECKED:
            expect(bool(asked), "the origin was not asked")
            names = {name.lower() for name, _ in asked[-1].headers}
            expect(bool(names & {"if-none-match", "if-modified-since"}), "the origin was asked without a condition")
        for name, value in step.sent:
            expect(bool(asked), "the origin was not asked")
            seen = asked[-1].header(name)
            if value == "*":
                expect(seen is not None, f"the origin did not see {name}")
            else:
                wanted = None if value is None else self._value(value)
                expect(seen == wanted, f"the origin saw {name}: {seen}, not {wanted}")

    def _check_response(self, step: Step, response: Response, before: int) -> None:
        plain = 200 if step.comes in {CACHE, CHECKED} else step.answer.status
        status = step.status if step.status is not None else plain
        expect(response.status == status, f"the status is {response.status}, not {status}")
        for name, value in step.has:
            self._check_field(name, value, response.get(name))
        if step.text is not None:
            expect(response.body.decode("latin-1") == step.text, f"the body is {response.body[:60]!r}")
        elif step.comes is CACHE and response.status == 200 and step.method == "GET":
            numbers = {str(number) for number in range(1, before + 1)} | {self._known_body()}
            expect(response.body.decode("latin-1") in numbers, f"the body is {response.body[:60]!r}")
        for status, headers in step.answer.interim if len(self.asked) > before else ():
            heads = [head for head in response.interim if head.status == status]
            expect(bool(heads), f"no {status} came")
            for name, value in headers:
                expect(heads[0].get(name) == self._value(value), f"{status} without {name}")
        if step.says is not None:
            said = response.get("cache-status") or ""
            expect(step.says in said, f"it does not say {step.says}")

    def _known_body(self) -> str:
        return next((step.answer.body for step in self.case.steps if step.answer.body is not None), "")

    def _check_field(self, name: str, value: Value | None, seen: str | None) -> None:
        if value is None:
            expect(seen is None, f"there is {name}: {seen}")
        elif value == "*":
            expect(seen is not None, f"there is no {name}")
        elif isinstance(value, str) and value.startswith(">"):
            expect(seen is not None and int(seen) > int(value[1:]), f"{name} is {seen}, not {value}")
        else:
            expect(seen == self._value(value), f"{name} is {seen}, not {self._value(value)}")


def expect(is_so: bool, otherwise: str) -> None:
    """Raises Failed."""
    if not is_so:
        raise Failed(otherwise)


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Received) -> None:
    writer.close()


async def play(directory: Path, cases: list[Case]) -> dict[str, str]:
    """Plays all of them; by id, what was not as it must be."""
    failures: dict[str, str] = {}
    async with CaseOrigin() as origin:
        origins = [
            {"name": host.partition(".")[0], "dialect": "http", "hosts": [host], "connect": origin.url, **more}
            for host, more in HOSTS.items()
        ]
        async with serving(directory, *origins, log={"access": False, "level": "info"}) as nezha:
            room = asyncio.Semaphore(_AT_ONCE)

            async def one(case: Case) -> None:
                async with room:
                    player = origin.players[case.id] = Player(case, origin, nezha.ready["cache_port"])
                    try:
                        await player.play()
                    except (Failed, OSError, TimeoutError, Truncated) as error:
                        failures[case.id] = f"{type(error).__name__}: {error}"

            async with asyncio.TaskGroup() as group:
                for case in cases:
                    _ = group.create_task(one(case))
    return failures

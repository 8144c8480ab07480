"""The random model: steps of every kind against the real server, each answer judged by what the origin has said.

The server is the product, in this process, on real ports and a real directory; its clock is the model's, which moves
only by steps. Everything random comes from one seed.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nezha.control import place
from nezha.server import Server, prepare
from nezha.settings import Settings
from tests.faults import Fault
from tests.origin import WAIT_SECONDS
from tests.rawclient import RawClient, Truncated, request_bytes
from tests.running import HOST, settings_for, web
from tests.soak.judge import GRACE, GRANT, GRANT_IN_OUTAGE, Answered, Asked, Judge, Violation
from tests.soak.truth import TOKENS, Truth

PATHS = tuple(f"/{name}" for name in "abcdefgh")
VARYING = frozenset(PATHS[-2:])
KEPT = 40  # steps that a violation tells


class Model:
    """One run."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.truth = Truth(self.rng, PATHS, VARYING)
        self.steps = 0
        self.answers: dict[str, int] = {}
        self._judge = Judge(self.truth)
        self._directory = directory
        self._server: Server | None = None
        self._client: RawClient | None = None
        self._is_unquiet = False
        self._told: deque[str] = deque(maxlen=KEPT)

    # -- life

    def _settings(self) -> Settings:
        origin = web(
            self.truth, grant=f"{GRANT}s", grace=f"{GRACE}s", grant_in_outage=f"{GRANT_IN_OUTAGE}s", parallel=4
        )
        # So little of everything that bodies leave memory, and objects the disk.
        small = {"size": "800KiB", "slice": "64KiB", "buffers": "1MiB", "memory": "32KiB", "drain": "2s"}
        return settings_for(self._directory, [origin], **small)

    async def _open(self) -> Server:
        server = Server(await asyncio.to_thread(prepare, self._settings()), self.truth.now)
        await server.open()
        return server

    async def run(self, steps: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Runs so many steps. Raises Violation."""
        async with self.truth:
            self._server = await self._open()
            try:
                while self.steps < steps:
                    self.steps += 1
                    await self._step()
                    progress(self.steps)
            except Violation as error:
                told = "\n".join(self._told)
                raise Violation(f"seed {self.seed}, step {self.steps}: {error}\nthe last steps:\n{told}") from None
            finally:
                await self._hang_up()
                await self._server.close()

    async def _hang_up(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    # -- steps

    async def _step(self) -> None:
        kinds: dict[Callable[[], Awaitable[None]], int] = {
            self._read: 620, self._crowd: 60, self._leave: 20, self._write: 30, self._harmed: 60,
            self._change: 90, self._wait: 90, self._purge: 15, self._flip: 20, self._restart: 1,
        }  # fmt: skip
        (step,) = self.rng.choices(list(kinds), list(kinds.values()))
        if self._is_unquiet and step != self._change:
            await self._quiet()
        await step()

    async def _read(self) -> None:
        await self._ask(self._question(self.rng.choice(PATHS)))

    async def _crowd(self) -> None:
        """Several at once, most for one path, while it may change."""
        path = self.rng.choice(PATHS)
        asked = [self._question(path if self.rng.random() < 0.8 else self.rng.choice(PATHS)) for _ in range(6)]
        if self.rng.random() < 0.5:
            self.truth.flips[path] = self.rng.randrange(4)
        if self.rng.random() < 0.3:
            self._harm(path)
        some = asked[: self.rng.randrange(2, 7)]
        ended = await asyncio.gather(*(self._ask(each, is_shared=False) for each in some), return_exceptions=True)
        for error in filter(None, ended):
            raise error
        self._settle(path)

    async def _leave(self) -> None:
        """A client that goes away in the middle."""
        asked = self._question(self.rng.choice(PATHS))
        self._tell(f"leave {asked}")
        self._is_unquiet = True
        assert self._server is not None
        async with await RawClient.open("127.0.0.1", self._server.cache_port) as client:
            await client.send(self._raw(asked))
            if self.rng.random() < 0.5:
                with contextlib.suppress(Truncated):
                    await client.read_head()
            client.abort()

    async def _write(self) -> None:
        path = self.rng.choice(PATHS)
        body = self.rng.randbytes(self.rng.choice((0, 10, 5000, 100_000))) if self.rng.random() < 0.85 else None
        asked = Asked("DELETE" if body is None else "PUT", path, (), self.truth.tick())
        await self._ask(asked, body)
        if path in self.truth.written:
            self.truth.written.discard(path)
            self.truth.forget([path])

    async def _harmed(self) -> None:
        """A read while the origin goes wrong."""
        path = self.rng.choice(PATHS)
        self._harm(path)
        await self._ask(self._question(path))
        self._settle(path)

    def _harm(self, path: str) -> None:
        at = self.rng.choice((0, 1, 100, 30_000, 70_000, 150_000))
        fault = self.rng.choice(
            (
                Fault(reset_after=at), Fault(close_after=at), Fault(status=503), Fault(status=500), Fault(drop=True),
                Fault(garbage=True), Fault(ignore_range=True), Fault(wrong_content_range=7), Fault(no_length=True),
                Fault(rate=4e6), Fault(bad_chunk=True),
                Fault(reset_after=0, drop=True),
            )
        )  # fmt: skip
        nth = self.rng.choice((1, 1, (1, 2), None))
        self._tell(
            f"harm {path} {nth} { ({name: value for name in fault.__slots__ if (value := getattr(fault, name))}) }"
        )
        self.truth.fault(path, fault, nth=nth)

    def _settle(self, path: str) -> None:
        self.truth.heal()
        self.truth.flips.pop(path, None)
        self._is_unquiet = True

    async def _change(self) -> None:
        gone = [path for path in PATHS if self.truth.state(path, "en").version is None]
        path = self.rng.choice(gone or PATHS)
        self._tell(f"change {path}: {self.truth.change(path)}")

    async def _flip(self) -> None:
        """A change behind the next answers."""
        path = self.rng.choice(PATHS)
        self.truth.flips[path] = self.rng.randrange(2)
        self._tell(f"flip {path} {self.truth.flips[path]}")

    async def _wait(self) -> None:
        seconds = self.rng.choice((1, 5, 20, 31, 61, 110, 400, 3000))
        self.truth.clock += seconds
        self._tell(f"{seconds} s pass")

    async def _restart(self) -> None:
        self._tell("restart")
        await self._hang_up()
        assert self._server is not None
        await self._server.close()
        self._server = await self._open()

    async def _purge(self) -> None:
        path = self.rng.choice(PATHS)
        is_all = self.rng.random() < 0.2
        text = "web/" if is_all else f"web/{HOST}/{path}"
        self._tell(f"purge {text}")
        question = json.dumps({"command": "purge", "text": text, "is_prefix": is_all}).encode() + b"\n"
        gone = await asyncio.to_thread(_control, self._directory / "cache", question)
        if "end" not in gone:
            raise Violation(f"a purge failed: {gone}")
        self.truth.forget(PATHS if is_all else [path])

    async def _quiet(self) -> None:
        """Until no fill runs, so that a fault of one step harms no other."""
        self._is_unquiet = False
        assert self._server is not None
        deadline = time.monotonic() + WAIT_SECONDS
        while any(self._server.metrics.values(["fills_running"]).values()):  # the product tells nothing
            if time.monotonic() > deadline:
                raise Violation("a fill does not end")
            await asyncio.sleep(0.001)

    # -- requests

    def _question(self, path: str) -> Asked:
        rng = self.rng
        headers: list[tuple[str, str]] = []
        language = rng.choice(self.truth.languages(path))
        state = self.truth.state(path, language)
        able = (None, None, None, *TOKENS) if state.readers is None else tuple(state.readers)
        if (credential := rng.choice(able if rng.random() < 0.8 else (None, *TOKENS))) is not None:
            headers.append(("Authorization", credential))
        if language:
            headers.append(("Accept-Language", language))
        if rng.random() < 0.35:
            size = len(state.version.body) or 1 if state.version is not None else 10
            size = rng.choice((1, 10, 1000, size, size, size, 400_000))
            first, last = sorted((rng.randrange(size), rng.randrange(size)))
            asked_for = rng.choice((f"{first}-{last}", f"{first}-{last}", f"{first}-", f"-{last + 1}"))
            headers.append(("Range", f"bytes={asked_for}"))
        known = state.version.etag if state.version is not None and rng.random() < 0.7 else '"v1"'
        if known is not None and rng.random() < 0.12:
            headers.append((rng.choice(("If-None-Match", "If-None-Match", "If-Match", "If-Range")), known))
        if rng.random() < 0.08:
            headers.append(
                ("Cache-Control", rng.choice(("no-cache", "max-age=0", "max-age=20", "min-fresh=50", "no-store")))
            )
        return Asked("HEAD" if rng.random() < 0.1 else "GET", path, tuple(headers), self.truth.tick())

    def _raw(self, asked: Asked, body: bytes | None = None) -> bytes:
        return request_bytes(asked.method, asked.path, HOST, asked.headers, body)

    async def _ask(self, asked: Asked, body: bytes | None = None, *, is_shared: bool = True) -> None:
        self._tell(f"{asked.began}: {asked.method} {asked.path} {dict(asked.headers)}")
        answered = await self._answer(asked, body, is_shared=is_shared)
        about = {name: answered.get(name) for name in ("x-version", "x-meta", "age", "cache-status")}
        self._tell(f"  {answered.status} {len(answered.body)} {'whole' if answered.is_whole else 'cut'} {about}")
        outcome = f"{answered.status}{'' if answered.is_whole else ' cut'}"
        self.answers[outcome] = self.answers.get(outcome, 0) + 1
        self._judge.judge(asked, answered)

    async def _answer(self, asked: Asked, body: bytes | None, *, is_shared: bool) -> Answered:
        assert self._server is not None
        client = self._client if is_shared else None
        if client is None:
            client = await RawClient.open("127.0.0.1", self._server.cache_port)
        ends = not is_shared
        try:
            await client.send(self._raw(asked, body))
            response = await client.read_response(asked.method)
            ends = ends or response.get("connection") == "close"
            return Answered(response.status, response.headers, response.body, is_whole=True)
        except TimeoutError:
            raise Violation(f"{asked} has no end") from None
        except Truncated as error:
            ends = True
            head = error.head
            return Answered(head.status if head else None, head.headers if head else [], error.partial, is_whole=False)
        finally:
            if is_shared:
                self._client = None if ends else client
            if ends:
                await client.close()

    def _tell(self, text: str) -> None:
        self._told.append(text)


async def some_steps(directory: Path, steps: int) -> None:
    """Runs so many steps on a seed of its own; `NEZHA_SOAK_STEPS` and `NEZHA_SOAK_SEED` choose others."""
    steps = int(os.environ.get("NEZHA_SOAK_STEPS", steps))
    seed = int(os.environ.get("NEZHA_SOAK_SEED") or secrets.randbits(32))
    print(f"seed {seed}: NEZHA_SOAK_SEED={seed} repeats it")
    model = Model(directory, seed)
    await model.run(steps)
    assert model.answers["200"] > steps / 10  # it has done something


def _control(directory: Path, question: bytes) -> dict[str, Any]:
    with place.connect(directory) as connection, connection.makefile("rwb") as stream:
        stream.write(question)
        stream.flush()
        said: dict[str, Any] = {}
        for line in stream:
            said = json.loads(line)
        return said

"""Runs the product as users do: `nezha` as a process of its own, its log read as it comes."""

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from nezha.cli import main
from tests.rawclient import RawClient

SECONDS = 60.0


def document(directory: Path, *origins: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    """A settings file's content; `sections` are merged into it."""
    tree: dict[str, Any] = {
        "cache": {"listen": "127.0.0.1:0", "directory": str(directory / "cache"), "size": "1GiB", "min_free": 0},
        "admission": {"listen": "127.0.0.1:0"},
        "tls": {"directory": str(directory / "tls")},
        "origins": list(origins),
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return tree


def written(directory: Path, tree: object) -> Path:
    path = directory / "nezha.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "nezha", *map(str, arguments)]


def clean(environment: Mapping[str, str] | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEZHA_")}
    return {**own, **(environment or {})}


def run_here(*arguments: object, environment: Mapping[str, str] | None = None, given: str = "") -> tuple[int, str, str]:
    """Runs a command that ends by itself in this process, which spares a start: exit code, output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, clean(environment), clear=True))
        stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO(given)))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(errors))
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as ended:  # argparse has explained the usage
            code = int(ended.code or 0)
    return code, out.getvalue(), errors.getvalue()


@dataclass
class Serving:
    """A running `nezha serve`, whose log is read as it comes."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: str = ""

    async def event(self, name: str) -> dict[str, Any]:
        """The next log line with this event."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while raw := await self.process.stdout.readline():
                self.lines.append(json.loads(raw))
                if self.lines[-1]["event"] == name:
                    return self.lines[-1]
        raise AssertionError(f"no event {name}: {self.lines}")

    @property
    def ready(self) -> dict[str, Any]:
        """The line that tells the ports."""
        return next(line for line in self.lines if line["event"] == "ready")

    async def client(self) -> RawClient:
        return await RawClient.open("127.0.0.1", self.ready["cache_port"])

    async def metric(self, name: str) -> float:
        """The value of a metric without labels, as Prometheus would scrape it."""
        async with await self.client() as client:
            page = (await client.get("/metrics", "nezha")).body.decode()
        (value,) = [line.split()[1] for line in page.splitlines() if line.startswith(f"{name} ")]
        return float(value)

    async def end(self) -> int:
        """Reads the rest of the log; the exit code."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async with asyncio.timeout(SECONDS):
            self.lines += [json.loads(raw) async for raw in self.process.stdout]
            self.errors += (await self.process.stderr.read()).decode()
            return await self.process.wait()


@contextlib.asynccontextmanager
async def serving(
    directory: Path, *origins: Mapping[str, Any], first: str = "ready", **sections: Any
) -> AsyncIterator[Serving]:
    """Runs it, given from its event `first` on; where it has not ended by itself it is killed."""
    path = await asyncio.to_thread(written, directory, document(directory, *origins, **sections))
    process = await asyncio.create_subprocess_exec(
        *command("serve", "--config", path), env=clean(None), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    serving = Serving(process)
    try:
        await serving.event(first)
        yield serving
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await serving.end()

"""The commands as operators run them, against a Nezha that serves."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.serving import document, run_here


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def only_error(self) -> str:
        (line,) = self.errors.splitlines()
        assert line.startswith("nezha: ")
        assert (self.out, self.code) != ("", 0)
        return line


async def operate(directory: Path, *arguments: str) -> Said:
    """Runs `nezha ARGUMENTS` with settings for the cache directory below `directory`."""
    origin = {"name": "web", "dialect": "http", "hosts": ["web.test"]}
    path = directory / "operator.yaml"
    await asyncio.to_thread(path.write_text, yaml.safe_dump(document(directory, origin)))
    return Said(*await asyncio.to_thread(run_here, *arguments, "--config", path, environment=dict(os.environ)))

"""The rules as they are now: read from `admission.rules_file`, and again whenever its text changes.

A mounted ConfigMap changes by a symbolic link that is swapped above the file, at which no watch on the file itself
would wake; hence the text is read and compared every two seconds. A text that cannot be used changes nothing but
`problem`.
"""

import asyncio
from pathlib import Path

from nezha import log
from nezha.admission.rules import Rules, parse
from nezha.errors import SettingsError
from nezha.metrics import Metrics
from nezha.tasks import Tasks

EVERY_SECONDS = 2.0

_Found = bytes | str | None
"""What was read, why it could not be, or that nothing is there."""


class Rulebook:
    """Follows one file: `read`, then `follow`, until `close`."""

    def __init__(self, path: Path, metrics: Metrics, every_seconds: float = EVERY_SECONDS) -> None:
        self.rules: Rules = ()
        self.problem: str | None = None
        """Why the text that stands in the file is not the one in force; None where it is."""
        self._path = path
        self._metrics = metrics
        self._every_seconds = every_seconds
        self._seen: _Found = "nothing was read yet"
        self._tasks = Tasks()

    async def read(self) -> None:
        """Reads the rules for the first time."""
        await self._look()

    def follow(self) -> None:
        """Tells what was read, and follows the file from now on."""
        self._tell()
        self._tasks.start(self._watch(), "rulebook")

    async def close(self) -> None:
        """Stops following."""
        await self._tasks.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            if await self._look():
                self._tell()

    async def _look(self) -> bool:
        """Takes the file's text; whether it is another than before."""
        found = await asyncio.to_thread(_read, self._path)
        if found == self._seen:
            return False
        self._seen = found
        try:
            self.rules = await asyncio.to_thread(_parse, found)
            self.problem = None
        except SettingsError as error:
            self.problem = "; ".join(str(error).splitlines())
        self._metrics.set("rules_current", self.problem is None)
        return True

    def _tell(self) -> None:
        if self.problem is not None:
            log.warn("rules_refused", file=str(self._path), message=self.problem, kept=len(self.rules))
            return
        if self._seen is None:
            log.event("no_rules", file=str(self._path), message="no such file: no label is looked at")
        else:
            log.event("rules_read", file=str(self._path), rules=len(self.rules))
        for rule in self.rules:
            if rule.skipped:
                log.warn("hostnames_skipped", rule=rule.name, names=list(rule.skipped))


def load(path: Path) -> Rules:
    """The rules in a file, none where it is not there. Blocks. Raises SettingsError."""
    try:
        return _parse(_read(path))
    except SettingsError as error:
        raise SettingsError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def _read(path: Path) -> _Found:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error.strerror or error).lower()


def _parse(found: _Found) -> Rules:
    """A file that is not there holds no rules; one that cannot be read is as bad as one that makes no sense."""
    if isinstance(found, str):
        raise SettingsError(found)
    try:
        return parse((found or b"").decode())
    except UnicodeDecodeError as error:
        raise SettingsError(f"not UTF-8 at byte {error.start}") from error

"""Background tasks that somebody owns: named, watched, and awaited at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from nezha import log

T = TypeVar("T")


class Tasks:
    """A set of running tasks; an error that nobody awaits is logged, never lost."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Starts `work` and keeps hold of it until it ends; an error of it is logged."""
        self.start_for(work, name).add_done_callback(_log_failure)

    def start_for(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Starts `work` for somebody who awaits the task, and keeps hold of it until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def __len__(self) -> int:
        return len(self._running)

    async def finish(self, seconds: float) -> bool:
        """Waits for all to end; False where some still run after `seconds`."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)
        return not self._running

    async def cancel(self) -> None:
        """Cancels all and waits for them."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(set(self._running), timeout=1)


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.failed("task_failed", error, task=task.get_name())

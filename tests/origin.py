"""A scripted HTTP/1.1 origin: it plays an object store or a web server, goes wrong on demand, records what came.

    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(10 << 20)))
        origin.fault("/a", Fault(reset_after=1000), nth=1)
        ...
        await origin.arrived(2)
        assert origin.requests[1].header("Range") == "bytes=1000-"

A request is answered by the first of: `authorize`, the script of its path, `Fault.status`, the object. Paths are
looked up with the query, then without it, then as "*". A client that half-closes while it is being answered
counts as gone (but a script may go on). Tests wait with `arrived`, `held`, `finished`, `gone` or `until`.
`python -m tests.origin` runs one as a process of its own.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from types import TracebackType
from typing import Self

from tests.connection import Connection
from tests.faults import Fault, FaultRule, head_bytes
from tests.objects import Object, Pattern, Reply, pattern, plain, respond
from tests.wire import Headers, Received

__all__ = ["Answer", "Fault", "Object", "Origin", "Pattern", "Received", "answer", "pattern"]

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Received], Awaitable[None]]
Answer = bytes | Talk
WAIT_SECONDS = 10.0


def answer(status: int = 200, headers: Headers | None = None, body: bytes = b"") -> bytes:
    """A raw answer for a script, with its true Content-Length; give "Connection: close" to have it closed."""
    return head_bytes(status, [*(headers or []), ("Content-Length", str(len(body)))]) + body


class Origin:
    """See the module. `tls` makes it HTTPS; without `is_recording` it only counts, for long benchmarks.

    `connections` counts those accepted, `open_connections` those not yet ended, `bytes_sent` body bytes given to
    sockets (scripts are not counted), `malformed` describes what came and was not HTTP. An error inside the
    origin, or inside a script, is raised on leaving the context.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0, is_recording: bool = True
    ) -> None:
        self.tls = tls
        self.host = host
        self.port = port
        self.objects: dict[str, Object] = {}
        self.requests: list[Received] = []
        self.malformed: list[str] = []
        self.connections = 0
        self.bytes_sent = 0
        self.authorize: Callable[[Received], int | None] | None = None
        self.on_each: Callable[[Received], None] | None = None
        self.stats_path: str | None = None
        self._is_recording = is_recording
        self._listener: socket.socket | None = None
        self._scripts: dict[str, deque[Answer]] = {}
        self._rules: list[FaultRule] = []
        self._sequence = 0
        self._conditional = 0
        self._holding = 0
        self._finished = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    # -- life

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._failures and error is None:
            raise BaseExceptionGroup("the origin, or one of its scripts, failed", self._failures)

    def start(self) -> None:
        """Listens; after `stop` on the same port again."""
        self._listener = socket.create_server((self.host, self.port), backlog=1024)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def stop(self) -> None:
        """An outage: refuses connections, cuts those that are open, and returns when all have ended."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await asyncio.sleep(0)  # a task that never began could not close the socket it was given
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError, ConnectionAbortedError):
            while self._listener is not None:
                accepted, _ = self._listener.accept()
                self._begin(accepted)

    def _begin(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        run = Connection(self, self.connections).run(accepted, self.tls)
        task = asyncio.get_running_loop().create_task(run, name=f"origin-{self.connections}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._changed()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)
        self._changed()

    # -- what it serves

    def serve(self, path: str, found: Object) -> Object:
        """Answers requests for `path` with this object, which may be changed later."""
        self.objects[path] = found
        return found

    def script(self, path: str, answers: Sequence[Answer]) -> None:
        """Each next request for `path` takes the next answer: raw bytes, or a coroutine function that talks itself.

        After the last one the path is answered as if it had no script.
        """
        self._scripts.setdefault(path, deque()).extend(answers)

    def fault(
        self,
        path: str,
        fault: Fault,
        *,
        nth: int | Collection[int] | None = None,
        when: Callable[[Received], bool] | None = None,
    ) -> None:
        """Harms the answers to `path`: all, or the nth from now (from 1) of the requests for which `when` is true."""
        numbers = None if nth is None else frozenset([nth] if isinstance(nth, int) else nth)
        self._rules.append(FaultRule(path, fault, numbers, when))

    def heal(self, path: str | None = None) -> None:
        """Removes the faults of `path`, or all."""
        self._rules = [rule for rule in self._rules if path not in (None, rule.path)]

    # -- what it has seen

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """How many recorded requests have this method and this path (with or without its query)."""
        return sum(
            method in (None, request.method) and path in (None, request.target, request.path)
            for request in self.requests
        )

    def clear(self) -> None:
        """Forgets requests, `bytes_sent` and finished answers; objects, faults, scripts and connections stay."""
        self.requests.clear()
        self.bytes_sent = self._finished = self._conditional = 0

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    @property
    def holding(self) -> int:
        return self._holding

    async def arrived(self, n: int, method: str | None = None, path: str | None = None) -> None:
        """Until the heads of `n` such requests have arrived since `clear`."""
        await self.until(lambda: self.count(method, path) >= n, f"{n} requests ({method}, {path})")

    async def held(self, n: int = 1) -> None:
        """Until `n` answers wait for their `Fault.hold`."""
        await self.until(lambda: self._holding >= n, f"{n} answers held")

    async def finished(self, n: int) -> None:
        """Until `n` answers have ended since `clear`, well or not."""
        await self.until(lambda: self._finished >= n, f"{n} answers finished")

    async def gone(self, still_open: int = 0) -> None:
        """Until at most `still_open` connections are left."""
        await self.until(lambda: len(self._tasks) <= still_open, f"at most {still_open} connections")

    async def until(self, is_so: Callable[[], bool], what: str = "a condition", seconds: float = WAIT_SECONDS) -> None:
        """Until the condition, looked at whenever anything happens here; TimeoutError says what did not come."""
        if is_so():
            return
        waiter = (is_so, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter[1], seconds)
        except TimeoutError:
            raise TimeoutError(f"origin: no {what} in {seconds} s; it saw {self.requests[-20:]}") from None
        finally:
            self._waiters.remove(waiter)

    def stats(self) -> dict[str, int]:
        """Totals since the start or `clear`: requests, body bytes, connections ever, conditional requests."""
        return {
            "requests": self._sequence,
            "bytes_sent": self.bytes_sent,
            "connections": self.connections,
            "conditional": self._conditional,
        }

    def _changed(self) -> None:
        for is_so, future in self._waiters:
            if not future.done() and is_so():
                future.set_result(None)

    # -- what its connections ask of it

    def next_sequence(self) -> int:
        """The number of the request whose head has just been read."""
        self._sequence += 1
        return self._sequence

    def record(self, request: Received) -> None:
        """A head has arrived."""
        names = {name.lower() for name, _ in request.headers}
        self._conditional += bool(names & {"if-none-match", "if-modified-since"})
        if self._is_recording:
            self.requests.append(request)
        if self.on_each is not None:
            self.on_each(request)
        self._changed()

    def count_bytes(self, size: int) -> None:
        """Body bytes were given to a socket."""
        self.bytes_sent += size

    def count_held(self, change: int) -> None:
        """An answer began (+1) or ended (-1) to wait for its event."""
        self._holding += change
        self._changed()

    def answer_ended(self) -> None:
        """An answer has ended, whole or not."""
        self._finished += 1
        self._changed()

    def choose_fault(self, request: Received) -> Fault:
        """All faults that apply to this request, merged."""
        chosen = Fault()
        for rule in self._rules:
            if rule.applies(request):
                chosen = chosen.merged(rule.fault)
        return chosen

    def refusal(self, request: Received) -> int | None:
        """The status with which `authorize` refuses."""
        return self.authorize(request) if self.authorize is not None else None

    def next_scripted(self, request: Received) -> Answer | None:
        """Takes the next scripted answer of the path."""
        for path in (request.target, request.path, "*"):
            if self._scripts.get(path):
                return self._scripts[path].popleft()
        return None

    def reply(self, request: Received, fault: Fault) -> Reply:
        """What the sender begins with, before the faults of the sender's own."""
        if fault.status is not None:
            return plain(fault.status)
        return respond(self.objects, request, ignore_range=fault.ignore_range)


if __name__ == "__main__":
    from tests.origin_process import main

    main()

"""The serving side of the operators' socket. Without it Nezha serves all the same."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from nezha import log
from nezha.control import place
from nezha.errors import NezhaError, StoreError
from nezha.keytext import Named, shown
from nezha.model import Entry
from nezha.proxy.purge import Purged, Purger
from nezha.store.listing import Listed
from nezha.store.store import Store
from nezha.tasks import Tasks

_QUESTION_MAX = 1 << 20
_SECONDS = 30.0  # for a question, and for a client that takes no more of its answer
_BACKLOG_BYTES = 1 << 20

Document = dict[str, Any]


class Control:
    """Answers on the socket of one cache directory."""

    def __init__(self, directory: Path, status: Callable[[], Document], store: Store, purger: Purger) -> None:
        self._directory = directory
        self._status = status
        self._store = store
        self._purger = purger
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None
        self._closing = ExitStack()

    async def open(self) -> None:
        """Listens. Raises SettingsError where another process answers there; any other trouble is only logged."""
        try:
            fd = await asyncio.to_thread(self._closing.enter_context, place.opened(self._directory))
            listening = await asyncio.to_thread(place.listen, self._directory, fd)
            self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=_QUESTION_MAX)
        except OSError as error:
            log.warn("no_control_socket", directory=str(self._directory), message=error.strerror or str(error))

    async def close(self) -> None:
        """Ends what is asked, and removes the socket."""
        with self._closing:
            if self._server is None:
                return
            self._server.close()
            await self._tasks.cancel()
            with suppress(OSError):
                await asyncio.to_thread(place.leave, self._directory)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.start(self._serve(reader, writer), "control")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(_BACKLOG_BYTES)
        try:
            end = await self._answer(reader, writer)
            await _say(writer, end)
        except (OSError, TimeoutError):
            pass  # who asked has left
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Document:
        try:
            async with asyncio.timeout(_SECONDS):
                question = json.loads(await reader.readline())
            match question:
                case {"command": "status"}:
                    return {"end": self._status()}
                case {"command": "ls", "text": str(text)}:
                    return {"end": await self._list(Named(text, is_prefix=True), writer)}
                case {"command": "purge", "text": str(text), "is_prefix": bool(is_prefix)}:
                    # In a task of its own: it is not left half done by a client that leaves.
                    purge = self._purger.purge(Named(text, is_prefix), lambda done: _tell(writer, done))
                    return {"end": _gone(await asyncio.shield(self._tasks.start_for(purge, "purge")))}
                case _:
                    return {"error": "not understood: is this `nezha` of another version than the one that serves?"}
        except (ValueError, RecursionError) as error:
            return {"error": f"not understood: {error}"}
        except NezhaError as error:
            return {"error": str(error)}

    async def _list(self, named: Named, writer: asyncio.StreamWriter) -> Document:
        if not await self._is_written():
            raise StoreError("the index takes no writes: what it lists is not what there is")
        (span,) = named.spans()
        after, count = "", 0
        while page := await self._store.listing.page(span, after):
            after = page[-1].key
            for each in page:
                count += 1
                writer.write(_line({"object": _described(each)}))
            async with asyncio.timeout(_SECONDS):
                await writer.drain()
        return {"objects": count}

    async def _is_written(self) -> bool:
        await self._store.written()
        return not self._store.listing.is_refused


def _described(listed: Listed) -> Document:
    newest = {entry.version: (entry, size) for entry, size in sorted(listed.entries, key=_answered_at)}
    return {
        "key": shown(listed.key),
        "versions": [
            {
                "status": entry.status,
                "size": entry.size,
                "stored": stored_bytes,
                "etag": entry.fields.get("etag"),
                "answered_at": entry.answered_at,
                "vary": dict(entry.vary),
                "forms": sorted({form.form for form, _ in listed.entries if form.version == entry.version} - {""}),
            }
            for entry, stored_bytes in newest.values()
        ],
    }


def _answered_at(listed: tuple[Entry, int]) -> float:
    return listed[0].answered_at


def _gone(done: Purged) -> Document:
    return {"objects": done.objects, "bytes": done.bytes, "fills": done.fills, "grants": done.grants}


def _tell(writer: asyncio.StreamWriter, done: Purged) -> None:
    if not writer.is_closing():
        writer.write(_line({"progress": _gone(done)}))


def _line(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


async def _say(writer: asyncio.StreamWriter, document: Mapping[str, object]) -> None:
    writer.write(_line(document))
    async with asyncio.timeout(_SECONDS):
        await writer.drain()

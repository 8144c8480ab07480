"""What `nezha status`, `ls` and `purge` are told, ask and print. Everything here blocks."""

import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nezha.control import place
from nezha.errors import NezhaError, SettingsError
from nezha.keytext import Named, beginning, meant
from nezha.settings import Settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

Document = dict[str, Any]
Operation = Callable[[Settings, Namespace], int]
"""Does what the options say to the Nezha that the settings are of; an exit code."""


class ControlError(NezhaError):
    """The Nezha that serves could not be asked, or could not do it."""


def add_to(commands: "_SubParsersAction[ArgumentParser]") -> Iterator[tuple[ArgumentParser, Operation]]:
    """Adds the operators' commands: the parser of each, and what it does."""
    telling = commands.add_parser("status", help="tell what the Nezha that serves here does and holds")
    listing = commands.add_parser("ls", help="list what it has stored")
    listing.add_argument("name", nargs="?", default="", metavar="PREFIX", help="how the keys begin")
    dropping = commands.add_parser("purge", help="drop what it has stored, is fetching, and remembers of permissions")
    which = dropping.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", metavar="KEY|PREFIX", help="as `nezha ls` shows it; a PREFIX ends in / or *")
    which.add_argument("--origin", metavar="NAME", help="everything of an origin")
    for parser, operation in ((telling, status), (listing, ls), (dropping, purge)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        yield parser, operation


def ask(directory: Path, question: Document) -> Iterator[Document]:
    """Asks the Nezha that serves from a cache directory: what it says; the last of it is its `end`.

    Raises ControlError.
    """
    where = directory / place.NAME
    try:
        with closing(place.connect(directory)) as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(question).encode() + b"\n")
            stream.flush()
            for line in stream:
                document: Document = json.loads(line)
                if "error" in document:
                    raise ControlError(f"{where}: {document['error']}")
                yield document
                if "end" in document:
                    return
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(f"{where}: no `nezha serve` runs with this cache.directory; name its --config") from error
    except PermissionError as error:
        raise ControlError(f"{where}: permission denied; run this as the user that runs `nezha serve`") from error
    except ConnectionError as error:
        raise ControlError(f"{where}: {error.strerror or error}") from error
    raise ControlError(f"{where}: the server ended in the middle of its answer; run the command again")


def status(settings: Settings, options: Namespace) -> int:
    """`nezha status`."""
    (said,) = ask(settings.cache.directory, {"command": "status"})
    facts = said["end"]
    print(json.dumps(facts) if options.json else "\n".join(_status_lines(facts)))
    return 0


def _status_lines(facts: Document) -> Iterator[str]:
    store, requests = facts["store"], facts["requests"]
    state = "draining" if facts["draining"] else "ready" if facts["ready"] else "not ready: /readyz?verbose says why"
    yield f"nezha {facts['version']}, process {facts['pid']}, up {_span(facts['up_seconds'])}, {state}"
    usable = "" if store["usable"] else ", takes no new bytes now"
    yield f"store      {store['objects']} objects, {size(store['bytes'])} of {size(store['size_bytes'])}{usable}"
    yield f"fills      {facts['fills']} running, {size(facts['fill_bytes_buffered'])} buffered"
    yield f"grants     {facts['grants']}"
    yield f"clients    {facts['connections']} connections"
    total = sum(requests.values())
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(requests.items()) if count)
    yield f"requests   {total}" + (f": {counted}" if counted else "")


def ls(settings: Settings, options: Namespace) -> int:
    """`nezha ls`: a line for each object, as it comes."""
    show = _as_list if options.json else _as_lines
    question = {"command": "ls", "text": _read(beginning, options.name).text}
    try:
        for text in show(ask(settings.cache.directory, question)):
            print(text, end="")
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`: it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _as_lines(said: Iterator[Document]) -> Iterator[str]:
    for document in said:
        for version in document["object"]["versions"] if "object" in document else ():
            whole, stored = version["size"], version["stored"]
            part = "all" if stored == whole else f"{100 * stored // whole}%"
            age = _span(max(0.0, time.time() - version["answered_at"]))
            yield f"{size(whole):>9} {part:>4} {age:>7}  {document['object']['key']}\n"


def _as_list(said: Iterator[Document]) -> Iterator[str]:
    """One JSON list, an element a line."""
    before = "["
    for document in said:
        if "object" in document:
            yield before + json.dumps(document["object"])
            before = ",\n"
    yield "[]\n" if before == "[" else "]\n"


def purge(settings: Settings, options: Namespace) -> int:
    """`nezha purge`, which tells on a terminal how far it is."""
    named, what = _purged(settings, options)
    is_watched = sys.stderr.isatty() and not options.json
    gone: Document = {}
    question = {"command": "purge", "text": named.text, "is_prefix": named.is_prefix}
    for document in ask(settings.cache.directory, question):
        gone = document.get("end") or document["progress"]
        if is_watched:
            print(f"\r{gone['objects']} objects, {size(gone['bytes'])}", end="", file=sys.stderr, flush=True)
    if is_watched:
        print("\r\x1b[K", end="", file=sys.stderr)
    if options.json:
        print(json.dumps(gone))
    elif any(gone.values()):
        print(
            f"purged {gone['objects']} objects ({size(gone['bytes'])});"
            f" ended {gone['fills']} fills and {gone['grants']} grants"
        )
    else:
        print(f"nothing is stored under {what}; `nezha ls` shows what there is")
    return 0


def _purged(settings: Settings, options: Namespace) -> tuple[Named, str]:
    """What is to be purged, and how the operator called it."""
    if options.origin is None:
        return _read(meant, options.name), options.name
    if options.origin not in {origin.name for origin in settings.origins}:
        raise SettingsError(f"no origin is called {options.origin!r}: `nezha check-config` tells their names")
    return Named(f"{options.origin}/", is_prefix=True), options.origin


def _read(read: Callable[[str], Named], written: str) -> Named:
    try:
        return read(written)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f}{unit}" if unit == "B" else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}TiB"


def _span(seconds: float) -> str:
    """A length of time as people read it: its two largest units."""
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m{int(seconds) % 60}s" if minutes else f"{int(seconds)}s"

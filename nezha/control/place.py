"""Where the socket is, and how it is made. Everything here blocks."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nezha.errors import SettingsError

NAME = "control.sock"


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """A descriptor of the directory, by which the socket is addressed (`_address`)."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _address(fd: int) -> str:
    """The socket's address by a descriptor: its whole path may be longer than the 107 bytes that one may have."""
    return f"/proc/self/fd/{fd}/{NAME}"


def connect(directory: Path) -> socket.socket:
    """A connection to the Nezha that serves from a cache directory. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with opened(directory) as fd:
            connection.connect(_address(fd))
    except BaseException:
        connection.close()
        raise
    return connection


def listen(directory: Path, fd: int) -> socket.socket:
    """The listening socket, for its owner only; one that a dead process left is replaced.

    `fd` is that of the directory, and stays open as long as the socket: its address is looked up again by asyncio, from
    Python 3.13 on, when it begins to serve and when it ends. Raises OSError, and SettingsError where a living process
    answers there.
    """
    try:
        with closing(connect(directory)):
            raise SettingsError(
                f"cache.directory {directory}: another process serves from it: give each a directory of its own"
            )
    except (FileNotFoundError, ConnectionRefusedError):
        (directory / NAME).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(listening.fileno(), 0o600)  # Linux gives this mode to the file that `bind` makes: it is never wider
        listening.bind(_address(fd))
        listening.listen(16)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def leave(directory: Path) -> None:
    """Removes the socket of this process. Raises OSError."""
    (directory / NAME).unlink(missing_ok=True)

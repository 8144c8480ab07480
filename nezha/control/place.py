"""Where the socket is, and how it is made. Everything here blocks."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nezha.errors import SettingsError

NAME = "control.sock"


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """The socket's address by a descriptor: its whole path may be longer than the 107 bytes that one may have."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


def connect(directory: Path) -> socket.socket:
    """A connection to the Nezha that serves from a cache directory. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _address(directory) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def listen(directory: Path) -> socket.socket:
    """The listening socket, for its owner only; one that a dead process left is replaced.

    Raises OSError, and SettingsError where a living process answers there.
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
        with _address(directory) as address:
            listening.bind(address)
        listening.listen(16)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def leave(directory: Path) -> None:
    """Removes the socket of this process. Raises OSError."""
    (directory / NAME).unlink(missing_ok=True)

"""What an error of the volume, or of the database on it, means to the store: translated here, once."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from nezha.errors import StoreError, StoreFull


class IndexBroken(StoreError):
    """The index is no database any more: it is set aside, and a new one begun."""


def refused(error: OSError, what: str) -> StoreError:
    """The store's own error for one of the volume; `what` names the place where `error` does not."""
    kind = StoreFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StoreError
    return kind(f"{error.filename or what}: {error.strerror or error}")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of SQLite and of the volume as the store's own."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it
        broken = code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
        kind = IndexBroken if broken else StoreFull if code == sqlite3.SQLITE_FULL else StoreError
        raise kind(f"index: {error}") from error
    except UnicodeError as error:
        raise StoreError(f"index: {error}") from error
    except OSError as error:
        raise refused(error, "index") from error

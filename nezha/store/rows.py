"""The index's rows as text: JSON with a schema version, and nothing else, ever.

    entries of a key    {"schema": 1, "crc": ..., "entries": [{"version": ..., ...}, ...]}
    an extent's tag     {"schema": 1, "crc": ..., "stop": ..., "crcs": [...]}
    an extent's file    ab/<version>-<start>-<nonce>.x, `ab` being the version's first two characters

`crc` is the CRC-32 of the row's key and of the text that follows: in a damaged database a key can lead to the row of
another one. What cannot be read here counts as not stored: a miss or a gap, never an error. A row may have been
written by another version of Nezha, or by nobody.
"""

import json
import re
import secrets
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nezha.model import Entry, Extent, Fields
from nezha.store.bodies import CHECKED_BYTES, StoredExtent

SCHEMA = 1
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, FileNotFoundError)
_FILE = re.compile(r"(\w\w)/\1\w*-[0-9a-f]{16}-[0-9a-f]{8}\.x")


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _crc(key: str, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(key.encode(errors="replace")))


def format_entries(key: str, entries: Sequence[Entry]) -> str:
    """The row of a key: its entries, a variant or a form each; forms may share a version."""
    rows = _text(
        [
            {
                "version": entry.version,
                "status": entry.status,
                "fields": entry.fields.items,
                "size": entry.size,
                "requested_at": entry.requested_at,
                "answered_at": entry.answered_at,
                "is_open": entry.is_open,
                "vary": entry.vary,
                "mark": entry.mark,
                "form": entry.form,
            }
            for entry in entries
        ]
    )
    return f'{{"schema":{SCHEMA},"crc":{_crc(key, rows)},"entries":{rows}}}'


def parse_entries(key: str, text: object) -> list[Entry] | None:
    """The entries of a key's row; None where it cannot be read."""
    try:
        document: Any = json.loads(text) if isinstance(text, str) else {}
        rows = document["entries"]
        if document["schema"] != SCHEMA or document["crc"] != _crc(key, _text(rows)):
            return None
        return [_entry(key, row) for row in rows]
    except _UNREADABLE:
        return None


def _entry(key: str, row: dict[str, Any]) -> Entry:
    version = str(row["version"])
    if not version.isalnum():
        raise ValueError("a version names files")
    return Entry(
        key=key,
        version=version,
        status=int(row["status"]),
        fields=Fields((str(name), str(value)) for name, value in row["fields"]),
        size=int(row["size"]),
        requested_at=float(row["requested_at"]),
        answered_at=float(row["answered_at"]),
        is_open=row["is_open"] is True,
        vary=tuple((str(name), None if value is None else str(value)) for name, value in row["vary"]),
        mark=str(row.get("mark", "")),
        form=str(row.get("form", "")),
    )


def extent_row(version: str, start: int) -> str:
    """The name of an extent's row; those of one version sort by start."""
    return f"x/{version}/{start:016x}"


REMOVE_EXTENTS = "DELETE FROM Cache WHERE key >= ? AND key < ? RETURNING filename"  # between those of `extents_of`


def extents_of(version: str) -> tuple[str, str]:
    """Between which names the rows of a version's extents lie, the second one not included."""
    return f"x/{version}/", f"x/{version}0"


def file_name(row: str) -> str:
    """A new name for the file of an extent's row, below the index."""
    _, version, start = row.split("/")
    return f"{version[:2]}/{version}-{start}-{secrets.token_hex(4)}.x"


def checked_name(file_name: str) -> tuple[str, str]:
    """Folder and name of an extent's file, as a row gives them. Raises FileNotFoundError where it is no such name."""
    if not _FILE.fullmatch(file_name):
        raise FileNotFoundError(file_name)
    folder, _, name = file_name.partition("/")
    return folder, name


def row_of_file(name: str) -> str:
    """The extent's row that a file is named after."""
    version, _, rest = name.partition("-")
    return f"x/{version}/{rest.partition('-')[0]}"


def format_tag(row: str, stop: int, crcs: Sequence[int]) -> str:
    """What an extent's row says beside its bytes: where they end, and their checksums."""
    return _text({"schema": SCHEMA, "crc": _crc(row, _text([stop, crcs])), "stop": stop, "crcs": crcs})


def parse_extent(directory: Path, row: str, tag: object, filename: object, value: object) -> StoredExtent | None:
    """An extent's row; None where it cannot be read, or names a file that is not named after it."""
    try:
        facts: Any = json.loads(tag) if isinstance(tag, str) else {}
        stop, crcs = facts["stop"], tuple(facts["crcs"])
        if facts["schema"] != SCHEMA or facts["crc"] != _crc(row, _text([stop, crcs])):
            return None
        extent = Extent(int(row.rpartition("/")[2], 16), stop)
        if extent.length <= 0 or len(crcs) != -(-extent.length // CHECKED_BYTES):
            return None
        if filename is None:
            return StoredExtent(extent, crcs, inline=value) if isinstance(value, bytes) else None
        folder, name = checked_name(str(filename))
        return StoredExtent(extent, crcs, str(directory / folder / name)) if row_of_file(name) == row else None
    except _UNREADABLE:
        return None

"""Last uses, as the index keeps them: in the access time of an entry's row. Everything here blocks."""

from collections.abc import Iterable

from nezha.store import rows
from nezha.store.eviction import Candidate
from nezha.store.index import Index


def touch(index: Index, uses: Iterable[tuple[str, float]]) -> None:
    """Records the last use of keys, in seconds since the epoch. In the writing thread."""
    with index.writing() as (_, sql):
        for key, used in uses:
            sql("UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1", (used, f"o/{key}"))


def least_recent(index: Index, after: Candidate | None, most: int) -> list[Candidate]:
    """Objects, the longest unused first, from behind `after` on."""
    found = index.read(
        "SELECT key, value, access_time FROM Cache WHERE key >= 'o/' AND key < 'o0' AND raw = 1"
        " AND (access_time, key) > (?, ?) ORDER BY access_time, key LIMIT ?",
        *((after.last_use, f"o/{after.key}") if after is not None else (-1.0, "")),
        most,
    )
    return [
        Candidate(row[2:], sum(bytes_of(index, version) for version in _versions(index, row[2:], value)), used)
        for row, value, used in found
    ]


def _versions(index: Index, key: str, text: object) -> set[str]:
    return {entry.version for entry in index.parsed(key, text)}


def bytes_of(index: Index, version: str) -> int:
    """Bytes stored of a version."""
    sql = "SELECT COALESCE(SUM(size), 0) FROM Cache WHERE key >= ? AND key < ? AND raw = 1"
    return sum(int(total) for (total,) in index.read(sql, *rows.extents_of(version)))

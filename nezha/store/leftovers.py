"""What an earlier process, a crash or damage left over: found and removed while the store is in use. Blocks.

files without a row       a process ended between rename and commit
rows that are unreadable  another schema, or damage; the versions that they alone named have to go too
a broken database         set aside as `broken-...` beside the index, and removed from there
"""

import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from nezha.errors import StoreError
from nezha.store import rows
from nezha.store.faults import translated
from nezha.store.index import Index, count_objects


def loose(index: Index) -> list[str]:
    """The versions that no entry names."""
    return [key[2:] for (key,) in index.read("SELECT key FROM Cache WHERE key >= 'l/' AND key < 'l0' AND raw = 1")]


def folders(index: Index) -> list[Path]:
    """The folders that hold extent files."""
    with translated():
        return sorted(path for path in index.directory.glob("??") if path.is_dir())


def sweep(index: Index, folder: Path) -> None:
    """Removes the extent files of a folder that no row names.

    Called in the writing thread, so that no row can be on its way.
    """
    with translated():
        for path in sorted(folder.glob("*.x")):
            row = rows.row_of_file(path.name)
            found = index.read("SELECT filename FROM Cache WHERE key = ? AND raw = 1", row)
            if index.is_open and found != [(f"{folder.name}/{path.name}",)] and not path.is_dir():
                path.unlink(missing_ok=True)


def remove_unreadable(index: Index) -> None:
    """Removes the rows of entries that cannot be read. In the writing thread."""
    with index.writing() as (cache, sql):
        for key in list(index.unreadable):
            for (text,) in sql("SELECT value FROM Cache WHERE key = ? AND raw = 1", (f"o/{key}",)).fetchall():
                if rows.parse_entries(key, text) is None:
                    cache.delete(f"o/{key}")
            index.unreadable.discard(key)
        # Beside those that were met, all of another schema; what else is wrong with a row shows when it is parsed.
        sql(
            "DELETE FROM Cache WHERE key >= 'o/' AND key < 'o0' AND raw = 1 AND NOT ("
            " CASE WHEN typeof(value) = 'text' AND json_valid(value) THEN json_extract(value, '$.schema') IS ?"
            " ELSE 0 END)",
            (rows.SCHEMA,),
        )
        index.objects = count_objects(sql)


def strays(index: Index) -> list[str]:
    """The versions that have extents, are not named by an entry and are not loose: none, but for damage.

    It reads every row (7 s per million), as one statement: it sees one state of the index.
    """
    found = index.read(
        "SELECT substr(key, 3, instr(substr(key, 3), '/') - 1) FROM Cache WHERE key >= 'x/' AND key < 'x0'"
        " EXCEPT SELECT substr(key, 3) FROM Cache WHERE key >= 'l/' AND key < 'l0'"
        " EXCEPT SELECT json_extract(each.value, '$.version') FROM"
        " (SELECT CASE WHEN json_valid(value) THEN value ELSE '{}' END AS document FROM Cache"
        "  WHERE key >= 'o/' AND key < 'o0' AND raw = 1 AND typeof(value) = 'text') AS entry,"
        " json_each(entry.document, '$.entries') AS each"
    )
    return [version for (version,) in found]


def loosen(index: Index, versions: list[str]) -> None:
    """Marks strays as loose, which is how versions are removed. In the writing thread."""
    with index.writing():
        for version in versions:
            index.loosen(version)


def set_aside(index: Index) -> None:
    """Leaves a broken database, with its extents, to `remove_broken`. In the writing thread."""
    with suppress(StoreError):
        index.close()
    with translated(), suppress(FileNotFoundError):
        index.directory.rename(index.directory.with_name(f"broken-{secrets.token_hex(4)}"))


def remove_broken(index: Index) -> None:
    """Removes what was set aside."""
    for path in index.directory.parent.glob("broken-*"):
        shutil.rmtree(path, ignore_errors=True)

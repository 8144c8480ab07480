"""Writes the tables of docs/configuration.md and docs/metrics.md from the settings tree and the table of metrics.

What stands above the mark in a page is written by hand and kept. `make docs` writes; `--check` writes nothing, and
ends with 1 where a page is not what would be written.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from nezha import units
from nezha.metrics import TABLE, Row
from nezha.settings import OriginSettings, Section, Settings

HERE = Path(__file__).parent
MARK = "<!-- from here on made by docs/reference.py: make docs -->\n"
_SIZES = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_TIMES = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_KINDS: dict[object, str] = {
    units.parse_size: "size",
    units.parse_seconds: "time",
    units.parse_share: "size or percentage",
    units.parse_fraction: "number from 0 to 1",
    units.parse_address: "address:port",
    units.parse_alias_address: "IP address or `auto`",
    units.parse_service: "name.namespace",
    units.parse_secret: "name",
    units.parse_host: "host",
    units.parse_url: "URL",
    units.parse_user_free_url: "URL",
    units.parse_bucket: "bucket",
    units.parse_region: "region",
    units.parse_account: "account",
    units.parse_header_name: "header",
    units.parse_origin_name: "name",
    units.check_path: "path",
    int: "number",
    bool: "`true` or `false`",
}


def configuration() -> str:
    """The settings as a page."""
    parts = []
    for name, field in Settings.model_fields.items():
        section = OriginSettings if name == "origins" else field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        parts.append(f"\n## {name}\n\n{field.description}\n\n")
        if name == "origins":
            parts.append("A list; each origin has these fields. The first two are required.\n\n")
        parts.append("| field | is | default | |\n|---|---|---|---|\n")
        parts += [
            f"| `{key}` | {_kind(each)} | {_default(each)} | {_cell(each.description)} |\n"
            for key, each in section.model_fields.items()
        ]
    return "".join(parts)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _parsers(annotation: Any, metadata: Any = ()) -> Iterator[object]:
    """The functions that read a field's text, those within lists and alternatives too."""
    yield from (each.func for each in metadata if isinstance(each, BeforeValidator))
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _parsers(inner, more)
    elif get_origin(annotation) in {tuple, Union, UnionType}:
        for each in get_args(annotation):
            yield from _parsers(each)


def _kind(field: FieldInfo) -> str:
    """What may be written."""
    annotation = field.annotation
    inner = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
    if get_origin(inner) is Literal:
        words = ", ".join(f"`{word}`" for word in get_args(inner))
        return words if inner is annotation else f"list of {words}"
    parser = next(_parsers(annotation, field.metadata), annotation)
    return f"list of {_KINDS[parser]}s" if get_origin(annotation) is tuple else _KINDS[parser]


def _default(field: FieldInfo) -> str:
    """The default as it would be written."""
    if field.is_required():
        return "required"
    value, parser = field.default, next(_parsers(field.annotation, field.metadata), None)
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    if parser is units.parse_size:
        return f"`{_with_unit(value, _SIZES)}`"
    if parser is units.parse_seconds:
        return f"`{_with_unit(int(value), _TIMES)}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _with_unit(value: int, units_: tuple[tuple[str, int], ...]) -> str:
    return next((f"{value // size}{unit}" for unit, size in units_ if value and value % size == 0), str(value))


def metrics() -> str:
    """The metrics as a page."""
    lines = [f"| `{_name(row)}` | {row.kind} | {_labels(row)} | {_cell(row.help)} |\n" for row in TABLE]
    return f"\n| metric | is | labels | |\n|---|---|---|---|\n{''.join(lines)}"


def _name(row: Row) -> str:
    return f"nezha_{row.name}{'_total' if row.kind == 'counter' else ''}"


def _labels(row: Row) -> str:
    return "; ".join(f"`{label.name}`: {_cell(label.values)}" for label in row.labels)


TABLES = {"configuration.md": configuration, "metrics.md": metrics}


def pages() -> Iterator[tuple[Path, str, str]]:
    """Each page: where it is, what it says, and what it should."""
    for name, make in TABLES.items():
        text = (HERE / name).read_text()
        yield HERE / name, text, text.partition(MARK)[0] + MARK + make()


def main(arguments: list[str]) -> int:
    """Writes, or checks; the exit code."""
    stale = [(path, wanted) for path, text, wanted in pages() if text != wanted]
    for path, wanted in stale:
        if "--check" in arguments:
            print(f"docs/{path.name} is not current: make docs")
        else:
            path.write_text(wanted)
    return bool(stale) if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

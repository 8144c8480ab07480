"""The table of values in the chart's README, made from values.yaml and its comments.

    python -m charts.readme          writes it (make docs)
    python -m charts.readme --check  exits with 1 where it is another

A row is a key with a comment above it; what stands below such a key belongs to its default.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "nezha"
BEGIN, END = "<!-- values: made by python -m charts.readme -->\n", "<!-- /values -->\n"
_KEY = re.compile(r"( *)([A-Za-z_]+):")


@dataclass(frozen=True, slots=True)
class Value:
    """One row: where, what it is by default, what it means."""

    path: tuple[str, ...]
    default: Any
    meaning: str


def values(text: str) -> Iterator[Value]:
    """The commented keys of a values.yaml, in its order."""
    tree = yaml.safe_load(text)
    comments: list[str] = []
    path: tuple[str, ...] = ()
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comments.append(line.strip().removeprefix("#").strip())
        elif match := _KEY.match(line):
            path = (*path[: len(match[1]) // 2], match[2])
            if comments:
                yield Value(path, _at(tree, path), " ".join(each for each in comments if not each.startswith("- {")))
            comments = []
        else:
            comments = []


def rows(text: str) -> list[Value]:
    """The rows of the table; a section whose own keys are commented has none."""
    found = list(values(text))
    sections = {value.path[:-1] for value in found}
    return [value for value in found if value.path not in sections]


def undescribed(text: str) -> set[str]:
    """The keys that no comment above them, or above a row that they are in, tells of."""
    told = {value.path for value in rows(text)}

    def leaves(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if isinstance(tree, dict) and tree and path not in told:
            for key, each in tree.items():
                yield from leaves(each, (*path, key))
        else:
            yield path

    return {".".join(leaf) for leaf in leaves(yaml.safe_load(text), ()) if leaf not in told}


def table(text: str) -> str:
    """The rows as Markdown."""
    lines = [
        f"| `{'.'.join(value.path)}` | `{json.dumps(value.default)}` | {value.meaning.replace('|', chr(92) + '|')} |"
        for value in rows(text)
    ]
    return "\n".join(["| value | default | |", "|---|---|---|", *lines]) + "\n"


def readme(now: str, text: str) -> str:
    """The README with the table of this values.yaml."""
    before, _, rest = now.partition(BEGIN)
    return before + BEGIN + table(text) + END + rest.partition(END)[2]


def main() -> int:
    """Writes or checks; the exit code."""
    path = CHART / "README.md"
    now = path.read_text(encoding="utf-8")
    wanted = readme(now, (CHART / "values.yaml").read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--check"]:
        return int(now != wanted)
    path.write_text(wanted, encoding="utf-8")
    return 0


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


if __name__ == "__main__":
    sys.exit(main())

"""The table of real clients, and the page of the documentation that shows it: one section for each store.

A test makes the rows of its store. `settled` compares them with what is committed in `docs/clients.md`, or with
NEZHA_WRITE_DOCS=1 writes them there.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
DONE, UNABLE = "✔", "-"


def markdown(columns: Sequence[str], rows: Mapping[str, Mapping[str, str]]) -> str:
    """A table: a row for each client, a cell for each column."""
    lines = [f"| client | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(row.get(column, UNABLE) for column in columns)} |" for name, row in rows.items()]
    return "\n".join(lines)


def settled(store: str, table: str) -> None:
    """The section `store` of the page holds this table. Fails where it does not, and is not to be written."""
    text = PAGE.read_text()
    begin, end = f"<!-- {store} -->\n", f"<!-- end of {store} -->"
    assert text.find(begin) < text.find(end), f"{PAGE} has no place for {store}"
    before, _, rest = text.partition(begin)
    old, _, after = rest.partition(end)
    if old.strip() == table:
        return
    if os.environ.get("NEZHA_WRITE_DOCS") != "1":
        pytest.fail(f"docs/clients.md does not say what was seen; NEZHA_WRITE_DOCS=1 writes it there:\n{table}")
    PAGE.write_text(f"{before}{begin}{table}\n{end}{after}")

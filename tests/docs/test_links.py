"""What the pages refer to is there: files, sections, and whatever the alerts name."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"]
_LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """The sections of a page, as its links call them."""
    found = set()
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            title = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(title.replace(" ", "-"))
    return found


def links(page: Path) -> Iterator[tuple[str, str]]:
    yield from _LINK.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {path}"
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), f"{page.name}: {path}#{anchor}"


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    rules = yaml.safe_load((ROOT / "charts" / "nezha" / "files" / "rules.yaml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    for alert in alerts:
        assert alert["annotations"]["runbook"] == f"docs/runbooks.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in {"warning", "critical"}
    assert anchors(ROOT / "docs" / "runbooks.md") == {"runbooks", *(alert["alert"].lower() for alert in alerts)}


def test_readers_find_every_page_from_the_readme_in_two_steps() -> None:
    near = {(ROOT / path).resolve() for path, _ in links(ROOT / "README.md")}
    seen = near | {(page.parent / path).resolve() for page in near if page.suffix == ".md" for path, _ in links(page)}
    assert [page.name for page in ROOT.glob("docs/*.md") if page not in seen] == []

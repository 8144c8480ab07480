"""YAML as a person means it: text, lists, mappings and nothing else.

Every plain scalar stays text until its field parses it, so that `no`, `0123` and `2024-01-01` can be names. A key is
text and stands once in its mapping. Anchors and merge keys (`<<`) are known; tags for anything else are refused.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from nezha.errors import SettingsError
from nezha.units import show

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  # yaml's own place for them
        first: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{_TAG}null", f"{_TAG}merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag in (None, f"{_TAG}null", f"{_TAG}str", f"{_TAG}seq", f"{_TAG}map")
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                raise yaml.composer.ComposerError(None, None, "a key must be text", key.start_mark)
            if key.value in lines:
                problem = f"the key {show(key.value)} stands here again, after line {lines[key.value]}"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node


class _Manifests(yaml.SafeLoader):
    """YAML as kubectl reads it: with numbers and booleans, but no dates, for JSON has none."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read(text: str) -> Any:
    """What stands in `text`: str, list, dict or None, each within the other.

    Raises SettingsError with line and column where there is one.
    """
    with _told(text):
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader that knows even less


def manifests(text: str) -> list[Any]:
    """The documents in `text` that are not empty, as the JSON that kubectl would make of them. Raises SettingsError."""
    with _told(text):
        return [document for document in yaml.load_all(text, Loader=_Manifests) if document is not None]


def write(documents: Iterable[Any]) -> str:
    """Documents as text, each key where it was put."""
    return yaml.safe_dump_all(documents, sort_keys=False, width=120, explicit_start=True)


@contextmanager
def _told(text: str) -> Iterator[None]:
    """Tells what yaml finds wrong with `text` as a SettingsError."""
    try:
        yield
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise SettingsError(f"line {line}, column {column}: YAML allows no {chr(error.character)!r}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise SettingsError(f"{where}: not usable YAML: {error.problem}") from None
    except RecursionError:
        raise SettingsError("the YAML is nested too deeply") from None

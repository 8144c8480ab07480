"""YAML text: what is read of it, and how what cannot be is told."""

import pytest

from nezha import yamltext
from nezha.errors import SettingsError


def problem(text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        yamltext.read(text)
    return str(raised.value)


@pytest.mark.parametrize("text", ["", "# nothing", "---", "~", "null"])
def test_nothing_is_none(text: str) -> None:
    assert yamltext.read(text) is None


def test_words_that_yaml_would_turn_into_other_things_stay_text() -> None:
    assert yamltext.read("[no, 0123, 2024-01-01, 1.5, '', {5: on}]") == [
        "no", "0123", "2024-01-01", "1.5", "", {"5": "on"}
    ]  # fmt: skip


def test_an_anchor_is_merged_and_what_stands_beside_it_wins() -> None:
    text = """
- &first {name: a, fresh: 1d, grant: 5s}
- {<<: *first, name: b, fresh: 2d}
"""
    assert yamltext.read(text)[1] == {"name": "b", "fresh": "2d", "grant": "5s"}


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("cache: [\n", "line 2, column 1: not usable YAML: "),
        ("cache:\n\tsize: 1\n", "line 2, column 1: not usable YAML: "),
        ("cache: {}\n---\ncache: {}\n", "line 2, column 1: not usable YAML: "),
        ("cache:\n  - *x\n", "line 2, column 5: not usable YAML: found undefined alias"),
        ("cache: !!python/object:os.system {}", "line 1, column 8: not usable YAML: could not determine"),
        ("cache: !!int 5", "line 1, column 8: not usable YAML: could not determine"),
        ("a: 1\nb: \0", r"line 2, column 4: YAML allows no '\x00'"),
        ("[" * 600, "the YAML is nested too deeply"),
    ],
)
def test_broken_yaml_is_told_by_line_and_column(text: str, start: str) -> None:
    assert problem(text).startswith(start)
    assert "\n" not in problem(text)


def test_a_key_that_stands_twice_is_an_error() -> None:
    assert problem("cache:\n  size: 1GiB\n  drain: 1s\n  size: 2GiB\n") == (
        "line 4, column 3: not usable YAML: the key 'size' stands here again, after line 2"
    )


@pytest.mark.parametrize("key", ["[a]", "{a: b}", "~"])
def test_a_key_that_is_not_text_is_an_error(key: str) -> None:
    assert problem(f"cache: {{? {key} : 1}}").endswith("not usable YAML: a key must be text")


def test_manifests_are_read_as_kubectl_reads_them() -> None:
    text = "a: {n: 1, t: true, d: 2024-01-01}\n---\n# nothing\n---\nb: null\n"
    assert yamltext.manifests(text) == [{"a": {"n": 1, "t": True, "d": "2024-01-01"}}, {"b": None}]
    assert yamltext.manifests("") == []
    with pytest.raises(SettingsError, match="line 2, column 1: not usable YAML"):
        yamltext.manifests("a: [\n")


def test_what_is_written_reads_the_same_in_the_same_order() -> None:
    documents = [{"b": "x: y", "a": [True, "true"]}, {"c": "two\nlines"}]
    text = yamltext.write(documents)
    assert yamltext.manifests(text) == documents
    assert text.index("b:") < text.index("a:")

"""The chart's values against their schema, against Nezha's own settings, and against what the README says of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from charts.readme import CHART, readme, undescribed
from nezha import __version__
from nezha.loading import load
from nezha.settings import CacheSettings, LogSettings, OriginSettings, Section, Settings, TlsSettings

TEXT = (CHART / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(TEXT)
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VARIANTS = sorted((CHART / "ci").glob("*-values.yaml"))


def section(name: str) -> dict[str, Any]:
    """What the schema says of one section."""
    found: dict[str, Any] = SCHEMA["properties"][name]
    return found


def test_the_defaults_are_valid_and_every_key_is_described() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)
    assert undescribed(TEXT) == set()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda path: path.stem)
def test_the_variants_are_valid(variant: Path) -> None:
    jsonschema.validate(yaml.safe_load(variant.read_text()), SCHEMA)


def test_the_schema_knows_exactly_the_keys_of_the_values() -> None:
    def keys(schema: dict[str, Any], tree: Any, path: str) -> Iterator[tuple[str, set[str], set[str]]]:
        if "properties" in schema and isinstance(tree, dict):
            yield path, set(schema["properties"]) - {"global"}, set(tree)
            for name, each in schema["properties"].items():
                yield from keys(each, tree.get(name), f"{path}.{name}")

    optional = {".webhook.certManager.issuerRef"}  # an object of somebody else's
    for path, known, there in keys(SCHEMA, VALUES, ""):
        assert path in optional or known == there, path


def test_every_mapping_of_our_own_refuses_unknown_keys() -> None:
    def mappings(schema: Any, path: str) -> Iterator[tuple[str, bool]]:
        if isinstance(schema, dict):
            if "properties" in schema and isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
                yield path, schema.get("additionalProperties") is False
            for name, each in schema.items():
                yield from mappings(each, f"{path}/{name}")

    assert [path for path, refuses in mappings(SCHEMA, "") if not refuses] == []


@pytest.mark.parametrize(
    ("name", "settings", "the_charts_own"),
    [("cache", CacheSettings, {"listen", "directory"}), ("log", LogSettings, set())],
)
def test_a_section_has_the_keys_of_its_settings(name: str, settings: type[Section], the_charts_own: set[str]) -> None:
    assert set(section(name)["properties"]) == set(settings.model_fields) - the_charts_own


def test_an_origin_has_the_keys_of_its_settings() -> None:
    assert set(SCHEMA["definitions"]["origin"]["properties"]) == set(OriginSettings.model_fields)


@pytest.mark.parametrize(
    ("name", "field", "allowed"),
    [
        ("cache", CacheSettings.model_fields[key], section("cache")["properties"][key]["enum"])
        for key in ("verify", "loop")
    ]
    + [("log", LogSettings.model_fields["level"], section("log")["properties"]["level"]["enum"])]
    + [
        ("origin", OriginSettings.model_fields[key], SCHEMA["definitions"]["origin"]["properties"][key]["enum"])
        for key in ("dialect", "anonymous")
    ],
)
def test_a_choice_is_that_of_the_settings(name: str, field: Any, allowed: list[str]) -> None:
    assert set(allowed) == set(field.annotation.__args__), name


def test_the_defaults_are_those_of_the_settings() -> None:
    by_chart = load(yaml.safe_dump({"cache": VALUES["cache"], "log": VALUES["log"]}), {})
    assert by_chart == Settings()
    by_trust = load(yaml.safe_dump({"tls": {"overlap": VALUES["trust"]["overlap"]}}), {})
    assert by_trust.tls == TlsSettings()


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"cahce": {}}, "cahce"),
        ({"cache": {"siez": "1GiB"}}, "siez"),
        ({"cache": {"size": "1Gi"}}, "1Gi"),
        ({"cache": {"drain": "30"}}, "30"),
        ({"origins": [{"name": "a", "dialect": "ftp"}]}, "ftp"),
        ({"origins": [{"name": "a", "dialect": "http", "host": "a.test"}]}, "host"),
        ({"image": {"digest": "sha256:1"}}, "sha256:1"),
        ({"service": {"extraPorts": [9000]}}, "9000"),
        ({"persistence": {"size": "100GiB"}}, "100GiB"),
        ({"webhook": {"port": 443}}, "443"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "half"),
    ],
)
def test_a_mistake_is_refused_by_its_name(values: dict[str, Any], where: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=where):
        jsonschema.validate(values, SCHEMA)


def test_the_readme_is_current() -> None:
    path = CHART / "README.md"
    assert path.read_text() == readme(path.read_text(), TEXT), "make docs"


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)

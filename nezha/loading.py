"""How the settings come about: YAML text, the variables that override it, and every problem told at once.

A variable means exactly what the same text in the file means.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nezha import units, yamltext
from nezha.errors import SettingsError
from nezha.settings import (
    AdmissionSettings,
    CacheSettings,
    LogSettings,
    OriginSettings,
    Section,
    Settings,
    TlsSettings,
    TracingSettings,
)

_Place = tuple[int | str, ...]
_SECTIONS: dict[str, type[Section]] = {
    "cache": CacheSettings, "admission": AdmissionSettings, "tls": TlsSettings, "log": LogSettings,
    "tracing": TracingSettings,
}  # fmt: skip
_MESSAGES = {
    "value_error": "{error}",
    "missing": "is required",
    "model_type": "{given} is not a mapping of keys to values",
    "tuple_type": "{given} is not a list: write one like [a, b]",
    "path_type": "{given} is not a path",
    "literal_error": "{given} is not one of {expected}",
    "greater_than_equal": "must be at least {ge}, not {given}",
    "greater_than": "must be more than {gt}, not {given}",
    "less_than_equal": "must be at most {le}, not {given}",
} | dict.fromkeys(("bool_parsing", "bool_type"), "{given} is neither true nor false")


def load(text: str, environment: Mapping[str, str]) -> Settings:
    """The settings in YAML `text`, overridden by `NEZHA_SECTION__FIELD` variables.

    Raises SettingsError with one line per problem: the field's path, what is wrong, what is allowed.
    """
    tree = _sections(text)
    variables, problems = _override(tree, environment)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems += [_describe(detail, variables) for detail in error.errors(include_url=False)]
        raise SettingsError("\n".join(problems)) from None  # its text would show the values, secrets included
    problems += _contradictions(settings.origins)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _sections(text: str) -> dict[str, Any]:
    """The YAML's top level; a section without content counts as absent."""
    tree = yamltext.read(text)
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise SettingsError(f"the settings must be a mapping of {', '.join(Settings.model_fields)}, not a list or text")
    return {key: value for key, value in tree.items() if value is not None or key not in Settings.model_fields}


def _override(tree: dict[str, Any], environment: Mapping[str, str]) -> tuple[dict[_Place, str], list[str]]:
    """Writes the variables into `tree`: which field came from which variable, and the problems.

    Only names with `__` count: `NEZHA_CONFIG` is the command line's, `NEZHA_PORT` and its like are Kubernetes'.
    """
    given: dict[_Place, str] = {}
    problems = []
    for variable, value in sorted(environment.items()):
        section, nested, field = variable.removeprefix("NEZHA_").lower().partition("__")
        model = _SECTIONS.get(section)
        if not variable.startswith("NEZHA_") or not nested:
            continue
        if section == "origins":
            problems.append(f"{variable}: origins can be set in the file only")
        elif model is None and difflib.get_close_matches(section, Settings.model_fields):  # else it is not ours
            problems.append(f"{variable}: unknown section{_nearest(section, Settings.model_fields)}")
        elif model and field not in model.model_fields:
            problems.append(f"{variable}: unknown key{_nearest(field, model.model_fields)}")
        elif model and isinstance(tree.setdefault(section, {}), dict):  # else it is reported as what it is
            tree[section] = {**tree[section], field: value}  # a copy: by an anchor others may share it
            given[section, field] = variable
    return given, problems


def _describe(detail: ErrorDetails, variables: Mapping[_Place, str]) -> str:
    """One problem that pydantic found, in our words."""
    place, kind, given = detail["loc"], detail["type"], detail["input"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in place).removeprefix(".")
    path += f" (from {variables[place]})" if place in variables else ""
    if kind == "extra_forbidden":
        model = Settings if len(place) == 1 else _SECTIONS.get(str(place[0]), OriginSettings)
        return f"{path}: unknown key{_nearest(str(place[-1]), model.model_fields)}"
    if given is None:
        return f"{path}: has no value; give it one, or leave it out"
    message = _MESSAGES.get(kind, "{given} is not a whole number")  # all that is left is said of an int
    return f"{path}: {message.format(given=units.show(given), **detail.get('ctx', {}))}"


def _plain(key: str) -> str:
    return key if key.isprintable() else units.show(key)


def _nearest(word: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(known)}"


def _contradictions(origins: tuple[OriginSettings, ...]) -> list[str]:
    """Names, hosts and buckets that an earlier origin claims already."""
    problems = []
    for number, origin in enumerate(origins):
        for before, earlier in enumerate(origins[:number]):
            if origin.name == earlier.name:
                problems.append(f"origins[{number}].name: {origin.name!r} is the name of origins[{before}] already")
            problems += [
                f"origins[{number}].{field}: {name} is served by origins[{before}] ({earlier.name}) already, "
                f"and cannot be by {origin.name} too"
                for field, name in _shared(origin, earlier)
            ]
    return problems


def _shared(origin: OriginSettings, earlier: OriginSettings) -> Iterator[tuple[str, str]]:
    """The fields and what they name that `earlier` names too. Two may share a store by buckets of their own."""
    yield from ((f"hosts[{i}]", host) for i, host in enumerate(origin.hosts) if host in _explicit(earlier))
    is_same_store = origin.endpoint == earlier.endpoint  # also where neither names one: the public S3
    buckets, taken = set(origin.buckets), set(earlier.buckets)
    if origin.endpoint and (origin.endpoint in earlier.hosts or (is_same_store and not (buckets and taken))):
        yield "endpoint", origin.endpoint
    elif is_same_store:
        yield from (("buckets", bucket) for bucket in sorted(buckets & taken))


def _explicit(origin: OriginSettings) -> tuple[str | None, ...]:
    return *origin.hosts, origin.endpoint

"""Which workloads are injected: the text of the ConfigMap `hostaliases-config`, key `config`.

    - name: dataset                            # what annotations, warnings and logs call it
      app: app.kubernetes.io/deploy-manager    # a label's key ...
      label: ksonnet                           # ... and its value
      hostAliases:                             # optional; without it all hosts, at the cache's address
      - ip: "10.99.81.48"
        hostnames: ["www.cs.toronto.edu"]

The first rule that matches wins. The form is the original project's: its texts work unchanged, also those that its
script makes from an nginx.conf, with names that no alias can be (`_`, `*.example.org`) and lists without an entry.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nezha import yamltext
from nezha.errors import SettingsError
from nezha.units import NAME, shortest_ip, show

INJECT = "nezha.io/inject"
"""The annotation that names a rule; `true` asks for the hosts of all origins, `false` for nothing."""

_FIELDS = ("name", "app", "label", "hostAliases")
_ALIAS_FIELDS = ("ip", "hostnames")
_RESERVED = ("true", "false")
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/)[a-z0-9.-]+/)?{_WORD}")
_LABEL_VALUE = re.compile(rf"(?:{_WORD})?")


@dataclass(frozen=True, slots=True)
class Alias:
    """One address, canonical, and the names that lead to it."""

    ip: str
    hostnames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `key` and `value` are the label that it matches."""

    name: str
    key: str
    value: str
    aliases: tuple[Alias, ...] | None = None
    """None: the hosts of all origins, at the cache's address."""
    skipped: tuple[str, ...] = ()
    """What stood among its hostnames and cannot be an alias."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The rule that an annotation names is not there."""

    name: str


@dataclass(frozen=True, slots=True)
class OptedOut:
    """An annotation asks to be left alone."""


Rules = tuple[Rule, ...]
EVERYTHING = Rule(name="true", key="", value="")
"""What `nezha.io/inject: "true"` means where no rule matches."""


def parse(text: str) -> Rules:
    """The rules in YAML `text`. Raises SettingsError with one line per problem: where, what, what is allowed."""
    tree = yamltext.read(text)
    if tree is None:
        return ()
    if not isinstance(tree, list):
        raise SettingsError("the rules must be a list, each with name, app and label")
    problems: list[str] = []
    rules = tuple(_rule(entry, f"[{number}]", problems) for number, entry in enumerate(tree))
    names = [rule.name for rule in rules]
    for number, name in enumerate(names):
        if name and name in names[:number]:
            problems.append(f"[{number}].name: {show(name)} is the name of [{names.index(name)}] already")
    if problems:
        raise SettingsError("\n".join(problems))
    return rules


def select(rules: Rules, labels: Mapping[str, Any], annotations: Mapping[str, Any]) -> Rule | Unknown | OptedOut | None:
    """The rule for an object with these labels and annotations; None where nothing names it."""
    matching = next((rule for rule in rules if labels.get(rule.key) == rule.value), None)
    match annotations.get(INJECT):
        case None:
            return matching
        case "false":
            return OptedOut()
        case "true":
            return matching or EVERYTHING
        case name:
            return next((rule for rule in rules if rule.name == name), Unknown(str(name)))


def _rule(entry: object, where: str, problems: list[str]) -> Rule:
    fields = _mapping(entry, _FIELDS, where, problems)
    if fields is None:
        return Rule("", "", "")
    name = _text(fields, "name", where, problems)
    if name in _RESERVED:
        problems.append(f"{where}.name: {name} has a meaning of its own in the annotation {INJECT}: choose another")
    key = _text(fields, "app", where, problems)
    if key and not _LABEL_KEY.fullmatch(key):
        problems.append(f"{where}.app: {show(key)} is not the key of a label")
    value = _text(fields, "label", where, problems, may_be_empty=True)
    if not _LABEL_VALUE.fullmatch(value):
        problems.append(f"{where}.label: {show(value)} is not the value of a label")
    if fields.get("hostAliases") is None:
        return Rule(name, key, value)
    entries = list(_entries(fields["hostAliases"], f"{where}.hostAliases", problems))
    aliases = tuple(Alias(ip, tuple(each for each in names if _is_name(each))) for ip, names in entries)
    skipped = tuple(each for _, names in entries for each in names if not _is_name(each))
    return Rule(name, key, value, aliases, skipped)


def _entries(value: object, where: str, problems: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Address and hostnames of each alias, each name once."""
    if not isinstance(value, list):
        problems.append(f"{where}: {show(value)} is not a list")
        return
    for number, entry in enumerate(value):
        place = f"{where}[{number}]"
        fields = _mapping(entry, _ALIAS_FIELDS, place, problems)
        if fields is None:
            continue
        text = _text(fields, "ip", place, problems)
        ip = shortest_ip(text)
        if text and not ip:
            problems.append(f"{place}.ip: {show(text)} is not an IP address")
        names = [] if fields.get("hostnames") is None else fields["hostnames"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            yield ip, list(dict.fromkeys(names))
        else:
            problems.append(f"{place}.hostnames: {show(names)} is not a list of names")


def _mapping(value: object, known: tuple[str, ...], where: str, problems: list[str]) -> Mapping[str, Any] | None:
    if not isinstance(value, dict):
        problems.append(f"{where}: {show(value)} is not a mapping with {', '.join(known)}")
        return None
    problems += [f"{where}.{key}: unknown key; known are {', '.join(known)}" for key in value if key not in known]
    return value


def _text(fields: Mapping[str, Any], key: str, where: str, problems: list[str], *, may_be_empty: bool = False) -> str:
    value = fields.get(key)
    if isinstance(value, str) and (value or may_be_empty) and value.isprintable():
        return value
    problems.append(f"{where}.{key}: " + ("is required" if value in (None, "") else f"{show(value)} is not text"))
    return ""


def _is_name(text: str) -> bool:
    return re.fullmatch(NAME, text) is not None

"""Host aliases: which names lead where, merged into those that a pod has already.

The kubelet writes one line of /etc/hosts for each entry, and musl (Alpine) reads 511 bytes of a line: names beyond
them would silently resolve by DNS there. An entry therefore ends before that, and an address may have several.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nezha.admission.patch import appended, pointer
from nezha.admission.review import Json, Operation, items
from nezha.admission.rules import Alias, Rule
from nezha.admission.target import Target

LONGEST_LINE = 511
"""Bytes of a line, its end included, that musl's getaddrinfo reads (`char line[512]` and fgets)."""


@dataclass(frozen=True, slots=True)
class Merge:
    """What becomes of a pod's aliases."""

    operations: tuple[Operation, ...]
    redirected: tuple[str, ...]
    """The names that lead where they were meant to, once the operations are applied."""
    elsewhere: tuple[str, ...]
    """The names that stay what the pod says, at another address."""


def wanted(rule: Rule, target: Target) -> tuple[Alias, ...]:
    """The aliases of a pod that `rule` names."""
    if rule.aliases is not None:
        return rule.aliases
    return tuple(Alias(ip, target.hosts) for ip in target.addresses)


def merge(existing: object, aliases: Iterable[Alias]) -> Merge:
    """Adds `aliases` to a pod's `hostAliases`, which only grow. Raises ReviewError where these are no list."""
    entries = items(existing, "spec.hostAliases")
    present: dict[str, set[str]] = {}
    for entry in entries:
        for name in entry.get("hostnames") or ():
            present.setdefault(str(name).lower(), set()).add(_canonical(entry.get("ip")))
    meant: dict[str, list[str]] = {}
    for alias in aliases:
        for name in alias.hostnames:
            meant.setdefault(name, []).append(alias.ip)
    elsewhere = tuple(name for name, ips in meant.items() if present.get(name, set()) - set(ips))
    redirected = tuple(name for name in meant if name not in set(elsewhere))
    missing: dict[str, list[str]] = {}
    for name in redirected:
        for ip in dict.fromkeys(meant[name]):
            if ip not in present.get(name, ()):
                missing.setdefault(ip, []).append(name)
    return Merge(tuple(_operations(existing, entries, missing)), redirected, elsewhere)


def _operations(existing: object, entries: Sequence[Json], missing: dict[str, list[str]]) -> list[Operation]:
    operations: list[Operation] = []
    made: list[Json] = []
    for ip, names in missing.items():
        left = names
        for number, entry in enumerate(entries):
            if _canonical(entry.get("ip")) == ip:
                hostnames = entry.get("hostnames") or []
                taken, left = _fitting(left, LONGEST_LINE - _length(entry["ip"], hostnames))
                path = pointer("spec", "hostAliases", number, "hostnames")
                operations += appended(path, entry.get("hostnames"), taken)
        while left:
            taken, left = _fitting(left, LONGEST_LINE - _length(ip, ()))
            made.append({"ip": ip, "hostnames": taken})
    return operations + appended("/spec/hostAliases", existing, made)


def _fitting(names: list[str], room: int) -> tuple[list[str], list[str]]:
    """As many of the first names as fit into `room` bytes, each after a tab; and the others."""
    count = 0
    for name in names:
        room -= 1 + len(name)
        if room < 0:
            break
        count += 1
    return names[:count], names[count:]


def _length(ip: str, hostnames: Iterable[str]) -> int:
    return len(ip) + sum(1 + len(name) for name in hostnames) + 1


def _canonical(ip: object) -> str:
    """The one spelling of an address; of what is none, as the API server may still allow, the text itself."""
    try:
        return str(ipaddress.ip_address(str(ip)))
    except ValueError:
        return str(ip)

"""What `nezha admission explain` and `nezha policy render` print: from settings and rules, without a cluster."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nezha import yamltext
from nezha.admission.explain import explain
from nezha.admission.policy import render
from nezha.admission.review import mapping
from nezha.admission.rulebook import load
from nezha.admission.target import Aim, ClusterTrust, Standing, Target
from nezha.errors import SettingsError
from nezha.settings import Settings


def explained(
    settings: Settings, names: Iterable[str], addresses: Sequence[str], file: Path, namespace: str
) -> Iterator[str]:
    """Lines on each object in `file` (`-`: standard input). Raises SettingsError and ReviewError."""
    path, unknown = settings.admission.rules_file, f"<ClusterIP of {settings.admission.service}>"
    rules = load(path)
    objects = _objects(file)
    yield f"assumed: the cache is ready, the trust bundle is there; rules in {path}: {len(rules)}"
    target = _target(settings, names, addresses or (unknown,))
    yield from explain((mapping(each, str(file)) for each in objects), rules, target, namespace)


def policies(settings: Settings, names: Iterable[str], addresses: Sequence[str]) -> str:
    """Policies and bindings as YAML. Raises SettingsError, also where the address is not known."""
    if not addresses:
        service = settings.admission.service
        raise SettingsError(f"admission.address: auto is unknown here: give the ClusterIP of {service} by --address")
    return yamltext.write(render(load(settings.admission.rules_file), _target(settings, names, addresses)))


def _target(settings: Settings, names: Iterable[str], addresses: Sequence[str]) -> Target:
    standing = Standing(tuple(addresses), ClusterTrust())
    return Aim.of(settings, names, standing, lambda: True).at("")


def _objects(file: Path) -> list[Any]:
    try:
        return yamltext.manifests(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror or error}: name a readable file with -f") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: not UTF-8 at byte {error.start}") from error
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from error

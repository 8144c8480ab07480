"""Why a pod could be pointed at Nezha and yet not reach it, or not trust it: found before anything is changed.

The redirect is all or nothing: a client that is sent to Nezha and does not trust its certificate fails, where it would
have worked without us.
"""

from collections.abc import Iterable, Iterator, Sequence

from nezha.admission import trust
from nezha.admission.pod import Container
from nezha.admission.review import Json
from nezha.admission.target import Trust

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
EXCEPTIONS = ("NO_PROXY", "no_proxy")


def proxied(containers: Iterable[Container], names: Sequence[str]) -> Iterator[str]:
    """The containers whose requests for `names` go to a proxy, which resolves the names itself."""
    for container in containers:
        proxy = next((name for name in PROXIES if _is_set(container, name)), None)
        if proxy is None:
            continue
        exceptions = [name for name in EXCEPTIONS if name in container.environment]  # clients differ in which counts
        bare = [name for name in names if not exceptions or not all(_excepts(container, e, name) for e in exceptions)]
        if bare:
            more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
            which = " and ".join(exceptions) or "NO_PROXY"
            yield f"container {container.name}: sets {proxy} without {bare[0]}{more} in {which}"


def untrusting(containers: Iterable[Container], volumes: Sequence[Json], source: Trust, kind: trust.Wish) -> list[str]:
    """What of the pod's own stands where something that trust needs would have to be."""
    found = []
    meant = trust.volume(source)
    if any(volume.get("name") == trust.VOLUME and not _agrees(volume, meant) for volume in volumes):
        found.append(f"a volume {trust.VOLUME} is there already, of another kind")
    for container in containers:
        found += [
            f"container {container.name}: sets {name} itself"
            for name, value in trust.variables(kind)
            if name in container.environment and container.value(name) != value
        ]
        ours = trust.mounts(kind, is_ephemeral=container.is_ephemeral)
        found += [
            f"container {container.name}: mounts a volume of its own at {path or '/'}"
            for path, mount in container.mounts.items()
            if any(_meet(path, each["mountPath"]) for each in ours) and not any(_agrees(mount, each) for each in ours)
        ]
    return found


def _is_set(container: Container, variable: str) -> bool:
    entry = container.environment.get(variable)
    return entry is not None and bool(entry.get("value") or entry.get("valueFrom"))


def _excepts(container: Container, variable: str, name: str) -> bool:
    """Whether a NO_PROXY names `name` in a way that every client understands: whole, or by a domain it ends in."""
    for entry in (container.value(variable) or "").lower().split(","):
        domain = entry.strip().removeprefix(".")
        if domain == "*" or (domain and (name == domain or name.endswith(f".{domain}"))):
            return True
    return False


def _agrees(there: object, meant: object) -> bool:
    """Whether what is there says all that is meant; the API server's defaults may stand beside it."""
    if isinstance(meant, dict):
        return isinstance(there, dict) and all(_agrees(there.get(key), value) for key, value in meant.items())
    if isinstance(meant, list):
        return isinstance(there, list) and len(there) == len(meant) and all(map(_agrees, there, meant))
    return there == meant


def _meet(own: str, ours: str) -> bool:
    """Whether one path holds the other: a mount in a volume needs a place there, and that may be read-only."""
    return own == ours or ours.startswith(f"{own}/") or own.startswith(f"{ours}/")

"""A pod as its JSON stands, read with care: its containers, and what each sets itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nezha.admission.patch import pointer
from nezha.admission.review import Json, items, mapping

_KINDS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Container:
    """One container and where it stands."""

    path: str
    name: str
    is_ephemeral: bool
    environment: Mapping[str, Json]
    """The entries of `env` by name; of a name that stands twice the last counts, as for the kubelet."""
    mounts: Mapping[str, Json]
    """The volumeMounts by path, without a slash at the end."""
    content: Json

    def value(self, variable: str) -> str | None:
        """What `variable` is set to; empty where only the kubelet will know, None where it is not set."""
        entry = self.environment.get(variable)
        return None if entry is None else str(entry.get("value") or "")


def containers(spec: Json) -> Iterator[Container]:
    """Every container of a pod, in the order that they start. Raises ReviewError where the spec is malformed."""
    for kind in _KINDS:
        for number, content in enumerate(items(spec.get(kind), f"spec.{kind}")):
            where = f"spec.{kind}[{number}]"
            mounts = items(content.get("volumeMounts"), f"{where}.volumeMounts")
            yield Container(
                path=pointer("spec", kind, number),
                name=str(content.get("name", "")),
                is_ephemeral=kind == "ephemeralContainers",
                environment={str(entry.get("name")): entry for entry in items(content.get("env"), f"{where}.env")},
                mounts={str(mount.get("mountPath")).rstrip("/"): mount for mount in mounts},
                content=content,
            )


def is_windows(spec: Json) -> bool:
    """Whether a pod says that it runs on Windows."""
    selector = mapping(spec.get("nodeSelector"), "spec.nodeSelector")
    named = mapping(spec.get("os"), "spec.os").get("name")
    return "windows" in {named, selector.get("kubernetes.io/os"), selector.get("beta.kubernetes.io/os")}

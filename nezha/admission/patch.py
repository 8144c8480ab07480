"""JSON Patch (RFC 6902) that only adds, by JSON Pointers (RFC 6901)."""

from collections.abc import Sequence

from nezha.admission.review import Json, Operation


def pointer(*parts: str | int) -> str:
    """The pointer to a place, its parts escaped."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def appended(path: str, existing: object, values: Sequence[object]) -> list[Operation]:
    """Adds `values` to the list at `path`, which is made where it is absent or null; none where there are none."""
    if not values:
        return []
    if existing is None:
        return [{"op": "add", "path": path, "value": list(values)}]
    return [{"op": "add", "path": f"{path}/-", "value": value} for value in values]


def annotated(path: str, metadata: Json, key: str, value: str) -> list[Operation]:
    """Sets one annotation of the `metadata` at `path`, whatever of them is there."""
    annotations = metadata.get("annotations")
    if annotations is None:
        if not metadata:
            return [{"op": "add", "path": path, "value": {"annotations": {key: value}}}]
        return [{"op": "add", "path": f"{path}/annotations", "value": {key: value}}]
    if annotations.get(key) == value:
        return []
    operation = "replace" if key in annotations else "add"
    return [{"op": operation, "path": path + pointer("annotations", key), "value": value}]

"""AdmissionReview, admission.k8s.io/v1: what the API server asks, and what it is answered.

Two kinds of failure, kept apart: a body that is no review is the caller's fault (ReviewError, 400, and the webhook's
failurePolicy decides); whatever is wrong with the *object* is told in warnings, and the object is let through.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from nezha.errors import ReviewError
from nezha.units import show

API_VERSION = "admission.k8s.io/v1"
LONGEST_BODY = 3 * 2**20
"""Bytes of a review: the API server takes no larger request, and keeps no object of half that size."""

# The API server cuts a warning to 256 runes once all of them exceed 4096, and drops what follows; kubectl's guide
# asks for 120. A warning with a control character is dropped whole.
_LONGEST_WARNING = 240
_MOST_WARNINGS = 16

Json = dict[str, Any]
"""An object of Kubernetes, as its JSON stands: unknown fields stay what they are."""

Operation = Json
"""One operation of RFC 6902."""


@dataclass(frozen=True, slots=True)
class Review:
    """What is asked: may this object be created (or changed, or deleted) as it is?"""

    uid: str
    operation: str
    group: str
    kind: str
    subresource: str
    namespace: str
    object: Json
    """Empty where the operation has none (DELETE, CONNECT)."""
    is_dry_run: bool = False


def parse(body: bytes) -> Review:
    """The review that `body` holds. Raises ReviewError, which names the field."""
    try:
        review = json.loads(body, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise ReviewError(f"not JSON: {error}") from error
    review = mapping(review, "the body")
    if (version := review.get("apiVersion")) != API_VERSION:
        raise ReviewError(f"apiVersion: {_shown(version)} is not {API_VERSION}")
    if (kind := review.get("kind")) != "AdmissionReview":
        raise ReviewError(f"kind: {_shown(kind)} is not AdmissionReview")
    request = mapping(_required(review, "request", ""), "request")
    kind = mapping(_required(request, "kind", "request."), "request.kind")
    operation = _text(_required(request, "operation", "request."), "request.operation")
    if operation in {"CREATE", "UPDATE"}:
        _required(request, "object", "request.")
    return Review(
        uid=_text(_required(request, "uid", "request."), "request.uid"),
        operation=operation,
        group=_text(kind.get("group", ""), "request.kind.group"),
        kind=_text(_required(kind, "kind", "request.kind."), "request.kind.kind"),
        subresource=_text(request.get("subResource", ""), "request.subResource"),
        namespace=_text(request.get("namespace", ""), "request.namespace"),
        object=mapping(request.get("object"), "request.object"),
        is_dry_run=request.get("dryRun") is True,
    )


def respond(uid: str, operations: Sequence[Operation], warnings: Iterable[str]) -> bytes:
    """The answer, always allowed; a patch only where there are operations."""
    response: Json = {"uid": uid, "allowed": True}
    if operations:
        patch = json.dumps(list(operations), separators=(",", ":")).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    if told := bound(warnings):
        response["warnings"] = told
    return json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}).encode()


def bound(warnings: Iterable[str]) -> list[str]:
    """Each warning once, on one line of at most 240 characters; at most 16, the last of them says what is left out."""
    told = [_line(warning) for warning in dict.fromkeys(warnings)]
    if len(told) > _MOST_WARNINGS:
        left = len(told) - _MOST_WARNINGS + 1
        told = [*told[: _MOST_WARNINGS - 1], f"nezha: {left} more warnings: see nezha admission explain"]
    return told


def mapping(value: object, where: str) -> Json:
    """`value` where it is a JSON object; nothing counts as an empty one. Raises ReviewError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ReviewError(f"{where}: {_shown(value)} is not a mapping")
    return value


def items(value: object, where: str) -> list[Json]:
    """`value` where it is a list of JSON objects; nothing counts as an empty one. Raises ReviewError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ReviewError(f"{where}: {_shown(value)} is not a list")
    return [mapping(item, f"{where}[{number}]") for number, item in enumerate(value)]


def _required(parent: Json, key: str, where: str) -> object:
    if parent.get(key) in (None, "", {}):
        raise ReviewError(f"{where}{key}: is required")
    return parent[key]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ReviewError(f"{where}: {_shown(value)} is not text")
    return value


def _shown(value: object) -> str:
    return "nothing" if value is None else show(value)


def _line(text: str) -> str:
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= _LONGEST_WARNING else f"{clean[: _LONGEST_WARNING - 3]}..."


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")

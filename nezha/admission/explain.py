"""What the webhook would do with an object, and why, in lines for a person."""

import json
from collections.abc import Iterable, Iterator
from typing import assert_never

from nezha.admission.injection import decide
from nezha.admission.outcomes import Injected, Outcome, Passed, Stamped, Untouched
from nezha.admission.review import Json, Review, items, mapping
from nezha.admission.rules import Rules
from nezha.admission.target import Target


def explain(objects: Iterable[Json], rules: Rules, target: Target, namespace: str) -> Iterator[str]:
    """Lines on each object as if it were created in `namespace`, were there none in it. Raises ReviewError."""
    for content in objects:
        if content.get("kind") == "List":
            yield from explain(items(content.get("items"), "items"), rules, target, namespace)
            continue
        review = _review(content, namespace)
        metadata = mapping(content.get("metadata"), "metadata")
        name = metadata.get("name") or metadata.get("generateName") or "without a name"
        outcome = decide(review, rules, target)
        yield f"{review.kind} {review.namespace}/{name}: {_summary(outcome)}"
        yield from _details(outcome)


def _review(content: Json, namespace: str) -> Review:
    group, slash, _ = str(content.get("apiVersion", "v1")).partition("/")
    own = mapping(content.get("metadata"), "metadata").get("namespace")
    return Review(
        uid="explain",
        operation="CREATE",
        group=group if slash else "",
        kind=str(content.get("kind", "Pod")),
        subresource="",
        namespace=str(own or namespace),
        object=content,
    )


def _summary(outcome: Outcome) -> str:
    match outcome:
        case Injected(rule):
            return f"injected by the rule {rule}"
        case Stamped(rule):
            return f"stamped: its pods will be injected by the rule {rule}, each when it is made"
        case Untouched(reason):
            return f"left alone: {reason}"
        case Passed(_, rule):
            return f"not injected, although the rule {rule} asks for it"
        case _:
            assert_never(outcome)


def _details(outcome: Outcome) -> Iterator[str]:
    if isinstance(outcome, Injected | Passed):
        yield from (f"  warning: {warning.removeprefix('nezha: ')}" for warning in outcome.warnings)
    if isinstance(outcome, Injected | Stamped):
        for operation in outcome.operations:
            yield f"  {operation['op']} {operation['path']}"
            value = operation["value"]
            yield from (f"    {json.dumps(each)}" for each in (value if isinstance(value, list) else [value]))

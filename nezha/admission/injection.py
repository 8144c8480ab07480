"""What is done about one object at its creation: values in, an outcome out, and the same for the same.

A pod is injected whole or not at all; nothing of it is ever removed or replaced but our own annotation. Run on its own
output it changes nothing. A workload is only stamped: its pods are asked about when they are made, so that they heal
by a restart, and a template that differs from what its owner wrote multiplies no ReplicaSets.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, assert_never

from nezha.admission import trust
from nezha.admission.aliases import Merge, merge, wanted
from nezha.admission.obstacles import proxied, untrusting
from nezha.admission.outcomes import Injected, Outcome, Passed, Stamped, Untouched
from nezha.admission.patch import annotated, appended, pointer
from nezha.admission.pod import Container, containers, is_windows
from nezha.admission.review import Json, Operation, Review, items, mapping
from nezha.admission.rules import INJECT, OptedOut, Rule, Rules, Unknown, select
from nezha.admission.target import Target, Trust

INJECTED = "nezha.io/injected"
"""The annotation on every injected pod: the rule."""

_HINT = (
    f'nezha: where that is meant: {trust.TRUST_MOUNT} or {trust.TRUST_VARIABLES}: "false" leaves out its part, '
    f"{trust.TRUST}: own all of it"
)
_MIRROR = "kubernetes.io/config.mirror"
_OWN = ("app.kubernetes.io/name", "nezha")

WORKLOADS: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
"""Group and kind -> where the pod template is."""


def decide(review: Review, rules: Rules, target: Target) -> Outcome:
    """What becomes of the object of `review`. Raises ReviewError where the object is malformed."""
    if review.operation != "CREATE" or review.subresource:
        return Untouched("only objects that are being created are touched")
    if (review.group, review.kind) == ("", "Pod"):
        return inject(review.object, rules, target)
    template = WORKLOADS.get((review.group, review.kind))
    if template is None:
        return Untouched(f"a {review.kind} is neither a pod nor makes pods that Nezha knows of")
    return stamp(review.object, template, rules)


def stamp(workload: Json, template: tuple[str, ...], rules: Rules) -> Outcome:
    """Notes the rule that `workload` asks for on its pod template, which stands at `template`."""
    metadata = mapping(workload.get("metadata"), "metadata")
    if any(owner.get("controller") is True for owner in items(metadata.get("ownerReferences"), "ownerReferences")):
        return Untouched("its controller made it, and would only make another")
    rule = _selected(metadata, rules)
    if not isinstance(rule, Rule):
        return Untouched("no rule matches its labels" if rule is None else "it is opted out, or names no rule")
    pods = workload
    for part in template:
        pods = mapping(pods.get(part), ".".join(template))
    inner = mapping(pods.get("metadata"), "template.metadata")
    if not pods or INJECT in mapping(inner.get("annotations"), "template.metadata.annotations"):
        return Untouched("its pod template says for itself what is to be done")
    return Stamped(rule.name, tuple(annotated(pointer(*template, "metadata"), inner, INJECT, rule.name)))


def inject(pod: Json, rules: Rules, target: Target) -> Outcome:
    """Points `pod` at `target`, and lets it trust it."""
    metadata, spec = mapping(pod.get("metadata"), "metadata"), mapping(pod.get("spec"), "spec")
    annotations = mapping(metadata.get("annotations"), "metadata.annotations")
    labels = mapping(metadata.get("labels"), "metadata.labels")
    if _MIRROR in annotations:
        return Untouched("it is a mirror pod: the kubelet runs it from a file, whatever stands here")
    if labels.get(_OWN[0]) == _OWN[1]:
        return Untouched("it is one of Nezha's own pods")
    selected = _selected(metadata, rules)
    match selected:
        case None:
            return Untouched(f"no rule matches its labels, and it has no annotation {INJECT}")
        case OptedOut():
            return Untouched(f"it is opted out by {INJECT}")
        case Unknown(name):
            return _passed("unsuitable", name, f"{INJECT} names the rule {name!r}, which is not there")
        case Rule() if not spec:
            return Untouched("it has no spec, to which something could be added")
        case Rule():
            return _follow(selected, spec, metadata, target)
        case _:
            assert_never(selected)


def _selected(metadata: Json, rules: Rules) -> Rule | Unknown | OptedOut | None:
    labels = mapping(metadata.get("labels"), "metadata.labels")
    return select(rules, labels, mapping(metadata.get("annotations"), "metadata.annotations"))


def _follow(rule: Rule, spec: Json, metadata: Json, target: Target) -> Outcome:
    """What `rule`, which names this pod, does to it."""
    if is_windows(spec):
        return _passed("unsuitable", rule.name, "it runs on Windows, where nothing can be made to trust Nezha")
    if not target.is_ready:
        return _passed("unready", rule.name, "the cache is not ready")
    if rule.aliases is None and not target.addresses:
        return _passed("unready", rule.name, "the cache's address is not known yet")
    aliases = merge(spec.get("hostAliases"), wanted(rule, target))
    if not aliases.redirected:
        return _passed("unsuitable", rule.name, "no host is left to redirect", *_remarks(rule, aliases))
    kind = trust.wish(mapping(metadata.get("annotations"), "metadata.annotations"))
    is_needed = target.wants_trust and not kind.is_own and not set(target.hosts).isdisjoint(aliases.redirected)
    if is_needed and target.trust is None:
        return _passed("unready", rule.name, "the trust bundle is not there for its namespace yet")
    source = target.trust if is_needed else None
    pod_containers = tuple(containers(spec))
    found = [*proxied(pod_containers, aliases.redirected)]
    if source:
        found += untrusting(pod_containers, items(spec.get("volumes"), "spec.volumes"), source, kind)
    if found and not kind.is_own:
        return _passed("unsuitable", rule.name, found[0], *(f"nezha: {each}" for each in found[1:]), _HINT)
    remarks = (*(f"nezha: {each}" for each in found), *_remarks(rule, aliases))
    operations = (*aliases.operations, *_additions(pod_containers, spec, source, kind, target))
    if not operations:
        return Untouched("all that would be added is there already")
    return Injected(rule.name, (*operations, *annotated("/metadata", metadata, INJECTED, rule.name)), remarks)


def _additions(
    pod_containers: Sequence[Container], spec: Json, source: Trust | None, kind: trust.Wish, target: Target
) -> Iterator[Operation]:
    """All that is added beside aliases, and is not there yet."""
    volumes = items(spec.get("volumes"), "spec.volumes")
    if source and all(volume.get("name") != trust.VOLUME for volume in volumes):
        yield from appended("/spec/volumes", spec.get("volumes"), [trust.volume(source)])
    meant = (*(trust.variables(kind) if source else ()), *trust.switches(target.dialects))
    for each in pod_containers:
        variables = [{"name": name, "value": value} for name, value in meant if name not in each.environment]
        yield from appended(f"{each.path}/env", each.content.get("env"), variables)
        ours = trust.mounts(kind, is_ephemeral=each.is_ephemeral) if source else ()
        mounts = [mount for mount in ours if mount["mountPath"] not in each.mounts]
        yield from appended(f"{each.path}/volumeMounts", each.content.get("volumeMounts"), mounts)


def _remarks(rule: Rule, aliases: Merge) -> Iterator[str]:
    """What the owner should know of aliases that are not made."""
    if aliases.elsewhere:
        yield f"nezha: kept as the pod has them, at another address: {_some(aliases.elsewhere)}"
    if rule.skipped:
        yield f"nezha: rule {rule.name}: cannot be host aliases: {_some(rule.skipped)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _passed(word: Literal["unsuitable", "unready"], rule: str, why: str, *remarks: str) -> Passed:
    return Passed(word, rule, (f"nezha: not injected: {why}", *remarks))

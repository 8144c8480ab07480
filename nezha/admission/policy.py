"""The same injection without a call: MutatingAdmissionPolicies, which the API server evaluates itself.

Rules, hosts and addresses become one constant, `our`; all else is fixed text in CEL, in the order of its evaluation.
What the API server asks for: a condition sees no variables, so each mutation says for itself that there is nothing to
do. ApplyConfiguration may not touch atomic lists (`hostnames`, `projected.sources`), so aliases and the volume come by
JSONPatch; containers are lists by name, and are merged. What differs from the webhook is listed in docs/admission.md.
"""

import json
from collections.abc import Iterable, Mapping

from nezha.admission import trust
from nezha.admission.aliases import merge, wanted
from nezha.admission.injection import WORKLOADS
from nezha.admission.obstacles import EXCEPTIONS, PROXIES
from nezha.admission.review import Json
from nezha.admission.rules import EVERYTHING, Rule, Rules
from nezha.admission.target import TRUST_KEY, ClusterTrust, Target

OPT_IN: Json = {"matchLabels": {"hostaliases-injector": "enabled"}}
_API = "admissionregistration.k8s.io/v1"

_IS_FOR_US = {
    "no-mirror-pod": """
        !has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)""",
    "not-nezhas-own": """
        !has(object.metadata.labels)
        || object.metadata.labels[?'app.kubernetes.io/name'] != optional.of('nezha')""",
}
_HAS_NO_CONTROLLER = {
    "made-by-no-controller": """
        !has(object.metadata.ownerReferences)
        || !object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)""",
}

# `rule` is the name of what `rules.select` gives; empty where nothing is to be done.
_SELECTION = {
    "labels": "has(object.metadata.labels) ? object.metadata.labels : {}",
    "annotations": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
    "matched": "variables.our.rules.filter(r, variables.labels[?string(r.key)] == optional.of(string(r.value)))",
    "asked": "variables.annotations[?'nezha.io/inject'].orValue('')",
    "chosen": """
        variables.asked == 'false' ? []
        : variables.asked == '' ? variables.matched
        : variables.asked == 'true' ? variables.matched + [variables.our.everything]
        : variables.our.rules.filter(r, r.name == variables.asked)""",
    "rule": "variables.chosen.size() > 0 ? string(variables.chosen[0].name) : ''",
}

_POD = {
    "containers": "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])",
    "existing": "has(object.spec.hostAliases) ? object.spec.hostAliases : []",
    "wanted": "variables.chosen.size() > 0 ? variables.chosen[0].aliases : []",
    # names that the pod has stay what they are, wherever they lead
    "aliases": """
        variables.wanted.map(a, {'ip': a.ip, 'hostnames': dyn(a.hostnames.filter(n,
            !variables.existing.exists(e, has(e.hostnames) && n in e.hostnames)))})
        .filter(a, a.hostnames.size() > 0)""",
    "isOwn": "variables.annotations[?'nezha.io/trust'].orValue('') == 'own'",
    "trusts": """
        variables.our.wantsTrust && !variables.isOwn
        && variables.chosen.size() > 0 && variables.chosen[0].needsTrust""",
    "paths": """
        variables.annotations[?'nezha.io/trust-mount'].orValue('') == 'false'
        ? [variables.our.directory] : [variables.our.directory] + variables.our.systemBundles""",
    "trustVariables": """
        variables.annotations[?'nezha.io/trust-variables'].orValue('') == 'false' ? [] : variables.our.variables""",
    "isWindows": """
        (has(object.spec.os) && object.spec.os.name == 'windows')
        || (has(object.spec.nodeSelector)
            && object.spec.nodeSelector[?'kubernetes.io/os'] == optional.of('windows'))""",
    "isProxied": """
        variables.containers.exists(c, has(c.env)
            && c.env.exists(e, e.name in variables.our.proxies
                && (has(e.valueFrom) || (has(e.value) && e.value != '')))
            && !(c.env.exists(e, e.name in variables.our.exceptions)
                && c.env.filter(e, e.name in variables.our.exceptions).all(e, has(e.value)
                    && variables.wanted.all(a, a.hostnames.all(n,
                        e.value.lowerAscii().split(',').map(d, d.trim()).exists(d, d == '*' || n == d
                            || (d != '' && string(n).endsWith(d.startsWith('.') ? d : '.' + d))))))))""",
    "hasOther": """
        (has(object.spec.volumes) && object.spec.volumes.exists(v, v.name == variables.our.volume.name
            && !(has(v.projected) && v.projected.sources.exists(s, has(s.clusterTrustBundle)))))
        || variables.containers.exists(c, has(c.env) && c.env.exists(e, e.name in variables.trustVariables
            && !(has(e.value) && e.value == variables.our.bundle)))
        || variables.containers.exists(c, has(c.volumeMounts) && c.volumeMounts.exists(m,
            m.name != variables.our.volume.name && variables.paths.exists(p,
                (m.mountPath + '/').startsWith(p + '/')
                || (p + '/').startsWith(m.mountPath.endsWith('/') ? m.mountPath : m.mountPath + '/'))))""",
    "isIdle": """
        variables.rule == '' || variables.wanted.all(a, a.hostnames.size() == 0) || variables.isWindows
        || (!variables.isOwn && variables.isProxied) || (variables.trusts && variables.hasOther)""",
}

_ALIASES = """
    variables.isIdle || variables.aliases.size() == 0 ? []
    : (has(object.spec.hostAliases) ? [] : [JSONPatch{op: 'add', path: '/spec/hostAliases', value: dyn([])}])
    + variables.aliases.map(a, JSONPatch{op: 'add', path: '/spec/hostAliases/-', value: dyn(a)})"""
_VOLUME = """
    variables.isIdle || !variables.trusts
    || (has(object.spec.volumes) && object.spec.volumes.exists(v, v.name == variables.our.volume.name)) ? []
    : (has(object.spec.volumes) ? [] : [JSONPatch{op: 'add', path: '/spec/volumes', value: dyn([])}])
    + [JSONPatch{op: 'add', path: '/spec/volumes/-', value: variables.our.volume}]"""
_CONTAINERS = """
    variables.isIdle || !has(object.spec.KIND) ? Object{} : Object{spec: Object.spec{
        KIND: object.spec.KIND.map(c, Object.spec.KIND{
            name: c.name,
            env: (variables.trusts
                    ? variables.trustVariables.map(n, {'name': n, 'value': variables.our.bundle}) : [])
                .map(v, Object.spec.KIND.env{name: string(v.name), value: string(v.value)})
                + variables.our.switches.filter(s, !(has(c.env) && c.env.exists(e, e.name == s.name)))
                .map(v, Object.spec.KIND.env{name: string(v.name), value: string(v.value)}),
            volumeMounts: (variables.trusts ? variables.paths : []).map(p, p == variables.our.directory
                ? Object.spec.KIND.volumeMounts{
                    name: string(variables.our.volume.name), mountPath: string(p), readOnly: true}
                : Object.spec.KIND.volumeMounts{
                    name: string(variables.our.volume.name), mountPath: string(p), readOnly: true,
                    subPath: string(variables.our.key)})})}}"""
_MARK = """
    variables.isIdle ? []
    : (has(object.metadata.annotations) ? [] : [JSONPatch{op: 'add', path: '/metadata/annotations', value: dyn({})}])
    + [JSONPatch{op: 'add', path: '/metadata/annotations/nezha.io~1injected', value: variables.rule}]"""
_STAMP = """
    variables.rule == '' || (has(TEMPLATE.metadata) && has(TEMPLATE.metadata.annotations)
        && 'nezha.io/inject' in TEMPLATE.metadata.annotations) ? []
    : (has(TEMPLATE.metadata) ? [] : [JSONPatch{op: 'add', path: 'PATH/metadata', value: dyn({})}])
    + (has(TEMPLATE.metadata) && has(TEMPLATE.metadata.annotations) ? []
        : [JSONPatch{op: 'add', path: 'PATH/metadata/annotations', value: dyn({})}])
    + [JSONPatch{op: 'add', path: 'PATH/metadata/annotations/nezha.io~1inject', value: variables.rule}]"""


def render(rules: Rules, target: Target) -> list[Json]:
    """Policies and bindings: one for pods, and one for each place where a workload has its pod template.

    A bundle that `target` does not know of is taken to be the ClusterTrustBundle.
    """
    constant = {"our": literal(_our(rules, target))}
    mutations = [
        _patch(_ALIASES),
        _patch(_VOLUME),
        *(_merge(_CONTAINERS.replace("KIND", kind)) for kind in ("containers", "initContainers")),
        _patch(_MARK),
    ]
    documents = _bound("nezha-inject", "", ("pods",), _spec(_IS_FOR_US, constant | _SELECTION | _POD, mutations))
    places: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, kind), template in WORKLOADS.items():
        places.setdefault((group, template), []).append(f"{kind.lower()}s")
    for (group, template), plurals in places.items():
        stamp = _STAMP.replace("TEMPLATE", f"object.{'.'.join(template)}").replace("PATH", f"/{'/'.join(template)}")
        spec = _spec(_HAS_NO_CONTROLLER, constant | _SELECTION, [_patch(stamp)])
        documents += _bound(f"nezha-stamp-{'-'.join(plurals)}", group, plurals, spec)
    return documents


def literal(value: object) -> str:
    """A value of JSON in CEL, whose lists and mappings may then hold anything."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: dyn({literal(each)})" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(f"dyn({literal(each)})" for each in value) + "]"
    return json.dumps(value)


def _our(rules: Rules, target: Target) -> Json:
    """What the expressions know of the settings, the rules and the tables of `trust`."""
    return {
        "rules": [_rule(rule, target) for rule in rules],
        "everything": _rule(EVERYTHING, target),
        "wantsTrust": target.wants_trust,
        "volume": trust.volume(target.trust or ClusterTrust()),
        "key": TRUST_KEY,
        "directory": trust.DIRECTORY,
        "bundle": trust.BUNDLE,
        "systemBundles": list(trust.SYSTEM_BUNDLES),
        "variables": list(trust.VARIABLES),
        "switches": [{"name": name, "value": value} for name, value in trust.switches(target.dialects)],
        "proxies": list(PROXIES),
        "exceptions": list(EXCEPTIONS),
    }


def _rule(rule: Rule, target: Target) -> Json:
    """A rule, and the aliases of a pod that has none."""
    made = merge(None, wanted(rule, target))
    aliases = made.operations[0]["value"] if made.operations else []
    needs_trust = not set(target.hosts).isdisjoint(made.redirected)
    return {"name": rule.name, "key": rule.key, "value": rule.value, "aliases": aliases, "needsTrust": needs_trust}


def _spec(conditions: Mapping[str, str], variables: Mapping[str, str], mutations: list[Json]) -> Json:
    return {
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "matchConditions": [{"name": name, "expression": _trimmed(text)} for name, text in conditions.items()],
        "variables": [{"name": name, "expression": _trimmed(text)} for name, text in variables.items()],
        "mutations": mutations,
    }


def _bound(name: str, group: str, plurals: Iterable[str], spec: Json) -> list[Json]:
    """A policy for the creation of `plurals`, and its binding to the namespaces that opted in."""
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": list(plurals)}
    metadata = {"name": name}
    kind = "MutatingAdmissionPolicy"
    return [
        {"apiVersion": _API, "kind": kind, "metadata": metadata,
         "spec": spec | {"matchConstraints": {"resourceRules": [rule]}}},
        {"apiVersion": _API, "kind": f"{kind}Binding", "metadata": dict(metadata),
         "spec": {"policyName": name, "matchResources": {"namespaceSelector": OPT_IN}}},
    ]  # fmt: skip


def _patch(text: str) -> Json:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": _trimmed(text)}}


def _merge(text: str) -> Json:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _trimmed(text)}}


def _trimmed(text: str) -> str:
    return " ".join(text.split())

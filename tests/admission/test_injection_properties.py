"""For any valid pod: patched it is valid, a second pass is empty, and without what was added it is what it was."""

import copy
import os
from typing import Any

import jsonpatch
import kubernetes_validate
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from nezha.admission.injection import inject
from nezha.admission.outcomes import Injected, Passed
from nezha.admission.rules import Rule
from nezha.admission.target import ClusterTrust, NamespaceTrust, Target
from nezha.admission.trust import SYSTEM_BUNDLES, VARIABLES

EXAMPLES = 100 if os.environ.get("REQUIRE_REAL") == "1" else 30  # each is validated against Kubernetes' schemas
RULES = (Rule("r", "team", "vision"),)
NAMES = st.sampled_from(["a", "b", "nezha-trust", "data"])
HOSTS = st.sampled_from(["a.test", "b.test", "c.test", *(f"bucket-{n}.s3.us-east-1.amazonaws.com" for n in range(40))])
IPS = st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "FD00:0::1", "127.0.0.1"])
PATHS = st.sampled_from(["/data", "/", "/etc", "/etc/ssl/certs", "/etc/nezha-trust", "/var/lib/x", *SYSTEM_BUNDLES])
VALUES = st.sampled_from(["", "x", "/etc/nezha-trust/ca-bundle.crt", "*", "http://proxy:3128"])


def optional(fields: dict[str, st.SearchStrategy[Any]], **required: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=fields)


VARIABLE = optional({"value": VALUES}, name=st.sampled_from([*VARIABLES, "A", "HTTPS_PROXY", "NO_PROXY", "no_proxy"]))
MOUNT = optional({"readOnly": st.booleans(), "subPath": st.just("f")}, name=NAMES, mountPath=PATHS)
CONTAINER = optional(
    {"env": st.lists(VARIABLE, max_size=3), "volumeMounts": st.lists(MOUNT, max_size=2), "image": st.just("i")},
    name=st.sampled_from(["main", "sidecar"]),
)
VOLUME = st.one_of(
    st.fixed_dictionaries({"name": NAMES, "emptyDir": st.just({})}),
    st.fixed_dictionaries({"name": NAMES, "configMap": st.just({"name": "nezha-trust"})}),
)
ALIAS = optional({"hostnames": st.lists(HOSTS, max_size=4, unique=True)}, ip=IPS)
ANNOTATION_KEYS = ["nezha.io/trust", "nezha.io/trust-mount", "nezha.io/trust-variables", "nezha.io/injected", "a/b~c"]
ANNOTATIONS = st.dictionaries(st.sampled_from(ANNOTATION_KEYS), st.sampled_from(["own", "false", "r", "x"]), max_size=3)
POD = st.fixed_dictionaries(
    {
        "apiVersion": st.just("v1"),
        "kind": st.just("Pod"),
        "metadata": optional({"annotations": ANNOTATIONS}, name=st.just("p"), labels=st.just({"team": "vision"})),
        "spec": optional(
            {
                "hostAliases": st.lists(ALIAS, max_size=3),
                "volumes": st.lists(VOLUME, max_size=2),
                "initContainers": st.lists(CONTAINER, max_size=2),
                "ephemeralContainers": st.lists(CONTAINER, max_size=1),
                "hostNetwork": st.booleans(),
            },
            containers=st.lists(CONTAINER, min_size=1, max_size=2),
        ),
    }
)
TARGET = st.builds(
    Target,
    addresses=st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]), min_size=1, max_size=2, unique=True).map(
        tuple
    ),
    hosts=st.lists(HOSTS, min_size=1, max_size=43, unique=True).map(tuple),
    trust=st.sampled_from([ClusterTrust(), NamespaceTrust()]),
    wants_trust=st.booleans(),
    dialects=st.sets(st.sampled_from(["gcs", "huggingface", "s3"])).map(frozenset),
)


def without(patched: dict[str, Any], operations: list[dict[str, Any]], original: dict[str, Any]) -> dict[str, Any]:
    """The patched pod with everything taken out again that was put in, last first."""
    result = copy.deepcopy(patched)
    for operation in reversed(operations):
        path = operation["path"]
        if operation["op"] == "replace":
            old = jsonpatch.JsonPointer(path).get(original)
            undo = {"op": "replace", "path": path, "value": old}
        elif path.endswith("/-"):
            last = len(jsonpatch.JsonPointer(path[:-2]).get(result)) - 1
            undo = {"op": "remove", "path": f"{path[:-2]}/{last}"}
        else:
            undo = {"op": "remove", "path": path}
        result = jsonpatch.apply_patch(result, [undo])
    return result


@settings(deadline=None, max_examples=3 * EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(pod=POD, target=TARGET)
def test_what_is_added_is_all_that_changes_and_is_added_once(pod: dict[str, Any], target: Target) -> None:
    before = copy.deepcopy(pod)
    outcome = inject(pod, RULES, target)
    assert pod == before
    assert inject(pod, RULES, target) == outcome
    if not isinstance(outcome, Injected):
        assert not isinstance(outcome, Passed) or outcome.warnings
        return
    operations = list(outcome.operations)
    patched = jsonpatch.apply_patch(pod, operations)
    assert without(patched, operations, pod) == before
    again = inject(patched, RULES, target)
    assert not getattr(again, "operations", ())
    assert not isinstance(again, Passed), again


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(pod=POD, target=TARGET)
def test_the_patched_pod_is_valid(pod: dict[str, Any], target: Target) -> None:
    outcome = inject(pod, RULES, target)
    event(type(outcome).__name__)
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(pod, version, strict=True)
    if isinstance(outcome, Injected):
        kubernetes_validate.validate(jsonpatch.apply_patch(pod, list(outcome.operations)), version, strict=True)

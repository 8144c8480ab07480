"""The chart, rendered by Helm in each variant, before Kubernetes' schemas, its strictest pod policy, and Nezha."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.readme import CHART
from nezha.loading import load
from nezha.settings import Settings
from tests.real.helm import VARIANTS, Object, Refused, helm, only, pod_specs, policies, schemas, template
from tests.real.servers import program

OTHERS = "Certificate,Issuer,ServiceMonitor,PodMonitor,PrometheusRule"
"""Kinds that Kubernetes does not know; tests/cluster asks their own definitions."""


@pytest.fixture(scope="module", params=[*VARIANTS, "policy"])
def variant(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of one variant."""
    return template(VARIANTS[request.param] if request.param in VARIANTS else policies())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubernetes' schemas."""
    return schemas(tmp_path_factory.mktemp("schemas"))


@pytest.mark.parametrize("name", VARIANTS)
def test_helm_finds_nothing_to_complain_of(name: str) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), "--values", str(VARIANTS[name]))


def test_every_object_is_what_kubernetes_takes(variant: list[Object], directory: Path) -> None:
    location = f"{directory}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [program("kubeconform"), "-summary", "-strict", "-kubernetes-version", "1.37.0", "-skip", OTHERS]
    done = subprocess.run(
        [*command, "-schema-location", location],
        input=yaml.safe_dump_all(variant), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pod_is_restricted_and_cannot_write_its_root(variant: list[Object]) -> None:
    specs = pod_specs(variant)
    assert len(specs) >= 3, "the cache, and some of helm test"
    for name, spec in specs.items():
        assert list(violations(spec)) == [], name


def violations(spec: Object) -> Iterator[str]:
    """What of a pod the level "restricted" of the Pod Security Standards refuses, and more."""
    pod = spec.get("securityContext", {})
    if not pod.get("runAsNonRoot") or pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod's security context"
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    allowed = {
        "configMap",
        "secret",
        "emptyDir",
        "projected",
        "persistentVolumeClaim",
        "ephemeral",
        "csi",
        "downwardAPI",
    }
    for volume in spec.get("volumes", ()):
        yield from (f"volume {volume['name']}" for kind in volume.keys() - {"name"} if kind not in allowed)
    for container in spec["containers"] + spec.get("initContainers", []):
        own = container["securityContext"]
        if own["allowPrivilegeEscalation"] or own["capabilities"] != {"drop": ["ALL"]} or own.get("privileged"):
            yield f"container {container['name']}"
        if (
            not own["readOnlyRootFilesystem"]
            or not container["resources"]["requests"]
            or "limits" not in container["resources"]
        ):
            yield f"container {container['name']}: root or resources"


def test_nezha_takes_the_settings(variant: list[Object]) -> None:
    found = [each for each in variant if each["kind"] == "ConfigMap" and "nezha.yaml" in each["data"]]
    (held,) = found
    for text in (text for key, text in held["data"].items() if key.endswith(".yaml")):
        settings = load(text, {})
        assert settings.admission.service.startswith(only_cache_service(variant))
        assert "helm-test" in {origin.name for origin in settings.origins}


def only_cache_service(objects: list[Object]) -> str:
    """The name of the Service that leads to the cache."""
    (found,) = [
        each["metadata"]["name"] for each in objects
        if each["kind"] == "Service" and {port["targetPort"] for port in each["spec"]["ports"]} == {"cache"}
    ]  # fmt: skip
    return str(found)


def test_every_selector_finds_its_pods(variant: list[Object]) -> None:
    pods = [
        each["spec"]["template"]["metadata"]["labels"] for each in variant if "template" in (each.get("spec") or {})
    ]
    pods += [each["metadata"]["labels"] for each in variant if each["kind"] == "Pod"]
    for each in variant:
        spec = each.get("spec") or {}
        selector = {
            "Service": spec.get("selector"),
            "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"),
            "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels"),
        }.get(each["kind"])
        if selector is not None:
            assert any(selector.items() <= labels.items() for labels in pods), (
                f"{each['kind']} {each['metadata']['name']}"
            )


def test_names_and_labels_are_everywhere(variant: list[Object]) -> None:
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in variant]
    assert len(names) == len(set(names))
    ours = [each["metadata"] for each in variant if not each["metadata"]["name"].endswith("-extra")]
    assert [each["name"] for each in ours if each["labels"].get("app.kubernetes.io/part-of") != "nezha"] == []


# -- what a value does


def settings_of(objects: list[Object], key: str = "nezha.yaml") -> Settings:
    return load(only(objects, "ConfigMap", "nezha")["data"][key], {})


def test_by_default_it_is_one_stateful_set_with_a_claim_that_fails_open() -> None:
    objects = template()
    stateful = only(objects, "StatefulSet")["spec"]
    (claim,) = stateful["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "120Gi"
    assert "sessionAffinity" not in only(objects, "Service", "proxy-cache")["spec"]
    for webhook in only(objects, "MutatingWebhookConfiguration")["webhooks"]:
        assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Ignore", "None")
        assert 3 <= webhook["timeoutSeconds"] <= 5
        assert webhook["namespaceSelector"]["matchLabels"] == {"hostaliases-injector": "enabled"}
        (name,) = webhook["namespaceSelector"]["matchExpressions"]
        assert {"kube-system", "nezha"} <= set(name["values"])
        assert webhook["matchConditions"]
        assert "caBundle" not in webhook["clientConfig"], "an upgrade would take Nezha's away"
    assert "data" not in only(objects, "Secret", "nezha-ca"), "an upgrade would empty it"
    assert "clusterIP" not in only(objects, "Service", "proxy-cache")["spec"], "an upgrade would ask for another"
    spec = stateful["template"]["spec"]
    assert (
        spec["terminationGracePeriodSeconds"] > 30 + spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    )


def test_the_rights_are_those_that_are_needed_and_each_names_its_object() -> None:
    objects = template()
    role = {rule["resources"][0]: rule for rule in only(objects, "Role", "nezha")["rules"]}
    assert {name: (rule["resourceNames"], rule["verbs"]) for name, rule in role.items()} == {
        "services": (["proxy-cache"], ["get", "list", "watch"]),
        "secrets": (["nezha-ca"], ["get", "update"]),
        "leases": (["nezha"], ["get", "update"]),
    }
    wide = {rule["resources"][0]: rule for rule in only(objects, "ClusterRole", "nezha")["rules"]}
    assert wide.keys() == {"mutatingwebhookconfigurations", "events", "clustertrustbundles"}
    assert [name for name, rule in wide.items() if "resourceNames" not in rule] == ["events"]
    older = template({"trust.distribution": "ConfigMap"})
    assert {each for rule in only(older, "ClusterRole", "nezha")["rules"] for each in rule["resources"]} == {
        "mutatingwebhookconfigurations", "events", "namespaces", "configmaps",
    }  # fmt: skip


def test_a_split_cache_has_no_way_to_the_api_and_cannot_change_its_ca() -> None:
    objects = template(VARIANTS["split"])
    cache = only(objects, "StatefulSet")["spec"]["template"]["spec"]
    assert cache["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in cache
    (ca,) = [each for each in cache["volumes"] if each["name"] == "ca"]
    given = [item["key"] for source in ca["projected"]["sources"] for item in source["secret"]["items"]]
    assert {key.partition("-")[0].partition(".")[0] for key in given} == {"ca"}
    (mount,) = [each for each in cache["containers"][0]["volumeMounts"] if each["name"] == "ca"]
    assert mount["readOnly"]
    own = settings_of(objects)
    assert (own.admission.enabled, own.tls.follow, own.tls.secret) == (False, True, None)
    webhook = settings_of(objects, "webhook.yaml")
    assert (webhook.admission.enabled, webhook.tls.follow, webhook.tls.secret) == (True, False, "nezha-ca")
    service = only(objects, "Service", "nezha-webhook")["spec"]["selector"]
    assert service.items() <= only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert not service.items() <= only(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()


def test_replicas_are_behind_one_address_each_client_at_its_own() -> None:
    objects = template(VARIANTS["replicas"])
    spec = only(objects, "Service", "proxy-cache")["spec"]
    assert spec["sessionAffinity"] == "ClientIP"
    assert {port["port"] for port in spec["ports"]} == {80, 443, 9000}
    spread = only(objects, "StatefulSet")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert all(each["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "cache" for each in spread)
    for kind, name in (("Service", "proxy-cache"), ("Secret", "nezha-ca")):
        assert only(objects, kind, name)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_daemon_set_serves_the_pods_of_its_node() -> None:
    objects = template(VARIANTS["node-local"])
    assert only(objects, "Service", "proxy-cache")["spec"]["internalTrafficPolicy"] == "Local"
    (volume,) = [each for each in pod_specs(objects)["DaemonSet/nezha"]["volumes"] if each["name"] == "cache"]
    assert volume["emptyDir"] == {"sizeLimit": "25Gi"}
    assert "PodDisruptionBudget" not in {each["kind"] for each in objects}


def test_only_settings_roll_the_pods() -> None:
    def checksum(**values: Any) -> str:
        made = only(template(values), "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
        return str(made["checksum/settings"])

    assert checksum() == checksum(rules=[{"name": "a", "app": "b", "label": "c"}])
    assert checksum() != checksum(log={"level": "debug"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cache.size": "120GiB"}, "cache.size (120GiB) must be smaller than persistence.size (120Gi)"),
        ({"cache.size": "1TB"}, "cache.size (1TB) must be smaller"),
        ({"policy.enabled": True, "webhook.enabled": False}, "--set-file policy.manifest"),
        ({"policy": {"enabled": True, "manifest": "a: 1"}}, "set webhook.enabled=false"),
        ({"webhook.enabled": False, "webhook.certManager.enabled": True}, "no webhook to certify"),
        ({"origins": [{"name": "helm-test", "dialect": "http", "hosts": ["a.test"]}]}, "the name helm-test is taken"),
        ({"cahce": {"size": "1GiB"}}, "cahce"),
        ({"origins": [{"name": "a", "dialect": "http", "host": "a.test"}]}, "host"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_by_its_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        template(values)
    assert message in str(refused.value)


def test_the_rules_and_the_dashboard_are_those_of_the_files_with_the_prices_of_the_values() -> None:
    objects = template(VARIANTS["monitored"], {"metrics.prometheusRule.prices": {"gib": 0.5, "thousandRequests": 0.25}})
    groups = only(objects, "PrometheusRule")["spec"]["groups"]
    written = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())["groups"]
    assert [each["name"] for each in groups] == [each["name"] for each in written]
    prices = {rule["record"]: rule["expr"] for rule in groups[0]["rules"]}
    assert prices == {
        "nezha:price_per_gib": "vector(0.5)",
        "nezha:price_per_thousand_requests": "vector(0.25)",
    }
    assert groups[1:] == written[1:]
    shown = json.loads(only(objects, "ConfigMap", "nezha-dashboard")["data"]["nezha.json"])
    assert shown == json.loads((CHART / "files" / "dashboard.json").read_text())

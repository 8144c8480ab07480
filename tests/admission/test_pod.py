"""A pod as it is read: all kinds of containers, and what each sets itself."""

import pytest

from nezha.admission.pod import containers, is_windows
from nezha.errors import ReviewError


def test_every_kind_of_container_is_found() -> None:
    spec = {
        "containers": [{"name": "main"}],
        "initContainers": [{"name": "fetch"}, {"name": "proxy", "restartPolicy": "Always"}],
        "ephemeralContainers": [{"name": "debug"}],
    }
    assert [(each.path, each.name, each.is_ephemeral) for each in containers(spec)] == [
        ("/spec/initContainers/0", "fetch", False),
        ("/spec/initContainers/1", "proxy", False),
        ("/spec/containers/0", "main", False),
        ("/spec/ephemeralContainers/0", "debug", True),
    ]
    assert list(containers({})) == []


def test_what_a_container_sets_is_found_by_name() -> None:
    environment = [
        {"name": "A", "value": "1"},
        {"name": "A", "value": "2"},
        {"name": "B"},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
    ]
    (one,) = containers({"containers": [{"name": "c", "env": environment, "volumeMounts": [{"mountPath": "/data/"}]}]})
    assert [one.value(name) for name in "ABCD"] == ["2", "", "", None]
    assert list(one.mounts) == ["/data"]


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": {}},
        {"containers": ["c"]},
        {"containers": [{"env": {}}]},
        {"initContainers": [{"volumeMounts": "/data"}]},
    ],
)
def test_a_malformed_pod_is_refused(spec: dict[str, object]) -> None:
    with pytest.raises(ReviewError, match=r"spec\."):
        list(containers(spec))


def test_windows_is_known_by_what_a_pod_asks_for() -> None:
    assert is_windows({"os": {"name": "windows"}})
    assert is_windows({"nodeSelector": {"kubernetes.io/os": "windows"}})
    assert is_windows({"nodeSelector": {"beta.kubernetes.io/os": "windows"}})
    assert not is_windows({"os": {"name": "linux"}, "nodeSelector": {"kubernetes.io/os": "linux"}})
    assert not is_windows({})

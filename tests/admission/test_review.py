"""The envelope: what counts as a review, and what the answer looks like on the wire."""

import base64
import json
from typing import Any

import pytest

from nezha.admission.review import Review, bound, items, mapping, parse, respond
from nezha.errors import ReviewError

REVIEW: dict[str, Any] = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "705ab4f5",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "",
        "namespace": "train",
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:job-controller"},
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}, "spec": {}},
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    },
}


def body(**changes: Any) -> bytes:
    """A review whose request differs by `changes`; `...` leaves the field out."""
    request = {key: value for key, value in (REVIEW["request"] | changes).items() if value is not ...}
    return json.dumps(REVIEW | {"request": request}).encode()


def test_a_review_of_the_api_server_is_read() -> None:
    found = parse(body(subResource="ephemeralcontainers", dryRun=True))
    assert found == Review(
        uid="705ab4f5",
        operation="CREATE",
        group="",
        kind="Pod",
        subresource="ephemeralcontainers",
        namespace="train",
        object=REVIEW["request"]["object"],
        is_dry_run=True,
    )
    assert not parse(body(dryRun=...)).is_dry_run


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_an_operation_without_an_object_is_a_review_too(operation: str) -> None:
    assert parse(body(operation=operation, object=None)).object == {}


def test_a_cluster_wide_object_has_no_namespace() -> None:
    assert parse(body(namespace=...)).namespace == ""


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "not JSON: "),
        (b"{", "not JSON: "),
        (b"\xff\xfe\xfd", "not JSON: "),
        (b"[" * 100_000, "not JSON: "),
        (body(object={"a": float("nan")}), "not JSON: NaN is no JSON value"),
        (b"[]", "the body: a list is not a mapping"),
        (b"null", "apiVersion: nothing is not admission.k8s.io/v1"),
        (json.dumps(REVIEW | {"apiVersion": "admission.k8s.io/v1beta1"}).encode(), "apiVersion: 'admission.k8s.io/v1b"),
        (json.dumps(REVIEW | {"kind": "Pod"}).encode(), "kind: 'Pod' is not AdmissionReview"),
        (json.dumps(REVIEW | {"request": None}).encode(), "request: is required"),
        (json.dumps(REVIEW | {"request": []}).encode(), "request: a list is not a mapping"),
        (body(uid=...), "request.uid: is required"),
        (body(uid=""), "request.uid: is required"),
        (body(uid=7), "request.uid: 7 is not text"),
        (body(kind=...), "request.kind: is required"),
        (body(kind={"group": ""}), "request.kind.kind: is required"),
        (body(kind={"kind": "Pod", "group": 1}), "request.kind.group: 1 is not text"),
        (body(operation=...), "request.operation: is required"),
        (body(namespace=[]), "request.namespace: a list is not text"),
        (body(object=...), "request.object: is required"),
        (body(object=None), "request.object: is required"),
        (body(object={}), "request.object: is required"),
        (body(object="Pod"), "request.object: 'Pod' is not a mapping"),
    ],
)
def test_what_is_no_review_is_refused_with_the_field(sent: bytes, message: str) -> None:
    with pytest.raises(ReviewError) as caught:
        parse(sent)
    assert str(caught.value).startswith(message)
    assert caught.value.status == 400


def test_an_answer_without_operations_has_no_patch() -> None:
    assert json.loads(respond("u", (), ())) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u", "allowed": True},
    }


def test_a_patch_is_base64_json_of_its_type() -> None:
    operations = ({"op": "add", "path": "/a", "value": "\xe9"},)
    response = json.loads(respond("u", operations, ("nezha: a", "nezha: a", "nezha: b")))["response"]
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"], validate=True)) == list(operations)
    assert response["warnings"] == ["nezha: a", "nezha: b"]


def test_warnings_fit_into_what_the_api_server_takes() -> None:
    assert bound(["a\nb\x00c"]) == ["a b c"]
    assert bound(["x" * 240]) == ["x" * 240]
    assert bound(["x" * 241]) == ["x" * 237 + "..."]
    many = bound(f"{number}" for number in range(100))
    assert many == [*map(str, range(15)), "nezha: 85 more warnings: see nezha admission explain"]
    assert bound(map(str, range(16))) == list(map(str, range(16)))
    assert sum(map(len, bound(f"{number}" + "x" * 300 for number in range(100)))) <= 4096


def test_lists_and_mappings_may_be_absent_but_nothing_else() -> None:
    assert mapping(None, "spec") == {}
    assert items(None, "spec.volumes") == []
    assert items([{"name": "a"}, None], "spec.volumes") == [{"name": "a"}, {}]
    with pytest.raises(ReviewError, match=r"spec.volumes: a mapping is not a list"):
        items({}, "spec.volumes")
    with pytest.raises(ReviewError, match=r"spec.volumes\[1\]: 'b' is not a mapping"):
        items([{}, "b"], "spec.volumes")

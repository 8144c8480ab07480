"""Operations that add: judged by what another library makes of them."""

from typing import Any

import jsonpatch
import pytest

from nezha.admission.patch import annotated, appended, pointer

KEY = "a.test/b~c"


def test_a_pointer_escapes_what_rfc_6901_asks_for() -> None:
    assert pointer("spec", 0, "a/b~c") == "/spec/0/a~1b~0c"
    assert pointer() == ""


@pytest.mark.parametrize("existing", [{}, {"l": None}, {"l": []}, {"l": [1]}])
def test_values_are_appended_to_a_list_that_may_not_be_there(existing: dict[str, Any]) -> None:
    operations = appended("/l", existing.get("l"), [2, 3])
    assert jsonpatch.apply_patch(existing, operations) == {"l": [*(existing.get("l") or []), 2, 3]}


def test_no_values_are_no_operation() -> None:
    assert appended("/l", None, []) == []


@pytest.mark.parametrize(
    ("document", "result"),
    [
        ({}, {"metadata": {"annotations": {KEY: "v"}}}),
        ({"metadata": None}, {"metadata": {"annotations": {KEY: "v"}}}),
        ({"metadata": {"name": "n"}}, {"metadata": {"name": "n", "annotations": {KEY: "v"}}}),
        ({"metadata": {"annotations": {}}}, {"metadata": {"annotations": {KEY: "v"}}}),
        ({"metadata": {"annotations": {"x": "y"}}}, {"metadata": {"annotations": {"x": "y", KEY: "v"}}}),
        ({"metadata": {"annotations": {KEY: "old"}}}, {"metadata": {"annotations": {KEY: "v"}}}),
    ],
)
def test_an_annotation_is_set_whatever_is_there(document: dict[str, Any], result: dict[str, Any]) -> None:
    operations = annotated("/metadata", document.get("metadata") or {}, KEY, "v")
    assert jsonpatch.apply_patch(document, operations) == result
    assert annotated("/metadata", result["metadata"], KEY, "v") == []

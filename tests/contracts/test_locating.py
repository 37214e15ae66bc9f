"""Violations stand where they say, whatever the members of the instance are called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botticelli import contracts
from botticelli.contracts import SchemaSet, Violation
from botticelli.contracts.jsonvalue import is_array, is_object, json_path, resolve, unescape_token
from botticelli.contracts.violations import locate_errors
from botticelli.kit.strategies import mutations

ours = settings(deadline=None)  # a deadline would judge the machine
ODD = ("", "0", "1", "01", "+1", "00", "50256", str(2**64 - 1), str(2**64), "-1", "a", "٣")
RECURSIVE = SchemaSet(
    {
        "t/one": {
            "$id": "urn:test:one",
            "type": ["object", "array", "string", "boolean"],
            "minLength": 1,
            "allOf": [{"$ref": "#/$defs/few"}, {"$ref": "#/$defs/few"}],
            "additionalProperties": {"$ref": "#"},
            "items": {"$ref": "#"},
            "$defs": {"few": {"maxItems": 2, "maxProperties": 2}},
        }
    }
)
"""No rule of it depends on a member's name."""

oddly_named = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.5, 10**400, "", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ODD), inner, max_size=4),
    max_leaves=12,
)


def renamed(value: Any) -> Any:
    """The same with names that no reader takes for something else."""
    if is_object(value):
        return {f"k{name}": renamed(item) for name, item in value.items()}
    return [renamed(item) for item in value] if is_array(value) else value


@ours
@given(oddly_named)
@example({"": {"a": 0}, "a": 0})
@example({"1": 0, "01": 0, "+1": 1})
@example([{"0": [0]}, {"": ["", 0]}])
def test_names_make_no_difference_to_what_is_found(value: Any) -> None:
    plain = RECURSIVE.violations("t/one", renamed(value))
    found = RECURSIVE.violations("t/one", value)
    assert sorted((it.pointer.replace("/k", "/"), it.schema_pointer, it.message) for it in plain) == sorted(
        (it.pointer, it.schema_pointer, it.message) for it in found
    )


def stands(instance: Any, violation: Violation) -> bool:
    """Whether a violation names a place in the instance, or a member that is missing from such a place."""
    parent, _, last = violation.pointer.rpartition("/")
    if violation.keyword != "required":
        resolve(instance, violation.pointer)
        return True
    around = resolve(instance, parent)
    return is_object(around) and unescape_token(last) not in around


@settings(deadline=None, max_examples=30)
@pytest.mark.parametrize("contract", [name for name in contracts.names() if not name.startswith("kit/")])
@given(data=st.data())
def test_every_violation_of_a_contract_leads_to_its_place(contract: str, data: st.DataObject) -> None:
    value = data.draw(mutations(contract))
    assert all(stands(value, violation) for violation in contracts.violations(contract, value))


@ours
@given(oddly_named, oddly_named)
def test_violations_in_maps_of_a_request_lead_to_their_places(biases: Any, metadata: Any) -> None:
    request: dict[str, Any] = {"model": "m", "messages": [], "logit_bias": biases, "metadata": metadata}
    assert all(stands(request, violation) for violation in contracts.violations("openai/request", request))


@pytest.mark.parametrize("name", ODD)
def test_a_member_stays_a_member(name: str) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "logit_bias": {name: 101}}
    (violation,) = contracts.violations("openai/request", request)
    assert violation.path == json_path(("logit_bias", name))
    assert violation.pointer == f"/logit_bias/{name}"


@pytest.mark.parametrize("name", ["9" * 5000, "0" * 5000, "+" + "0" * 5000 + "1"], ids=["9", "0", "+0"])
def test_a_name_of_any_number_of_digits_is_a_name(name: str) -> None:
    (violation,) = RECURSIVE.violations("t/one", {name: 0})
    assert violation.pointer == f"/{name}"


def test_items_stay_items() -> None:
    paths = [it.path for it in RECURSIVE.violations("t/one", [{"0": [0, {"0": None}]}])]
    assert paths == ["$[0]['0'][0]", "$[0]['0'][1]['0']"]


def test_names_that_break_a_rule_are_told_apart() -> None:
    schemas = SchemaSet({"t/one": {"$id": "urn:test:one", "propertyNames": {"maxLength": 1}}})
    paths = [it.path for it in schemas.violations("t/one", {"": 1, "10": 1, "010": 1})]
    assert paths == ["$['010']", "$['10']"]


class Backwards:
    """A validator whose evaluation is in another order than its errors, for nobody promises one order."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = SchemaSet({"t/one": {"$id": "urn:test:one", **schema}}).validator("t/one")

    def iter_errors(self, instance: Any) -> Any:
        return self._validator.iter_errors(instance)

    def evaluate(self, instance: Any) -> Any:
        units = self._validator.evaluate(instance).errors()[::-1]
        return SimpleNamespace(errors=lambda: units)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"additionalProperties": {"type": "string"}}, {"1": 0, "01": 1.5}),
        (
            {"properties": {"01": {"type": "string"}}, "additionalProperties": {"maximum": -1}},
            {"1": 0, "01": 0},
        ),
    ],
    ids=["value", "rule"],
)
def test_places_that_are_said_alike_are_told_apart(schema: dict[str, Any], value: dict[str, Any]) -> None:
    validator: Any = Backwards(schema)
    found = {(error.instance, error.kind.name, place) for error, place in locate_errors(validator, value)}
    kind = {"01": "type", "1": "maximum" if "properties" in schema else "type"}
    assert found == {(item, kind[name], (name,)) for name, item in value.items()}

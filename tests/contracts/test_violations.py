"""Violations: their messages, their order, and their places whatever the members are called."""

from __future__ import annotations

import pickle
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


def test_names_that_break_a_rule_are_distinguished() -> None:
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
def test_places_that_are_reported_alike_are_distinguished(
    schema: dict[str, Any], value: dict[str, Any]
) -> None:
    validator: Any = Backwards(schema)
    found = {(error.instance, error.kind.name, place) for error, place in locate_errors(validator, value)}
    kind = {"01": "type", "1": "maximum" if "properties" in schema else "type"}
    assert found == {(item, kind[name], (name,)) for name, item in value.items()}


def one(schema: dict[str, Any], instance: Any) -> str:
    """The only violation of a schema that stands alone."""
    schemas = SchemaSet({"t/one": {"$id": "urn:test:one", **schema}})
    (violation,) = schemas.violations("t/one", instance)
    return f"{violation} [{violation.schema_pointer}]"


@pytest.mark.parametrize(
    ("schema", "instance", "message"),
    [
        ({"type": "string"}, 5, "$: must be a string, not the number 5 [t/one#/type]"),
        (
            {"type": ["null", "integer"]},
            1.5,
            "$: must be an integer or null, not the number 1.5 [t/one#/type]",
        ),
        ({"type": "object"}, None, "$: must be an object, not null [t/one#/type]"),
        ({"type": "array"}, {}, "$: must be an array, not an object [t/one#/type]"),
        ({"type": "number"}, True, "$: must be a number, not a boolean [t/one#/type]"),
        ({"type": "boolean"}, [], "$: must be a boolean, not an array [t/one#/type]"),
        ({"enum": ["a", None]}, "b", '$: must be one of "a", null, not "b" [t/one#/enum]'),
        ({"const": {"a": 1}}, [], '$: must be {"a": 1}, not [] [t/one#/const]'),
        ({"minimum": 1}, 0, "$: must be at least 1, not 0 [t/one#/minimum]"),
        ({"maximum": 1.5}, 2, "$: must be at most 1.5, not 2 [t/one#/maximum]"),
        ({"minLength": 1}, "", "$: must not be empty [t/one#/minLength]"),
        ({"minLength": 2}, "é", "$: must have at least 2 characters, not 1 [t/one#/minLength]"),
        ({"maxLength": 1}, "ab", "$: must have at most 1 character, not 2 [t/one#/maxLength]"),
        ({"minItems": 1}, [], "$: must not be empty [t/one#/minItems]"),
        ({"maxItems": 1}, [1, 2], "$: must have at most 1 item, not 2 [t/one#/maxItems]"),
        ({"maxProperties": 0}, {"a": 1}, "$: must have at most 0 members, not 1 [t/one#/maxProperties]"),
        ({"pattern": "^a"}, "b", '$: must match ^a, but is "b" [t/one#/pattern]'),
        ({"required": ["a/b"]}, {}, "$['a/b']: is missing [t/one#/required/0]"),
        ({"required": ["x", "y"]}, {"x": 1}, "$.y: is missing [t/one#/required/1]"),
        ({"dependentRequired": {"x": ["y"]}}, {"x": 1}, "$.y: is missing [t/one#/dependentRequired/0]"),
        ({"properties": {"a": False}}, {"a": 1}, "$.a: is not allowed here, but is 1 [t/one#/properties/a]"),
        (
            {"properties": {"b": True}, "additionalProperties": False},
            {"a": 1, "b": 1},
            "$.a: is not allowed here [t/one#/additionalProperties]",
        ),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            "$.ab: has a name that must have at most 1 character, not 2 [t/one#/propertyNames]",
        ),
        ({"multipleOf": 2}, 3, "$: 3 is not a multiple of 2 [t/one#/multipleOf]"),
    ],
)
def test_a_violation_is_described_in_plain_words(schema: dict[str, Any], instance: Any, message: str) -> None:
    assert one(schema, instance) == message


def test_long_lists_of_words_are_cut_short() -> None:
    message = '$: must be one of "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", … (13 in all), '
    assert one({"enum": list("abcdefghijklm")}, "z") == message + 'not "z" [t/one#/enum]'


def test_violations_are_sorted_by_place_with_numbers_as_numbers() -> None:
    schemas = SchemaSet({"t/one": {"$id": "urn:test:one", "items": {"type": "null", "maximum": 0}}})
    paths = [violation.path for violation in schemas.violations("t/one", [1] * 11)]
    assert paths == [f"$[{index}]" for index in range(11) for _ in range(2)]
    keywords = [violation.keyword for violation in schemas.violations("t/one", [1])]
    assert keywords == ["maximum", "type"]


def test_rules_of_other_schemas_are_named_by_their_contract() -> None:
    (violation,) = contracts.violations(
        "openai/chunk",
        {
            "id": "",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "",
            "choices": [],
            "service_tier": "no",
        },
    )
    assert violation.schema_pointer == "openai/response#/$defs/serviceTier/enum"


def test_a_violation_is_a_value() -> None:
    violation = Violation.at(("a", 0), "t/one#/type", "type", "must be a string")
    assert str(violation) == "$.a[0]: must be a string"
    assert violation == pickle.loads(pickle.dumps(violation))
    assert len({violation, violation}) == 1

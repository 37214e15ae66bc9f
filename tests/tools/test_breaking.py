"""Two versions compared: what narrows is breaking, what widens is not."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from botticelli.contracts import data_root, packaged

from .breaking import Change, compare, compare_folders

ROOT = data_root() / "contracts"
IF: dict[str, Any] = {"properties": {"a": {"const": 1}}}


def changes(old: Any, new: Any) -> list[tuple[bool, str, str]]:
    return [(c.breaking, c.place, c.message) for c in compare({"t/one": old}, {"t/one": new})]


NARROWING: list[tuple[Any, Any, str, str]] = [
    ({}, {"type": "string"}, "/type", "no longer allows array, boolean, null, number, object"),
    ({"type": ["string", "null"]}, {"type": "string"}, "/type", "no longer allows null"),
    ({"type": "number"}, {"type": "integer"}, "/type", "no longer allows number"),
    ({}, {"enum": ["a"]}, "/enum", 'now allows only ["a"]'),
    ({"enum": ["a", "b"]}, {"const": "a"}, "/enum", 'no longer allows "b"'),
    ({}, {"required": ["a"]}, "/required", "now requires a"),
    ({"properties": {"a": {}}}, {}, "/properties/a", "the member is gone"),
    ({}, {"properties": {"a": False}}, "/properties/a", "the member is new"),
    ({}, {"minimum": 0}, "/minimum", "was absent, is 0"),
    ({"minimum": 0}, {"minimum": 1}, "/minimum", "was 0, is 1"),
    ({"maximum": 2}, {"maximum": 1}, "/maximum", "was 2, is 1"),
    ({"maxLength": 64}, {"maxLength": 63}, "/maxLength", "was 64, is 63"),
    ({"minItems": 0}, {"minItems": 1}, "/minItems", "was 0, is 1"),
    ({"pattern": "^a"}, {"pattern": "^b"}, "/pattern", 'was "^a", is "^b"'),
    ({}, {"pattern": "^b"}, "/pattern", 'was absent, is "^b"'),
    ({"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, "/$ref", 'was "#/$defs/a", is "#/$defs/b"'),
    ({}, {"additionalProperties": False}, "/additionalProperties", "was true, is false"),
    ({}, {"items": {"type": "null"}}, "/items", 'was true, is {"type": "null"}'),
    ({}, {"not": {"type": "null"}}, "/not", "the exclusion has changed"),
    ({}, {"oneOf": [{}]}, "/oneOf", "the alternatives have changed"),
    ({"anyOf": [{}, {"type": "null"}]}, {"anyOf": [{}]}, "/anyOf", "the alternatives have changed"),
    ({"allOf": []}, {"allOf": [{"if": IF, "then": {}}]}, "/allOf/0", "the branch is new"),
    ({"if": IF, "then": {}}, {"if": {}, "then": {}}, "/if", "the condition has changed"),
]
WIDENING: list[tuple[Any, Any, str, str]] = [
    ({"type": "string"}, {"type": ["string", "null"]}, "/type", "now allows null"),
    ({"type": "integer"}, {"type": "number"}, "/type", "now allows number"),
    ({"type": "null"}, {}, "/type", "now allows array, boolean, number, object, string"),
    ({"enum": ["a"]}, {}, "/enum", 'no longer allows only ["a"]'),
    ({"const": "a"}, {"enum": ["a", "b"]}, "/enum", 'now allows "b"'),
    ({"required": ["a"]}, {}, "/required", "no longer requires a"),
    ({}, {"properties": {"a": {"type": "string"}}}, "/properties/a", "the member is new"),
    ({}, {"$defs": {"a": {}}}, "/$defs/a", "the definition is new"),
    ({"$defs": {"a": {}}}, {}, "/$defs/a", "the definition is gone"),
    ({"minimum": 0}, {}, "/minimum", "was 0, is absent"),
    ({"minimum": 1}, {"minimum": 0}, "/minimum", "was 1, is 0"),
    ({"maxItems": 4}, {"maxItems": 5}, "/maxItems", "was 4, is 5"),
    ({"pattern": "^a"}, {}, "/pattern", 'was "^a", is absent'),
    ({"additionalProperties": False}, {}, "/additionalProperties", "was false, is true"),
    ({"not": {}}, {}, "/not", "the exclusion has changed"),
    ({"allOf": [{"if": IF}]}, {"allOf": []}, "/allOf/0", "the branch is gone"),
    ({"if": IF, "then": {}}, {}, "/if", "the condition has changed"),
    ({"oneOf": [{}]}, {}, "/oneOf", "the alternatives have changed"),
]


@pytest.mark.parametrize(("old", "new", "place", "message"), NARROWING)
def test_what_narrows_is_breaking(old: Any, new: Any, place: str, message: str) -> None:
    assert changes(old, new)[0] == (True, f"t/one#{place}", message)
    assert all(change[1].startswith("t/one#") for change in changes(old, new))


@pytest.mark.parametrize(("old", "new", "place", "message"), WIDENING)
def test_what_widens_is_compatible(old: Any, new: Any, place: str, message: str) -> None:
    assert changes(old, new) == [(False, f"t/one#{place}", message)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"description": "a"}, {"description": "b"}),
        ({"x-spec": "a"}, {}),
        ({}, {"default": 1, "deprecated": True, "title": "x", "format": "uri"}),
        ({"type": ["string", "null"]}, {"type": ["null", "string"]}),
        ({"required": ["a", "b"]}, {"required": ["b", "a"]}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"allOf": [{"if": IF, "then": {}}, {}]}, {"allOf": [{}, {"if": IF, "then": {}}]}),
    ],
)
def test_what_changes_no_verdict_is_no_change(old: Any, new: Any) -> None:
    assert changes(old, new) == []


WRAPPERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "member": lambda inner: {"properties": {"a/b": inner}},
    "definition": lambda inner: {"$defs": {"x": inner}},
    "item": lambda inner: {"items": inner},
    "map": lambda inner: {"additionalProperties": inner},
    "name": lambda inner: {"propertyNames": inner},
    "contained": lambda inner: {"contains": inner},
    "then": lambda inner: {"if": IF, "then": inner},
    "else": lambda inner: {"if": IF, "else": inner},
    "branch": lambda inner: {"allOf": [{}, {"if": IF, "then": inner}]},
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_changes_are_found_wherever_they_are(wrap: Callable[[Any], dict[str, Any]]) -> None:
    (change,) = changes(wrap({"minimum": 0}), wrap({"minimum": 1}))
    assert change[0]
    assert change[1].endswith("/minimum")
    (change,) = changes(wrap({"minimum": 1}), wrap({"minimum": 0}))
    assert not change[0]


def test_contracts_come_and_go() -> None:
    assert compare({"t/one": {}}, {"t/two": {}}) == [
        Change(breaking=True, place="t/one", message="the contract is gone"),
        Change(breaking=False, place="t/two", message="the contract is new"),
    ]


def test_loosening_every_rule_of_ours_is_compatible_and_the_reverse_breaks() -> None:
    strict = {"x": packaged().load("openai/response")}
    tolerant = copy.deepcopy(packaged().load("wire/openai/response"))
    tolerant["$id"] = strict["x"]["$id"]
    looser = [change for change in compare(strict, {"x": tolerant}) if change.breaking]
    # What the tolerant contract adds here only bites what the strict one refuses.
    assert {change.place for change in looser} <= {
        "x#/$defs/choice/allOf/0/then/required",
        "x#/$defs/callingMessage/if",
        "x#/$defs/callingMessage/type",
        "x#/$defs/toolCall/allOf/2",
        "x#/$defs/toolCall/allOf/3",
        "x#/$defs/toolCall/allOf/4",
        "x#/$defs/message/properties/content/items",
        "x#/$defs/choice/properties/index/pattern",
        "x#/$defs/choice/properties/finish_reason/minLength",
        *(f"x#/$defs/usage/properties/{part}_tokens/pattern" for part in ("prompt", "completion", "total")),
        "x#/properties/error/additionalProperties",
        "x#/properties/error/if",
    }
    assert len([change for change in compare({"x": tolerant}, strict) if change.breaking]) > 50


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT, tmp_path / "old")
    return tmp_path / "old"


def test_the_same_folder_has_no_changes(copied: Path) -> None:
    assert compare_folders(copied, ROOT) == []


def test_a_folder_without_codes_is_an_old_one(copied: Path) -> None:
    (copied / "wire" / "openai" / "relaxations.json").unlink()
    assert compare_folders(copied, ROOT) == []


def test_codes_must_not_go(copied: Path) -> None:
    path = copied / "wire" / "openai" / "relaxations.json"
    path.write_text(path.read_text().replace('"code": "choices-null"', '"code": "null-choices"'))
    gone, new = compare_folders(copied, ROOT)
    assert str(gone) == "breaking    wire/openai/relaxations.json: the code null-choices is gone"
    assert str(new) == "compatible  wire/openai/relaxations.json: the code choices-null is new"
    path.unlink()
    assert {change.message for change in compare_folders(ROOT, copied)} >= {"the code choices-null is gone"}


def test_breaking_changes_come_first(copied: Path) -> None:
    path = copied / "openai" / "error.schema.json"
    path.write_text(path.read_text().replace('["message", "type", "param", "code"]', '["message", "status"]'))
    found = compare_folders(copied, ROOT)
    assert [change.breaking for change in found] == [True, True, True, False]
    assert found[-1].message == "no longer requires status"

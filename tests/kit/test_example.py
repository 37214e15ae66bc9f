"""Instances of JSON Schemas: always valid, found wherever the usual keywords ask for them, within bounds."""

from __future__ import annotations

from typing import Any, TypeAlias

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.kit.server.example import InvalidSchemaError, UnsatisfiableError, check_schema, example

NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["value", "next", "children"],
    "additionalProperties": False,
}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        ({"type": ["string", "null"]}, "value"),
        ({"type": ["null", "integer"]}, 0),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, False),
        ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, {"value": 0, "next": None, "children": []}),
        ({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"const": {"$ref": "#"}}}}, {"$ref": "#"}),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 5}}}]}, {"a": 5}),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5, "type": "integer"}, {"type": "string"}]}, 0),
        ({"oneOf": [{"minimum": 5}, {"type": "integer"}], "type": "integer", "minimum": 5}, None),
        ({"type": "string", "enum": [1, "b"]}, "b"),
        ({"type": "string", "minLength": 8}, "valuexxx"),
        ({"type": "string", "maxLength": 0}, ""),
        ({"type": "string", "pattern": r"^[A-Z]{2}\d{3}(?:-x|y)+$"}, "AA000-x"),
        ({"type": "string", "pattern": "^[^a-z]$"}, "A"),
        ({"type": "string", "pattern": "^a*$", "minLength": 3}, "aaa"),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["value", "value"]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [0, 1, -1]),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, [1, 2]),
        ({"$schema": DRAFT_7, "type": "array", "items": [{"const": 1}], "minItems": 1}, [1]),
        ({"contains": {"const": 4}, "type": "array"}, [4]),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -3.5}, -4),
        ({"type": "integer", "multipleOf": 7, "minimum": 50}, 56),
        ({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0.5}, 0.51),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "object", "minProperties": 1}, {"member1": {}}),
        ({"type": "object", "minProperties": 1, "propertyNames": {"pattern": "^k"}}, {"k": {}}),
        (
            {
                "patternProperties": {"^x": {"type": "null"}},
                "additionalProperties": False,
                "required": ["xy"],
            },
            {"xy": None},
        ),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "required": ["a"]}, {"a": {}, "b": {}}),
        ({"dependentRequired": {"a": ["b"]}, "required": ["a"]}, {"a": {}, "b": {}}),
        ({"not": {"type": "object"}}, "value"),
        (True, {}),
        ({}, {}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_simplest_instance(schema: Any, instance: Any) -> None:
    if instance is None:
        with pytest.raises(UnsatisfiableError):
            example(schema)
    else:
        assert example(schema) == instance
        assert jsonschema_rs.is_valid(schema, instance)


@pytest.mark.parametrize(
    "name",
    [
        "date",
        "date-time",
        "time",
        "duration",
        "uuid",
        "email",
        "uri",
        "hostname",
        "ipv4",
        "ipv6",
        "json-pointer",
        "regex",
    ],
)
def test_a_format_is_kept(name: str) -> None:
    schema = {
        "type": "array",
        "items": {"type": "string", "format": name},
        "minItems": 3,
        "uniqueItems": True,
    }
    found = example(schema)
    assert len(set(found)) == 3
    assert jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(found)


@pytest.mark.parametrize("name", ["email", "uri"])
@pytest.mark.parametrize("bounds", [{"minLength": 40}, {"maxLength": 6}])
def test_a_format_is_kept_within_a_length(name: str, bounds: dict[str, int]) -> None:
    schema = {"type": "string", "format": name, **bounds}
    assert jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(example(schema))


@pytest.mark.parametrize(
    "schema",
    [
        5,
        {"type": "strin"},
        {"type": "object", "required": 5},
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"pattern": "("},
        {"$schema": "http://127.0.0.1:1/schema"},
        {"type": "integer", "multipleOf": 0},
    ],
    ids=str,
)
def test_what_is_no_schema(schema: Any) -> None:
    for use in (check_schema, example):
        with pytest.raises(InvalidSchemaError) as caught:
            use(schema)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["b", "a"], "type": "object"},
        {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["a"]},
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 10**12},
        {"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000}},
        {"type": "array", "minItems": 1000, "items": {"type": "string", "minLength": 90_000}},
        {"type": "object", "minProperties": 10**12},
        {
            "allOf": [{"multipleOf": 10**200 + 1}, {"multipleOf": 10**200 + 3}],
            "type": "integer",
            "minimum": 1,
        },
        {"allOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}] * 40 + [{"type": "array"}]},
        {"type": "string", "pattern": "(a{10000}){10000}"},
        {"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "string"}}},
        {"type": "string", "pattern": "(?=a)b"},
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_what_cant_be_satisfied_is_given_up(schema: Any) -> None:
    with pytest.raises((UnsatisfiableError, InvalidSchemaError)):
        example(schema)


def test_a_schema_nested_deeper_than_the_stack_is_given_up() -> None:
    nested: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        nested = {"anyOf": [nested]}
    with pytest.raises(UnsatisfiableError, match="choices"):
        example(nested)


Schemas: TypeAlias = st.SearchStrategy[dict[str, Any]]

NAMES = st.sampled_from(["a", "b", "long name", "$ref", "type", "é~/%"])
FORMATS = st.sampled_from(["date", "date-time", "uuid", "email", "uri"])
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)


def schema(**keywords: st.SearchStrategy[Any]) -> Schemas:
    return st.fixed_dictionaries(keywords)


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(-1000, 1000) | st.floats(-10, 10))
    found: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    found[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        found[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(20, 50))
    if draw(st.booleans()):
        found["multipleOf"] = draw(st.sampled_from([1, 2, 3, 7, 0.5, 0.1]))
    return found


@st.composite
def objects(draw: st.DrawFn, inner: Schemas) -> dict[str, Any]:
    members = draw(st.dictionaries(NAMES, inner, max_size=3))
    required = draw(st.lists(st.sampled_from(sorted(members)), unique=True)) if members else []
    closed: dict[str, Any] = draw(st.sampled_from([{}, {"additionalProperties": False}]))
    return {"type": "object", "properties": members, "required": required, **closed}


def nullable(found: dict[str, Any]) -> dict[str, Any]:
    if found.get("type") not in ("string", "number", "integer", "object", "array"):
        return found
    return {**found, "type": [found["type"], "null"]}


def larger(inner: Schemas) -> Schemas:
    node = {"$ref": "#/$defs/node"}
    return (
        objects(inner)
        | inner.map(nullable)
        | schema(type=st.just("array"), items=inner, minItems=st.integers(0, 3))
        | schema(anyOf=st.lists(inner, min_size=1, max_size=3))
        | schema(allOf=st.tuples(inner, schema(title=st.text("x"))).map(list))
        | schema(oneOf=inner.map(lambda one: [one, False]))
        | st.sampled_from([node, {"anyOf": [node, {"type": "null"}]}])
    )


# Every one of these has an instance.
SATISFIABLE: Schemas = st.recursive(
    numbers()
    | schema(type=st.just("string"), minLength=st.integers(0, 20))
    | schema(type=st.just("string"), format=FORMATS)
    | schema(enum=st.lists(SCALARS, min_size=1, max_size=3))
    | schema(const=SCALARS)
    | schema(type=st.sampled_from(["boolean", "null"]))
    | st.just(dict[str, Any]()),
    larger,
    max_leaves=8,
).map(lambda found: {**found, "$defs": {"node": NODE}})


@given(SATISFIABLE)
@settings(max_examples=200, deadline=None)
def test_a_schema_of_the_usual_keywords_is_satisfied(found: Any) -> None:
    assert jsonschema_rs.validator_for(found, validate_formats=True).is_valid(example(found))


@given(st.lists(SATISFIABLE, min_size=2, max_size=3), st.sampled_from(["allOf", "oneOf"]))
@settings(max_examples=60, deadline=None)
def test_what_is_returned_is_valid(parts: list[Any], keyword: str) -> None:
    whole = {keyword: parts, "$defs": {"node": NODE}}
    try:
        found = example(whole)
    except UnsatisfiableError:
        return
    assert jsonschema_rs.validator_for(whole, validate_formats=True).is_valid(found)

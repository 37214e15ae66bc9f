"""The schemas as documents: well-formed, described, traceable, and written so that paths are reported."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from botticelli import contracts
from botticelli.contracts import Schema
from botticelli.contracts.jsonvalue import is_object
from botticelli.contracts.relaxations import layout
from botticelli.contracts.schemas import identify

ROOT = contracts.data_root() / "contracts"
OURS = [name for name in contracts.names() if not name.startswith("kit/")]
STRICT = [name for name in OURS if name.startswith("openai/")]
FROM_PUBLISHED = [name for name in OURS if not name.startswith("huggingface/")]
ERRATA = json.loads((ROOT / "openai" / "errata.json").read_bytes())
LAID_OUT = [path for path in sorted(ROOT.rglob("*.json")) if path.parent.name != "kit"]
BRANCHING = {"oneOf", "anyOf", "not", "else", "dependentSchemas", "unevaluatedProperties", "$dynamicRef"}
KINDS = {"array": list, "boolean": bool, "null": type(None), "object": dict, "string": str}


def subschemas(schema: Any, pointer: str = "", *, conditions: bool = False) -> Iterator[tuple[str, Schema]]:
    """Every schema in a schema but true and false, with its pointer; those under `if` only when asked for."""
    if not is_object(schema):
        return
    yield pointer, schema
    for keyword in ("properties", "$defs"):
        for name, inner in schema.get(keyword, {}).items():
            yield from subschemas(inner, f"{pointer}/{keyword}/{name}", conditions=conditions)
    for keyword in (
        "items",
        "additionalProperties",
        "propertyNames",
        "then",
        *(["if"] if conditions else []),
    ):
        if keyword in schema:
            yield from subschemas(schema[keyword], f"{pointer}/{keyword}", conditions=conditions)
    for index, inner in enumerate(schema.get("allOf", [])):
        yield from subschemas(inner, f"{pointer}/allOf/{index}", conditions=conditions)


def test_the_contracts_promised_are_there() -> None:
    assert OURS == [
        "huggingface/error",
        "huggingface/model-list",
        "openai/chunk",
        "openai/error",
        "openai/model-list",
        "openai/request",
        "openai/response",
        "wire/openai/chunk",
        "wire/openai/error",
        "wire/openai/model-list",
        "wire/openai/response",
    ]


@pytest.mark.parametrize("name", OURS)
def test_it_is_a_schema_of_draft_2020_12(name: str) -> None:
    schema = contracts.load(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)
    contracts.validator(name)


@pytest.mark.parametrize("name", OURS)
def test_it_says_what_it_is(name: str) -> None:
    schema = contracts.load(name)
    assert schema["$id"] == identify(name)
    assert schema["title"]
    assert schema["description"]


def members(name: str) -> Iterator[tuple[str, Schema]]:
    """Every member that a contract defines: not those that a branch only narrows, nor a bare `true`."""
    for pointer, schema in subschemas(contracts.load(name)):
        if not pointer.endswith("/then"):
            for member, inner in schema.get("properties", {}).items():
                if is_object(inner):
                    yield f"{pointer}/properties/{member}", inner


@pytest.mark.parametrize("name", OURS)
def test_every_member_is_described(name: str) -> None:
    assert [pointer for pointer, schema in members(name) if not schema.get("description")] == []


@pytest.mark.parametrize("name", STRICT)
def test_every_member_leads_to_the_published_document(name: str) -> None:
    for pointer, schema in members(name):
        assert cited(schema), pointer
        assert all(place.startswith("#/components/schemas/") for place in cited(schema)), pointer


def cited(schema: Schema) -> list[str]:
    places: str | list[str] = schema.get("x-spec", [])
    return [places] if isinstance(places, str) else places


def types_of(schema: Schema) -> list[str]:
    types: str | list[str] = schema["type"]
    return [types] if isinstance(types, str) else types


@pytest.mark.parametrize("name", OURS)
def test_nothing_collapses_violations_to_their_parent(name: str) -> None:
    for pointer, schema in subschemas(contracts.load(name)):
        assert not BRANCHING & schema.keys(), pointer


@pytest.mark.parametrize("name", OURS)
def test_null_is_a_word_wherever_it_is_a_type(name: str) -> None:
    for pointer, schema in subschemas(contracts.load(name)):
        if "enum" in schema and "type" in schema:
            kinds = tuple(KINDS[kind] for kind in types_of(schema))
            assert (None in schema["enum"]) == ("null" in types_of(schema)), pointer
            assert all(isinstance(word, kinds) for word in schema["enum"]), pointer


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith("wire/")])
def test_a_word_never_outlives_the_types_that_were_added(name: str) -> None:
    for pointer, schema in subschemas(contracts.load(name)):
        if "type" in schema and ("enum" in schema or "const" in schema):
            words: list[Any] = schema.get("enum", [schema.get("const")])
            kinds = [KINDS[kind] for kind in types_of(schema)]
            assert all(any(isinstance(word, kind) for word in words) for kind in kinds), pointer


@pytest.mark.parametrize("name", OURS)
def test_conditions_refer_to_nothing(name: str) -> None:
    # A condition that stands alone can be read, and judged, without the rest of the schema.
    for pointer, schema in subschemas(contracts.load(name), conditions=True):
        if "/if" in pointer:
            assert "$ref" not in schema, pointer


@pytest.mark.parametrize("name", OURS)
def test_every_definition_is_used(name: str) -> None:
    used = {
        schema["$ref"] if schema["$ref"].startswith("urn:") else identify(other) + schema["$ref"]
        for other in OURS
        for _, schema in subschemas(contracts.load(other))
        if "$ref" in schema
    }
    for definition in contracts.load(name).get("$defs", {}):
        assert f"{identify(name)}#/$defs/{definition}" in used, definition


@pytest.mark.parametrize("path", LAID_OUT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_is_laid_out_as_all_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert layout(json.loads(text)) == text


def test_errata_and_schemas_agree_on_what_is_held_differently() -> None:
    marked = {
        mark
        for name in STRICT
        for _, schema in subschemas(contracts.load(name))
        for mark in schema.get("x-errata", list[str]())
    }
    listed = [erratum["id"] for erratum in ERRATA["errata"]]
    assert sorted(marked) == sorted(listed)
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("erratum", ERRATA["errata"], ids=lambda erratum: erratum["id"])
def test_an_erratum_tells_the_whole_story(erratum: dict[str, Any]) -> None:
    assert erratum.keys() - {"allows", "optional"} == {
        "id",
        "kind",
        "pointers",
        "published",
        "held",
        "why",
        "evidence",
    }
    assert erratum["kind"] in {"wrong", "prose", "silent", "contradiction"}
    assert erratum["pointers"]
    assert all(pointer.startswith("#/components/schemas/") for pointer in erratum["pointers"])
    assert all(erratum[member] for member in erratum)


def test_errata_stand_at_places_that_some_contract_cites() -> None:
    places = {
        place for name in STRICT for _, schema in subschemas(contracts.load(name)) for place in cited(schema)
    }
    for erratum in ERRATA["errata"]:
        for pointer in erratum["pointers"]:
            assert any(pointer.startswith(place) for place in places), f"{erratum['id']}: {pointer}"


def test_published_schemas_stay_open() -> None:
    # The document closes three objects in these shapes, and no more.
    closed = [
        f"{name}#{pointer}"
        for name in OURS
        for pointer, schema in subschemas(contracts.load(name))
        if schema.get("additionalProperties") is False
    ]
    assert closed == [
        "openai/request#/properties/audio/properties/voice",
        "openai/request#/$defs/customToolText",
        "openai/request#/$defs/customToolGrammar",
    ]

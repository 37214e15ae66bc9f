"""The structs against the contracts, member for member: what one knows, the other does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from msgspec import UNSET
from msgspec import inspect as shapes

from botticelli import contracts
from botticelli.contracts.jsonvalue import is_array, is_object, resolve
from botticelli.dialects.openai import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

BEYOND: dict[tuple[str, str], str] = {
    ("ResponseMessage", "reasoning_content"): "servers' word for thinking; the format has none",
    ("ResponseMessage", "reasoning"): "another server's word for it",
    ("ResponseMessage", "reasoning_text"): "another server's word for it",
    ("ResponseMessage", "thinking"): "another server's word for it",
    ("Choice", "error"): "OpenRouter puts an error there; it must not pass for an answer",
}
"""Members of the structs that no schema has, and why they are there."""

TAKEN: dict[tuple[str, str], str] = {
    ("ResponseMessage", "refusal"): "may be left out, as nearly every server does: refusal-missing",
    ("ResponseMessage", "tool_calls"): "may be null, as some servers have it: tool-calls-null",
}
"""Departures that a struct takes, and the codes under which response.py notes them."""

STRICT = {"response": wire.Response, "chunk": wire.Chunk, "model-list": wire.ModelList}


def inlined(root: Any, value: Any) -> Any:
    """A schema with what its references name in their place."""
    if is_array(value):
        return [inlined(root, item) for item in value]
    if not is_object(value):
        return value
    if "$ref" in value:
        name, _, pointer = value["$ref"].partition("#")
        there = contracts.load("/".join(name.split(":")[-2:])) if name else root
        beside = {member: inner for member, inner in value.items() if member != "$ref"}
        return {**inlined(there, resolve(there, pointer)), **beside}
    return {member: inlined(root, inner) for member, inner in value.items() if member != "$defs"}


def contract(name: str) -> Any:
    schema = contracts.load(f"openai/{name}")
    return inlined(schema, schema)


def kinds(info: shapes.Type) -> list[shapes.Type]:
    found = list(info.types) if isinstance(info, shapes.UnionType) else [info]
    return [kind for kind in found if not isinstance(kind, shapes.NoneType)]


def variant(schema: Any, tag: str) -> tuple[dict[str, Any], set[str]]:
    """The properties, and which are required, of a schema that a type's word divides."""
    properties, required = dict(schema.get("properties", {})), set(schema.get("required", ()))
    for branch in schema.get("allOf", ()):
        if branch["if"]["properties"].get("type") == {"const": tag}:
            inner = branch["then"]
            properties |= inner["properties"]
            required |= set(inner["required"])
    return properties, required


Pair = tuple[str, shapes.StructType, dict[str, Any], set[str]]


def pairs(info: shapes.Type, schema: Any) -> Iterator[Pair]:
    """Every struct beneath a type, with the members of the schema that it stands for."""
    for kind in kinds(info):
        if isinstance(kind, shapes.ListType):
            yield from pairs(kind.item_type, schema["items"])
        elif isinstance(kind, shapes.DictType) and "additionalProperties" in schema:
            yield from pairs(kind.value_type, schema["additionalProperties"])
        elif isinstance(kind, shapes.StructType):
            properties, required = variant(schema, str(kind.tag))
            yield kind.cls.__name__, kind, properties, required
            for field in kind.fields:
                if field.encode_name in properties:
                    yield from pairs(field.type, properties[field.encode_name])


PAIRS = [
    pytest.param(*pair, id=f"{name}-{pair[0]}")
    for name, shape in STRICT.items()
    for pair in {found[0]: found for found in pairs(shapes.type_info(shape), contract(name))}.values()
]


def test_every_strict_struct_is_compared() -> None:
    lenient = {"FastDelta", "FastChoice", "FastChunk"}
    all_of_them = {
        name
        for name, value in vars(wire).items()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    }
    assert {pair.values[0] for pair in PAIRS} == all_of_them - lenient


@pytest.mark.parametrize(("name", "info", "properties", "required"), PAIRS)
class TestAgainstTheContract:
    """One struct and its schema."""

    def test_both_have_the_same_members(
        self, name: str, info: shapes.StructType, properties: Any, required: Any
    ) -> None:
        fields = {field.encode_name for field in info.fields}
        fields |= {info.tag_field} if info.tag_field else set()
        beyond = {member for struct, member in BEYOND if struct == name}
        assert fields - beyond == set(properties)
        assert beyond <= fields - set(properties)

    def test_both_require_the_same_members(
        self, name: str, info: shapes.StructType, properties: Any, required: Any
    ) -> None:
        mandatory = {field.encode_name for field in info.fields if field.required}
        mandatory |= {member for shape, member in TAKEN if shape == info.cls.__name__} & set(required)
        assert mandatory | ({info.tag_field} if info.tag_field else set()) == required

    def test_both_know_the_same_words_and_nulls(
        self, name: str, info: shapes.StructType, properties: Any, required: Any
    ) -> None:
        for field in info.fields:
            if field.encode_name not in properties or isinstance(field.type, shapes.AnyType):
                continue
            schema = properties[field.encode_name]
            allowed = schema.get("type", ())
            types = field.type.types if isinstance(field.type, shapes.UnionType) else (field.type,)
            nullable = any(isinstance(kind, shapes.NoneType) for kind in types)
            if (info.cls.__name__, field.encode_name) == ("ResponseMessage", "tool_calls"):
                continue  # TAKEN
            assert nullable == ("null" in ([allowed] if isinstance(allowed, str) else allowed)), field.name
            words = {word for kind in types if isinstance(kind, shapes.LiteralType) for word in kind.values}
            published = {schema["const"]} if "const" in schema else set(schema.get("enum", ()))
            assert words == published - {None}, field.name

    def test_both_have_the_same_bounds(
        self, name: str, info: shapes.StructType, properties: Any, required: Any
    ) -> None:
        for field in info.fields:
            if field.encode_name not in properties:
                continue
            schema = properties[field.encode_name]
            for kind in kinds(field.type):
                if isinstance(kind, shapes.IntType):
                    assert (kind.ge, kind.le) == (schema.get("minimum"), schema.get("maximum")), field.name
                if isinstance(kind, shapes.StrType):
                    bounds = schema.get("minLength"), schema.get("maxLength")
                    assert (kind.min_length, kind.max_length) == bounds, field.name


def test_metadata_has_the_contracts_bounds() -> None:
    metadata = contract("response")["properties"]["metadata"]
    info = shapes.type_info(wire.Metadata)
    assert isinstance(info, shapes.DictType)
    assert isinstance(info.key_type, shapes.StrType)
    assert isinstance(info.value_type, shapes.StrType)
    assert info.max_length == metadata["maxProperties"]
    assert info.key_type.max_length == metadata["propertyNames"]["maxLength"]
    assert info.value_type.max_length == metadata["additionalProperties"]["maxLength"]


@pytest.mark.parametrize(
    ("fast", "strict"),
    [
        (wire.FastDelta, wire.Delta),
        (wire.FastChoice, wire.ChunkChoice),
        (wire.FastChunk, wire.Chunk),
    ],
)
def test_the_lenient_structs_read_what_a_stream_is_made_of(
    fast: type[msgspec.Struct], strict: type[msgspec.Struct]
) -> None:
    unread = {"moderation"}  # the vocabulary has no word for it, so that it is in `extra`
    assert set(strict.__struct_fields__) - unread <= set(fast.__struct_fields__)


def test_a_lenient_struct_needs_nothing() -> None:
    chunk = msgspec.json.decode(b'{"choices":[{"delta":{}}]}', type=wire.FastChunk)
    assert chunk == wire.FastChunk(choices=[wire.FastChoice(delta=wire.FastDelta())])


def test_a_member_that_is_not_there_is_not_null() -> None:
    absent = msgspec.json.decode(b'{"role":"assistant"}', type=wire.Delta)
    null = msgspec.json.decode(b'{"role":"assistant","content":null}', type=wire.Delta)
    assert (absent.content, null.content) == (UNSET, None)


def test_the_published_reasons_are_one_list() -> None:
    choice = contract("response")["properties"]["choices"]["items"]
    assert set(get_args(wire.FinishWord)) == set(choice["properties"]["finish_reason"]["enum"])

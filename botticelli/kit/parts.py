"""Schemas taken apart: the rules that one value must keep, wherever in the contracts they stand.

A part is a schema with its address, so that it can be asked for a verdict and its references can
be followed. Keywords that the strategies do not understand are refused here, for a whole contract
at once.

May enter here: the contracts. Nothing is drawn here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from botticelli.contracts import ContractDataError, SchemaSet
from botticelli.contracts.jsonvalue import escape_token, is_object, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Part", "asked_members", "hints", "member_parts", "required_members", "root_part", "target_of"]

_KEYWORDS = frozenset(
    {
        "type",
        "enum",
        "const",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
    }
    | {"maxProperties", "propertyNames", "required", "properties", "additionalProperties", "items", "$ref"}
    | {
        "allOf",
        "if",
        "then",
        "$schema",
        "$id",
        "$defs",
        "title",
        "description",
        "default",
        "deprecated",
        "format",
    }
)


class Part(NamedTuple):
    """A schema that a value must keep, and where it stands.

    Attributes:
        contract: The contract it belongs to.
        pointer: JSON pointer to it.
        schema: The schema, or true or false.
    """

    contract: str
    pointer: str
    schema: Any

    def inner(self, *steps: str | int) -> Part:
        """What stands in this schema, some steps down."""
        pointer, schema = self.pointer, self.schema
        for step in steps:
            pointer += "/" + escape_token(step)
            schema = schema[step]
        return Part(self.contract, pointer, schema)


@functools.cache
def root_part(schemas: SchemaSet, name: str) -> Part:
    """A contract, all of whose rules are understood by the strategies.

    Raises:
        UnknownContractError: There is none of that name.
        ContractDataError: It uses a keyword that no strategy understands.
    """
    root = Part(name, "", schemas.load(name))
    seen: set[tuple[str, str]] = set()
    pending = [root]
    while pending:
        part = pending.pop()
        if (part.contract, part.pointer) not in seen and is_object(part.schema):
            seen.add((part.contract, part.pointer))
            _check(part)
            pending += _inner(part)
            pending += [target_of(schemas, part)] if "$ref" in part.schema else []
    return root


def _inner(part: Part) -> list[Part]:
    single = [part.inner(word) for word in ("items", "additionalProperties", "then") if word in part.schema]
    members = [part.inner("properties", name) for name in part.schema.get("properties", ())]
    return (
        single + members + [part.inner("allOf", index) for index in range(len(part.schema.get("allOf", ())))]
    )


def target_of(schemas: SchemaSet, part: Part) -> Part:
    """What the reference of a part leads to."""
    reference: str = part.schema["$ref"]
    address, _, pointer = reference.partition("#")
    contract = schemas.name_of(address) if address else part.contract
    return Part(contract, pointer, resolve(schemas.schemas[contract], pointer))


def _check(part: Part) -> None:
    unknown = sorted(keyword for keyword in set(part.schema) - _KEYWORDS if not keyword.startswith("x-"))
    if unknown:
        where = f"{part.contract}#{part.pointer}"
        raise ContractDataError(f"{where} uses {', '.join(unknown)}, which no strategy understands")


def hints(parts: Iterable[Part], name: str) -> list[Any]:
    """The values of a member that conditions ask for."""
    asked = [part.schema["if"].get("properties", {}).get(name) for part in parts]
    return [condition["const"] for condition in asked if is_object(condition) and "const" in condition]


def asked_members(condition: dict[str, Any]) -> list[str]:
    """The members that an `if` looks at."""
    return [*condition.get("properties", ()), *condition.get("required", ())]


def required_members(parts: Iterable[Part]) -> set[str]:
    """The members that any of the parts requires."""
    return {name for part in parts for name in part.schema.get("required", ())}


def member_parts(parts: Iterable[Part], name: str) -> list[Part]:
    """All that the parts demand of one member."""
    return [part.inner("properties", name) for part in parts if name in part.schema.get("properties", ())]

"""Hypothesis strategies drawn from the contracts: instances that keep one, and mutations of them.

The schemas are walked as they are, so a property test covers a new member the moment the contract
has it. They use a part of JSON Schema only, and so does this: types, words, bounds, simple
patterns, members, items, maps, references, `allOf`, and `if`/`then` that depend on the presence
and values of members, on the number of items or on the type. Anything else is refused with a
ContractDataError rather than passed over.

May enter here: hypothesis and the contracts. Nothing of the driver: what it must read is drawn
from what is published, never from what it happens to accept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from botticelli.contracts import SchemaSet, packaged
from botticelli.contracts.jsonvalue import kind_of, resolve
from botticelli.kit.damage import damaged, json_values
from botticelli.kit.parts import (
    Part,
    asked_members,
    hints,
    member_parts,
    required_members,
    root_part,
    target_of,
)
from botticelli.kit.scalars import SCALARS, allowed_types, allowed_words, one_of_these

__all__ = ["instances", "json_values", "mutations"]

_Draw = Callable[[st.SearchStrategy[Any]], Any]

_DEEP = 8
"""Levels below which arrays are as short as they may be."""
_FEW = 6
"""So many optional members are often drawn all together."""
_SAMPLES: dict[str, Any] = {"null": None, "boolean": True, "number": 0, "string": "", "array": []}


def instances(name: str, at: str = "", *, unknown: bool = True) -> st.SearchStrategy[Any]:
    """JSON values that keep a contract.

    Args:
        name: The contract, such as `openai/response` or `wire/openai/chunk`.
        at: JSON pointer to a part of it to draw instead, such as `/$defs/usage`.
        unknown: Whether objects that allow it may have members that the contract doesn't name.
            Their names begin with `x_`, which nobody gives a meaning to.

    Raises:
        ContractError: There is no such contract, or it uses a keyword that is not understood here.
        LookupError: Nothing stands at that pointer.
    """
    schemas = packaged()
    root = root_part(schemas, name)
    return _drawn(schemas, Part(name, at, resolve(root.schema, at)), unknown=unknown)


def mutations(name: str) -> st.SearchStrategy[Any]:
    """JSON values that kept a contract before one to three places were damaged.

    A place is deleted, made null, given another type or an odd number, emptied, wrapped or
    doubled. Most of these values break the contract; some still keep it.

    Args:
        name: The contract, such as `openai/response`.
    """
    return instances(name).flatmap(damaged)


@st.composite
def _drawn(draw: st.DrawFn, schemas: SchemaSet, root: Part, *, unknown: bool) -> Any:
    return _Walk(draw, schemas, unknown=unknown).value([root], 0)


class _Walk:
    """One walk down a schema, drawing as it goes."""

    def __init__(self, draw: _Draw, schemas: SchemaSet, *, unknown: bool) -> None:
        self._draw = draw
        self._schemas = schemas
        self._unknown = unknown

    def value(self, parts: list[Part], depth: int) -> Any:
        """Draw a value that keeps all the parts."""
        parts = self._flat(parts)
        words = allowed_words(_schemas(parts))
        if words is not None:
            return self._draw(one_of_these(words))
        kind = self._draw(one_of_these(_likely_types(parts, depth)))
        if kind == "object":
            return self._object(parts, depth)
        parts = self._flat(parts + self._branches(parts, _SAMPLES["number" if kind == "integer" else kind]))
        words = allowed_words(_schemas(parts))
        if words is not None:
            return self._draw(one_of_these(word for word in words if kind_of(word) == kind))
        if kind == "array":
            return self._array(parts, depth)
        return self._draw(SCALARS[kind](_schemas(parts)))

    def _flat(self, parts: Iterable[Part]) -> list[Part]:
        """The parts, and those that they refer to or consist of."""
        flat: list[Part] = []
        for part in parts:
            if part.schema is True:
                continue
            flat.append(part)
            if "$ref" in part.schema:
                flat += self._flat([target_of(self._schemas, part)])
            flat += self._flat(
                part.inner("allOf", index) for index in range(len(part.schema.get("allOf", ())))
            )
        return flat

    def _branches(self, parts: Iterable[Part], value: Any) -> list[Part]:
        """The `then` of every part whose `if` the value keeps."""
        return [
            part.inner("then") for part in parts if "if" in part.schema and self._keeps(value, part, "if")
        ]

    def _keeps(self, value: Any, part: Part, *steps: str) -> bool:
        place = part.inner(*steps)
        return self._schemas.part_validator(place.contract, place.pointer).is_valid(value)

    def _array(self, parts: list[Part], depth: int) -> list[Any]:
        least = max((part.schema.get("minItems", 0) for part in parts), default=0)
        most = min((part.schema.get("maxItems", least + 2) for part in parts), default=least + 2)
        size = self._draw(_sizes(least, least if depth > _DEEP else min(most, least + 2)))
        parts = parts + self._flat(self._branches(parts, [None] * size))
        items = self._flat(part.inner("items") for part in parts if "items" in part.schema)
        # A contract that holds itself is at its deepest the second time.
        deeper = _DEEP + 1 if any(not part.pointer for part in items) else depth + 1
        return [self.value(items, deeper) for _ in range(size)]

    def _object(self, parts: list[Part], depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        absent: set[str] = set()
        settled: list[Part] = []
        # What a condition asks about is drawn first; a branch that it opens may bring conditions
        # of its own, and rules for what has been drawn already.
        while pending := [part for part in parts if "if" in part.schema and part not in settled]:
            asked = {name for part in pending for name in asked_members(part.schema["if"])}
            for name in sorted(asked - value.keys() - absent):
                if name in required_members(parts) or (
                    self._allowed(parts, name) and self._draw(one_of_these((False, True)))
                ):
                    value[name] = self._hinted(member_parts(parts, name), hints(pending, name), depth + 1)
                else:
                    absent.add(name)
            parts = parts + self._flat(self._branches(pending, value))
            settled += pending
            self._amend(value, parts, depth)
        self._complete(value, absent, parts, depth)
        return value

    def _hinted(self, parts: list[Part], hints: list[Any], depth: int) -> Any:
        """Draw a value that a condition may ask for, since chance would hardly hit on it."""
        fitting = tuple(hint for hint in hints if all(self._keeps(hint, part) for part in parts))
        if fitting and self._draw(one_of_these((True, False))):
            return self._draw(one_of_these(fitting))
        return self.value(parts, depth)

    def _amend(self, value: dict[str, Any], parts: list[Part], depth: int) -> None:
        for name, drawn in list(value.items()):
            member = member_parts(parts, name)
            if not all(part.schema is True or self._keeps(drawn, part) for part in member):
                value[name] = self.value(member, depth + 1)

    def _complete(self, value: dict[str, Any], absent: set[str], parts: list[Part], depth: int) -> None:
        named = {name for part in parts for name in part.schema.get("properties", ())}
        optional = sorted(
            n for n in named - required_members(parts) - absent - value.keys() if self._allowed(parts, n)
        )
        chosen = set(self._draw(_some(tuple(optional)))) | required_members(parts)
        for name in sorted(chosen - value.keys()):
            value[name] = self.value(member_parts(parts, name), depth + 1)
        extra = [
            part.inner("additionalProperties") for part in parts if "additionalProperties" in part.schema
        ]
        if any(part.schema is False for part in extra):
            return
        if extra:
            for name in self._draw(_names(parts)):
                value[name] = self.value(extra, depth + 1)
        elif self._unknown and self._draw(one_of_these((False, False, False, True))):
            value[self._draw(one_of_these(("x_trace", "x_", "x_y z")))] = self._draw(json_values())

    @staticmethod
    def _allowed(parts: Iterable[Part], name: str) -> bool:
        for part in parts:
            members = part.schema.get("properties", {})
            if members.get(name) is False:
                return False
            if name not in members and part.schema.get("additionalProperties") is False:
                return False
        return True


def _schemas(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [part.schema for part in parts]


def _likely_types(parts: list[Part], depth: int) -> tuple[str, ...]:
    """The types that a value may have, those more than once for which the contract says more."""
    types = allowed_types(_schemas(parts))
    if depth > _DEEP and len(types) > 1:
        types = [kind for kind in types if kind != "array"]
    telling = {"properties": "object", "additionalProperties": "object", "items": "array"}
    favourites = [
        kind for word, kind in telling.items() if kind in types and any(word in p.schema for p in parts)
    ]
    return (*types, *favourites * (3 * len(types)))


@functools.cache
def _some(names: tuple[str, ...]) -> st.SearchStrategy[Iterable[str]]:
    if not names:
        return st.just(())
    some = st.lists(st.sampled_from(names), unique=True, max_size=8)
    return st.just(names) | some if len(names) <= _FEW else some


@functools.cache
def _sizes(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


def _names(parts: Iterable[Part]) -> st.SearchStrategy[list[str]]:
    """Names for the members of a map."""
    longest = min((p.schema.get("propertyNames", {}).get("maxLength", 64) for p in parts), default=64)
    most = min((part.schema.get("maxProperties", 3) for part in parts), default=3)
    return st.lists(st.text(max_size=min(longest, 64)), unique=True, max_size=min(most, 3))

"""Hypothesis strategies made from the contracts: valid instances, and mutations of them.

The strategies walk the schemas as they are, so a property test covers a new member as soon as its
contract has it. They support the part of JSON Schema that the contracts use: types, enums, bounds,
simple patterns, members, items, maps, references, `allOf`, and `if`/`then` that depends on the presence
and values of members, on the number of items or on the type. Any other keyword raises a
ContractDataError instead of being ignored.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from botticelli.contracts import ContractDataError, SchemaSet, packaged
from botticelli.contracts.jsonvalue import Token, escape_token, is_array, is_object, kind_of, resolve

__all__ = ["DAMAGES", "damaged", "instances", "json_values", "mutations"]


def instances(name: str, at: str = "", *, unknown: bool = True) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values that conform to a contract.

    Args:
        name: The contract, such as `openai/response` or `wire/openai/chunk`.
        at: JSON pointer to a part of it to draw from instead, such as `/$defs/usage`.
        unknown: Whether objects that allow it may have members that the contract doesn't name.
            Their names begin with `x_`, which has no meaning in any format.

    Raises:
        ContractError: There is no such contract, or it uses a keyword that isn't supported.
        LookupError: There is nothing at that pointer.
    """
    schemas = packaged()
    root = _root_part(schemas, name)
    return _drawn(schemas, _Part(name, at, resolve(root.schema, at)), unknown=unknown)


def mutations(name: str) -> st.SearchStrategy[Any]:
    """Return a strategy for instances of a contract with one to three damaged places.

    A place is deleted, made null, given another type or an odd number, emptied, wrapped or
    doubled. Most of these values break the contract; some still conform to it.

    Args:
        name: The contract, such as `openai/response`.
    """
    return instances(name).flatmap(damaged)


@functools.cache
def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for small JSON values of any shape, without lone surrogates, NaN and infinities."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5)
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    )


# Damage: what a careless server or a bad connection makes of a valid value.

DAMAGES = ("delete", "null", "retype", "number", "empty", "wrap", "double")
"""The kinds of damage that :func:`damaged` does to a place."""
_ODD_NUMBERS = (-1, 0.5, 2**31, 2**63, -(2**64), 1e300, -0.0)
_EMPTY: tuple[Any, ...] = ("", [], {})
_DELETED = object()


@st.composite
def damaged(draw: st.DrawFn, valid: Any, kinds: tuple[str, ...] = DAMAGES) -> Any:
    """Draw a copy of a value with one to three damaged places.

    Args:
        draw: Passed by hypothesis.
        valid: The value. It isn't changed.
        kinds: The kinds of damage to draw from. What can't be doubled is given another type instead.
    """
    value = valid
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(_places(value))))
        kind = draw(st.sampled_from(kinds))
        value = _change(value, place, functools.partial(_spoil, draw, kind))
        if value is _DELETED:
            return None
    return value


def _places(value: Any, place: tuple[Token, ...] = ()) -> Iterator[tuple[Token, ...]]:
    yield place
    if is_object(value):
        for name, item in value.items():
            yield from _places(item, (*place, name))
    elif is_array(value):
        for index, item in enumerate(value):
            yield from _places(item, (*place, index))


def _change(value: Any, place: tuple[Token, ...], spoil: Callable[[Any], Any]) -> Any:
    if not place:
        return spoil(value)
    first, rest = place[0], place[1:]
    new = _change(value[first], rest, spoil)
    if is_object(value):
        return {k: new if k == first else v for k, v in value.items() if k != first or new is not _DELETED}
    return [new if k == first else v for k, v in enumerate(value) if k != first or new is not _DELETED]


def _spoil(draw: st.DrawFn, kind: str, old: Any) -> Any:
    if kind == "delete":
        return _DELETED
    if kind == "null":
        return None
    if kind == "number":
        return draw(st.sampled_from(_ODD_NUMBERS))
    if kind == "wrap":
        return draw(st.sampled_from(([old], {"x_": old})))
    if kind == "empty":
        return draw(st.sampled_from(_EMPTY))
    if kind == "double" and (isinstance(old, str) or is_array(old)):
        return old * 2
    return draw(json_values().filter(lambda new: kind_of(new) != kind_of(old)))


# _Schemas taken apart.

_KEYWORDS = frozenset(
    {"type", "enum", "const", "minimum", "maximum", "minLength", "maxLength", "pattern"}
    | {"minItems", "maxItems", "items", "required", "properties", "additionalProperties"}
    | {"maxProperties", "propertyNames", "allOf", "if", "then", "$ref", "$defs", "$schema", "$id"}
    | {"title", "description", "default", "deprecated", "format"}
)
"""The keywords that the strategies understand, or that say nothing about a value."""


class _Part(NamedTuple):
    """A schema that a value must satisfy, with its address.

    The address is needed to follow its references and to compile it.

    Attributes:
        contract: The contract that it belongs to.
        pointer: JSON pointer to it.
        schema: The schema, or true or false.
    """

    contract: str
    pointer: str
    schema: Any

    def inner(self, *steps: str | int) -> _Part:
        """Return a schema inside this one."""
        pointer, schema = self.pointer, self.schema
        for step in steps:
            pointer += "/" + escape_token(step)
            schema = schema[step]
        return _Part(self.contract, pointer, schema)


@functools.cache
def _root_part(schemas: SchemaSet, name: str) -> _Part:
    """Return a contract after checking that the strategies support all its keywords.

    Raises:
        UnknownContractError: There is no contract of that name.
        ContractDataError: It uses an unsupported keyword.
    """
    root = _Part(name, "", schemas.load(name))
    checked: set[tuple[str, str]] = set()
    pending = [root]
    while pending:
        part = pending.pop()
        if (part.contract, part.pointer) not in checked and is_object(part.schema):
            checked.add((part.contract, part.pointer))
            _check(part)
            pending += _inner(part)
            pending += [_target_of(schemas, part)] if "$ref" in part.schema else []
    return root


def _inner(part: _Part) -> list[_Part]:
    single = [part.inner(word) for word in ("items", "additionalProperties", "then") if word in part.schema]
    members = [part.inner("properties", name) for name in part.schema.get("properties", ())]
    return (
        single + members + [part.inner("allOf", index) for index in range(len(part.schema.get("allOf", ())))]
    )


def _target_of(schemas: SchemaSet, part: _Part) -> _Part:
    """Return what the `$ref` of a part leads to."""
    reference: str = part.schema["$ref"]
    address, _, pointer = reference.partition("#")
    contract = schemas.name_of(address) if address else part.contract
    return _Part(contract, pointer, resolve(schemas.schemas[contract], pointer))


def _check(part: _Part) -> None:
    unknown = sorted(keyword for keyword in set(part.schema) - _KEYWORDS if not keyword.startswith("x-"))
    if unknown:
        where = f"{part.contract}#{part.pointer}"
        raise ContractDataError(f"{where} uses {', '.join(unknown)}, which the strategies do not support")


def _hints(parts: Iterable[_Part], name: str) -> list[Any]:
    """Return the values of a member that the conditions of some parts compare it with."""
    asked = [part.schema["if"].get("properties", {}).get(name) for part in parts]
    return [condition["const"] for condition in asked if is_object(condition) and "const" in condition]


def _asked_members(condition: dict[str, Any]) -> list[str]:
    """Return the members that an `if` depends on."""
    return [*condition.get("properties", ()), *condition.get("required", ())]


def _required_members(parts: Iterable[_Part]) -> set[str]:
    """Return the members that any of the parts requires."""
    return {name for part in parts for name in part.schema.get("required", ())}


def _member_parts(parts: Iterable[_Part], name: str) -> list[_Part]:
    """Return the schemas of one member, from all the parts."""
    return [part.inner("properties", name) for part in parts if name in part.schema.get("properties", ())]


# One walk down a schema, drawing as it goes.

_DEEP = 8
"""The level below which arrays are as short as they may be."""
_FEW = 6
"""Up to this many optional members are often drawn all together."""
_SAMPLES: dict[str, Any] = {"null": None, "boolean": True, "number": 0, "string": "", "array": []}
_Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def _drawn(draw: st.DrawFn, schemas: SchemaSet, root: _Part, *, unknown: bool) -> Any:
    return _Walk(draw, schemas, unknown=unknown).value([root], 0)


class _Walk:
    """Draw one value, walking down its schemas."""

    def __init__(self, draw: _Draw, schemas: SchemaSet, *, unknown: bool) -> None:
        self._draw = draw
        self._schemas = schemas
        self._unknown = unknown

    def value(self, parts: list[_Part], depth: int) -> Any:
        """Draw a value that satisfies all the parts."""
        parts = self._flat(parts)
        words = _allowed_words(_schemas(parts))
        if words is not None:
            return self._draw(_one_of_these(words))
        kind = self._draw(_one_of_these(_likely_types(parts, depth)))
        if kind == "object":
            return self._object(parts, depth)
        parts = self._flat(parts + self._branches(parts, _SAMPLES["number" if kind == "integer" else kind]))
        words = _allowed_words(_schemas(parts))
        if words is not None:
            return self._draw(_one_of_these(word for word in words if kind_of(word) == kind))
        if kind == "array":
            return self._array(parts, depth)
        return self._draw(_SCALARS[kind](_schemas(parts)))

    def _flat(self, parts: Iterable[_Part]) -> list[_Part]:
        """Return the parts and those that they refer to or consist of, without `true`."""
        flat: list[_Part] = []
        for part in parts:
            if part.schema is True:
                continue
            flat.append(part)
            if "$ref" in part.schema:
                flat += self._flat([_target_of(self._schemas, part)])
            flat += self._flat(
                part.inner("allOf", index) for index in range(len(part.schema.get("allOf", ())))
            )
        return flat

    def _branches(self, parts: Iterable[_Part], value: Any) -> list[_Part]:
        """Return the `then` of every part whose `if` the value satisfies."""
        return [
            part.inner("then") for part in parts if "if" in part.schema and self._satisfies(value, part, "if")
        ]

    def _satisfies(self, value: Any, part: _Part, *steps: str) -> bool:
        place = part.inner(*steps)
        return self._schemas.part_validator(place.contract, place.pointer).is_valid(value)

    def _array(self, parts: list[_Part], depth: int) -> list[Any]:
        least = max((part.schema.get("minItems", 0) for part in parts), default=0)
        most = min((part.schema.get("maxItems", least + 2) for part in parts), default=least + 2)
        size = self._draw(_sizes(least, least if depth > _DEEP else min(most, least + 2)))
        parts = parts + self._flat(self._branches(parts, [None] * size))
        items = self._flat(part.inner("items") for part in parts if "items" in part.schema)
        # A recursive contract may contain itself once; the second time counts as deep.
        deeper = _DEEP + 1 if any(not part.pointer for part in items) else depth + 1
        return [self.value(items, deeper) for _ in range(size)]

    def _object(self, parts: list[_Part], depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        absent: set[str] = set()
        settled: list[_Part] = []
        # The members that conditions depend on are drawn first. A branch that is then selected may
        # bring conditions of its own, and rules for members that have been drawn already.
        while pending := [part for part in parts if "if" in part.schema and part not in settled]:
            members = {name for part in pending for name in _asked_members(part.schema["if"])}
            for name in sorted(members - value.keys() - absent):
                if name in _required_members(parts) or (
                    self._allowed(parts, name) and self._draw(_one_of_these((False, True)))
                ):
                    value[name] = self._hinted(_member_parts(parts, name), _hints(pending, name), depth + 1)
                else:
                    absent.add(name)
            parts = parts + self._flat(self._branches(pending, value))
            settled += pending
            self._amend(value, parts, depth)
        self._complete(value, absent, parts, depth)
        return value

    def _hinted(self, parts: list[_Part], hints: list[Any], depth: int) -> Any:
        """Draw a value, often one that a condition compares with: chance alone would hardly hit it."""
        fitting = tuple(hint for hint in hints if all(self._satisfies(hint, part) for part in parts))
        if fitting and self._draw(_one_of_these((True, False))):
            return self._draw(_one_of_these(fitting))
        return self.value(parts, depth)

    def _amend(self, value: dict[str, Any], parts: list[_Part], depth: int) -> None:
        for name, drawn in list(value.items()):
            member = _member_parts(parts, name)
            if not all(part.schema is True or self._satisfies(drawn, part) for part in member):
                value[name] = self.value(member, depth + 1)

    def _complete(self, value: dict[str, Any], absent: set[str], parts: list[_Part], depth: int) -> None:
        named = {name for part in parts for name in part.schema.get("properties", ())}
        optional = sorted(
            n for n in named - _required_members(parts) - absent - value.keys() if self._allowed(parts, n)
        )
        chosen = set(self._draw(_some(tuple(optional)))) | _required_members(parts)
        for name in sorted(chosen - value.keys()):
            value[name] = self.value(_member_parts(parts, name), depth + 1)
        extra = [
            part.inner("additionalProperties") for part in parts if "additionalProperties" in part.schema
        ]
        if any(part.schema is False for part in extra):
            return
        if extra:
            for name in self._draw(_names(parts)):
                value[name] = self.value(extra, depth + 1)
        elif self._unknown and self._draw(_one_of_these((False, False, False, True))):
            value[self._draw(_one_of_these(("x_trace", "x_", "x_y z")))] = self._draw(json_values())

    @staticmethod
    def _allowed(parts: Iterable[_Part], name: str) -> bool:
        for part in parts:
            members = part.schema.get("properties", {})
            if members.get(name) is False:
                return False
            if name not in members and part.schema.get("additionalProperties") is False:
                return False
        return True


def _schemas(parts: Iterable[_Part]) -> list[dict[str, Any]]:
    return [part.schema for part in parts]


def _likely_types(parts: list[_Part], depth: int) -> tuple[str, ...]:
    """Return the types that a value may have; types with further rules occur more than once."""
    types = _allowed_types(_schemas(parts))
    if depth > _DEEP and len(types) > 1:
        types = [kind for kind in types if kind != "array"]
    detailed = {"properties": "object", "additionalProperties": "object", "items": "array"}
    favourites = [
        kind for word, kind in detailed.items() if kind in types and any(word in p.schema for p in parts)
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


def _names(parts: Iterable[_Part]) -> st.SearchStrategy[list[str]]:
    """Return a strategy for the names of a map's members."""
    longest = min((p.schema.get("propertyNames", {}).get("maxLength", 64) for p in parts), default=64)
    most = min((part.schema.get("maxProperties", 3) for part in parts), default=3)
    return st.lists(st.text(max_size=min(longest, 64)), unique=True, max_size=min(most, 3))


# Values without members or items. Each strategy takes all schemas that the value must satisfy, with
# references and conditions already resolved. Hypothesis spends more time on making a strategy than on
# drawing from it, so they are cached.

_Schemas: TypeAlias = Sequence[Mapping[str, Any]]
_TYPES = ("null", "boolean", "number", "string", "array", "object")
_EXACT = 2**53
"""Up to this limit every integer is a double, so 5 and 5.0 are the same number."""


def _allowed_types(schemas: _Schemas) -> list[str]:
    """Return the types that all schemas allow; `integer` means a number that must be whole."""
    types: list[str] = list(_TYPES)
    for schema in schemas:
        allowed: Any = schema.get("type", _TYPES)
        allowed = [allowed] if isinstance(allowed, str) else allowed
        if "integer" in allowed and "number" not in allowed and "number" in types:
            types[types.index("number")] = "integer"
        types = [kind for kind in types if kind in allowed or (kind == "integer" and "number" in allowed)]
    return types


def _allowed_words(schemas: _Schemas) -> list[Any] | None:
    """Return the values that all schemas allow, or None if none of them lists any."""
    words: list[Any] | None = None
    for schema in schemas:
        mine = [schema["const"]] if "const" in schema else schema.get("enum")
        if mine is not None:
            words = mine if words is None else [word for word in words if word in mine]
    return words


def _bound(schemas: _Schemas, keyword: str, choose: Callable[[Iterable[Any]], Any]) -> Any:
    bounds = [schema[keyword] for schema in schemas if keyword in schema]
    return choose(bounds) if bounds else None


def _number(schemas: _Schemas) -> st.SearchStrategy[float]:
    return _numbers(_bound(schemas, "minimum", max), _bound(schemas, "maximum", min))


def _integer(schemas: _Schemas) -> st.SearchStrategy[float]:
    return _integers(_bound(schemas, "minimum", max), _bound(schemas, "maximum", min))


def _string(schemas: _Schemas) -> st.SearchStrategy[str]:
    shortest, longest = _bound(schemas, "minLength", max) or 0, _bound(schemas, "maxLength", min)
    patterns = tuple(schema["pattern"] for schema in schemas if "pattern" in schema)
    return _texts(shortest, longest, patterns)


def _one_of_these(values: Iterable[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for one of some JSON values; hypothesis shrinks to the first."""
    # As JSON text, because for Python 0 and False are equal.
    return _one_of(tuple(json.dumps(value) for value in values))


@functools.cache
def _one_of(texts: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(texts).map(json.loads)


@functools.cache
def _numbers(least: float | None, most: float | None) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False, allow_infinity=False) | st.integers(
        _up(least), _down(most)
    )


@functools.cache
def _integers(least: float | None, most: float | None) -> st.SearchStrategy[float]:
    lower = -_EXACT if least is None else max(least, -_EXACT)
    upper = _EXACT if most is None else min(most, _EXACT)
    # JSON has one kind of number, and JSON Schema counts 1.0 among the integers.
    whole = st.integers(_up(least), _down(most))
    return whole | whole | st.integers(_up(lower), _down(upper)).map(float)


@functools.cache
def _texts(shortest: int, longest: int | None, patterns: tuple[str, ...]) -> st.SearchStrategy[str]:
    if not patterns:
        return st.text(min_size=shortest, max_size=longest)

    def fits(text: str) -> bool:
        short_enough = longest is None or len(text) <= longest
        return shortest <= len(text) and short_enough and all(re.search(p, text) for p in patterns)

    return st.from_regex(re.compile(patterns[0]), fullmatch=True).filter(fits)


def _up(bound: float | None) -> int | None:
    return None if bound is None else math.ceil(bound)


def _down(bound: float | None) -> int | None:
    return None if bound is None else math.floor(bound)


_SCALARS: Mapping[str, Callable[[_Schemas], st.SearchStrategy[Any]]] = {
    "null": lambda _: _one_of_these((None,)),
    "boolean": lambda _: _one_of_these((False, True)),
    "number": _number,
    "integer": _integer,
    "string": _string,
}

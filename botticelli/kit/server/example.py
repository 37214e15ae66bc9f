"""Write a simple instance of a JSON Schema, for the answers of the well-behaved server.

Values are built from the keywords, the simplest first, and checked by jsonschema-rs: a value that is returned
is always valid. Some keywords, such as `not`, are only checked, so a schema may be refused although it has an
instance.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from botticelli.contracts.jsonvalue import as_object, equal, is_array, is_object, resolve
from botticelli.kit.server.pattern import texts_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jsonschema_rs import Validator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["InvalidSchemaError", "UnsatisfiableError", "check_schema", "example"]


class InvalidSchemaError(Exception):
    """It isn't a JSON Schema, or it refers to something outside itself."""


class UnsatisfiableError(Exception):
    """No instance was found."""


_Rules: TypeAlias = "tuple[Document, ...]"
"""Schemas that one value must keep, all of them, once the alternatives have been chosen."""

_Path: TypeAlias = frozenset[str]
"""The references that were followed on the way to a value."""

_ROOT = "urn:botticelli:asked"
_DEEPEST = 32  # levels of an instance: a recursive schema that never ends is given up there
_DEEP = 6  # from this level on null is preferred
_STEPS = 20_000  # places, alternatives and blocks of text that are written for one instance
_MANY = 50  # values that are tried at one place
_LONGEST = 100_000  # characters of a text
_BLOCK = 64  # characters that count as one step
_NESTED = 40  # choices inside choices
_HUGE = 10**300
_TYPES = ("object", "string", "number", "array", "boolean", "null")

# Keywords that a value keeps by the way it is built, or that ask for nothing. All others are checked.
_BUILT = frozenset(
    {
        "type",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "minItems",
        "minLength",
        "anyOf",
        "allOf",
    }
    | {
        "$ref",
        "$defs",
        "definitions",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
    }
)
_DATA = frozenset({"const", "enum", "default", "examples"})


def check_schema(schema: object) -> None:
    """Check that a value is a JSON Schema that needs nothing from outside.

    Raises:
        InvalidSchemaError: It isn't. The message is one line.
    """
    _compiled(schema)


def example(schema: object, name: str = "value") -> Any:
    """Return a simple instance of a JSON Schema.

    It has the required members only, the first alternative, the first word of an enum, and the name of the
    member where only text is asked for. What may be null is null only where its schema would go on for ever.

    Args:
        schema: The schema. Its `$schema` decides the draft; without it, 2020-12.
        name: The text to use where only text is asked for.

    Raises:
        InvalidSchemaError: It isn't a schema.
        UnsatisfiableError: No instance was found within the bounds.
    """
    validator = _compiled(schema)
    maker = _Maker(schema, validator)
    try:
        for value in itertools.islice(maker.values((maker.root,), name), _MANY):
            if validator.is_valid(value):
                return value
    except RecursionError:
        raise UnsatisfiableError("the schema is nested too deep") from None
    raise UnsatisfiableError("no value was found that keeps the schema")


def _compiled(schema: Any) -> Validator:
    import jsonschema_rs

    try:
        # Offline: a schema that names a URL mustn't make this server ask for it.
        return jsonschema_rs.validator_for(schema, offline=True, validate_formats=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise InvalidSchemaError(str(error).partition("\n")[0]) from error


class _Maker:
    """Makes the values of one schema, and counts its steps."""

    def __init__(self, schema: Any, validator: Validator) -> None:
        import jsonschema_rs

        # References become absolute, so that any part can be compiled by itself.
        self.root: Any = _absolute(schema)
        if is_object(self.root):
            self.root = {key: value for key, value in self.root.items() if key not in ("$id", "$schema")}
        self._class = type(validator)
        draft = getattr(jsonschema_rs, self._class.__name__.removesuffix("Validator"))
        self._registry = jsonschema_rs.Registry([(_ROOT, self.root)], draft=draft)
        self._checks: dict[tuple[int, ...], Validator] = {}
        self._left = _STEPS

    def _spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise UnsatisfiableError("the schema is too large for this server")

    def values(
        self, schemas: tuple[Any, ...], name: str, depth: int = 0, path: _Path = frozenset()
    ) -> Iterator[Any]:
        """Yield values that keep all of some schemas, the simplest first."""
        if depth > _DEEPEST:
            return
        for rules, followed in self._alternatives(list(schemas), depth, path, ()):
            for value in self._plain(rules, name, depth, followed):
                self._spend()
                if self._fits(rules, value):
                    yield value

    # Alternatives

    def _alternatives(
        self, pending: list[Any], depth: int, path: _Path, rules: _Rules, nested: int = 0
    ) -> Iterator[tuple[_Rules, _Path]]:
        """Yield what has to be kept, for each choice between alternatives."""
        here = set[str]()
        choices: list[list[tuple[Any, ...]]] = []
        pending.reverse()
        while pending:
            self._spend()
            schema = pending.pop()
            if schema is False:
                return
            if not is_object(schema):
                continue
            rules = (*rules, schema)
            reference = schema.get("$ref")
            if isinstance(reference, str) and reference not in here:
                here.add(reference)
                pending.append(self._follow(reference))
            pending += reversed(_listed(schema, "allOf"))
            choices += self._choices(schema, depth, path | here)
        path |= here
        if not choices:
            yield rules, path
            return
        if nested > _NESTED:
            raise UnsatisfiableError("the schema has too many choices inside choices")
        for picked in itertools.product(*choices):
            chosen = [schema for option in picked for schema in option]
            yield from self._alternatives(chosen, depth, path, rules, nested + 1)

    @staticmethod
    def _choices(schema: Document, depth: int, path: _Path) -> Iterator[list[tuple[Any, ...]]]:
        def rank(option: object) -> int:
            rules = as_object(option)
            if rules.get("$ref") in path:  # it has been here before: anything else ends sooner
                return 2
            return int(rules.get("type") == "null" and depth < _DEEP)

        for keyword in ("anyOf", "oneOf"):
            if is_array(schema.get(keyword)):
                yield [(option,) for option in sorted(schema[keyword], key=rank)]
        if "if" in schema:
            yield [(schema["if"], schema.get("then", True)), (schema.get("else", True),)]

    def _follow(self, reference: str) -> Any:
        address, _, pointer = reference.partition("#")
        if address == _ROOT and (not pointer or pointer.startswith("/")):
            with contextlib.suppress(LookupError):
                return resolve(self.root, unquote(pointer))
        asked = reference.removeprefix(_ROOT)
        raise UnsatisfiableError(f"this server follows only references such as #/$defs/x, not {asked}")

    def _fits(self, rules: _Rules, value: Any) -> bool:
        """Tell whether a value keeps the keywords that it wasn't built from."""
        asked = [rule for rule in rules if not rule.keys() <= _BUILT]
        if not asked:
            return True
        key = tuple(map(id, asked))
        check = self._checks.get(key)
        if check is None:
            check = self._checks[key] = self._check({"allOf": asked})
        return check.is_valid(value)

    def _check(self, schema: Document) -> Validator:
        return self._class(schema, registry=self._registry, offline=True, validate_formats=True)

    # Values of one type

    def _plain(self, rules: _Rules, name: str, depth: int, path: _Path) -> Iterator[Any]:
        words = next((_words(rule) for rule in rules if "const" in rule or is_array(rule.get("enum"))), None)
        if words is not None:
            yield from words
            return
        for kind in _kinds(rules, depth):
            made: Iterator[Any]
            if kind == "object":
                made = self._objects(rules, depth, path)
            elif kind == "array":
                made = self._arrays(rules, name, depth, path)
            elif kind == "string":
                made = self._texts(rules, name)
            elif kind in ("number", "integer"):
                made = _numbers(rules, whole=kind == "integer")
            else:
                made = iter([False, True] if kind == "boolean" else [None])
            yield from itertools.islice(made, _MANY)

    def _objects(self, rules: _Rules, depth: int, path: _Path) -> Iterator[Document]:
        needed = dict.fromkeys(name for rule in rules for name in _listed(rule, "required"))
        known = dict.fromkeys(name for rule in rules for name in as_object(rule.get("properties")))
        least = int(max((rule.get("minProperties", 0) for rule in rules), default=0))
        names = list(needed)
        for name in names:  # it grows while it is read
            linked = (as_object(rule.get("dependentRequired")).get(name) or () for rule in rules)
            names += dict.fromkeys(other for others in linked for other in others if other not in names)
        invented = itertools.chain(known, self._invented(rules, depth))
        small = self._object(rules, names, () if len(names) >= least else invented, least, depth, path)
        if small is None:
            return
        yield small
        if not known.keys() <= small.keys():
            large = self._object(rules, names, known, len(known) + len(names), depth, path)
            if large is not None:
                yield large

    def _invented(self, rules: _Rules, depth: int) -> Iterator[str]:
        """Yield names for members that no rule names."""
        asked = tuple(rule["propertyNames"] for rule in rules if "propertyNames" in rule)
        if asked:
            yield from filter(lambda name: isinstance(name, str), self.values(asked, "member", depth + 1))
        for pattern in {pattern for rule in rules for pattern in as_object(rule.get("patternProperties"))}:
            yield from texts_for(pattern)
        yield from (f"member{number}" for number in range(1, _STEPS))

    def _object(
        self, rules: _Rules, needed: Iterable[str], others: Iterable[str], least: int, depth: int, path: _Path
    ) -> Document | None:
        """Return an object with all needed members and up to a number of others, or None."""
        value: Document = {}
        for name in needed:
            self._spend()
            found = next(self.values(self._member(rules, name), name, depth + 1, path), _NOTHING)
            if found is _NOTHING:
                return None
            value[name] = found
        for name in others:
            self._spend()
            if len(value) >= least:
                break
            found = next(self.values(self._member(rules, name), name, depth + 1, path), _NOTHING)
            if found is not _NOTHING:
                value[name] = found
        return value

    def _member(self, rules: _Rules, name: str) -> tuple[Any, ...]:
        """Return the schemas that a member must keep."""
        found: list[Any] = []
        for rule in rules:
            members, patterns = as_object(rule.get("properties")), as_object(rule.get("patternProperties"))
            mine = [members[name]] if name in members else []
            # Python's own expressions could take for ever with a pattern that was made for that.
            mine += [patterns[word] for word in patterns if self._check({"pattern": word}).is_valid(name)]
            if not mine and "additionalProperties" in rule:
                mine = [rule["additionalProperties"]]
            found += mine
        return tuple(found)

    def _arrays(self, rules: _Rules, name: str, depth: int, path: _Path) -> Iterator[list[Any]]:
        holds = [rule["contains"] for rule in rules if "contains" in rule]
        held = max((int(rule.get("minContains", 1)) for rule in rules if "contains" in rule), default=0)
        least = max(held, *(int(rule.get("minItems", 0)) for rule in rules))
        unique = any(rule.get("uniqueItems") is True for rule in rules)
        items: list[Any] = []
        for index in range(least):
            self._spend()
            schemas = (*_item(rules, index), *(holds if index < held else ()))
            values = self.values(schemas, name, depth + 1, path)
            found = next((value for value in values if not (unique and _among(value, items))), _NOTHING)
            if found is _NOTHING:
                return
            items.append(found)
        yield items

    def _texts(self, rules: _Rules, name: str) -> Iterator[str]:
        least = int(max((rule.get("minLength", 0) for rule in rules), default=0))
        most = int(min((rule.get("maxLength", _LONGEST) for rule in rules), default=_LONGEST))
        if least > _LONGEST:
            raise UnsatisfiableError(
                f"minLength {least} is more than the {_LONGEST} characters that this server writes"
            )
        self._spend(least // _BLOCK)
        forms = [_FORMATS[rule["format"]] for rule in rules if rule.get("format") in _FORMATS]
        patterns = [rule["pattern"] for rule in rules if isinstance(rule.get("pattern"), str)]
        for pattern in patterns:
            yield from texts_for(pattern)
        for number, form in itertools.product(range(_MANY), itertools.chain(*forms)):
            text = form.format(number=number, day=number % 28 + 1, pad="")
            yield form.format(number=number, day=number % 28 + 1, pad="x" * (least - len(text)))
        if not forms:
            for number in range(_MANY):
                text = f"{name}{number or ''}"[-most:] if most else ""
                yield text if len(text) >= least else (text or "x").ljust(least, "x")


_NOTHING = object()

_FORMATS: Mapping[str, tuple[str, ...]] = {
    "date": ("2000-01-{day:02}",),
    "date-time": ("2000-01-{day:02}T00:00:00Z",),
    "time": ("00:00:{day:02}Z",),
    "duration": ("P{day}D",),
    "uuid": ("00000000-0000-4000-8000-{number:012}",),
    "email": ("{pad}user{number}@example.com", "{number}@b.co"),
    "idn-email": ("{pad}user{number}@example.com", "{number}@b.co"),
    "hostname": ("{pad}host{number}.example.com", "h{number}"),
    "idn-hostname": ("{pad}host{number}.example.com", "h{number}"),
    "ipv4": ("192.0.2.{day}",),
    "ipv6": ("2001:db8::{day}",),
    "uri": ("https://example.com/{number}{pad}", "a:{number}"),
    "uri-reference": ("https://example.com/{number}{pad}", "{number}"),
    "iri": ("https://example.com/{number}{pad}", "a:{number}"),
    "iri-reference": ("https://example.com/{number}{pad}", "{number}"),
    "uri-template": ("https://example.com/{number}{pad}", "{number}"),
    "json-pointer": ("/{number}{pad}", ""),
    "relative-json-pointer": ("{number}",),
    "regex": ("a{number}{pad}", ""),
}


def _absolute(schema: Any) -> Any:
    """Return a copy whose references to itself are absolute."""
    if is_array(schema):
        return [_absolute(item) for item in schema]
    if not is_object(schema):
        return schema
    copy: Document = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str) and value.startswith("#"):
            copy[key] = _ROOT + value
        else:
            copy[key] = value if key in _DATA else _absolute(value)
    return copy


def _listed(schema: Document, keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if is_array(value) else []


def _words(rule: Document) -> list[Any]:
    return [rule["const"]] if "const" in rule else _listed(rule, "enum")


def _among(value: object, items: Iterable[object]) -> bool:
    return any(equal(value, item) for item in items)


def _kinds(rules: _Rules, depth: int) -> list[str]:
    """Return the types that all rules allow: as listed, else as the other keywords suggest."""
    asked = [_types(rule["type"]) for rule in rules if "type" in rule]
    if not asked:
        keywords = {keyword for rule in rules for keyword in rule}
        return sorted(_TYPES, key=lambda kind: keywords.isdisjoint(_SUGGEST.get(kind, ())))
    kinds = asked[0]
    for others in asked[1:]:
        narrowed = ["integer" if kind == "number" and "number" not in others else kind for kind in kinds]
        kinds = [kind for kind in narrowed if kind in others or (kind == "integer" and "number" in others)]
    return sorted(kinds, key=lambda kind: (kind == "null") == (depth < _DEEP))


def _types(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


_SUGGEST: Mapping[str, tuple[str, ...]] = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "contains", "uniqueItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def _item(rules: _Rules, index: int) -> Iterator[Any]:
    """Yield the schemas that an item must keep."""
    for rule in rules:
        old = is_array(rule.get("items"))  # drafts up to 2019-09 list the first items there
        first, rest = (
            (_listed(rule, "items"), "additionalItems") if old else (_listed(rule, "prefixItems"), "items")
        )
        if index < len(first):
            yield first[index]
        elif rest in rule:
            yield rule[rest]


def _numbers(rules: _Rules, *, whole: bool) -> Iterator[Any]:
    """Yield numbers within the bounds, those near zero first."""
    low = _bound(rules, ("minimum", "exclusiveMinimum"), max)
    high = _bound(rules, ("maximum", "exclusiveMaximum"), min)
    steps = [_exact(rule["multipleOf"]) for rule in rules if "multipleOf" in rule]
    steps += [Fraction(1)] if whole else []
    step = functools.reduce(_common_multiple, steps) if steps else None
    nearest = Fraction(0)
    if low is not None and low > 0:
        nearest = low
    elif high is not None and high < 0:
        nearest = high
    grid = step or Fraction(1)
    # The bounds themselves may be excluded; what lies outside is dropped by the check.
    begin = math.ceil(nearest / grid) if nearest > 0 else math.floor(nearest / grid)
    found = [begin * grid]
    if step is None:
        found += [nearest, *_between(low, high)]
    found += [(begin + offset * sign) * grid for offset in range(1, _MANY) for sign in (1, -1)]
    for number in dict.fromkeys(found):
        if (low is None or low <= number) and (high is None or number <= high) and abs(number) < _HUGE:
            yield int(number) if number.denominator == 1 else float(number)


def _between(low: Fraction | None, high: Fraction | None) -> Iterator[Fraction]:
    if low is not None and high is not None:
        yield (low + high) / 2
        yield from (low + (high - low) * part / 7 for part in range(1, 7))
    yield from (bound for bound in (low, high) if bound is not None)


def _bound(
    rules: _Rules, keywords: tuple[str, str], choose: Callable[[Iterable[Fraction]], Fraction]
) -> Fraction | None:
    # In draft 4 exclusiveMinimum is a boolean.
    found = [rule[word] for rule in rules for word in keywords if not isinstance(rule.get(word, True), bool)]
    return choose(map(_exact, found)) if found else None


def _exact(number: float) -> Fraction:
    # As it is written: 0.1 is a tenth here, not the double next to it.
    return Fraction(repr(number))


def _common_multiple(one: Fraction, other: Fraction) -> Fraction:
    ours, theirs = one.numerator * other.denominator, other.numerator * one.denominator
    multiple = Fraction(math.lcm(ours, theirs), one.denominator * other.denominator)
    if multiple > _HUGE or multiple.denominator > _HUGE:
        raise UnsatisfiableError("the common multiple of multipleOf is too large for this server")
    return multiple

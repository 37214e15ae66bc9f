"""Violations of a contract: where each one is, which rule it breaks, and a sentence about it.

The validator (jsonschema-rs) finds the errors. This module gives each one its exact place and a
message. It never imports the validator: validators come in as arguments.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import (
    Token,
    excerpt,
    is_array,
    is_object,
    json_path,
    json_pointer,
    kind_of,
    resolve,
    sort_key,
    unescape_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jsonschema_rs import Draft202012Validator, ValidationError

__all__ = ["Rules", "Violation", "locate_errors"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation of a contract.

    Attributes:
        path: The place as a JSON path, such as `$.choices[0].message.role`. A member that is
            missing or not allowed has its own path, not that of the object around it.
        pointer: The same place as a JSON pointer, such as `/choices/0/message/role`.
        schema_pointer: The rule: a contract and a JSON pointer into its schema, such as
            `openai/response#/$defs/message/required/2`. Empty when the bytes themselves are wrong.
        keyword: The schema keyword of the rule, such as `required`. When the bytes are wrong, it is
            `json-invalid` or the code of a relaxation, such as `bom`.
        message: What is wrong, in words, without the path.
    """

    path: str
    pointer: str
    schema_pointer: str
    keyword: str
    message: str

    @classmethod
    def at(cls, tokens: Sequence[Token], rule: str, keyword: str, message: str) -> Violation:
        """Return a violation at a place that is given as tokens."""
        return cls(json_path(tokens), json_pointer(tokens), rule, keyword, message)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


# From the validator's errors to violations.

_Place = tuple[Token, ...]
_Found = tuple["Sequence[Token]", Violation]


class Rules:
    """Turn the errors of a validator into violations that name the rules of some schemas."""

    def __init__(self, schemas: Mapping[str, dict[str, Any]]) -> None:
        """Take the schemas, given by the names of their contracts."""
        self._schemas = schemas
        self._names = {schema["$id"]: name for name, schema in schemas.items()}

    def violations(self, validator: Draft202012Validator, instance: Any) -> list[Violation]:
        """Return every violation that a validator finds, sorted by place, then keyword."""
        found = [
            item
            for error, tokens in locate_errors(validator, instance)
            for item in self._split(error, tokens)
        ]
        return [violation for _, violation in sorted(found, key=_order)]

    def _split(self, error: ValidationError, tokens: Sequence[Token]) -> Iterator[_Found]:
        """Yield one violation per member at fault: the validator reports some errors per object."""
        keyword = error.kind.name
        rule = self._rule(error.absolute_keyword_location or "")
        details = error.kind.as_dict()
        if keyword == "required":
            # Each name in `required` is a rule of its own, so its index belongs to the rule's pointer.
            name = details["property"]
            yield _at((*tokens, name), self._narrow(rule, name), keyword, "is missing")
        elif keyword == "additionalProperties":
            for name in details["unexpected"]:
                yield _at((*tokens, name), rule, keyword, "is not allowed here")
        elif keyword == "propertyNames":
            inner = details["error"]
            message = _message(inner.kind.name, inner.kind.as_dict(), inner.instance, inner.message)
            yield _at((*tokens, str(inner.instance)), rule, keyword, f"has a name that {message}")
        else:
            message = _message(keyword, details, error.instance, error.message)
            yield _at(tokens, rule, keyword, message)

    def _rule(self, location: str) -> str:
        identifier, _, pointer = location.partition("#")
        return f"{self._names.get(identifier, identifier)}#{pointer}"

    def _narrow(self, rule: str, member: str) -> str:
        name, _, pointer = rule.partition("#")
        try:
            required = resolve(self._schemas[name], pointer)
        except LookupError:
            # For dependentRequired the validator reports a location that is not in the schema.
            return rule
        return f"{rule}/{required.index(member)}" if is_array(required) else rule


def _order(found: _Found) -> tuple[Any, ...]:
    tokens, violation = found
    return (sort_key(tokens), violation.keyword, violation.schema_pointer)


def _at(tokens: Sequence[Token], rule: str, keyword: str, message: str) -> _Found:
    return tokens, Violation.at(tokens, rule, keyword, message)


# Where errors are. jsonschema-rs (0.60) gives an error's place as a list of steps in which the member
# `50256` looks like the item with that index, and the member `` is left out. The pointers of its
# `evaluate` are unambiguous, but belong to rules, not to errors. So the two are matched, and only for
# instances with such names, because `evaluate` takes time.

_NUMBER = re.compile(r"\+?0*([0-9]+)")
_DIGITS = 20
"""The number of digits of the largest index, 2**64 - 1. A name with more digits is reported as a name."""


def locate_errors(
    validator: Draft202012Validator, instance: Any
) -> Iterator[tuple[ValidationError, Sequence[Token]]]:
    """Yield every error of an instance and its place: a str for each member, an int for each item."""
    errors = list(validator.iter_errors(instance))
    if not errors or not _has_ambiguous_names(instance):
        yield from ((error, error.instance_path) for error in errors)
        return
    failed: defaultdict[_Place, list[tuple[str, _Place, Any]]] = defaultdict(list)
    for unit in validator.evaluate(instance).errors():
        place, value = _follow(instance, unit["instanceLocation"])
        failed[_as_reported(place)].append((unit["absoluteKeywordLocation"] or "", place, value))
    for error in errors:
        candidates = failed[tuple(error.instance_path)]
        # If several fit, they are equal errors at places that are reported alike: any order is right.
        chosen = next(it for it in candidates if _is_rule_of(error, it[0]) and it[2] == error.instance)
        candidates.remove(chosen)
        yield error, chosen[1]


def _is_rule_of(error: ValidationError, location: str) -> bool:
    """Tell whether a failed rule is the error's; for propertyNames `evaluate` reports the inner rule."""
    rule = error.absolute_keyword_location or ""
    return location == rule or location.startswith(f"{rule}/")


def _has_ambiguous_names(value: Any) -> bool:
    """Tell whether a member at any depth has a name that the validator's steps can't express."""
    if is_object(value):
        return any(not name or _NUMBER.fullmatch(name) for name in value) or _any_ambiguous(value.values())
    return is_array(value) and _any_ambiguous(value)


def _any_ambiguous(values: Iterable[Any]) -> bool:
    return any(_has_ambiguous_names(value) for value in values if isinstance(value, dict | list))


def _follow(instance: Any, pointer: str) -> tuple[_Place, Any]:
    """Return the place that a pointer leads to and the value there."""
    place: list[Token] = []
    for step in pointer.split("/")[1:]:
        token: Any = unescape_token(step)
        if is_array(instance):
            token = int(token)
        place.append(token)
        instance = instance[token]
    return tuple(place), instance


def _as_reported(place: _Place) -> _Place:
    """Return a place as the validator's errors report it, without what they can't express."""
    return tuple(_step_as_reported(token) for token in place if token != "")


def _step_as_reported(token: Token) -> Token:
    digits = _NUMBER.fullmatch(token) if isinstance(token, str) else None
    if digits is None or len(digits[1]) > _DIGITS or int(digits[1]) >= 2**64:
        return token
    return int(digits[1])


# Messages. A keyword without an entry in _MESSAGES gets the validator's own message.

_LISTED = 12
"""The most values of an enum that a message lists."""


def _message(keyword: str, details: Mapping[str, Any], instance: Any, otherwise: str) -> str:
    write = _MESSAGES.get(keyword)
    return write(details, instance) if write else otherwise


def _type(details: Mapping[str, Any], instance: Any) -> str:
    # Null goes last: "a string or null" reads better than "null or a string".
    types = sorted(details["types"], key=lambda name: name == "null")
    wanted = " or ".join(_with_article(name) for name in types)
    kind = kind_of(instance)
    if kind == "number":
        return f"must be {wanted}, not the number {excerpt(instance)}"
    return f"must be {wanted}, not {_with_article(kind)}"


def _with_article(kind: str) -> str:
    if kind == "null":
        return kind
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def _enum(details: Mapping[str, Any], instance: Any) -> str:
    options = [excerpt(option) for option in details["options"]]
    more = f", … ({len(options)} in all)" if len(options) > _LISTED else ""
    return f"must be one of {', '.join(options[:_LISTED])}{more}, not {excerpt(instance)}"


def _limit(words: str) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda details, instance: f"{words} {excerpt(details['limit'])}, not {excerpt(instance)}"


def _count(words: str, things: str) -> Callable[[Mapping[str, Any], Any], str]:
    def write(details: Mapping[str, Any], instance: Any) -> str:
        limit = details["limit"]
        if limit == 1 and not instance:
            return "must not be empty"
        counted = things.removesuffix("s") if limit == 1 else things
        return f"must have {words} {limit} {counted}, not {len(instance)}"

    return write


_MESSAGES: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda details, instance: (
        f"must be {excerpt(details['expected_value'])}, not {excerpt(instance)}"
    ),
    "minimum": _limit("must be at least"),
    "maximum": _limit("must be at most"),
    "minLength": _count("at least", "characters"),
    "maxLength": _count("at most", "characters"),
    "minItems": _count("at least", "items"),
    "maxItems": _count("at most", "items"),
    "maxProperties": _count("at most", "members"),
    "pattern": lambda details, instance: f"must match {details['pattern']}, but is {excerpt(instance)}",
    "falseSchema": lambda _, instance: f"is not allowed here, but is {excerpt(instance)}",
}

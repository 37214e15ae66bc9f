"""What the validator reports, turned into violations with words of our own.

jsonschema-rs reports a missing member, or one that must not be there, at the object around it.
Here each gets its own path, for a list of faults is read by looking the paths up.

May enter here: the standard library and the shape of violations. The validator comes in as an
argument, so that it need not be imported.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import Token, excerpt, is_array, kind_of, resolve, sort_key
from botticelli.contracts.locating import located
from botticelli.contracts.violations import Violation

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

_LISTED = 12
_Details = Mapping[str, Any]
_Located = tuple[Sequence[Token], Violation]


class Rules:
    """Knows the rules by the addresses at which the validator reports them."""

    def __init__(self, schemas: Mapping[str, dict[str, Any]]) -> None:
        """Know the rules of some schemas, given by their contracts' names."""
        self._schemas = schemas
        self._names = {schema["$id"]: name for name, schema in schemas.items()}

    def violations(self, validator: "Draft202012Validator", instance: Any) -> list[Violation]:
        """All that a validator finds in an instance, sorted by place, then by rule."""
        found = [
            item for error, tokens in located(validator, instance) for item in self._split(error, tokens)
        ]
        return [violation for _, violation in sorted(found, key=_order)]

    def _split(self, error: "ValidationError", tokens: Sequence[Token]) -> Iterator[_Located]:
        keyword = error.kind.name
        rule = self._rule(error.absolute_keyword_location or "")
        details = error.kind.as_dict()
        if keyword == "required":
            # Each name in `required` is a rule of its own, so its index belongs to the address.
            name = details["property"]
            yield _locate((*tokens, name), self._narrow(rule, name), keyword, "is missing")
        elif keyword == "additionalProperties":
            for name in details["unexpected"]:
                yield _locate((*tokens, name), rule, keyword, "must not be here")
        elif keyword == "propertyNames":
            inner = details["error"]
            said = _say(inner.kind.name, inner.kind.as_dict(), inner.instance, inner.message)
            yield _locate((*tokens, str(inner.instance)), rule, keyword, f"has a name that {said}")
        else:
            said = _say(keyword, details, error.instance, error.message)
            yield _locate(tokens, rule, keyword, said)

    def _rule(self, location: str) -> str:
        identifier, _, pointer = location.partition("#")
        return f"{self._names.get(identifier, identifier)}#{pointer}"

    def _narrow(self, rule: str, member: str) -> str:
        name, _, pointer = rule.partition("#")
        try:
            required = resolve(self._schemas[name], pointer)
        except LookupError:
            return rule  # dependentRequired is reported at an address of the validator's own making
        return f"{rule}/{required.index(member)}" if is_array(required) else rule


def _order(found: _Located) -> tuple[Any, ...]:
    tokens, violation = found
    return (sort_key(tokens), violation.keyword, violation.schema_pointer)


def _locate(tokens: Sequence[Token], rule: str, keyword: str, message: str) -> _Located:
    return tokens, Violation.at(tokens, rule, keyword, message)


def _say(keyword: str, details: _Details, instance: Any, otherwise: str) -> str:
    saying = _SAYINGS.get(keyword)
    return saying(details, instance) if saying else otherwise


def _type(details: _Details, instance: Any) -> str:
    types = details["types"]
    wanted = " or ".join(_article(name) for name in sorted(types, key=lambda name: name == "null"))
    kind = kind_of(instance)
    if kind == "number":
        return f"must be {wanted}, not the number {excerpt(instance)}"
    return f"must be {wanted}, not {_article(kind)}"


def _article(kind: str) -> str:
    if kind == "null":
        return kind
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def _enum(details: _Details, instance: Any) -> str:
    options = [excerpt(option) for option in details["options"]]
    more = f", … ({len(options)} in all)" if len(options) > _LISTED else ""
    return f"must be one of {', '.join(options[:_LISTED])}{more}, not {excerpt(instance)}"


def _limit(words: str) -> Callable[[_Details, Any], str]:
    return lambda details, instance: f"{words} {excerpt(details['limit'])}, not {excerpt(instance)}"


def _count(words: str, things: str) -> Callable[[_Details, Any], str]:
    def say(details: _Details, instance: Any) -> str:
        limit = details["limit"]
        if limit == 1 and not instance:
            return "must not be empty"
        counted = things.removesuffix("s") if limit == 1 else things
        return f"must have {words} {limit} {counted}, not {len(instance)}"

    return say


_SAYINGS: Mapping[str, Callable[[_Details, Any], str]] = {
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
    "pattern": lambda details, instance: f"must match {details['pattern']}, and {excerpt(instance)} does not",
    "falseSchema": lambda _, instance: f"must not be here, and is {excerpt(instance)}",
}

"""Where in an instance the validator's errors stand, whatever its members are called.

jsonschema-rs (0.60) gives an error's place as a list of steps in which a member called `50256`
looks like the 50,257th item, and one called the empty string is left out. The pointers of its
evaluation tell them apart, but say nothing of the error. So the two are matched: only for
instances with such names, because an evaluation takes time.

May enter here: the standard library. The validator comes in as an argument, so that it need not
be imported.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import Token, is_array, is_object, unescape_token

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

_Place = tuple[Token, ...]
_NUMBER = re.compile(r"\+?0*([0-9]+)")
_DIGITS = 20
"""As many as the largest index has (2**64 - 1); a longer number is a name."""


def located(
    validator: "Draft202012Validator", instance: Any
) -> Iterator[tuple["ValidationError", Sequence[Token]]]:
    """Every error of an instance, with its place step by step: a text for a member, a number for an item."""
    errors = list(validator.iter_errors(instance))
    if not errors or not _misleads(instance):
        yield from ((error, error.instance_path) for error in errors)
        return
    failed: defaultdict[_Place, list[tuple[str, _Place, Any]]] = defaultdict(list)
    for unit in validator.evaluate(instance).errors():
        place, value = _followed(instance, unit["instanceLocation"])
        failed[_as_said(place)].append((unit["absoluteKeywordLocation"] or "", place, value))
    for error in errors:
        alike = failed[tuple(error.instance_path)]
        # Of equal errors at places that are said alike, which is which makes no difference.
        chosen = next(it for it in alike if _is_of(error, it[0]) and it[2] == error.instance)
        alike.remove(chosen)
        yield error, chosen[1]


def _is_of(error: "ValidationError", location: str) -> bool:
    """Whether a rule of the evaluation is the error's; the evaluation goes into the rule for names."""
    rule = error.absolute_keyword_location or ""
    return location == rule or location.startswith(f"{rule}/")


def _misleads(value: Any) -> bool:
    """Whether a member of the value, at any depth, has a name that an error's steps would hide."""
    if is_object(value):
        return any(not name or _NUMBER.fullmatch(name) for name in value) or _any(value.values())
    return is_array(value) and _any(value)


def _any(values: Iterable[Any]) -> bool:
    return any(_misleads(value) for value in values if isinstance(value, dict | list))


def _followed(instance: Any, pointer: str) -> tuple[_Place, Any]:
    """The place that a pointer leads to, and what stands there."""
    place: list[Token] = []
    for step in pointer.split("/")[1:]:
        token: Any = unescape_token(step)
        if is_array(instance):
            token = int(token)
        place.append(token)
        instance = instance[token]
    return tuple(place), instance


def _as_said(place: _Place) -> tuple[Token, ...]:
    """A place as the validator's errors give it."""
    return tuple(_step(token) for token in place if token != "")


def _step(token: Token) -> Token:
    digits = _NUMBER.fullmatch(token) if isinstance(token, str) else None
    if digits is None or len(digits[1]) > _DIGITS or int(digits[1]) >= 2**64:
        return token
    return int(digits[1])

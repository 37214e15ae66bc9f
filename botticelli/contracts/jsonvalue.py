"""JSON values and the places in them.

May enter here: nothing but the standard library.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

Token = str | int
"""A step into a value: a member's name or an item's index."""

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_EXCERPT = 60
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    ((int, float), "number"),
    (dict, "object"),
    (list, "array"),
)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


def kind_of(value: Any) -> str:
    """The JSON type of a value, as a schema's `type` names it (integers are numbers here)."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "null"


def excerpt(value: Any) -> str:
    """A value as JSON, cut short for a line of prose; any Python value is allowed."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def json_path(tokens: Iterable[Token]) -> str:
    """Write a place in an instance as people do: `$.choices[0]['odd key']`."""
    path = "$"
    for token in tokens:
        if isinstance(token, int):
            path += f"[{token}]"
        elif _IDENTIFIER.fullmatch(token):
            path += f".{token}"
        else:
            quoted = json.dumps(token)[1:-1].replace('\\"', '"').replace("'", "\\'")
            path += f"['{quoted}']"
    return path


def json_pointer(tokens: Iterable[Token]) -> str:
    """Write a place as a JSON pointer (RFC 6901). Lone surrogates, which no file can hold, go."""
    steps = (str(token).replace("~", "~0").replace("/", "~1") for token in tokens)
    return "".join(f"/{step}" for step in steps).encode(errors="replace").decode()


def resolve(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to.

    Raises:
        LookupError: There is nothing at that place.
    """
    found: Any = value
    for step in pointer.split("/")[1:]:
        token = step.replace("~1", "/").replace("~0", "~")
        if is_object(found):
            found = found[token]
        elif is_array(found) and token.isdecimal():
            found = found[int(token)]
        else:
            raise LookupError(pointer)
    return found


def place(tokens: Sequence[Token]) -> tuple[tuple[int, int, str], ...]:
    """Sort key of a place: an object before its members, members by name, items by number."""
    return tuple((0, t, "") if isinstance(t, int) else (1, 0, t) for t in tokens)

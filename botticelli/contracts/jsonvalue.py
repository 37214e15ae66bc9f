"""JSON values and the places in them: types, equality, JSON pointers and JSON paths.

Everything here works on parsed JSON (dict, list, str, int, float, bool and None) and knows no schema.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = [
    "DEEPEST",
    "Document",
    "Token",
    "as_object",
    "as_objects",
    "encodable",
    "equal",
    "escape_token",
    "excerpt",
    "is_array",
    "is_object",
    "json_path",
    "json_pointer",
    "kind_of",
    "resolve",
    "sort_key",
    "too_deep",
    "unescape_token",
]

Token: TypeAlias = str | int
"""One step into a value: the name of a member or the index of an item."""

Document: TypeAlias = dict[str, Any]
"""A JSON object of any shape."""

DEEPEST = 100
"""The levels of nesting that the kit compares. No case needs a tenth of them."""

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_EXCERPT = 60
# bool comes before int, because Python counts True among the integers.
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    ((int, float), "number"),
    (dict, "object"),
    (list, "array"),
)


def is_object(value: object) -> TypeGuard[Document]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a JSON value is an array."""
    return isinstance(value, list)


def as_object(value: object) -> Document:
    """Return the value if it is an object, else an empty object."""
    return value if is_object(value) else {}


def as_objects(value: object) -> list[Document]:
    """Return the objects in a value that may be an array, in order."""
    return [item for item in value if is_object(item)] if is_array(value) else []


def kind_of(value: object) -> str:
    """Return the JSON type of a value, as a schema's `type` names it; integers are numbers here."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "null"


def equal(one: object, other: object) -> bool:
    """Tell whether two JSON values are equal: 1 equals 1.0, but true does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def too_deep(value: object) -> bool:
    """Tell whether a value has more levels than :data:`DEEPEST`, or contains itself."""
    # Level by level: a recursive function would raise RecursionError on the values it is to find.
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [item for one in level for item in _items(one)]
        if not level:
            return False
    return True


def _items(value: object) -> Collection[object]:
    if is_object(value):
        return value.values()
    return value if is_array(value) else ()


def encodable(value: object) -> Any:
    """Return a copy that can be encoded: lone surrogates become U+FFFD, infinities and NaN null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if is_array(value):
        return [encodable(item) for item in value]
    if is_object(value):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return value


def excerpt(value: Any) -> str:
    """Return a value as JSON of at most 60 characters, for a message; any Python value is allowed."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def json_path(tokens: Iterable[Token]) -> str:
    """Write a place as a JSON path, such as `$.choices[0]['odd key']`."""
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
    """Write a place as a JSON pointer (RFC 6901); a lone surrogate, which no file can hold, becomes `?`."""
    return "".join(f"/{escape_token(token)}" for token in tokens).encode(errors="replace").decode()


def escape_token(token: Token) -> str:
    """Return a token as it is written in a JSON pointer: `~` as `~0`, `/` as `~1`."""
    return str(token).replace("~", "~0").replace("/", "~1")


def unescape_token(step: str) -> str:
    """Return the token that one step of a JSON pointer stands for."""
    # The order matters (RFC 6901, section 4): `~01` is `~1`, not `/`.
    return step.replace("~1", "/").replace("~0", "~")


def resolve(value: Any, pointer: str) -> Any:
    """Return the value that a JSON pointer leads to.

    Raises:
        LookupError: There is nothing at that place.
    """
    found: Any = value
    for step in pointer.split("/")[1:]:
        token = unescape_token(step)
        if is_object(found):
            found = found[token]
        elif is_array(found) and token.isdecimal():
            found = found[int(token)]
        else:
            raise LookupError(pointer)
    return found


def sort_key(tokens: Sequence[Token]) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts places: objects before their members, members by name, items by index."""
    return tuple((0, token, "") if isinstance(token, int) else (1, 0, token) for token in tokens)

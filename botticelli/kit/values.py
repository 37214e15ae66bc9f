"""JSON values as the kit handles them: raw, and compared as JSON compares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Collection

Document: TypeAlias = "dict[str, Any]"
"""A JSON object, unread."""


def is_object(value: object) -> TypeGuard[Document]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a JSON value is an array."""
    return isinstance(value, list)


def equal(one: object, other: object) -> bool:
    """Tell whether two JSON values are the same; 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


DEEPEST = 100
"""Levels that the judge goes down; no case needs a tenth of them."""


def too_deep(value: object) -> bool:
    """Tell whether a value has more levels than :data:`DEEPEST`, or contains itself.

    Layer by layer: recursion would end where it should answer.
    """
    layer = [value]
    for _ in range(DEEPEST + 1):
        layer = [item for one in layer for item in _items(one)]
        if not layer:
            return False
    return True


def _items(value: object) -> Collection[object]:
    if is_object(value):
        return value.values()
    return value if is_array(value) else ()


def encodable(value: object) -> Any:
    """Return the value with what validators do not take replaced.

    Lone surrogates become U+FFFD, infinities and NaN null: whether they may be there is not for a
    schema to say.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if is_array(value):
        return [encodable(item) for item in value]
    if is_object(value):
        return {encodable(key): encodable(item) for key, item in value.items()}
    return value


def as_object(value: object) -> Document:
    """Return the value if it is an object, else an empty one."""
    return value if is_object(value) else {}


def as_objects(value: object) -> list[Document]:
    """Return the objects in a value that may be an array, in order."""
    return [item for item in value if is_object(item)] if is_array(value) else []

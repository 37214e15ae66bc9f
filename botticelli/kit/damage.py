"""Damage to JSON values: what a careless server or a bad connection makes of a right answer.

May enter here: hypothesis and the notion of a JSON value. No schema: whether a damaged value
still keeps its contract is for the caller to ask.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from botticelli.contracts.jsonvalue import is_array, is_object, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botticelli.contracts.jsonvalue import Token

__all__ = ["KINDS", "damaged", "json_values"]

KINDS = ("delete", "null", "retype", "number", "empty", "wrap", "double")
_ODD_NUMBERS = (-1, 0.5, 2**31, 2**63, -(2**64), 1e300, -0.0)
_EMPTY: tuple[Any, ...] = ("", [], {})
_DELETED = object()


@functools.cache
def json_values() -> st.SearchStrategy[Any]:
    """Small JSON values of any shape, without lone surrogates, NaN and infinities."""
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


@st.composite
def damaged(draw: st.DrawFn, valid: Any, kinds: tuple[str, ...] = KINDS) -> Any:
    """A copy of a value with one to three places damaged.

    Args:
        draw: Given by hypothesis.
        valid: The value. It is not changed.
        kinds: The kinds of damage to draw from. A place may be deleted, made null, given another
            type or an odd number, emptied, wrapped or doubled (what cannot be doubled is retyped).
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

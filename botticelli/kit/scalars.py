"""Strategies for the values that hold no others: null, booleans, numbers, texts.

Each takes the schemas that the value must all keep, references and conditions already resolved.

May enter here: hypothesis.
"""

from __future__ import annotations

import functools
import json
import math
import re
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Schemas = Sequence[Mapping[str, Any]]

__all__ = ["SCALARS", "allowed_types", "allowed_words", "one_of_these"]

_TYPES = ("null", "boolean", "number", "string", "array", "object")
_EXACT = 2**53
"""Up to here every integer is a double, so that 5 and 5.0 are the same number."""


def allowed_types(schemas: Schemas) -> list[str]:
    """The types that all the schemas allow; `integer` stands for a number that must be whole."""
    types: list[str] = list(_TYPES)
    for schema in schemas:
        allowed: Any = schema.get("type", _TYPES)
        allowed = [allowed] if isinstance(allowed, str) else allowed
        if "integer" in allowed and "number" not in allowed and "number" in types:
            types[types.index("number")] = "integer"
        types = [kind for kind in types if kind in allowed or (kind == "integer" and "number" in allowed)]
    return types


def allowed_words(schemas: Schemas) -> list[Any] | None:
    """The values that all the schemas allow, or None if none of them lists any."""
    words: list[Any] | None = None
    for schema in schemas:
        mine = [schema["const"]] if "const" in schema else schema.get("enum")
        if mine is not None:
            words = mine if words is None else [word for word in words if word in mine]
    return words


def _bound(schemas: Schemas, keyword: str, choose: Callable[[Iterable[Any]], Any]) -> Any:
    bounds = [schema[keyword] for schema in schemas if keyword in schema]
    return choose(bounds) if bounds else None


def _number(schemas: Schemas) -> st.SearchStrategy[float]:
    return _numbers(_bound(schemas, "minimum", max), _bound(schemas, "maximum", min))


def _integer(schemas: Schemas) -> st.SearchStrategy[float]:
    return _integers(_bound(schemas, "minimum", max), _bound(schemas, "maximum", min))


def _string(schemas: Schemas) -> st.SearchStrategy[str]:
    shortest, longest = _bound(schemas, "minLength", max) or 0, _bound(schemas, "maxLength", min)
    patterns = tuple(schema["pattern"] for schema in schemas if "pattern" in schema)
    return _texts(shortest, longest, patterns)


# Hypothesis spends more time on making a strategy than on drawing from one, so they are kept.


def one_of_these(values: Iterable[Any]) -> st.SearchStrategy[Any]:
    """One of some JSON values, the first being the simplest."""
    # As JSON, values are told apart that Python takes for equal, such as 0 and false.
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


SCALARS: Mapping[str, Callable[[Schemas], st.SearchStrategy[Any]]] = {
    "null": lambda _: one_of_these((None,)),
    "boolean": lambda _: one_of_these((False, True)),
    "number": _number,
    "integer": _integer,
    "string": _string,
}

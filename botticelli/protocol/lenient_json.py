"""Parse bytes that are JSON, or nearly, into plain values, and name every relaxation that this took.

msgspec parses what is JSON. What it refuses is parsed once more by the standard library, leniently, so that
an answer isn't lost over a NaN, half a surrogate pair or a raw tab.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, TypeGuard

import msgspec

__all__ = [
    "NotJsonError",
    "Reading",
    "as_id",
    "as_text",
    "as_whole_number",
    "dump",
    "excerpt",
    "is_array",
    "is_digits",
    "is_object",
    "lint",
    "parse",
    "try_parse",
]

_BOM = b"\xef\xbb\xbf"
_BLANK = " \t\r\n"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_INT_DIGITS = 640
"""CPython can be set to refuse longer integers, but not shorter ones (sys.set_int_max_str_digits)."""

_DEPTH = 128
"""Levels of nesting beyond which a value is out of the ordinary; many parsers stop there."""

_MAX_DIGITS = 18
"""Digits of a text that is taken for its number: what fits 64 bits whatever the digits are."""


class NotJsonError(ValueError):
    """Report bytes that can't be parsed as JSON, not even leniently.

    Attributes:
        position: Where it stops being JSON: a character of the text, from 0.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a plain value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Return whether a plain value is a JSON array."""
    return isinstance(value, list)


Reading = tuple[Any, list[str], str]
"""The value; the codes of the relaxations applied (level ``bytes`` in
`contracts/wire/openai/relaxations.json`), empty for JSON; and what follows the value, stripped, if anything
does."""


def as_text(value: Any) -> str:
    """Return a text as it is, nothing for null, and the JSON text of anything else."""
    if isinstance(value, str):
        return value
    return "" if value is None else dump(value)


def as_whole_number(value: Any) -> int | None:
    """Return a whole number as JSON Schema defines it, which includes 1.0; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_id(value: Any) -> str:
    """Return an id as a text, whole numbers included; empty for anything else."""
    if isinstance(value, str):
        return value
    number = as_whole_number(value)
    return "" if number is None else str(number)


def is_digits(value: Any) -> bool:
    """Return whether a value is a text that stands for a whole number."""
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS


def parse(data: bytes) -> Reading:
    """Parse one JSON value.

    Half a surrogate pair becomes U+FFFD, also where the other half begins the next event's text: each
    event is a JSON text of its own. A number beyond a double's range becomes the largest double.

    Args:
        data: The bytes of a body or an event.

    Raises:
        NotJsonError: The bytes can't be parsed.
    """
    found = try_parse(data)
    if isinstance(found, NotJsonError):
        raise found
    return found


def try_parse(data: bytes) -> Reading | NotJsonError:
    """Parse one JSON value, and return the error instead of raising it.

    So no exception that holds the body becomes the context of another.
    """
    try:
        return msgspec.json.decode(data), [], ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    codes: list[str] = []
    if data.startswith(_BOM):
        codes.append("bom")
        data = data[len(_BOM) :]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        codes.append("utf8-invalid")
        text = data.decode(errors="replace")
    found = _decode(text, codes)
    if isinstance(found, NotJsonError):
        return found
    value, end = found
    rest = text[end:].strip(_BLANK)
    if rest:
        codes.append("trailing-data")
    return value, list(dict.fromkeys(codes)), rest


def _decode(text: str, codes: list[str]) -> tuple[Any, int] | NotJsonError:
    """Return the first value in a text, well formed, and where it ends; or why there is none."""

    def constant(_word: str) -> None:
        codes.append("number-not-finite")

    start = len(text) - len(text.lstrip(_BLANK))
    hooks: dict[str, Any] = {"parse_constant": constant, "parse_int": _integer, "parse_float": _float}
    try:
        try:
            value, end = json.JSONDecoder(**hooks).raw_decode(text, start)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Invalid control character"):
                return NotJsonError(error.msg, _position(error))
            value, end = json.JSONDecoder(strict=False, **hooks).raw_decode(text, start)
            codes.append("control-character")
        mended = _well_formed(value)
        if mended != value:
            codes.append("surrogate-lone")
    except json.JSONDecodeError as error:
        return NotJsonError(error.msg, _position(error))
    except RecursionError:
        return NotJsonError("nested too deeply to be read", 0)
    return mended, end


def _position(error: json.JSONDecodeError) -> int:
    """Return where a text stops being JSON, the same on all versions of Python.

    From 3.13 on, json points at a comma with nothing after it; before, at what stands in its place.
    """
    trailing_comma = error.msg.startswith("Illegal trailing comma")
    after = error.doc[error.pos + 1 :].lstrip(_BLANK)
    return len(error.doc) - len(after) if trailing_comma else error.pos


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_DIGITS else _float(digits)


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else math.copysign(sys.float_info.max, number)


def _well_formed(value: Any) -> Any:
    """Return the value with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)
    if is_array(value):
        return [_well_formed(item) for item in value]
    if is_object(value):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    return value


class _Repeated(dict[str, Any]):
    """Represent an object that has a key twice."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeated(found)


_LINTER = json.JSONDecoder(strict=False, object_pairs_hook=_members, parse_int=_integer, parse_float=_float)


def lint(data: bytes) -> list[str]:
    """Look for what a parser may ignore but an audit should not; this is slow.

    Args:
        data: Bytes that `parse` accepts.

    Returns:
        The codes, of level ``bytes``: ``key-repeated``, ``nesting-too-deep``.
    """
    text = data.removeprefix(_BOM).decode(errors="replace").lstrip(_BLANK)
    try:
        level = _containers([_LINTER.raw_decode(text)[0]])
    except RecursionError:
        return ["nesting-too-deep"]
    depth, repeated = 0, False
    while level:
        depth += 1
        repeated = repeated or any(isinstance(value, _Repeated) for value in level)
        level = [inner for outer in level for inner in _containers(outer)]
    return ["key-repeated"] * repeated + ["nesting-too-deep"] * (depth > _DEPTH)


def _containers(value: Any) -> list[Any]:
    """Return the objects and arrays among the items of one."""
    items: list[Any] = list(value.values()) if is_object(value) else value
    return [item for item in items if is_object(item) or is_array(item)]


def dump(value: Any) -> str:
    """Return the JSON text of a plain value that `parse` returned."""
    return msgspec.json.encode(value).decode()


def excerpt(data: bytes, *, limit: int = 200) -> str:
    """Return the beginning of some bytes as one line of text, for a message."""
    text = " ".join(data[: 4 * limit].decode(errors="replace").split())
    return text if len(text) <= limit else text[: limit - 1] + "…"

"""Reading JSON that almost is: bytes to plain values, a name for each liberty taken. No format knowledge.

msgspec reads what is JSON; what it refuses is read once more with the standard library, leniently, so
that an answer isn't lost over a NaN, half a character or a raw tab.
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
    "attempt",
    "excerpt",
    "is_array",
    "is_object",
    "read",
    "scrutinise",
    "write",
]

_BOM = b"\xef\xbb\xbf"
_BLANK = " \t\r\n"
_HALF = re.compile("[\ud800-\udfff]")
_INT_DIGITS = 640
"""CPython can be set to refuse longer integers, but not shorter ones (sys.set_int_max_str_digits)."""

_DEPTH = 128
"""Levels of nesting beyond which a value is out of the ordinary; many readers stop there."""


class NotJsonError(ValueError):
    """No reading of the bytes is JSON.

    Attributes:
        position: Where it stops being JSON: a character of the text, from 0.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a plain value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a plain value is a JSON array."""
    return isinstance(value, list)


Reading = tuple[Any, list[str], str]
"""The value; the codes of the liberties taken (level ``bytes`` in `contracts/wire/openai/relaxations.json`),
empty for JSON; and what follows the value, stripped, if anything does."""


def read(data: bytes) -> Reading:
    """Read one JSON value.

    Half a surrogate pair becomes U+FFFD, also where the other half begins the next event's text: each
    event is a JSON text of its own. A number beyond a double's range becomes the largest double.

    Args:
        data: The bytes of a body or an event.

    Raises:
        NotJsonError: If there is no reading.
    """
    found = attempt(data)
    if isinstance(found, NotJsonError):
        raise found
    return found


def attempt(data: bytes) -> Reading | NotJsonError:
    """The same without raising, so that no exception holding the body becomes the context of another."""
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
    """The first value in a text, well formed, and where it ends; or why there is none."""

    def constant(_word: str) -> None:
        codes.append("number-not-finite")

    start = len(text) - len(text.lstrip(_BLANK))
    hooks: dict[str, Any] = {"parse_constant": constant, "parse_int": _integer, "parse_float": _float}
    try:
        try:
            value, end = json.JSONDecoder(**hooks).raw_decode(text, start)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Invalid control character"):
                return NotJsonError(error.msg, error.pos)
            value, end = json.JSONDecoder(strict=False, **hooks).raw_decode(text, start)
            codes.append("control-character")
        mended = _well_formed(value)
        if mended != value:
            codes.append("surrogate-lone")
    except json.JSONDecodeError as error:
        return NotJsonError(error.msg, error.pos)
    except RecursionError:
        return NotJsonError("nested too deeply to be read", 0)
    return mended, end


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_DIGITS else _float(digits)


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else math.copysign(sys.float_info.max, number)


def _well_formed(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value if value.isascii() else _HALF.sub("\ufffd", value)
    if is_array(value):
        return [_well_formed(item) for item in value]
    if is_object(value):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    return value


class _Repeated(dict[str, Any]):
    """An object that had a key twice."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeated(found)


_SCRUTINY = json.JSONDecoder(strict=False, object_pairs_hook=_members, parse_int=_integer, parse_float=_float)


def scrutinise(data: bytes) -> list[str]:
    """What a reader needn't notice but a judge should; it takes its time.

    Args:
        data: Bytes that `read` can read.

    Returns:
        The codes, of level ``bytes``: ``key-repeated``, ``nesting-too-deep``.
    """
    text = data.removeprefix(_BOM).decode(errors="replace").lstrip(_BLANK)
    try:
        level = _containers([_SCRUTINY.raw_decode(text)[0]])
    except RecursionError:
        return ["nesting-too-deep"]
    depth, repeated = 0, False
    while level:
        depth += 1
        repeated = repeated or any(isinstance(value, _Repeated) for value in level)
        level = [inner for outer in level for inner in _containers(outer)]
    return ["key-repeated"] * repeated + ["nesting-too-deep"] * (depth > _DEPTH)


def _containers(value: Any) -> list[Any]:
    """The objects and arrays among the items of one."""
    items: list[Any] = list(value.values()) if is_object(value) else value
    return [item for item in items if is_object(item) or is_array(item)]


def write(value: Any) -> str:
    """The JSON text of a plain value that `read` gave."""
    return msgspec.json.encode(value).decode()


def excerpt(data: bytes, *, limit: int = 200) -> str:
    """The beginning of some bytes as one line of text, for a message."""
    text = " ".join(data[: 4 * limit].decode(errors="replace").split())
    return text if len(text) <= limit else text[: limit - 1] + "…"

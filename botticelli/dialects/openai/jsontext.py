"""Reading JSON that almost is: bytes to plain values, a name for each liberty taken. No format knowledge.

msgspec reads what is JSON; what it refuses is read once more with the standard library, leniently, so
that an answer isn't lost over a NaN, half a character or a raw tab.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import msgspec

__all__ = ["NotJsonError", "excerpt", "is_array", "is_object", "read"]

_BOM = b"\xef\xbb\xbf"
_INT_DIGITS = 4000
"""CPython refuses to read longer integers (sys.set_int_max_str_digits); ours become floats before that."""


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


def read(data: bytes) -> tuple[Any, list[str], str]:
    """Read one JSON value.

    Args:
        data: The bytes of a body or an event.

    Returns:
        The value; the codes of the liberties taken (`contracts/wire/relaxations.json`, level ``bytes``),
        empty for JSON; and what follows the value, stripped, if anything does.

    Raises:
        NotJsonError: If there is no reading.
    """
    try:
        return msgspec.json.decode(data), [], ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _read_leniently(data)
    except RecursionError:
        raise NotJsonError("nested too deeply to be read", 0) from None


def _read_leniently(data: bytes) -> tuple[Any, list[str], str]:
    codes: list[str] = []
    if data.startswith(_BOM):
        codes.append("bom")
        data = data[len(_BOM) :]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        codes.append("utf8-invalid")
        text = data.decode(errors="replace")

    def constant(_word: str) -> None:
        codes.append("number-not-finite")

    start = len(text) - len(text.lstrip())
    decoder = json.JSONDecoder(strict=False, parse_constant=constant, parse_int=_integer)
    try:
        value, end = decoder.raw_decode(text, start)
        value, mended = _well_formed(value)
    except RecursionError:
        raise NotJsonError("nested too deeply to be read", 0) from None
    except json.JSONDecodeError as error:
        raise NotJsonError(error.msg, error.pos) from None
    if mended:
        codes.append("surrogate-lone")
    if any(character < " " and character not in "\t\n\r" for character in text[start:end]) or (
        not _is_strict(text, start)
    ):
        codes.append("control-character")
    rest = text[end:].strip()
    if rest:
        codes.append("trailing-data")
    return value, list(dict.fromkeys(codes)), rest


def _is_strict(text: str, start: int) -> bool:
    try:
        json.JSONDecoder(parse_int=_integer).raw_decode(text, start)
    except json.JSONDecodeError:
        return False
    return True


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_DIGITS else float(digits)


def _well_formed(value: Any) -> tuple[Any, bool]:
    """The value with U+FFFD for lone surrogates, and whether there were any."""
    if isinstance(value, str):
        if value.isascii():
            return value, False
        mended = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return mended, mended != value
    if is_array(value):
        items = [_well_formed(item) for item in value]
        return [item for item, _ in items], any(mended for _, mended in items)
    if is_object(value):
        pairs = [(_well_formed(key), _well_formed(item)) for key, item in value.items()]
        return {key: item for (key, _), (item, _) in pairs}, any(
            by_key or by_item for (_, by_key), (_, by_item) in pairs
        )
    return value, False


def excerpt(data: bytes, *, limit: int = 200) -> str:
    """The beginning of some bytes as one line of text, for a message."""
    text = " ".join(data[: 4 * limit].decode(errors="replace").split())
    return text if len(text) <= limit else text[: limit - 1] + "…"

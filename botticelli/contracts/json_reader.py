"""Read bytes as JSON and report every fault instead of raising at the first one.

Each fault is repaired in the way that `contracts/wire/*/relaxations.json` describes for its code, and
reading goes on. Faults that Python's parser accepts are found too: repeated keys, NaN, lone surrogates.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botticelli.contracts.errors import InstanceError
from botticelli.contracts.jsonvalue import Token, is_array, is_object, json_path
from botticelli.contracts.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_DEPTH", "Reading", "read", "repair"]

MAX_DEPTH = 128
"""The levels of nesting that are validated. serde_json, which the validator uses, has the same limit."""

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK = " \t\r\n"
_EVENTS = re.compile(r"\s*(data|event|id|retry)?:")
_HINT = "; this is an event stream: validate_capture takes it whole"
_HUGE = sys.float_info.max
_MOST_DIGITS = 4_000


@dataclass(slots=True)
class Reading:
    """The result of reading some bytes.

    Attributes:
        value: The JSON value, repaired where necessary; None if there is no value.
        readable: False if the bytes hold no JSON value at all.
        faults: What is wrong with the bytes, in the order in which it was found.
    """

    value: Any = None
    readable: bool = True
    faults: list[Violation] = field(default_factory=list[Violation])


class _Repeated(dict[str, Any]):
    """An object that had a key more than once.

    The parser's hook doesn't know the path of the object, so it only leaves this mark; `_inspect`
    finds it and knows the path.
    """

    repeated: list[str]


def read(data: bytes) -> Reading:
    """Read one JSON value (RFC 8259): a whole body, or the data of one event.

    Args:
        data: The bytes, as received.

    Returns:
        The value and the faults. No bytes make it raise.
    """
    reading = Reading()
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
        reading.faults.append(_fault("bom", "there is a byte order mark before the JSON"))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        text = data.decode(errors="replace")
        message = f"the bytes are not UTF-8 at offset {error.start}"
        reading.faults.append(_fault("utf8-invalid", message))
    start = len(text) - len(text.lstrip(_BLANK))
    if start == len(text):
        return _unreadable(reading, "there is only whitespace" if text else "it is empty")
    try:
        reading.value, end = _decode(text, start, reading.faults)
    except json.JSONDecodeError as error:
        where = f"{error.msg.lower().removesuffix(' at')} at line {error.lineno} column {error.colno}"
        return _unreadable(reading, f"not JSON: {where}{_HINT if _EVENTS.match(text) else ''}")
    except RecursionError:
        return _unreadable(reading, f"nested deeper than {MAX_DEPTH} levels", "nesting-too-deep")
    if text[end:].strip(_BLANK):
        message = f"there is more data after the JSON value, from character {end} on; it is ignored"
        reading.faults.append(_fault("trailing-data", message))
    reading.value = repair(reading.value, reading.faults)
    return reading


def repair(value: Any, faults: list[Violation]) -> Any:
    """Return a value that the validator can take, and report what had to be repaired.

    Args:
        value: A value made of dict, list, str, int, float, bool and None.
        faults: The list to which the faults are appended.

    Returns:
        The value itself if nothing was wrong, otherwise a repaired copy.

    Raises:
        InstanceError: A part of it isn't JSON.
    """
    before = len(faults)
    faults.extend(_inspect(value, ()))
    return value if len(faults) == before else _repaired(value, 0)


def _decode(text: str, start: int, faults: list[Violation]) -> tuple[Any, int]:
    hooks: dict[str, Any] = {
        "object_pairs_hook": _object,
        "parse_float": _float,
        "parse_int": _integer,
    }
    try:
        return json.JSONDecoder(**hooks).raw_decode(text, start)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Invalid control character"):
            raise
    value = json.JSONDecoder(strict=False, **hooks).raw_decode(text, start)
    faults.append(_fault("control-character", "a string holds a control character that is not escaped"))
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    keys = [key for key, _ in pairs]
    marked = _Repeated(members)
    marked.repeated = [key for key in members if keys.count(key) > 1]
    return marked


def _float(text: str) -> float:
    # A JSON number may be beyond the range of a double. Only the literals NaN and Infinity are
    # illegal, and the parser doesn't call this function for those.
    value = float(text)
    return math.copysign(_HUGE, value) if math.isinf(value) else value


def _integer(text: str) -> int | float:
    # Python refuses to convert more than 4,300 digits at once, because it takes quadratic time.
    # Such a number is beyond the range of a double anyway.
    if len(text) < _MOST_DIGITS:
        return int(text)
    return -_HUGE if text.startswith("-") else _HUGE


def _inspect(value: Any, tokens: tuple[Token, ...]) -> Iterator[Violation]:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            yield _fault("surrogate-lone", "there is a lone surrogate in the text", tokens)
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield _fault("number-not-finite", f"{value} is not a JSON number", tokens)
    elif value is None or isinstance(value, bool | int):
        return
    elif not (is_object(value) or is_array(value)):
        raise InstanceError(json_path(tokens), type(value).__name__)
    elif value and len(tokens) >= MAX_DEPTH:
        # The whole path would be as long as the nesting; its first step is enough to find it.
        message = f"is nested deeper than {MAX_DEPTH} levels; deeper values are not validated"
        yield _fault("nesting-too-deep", message, tokens[:1])
    elif is_object(value):
        yield from _inspect_members(value, tokens)
    else:
        for index, item in enumerate(value):
            yield from _inspect(item, (*tokens, index))


def _inspect_members(value: dict[str, Any], tokens: tuple[Token, ...]) -> Iterator[Violation]:
    if isinstance(value, _Repeated):
        for key in value.repeated:
            yield _fault("key-repeated", "the key occurs more than once", (*tokens, key))
    for key, item in value.items():
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may break the type
            raise InstanceError(json_path(tokens), f"dict with a {type(key).__name__} key")
        if _SURROGATE.search(key):
            yield _fault("surrogate-lone", "there is a lone surrogate in the key", (*tokens, key))
        yield from _inspect(item, (*tokens, key))


def _repaired(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if is_object(value):
        if depth >= MAX_DEPTH:
            return {}
        return {_repaired(key, depth): _repaired(item, depth + 1) for key, item in value.items()}
    if is_array(value):
        return [_repaired(item, depth + 1) for item in value] if depth < MAX_DEPTH else []
    return value


def _unreadable(reading: Reading, message: str, keyword: str = "json-invalid") -> Reading:
    reading.readable = False
    reading.faults.append(_fault(keyword, message))
    return reading


def _fault(keyword: str, message: str, tokens: tuple[Token, ...] = ()) -> Violation:
    return Violation.at(tokens, "", keyword, message)

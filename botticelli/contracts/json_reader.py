"""Bytes to JSON values, with every fault of the bytes reported instead of raised.

Strict readers stop at the first fault. A judge has to say all that is wrong, so this one mends
each fault, in the way that `contracts/wire/relaxations.json` says a tolerant reader should, and
goes on. It also finds what Python's parser lets pass: repeated keys, NaN, lone surrogates.

May enter here: the standard library and the shape of violations. No schema, no validator.
"""

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botticelli.contracts.errors import InstanceError
from botticelli.contracts.jsonvalue import Token, is_array, is_object, json_path
from botticelli.contracts.violations import Violation

MAX_DEPTH = 128
"""Levels of nesting that are judged; serde_json stops at the same."""

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK = " \t\r\n"
_EVENTS = re.compile(r"\s*(data|event|id|retry)?:")
_HUGE = sys.float_info.max
_LONG = 4_000


@dataclass(slots=True)
class Reading:
    """What could be made of some bytes.

    Attributes:
        value: The JSON value, mended where it had to be; None as well when there was none.
        readable: False when the bytes hold no JSON value at all.
        faults: What is wrong with the bytes, in the order it was found.
    """

    value: Any = None
    readable: bool = True
    faults: list[Violation] = field(default_factory=list[Violation])


class _Repeated(dict[str, Any]):
    """An object that had a key twice. The parser has no paths, so the mark is found later."""

    repeated: list[str]


def read(data: bytes) -> Reading:
    """Read one JSON value (RFC 8259) as a whole body or one event's data holds it.

    Args:
        data: The bytes, as received.

    Returns:
        The value and the faults. Nothing is raised, whatever the bytes.
    """
    reading = Reading()
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
        reading.faults.append(_fault("bom", "a byte order mark stands before the JSON"))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        text = data.decode(errors="replace")
        said = f"byte {error.start} does not begin a UTF-8 character"
        reading.faults.append(_fault("utf8-invalid", said))
    start = len(text) - len(text.lstrip(_BLANK))
    if start == len(text):
        return _unreadable(reading, "there is nothing but whitespace" if text else "it is empty")
    try:
        reading.value, end = _decode(text, start, reading.faults)
    except json.JSONDecodeError as error:
        said = error.msg.lower().removesuffix(" at")
        hint = "; of an event stream, the data of one event can be judged" if _EVENTS.match(text) else ""
        return _unreadable(reading, f"not JSON: {said} at line {error.lineno} column {error.colno}{hint}")
    except RecursionError:
        return _unreadable(reading, f"nested deeper than {MAX_DEPTH} levels", "nesting-too-deep")
    if text[end:].strip(_BLANK):
        said = f"something follows the JSON value at character {end}; it is not judged"
        reading.faults.append(_fault("trailing-data", said))
    reading.value = mend(reading.value, reading.faults)
    return reading


def mend(value: Any, faults: list[Violation]) -> Any:
    """Make a value fit for validation, and report what had to be mended.

    Args:
        value: A value made of dict, list, str, int, float, bool and None.
        faults: The list that what is found is added to.

    Returns:
        The value itself if nothing was wrong, else a mended copy.

    Raises:
        InstanceError: Some part of it is no JSON value at all.
    """
    before = len(faults)
    faults.extend(_inspect(value, ()))
    return value if len(faults) == before else _mended(value, 0)


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
    faults.append(_fault("control-character", "a string holds a raw control character"))
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
    # A JSON number may lie beyond the range of a double; only the literals NaN and Infinity
    # are illegal, and those don't come by here.
    value = float(text)
    return math.copysign(_HUGE, value) if math.isinf(value) else value


def _integer(text: str) -> int | float:
    # Python refuses to convert more than 4,300 digits at once, to keep attackers from
    # burning its time; such a number is beyond the range of a double anyway.
    if len(text) < _LONG:
        return int(text)
    return -_HUGE if text.startswith("-") else _HUGE


def _inspect(value: Any, tokens: tuple[Token, ...]) -> Iterator[Violation]:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            yield _fault("surrogate-lone", "a surrogate stands without its partner", tokens)
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield _fault("number-not-finite", f"{value} is not a JSON number", tokens)
    elif value is None or isinstance(value, bool | int):
        return
    elif not (is_object(value) or is_array(value)):
        raise InstanceError(json_path(tokens), type(value).__name__)
    elif value and len(tokens) >= MAX_DEPTH:
        # The whole path would be as long as the nesting; its first step is enough to find it.
        said = f"nests deeper than {MAX_DEPTH} levels; what lies below them is not judged"
        yield _fault("nesting-too-deep", said, tokens[:1])
    elif is_object(value):
        yield from _inspect_members(value, tokens)
    else:
        for index, item in enumerate(value):
            yield from _inspect(item, (*tokens, index))


def _inspect_members(value: dict[str, Any], tokens: tuple[Token, ...]) -> Iterator[Violation]:
    if isinstance(value, _Repeated):
        for key in value.repeated:
            yield _fault("key-repeated", "the key stands here more than once", (*tokens, key))
    for key, item in value.items():
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- callers err
            raise InstanceError(json_path(tokens), f"dict with a {type(key).__name__} key")
        if _SURROGATE.search(key):
            said = "the key has a surrogate without its partner"
            yield _fault("surrogate-lone", said, (*tokens, key))
        yield from _inspect(item, (*tokens, key))


def _mended(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if is_object(value):
        if depth >= MAX_DEPTH:
            return {}
        return {_mended(key, depth): _mended(item, depth + 1) for key, item in value.items()}
    if is_array(value):
        return [_mended(item, depth + 1) for item in value] if depth < MAX_DEPTH else []
    return value


def _unreadable(reading: Reading, said: str, keyword: str = "json-invalid") -> Reading:
    reading.readable = False
    reading.faults.append(_fault(keyword, said))
    return reading


def _fault(keyword: str, said: str, tokens: tuple[Token, ...] = ()) -> Violation:
    return Violation.at(tokens, "", keyword, said)

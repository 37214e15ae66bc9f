"""When a request can't be sent: the closed list of rules, and holding a value to them. No bytes, no I/O."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from botticelli.core.errors import RequestError
from botticelli.protocol.lenient_json import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RULES", "check_json", "check_name", "check_text", "refuse", "wrong_type"]

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model-missing": "a request needs the name of a model",
        "messages-empty": "a request needs at least one message",
        "type": "a member must have its documented type",
        "null": "a member that the format doesn't allow to be null must be given, or left UNSET if it may",
        "number-range": "a number must be in its published range, a whole one within 64 bits",
        "number-not-finite": "NaN and infinities aren't JSON",
        "surrogate-lone": "a text must be encodable as UTF-8",
        "not-json": "what is passed through must be JSON: no other objects, only texts as keys, no cycles",
        "content-missing": "a message must say something: content, a tool call or a refusal",
        "content-unwanted": "only the assistant's messages carry tool calls, refusals and reasoning",
        "part-unsupported": "the format has no such part, or not in a message of this role",
        "media-type": "a medium must be of a type that the format can name",
        "media-unreadable": "a file that a message names must be readable",
        "tool-call-id": "a tool's message must name the call it answers, and only a tool's message may",
        "name": "names of tools and schemas have 1 to 64 letters, digits, _ or -",
        "stop-count": "there are at most four texts at which to stop, and at least one",
        "word": "a member with a published list of words must be one of them",
        "top-logprobs-alone": "top_logprobs needs logprobs=True",
        "metadata-size": "metadata has at most 16 pairs, keys of 64 and values of 512 characters",
        "schema-missing": "a JSON schema response format needs a name",
        "extra-conflict": "extra may not repeat what the request sets, nor model, messages or stream",
    }
)
"""Every rule and what it demands; nothing else makes a `RequestError`.

What no rule forbids is the server's to judge, published members that come by way of `extra` included."""

INT64: Final = (-(2**63), 2**63 - 1)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_MAY_BE_UNSET = re.compile(
    r"\$\.(?:tools|tool_choice|parallel_tool_calls|response_format|user"
    r"|tools\[\d+\]\.(?:description|parameters)|response_format\.(?:description|schema))"
)
"""Where UNSET is allowed and null is not."""
_WIDEST = 2**64
_DEEPEST = 512
_SHOWN = 80


def refuse(rule: str, path: str, message: str) -> NoReturn:
    """Raise the `RequestError` of a rule."""
    raise RequestError(message, path=path, rule=rule)


def wrong_type(path: str, value: object, wanted: str) -> NoReturn:
    """Refuse a value for its type; null has a rule of its own, for often UNSET is what was meant."""
    name = path[2:] or "the request"
    if value is None:
        advice = "leave it UNSET" if _MAY_BE_UNSET.fullmatch(path) else f"it must be {wanted}"
        refuse("null", path, f"{name} can't be null; {advice}")
    refuse("type", path, f"{name} must be {wanted}, not {type(value).__name__}")


def check_text(value: object, path: str) -> None:
    """Hold a value to being a text."""
    if not isinstance(value, str):
        wrong_type(path, value, "a text")


def check_name(value: object, path: str) -> None:
    """Hold a value to being a name of a tool or a schema."""
    check_text(value, path)
    if not _NAME.fullmatch(str(value)):
        refuse("name", path, f"{str(value)[:_SHOWN]!r} is no name: 1 to 64 letters, digits, _ or -")


def check_json(value: object, path: str) -> None:
    """Hold a value that is passed through to what JSON can carry.

    Raises:
        RequestError: With the rule ``not-json``, ``number-not-finite``, ``number-range`` or
            ``surrogate-lone``, and the path.
    """
    pending: list[tuple[object, str, int]] = [(value, path, 0)]
    while pending:
        item, place, depth = pending.pop()
        if depth > _DEEPEST:
            refuse("not-json", path, "it is nested too deeply, or contains itself")
        if isinstance(item, list | tuple):
            items = cast("list[Any]", item)
            pending += [(inner, f"{place}[{position}]", depth + 1) for position, inner in enumerate(items)]
        elif is_object(item):
            for key, inner in item.items():
                _check_key(key, place)
                pending.append((inner, f"{place}.{key}", depth + 1))
        else:
            _check_scalar(item, place)


def _check_key(key: object, path: str) -> None:
    if not isinstance(key, str):
        refuse("not-json", path, f"keys must be texts, not {type(key).__name__}")
    _check_scalar(key, path)


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            refuse("surrogate-lone", path, "the text holds half a surrogate pair, which UTF-8 can't carry")
    elif isinstance(value, float):
        if not math.isfinite(value):
            refuse("number-not-finite", path, f"{value} isn't JSON")
    elif isinstance(value, int):
        if not -_WIDEST < value < _WIDEST:
            refuse("number-range", path, "the whole number is wider than 64 bits")
    elif value is not None:
        refuse("not-json", path, f"a {type(value).__name__} isn't JSON")

"""What an error body says, whichever of the envelopes it came in: bytes to message, code, type and param.

No status, no headers, no judgement. Every envelope that `fixtures/errors.json` lists is read, and any other
bytes give a `Said` too: its message is then the text as it stands, an HTML page's title, or empty.
"""

from __future__ import annotations

import html
import re
from typing import Any, Final, TypeGuard

import msgspec

from botticelli.protocol import lenient_json
from botticelli.protocol.response_headers import duration

__all__ = ["MAX_BODY", "MAX_MESSAGE", "Said", "clean", "read", "word"]

MAX_BODY: Final = 1 << 20
"""Bytes of an error's body that are read and kept; a driver need not receive more."""

MAX_MESSAGE: Final = 2000
"""Characters of a server's message that are kept; the body has the rest."""

_MAX_WORD: Final = 200
_MAX_TEXT: Final = 65536
_MAX_DEPTH: Final = 6
_MAX_ITEMS: Final = 20

_OUTER: Final = ("error", "errors", "detail", "message", "msg", "title", "error_description", "reason")
"""Where an envelope keeps its words, the first that has any deciding."""
_BESIDE: Final = ("message", "detail", "errors", "error_description")
"""Where it says more when ``error`` is but a headline, as in Featherless's, Fastify's and OAuth's errors."""
_INNER: Final = ("message", "msg", *_OUTER)
"""The same within an error."""

_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MARKUP = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_TITLES = tuple(
    re.compile(rf"<{tag}(?:\s[^<>]{{0,200}})?>([^<]{{1,500}})", re.IGNORECASE) for tag in ("title", "h1")
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a server said about an error; None where it said nothing.

    Attributes:
        message: Its words, not yet bounded; empty where there are none.
        code: Its code, a string or a whole number as sent.
        type: Its word for the sort of error.
        param: The request member that it blames.
        status: The status that the body names, from 400 to 599.
        wait: Seconds that the body asks to wait (Google's ``RetryInfo``).
    """

    message: str = ""
    code: str | int | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    wait: float | None = None


def read(body: bytes, content_type: str = "") -> Said:
    """Read an error body.

    Args:
        body: Any bytes.
        content_type: What they claim to be; only used to tell HTML from text, after JSON was tried.
    """
    value: object
    try:
        value, _, rest = lenient_json.read(body)
    except lenient_json.NotJsonError:
        return Said(message=_plain(body, content_type))
    # "404: Not Found" begins with a JSON number
    if rest and not (_is_dict(value) or _is_list(value)):
        return Said(message=_plain(body, content_type))
    while _is_list(value) and len(value) == 1:
        value = value[0]
    if not _is_dict(value):
        return Said(message=_words(value))
    choices = value.get("choices")
    value = _failed_choice(choices) or value
    parts = _parts(value)
    return Said(
        # an envelope nobody knows still says more than a status; an answer in pieces doesn't
        message=_message(value) or ("" if choices or not value else body.decode(errors="replace").strip()),
        code=_first(parts, ("code",), _code),
        type=_first(parts, ("type", "error_type", "status", "reason"), word),
        param=_first(parts, ("param",), word),
        status=_first(parts, ("http_status_code", "status_code", "statusCode", "status", "code"), _status),
        wait=_first(parts, ("details",), _wait),
    )


def clean(text: str, limit: int) -> str:
    """Text that is safe to print, at most `limit` characters: no control characters, no half characters."""
    text = _UNSAFE.sub("\ufffd", text[: limit + 1]).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _message(envelope: dict[str, Any]) -> str:
    for key in _OUTER:
        words = _words(envelope.get(key))
        if not words:
            continue
        if key == "error" and isinstance(envelope["error"], str):
            more = next(filter(None, (_words(envelope.get(beside)) for beside in _BESIDE)), "")
            if more and more not in words:
                return more if words in more else f"{words}: {more}"
        return words
    return ""


def _failed_choice(choices: object) -> dict[str, Any] | None:
    """The choice that holds an error, where one does: OpenRouter's way."""
    failed = (c for c in choices if _is_dict(c) and c.get("error")) if _is_list(choices) else iter(())
    return next(failed, None)


def _words(value: object, depth: int = _MAX_DEPTH) -> str:
    """The prose in a value: strings as they are, lists joined, ``loc`` put before ``msg``."""
    if isinstance(value, str):
        return value.strip()
    if depth == 0:
        return ""
    if _is_list(value):
        return "; ".join(filter(None, (_words(item, depth - 1) for item in value[:_MAX_ITEMS])))
    if not _is_dict(value):
        return ""
    words = next(filter(None, (_words(value.get(key), depth - 1) for key in _INNER)), "")
    place = value.get("loc")
    if words and _is_list(place):
        return f"{'.'.join(str(step) for step in place if isinstance(step, str | int))}: {words}"
    return words


def _parts(envelope: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that may hold code, type and param, the innermost first."""
    nested = [envelope]
    while len(nested) < _MAX_DEPTH:
        inner: object = nested[-1].get("error") or nested[-1].get("errors")
        if _is_list(inner):
            inner = next(iter(inner), None)
        if not _is_dict(inner):
            break
        nested.append(inner)
    return nested[::-1]


def _first(parts: list[dict[str, Any]], keys: tuple[str, ...], read_as: Any) -> Any:
    found = (read_as(part.get(key)) for part in parts for key in keys)
    return next((value for value in found if value is not None), None)


def word(value: object) -> str | None:
    """A code, type or parameter, safe to print and bounded; None if it is no string or empty."""
    return clean(value, _MAX_WORD) or None if isinstance(value, str) else None


def _code(value: object) -> str | int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else None
    return word(value)


def _status(value: object) -> int | None:
    code = _code(value)
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _wait(details: object) -> float | None:
    """Google's ``RetryInfo``: how long a client should at least wait.

    Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
    """
    for detail in details if _is_list(details) else ():
        if _is_dict(detail) and detail.get("@type") == "type.googleapis.com/google.rpc.RetryInfo":
            delay = detail.get("retryDelay")
            return duration(delay) if isinstance(delay, str) else None
    return None


def _plain(body: bytes, content_type: str) -> str:
    text = body[:_MAX_TEXT].decode(errors="replace").lstrip("\ufeff")
    if "html" in content_type.lower() or _MARKUP.match(text):
        titles = (html.unescape(found[1]).strip() for title in _TITLES if (found := title.search(text)))
        return " ".join(next(filter(None, titles), "").split())
    # compressed or otherwise binary
    return "" if 10 * len(_UNSAFE.findall(text) + text.split("\ufffd")[1:]) > len(text) else text.strip()

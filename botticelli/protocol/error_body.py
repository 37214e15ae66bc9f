"""Read the body of an error, whatever its shape, into message, code, type and param.

Every shape that ``fixtures/errors.json`` lists is read. Any other bytes give an `ErrorBody` too: its message
is the text as it stands, an HTML page's title, or empty.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from botticelli.protocol import lenient_json
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.response_headers import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_BODY", "MAX_MESSAGE", "ErrorBody", "clean", "clean_word", "read_error_body"]

MAX_BODY: Final = 1 << 20
"""Bytes of an error's body that are read and stored; no more need be received."""

MAX_MESSAGE: Final = 2000
"""Characters of a server's message that the error shows; the body has the rest."""

_MAX_WORD: Final = 200
_MAX_TEXT: Final = 65536
_MAX_DEPTH: Final = 6
_MAX_ITEMS: Final = 20

_OUTER: Final = (
    *("error", "errors", "detail", "message", "msg", "title", "error_description", "reason"),
    # error-other-names: Qianfan's, MiniMax's and others' in its way
    *("error_message", "error_msg", "base_resp", "status_msg"),
)
"""Members of a body that may hold the message; the first that has text decides."""
_BESIDE: Final = ("message", "detail", "errors", "error_description")
"""Members that say more when ``error`` is only a headline: Featherless's, Fastify's and OAuth's errors."""
_INNER: Final = ("message", "msg", *_OUTER)
"""Members of an error object that may hold the message."""

_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MARKUP = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_TITLES = tuple(
    re.compile(rf"<{tag}(?:\s[^<>]{{0,200}})?>([^<]{{1,500}})", re.IGNORECASE) for tag in ("title", "h1")
)


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a server reports about an error; None where it reports nothing.

    Attributes:
        message: Its message, not yet bounded; empty where there is none.
        code: Its code, a string or a whole number as sent.
        type: Its word for the sort of error.
        param: The request member that it blames.
        status: The status that the body names, from 400 to 599.
        wait: Seconds that the body asks to wait (Google's ``RetryInfo``).
        reason: The part of the message that a gateway only hands on (``metadata.raw``), or empty.
        limit: The tokens that fit, where members of their own tell (llama.cpp's ``n_ctx``).
        used: The tokens that were asked for, likewise (``n_prompt_tokens``).
    """

    message: str = ""
    code: str | int | None = None
    type: str | None = None
    param: str | None = None
    status: int | None = None
    wait: float | None = None
    reason: str = ""
    limit: int | None = None
    used: int | None = None


def read_error_body(body: bytes, content_type: str = "") -> ErrorBody:
    """Read the body of an error.

    Args:
        body: Any bytes.
        content_type: What they claim to be; only used to tell HTML from text, after JSON was tried.
    """
    value: object
    try:
        value, _, rest = lenient_json.parse(body)
    except lenient_json.NotJsonError:
        return ErrorBody(message=_plain(body, content_type))
    # error-text-404: "404: Not Found" begins with a JSON number
    if rest and not (is_object(value) or is_array(value)):
        return ErrorBody(message=_plain(body, content_type))
    return _with_reason(value, body.decode(errors="replace").strip())


def _with_reason(value: Any, text: str) -> ErrorBody:
    """Read a body, and in it another server's error that a gateway hands on: OpenRouter's ``metadata.raw``.

    What that server said is the more precise; the status is the gateway's.
    """
    found, parts = _read(value, text)
    raw = next(filter(None, (metadata.get("raw") for metadata in _metadata(parts))), None)
    # error-relayed-text, error-relayed-json: the reason is a text, JSON in a text, or JSON
    inner = _read_relayed(raw)
    if inner is None:
        return found
    return ErrorBody(
        message=_join("" if found.message == text else found.message, inner.message),
        code=found.code if inner.code is None else inner.code,
        type=inner.type or found.type,
        param=inner.param or found.param,
        status=found.status or inner.status,
        wait=found.wait if inner.wait is None else inner.wait,
        reason=inner.message,
        limit=inner.limit or found.limit,
        used=inner.used or found.used,
    )


def _metadata(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (metadata for part in parts if is_object(metadata := part.get("metadata")))


def _read_relayed(raw: object) -> ErrorBody | None:
    if isinstance(raw, str):
        found = lenient_json.try_parse(raw.encode(errors="replace"))
        if isinstance(found, lenient_json.NotJsonError) or found[2] or not is_object(found[0]):
            return ErrorBody(message=raw.strip())
        return _read(found[0], raw.strip())[0]
    return _read(raw, "")[0] if is_object(raw) else None


def _join(headline: str, words: str) -> str:
    """Return a headline and what says more, unless one of them says it all."""
    if not words or words in headline:
        return headline
    return words if headline in words else f"{headline}: {words}"


def _read(value: Any, text: str) -> tuple[ErrorBody, list[dict[str, Any]]]:
    """Read a JSON value that was written as this text; return the objects too that it was read from."""
    # error-list-wrapped: Gemini puts the whole body in a list
    while is_array(value) and len(value) == 1:
        value = value[0]
    if not is_object(value):
        return ErrorBody(message=_words(value)), []
    choices = value.get("choices")
    value = _failed_choice(choices) or value
    parts = _error_objects(value)
    found = ErrorBody(
        # a body of unknown shape still says more than a status; a piece of an answer doesn't
        message=_message(value) or ("" if choices or not value else text),
        code=_first(parts, ("code", "error_code"), _code),
        type=_first(parts, ("type", "error_type", "status", "reason"), clean_word),
        param=_first(parts, ("param",), clean_word),
        status=_first(parts, ("http_status_code", "status_code", "statusCode", "status", "code"), _status),
        wait=_first(parts, ("details",), _wait),
        limit=_first(parts, ("n_ctx",), _tokens),
        used=_first(parts, ("n_prompt_tokens",), _tokens),
    )
    return found, parts


def clean(text: str, limit: int) -> str:
    """Return text that is safe to print, of at most `limit` characters, without control characters."""
    text = _UNSAFE.sub("\ufffd", text[: limit + 1]).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _message(envelope: dict[str, Any]) -> str:
    for key in _OUTER:
        words = _words(envelope.get(key))
        if not words:
            continue
        # error-title-beside-message: a text in "error" may be only a title
        if key == "error" and isinstance(envelope["error"], str):
            more = next(filter(None, (_words(envelope.get(beside)) for beside in _BESIDE)), "")
            return _join(words, more)
        return words
    return ""


def _failed_choice(choices: object) -> dict[str, Any] | None:
    """Return the choice that holds an error, where one does: OpenRouter's way."""
    failed = (c for c in choices if is_object(c) and c.get("error")) if is_array(choices) else iter(())
    return next(failed, None)


def _words(value: object, depth: int = _MAX_DEPTH) -> str:
    """Return the prose in a value: strings as they are, lists joined, ``loc`` put before ``msg``."""
    if isinstance(value, str):
        return value.strip()
    if depth == 0:
        return ""
    if is_array(value):
        return "; ".join(filter(None, (_words(item, depth - 1) for item in value[:_MAX_ITEMS])))
    if not is_object(value):
        return ""
    words = next(filter(None, (_words(value.get(key), depth - 1) for key in _INNER)), "")
    place = value.get("loc")  # error-detail-list: without the place nobody knows what to correct
    if words and is_array(place):
        return f"{'.'.join(str(step) for step in place if isinstance(step, str | int))}: {words}"
    return words


def _error_objects(envelope: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that may hold code, type and param, the innermost first."""
    nested = [envelope]
    while len(nested) < _MAX_DEPTH:
        inner: object = nested[-1].get("error") or nested[-1].get("errors")
        if is_array(inner):
            inner = next(iter(inner), None)
        # error-detail-object: FastAPI puts whatever a server's author raises into "detail"
        inner = inner or nested[-1].get("detail")
        if not is_object(inner):
            break
        nested.append(inner)
    base = envelope.get("base_resp")
    if is_object(base):
        # error-other-names: MiniMax's status_code is a code of its own
        nested.append({"code": base.get("status_code")})
    return nested[::-1]


def _first(parts: list[dict[str, Any]], keys: tuple[str, ...], read_as: Any) -> Any:
    found = (read_as(part.get(key)) for part in parts for key in keys)
    return next((value for value in found if value is not None), None)


def clean_word(value: object) -> str | None:
    """Return a code, type or parameter, safe to print and bounded; None unless it is a string with text."""
    return clean(value, _MAX_WORD) or None if isinstance(value, str) else None


def _code(value: object) -> str | int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else None
    return clean_word(value)


def _tokens(value: object) -> int | None:
    count = _code(value)
    return count if isinstance(count, int) and count > 0 else None


def _status(value: object) -> int | None:
    code = _code(value)
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _wait(details: object) -> float | None:
    """Return how long a client should at least wait, from Google's ``RetryInfo``.

    Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
    """
    for detail in details if is_array(details) else ():
        if is_object(detail) and detail.get("@type") == "type.googleapis.com/google.rpc.RetryInfo":
            delay = detail.get("retryDelay")
            return parse_duration(delay) if isinstance(delay, str) else None
    return None


def _plain(body: bytes, content_type: str) -> str:
    text = body[:_MAX_TEXT].decode(errors="replace").lstrip("\ufeff")
    if "html" in content_type.lower() or _MARKUP.match(text):
        titles = (html.unescape(found[1]).strip() for title in _TITLES if (found := title.search(text)))
        return " ".join(next(filter(None, titles), "").split())
    # error-body-not-utf8: another encoding leaves most of a text readable; with more than a tenth that
    # isn't, it's compressed or otherwise binary
    return "" if 10 * len(_UNSAFE.findall(text) + text.split("\ufffd")[1:]) > len(text) else text.strip()

"""A whole answer: bytes -> `GenerateResponse`. One pass where it keeps the format, the repair path where not.

What may enter: reading bodies of 2xx answers. What may not: headers and statuses (`failure`), streams
(`stream`, which this module hands a body to that turns out to be one), I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from botticelli.core.errors import EmptyResponseError, MalformedResponseError
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.answers import build, is_rich, mended
from botticelli.dialects.openai.embedded import is_error
from botticelli.dialects.openai.errors import embedded_failure
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import Notes
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from botticelli.core.response import GenerateResponse
    from botticelli.dialects.openai.embedded import EmbeddedFailure

__all__ = ["decode_response", "foreign_charset"]

_SSE = (b"data:", b"event:", b"id:", b"retry:", b":")
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


class _Plain(msgspec.Struct):
    """The choices with the members that the strict structs don't keep."""

    choices: list[dict[str, Any]]


_RESPONSE = msgspec.json.Decoder(wire.Response)
_PLAIN = msgspec.json.Decoder(_Plain)


def decode_response(
    body: bytes,
    *,
    status: int = 200,
    content_type: str = "",
    failure: EmbeddedFailure = embedded_failure,
    n: int = 1,
    audit: bool = False,
) -> GenerateResponse:
    """Read the body of a 2xx answer.

    Args:
        body: The bytes, decompressed.
        status: The status it came with, for errors.
        content_type: The header, for errors and for a wrong charset; never decides how to read.
        failure: What makes an error of an error in the body; the driver's knows its provider's table.
        n: How many answers were asked for.
        audit: Whether to look for what a reader needn't notice too, which takes time.

    Returns:
        The answer; `deviations` tells where it broke the format and could be read all the same.

    Raises:
        EmptyResponseError: If there is no choice in it.
        MalformedResponseError: If it isn't JSON, or not an answer, or a part of the answer can't be read;
            `partial` has the rest.
        StreamError: If it is an error in spite of its status.
    """
    notes = Notes()
    response = _conforming(body, notes)
    if response is None:
        if body.removeprefix(_BOM).lstrip(_BLANK).startswith(_SSE):
            return _decode_events(body, status, content_type, failure, n=n, audit=audit)
        response = _Odd(body, status, content_type, failure).read(notes)
    if foreign_charset(content_type):
        notes.add("charset-wrong")
    if len(response.choices) < n:
        notes.add("choices-fewer", "$.choices", "$.choices")
    if audit:
        for code in lenient_json.scrutinise(body):
            notes.add(code)
    response.deviations = notes.deviations()
    response.raw = body
    if notes.fault is not None:
        raise MalformedResponseError(
            notes.fault.message,
            path=notes.fault.path,
            status=status,
            body=body[:MAX_BODY],
            partial=response if response.choices else None,
        )
    if not response.choices:
        message = f"the answer has no choices: {lenient_json.excerpt(body)!r}"
        raise EmptyResponseError(message, status=status, body=body[:MAX_BODY])
    return response


def foreign_charset(content_type: str) -> bool:
    """Whether a content type names another charset than the one that JSON and event streams have."""
    _, found, rest = content_type.lower().partition("charset=")
    return bool(found) and rest.split(";")[0].strip(" \"'") not in ("utf-8", "utf8", "us-ascii", "")


def _conforming(body: bytes, notes: Notes) -> GenerateResponse | None:
    """The answer in a body that keeps the format; None if it doesn't."""
    try:
        answer = _RESPONSE.decode(body)
        if not body.isascii():
            body.decode()  # msgspec passes over what the structs don't keep
        plain = _PLAIN.decode(body).choices if any(map(is_rich, answer.choices)) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not answer.choices or any(choice.error for choice in answer.choices):
        return None
    return build(answer, plain, notes)


def _decode_events(
    body: bytes, status: int, content_type: str, failure: EmbeddedFailure, *, n: int, audit: bool
) -> GenerateResponse:
    """Read an event stream that came where a whole answer was asked for."""
    from botticelli.dialects.openai.stream import OpenAIStreamReader

    stream = OpenAIStreamReader(status=status, content_type=content_type, failure=failure, n=n, audit=audit)
    stream.notes.add("sse-in-json")
    stream.feed(body)
    stream.finish()
    response = stream.response
    response.raw = body
    return response


class _Odd:
    """A body that the strict structs refused."""

    def __init__(self, body: bytes, status: int, content_type: str, failure: EmbeddedFailure) -> None:
        self._body = body
        self._status = status
        self._content_type = content_type
        self._failure = failure

    def read(self, notes: Notes) -> GenerateResponse:
        """The answer in it; raises what `decode_response` does."""
        body = self._body
        if not body.removeprefix(_BOM).strip(_BLANK):
            raise EmptyResponseError("the answer has no body", status=self._status, body=body)
        value = self._value(notes)
        if is_error(value):
            raise self._failure(body[:MAX_BODY], partial=_delivered(value))
        if not is_object(value):
            raise self._malformed(f"the answer is JSON but not an object: {lenient_json.excerpt(body)!r}")
        response = _mended(value, notes)
        if response is None:
            raise self._malformed("the answer is nested too deeply to be read")
        return response

    def _value(self, notes: Notes) -> Any:
        found = lenient_json.attempt(self._body)
        if isinstance(found, lenient_json.NotJsonError):
            told = self._content_type
            label = f" and is labelled {told}" if told and "json" not in told else ""
            begin = lenient_json.excerpt(self._body)
            message = f"the answer isn't JSON{label}: {found}; it begins {begin!r}"
            raise self._malformed(message, f"character {found.position}")
        value, codes, rest = found
        # What follows the answer may be ignored, unless it is more of it.
        if any(map(_is_answer, (rest, *rest.splitlines()))):
            label = f", labelled {self._content_type}" if self._content_type else ""
            begin = lenient_json.excerpt(self._body)
            raise self._malformed(
                f"the body holds several JSON values instead of an answer{label}: {begin!r}"
            )
        for code in codes:
            notes.add(code)
        return value

    def _malformed(self, message: str, path: str = "$") -> MalformedResponseError:
        return MalformedResponseError(message, path=path, status=self._status, body=self._body[:MAX_BODY])


def _is_answer(text: str) -> bool:
    found = lenient_json.attempt(text.strip().removeprefix("data:").strip().encode())
    if isinstance(found, lenient_json.NotJsonError):
        return False
    value = found[0]
    return is_object(value) and ("choices" in value or is_error(value))


def _delivered(value: Any) -> GenerateResponse | None:
    """What an error that came beside choices had delivered."""
    if not is_object(value) or not is_array(value.get("choices")):
        return None
    response = _mended(value, Notes())
    return response if response and any(choice.outputs for choice in response.choices) else None


def _mended(value: dict[str, Any], notes: Notes) -> GenerateResponse | None:
    """The answer, or None if it is nested too deeply to be read."""
    try:
        return mended(value, notes)
    except RecursionError:
        return None

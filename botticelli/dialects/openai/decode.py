"""A whole answer: bytes -> `GenerateResponse`. One pass where it keeps the format, the repair path where not.

What may enter: reading bodies of 2xx answers. What may not: headers and statuses (`failure`), streams
(`stream`, which this module hands a body to that turns out to be one), I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import UNSET

from botticelli.core.errors import BotticelliError, EmptyResponseError, MalformedResponseError
from botticelli.core.response import Choice, GenerateResponse

from . import jsontext, parts, wire
from .failure import MAX_BODY, embedded_failure
from .jsontext import is_array, is_object
from .notes import Notes

if TYPE_CHECKING:
    from botticelli.core.errors import StreamError

__all__ = ["EmbeddedFailure", "decode_response", "is_error", "mended"]

_SSE = (b"data:", b"event:", b"id:", b"retry:", b":")
_ERROR_MEMBERS = ("error", "errors", "detail", "message")


class EmbeddedFailure(Protocol):
    """What makes an error of an error inside a 200; `failure.embedded_failure` is one."""

    def __call__(self, body: bytes, /, *, partial: GenerateResponse | None = None) -> StreamError:
        """The error, not raised."""
        ...


class _CallsOfMessage(msgspec.Struct):
    tool_calls: list[dict[str, Any]] | None = None


class _CallsOfChoice(msgspec.Struct):
    message: _CallsOfMessage


class _Calls(msgspec.Struct):
    """The tool calls with all their members, which the strict structs drop."""

    choices: list[_CallsOfChoice]


_RESPONSE = msgspec.json.Decoder(wire.Response)
_CALLS = msgspec.json.Decoder(_Calls)


def decode_response(
    body: bytes,
    *,
    status: int = 200,
    content_type: str = "",
    failure: EmbeddedFailure = embedded_failure,
) -> GenerateResponse:
    """Read the body of a 2xx answer.

    Args:
        body: The bytes, decompressed.
        status: The status it came with, for errors.
        content_type: The header, for errors and for a wrong charset; never decides how to read.
        failure: What makes an error of an error in the body; the driver's knows its provider's table.

    Returns:
        The answer; `deviations` tells where it broke the format and could be read all the same.

    Raises:
        EmptyResponseError: If there is no choice in it.
        MalformedResponseError: If it isn't JSON, or not an answer.
        StreamError: If it is an error in spite of its status.
    """
    try:
        answer = _RESPONSE.decode(body)
        if not body.isascii():
            body.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_odd(body, status, content_type, failure)
    if not answer.choices or answer.error or _foreign_charset(content_type):
        return _decode_odd(body, status, content_type, failure)
    calls = _CALLS.decode(body).choices if any(c.message.tool_calls for c in answer.choices) else None
    choices = [
        _choice(choice, position, (calls[position].message.tool_calls or []) if calls else [])
        for position, choice in enumerate(answer.choices)
    ]
    return _response(answer, choices, body)


def _foreign_charset(content_type: str) -> bool:
    _, found, rest = content_type.lower().partition("charset=")
    return bool(found) and rest.split(";")[0].strip(" \"'") not in ("utf-8", "utf8", "us-ascii", "")


def _choice(choice: wire.Choice, position: int, calls: list[dict[str, Any]]) -> Choice:
    """One choice; members of a mended struct may be None or UNSET whatever their annotations say."""
    message, index = choice.message, choice.index
    built = [parts.tool_call(call) for call in calls]
    legacy = message.function_call if message else UNSET
    if isinstance(legacy, wire.LegacyFunctionCall):
        built.append(parts.tool_call({"function": msgspec.to_builtins(legacy)}))
    logprobs = msgspec.to_builtins(choice.logprobs) if choice.logprobs else None
    return parts.choice(
        position if index is None else index,  # pyright: ignore[reportUnnecessaryComparison] -- mended
        text=(message.content or "") if message else "",
        reasoning=parts.reasoning_text(
            message.reasoning_content, message.reasoning, message.reasoning_text, message.thinking
        )
        if message
        else "",
        refusal=(message.refusal or "") if message else "",
        spoken=parts.audio(msgspec.to_builtins(message.audio)) if message and message.audio else None,
        calls=built,
        finish=choice.finish_reason,
        logprobs=logprobs,
        annotations=msgspec.to_builtins(message.annotations) if message and message.annotations else None,
    )


def _response(answer: wire.Response, choices: list[Choice], body: bytes) -> GenerateResponse:
    tier, fingerprint = answer.service_tier, answer.system_fingerprint
    return GenerateResponse(
        choices=sorted(choices, key=lambda choice: choice.index),
        id=answer.id or "",
        model=answer.model or "",
        created=answer.created,
        usage=parts.usage(answer.usage) if answer.usage else None,
        service_tier=tier if isinstance(tier, str) else None,
        system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
        raw=body,
    )


def _decode_odd(body: bytes, status: int, content_type: str, failure: EmbeddedFailure) -> GenerateResponse:
    """Read a body that the strict structs refused."""
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:8]
    kept = body[:MAX_BODY]
    if not start:
        raise EmptyResponseError("the answer has no body", status=status, body=kept)
    if start.startswith(_SSE):
        return _decode_events(body, status, failure)
    label = f" and is labelled {content_type}" if content_type and "json" not in content_type else ""
    try:
        value, codes, rest = jsontext.read(body)
    except jsontext.NotJsonError as error:
        raise MalformedResponseError(
            f"the answer isn't JSON{label}: {error}; it begins {jsontext.excerpt(body)!r}",
            path=f"character {error.position}",
            status=status,
            body=kept,
        ) from None
    notes = Notes()
    for code in codes:
        notes.add(code)
    if _foreign_charset(content_type):
        notes.add("charset-wrong")
    _refuse_second_answer(rest, kept, status, content_type)
    if is_error(value):
        raise failure(kept, partial=_delivered(value))
    if not is_object(value):
        raise MalformedResponseError(
            f"the answer is JSON but not an object: {jsontext.excerpt(body)!r}", status=status, body=kept
        )
    response = mended(value, notes, body)
    if not response.choices:
        raise EmptyResponseError("the answer has no choices", status=status, body=kept)
    return response


def _refuse_second_answer(rest: str, kept: bytes, status: int, content_type: str) -> None:
    """Bytes after the answer may be ignored, unless they are more of it."""
    for line in rest.splitlines():
        text = line.strip().removeprefix("data:").strip()
        try:
            value, _, _ = jsontext.read(text.encode())
        except jsontext.NotJsonError:
            continue
        if is_object(value) and value.keys() & {"choices", "error"}:
            label = f", labelled {content_type}" if content_type else ""
            raise MalformedResponseError(
                f"the body holds one JSON value a line instead of an answer{label}: "
                f"{jsontext.excerpt(kept)!r}",
                status=status,
                body=kept,
            )


def _decode_events(body: bytes, status: int, failure: EmbeddedFailure) -> GenerateResponse:
    """Read an event stream that came where a whole answer was asked for."""
    from .stream import StreamAssembler

    stream = StreamAssembler(status=status, failure=failure)
    stream.feed(body)
    stream.finish()
    stream.notes.add("sse-in-json")
    response = stream.response
    response.deviations = stream.notes.deviations()
    response.raw = body
    return response


def is_error(value: Any) -> bool:
    """Whether a JSON value that came with a 2xx is an error all the same."""
    if is_array(value):
        return bool(value) and is_object(value[0]) and bool(value[0].get("error"))
    if not is_object(value):
        return False
    if value.get("error"):
        return True
    if value.get("object") == "error":
        return True
    told = any(value.get(name) for name in _ERROR_MEMBERS)
    return told and "choices" not in value and "data" not in value and "usage" not in value


def _delivered(value: Any) -> GenerateResponse | None:
    """What an error that came beside choices had delivered."""
    if not is_object(value) or not is_array(value.get("choices")):
        return None
    response = mended(value, Notes(), b"")
    return response if any(choice.outputs for choice in response.choices) else None


def mended(value: dict[str, Any], notes: Notes, body: bytes) -> GenerateResponse:
    """The answer in an object that breaks the format, by the repair path."""
    from .repair import mend

    choices: Any = value.get("choices")
    raw = (
        [_with_message(choice, notes) for choice in choices if is_object(choice)] if is_array(choices) else []
    )
    if is_array(choices):
        value = {**value, "choices": [c if is_object(c) else None for c in choices]}
        value["choices"] = [*raw, *(c for c in value["choices"] if c is None)]
    answer = mend(value, wire.Response, notes)
    if answer is None:
        raise BotticelliError("unreachable: an object is an object")
    built = [
        _choice(choice, position, _calls_of(raw[position]))
        for position, choice in enumerate(answer.choices or [])
    ]
    response = _response(answer, built, body)
    response.deviations = notes.deviations()
    return response


def _calls_of(choice: dict[str, Any]) -> list[dict[str, Any]]:
    message = choice.get("message")
    calls = message.get("tool_calls") if is_object(message) else None
    return [call for call in calls if is_object(call)] if is_array(calls) else []


def _with_message(choice: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The choice with the message that it has under another name."""
    message = choice.get("message")
    if is_object(message):
        return choice
    found = next((x for x in (message, choice.get("delta"), choice.get("text")) if x), None)
    if isinstance(found, str):
        found = {"role": "assistant", "content": found, "refusal": None}
    if not is_object(found):
        return choice
    notes.add("message-missing", "$.choices[0].message", "$.choices[].message")
    return {**choice, "message": found}

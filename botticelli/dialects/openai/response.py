"""Decode a whole answer, and encode one for a cache.

A body that keeps the format is decoded in one pass; any other goes through `repair`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from botticelli.core.errors import EmptyResponseError, MalformedResponseError
from botticelli.core.response import AudioOutput, Choice, GenerateResponse
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.errors import error_in_success, is_error
from botticelli.dialects.openai.limits import excess_in_response, excess_in_text, excess_in_value
from botticelli.dialects.openai.repair import mend
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from botticelli.core.message import ToolCall
    from botticelli.core.response import Usage
    from botticelli.dialects.openai.errors import MakeStreamError
    from botticelli.protocol.limits import Limits

__all__ = ["decode_response", "encode_response", "has_foreign_charset", "repair_response"]

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


class _Plain(msgspec.Struct):
    """Hold the choices with the members that the strict structs drop."""

    choices: list[dict[str, Any]]


_RESPONSE = msgspec.json.Decoder(wire.Response)
_PLAIN = msgspec.json.Decoder(_Plain)


def decode_response(
    body: bytes,
    *,
    status: int = 200,
    content_type: str = "",
    make_error: MakeStreamError = error_in_success,
    n: int = 1,
    audit: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> GenerateResponse:
    """Decode the body of a 2xx answer; for one that may be an event stream see `stream.decode_answer`.

    Args:
        body: The bytes, decompressed.
        status: The status it came with, for errors.
        content_type: The header, for errors and for a wrong charset; never decides how to read.
        make_error: What makes an error of an error in the body; the driver's knows its provider's table.
        n: How many answers were asked for.
        audit: Whether to look for what a reader needn't notice too, which takes time.
        limits: How much the answer may hold.

    Returns:
        The answer; `deviations` tells where it broke the format and could be read all the same.

    Raises:
        EmptyResponseError: If there is no choice in it.
        MalformedResponseError: If it isn't JSON, or not an answer, or a part of the answer can't be read;
            `partial` has the rest. If it is beyond `limits`.
        StreamError: If it is an error in spite of its status.
    """
    if excess := excess_in_text(body, limits):
        raise MalformedResponseError(excess, status=status, body=body[:MAX_BODY])
    log = DeviationLog()
    response = _conforming(body, log)
    if response is None:
        response = _Odd(body, status, content_type, make_error, n, limits).read(log)
    if found := excess_in_response(response, n, limits):
        raise MalformedResponseError(found[1], path=found[0], status=status, body=body[:MAX_BODY])
    if has_foreign_charset(content_type):
        log.add("charset-wrong")
    if len(response.choices) < n:
        log.add("choices-fewer", "$.choices", "$.choices")
    if audit:
        for code in lenient_json.lint(body):
            log.add(code)
    response.deviations = log.deviations()
    response.raw = body
    if log.unreadable is not None:
        raise MalformedResponseError(
            log.unreadable.message,
            path=log.unreadable.path,
            status=status,
            body=body[:MAX_BODY],
            partial=response if response.choices else None,
        )
    if not response.choices:
        message = f"the answer has no choices: {lenient_json.excerpt(body)!r}"
        raise EmptyResponseError(message, status=status, body=body[:MAX_BODY])
    return response


def has_foreign_charset(content_type: str) -> bool:
    """Return whether a content type names another charset than UTF-8, which JSON and event streams have."""
    _, found, rest = content_type.lower().partition("charset=")
    return bool(found) and rest.split(";")[0].strip(" \"'") not in ("utf-8", "utf8", "us-ascii", "")


def _conforming(body: bytes, log: DeviationLog) -> GenerateResponse | None:
    """Decode a body that keeps the format; None if it doesn't."""
    try:
        answer = _RESPONSE.decode(body)
        if not body.isascii():
            body.decode()  # msgspec passes over what the structs don't keep
        plain = _PLAIN.decode(body).choices if any(map(is_rich, answer.choices)) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not answer.choices or any(choice.error for choice in answer.choices):
        return None
    return build_response(answer, plain, log)


class _Odd:
    """Read a body that the strict structs refused."""

    def __init__(
        self,
        body: bytes,
        status: int,
        content_type: str,
        make_error: MakeStreamError,
        n: int,
        limits: Limits,
    ) -> None:
        self._body = body
        self._status = status
        self._content_type = content_type
        self._make_error = make_error
        self._n = n
        self._limits = limits

    def read(self, log: DeviationLog) -> GenerateResponse:
        """Return the answer in it; raise what `decode_response` does."""
        body = self._body
        if not body.removeprefix(_BOM).strip(_BLANK):
            raise EmptyResponseError("the answer has no body", status=self._status, body=body)
        value = self._value(log)
        if is_object(value) and (excess := excess_in_value(value, self._n, self._limits)):
            raise self._malformed(excess[1], excess[0])
        if is_error(value):
            raise self._make_error(body[:MAX_BODY], partial=_delivered(value))
        if not is_object(value):
            raise self._malformed(f"the answer is JSON but not an object: {lenient_json.excerpt(body)!r}")
        response = _mended(value, log)
        if response is None:
            raise self._malformed("the answer is nested too deeply to be read")
        return response

    def _value(self, log: DeviationLog) -> Any:
        found = lenient_json.try_parse(self._body)
        if isinstance(found, lenient_json.NotJsonError):
            content_type = self._content_type
            foreign = content_type and "json" not in content_type
            label = f" and is labelled {content_type}" if foreign else ""
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
            log.add(code)
        return value

    def _malformed(self, message: str, path: str = "$") -> MalformedResponseError:
        return MalformedResponseError(message, path=path, status=self._status, body=self._body[:MAX_BODY])


def _is_answer(text: str) -> bool:
    found = lenient_json.try_parse(text.strip().removeprefix("data:").strip().encode())
    if isinstance(found, lenient_json.NotJsonError):
        return False
    value = found[0]
    return is_object(value) and ("choices" in value or is_error(value))


def _delivered(value: Any) -> GenerateResponse | None:
    """Return the content of choices that came beside an error, or None."""
    if not is_object(value) or not is_array(value.get("choices")):
        return None
    response = _mended(value, DeviationLog())
    return response if response and any(choice.outputs for choice in response.choices) else None


def _mended(value: dict[str, Any], log: DeviationLog) -> GenerateResponse | None:
    """Return the answer, or None if it is nested too deeply to be read."""
    try:
        return repair_response(value, log)
    except RecursionError:
        return None


_NOTHING: dict[str, Any] = {}


def is_rich(choice: wire.Choice) -> bool:
    """Return whether a choice has members that are passed on as received, which the structs don't keep."""
    message = choice.message
    return bool(
        choice.logprobs or message.tool_calls or message.annotations or message.audio or message.function_call
    )


def build_response(
    answer: wire.Response, plain: list[dict[str, Any]] | None, log: DeviationLog
) -> GenerateResponse:
    """Build the answer from a wire struct.

    Args:
        answer: The struct; if it was mended, its members may be None or UNSET whatever their annotations say.
        plain: Its choices as plain values, one for one; None if none of them is rich.
        log: Where to note what no struct shows.
    """
    held = answer.choices or []
    choices = [
        _choice(choice, plain[place] if plain else _NOTHING, place, log) for place, choice in enumerate(held)
    ]
    tier, fingerprint = answer.service_tier, answer.system_fingerprint
    return GenerateResponse(
        choices=sorted(choices, key=lambda choice: choice.index),
        id=answer.id or "",
        model=answer.model or "",
        created=answer.created,
        usage=convert.to_usage(answer.usage) if answer.usage else None,
        service_tier=tier if isinstance(tier, str) else None,
        system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
    )


def repair_response(value: dict[str, Any], log: DeviationLog) -> GenerateResponse:
    """Build the answer from an object that breaks the format."""
    choices: Any = value.get("choices")
    plain: list[dict[str, Any]] = []
    if is_array(choices):
        choices = [
            _with_message(choice, place, log) if is_object(choice) else choice
            for place, choice in enumerate(choices)
        ]
        plain = [choice for choice in choices if is_object(choice)]
        value = {**value, "choices": choices}
    return build_response(mend(value, wire.Response, log), plain, log)


def _with_message(choice: dict[str, Any], place: int, log: DeviationLog) -> dict[str, Any]:
    """Return the choice with the message that it has under another name."""
    if choice.get("message"):
        return choice
    found = choice.get("delta") or choice.get("text")
    if isinstance(found, str):
        found = {"role": "assistant", "content": found, "refusal": None}
    if not is_object(found):
        return choice
    log.add("message-missing", f"$.choices[{place}].message", "$.choices[].message")
    return {**choice, "message": found}


def _choice(choice: wire.Choice, plain: dict[str, Any], place: int, log: DeviationLog) -> Choice:
    index = cast("int | None", choice.index)
    held = cast("wire.ResponseMessage | None", choice.message)
    inner: Any = plain.get("message")
    message: dict[str, Any] = inner if is_object(inner) else _NOTHING
    return convert.build_choice(
        place if index is None else index,
        text=(held.content or "") if held else "",
        reasoning=convert.join_reasoning(
            held.reasoning_content, held.reasoning, held.reasoning_text, held.thinking
        )
        if held
        else "",
        refusal=(held.refusal or "") if held else "",
        spoken=convert.to_audio(message.get("audio")),
        calls=_calls(message),
        finish=choice.finish_reason,
        logprobs=plain.get("logprobs"),
        annotations=message.get("annotations"),
        log=log,
        path=f"$.choices[{place}]",
    )


def _calls(message: dict[str, Any]) -> list[ToolCall]:
    listed = message.get("tool_calls")
    calls = [convert.to_tool_call(call) for call in listed if is_object(call)] if is_array(listed) else []
    legacy = message.get("function_call")
    if legacy and is_object(legacy):
        call = convert.to_tool_call({"function": legacy})
        # tool-legacy-function-call: some servers send a call twice, under both names.
        if not any((call.name, call.arguments_json) == (c.name, c.arguments_json) for c in calls):
            calls.append(call)
    return calls


_FINISH_WORDS = {"tool_use": "tool_calls", "other": None}


def encode_response(response: GenerateResponse) -> bytes:
    """Encode a whole answer as a body that decodes to it: how a finished stream enters a cache.

    Deviations are left out. What the server didn't send isn't made up: an answer without
    `created` gives a body without it.
    """
    body: dict[str, Any] = {"id": response.id, "object": "chat.completion", "model": response.model}
    for member in ("created", "service_tier", "system_fingerprint"):
        if getattr(response, member) is not None:
            body[member] = getattr(response, member)
    body["choices"] = [_encode_choice(choice) for choice in response.choices]
    if response.usage is not None:
        body["usage"] = _encode_usage(response.usage)
    return msgspec.json.encode(body)


def _encode_choice(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or None,
        "refusal": choice.refusal,
    }
    if choice.reasoning is not None:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [convert.encode_call(call) for call in choice.tool_calls]
    if choice.annotations:
        message["annotations"] = choice.annotations
    for output in choice.outputs:
        if isinstance(output, AudioOutput):
            message["audio"] = _encode_audio(output)
    word = choice.finish_reason_raw
    if word is None:
        word = _FINISH_WORDS.get(choice.finish_reason, str(choice.finish_reason))
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": word,
    }


def _encode_audio(spoken: AudioOutput) -> dict[str, Any]:
    body: dict[str, Any] = {"id": spoken.id, "data": spoken.data, "transcript": spoken.transcript}
    if spoken.expires_at is not None:
        body["expires_at"] = spoken.expires_at
    return body


def _encode_usage(usage: Usage) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    for member, details in (
        ("prompt_tokens_details", usage.prompt_details),
        ("completion_tokens_details", usage.completion_details),
    ):
        if details is not None:
            known = msgspec.to_builtins(details)
            body[member] = {name: count for name, count in known.items() if count is not None}
    return body

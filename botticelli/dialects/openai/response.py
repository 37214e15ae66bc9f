"""Decode a whole answer, and encode one for a cache.

A body that keeps the format is decoded in one pass; any other goes through `repair`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from botticelli.core.errors import EmptyResponseError, MalformedResponseError
from botticelli.core.message import NOTHING, Audio, Image, Other, Reasoning, Text
from botticelli.core.response import Choice, GenerateResponse
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.errors import error_in_success, is_error
from botticelli.dialects.openai.limits import excess_in_response, excess_in_text, excess_in_value
from botticelli.dialects.openai.repair import mend
from botticelli.dialects.openai.unknown import (
    answer_unknown,
    choice_unknown,
    message_unknown,
)
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.lenient_json import is_array, is_object
from botticelli.protocol.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.message import ToolCall
    from botticelli.core.response import Output, Usage
    from botticelli.dialects.openai.errors import MakeStreamError
    from botticelli.protocol.limits import Limits

__all__ = [
    "decode_response",
    "encode_response",
    "has_foreign_charset",
    "is_mislabelled",
    "read_usage",
    "repair_response",
]

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


_RESPONSE = msgspec.json.Decoder(wire.Response)
_PLAIN = msgspec.json.Decoder(dict[str, Any])


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
        content_type: The header, for errors and for a wrong label; never decides how to read.
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
    response = _conforming(body, log, n, limits)
    if response is None:
        response = _Odd(body, status, content_type, make_error, n, limits).read(log)
    if found := excess_in_response(response, n, limits):
        raise MalformedResponseError(found[1], path=found[0], status=status, body=body[:MAX_BODY])
    if has_foreign_charset(content_type):
        log.add("charset-wrong")
    if is_mislabelled(content_type, "application/json", "text/event-stream"):
        log.add("content-type-wrong")
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


def is_mislabelled(content_type: str, *media_types: str) -> bool:
    """Return whether a content type names a media type other than these (JSON may be ``*/*+json`` too)."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type or media_type in media_types:
        return False
    return not ("application/json" in media_types and media_type.endswith("+json"))


def _conforming(body: bytes, log: DeviationLog, n: int, limits: Limits) -> GenerateResponse | None:
    """Decode a body that keeps the format, whatever else it has; None if it doesn't keep it."""
    plain: dict[str, Any] | None = None
    try:
        try:
            answer = _RESPONSE.decode(body)
        except msgspec.ValidationError:
            plain = _PLAIN.decode(body)
            if excess_in_value(plain, n, limits):
                return None  # before anything is copied
            answer = msgspec.convert(_known(plain), wire.Response)
        if not body.isascii():
            body.decode()  # msgspec passes over what the structs don't keep
        if plain is None and (_has_unread(answer) or any(map(is_rich, answer.choices))):
            plain = _PLAIN.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not answer.choices or any(choice.error for choice in answer.choices):
        return None
    return build_response(answer, plain, log)


def _has_unread(answer: wire.Response) -> bool:
    """Return whether an answer has published members that go to `extra`, null included."""
    return answer.metadata is not msgspec.UNSET or answer.moderation is not msgspec.UNSET


def _known(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with only those members that its struct names."""
    known = _only(answer, wire.Response)
    if is_array(choices := known.get("choices")):
        known["choices"] = [_known_choice(choice) if is_object(choice) else choice for choice in choices]
    if is_object(usage := known.get("usage")):
        known["usage"] = _split_usage(usage)[0]
    return known


def _known_choice(choice: dict[str, Any]) -> dict[str, Any]:
    known = _only(choice, wire.Choice)
    if is_object(message := known.get("message")):
        known["message"] = _only(message, wire.ResponseMessage)
    return known


def _only(members: dict[str, Any], shape: type[msgspec.Struct]) -> dict[str, Any]:
    names = shape.__struct_fields__
    return {name: value for name, value in members.items() if name in names}


_DETAILS = {
    "prompt_tokens_details": wire.PromptTokensDetails,
    "completion_tokens_details": wire.CompletionTokensDetails,
}


def _split_usage(usage: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members that the structs name, and the others, those of the details under their names."""
    known = _only(usage, wire.Usage)
    extra = {name: value for name, value in usage.items() if name not in known}
    for name, shape in _DETAILS.items():
        if is_object(details := known.get(name)):
            known[name] = _only(details, shape)
            beside = {key: value for key, value in details.items() if key not in known[name]}
            if beside:
                extra[name] = beside
    return known, extra


class _UsageOnly(msgspec.Struct):
    usage: wire.Usage | msgspec.UnsetType = msgspec.UNSET


def read_usage(raw: Any, log: DeviationLog | None = None) -> Usage | None:
    """Return a usage as far as it can be read.

    Args:
        raw: What stands in its place, any JSON.
        log: Where to note what was wrong. Without it, one that isn't right is unknown.
    """
    known, extra = _split_usage(raw) if is_object(raw) else (raw, NOTHING)
    try:
        counted: wire.Usage | None = msgspec.convert(known, wire.Usage)
    except msgspec.ValidationError:
        if log is None:
            return None
        # A usage that can't be read is unknown; losing it is better than losing the answer.
        counted = mend({"usage": known}, _UsageOnly, log).usage or None
    return convert.to_usage(counted, extra) if counted else None


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


def is_rich(choice: wire.Choice) -> bool:
    """Return whether a choice has members that are passed on as received, which the structs don't keep."""
    message = choice.message
    return bool(
        choice.logprobs
        or message.tool_calls
        or message.annotations
        or message.audio
        or message.function_call
        or any(getattr(message, name) is not msgspec.UNSET for name in convert.REASONING)
    )


def build_response(
    answer: wire.Response, plain: Mapping[str, Any] | None, log: DeviationLog
) -> GenerateResponse:
    """Build the answer from a wire struct.

    Args:
        answer: The struct; if it was mended, its members may be None or UNSET whatever their annotations say.
        plain: The same as plain values; its choices are objects, one for one. None if the struct has it all.
        log: Where to note what no struct shows.
    """
    held: list[wire.Choice] = answer.choices or []
    listed: Any = plain.get("choices") if plain else None
    choices = [
        _choice(choice, listed[place] if listed else NOTHING, place, log) for place, choice in enumerate(held)
    ]
    tier, fingerprint = answer.service_tier, answer.system_fingerprint
    usage: Any = plain.get("usage") if plain else None
    return GenerateResponse(
        choices=sorted(choices, key=lambda choice: choice.index),
        id=answer.id or "",
        model=answer.model or "",
        created=answer.created,
        usage=convert.to_usage(answer.usage, _split_usage(usage)[1] if is_object(usage) else NOTHING)
        if answer.usage
        else None,
        service_tier=tier if isinstance(tier, str) else None,
        system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
        extra=(answer_unknown(plain) if plain else NOTHING) or NOTHING,
    )


def repair_response(value: dict[str, Any], log: DeviationLog) -> GenerateResponse:
    """Build the answer from an object that breaks the format."""
    choices: Any = value.get("choices")
    plain = value
    if is_array(choices):
        choices = [
            _with_message(choice, place, log) if is_object(choice) else choice
            for place, choice in enumerate(choices)
        ]
        value = {**value, "choices": choices}
        plain = {**value, "choices": [choice for choice in choices if is_object(choice)]}
    return build_response(mend(value, wire.Response, log), plain, log)


def _with_message(choice: dict[str, Any], place: int, log: DeviationLog) -> dict[str, Any]:
    """Return the choice with the message that it has under another name."""
    if choice.get("message"):
        return choice
    taken = "delta" if choice.get("delta") else "text"
    found = choice.get(taken)
    if isinstance(found, str):
        found = {"role": "assistant", "content": found, "refusal": None}
    if not is_object(found):
        return choice
    log.add("message-missing", f"$.choices[{place}].message", "$.choices[].message")
    rest = {name: value for name, value in choice.items() if name != taken}
    return {**rest, "message": found}


def _choice(choice: wire.Choice, plain: Mapping[str, Any], place: int, log: DeviationLog) -> Choice:
    index = cast("int | None", choice.index)
    held = cast("wire.ResponseMessage | None", choice.message)
    inner: Any = plain.get("message")
    message: Mapping[str, Any] = inner if is_object(inner) else NOTHING
    if held:
        _note_usual(held, message, place, log)
    content: list[Text | Image | Other] = [Text(held.content)] if held and held.content else []
    thinking = ""
    if is_array(parts := message.get("content")):
        content, thinking = convert.split_content(parts)
    images: Any = message.get("images")
    return convert.build_choice(
        place if index is None else index,
        content=content,
        reasoning=convert.read_reasoning(message, thinking),
        refusal=(held.refusal or "") if held else "",
        images=convert.to_blocks(images) if is_array(images) else (),
        spoken=convert.to_audio(message.get("audio")),
        calls=_calls(message),
        finish=choice.finish_reason,
        logprobs=plain.get("logprobs"),
        annotations=message.get("annotations"),
        extra=choice_unknown(plain, "delta", "text", "usage") if plain else NOTHING,
        message_extra=message_unknown(message) if message else NOTHING,
        log=log,
        path=f"$.choices[{place}]",
    )


def _note_usual(
    held: wire.ResponseMessage, message: Mapping[str, Any], place: int, log: DeviationLog
) -> None:
    """Note the two departures that the struct takes; the plain message, where there is one, shows more."""
    refusal = message.get("refusal", msgspec.UNSET) if message else held.refusal
    calls = message.get("tool_calls", msgspec.UNSET) if message else held.tool_calls
    if refusal is msgspec.UNSET:
        log.add("refusal-missing", f"$.choices[{place}].message.refusal", "$.choices[].message.refusal")
    if calls is None:
        log.add("tool-calls-null", f"$.choices[{place}].message.tool_calls", "$.choices[].message.tool_calls")


def _calls(message: Mapping[str, Any]) -> list[ToolCall]:
    listed = message.get("tool_calls")
    calls = [convert.to_tool_call(call) for call in listed if is_object(call)] if is_array(listed) else []
    legacy = message.get("function_call")
    if legacy and is_object(legacy):
        call = convert.to_tool_call({"function": legacy})
        # tool-legacy-function-call: some servers send a call twice, under both names.
        if not any((call.name, call.arguments_json) == (c.name, c.arguments_json) for c in calls):
            calls.append(call)
    return calls


_FINISH_WORDS = {"tool_use": "tool_calls", "pause": "pause_turn", "other": None}


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
    return msgspec.json.encode({**response.extra, **body})


def _encode_choice(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": _encode_content(choice.outputs),
        "refusal": choice.refusal,
    }
    thoughts = [output for output in choice.outputs if isinstance(output, Reasoning)]
    message |= convert.encode_reasoning(thoughts)
    if choice.tool_calls:
        message["tool_calls"] = [convert.encode_call(call) for call in choice.tool_calls]
    if choice.annotations:
        message["annotations"] = choice.annotations
    images = [output for output in choice.outputs if isinstance(output, Image)]
    if images:
        message["images"] = [convert.encode_image(image, image.source.value) for image in images]
    for output in choice.outputs:
        if isinstance(output, Audio):
            message["audio"] = _encode_audio(output)
    word = choice.finish_reason_raw
    if word is None:
        word = _FINISH_WORDS.get(choice.finish_reason, str(choice.finish_reason))
    return {
        **choice.extra,
        "index": choice.index,
        "message": {**choice.message_extra, **message},
        "logprobs": choice.logprobs,
        "finish_reason": word,
    }


def _encode_content(outputs: list[Output]) -> Any:
    """Return the text, or the list of parts where something stands between, or beside, its pieces."""
    parts = [part for part in outputs if isinstance(part, Text | Other)]
    thinking = [part for part in outputs if isinstance(part, Reasoning) and part.name == "content"]
    if not thinking and all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text)) or None
    return [
        *map(convert.encode_thinking, thinking),
        *({"type": "text", "text": part.text} if isinstance(part, Text) else part.data for part in parts),
    ]


def _encode_audio(spoken: Audio) -> dict[str, Any]:
    body: dict[str, Any] = {
        **spoken.extra,
        "id": spoken.id,
        "data": spoken.source.value,
        "transcript": spoken.transcript,
    }
    if spoken.expires_at is not None:
        body["expires_at"] = spoken.expires_at
    return body


def _encode_usage(usage: Usage) -> dict[str, Any]:
    body: dict[str, Any] = {
        **usage.extra,
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
            beside = usage.extra.get(member)
            body[member] = {
                **(beside if is_object(beside) else {}),
                **{name: count for name, count in known.items() if count is not None},
            }
    return body

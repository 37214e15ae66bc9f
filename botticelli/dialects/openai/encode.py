"""Requests to bytes, and answers back to the bytes a server would have sent. Files are read by a callback.

Only what is set is sent; `model` is the first key, because the HuggingFace router routes from the body's
first bytes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from botticelli.core.message import Audio, Document, Image, Role, Text
from botticelli.core.request import NamedTool

from .rules import check, check_json, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.core.message import Input, MediaSource, Message, ToolCall
    from botticelli.core.request import GenerateRequest, ResponseFormat, ToolDefinition
    from botticelli.core.response import Choice, GenerateResponse, Usage

__all__ = ["encode_request", "encode_response"]

_PLAIN = (
    "temperature",
    "top_p",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "reasoning_effort",
    "user",
    "metadata",
)
"""Members that go out under their own name, as they are."""

_MEDIA_TYPES = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webp": "image/webp",
}
_AUDIO_FORMATS = {
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
}


def encode_request(
    request: GenerateRequest,
    *,
    model: str,
    stream: bool,
    max_tokens_field: str = "max_tokens",
    read: Callable[[str], bytes] | None = None,
) -> bytes:
    """The body of a request.

    Args:
        request: What to ask.
        model: The model, unless the request names its own.
        stream: Whether the answer should come in pieces.
        max_tokens_field: What the server calls `max_tokens`.
        read: Gives the bytes of a file that a message names; without it such a message is refused.

    Returns:
        JSON in UTF-8.

    Raises:
        RequestError: If the request breaks one of `rules.RULES`; with the path and the rule.
    """
    name = request.model if request.model is not None else model
    check(request, name)
    body: dict[str, Any] = {
        "model": name,
        "messages": [
            _message(message, f"$.messages[{position}]", read)
            for position, message in enumerate(request.messages)
        ],
    }
    if request.max_tokens is not UNSET:
        body[max_tokens_field] = request.max_tokens
    for member in _PLAIN:
        value = getattr(request, member)
        if value is not UNSET:
            body[member] = value
    body |= _tools(request)
    if request.response_format is not UNSET:
        body["response_format"] = _format(request.response_format)
    if stream:
        body["stream"] = True
        if request.stream_usage:
            body["stream_options"] = {"include_usage": True}
    for member, value in request.extra.items():
        if member in body or member == "stream":
            refuse("extra-conflict", f"$.extra.{member}", f"extra may not set {member}: the request does")
        body[member] = value
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, msgspec.MsgspecError, TypeError, OverflowError, RecursionError):
        check_json(body, "$")
        raise


def _message(message: Message, path: str, read: Callable[[str], bytes] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"role": str(message.role)}
    content = message.content
    if len(content) == 1 and isinstance(content[0], Text):
        body["content"] = content[0].text
    elif content:
        body["content"] = [
            _part(part, message, f"{path}.content[{position}]", read) for position, part in enumerate(content)
        ]
    if message.name is not None:
        body["name"] = message.name
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.refusal is not None:
        body["refusal"] = message.refusal
    if message.reasoning is not None:
        body["reasoning_content"] = message.reasoning
    return body


def _call(call: ToolCall) -> dict[str, Any]:
    inner = (
        {"custom": {"name": call.name, "input": call.arguments_json}}
        if call.type == "custom"
        else {"function": {"name": call.name, "arguments": call.arguments_json}}
    )
    return {**call.extra, "id": call.id, "type": call.type, **inner}


def _part(part: Input, message: Message, path: str, read: Callable[[str], bytes] | None) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = type(part).__name__
    if message.role != Role.USER:
        refuse(
            "part-unsupported", path, f"{kind} parts are for the user's messages, not the {message.role}'s"
        )
    if isinstance(part, Image):
        url: dict[str, Any] = {"url": _url(part.source, path, read)}
        if part.detail is not None:
            if part.detail not in ("auto", "low", "high"):  # pyright: ignore[reportUnnecessaryContains]
                refuse("word", f"{path}.detail", f"detail is auto, low or high, not {part.detail!r}")
            url["detail"] = part.detail
        return {"type": "image_url", "image_url": url}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": _audio(part, path, read)}
    if isinstance(part, Document):
        return {"type": "file", "file": _file(part, path, read)}
    return refuse("part-unsupported", path, f"the OpenAI format has no part for {kind}")


def _url(source: MediaSource, path: str, read: Callable[[str], bytes] | None) -> str:
    if source.kind == "url":
        return str(source.value)
    media_type, data = _data(source, path, read)
    if media_type is None:
        refuse(
            "media-type", f"{path}.source", "the media type is unknown: give media_type, such as image/png"
        )
    return f"data:{media_type};base64,{data}"


def _audio(part: Audio, path: str, read: Callable[[str], bytes] | None) -> dict[str, Any]:
    if part.source.kind == "url":
        refuse("part-unsupported", f"{path}.source", "the format carries a sound's bytes, not its URL")
    media_type, data = _data(part.source, path, read)
    form = part.format or _AUDIO_FORMATS.get(media_type or "")
    if form not in ("wav", "mp3"):
        refuse("media-type", f"{path}.format", f"a sound must be wav or mp3, not {form or media_type}")
    return {"data": data, "format": form}


def _file(part: Document, path: str, read: Callable[[str], bytes] | None) -> dict[str, Any]:
    if part.source.kind == "url":
        refuse("part-unsupported", f"{path}.source", "the format carries a document's bytes, not its URL")
    name = part.filename
    if name is None and part.source.kind == "path":
        name = str(part.source.value).replace("\\", "/").rsplit("/", 1)[-1]
    return {**({"filename": name} if name is not None else {}), "file_data": _url(part.source, path, read)}


def _data(source: MediaSource, path: str, read: Callable[[str], bytes] | None) -> tuple[str | None, str]:
    """The media type, if known, and the base64 text."""
    value = source.value
    if source.kind == "base64":
        return source.media_type, str(value)
    if source.kind == "bytes":
        return source.media_type, base64.b64encode(_bytes(value, path)).decode("ascii")
    name = str(value)
    if read is None:
        refuse("media-unreadable", f"{path}.source", f"{name} can't be read here: no files are at hand")
    try:
        content = read(name)
    except (OSError, ValueError) as error:
        refuse("media-unreadable", f"{path}.source", f"{name} can't be read: {error}")
    guessed = _MEDIA_TYPES.get(name.rsplit(".", 1)[-1].lower()) if "." in name else None
    return source.media_type or guessed, base64.b64encode(content).decode("ascii")


def _bytes(value: object, path: str) -> bytes:
    if not isinstance(value, bytes | bytearray):
        refuse("type", f"{path}.source", f"the source must be bytes, not {type(value).__name__}")
    return bytes(value)


def _tools(request: GenerateRequest) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if request.tools is not UNSET:
        body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice is not UNSET:
        body["tool_choice"] = choice
    return body


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    for member in ("description", "parameters", "strict"):
        value = getattr(tool, member)
        if value is not UNSET:
            function[member] = value
    return {"type": "function", "function": function}


def _format(form: ResponseFormat) -> dict[str, Any]:
    if form.type != "json_schema":
        return {"type": form.type}
    schema: dict[str, Any] = {"name": form.name}
    for member in ("description", "schema", "strict"):
        value = getattr(form, member)
        if value is not UNSET:
            schema[member] = value
    return {"type": "json_schema", "json_schema": schema}


_FINISH_WORDS = {"tool_use": "tool_calls", "other": None}


def encode_response(response: GenerateResponse) -> bytes:
    """The body of a whole answer that decodes to this one: how a finished stream enters a cache.

    Deviations stay behind: what is kept is the answer, not the server's slips.
    """
    body: dict[str, Any] = {
        "id": response.id,
        "object": "chat.completion",
        "created": response.created if response.created is not None else 0,
        "model": response.model,
        "choices": [_choice(choice) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = _usage(response.usage)
    for member in ("service_tier", "system_fingerprint"):
        if getattr(response, member) is not None:
            body[member] = getattr(response, member)
    return msgspec.json.encode(body)


def _choice(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or None,
        "refusal": choice.refusal,
    }
    if choice.reasoning is not None:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [_call(call) for call in choice.tool_calls]
    if choice.annotations:
        message["annotations"] = choice.annotations
    word = choice.finish_reason_raw
    if not isinstance(word, str):
        word = _FINISH_WORDS.get(choice.finish_reason, str(choice.finish_reason))
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": word,
    }


def _usage(usage: Usage) -> dict[str, Any]:
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

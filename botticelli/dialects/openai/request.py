"""Encode requests; files that a message names are read by a callback.

Only what is set is sent; `model` is the first key, because the HuggingFace router routes from the body's
first bytes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from botticelli.core.message import Audio, Document, Image, MediaSource, Other, Reasoning, Role, Text
from botticelli.core.request import NamedTool
from botticelli.dialects.openai import convert
from botticelli.dialects.openai.rules import check, check_json, check_text, refuse, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.core.message import Input, Message, ToolCall
    from botticelli.core.request import GenerateRequest, ResponseFormat, ToolDefinition

    Read = Callable[[str], bytes] | None

__all__ = ["encode_part", "encode_request"]

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


def encode_request(
    request: GenerateRequest,
    *,
    model: str,
    stream: bool,
    max_tokens_field: str = "max_tokens",
    read: Callable[[str], bytes] | None = None,
) -> bytes:
    """Return the body of a request.

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
    # `model` goes first (request-model-first)
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
    # stream_options is allowed only with stream (request-stream-options-only-in-streams)
    if stream:
        body["stream"] = True
        if request.stream_usage:
            body["stream_options"] = {"include_usage": True}
    for member, value in request.extra.items():
        if member in body or member == "stream":
            refuse("extra-conflict", f"$.extra.{member}", f"extra may not set {member}: the request does")
        body[member] = value
    return _written(body)


def _written(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except (UnicodeEncodeError, RecursionError):
        pass
    check_json(body, "$")
    return refuse("not-json", "$", "it is nested too deeply to be written from where this was called")


def _plain(value: Any) -> Any:
    """Return a text or a number of a class of its own, numpy's for example, as a plain one."""
    if isinstance(value, float):
        return float(value)
    return int(value) if isinstance(value, int) else str.__str__(value)


def _message(message: Message, path: str, read: Callable[[str], bytes] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"role": str(message.role)}
    members, parts = _assistants(message, path, read) if message.role == Role.ASSISTANT else ({}, [])
    if message.role != Role.ASSISTANT:
        parts = [(part, f"{path}.content[{position}]") for position, part in enumerate(message.content)]
    if len(parts) == 1 and isinstance(only := parts[0][0], Text) and not only.extra:
        body["content"] = only.text
    elif parts:
        body["content"] = [encode_part(part, message.role, where, read) for part, where in parts]
    elif not message.tool_calls and "audio" not in members:
        body["content"] = None
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
    body |= members
    return body | {
        name: value for name, value in message.extra.items() if name not in body and name not in _OURS
    }


_OURS = ("role", "content", "tool_calls", "tool_call_id")
"""Members of a message that its extras don't set."""


def _call(call: ToolCall) -> dict[str, Any]:
    if call.type == "function" and not call.arguments_json.strip():
        # tool-no-arguments: servers that parse the arguments of the history refuse an empty text
        call = msgspec.structs.replace(call, arguments_json="{}")
    return convert.encode_call(call)


_Parts = list[tuple["Input", str]]


def _assistants(message: Message, path: str, read: Read) -> tuple[dict[str, Any], _Parts]:
    """Return the members that hold what an assistant said beside its text, and the parts of its content."""
    parts: _Parts = []
    reasoning: list[Reasoning] = []
    images: list[dict[str, Any]] = []
    members: dict[str, Any] = {}
    for position, part in enumerate(message.content):
        where = f"{path}.content[{position}]"
        if isinstance(part, Reasoning):
            reasoning.append(part)
            if part.name == "content":
                parts.append((Other("thinking", convert.encode_thinking(part)), where))
        elif isinstance(part, Image):
            _check_source(part.source, f"{where}.source")
            images.append(_image(part, where, read))
        elif isinstance(part, Audio) and part.id:
            members["audio"] = {"id": part.id}
        elif isinstance(part, Audio) and part.transcript:
            parts.append((Text(part.transcript), where))  # what can't be named is told
        else:
            parts.append((part, where))
    if images:
        members["images"] = images
    return convert.encode_reasoning(reasoning) | members, parts


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
    return {**tool.extra, "type": "function", "function": function}


def _format(form: ResponseFormat) -> dict[str, Any]:
    if form.type != "json_schema":
        return {"type": form.type}
    schema: dict[str, Any] = {"name": form.name}
    for member in ("description", "schema", "strict"):
        value = getattr(form, member)
        if value is not UNSET:
            schema[member] = value
    return {"type": "json_schema", "json_schema": schema}


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
_BYTES: tuple[type, ...] = (bytes, bytearray)
_KINDS = ("url", "base64", "bytes", "path")


def encode_part(part: Input, role: Role, path: str, read: Read) -> dict[str, Any]:
    """Return one part as the format has it.

    Args:
        part: The part.
        role: Whose message it is in.
        path: Where it stands in the request.
        read: Gives the bytes of a file; without it a path can't be sent.

    Raises:
        RequestError: If the format, or the message, can't carry it.
    """
    if isinstance(part, Text):
        return {**part.extra, "type": "text", "text": part.text}
    if isinstance(part, Other):
        whole: dict[str, Any] = part.data
        return whole
    kind = type(part).__name__
    if not isinstance(part, Image | Audio | Document):
        refuse("part-unsupported", path, f"the OpenAI format has no part for {kind}")
    if role != Role.USER:
        refuse("part-unsupported", path, f"{kind} parts are for the user's messages, not the {role}'s")
    source = part.source
    _check_source(source, f"{path}.source")
    if isinstance(part, Image):
        return _image(part, path, read)
    if source.kind == "url":
        refuse("part-unsupported", f"{path}.source", f"the format carries the bytes of {kind} parts, no URL")
    if isinstance(part, Audio):
        return {**part.extra, "type": "input_audio", "input_audio": _audio(part, path, read)}
    return {**part.extra, "type": "file", "file": _file(part, path, read)}


def _check_source(source: object, path: str) -> None:
    if not isinstance(source, MediaSource):
        wrong_type(path, source, "a MediaSource")
    check_text(source.kind, f"{path}.kind")
    if source.kind not in _KINDS:
        refuse("word", f"{path}.kind", f"a source is of kind url, base64, bytes or path, not {source.kind!r}")
    if source.kind == "bytes":
        if not isinstance(source.data, _BYTES):
            wrong_type(f"{path}.data", source.data, "bytes")
    else:
        check_text(source.value, f"{path}.value")
    if source.media_type is not None:
        check_text(source.media_type, f"{path}.media_type")


def _image(part: Image, path: str, read: Read) -> dict[str, Any]:
    url = _url(part.source, path, read)
    if part.detail not in (None, "auto", "low", "high"):  # pyright: ignore[reportUnnecessaryContains] -- msgspec doesn't check
        refuse("word", f"{path}.detail", f"detail is auto, low or high, not {part.detail!r}")
    return convert.encode_image(part, url)


def _audio(part: Audio, path: str, read: Read) -> dict[str, Any]:
    media_type, data = _data(part.source, path, read)
    form = part.format if part.format is not None else _AUDIO_FORMATS.get(media_type or "")
    if form not in ("wav", "mp3"):
        refuse("media-type", f"{path}.format", f"a sound must be wav or mp3, not {form or media_type}")
    return {"data": data, "format": form}


def _file(part: Document, path: str, read: Read) -> dict[str, Any]:
    name = part.filename
    if name is None and part.source.kind == "path":
        name = str(part.source.value).replace("\\", "/").rsplit("/", 1)[-1]
    if name is not None:
        check_text(name, f"{path}.filename")
    return {**({"filename": name} if name is not None else {}), "file_data": _url(part.source, path, read)}


def _url(source: MediaSource, path: str, read: Read) -> str:
    if source.kind == "url":
        return str(source.value)
    media_type, data = _data(source, path, read)
    if media_type is None:
        refuse(
            "media-type", f"{path}.source", "the media type is unknown: give media_type, such as image/png"
        )
    return f"data:{media_type};base64,{data}"


def _data(source: MediaSource, path: str, read: Read) -> tuple[str | None, str]:
    """Return the media type, if known, and the base64 text."""
    value = source.value
    if source.kind == "bytes":
        return source.media_type, base64.b64encode(source.data).decode("ascii")
    if source.kind == "base64":
        return source.media_type, value
    if read is None:
        refuse("media-unreadable", f"{path}.source", f"{value} can't be read here: no files are at hand")
    content, fault = b"", ""
    try:
        content = read(value)
    except (OSError, ValueError) as error:
        fault = str(error) or type(error).__name__
    if fault:
        refuse("media-unreadable", f"{path}.source", f"{value} can't be read: {fault}")
    guessed = _MEDIA_TYPES.get(value.rsplit(".", 1)[-1].lower()) if "." in value else None
    return source.media_type or guessed, base64.b64encode(content).decode("ascii")

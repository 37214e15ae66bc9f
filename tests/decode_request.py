"""Decode a request: the inverse of `encode_request`, for the round-trip properties.

What `encode_request` checks isn't checked here; what the vocabulary can't express is refused, not dropped.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from botticelli.core.message import Audio, Document, Image, MediaSource, Message, Role, Text
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.dialects.openai import convert
from botticelli.dialects.openai.rules import refuse, wrong_type
from botticelli.protocol import lenient_json
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.message import Input, ToolCall

__all__ = ["LOSSES", "ONE_WAY", "RESPONSE_LOSSES", "decode_request"]

RESPONSE_LOSSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unknown-members": "what the format doesn't name is in `raw` only; a tool call's own are kept",
        "metadata": "it repeats the request",
        "moderation": "it isn't part of the answer; `raw` has it",
        "null-members": "null says as much as absence: audio, logprobs, service_tier, system_fingerprint",
        "empty-texts": "an empty content or refusal says as much as null",
        "empty-lists": "no tool calls and no annotations are none",
        "function-call": "it becomes a tool call with an id of our own, unless one says the same",
        "call-ids": "calls with the same id get ids that differ",
        "choice-order": "choices come in the order of their indexes",
    }
)
"""What `encode_response(decode_response(body))` doesn't give back of a conforming body, and why not."""

ONE_WAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openai/chunk": "where a stream is cut isn't part of its answer, which is written again whole",
        "openai/error": "it becomes an exception, which keeps message, type, param and code, and the body",
        "openai/model-list": "it is only read; ids, dates and owners are kept, the rest are the router's own",
    }
)
"""The contracts whose instances are read and not written again, and why not."""

LOSSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "stream": "whether to stream is said when the request is sent",
        "unknown-members": "those of a message, a part, a function; a request's and a call's are in `extra`",
        "cache-hints": "prompt_cache_breakpoint of a part says how to bill, not what to answer",
        "single-text": "a content of one text part becomes that text",
        "null-members": "null says as much as absence, in an assistant's message",
        "empty-calls": "no tool calls are none",
        "blank-arguments": "a function's call without arguments is sent with {} (tool-no-arguments)",
    }
)
"""What `encode_request(decode_request(body))` doesn't give back of a conforming body, and why not."""

_INTEGERS = ("max_tokens", "seed", "n", "top_logprobs")
_MEMBERS = (
    *_INTEGERS,
    "temperature",
    "top_p",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "parallel_tool_calls",
    "reasoning_effort",
    "user",
    "metadata",
)
_DATA_URL = re.compile(r"data:([^,;]+);base64,(.*)", re.DOTALL)
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def decode_request(body: bytes) -> GenerateRequest:
    """The request that a body holds.

    Members that `GenerateRequest` has no word for, tools and response formats among them, are in `extra`, so
    that they are sent as they came.

    Args:
        body: JSON in UTF-8.

    Raises:
        RequestError: If it is no JSON object with messages, or a message holds what the vocabulary can't
            express: with the path, and the rule ``not-json``, ``type``, ``word`` or ``part-unsupported``.
    """
    found = lenient_json.try_parse(body)
    if isinstance(found, lenient_json.NotJsonError):
        refuse("not-json", f"character {found.position}", f"the request isn't JSON: {found}")
    members = found[0]
    if not is_object(members):
        wrong_type("$", members, "an object")
    messages = members.pop("messages", None)
    if not is_array(messages):
        wrong_type("$.messages", messages, "a list of messages")
    request = GenerateRequest(
        [_message(message, f"$.messages[{position}]") for position, message in enumerate(messages)]
    )
    request.model = members.pop("model", None)
    members.pop("stream", None)
    if members.get("stream_options") == {"include_usage": True}:
        request.stream_usage = True
        del members["stream_options"]
    for member in _MEMBERS:
        if member in members:
            value = members.pop(member)
            number = lenient_json.as_whole_number(value) if member in _INTEGERS else None
            setattr(request, member, value if number is None else number)
    for member, read in (("tools", _tools), ("tool_choice", _choice), ("response_format", _format)):
        if (known := read(members.get(member))) is not None:
            setattr(request, member, known)
            del members[member]
    request.extra = members
    return request


def _message(message: Any, path: str) -> Message:
    if not is_object(message):
        wrong_type(path, message, "an object")
    role = message.get("role")
    if role not in tuple(Role):
        refuse("word", f"{path}.role", f"there is no role {role!r}")
    said = Message(role=Role(role), content=_content(message.get("content"), f"{path}.content"))
    said.name = message.get("name")
    if said.role == Role.TOOL:
        said.tool_call_id = message.get("tool_call_id")
    if said.role == Role.ASSISTANT:
        for member in ("audio", "function_call"):
            if message.get(member) is not None:
                refuse("part-unsupported", f"{path}.{member}", f"a Message has no {member}")
        said.tool_calls = _calls(message.get("tool_calls"), f"{path}.tool_calls")
        said.refusal = message.get("refusal")
        said.reasoning = message.get("reasoning_content")
    return said


def _content(content: Any, path: str) -> list[Input]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not is_array(content):
        wrong_type(path, content, "a text or a list of parts")
    return [_part(part, f"{path}[{position}]") for position, part in enumerate(content)]


def _part(part: Any, path: str) -> Input:
    kind = part.get("type") if is_object(part) else None
    inner = part.get(kind) if isinstance(kind, str) else None
    if kind == "text" and isinstance(inner, str):
        return Text(inner)
    medium = _medium(kind, inner) if is_object(inner) else None
    return medium or refuse("part-unsupported", path, "no part of a Message can hold this one")


def _medium(kind: Any, inner: dict[str, Any]) -> Input | None:
    if kind == "image_url" and isinstance(inner.get("url"), str):
        return Image(MediaSource.from_url(inner["url"]), inner.get("detail"))
    if kind == "input_audio" and isinstance(inner.get("data"), str):
        form = inner.get("format")
        if form in ("wav", "mp3"):
            return Audio(MediaSource.from_base64(inner["data"], _SOUNDS[form]), form)
    if kind == "file" and isinstance(inner.get("file_data"), str) and inner.get("file_id") is None:
        data = _DATA_URL.fullmatch(inner["file_data"])
        if data:
            return Document(MediaSource.from_base64(data[2], data[1]), inner.get("filename"))
    return None


def _calls(calls: Any, path: str) -> list[ToolCall]:
    if calls is None:
        return []
    if not is_array(calls) or not all(map(is_object, calls)):
        wrong_type(path, calls, "a list of objects")
    return [convert.to_tool_call(call) for call in calls]


def _tools(tools: Any) -> list[ToolDefinition] | None:
    if not is_array(tools):
        return None
    known = [_tool(tool) for tool in tools]
    return None if None in known else [tool for tool in known if tool is not None]


def _tool(tool: Any) -> ToolDefinition | None:
    if not is_object(tool) or tool.keys() != {"type", "function"} or tool["type"] != "function":
        return None
    function = tool["function"]
    if not is_object(function) or not {"name"} <= function.keys() <= {
        "name",
        "description",
        "parameters",
        "strict",
    }:
        return None
    return ToolDefinition(**function)


def _choice(choice: Any) -> str | NamedTool | None:
    if isinstance(choice, str):
        return choice
    function = choice.get("function") if is_object(choice) else None
    if (
        choice == {"type": "function", "function": function}
        and is_object(function)
        and function.keys() == {"name"}
    ):
        return NamedTool(function["name"])
    return None


def _format(form: Any) -> ResponseFormat | None:
    if form in ({"type": "text"}, {"type": "json_object"}):
        return ResponseFormat(type=form["type"])
    if not is_object(form) or form.keys() != {"type", "json_schema"} or form["type"] != "json_schema":
        return None
    schema = form["json_schema"]
    if not is_object(schema) or not {"name"} <= schema.keys() <= {"name", "description", "schema", "strict"}:
        return None
    return ResponseFormat(type="json_schema", **schema)

"""Requests to bytes, and answers back to the bytes a server would have sent. Files are read by a callback.

Only what is set is sent; `model` is the first key, because the HuggingFace router routes from the body's
first bytes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from botticelli.core.message import Text
from botticelli.core.request import NamedTool
from botticelli.core.response import AudioOutput
from botticelli.dialects.openai.checks import check
from botticelli.dialects.openai.media import encode_part
from botticelli.dialects.openai.rules import check_json, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botticelli.core.message import Message, ToolCall
    from botticelli.core.request import GenerateRequest, ResponseFormat, ToolDefinition
    from botticelli.core.response import Choice, GenerateResponse, Usage

__all__ = ["LOSSES", "ONE_WAY", "encode_request", "encode_response"]

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
    return _written(body)


def _written(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except (UnicodeEncodeError, RecursionError):
        pass
    check_json(body, "$")
    return refuse("not-json", "$", "it is nested too deeply to be written from where this was called")


def _plain(value: Any) -> Any:
    """A text or a number of a class of its own, numpy's for example, as what it is."""
    if isinstance(value, float):
        return float(value)
    return int(value) if isinstance(value, int) else str.__str__(value)


def _message(message: Message, path: str, read: Callable[[str], bytes] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"role": str(message.role)}
    content = message.content
    if len(content) == 1 and isinstance(content[0], Text):
        body["content"] = content[0].text
    elif content:
        body["content"] = [
            encode_part(part, message.role, f"{path}.content[{position}]", read)
            for position, part in enumerate(content)
        ]
    elif not message.tool_calls:
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
    return body


def _call(call: ToolCall) -> dict[str, Any]:
    inner = (
        {"custom": {"name": call.name, "input": call.arguments_json}}
        if call.type == "custom"
        else {"function": {"name": call.name, "arguments": call.arguments_json}}
    )
    return {**call.extra, "id": call.id, "type": call.type, **inner}


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

LOSSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unknown-members": "what the format doesn't name is in `raw` only; a tool call's own are kept",
        "metadata": "it repeats the request",
        "moderation": "it isn't part of the answer; `raw` has it",
        "null-members": "null says as much as absence: audio, service_tier, system_fingerprint",
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


def encode_response(response: GenerateResponse) -> bytes:
    """The body of a whole answer that decodes to this one: how a finished stream enters a cache.

    Deviations stay behind: what is kept is the answer, not the server's slips. What the server didn't say
    isn't made up: an answer without `created` gives a body without it.
    """
    body: dict[str, Any] = {"id": response.id, "object": "chat.completion", "model": response.model}
    for member in ("created", "service_tier", "system_fingerprint"):
        if getattr(response, member) is not None:
            body[member] = getattr(response, member)
    body["choices"] = [_choice(choice) for choice in response.choices]
    if response.usage is not None:
        body["usage"] = _usage(response.usage)
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
    for output in choice.outputs:
        if isinstance(output, AudioOutput):
            message["audio"] = _audio(output)
    word = choice.finish_reason_raw
    if word is None:
        word = _FINISH_WORDS.get(choice.finish_reason, str(choice.finish_reason))
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": word,
    }


def _audio(spoken: AudioOutput) -> dict[str, Any]:
    body: dict[str, Any] = {"id": spoken.id, "data": spoken.data, "transcript": spoken.transcript}
    if spoken.expires_at is not None:
        body["expires_at"] = spoken.expires_at
    return body


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

"""Holding a request to the rules before it is encoded. No bytes, no I/O, no rule of its own.

msgspec doesn't check what is constructed and writes NaN as null without a word, so every member is looked at
here. Media are held to their rules where they are encoded, in `media`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import UNSET

from botticelli.core.message import Message, Role, Text, ToolCall
from botticelli.core.request import NamedTool, ResponseFormat, ToolDefinition
from botticelli.dialects.openai.rules import (
    INT64,
    RULES,
    check_json,
    check_name,
    check_text,
    refuse,
    wrong_type,
)
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from botticelli.core.request import GenerateRequest

__all__ = ["check"]

_INTEGERS = {"max_tokens": INT64, "seed": INT64, "n": (1, 128), "top_logprobs": (0, 20)}
_NUMBERS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CHOICES = ("auto", "none", "required")


def check(request: GenerateRequest, model: str) -> None:
    """Hold a request to the rules.

    Args:
        request: The request.
        model: The model it will go to.

    Raises:
        RequestError: At the first rule that it breaks, with the path.
    """
    if not isinstance(model, str) or not model.strip():  # pyright: ignore[reportUnnecessaryIsInstance] -- msgspec doesn't check
        refuse("model-missing", "$.model", "no model is named; give one to the driver or to the request")
    _check_numbers(request)
    _check_words(request)
    _check_messages(request.messages)
    _check_tools(request)
    _check_format(request.response_format)
    _check_metadata(request.metadata)
    _check_extra(request.extra, "$.extra")


def _check_numbers(request: GenerateRequest) -> None:
    for name, (least, most) in _INTEGERS.items():
        value = getattr(request, name)
        if value is UNSET or value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            wrong_type(f"$.{name}", value, "a whole number")
        if not least <= value <= most:
            refuse("number-range", f"$.{name}", f"{name} must be between {least} and {most}")
    for name, (low, high) in _NUMBERS.items():
        value = getattr(request, name)
        if value is UNSET or value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            wrong_type(f"$.{name}", value, "a number")
        if isinstance(value, float) and not math.isfinite(value):
            refuse("number-not-finite", f"$.{name}", f"{name} is {value}, which JSON can't carry")
        if not low <= value <= high:
            refuse("number-range", f"$.{name}", f"{name} must be between {low} and {high}")
    if isinstance(request.top_logprobs, int) and request.logprobs is not True:
        refuse("top-logprobs-alone", "$.top_logprobs", "top_logprobs needs logprobs=True beside it")


def _check_words(request: GenerateRequest) -> None:
    stop: object = request.stop
    if is_array(stop):
        if not 1 <= len(stop) <= 4:
            refuse("stop-count", "$.stop", f"stop takes one to four texts, not {len(stop)}")
        for position, text in enumerate(stop):
            check_text(text, f"$.stop[{position}]")
    elif stop is not UNSET and stop is not None:
        check_text(stop, "$.stop")
    for name in ("logprobs", "parallel_tool_calls"):
        value = getattr(request, name)
        if value is not UNSET and not isinstance(value, bool) and (name != "logprobs" or value is not None):
            wrong_type(f"$.{name}", value, "True or False")
    if not isinstance(request.stream_usage, bool):  # pyright: ignore[reportUnnecessaryIsInstance] -- as above
        wrong_type("$.stream_usage", request.stream_usage, "True or False")
    effort = request.reasoning_effort
    if effort is not UNSET and effort is not None and effort not in _EFFORTS:
        words = ", ".join(_EFFORTS)
        refuse("word", "$.reasoning_effort", f"reasoning_effort must be one of {words}, not {effort!r}")
    if request.user is not UNSET:
        check_text(request.user, "$.user")


def _check_messages(messages: object) -> None:
    if not is_array(messages) and not isinstance(messages, tuple):
        wrong_type("$.messages", messages, "a list of messages")
    if not messages:
        refuse("messages-empty", "$.messages", "a request needs at least one message")
    for position, message in enumerate(messages):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- as above
        _check_message(message, f"$.messages[{position}]")


def _check_message(message: object, path: str) -> None:
    if not isinstance(message, Message):
        wrong_type(path, message, "a Message")
    if message.role not in tuple(Role):
        refuse("word", f"{path}.role", f"there is no role {message.role!r}")
    _check_content(message.content, f"{path}.content")
    for name in ("name", "tool_call_id", "refusal", "reasoning"):
        if getattr(message, name) is not None:
            check_text(getattr(message, name), f"{path}.{name}")
    if (message.role == Role.TOOL) != (message.tool_call_id is not None):
        said = (
            "a tool's message needs the id of the call it answers"
            if message.tool_call_id is None
            else f"only a tool's message answers a call, not the {message.role}'s"
        )
        refuse("tool-call-id", f"{path}.tool_call_id", said)
    calls: object = message.tool_calls
    if not is_array(calls):
        wrong_type(f"{path}.tool_calls", calls, "a list of ToolCall")
    unwanted = calls or message.refusal is not None or message.reasoning is not None
    if unwanted and message.role != Role.ASSISTANT:
        refuse("content-unwanted", path, f"tool calls, refusal and reasoning are not for the {message.role}")
    if not (message.content or calls or message.refusal is not None):
        refuse("content-missing", f"{path}.content", "the message says nothing")
    for position, call in enumerate(calls):
        _check_call(call, f"{path}.tool_calls[{position}]")


def _check_content(content: object, path: str) -> None:
    if not is_array(content):
        wrong_type(path, content, "a list of parts (the short forms take a text)")
    for position, part in enumerate(content):
        if isinstance(part, Text):
            check_text(part.text, f"{path}[{position}].text")


def _check_call(call: object, path: str) -> None:
    if not isinstance(call, ToolCall):
        wrong_type(path, call, "a ToolCall")
    for name in ("id", "name", "arguments_json", "type"):
        check_text(getattr(call, name), f"{path}.{name}")
    if not call.id:
        refuse("tool-call-id", f"{path}.id", "a call that is sent back needs its id")
    if not call.name:
        refuse("name", f"{path}.name", "a call that is sent back needs its tool's name")
    if call.type not in ("function", "custom"):
        refuse("word", f"{path}.type", f"a call is of type function or custom, not {call.type!r}")
    _check_extra(call.extra, f"{path}.extra")


def _check_tools(request: GenerateRequest) -> None:
    tools: object = request.tools
    if tools is not UNSET:
        if not is_array(tools) and not isinstance(tools, tuple):
            wrong_type("$.tools", tools, "a list of ToolDefinition")
        for position, tool in enumerate(tools):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- as above
            _check_tool(tool, f"$.tools[{position}]")
    choice: object = request.tool_choice
    if isinstance(choice, NamedTool):
        check_name(choice.name, "$.tool_choice.name")
    elif choice is not UNSET and choice not in _CHOICES:
        if not isinstance(choice, str):
            wrong_type("$.tool_choice", choice, "auto, none, required or a NamedTool")
        refuse("word", "$.tool_choice", f"{choice!r} is no choice: auto, none, required or NamedTool(name)")


def _check_tool(tool: object, path: str) -> None:
    if not isinstance(tool, ToolDefinition):
        wrong_type(path, tool, "a ToolDefinition")
    check_name(tool.name, f"{path}.name")
    _check_described(tool.description, tool.strict, path)
    _check_schema(tool.parameters, f"{path}.parameters")


def _check_described(description: object, strict: object, path: str) -> None:
    if description is not UNSET:
        check_text(description, f"{path}.description")
    if strict is not UNSET and strict is not None and not isinstance(strict, bool):
        wrong_type(f"{path}.strict", strict, "True or False")


def _check_schema(schema: object, path: str) -> None:
    if schema is UNSET:
        return
    if not is_object(schema):
        wrong_type(path, schema, "a JSON Schema as a dict")
    check_json(schema, path)


def _check_format(form: object) -> None:
    path = "$.response_format"
    if form is UNSET:
        return
    if not isinstance(form, ResponseFormat):
        wrong_type(path, form, "a ResponseFormat")
    if form.type not in ("text", "json_object", "json_schema"):  # pyright: ignore[reportUnnecessaryContains] -- as above
        refuse("word", f"{path}.type", f"there is no response format {form.type!r}")
    if form.type != "json_schema":
        return
    if form.name is UNSET:
        refuse("schema-missing", f"{path}.name", "a JSON schema response format needs a name")
    check_name(form.name, f"{path}.name")
    _check_described(form.description, form.strict, path)
    _check_schema(form.schema, f"{path}.schema")


def _check_metadata(metadata: object) -> None:
    if metadata is UNSET or metadata is None:
        return
    if not is_object(metadata):
        wrong_type("$.metadata", metadata, "a dict of texts")
    for key, value in metadata.items():
        check_text(key, "$.metadata")
        check_text(value, f"$.metadata.{key}")
        if len(key) > 64 or len(value) > 512:
            refuse("metadata-size", f"$.metadata.{key[:64]}", RULES["metadata-size"])
    if len(metadata) > 16:
        refuse("metadata-size", "$.metadata", RULES["metadata-size"])


def _check_extra(extra: object, path: str) -> None:
    if not is_object(extra):
        wrong_type(path, extra, "a dict")
    check_json(extra, path)

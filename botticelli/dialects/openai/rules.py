"""When a request can't be sent: the closed list of rules, and the checks. No bytes, no I/O.

msgspec doesn't check what is constructed and writes NaN as null without a word, so every request is
checked here before it is encoded. What no rule forbids is the server's to judge.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NoReturn

from msgspec import UNSET

from botticelli.core.errors import RequestError
from botticelli.core.message import Message, Role, ToolCall
from botticelli.core.request import NamedTool, ResponseFormat, ToolDefinition

from .jsontext import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.request import GenerateRequest

__all__ = ["RULES", "check", "check_json", "refuse"]

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model-missing": "a request needs the name of a model",
        "messages-empty": "a request needs at least one message",
        "type": "a member must have its documented type",
        "null": "a member that the format doesn't allow to be null must be left UNSET instead",
        "number-range": "a number must be in its published range",
        "number-not-finite": "NaN and infinities aren't JSON",
        "surrogate-lone": "a text must be encodable as UTF-8",
        "not-json": "what is passed through must be JSON: no other objects, only texts as keys, no cycles",
        "content-missing": "a message must say something: content, a tool call or a refusal",
        "content-unwanted": "only the assistant's messages carry tool calls, refusals and reasoning",
        "part-unsupported": "the format has no such part, or not in a message of this role",
        "media-type": "a medium must be of a type that the format can name",
        "media-unreadable": "a file that a message names must be readable",
        "tool-call-id": "a tool's message must name the call it answers, and only a tool's message may",
        "name": "names of tools and schemas have 1 to 64 letters, digits, _ or -",
        "stop-count": "there are at most four texts at which to stop, and at least one",
        "word": "a member with a published list of words must be one of them",
        "top-logprobs-alone": "top_logprobs needs logprobs=True",
        "metadata-size": "metadata has at most 16 pairs, keys of 64 and values of 512 characters",
        "schema-missing": "a JSON schema response format needs a name",
        "extra-conflict": "extra may not repeat what the request sets, nor model, messages or stream",
    }
)
"""Every rule and what it demands; nothing else makes a `RequestError`."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_INT64 = 2**63

_INTEGERS = {
    "max_tokens": (-math.inf, math.inf),
    "seed": (-_INT64, _INT64 - 1),
    "n": (1, 128),
    "top_logprobs": (0, 20),
}
_NUMBERS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CHOICES = ("auto", "none", "required")


def refuse(rule: str, path: str, message: str) -> NoReturn:
    """Raise the `RequestError` of a rule."""
    raise RequestError(message, path=path, rule=rule)


def check(request: GenerateRequest, model: str) -> None:
    """Hold a request to the rules.

    Args:
        request: The request.
        model: The model it will go to.

    Raises:
        RequestError: At the first rule that it breaks, with the path.
    """
    if not isinstance(model, str) or not model.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        refuse("model-missing", "$.model", "no model is named; give one to the driver or to the request")
    _check_numbers(request)
    _check_words(request)
    _check_messages(request.messages)
    _check_tools(request)
    _check_format(request.response_format)
    _check_metadata(request.metadata)
    check_json(request.extra, "$.extra")


def _type(path: str, value: object, wanted: str) -> NoReturn:
    if value is None:
        refuse("null", path, f"{path[2:]} can't be null; leave it UNSET")
    refuse("type", path, f"{path[2:]} must be {wanted}, not {type(value).__name__}")


def _check_numbers(request: GenerateRequest) -> None:
    for name, (least, most) in _INTEGERS.items():
        value = getattr(request, name)
        if value is UNSET or value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            _type(f"$.{name}", value, "a whole number")
        _check_range(name, value, least, most)
    for name, (low, high) in _NUMBERS.items():
        value = getattr(request, name)
        if value is UNSET or value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            _type(f"$.{name}", value, "a number")
        if not math.isfinite(value):
            refuse("number-not-finite", f"$.{name}", f"{name} is {value}, which JSON can't carry")
        _check_range(name, value, low, high)
    if isinstance(request.top_logprobs, int) and request.logprobs is not True:
        refuse("top-logprobs-alone", "$.top_logprobs", "top_logprobs needs logprobs=True beside it")


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        refuse("number-range", f"$.{name}", f"{name} must be between {least:g} and {most:g}, not {value}")


def _check_words(request: GenerateRequest) -> None:
    stop = request.stop
    if isinstance(stop, list):
        if not 1 <= len(stop) <= 4:
            refuse("stop-count", "$.stop", f"stop takes one to four texts, not {len(stop)}")
        for position, text in enumerate(stop):
            _check_text(text, f"$.stop[{position}]")
    elif stop is not UNSET and stop is not None:
        _check_text(stop, "$.stop")
    for name in ("logprobs", "parallel_tool_calls"):
        value = getattr(request, name)
        if value is not UNSET and not isinstance(value, bool) and (name != "logprobs" or value is not None):
            _type(f"$.{name}", value, "True or False")
    if not isinstance(request.stream_usage, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        _type("$.stream_usage", request.stream_usage, "True or False")
    effort = request.reasoning_effort
    if effort is not UNSET and effort is not None and effort not in _EFFORTS:
        words = ", ".join(_EFFORTS)
        refuse("word", "$.reasoning_effort", f"reasoning_effort must be one of {words}, not {effort!r}")
    if request.user is not UNSET:
        _check_text(request.user, "$.user")


def _check_text(value: object, path: str) -> None:
    if not isinstance(value, str):
        _type(path, value, "a text")


def _check_name(value: object, path: str) -> None:
    _check_text(value, path)
    if not _NAME.fullmatch(str(value)):
        refuse("name", path, f"{value!r} is no name: 1 to 64 letters, digits, _ or -")


def _check_messages(messages: list[Message]) -> None:
    if not isinstance(messages, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        _type("$.messages", messages, "a list of messages")
    if not messages:
        refuse("messages-empty", "$.messages", "a request needs at least one message")
    for position, message in enumerate(messages):
        _check_message(message, f"$.messages[{position}]")


def _check_message(message: Message, path: str) -> None:
    if not isinstance(message, Message):  # pyright: ignore[reportUnnecessaryIsInstance]
        _type(path, message, "a Message")
    if message.role not in tuple(Role):
        refuse("word", f"{path}.role", f"there is no role {message.role!r}")
    if not isinstance(message.content, list):  # pyright: ignore[reportUnnecessaryIsInstance]
        _type(f"{path}.content", message.content, "a list of parts (the short forms take a text)")
    if message.name is not None:
        _check_text(message.name, f"{path}.name")
    if (message.role == Role.TOOL) != (message.tool_call_id is not None):
        refuse(
            "tool-call-id",
            f"{path}.tool_call_id",
            "a tool's message needs the id of the call it answers"
            if message.tool_call_id is None
            else f"only a tool's message answers a call, not the {message.role}'s",
        )
    if message.tool_call_id is not None:
        _check_text(message.tool_call_id, f"{path}.tool_call_id")
    if message.role != Role.ASSISTANT and (message.tool_calls or message.refusal or message.reasoning):
        refuse("content-unwanted", path, f"tool calls, refusal and reasoning are not for the {message.role}")
    if not (message.content or message.tool_calls or message.refusal is not None):
        refuse("content-missing", f"{path}.content", "the message says nothing")
    for name in ("refusal", "reasoning"):
        if getattr(message, name) is not None:
            _check_text(getattr(message, name), f"{path}.{name}")
    for position, call in enumerate(message.tool_calls):
        _check_call(call, f"{path}.tool_calls[{position}]")


def _check_call(call: ToolCall, path: str) -> None:
    if not isinstance(call, ToolCall):  # pyright: ignore[reportUnnecessaryIsInstance]
        _type(path, call, "a ToolCall")
    for name in ("id", "name", "arguments_json", "type"):
        _check_text(getattr(call, name), f"{path}.{name}")
    if not call.id:
        refuse("tool-call-id", f"{path}.id", "a call that is sent back needs its id")
    if not call.name:
        refuse("name", f"{path}.name", "a call that is sent back needs its tool's name")
    if call.type not in ("function", "custom"):
        refuse("word", f"{path}.type", f"a call is of type function or custom, not {call.type!r}")
    check_json(call.extra, f"{path}.extra")


def _check_tools(request: GenerateRequest) -> None:
    tools = request.tools
    if tools is not UNSET:
        if not isinstance(tools, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            _type("$.tools", tools, "a list of ToolDefinition")
        for position, tool in enumerate(tools):
            _check_tool(tool, f"$.tools[{position}]")
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        _check_name(choice.name, "$.tool_choice.name")
    elif choice is not UNSET and choice not in _CHOICES:
        if not isinstance(choice, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            _type("$.tool_choice", choice, "auto, none, required or a NamedTool")
        refuse("word", "$.tool_choice", f"{choice!r} is no choice: auto, none, required or NamedTool(name)")


def _check_tool(tool: ToolDefinition, path: str) -> None:
    if not isinstance(tool, ToolDefinition):  # pyright: ignore[reportUnnecessaryIsInstance]
        _type(path, tool, "a ToolDefinition")
    _check_name(tool.name, f"{path}.name")
    _check_described(tool.description, tool.strict, path)
    if tool.parameters is not UNSET:
        if not is_object(tool.parameters):
            _type(f"{path}.parameters", tool.parameters, "a JSON Schema as a dict")
        check_json(tool.parameters, f"{path}.parameters")


def _check_described(description: object, strict: object, path: str) -> None:
    if description is not UNSET:
        _check_text(description, f"{path}.description")
    if strict is not UNSET and strict is not None and not isinstance(strict, bool):
        _type(f"{path}.strict", strict, "True or False")


def _check_format(form: object) -> None:
    path = "$.response_format"
    if form is UNSET:
        return
    if not isinstance(form, ResponseFormat):
        _type(path, form, "a ResponseFormat")
    if form.type not in ("text", "json_object", "json_schema"):  # pyright: ignore[reportUnnecessaryContains]
        refuse("word", f"{path}.type", f"there is no response format {form.type!r}")
    if form.type != "json_schema":
        return
    if form.name is UNSET:
        refuse("schema-missing", f"{path}.name", "a JSON schema response format needs a name")
    _check_name(form.name, f"{path}.name")
    _check_described(form.description, form.strict, path)
    if form.schema is not UNSET:
        if not is_object(form.schema):
            _type(f"{path}.schema", form.schema, "a JSON Schema as a dict")
        check_json(form.schema, f"{path}.schema")


def _check_metadata(metadata: object) -> None:
    if metadata is UNSET or metadata is None:
        return
    if not is_object(metadata):
        _type("$.metadata", metadata, "a dict of texts")
    for key, value in metadata.items():
        _check_text(key, "$.metadata")
        _check_text(value, f"$.metadata.{key}")
        if len(key) > 64 or len(value) > 512:
            refuse("metadata-size", f"$.metadata.{key[:64]}", RULES["metadata-size"])
    if len(metadata) > 16:
        refuse("metadata-size", "$.metadata", RULES["metadata-size"])


def check_json(value: object, path: str) -> None:
    """Hold a value that is passed through to what JSON can carry.

    Raises:
        RequestError: With the rule ``not-json``, ``number-not-finite`` or ``surrogate-lone``, and the path.
    """
    try:
        _check_json(value, path)
    except RecursionError:
        refuse("not-json", path, "it is nested too deeply, or contains itself")


def _check_json(value: object, path: str) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            refuse("surrogate-lone", path, "the text holds half a surrogate pair, which UTF-8 can't carry")
    elif isinstance(value, float):
        if not math.isfinite(value):
            refuse("number-not-finite", path, f"{value} isn't JSON")
    elif is_array(value) or isinstance(value, tuple):
        for position, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            _check_json(item, f"{path}[{position}]")
    elif is_object(value):
        for key, item in value.items():
            if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                refuse("not-json", path, f"keys must be texts, not {type(key).__name__}")
            _check_json(key, path)
            _check_json(item, f"{path}.{key}")
    elif value is not None and not isinstance(value, bool | int):
        refuse("not-json", path, f"a {type(value).__name__} isn't JSON")

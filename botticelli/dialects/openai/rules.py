"""Check a request before it is encoded: the closed list of rules, and the checks of every member.

msgspec doesn't check what is constructed and writes NaN as null, so every member is checked here. Media are
checked where they are encoded, in `request`.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from msgspec import UNSET

from botticelli.core.errors import RequestError
from botticelli.core.message import Message, Other, Reasoning, Role, Text, ToolCall
from botticelli.core.request import NamedTool, ResponseFormat, ToolDefinition
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.request import GenerateRequest

__all__ = ["RULES", "check", "check_json", "check_name", "check_text", "refuse", "wrong_type"]

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model-missing": "a request needs the name of a model",
        "messages-empty": "a request needs at least one message",
        "type": "a member must have its documented type",
        "null": "a member that the format doesn't allow to be null must be given, or left UNSET if it may",
        "number-range": "a number must be in its published range, a whole one within 64 bits",
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
"""Every rule and what it demands; nothing else makes a `RequestError`.

What no rule forbids is the server's to judge, published members that come by way of `extra` included."""

INT64: Final = (-(2**63), 2**63 - 1)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_MAY_BE_UNSET = re.compile(
    r"\$\.(?:tools|tool_choice|parallel_tool_calls|response_format|user"
    r"|tools\[\d+\]\.(?:description|parameters)|response_format\.(?:description|schema))"
)
"""Where UNSET is allowed and null is not."""
_WIDEST = 2**64
_DEEPEST = 512
_SHOWN = 80


def refuse(rule: str, path: str, message: str) -> NoReturn:
    """Raise the `RequestError` of a rule."""
    raise RequestError(message, path=path, rule=rule)


def wrong_type(path: str, value: object, wanted: str) -> NoReturn:
    """Refuse a value for its type; null has a rule of its own, for often UNSET is what was meant."""
    name = path[2:] or "the request"
    if value is None:
        advice = "leave it UNSET" if _MAY_BE_UNSET.fullmatch(path) else f"it must be {wanted}"
        refuse("null", path, f"{name} can't be null; {advice}")
    refuse("type", path, f"{name} must be {wanted}, not {type(value).__name__}")


def check_text(value: object, path: str) -> None:
    """Hold a value to being a text."""
    if not isinstance(value, str):
        wrong_type(path, value, "a text")


def check_name(value: object, path: str) -> None:
    """Hold a value to being a name of a tool or a schema."""
    check_text(value, path)
    if not _NAME.fullmatch(str(value)):
        refuse("name", path, f"{str(value)[:_SHOWN]!r} is no name: 1 to 64 letters, digits, _ or -")


def check_json(value: object, path: str) -> None:
    """Hold a value that is passed through to what JSON can carry.

    Raises:
        RequestError: With the rule ``not-json``, ``number-not-finite``, ``number-range`` or
            ``surrogate-lone``, and the path.
    """
    pending: list[tuple[object, str, int]] = [(value, path, 0)]
    while pending:
        item, place, depth = pending.pop()
        if depth > _DEEPEST:
            refuse("not-json", path, "it is nested too deeply, or contains itself")
        if isinstance(item, list | tuple):
            items = cast("list[Any]", item)
            pending += [(inner, f"{place}[{position}]", depth + 1) for position, inner in enumerate(items)]
        elif is_object(item):
            for key, inner in item.items():
                _check_key(key, place)
                pending.append((inner, f"{place}.{key}", depth + 1))
        else:
            _check_scalar(item, place)


def _check_key(key: object, path: str) -> None:
    if not isinstance(key, str):
        refuse("not-json", path, f"keys must be texts, not {type(key).__name__}")
    _check_scalar(key, path)


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, str):
        try:
            value.encode()  # unicode-lone-surrogate-in-request
        except UnicodeEncodeError:
            refuse("surrogate-lone", path, "the text holds half a surrogate pair, which UTF-8 can't carry")
    elif isinstance(value, float):
        if not math.isfinite(value):
            refuse("number-not-finite", path, f"{value} isn't JSON")
    elif isinstance(value, int):
        if not -_WIDEST < value < _WIDEST:
            refuse("number-range", path, "the whole number is wider than 64 bits")
    elif value is not None:
        refuse("not-json", path, f"a {type(value).__name__} isn't JSON")


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
    _check_content(message.content, message.role, f"{path}.content")
    _check_extra(message.extra, f"{path}.extra")
    for name in ("name", "tool_call_id", "refusal", "reasoning"):
        if getattr(message, name) is not None:
            check_text(getattr(message, name), f"{path}.{name}")
    if (message.role == Role.TOOL) != (message.tool_call_id is not None):
        reason = (
            "a tool's message needs the id of the call it answers"
            if message.tool_call_id is None
            else f"only a tool's message answers a call, not the {message.role}'s"
        )
        refuse("tool-call-id", f"{path}.tool_call_id", reason)
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


def _check_content(content: object, role: Role, path: str) -> None:
    if not is_array(content):
        wrong_type(path, content, "a list of parts (the short forms take a text)")
    for position, part in enumerate(content):
        place = f"{path}[{position}]"
        if isinstance(part, Text | Reasoning):
            check_text(part.text, f"{place}.text")
        if isinstance(part, Reasoning):
            if role != Role.ASSISTANT:
                refuse("content-unwanted", place, f"reasoning is not for the {role}")
            if part.name is not None:
                check_text(part.name, f"{place}.name")
            check_json(part.details, f"{place}.details")
        elif isinstance(part, Other):
            check_json(part.data, f"{place}.data")
        elif hasattr(part, "extra"):
            _check_extra(part.extra, f"{place}.extra")


def _check_call(call: object, path: str) -> None:
    if not isinstance(call, ToolCall):
        wrong_type(path, call, "a ToolCall")
    for name in ("id", "name", "arguments_json", "type"):
        check_text(getattr(call, name), f"{path}.{name}")
    if not call.id:
        refuse("tool-call-id", f"{path}.id", "a call that is sent back needs its id")
    if not call.name and call.type in ("function", "custom"):
        refuse("name", f"{path}.name", "a call that is sent back needs its tool's name")
    if call.type not in ("function", "custom") and (call.name or not call.type):
        # server-tool-call: one without a name is the server's own, and goes back as it came
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
    _check_extra(tool.extra, f"{path}.extra")
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
    if extra:
        check_json(extra, path)

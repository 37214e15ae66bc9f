"""What is asked: UNSET by default, and never confused with null."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET

from botticelli.core.message import Message
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition

SPOKEN_FOR = {"messages", "stream_usage", "model", "extra"}
OPTIONAL = [name for name in GenerateRequest.__struct_fields__ if name not in SPOKEN_FOR]


def test_only_messages_must_be_given() -> None:
    request = GenerateRequest(messages=[Message.user("hi")])
    assert [name for name in OPTIONAL if getattr(request, name) is not UNSET] == []
    assert (request.stream_usage, request.model, request.extra) == (False, None, {})
    with pytest.raises(TypeError, match="messages"):
        GenerateRequest()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] -- that it is refused is the point


def test_the_fields_are_those_of_the_issue() -> None:
    assert GenerateRequest.__struct_fields__ == (
        *("messages", "max_tokens", "temperature", "top_p", "stop", "seed", "n"),
        *("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
        *("user", "metadata", "stream_usage", "model", "extra"),
    )


def test_unset_null_and_zero_are_three_things() -> None:
    messages = [Message.user("hi")]
    unset, null = GenerateRequest(messages), GenerateRequest(messages, temperature=None)
    zero = GenerateRequest(messages, temperature=0)
    assert unset != null
    assert null != zero
    assert zero != unset


def test_requests_do_not_share_their_extra() -> None:
    GenerateRequest([]).extra["seed"] = 1
    assert GenerateRequest([]).extra == {}


def test_what_is_unset_is_not_shown() -> None:
    shown = repr(GenerateRequest([], max_tokens=None, n=0))
    assert shown.startswith("GenerateRequest(messages=[], max_tokens=None, n=0")
    assert "UNSET" not in shown
    assert repr(ToolDefinition(name="f")) == "ToolDefinition(name='f')"
    assert repr(ResponseFormat.text()) == "ResponseFormat(type='text')"


def test_the_short_forms_of_response_formats() -> None:
    assert ResponseFormat.text() == ResponseFormat(type="text")
    assert ResponseFormat.json_object() == ResponseFormat(type="json_object")
    form = ResponseFormat.json_schema("answer", {"type": "object"})
    assert (form.type, form.name, form.schema) == ("json_schema", "answer", {"type": "object"})
    assert (form.strict, form.description) == (True, UNSET)
    loose = ResponseFormat.json_schema("answer", {}, strict=None, description="d")
    assert (loose.strict, loose.description) == (None, "d")


@pytest.mark.parametrize("value", [ToolDefinition(name="f"), NamedTool("f"), ResponseFormat.text()])
def test_definitions_are_values(value: msgspec.Struct) -> None:
    field = value.__struct_fields__[0]
    with pytest.raises(AttributeError, match="immutable"):
        setattr(value, field, "other")


def test_a_tool_says_nothing_it_was_not_told() -> None:
    tool = ToolDefinition(name="f")
    assert (tool.description, tool.parameters, tool.strict) == (UNSET, UNSET, UNSET)

"""Holding a request to the rules: what is in them passes, and each member is looked at on its own path."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from botticelli.core.errors import RequestError
from botticelli.core.message import Image, Message, Role, Text, ToolCall
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.dialects.openai.rules import check

if TYPE_CHECKING:
    from collections.abc import Callable

CALL = ToolCall("1", "f")
FORM: Any = ResponseFormat


def asked(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"messages": [Message.user("hi")], **members}
    return GenerateRequest(**given)


def said(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"role": Role.ASSISTANT, "content": [Text("hi")], **members}
    return GenerateRequest([Message(**given)])


def tool(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"name": "f", **members}
    return asked(tools=[ToolDefinition(**given)])


def call(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"id": "1", "name": "f", **members}
    return said(tool_calls=[ToolCall(**given)])


def form(**members: Any) -> GenerateRequest:
    return asked(response_format=FORM(**{"type": "json_schema", "name": "f", **members}))


def _with(name: str, value: Any) -> GenerateRequest:
    return asked(**{name: value})


NULLABLE = (
    *("max_tokens", "seed", "n", "top_logprobs", "temperature", "top_p", "presence_penalty"),
    *("frequency_penalty", "stop", "logprobs", "reasoning_effort", "metadata"),
)
NOT_NULLABLE = ("parallel_tool_calls", "user", "tools", "tool_choice", "response_format", "stream_usage")


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(messages=(Message.user("hi"),)),
        asked(messages=[Message.user([Text("a"), Image.of("https://x/y")])]),
        *(asked(**{name: None}) for name in NULLABLE),
        *(asked(max_tokens=value) for value in (0, -1, 2**63 - 1)),
        *(asked(seed=value) for value in (-(2**63), 2**63 - 1)),
        *(asked(n=value) for value in (1, 128)),
        *(asked(top_logprobs=value, logprobs=True) for value in (0, 20)),
        asked(top_logprobs=None, logprobs=False),
        *(asked(temperature=value) for value in (0, 2, 0.5)),
        *(asked(top_p=value) for value in (0, 1)),
        *(asked(presence_penalty=value, frequency_penalty=value) for value in (-2, 2.0)),
        *(asked(stop=value) for value in ("", "a", ["a"], list("abcd"))),
        *(
            asked(reasoning_effort=value)
            for value in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
        ),
        *(asked(tool_choice=value) for value in ("auto", "none", "required", NamedTool("f"))),
        asked(logprobs=False, parallel_tool_calls=False, stream_usage=True, user=""),
        asked(metadata={"k" * 64: "v" * 512, **{str(key): "" for key in range(15)}}),
        asked(metadata={}, tools=[], extra={"x": {"y": [1, None]}}),
        asked(tools=(ToolDefinition(name="f"),)),
        *(tool(description="d", parameters={}, strict=value) for value in (True, None, UNSET)),
        asked(response_format=ResponseFormat.text()),
        asked(response_format=ResponseFormat.json_object()),
        form(schema={}, description="d", strict=None),
        said(refusal="", content=[]),
        said(tool_calls=[CALL], content=[]),
        call(type="custom", extra={"signature": "s"}),
        said(name="n", reasoning="hm"),
        GenerateRequest([Message.tool("", "")]),
        GenerateRequest([Message(role="user", content=[Text("a")])]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- a role's plain word will do
    ],
)
def test_what_no_rule_forbids_passes(request_: GenerateRequest) -> None:
    check(request_, "m")


BROKEN: list[tuple[GenerateRequest, str, str]] = [
    *((asked(**{name: None}), "null", f"$.{name}") for name in NOT_NULLABLE),
    *((asked(**{name: True}), "type", f"$.{name}") for name in ("max_tokens", "seed", "n", "temperature")),
    *((asked(**{name: 1.0}), "type", f"$.{name}") for name in ("max_tokens", "seed", "n", "top_logprobs")),
    *((asked(max_tokens=value), "number-range", "$.max_tokens") for value in (2**63, 10**5000)),
    *((asked(seed=value), "number-range", "$.seed") for value in (-(2**63) - 1, 2**63)),
    *((asked(n=value), "number-range", "$.n") for value in (0, 129)),
    *((asked(top_logprobs=value, logprobs=True), "number-range", "$.top_logprobs") for value in (-1, 21)),
    *((asked(temperature=value), "number-range", "$.temperature") for value in (-0.1, 2.1, 10**400)),
    *((asked(top_p=value), "number-range", "$.top_p") for value in (-0.1, 1.1)),
    *((asked(presence_penalty=value), "number-range", "$.presence_penalty") for value in (-2.1, 2.1)),
    *((asked(frequency_penalty=value), "number-range", "$.frequency_penalty") for value in (-2.1, 2.1)),
    *((asked(temperature=value), "number-not-finite", "$.temperature") for value in (math.inf, -math.inf)),
    *(
        (asked(top_logprobs=0, logprobs=value), "top-logprobs-alone", "$.top_logprobs")
        for value in (UNSET, False)
    ),
    (asked(stop=[]), "stop-count", "$.stop"),
    (asked(stop=["a", 1]), "type", "$.stop[1]"),
    (asked(stop=("a",)), "type", "$.stop"),
    (asked(logprobs=1), "type", "$.logprobs"),
    (asked(parallel_tool_calls="yes"), "type", "$.parallel_tool_calls"),
    (asked(stream_usage=1), "type", "$.stream_usage"),
    (asked(reasoning_effort=["low"]), "word", "$.reasoning_effort"),
    (asked(user=5), "type", "$.user"),
    (asked(messages="hi"), "type", "$.messages"),
    (asked(messages=None), "null", "$.messages"),
    (asked(messages=()), "messages-empty", "$.messages"),
    (asked(messages=[Message.user("a"), {"role": "user"}]), "type", "$.messages[1]"),
    (said(role="robot"), "word", "$.messages[0].role"),
    (said(content="hi"), "type", "$.messages[0].content"),
    (said(content=None), "null", "$.messages[0].content"),
    (said(content=[Text("a"), Text(5)]), "type", "$.messages[0].content[1].text"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    (said(name=5), "type", "$.messages[0].name"),
    (said(refusal=5), "type", "$.messages[0].refusal"),
    (said(reasoning=5), "type", "$.messages[0].reasoning"),
    (said(role=Role.TOOL), "tool-call-id", "$.messages[0].tool_call_id"),
    (said(tool_call_id="1"), "tool-call-id", "$.messages[0].tool_call_id"),
    (said(role=Role.TOOL, tool_call_id=1), "type", "$.messages[0].tool_call_id"),
    (said(tool_calls=None), "null", "$.messages[0].tool_calls"),
    (said(tool_calls=CALL), "type", "$.messages[0].tool_calls"),
    *(
        (said(role=Role.USER, **{name: ""}), "content-unwanted", "$.messages[0]")
        for name in ("refusal", "reasoning")
    ),
    (said(role=Role.USER, tool_calls=[CALL]), "content-unwanted", "$.messages[0]"),
    (said(content=[], reasoning="hm"), "content-missing", "$.messages[0].content"),
    (said(tool_calls=[CALL, {"id": "1"}]), "type", "$.messages[0].tool_calls[1]"),
    *(
        (call(**{name: 5}), "type", f"$.messages[0].tool_calls[0].{name}")
        for name in ("id", "name", "arguments_json", "type")
    ),
    (call(id=""), "tool-call-id", "$.messages[0].tool_calls[0].id"),
    (call(name=""), "name", "$.messages[0].tool_calls[0].name"),
    (call(type="procedure"), "word", "$.messages[0].tool_calls[0].type"),
    (call(extra=[]), "type", "$.messages[0].tool_calls[0].extra"),
    (call(extra={"x": math.nan}), "number-not-finite", "$.messages[0].tool_calls[0].extra.x"),
    (asked(tools={}), "type", "$.tools"),
    (asked(tools=[ToolDefinition(name="f"), "g"]), "type", "$.tools[1]"),
    (tool(name=None), "null", "$.tools[0].name"),
    (tool(description=None), "null", "$.tools[0].description"),
    (tool(strict="yes"), "type", "$.tools[0].strict"),
    (tool(parameters=[]), "type", "$.tools[0].parameters"),
    (tool(parameters={"x": {1}}), "not-json", "$.tools[0].parameters.x"),
    (asked(tool_choice="any"), "word", "$.tool_choice"),
    (asked(tool_choice=5), "type", "$.tool_choice"),
    (asked(tool_choice=NamedTool("a b")), "name", "$.tool_choice.name"),
    (asked(response_format={"type": "text"}), "type", "$.response_format"),
    (asked(response_format=FORM(type="xml")), "word", "$.response_format.type"),
    (asked(response_format=FORM(type="json_schema")), "schema-missing", "$.response_format.name"),
    (form(name="a b"), "name", "$.response_format.name"),
    (form(description=5), "type", "$.response_format.description"),
    (form(strict=1), "type", "$.response_format.strict"),
    (form(schema=None), "null", "$.response_format.schema"),
    (form(schema={"x": math.inf}), "number-not-finite", "$.response_format.schema.x"),
    (asked(metadata=[]), "type", "$.metadata"),
    (asked(metadata={1: "a"}), "type", "$.metadata"),
    (asked(metadata={"a": 1}), "type", "$.metadata.a"),
    (asked(metadata={"a": None}), "null", "$.metadata.a"),
    (asked(metadata={str(key): "" for key in range(17)}), "metadata-size", "$.metadata"),
    (asked(metadata={"k" * 65: ""}), "metadata-size", "$.metadata." + "k" * 64),
    (asked(metadata={"a": "v" * 513}), "metadata-size", "$.metadata.a"),
    (asked(extra=None), "null", "$.extra"),
    (asked(extra=[]), "type", "$.extra"),
    (asked(extra={"a": [{"b": math.nan}]}), "number-not-finite", "$.extra.a[0].b"),
]


@pytest.mark.parametrize(
    ("request_", "rule", "path"), BROKEN, ids=[f"{rule}-{path[:40]}" for _, rule, path in BROKEN]
)
def test_each_member_is_refused_on_its_own_path(request_: GenerateRequest, rule: str, path: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(request_, "m")
    assert (caught.value.rule, caught.value.path) == (rule, path)


NEVER_NULL: dict[str, Callable[[Any], GenerateRequest]] = {
    **{name: partial(_with, name) for name in (*NOT_NULLABLE, "messages", "extra")},
    "tool description": lambda value: tool(description=value),
    "tool parameters": lambda value: tool(parameters=value),
    "tool name": lambda value: tool(name=value),
    "tool": lambda value: asked(tools=[value]),
    "format name": lambda value: form(name=value),
    "format description": lambda value: form(description=value),
    "schema": lambda value: form(schema=value),
    "a text to stop at": lambda value: asked(stop=[value]),
    "metadata": lambda value: asked(metadata={"a": value}),
    "message": lambda value: asked(messages=[value]),
    "content": lambda value: said(content=value),
    "calls": lambda value: said(tool_calls=value),
    "call id": lambda value: call(id=value),
    "call extra": lambda value: call(extra=value),
}


@pytest.mark.parametrize("member", NEVER_NULL)
def test_unset_is_advised_exactly_where_it_helps(member: str) -> None:
    make = NEVER_NULL[member]
    with pytest.raises(RequestError, match="can't be null; ") as caught:
        check(make(None), "m")
    try:
        check(make(UNSET), "m")
    except RequestError:
        assert "can't be null; it must be " in caught.value.message
    else:
        assert caught.value.message.endswith("leave it UNSET")


@pytest.mark.parametrize("model", ["", " ", None, 5])
def test_a_request_needs_a_model(model: Any) -> None:
    with pytest.raises(RequestError) as caught:
        check(asked(), model)
    assert (caught.value.rule, caught.value.path) == ("model-missing", "$.model")

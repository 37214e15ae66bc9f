"""The rules that a request is held to: each with its path, and nothing else makes a RequestError."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET

from botticelli.core.errors import RequestError
from botticelli.core.message import Document, Image, MediaSource, Message, Role, Text, ToolCall, Video
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.rules import (
    RULES,
    check,
    check_json,
    check_name,
    check_text,
    refuse,
    wrong_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# The rules: each of them is tripped, by a request that breaks it and nothing else, with the path.

HI = [Message.user("hi")]
HALF = "\ud83d"


def asked(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"messages": HI, **members}
    return GenerateRequest(**given)


def said(*messages: Message) -> GenerateRequest:
    return GenerateRequest(list(messages))


FILE = MediaSource.from_path("a.png")
UNTYPED = Document(MediaSource(kind="bytes", data=b"%PDF"))

TRIPS: list[tuple[str, str, GenerateRequest]] = [
    ("model-missing", "$.model", asked(model=" ")),
    ("messages-empty", "$.messages", asked(messages=[])),
    ("type", "$.temperature", asked(temperature="hot")),
    ("null", "$.user", asked(user=None)),
    ("number-range", "$.top_p", asked(top_p=1.01)),
    ("number-not-finite", "$.temperature", asked(temperature=math.nan)),
    ("surrogate-lone", "$.messages[0].content", said(Message.user(HALF))),
    ("not-json", "$.extra.x", asked(extra={"x": object()})),
    ("content-missing", "$.messages[1].content", said(*HI, Message.assistant())),
    ("content-unwanted", "$.messages[0]", said(Message(role=HI[0].role, content=[Text("a")], refusal=""))),
    ("part-unsupported", "$.messages[0].content[0]", said(Message.user(Video(FILE)))),
    ("media-type", "$.messages[0].content[0].source", said(Message.user(UNTYPED))),
    ("media-unreadable", "$.messages[0].content[0].source", said(Message.user(Image(FILE)))),
    (
        "tool-call-id",
        "$.messages[0].tool_calls[0].id",
        said(Message.assistant(tool_calls=[ToolCall("", "f")])),
    ),
    ("name", "$.tools[0].name", asked(tools=[ToolDefinition(name="get weather")])),
    ("stop-count", "$.stop", asked(stop=list("abcde"))),
    ("word", "$.reasoning_effort", asked(reasoning_effort="hard")),
    ("top-logprobs-alone", "$.top_logprobs", asked(top_logprobs=3)),
    ("metadata-size", "$.metadata", asked(metadata={str(key): "" for key in range(17)})),
    ("schema-missing", "$.response_format.name", asked(response_format=ResponseFormat(type="json_schema"))),
    ("extra-conflict", "$.extra.stream", asked(extra={"stream": False})),
]


@pytest.mark.parametrize(("rule", "path", "request_"), TRIPS, ids=[rule for rule, _, _ in TRIPS])
def test_a_request_that_breaks_the_rule_is_refused_with_the_path(
    rule: str, path: str, request_: GenerateRequest
) -> None:
    with pytest.raises(RequestError) as caught:
        encode_request(request_, model="m", stream=False)
    assert (caught.value.rule, caught.value.path) == (rule, path)
    assert caught.value.message
    assert caught.value.__cause__ is None


def test_every_rule_is_tripped_above() -> None:
    assert [rule for rule, _, _ in TRIPS] == list(RULES)


def test_the_rules_say_what_they_demand_and_do_not_change() -> None:
    assert all(RULES.values())
    with pytest.raises(TypeError):
        RULES["new"] = "rule"  # type: ignore[index]  # pyright: ignore[reportIndexIssue] -- that it is refused is the point


def refusal(check: Callable[[], None]) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        check()
    return caught.value.rule, caught.value.path


def test_a_refusal_carries_the_rule_the_path_and_the_words() -> None:
    with pytest.raises(RequestError, match="words") as caught:
        refuse("type", "$.x", "words")
    assert (caught.value.rule, caught.value.path) == ("type", "$.x")


def test_null_is_a_fault_of_its_own() -> None:
    assert refusal(lambda: wrong_type("$.x", None, "a text")) == ("null", "$.x")
    with pytest.raises(RequestError, match=r"^the request can't be null; it must be an object"):
        wrong_type("$", None, "an object")
    with pytest.raises(RequestError, match="x must be a text, not int") as caught:
        wrong_type("$.x", 5, "a text")
    assert caught.value.rule == "type"


@pytest.mark.parametrize("value", [5, b"bytes", ["a"], object()])
def test_a_text_is_a_text(value: object) -> None:
    assert refusal(lambda: check_text(value, "$.x")) == ("type", "$.x")
    check_text("", "$.x")


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 64])
def test_a_name_is_a_name(name: str) -> None:
    check_name(name, "$.x")


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "ä", "a.b", "a\n", "٣"])
def test_anything_else_is_no_name(name: str) -> None:
    assert refusal(lambda: check_name(name, "$.x")) == ("name", "$.x")


def test_a_name_of_megabytes_is_not_repeated_in_the_error() -> None:
    with pytest.raises(RequestError) as caught:
        check_name("x" * 1_000_000, "$.x")
    assert len(str(caught.value)) < 200


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def circle() -> Any:
    value: dict[str, Any] = {}
    value["again"] = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**63), 2**64 - 1, 1.5, "", "ü😀", [], {}, (1, "a"), {"a": [{"b": None}]}, nested(100)],
)
def test_what_is_json_passes(value: Any) -> None:
    check_json(value, "$")


@pytest.mark.parametrize(
    ("value", "rule", "path"),
    [
        (math.nan, "number-not-finite", "$"),
        ([1, math.inf], "number-not-finite", "$[1]"),
        ({"a": {"b": (0, -math.inf)}}, "number-not-finite", "$.a.b[1]"),
        (HALF, "surrogate-lone", "$"),
        ({"a": ["x", HALF]}, "surrogate-lone", "$.a[1]"),
        ({"a": {HALF: 1}}, "surrogate-lone", "$.a"),
        ({"a": {1: 2}}, "not-json", "$.a"),
        ({"a": b"bytes"}, "not-json", "$.a"),
        ({"a": {1, 2}}, "not-json", "$.a"),
        ([object()], "not-json", "$[0]"),
        ({"a": 2**64}, "number-range", "$.a"),
        ({"a": -(10**5000)}, "number-range", "$.a"),
        (circle(), "not-json", "$"),
        (nested(100_000), "not-json", "$"),
    ],
)
def test_what_is_not_json_is_refused_where_it_is(value: Any, rule: str, path: str) -> None:
    assert refusal(lambda: check_json(value, path="$")) == (rule, path)


# Holding a request to the rules: what is in them passes, and each member is looked at on its own path.

CALL = ToolCall("1", "f")
FORM: Any = ResponseFormat


def member_asked(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"messages": [Message.user("hi")], **members}
    return GenerateRequest(**given)


def member_said(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"role": Role.ASSISTANT, "content": [Text("hi")], **members}
    return GenerateRequest([Message(**given)])


def tool(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"name": "f", **members}
    return member_asked(tools=[ToolDefinition(**given)])


def call(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"id": "1", "name": "f", **members}
    return member_said(tool_calls=[ToolCall(**given)])


def form(**members: Any) -> GenerateRequest:
    return member_asked(response_format=FORM(**{"type": "json_schema", "name": "f", **members}))


def _with(name: str, value: Any) -> GenerateRequest:
    return member_asked(**{name: value})


NULLABLE = (
    *("max_tokens", "seed", "n", "top_logprobs", "temperature", "top_p", "presence_penalty"),
    *("frequency_penalty", "stop", "logprobs", "reasoning_effort", "metadata"),
)
NOT_NULLABLE = ("parallel_tool_calls", "user", "tools", "tool_choice", "response_format", "stream_usage")


@pytest.mark.parametrize(
    "request_",
    [
        member_asked(),
        member_asked(messages=(Message.user("hi"),)),
        member_asked(messages=[Message.user([Text("a"), Image.of("https://x/y")])]),
        *(member_asked(**{name: None}) for name in NULLABLE),
        *(member_asked(max_tokens=value) for value in (0, -1, 2**63 - 1)),
        *(member_asked(seed=value) for value in (-(2**63), 2**63 - 1)),
        *(member_asked(n=value) for value in (1, 128)),
        *(member_asked(top_logprobs=value, logprobs=True) for value in (0, 20)),
        member_asked(top_logprobs=None, logprobs=False),
        *(member_asked(temperature=value) for value in (0, 2, 0.5)),
        *(member_asked(top_p=value) for value in (0, 1)),
        *(member_asked(presence_penalty=value, frequency_penalty=value) for value in (-2, 2.0)),
        *(member_asked(stop=value) for value in ("", "a", ["a"], list("abcd"))),
        *(
            member_asked(reasoning_effort=value)
            for value in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
        ),
        *(member_asked(tool_choice=value) for value in ("auto", "none", "required", NamedTool("f"))),
        member_asked(logprobs=False, parallel_tool_calls=False, stream_usage=True, user=""),
        member_asked(metadata={"k" * 64: "v" * 512, **{str(key): "" for key in range(15)}}),
        member_asked(metadata={}, tools=[], extra={"x": {"y": [1, None]}}),
        member_asked(tools=(ToolDefinition(name="f"),)),
        *(tool(description="d", parameters={}, strict=value) for value in (True, None, UNSET)),
        member_asked(response_format=ResponseFormat.text()),
        member_asked(response_format=ResponseFormat.json_object()),
        form(schema={}, description="d", strict=None),
        member_said(refusal="", content=[]),
        member_said(tool_calls=[CALL], content=[]),
        call(type="custom", extra={"signature": "s"}),
        member_said(name="n", reasoning="hm"),
        GenerateRequest([Message.tool("", "")]),
        GenerateRequest([Message(role="user", content=[Text("a")])]),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- a role's plain word will do
    ],
)
def test_what_no_rule_forbids_passes(request_: GenerateRequest) -> None:
    check(request_, "m")


BROKEN: list[tuple[GenerateRequest, str, str]] = [
    *((member_asked(**{name: None}), "null", f"$.{name}") for name in NOT_NULLABLE),
    *(
        (member_asked(**{name: True}), "type", f"$.{name}")
        for name in ("max_tokens", "seed", "n", "temperature")
    ),
    *(
        (member_asked(**{name: 1.0}), "type", f"$.{name}")
        for name in ("max_tokens", "seed", "n", "top_logprobs")
    ),
    *((member_asked(max_tokens=value), "number-range", "$.max_tokens") for value in (2**63, 10**5000)),
    *((member_asked(seed=value), "number-range", "$.seed") for value in (-(2**63) - 1, 2**63)),
    *((member_asked(n=value), "number-range", "$.n") for value in (0, 129)),
    *(
        (member_asked(top_logprobs=value, logprobs=True), "number-range", "$.top_logprobs")
        for value in (-1, 21)
    ),
    *((member_asked(temperature=value), "number-range", "$.temperature") for value in (-0.1, 2.1, 10**400)),
    *((member_asked(top_p=value), "number-range", "$.top_p") for value in (-0.1, 1.1)),
    *((member_asked(presence_penalty=value), "number-range", "$.presence_penalty") for value in (-2.1, 2.1)),
    *(
        (member_asked(frequency_penalty=value), "number-range", "$.frequency_penalty")
        for value in (-2.1, 2.1)
    ),
    *(
        (member_asked(temperature=value), "number-not-finite", "$.temperature")
        for value in (math.inf, -math.inf)
    ),
    *(
        (member_asked(top_logprobs=0, logprobs=value), "top-logprobs-alone", "$.top_logprobs")
        for value in (UNSET, False)
    ),
    (member_asked(stop=[]), "stop-count", "$.stop"),
    (member_asked(stop=["a", 1]), "type", "$.stop[1]"),
    (member_asked(stop=("a",)), "type", "$.stop"),
    (member_asked(logprobs=1), "type", "$.logprobs"),
    (member_asked(parallel_tool_calls="yes"), "type", "$.parallel_tool_calls"),
    (member_asked(stream_usage=1), "type", "$.stream_usage"),
    (member_asked(reasoning_effort=["low"]), "word", "$.reasoning_effort"),
    (member_asked(user=5), "type", "$.user"),
    (member_asked(messages="hi"), "type", "$.messages"),
    (member_asked(messages=None), "null", "$.messages"),
    (member_asked(messages=()), "messages-empty", "$.messages"),
    (member_asked(messages=[Message.user("a"), {"role": "user"}]), "type", "$.messages[1]"),
    (member_said(role="robot"), "word", "$.messages[0].role"),
    (member_said(content="hi"), "type", "$.messages[0].content"),
    (member_said(content=None), "null", "$.messages[0].content"),
    (member_said(content=[Text("a"), Text(5)]), "type", "$.messages[0].content[1].text"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    (member_said(name=5), "type", "$.messages[0].name"),
    (member_said(refusal=5), "type", "$.messages[0].refusal"),
    (member_said(reasoning=5), "type", "$.messages[0].reasoning"),
    (member_said(role=Role.TOOL), "tool-call-id", "$.messages[0].tool_call_id"),
    (member_said(tool_call_id="1"), "tool-call-id", "$.messages[0].tool_call_id"),
    (member_said(role=Role.TOOL, tool_call_id=1), "type", "$.messages[0].tool_call_id"),
    (member_said(tool_calls=None), "null", "$.messages[0].tool_calls"),
    (member_said(tool_calls=CALL), "type", "$.messages[0].tool_calls"),
    *(
        (member_said(role=Role.USER, **{name: ""}), "content-unwanted", "$.messages[0]")
        for name in ("refusal", "reasoning")
    ),
    (member_said(role=Role.USER, tool_calls=[CALL]), "content-unwanted", "$.messages[0]"),
    (member_said(content=[], reasoning="hm"), "content-missing", "$.messages[0].content"),
    (member_said(tool_calls=[CALL, {"id": "1"}]), "type", "$.messages[0].tool_calls[1]"),
    *(
        (call(**{name: 5}), "type", f"$.messages[0].tool_calls[0].{name}")
        for name in ("id", "name", "arguments_json", "type")
    ),
    (call(id=""), "tool-call-id", "$.messages[0].tool_calls[0].id"),
    (call(name=""), "name", "$.messages[0].tool_calls[0].name"),
    (call(type="procedure"), "word", "$.messages[0].tool_calls[0].type"),
    (call(extra=[]), "type", "$.messages[0].tool_calls[0].extra"),
    (call(extra={"x": math.nan}), "number-not-finite", "$.messages[0].tool_calls[0].extra.x"),
    (member_asked(tools={}), "type", "$.tools"),
    (member_asked(tools=[ToolDefinition(name="f"), "g"]), "type", "$.tools[1]"),
    (tool(name=None), "null", "$.tools[0].name"),
    (tool(description=None), "null", "$.tools[0].description"),
    (tool(strict="yes"), "type", "$.tools[0].strict"),
    (tool(parameters=[]), "type", "$.tools[0].parameters"),
    (tool(parameters={"x": {1}}), "not-json", "$.tools[0].parameters.x"),
    (member_asked(tool_choice="any"), "word", "$.tool_choice"),
    (member_asked(tool_choice=5), "type", "$.tool_choice"),
    (member_asked(tool_choice=NamedTool("a b")), "name", "$.tool_choice.name"),
    (member_asked(response_format={"type": "text"}), "type", "$.response_format"),
    (member_asked(response_format=FORM(type="xml")), "word", "$.response_format.type"),
    (member_asked(response_format=FORM(type="json_schema")), "schema-missing", "$.response_format.name"),
    (form(name="a b"), "name", "$.response_format.name"),
    (form(description=5), "type", "$.response_format.description"),
    (form(strict=1), "type", "$.response_format.strict"),
    (form(schema=None), "null", "$.response_format.schema"),
    (form(schema={"x": math.inf}), "number-not-finite", "$.response_format.schema.x"),
    (member_asked(metadata=[]), "type", "$.metadata"),
    (member_asked(metadata={1: "a"}), "type", "$.metadata"),
    (member_asked(metadata={"a": 1}), "type", "$.metadata.a"),
    (member_asked(metadata={"a": None}), "null", "$.metadata.a"),
    (member_asked(metadata={str(key): "" for key in range(17)}), "metadata-size", "$.metadata"),
    (member_asked(metadata={"k" * 65: ""}), "metadata-size", "$.metadata." + "k" * 64),
    (member_asked(metadata={"a": "v" * 513}), "metadata-size", "$.metadata.a"),
    (member_asked(extra=None), "null", "$.extra"),
    (member_asked(extra=[]), "type", "$.extra"),
    (member_asked(extra={"a": [{"b": math.nan}]}), "number-not-finite", "$.extra.a[0].b"),
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
    "tool": lambda value: member_asked(tools=[value]),
    "format name": lambda value: form(name=value),
    "format description": lambda value: form(description=value),
    "schema": lambda value: form(schema=value),
    "a text to stop at": lambda value: member_asked(stop=[value]),
    "metadata": lambda value: member_asked(metadata={"a": value}),
    "message": lambda value: member_asked(messages=[value]),
    "content": lambda value: member_said(content=value),
    "calls": lambda value: member_said(tool_calls=value),
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
        check(member_asked(), model)
    assert (caught.value.rule, caught.value.path) == ("model-missing", "$.model")

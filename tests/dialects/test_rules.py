"""The rules: each of them is tripped, by a request that breaks it and nothing else, with the path."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import RequestError
from botticelli.core.message import Document, Image, MediaSource, Message, Text, ToolCall, Video
from botticelli.core.request import GenerateRequest, ResponseFormat, ToolDefinition
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.rules import RULES, check_json, check_name, check_text, refuse, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable

HI = [Message.user("hi")]
HALF = "\ud83d"


def asked(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"messages": HI, **members}
    return GenerateRequest(**given)


def said(*messages: Message) -> GenerateRequest:
    return GenerateRequest(list(messages))


FILE = MediaSource.from_path("a.png")
UNTYPED = Document(MediaSource(kind="bytes", value=b"%PDF"))

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

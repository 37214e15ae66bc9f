"""The decoder of requests that the round-trip properties use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from botticelli.core.errors import RequestError
from botticelli.core.message import Audio, Document, Image, MediaSource, Message, Role, Text, ToolCall
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.dialects.openai.request import encode_request

from ..decode_request import LOSSES, decode_request

HELLO = {"role": "user", "content": "Hello!"}


def read(**members: Any) -> GenerateRequest:
    return decode_request(json.dumps({"model": "m", "messages": [HELLO], **members}).encode())


def read_message(**members: Any) -> Message:
    return read(messages=[members]).messages[0]


def refusal(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode_request(body)
    return caught.value


def test_only_what_is_in_the_body_is_set() -> None:
    assert read() == GenerateRequest([Message.user("Hello!")], model="m")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("max_tokens", 5),
        ("temperature", 0),
        ("top_p", 0.5),
        ("stop", ""),
        ("stop", ["a", "b"]),
        ("seed", -1),
        ("n", 2),
        ("presence_penalty", -2),
        ("frequency_penalty", 0.0),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("parallel_tool_calls", False),
        ("reasoning_effort", None),
        ("user", ""),
        ("metadata", {}),
        ("tool_choice", "required"),
    ],
)
def test_a_member_with_a_word_of_its_own_keeps_its_value(member: str, value: Any) -> None:
    request = read(**{member: value})
    assert getattr(request, member) == value
    assert request.extra == {}


def test_a_whole_number_is_whole_however_it_is_written() -> None:
    found = read(n=2.0).n
    assert (found, type(found)) == (2, int)


def test_a_model_that_is_not_named_is_the_drivers() -> None:
    assert decode_request(json.dumps({"messages": [HELLO]}).encode()).model is None


@pytest.mark.parametrize(
    ("options", "asked", "extra"),
    [
        ({"include_usage": True}, True, {}),
        ({"include_usage": False}, False, {"stream_options": {"include_usage": False}}),
        (
            {"include_usage": True, "include_obfuscation": False},
            False,
            {"stream_options": {"include_usage": True, "include_obfuscation": False}},
        ),
    ],
)
def test_usage_in_a_stream_is_asked_for(options: Any, asked: bool, extra: dict[str, Any]) -> None:
    request = read(stream=True, stream_options=options)
    assert (request.stream_usage, request.extra) == (asked, extra)


def test_functions_are_tools() -> None:
    function = {"name": "f", "description": "", "parameters": {"type": "object"}, "strict": None}
    request = read(
        tools=[{"type": "function", "function": function}, {"type": "function", "function": {"name": "g"}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
    )
    assert request.tools == [
        ToolDefinition(name="f", description="", parameters={"type": "object"}, strict=None),
        ToolDefinition(name="g"),
    ]
    assert request.tool_choice == NamedTool("f")
    assert request.extra == {}


@pytest.mark.parametrize(
    ("form", "known"),
    [
        ({"type": "text"}, ResponseFormat.text()),
        ({"type": "json_object"}, ResponseFormat.json_object()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
            ResponseFormat.json_schema("n", {}),
        ),
    ],
)
def test_a_response_format_is_known_by_its_type(form: Any, known: ResponseFormat) -> None:
    request = read(response_format=form)
    assert (request.response_format, request.extra) == (known, {})


WORDLESS: list[tuple[str, Any]] = [
    ("max_completion_tokens", 5),
    ("logit_bias", {"1": 2}),
    ("x_unknown", None),
    ("tools", "all"),
    ("tools", [{"type": "custom", "custom": {"name": "c"}}]),
    ("tools", ["f"]),
    ("tools", [{"type": "function", "function": {"name": "f", "x_cached": True}}]),
    ("tools", [{"type": "function", "function": {}}]),
    ("tools", [{"type": "function", "function": "f"}]),
    ("tools", [{"type": "function", "function": {"name": "f"}, "x_scope": 1}]),
    ("tools", [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {}}]),
    ("tool_choice", {"type": "custom", "custom": {"name": "c"}}),
    ("tool_choice", {"type": "function", "function": {"name": "f", "x": 1}}),
    ("tool_choice", {"type": "function", "function": "f"}),
    ("tool_choice", None),
    ("response_format", {"type": "grammar", "value": "x"}),
    ("response_format", {"type": "regex", "json_schema": {"name": "n"}}),
    ("response_format", {"type": "json_schema", "json_schema": {"schema": {}}}),
    ("response_format", {"type": "json_schema", "json_schema": "n"}),
    ("response_format", "text"),
]


@pytest.mark.parametrize(("member", "value"), WORDLESS)
def test_what_there_is_no_word_for_is_passed_through(member: str, value: Any) -> None:
    request = read(**{member: value})
    assert getattr(request, member, UNSET) is UNSET
    assert request.extra == {member: value}
    assert json.loads(encode_request(request, model="", stream=False))[member] == value


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, []),
        ("", [Text("")]),
        ("a", [Text("a")]),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], [Text("a"), Text("b")]),
        (
            [{"type": "image_url", "image_url": {"url": "https://example.org/a", "detail": "low"}}],
            [Image(MediaSource.from_url("https://example.org/a"), "low")],
        ),
        (
            [{"type": "image_url", "image_url": {"url": "data:,"}}],
            [Image(MediaSource.from_url("data:,"))],
        ),
        (
            [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
            [Audio(MediaSource.from_base64("AAAA", "audio/wav"), "wav")],
        ),
        (
            [{"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}}],
            [Audio(MediaSource.from_base64("", "audio/mpeg"), "mp3")],
        ),
        (
            [
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                }
            ],
            [Document(MediaSource.from_base64("AA==", "application/pdf"), "a.pdf")],
        ),
        (
            [{"type": "file", "file": {"file_data": "data:text/plain;base64,", "file_id": None}}],
            [Document(MediaSource.from_base64("", "text/plain"))],
        ),
    ],
)
def test_content_becomes_parts(content: Any, parts: list[Any]) -> None:
    assert read_message(role="user", content=content).content == parts


@pytest.mark.parametrize(
    "part",
    [
        "text",
        None,
        {"type": "text"},
        {"type": "text", "text": 5},
        {"type": "refusal", "refusal": "No."},
        {"type": "video_url", "video_url": {"url": "https://example.org/a"}},
        {"type": "image_url", "image_url": "https://example.org/a"},
        {"type": "image_url", "image_url": {}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "flac"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": ["wav"]}},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_id": "file-1", "file_data": "data:text/plain;base64,"}},
        {"type": "file", "file": {"file_data": "bare base64"}},
        {"type": ["text"], "text": "a"},
    ],
)
def test_a_part_that_no_message_can_hold_is_refused_where_it_stands(part: Any) -> None:
    body = {"messages": [HELLO, {"role": "user", "content": [{"type": "text", "text": "a"}, part]}]}
    error = refusal(json.dumps(body).encode())
    assert (error.rule, error.path) == ("part-unsupported", "$.messages[1].content[1]")


def test_an_assistants_turn_keeps_all_it_said() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "x_signature": "s"}
    custom = {"id": "d", "type": "custom", "custom": {"name": "g", "input": "free"}}
    message = read_message(
        role="assistant",
        content=None,
        name="Bo",
        refusal="No.",
        reasoning_content="Hm.",
        tool_calls=[call, custom],
        audio=None,
        function_call=None,
    )
    assert message == Message(
        role=Role.ASSISTANT,
        name="Bo",
        refusal="No.",
        reasoning="Hm.",
        tool_calls=[
            ToolCall("c", "f", "{}", extra={"x_signature": "s"}),
            ToolCall("d", "g", "free", type="custom"),
        ],
    )


@pytest.mark.parametrize("calls", [None, []])
def test_an_assistants_turn_without_calls_has_none(calls: Any) -> None:
    assert read_message(role="assistant", content="a", tool_calls=calls) == Message.assistant("a")


def test_a_tools_turn_answers_its_call() -> None:
    assert read_message(role="tool", tool_call_id="c", content="4") == Message.tool("c", "4")


def test_what_only_others_may_say_is_not_taken_from_a_user() -> None:
    message = read_message(**HELLO, tool_call_id="c", tool_calls=[], refusal="No.", reasoning_content="Hm.")
    assert message == Message.user("Hello!")


@pytest.mark.parametrize("member", ["audio", "function_call"])
def test_what_an_assistants_turn_has_no_word_for_is_refused(member: str) -> None:
    body = {"messages": [{"role": "assistant", "content": "a", member: {"id": "x"}}]}
    error = refusal(json.dumps(body).encode())
    assert (error.rule, error.path) == ("part-unsupported", f"$.messages[0].{member}")


@pytest.mark.parametrize(
    ("body", "rule", "path"),
    [
        (b"", "not-json", "character 0"),
        (b'{"messages":', "not-json", "character 12"),
        (b"[]", "type", "$"),
        (b"null", "null", "$"),
        (b"{}", "null", "$.messages"),
        (b'{"messages":{}}', "type", "$.messages"),
        (b'{"messages":["Hello!"]}', "type", "$.messages[0]"),
        (b'{"messages":[{"content":"a"}]}', "word", "$.messages[0].role"),
        (b'{"messages":[{"role":"function","name":"f","content":"a"}]}', "word", "$.messages[0].role"),
        (b'{"messages":[{"role":["user"],"content":"a"}]}', "word", "$.messages[0].role"),
        (b'{"messages":[{"role":"user","content":5}]}', "type", "$.messages[0].content"),
        (b'{"messages":[{"role":"assistant","tool_calls":"f"}]}', "type", "$.messages[0].tool_calls"),
        (b'{"messages":[{"role":"assistant","tool_calls":["f"]}]}', "type", "$.messages[0].tool_calls"),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(body: bytes, rule: str, path: str) -> None:
    error = refusal(body)
    assert (error.rule, error.path) == (rule, path)


def test_no_messages_are_for_the_one_who_sends_them_to_refuse() -> None:
    assert decode_request(b'{"messages":[]}').messages == []


def test_the_losses_have_reasons_and_do_not_change() -> None:
    assert all(reason.strip() for reason in LOSSES.values())
    with pytest.raises(TypeError):
        LOSSES["more"] = "x"  # type: ignore[index] # pyright: ignore[reportIndexIssue] -- what is tested

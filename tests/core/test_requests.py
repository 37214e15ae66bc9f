"""Requests and their messages: constructors, media, tool calls, and UNSET, which is never null."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import UNSET

from botticelli.core.message import Audio, Document, Image, MediaSource, Message, Role, Text, ToolCall, Video
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.core.message import Input

PICTURE = Image.of("https://example.org/a.png")
SHORT_FORMS: dict[Role, Callable[[Any], Message]] = {
    Role.SYSTEM: Message.system,
    Role.DEVELOPER: Message.developer,
    Role.USER: Message.user,
    Role.ASSISTANT: Message.assistant,
    Role.TOOL: lambda content: Message.tool("call_1", content),
}


def test_every_role_has_a_short_form() -> None:
    assert set(SHORT_FORMS) == set(Role)
    assert [str(role) for role in Role] == ["system", "developer", "user", "assistant", "tool"]


@pytest.mark.parametrize("role", SHORT_FORMS)
@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("hi", [Text("hi")]),
        ("", [Text("")]),
        (Text("hi"), [Text("hi")]),
        (PICTURE, [PICTURE]),
        ([Text("a"), PICTURE], [Text("a"), PICTURE]),
        ((Text("a"), Text("b")), [Text("a"), Text("b")]),
        ([], []),
    ],
)
def test_content_is_always_a_list_of_parts(role: Role, content: Any, parts: list[Input]) -> None:
    message = SHORT_FORMS[role](content)
    assert message.role is role
    assert message.content == parts


def test_a_message_does_not_share_the_list_it_was_made_from() -> None:
    parts: list[Input] = [Text("a")]
    calls = [ToolCall("1", "f")]
    message = Message.assistant(parts, tool_calls=calls)
    parts.append(Text("b"))
    calls.clear()
    assert message.content == [Text("a")]
    assert message.tool_calls == [ToolCall("1", "f")]


def test_messages_do_not_share_their_defaults() -> None:
    Message.assistant().content.append(Text("x"))
    Message.assistant().tool_calls.append(ToolCall("1", "f"))
    assert Message.assistant().content == []
    assert Message.assistant().tool_calls == []


def test_the_short_forms_pass_on_the_rest() -> None:
    assert Message.system("s", name="n").name == "n"
    assert Message.developer("s", name="n").name == "n"
    assert Message.user("s", name="n").name == "n"
    assert Message.tool("call_1", "42").tool_call_id == "call_1"
    message = Message.assistant(None, name="n", refusal="no", reasoning="hm")
    assert (message.content, message.name, message.refusal, message.reasoning) == ([], "n", "no", "hm")


def test_the_text_of_a_message_is_its_text_parts() -> None:
    assert Message.user([Text("a"), PICTURE, Text("b")]).text == "ab"
    assert Message.user([PICTURE]).text == ""
    assert str(Text("a")) == "a"


@pytest.mark.parametrize(
    ("source", "kind", "value", "media_type"),
    [
        (MediaSource.from_url("https://x/y"), "url", "https://x/y", None),
        (MediaSource.from_url("https://x/y", "image/png"), "url", "https://x/y", "image/png"),
        (MediaSource.from_base64("QQ==", "image/png"), "base64", "QQ==", "image/png"),
        (MediaSource.from_bytes(b"A", "image/png"), "bytes", b"A", "image/png"),
        (MediaSource.from_path("a/b.png"), "path", "a/b.png", None),
        (MediaSource.from_path(Path("a") / "b.png", "image/png"), "path", str(Path("a/b.png")), "image/png"),
    ],
)
def test_a_source_knows_what_it_was_made_from(
    source: MediaSource, kind: str, value: str | bytes, media_type: str | None
) -> None:
    held = source.data if kind == "bytes" else source.value
    assert (source.kind, held, source.media_type) == (kind, value, media_type)


def test_a_short_source_is_shown_and_a_long_one_counted() -> None:
    assert "'https://x/y'" in repr(MediaSource.from_url("https://x/y"))
    assert repr("A" * 80) in repr(MediaSource.from_base64("A" * 80, "image/png"))
    shown = repr(MediaSource.from_base64("A" * 81, "image/png"))
    assert shown == "MediaSource(kind='base64', value=<81 characters>, media_type='image/png')"
    assert "<81 bytes>" in repr(Document(MediaSource.from_bytes(b"A" * 81, "application/pdf")))


def test_an_image_is_made_of_a_url_a_path_or_a_source() -> None:
    source = MediaSource.from_bytes(b"A", "image/png")
    assert Image.of(source, "low") == Image(source, "low")
    assert Image.of("https://x/y").source == MediaSource.from_url("https://x/y")
    assert Image.of(Path("y.png")).source == MediaSource.from_path("y.png")


def test_parts_of_one_source_are_not_the_same_part() -> None:
    source = MediaSource.from_bytes(b"A", "x/y")
    assert len({Image(source), Audio(source), Video(source), Document(source)}) == 4


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        (" \t\r\n", {}),
        ("{}", {}),
        ('{"a": [1, null, "ü"]}', {"a": [1, None, "ü"]}),
        (' {"a": 1}\n', {"a": 1}),
        ("[]", []),
        ("0", 0),
        ('""', ""),
        ("null", None),
        ('{"a": 1', None),
        ("{'a': 1}", None),
        ('{"a": 1} {"b": 2}', None),
        ("paris", None),
        ('{"a": NaN}', None),
        ('{"a": -Infinity}', None),
        ("\xa0", None),
        ("[" * 100_000, None),
    ],
)  # fmt: skip
def test_arguments_are_the_parsed_text_or_none(text: str, arguments: Any) -> None:
    call = ToolCall("1", "f", text)
    assert call.arguments == arguments
    assert type(call.arguments) is type(arguments)
    assert call.arguments_json == text


@pytest.mark.parametrize("text", ["", "{}", "free text"])
def test_a_custom_call_has_text_and_no_arguments(text: str) -> None:
    call = ToolCall("1", "f", text, type="custom")
    assert call.arguments is None
    assert call.arguments_json == text


def test_a_call_prints_as_a_call() -> None:
    assert str(ToolCall("1", "weather", '{"city": "Paris"}')) == 'weather({"city": "Paris"})'


def test_calls_do_not_share_their_extra() -> None:
    nothing: Any = ToolCall("1", "f").extra
    with pytest.raises(TypeError, match="signature can't be put"):
        nothing["signature"] = "x"
    assert ToolCall("1", "f").extra == {}
    assert pickle.loads(pickle.dumps(nothing)) is nothing


WITH_DEFAULTS = {"messages", "stream_usage", "model", "extra"}
OPTIONAL = [name for name in GenerateRequest.__struct_fields__ if name not in WITH_DEFAULTS]


def test_only_messages_must_be_given() -> None:
    request = GenerateRequest(messages=[Message.user("hi")])
    assert [name for name in OPTIONAL if getattr(request, name) is not UNSET] == []
    assert (request.stream_usage, request.model, request.extra) == (False, None, {})
    with pytest.raises(TypeError, match="messages"):
        GenerateRequest()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] -- that it is refused is the point


def test_the_fields_and_their_order_are_public() -> None:
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


def test_a_tool_has_only_a_name_by_default() -> None:
    tool = ToolDefinition(name="f")
    assert (tool.description, tool.parameters, tool.strict) == (UNSET, UNSET, UNSET)

"""Requests: what is sent, media, and how an answer is encoded for a cache."""

from __future__ import annotations

import base64
import inspect
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import RequestError
from botticelli.core.message import (
    Audio,
    Document,
    Image,
    MediaSource,
    Message,
    Other,
    Reasoning,
    Role,
    Text,
    ToolCall,
    Video,
)
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.core.response import (
    Choice,
    Citations,
    CompletionTokens,
    FinishReason,
    GenerateResponse,
    PromptTokens,
    Refusal,
    ToolCalls,
    Usage,
)
from botticelli.dialects.openai.request import encode_part, encode_request
from botticelli.dialects.openai.response import encode_response
from botticelli.dialects.openai.stream import decode_answer
from tests.spoken import spoken_output

if TYPE_CHECKING:
    from botticelli.core.message import Input
    from botticelli.core.response import Output

# Requests to bytes: only what is set, as it was set; and answers to bytes that read as the same answer.

HI = [Message.user("hi")]
SENT_HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PICTURE = Image.of("https://x/y.png")


def nothing(_name: str) -> bytes:
    return b""


def asked(**members: Any) -> GenerateRequest:
    given: dict[str, Any] = {"messages": HI, **members}
    return GenerateRequest(**given)


def sent(request: GenerateRequest, *, stream: bool = False, **how: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_request(request, model="m", stream=stream, **how))
    return found


def turn(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = sent(GenerateRequest([message]))["messages"][0]
    return found


def refusal(request: GenerateRequest, *, stream: bool = False) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        encode_request(request, model="m", stream=stream)
    return caught.value.rule, caught.value.path


def test_what_is_unset_is_not_sent() -> None:
    assert sent(asked()) == SENT_HI


NULLABLE = (
    *("max_tokens", "temperature", "top_p", "stop", "seed", "n", "presence_penalty"),
    *("frequency_penalty", "logprobs", "top_logprobs", "reasoning_effort", "metadata"),
)


@pytest.mark.parametrize("member", NULLABLE)
def test_none_is_sent_as_null(member: str) -> None:
    assert sent(asked(**{member: None})) == {**SENT_HI, member: None}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *((member, 0) for member in ("max_tokens", "temperature", "top_p", "seed", "presence_penalty")),
        *((member, False) for member in ("logprobs", "parallel_tool_calls")),
        *((member, "") for member in ("stop", "user")),
        ("tools", []),
        ("metadata", {}),
        ("frequency_penalty", -2),
        ("stop", ["a", ""]),
        ("n", 128),
        ("seed", -(2**63)),
        ("reasoning_effort", "none"),
        ("tool_choice", "required"),
    ],
)
def test_a_value_is_sent_as_it_is(member: str, value: Any) -> None:
    body = sent(asked(**{member: value}))
    assert body == {**SENT_HI, member: value}
    assert type(body[member]) is type(value)


def test_top_logprobs_go_with_logprobs() -> None:
    assert sent(asked(logprobs=True, top_logprobs=0)) == {**SENT_HI, "logprobs": True, "top_logprobs": 0}


def test_the_model_is_the_first_key_whatever_else_is_set() -> None:
    request = asked(max_tokens=1, temperature=0.5, tools=[], stream_usage=True, extra={"a": 1})
    body = encode_request(request, model="org/model:fastest", stream=True)
    assert body.startswith(b'{"model":"org/model:fastest","messages":')


def test_a_request_may_name_its_own_model() -> None:
    assert sent(asked(model="other"))["model"] == "other"
    assert refusal(asked(model="")) == ("model-missing", "$.model")


def test_the_server_says_what_max_tokens_is_called() -> None:
    assert sent(asked(max_tokens=5), max_tokens_field="max_completion_tokens") == {
        **SENT_HI,
        "max_completion_tokens": 5,
    }
    assert sent(asked(), max_tokens_field="max_completion_tokens") == SENT_HI


def test_a_stream_is_asked_for_and_its_usage_only_on_demand() -> None:
    assert sent(asked(), stream=True) == {**SENT_HI, "stream": True}
    options = {"stream": True, "stream_options": {"include_usage": True}}
    assert sent(asked(stream_usage=True), stream=True) == {**SENT_HI, **options}
    assert sent(asked(stream_usage=True), stream=False) == SENT_HI


def test_extra_is_passed_through_as_it_is() -> None:
    extra = {"top_k": 0, "guided": {"deep": [None, {"ü": 1.5}]}, "seed": None}
    assert sent(asked(extra=extra)) == {**SENT_HI, **extra}


@pytest.mark.parametrize(
    ("member", "members", "stream"),
    [
        ("model", {}, False),
        ("messages", {}, False),
        ("stream", {}, False),
        ("stream", {}, True),
        ("seed", {"seed": None}, False),
        ("max_tokens", {"max_tokens": 1}, False),
        ("tool_choice", {"tool_choice": "auto"}, False),
        ("response_format", {"response_format": ResponseFormat.text()}, False),
        ("stream_options", {"stream_usage": True}, True),
    ],
)
def test_extra_may_not_set_what_the_request_sets(member: str, members: dict[str, Any], stream: bool) -> None:
    request = asked(**members, extra={member: None})
    assert refusal(request, stream=stream) == ("extra-conflict", f"$.extra.{member}")


def test_extra_may_set_stream_options_where_the_request_does_not() -> None:
    options = {"include_obfuscation": False}
    assert sent(asked(extra={"stream_options": options}), stream=True)["stream_options"] == options


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (Message.system("s"), {"role": "system", "content": "s"}),
        (Message.developer("s", name="n"), {"role": "developer", "content": "s", "name": "n"}),
        (Message.user(""), {"role": "user", "content": ""}),
        (Message.user("a", name=""), {"role": "user", "content": "a", "name": ""}),
        (Message.tool("c1", "42"), {"role": "tool", "content": "42", "tool_call_id": "c1"}),
        (
            Message.tool("c1", [Text("4"), Text("2")]),
            {
                "role": "tool",
                "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}],
                "tool_call_id": "c1",
            },
        ),
        (
            Message.user([Text("what?"), PICTURE]),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                ],
            },
        ),
        (
            Message.user(PICTURE),
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
            },
        ),
        (Message.assistant("a", refusal=""), {"role": "assistant", "content": "a", "refusal": ""}),
        (Message.assistant(None, refusal="no"), {"role": "assistant", "content": None, "refusal": "no"}),
        (
            Message.assistant("a", reasoning=""),
            {"role": "assistant", "content": "a", "reasoning_content": ""},
        ),
        (
            Message.assistant(tool_calls=[ToolCall("c1", "f", "not json")]),
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "not json"}}
                ],
            },
        ),
        (
            Message.assistant("so", tool_calls=[ToolCall("c1", "f", "text", type="custom")]),
            {
                "role": "assistant",
                "content": "so",
                "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "f", "input": "text"}}],
            },
        ),
    ],
)
def test_a_message_is_sent_as_the_format_has_it(message: Message, body: dict[str, Any]) -> None:
    assert turn(message) == body


def test_what_came_with_a_call_goes_back_with_it_but_cannot_change_it() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "s"}}, "id": "forged", "type": "custom"}
    call = turn(Message.assistant(tool_calls=[ToolCall("c1", "f", "{}", extra=extra)]))["tool_calls"][0]
    assert call == {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}},
    }


def test_the_path_of_a_bad_part_tells_message_and_part() -> None:
    bad = Image(MediaSource.from_path("a.png"))
    request = GenerateRequest([*HI, Message.user([Text("a"), bad])])
    assert refusal(request) == ("media-unreadable", "$.messages[1].content[1].source")
    assert sent(request, read=nothing)["messages"][1]["content"][1]["image_url"] == {
        "url": "data:image/png;base64,"
    }


@pytest.mark.parametrize(
    ("tool", "function"),
    [
        (ToolDefinition(name="f"), {"name": "f"}),
        (
            ToolDefinition(name="f", description="", parameters={}, strict=None),
            {"name": "f", "description": "", "parameters": {}, "strict": None},
        ),
        (ToolDefinition(name="f", strict=False), {"name": "f", "strict": False}),
    ],
)
def test_a_tool_is_sent_with_what_it_was_told(tool: ToolDefinition, function: dict[str, Any]) -> None:
    assert sent(asked(tools=[tool]))["tools"] == [{"type": "function", "function": function}]


def test_a_named_tool_is_an_object() -> None:
    choice = sent(asked(tool_choice=NamedTool("f")))["tool_choice"]
    assert choice == {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (ResponseFormat.text(), {"type": "text"}),
        (ResponseFormat.json_object(), {"type": "json_object"}),
        (
            ResponseFormat.json_schema("a", {"type": "object"}, description="d"),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "a",
                    "description": "d",
                    "schema": {"type": "object"},
                    "strict": True,
                },
            },
        ),
        (
            ResponseFormat(type="json_schema", name="a", strict=None),
            {"type": "json_schema", "json_schema": {"name": "a", "strict": None}},
        ),
    ],
)
def test_a_response_format_is_sent_as_the_format_has_it(form: ResponseFormat, body: dict[str, Any]) -> None:
    assert sent(asked(response_format=form))["response_format"] == body


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (asked(messages=[Message.user("\ud800")]), "$.messages[0].content"),
        (asked(user="\udfff"), "$.user"),
        (asked(model="\ud800"), "$.model"),
        (asked(stop=["a", "\ud800"]), "$.stop[1]"),
        (asked(metadata={"a": "\ud800"}), "$.metadata.a"),
        (asked(tools=[ToolDefinition(name="f", description="\ud800")]), "$.tools[0].function.description"),
    ],
)
def test_half_a_character_is_refused_where_it_stands_in_the_body(
    request_: GenerateRequest, path: str
) -> None:
    assert refusal(request_) == ("surrogate-lone", path)


def test_a_whole_character_of_two_halves_is_sent() -> None:
    assert turn(Message.user("\U0001f600 ü\x00\u2028"))["content"] == "\U0001f600 ü\x00\u2028"


class Word(str):
    __slots__ = ()


class Count(int):
    pass


class Share(float):
    pass


def test_values_of_classes_of_their_own_are_sent_as_what_they_are() -> None:
    request = asked(user=Word("w"), n=Count(2), temperature=Share(0.5), extra={"x": [Word("y"), Count(3)]})
    assert sent(request) == {**SENT_HI, "user": "w", "n": 2, "temperature": 0.5, "x": ["y", 3]}


def test_a_request_too_deep_for_the_stack_is_refused() -> None:
    value: Any = 0
    for _ in range(400):
        value = [value]
    request = asked(extra={"x": value})
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    found: Any
    try:
        found = encode_request(request, model="m", stream=False)
    except RequestError as error:
        found = (error.rule, error.path)
    finally:
        sys.setrecursionlimit(before)
    # from Python 3.12 on a lowered limit doesn't bind C code, so that msgspec writes the value all the same
    whole = {**SENT_HI, "x": value}
    assert found == ("not-json", "$") or json.loads(found) == whole
    assert sent(request) == whole


def test_a_request_that_no_version_of_python_can_write_is_refused() -> None:
    value: Any = 0
    for _ in range(100_000):
        value = [value]
    assert refusal(asked(extra={"x": value})) == ("not-json", "$.extra")


CITATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 1, "url": "https://x/y", "title": "t"},
}
WHOLE = GenerateResponse(
    id="r",
    model="org/m",
    created=5,
    service_tier="default",
    system_fingerprint="fp",
    usage=Usage(
        prompt_tokens=1,
        completion_tokens=0,
        total_tokens=1,
        prompt_details=PromptTokens(cached_tokens=0),
        completion_details=CompletionTokens(reasoning_tokens=3),
    ),
    choices=[
        Choice(
            index=0,
            outputs=[
                Reasoning("hm", "reasoning"),
                Text("a"),
                Refusal("no"),
                spoken_output("au", "QQ==", "spoken", 9),
                Citations([CITATION]),
                ToolCalls([ToolCall("1", "f", "{}", extra={"s": 1}), ToolCall("2", "g", "x", type="custom")]),
            ],
            finish_reason=FinishReason.TOOL_USE,
            finish_reason_raw="tool_calls",
            logprobs={"content": [], "refusal": None},
        ),
        Choice(index=1, outputs=[Text("b")], finish_reason=FinishReason.STOP, finish_reason_raw="stop"),
    ],
)


def reread(response: GenerateResponse) -> GenerateResponse:
    found = decode_answer(encode_response(response))
    found.raw = b""
    found.deviations = []
    return found


def test_a_whole_answer_is_read_back_as_it_was() -> None:
    assert reread(WHOLE) == WHOLE


def one(*outputs: Output, **members: Any) -> GenerateResponse:
    known: dict[str, Any] = {"finish_reason": FinishReason.STOP, "finish_reason_raw": "stop", **members}
    return GenerateResponse(id="r", model="m", choices=[Choice(outputs=list(outputs), **known)])


@pytest.mark.parametrize(
    "response",
    [
        one(),
        one(Text("a")),
        one(Refusal("no")),
        one(spoken_output("au", "QQ==", "spoken")),
        one(Text("a"), finish_reason=FinishReason.OTHER, finish_reason_raw="weird"),
        one(Text("a"), finish_reason=FinishReason.OTHER, finish_reason_raw=None),
        one(Text("a"), finish_reason=FinishReason.LENGTH, finish_reason_raw="length"),
        one(Text("a"), finish_reason=FinishReason.CONTENT_FILTER, finish_reason_raw="content_filter"),
    ],
)
def test_an_answer_is_read_back_without_anything_made_up(response: GenerateResponse) -> None:
    assert reread(response) == response


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.TOOL_USE, "tool_calls"),
        (FinishReason.OTHER, None),
    ],
)
def test_an_answer_without_the_servers_word_gets_the_formats(reason: FinishReason, word: str | None) -> None:
    response = one(Text("a"), finish_reason=reason, finish_reason_raw=None)
    assert json.loads(encode_response(response))["choices"][0]["finish_reason"] == word


def test_what_the_server_slipped_on_stays_behind_and_what_it_said_does_not() -> None:
    body = json.loads(encode_response(decode_answer(encode_response(WHOLE)[:-1] + b',"odd":1}')))
    assert body["odd"] == 1
    assert "deviations" not in body
    assert decode_answer(encode_response(WHOLE)).deviations == []


def test_tokens_that_were_not_counted_are_not_zero() -> None:
    body = json.loads(
        encode_response(GenerateResponse(usage=Usage(total_tokens=3, prompt_details=PromptTokens())))
    )
    assert body["usage"]["total_tokens"] == 3
    assert not body["usage"].get("prompt_tokens")
    assert "cached_tokens" not in body["usage"].get("prompt_tokens_details", {})


# Images, sounds and files on their way into a request: every kind of source, and what can't be sent.

BYTES = b"\x89PNG\xff\x00"
BASE64 = base64.b64encode(BYTES).decode()
NAMES = ("a.png", "A.PNG", "dir.d/b.jpeg", "w\\c.pdf", "noext", "x.xyz", "s.mp3", "s.wav")


def read(name: str) -> bytes:
    if name not in NAMES:
        raise FileNotFoundError(2, "No such file", name)
    return BYTES


def part(given: Any, role: Role = Role.USER) -> dict[str, Any]:
    return encode_part(given, role, "$.p", read)


def url(source: MediaSource) -> str:
    found: str = part(Image(source))["image_url"]["url"]
    return found


def source(kind: Any, value: Any, media_type: Any = "image/png") -> MediaSource:
    held = {"data" if kind == "bytes" else "value": value}
    return MediaSource(kind=kind, media_type=media_type, **held)


def test_text_may_be_in_any_message() -> None:
    for role in Role:
        assert part(Text("hi"), role) == {"type": "text", "text": "hi"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (MediaSource.from_url("https://x/y"), "https://x/y"),
        (MediaSource.from_url("data:image/gif;base64,QQ=="), "data:image/gif;base64,QQ=="),
        (MediaSource.from_base64("QQ==", "image/gif"), "data:image/gif;base64,QQ=="),
        (MediaSource.from_bytes(BYTES, "image/gif"), f"data:image/gif;base64,{BASE64}"),
        (source("bytes", bytearray(BYTES)), f"data:image/png;base64,{BASE64}"),
        (MediaSource.from_bytes(b"", "image/gif"), "data:image/gif;base64,"),
        (MediaSource.from_path("a.png"), f"data:image/png;base64,{BASE64}"),
        (MediaSource.from_path("A.PNG"), f"data:image/png;base64,{BASE64}"),
        (MediaSource.from_path("dir.d/b.jpeg"), f"data:image/jpeg;base64,{BASE64}"),
        (MediaSource.from_path("a.png", "image/webp"), f"data:image/webp;base64,{BASE64}"),
        (MediaSource.from_path("noext", "image/webp"), f"data:image/webp;base64,{BASE64}"),
    ],
)
def test_an_image_is_sent_as_a_url(given: MediaSource, sent: str) -> None:
    assert part(Image(given)) == {"type": "image_url", "image_url": {"url": sent}}


@pytest.mark.parametrize("detail", ["auto", "low", "high"])
def test_an_image_says_how_closely_to_look(detail: Any) -> None:
    assert part(Image(MediaSource.from_url("https://x/y"), detail))["image_url"]["detail"] == detail


@pytest.mark.parametrize(
    ("given", "form"),
    [
        (Audio(MediaSource.from_base64(BASE64, "audio/wav")), "wav"),
        (Audio(MediaSource.from_bytes(BYTES, "audio/mpeg")), "mp3"),
        (Audio(MediaSource.from_bytes(BYTES, "audio/x-wav"), "mp3"), "mp3"),
        (Audio(MediaSource.from_path("s.mp3")), "mp3"),
        (Audio(MediaSource.from_path("s.wav")), "wav"),
        (Audio(MediaSource.from_path("noext"), "wav"), "wav"),
    ],
)
def test_a_sound_is_sent_as_its_bytes_and_format(given: Audio, form: str) -> None:
    assert part(given) == {"type": "input_audio", "input_audio": {"data": BASE64, "format": form}}


@pytest.mark.parametrize(
    ("given", "file"),
    [
        (Document(MediaSource.from_bytes(BYTES, "a/b")), {"file_data": f"data:a/b;base64,{BASE64}"}),
        (
            Document(MediaSource.from_base64(BASE64, "a/b"), "my.pdf"),
            {"filename": "my.pdf", "file_data": f"data:a/b;base64,{BASE64}"},
        ),
        (
            Document(MediaSource.from_path("w\\c.pdf")),
            {"filename": "c.pdf", "file_data": f"data:application/pdf;base64,{BASE64}"},
        ),
        (
            Document(MediaSource.from_path("dir.d/b.jpeg")),
            {"filename": "b.jpeg", "file_data": f"data:image/jpeg;base64,{BASE64}"},
        ),
        (
            Document(MediaSource.from_path("w\\c.pdf"), ""),
            {"filename": "", "file_data": f"data:application/pdf;base64,{BASE64}"},
        ),
    ],
)
def test_a_document_is_sent_with_its_name(given: Document, file: dict[str, str]) -> None:
    assert part(given) == {"type": "file", "file": file}


PNG = MediaSource.from_bytes(BYTES, "image/png")
ODD: Any = Image

REFUSED: list[tuple[Any, str, str]] = [
    (Video(PNG), "part-unsupported", "$.p"),
    ("just text", "part-unsupported", "$.p"),
    (Audio(MediaSource.from_url("https://x/y")), "part-unsupported", "$.p.source"),
    (Document(MediaSource.from_url("https://x/y")), "part-unsupported", "$.p.source"),
    (ODD("https://x/y"), "type", "$.p.source"),
    (ODD(None), "null", "$.p.source"),
    (Image(source("ftp", "x")), "word", "$.p.source.kind"),
    (Image(source("url", b"https://x/y")), "type", "$.p.source.value"),
    (Image(source("base64", b"QQ==")), "type", "$.p.source.value"),
    (Image(source("bytes", "QQ==")), "type", "$.p.source.data"),
    (Image(source("path", None)), "null", "$.p.source.value"),
    (Image(source("bytes", b"", 5)), "type", "$.p.source.media_type"),
    (ODD(PNG, "huge"), "word", "$.p.detail"),
    (Image(source("bytes", b"", None)), "media-type", "$.p.source"),
    (Image(MediaSource.from_path("noext")), "media-type", "$.p.source"),
    (Image(MediaSource.from_path("x.xyz")), "media-type", "$.p.source"),
    (Audio(PNG), "media-type", "$.p.format"),
    (Audio(source("bytes", b"", None)), "media-type", "$.p.format"),
    (Audio(PNG, "ogg"), "media-type", "$.p.format"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    (Document(PNG, 5), "type", "$.p.filename"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    (Image(MediaSource.from_path("gone.png")), "media-unreadable", "$.p.source"),
]


@pytest.mark.parametrize(("given", "rule", "path"), REFUSED, ids=[rule for _, rule, _ in REFUSED])
def test_what_the_format_cannot_carry_is_refused_where_it_is(given: Any, rule: str, path: str) -> None:
    with pytest.raises(RequestError) as caught:
        part(given)
    assert (caught.value.rule, caught.value.path) == (rule, path)


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.USER}), ids=str)
@pytest.mark.parametrize(
    "given", [Image(PNG), Audio(PNG, "wav"), Document(PNG)], ids=["image", "sound", "document"]
)
def test_only_the_user_sends_media(role: Role, given: Input) -> None:
    with pytest.raises(RequestError, match=f"not the {role}'s") as caught:
        part(given, role)
    assert (caught.value.rule, caught.value.path) == ("part-unsupported", "$.p")


def test_without_a_reader_no_file_is_read() -> None:
    with pytest.raises(RequestError, match="no files are at hand") as caught:
        encode_part(Image(MediaSource.from_path("a.png")), Role.USER, "$.p", None)
    assert (caught.value.rule, caught.value.path) == ("media-unreadable", "$.p.source")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (PermissionError(13, "not yours"), "not yours"),
        (ValueError("embedded null byte"), "null"),
        (OSError(), "OSError"),
    ],
)
def test_a_reader_that_fails_gives_one_error_that_says_why(fault: Exception, word: str) -> None:
    def failing(_name: str) -> bytes:
        raise fault

    with pytest.raises(RequestError, match=word) as caught:
        encode_part(Image(MediaSource.from_path("a.png")), Role.USER, "$.p", failing)
    assert caught.value.rule == "media-unreadable"
    assert caught.value.__context__ is None


# The second turn: an answer goes back as its server needs it.


def sent_back(message: dict[str, Any], **beside: Any) -> dict[str, Any]:
    """The assistant's turn that a whole answer becomes."""
    choice = {"index": 0, "message": message, "finish_reason": "stop", **beside}
    answer = decode_answer(json.dumps({"id": "a", "choices": [choice]}).encode())
    body = json.loads(encode_request(GenerateRequest([answer.to_message()]), model="m", stream=False))
    turn: dict[str, Any] = body["messages"][0]
    return turn


SENT = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DETAILS = [{"type": "reasoning.encrypted", "data": "E", "id": "r1"}]
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
SIGNED = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}", "sig": {"s": 1}}}


@pytest.mark.parametrize(
    "members",
    [
        {"reasoning_content": "", "tool_calls": [SENT]},
        {"reasoning": "hm", "tool_calls": [SENT]},
        {"thinking": "hm", "content": "Hi"},
        {"reasoning": "hm", "reasoning_details": DETAILS, "tool_calls": [SENT]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}], "content": "Hi"},
        {"content": "Hi", "extra_content": {"google": {"thought_signature": "S"}}},
        {"content": "Hi", "reasoning_opaque": "o", "thinking_blocks": [{"type": "thinking"}]},
        {"tool_calls": [SIGNED]},
        {"content": "Hi", "images": [{"type": "image_url", "image_url": {"url": "data:x", "a": 1}, "b": 2}]},
        {"content": [{"type": "text", "text": "See "}, {"type": "reference", "ids": [1]}]},
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ]
        },
    ],
)
def test_an_answer_goes_back_as_it_came(members: dict[str, Any]) -> None:
    turn = sent_back({"role": "assistant", "content": None, **members})
    assert {name: value for name, value in turn.items() if value is not None} == {
        "role": "assistant",
        **members,
    }


SIGNED_TEXT = {"type": "reasoning.text", "text": "hm", "signature": "s"}


@pytest.mark.parametrize(
    ("details", "signature", "redacted"),
    [
        (DETAILS, None, "E"),
        ([SIGNED_TEXT, *DETAILS], "s", "E"),
        ([SIGNED_TEXT, {**SIGNED_TEXT, "signature": "t"}, {**SIGNED_TEXT, "signature": None}], "t", None),
        (SIGNED_TEXT, "s", None),
        ([{"type": "reasoning.summary", "summary": "hm", "signature": "s", "data": "E"}, 5], None, None),
        ([{**SIGNED_TEXT, "signature": 5}, {"type": "reasoning.encrypted", "data": ""}], None, None),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"reasoning": "hm"}])
def test_proofs_and_hidden_reasoning_are_told_and_go_back_once(
    details: Any, signature: str | None, redacted: str | None, beside: dict[str, Any]
) -> None:
    members = {"content": "Hi", "reasoning_details": details, **beside}
    choice = {"index": 0, "message": members, "finish_reason": "stop"}
    (block, _) = decode_answer(json.dumps({"id": "a", "choices": [choice]}).encode()).outputs
    assert isinstance(block, Reasoning)
    assert (block.signature, block.redacted) == (signature, redacted)
    assert sent_back(members) == {"role": "assistant", **members}


def test_a_spoken_answer_goes_back_by_its_id_and_never_as_an_empty_text() -> None:
    audio = {"id": "au", "data": "AA==", "transcript": "Hi", "expires_at": 5}
    assert sent_back({"role": "assistant", "content": None, "audio": audio}) == {
        "role": "assistant",
        "audio": {"id": "au"},
    }
    assert sent_back({"content": None, "audio": {**audio, "id": ""}})["content"] == "Hi"


def test_a_call_without_arguments_goes_back_with_an_empty_object() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert sent_back({"tool_calls": [call]})["tool_calls"] == [SENT]


def test_a_call_of_the_servers_own_does_not_poison_the_conversation() -> None:
    call = {"id": "t", "type": "web_search", "web_search": {"q": 1}}
    assert sent_back({"content": "x", "tool_calls": [call]}) == {"role": "assistant", "content": "x"}
    kept = Message.assistant(
        "x", tool_calls=[ToolCall("t", "", type="web_search", extra={"web_search": {"q": 1}})]
    )
    body = json.loads(encode_request(GenerateRequest([kept]), model="m", stream=False))
    assert body["messages"][0]["tool_calls"] == [call]


def test_extras_of_messages_parts_and_tools_are_sent() -> None:
    hint = {"cache_control": {"type": "ephemeral"}}
    video = {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}
    user = Message.user([Text("a", hint), Other("video_url", video), Image(PNG, None, hint)])
    prefix = Message.assistant("b", extra={"prefix": True, "role": "user"})
    tool = ToolDefinition(name="f", extra=hint)
    body = json.loads(encode_request(GenerateRequest([user, prefix], tools=[tool]), model="m", stream=False))
    text, film, image = body["messages"][0]["content"]
    assert (text, film) == ({"type": "text", "text": "a", **hint}, video)
    assert image["cache_control"] == hint["cache_control"]
    assert body["messages"][1] == {"role": "assistant", "content": "b", "prefix": True}
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}, **hint}]


def test_reasoning_is_the_assistants_and_its_name_a_text() -> None:
    for message, path in (
        (Message.user([Reasoning("hm")]), "$.messages[0].content[0]"),
        (Message.assistant([Reasoning("hm", 5)]), "$.messages[0].content[0].name"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is refused
    ):
        with pytest.raises(RequestError) as caught:
            encode_request(GenerateRequest([message]), model="m", stream=False)
        assert caught.value.path == path


def test_reasoning_without_a_name_goes_under_the_usual_one() -> None:
    body = json.loads(
        encode_request(
            GenerateRequest([Message.assistant([Reasoning("hm"), Text("a")])]), model="m", stream=False
        )
    )
    assert body["messages"][0] == {"role": "assistant", "content": "a", "reasoning_content": "hm"}


def test_what_is_no_part_is_refused() -> None:
    odd: Any = "just text"
    with pytest.raises(RequestError) as caught:
        encode_request(GenerateRequest([Message.user([odd])]), model="m", stream=False)
    assert caught.value.rule == "part-unsupported"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "a", "images": [{"type": "image_url", "image_url": {"url": "u"}}]},
        {"content": [{"type": "text", "text": "a"}, {"type": "reference"}, {"type": "text", "text": "b"}]},
        {"content": [{"thinking": ""}, {"type": "text", "text": "b"}]},
        {"content": "a", "reasoning": "hm", "thinking": "hm"},
        {"content": "a", "reasoning": "hm", "thinking": ""},
    ],
)
def test_a_body_made_of_an_answer_decodes_to_it(message: dict[str, Any]) -> None:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = decode_answer(json.dumps({"id": "a", "model": "m", "choices": [choice]}).encode())
    assert decode_answer(encode_response(answer)).choices == answer.choices

"""Laws of what is sent: whatever the vocabulary can express is right by the contract, or refused by a rule.

And of the way back: a body that is read and written again is the same, but for losses that are written down.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from botticelli.contracts import packaged, violations
from botticelli.contracts.jsonvalue import is_array
from botticelli.core.errors import RequestError
from botticelli.core.message import Audio, Document, Image, MediaSource, Message, Role, Text, ToolCall, Video
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.dialects.openai.request import encode_request
from botticelli.dialects.openai.response import encode_response
from botticelli.dialects.openai.rules import RULES
from botticelli.dialects.openai.stream import decode_answer
from botticelli.kit.strategies import instances, json_values, mutations

from ..decode_request import LOSSES as REQUEST_LOSSES
from ..decode_request import ONE_WAY, decode_request
from ..decode_request import RESPONSE_LOSSES as LOSSES

if TYPE_CHECKING:
    from collections.abc import Callable

ours = settings(deadline=None)  # a deadline would judge the machine


class OwnFloat(float):
    """What numpy's floats are to msgspec."""


NONSENSE: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    OwnFloat(0.5),
    float("nan"),
    float("-inf"),
    2**70,
    "",
    "word",
    "half \ud83c",
    "0" * 600,
    b"bytes",
    [],
    [None],
    ["a"] * 5,
    ("a",),
    {},
    {"a": "b"},
    {1: "b"},
    {"\ud800": 1},
    {"a": object()},
    Video(MediaSource.from_url("https://example.org/film")),
    object(),
    UNSET,
    Text("t"),
    Message.user("u"),
]


def odd(sense: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what makes sense; a number in the middle, because chance favours the ends."""
    return st.integers(0, 60).flatmap(lambda roll: st.sampled_from(NONSENSE) if roll == 37 else sense)


texts = st.text(max_size=6)
names = odd(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True))
jsons = odd(st.dictionaries(texts, json_values(), max_size=2))
types = odd(st.sampled_from(["image/png", "audio/wav", "application/pdf"]))
urls = odd(st.builds(MediaSource.from_url, odd(st.sampled_from(["https://example.org/a.png", ""]))))
sources = odd(
    st.one_of(
        st.builds(MediaSource.from_base64, odd(st.just("AAAA")), types),
        st.builds(MediaSource.from_bytes, odd(st.just(b"raw")), types),
        st.builds(MediaSource, kind=st.just("path"), value=odd(st.just("a.wav")), media_type=odd(st.none())),
        st.builds(MediaSource, kind=odd(st.just("url")), value=st.just("a.wav"), media_type=st.none()),
    )
)
parts = odd(
    st.one_of(
        st.builds(Text, odd(texts)),
        st.builds(Image, urls | sources, odd(st.sampled_from([None, "auto", "low", "high"]))),
        st.builds(Audio, sources, odd(st.sampled_from(["wav", "mp3"]))),
        st.builds(Document, sources, odd(st.none() | texts)),
    )
)
calls = odd(
    st.builds(
        ToolCall,
        id=odd(st.sampled_from(["call_1", "call_2"])),
        name=names,
        arguments_json=odd(texts),
        type=odd(st.sampled_from(["function", "custom"])),
        extra=jsons,
    )
)
texts_only = odd(st.lists(odd(st.builds(Text, odd(texts))), min_size=1, max_size=2))
messages = odd(
    st.one_of(
        st.builds(
            Message,
            role=odd(st.sampled_from([Role.USER, "user"])),
            content=odd(st.lists(parts, min_size=1, max_size=2)),
            name=odd(st.none() | texts),
        ),
        st.builds(
            Message,
            role=st.sampled_from([Role.SYSTEM, Role.DEVELOPER]),
            content=texts_only,
            name=odd(st.none()),
        ),
        st.builds(
            Message,
            role=st.just(Role.ASSISTANT),
            content=texts_only | st.just([]),
            tool_calls=odd(st.just([]) | st.lists(calls, max_size=2)),
            refusal=odd(st.none() | texts),
            reasoning=odd(st.none() | texts),
        ),
        st.builds(Message, role=odd(st.just(Role.TOOL)), content=texts_only, tool_call_id=odd(texts)),
    )
)
unset = st.just(UNSET)
tools = st.builds(
    ToolDefinition,
    name=names,
    description=odd(unset | texts),
    parameters=unset | jsons,
    strict=odd(unset | st.none() | st.booleans()),
)
formats = st.one_of(
    st.builds(ResponseFormat, type=odd(st.sampled_from(["text", "json_object"]))),
    st.builds(
        ResponseFormat,
        type=st.just("json_schema"),
        name=odd(unset | names),
        description=odd(unset | texts),
        schema=unset | jsons,
        strict=odd(unset | st.booleans()),
    ),
)
requests = st.builds(
    GenerateRequest,
    messages=odd(st.lists(messages, min_size=1, max_size=2)),
    max_tokens=odd(unset | st.none() | st.integers(-1, 100)),
    temperature=odd(unset | st.none() | st.floats(0, 2)),
    top_p=odd(unset | st.floats(0, 1)),
    stop=odd(unset | st.none() | texts | st.lists(texts, min_size=1, max_size=4)),
    seed=odd(unset | st.integers()),
    n=odd(unset | st.integers(1, 128)),
    presence_penalty=odd(unset | st.floats(-2, 2)),
    frequency_penalty=odd(unset | st.just(0)),
    logprobs=odd(unset | st.just(True) | st.none()),
    top_logprobs=odd(unset),
    tools=odd(unset | st.lists(odd(tools), max_size=2)),
    tool_choice=odd(unset | st.sampled_from(["auto", "none"]) | st.builds(NamedTool, names)),
    parallel_tool_calls=odd(unset | st.booleans()),
    response_format=odd(unset | formats),
    reasoning_effort=odd(unset | st.none() | st.sampled_from(["none", "high"])),
    user=odd(unset | texts),
    metadata=odd(unset | st.none() | st.dictionaries(texts, texts, max_size=3)),
    stream_usage=odd(st.booleans()),
    model=odd(st.none() | st.just("other/model")),
    extra=odd(
        st.dictionaries(st.sampled_from(["x_a", "x_b", "model", "stream"]), odd(json_values()), max_size=1)
    ),
)


def files(name: str) -> bytes:
    if name != "a.wav":
        raise FileNotFoundError(name)
    return b"RIFF"


def no_constant(word: str) -> None:
    pytest.fail(f"{word} is no JSON")


@settings(ours, max_examples=400)
@given(requests, st.booleans(), st.sampled_from(["max_tokens", "max_completion_tokens"]))
def test_a_request_keeps_the_contract_or_breaks_a_rule(
    request: GenerateRequest, stream: bool, max_tokens_field: str
) -> None:
    try:
        body = encode_request(
            request, model="org/model", stream=stream, max_tokens_field=max_tokens_field, read=files
        )
    except RequestError as error:
        said = error
    else:
        value = json.loads(body.decode(), parse_constant=no_constant)
        assert violations("openai/request", value) == []
        assert next(iter(value)) == "model"
        assert ("stream" in value) is stream
        return
    assert said.rule in RULES
    assert said.path.startswith("$.")
    assert "\n" not in str(said)


PLAIN = [
    "temperature",
    "stop",
    "seed",
    "logprobs",
    "parallel_tool_calls",
    "reasoning_effort",
    "user",
    "metadata",
]
VALUES: list[Any] = [0, 0.0, 1.0, False, True, "", "none", [""], {}, {"": ""}, None]


@ours
@given(st.dictionaries(st.sampled_from(PLAIN), st.sampled_from(VALUES)))
def test_what_is_set_is_sent_as_it_is_and_nothing_else(values: dict[str, Any]) -> None:
    request = GenerateRequest([Message.user("")], **values)
    try:
        body = json.loads(encode_request(request, model="m", stream=False))
    except RequestError as error:
        refused = error
    else:
        assert body.pop("model") == "m"
        assert body.pop("messages") == [{"role": "user", "content": ""}]
        assert body == values
        return
    assert refused.path.split(".")[1].split("[")[0] in values


# The way back: an answer.


def _of_choices(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def apply(answer: dict[str, Any]) -> None:
        for choice in answer["choices"]:
            change(choice)

    return apply


def _keep(value: dict[str, Any], *members: str) -> None:
    for member in value.keys() - set(members):
        del value[member]


def _known_only(answer: dict[str, Any]) -> None:
    _keep(
        answer, "id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
        "metadata", "moderation", "error",
    )  # fmt: skip
    for choice in answer["choices"]:
        message = choice["message"]
        _keep(choice, "index", "message", "logprobs", "finish_reason")
        _keep(
            message, "role", "content", "refusal", "tool_calls", "annotations", "audio", "function_call",
        )  # fmt: skip
        if message.get("audio"):
            _keep(message["audio"], "id", "data", "transcript", "expires_at")
        for call in message.get("tool_calls", []):
            if call["type"] == "custom":
                _keep(call["custom"], "name", "input")
                call.pop("function", None)
            else:
                _keep(call["function"], "name", "arguments")
                call.pop("custom", None)
        if "function_call" in message:
            _keep(message["function_call"], "name", "arguments")
    for usage in [answer["usage"]] if "usage" in answer else []:
        details = ("completion_tokens_details", "prompt_tokens_details")
        _keep(usage, "prompt_tokens", "completion_tokens", "total_tokens", *details)
        for member in details:
            _keep(
                usage.get(member, {}), "cached_tokens", "audio_tokens", "text_tokens", "image_tokens",
                "reasoning_tokens", "cache_write_tokens", "accepted_prediction_tokens",
                "rejected_prediction_tokens",
            )  # fmt: skip


def _without_nulls(answer: dict[str, Any]) -> None:
    for holder in (answer, *(choice["message"] for choice in answer["choices"])):
        for member in ("service_tier", "system_fingerprint", "audio", "error", "moderation", "metadata"):
            if member in holder and holder[member] is None:
                del holder[member]
    for choice in answer["choices"]:
        if choice.get("logprobs", 0) is None:
            del choice["logprobs"]


def _texts_or_null(choice: dict[str, Any]) -> None:
    for member in ("content", "refusal"):
        choice["message"][member] = choice["message"][member] or None


def _no_empty_lists(choice: dict[str, Any]) -> None:
    for member in ("tool_calls", "annotations"):
        if choice["message"].get(member) == []:
            del choice["message"][member]


def _function_call_as_tool_call(choice: dict[str, Any]) -> None:
    message = choice["message"]
    legacy = message.pop("function_call", None)
    calls = message.get("tool_calls", [])
    told = [
        (call[kind]["name"], call[kind][text])
        for call in calls
        for kind, text in (("custom", "input"), ("function", "arguments"))
        if call["type"] == kind
    ]
    if legacy is not None and (legacy["name"], legacy["arguments"]) not in told:
        message["tool_calls"] = [*calls, {"id": "", "type": "function", "function": legacy}]


def _without_call_ids(choice: dict[str, Any]) -> None:
    for call in choice["message"].get("tool_calls", []):
        call["id"] = "an id"


def _sort_choices(answer: dict[str, Any]) -> None:
    choices: list[dict[str, Any]] = answer["choices"]
    choices.sort(key=itemgetter("index"))


ANSWER_LOSSES: dict[str, Callable[[dict[str, Any]], None]] = {
    "unknown-members": _known_only,
    "metadata": lambda answer: answer.pop("metadata", None) and None,
    "moderation": lambda answer: answer.pop("moderation", None) and None,
    "null-members": _without_nulls,
    "empty-texts": _of_choices(_texts_or_null),
    "empty-lists": _of_choices(_no_empty_lists),
    "function-call": _of_choices(_function_call_as_tool_call),
    "call-ids": _of_choices(_without_call_ids),
    "choice-order": _sort_choices,
}


def without(losses: dict[str, Callable[[dict[str, Any]], None]], value: dict[str, Any]) -> dict[str, Any]:
    for lose in losses.values():
        lose(value)
    return value


@ours
@given(instances("openai/response"))
def test_an_answer_is_written_again_but_for_the_listed_losses(answer: dict[str, Any]) -> None:
    response = decode_answer(json.dumps(answer).encode())
    again = encode_response(response)
    assert violations("openai/response", json.loads(again)) == []
    assert without(ANSWER_LOSSES, json.loads(again)) == without(ANSWER_LOSSES, answer)
    assert encode_response(decode_answer(again)) == again


def test_the_losses_of_an_answer_are_those_that_are_written_down() -> None:
    assert ANSWER_LOSSES.keys() == LOSSES.keys()
    assert all(LOSSES.values())


def test_every_contract_is_written_again_or_the_reason_why_not_is_written_down() -> None:
    published = {name for name in packaged().schemas if name.startswith("openai/")}
    assert published - {"openai/request", "openai/response"} == ONE_WAY.keys()
    assert all(ONE_WAY.values())


# The way back: a request.


def _of_messages(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def apply(request: dict[str, Any]) -> None:
        for message in request["messages"]:
            change(message)

    return apply


def _content_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content: Any = message.get("content")
    return content if is_array(content) else []


_MESSAGE = ("role", "content", "name", "tool_call_id", "tool_calls", "refusal")
_PART = {
    "text": (),
    "image_url": ("url", "detail"),
    "input_audio": ("data", "format"),
    "file": ("filename", "file_data"),
}


def _named_only(message: dict[str, Any]) -> None:
    _keep(message, *_MESSAGE)
    for part in _content_parts(message):
        _keep(part, "type", part["type"], "prompt_cache_breakpoint")
        if part["type"] != "text":
            _keep(part[part["type"]], *_PART[part["type"]])
    for call in message.get("tool_calls", []):
        if call["type"] == "custom":
            _keep(call["custom"], "name", "input")
            call.pop("function", None)
        else:
            _keep(call["function"], "name", "arguments")
            call.pop("custom", None)


def _no_hints(message: dict[str, Any]) -> None:
    for part in _content_parts(message):
        part.pop("prompt_cache_breakpoint", None)


def _single_text(message: dict[str, Any]) -> None:
    content = _content_parts(message)
    if len(content) == 1 and content[0]["type"] == "text":
        message["content"] = content[0]["text"]


def _no_null_members(message: dict[str, Any]) -> None:
    for member in ("content", "refusal", "audio", "function_call"):
        if member in message and message[member] is None:
            del message[member]


def _no_empty_calls(message: dict[str, Any]) -> None:
    if message.get("tool_calls") == []:
        del message["tool_calls"]


def _no_blank_arguments(message: dict[str, Any]) -> None:
    for call in message.get("tool_calls", []):
        if call["type"] == "function" and not call["function"]["arguments"].strip():
            call["function"]["arguments"] = "{}"


REQUEST_WAYS: dict[str, Callable[[dict[str, Any]], None]] = {
    "stream": lambda request: request.pop("stream", None) and None,
    "unknown-members": _of_messages(_named_only),
    "cache-hints": _of_messages(_no_hints),
    "single-text": _of_messages(_single_text),
    "null-members": _of_messages(_no_null_members),
    "empty-calls": _of_messages(_no_empty_calls),
    "blank-arguments": _of_messages(_no_blank_arguments),
}
INEXPRESSIBLE = {
    "word": "a message of the deprecated role function",
    "part-unsupported": "a refusal part, a file by its id, an assistant's audio or function_call",
    "content-missing": "an assistant's message of nothing but null",
    "model-missing": "a model without a name",
    "name": "a NamedTool that no tool can be called",
    "number-range": "max_tokens beyond 64 bits",
}
"""What the published format can say and the vocabulary can't; each is refused with its path."""


@ours
@given(instances("openai/request"))
def test_a_request_is_written_again_but_for_the_listed_losses(body: dict[str, Any]) -> None:
    stream = body.get("stream") is True
    try:
        request = decode_request(json.dumps(body).encode())
        again = json.loads(encode_request(request, model="none", stream=stream))
    except RequestError as error:
        refused = error
    else:
        assert violations("openai/request", again) == []
        assert without(REQUEST_WAYS, again) == without(REQUEST_WAYS, body)
        return
    assert refused.rule in INEXPRESSIBLE, refused


def test_the_losses_of_a_request_are_those_that_are_written_down() -> None:
    assert REQUEST_WAYS.keys() == REQUEST_LOSSES.keys()
    assert all(REQUEST_LOSSES.values())


@ours
@given(requests, st.booleans())
def test_a_request_that_is_sent_can_be_read_again(request: GenerateRequest, stream: bool) -> None:
    try:
        body = encode_request(request, model="org/model", stream=stream, read=files)
    except RequestError:
        return
    again = decode_request(body)
    assert again.model
    assert encode_request(again, model="other", stream=stream) == body


@ours
@given(
    st.binary(max_size=20)
    | json_values().map(lambda value: json.dumps(value).encode())
    | mutations("openai/request").map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_a_request_or_is_refused(body: bytes) -> None:
    try:
        again = encode_request(decode_request(body), model="m", stream=False)
    except RequestError as error:
        refused = error
    else:
        assert json.loads(again)["messages"]
        return
    assert refused.rule in RULES

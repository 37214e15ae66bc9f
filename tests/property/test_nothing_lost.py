"""Nothing a server said is lost: each member sent is in the vocabulary, an `extra` or the deviations."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.core.message import (
    Audio,
    Document,
    Image,
    MediaSource,
    Message,
    Other,
    Reasoning,
    Text,
    ToolCall,
)
from botticelli.core.request import GenerateRequest, ToolDefinition
from botticelli.core.response import GenerateResponse, StreamChunk
from botticelli.dialects.openai.response import encode_response
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import json_values

ours = settings(deadline=None)  # a deadline would judge the machine
names = st.text(min_size=1, max_size=8).map(lambda name: f"x_{name}")
vendor = st.dictionaries(names, json_values(), max_size=3)


@st.composite
def chunks(draw: st.DrawFn) -> dict[str, Any]:
    """A chunk that keeps the format, and has more at any level."""
    delta = {"content": draw(st.text(max_size=3)), **draw(vendor)}
    choice = {"index": 0, "delta": delta, "finish_reason": None, **draw(vendor)}
    return {
        "id": "a",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **draw(vendor),
    }


def streamed(values: list[dict[str, Any]]) -> tuple[list[StreamChunk], GenerateResponse]:
    reader = OpenAIStreamReader()
    found: list[StreamChunk] = []
    end: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    for value in [*values, end]:
        found += reader.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
    reader.feed(b"data: [DONE]\n\n")
    return found + reader.finish(), reader.response


@ours
@given(st.lists(chunks(), min_size=1, max_size=6))
def test_every_member_of_a_stream_is_on_its_chunk_and_in_the_answer(values: list[dict[str, Any]]) -> None:
    values = [*values, *values]  # the second time, the names are known
    told, answer = streamed(values)
    by_raw: dict[bytes, list[StreamChunk]] = {}
    for chunk in told:
        by_raw.setdefault(chunk.raw, []).append(chunk)
    for value in values:
        choice = value["choices"][0]
        sent: dict[str, Any] = {}
        for level, held in (
            (value, answer.extra),
            (choice, answer.choices[0].extra),
            (choice["delta"], answer.choices[0].message_extra),
        ):
            unknown = {name: inner for name, inner in level.items() if name.startswith("x_")}
            assert unknown.keys() <= held.keys()
            sent |= unknown
        if sent:
            (chunk, *_) = by_raw[json.dumps(value).encode()]
            assert chunk.extra == sent


@ours
@given(st.lists(chunks(), min_size=1, max_size=3))
def test_the_cache_keeps_what_a_stream_said(values: list[dict[str, Any]]) -> None:
    _, answer = streamed(values)
    again = decode_answer(encode_response(answer))
    assert (again.choices, again.extra, again.usage) == (answer.choices, answer.extra, answer.usage)


@ours
@given(vendor, vendor, vendor, vendor)
def test_every_member_of_a_whole_answer_is_in_an_extra(
    top: dict[str, Any], beside: dict[str, Any], inside: dict[str, Any], spent: dict[str, Any]
) -> None:
    message = {"role": "assistant", "content": "Hi", "refusal": None, **inside}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, **spent}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", **beside}
    head = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    answer = decode_answer(json.dumps({**head, "choices": [choice], "usage": usage, **top}).encode())
    (only,) = answer.choices
    assert answer.usage is not None
    assert (answer.extra, only.extra, only.message_extra, answer.usage.extra) == (top, beside, inside, spent)
    assert answer.to_message().extra == inside
    assert answer.deviations == []


sources = st.one_of(
    st.builds(MediaSource.from_url, st.text(max_size=5)),
    st.builds(MediaSource.from_bytes, st.binary(max_size=5), st.just("image/png")),
    st.builds(MediaSource.from_base64, st.text(max_size=5), st.just("image/png")),
)
extras = st.dictionaries(
    st.text(max_size=3), st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3)
)
parts = st.one_of(
    st.builds(Text, st.text(max_size=5), extras),
    st.builds(Image, sources, st.sampled_from([None, "low"]), extras),
    st.builds(Audio, sources, st.sampled_from([None, "wav"]), id=st.text(max_size=3), extra=extras),
    st.builds(Document, sources, st.none() | st.text(max_size=3), extras),
    st.builds(Reasoning, st.text(max_size=5), st.none() | st.text(max_size=5), details=st.none() | extras),
    st.builds(Other, st.text(max_size=5), extras),
)
messages = st.builds(
    Message.assistant,
    st.lists(parts, max_size=3),
    tool_calls=st.lists(
        st.builds(ToolCall, st.text(max_size=3), st.text(max_size=3), extra=extras), max_size=2
    ),
    extra=extras,
)
tools = st.builds(ToolDefinition, name=st.text(max_size=3), extra=extras)


@ours
@given(st.lists(messages, max_size=3), st.lists(tools, max_size=2))
def test_a_conversation_is_stored_and_read_again(turns: list[Message], offered: list[ToolDefinition]) -> None:
    request = GenerateRequest([*turns, Message.tool("c", "ok", "f", is_error=True)], tools=offered)
    assert msgspec.json.decode(msgspec.json.encode(request), type=GenerateRequest) == request


@ours
@given(st.lists(chunks(), min_size=1, max_size=3))
def test_an_answer_and_its_chunks_are_stored_and_read_again(values: list[dict[str, Any]]) -> None:
    told, answer = streamed(values)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=GenerateResponse) == answer
    assert msgspec.json.decode(msgspec.json.encode(told), type=list[StreamChunk]) == told

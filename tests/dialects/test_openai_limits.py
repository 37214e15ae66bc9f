"""What an answer may hold, whole and streamed."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.core.errors import MalformedResponseError
from botticelli.dialects.openai.models import decode_models
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.protocol.limits import Limits

if TYPE_CHECKING:
    from botticelli.core.response import GenerateResponse

FEW = Limits(max_choices=2, max_tool_calls=2, max_parts=2, max_nodes=400)
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CITED = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 1, "url": "https://h", "title": ""},
}


def choice(index: int = 0, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "Hi", "refusal": None, **message}
    return {"index": index, "finish_reason": "stop", "logprobs": None, "message": said}


def answer(*choices: Any, **more: Any) -> bytes:
    head = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**head, "choices": choices, **more}).encode()


def piece(index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": None}


def event(*choices: Any) -> bytes:
    return b"data: " + json.dumps({"id": "a", "model": "m", "choices": choices}).encode() + b"\n\n"


def read(*events: bytes, audit: bool = False, n: int = 1, limits: Limits = FEW) -> GenerateResponse:
    stream = OpenAIStreamReader(limits=limits, audit=audit, n=n)
    for one in events:
        stream.feed(one)
    stream.finish()
    return stream.response


def refused(name: str, caught: pytest.ExceptionInfo[MalformedResponseError]) -> None:
    assert f"raise limits=Limits({name}=...)" in caught.value.message
    assert type(caught.value) is MalformedResponseError


TOO_MUCH: dict[str, tuple[str, list[Any]]] = {
    "choices": ("max_choices", [choice(0), choice(1), choice(2)]),
    "empty choices": ("max_choices", [{}, {}, {}]),
    "tool calls": ("max_tool_calls", [choice(tool_calls=[CALL] * 3)]),
    "empty tool calls": ("max_tool_calls", [choice(tool_calls=[{}] * 3)]),
    "citations": ("max_parts", [choice(annotations=[CITED] * 3)]),
    "empty citations": ("max_parts", ["odd", choice(annotations=[{}] * 3)]),
    "content parts": ("max_parts", [choice(content=[{"type": "text", "text": "a"}] * 3)]),
    "values": ("max_nodes", [choice(odd=[[]] * 300)]),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_a_whole_answer_that_holds_too_much(case: str) -> None:
    name, choices = TOO_MUCH[case]
    body = answer(*choices)
    with pytest.raises(MalformedResponseError) as caught:
        decode_answer(body, limits=FEW)
    refused(name, caught)
    assert caught.value.body == body
    with pytest.raises(MalformedResponseError) as caught:
        read(body)
    refused(name, caught)


def test_what_is_at_the_limits_is_read() -> None:
    most = answer(choice(0, tool_calls=[CALL] * 2, annotations=[CITED] * 2), choice(1, content=[{}, {}]))
    assert len(decode_answer(most, limits=FEW).choices) == 2
    assert len(decode_answer(most).choices) == 2


def test_who_asks_for_more_choices_may_have_them() -> None:
    assert len(decode_answer(answer(*map(choice, range(5))), n=5, limits=FEW).choices) == 5
    events = [event(piece(index, content="Hi")) for index in range(5)]
    assert len(read(*events, b"data: [DONE]\n\n", n=5).choices) == 5


STREAMS = {
    "choices": ("max_choices", [event(piece(index, content="a")) for index in range(3)]),
    "choices of one event": ("max_choices", [event(*(piece(index, content="a") for index in range(3)))]),
    "choices with members of their own": (
        "max_choices",
        [event(piece(index, content="a", odd=index)) for index in range(3)],
    ),
    "pictures": (
        "max_parts",
        [event(piece(images=[{"type": "image_url", "image_url": {"url": "data:,"}}])) for _ in range(3)],
    ),
    "content parts": (
        "max_parts",
        [event(piece(content=[{"type": "odd", "id": index}])) for index in range(3)],
    ),
    "reasoning details": (
        "max_parts",
        [event(piece(content="a", reasoning_details=[{"type": "x", "index": index}])) for index in range(3)],
    ),
    "values of pictures": (
        "max_nodes",
        [event(piece(images=[{"type": "image_url", "image_url": {"url": "data:,"}, "odd": [[]] * 300}]))],
    ),
    "tool calls": (
        "max_tool_calls",
        [event(piece(tool_calls=[{"index": index, **CALL}])) for index in range(3)],
    ),
    "citations": ("max_parts", [event(piece(content="a", annotations=[CITED])) for _ in range(3)]),
    "values of one event": ("max_nodes", [event(piece(content="a", odd=[[]] * 300))]),
    "values of the last event": ("max_nodes", [event(piece(content="a", odd=[[]] * 300))[:-2]]),
    "values of log probabilities": (
        "max_nodes",
        [event({**piece(content="a"), "logprobs": {"content": [[]] * 30}}) for _ in range(10)],
    ),
}


@pytest.mark.parametrize("audit", [False, True])
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_that_holds_too_much(case: str, *, audit: bool) -> None:
    name, events = STREAMS[case]
    with pytest.raises(MalformedResponseError) as caught:
        read(event(piece(content="begun")), *events, audit=audit)
    refused(name, caught)
    partial = caught.value.partial
    assert partial is not None
    assert partial.text.startswith("begun")
    assert len(partial.choices) <= 2
    assert len(partial.tool_calls) <= 2


def test_a_stream_of_text_may_be_of_any_length() -> None:
    events = [event(piece(content="a", reasoning="b"))] * 1000
    assert len(read(*events, b"data: [DONE]\n\n").text) == 1000


def test_a_model_list_that_holds_too_much() -> None:
    body = json.dumps({"data": [{"id": "m"}] * 300}).encode()
    assert len(decode_models(body)) == 300
    with pytest.raises(MalformedResponseError) as caught:
        decode_models(body, limits=FEW)
    refused("max_nodes", caught)


@pytest.mark.parametrize("inside", ["choices", "message"])
def test_many_empty_objects_cost_little_more_than_the_objects(inside: str) -> None:
    """5 MiB of them, 5 KB compressed, took 781 MiB and 14 s."""
    empty = b"[" + b",".join([b"{}"] * 1_700_000) + b"]"
    calls = b'[{"message":{"tool_calls":' + empty + b"}}]"
    body = b'{"choices":' + (empty if inside == "choices" else calls) + b"}"
    tracemalloc.start()
    try:
        with pytest.raises(MalformedResponseError):
            decode_answer(body)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("audit", [False, True])
def test_an_index_below_0_is_noted_once(*, audit: bool) -> None:
    response = read(*[event(piece(-1, content="a"))] * 3, b"data: [DONE]\n\n", audit=audit)
    assert response.text == "aaa"
    noted = [found for found in response.deviations if found.code == "number-range"]
    assert [found.path for found in noted] == ["$.choices[0].index"]

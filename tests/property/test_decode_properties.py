"""For any bytes at all, nothing but the tree's errors comes out of the dialect, and each says what it can."""

from __future__ import annotations

import inspect
import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botticelli.core.errors import EmptyResponseError, MalformedResponseError, ModelsError, StreamError
from botticelli.core.response import FinishReason, GenerateResponse
from botticelli.dialects.openai.models import decode_models
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import instances, json_values, mutations

if TYPE_CHECKING:
    from collections.abc import Callable

ours = settings(deadline=None)  # a deadline would judge the machine
ANSWER = b"""{"id":"a1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,
"message":{"role":"assistant","content":"Hi","refusal":null,"tool_calls":[{"id":"c","type":"function",
"function":{"name":"f","arguments":"{}"}}]},"logprobs":{"content":[],"refusal":null},"finish_reason":"stop"}],
"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"""
CHUNK = ANSWER.replace(b'"message"', b'"delta"').replace(b"\n", b"")
ODD = [
    b"9" * 5000,
    b"-" + b"9" * 400 + b".5e5",
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\x00"',
    b'"' + b"9" * 5000 + b'"',
    b"[" * 200 + b"]" * 200,
    b"[" * 100_000,
    b'{"a":' * 500 + b"0" + b"}" * 500,
    b"true",
    b'{"error":{}}',
]
PLACES = [b"1700000000", b'"Hi"', b'"{}"', b'"stop"', b'"c"', b'"f"', b"0", b"[]", b"7", b'"a1"', b"null"]


def stream_of(body: bytes) -> GenerateResponse:
    """Through the assembler, which never raises before it is told to finish."""
    stream = OpenAIStreamReader(audit=len(body) % 2 == 0)
    stream.feed(body)
    stream.finish()
    assert stream.finish() == stream.finish()
    return stream.response


def event_of(body: bytes) -> GenerateResponse:
    return stream_of(b"data: " + body.replace(b"\n", b" ") + b"\n\ndata: [DONE]\n\n")


READERS: list[Callable[[bytes], Any]] = [
    decode_answer,
    lambda body: decode_answer(body, audit=True),
    decode_models,
    stream_of,
    event_of,
]


def error_of(reader: Callable[[bytes], Any], body: bytes) -> ModelsError | None:
    try:
        response = reader(body)
    except ModelsError as error:
        return error
    assert not isinstance(response, GenerateResponse) or response.choices
    return None


def read_with_all(body: bytes) -> None:
    for reader in READERS:
        error = error_of(reader, body)
        if error is not None:
            assert isinstance(error, MalformedResponseError | EmptyResponseError | StreamError)
            assert str(error)
            assert "\n" not in str(error)
            assert error.__context__ is None  # it would hold the body, and what stands in it
            assert repr(pickle.loads(pickle.dumps(error))) == repr(error)


@ours
@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda data: b"data:" + data + b"\n\n"))
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b"\xef\xbb")
@example(b'\xef\xbb\xbf {"choices":[]}')
@example(b"data: \n\n")
@example(b'"text"')
@example(b"[DONE]")
@example(b"null")
def test_any_bytes_are_an_answer_or_an_error_of_ours(body: bytes) -> None:
    read_with_all(body)


@ours
@given(
    json_values().map(json.dumps).map(str.encode)
    | mutations("wire/openai/response").map(json.dumps).map(str.encode)
)
def test_any_json_is_an_answer_or_an_error_of_ours(body: bytes) -> None:
    read_with_all(body)


@ours
@given(st.sampled_from([ANSWER, CHUNK]), st.sampled_from(PLACES), st.sampled_from(ODD))
def test_an_odd_value_anywhere_is_an_answer_or_an_error_of_ours(
    body: bytes, place: bytes, odd: bytes
) -> None:
    read_with_all(body.replace(place, odd))


@ours
@given(st.sampled_from(PLACES), st.integers(0, 1200), st.integers(0, 800), st.booleans())
def test_no_nesting_escapes_however_deep_the_caller_stands(
    place: bytes, nesting: int, depth: int, objects: bool
) -> None:
    deep = b'{"a":' * nesting + b"0" + b"}" * nesting if objects else b"[" * nesting + b"]" * nesting
    room = sys.getrecursionlimit() - len(inspect.stack(0)) - 60

    def standing(frames: int) -> None:
        if frames > 0:
            standing(frames - 1)
        else:
            for body in (ANSWER, CHUNK):
                read_with_all(body.replace(place, deep))

    standing(min(depth, room))


@ours
@given(instances("openai/response"), st.integers(0, 100))
def test_an_answer_cut_off_is_malformed(answer: Any, percent: int) -> None:
    body = json.dumps(answer).encode()
    cut = body[: max(1, (len(body) - 1) * percent // 100)]
    with pytest.raises(MalformedResponseError, match="isn't JSON"):
        decode_answer(cut)


@ours
@given(instances("openai/response"), st.sampled_from([b"{}", b"{}\n", b'{"error":{"message":"No."}}\n']))
def test_a_second_value_never_passes_for_nothing(answer: Any, more: bytes) -> None:
    body = json.dumps(answer).encode()
    if b"error" in more:
        with pytest.raises(MalformedResponseError):
            decode_answer(body + b"\n" + more)
    else:
        assert "trailing-data" in [note.code for note in decode_answer(body + more).deviations]


@ours
@given(instances("wire/openai/response"))
def test_a_finish_reason_is_never_made_up(answer: Any) -> None:
    words = {repr(choice.get("finish_reason")) for choice in answer["choices"]}
    for choice in decode_answer(json.dumps(answer).encode()).choices:
        if choice.finish_reason_raw is None:
            assert choice.finish_reason == FinishReason.OTHER
            assert words & {"None", "''"}
        else:
            assert repr(choice.finish_reason_raw) in words

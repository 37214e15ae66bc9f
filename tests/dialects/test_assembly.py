"""Chunks become the answer that a whole answer would have been; the published slips are named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from botticelli.contracts import data_root
from botticelli.contracts.relaxations import Relaxation, Relaxations
from botticelli.core.response import StreamChunk, Usage
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.accumulate import ResponseAccumulator
from botticelli.dialects.openai.stream import OpenAIStreamReader
from botticelli.protocol.deviations import DeviationLog

LISTED = Relaxations.read(data_root() / "contracts" / "wire" / "relaxations.json")
SLIPS = [entry for entry in LISTED.listed if entry.inside.get("contract") == "chunk"]


def assembled(*chunks: Any, audit: bool = False, done: bool = True) -> OpenAIStreamReader:
    stream = OpenAIStreamReader(audit=audit)
    for chunk in chunks:
        stream.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    if done:
        stream.feed(b"data: [DONE]\n\n")
        stream.finish()
    return stream


def codes(stream: OpenAIStreamReader) -> list[str]:
    return [found.code for found in stream.log.deviations()]


def one(delta: Any = None, index: Any = 0, finish: Any = None, **members: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish, **members}
    return {"id": "a", "model": "m", "choices": [choice]}


@pytest.mark.parametrize("audit", [False, True])
def test_a_conforming_stream_has_no_deviations(audit: bool) -> None:
    stream = assembled(LISTED.bases["chunk"], LISTED.bases["chunk-stop"], audit=audit)
    assert (stream.response.text, codes(stream)) == ("Hi", [])
    assert (stream.response.id, stream.response.model, stream.response.created) == ("a1", "m", 1700000000)


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.code) for entry in SLIPS])
def test_each_published_slip_is_reported_once_by_its_code(entry: Relaxation) -> None:
    stream = assembled(LISTED.instance(entry.inside), LISTED.bases["chunk-stop"], audit=True)
    found = {deviation.code: deviation.count for deviation in stream.log.deviations()}
    assert found.get(entry.code) == 1


def test_choices_come_in_the_order_of_their_indexes() -> None:
    stream = assembled(one({"content": "b"}, 1, "stop"), one({"content": "a"}, 0, "stop"))
    assert [(choice.index, choice.text) for choice in stream.response.choices] == [(0, "a"), (1, "b")]


def test_a_choice_without_an_index_has_its_place() -> None:
    stream = assembled(one({"content": "a"}, None, "stop"))
    assert (stream.response.choices[0].index, codes(stream)) == (0, ["choice-index-missing"])


def test_the_head_is_what_came_first_and_is_not_null() -> None:
    first = {"id": None, "model": "m", "created": 1.5, "service_tier": "flex", "system_fingerprint": "fp"}
    response = assembled(
        {**one({"content": "a"}), **first}, {**one({}, finish="stop"), "id": 7, "model": "n"}
    ).response
    assert (response.id, response.model, response.created) == ("7", "m", 1)
    assert (response.service_tier, response.system_fingerprint) == ("flex", "fp")


@pytest.mark.parametrize("delta", [None, {}])
def test_logprobs_count_with_a_delta_or_without(delta: Any) -> None:
    logprobs = {"content": [{"token": "a"}]}
    stream = assembled(one(delta, logprobs=logprobs), one(delta, finish="stop", logprobs=logprobs))
    assert stream.response.choices[0].logprobs == {"content": [{"token": "a"}] * 2}


@pytest.mark.parametrize("delta", [{"content": "b"}, {"refusal": "b"}])
def test_what_comes_after_the_reason_counts_and_is_noted(delta: Any) -> None:
    stream = assembled(one({"content": "a"}, finish="stop"), one(delta))
    assert (stream.response.text + (stream.response.choices[0].refusal or "")) == "ab"
    assert "delta-after-finish" in codes(stream)


COUNTS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
READ = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


@pytest.mark.parametrize(
    ("members", "inside", "usage", "code"),
    [
        ({"usage": COUNTS}, {}, READ, None),
        ({}, {"usage": COUNTS}, READ, "usage-in-choice"),
        ({"usage": COUNTS}, {"usage": {**COUNTS, "total_tokens": 9}}, READ, "usage-in-choice"),
        ({"usage": {**COUNTS, "total_tokens": "3"}}, {}, READ, "usage-tokens-type"),
        ({"usage": "x"}, {}, None, "field-type"),
        ({}, {}, None, None),
    ],
)
def test_usage_is_read_wherever_it_stands(members: Any, inside: Any, usage: Any, code: str | None) -> None:
    stream = assembled({**one({"content": "a"}, finish="stop", **inside), **members})
    assert stream.response.usage == usage
    assert codes(stream) == ([code] if code else [])


def test_of_several_usages_the_last_counts() -> None:
    stream = assembled(
        {**one({}), "usage": {**COUNTS, "total_tokens": 9}}, {**one({}, finish="stop"), "usage": COUNTS}
    )
    assert (stream.response.usage, codes(stream)) == (READ, ["usage-repeated"])


def test_text_of_old_completions_counts() -> None:
    assert assembled(one(None, text="a"), one(None, finish="stop")).response.text == "a"


def test_an_answer_in_the_making_can_be_looked_at() -> None:
    stream = assembled(*[one({"content": "a"})] * 2000, done=False)
    assert stream.response.text == "a" * 2000


def test_a_delta_of_nothing_new_gives_no_chunk() -> None:
    stream = OpenAIStreamReader()
    event = json.dumps(one({"audio": {"id": "x"}})).encode()
    assert stream.feed(b"data: " + event + b"\n\n") == []


def test_a_chunk_without_a_head_still_counts() -> None:
    assembly = ResponseAccumulator(DeviationLog(), DeviationLog())
    chunks: list[StreamChunk] = []
    assembly.take(wire.FastChunk(choices=[wire.FastChoice(wire.FastDelta("a"), 0)]), chunks)
    assert chunks == [StreamChunk("a", 0)]


@pytest.mark.parametrize(
    ("sent", "read"), [(7, "7"), (7.0, "7"), (True, ""), (7.5, ""), ([], ""), ("a", "a")]
)
def test_an_id_is_a_text_or_a_whole_number(sent: Any, read: str) -> None:
    assert assembled({**one({"content": "a"}, finish="stop"), "id": sent}).response.id == read

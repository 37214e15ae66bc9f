"""One choice of a stream: what its deltas, its snapshots and its finish reasons make of it."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.core.message import Text, ToolCall
from botticelli.core.response import (
    AudioOutput,
    Deviation,
    FinishReason,
    Reasoning,
    Refusal,
    StreamChunk,
    ToolCallDelta,
    ToolCalls,
)
from botticelli.dialects.openai.accumulate import ChoiceAccumulator
from botticelli.dialects.openai.wire import FastChoice, FastDelta
from botticelli.protocol.deviations import DeviationLog

CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LEGACY = {"name": "f", "arguments": "{}"}
CITED = {"type": "url_citation", "url_citation": {"url": "https://example.org"}}


class Heard:
    """A choice and where it notes."""

    def __init__(self, index: int = 0) -> None:
        self.notes = DeviationLog()
        self.structural = DeviationLog()
        self.choice = ChoiceAccumulator(index, self.notes, self.structural)

    def codes(self) -> list[str]:
        return [note.code for note in (*self.notes.deviations(), *self.structural.deviations())]


def test_a_choice_that_was_told_nothing_is_empty_and_unfinished() -> None:
    built = Heard(3).choice.build(last=True)
    assert (built.index, built.outputs, built.logprobs, built.annotations) == (3, [], None, [])
    assert (built.finish_reason, built.finish_reason_raw) == (FinishReason.OTHER, None)


@pytest.mark.parametrize(
    ("delta", "chunk"),
    [
        (FastDelta(content="Hi"), StreamChunk("Hi", 2)),
        (FastDelta(refusal="No."), StreamChunk("", 2, refusal="No.")),
        (FastDelta(reasoning_content="Hm"), StreamChunk("", 2, reasoning="Hm")),
        (FastDelta(reasoning="Hm"), StreamChunk("", 2, reasoning="Hm")),
        (FastDelta(reasoning_text="Hm"), StreamChunk("", 2, reasoning="Hm")),
        (FastDelta(thinking="Hm"), StreamChunk("", 2, reasoning="Hm")),
        (FastDelta(reasoning_content="Hm", reasoning="Hm"), StreamChunk("", 2, reasoning="Hm")),
        (FastDelta(reasoning="H", thinking="m"), StreamChunk("", 2, reasoning="Hm")),
        (FastDelta(content="Hi", reasoning="Hm"), StreamChunk("Hi", 2, reasoning="Hm")),
        (
            FastDelta(tool_calls=[CALL]),
            StreamChunk("", 2, tool_calls=(ToolCallDelta(index=0, id="a", name="f", arguments="{}"),)),
        ),
        (
            FastDelta(function_call=LEGACY),
            StreamChunk("", 2, tool_calls=(ToolCallDelta(index=0, name="f", arguments="{}"),)),
        ),
    ],
)
def test_a_delta_gives_a_chunk_with_what_is_new_in_it(delta: FastDelta, chunk: StreamChunk) -> None:
    heard = Heard(2)
    assert heard.choice.take(delta) == chunk
    assert heard.codes() == []


@pytest.mark.parametrize(
    "delta",
    [
        FastDelta(),
        FastDelta(content="", refusal="", reasoning="", tool_calls=[], function_call={}),
        FastDelta(audio=None, annotations=None),
        FastDelta(audio="spoken"),
        FastDelta(audio={"id": "a"}),
        FastDelta(annotations=[CITED]),
    ],
)
def test_a_delta_with_nothing_to_show_gives_no_chunk(delta: FastDelta) -> None:
    assert Heard().choice.take(delta) is None


def test_the_parts_come_out_in_their_fixed_order() -> None:
    heard = Heard()
    take = heard.choice.take
    take(FastDelta(tool_calls=[CALL]))
    take(FastDelta(audio={"id": "s", "data": "AA==", "transcript": "Hi", "expires_at": 7}))
    take(FastDelta(refusal="N"))
    take(FastDelta(content="H"))
    take(FastDelta(reasoning="h"))
    take(FastDelta(refusal="o."))
    take(FastDelta(content="i"))
    take(FastDelta(reasoning="m"))
    assert heard.choice.build(last=True).outputs == [
        Reasoning("hm"),
        Text("Hi"),
        Refusal("No."),
        AudioOutput(id="s", data="AA==", transcript="Hi", expires_at=7),
        ToolCalls([ToolCall(id="a", name="f", arguments_json="{}")]),
    ]


def test_tidying_loses_nothing() -> None:
    heard = Heard()
    for letter in "abc":
        heard.choice.write(letter)
        heard.choice.take(FastDelta(refusal=letter))
        heard.choice.compact()
        heard.choice.take(FastDelta(reasoning=letter))
    heard.choice.compact()
    assert heard.choice.build(last=True).outputs == [Reasoning("abc"), Text("abc"), Refusal("abc")]


def test_a_look_under_way_takes_and_notes_nothing() -> None:
    heard = Heard()
    heard.choice.take(FastDelta(content="Hi", tool_calls=[CALL, {**CALL, "index": 1}]))
    assert heard.choice.build() == heard.choice.build()
    assert heard.codes() == []
    built = heard.choice.build(last=True)
    assert (built.text, heard.codes()) == ("Hi", ["tool-id-repeated"])
    assert [call.id for call in built.tool_calls] == ["a", "a-1"]


# Tool calls in the old words.


def test_a_call_told_in_both_words_is_one() -> None:
    heard = Heard()
    chunk = heard.choice.take(FastDelta(tool_calls=[CALL], function_call=dict(LEGACY)))
    assert chunk is not None
    assert len(chunk.tool_calls) == 1
    assert [call.id for call in heard.choice.build().tool_calls] == ["a"]


def test_different_calls_in_both_words_are_two() -> None:
    heard = Heard()
    heard.choice.take(FastDelta(tool_calls=[CALL], function_call={"name": "g", "arguments": "{}"}))
    assert [call.name for call in heard.choice.build().tool_calls] == ["f", "g"]


def test_a_slip_of_a_call_is_noted_at_its_choice() -> None:
    heard = Heard(4)
    heard.choice.take(FastDelta(tool_calls=[{"id": "a", "function": LEGACY}]))
    assert heard.structural.deviations() == [
        Deviation("tool-index-missing", "$.choices[4].delta.tool_calls[0].index")
    ]


# Finish reasons.


@pytest.mark.parametrize(
    ("words", "raw", "codes"),
    [
        (["stop"], "stop", []),
        (["function_call"], "function_call", []),
        ([""], None, ["finish-reason-empty"]),
        (["", "length"], "length", ["finish-reason-empty"]),
        (["length", ""], "length", ["finish-reason-empty"]),
        (["eos_token"], "eos_token", ["finish-reason-unknown"]),
        (["stop", "stop"], "stop", ["finish-reason-repeated"]),
        (["length", "stop"], "length", ["finish-reason-repeated"]),
        (["eos", "length"], "length", ["finish-reason-repeated", "finish-reason-unknown"]),
        (["length", "eos"], "length", ["finish-reason-repeated", "finish-reason-unknown"]),
        (["eos", "end_turn"], "eos", ["finish-reason-repeated", "finish-reason-unknown"]),
        ([{"type": "stop"}], {"type": "stop"}, []),
        ([{"type": "eos"}, "stop"], "stop", ["finish-reason-repeated"]),
    ],
)
def test_the_first_published_finish_reason_counts(words: list[Any], raw: Any, codes: list[str]) -> None:
    heard = Heard()
    for word in words:
        heard.choice.set_finish(word)
    assert heard.choice.build(last=True).finish_reason_raw == raw
    assert heard.codes() == codes


def test_finish_reasons_are_noted_where_they_stand() -> None:
    heard = Heard(1)
    for word in ("stop", "odd", ""):
        heard.choice.set_finish(word)
    heard.choice.note_late()
    path = "$.choices[1].finish_reason"
    assert heard.structural.deviations() == [
        Deviation("finish-reason-unknown", path),
        Deviation("finish-reason-empty", path),
    ]
    assert heard.notes.deviations() == [
        Deviation("finish-reason-repeated", path),
        Deviation("delta-after-finish", "$.choices[1].delta"),
    ]


# Beside the delta.


@pytest.mark.parametrize("delta", [None, FastDelta(), FastDelta(content="")])
def test_the_text_of_old_completions_is_text(delta: FastDelta | None) -> None:
    heard = Heard(1)
    assert heard.choice.take_beside(FastChoice(delta=delta, text="Hi")) == StreamChunk("Hi", 1)
    assert (heard.choice.build().text, heard.codes()) == ("Hi", [])


@pytest.mark.parametrize(
    "choice", [FastChoice(text=""), FastChoice(delta=FastDelta(content="Hi"), text="Hi")]
)
def test_old_text_counts_only_where_the_delta_has_none(choice: FastChoice) -> None:
    heard = Heard()
    assert heard.choice.take_beside(choice) is None
    assert heard.choice.build().text == ""


def settled(message: Any, *deltas: FastDelta, index: int = 0) -> tuple[Heard, StreamChunk | None]:
    heard = Heard(index)
    for delta in deltas:
        heard.choice.take(delta)
    assert heard.choice.take_beside(FastChoice(message=message)) is None
    return heard, heard.choice.settle()


MESSAGE = {
    "role": "assistant",
    "content": "Hi",
    "reasoning": "Hm",
    "refusal": "No.",
    "tool_calls": [{key: value for key, value in CALL.items() if key != "index"} | {"extra": 1}],
    "audio": {"id": "s", "data": "AA==", "transcript": "Hi", "expires_at": 7},
    "annotations": [CITED],
}


def test_without_a_snapshot_there_is_nothing_to_settle() -> None:
    heard = Heard()
    heard.choice.take(FastDelta(content="Hi"))
    assert heard.choice.settle() is None


def test_a_snapshot_alone_is_the_whole_choice() -> None:
    heard, chunk = settled(MESSAGE, index=1)
    assert chunk == StreamChunk(
        "Hi",
        1,
        reasoning="Hm",
        refusal="No.",
        tool_calls=(ToolCallDelta(index=0, id="a", name="f", arguments="{}"),),
    )
    built = heard.choice.build(last=True)
    assert built.outputs == [
        Reasoning("Hm"),
        Text("Hi"),
        Refusal("No."),
        AudioOutput(id="s", data="AA==", transcript="Hi", expires_at=7),
        ToolCalls([ToolCall(id="a", name="f", arguments_json="{}", extra={"extra": 1})]),
    ]
    assert built.annotations == [CITED]
    assert heard.notes.deviations() == [Deviation("message-in-stream", "$.choices[1].message")]


def test_whatever_deltas_told_wins_over_the_snapshot() -> None:
    told = FastDelta(
        content="1",
        reasoning="2",
        refusal="3",
        tool_calls=[{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        audio={"id": "t"},
        annotations=[{"type": "other"}],
    )
    heard, chunk = settled(MESSAGE, told)
    assert chunk is None
    built = heard.choice.build(last=True)
    assert [str(part) for part in built.outputs[:3]] == ["2", "1", "3"]
    assert built.outputs[3] == AudioOutput(id="t", data="", transcript="")
    assert [call.id for call in built.tool_calls] == ["b"]
    assert built.annotations == [{"type": "other"}]


def test_the_last_snapshot_counts() -> None:
    heard = Heard()
    for text in ("H", "Hi"):
        heard.choice.take_beside(FastChoice(message={"content": text}))
    chunk = heard.choice.settle()
    assert chunk == StreamChunk("Hi")
    assert heard.notes.deviations() == [Deviation("message-in-stream", "$.choices[0].message", 2)]


def test_a_snapshots_custom_call_stays_one() -> None:
    call = {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    heard, _ = settled({"content": None, "tool_calls": [call]})
    assert heard.choice.build().tool_calls == [
        ToolCall(id="a", name="sh", arguments_json="ls", type="custom")
    ]


def test_a_snapshot_that_is_plain_text_is_its_content() -> None:
    assert settled("Hi")[1] == StreamChunk("Hi")


def test_an_empty_snapshot_is_none() -> None:
    heard = Heard()
    heard.choice.take_beside(FastChoice(message={}))
    assert (heard.choice.settle(), heard.codes()) == (None, [])


def test_a_snapshot_that_cannot_be_read_is_refused_and_the_rest_of_it_told() -> None:
    heard, told = settled({"content": "Hi", "tool_calls": "f()"})
    assert told == StreamChunk("Hi")
    assert heard.notes.unreadable is not None
    assert heard.notes.unreadable.path == "$.choices[0].message.tool_calls"


# Pieces that are merged.


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([{"content": [1]}, {"content": [2]}], {"content": [1, 2]}),
        (
            [{"content": [1], "refusal": None}, {"content": None, "refusal": [2]}],
            {"content": [1], "refusal": [2]},
        ),
        ([{"content": None}, {"content": [1]}], {"content": [1]}),
        ([{"content": [1]}, {"refusal": None}], {"content": [1], "refusal": None}),
        ([{"tokens": 1}, {"tokens": 2}], {"tokens": 2}),
        ([{"tokens": 1}, {"tokens": [2]}, {"tokens": [3]}], {"tokens": [2, 3]}),
        ([[1], [2]], [1, 2]),
        ([[1], {"content": [2]}], {"content": [2]}),
        ([{"content": [1]}, [2], [3]], [2, 3]),
        ([1, 2], 2),
    ],
)
def test_logprobs_are_one_after_the_other(pieces: list[Any], whole: Any) -> None:
    heard = Heard()
    for logprobs in pieces:
        heard.choice.take(FastDelta(), logprobs)
    assert heard.choice.build().logprobs == whole


def test_a_chunks_logprobs_are_its_own() -> None:
    heard = Heard()
    lists: list[Any] = [{"content": [1]}, {"content": [2], "refusal": [3]}, {"refusal": [4]}]
    chunks = [heard.choice.take(FastDelta(), logprobs) for logprobs in lists]
    early = heard.choice.build().logprobs
    heard.choice.take(FastDelta(), {"content": [5]})
    assert [chunk and chunk.logprobs for chunk in chunks] == [
        {"content": [1]},
        {"content": [2], "refusal": [3]},
        {"refusal": [4]},
    ]
    assert early == {"content": [1, 2], "refusal": [3, 4]}


def test_spoken_output_is_put_together() -> None:
    heard = Heard()
    for audio in (
        {"id": "s", "transcript": "H", "data": None},
        {"data": "AA"},
        {"transcript": "i", "data": "=="},
        {"expires_at": 7, "id": "s"},
    ):
        heard.choice.take(FastDelta(audio=audio))
    assert heard.choice.build().outputs == [AudioOutput(id="s", data="AA==", transcript="Hi", expires_at=7)]


def test_citations_of_several_deltas_are_all_kept() -> None:
    heard = Heard()
    heard.choice.take(FastDelta(annotations=[1]))
    early = heard.choice.build()
    heard.choice.take(FastDelta(annotations=[2, 3]))
    assert (early.annotations, heard.choice.build().annotations) == ([1], [1, 2, 3])


def test_spoken_output_is_not_lost_over_a_null() -> None:
    heard = Heard()
    for audio in ({"id": "s", "data": "AA", "transcript": "Hi"}, {"data": None, "transcript": None}):
        heard.choice.take(FastDelta(audio=audio))
    assert heard.choice.build().outputs == [AudioOutput(id="s", data="AA", transcript="Hi")]

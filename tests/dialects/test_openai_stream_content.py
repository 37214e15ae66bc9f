"""What the chunks of a stream contain, and the answer that they add up to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from botticelli.contracts.relaxations import Relaxation, Relaxations
from botticelli.core.errors import MalformedResponseError, ModelsError, StreamError
from botticelli.core.message import Reasoning, Text, ToolCall
from botticelli.core.response import (
    Citations,
    Deviation,
    FinishReason,
    Refusal,
    StreamChunk,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.accumulate import ResponseAccumulator
from botticelli.dialects.openai.choice import ChoiceAccumulator
from botticelli.dialects.openai.errors import error_in_success
from botticelli.dialects.openai.events import EventReader, is_done, is_json, json_lines
from botticelli.dialects.openai.repair import mend
from botticelli.dialects.openai.stream import OpenAIStreamReader
from botticelli.dialects.openai.wire import FastChoice, FastDelta
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.sse import Event
from tests.spoken import spoken_output

if TYPE_CHECKING:
    from collections.abc import Iterator

# Events that aren't plain: what the reader makes of one, by its bytes and its name.

CHUNK: dict[str, Any] = {
    "id": "a",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}],
}


class Reader:
    """A reader and where it notes."""

    def __init__(self, *, audit: bool = False) -> None:
        self.notes = DeviationLog()
        self.structural = DeviationLog() if audit else self.notes
        self.reader = EventReader(
            self.notes, self.structural, audit=audit, make_error=error_in_success, status=206
        )

    def codes(self) -> list[str]:
        return [note.code for note in self.notes.deviations()]

    def read_invalid(self, data: bytes, name: str = "") -> list[str | None]:
        return texts(self.reader.read_invalid(Event(data, name)))

    def inspect(self, data: bytes, name: str = "") -> list[str | None]:
        chunk = mend(msgspec.json.decode(data), wire.FastChunk, DeviationLog())
        return texts(self.reader.inspect(Event(data, name), chunk))


def texts(chunks: Iterator[wire.FastChunk | None]) -> list[str | None]:
    """The text of each chunk, None for the end mark."""
    found: list[str | None] = []
    for chunk in chunks:
        deltas = [choice.delta for choice in chunk.choices or ()] if chunk else []
        found.append("".join(delta.content or "" for delta in deltas if delta) if chunk else None)
    return found


def event(**changes: Any) -> bytes:
    return json.dumps(CHUNK | changes).encode()


def speaking(content: Any, **rest: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": content}, "finish_reason": None, **rest}])


# What an event that the fast struct refused turns out to be.


@pytest.mark.parametrize(
    ("data", "found", "codes"),
    [
        (b"[DONE]", [None], []),
        (b" [DONE]\n", [None], []),
        (b"[DONE] and more", [None], []),
        (b'"[DONE]"', [None], ["done-quoted"]),
        (b"", [], ["event-empty"]),
        (b" \n\t", [], ["event-empty"]),
        (b"null", [], ["event-null"]),
        (speaking(["H", "i"]), ["Hi"], ["content-parts"]),
        (speaking(17), ["17"], ["field-type"]),
        (b"\xef\xbb\xbf" + event(), ["Hi"], ["bom"]),
        (event().replace(b"Hi", b"H\ti"), ["H\ti"], ["control-character"]),
        (event().replace(b"Hi", b"\xff"), ["\ufffd"], ["utf8-invalid"]),
        (event() + b"[DONE]", ["Hi", None], ["trailing-data"]),
        (event() + b" [DONE].", ["Hi", None], ["trailing-data"]),
        (b"null[DONE]", [None], ["trailing-data", "event-null"]),
        (event() + b"\n" + event(), ["Hi", "Hi"], ["events-unseparated"]),
        (event() + b"\n\n[DONE]\n", ["Hi", None], ["events-unseparated"]),
        (b"null\nnull", [], ["events-unseparated", "event-null"]),
    ],
)
def test_an_odd_event_is_read_and_noted(data: bytes, found: list[str | None], codes: list[str]) -> None:
    reader = Reader()
    assert (reader.read_invalid(data), reader.codes()) == (found, codes)


def test_one_value_over_several_lines_is_one_event() -> None:
    reader = Reader()
    data = json.dumps(CHUNK, indent=1).encode()
    assert (reader.read_invalid(data), reader.codes()) == (["Hi"], [])


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (b"{", "character 1", "isn't JSON"),
        (b"nonsense", "character 0", "nonsense"),
        (b'"DONE"', "$", "not an object"),
        (b"17", "$", "not an object"),
        (b"[]", "$", "not an object"),
        (event() + event(), "$", "more than one value"),
        (event() + b"DONE", "$", "more than one value"),
        (event() + b"\n{", "$", "more than one value"),
        (event(choices="Hi"), "$.choices", "can't be read"),
        (event(choices=""), "$.choices", "can't be read"),
        (event(choices=[None]), "$.choices[0]", "can't be read"),
        (speaking("Hi", index=0, delta=["Hi"]), "$.choices[0].delta", "can't be read"),
        (speaking(["Hi", 5]), "$.choices[0].delta.content[1]", "can't be read"),
        (speaking("", delta={"tool_calls": {}}), "$.choices[0].delta.tool_calls", "can't be read"),
        (speaking("", delta={"tool_calls": [None]}), "$.choices[0].delta.tool_calls[0]", "can't be read"),
        (speaking("", delta={"function_call": "f()"}), "$.choices[0].delta.function_call", "can't be read"),
    ],
)
def test_an_event_that_cannot_be_read_is_an_error_that_says_where(data: bytes, path: str, words: str) -> None:
    with pytest.raises(MalformedResponseError, match=words) as caught:
        Reader().read_invalid(data)
    assert (caught.value.path, caught.value.status, caught.value.body) == (path, 206, data)
    assert caught.value.__context__ is None  # it would hold the whole event


def test_the_error_keeps_no_more_of_a_huge_event_than_others_do() -> None:
    with pytest.raises(MalformedResponseError) as caught:
        Reader().read_invalid(b"x" * (MAX_BODY + 1))
    assert caught.value.body == b"x" * MAX_BODY
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("data", [b"[DONE]", b'"[DONE]"'])
def test_the_lines_after_the_end_mark_are_not_read_before_they_are_asked_for(data: bytes) -> None:
    found = Reader().reader.read_invalid(Event(data + b'\n{"error":"No."}'))
    assert next(found) is None


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"error":{"message":"No."}}', ""),
        (b'{"message":"No."}', ""),
        (b'[{"error":{"message":"No."}}]', ""),
        (b"No.", "error"),
        (b'{"message":"No."}', "error"),
        (b'"No."', "error"),
    ],
)
def test_an_error_event_is_raised_as_the_error_it_is(data: bytes, name: str) -> None:
    with pytest.raises(StreamError, match=r"No\.") as caught:
        Reader().read_invalid(data, name)
    assert caught.value.body == data


def test_the_end_mark_ends_the_stream_even_by_the_name_of_error() -> None:
    assert Reader().read_invalid(b"[DONE]", "error") == [None]


def test_an_error_after_text_in_one_event_loses_no_text() -> None:
    reader = Reader()
    found = reader.reader.read_invalid(Event(speaking(["Hi"], error={"message": "No."})))
    assert texts(iter([next(found)])) == ["Hi"]
    with pytest.raises(StreamError, match=r"No\."):
        next(found)


@pytest.mark.parametrize("choices", [None, "Hi", {}])
def test_an_error_beside_choices_that_are_none_is_just_the_error(choices: Any) -> None:
    with pytest.raises(StreamError, match=r"No\."):
        Reader().read_invalid(event(choices=choices, error={"message": "No."}))


# What an event that decoded turns out to be.


@pytest.mark.parametrize(
    ("data", "found", "codes"),
    [
        (event(), ["Hi"], []),
        (event(choices=[]), [""], []),
        (event(choices=None), [""], ["choices-null"]),
        (b'{"id":"a"}', [""], ["choices-missing"]),
        (event(error={}), ["Hi"], []),
        (event(choices=[], error=""), [""], []),
    ],
)
def test_an_event_without_choices_is_a_chunk_all_the_same(
    data: bytes, found: list[str | None], codes: list[str]
) -> None:
    reader = Reader()
    assert (reader.inspect(data), reader.codes()) == (found, codes)


def test_a_name_but_error_means_nothing() -> None:
    assert Reader().inspect(event(), "chunk") == ["Hi"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (event(choices=[], error="No."), ""),
        (event(choices=None, error={"message": "No."}), ""),
        (b'{"detail":"No."}', ""),
        (b'{"msg":"No."}', "error"),
    ],
)
def test_an_error_that_decoded_gives_no_chunk(data: bytes, name: str) -> None:
    reader = Reader()
    with pytest.raises(StreamError, match=r"No\.") as caught:
        reader.inspect(data, name)
    assert (caught.value.body, reader.codes()) == (data, [])


@pytest.mark.parametrize(
    ("data", "name"), [(event(error={"message": "No."}), ""), (event(message="No."), "error")]
)
def test_a_chunk_comes_before_the_error_in_it(data: bytes, name: str) -> None:
    chunk = mend(msgspec.json.decode(data), wire.FastChunk, DeviationLog())
    found = Reader().reader.inspect(Event(data, name), chunk)
    assert next(found) is chunk
    with pytest.raises(StreamError, match=r"No\."):
        next(found)


def test_a_choice_that_failed_makes_its_event_an_error() -> None:
    failed = Event(speaking("Hi", finish_reason="error"))
    with pytest.raises(StreamError):
        list(Reader().reader.recheck(failed))
    assert list(Reader().reader.recheck(Event(event()))) == []


# Under audit.


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (event(), []),
        (event(created=1.5), ["created-not-integer"]),
        (event(object="chunk"), ["object-unknown"]),
        (event(choices=None), ["choices-null"]),
        (
            b'{"choices":[],"id":"a","id":"b"}',
            ["key-repeated", "object-missing", "created-missing", "model-missing"],
        ),
    ],
)
def test_an_audit_holds_each_event_to_the_contract(data: bytes, codes: list[str]) -> None:
    reader = Reader(audit=True)
    reader.inspect(data)
    assert reader.codes() == codes


@pytest.mark.parametrize(
    ("data", "code"), [(event(choices=None), "choices-null"), (speaking(["H", "i"]), "content-parts")]
)
def test_an_audit_counts_nothing_twice(data: bytes, code: str) -> None:
    reader = Reader(audit=True)
    if code == "choices-null":
        reader.inspect(data)
    else:
        reader.read_invalid(data)
    assert [(note.code, note.count) for note in reader.notes.deviations()] == [(code, 1)]


def test_without_an_audit_only_what_has_to_be_mended_is_noted() -> None:
    reader = Reader()
    reader.inspect(b'{"choices":[],"id":"a","id":"b"}')
    assert reader.codes() == []


# Usage.


@pytest.mark.parametrize(
    ("raw", "total", "deviations"),
    [
        (b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}', 3, []),
        (b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":"3"}', 3, ["usage-tokens-type"]),
        (b"[3]", None, ["usage-type"]),
        (b'"3"', None, ["field-type"]),
        (b"null", None, []),
    ],
)
def test_a_usage_that_breaks_the_format_is_read_or_unknown(
    raw: bytes, total: int | None, deviations: list[str]
) -> None:
    log = DeviationLog()
    answer = ResponseAccumulator(log, log)
    answer.take(wire.FastChunk(usage=msgspec.json.decode(raw)), [])
    usage = answer.build(last=True).usage
    assert (usage.total_tokens if usage else None) == total
    assert [deviation.code for deviation in log.deviations()] == deviations


def test_an_error_for_bytes_is_made_not_raised() -> None:
    error = Reader().reader.malformed("No.", b"x", "$.x")
    assert isinstance(error, ModelsError)
    assert (error.message, error.status, error.body, error.path) == ("No.", 206, b"x", "$.x")


# The bytes themselves.


@pytest.mark.parametrize(
    ("data", "done"),
    [(b"[DONE]", True), (b"[DONE].", True), (b"DONE", False), (b"[done]", False), (b"", False)],
)
def test_the_end_mark_is_told_by_how_it_begins(data: bytes, done: bool) -> None:
    assert is_done(data) is done


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"{}\n{}", [b"{}", b"{}"]),
        (b"{}\r\n\r\n[]\r\n[DONE]\r\n", [b"{}\r", b"[]\r", b"[DONE]\r"]),
        (b"null\n1", [b"null", b"1"]),
        (b"{}", None),
        (b"[1,\n2]", None),
        (b"{}\n{", None),
        (b"{}{}\n{}", None),
        (b"x", None),
        (b"", None),
        (b"[DONE]", None),
    ],
)
def test_lines_are_events_when_each_is_json_and_their_join_is_not(
    data: bytes, lines: list[bytes] | None
) -> None:
    assert json_lines(data) == lines


@pytest.mark.parametrize(
    ("data", "readable"),
    [(b" {} ", True), (b"0", True), (b'"\xff"', True), (b"{}{}", False), (b"{", False), (b"", False)],
)
def test_one_value_is_json_and_two_are_not(data: bytes, readable: bool) -> None:
    assert is_json(data) is readable


# One choice of a stream: what its deltas, its snapshots and its finish reasons make of it.

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
        FastDelta(audio={"id": "a"}),
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
        Reasoning("hm", "reasoning"),
        Text("Hi"),
        Refusal("No."),
        spoken_output(identity="s", data="AA==", transcript="Hi", expires_at=7),
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
    assert heard.choice.build(last=True).outputs == [
        Reasoning("abc", "reasoning"),
        Text("abc"),
        Refusal("abc"),
    ]


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
    heard.choice.write("Hi")
    for word in words:
        heard.choice.set_finish(word)
    assert heard.choice.build(last=True).finish_reason_raw == raw
    assert heard.codes() == codes


def test_finish_reasons_are_noted_where_they_stand() -> None:
    heard = Heard(1)
    for word in ("stop", "odd", ""):
        heard.choice.set_finish(word)
    heard.choice.note_after_finish()
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
    spoken = spoken_output(identity="s", data="AA==", transcript="Hi", expires_at=7)
    assert chunk == StreamChunk(
        "Hi",
        1,
        reasoning="Hm",
        refusal="No.",
        tool_calls=(ToolCallDelta(index=0, id="a", name="f", arguments="{}", extra={"extra": 1}),),
        blocks=(spoken, Citations([CITED])),
    )
    built = heard.choice.build(last=True)
    assert built.outputs == [
        Reasoning("Hm", "reasoning"),
        Text("Hi"),
        Refusal("No."),
        spoken,
        Citations([CITED]),
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
    assert built.outputs[3] == spoken_output(identity="t", data="", transcript="")
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
    audio: list[dict[str, Any]] = [
        {"id": "s", "transcript": "H", "data": None},
        {"data": "AA"},
        {"transcript": "i", "data": "=="},
        {"expires_at": 7, "id": "s"},
    ]
    chunks = [heard.choice.take(FastDelta(audio=piece)) for piece in audio]
    assert [chunk.blocks if chunk else () for chunk in chunks] == [
        (spoken_output(identity="s", data="", transcript="H"),),
        (spoken_output(identity="", data="AA", transcript=""),),
        (spoken_output(identity="", data="==", transcript="i"),),
        (),
    ]
    assert heard.choice.build().outputs == [
        spoken_output(identity="s", data="AA==", transcript="Hi", expires_at=7)
    ]


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
    assert heard.choice.build().outputs == [spoken_output(identity="s", data="AA", transcript="Hi")]


# Chunks become the answer that a whole answer would have been; the published slips are named.

LISTED = Relaxations.load("openai")
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


def test_of_tier_and_fingerprint_the_newest_counts() -> None:
    """What was asked for may come first, and what it was in the end with the last chunk."""
    first = {"service_tier": "auto", "system_fingerprint": "fp1"}
    last = {"service_tier": "default", "system_fingerprint": "fp2"}
    response = assembled({**one({"content": "a"}), **first}, {**one({}, finish="stop"), **last}).response
    assert (response.service_tier, response.system_fingerprint) == ("default", "fp2")


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
        {**one({"content": "a"}), "usage": {**COUNTS, "total_tokens": 9}},
        {**one({}, finish="stop"), "usage": COUNTS},
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

"""Events that aren't plain: what the reader makes of one, by its bytes and its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from botticelli.core.errors import MalformedResponseError, ModelsError, StreamError
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.accumulate import ResponseAccumulator
from botticelli.dialects.openai.errors import error_in_success
from botticelli.dialects.openai.stream import EventReader, is_done, is_json, json_lines
from botticelli.protocol.deviations import DeviationLog
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        chunk = msgspec.json.decode(data, type=wire.FastChunk)
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
    chunk = msgspec.json.decode(data, type=wire.FastChunk)
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

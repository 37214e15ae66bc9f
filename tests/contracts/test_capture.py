"""Whole captures: which bytes are one, and what of them breaks the contract or the laws of a stream."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli import contracts
from botticelli.contracts import UnknownContractError, Violation, read_capture

ours = settings(deadline=None)  # a deadline would judge the machine
HEAD: dict[str, Any] = {"id": "a1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
USED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
DONE = "[DONE]"
WRONG: list[Any] = ["", {}, None, [5]]


def chunk(*choices: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**HEAD, "choices": list(choices), **members}


def piece(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


FIRST = chunk(piece(role="assistant", content=""))
TEXT = chunk(piece(content="Hi"))
LAST = chunk(piece(finish="stop"))
USAGE = chunk(usage=USED)


def data(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event)


def stream(*events: Any, end: str = "\n") -> bytes:
    return "".join(f"data: {data(event)}{end}{end}" for event in events).encode()


def judged(captured: bytes, contract: str = "openai/chunk") -> list[Violation]:
    capture = read_capture(captured)
    assert capture is not None
    return contracts.validate_capture(contract, capture)


def codes(*events: Any, contract: str = "openai/chunk") -> list[tuple[str, str]]:
    return [(violation.path, violation.keyword) for violation in judged(stream(*events), contract)]


@pytest.mark.parametrize(
    ("events", "broken"),
    [
        ([FIRST, TEXT, LAST, DONE], []),
        ([FIRST, TEXT, LAST, USAGE, DONE], []),
        ([FIRST, LAST, chunk(moderation=None), DONE], []),
        ([FIRST, {**TEXT, "id": "b"}, {**LAST, "id": "c"}, DONE], [("event 2: $.id", "ids-differ")]),
        (
            [FIRST, {**TEXT, "model": "n", "created": 2}, LAST, DONE],
            [("event 2: $.created", "ids-differ"), ("event 2: $.model", "ids-differ")],
        ),
        ([TEXT, LAST, DONE], [("event 1: $.choices[0].delta.role", "role-missing")]),
        ([FIRST, LAST, LAST, DONE], [("event 3: $.choices[0].finish_reason", "finish-reason-repeated")]),
        ([FIRST, LAST, TEXT, DONE], [("event 3: $.choices[0]", "delta-after-finish")]),
        ([FIRST, LAST, chunk(), DONE], [("event 3: $", "chunk-after-finish")]),
        ([FIRST, TEXT, DONE], [("stream", "finish-reason-never")]),
        ([FIRST, TEXT], [("stream", "stream-truncated")]),
        ([FIRST, LAST], [("stream", "done-missing")]),
        ([FIRST, LAST, '"[DONE]"'], [("event 3: $", "done-quoted")]),
        (
            [FIRST, LAST, DONE, "x", DONE],
            [("event 4: $", "data-after-done"), ("event 5: $", "data-after-done")],
        ),
        ([FIRST, LAST, USAGE, USAGE, DONE], [("event 4: $.usage", "usage-repeated")]),
        ([FIRST, {**LAST, "usage": USED}, DONE], [("event 2: $.usage", "usage-misplaced")]),
        ([FIRST, USAGE, LAST, DONE], [("event 2: $.usage", "usage-misplaced")]),
        ([USAGE, FIRST, LAST, DONE], [("event 1: $.usage", "usage-misplaced")]),
        ([FIRST, "", LAST, DONE], [("event 2: $", "event-empty")]),
        ([FIRST, "null", LAST, DONE], [("event 2: $", "event-null")]),
        ([DONE], [("stream", "stream-empty")]),
        ([USAGE, DONE], [("event 1: $.usage", "usage-misplaced"), ("stream", "stream-empty")]),
        ([FIRST, "{", LAST, DONE], [("event 2: $", "json-invalid")]),
        ([FIRST, "[]", LAST, DONE], [("event 2: $", "type")]),
    ],
    ids=lambda value: None,
)
def test_each_law_has_its_code_and_its_event(events: list[Any], broken: list[tuple[str, str]]) -> None:
    assert codes(*events) == broken


@pytest.mark.parametrize(
    ("events", "broken"),
    [
        ([chunk(piece(content="Hi")), {**LAST, "id": "z", "usage": USED}, LAST, TEXT, USAGE, "", "null"], []),
        ([FIRST, LAST, '"[DONE]"', TEXT], []),
        ([FIRST, DONE], []),
        ([FIRST, TEXT], ["stream-truncated"]),
        (["", DONE], ["stream-empty"]),
        ([USAGE], ["stream-empty"]),
        ([FIRST, 5, LAST], ["type"]),
    ],
    ids=lambda value: None,
)
def test_the_tolerant_contract_wants_the_answer_whole(events: list[Any], broken: list[str]) -> None:
    assert [code for _, code in codes(*events, contract="wire/openai/chunk")] == broken


def test_every_choice_has_its_own_end() -> None:
    begun = chunk(piece(0, role="assistant"), piece(1, role="assistant"))
    assert codes(begun, chunk(piece(1, "stop")), chunk(piece(0, content="x")), LAST, DONE) == []
    assert codes(begun, chunk(piece(1, "stop")), USAGE, DONE) == [
        ("event 3: $.usage", "usage-misplaced"),
        ("stream", "finish-reason-never"),
    ]


def test_malformed_members_are_the_affair_of_the_schema() -> None:
    odd = [{**FIRST, "choices": 5}, chunk({"index": "0"}, {"index": 0, "delta": 5}), chunk({"index": 0})]
    assert {code for _, code in codes(*odd, LAST, DONE)} == {"type", "required"}


@pytest.mark.parametrize(
    ("cut", "codes_found"),
    [
        (0, []),
        (1, ["event-unfinished"]),
        (2, ["event-unfinished"]),
        (3, ["json-invalid", "event-unfinished", "done-missing"]),
    ],
)
def test_a_stream_may_end_inside_its_last_event(cut: int, codes_found: list[str]) -> None:
    whole = stream(FIRST, LAST, DONE)
    assert [violation.keyword for violation in judged(whole[: len(whole) - cut])] == codes_found
    tolerant = judged(whole[: len(whole) - min(cut, 2)], "wire/openai/chunk")
    assert tolerant == []


def test_comments_names_and_blank_lines_are_no_events() -> None:
    framed = b": hello\n\nevent: message\nid: 1\ndata: " + data(FIRST).encode() + b"\n\n\n\nretry: 5\n\n"
    assert judged(framed + stream(LAST, DONE)) == []
    capture = read_capture(framed)
    assert capture is not None
    assert [json.loads(event) for event in capture.events] == [FIRST]


def test_the_lines_of_an_event_are_joined() -> None:
    capture = read_capture(b'\xef\xbb\xbfdata: {"a":\ndata:1}\n\ndata\n\n')
    assert capture is not None
    assert (capture.events, capture.framed) == ([b'{"a":\n1}', b""], True)


@pytest.mark.parametrize(
    "captured",
    [
        b"",
        b" \n",
        b"{}",
        b"{}\n\n",
        b'{\n"a": 1\n}',
        b"[]\n{}",
        b"{}{}\n{}",
        b"{}\nx",
        b"<html>\n{}",
        b'"data: x"',
    ],
)
def test_what_is_one_value_or_none_is_no_capture(captured: bytes) -> None:
    assert read_capture(captured) is None


def test_lines_need_no_end_mark_but_may_have_one() -> None:
    lines = "\n".join(map(data, [FIRST, TEXT, "", LAST])).encode()
    assert judged(lines) == []
    assert judged(lines + b"\r\n[DONE]\n") == []
    assert [it.path for it in judged(b"\xef\xbb\xbf" + lines + b"\nx")] == ["event 1: $", "event 4: $"]
    assert [it.keyword for it in judged(b"{}\n[DONE]", "openai/error")] == ["required"]


def test_other_contracts_are_applied_event_by_event() -> None:
    error: dict[str, Any] = {"error": {"message": "", "type": "", "param": None, "code": None}}
    lines = "\n".join(map(data, [error, {}, error])).encode()
    assert [(it.path, it.pointer) for it in judged(lines, "openai/error")] == [
        ("event 2: $.error", "/1/error")
    ]
    assert [it.keyword for it in judged(b": nothing\n\n", "openai/error")] == ["stream-empty"]


def test_an_unknown_contract_is_an_error_even_without_events() -> None:
    capture = read_capture(b": nothing\n\n")
    assert capture is not None
    with pytest.raises(UnknownContractError):
        contracts.validate_capture("nope/chunk", capture)


@st.composite
def conforming(draw: st.DrawFn) -> list[Any]:
    """The events of a stream that keeps every law, with up to three choices told in turns."""
    count = draw(st.integers(1, 3))
    waiting: list[list[dict[str, Any]]] = []
    for index in range(count):
        texts = draw(st.lists(st.text(max_size=3), max_size=3))
        told = [piece(index, content=text) for text in texts]
        waiting.append(
            [piece(index, role="assistant"), *told, piece(index, draw(st.sampled_from(["stop", "length"])))]
        )
    events: list[Any] = [chunk(*(row.pop(0) for row in waiting))]
    while any(waiting):
        row = draw(st.sampled_from([row for row in waiting if row]))
        events.append(chunk(row.pop(0)))
    return events + ([USAGE] if draw(st.booleans()) else [])


@ours
@given(conforming(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_conforming_stream_breaks_nothing(events: list[Any], end: str) -> None:
    framed = stream(*events, DONE, end=end)
    assert judged(framed) == []
    assert judged(framed, "wire/openai/chunk") == []
    assert judged("".join(data(event) + end for event in events).encode()) == []


@ours
@given(conforming(), st.data())
def test_an_event_that_is_lost_or_doubled_is_noticed_where_it_matters(
    events: list[Any], drawn: st.DataObject
) -> None:
    ends = [
        place for place, event in enumerate(events) if any(one["finish_reason"] for one in event["choices"])
    ]
    place = drawn.draw(st.sampled_from(ends))
    lost, doubled = events[:place] + events[place + 1 :], events[: place + 1] + events[place:]
    assert "finish-reason-never" in {code for _, code in codes(*lost, DONE)}
    assert "finish-reason-repeated" in {code for _, code in codes(*doubled, DONE)}
    assert "stream-truncated" in {code for _, code in codes(*lost, contract="wire/openai/chunk")}


@ours
@given(conforming(), st.data())
def test_an_event_breaks_in_a_stream_what_it_breaks_alone(events: list[Any], drawn: st.DataObject) -> None:
    place = drawn.draw(st.integers(0, len(events) - 1))
    member = drawn.draw(st.sampled_from(["object", "choices", "created"]))
    events[place] = {**events[place], member: drawn.draw(st.sampled_from(WRONG))}
    alone = contracts.violations("openai/chunk", events[place])
    numbered = [it for it in judged(stream(*events, DONE)) if it.schema_pointer]
    assert [(it.path, it.message) for it in numbered] == [
        (f"event {place + 1}: {it.path}", it.message) for it in alone
    ]


PIECES = st.sampled_from(
    [b"data: ", b"data", b":", b"\n", b"\r", b"{}", b"[DONE]", b"null", b'{"choices":[{"index":0}]}']
)


@ours
@given(st.lists(PIECES | st.binary(max_size=4)).map(b"".join))
def test_no_bytes_make_it_raise_and_every_path_names_its_event(captured: bytes) -> None:
    capture = read_capture(captured)
    if capture is None:
        return
    for contract in ("openai/chunk", "wire/openai/chunk", "openai/error"):
        for violation in contracts.validate_capture(contract, capture):
            number = re.match(r"event (\d+): \$", violation.path)
            assert (
                violation.path == "stream" if number is None else 1 <= int(number[1]) <= len(capture.events)
            )

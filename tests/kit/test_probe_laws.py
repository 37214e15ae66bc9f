"""The laws, as pure functions of recorded bytes: what each finds, and what it lets pass."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.kit.probes.answer import Answer, error_text
from botticelli.kit.probes.comparisons import COMPARISONS, pick
from botticelli.kit.probes.exchange import Exchange, Piece, ResponseReader, read_events
from botticelli.kit.probes.findings import Doubt, Finding, broken_contract, contract_of
from botticelli.kit.probes.laws import LAWS
from botticelli.kit.probes.probe import load_probes
from botticelli.kit.probes.verdict import Outcome, curl, judge

TARGET = "/v1/chat/completions"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ****\r\n\r\n"
PROBES = {probe.id: probe for probe in load_probes()}


def exchange(
    asked: dict[str, Any],
    data: bytes,
    *,
    status: int = 200,
    media: str = "application/json",
    ask: str = "answer",
    **more: Any,
) -> Exchange:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    pieces = (Piece(0.1, head + data),)
    return Exchange(ask, "POST", TARGET, HEAD, json.dumps(asked).encode(), pieces, **more)


def whole(
    *choices: dict[str, Any], asked: dict[str, Any] | None = None, ask: str = "answer", **members: Any
) -> Answer:
    body = {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "logprobs": None, **choice} for index, choice in enumerate(choices)],
        **members,
    }
    return Answer(exchange(asked or {}, json.dumps(body).encode(), ask=ask))


def said(text: str, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "message": {"role": "assistant", "content": text, "refusal": None, **message},
        "finish_reason": finish,
    }


def stream(
    *chunks: Any, done: bool = True, asked: dict[str, Any] | None = None, times: list[float] | None = None
) -> Answer:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [
        b"data: [DONE]\n\n"
    ] * done
    moments = times or [0.1] * len(events)
    pieces = [Piece(0.05, head), *(Piece(at, data) for at, data in zip(moments, events, strict=False))]
    body = json.dumps({"stream": True, **(asked or {})}).encode()
    return Answer(Exchange("stream", "POST", TARGET, HEAD, body, tuple(pieces), "closed"))


def chunk(
    delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **members: Any
) -> dict[str, Any]:
    choices = (
        [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}]
    )
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
        **members,
    }


START, END = chunk({"role": "assistant", "content": ""}), chunk({}, "stop")
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def call(arguments: str = "{}", name: str = "f", id: str = "call_1", **members: Any) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **members}


TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"required": ["city"]}}}]}


def kinds(law: str, answer: Answer, **arguments: Any) -> list[str]:
    """The gravity of each finding, and 'doubt' for each doubt."""
    found = LAWS[law](answer, {"law": law, "model": "org/m", **arguments})
    return ["doubt" if isinstance(one, Doubt) else one.gravity for one in found]


@pytest.mark.parametrize(
    ("law", "answer", "arguments", "found"),
    [
        ("shape", whole(said("Hi")), {}, []),
        (
            "shape",
            whole({"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}),
            {},
            [],
        ),
        ("shape", Answer(exchange({}, b'{"choices": "none"}')), {}, ["silent"]),
        ("shape", stream("text"), {}, ["silent"]),
        ("says", whole(said("Hi")), {}, []),
        ("says", whole(said("")), {}, ["doubt"]),
        ("says", whole(), {}, ["silent"]),
        ("says", whole(said("", reasoning_content="hm")), {}, ["doubt"]),
        ("count", whole(said("a"), said("b")), {"n": 2}, []),
        ("count", whole(said("a")), {"n": 2}, ["silent"]),
        ("count", whole(said("a"), said("b")), {"n": 1}, ["imprecise"]),
        ("finish", whole(said("a", "eos")), {"reasons": ["stop"]}, ["imprecise"]),
        ("limit", whole(said("one two", "length")), {"tokens": 2}, []),
        ("limit", whole(said("one two three four")), {"tokens": 2}, ["silent"]),
        ("limit", whole(said("one"), usage={**USAGE, "completion_tokens": 1}), {"tokens": 2}, ["doubt"]),
        ("limit", whole(said("", "length", reasoning="hm")), {"tokens": 2}, []),
        ("limit", whole(said("I see."), usage={**USAGE, "completion_tokens": 2}), {"tokens": 2}, ["doubt"]),
        ("limit", whole(said("I see."), usage={**USAGE, "completion_tokens": 9}), {"tokens": 2}, ["doubt"]),
        ("limit", whole(said("I see")), {"tokens": 2}, ["doubt"]),
        ("limit", whole(said("one two", "tool_calls")), {"tokens": 2}, ["imprecise"]),
        ("object", stream(START, END), {}, []),
        ("object", stream(START, {"error": {"message": "no"}}), {}, []),
        ("object", stream(START, {"choices": []}), {}, ["imprecise"]),
        ("object", stream(START, END, chunk(None, object="chat.completion", usage=USAGE)), {}, ["imprecise"]),
        ("finish-present", stream(START, END, chunk(None, usage=USAGE)), {}, []),
        ("finish-present", stream({**START, "choices": [{"index": 0, "delta": {}}]}, END), {}, ["imprecise"]),
        ("true-label", Answer(exchange({}, b'{"error": "no"}', status=404)), {}, []),
        ("true-label", Answer(exchange({}, b"Not Found", status=404)), {}, ["imprecise"]),
        ("true-label", Answer(exchange({}, b"Not Found", status=404, media="text/plain")), {}, []),
        ("plain-text", whole(said("caf\ufffd")), {}, ["silent"]),
        ("json", whole(said('<think>hm</think> {"a": 1}')), {}, []),
        ("json", whole(said("```json\n{}\n```")), {}, ["silent"]),
        ("json", whole(said("[1]")), {}, ["silent"]),
        ("json", whole(said('{"a": 1}')), {"schema": {"required": ["b"]}}, ["silent"]),
        ("json", whole(said("", refusal="No.")), {}, ["doubt"]),
        ("called", whole(said("Hi")), {}, ["doubt"]),
        ("forced", whole(said("Hi")), {}, ["silent"]),
        ("forced", whole(said("Hi", "length")), {}, ["doubt"]),
        ("forced", whole(said("", tool_calls=[call()])), {"name": "g"}, ["silent"]),
        ("not-called", whole(said("", tool_calls=[call()])), {}, ["silent"]),
        ("known-tool", whole(said("", tool_calls=[call(name="g")]), asked=TOOLS), {}, ["silent"]),
        ("call-ids", whole(said("", tool_calls=[call(), call()])), {}, ["silent"]),
        ("call-ids", whole(said("", tool_calls=[call(id="")])), {}, ["silent"]),
        ("call-type", whole(said("", tool_calls=[call(type="tool")])), {}, ["imprecise"]),
        ("arguments", whole(said("", "tool_calls", tool_calls=[call("{'a'}")]), asked=TOOLS), {}, ["silent"]),
        ("arguments", whole(said("", "tool_calls", tool_calls=[call("{}")]), asked=TOOLS), {}, ["doubt"]),
        ("arguments", whole(said("", "length", tool_calls=[call('{"c')]), asked=TOOLS), {}, ["doubt"]),
        ("tool-finish", whole(said("", "stop", tool_calls=[call()])), {}, ["imprecise"]),
        (
            "tool-finish",
            whole(said("", "stop", tool_calls=[call()]), asked={"tool_choice": {"type": "function"}}),
            {},
            [],
        ),
        ("tool-finish", whole(said("Hi", "tool_calls")), {}, ["silent"]),
        ("usage-sent", whole(said("Hi"), usage=None), {}, ["silent"]),
        ("usage-sums", whole(said("Hi"), usage=USAGE), {}, []),
        ("usage-sums", whole(said("Hi"), usage={**USAGE, "total_tokens": 8}), {}, ["imprecise"]),
        ("usage-sums", whole(said("Hi"), usage={**USAGE, "prompt_tokens": -5}), {}, ["imprecise"]),
        ("usage-counts", whole(said("Hi"), usage={**USAGE, "completion_tokens": 0}), {}, ["imprecise"]),
        ("streamed", whole(said("Hi")), {}, ["silent"]),
        ("streamed", stream(done=False), {}, ["silent"]),
        ("streamed", stream(START, END), {}, []),
        ("done", stream(START, END), {}, []),
        ("done", stream(START, END, done=False), {}, ["imprecise"]),
        ("same", stream(START, {**END, "id": "c-2"}), {"member": "id"}, ["imprecise"]),
        ("same", stream(START, END, {"error": {"message": "x"}}), {"member": "id"}, []),
        ("role-first", stream(chunk({"content": "a"}), END), {}, ["imprecise"]),
        ("finish-once", stream(START, END), {}, []),
        ("finish-once", stream(START, END, END), {}, ["imprecise"]),
        ("finish-once", stream(START), {}, ["silent"]),
        ("nothing-late", stream(START, END, chunk({"content": "late"})), {}, ["silent"]),
        ("nothing-late", stream(START, END, chunk(None, usage=USAGE)), {}, []),
        ("nothing-late", stream(START, END, chunk({})), {}, []),
        ("usage-last", stream(START, chunk({}, "stop", usage=USAGE)), {}, ["imprecise"]),
        ("usage-last", stream(START, END, chunk(None, usage=USAGE)), {}, []),
        ("usage-unasked", stream(START, END, chunk(None, usage=USAGE)), {}, ["imprecise"]),
        (
            "usage-once",
            stream(chunk({}, usage=USAGE), chunk({}, usage={**USAGE, "total_tokens": 9})),
            {},
            ["imprecise"],
        ),
        ("not-empty", stream(done=False), {}, ["silent"]),
        ("error-shape", Answer(exchange({}, b'{"detail": "no"}', status=422)), {}, ["imprecise"]),
        ("error-says", Answer(exchange({}, b"", status=422)), {}, ["imprecise"]),
        ("names", Answer(exchange({}, b'{"error": "bad stop"}', status=400)), {"words": ["stop"]}, []),
        ("names", Answer(exchange({}, b'{"error": "bad"}', status=400)), {"words": ["stop"]}, ["imprecise"]),
        ("json-type", Answer(exchange({}, b"{}", media="text/plain")), {}, ["imprecise"]),
        ("no-key", Answer(exchange({}, b"{}", leaked=True)), {}, ["leak"]),
        ("closed", Answer(exchange({}, b"{}", end="held")), {}, ["hang"]),
        ("model-named", whole(said("Hi"), model="M@main"), {}, []),
        ("model-named", whole(said("Hi"), model="gpt"), {}, ["imprecise"]),
        ("lists", Answer(exchange({}, b'{"data": [{"id": "org/m"}]}')), {}, []),
        ("lists", Answer(exchange({}, b'{"data": []}')), {}, ["imprecise"]),
        ("prompt-whole", whole(said("Hi"), usage=USAGE), {"least": 100}, ["silent"]),
    ],
)
def test_a_law_finds_what_breaks_it_and_nothing_else(
    law: str, answer: Answer, arguments: dict[str, Any], found: list[str]
) -> None:
    assert kinds(law, answer, **arguments) == found


def test_log_probabilities_cover_the_text() -> None:
    entry = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    good = {**said("Hi"), "logprobs": {"content": [entry]}}
    assert kinds("logprobs", whole(good)) == []
    assert kinds("logprobs", whole(good), top=2) == ["silent"]
    assert kinds("logprobs", whole({**said("Hi there"), "logprobs": {"content": [entry]}})) == ["imprecise"]
    assert kinds("logprobs", whole({**said("Hi"), "logprobs": {"content": [{**entry, "logprob": 0.5}]}})) == [
        "imprecise"
    ]
    assert kinds("logprobs", whole(said("Hi"))) == ["silent"]


def test_chunks_that_come_at_once_are_seen_only_where_there_was_time() -> None:
    pieces = [START, *(chunk({"content": f"w{n} "}) for n in range(8)), END]
    assert kinds("arrives", stream(*pieces, times=[0.1 * n for n in range(11)])) == []
    assert kinds("arrives", stream(*pieces, times=[2.0] * 11)) == ["silent"]
    assert kinds("arrives", stream(*pieces, times=[0.01] * 11)) == ["doubt"]
    assert kinds("arrives", stream(START, END)) == ["doubt"]


def test_a_clock_in_the_chunks_is_seen_only_where_it_must_have_gone_on() -> None:
    def created(*values: int, took: float) -> list[str]:
        chunks = [chunk({"content": "w"}, created=value) for value in values]
        return kinds("one-created", stream(*chunks, times=[took * n / 2 for n in range(4)]))

    assert created(7, 7, 7, took=3.0) == []
    assert created(7, 7, 8, took=0.5) == [], "seen only when a second ends in the stream"
    assert created(7, 8, 8, took=1.5) == [], "a slow network may have made it so long"
    assert created(7, 8, 9, took=2.5) == ["imprecise"]
    assert created(7, 7, 8, took=2.1) == ["imprecise"]
    assert created(7, 9, 11, took=0.5) == ["imprecise"], "no clock goes so fast"


def test_only_a_question_for_a_chat_is_held_to_the_contract_of_a_chat() -> None:
    head = b"HTTP/1.1 204 No Content\r\n\r\n"
    options = Exchange("options", "OPTIONS", TARGET, HEAD, b"", (Piece(0.1, head),))
    assert contract_of(Answer(options)) is None
    assert contract_of(Answer(dataclasses.replace(options, target="/v1/models"))) is None
    assert contract_of(whole(said("Hi"))) == "openai/response"


# Between answers

REF = "The sky is blue because the light of the sun is scattered."


def stopped(got: str, stop: Any = "light", ref: str = REF, finish: str = "stop") -> list[str]:
    answers = {"whole": whole(said(ref)), "stopped": whole(said(got, finish), asked={"stop": stop})}
    found = COMPARISONS["stopped"](answers, {"whole": "whole", "stopped": "stopped"})
    return ["doubt" if isinstance(one, Doubt) else one.gravity for one in found]


def test_a_stop_word_ends_the_text_and_is_not_in_it() -> None:
    assert stopped("The sky is blue because the ") == []
    assert stopped("The sky is blue because the") == [], "trailing spaces may be cut"
    assert stopped("The sky is blue because the", finish="length") == ["imprecise"]
    assert stopped(REF) == ["silent"], "ignored"
    assert stopped("The sky is blue because the light") == ["silent"], "left in"
    assert stopped(REF.replace("light", "")) == ["silent"], "deleted, and talked on"
    assert stopped("The ocean is green.") == ["doubt"], "another answer proves nothing"
    assert stopped("The sky is blue because the air is thin.") == ["doubt"]
    assert stopped(REF, stop="never") == ["doubt"]
    assert stopped("The sky is ", stop=["light", "blue"]) == []


@given(st.lists(st.text("abcdefgh", min_size=3, max_size=8), min_size=2, max_size=12, unique=True))
def test_what_is_picked_as_a_stop_word_stands_in_the_text_and_not_at_its_start(words: list[str]) -> None:
    text = " ".join(words) + "."
    for what in ("word", "span"):
        picked = pick(text, what)
        if picked is not None:
            assert text.find(picked) > 0
            assert what == "word" or " " in picked
            assert stopped(text[: text.find(picked)], stop=picked, ref=text) == []
            assert stopped(text, stop=picked, ref=text) == ["silent"]


def test_a_model_that_varies_proves_nothing_about_streams() -> None:
    roles = {"whole": "whole", "again": "again", "stream": "stream"}

    def compared(one: str, again: str, streamed: str) -> list[str]:
        answers = {
            "whole": whole(said(one)),
            "again": whole(said(again)),
            "stream": stream(START, chunk({"content": streamed}), END),
        }
        found = COMPARISONS["same-text"](answers, roles)
        return ["doubt" if isinstance(f, Doubt) else f.gravity for f in found]

    assert compared("a b", "a b", "a b") == []
    assert compared("a b", "a b", "a") == ["silent"]
    assert compared("a b", "a c", "a") == ["doubt"]
    assert compared(" a b", " a b", "a b") == ["imprecise"]


def with_room(limited: str, room: str, finish: str = "stop") -> list[str]:
    answers = {"answer": whole(said(limited)), "room": whole(said(room, finish))}
    law = {"limited": "answer", "room": "room"}
    return ["doubt" if isinstance(f, Doubt) else f.gravity for f in COMPARISONS["ended-itself"](answers, law)]


def test_an_answer_that_says_it_ended_goes_no_further_with_room() -> None:
    assert with_room("one, two", "one, two, three, four") == ["imprecise"]
    assert with_room("one, tw", "one, two, three", "length") == ["imprecise"]
    assert with_room("I see.", "I see.") == []
    assert with_room("I see.", " I see. ") == [], "spaces may be cut"
    assert with_room("I see.", "You see. I do.") == [], "another answer proves nothing"
    assert with_room("", "one") == []
    assert with_room("I see.", "", "length") == [], "it thought, and came to no answer"


def grows(plain: int, more: int, control: int) -> list[str]:
    answers = {
        name: whole(said("Hi"), usage={"prompt_tokens": count})
        for name, count in (("plain", plain), ("more", more), ("control", control))
    }
    law = {"plain": "plain", "more": "more", "control": "control", "least": 0, "what": "an image"}
    return ["doubt" if isinstance(f, Doubt) else f.gravity for f in COMPARISONS["prompt-grows"](answers, law)]


def test_what_was_added_to_a_prompt_must_cost_tokens_where_tokens_are_counted() -> None:
    assert grows(10, 95, 20) == []
    assert grows(10, 10, 20) == ["silent"]
    assert grows(10, 10, 10) == ["doubt"], "a usage that is always the same says nothing"


# Judging one probe


def test_the_four_results_are_kept_apart() -> None:
    probe = PROBES["choices-two"]

    def outcome(answer: Exchange) -> Outcome:
        return judge(probe, [answer], "m").outcome

    refusal = json.dumps(
        {"error": {"message": "n is not supported", "type": "x", "param": "n", "code": None}}
    ).encode()
    assert outcome(whole(said("a"), said("b")).exchange) is Outcome.OBEYED
    assert outcome(whole(said("a")).exchange) is Outcome.IGNORED
    assert outcome(exchange({}, refusal, status=400)) is Outcome.REFUSED
    assert outcome(exchange({}, refusal, status=501)) is Outcome.REFUSED
    assert outcome(exchange({}, refusal, status=500)) is Outcome.BROKEN
    assert outcome(exchange({}, refusal, status=429)) is Outcome.INCONCLUSIVE
    assert outcome(exchange({}, refusal, status=402)) is Outcome.INCONCLUSIVE
    assert outcome(exchange({}, refusal, status=200)) is Outcome.IGNORED
    assert judge(probe, [], "m").outcome is Outcome.INCONCLUSIVE


def test_an_answer_that_says_stop_under_a_limit_is_judged_by_one_with_room() -> None:
    probe = PROBES["parameter-max-tokens"]

    def judged(limited: str, room: str | None, finish: str = "stop") -> tuple[Outcome, list[str]]:
        answers = [whole(said(limited, finish)).exchange]
        if room is not None:
            answers.append(whole(said(room), ask="with-room").exchange)
        judgement = judge(probe, answers, "m")
        return judgement.outcome, [name for name, _ in judgement.findings]

    assert judged("one two", None, "length") == (Outcome.OBEYED, []), "then nothing else is asked"
    assert judged("I see.", "I see.") == (Outcome.INCONCLUSIVE, [])
    assert judged("one two", "one two three") == (Outcome.BROKEN, ["answer"]), "the first answer shows it"
    assert judged("one two", None) == (Outcome.INCONCLUSIVE, []), "the calls were used up"


def test_an_answer_that_our_own_limit_cut_is_no_finding() -> None:
    cut = whole(said('{"city": "Par', "length")).exchange
    assert judge(PROBES["schema-kept"], [cut], "m").outcome is Outcome.INCONCLUSIVE


def test_a_bad_request_that_is_answered_is_ignored_silently() -> None:
    probe = PROBES["error-unknown-role"]
    assert judge(probe, [whole(said("Hi")).exchange], "m").outcome is Outcome.IGNORED
    assert judge(probe, [exchange({}, b"{}", status=500)], "m").outcome is Outcome.BROKEN
    assert judge(probe, [exchange({}, b'{"error": "no"}', status=422)], "m").outcome is Outcome.OBEYED


def test_no_answer_in_time_is_a_hang_and_a_dropped_connection_a_crash() -> None:
    probe = PROBES["answer-readable"]
    none = Exchange("answer", "POST", TARGET, HEAD, b"{}", (), "timeout", detail="nothing")
    assert judge(probe, [none], "m").gravity == "hang"
    dropped = Exchange("answer", "POST", TARGET, HEAD, b"{}", (), "closed")
    assert judge(probe, [dropped], "m").gravity == "crash"
    gone = Exchange("answer", "POST", TARGET, HEAD, b"{}", (), "unreachable", detail="refused")
    assert judge(probe, [gone], "m").outcome is Outcome.INCONCLUSIVE


def test_the_command_that_asks_again_has_a_variable_for_the_key() -> None:
    line = curl(exchange({"stream": True, "x": "it's"}, b"{}"), "http://h:1", "MY_KEY")
    assert line.startswith("curl -sS -i -N http://h:1/v1/chat/completions ")
    assert '-H "Authorization: Bearer $MY_KEY"' in line
    assert "****" not in line


# Bytes


@given(st.data())
def test_an_answer_is_read_alike_however_its_bytes_are_split(data: st.DataObject) -> None:
    body = data.draw(st.binary(max_size=40))
    events = data.draw(st.lists(st.text("ab é\u2028", min_size=1), max_size=4))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    sse = "".join(f"data: {event}{end}{end}" for event in events).encode()
    payload = data.draw(st.sampled_from([body, sse]))
    if data.draw(st.booleans()):
        sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent += (b"%x\r\n%s\r\n" % (len(payload), payload) if payload else b"") + b"0\r\n\r\n"
    else:
        sent = (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(payload)
            + payload
        )
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=6)) | {0, len(sent)})
    reader = ResponseReader("POST")
    for start, stop in itertools.pairwise(cuts):
        reader.feed(0.0, sent[start:stop])
    assert reader.response.complete
    assert reader.response.data == payload
    assert not reader.response.faults
    if payload == sse:
        found = [event.data.decode() for event in read_events(reader.response.body)]
        assert found == events


def test_a_line_end_that_is_split_between_two_pieces_is_one() -> None:
    pieces = [Piece(0.1, b"data: a\r"), Piece(0.2, b"\ndata: b\r"), Piece(0.3, b"\n\r\n")]
    assert [(event.at, event.data) for event in read_events(pieces)] == [(0.3, b"a\nb")]


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"<html>", ""),
        (b"<html>\r\n\r\nx", "it doesn't begin with a status line"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "is no length of a chunk"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both"),
    ],
)
def test_what_breaks_http_is_a_fault_and_no_exception(sent: bytes, fault: str) -> None:
    reader = ResponseReader("POST")
    reader.feed(0.0, sent)
    reader.close()
    assert any(fault in found for found in reader.response.faults) or not fault


@given(st.binary(max_size=300))
def test_no_bytes_make_a_law_raise(data: bytes) -> None:
    for sent in (data, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " + data + b"\n\n"):
        answer = Answer(Exchange("answer", "POST", TARGET, HEAD, data, (Piece(0.0, sent),), "closed"))
        broken_contract(answer)
        for name, law in LAWS.items():
            arguments = {
                "n": 1,
                "tokens": 2,
                "reasons": ["stop"],
                "member": "id",
                "words": ["x"],
                "of": [200],
            }
            for one in law(answer, {"law": name, "model": "m", "name": "Date", "least": 1, **arguments}):
                assert isinstance(one, Finding | Doubt)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no"}, "no"),
        ({"detail": [{"loc": ["body", "n"], "msg": "no"}]}, "body.n: no"),
        ([{"error": {"message": "no"}}], "no"),
        ({"message": "no"}, "no"),
        ({}, ""),
        (5, ""),
    ],
)
def test_the_words_of_an_error_are_found_in_every_usual_shape(body: Any, text: str) -> None:
    assert error_text(body) == text

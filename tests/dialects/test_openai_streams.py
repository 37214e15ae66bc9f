"""Streams: how they begin, go on, break and end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from botticelli.core.errors import (
    EmptyResponseError,
    MalformedResponseError,
    ModelsError,
    StreamError,
    StreamTruncatedError,
)
from botticelli.core.message import Audio, Image, Other, Reasoning, Text, ToolCall
from botticelli.core.response import (
    Deviation,
    FinishReason,
    GenerateResponse,
    Refusal,
    StreamChunk,
    ToolCallDelta,
    ToolCalls,
    Usage,
)
from botticelli.dialects.openai.accumulate import ResponseAccumulator, is_frame
from botticelli.dialects.openai.errors import error_in_success
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.protocol.limits import Limits
from tests.spoken import spoken_output

HEAD: dict[str, Any] = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"No.","code":503}}\n\n'
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
COUNTED = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def chunk(*choices: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {**HEAD, "choices": list(choices), **rest}


def choice(index: int = 0, finish: Any = None, /, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def says(content: Any, index: int = 0, **rest: Any) -> bytes:
    return event(chunk(choice(index, content=content), **rest))


def stops(finish: Any = "stop", index: int = 0, **rest: Any) -> bytes:
    return event(chunk(choice(index, finish), **rest))


HI = says("Hi")
STOP = stops()
ANSWER = HI + STOP + DONE


class Heard:
    """A stream fed to its end: the chunks, the final one or the error, and the answer."""

    def __init__(self, *pieces: bytes, **options: Any) -> None:
        self.stream = OpenAIStreamReader(**options)
        self.chunks = [chunk for piece in pieces for chunk in self.stream.feed(piece)]
        self.final: StreamChunk | None = None
        self.late: list[StreamChunk] = []
        self.error: ModelsError | None = None
        try:
            *self.late, self.final = self.stream.finish()
        except ModelsError as error:
            self.error = error

    @property
    def answer(self) -> GenerateResponse:
        """The answer; the error is raised where there is one, so that a test shows it."""
        if self.error is not None:
            raise self.error
        return self.stream.response

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def codes(self) -> dict[str, int]:
        return {note.code: note.count for note in self.stream.response.deviations}


# How a stream ends.


def test_a_finish_reason_and_the_end_mark_make_the_answer() -> None:
    heard = Heard(HI, says(" there"), STOP, event(chunk(usage=USAGE)), DONE)
    assert heard.chunks == [StreamChunk("Hi"), StreamChunk(" there")]
    assert heard.final == StreamChunk(is_final=True, finish_reason=FinishReason.STOP, usage=COUNTED)
    answer = heard.answer
    assert (answer.id, answer.model, answer.created, answer.raw) == ("a", "m", 1, b"")
    assert answer.outputs == [Text("Hi there")]
    assert (answer.finish_reason, answer.finish_reason_raw) == (FinishReason.STOP, "stop")
    assert (answer.usage, answer.deviations) == (COUNTED, [])


@pytest.mark.parametrize(
    ("body", "finish", "codes"),
    [
        (HI + STOP + DONE, FinishReason.STOP, {}),
        (HI + STOP, FinishReason.STOP, {"done-missing": 1}),
        (HI + DONE, FinishReason.OTHER, {"finish-reason-never": 1}),
        (HI + says("Ho", 1) + DONE, FinishReason.OTHER, {"finish-reason-never": 2}),
        (HI + says("Ho", 1) + STOP + DONE, FinishReason.STOP, {"finish-reason-never": 1}),
        (says(None) + STOP + DONE, FinishReason.STOP, {"answer-empty": 1}),
    ],
)
def test_an_ending_that_makes_an_answer(body: bytes, finish: FinishReason, codes: dict[str, int]) -> None:
    heard = Heard(body)
    assert (heard.answer.finish_reason, heard.codes) == (finish, codes)
    assert heard.final is not None
    assert (heard.final.is_final, heard.final.finish_reason) == (True, finish)


@pytest.mark.parametrize(
    ("body", "error", "words", "partial"),
    [
        (HI, StreamTruncatedError, "without the finish reason and without", "Hi"),
        (HI + HI[:-9], StreamTruncatedError, "without the finish reason", "Hi"),
        (HI + says("Ho", 1) + STOP, StreamTruncatedError, "finish reason of choice 1 ", "Hi"),
        (HI + b" \t", StreamTruncatedError, "without the finish reason", "Hi"),
        (HI + b"<html>502\n", StreamTruncatedError, "among the stream's lines was '<html>502'", "Hi"),
        (says(None), StreamTruncatedError, "without the finish reason", None),
        (b"", EmptyResponseError, "without a choice", None),
        (DONE, EmptyResponseError, "without a choice", None),
        (b": ping\n\n", EmptyResponseError, "without a choice", None),
        (event(chunk(usage=USAGE)) + DONE, EmptyResponseError, "without a choice", None),
        (event(chunk()) + b"Bad Gateway\n", EmptyResponseError, "lines was 'Bad Gateway'", None),
        (HI[:-9], StreamTruncatedError, "in the middle of an event", None),
        (b"data: ", StreamTruncatedError, "in the middle of an event", None),
        (HI + ERROR, StreamError, "No.", "Hi"),
        (ERROR, StreamError, "No.", None),
        (HI + b"event: error\ndata: No.\n\n", StreamError, "No.", "Hi"),
        (HI + event(chunk(choice(0, "error"))), StreamError, "", "Hi"),
        (HI + event(chunk(choice(0, "network_error"))), StreamError, "", "Hi"),
        (HI + b'error: {"code":500,"message":"No.","type":"server_error"}\n', StreamError, "No.", "Hi"),
        (HI + b'error:{"message":"No."}', StreamError, "No.", "Hi"),
        (b'error: {"message":"No."}\n\n', StreamError, "No.", None),
        (HI + b'<html>\nerror: {"message":"No."}\n\n', StreamError, "No.", "Hi"),
        (HI + STOP + b'error: {"message":"No."}\n\n' + DONE, StreamError, "No.", "Hi"),
        (HI + b"error: No.\n\n", StreamTruncatedError, "lines was 'error: No.'", "Hi"),
        (HI + b'error: {"message":\n\n', StreamTruncatedError, "lines was 'error: {", "Hi"),
        (HI + b'errors: {"message":"No."}\n\n', StreamTruncatedError, "lines was 'errors: {", "Hi"),
        (
            HI
            + event(
                {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
            ),
            *(StreamError, "insufficient balance", "Hi"),
        ),
        (event({"error_code": 336003, "error_msg": "No."}), StreamError, "No.", None),
        (HI + event({"error_type": "t", "error_message": "No."}), StreamError, "No.", "Hi"),
        (HI + b"data: {\n\n", MalformedResponseError, "isn't JSON", "Hi"),
        (b"data: 17\n\n", MalformedResponseError, "not an object", None),
    ],
)
def test_an_ending_that_makes_an_error(
    body: bytes, error: type[ModelsError], words: str, partial: str | None
) -> None:
    heard = Heard(body, status=206)
    found = heard.error
    assert found is not None
    assert type(found) is error
    assert words in found.message
    assert "''" not in found.message  # an excerpt of nothing tells nothing
    assert (found.partial.text if found.partial else None) == partial
    assert heard.stream.failed is found
    if error is not StreamError:
        assert found.status == 206


def test_a_line_that_is_named_error_tells_all_that_is_in_it() -> None:
    error = Heard(HI + b'error: {"code":500,"message":"No.","type":"server_error"}\n\n').error
    assert isinstance(error, StreamError)
    assert (error.code, error.type, error.status, error.cause_kind) == (500, "server_error", 500, "server")
    assert error.body == b'{"code":500,"message":"No.","type":"server_error"}'


def test_an_error_in_minimaxs_words_tells_its_code_and_kind() -> None:
    said = {"status_code": 1008, "status_msg": "insufficient balance"}
    error = Heard(event({"choices": None, "base_resp": said})).error
    assert isinstance(error, StreamError)
    assert (error.code, error.status, error.cause_kind) == (1008, None, "credits_exhausted")


@pytest.mark.parametrize("body", [b"", DONE, b": ping\n\n", event(chunk(usage=USAGE)) + DONE])
def test_an_empty_stream_says_how_to_learn_more(body: bytes) -> None:
    error = Heard(body).error
    assert error is not None
    assert "without streaming" in (error.hint or "")


@pytest.mark.parametrize("body", [ANSWER, HI, b"", HI + ERROR, json.dumps({"error": "No."}).encode()])
def test_to_finish_again_changes_nothing(body: bytes) -> None:
    heard = Heard(body)
    before = heard.stream.response
    if heard.error is None:
        assert heard.stream.finish() == [*heard.late, heard.final]
    else:
        with pytest.raises(type(heard.error)) as caught:
            heard.stream.finish()
        assert caught.value is heard.error
    assert heard.stream.response == before
    assert heard.stream.ended


@pytest.mark.parametrize("bad", [ERROR, b"data: {\n\n", event(chunk(choice(0, content="!"), error="No."))])
def test_what_came_before_an_error_in_the_same_piece_is_delivered(bad: bytes) -> None:
    stream = OpenAIStreamReader()
    told = [chunk.text for chunk in stream.feed(HI + bad + HI)]
    assert told == ["Hi", "!"] if b"!" in bad else ["Hi"]
    assert stream.ended
    assert stream.failed is not None
    partial = stream.failed.partial
    assert partial is not None
    assert partial.text == "".join(told)


def test_after_a_failure_nothing_is_read() -> None:
    stream = OpenAIStreamReader(audit=True)
    stream.feed(HI + ERROR)
    failed, seen = stream.failed, stream.log.deviations()
    assert stream.feed(HI + STOP + DONE) == []
    assert (stream.failed, stream.log.deviations(), stream.response.text) == (failed, seen, "Hi")


def test_the_failures_maker_is_the_callers() -> None:
    made = error_in_success(b"{}")

    def failure(body: bytes, *, partial: GenerateResponse | None = None) -> StreamError:
        return made

    heard = Heard(HI + ERROR, make_error=failure)
    assert heard.error is made
    assert made.partial is not None


def test_the_partial_that_an_error_brings_with_it_is_kept() -> None:
    kept = GenerateResponse(id="kept")

    def failure(body: bytes, *, partial: GenerateResponse | None = None) -> StreamError:
        return error_in_success(body, partial=kept)

    heard = Heard(HI + ERROR, make_error=failure)
    assert heard.error is not None
    assert heard.error.partial is kept


def test_partial_is_what_was_delivered_or_none() -> None:
    stream = OpenAIStreamReader()
    assert stream.partial() is None
    stream.feed(event(chunk(choice(role="assistant"))))
    assert stream.partial() is None
    stream.feed(HI)
    partial = stream.partial()
    assert partial is not None
    assert (partial.text, partial.id) == ("Hi", "a")


def test_the_answer_may_be_looked_at_under_way() -> None:
    stream = OpenAIStreamReader()
    stream.feed(HI)
    early = stream.response
    stream.feed(says("!") + b"data: null\n\n")
    assert (early.text, stream.response.text) == ("Hi", "Hi!")
    assert [note.code for note in stream.response.deviations] == ["event-null"]


@pytest.mark.parametrize("deep", [b'{"choices":' + b"[" * 100_000, b"[" * 100_000, b'{"a":' * 100_000])
def test_an_event_nested_beyond_reading_is_malformed(deep: bytes) -> None:
    heard = Heard(HI + b"data: " + deep + b"\n\n")
    assert type(heard.error) is MalformedResponseError
    assert heard.text == "Hi"


# The end mark.


@pytest.mark.parametrize(
    ("mark", "codes"),
    [
        (b"data:[DONE]\n\n", {}),
        (b"data: [DONE] \n\n", {}),
        (b"data: [DONE].\n\n", {}),
        (b"event: done\ndata: [DONE]\n\n", {}),
        (b'data: "[DONE]"\n\n', {"done-quoted": 1}),
        (b"data: [DONE]\n", {"event-unfinished": 1}),
        (b"data: [DONE]", {"event-unfinished": 1}),
        (b"data: [DO", {"done-missing": 1}),
    ],
)
def test_the_end_mark_in_its_spellings(mark: bytes, codes: dict[str, int]) -> None:
    heard = Heard(HI + STOP + mark)
    assert (heard.answer.text, heard.codes) == ("Hi", codes)


def test_the_end_mark_glued_to_the_last_event_counts() -> None:
    heard = Heard(HI + STOP.rstrip() + b"[DONE]\n\n" + HI)
    assert (heard.answer.text, heard.codes) == ("Hi", {"trailing-data": 1})


@pytest.mark.parametrize(
    ("audit", "codes"), [(False, {}), (True, {"data-after-done": 3})], ids=["plain", "audit"]
)
def test_what_follows_the_end_mark_is_counted_by_an_audit_and_never_read(
    audit: bool, codes: dict[str, int]
) -> None:
    heard = Heard(ANSWER + HI, HI + ERROR, audit=audit)
    assert (heard.answer.text, heard.codes) == ("Hi", codes)


def test_a_flood_after_the_end_mark_does_no_harm() -> None:
    heard = Heard(ANSWER, HI + b"data: " + b"x" * 5000, audit=True, limits=Limits(max_event_bytes=1000))
    assert (heard.answer.text, heard.codes) == ("Hi", {"data-after-done": 1})


def test_a_stream_that_ended_is_told_before_it_is_finished() -> None:
    stream = OpenAIStreamReader()
    stream.feed(HI)
    assert not stream.ended
    stream.feed(STOP + DONE)
    assert (stream.ended, stream.failed) == (True, None)


# Events that aren't plain.


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        (b"data:\n\n", "event-empty"),
        (b"data: null\n\n", "event-null"),
        (event({**HEAD}), "choices-missing"),
        (event({**HEAD, "choices": None}), "choices-null"),
    ],
)
def test_an_event_with_nothing_in_it_is_passed_over(odd: bytes, code: str) -> None:
    heard = Heard(HI + odd + odd + STOP + DONE)
    assert (heard.answer.text, heard.codes) == ("Hi", {code: 2})


def test_events_without_a_blank_line_between_them_are_read_one_by_one() -> None:
    heard = Heard(HI[:-1] + STOP[:-1] + DONE + HI)
    assert (heard.answer.text, heard.codes) == ("Hi", {"events-unseparated": 1})


@pytest.mark.parametrize("name", [b"message", b"chunk", b"completion"])
def test_a_name_but_error_changes_nothing(name: bytes) -> None:
    heard = Heard(b"event: " + name + b"\n" + HI + STOP + DONE)
    assert (heard.answer.text, heard.codes) == ("Hi", {})


def test_an_empty_error_member_is_none() -> None:
    assert Heard(says("Hi", error={}) + STOP + DONE).answer.text == "Hi"


def test_events_are_counted_and_keep_alives_are_not() -> None:
    stream = OpenAIStreamReader()
    stream.feed(b": ping\n\n" + HI)
    stream.feed(b": ping\n\n")
    assert stream.events == 1
    stream.feed(STOP)
    assert stream.events == 2


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "start", [b"", b"\xef\xbb\xbf", b"\r\n", b" \t\n\n", b": hello\n\n", b"\xef\xbb\xbf\n"]
)
def test_a_stream_says_the_same_in_pieces_of_any_size(start: bytes, size: int) -> None:
    body = start + ANSWER
    heard = Heard(*(body[at : at + size] for at in range(0, len(body), size)))
    assert (heard.answer, heard.chunks) == (Heard(ANSWER).answer, [StreamChunk("Hi")])


# The tail.


def test_a_last_event_without_its_blank_line_counts() -> None:
    heard = Heard(HI + STOP + says("!")[:-2])
    assert (heard.answer.text, heard.text) == ("Hi!", "Hi")
    assert heard.final is not None
    assert heard.final.text == "!"
    assert heard.codes == {"event-unfinished": 1, "delta-after-finish": 1, "done-missing": 1}


def test_two_last_events_without_blank_lines_count() -> None:
    heard = Heard(HI[:-1] + STOP[:-2])
    assert (heard.answer.text, heard.answer.finish_reason) == ("Hi", FinishReason.STOP)
    assert heard.codes == {"event-unfinished": 1, "events-unseparated": 1, "done-missing": 1}


def test_the_end_mark_in_the_tail_glued_to_others_counts() -> None:
    heard = Heard(HI + STOP[:-1] + b"data: [DONE]")
    assert heard.codes == {"event-unfinished": 1, "events-unseparated": 1}


def test_an_error_in_the_tail_is_raised_with_what_came() -> None:
    heard = Heard(HI + ERROR.rstrip())
    assert type(heard.error) is StreamError
    assert heard.error.partial is not None
    assert heard.error.partial.text == "Hi"


def test_text_before_an_error_in_the_tail_is_told_late() -> None:
    heard = Heard(HI + (says("!")[:-1] + ERROR).rstrip())
    assert type(heard.error) is StreamError
    assert heard.error.partial is not None
    assert (heard.text, heard.error.partial.text) == ("Hi", "Hi!")


@pytest.mark.parametrize(
    "tail", [b"data: 17", b"data: nul", b'data: {"cho', b"data: Bye", b"data", b": ping"]
)
def test_a_tail_that_is_no_event_is_no_part_of_the_answer(tail: bytes) -> None:
    heard = Heard(HI + STOP + tail)
    assert (heard.answer.text, heard.codes) == ("Hi", {"done-missing": 1})


def test_what_the_last_event_brings_of_other_answers_is_late() -> None:
    tail = event(chunk(choice(0, content="!"), choice(2, "stop", content="?")))[:-2]
    heard = Heard(HI + STOP + tail, n=2)
    assert heard.final is not None
    assert (heard.final.text, heard.final.choice) == ("!", 0)
    assert heard.late == [StreamChunk("?", 2)]


# Something else in place of a stream.

MESSAGE: dict[str, Any] = {"role": "assistant", "content": "Hi", "refusal": None}
WHOLE: dict[str, Any] = {
    "id": "a",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE,
}
BODY = json.dumps(WHOLE).encode()


@pytest.mark.parametrize("start", [b"", b"\n", b" \t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_whole_answer_is_the_answer_in_one_chunk(start: bytes, size: int) -> None:
    body = start + BODY
    heard = Heard(*(body[at : at + size] for at in range(0, len(body), size)))
    assert heard.chunks == []
    assert heard.final == StreamChunk("Hi", is_final=True, finish_reason=FinishReason.STOP, usage=COUNTED)
    assert (heard.answer.text, heard.answer.id) == ("Hi", "a")
    assert set(heard.codes) - {"bom"} == {"json-in-sse"}


def test_a_whole_answer_brings_every_choice_and_part() -> None:
    first = MESSAGE | {
        "reasoning": "Hm",
        "refusal": "No.",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    choices: list[dict[str, Any]] = [
        {"index": 1, "message": MESSAGE, "logprobs": None, "finish_reason": "length"},
        {"index": 0, "message": first, "logprobs": {"content": [], "refusal": None}, "finish_reason": "stop"},
    ]
    heard = Heard(json.dumps(WHOLE | {"choices": choices}).encode(), n=2)
    assert heard.final == StreamChunk(
        "Hi",
        is_final=True,
        reasoning="Hm",
        refusal="No.",
        tool_calls=(ToolCallDelta(index=0, id="c", name="f", arguments="{}"),),
        logprobs={"content": [], "refusal": None},
        finish_reason=FinishReason.STOP,
        usage=COUNTED,
    )
    assert heard.late == [StreamChunk("Hi", 1)]


def test_a_whole_answers_own_slips_are_noted_too() -> None:
    slip = {name: value for name, value in WHOLE.items() if name != "created"}
    assert Heard(json.dumps(slip).encode(), n=2).codes == {
        "created-missing": 1,
        "choices-fewer": 1,
        "json-in-sse": 1,
    }


def test_an_audit_of_a_whole_answer_looks_as_closely() -> None:
    twice = BODY.replace(b'"id"', b'"id": "b", "id"')
    assert Heard(twice).codes == {"json-in-sse": 1}
    assert Heard(twice, audit=True).codes == {"key-repeated": 1, "json-in-sse": 1}


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b'{"error":{"message":"No."}}', StreamError, "No."),
        (b'{"detail":"No."}', StreamError, "No."),
        (b'[{"error":{"message":"No."}}]', StreamError, "No."),
        (b"[]", MalformedResponseError, "not an object"),
        (b"<html><title>502</title></html>", MalformedResponseError, "isn't JSON"),
        (b'{"choices":[]}', EmptyResponseError, "no choices"),
        (BODY[:-5], MalformedResponseError, "isn't JSON"),
        (b'{"choices":"Hi"}', MalformedResponseError, "can't be read"),
        (b"[" * 100_000, MalformedResponseError, ""),
        (b"Bad Gateway", MalformedResponseError, "isn't an event stream: 'Bad Gateway'"),
        (b"Bad\nGateway\n", MalformedResponseError, "isn't an event stream: 'Bad Gateway'"),
        (b"\xff\xfe\x00", MalformedResponseError, "isn't an event stream"),
        (b"\xef\xbb", MalformedResponseError, "isn't an event stream"),
    ],
)
def test_a_body_that_is_no_answer_is_an_error(body: bytes, error: type[ModelsError], words: str) -> None:
    heard = Heard(b"\n" + body, status=206)
    assert heard.error is not None
    assert type(heard.error) is error
    assert words in heard.error.message
    assert (heard.error.partial, heard.chunks, heard.stream.ended) == (None, [], True)
    if error is not StreamError:
        assert heard.error.status == 206


def test_a_body_that_is_no_stream_is_called_by_its_label() -> None:
    heard = Heard(b"Bad Gateway", content_type="text/plain")
    assert heard.error is not None
    assert "labelled text/plain," in heard.error.message


@pytest.mark.parametrize("body", [b"", b" ", b"\n\r\n", b"\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n "])
def test_a_body_without_anything_in_it_is_empty(body: bytes) -> None:
    heard = Heard(*(body[at : at + 1] for at in range(len(body))))
    assert type(heard.error) is EmptyResponseError


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


LINES = line(chunk(choice(content="Hi"))) + line(chunk(choice(0, "stop")))


@pytest.mark.parametrize("end", [b"", b"[DONE]\n", b"[DONE]", b"\n\n"])
def test_json_lines_are_events_without_frames(end: bytes) -> None:
    heard = Heard(LINES + end)
    assert (heard.answer.text, heard.codes, heard.stream.events) == (
        "Hi",
        {"events-unframed": 1},
        3 if b"[DONE]" in end else 2,
    )
    assert heard.final is not None
    assert heard.final.text == "Hi"


def test_the_log_probabilities_of_every_json_line_are_delivered() -> None:
    def of(token: str) -> dict[str, Any]:
        logprob: dict[str, Any] = {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []}
        return {**choice(content=token), "logprobs": {"content": [logprob], "refusal": None}}

    heard = Heard(line(chunk(of("a"))) + line(chunk(of("b"))) + line(chunk(choice(0, "stop"))))
    assert heard.final is not None
    told = [*heard.late, heard.final]
    assert [(piece.text, piece.logprobs and piece.logprobs["content"][0]["token"]) for piece in told] == [
        ("a", "a"),
        ("b", "b"),
    ]


def test_json_lines_break_off_like_a_stream() -> None:
    heard = Heard(LINES[: LINES.index(b"\n") + 1] * 2)
    assert type(heard.error) is StreamTruncatedError
    assert heard.error.partial is not None
    assert heard.error.partial.text == "HiHi"


def test_an_error_among_json_lines_ends_them() -> None:
    heard = Heard(LINES + b'{"error":"No."}\n' + LINES)
    assert type(heard.error) is StreamError
    assert (heard.error.message, heard.stream.events) == ("No.", 3)
    assert heard.error.partial is not None
    assert heard.error.partial.text == "Hi"


# Limits.


def test_an_event_beyond_the_limit_is_an_error_after_what_came_before() -> None:
    heard = Heard(HI + b"data: " + b"x" * 300, limits=Limits(max_event_bytes=200))
    assert type(heard.error) is MalformedResponseError
    assert "more than 200 bytes" in heard.error.message
    assert (heard.text, heard.stream.ended) == ("Hi", True)


def test_a_body_beyond_the_limit_is_an_error() -> None:
    stream = OpenAIStreamReader(limits=Limits(max_event_bytes=len(BODY)))
    stream.feed(BODY)
    assert stream.failed is None
    stream.feed(b" ")
    assert isinstance(stream.failed, MalformedResponseError)
    assert f"more than {len(BODY)} bytes" in stream.failed.message


def test_a_blank_line_before_a_stream_may_be_of_any_length_however_it_is_cut() -> None:
    body = b" " * 300 + b"\n" + ANSWER
    cuts = ([body], [body[:150], body[150:]], [bytes([byte]) for byte in body])
    for heard in (Heard(*cut, limits=Limits(max_event_bytes=200)) for cut in cuts):
        assert (heard.answer.text, heard.codes) == ("Hi", {})


def test_blank_lines_before_a_stream_may_be_any_number() -> None:
    heard = Heard(*[b" " * 90 + b"\n"] * 5, ANSWER, limits=Limits(max_event_bytes=200))
    assert (heard.answer.text, heard.codes) == ("Hi", {})


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_blank_lines_before_a_whole_answer_take_nothing_of_its_limit(end: bytes) -> None:
    blank = b" " * (len(BODY) // 2) + end
    assert Heard(*[blank] * 9, BODY, limits=Limits(max_event_bytes=len(BODY))).answer.text == "Hi"


def test_a_long_stream_loses_nothing() -> None:
    letters = [chr(97 + number % 26) for number in range(3000)]
    heard = Heard(*(says(letter) for letter in letters), STOP + DONE)
    assert heard.text == heard.answer.text == "".join(letters)


# Finish reasons and usage.


@pytest.mark.parametrize(
    ("words", "raw", "finish", "codes"),
    [
        (["length"], "length", FinishReason.LENGTH, {}),
        (["", "stop"], "stop", FinishReason.STOP, {"finish-reason-empty": 1}),
        (["", ""], None, FinishReason.OTHER, {"finish-reason-empty": 2, "finish-reason-never": 1}),
        (["eos_token"], "eos_token", FinishReason.STOP, {"finish-reason-unknown": 1}),
        (
            ["content_filter", "stop"],
            "content_filter",
            FinishReason.CONTENT_FILTER,
            {"finish-reason-repeated": 1},
        ),
        ([{"type": "stop"}], {"type": "stop"}, FinishReason.OTHER, {"finish-reason-type": 1}),
    ],
)
def test_finish_reasons_as_they_come(
    words: list[Any], raw: Any, finish: FinishReason, codes: dict[str, int]
) -> None:
    heard = Heard(HI + b"".join(map(stops, words)) + DONE)
    assert (heard.answer.finish_reason_raw, heard.answer.finish_reason) == (raw, finish)
    assert heard.codes == codes


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (says("Hi", usage=USAGE) + STOP, {}),
        (HI + stops(usage=USAGE), {}),
        (HI + STOP + event(chunk(usage=USAGE)), {}),
        (event(chunk(usage=USAGE)) + HI + STOP, {}),
        (says("Hi", usage={"total_tokens": 9}) + stops(usage=USAGE), {"usage-repeated": 1}),
        (says("Hi", usage=USAGE) * 3 + STOP, {"usage-repeated": 2}),
        (says("Hi", usage=None) + stops(usage=USAGE), {}),
        (HI + event(chunk({**choice(0, "stop"), "usage": USAGE})), {"usage-in-choice": 1}),
        (
            HI + event(chunk({**choice(0, "stop"), "usage": {"total_tokens": 9}}, usage=USAGE)),
            {"usage-in-choice": 1},
        ),
        (
            event(chunk({**choice(0, content="Hi"), "usage": {"total_tokens": 9}}))
            + event(chunk({**choice(0, "stop"), "usage": USAGE})),
            {"usage-in-choice": 2},
        ),
    ],
)
def test_the_last_usage_counts_wherever_it_comes(body: bytes, codes: dict[str, int]) -> None:
    heard = Heard(body + DONE)
    assert heard.final is not None
    assert (heard.answer.usage, heard.final.usage, heard.codes) == (COUNTED, COUNTED, codes)


def test_a_usage_that_cannot_be_read_is_worth_no_answer() -> None:
    heard = Heard(HI + stops(usage=[1, 2]) + DONE)
    assert (heard.answer.text, heard.answer.usage, heard.codes) == ("Hi", None, {"usage-type": 1})


# Several answers.


def test_several_answers_are_kept_apart_and_ordered() -> None:
    body = says("b", 1) + event(chunk(choice(0, content="a"), choice(1, content="B"))) + says("A")
    heard = Heard(body + stops("length", 1) + STOP + DONE, n=2)
    assert [(c.index, c.text, c.finish_reason_raw) for c in heard.answer.choices] == [
        (0, "aA", "stop"),
        (1, "bB", "length"),
    ]
    assert [(c.choice, c.text) for c in heard.chunks] == [(1, "b"), (0, "a"), (1, "B"), (0, "A")]
    assert heard.final == StreamChunk(is_final=True, finish_reason=FinishReason.STOP)
    assert heard.codes == {}


def test_a_snapshot_of_a_choice_that_nobody_asked_for_gives_no_chunk() -> None:
    unasked = chunk({"index": 1, "message": {"role": "assistant", "content": "B"}, "finish_reason": "stop"})
    heard = Heard(says("A"), event(unasked), STOP, DONE)
    assert "".join(piece.text for piece in [*heard.chunks, *heard.late]) == "A"
    assert [choice.text for choice in heard.answer.choices] == ["A", "B"]


def test_items_of_reasoning_details_that_are_none_are_kept_too() -> None:
    items: list[Any] = [
        5,
        {"type": "a", "index": 0, "text": "x"},
        {"type": "a", "index": 0, "text": 7},
        "odd",
    ]
    heard = Heard(event(chunk(choice(reasoning_details=items, content="Hi"))) + STOP + DONE)
    (found,) = [block.details for block in heard.answer.outputs if isinstance(block, Reasoning)]
    assert found == [5, {"type": "a", "index": 0, "text": 7}, "odd"]


def test_an_answer_that_was_looked_at_does_not_change() -> None:
    def thought(text: str) -> bytes:
        item = {"type": "reasoning.text", "index": 0, "text": text}
        return event(chunk(choice(reasoning_details=[item])))

    stream = OpenAIStreamReader()
    stream.feed(thought("a"))
    before = stream.response
    stream.feed(thought("b"))
    blocks = [block for answer in (before, stream.response) for block in answer.outputs]
    details = [block.details for block in blocks if isinstance(block, Reasoning)]
    assert [found[0]["text"] for found in details] == ["a", "ab"]


def test_fewer_answers_than_were_asked_for_are_noted() -> None:
    assert Heard(ANSWER, n=2).codes == {"choices-fewer": 1}


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (ANSWER, {"usage-missing": 1}),
        (HI + STOP + event(chunk(usage=USAGE)) + DONE, {}),
        (event(chunk({**choice(content="Hi"), "usage": USAGE})) + STOP + DONE, {"usage-in-choice": 1}),
    ],
)
def test_a_usage_that_was_asked_for_and_never_came_is_noted(body: bytes, codes: dict[str, int]) -> None:
    assert Heard(body, usage=True).codes == codes


@pytest.mark.parametrize(
    ("label", "codes"),
    [
        ("", {}),
        ("text/event-stream", {}),
        ("Text/Event-Stream ; charset=utf-8", {}),
        ("application/json", {"content-type-wrong": 1}),
        ("text/plain", {"content-type-wrong": 1}),
        ("text/plain; charset=latin-1", {"content-type-wrong": 1, "charset-wrong": 1}),
    ],
)
def test_a_stream_with_another_label_is_noted(label: str, codes: dict[str, int]) -> None:
    assert Heard(ANSWER, content_type=label).codes == codes


def test_a_choice_without_its_index_goes_by_its_place() -> None:
    loose = [{"delta": {"content": text}, "finish_reason": "stop"} for text in "ab"]
    heard = Heard(event(chunk(*loose)) + DONE)
    assert [c.text for c in heard.answer.choices] == ["a", "b"]
    assert heard.codes == {"choice-index-missing": 2}


# What deltas hold beside text.


def test_every_sort_of_part_is_assembled() -> None:
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "H"},
        {"reasoning": "m"},
        {"content": "Hi"},
        {"refusal": "No."},
        {"audio": {"id": "s", "data": "AA=="}},
        {"audio": {"transcript": "Hi"}},
        {"annotations": [{"type": "url_citation"}]},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
    ]
    heard = Heard(b"".join(event(chunk(choice(**delta))) for delta in deltas) + stops("tool_calls") + DONE)
    answer = heard.answer
    assert answer.outputs[:5] == [
        Reasoning("H", "reasoning_content"),
        Reasoning("m", "reasoning"),
        Text("Hi"),
        Refusal("No."),
        spoken_output(identity="s", data="AA==", transcript="Hi"),
    ]
    assert answer.tool_calls == [ToolCall(id="c", name="f", arguments_json="{}")]
    assert answer.choices[0].annotations == [{"type": "url_citation"}]
    told = [(c.reasoning, c.text, c.refusal, len(c.tool_calls), len(c.blocks)) for c in heard.chunks]
    assert told == [
        ("H", "", "", 0, 0),
        ("m", "", "", 0, 0),
        ("", "Hi", "", 0, 0),
        ("", "", "No.", 0, 0),
        ("", "", "", 0, 1),
        ("", "", "", 0, 1),
        ("", "", "", 0, 1),
        ("", "", "", 1, 0),
        ("", "", "", 1, 0),
    ]


@pytest.mark.parametrize("delta", [{"delta": {"content": "i"}}, {"delta": None}, {}])
def test_logprobs_are_merged_and_told_with_their_chunk(delta: dict[str, Any]) -> None:
    first = {**choice(content="H"), "logprobs": {"content": [1], "refusal": None}}
    second = {"index": 0, "finish_reason": None, "logprobs": {"content": [2], "refusal": None}, **delta}
    heard = Heard(event(chunk(first)) + event(chunk(second)) + STOP + DONE)
    assert heard.answer.logprobs == {"content": [1, 2], "refusal": None}
    assert [c.logprobs for c in heard.chunks] == [first["logprobs"], second["logprobs"]]


def test_text_after_the_finish_reason_counts() -> None:
    heard = Heard(HI + STOP + says("!") + event(chunk(choice(reasoning="Hm"))) + DONE)
    assert (heard.answer.text, heard.answer.reasoning) == ("Hi!", "Hm")
    assert heard.codes == {"delta-after-finish": 2}


def test_a_snapshot_of_the_message_counts_for_what_no_delta_told() -> None:
    message = {"role": "assistant", "content": "Ho", "refusal": "No."}
    told = event(chunk({**choice(0, content="Hi"), "message": message}))
    only = event(chunk({"index": 1, "message": message, "finish_reason": "stop"}))
    heard = Heard(told + only + STOP + DONE, n=2)
    assert [(c.text, c.refusal) for c in heard.answer.choices] == [("Hi", "No."), ("Ho", "No.")]
    assert heard.final is not None
    assert (heard.final.text, heard.final.refusal) == ("", "No.")
    assert heard.late == [StreamChunk("Ho", 1, refusal="No.")]
    assert heard.codes["message-in-stream"] == 2


@pytest.mark.parametrize("before", ["", "Hi"])
@pytest.mark.parametrize(
    ("message", "blocks"),
    [
        ({"content": [{"type": "thinking", "thinking": "hm"}, "Hi"]}, [Reasoning("hm", "content")]),
        ({"content": "Hi", "reasoning": "hm"}, [Reasoning("hm", "reasoning")]),
        (
            {"content": "Hi", "reasoning_details": [{"text": "hm"}]},
            [Reasoning("hm", "reasoning_details", details=[{"text": "hm"}])],
        ),
        (
            {"content": "Hi", "reasoning": "hm", "reasoning_details": [{"text": "hm"}]},
            [Reasoning("hm", "reasoning", details=[{"text": "hm"}])],
        ),
    ],
)
def test_the_reasoning_of_a_snapshot_is_that_of_a_whole_answer(
    before: str, message: dict[str, Any], blocks: list[Reasoning]
) -> None:
    snapshot = event(chunk({**choice(0, "stop", content=before), "message": message}))
    assert Heard(snapshot + DONE).answer.outputs == [*blocks, Text("Hi")]


def test_a_snapshot_that_cannot_be_read_is_an_error_not_a_loss() -> None:
    heard = Heard(event(chunk({**choice(0, "stop", content="Hi"), "message": {"tool_calls": "f()"}})) + DONE)
    assert type(heard.error) is MalformedResponseError
    assert heard.error.path.endswith(".message.tool_calls")
    assert heard.error.partial is not None
    assert heard.error.partial.text == "Hi"


@pytest.mark.parametrize(
    ("odd", "errors"),
    [
        (b'data: {"choices":{"a":?}}\n\n', {MalformedResponseError}),
        (
            b'data: {"choices":[{"index":0,"message":{"tool_calls":{"a":?}}}]}\n\n' + STOP + DONE,
            {MalformedResponseError},
        ),
        (b'data: {"choices":[],"usage":?}\n\n' + STOP + DONE, {type(None), MalformedResponseError}),
        (b'data: {"choices":{"a":?}}', {MalformedResponseError, StreamTruncatedError}),
    ],
    ids=["choices", "snapshot", "usage", "tail"],
)
def test_nesting_at_the_edge_of_what_can_be_read_loses_nothing(
    odd: bytes, errors: set[type[ModelsError | None]]
) -> None:
    # Where the edge is depends on how deep the caller stands. Just before it, a value can be read but no
    # longer be written, for the message of the error that it causes.
    found: set[type[ModelsError | None]] = set()
    for depth in range(300, 1000):
        heard = Heard(HI + odd.replace(b"?", b"[" * depth + b"]" * depth))
        found.add(type(heard.error))
        answer = heard.error.partial if heard.error else heard.answer
        assert answer is not None
        assert answer.text == "Hi"
    assert found <= errors


def test_the_text_of_old_completions_is_text() -> None:
    old = event({**HEAD, "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]})
    assert Heard(old + STOP + DONE).answer.text == "Hi"


def test_the_answers_head_may_come_late_and_once() -> None:
    bare = {"choices": [choice(content="Hi")]}
    late = {**bare, "id": 7, "created": 1.0, "service_tier": "flex", "system_fingerprint": "fp"}
    heard = Heard(
        event(bare) + event(late) + event({**bare, "id": "x", "model": "m", "created": 2}) + STOP + DONE
    )
    answer = heard.answer
    assert (answer.id, answer.model, answer.created) == ("7", "m", 1)
    assert (answer.service_tier, answer.system_fingerprint, answer.text) == ("flex", "fp", "HiHiHi")


def test_a_foreign_charset_is_noted() -> None:
    told = "text/event-stream; charset="
    assert Heard(ANSWER, content_type=told + "iso-8859-1").codes == {"charset-wrong": 1}
    assert Heard(ANSWER, content_type=told + "utf-8").codes == {}


# Under audit.


def test_an_audit_finds_nothing_in_a_stream_that_keeps_the_format() -> None:
    assert Heard(HI, STOP, event(chunk(usage=USAGE)), DONE, audit=True).codes == {}


@pytest.mark.parametrize(
    ("odd", "codes"),
    [
        (event({**HEAD, "choices": None}), {"choices-null": 1}),
        (event(chunk({"delta": {"content": ""}, "finish_reason": None})), {"choice-index-missing": 1}),
        (stops(""), {"finish-reason-empty": 1}),
        (says(["!"]), {"content-parts": 1}),
        (says("!", usage={**USAGE, "total_tokens": "3"}), {"usage-tokens-type": 1}),
        (
            event(chunk(choice(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}"}}]))),
            {"tool-index-missing": 1},
        ),
        (b"data: null\n\n", {"event-null": 1}),
    ],
)
def test_what_the_reader_and_the_audit_both_see_counts_once(odd: bytes, codes: dict[str, int]) -> None:
    for audit in (False, True):
        assert Heard(HI + odd + STOP + DONE, audit=audit).codes == codes


def test_an_audit_sees_what_a_reader_need_not() -> None:
    body = says("Hi", object="chunk") + says("!", created=None) + STOP + DONE
    assert Heard(body).codes == {}
    heard = Heard(body, audit=True)
    assert heard.answer.deviations == [
        Deviation("object-unknown", "$.object"),
        Deviation("field-null", "$.created"),
    ]


def test_an_audit_reads_the_same_answer() -> None:
    body = (
        says("H")
        + says(["i"], 1)
        + event(chunk(choice(reasoning="Hm")))
        + stops("eos")
        + stops("stop", 1)
        + DONE
    )
    plain, audit = Heard(body), Heard(body, audit=True)
    assert (plain.chunks, plain.final) == (audit.chunks, audit.final)
    assert plain.answer.choices == audit.answer.choices


# What can't be read, and what got lost.


@pytest.mark.parametrize("audit", [False, True])
@pytest.mark.parametrize(
    ("odd", "path"),
    [
        (choice(0, content="Ho", tool_calls=[{"index": 0, "function": "f()"}]), "tool_calls[0].function"),
        (choice(0, content="Ho", tool_calls=[{"index": 0, "function": False}]), "tool_calls[0].function"),
        (choice(0, content="Ho", tool_calls=[{"index": 0}, 5]), "tool_calls[1]"),
        (choice(0, content="Ho", function_call=[]), "function_call"),
        (choice(0, content=["Ho", None]), "content[1]"),
        (choice(0, content=[{"text": "Ho"}, {"text": {}}]), "content[1].text"),
    ],
)
def test_of_an_event_that_cannot_be_read_as_a_whole_the_rest_is_delivered(
    odd: dict[str, Any], path: str, audit: bool
) -> None:
    heard = Heard(HI + event(chunk(odd)) + HI + STOP + DONE, audit=audit)
    assert type(heard.error) is MalformedResponseError
    assert heard.error.path == f"$.choices[0].delta.{path}"
    assert heard.error.body.startswith(b'{"id"')
    assert heard.error.partial is not None
    assert heard.error.partial.text.removesuffix("{}").removesuffix("null") == "HiHo"
    assert "".join(chunk.text for chunk in heard.chunks) == heard.error.partial.text


def test_an_error_in_an_event_that_cannot_be_read_is_told_first() -> None:
    odd = choice(0, "error", tool_calls=[{"index": 0, "function": 5}])
    assert type(Heard(event(chunk(odd))).error) is StreamError


def test_a_call_that_was_announced_and_got_lost_is_malformed_at_the_end() -> None:
    thought = event(chunk(choice(0, reasoning="I call f.")))
    heard = Heard(thought + stops("tool_calls", usage=USAGE) + DONE)
    assert type(heard.error) is MalformedResponseError
    assert heard.error.path == "$.choices[0].message.tool_calls"
    partial = heard.error.partial
    assert partial is not None
    assert (partial.reasoning, partial.usage, partial.id) == ("I call f.", COUNTED, "a")


def test_without_a_word_it_carries_what_else_came() -> None:
    error = Heard(stops("tool_calls", usage=USAGE) + DONE).error
    assert error is not None
    assert error.partial is not None
    assert error.partial.usage == COUNTED


def test_words_in_place_of_an_announced_call_are_the_answer() -> None:
    heard = Heard(HI + stops("tool_calls") + DONE)
    assert [(note.code, note.count) for note in heard.stream.response.deviations] == [
        ("tool-calls-missing", 1)
    ]


@pytest.mark.parametrize(
    "lead", [b"\n\n\xef\xbb\xbf", b"\xef\xbb\xbf\n\xef\xbb\xbf", b"\xef\xbb\xbf \r\n", b" \n\n"]
)
def test_what_begins_a_stream_is_the_same_however_it_is_cut(lead: bytes) -> None:
    body = lead + HI + says("Ho") + STOP + DONE
    cut = OpenAIStreamReader()
    told = [chunk for position in range(len(body)) for chunk in cut.feed(body[position : position + 1])]
    assert told == OpenAIStreamReader().feed(body)


@pytest.mark.parametrize(
    "body", [b"\n[DONE]", b"\n \r{", b"\xef\xbb\xbf\n" + b'{"choices":"Hi"}', b" \n<html>"]
)
def test_blank_lines_before_what_is_no_stream_say_nothing_however_they_are_cut(body: bytes) -> None:
    whole, cut = OpenAIStreamReader(), OpenAIStreamReader()
    whole.feed(body)
    for position in range(len(body)):
        cut.feed(body[position : position + 1])
    with pytest.raises(ModelsError) as one:
        whole.finish()
    with pytest.raises(ModelsError) as other:
        cut.finish()
    assert repr(one.value) == repr(other.value)


def test_a_snapshot_that_cannot_be_read_is_malformed_at_the_end() -> None:
    odd = {**choice(0, "stop"), "message": {"content": "Hi", "tool_calls": 5}}
    heard = Heard(event(chunk(odd)) + DONE)
    assert type(heard.error) is MalformedResponseError
    assert heard.error.path == "$.choices[0].message.tool_calls"
    assert heard.error.partial is not None
    assert heard.error.partial.text == "Hi"


# What nobody asked for, and what contradicts itself.


def test_a_choice_that_nobody_asked_for_gives_no_chunk_and_is_in_the_answer() -> None:
    heard = Heard(says("Ho", 1), HI, says("!", 1), STOP + DONE)
    assert [c.text for c in heard.chunks] == ["Hi"]
    assert heard.late == []
    assert [c.text for c in heard.answer.choices] == ["Hi", "Ho!"]


def test_the_only_choice_is_delivered_whatever_its_number_is() -> None:
    heard = Heard(says("Ho", 1), says("!", 1), event(chunk(choice(1, "stop"))) + DONE)
    assert heard.chunks == []
    assert heard.final is not None
    assert "".join(c.text for c in [*heard.late, heard.final]) == heard.answer.text == "Ho!"


def test_ids_that_differ_within_a_stream_are_noted_and_the_first_counts() -> None:
    other = json.loads(HI[6:]) | {"id": "b", "created": 2, "model": "n"}
    heard = Heard(HI, event(other), HI, STOP + DONE)
    assert (heard.answer.id, heard.answer.created, heard.answer.model) == ("a", 1, "m")
    assert [(found.code, found.path) for found in heard.answer.deviations] == [
        ("ids-differ", "$.id"),
        ("ids-differ", "$.model"),
        ("ids-differ", "$.created"),
    ]


def test_tier_and_fingerprint_may_come_late_or_after_null() -> None:
    late = event({**chunk(usage=USAGE), "service_tier": "flex", "system_fingerprint": "fp"})
    heard = Heard(event({**json.loads(HI[6:]), "system_fingerprint": None}), STOP, late, HI, DONE)
    assert (heard.answer.service_tier, heard.answer.system_fingerprint) == ("flex", "fp")


@pytest.mark.parametrize("name", ["cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens"])
def test_cached_tokens_are_read_in_every_spelling(name: str) -> None:
    heard = Heard(HI, STOP, event(chunk(usage={**USAGE, name: 3, "cost": 0.5})), DONE)
    usage = heard.answer.usage
    assert usage is not None
    assert usage.prompt_details is not None
    assert (usage.prompt_details.cached_tokens, usage.extra) == (3, {name: 3, "cost": 0.5})


def test_what_an_earlier_usage_said_alone_is_kept() -> None:
    first, last = chunk(usage={**USAGE, "cost": 1}), chunk(usage=USAGE)
    heard = Heard(HI, STOP, event(first), event(last), DONE)
    assert heard.answer.usage is not None
    assert heard.answer.usage.extra == {"cost": 1}


def test_thinking_in_details_alone_is_read_and_goes_back() -> None:
    def details(**item: Any) -> bytes:
        return event(chunk(choice(reasoning_details=[{"type": "reasoning.text", "index": 0, **item}])))

    heard = Heard(details(text="tho"), details(text="ught"), details(signature="s"), HI, STOP + DONE)
    whole = [{"type": "reasoning.text", "index": 0, "text": "thought", "signature": "s"}]
    block = Reasoning("thought", "reasoning_details", signature="s", details=whole)
    assert heard.answer.outputs == [block, Text("Hi")]
    assert [c.reasoning for c in heard.chunks] == ["tho", "ught", ""]


TEXT, ENCRYPTED = ({"type": f"reasoning.{kind}", "index": 0} for kind in ("text", "encrypted"))


@pytest.mark.parametrize("name", [None, "reasoning"])
@pytest.mark.parametrize(
    ("pieces", "whole", "signature", "redacted"),
    [
        (
            [{**TEXT, "text": "h"}, {**TEXT, "text": "m"}, {**TEXT, "signature": "s"}],
            [{**TEXT, "text": "hm", "signature": "s"}],
            "s",
            None,
        ),
        (
            [{**TEXT, "text": "hm", "signature": "s"}, {**TEXT, "text": None, "signature": None, "id": None}],
            [{**TEXT, "text": "hm", "signature": "s", "id": None}],
            "s",
            None,
        ),
        (
            [{**TEXT, "text": "hm"}, {**ENCRYPTED, "data": "a"}, {**ENCRYPTED, "data": "b"}],
            [{**TEXT, "text": "hm"}, {**ENCRYPTED, "data": "ab"}],
            None,
            "ab",
        ),
    ],
)
def test_details_in_pieces_add_up_to_what_a_whole_answer_has(
    name: str | None,
    pieces: list[dict[str, Any]],
    whole: list[dict[str, Any]],
    signature: str | None,
    redacted: str | None,
) -> None:
    beside = {} if name is None else {name: "hm"}
    first = event(chunk(choice(**beside, reasoning_details=pieces[:1])))
    others = [event(chunk(choice(reasoning_details=[piece]))) for piece in pieces[1:]]
    heard = Heard(first, *others, HI, STOP + DONE)
    block = Reasoning(
        "hm", name or "reasoning_details", signature=signature, redacted=redacted, details=whole
    )
    assert heard.answer.outputs == [block, Text("Hi")]
    message = {"role": "assistant", "content": "Hi", "reasoning_details": whole, **beside}
    body = json.dumps({"id": "a", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    assert decode_answer(body.encode()).outputs == heard.answer.outputs


def test_a_null_in_a_later_piece_takes_nothing_away() -> None:
    """Servers that write every member into every event write null where there is nothing new."""
    signed = {"extra_content": {"s": 1}, "function": {"name": "f", "arguments": "{", "sig": "x"}}
    empty = {"extra_content": None, "function": {"name": None, "arguments": "}", "sig": None, "new": None}}
    heard = Heard(
        event(
            chunk(
                choice(
                    tool_calls=[{"index": 0, "id": "c", "type": "function", **signed}],
                    audio={"id": "au", "data": "AA", "expires_at": 5, "x": 1},
                    odd={"a": 1},
                )
            )
        ),
        event(
            chunk(
                choice(
                    tool_calls=[{"index": 0, "id": None, "type": None, **empty}],
                    audio={"id": None, "data": None, "expires_at": None, "transcript": "Hi", "x": None},
                    odd={"a": None, "b": None},
                )
            )
        ),
        STOP + DONE,
    )
    spoken, calls = heard.answer.outputs
    assert isinstance(spoken, Audio)
    assert (spoken.id, spoken.source.value, spoken.transcript) == ("au", "AA", "Hi")
    assert (spoken.expires_at, spoken.extra) == (5, {"x": 1})
    assert calls == ToolCalls(
        [ToolCall("c", "f", "{}", extra={"extra_content": {"s": 1}, "function": {"sig": "x", "new": None}})]
    )
    assert heard.answer.choices[0].message_extra == {"odd": {"a": 1, "b": None}}
    assert heard.chunks[0].tool_calls[0].extra == {"extra_content": {"s": 1}, "function": {"sig": "x"}}


def test_reasoning_that_is_empty_is_kept() -> None:
    heard = Heard(event(chunk(choice(reasoning_content=""))), HI, STOP + DONE)
    assert heard.answer.outputs == [Reasoning("", "reasoning_content"), Text("Hi")]


def test_parts_without_a_class_stand_where_they_came() -> None:
    parts = [
        {"type": "text", "text": "See "},
        {"type": "reference", "ids": [1]},
        {"type": "text", "text": "it"},
    ]
    heard = Heard(event(chunk(choice(content=parts))), says("."), STOP + DONE)
    assert heard.answer.outputs == [Text("See "), Other("reference", parts[1]), Text("it.")]
    assert heard.chunks[0].blocks == (Other("reference", parts[1]),)


def test_a_picture_is_an_output_and_on_its_chunk() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    heard = Heard(event(chunk(choice(images=[picture]))), STOP + DONE)
    assert heard.answer.outputs == [Image.of("data:image/png;base64,AAAA")]
    assert heard.chunks[0].blocks == tuple(heard.answer.outputs)
    assert heard.answer.deviations == []


def test_a_tools_name_may_come_in_pieces() -> None:
    def named(name: str) -> bytes:
        return event(chunk(choice(tool_calls=[{"index": 0, "id": "c", "function": {"name": name}}])))

    cut = Heard(named("get_"), named("weather"), stops("tool_calls") + DONE)
    repeated = Heard(named("get_weather"), named("get_weather"), stops("tool_calls") + DONE)
    grown = Heard(named("get_"), named("get_weather"), stops("tool_calls") + DONE)
    assert [one.answer.tool_calls[0].name for one in (cut, repeated, grown)] == ["get_weather"] * 3


def test_the_bytes_of_each_event_are_on_its_chunk() -> None:
    heard = Heard(HI, STOP + DONE)
    assert heard.chunks[0].raw == HI[6:-2]


# Events that are alike but for their text need no decoder, and say the same.


def find_nothing(_self: ResponseAccumulator, _chunk: object, _data: bytes) -> None:
    """Leave every event to the decoder."""


def framed(text: str, **beside: Any) -> bytes:
    return event({**chunk(choice(content=text)), "provider": "X", **beside})


@pytest.mark.parametrize(
    "odd",
    [
        framed('q"uote'),
        framed("back\\slash"),
        framed("line\nend"),
        framed(""),
        framed("", provider="Y"),
        framed("é\u2028"),
        framed("other", id="b"),
        event(chunk(choice(1, content="one"))),
        event(chunk(choice(content="no index"))).replace(b'"index": 0, ', b""),
        framed("two").replace(b'"content": "two"', b'"content": "one", "content": "two"'),
        event(chunk(choice(content="listed"), usage=USAGE)),
        STOP,
    ],
)
@pytest.mark.parametrize("first", [[], [{"citations": ["u"]}]])
def test_an_event_that_is_alike_says_the_same_undecoded(odd: bytes, first: list[Any]) -> None:
    beside: dict[str, Any] = first[0] if first else {}
    alike = [framed(f"w{number}", **beside) for number in range(40)]
    pieces = [*alike[:3], odd, *alike[3:], odd, odd, STOP, DONE]
    fast = Heard(*pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResponseAccumulator, "find_frame", find_nothing)
        slow = Heard(*pieces)
    assert fast.chunks == slow.chunks
    assert [c.raw for c in fast.chunks] == [c.raw for c in slow.chunks]
    assert fast.answer == slow.answer


def test_bytes_that_are_no_text_do_not_pass_for_one() -> None:
    broken = framed("XY").replace(b"XY", b"\xff")
    heard = Heard(*(framed(f"w{number}") for number in range(5)), broken, STOP + DONE)
    assert "utf8-invalid" in heard.codes


def test_a_content_elsewhere_is_not_taken_for_the_text() -> None:
    def beside(text: str) -> bytes:
        return event({"note": {"content": text}, **chunk(choice(content=text))})

    heard = Heard(*(beside("same") for _ in range(40)), beside("other"), STOP + DONE)
    assert heard.answer.extra == {"note": {"content": "other"}}
    assert heard.answer.text == "same" * 40 + "other"
    assert not is_frame(b"{", b"}", b"{}")


def test_details_that_are_no_list_are_kept_as_the_newest() -> None:
    first, last = (event(chunk(choice(reasoning_details={"text": text}))) for text in "ab")
    heard = Heard(first, last, HI, STOP + DONE)
    assert heard.answer.outputs[0] == Reasoning("ab", "reasoning_details", details={"text": "b"})

"""Whole answers, conforming and not, and the conversion of their parts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from botticelli.contracts.relaxations import Relaxation, Relaxations
from botticelli.core.errors import EmptyResponseError, MalformedResponseError, ModelsError, StreamError
from botticelli.core.message import Audio, Image, Other, Reasoning, Text, ToolCall
from botticelli.core.response import (
    Choice,
    Citations,
    CompletionTokens,
    FinishReason,
    GenerateResponse,
    PromptTokens,
    Refusal,
    ToolCalls,
    Usage,
)
from botticelli.dialects.openai import convert, wire
from botticelli.dialects.openai.response import build_response, has_foreign_charset, is_rich, repair_response
from botticelli.dialects.openai.stream import decode_answer
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog

# Whole answers: what conforms has no deviations, what doesn't has the published ones, errors are errors.
from tests.spoken import spoken_output

LISTED = Relaxations.load("openai")
ANSWER = LISTED.body({"base": "response"})
CALL = LISTED.body({"base": "response-call"})
WHOLE = [
    entry
    for entry in LISTED.listed
    if (entry.inside.get("contract") == "response")
    or (
        (entry.level != "schema" and (entry.inside.get("asked") == "whole" or "base" in entry.inside))
        and entry.inside.get("asked") != "stream"
    )
]
OUTSIDE = [
    entry
    for entry in WHOLE
    if "kind" in entry.outside
    and entry.outside.get("asked") != "stream"
    and entry.outside.get("contract", "response") == "response"
]


def named(entries: list[Relaxation]) -> list[Any]:
    return [pytest.param(entry, id=entry.code) for entry in entries]


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(ANSWER), **members}).encode()


def codes(body: bytes, **options: Any) -> list[str]:
    return [found.code for found in decode_answer(body, **options).deviations]


@pytest.mark.parametrize("body", [ANSWER, CALL, b" \n" + ANSWER + b"\n", ANSWER.replace(b"Hi", "é".encode())])
@pytest.mark.parametrize("audit", [False, True])
def test_what_conforms_has_no_deviations(body: bytes, audit: bool) -> None:
    response = decode_answer(body, audit=audit)
    assert (response.deviations, response.raw) == ([], body)
    assert len(response.choices) == 1


@pytest.mark.parametrize("entry", named(WHOLE))
def test_each_published_slip_is_reported_by_its_code(entry: Relaxation) -> None:
    example = entry.inside
    options = {"n": example.get("n", 1), "content_type": example.get("content_type", "")}
    options["cut_short"] = example.get("cut_short", False)
    assert entry.code in codes(LISTED.body(example), audit=True, **options)


@pytest.mark.parametrize("beside", [{}, {"odd": 1}, {"created": "x"}])
def test_a_published_member_that_is_null_is_kept_whichever_way_it_is_read(beside: dict[str, Any]) -> None:
    body = {**json.loads(ANSWER), "metadata": None, "moderation": None, **beside}
    extra = decode_answer(json.dumps(body).encode()).extra
    assert (extra["metadata"], extra["moderation"]) == (None, None)


@pytest.mark.parametrize("choices", [1, 2])
@pytest.mark.parametrize(
    ("without", "more", "found"),
    [
        ("refusal", {}, ["refusal-missing"]),
        ("", {"tool_calls": None}, ["tool-calls-null"]),
        ("refusal", {"tool_calls": None, "odd": [1]}, ["refusal-missing", "tool-calls-null"]),
    ],
)
def test_what_is_usual_is_noted_and_changes_nothing(
    choices: int, without: str, more: dict[str, Any], found: list[str]
) -> None:
    answer = json.loads(ANSWER)
    (choice,) = answer["choices"]
    message = {name: value for name, value in choice["message"].items() if name != without} | more
    listed = [{**choice, "message": message, "index": number} for number in range(choices)]
    response = decode_answer(json.dumps({**answer, "choices": listed}).encode(), n=choices)
    assert [note.code for note in response.deviations] == found
    assert [note.count for note in response.deviations] == [choices] * len(found)
    assert response.choices[-1].text == decode_answer(ANSWER).text
    assert response.choices[-1].message_extra == ({"odd": [1]} if "odd" in more else {})
    # something worse beside it is noted too, and nothing twice
    worse = decode_answer(json.dumps({**answer, "choices": listed, "created": "x"}).encode(), n=choices)
    assert sorted(note.code for note in worse.deviations) == sorted([*found, "created-not-integer"])
    assert [note.count for note in worse.deviations if note.code in found] == [choices] * len(found)


@pytest.mark.parametrize(
    "label", ["application/json", "APPLICATION/JSON;a=b", "application/problem+json", ""]
)
def test_a_label_of_json_is_right(label: str) -> None:
    assert codes(ANSWER, content_type=label) == []


@pytest.mark.parametrize("entry", named(OUTSIDE))
def test_what_is_just_beyond_a_slip_is_the_published_error(entry: Relaxation) -> None:
    example = entry.outside
    with pytest.raises(ModelsError) as caught:
        decode_answer(LISTED.body(example), n=example.get("n", 1))
    assert caught.value.kind == example["kind"]


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"])
def test_no_body_is_no_answer(body: bytes) -> None:
    with pytest.raises(EmptyResponseError, match="no body"):
        decode_answer(body, status=204)


@pytest.mark.parametrize("choices", [[], None])
def test_an_answer_without_choices_is_empty(choices: Any) -> None:
    with pytest.raises(EmptyResponseError, match="no choices"):
        decode_answer(changed(choices=choices))


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"message": "No."}},
        {"error": "No."},
        {"error": ["No."]},
        {"object": "error", "message": "No."},
        {"detail": "No."},
        {"detail": [{"msg": "No."}]},
        {"errors": [{"message": "No."}]},
        {"message": "No."},
        [{"error": {"message": "No."}}],
        {**json.loads(ANSWER), "error": {"message": "No."}},
        {"choices": [5], "error": {"message": "No."}},
    ],
)
def test_an_error_inside_a_200_is_an_error(value: Any) -> None:
    with pytest.raises(StreamError, match=r"No\."):
        decode_answer(json.dumps(value).encode())


@pytest.mark.parametrize("error", [None, {}, "", 0, {"code": 0}, []])
def test_an_error_that_says_nothing_is_none(error: Any) -> None:
    assert decode_answer(changed(error=error)).text == "Hi"


def failing(content: str) -> bytes:
    choice = {**json.loads(ANSWER)["choices"][0], "error": {"message": "No."}}
    choice["message"]["content"] = content
    return changed(choices=[choice])


def test_an_error_beside_an_answer_hands_over_what_was_delivered() -> None:
    with pytest.raises(StreamError) as caught:
        decode_answer(failing("Hi"))
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hi"


def test_an_error_beside_nothing_hands_over_nothing() -> None:
    with pytest.raises(StreamError) as caught:
        decode_answer(failing(""))
    assert caught.value.partial is None


@pytest.mark.parametrize(
    ("body", "label", "path", "words"),
    [
        (b"<html>", "text/html; x=1", "character 0", "isn't JSON and is labelled text/html; x=1"),
        (b"nope", "application/json", "character 0", "isn't JSON: "),
        (b"nope", "", "character 0", "it begins 'nope'"),
        (b"[1]", "", "$", "not an object"),
        (b'"Hi"', "", "$", "not an object"),
        (b'{"choices":"Hi"}', "", "$.choices", "can't be read as the format"),
        (b'{"choices":[{"message":5}]}', "", "$.choices[0].message", "can't be read as the format"),
    ],
)
def test_what_is_no_answer_is_malformed_and_says_where(
    body: bytes, label: str, path: str, words: str
) -> None:
    with pytest.raises(MalformedResponseError) as caught:
        decode_answer(body, content_type=label, status=201)
    assert words in str(caught.value)
    assert (caught.value.path, caught.value.status, caught.value.body) == (path, 201, body)


def test_what_can_be_read_beside_what_cannot_is_carried() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": [call, 5]}
    with pytest.raises(MalformedResponseError) as caught:
        decode_answer(changed(choices=[{**json.loads(ANSWER)["choices"][0], "message": message}]))
    assert caught.value.path == "$.choices[0].message.tool_calls[1]"
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, [call.name for call in partial.tool_calls], partial.id) == ("Hi", ["f"], "a1")
    assert partial.usage is not None
    assert partial.raw == caught.value.body


def calling(**message: Any) -> bytes:
    """A choice that stopped to call tools."""
    held = {"role": "assistant", "content": None, "refusal": None, **message}
    choice = {**json.loads(ANSWER)["choices"][0], "message": held, "finish_reason": "tool_calls"}
    return changed(choices=[choice])


@pytest.mark.parametrize("message", [{}, {"content": ""}, {"tool_calls": []}, {"reasoning": "I call f."}])
def test_a_call_that_was_announced_and_got_lost_is_malformed(message: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponseError, match="neither call nor answer") as caught:
        decode_answer(calling(**message))
    assert caught.value.path == "$.choices[0].message.tool_calls"
    partial = caught.value.partial
    assert partial is not None
    assert (partial.id, partial.reasoning) == ("a1", message.get("reasoning"))
    assert partial.usage is not None


SPOKEN = {"id": "a", "data": "AA==", "transcript": "Hi", "expires_at": 7}


@pytest.mark.parametrize("message", [{"content": "Hi"}, {"refusal": "No."}, {"audio": SPOKEN}])
def test_words_in_place_of_an_announced_call_are_the_answer(message: dict[str, Any]) -> None:
    assert codes(calling(**message)) == ["tool-calls-missing"]


def test_the_old_form_of_a_call_is_the_announced_call() -> None:
    assert codes(calling(function_call={"name": "f", "arguments": "{}"})) == []


@pytest.mark.parametrize("rest", [ANSWER, b'{"error":"x"}', b"data: " + ANSWER, b"1\n" + ANSWER])
@pytest.mark.parametrize(("label", "said"), [("", "answer: "), ("a/b", "labelled a/b: ")])
def test_a_second_answer_after_the_first_is_not_passed_over(rest: bytes, label: str, said: str) -> None:
    with pytest.raises(MalformedResponseError, match="several JSON values") as caught:
        decode_answer(ANSWER + b"\n" + rest, content_type=label)
    assert said in str(caught.value)


@pytest.mark.parametrize("rest", [b"{}", b"[]", b"xyz", b"</html>"])
def test_what_else_follows_is_ignored_and_noted(rest: bytes) -> None:
    assert codes(ANSWER + b"\n" + rest) == ["trailing-data"]


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\n: hello\n\n"])
def test_an_event_stream_is_read_as_one(lead: bytes) -> None:
    body = lead + LISTED.body({"events": ["chunk", "chunk-stop", {"data": "[DONE]"}]})
    response = decode_answer(body)
    assert (response.text, response.raw) == ("Hi", body)
    assert [found.code for found in response.deviations] == ["sse-in-json"]


def test_an_event_stream_is_read_with_everything_that_the_caller_gave() -> None:
    body = LISTED.body({"events": ["chunk", "chunk-stop", {"data": "[DONE]"}]})
    assert codes(body, n=2) == ["sse-in-json", "choices-fewer"]
    repeated = body.replace(b'"model":', b'"model":"x","model":', 1)
    assert (codes(repeated), codes(repeated, audit=True)) == (
        ["sse-in-json"],
        ["sse-in-json", "key-repeated"],
    )
    with pytest.raises(MalformedResponseError) as caught:
        decode_answer(b'data: {"choices":"none"}\n\n', status=203)
    assert caught.value.status == 203

    def make_error(body: bytes, /, *, partial: GenerateResponse | None = None) -> StreamError:
        return StreamError(f"mine: {body.decode()}", partial=partial)

    with pytest.raises(StreamError, match="mine: "):
        decode_answer(b'data: {"error":"No."}\n\n', make_error=make_error)


def test_nesting_beyond_every_reader_is_malformed() -> None:
    depth = 200_000
    with pytest.raises(MalformedResponseError, match="nested too deeply"):
        decode_answer(b'{"choices":' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize(
    ("label", "foreign"),
    [
        ("", False),
        ("application/json", False),
        ("a/b; charset=UTF-8", False),
        ('a/b; charset="utf-8"; q=1', False),
        ("a/b; charset=", False),
        ("a/b; charset=us-ascii", False),
        ("a/b; charset=ISO-8859-1", True),
        ("a/b; charset='latin-1'", True),
    ],
)
def test_only_another_charset_is_foreign(label: str, foreign: bool) -> None:
    assert has_foreign_charset(label) is foreign


def test_fewer_choices_than_asked_for_are_noted_and_kept() -> None:
    assert codes(ANSWER, n=2) == ["choices-fewer"]
    assert codes(ANSWER, n=1) == []


def test_text_that_is_not_utf8_where_no_struct_looks_is_still_noted() -> None:
    body = ANSWER[:-1] + b',"x":"\xe9"}'
    assert codes(body) == ["utf8-invalid"]


def test_an_answer_too_deep_to_mend_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(*_: object) -> None:  # how deep that is differs from one Python to the next
        raise RecursionError

    monkeypatch.setattr("botticelli.dialects.openai.response.repair_response", too_deep)
    with pytest.raises(MalformedResponseError, match="nested too deeply"):
        decode_answer(changed(id=None))


# Whole answers become responses, the odd ones like those that keep the format.

HEAD = {"id": "a1", "object": "chat.completion", "created": 1, "model": "m"}


def choice(index: Any = 0, content: Any = "Hi", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, "refusal": None, **message}
    return {"index": index, "finish_reason": finish, "logprobs": None, "message": said}


def read(*choices: Any, **members: Any) -> tuple[GenerateResponse, list[str]]:
    notes = DeviationLog()
    response = repair_response({**HEAD, "choices": list(choices), **members}, notes)
    return response, [found.code for found in notes.deviations()]


STRUCT_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
AUDIO = {"id": "s", "expires_at": 1, "data": "ZA==", "transcript": "t"}
CITATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 1, "url": "u", "title": "t"},
}


@pytest.mark.parametrize(
    ("message", "rich"),
    [
        ({}, False),
        ({"tool_calls": []}, False),
        ({"tool_calls": [STRUCT_CALL]}, True),
        ({"audio": AUDIO}, True),
        ({"audio": None}, False),
        ({"annotations": [CITATION]}, True),
        ({"function_call": STRUCT_CALL["function"]}, True),
    ],
)
def test_a_choice_is_rich_where_the_strict_structs_keep_too_little(message: Any, rich: bool) -> None:
    assert is_rich(msgspec.convert(choice(**message), wire.Choice)) is rich


def test_logprobs_make_a_choice_rich() -> None:
    held = msgspec.convert({**choice(), "logprobs": {"content": [], "refusal": None}}, wire.Choice)
    assert is_rich(held)


def test_the_struct_alone_is_enough_where_nothing_is_rich() -> None:
    value = {**HEAD, "choices": [choice()], "service_tier": "flex", "system_fingerprint": "fp"}
    response = build_response(msgspec.convert(value, wire.Response), None, DeviationLog())
    assert (response.text, response.usage) == ("Hi", None)
    assert (response.service_tier, response.system_fingerprint) == ("flex", "fp")


def test_choices_are_in_the_order_of_their_indexes() -> None:
    response, found = read(choice(1, "b"), choice(0, "a"))
    assert [(one.index, one.text) for one in response.choices] == [(0, "a"), (1, "b")]
    assert found == []


def test_a_choice_without_an_index_has_its_place_and_a_repeated_one_is_kept() -> None:
    response, _ = read(choice(0, "a"), choice(None, "b"), choice(0, "c"))
    assert [(one.index, one.text) for one in response.choices] == [(0, "a"), (0, "c"), (1, "b")]


def test_every_part_of_a_message_is_kept() -> None:
    response, found = read(
        choice(
            refusal="no",
            tool_calls=[{**STRUCT_CALL, "sig": "x"}],
            audio=AUDIO,
            annotations=[CITATION],
            reasoning="hm",
        )
    )
    assert found == []
    assert response.outputs == [
        Reasoning("hm", "reasoning"),
        Text("Hi"),
        Refusal("no"),
        spoken_output("s", "ZA==", "t", 1),
        Citations([CITATION]),
        ToolCalls([ToolCall("c", "f", "{}", extra={"sig": "x"})]),
    ]
    assert response.choices[0].annotations == [CITATION]


def test_logprobs_are_handed_on_as_they_came() -> None:
    odd = [-0.5]
    response, found = read({**choice(), "logprobs": odd})
    assert (response.logprobs, found) == (odd, ["logprobs-shape"])


@pytest.mark.parametrize(
    "other",
    [{"delta": {"content": "Hi"}}, {"text": "Hi"}, {"delta": "Hi"}, {"message": None, "text": "Hi"},
     {"message": {}, "delta": {"content": "Hi"}}],
)  # fmt: skip
def test_a_message_under_another_name_counts(other: dict[str, Any]) -> None:
    response, found = read({"index": 0, "finish_reason": "stop", "logprobs": None, **other})
    assert response.text == "Hi"
    assert "message-missing" in found


@pytest.mark.parametrize("other", [{}, {"message": None}, {"delta": 5}, {"text": ""}])
def test_a_choice_without_a_message_is_empty(other: dict[str, Any]) -> None:
    response, _ = read({"index": 0, **other})
    assert response.choices[0].outputs == []


@pytest.mark.parametrize(
    ("calls", "made"),
    [
        (None, 1),
        ([], 1),
        ([STRUCT_CALL], 1),
        ([{**STRUCT_CALL, "function": {"name": "g", "arguments": "{}"}}], 2),
    ],
)
def test_a_call_in_the_old_words_counts_once(calls: Any, made: int) -> None:
    response, _ = read(choice(tool_calls=calls, function_call=STRUCT_CALL["function"]))
    assert len(response.tool_calls) == made
    assert response.tool_calls[-1].name == "f"


def test_what_is_no_list_of_choices_and_what_is_no_choice_are_not_answers() -> None:
    assert repair_response({**HEAD, "choices": None}, DeviationLog()).choices == []
    assert [one.text for one in read(None, choice(0))[0].choices] == ["Hi"]


def test_what_a_server_did_not_usefully_say_is_unknown() -> None:
    response, _ = read(choice(), id=None, model=None, created=None, service_tier=5, system_fingerprint=5)
    assert (response.id, response.model, response.created) == ("", "", None)
    assert (response.service_tier, response.system_fingerprint) == (None, None)


def test_usage_is_read() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    response, _ = read(choice(), usage=counts)
    assert response.usage is not None
    assert response.usage.total_tokens == 3


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        (
            {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            *("insufficient balance", "credits_exhausted"),
        ),
        ({"id": "a", "error_code": 336003, "error_msg": "No."}, "No.", None),
        ({"error_type": "rate_limit_error", "error_message": "No."}, "No.", "rate_limit"),
    ],
)
def test_an_error_under_other_names_is_one(body: dict[str, Any], message: str, kind: str | None) -> None:
    with pytest.raises(StreamError) as caught:
        decode_answer(json.dumps(body).encode())
    assert (caught.value.message, caught.value.cause_kind) == (message, kind)


# Pieces of the wire become pieces of the vocabulary, in every shape that servers send them.


@pytest.mark.parametrize(
    ("word", "sense"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_USE),
        ("function_call", FinishReason.TOOL_USE),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("eos", FinishReason.STOP),
        ("eos_token", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("end_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_USE),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("BLOCKLIST", FinishReason.CONTENT_FILTER),
        ("SPII", FinishReason.CONTENT_FILTER),
        ("MODEL_ARMOR", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("IMAGE_PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("IMAGE_RECITATION", FinishReason.CONTENT_FILTER),
        ("sensitive", FinishReason.CONTENT_FILTER),
        ("refusal", FinishReason.REFUSAL),
        ("content_filter: RECITATION", FinishReason.CONTENT_FILTER),
        ("Content_Filter:x", FinishReason.CONTENT_FILTER),
        ("other: content_filter", FinishReason.OTHER),
        (": stop", FinishReason.OTHER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.OTHER),
        ("network_error", FinishReason.OTHER),
        ("", FinishReason.OTHER),
        ("error", FinishReason.OTHER),
        (None, FinishReason.OTHER),
        ({"type": "stop"}, FinishReason.OTHER),
        (0, FinishReason.OTHER),
    ],
)
def test_a_reason_that_nobody_published_is_never_stop(word: Any, sense: FinishReason) -> None:
    assert convert.to_finish_reason(word) is sense


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), (0, 0), (-1, -1), (1.0, 1), (-0.0, 0), (1e300, int(1e300)), (2**70, 2**70)],
)
def test_a_whole_number_is_whole_however_it_is_written(value: Any, number: int) -> None:
    found = lenient_json.as_whole_number(value)
    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize("value", [None, True, False, 0.5, float("inf"), float("nan"), "7", [7], {}])
def test_what_is_no_whole_number_is_none(value: Any) -> None:
    assert lenient_json.as_whole_number(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", ""), (None, ""), (0, "0"), ({"a": "é"}, '{"a":"é"}'), (False, "false")],
)
def test_what_is_no_text_is_its_json_text(value: Any, text: str) -> None:
    assert lenient_json.as_text(value) == text


FUNCTION = {"name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("raw", "call"),
    [
        ({"id": "1", "type": "function", "function": FUNCTION}, ToolCall("1", "f", "{}")),
        ({"id": 0, "function": FUNCTION}, ToolCall("0", "f", "{}")),
        ({"id": 7.0, "function": FUNCTION}, ToolCall("7", "f", "{}")),
        ({"id": 7.5, "function": FUNCTION}, ToolCall("", "f", "{}")),
        ({"id": True, "function": FUNCTION}, ToolCall("", "f", "{}")),
        ({"id": None, "type": None, "function": FUNCTION}, ToolCall("", "f", "{}")),
        ({"type": "", "function": FUNCTION}, ToolCall("", "f", "{}")),
        ({"type": "tool", "function": FUNCTION}, ToolCall("", "f", "{}")),
        ({"type": 5, "function": {"name": None, "arguments": None}}, ToolCall("", "")),
        ({"function": {"name": "f", "arguments": {"a": [1]}}}, ToolCall("", "f", '{"a":[1]}')),
        ({"type": "custom", "custom": {"name": "c", "input": "x"}}, ToolCall("", "c", "x", "custom")),
        ({"custom": {"name": "c", "input": 5}}, ToolCall("", "c", "5", "custom")),
        ({"type": "function", "function": None, "custom": {"name": "c"}}, ToolCall("", "c", "", "custom")),
        ({"type": "custom", "function": {"name": "c", "input": "x"}}, ToolCall("", "c", "x", "custom")),
        ({"type": "custom", "function": {}, "custom": {"input": "x"}}, ToolCall("", "", "x", "custom")),
        ({"type": "function", "function": FUNCTION, "custom": {"input": "x"}}, ToolCall("", "f", "{}")),
        ({"type": "mcp", "server": "s"}, ToolCall("", "", "", "mcp", {"server": "s"})),
        (
            {"index": 3, "id": "1", "function": FUNCTION, "sig": {"a": 1}},
            ToolCall("1", "f", "{}", extra={"sig": {"a": 1}}),
        ),
        ({}, ToolCall("", "")),
    ],
)
def test_a_call_is_read_in_any_shape(raw: dict[str, Any], call: ToolCall) -> None:
    assert convert.to_tool_call(raw) == call


@pytest.mark.parametrize(
    ("sent", "made", "repeated"),
    [
        (["a", "b"], ["a", "b"], 0),
        (["", ""], ["call_2_0", "call_2_1"], 0),
        (["a", "a", "a"], ["a", "a-1", "a-2"], 2),
        (["a", "a", "a-1"], ["a", "a-2", "a-1"], 1),
        (["", "call_2_0"], ["call_2_0-2", "call_2_0"], 0),
        ([], [], 0),
    ],
)
def test_ids_are_made_distinct_without_taking_anothers(
    sent: list[str], made: list[str], repeated: int
) -> None:
    notes = DeviationLog()
    calls = [ToolCall(identity, str(position)) for position, identity in enumerate(sent)]
    result = convert.make_ids_distinct(calls, 2, notes, "$.choices[0]")
    assert [call.id for call in result] == made
    assert [call.name for call in result] == [call.name for call in calls]
    counts = [found.count for found in notes.deviations() if found.code == "tool-id-repeated"]
    assert sum(counts) == repeated


def test_a_repeated_id_is_noted_where_it_first_repeats() -> None:
    notes = DeviationLog()
    convert.make_ids_distinct([ToolCall("a", ""), ToolCall("a", "")], 0, notes, "$.choices[4]")
    assert [found.path for found in notes.deviations()] == ["$.choices[4].message.tool_calls[1].id"]


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        (None, None),
        ("x", None),
        ({"id": "a", "data": "ZA==", "transcript": "t", "expires_at": 5}, spoken_output("a", "ZA==", "t", 5)),
        ({}, spoken_output("", "", "")),
        ({"id": 7, "expires_at": True}, spoken_output("7", "", "")),
        ({"expires_at": "5"}, spoken_output("", "", "")),
    ],
)
def test_spoken_output_is_what_is_there_of_it(raw: Any, spoken: Audio | None) -> None:
    assert convert.to_audio(raw) == spoken


def built(**members: Any) -> Choice:
    given: dict[str, Any] = {
        "text": "",
        "calls": [],
        "finish": None,
        "log": DeviationLog(),
        "path": "$",
        **members,
    }
    text, reasoning = given.pop("text", ""), given.pop("reasoning", "")
    given["content"] = [Text(text)] if text else []
    given["reasoning"] = [Reasoning(reasoning)] if reasoning else []
    return convert.build_choice(given.pop("index", 0), **given)


def test_the_parts_of_an_answer_have_a_fixed_order() -> None:
    spoken = spoken_output("a", "", "")
    choice = built(
        calls=[ToolCall("", "f")], spoken=spoken, refusal="no", text="Hi", reasoning="hm", index=3,
        finish="stop", logprobs={"content": []}, annotations=[1],
    )  # fmt: skip
    assert choice == Choice(
        index=3,
        outputs=[
            Reasoning("hm"),
            Text("Hi"),
            Refusal("no"),
            spoken,
            Citations([1]),
            ToolCalls([ToolCall("call_3_0", "f")]),
        ],
        finish_reason=FinishReason.STOP,
        finish_reason_raw="stop",
        logprobs={"content": []},
    )


@pytest.mark.parametrize(
    ("finish", "raw"), [("", None), (None, None), ("eos", "eos"), ({"type": "stop"}, {"type": "stop"})]
)
def test_an_answer_of_nothing_has_no_parts_and_keeps_the_servers_word(finish: Any, raw: Any) -> None:
    choice = built(finish=finish, annotations="x")
    assert (choice.outputs, choice.annotations, choice.finish_reason_raw) == ([], [], raw)


def test_a_usage_hands_every_count_on_under_its_name() -> None:
    counted = msgspec.convert(
        {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 3,
            "prompt_tokens_details": {
                "cached_tokens": 4, "audio_tokens": 5, "cache_write_tokens": 6, "text_tokens": 7,
                "image_tokens": 8,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 9, "audio_tokens": 10, "accepted_prediction_tokens": 11,
                "rejected_prediction_tokens": 12, "text_tokens": 13,
            },
        },
        wire.Usage,
    )  # fmt: skip
    assert convert.to_usage(counted) == Usage(
        prompt_tokens=1,
        completion_tokens=2,
        total_tokens=3,
        prompt_details=PromptTokens(
            cached_tokens=4, audio_tokens=5, cache_write_tokens=6, text_tokens=7, image_tokens=8
        ),
        completion_details=CompletionTokens(
            reasoning_tokens=9,
            audio_tokens=10,
            accepted_prediction_tokens=11,
            rejected_prediction_tokens=12,
            text_tokens=13,
        ),
    )


def test_a_count_that_is_not_there_is_unknown_and_never_worked_out() -> None:
    counted = wire.Usage(1, None, 3, prompt_tokens_details=wire.PromptTokensDetails())  # type: ignore[arg-type]  # a mended one
    assert convert.to_usage(counted) == Usage(prompt_tokens=1, total_tokens=3, prompt_details=PromptTokens())


@pytest.mark.parametrize(
    ("listed", "text", "thinking"),
    [
        ([], "", ""),
        (["a", {"text": "b"}, None, 5], "ab5", ""),
        ([{"type": "refusal", "refusal": "no"}], "no", ""),
        ([{"type": "image"}], "", ""),
        ([{"text": None}], "", ""),
        ([{"text": {"value": "v"}}], '{"value":"v"}', ""),
        ([{"thinking": [{"text": "a"}, {"text": "b"}]}, {"thinking": "c"}], "", "abc"),
        ([{"thinking": "", "text": "t"}], "t", ""),
    ],
)
def test_parts_of_every_shape_are_text_or_thinking(listed: list[Any], text: str, thinking: str) -> None:
    blocks, thought = convert.split_content(listed)
    assert ("".join(block.text for block in blocks if isinstance(block, Text)), thought) == (text, thinking)


@pytest.mark.parametrize(
    ("members", "noted", "refused"),
    [
        ({}, False, True),
        ({"reasoning": "hm"}, False, True),
        ({"text": "Hi"}, True, False),
        ({"refusal": "no"}, True, False),
        ({"spoken": spoken_output("a", "AA==", "")}, True, False),
        ({"spoken": spoken_output("a", "", "Hi")}, True, False),
        ({"spoken": spoken_output("a", "", "", 7)}, False, True),
        ({"calls": [ToolCall("a", "f")]}, False, False),
    ],
)
def test_a_call_that_was_announced_is_there_or_replaced_by_words_or_lost(
    members: dict[str, Any], noted: bool, refused: bool
) -> None:
    notes = DeviationLog()
    built(**{"calls": [], **members}, finish="tool_calls", log=notes, path="$.choices[1]")
    path = "$.choices[1].message.tool_calls"
    assert [(note.code, note.path) for note in notes.deviations()] == [("tool-calls-missing", path)] * noted
    assert (notes.unreadable.path if notes.unreadable else None) == (path if refused else None)


def test_a_structured_answer_as_a_list_is_its_json() -> None:
    response, _ = read(choice(content=[{"title": "T"}]))
    assert response.text == '[{"title":"T"}]'


def test_what_ended_an_answer_is_told_where_the_server_names_it() -> None:
    for name in ("matched_stop", "stop_reason", "stop_sequence"):
        response, _ = read({**choice(), name: "END"})
        assert response.choices[0].stop_sequence == "END"
    response, _ = read({**choice(), "stop_reason": "end_turn", "matched_stop": 7})
    assert response.choices[0].stop_sequence is None


def test_a_picture_that_is_none_is_kept_as_it_came() -> None:
    odd = [{"type": "image_url"}, {"type": "image_url", "image_url": {"url": 5}}, "x"]
    response, _ = read(choice(images=odd))
    assert [part.data for part in response.outputs if isinstance(part, Other)] == odd
    short = {"type": "image_url", "image_url": "https://x/y"}
    response, _ = read(
        choice(images=[short, {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}])
    )
    assert response.outputs[1:] == [Image.of("https://x/y"), Image.of("u", "low")]


def test_members_that_hold_what_nobody_can_read_are_kept() -> None:
    message = {
        "reasoning_content": {"a": 1},
        "images": "x",
        "content": [{"type": "text", "text": "a", "b": 1}],
    }
    response, _ = read(choice(**message))
    kept = {"reasoning_content": {"a": 1}, "images": "x", "content": [{"b": 1}]}
    assert response.choices[0].message_extra == kept

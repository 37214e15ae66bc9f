"""Whole answers: what conforms has no deviations, what doesn't has the published ones, errors are errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from botticelli.contracts import data_root
from botticelli.contracts.relaxations import Relaxation, Relaxations
from botticelli.core.errors import EmptyResponseError, MalformedResponseError, ModelsError, StreamError
from botticelli.dialects.openai.response import has_foreign_charset
from botticelli.dialects.openai.stream import decode_answer

LISTED = Relaxations.read(data_root() / "contracts" / "wire" / "relaxations.json")
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
    assert entry.code in codes(LISTED.body(example), audit=True, **options)


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

"""The repair path: what is mended, what is dropped, what is refused, and what each is called."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest
from msgspec import UNSET

from botticelli.contracts import violations
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.repair import mend, mend_members, narrowed
from botticelli.protocol.deviations import DeviationLog

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "f", "input": "x"}}
TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
CITATION = {"start_index": 0, "end_index": 1, "url": "u", "title": "t"}
MODERATION: dict[str, Any] = {"type": "moderation_results", "model": "m", "results": []}
BASE: dict[str, Any] = {
    "id": "a1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hi", "refusal": None},
        }
    ],
}
GONE: Any = object()


def edited(*edits: tuple[str, Any]) -> dict[str, Any]:
    """The base with something else at some dotted paths."""
    value: dict[str, Any] = json.loads(json.dumps(BASE))
    for path, new in edits:
        *steps, last = path.split(".")
        parent: Any = value
        for step in steps:
            parent = parent[int(step)] if step.isdigit() else parent[step]
        if new is GONE:
            del parent[last]
        else:
            parent[int(last) if isinstance(parent, list) else last] = new
    return value


def mended(*edits: tuple[str, Any]) -> tuple[wire.Response, list[tuple[str, str]]]:
    notes = DeviationLog()
    answer = mend(edited(*edits), wire.Response, notes)
    return answer, [(found.code, found.path) for found in notes.deviations()]


def found_at(answer: Any, path: str) -> Any:
    for step in path.split("."):
        answer = answer[int(step)] if step.isdigit() else getattr(answer, step)
    return answer


FULL: tuple[tuple[str, Any], ...] = (
    ("choices.0.message.tool_calls", [CALL, CUSTOM]),
    ("choices.0.message.annotations", [{"type": "url_citation", "url_citation": CITATION}]),
    ("choices.0.message.audio", {"id": "a", "expires_at": 1, "data": "", "transcript": ""}),
    ("choices.0.message.function_call", {"name": "f", "arguments": ""}),
    ("choices.0.logprobs", {"content": [TOKEN], "refusal": None}),
    ("usage", {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "prompt_tokens_details": {}}),
    ("moderation", {"input": MODERATION, "output": {"type": "error", "code": "c", "message": "m"}}),
    ("metadata", {"k": "v"}),
    ("service_tier", None),
    ("error", None),
    ("unknown", {"to": "us"}),
)


@pytest.mark.parametrize("edits", [(), FULL])
def test_what_keeps_the_format_comes_out_as_the_strict_decoder_has_it(edits: Any) -> None:
    answer, found = mended(*edits)
    assert found == []
    assert answer == msgspec.json.decode(json.dumps(edited(*edits)), type=wire.Response)


C0 = "$.choices[0]"
M0 = "$.choices[0].message"
T0 = "$.choices[0].message.tool_calls[0]"


@pytest.mark.parametrize(
    ("path", "new", "kept", "code", "at"),
    [
        ("id", GONE, None, "id-missing", "$.id"),
        ("id", None, None, "field-null", "$.id"),
        ("id", 7, "7", "id-not-string", "$.id"),
        ("id", 7.0, "7", "id-not-string", "$.id"),
        ("id", True, None, "field-type", "$.id"),
        ("id", 7.5, None, "field-type", "$.id"),
        ("model", 7, "7", "field-type", "$.model"),
        ("object", "", "", "object-unknown", "$.object"),
        ("object", "other", "other", "object-unknown", "$.object"),
        ("object", 5, None, "field-type", "$.object"),
        ("created", 1.5, 1, "created-not-integer", "$.created"),
        ("created", "170", None, "created-not-integer", "$.created"),
        ("created", float("inf"), None, "created-not-integer", "$.created"),
        ("created", True, None, "field-type", "$.created"),
        ("choices", GONE, None, "choices-missing", "$.choices"),
        ("choices", None, None, "choices-null", "$.choices"),
        ("choices.0.index", "2", 2, "choice-index-not-integer", f"{C0}.index"),
        ("choices.0.index", "two", None, "field-type", f"{C0}.index"),
        ("choices.0.index", "٢", None, "field-type", f"{C0}.index"),
        ("choices.0.index", "9" * 19, None, "field-type", f"{C0}.index"),
        ("choices.0.index", "9" * 18, 10**18 - 1, "choice-index-not-integer", f"{C0}.index"),
        ("choices.0.index", 1.5, None, "field-type", f"{C0}.index"),
        ("choices.0.index", -1, -1, "number-range", f"{C0}.index"),
        ("choices.0.finish_reason", None, None, "finish-reason-null", f"{C0}.finish_reason"),
        ("choices.0.finish_reason", "eos", "eos", "finish-reason-unknown", f"{C0}.finish_reason"),
        ("choices.0.finish_reason", "", "", "finish-reason-empty", f"{C0}.finish_reason"),
        ("choices.0.finish_reason", {"a": 1}, {"a": 1}, "finish-reason-type", f"{C0}.finish_reason"),
        ("choices.0.message", None, None, "message-null", M0),
        ("choices.0.message.role", 5, None, "field-type", f"{M0}.role"),
        ("choices.0.message.content", 5, "5", "field-type", f"{M0}.content"),
        ("choices.0.message.content", {"a": "é"}, '{"a":"é"}', "field-type", f"{M0}.content"),
        ("choices.0.message.refusal", False, "false", "field-type", f"{M0}.refusal"),
        ("choices.0.message.tool_calls", None, UNSET, "tool-calls-null", f"{M0}.tool_calls"),
        ("choices.0.message.audio", "x", UNSET, "field-type", f"{M0}.audio"),
        ("choices.0.logprobs", [-1], None, "logprobs-shape", f"{C0}.logprobs"),
        ("choices.0.logprobs", {"tokens": []}, None, "logprobs-shape", f"{C0}.logprobs"),
        ("choices.0.logprobs", {"content": 5, "refusal": None}, wire.Logprobs(None, None), "field-type",
         f"{C0}.logprobs.content"),
        ("error", 0, None, "field-type", "$.error"),
        ("usage", None, UNSET, "usage-null", "$.usage"),
        ("usage", "7 tokens", UNSET, "field-type", "$.usage"),
        ("moderation", 5, UNSET, "field-type", "$.moderation"),
        ("metadata", [], UNSET, "field-type", "$.metadata"),
        ("metadata", {"k": 1, "l": "v"}, {"l": "v"}, "field-type", "$.metadata.k"),
        ("metadata", {"k": "v" * 513}, {"k": "v" * 513}, "field-value", "$.metadata.k"),
        ("metadata", {"k" * 65: "v"}, {"k" * 65: "v"}, "field-value", "$.metadata"),
        ("metadata", {str(i): "" for i in range(17)}, {str(i): "" for i in range(17)}, "field-value",
         "$.metadata"),
        ("system_fingerprint", 7, UNSET, "field-type", "$.system_fingerprint"),
        ("service_tier", "other", "other", "unknown-value", "$.service_tier"),
    ],
)  # fmt: skip
def test_a_breach_is_mended_or_dropped_and_named(path: str, new: Any, kept: Any, code: str, at: str) -> None:
    answer, found = mended((path, new))
    assert (code, at) in found
    assert len(found) == 1
    held = found_at(answer, path)
    assert held == kept
    assert type(held) is type(kept)


@pytest.mark.parametrize("number", [1.0, 1])
def test_a_whole_number_may_be_written_as_a_fraction(number: float) -> None:
    answer, found = mended(("choices.0.index", number))
    assert (answer.choices[0].index, type(answer.choices[0].index), found) == (1, int, [])


@pytest.mark.parametrize(
    ("changes", "kept", "code", "at"),
    [
        ({"id": GONE}, ("function", None, "f", "{}"), "tool-id-missing", f"{T0}.id"),
        ({"id": ""}, ("function", None, "f", "{}"), "tool-id-empty", f"{T0}.id"),
        ({"id": 0}, ("function", "0", "f", "{}"), "tool-id-not-string", f"{T0}.id"),
        ({"id": 1.0}, ("function", "1", "f", "{}"), "tool-id-not-string", f"{T0}.id"),
        ({"id": [0]}, ("function", None, "f", "{}"), "field-type", f"{T0}.id"),
        ({"type": GONE}, ("function", "c1", "f", "{}"), "tool-type-missing", f"{T0}.type"),
        ({"type": None}, ("function", "c1", "f", "{}"), "tool-type-null", f"{T0}.type"),
        ({"type": "tool"}, ("function", "c1", "f", "{}"), "tool-type-unknown", f"{T0}.type"),
        ({"type": 5}, ("function", "c1", "f", "{}"), "field-type", f"{T0}.type"),
        ({"type": GONE, "function": GONE, "custom": CUSTOM["custom"]}, ("custom", "c1", "f", "x"),
         "tool-type-missing", f"{T0}.type"),
        ({"function": {"name": "f"}}, ("function", "c1", "f", None), "arguments-missing",
         f"{T0}.function.arguments"),
        ({"function": {"name": "", "arguments": "{}"}}, ("function", "c1", None, "{}"), "tool-name-empty",
         f"{T0}.function.name"),
        ({"function": {"name": "f", "arguments": {"a": 1}}}, ("function", "c1", "f", '{"a":1}'),
         "arguments-not-string", f"{T0}.function.arguments"),
        ({"function": {"name": ["f"], "arguments": ""}}, ("function", "c1", '["f"]', ""), "field-type",
         f"{T0}.function.name"),
    ],
)  # fmt: skip
def test_a_tool_call_is_mended_as_its_kind(
    changes: dict[str, Any], kept: tuple[str, Any, Any, Any], code: str, at: str
) -> None:
    raw = {name: value for name, value in {**CALL, **changes}.items() if value is not GONE}
    answer, found = mended(("choices.0.message.tool_calls", [raw]))
    calls: Any = answer.choices[0].message.tool_calls
    (call,) = calls
    if isinstance(call, wire.CustomToolCall):
        assert ("custom", call.id, call.custom.name, call.custom.input) == kept
    else:
        assert ("function", call.id, call.function.name, call.function.arguments) == kept
    assert found == [(code, at)]


@pytest.mark.parametrize(
    ("item", "code", "path"),
    [
        ({**TOKEN, "token": 1}, "field-type", "token"),
        ({**TOKEN, "logprob": "x"}, "field-type", "logprob"),
        ({**TOKEN, "logprob": True}, "field-type", "logprob"),
        ({**TOKEN, "bytes": [256]}, "number-range", "bytes[0]"),
        ({**TOKEN, "bytes": [0, -1]}, "number-range", "bytes[1]"),
        ({**TOKEN, "bytes": [True]}, "field-type", "bytes[0]"),
        ({**TOKEN, "top_logprobs": None}, "field-null", "top_logprobs"),
        ({"token": "a", "logprob": 0, "bytes": None}, "field-missing", "top_logprobs"),
    ],
)
def test_what_a_token_breaks_is_named_in_its_place(item: Any, code: str, path: str) -> None:
    _, found = mended(("choices.0.logprobs", {"content": [item], "refusal": []}))
    assert found == [(code, f"{C0}.logprobs.content[0].{path}")]


def test_what_is_no_truth_value_is_no_truth_value() -> None:
    result = {
        "type": "moderation_result",
        "model": "m",
        "flagged": 1,
        "categories": {"violence": None},
        "category_scores": {"violence": 0.5},
        "category_applied_input_types": {"violence": ["text", "smell"]},
    }
    _, found = mended(("moderation", {"input": {**MODERATION, "results": [result]}, "output": MODERATION}))
    at = "$.moderation.input.results[0]"
    assert found == [
        ("field-type", f"{at}.flagged"),
        ("field-null", f"{at}.categories.violence"),
        ("unknown-value", f"{at}.category_applied_input_types.violence[1]"),
    ]


@pytest.mark.parametrize(
    ("path", "new", "at", "shown"),
    [
        ("choices", "", "$.choices", '""'),
        ("choices", "Hi", "$.choices", '"Hi"'),
        ("choices", {"0": {}}, "$.choices", '{"0":{}}'),
        ("choices", ["Hi"], C0, '"Hi"'),
        ("choices", [None], C0, "null"),
        ("choices.0.message", ["Hi"], M0, '["Hi"]'),
        ("choices.0.message", "", M0, '""'),
        ("choices.0.message", 5, M0, "5"),
        ("choices.0.message.content", ["Hi", None], f"{M0}.content[1]", "null"),
        ("choices.0.message.content", [{"text": 5}], f"{M0}.content[0].text", "5"),
        ("choices.0.message.function_call", "f()", f"{M0}.function_call", '"f()"'),
        ("choices.0.message.tool_calls", {}, f"{M0}.tool_calls", "{}"),
        ("choices.0.message.tool_calls", "f()", f"{M0}.tool_calls", '"f()"'),
        ("choices.0.message.tool_calls", ["f()"], T0, '"f()"'),
        ("choices.0.message.tool_calls", [None], T0, "null"),
        ("choices.0.message.tool_calls", [{**CALL, "function": False}], f"{T0}.function", "false"),
        ("choices.0.message.tool_calls", [{**CUSTOM, "custom": None}], f"{T0}.custom", "null"),
    ],
)
def test_what_the_tolerant_contract_refuses_is_refused(path: str, new: Any, at: str, shown: str) -> None:
    assert violations("wire/response", edited((path, new)))[0].path == at
    notes = DeviationLog()
    mend(edited((path, new)), wire.Response, notes)
    assert notes.unreadable == (at, f"a part of the answer can't be read as the format: {shown}")


def test_a_refusal_shows_but_the_beginning_of_what_was_refused() -> None:
    notes = DeviationLog()
    mend(edited(("choices", "x" * 10_000)), wire.Response, notes)
    assert notes.unreadable is not None
    assert len(notes.unreadable.message) < 200


def test_of_what_is_refused_the_rest_is_read_and_the_first_is_told() -> None:
    notes = DeviationLog()
    call = {**CALL, "function": 5}
    answer = mend(edited(("choices.0.message.tool_calls", [5, call, CALL])), wire.Response, notes)
    message = answer.choices[0].message
    assert message.content == "Hi"
    assert message.tool_calls
    assert [call.id for call in message.tool_calls] == ["c1", "c1"]
    assert notes.unreadable is not None
    assert notes.unreadable.path == T0


def test_a_message_that_is_text_is_refused_and_read_as_its_content() -> None:
    notes = DeviationLog()
    answer = mend(edited(("choices.0.message", "Hi")), wire.Response, notes)
    assert answer.choices[0].message.content == "Hi"
    assert notes.unreadable is not None
    assert notes.unreadable.path == M0


def test_a_content_in_parts_is_joined_and_its_thinking_kept_apart() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}]
    answer, found = mended(("choices.0.message.content", parts))
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hi", "hm")
    assert found == [("content-parts", f"{M0}.content")]


@pytest.mark.parametrize(("told", "kept"), [("hm", "hm"), ("so ", "so hm"), ("", "hm"), (None, "hm")])
def test_thinking_in_the_parts_is_told_once_and_not_lost_over_another(told: str | None, kept: str) -> None:
    answer, _ = mended(
        ("choices.0.message.content", [{"thinking": "hm"}]), ("choices.0.message.reasoning_content", told)
    )
    assert answer.choices[0].message.reasoning_content == kept


def test_a_chunk_keeps_what_it_does_not_read_as_it_came() -> None:
    notes = DeviationLog()
    delta = {"content": None, "tool_calls": [{"x": 1}]}
    choice_sent = {"logprobs": [-1], "finish_reason": {}, "delta": delta}
    value = {"choices": [choice_sent], "usage": {"a": 1}, "id": 5}
    chunk = mend(value, wire.FirstChunk, notes)
    assert chunk.choices is not None
    choice: Any = chunk.choices[0]
    assert choice.logprobs == [-1]
    assert choice.finish_reason == {}
    assert choice.delta.tool_calls == [{"x": 1}]
    assert chunk.usage == {"a": 1}
    assert chunk.id == 5
    assert [found.code for found in notes.deviations()] == ["finish-reason-type", "logprobs-shape"]


def test_a_chunks_null_usage_is_none() -> None:
    chunk = mend({"choices": [{"usage": None, "error": {}}], "usage": None}, wire.FirstChunk, DeviationLog())
    assert chunk.usage is None
    assert chunk.choices is not None
    assert chunk.choices[0].usage is None


def test_an_empty_list_of_logprobs_says_nothing() -> None:
    notes = DeviationLog()
    chunk = mend({"choices": [{"logprobs": []}]}, wire.FirstChunk, notes)
    assert chunk.choices is not None
    assert chunk.choices[0].logprobs is None
    assert [found.code for found in notes.deviations()] == ["logprobs-shape"]


def test_members_of_a_struct_are_mended_in_place_and_the_others_left() -> None:
    notes = DeviationLog()
    names = frozenset({"content", "reasoning_content", "thinking"})
    delta: Any = wire.FastDelta(content=cast("Any", ["Hi", {"thinking": "Hm"}]), refusal="No.")
    mend_members(delta, narrowed(wire.FastDelta, names), notes, "$.choices[1].delta", "$.choices[].delta")
    assert delta == wire.FastDelta(content="Hi", reasoning_content="Hm", refusal="No.")
    assert [(note.code, note.path) for note in notes.deviations()] == [
        ("content-parts", "$.choices[1].delta.content")
    ]


def test_members_that_are_not_there_are_no_deviation() -> None:
    notes = DeviationLog()
    choice = wire.FastChoice(delta=wire.FastDelta())
    members = narrowed(wire.FastChoice, frozenset({"index", "error", "usage"}))
    mend_members(choice, members, notes, "$", "$")
    assert (choice, notes.deviations()) == (wire.FastChoice(delta=wire.FastDelta()), [])

"""Repair of what breaks the format, and the code of each deviation."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from botticelli.contracts import violations
from botticelli.contracts.relaxations import Relaxations
from botticelli.core.errors import MalformedResponseError, ModelsError, StreamError
from botticelli.core.message import Reasoning, Text
from botticelli.core.response import Deviation
from botticelli.dialects.openai import repair, wire
from botticelli.dialects.openai.accumulate import ResponseAccumulator
from botticelli.dialects.openai.adaptive import AdaptiveDecoder
from botticelli.dialects.openai.repair import (
    Problem,
    find_code,
    mend,
    mend_members,
    narrowed,
)
from botticelli.dialects.openai.stream import OpenAIStreamReader, decode_answer
from botticelli.kit.strategies import mutations
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog

# The repair path: what is mended, what is dropped, what is refused, and what each is called.

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
    known = {name: value for name, value in edited(*edits).items() if name != "unknown"}
    assert answer == msgspec.json.decode(json.dumps(known), type=wire.Response)


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
        ("choices.0.message.content", {"a": "é"}, '{"a":"é"}', "content-not-string", f"{M0}.content"),
        ("choices.0.message.content", [{"a": "é"}], '[{"a":"é"}]', "content-not-string", f"{M0}.content"),
        ("choices.0.message.content", [5, {"a": 1}], '[5,{"a":1}]', "content-not-string",
         f"{M0}.content"),
        ("choices.0.message.content", [], "", "content-parts", f"{M0}.content"),
        ("choices.0.message.refusal", False, "false", "field-type", f"{M0}.refusal"),
        ("choices.0.message.audio", "x", UNSET, "field-type", f"{M0}.audio"),
        ("choices.0.logprobs", [-1], UNSET, "logprobs-shape", f"{C0}.logprobs"),
        ("choices.0.logprobs", {"tokens": []}, UNSET, "logprobs-shape", f"{C0}.logprobs"),
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
    assert violations("wire/openai/response", edited((path, new)))[0].path == at
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


def test_a_content_in_parts_is_joined() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}, "!"]
    answer, found = mended(("choices.0.message.content", parts))
    assert answer.choices[0].message.content == "Hi!"
    assert found == [("content-parts", f"{M0}.content")]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("named", "blocks"),
    [
        ("hm", [("hm", "reasoning_content")]),
        ("so ", [("so ", "reasoning_content"), ("hm", "content")]),
        ("", [("hm", "content")]),
        (None, [("hm", "content")]),
    ],
)
def test_reasoning_in_parts_counts_once_and_goes_back_as_it_came(
    named: str | None, blocks: list[tuple[str, str]], *, streamed: bool
) -> None:
    """Under both names, as some servers send it, and whole or streamed alike."""
    message = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, "Hi"]}
    message |= {} if named is None else {"reasoning_content": named}
    if streamed:
        answer = fed([chunk(message), chunk({}, finish_reason="stop")]).response
    else:
        answer = decode_answer(written(edited(("choices.0.message", message))))
    choice = answer.choices[0]
    found = [(block.text, block.name) for block in choice.outputs if isinstance(block, Reasoning)]
    assert [one for one in found if one[0]] == blocks
    assert (choice.text, choice.reasoning) == ("Hi", "".join(text for text, _ in blocks))


def test_a_chunk_keeps_what_it_does_not_read_as_it_came() -> None:
    notes = DeviationLog()
    delta = {"content": None, "tool_calls": [{"x": 1}]}
    choice_sent = {"logprobs": [-1], "finish_reason": {}, "delta": delta}
    value = {"choices": [choice_sent], "usage": {"a": 1}, "id": 5}
    chunk = mend(value, wire.FastChunk, notes)
    assert chunk.choices is not None
    choice: Any = chunk.choices[0]
    assert choice.logprobs == [-1]
    assert choice.finish_reason == {}
    assert choice.delta.tool_calls == [{"x": 1}]
    assert chunk.usage == {"a": 1}
    assert chunk.id == "5"
    assert [found.code for found in notes.deviations()] == [
        "finish-reason-type",
        "logprobs-shape",
        "id-not-string",
    ]


def test_a_chunks_null_usage_is_none() -> None:
    chunk = mend({"choices": [{"usage": None, "error": {}}], "usage": None}, wire.FastChunk, DeviationLog())
    assert chunk.usage is None
    assert chunk.choices is not None
    assert chunk.choices[0].usage is None


def test_an_empty_list_of_logprobs_says_nothing() -> None:
    notes = DeviationLog()
    chunk = mend({"choices": [{"logprobs": []}]}, wire.FastChunk, notes)
    assert chunk.choices is not None
    assert chunk.choices[0].logprobs is None
    assert [found.code for found in notes.deviations()] == ["logprobs-shape"]


def test_members_of_a_struct_are_mended_in_place_and_the_others_left() -> None:
    notes = DeviationLog()
    names = frozenset({"content", "reasoning_content", "thinking"})
    delta: Any = wire.FastDelta(content=cast("Any", ["Hi", {"thinking": "Hm"}]), refusal="No.")
    mend_members(delta, narrowed(wire.FastDelta, names), notes, "$.choices[1].delta", "$.choices[].delta")
    assert delta == wire.FastDelta(content="Hi", refusal="No.")
    assert [(note.code, note.path) for note in notes.deviations()] == [
        ("content-parts", "$.choices[1].delta.content")
    ]


def test_members_that_are_not_there_are_no_deviation() -> None:
    notes = DeviationLog()
    choice = wire.FastChoice(delta=wire.FastDelta())
    members = narrowed(wire.FastChoice, frozenset({"index", "error", "usage"}))
    mend_members(choice, members, notes, "$", "$")
    assert (choice, notes.deviations()) == (wire.FastChoice(delta=wire.FastDelta()), [])


# The tables of codes: the narrowest wins, the catch-alls catch, and the published list has them all.

PUBLISHED = set(Relaxations.load("openai").codes())
NOTING = {"add", "_note", "_note_structural", "append"}
TYPED: list[tuple[str, str, list[Any]]] = [
    ("$.id", "id-not-string", [7, -1, 7.0]),
    ("$.choices[].message.tool_calls[].id", "tool-id-not-string", [7, 7.0]),
    ("$.created", "created-not-integer", [1.5, "1"]),
    ("$.choices[].index", "choice-index-not-integer", ["0", "9" * 18]),
    ("$.choices[].delta.tool_calls[].index", "tool-index-not-integer", ["0"]),
    ("$.choices[].finish_reason", "finish-reason-type", [{}]),
    ("$.choices[].message.tool_calls[].function.arguments", "arguments-not-string", [{}]),
    ("$.choices[].logprobs", "logprobs-shape", [[]]),
    ("$.choices[].logprobs.content", "logprobs-shape", [{}]),
    ("$.usage", "usage-type", [[]]),
    ("$.usage.prompt_tokens", "usage-tokens-type", [0.5, "2"]),
    ("$.usage.prompt_tokens_details", "usage-details-type", [[]]),
]


@pytest.mark.parametrize(
    ("problem", "place", "code"),
    [
        ("missing", "$.id", "id-missing"),
        ("empty", "$.choices[].delta.tool_calls[].id", "tool-id-empty"),
        ("value", "$.choices[].message.role", "role-unknown"),
        ("empty", "$.choices[].delta.role", "role-unknown"),
        ("range", "$.usage.total_tokens", "usage-tokens-negative"),
        ("missing", "$.choices[].message.tool_calls[].function.arguments", "arguments-missing"),
    ],
)
def test_a_place_has_codes_of_its_own(problem: Problem, place: str, code: str) -> None:
    assert find_code(problem, place) == code


@pytest.mark.parametrize(("place", "code", "fitting"), TYPED)
def test_a_wrong_type_has_a_code_of_its_own_if_it_is_the_one_that_is_meant(
    place: str, code: str, fitting: list[Any]
) -> None:
    assert [find_code("type", place, value) for value in fitting] == [code] * len(fitting)
    assert find_code("type", place, True) == "field-type"


@pytest.mark.parametrize("text", ["", "-1", "1.0", "two", "٢", "9" * 19])
def test_a_text_is_digits_or_of_a_wrong_type(text: str) -> None:
    assert find_code("type", "$.choices[].index", text) == "field-type"


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ("missing", "field-missing"),
        ("null", "field-null"),
        ("type", "field-type"),
        ("value", "unknown-value"),
        ("empty", "field-value"),
        ("long", "field-value"),
        ("range", "number-range"),
    ],
)
@pytest.mark.parametrize("place", ["$.somewhere", "$.choices[].message.audio.id", "$"])
def test_any_other_place_has_the_catch_all(problem: Problem, code: str, place: str) -> None:
    assert find_code(problem, place) == code


def test_a_problem_that_a_place_does_not_name_has_the_catch_all_too() -> None:
    assert find_code("null", "$.id") == "field-null"


@pytest.mark.parametrize(
    "place",
    [
        "$.choices[].message.reasoning_content",
        "$.choices[].delta.reasoning",
        "$.choices[].message.reasoning_text",
        "$.choices[].delta.thinking",
        "$.choices[].text",
        "$.choices[].usage",
        "$.choices[].error",
    ],
)
@pytest.mark.parametrize("problem", get_args(Problem))
def test_where_the_format_says_nothing_nothing_breaks_it(problem: Problem, place: str) -> None:
    assert find_code(problem, place) is None


def noted() -> set[tuple[str, str]]:
    """Every literal code that a module of the dialect notes, with the module."""
    return {
        (path.stem, call.args[0].value)
        for folder in (Path(repair.__file__).parent, Path(lenient_json.__file__).parent)
        for path in folder.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in NOTING
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and re.fullmatch("[a-z0-9]+(-[a-z0-9]+)+|bom", call.args[0].value)
    }


def test_every_code_that_is_noted_is_published() -> None:
    found = noted()
    assert {module for module, _ in found} >= {"lenient_json", "response", "stream", "toolcalls"}
    assert {entry for entry in found if entry[1] not in PUBLISHED} == set()


def test_every_code_of_the_tables_is_published() -> None:
    tables = ast.parse(Path(repair.__file__).read_text(encoding="utf-8"))
    written = {
        item.value
        for table in ast.walk(tables)
        if isinstance(table, ast.Dict)
        for item in table.values
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }
    assert len(written) > 40
    assert written - PUBLISHED == set()


# What a server gets wrong in every chunk is learnt, and read from then on as the repair path reads it.


def chunk(delta: Any = None, **choice: Any) -> dict[str, Any]:
    held = {
        "index": 0,
        "delta": {"content": "Hi"} if delta is None else delta,
        "finish_reason": None,
        **choice,
    }
    return {"id": "a", "model": "m", "choices": [held]}


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


class Learnt:
    """A decoder that learnt from some chunks, and where it notes."""

    def __init__(self, *values: dict[str, Any]) -> None:
        self.log = DeviationLog()
        self.decoder = AdaptiveDecoder(self.log)
        for value in values:
            self.decoder.learn(value)

    def choice(self, value: dict[str, Any]) -> wire.FastChoice:
        read = self.decoder.decode(written(value))
        assert read is not None
        assert read.choices is not None
        return read.choices[0]


def test_it_knows_nothing_before_it_learns() -> None:
    assert not Learnt().decoder.known
    assert not Learnt(chunk()).decoder.known
    assert not Learnt({"choices": None}).decoder.known
    assert Learnt(chunk(index="0")).decoder.known


def test_what_was_never_odd_is_read_strictly() -> None:
    learnt = Learnt(chunk(index="0"))
    with pytest.raises(msgspec.ValidationError):
        learnt.decoder.decode(written(chunk(finish_reason=5)))
    with pytest.raises(msgspec.ValidationError):
        learnt.decoder.decode(written(chunk({"content": 5})))


def test_what_was_odd_is_mended_and_noted_and_the_rest_kept() -> None:
    learnt = Learnt(chunk(index="0"), chunk({"reasoning": {}}))
    choice = learnt.choice(chunk({"content": "Hi", "reasoning": {}}, index="1"))
    assert choice.delta is not None
    assert (choice.index, choice.delta.content, choice.delta.reasoning) == (1, "Hi", None)
    assert learnt.log.deviations() == [Deviation("choice-index-not-integer", "$.choices[0].index")]


def test_a_choice_without_a_delta_teaches_nothing_of_deltas() -> None:
    learnt = Learnt({"choices": [{"index": "0"}, {"index": "1", "delta": None}]})
    assert learnt.choice(chunk(index="2")).index == 2


def test_what_was_odd_may_be_right_again_or_gone() -> None:
    learnt = Learnt(chunk({"content": []}, index="0"))
    assert learnt.choice(chunk(index=2)).index == 2
    assert learnt.choice({"choices": [{"delta": None}]}).index is None
    assert learnt.choice({"choices": [{}]}).delta is None
    assert learnt.decoder.decode(b'{"choices":null}') is not None
    assert learnt.log.deviations() == []


def test_content_in_parts_is_text_and_its_reasoning_stands_beside() -> None:
    parts = [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]
    learnt = Learnt(chunk({"content": parts}))
    found = learnt.decoder.decode(written(chunk({"content": parts})))
    assert found is not None
    assert found.choices is not None
    assert found.choices[0].delta is not None
    assert found.choices[0].delta.content == "Hi"
    assert found.unknown is not None
    assert found.unknown.choices[0].blocks == [Text("Hi"), Reasoning("Hm", "content")]
    assert [note.code for note in learnt.log.deviations()] == ["content-parts"]


def test_an_error_never_passes_for_a_member_that_is_odd() -> None:
    learnt = Learnt(chunk(error={}))
    assert learnt.choice(chunk(error="")).error is None
    assert learnt.decoder.decode(written(chunk(error={"message": "No."}))) is None


def test_what_cannot_be_read_as_a_whole_is_left_to_others() -> None:
    assert Learnt(chunk({"content": []})).decoder.decode(written(chunk({"content": [5]}))) is None


# In a stream.


def fed(values: list[dict[str, Any]]) -> OpenAIStreamReader:
    stream = OpenAIStreamReader()
    stream.feed(b"".join(b"data: " + written(value) + b"\n\n" for value in values) + b"data: [DONE]\n\n")
    return stream


def test_a_stream_notes_each_time_though_it_has_learnt() -> None:
    stream = fed([chunk(index="0")] * 3)
    assert stream.finish()[-1].choice == 0
    assert stream.response.text == "HiHiHi"
    assert stream.log.deviations()[0] == Deviation("choice-index-not-integer", "$.choices[0].index", 3)


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (chunk(index="0", error={"message": "No."}), StreamError),
        (chunk(index="0", finish_reason="error"), StreamError),
        (chunk({"content": ["Hi", 5]}, index="0"), MalformedResponseError),
    ],
)
def test_a_stream_that_has_learnt_still_sees_what_is_wrong(last: Any, error: type[ModelsError]) -> None:
    first = chunk({"content": ["Hi"]}, index="0", error={})
    stream = fed([first, first, last, first])
    assert type(stream.failed) is error
    assert stream.failed is not None
    assert stream.failed.partial is not None
    assert stream.failed.partial.text == ("HiHiHi5" if error is MalformedResponseError else "HiHiHi")


def learn_nothing(_assembly: ResponseAccumulator, _loose: AdaptiveDecoder) -> None:
    """In place of `ResponseAccumulator.loosen`."""


@settings(deadline=None)  # a deadline would judge the machine
@given(
    st.lists(mutations("openai/chunk").filter(lambda value: isinstance(value, dict)), min_size=1, max_size=3)
)
def test_a_stream_reads_the_same_whether_it_has_learnt_or_not(values: list[dict[str, Any]]) -> None:
    values = [chunk(), *values, *values]
    learnt = fed(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResponseAccumulator, "adapt", learn_nothing)
        taught = fed(values)
    assert repr(learnt.failed) == repr(taught.failed)
    assert learnt.response.choices == taught.response.choices
    if learnt.failed is None:
        assert learnt.log.deviations() == taught.log.deviations()


def test_what_is_read_again_for_an_error_notes_nothing_yet() -> None:
    learnt = Learnt(chunk(index="0", error={"code": 0, "message": ""}))
    value = chunk(index="0")
    value["choices"].append({"index": 1, "delta": {}, "error": {"message": "no"}})
    assert learnt.decoder.decode(written(value)) is None
    assert learnt.log.deviations() == []


def test_names_without_end_are_not_learnt_and_not_lost() -> None:
    values = [chunk(**{f"name_{number}_{place}": 1 for place in range(40)}) for number in range(3)]
    stream = fed(values)
    names = {name for value in values for name in value["choices"][0] if name.startswith("name_")}
    assert stream.response.choices[0].extra.keys() == names

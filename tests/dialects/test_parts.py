"""Pieces of the wire become pieces of the vocabulary, in every shape that servers send them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from botticelli.core.message import Text, ToolCall
from botticelli.core.response import (
    AudioOutput,
    Choice,
    CompletionTokens,
    FinishReason,
    PromptTokens,
    Reasoning,
    Refusal,
    ToolCalls,
    Usage,
)
from botticelli.dialects.openai import convert, wire
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import DeviationLog


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
        ("SAFETY", FinishReason.CONTENT_FILTER),
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
    ("spellings", "text"),
    [((), ""), (("a", "a"), "a"), (("a", "b", "a"), "ab"), ((None, msgspec.UNSET, 5, {"a": 1}, "x"), "x")],
)
def test_thinking_told_twice_is_told_once(spellings: Any, text: str) -> None:
    assert convert.join_reasoning(*spellings) == text


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        (None, None),
        ("x", None),
        ({"id": "a", "data": "ZA==", "transcript": "t", "expires_at": 5}, AudioOutput("a", "ZA==", "t", 5)),
        ({}, AudioOutput("", "", "")),
        ({"id": 7, "expires_at": True}, AudioOutput("7", "", "")),
        ({"expires_at": "5"}, AudioOutput("", "", "")),
    ],
)
def test_spoken_output_is_what_is_there_of_it(raw: Any, spoken: AudioOutput | None) -> None:
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
    return convert.build_choice(given.pop("index", 0), **given)


def test_the_parts_of_an_answer_have_a_fixed_order() -> None:
    spoken = AudioOutput("a", "", "")
    choice = built(
        calls=[ToolCall("", "f")], spoken=spoken, refusal="no", text="Hi", reasoning="hm", index=3,
        finish="stop", logprobs={"content": []}, annotations=[1],
    )  # fmt: skip
    assert choice == Choice(
        index=3,
        outputs=[Reasoning("hm"), Text("Hi"), Refusal("no"), spoken, ToolCalls([ToolCall("call_3_0", "f")])],
        finish_reason=FinishReason.STOP,
        finish_reason_raw="stop",
        logprobs={"content": []},
        annotations=[1],
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
    assert convert.split_content_parts(listed) == (text, thinking)


@pytest.mark.parametrize(
    ("members", "noted", "refused"),
    [
        ({}, False, True),
        ({"reasoning": "hm"}, False, True),
        ({"text": "Hi"}, True, False),
        ({"refusal": "no"}, True, False),
        ({"spoken": AudioOutput("a", "AA==", "")}, True, False),
        ({"spoken": AudioOutput("a", "", "Hi")}, True, False),
        ({"spoken": AudioOutput("a", "", "", 7)}, False, True),
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

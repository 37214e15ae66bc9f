"""Whole answers become responses, the odd ones like those that keep the format."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from botticelli.core.message import Text, ToolCall
from botticelli.core.response import AudioOutput, GenerateResponse, Reasoning, Refusal, ToolCalls
from botticelli.dialects.openai import wire
from botticelli.dialects.openai.response import build_response, is_rich, repair_response
from botticelli.protocol.deviations import DeviationLog

HEAD = {"id": "a1", "object": "chat.completion", "created": 1, "model": "m"}


def choice(index: Any = 0, content: Any = "Hi", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, "refusal": None, **message}
    return {"index": index, "finish_reason": finish, "logprobs": None, "message": said}


def read(*choices: Any, **members: Any) -> tuple[GenerateResponse, list[str]]:
    notes = DeviationLog()
    response = repair_response({**HEAD, "choices": list(choices), **members}, notes)
    return response, [found.code for found in notes.deviations()]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
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
        ({"tool_calls": [CALL]}, True),
        ({"audio": AUDIO}, True),
        ({"audio": None}, False),
        ({"annotations": [CITATION]}, True),
        ({"function_call": CALL["function"]}, True),
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
            tool_calls=[{**CALL, "sig": "x"}],
            audio=AUDIO,
            annotations=[CITATION],
            reasoning="hm",
        )
    )
    assert found == []
    assert response.outputs == [
        Reasoning("hm"),
        Text("Hi"),
        Refusal("no"),
        AudioOutput("s", "ZA==", "t", 1),
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
    [(None, 1), ([], 1), ([CALL], 1), ([{**CALL, "function": {"name": "g", "arguments": "{}"}}], 2)],
)
def test_a_call_in_the_old_words_counts_once(calls: Any, made: int) -> None:
    response, _ = read(choice(tool_calls=calls, function_call=CALL["function"]))
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

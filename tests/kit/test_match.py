"""The matchers: what fits yields nothing, what does not yields where, what and what instead."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.match import Mismatch, outcome, part, show, within

CHOICE: dict[str, Any] = {
    "index": 0,
    "text": "Hi",
    "reasoning": None,
    "refusal": None,
    "finish_reason": "stop",
    "finish_reason_raw": "eos",
    "tool_calls": [],
    "logprobs": {"content": [{"token": "Hi", "logprob": -0.1}]},
}
CALLS: list[dict[str, Any]] = [
    {"id": "c1", "type": "function", "name": "a", "arguments": '{"x": 1}'},
    {"id": "c2", "type": "function", "name": "b", "arguments": None},
]


def answer(**changes: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 5, "completion_tokens": None, "total_tokens": 7}
    whole: dict[str, Any] = {
        "choices": [CHOICE],
        "usage": usage,
        "id": "i",
        "model": "m",
        "request_id": None,
        "provider": "p",
        "rate_limits": {"requests": {"limit": 500}},
        "deviations": ["a", "b"],
        "chunks": ["H", "i"],
    }
    return {"response": {**whole, **changes}}


def found(expected: dict[str, Any], got: dict[str, Any], *, strict: bool = False) -> list[Mismatch]:
    return list(outcome(expected, got, strict_deviations=strict))


def paths(expected: dict[str, Any], got: dict[str, Any], *, strict: bool = False) -> list[str]:
    return [mismatch.path for mismatch in found(expected, got, strict=strict)]


RESPONSES: list[tuple[dict[str, Any], str | None]] = [
    ({"text": "Hi"}, None),
    ({"text": "hi"}, "/choices/0/text"),
    ({"text": {"any_of": ["Ho", "Hi"]}}, None),
    ({"text": {"any_of": ["Ho", "Hu"]}}, "/choices/0/text"),
    ({"text": {"contains": "i"}}, None),
    ({"text": {"contains": "o"}}, "/choices/0/text"),
    ({"text": {"repeat": 1, "of": "Hi"}}, None),
    ({"text": {"repeat": 2, "of": "Hi"}}, "/choices/0/text"),
    ({"reasoning": ""}, None),
    ({"reasoning": "x"}, "/choices/0/reasoning"),
    ({"refusal": "x"}, "/choices/0/refusal"),
    ({"finish_reason": "stop", "finish_reason_raw": "eos"}, None),
    ({"finish_reason": "length"}, "/choices/0/finish_reason"),
    ({"finish_reason_raw": None}, "/choices/0/finish_reason_raw"),
    ({"tool_calls": []}, None),
    ({"tool_calls": [{}]}, "/choices/0/tool_calls"),
    ({"logprobs": {"content": [{"token": "Hi"}]}}, None),
    ({"logprobs": {"content": [{"token": "Ha"}]}}, "/choices/0/logprobs/content/0/token"),
    ({"logprobs": {"content": []}}, "/choices/0/logprobs/content"),
    ({"logprobs": None}, "/choices/0/logprobs"),
    ({"choices": [{"index": 0, "text": "Hi"}]}, None),
    ({"choices": []}, "/choices"),
    ({"choices": [{"index": 1}]}, "/choices/0/index"),
    ({"usage": {"prompt_tokens": 5, "completion_tokens": None}}, None),
    ({"usage": {"prompt_tokens": 6}}, "/usage/prompt_tokens"),
    ({"usage": {"completion_tokens": 0}}, "/usage/completion_tokens"),
    ({"usage": None}, "/usage"),
    ({"id": "i", "model": "m", "provider": {"contains": "p"}, "request_id": None}, None),
    ({"request_id": "r"}, "/request_id"),
    ({"provider": None}, "/provider"),
    ({"rate_limits": {"requests": {}}}, None),
    ({"rate_limits": {"tokens": {}}}, "/rate_limits/tokens"),
    ({"deviations": ["b"]}, None),
    ({"deviations": ["c"]}, "/deviations"),
    ({"deviations": []}, "/deviations"),
    ({"min_chunks": 2}, None),
    ({"min_chunks": 3}, "/chunks"),
    ({}, None),
]


@pytest.mark.parametrize(("wanted", "path"), RESPONSES)
def test_a_response_fits_or_says_where_not(wanted: dict[str, Any], path: str | None) -> None:
    expected = [] if path is None else [f"/response{path}"]
    assert paths({"response": wanted}, answer()) == expected


def test_the_first_choice_is_the_one_with_index_0_not_the_first_in_the_list() -> None:
    other = {**CHOICE, "index": 1, "text": "other"}
    got = answer(choices=[other, CHOICE])
    assert paths({"response": {"text": "Hi"}}, got) == []
    assert paths({"response": {"text": "other"}}, got) == ["/response/choices/1/text"]
    assert paths({"response": {"text": "x"}}, answer(choices=[other])) == ["/response/choices"]


def test_deviations_of_a_driver_that_keeps_no_account_count_only_if_it_claims_to() -> None:
    got = answer(deviations=None)
    assert paths({"response": {"deviations": ["a"]}}, got) == []
    assert paths({"response": {"deviations": ["a"]}}, got, strict=True) == ["/response/deviations"]
    assert paths({"response": {"deviations": []}}, got, strict=True) == []


TOOL_CALLS: list[tuple[list[dict[str, Any]], str | None]] = [
    ([{"id": "c1", "name": "a", "type": "function"}, {}], None),
    ([{"arguments": '{"x": 1}'}, {"arguments": ""}], None),
    ([{"arguments": '{"x":1}'}, {}], "/0/arguments"),
    ([{"arguments": {"json": {"x": 1}}}, {}], None),
    ([{"arguments": {"json": {"x": True}}}, {}], "/0/arguments"),
    ([{}, {"arguments": {"json": None}}], "/1/arguments"),
    ([{"arguments": {"any_of": ["{}", '{"x": 1}']}}, {}], None),
    ([{"arguments": {"any_of": ["{}", "[]"]}}, {}], "/0/arguments"),
    ([{"id": {"present": True}}, {"name": "c"}], "/1/name"),
    ([{"type": "custom"}, {}], "/0/type"),
    ([{"id": "c2"}, {}], "/0/id"),
    ([{}], ""),
]


@pytest.mark.parametrize(("wanted", "path"), TOOL_CALLS)
def test_tool_calls(wanted: list[dict[str, Any]], path: str | None) -> None:
    got = answer(choices=[{**CHOICE, "tool_calls": CALLS}])
    expected = [] if path is None else [f"/response/choices/0/tool_calls{path}"]
    assert paths({"response": {"tool_calls": wanted}}, got) == expected


def test_an_id_that_must_be_there() -> None:
    got = answer(choices=[{**CHOICE, "tool_calls": [{**CALLS[0], "id": None}]}])
    wanted = {"response": {"tool_calls": [{"id": {"present": True}}]}}
    assert paths(wanted, got) == ["/response/choices/0/tool_calls/0/id"]


def test_tool_calls_in_any_order_are_each_used_once() -> None:
    got = answer(choices=[{**CHOICE, "tool_calls": CALLS}])
    free: dict[str, Any] = {"tool_calls_in_any_order": True}
    assert paths({"response": {"tool_calls": [{"id": "c2"}, {"id": "c1"}], **free}}, got) == []
    twice = {"response": {"tool_calls": [{"id": "c2"}, {"id": "c2"}], **free}}
    assert paths(twice, got) == ["/response/choices/0/tool_calls"]


def failed(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "kind": "rate_limit",
        "message": "slow down",
        "status": 429,
        "code": None,
        "retry_after": 1.5,
        "partial": None,
        "attempts": 2,
    }
    return {"error": {**whole, **changes}}


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({}, None),
        ({"kind": ["server", "rate_limit"]}, None),
        ({"kind": ["server"]}, "/kind"),
        ({"status": 429, "code": None, "attempts": 2}, None),
        ({"status": None}, "/status"),
        ({"code": "x"}, "/code"),
        ({"attempts": 3}, "/attempts"),
        ({"phase": "idle"}, "/phase"),
        ({"cause_kind": "server"}, "/cause_kind"),
        ({"retry_after": 1.505}, None),
        ({"retry_after": 1.52}, "/retry_after"),
        ({"retry_after": {"min": 1, "max": 2}}, None),
        ({"retry_after": {"min": 1.6}}, "/retry_after"),
        ({"retry_after": {"max": 1.4}}, "/retry_after"),
        ({"retry_after": None}, "/retry_after"),
        ({"message_contains": ["slow", "down"]}, None),
        ({"message_contains": ["slow", "fast"]}, "/message"),
        ({"message_lacks": ["fast"]}, None),
        ({"message_lacks": ["down"]}, "/message"),
        ({"message_max": 9}, None),
        ({"message_max": 8}, "/message"),
        ({"partial": None}, None),
        ({"partial": {"usage": None}}, "/partial"),
        ({"request_id": "x"}, "/request_id"),
    ],
)
def test_an_error_fits_or_says_where_not(wanted: dict[str, Any], path: str | None) -> None:
    expected = [] if path is None else [f"/error{path}"]
    assert paths({"error": {"kind": ["rate_limit"], **wanted}}, failed()) == expected


def test_partial_text_is_found_on_the_error_or_among_what_was_delivered() -> None:
    wanted = {"error": {"kind": ["rate_limit"], "partial": {"text": "Hi"}}}
    assert paths(wanted, failed(partial=answer()["response"])) == []
    assert paths(wanted, {**failed(), "partial_chunks": ["H", "i"]}) == []
    assert paths(wanted, {**failed(), "partial_chunks": ["H"]}) == ["/partial_chunks"]
    assert paths(wanted, failed()) == ["/partial_chunks"]
    other = answer(choices=[{**CHOICE, "text": "H"}])["response"]
    assert paths(wanted, failed(partial=other)) == ["/error/partial/choices/0/text"]


def test_nothing_delivered_means_no_text_anywhere() -> None:
    wanted = {"error": {"kind": ["rate_limit"], "partial": None}}
    empty = answer(choices=[{**CHOICE, "text": ""}])["response"]
    assert paths(wanted, failed(partial=empty)) == []
    assert paths(wanted, failed(partial=answer()["response"])) == ["/error/partial"]
    assert paths(wanted, {**failed(), "partial_chunks": ["H"]}) == ["/error/partial"]


def test_another_kind_of_outcome_is_told_as_a_whole() -> None:
    [mismatch] = found({"error": {"kind": ["server"]}}, answer())
    assert (mismatch.path, mismatch.expected) == ("", "error")
    assert mismatch.got.startswith('response with {"index": 0, "text": "Hi"')
    [mismatch] = found({"response": {}}, failed())
    assert mismatch.got.startswith('error {"kind": "rate_limit"')
    [mismatch] = found({"response": {}}, {"cancelled": True})
    assert mismatch.got == "cancelled"
    [mismatch] = found({"cancelled": {}}, answer(choices=[]))
    assert mismatch.got == "response with no choice"


def test_models_and_cancellation() -> None:
    assert paths({"models": ["a", "b"]}, {"models": ["a", "b"]}) == []
    assert paths({"models": ["a", "b"]}, {"models": ["b", "a"]}) == ["/models"]
    assert paths({"cancelled": {}}, {"cancelled": True}) == []
    wanted = {"cancelled": {"min_chunks": 1}}
    assert paths(wanted, {"cancelled": True}) == ["/partial_chunks"]
    assert paths(wanted, {"cancelled": True, "partial_chunks": ["a"]}) == []


def test_part_escapes_its_pointers_and_compares_lists_whole() -> None:
    [mismatch] = part({"a/b~c": 1}, {"a/b~c": 2}, "")
    assert mismatch == Mismatch("/a~1b~0c", "1", "2")
    assert [m.path for m in part([{"a": 1}, 2], [{"a": 1, "b": 2}, 3], "")] == ["/1"]
    assert [m.path for m in part([1], [1, 2], "/x")] == ["/x"]
    assert list(part({"a": {"b": 1}}, {"a": 1}, "")) == [Mismatch("/a", '{"b": 1}', "1")]
    assert list(part({"a": 1}, {}, "")) == [Mismatch("/a", "1", "nothing")]


def test_within_says_its_bounds() -> None:
    assert list(within({"min": 1, "max": 2}, 1.0, "/x", "s")) == []
    assert list(within({"min": 1, "max": 2}, 2.0, "/x", "s")) == []
    [mismatch] = within({"min": 1, "max": 2}, 0.12345, "/x", "s")
    assert mismatch == Mismatch("/x", "at least 1, at most 2 s", "0.123 s")
    [mismatch] = within({"max": 0}, 3, "/x")
    assert mismatch == Mismatch("/x", "at most 0", "3")


def test_show_is_printable_and_not_endless() -> None:
    assert show("é\u2028\ud83d") == '"é\\u2028\\ud83d"'
    long = show("a" * 1000)
    assert len(long) < 450
    assert long.startswith('"aaa')
    assert "[... 1002 characters]" in long

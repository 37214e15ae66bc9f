"""Invariants: what every outcome must keep, whatever its case expects."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.judge.laws import check_response, key_leaks, missing_fields
from botticelli.kit.judge.secrets import Secrets


def response(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    listed = [{"index": number, "text": "", **choice} for number, choice in enumerate(choices)]
    return {"choices": listed, **more}


def error(partial: dict[str, Any] | None, *chunks: str) -> dict[str, Any]:
    return {"error": {"kind": "server", "partial": partial}, "partial_chunks": list(chunks)}


def paths(
    got: dict[str, Any], operation: str = "generate", *, usage_sent: bool = True, n: int = 1
) -> list[str]:
    return [difference.path for difference in check_response(operation, got, usage_sent=usage_sent, n=n)]


def call(name: str | None) -> dict[str, Any]:
    return {"id": name, "name": "f", "arguments": ""}


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (response(), None),
        (response({}, {}), None),
        (response({"index": 3}, {"index": 7}), None),
        (response({"index": 1}, {"index": 0}), "/choices"),
        (response({"index": 1}, {"index": 1}), "/choices"),
        (response({"index": None}, {"index": None}), None),
        (response({"index": 1}, {"index": None}), "/choices"),
        (response({}, {"tool_calls": [call("a"), call("b")]}), None),
        (response({}, {"tool_calls": [call("a"), call("a")]}), "/choices/1/tool_calls"),
        (response({"tool_calls": [call("a")]}, {"tool_calls": [call("a")]}), None),
        # What has no id is not the same as something else that has none.
        (response({"tool_calls": [call(None), call(None)]}), None),
    ],
)
def test_parts_of_an_answer_can_be_distinguished(answer: dict[str, Any], path: str | None) -> None:
    assert paths({"response": answer}) == ([] if path is None else [f"/response{path}"])
    assert paths(error(answer)) == ([] if path is None else [f"/error/partial{path}"])


@pytest.mark.parametrize(
    ("usage", "right"), [(None, True), ({"total_tokens": None}, True), ({"total_tokens": 0}, False)]
)
def test_no_usage_where_none_was_sent(usage: dict[str, Any] | None, *, right: bool) -> None:
    answer = response({}, usage=usage)
    assert paths({"response": answer}, usage_sent=False) == ([] if right else ["/response/usage"])
    assert paths(error(answer), usage_sent=False) == ([] if right else ["/error/partial/usage"])
    assert paths({"response": answer}) == []


@pytest.mark.parametrize(
    ("texts", "chunks", "right"),
    [
        (["ba"], ["b", "a"], True),
        (["ba"], ["ba"], True),
        (["ba"], ["a", "b"], False),
        (["ba"], ["b"], False),
        (["ba"], ["b", "a", "b"], False),
        ([None], [], True),
        ([], [], True),
        ([], ["b"], False),
        # Chunks don't say which of several choices they belong to.
        (["ba", "c"], ["c", "b", "a"], True),
        (["ba", "c"], ["b", "a"], False),
        (["ba", "c"], ["c", "b", "a", "a"], False),
    ],
)
def test_what_was_delivered_is_the_text(texts: list[str | None], chunks: list[str], *, right: bool) -> None:
    answer = response(*({"text": text} for text in texts))
    whole = {"response": {**answer, "chunks": chunks, "final_chunks": 1}}
    assert paths(whole, "stream", n=2) == ([] if right else ["/response/chunks"])
    assert paths(error(answer, *chunks), "stream", n=2) == ([] if right else ["/partial_chunks"])
    # Outside a stream nothing is delivered.
    assert paths({"response": answer}) == paths(error(answer)) == []


@pytest.mark.parametrize(
    ("chunks", "right"), [(["ba"], True), (["c", "ba"], True), (["c"], False), (["b"], False)]
)
def test_choices_that_nobody_asked_for_may_be_left_out_of_the_chunks(
    chunks: list[str], *, right: bool
) -> None:
    answer = response({"text": "ba"}, {"text": "c"}, chunks=chunks, final_chunks=1)
    assert paths({"response": answer}, "stream") == ([] if right else ["/response/chunks"])


def test_chunks_say_nothing_of_an_error_that_carries_no_answer() -> None:
    assert paths(error(None, "b"), "stream") == []


@pytest.mark.parametrize("count", [0, 2])
def test_one_chunk_is_the_last(count: int) -> None:
    answer = response({"text": "b"}, chunks=["b"])
    assert paths({"response": {**answer, "final_chunks": 1}}, "stream") == []
    assert paths({"response": {**answer, "final_chunks": count}}, "stream") == ["/response/final_chunks"]


def left_out(operation: str, got: dict[str, Any], *claims: str) -> list[str]:
    return [difference.path for difference in missing_fields(operation, got, frozenset(claims))]


def test_members_that_a_stream_leaves_out() -> None:
    whole: dict[str, Any] = {"response": {"choices": [], "chunks": [], "final_chunks": 1}}
    assert left_out("stream", whole) == []
    bare: dict[str, Any] = {"response": {"choices": []}}
    assert left_out("stream", bare) == ["/response/chunks", "/response/final_chunks"]
    assert left_out("generate", bare) == []
    assert left_out("stream", {"error": {}}) == []


def test_a_driver_that_claims_words_for_the_end_has_one() -> None:
    got = {"response": response({"finish_reason": "stop"}, {"finish_reason": None})}
    assert left_out("generate", got) == []
    assert left_out("generate", got, "finish_words") == ["/response/choices/1/finish_reason"]
    assert left_out("generate", {"error": {"partial": got["response"]}}, "finish_words") == []


def test_a_secret_is_found_in_any_text_and_any_name() -> None:
    got = {"a": ["no", {"b/c": "my key"}], "key": {"d": "KEY"}, "e": 1, "f": None}
    found = list(key_leaks(Secrets({"key", "other"}), got))
    assert [difference.path for difference in found] == ["/a/1/b~1c", ""]
    assert list(key_leaks(Secrets(()), got)) == []


@pytest.mark.parametrize(
    ("blocks", "right"),
    [
        (None, True),
        ([("reasoning", "hm"), ("text", "H"), ("tool_calls", 2), ("text", "i"), ("audio", "x")], True),
        ([("text", "Hi"), ("reasoning", "hm"), ("tool_calls", 1), ("tool_calls", 1)], True),
        ([("reasoning", "hm"), ("tool_calls", 2)], False),
        ([("reasoning", "hm"), ("text", "iH"), ("tool_calls", 2)], False),
        ([("reasoning", "hm"), ("text", "Hi"), ("tool_calls", 2), ("refusal", "no")], False),
        ([("text", "Hi"), ("tool_calls", 2)], False),
        ([("reasoning", "hm"), ("text", "Hi"), ("tool_calls", 1)], False),
        ([("reasoning", "hm"), ("text", "Hi")], False),
    ],
)
def test_blocks_hold_what_the_other_members_say(blocks: list[tuple[str, Any]] | None, *, right: bool) -> None:
    content: list[dict[str, Any]] | None = None
    if blocks is not None:
        content = [{"type": kind, "text" if isinstance(v, str) else "count": v} for kind, v in blocks]
    calls = [{"id": name, "name": "f", "arguments": None} for name in "ab"]
    choice = {"text": "Hi", "reasoning": "hm", "refusal": None, "tool_calls": calls, "content": content}
    answer = response(choice)
    assert paths({"response": answer}) == ([] if right else ["/response/choices/0/content"])
    assert paths(error(answer)) == ([] if right else ["/error/partial/choices/0/content"])

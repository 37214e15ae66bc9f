"""The kit's own accumulator: what it makes of the chunks that a client hands out."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.judge.accumulate import assembled, neutral_word

NOBODY = frozenset[str]()


def whole(*events: dict[str, Any], n: int = 1) -> dict[str, Any]:
    outcome = assembled({"response": {"events": [*events], "request_id": "r"}}, NOBODY, n)
    assert outcome["response"]["request_id"] == "r"
    assert outcome["response"]["final_chunks"] == 1
    assert "events" not in outcome["response"]
    response: dict[str, Any] = outcome["response"]
    return response


def delta(index: int | None = 0, finish: object = None, **members: Any) -> dict[str, Any]:
    own = {} if index is None else {"index": index}
    return {"choices": [{**own, "delta": members, "finish_reason": finish}]}


def tool(
    index: int | None = None, own: str | None = None, name: str | None = None, arguments: Any = None
) -> Any:
    fragment: dict[str, Any] = {} if index is None else {"index": index}
    return {**fragment, "id": own, "function": {"name": name, "arguments": arguments}}


def calls(*fragments: Any) -> list[tuple[str | None, str | None, str | None]]:
    [choice] = whole(*(delta(tool_calls=[*one] if isinstance(one, list) else [one]) for one in fragments))[
        "choices"
    ]
    return [(one["id"], one["name"], one["arguments"]) for one in choice["tool_calls"]]


def test_texts_are_joined_and_told_one_by_one() -> None:
    response = whole(
        {"id": "", "model": "m", "choices": [{"index": 0, "delta": {"content": ""}}]},
        {"id": "i", "model": "other", **delta(content="H", refusal="n")},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": True, "total_tokens": -1}},
        delta(content="i", reasoning_content="hm", reasoning="hm", refusal="o", finish="stop"),
        delta(content=None, refusal=None),
        {"id": 7, "choices": None, "usage": None},
    )
    assert response["chunks"] == ["H", "i"]
    [choice] = response["choices"]
    assert choice == {
        "index": 0,
        "text": "Hi",
        "reasoning": "hm",
        "refusal": "no",
        "finish_reason": "stop",
        "finish_reason_raw": "stop",
        "tool_calls": [],
        "logprobs": None,
    }
    assert (response["id"], response["model"]) == ("i", "m")
    assert response["usage"] == {"prompt_tokens": 1, "completion_tokens": None, "total_tokens": None}


def test_contents_may_come_in_parts() -> None:
    [choice] = whole(
        delta(content=[{"type": "thinking", "thinking": [{"text": "h"}, {}]}, {"type": "text", "text": "H"}]),
        delta(content=[{"type": "thinking", "thinking": "m"}, {"type": "text", "text": "i"}, 7]),
        delta(content=7),
    )["choices"]
    assert (choice["text"], choice["reasoning"]) == ("Hi", "hm")


def test_a_message_counts_where_no_delta_brought_a_text() -> None:
    message = {"message": {"content": "Hi"}}
    assert whole({"choices": [message]})["choices"][0]["text"] == "Hi"
    assert whole(delta(content="Hi"), {"choices": [message]})["choices"][0]["text"] == "Hi"


def test_choices_keep_their_index_or_their_place() -> None:
    two = {"choices": [{"delta": {"content": "a"}}, {"index": "x", "delta": {"content": "b"}}]}
    for events in ((delta(1, content="b"), delta(0, content="a")), (two,)):
        response = whole(*events, n=2)
        assert [(one["index"], one["text"]) for one in response["choices"]] == [(0, "a"), (1, "b")]
        assert sorted(response["chunks"]) == ["a", "b"]
        assert whole(*events)["chunks"] == ["a"]


A1, A12, B2 = ("a", "f", "1"), ("a", "f", "12"), ("b", "f", "2")


@pytest.mark.parametrize(
    ("fragments", "right"),
    [
        ([tool(0, *A1), tool(0, None, None, "2")], [A12]),
        ([tool(0, *A1), tool(1, *B2), tool(0, arguments="2")], [A12, B2]),
        # Without an index: by the id, else the last one, unless a name begins another.
        ([tool(None, *A1), tool(None, *B2), tool(None, "a", None, "2")], [A12, B2]),
        ([tool(None, *A1), tool(arguments="2")], [A12]),
        ([tool(name="f", arguments="1"), tool(None, "a", None, "2")], [A12]),
        ([tool(name="f", arguments="1"), tool(None, *B2)], [(None, *A1[1:]), B2]),
        (
            [[tool(name="f", arguments="1"), tool(name="f", arguments="2")]],
            [(None, *A1[1:]), (None, *B2[1:])],
        ),
        ([tool(arguments="1"), tool(name="f", arguments="2")], [(None, *A12[1:])]),
        # Under one index: another id and a name begin another call, another id alone doesn't.
        ([tool(0, *A1), tool(0, *B2), tool(0, None, None, "3")], [A1, ("b", "f", "23")]),
        ([tool(0, *A1), tool(0, "b", None, "2")], [A12]),
        ([tool(0, *A1), tool(0, *B2), tool(0, "a", None, "2")], [A12, B2]),
        # Ids and names that every chunk repeats, that are empty, late or in pieces.
        ([tool(0, *A1), tool(0, "a", "f", "2")], [A12]),
        ([tool(0, *A1), tool(0, "", "", "2")], [A12]),
        ([tool(0, None, None, "1"), tool(0, "a", "f", "2")], [A12]),
        ([tool(0, "a", "get_", ""), tool(0, None, "it")], [("a", "get_it", "")]),
        # Arguments that are an object, or never come.
        ([tool(0, "a", "f", {"x": "é"})], [("a", "f", '{"x": "é"}')]),
        ([tool(0, "a", "f")], [("a", "f", None)]),
    ],
)
def test_the_parts_of_calls_find_each_other(fragments: list[Any], right: list[Any]) -> None:
    assert calls(*fragments) == right


def test_calls_of_other_sorts_are_kept() -> None:
    custom = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}
    [choice] = whole(delta(tool_calls=[custom]))["choices"]
    assert choice["tool_calls"] == [{"id": "a", "type": "custom", "name": "f", "arguments": "x"}]
    old = [{"name": "f", "arguments": "1"}, {"arguments": "2"}]
    [choice] = whole(*(delta(function_call=one) for one in old))["choices"]
    assert choice["tool_calls"] == [{"id": None, "type": None, "name": "f", "arguments": "12"}]


def test_log_probabilities_are_joined() -> None:
    def chunk(logprobs: object) -> dict[str, Any]:
        return {"choices": [{"index": 0, "logprobs": logprobs}]}

    told = [{"content": [1], "refusal": None}, None, {"content": [2], "refusal": [3]}]
    [choice] = whole(*map(chunk, told))["choices"]
    assert choice["logprobs"] == {"content": [1, 2], "refusal": [3]}


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("MAX_TOKENS", "length"),
        ("tool_calls", "tool_use"),
        ("SAFETY", "content_filter"),
        ("new_word", "other"),
        (None, "other"),
        ({"type": "stop"}, "other"),
    ],
)
def test_the_words_for_the_end_are_translated(raw: object, word: str) -> None:
    assert neutral_word(raw) == word


def test_what_broke_off_is_a_partial_answer() -> None:
    events = [delta(content="H"), delta(1, finish="stop")]
    lost = assembled({"error": {"kind": "server", "message": "no"}, "partial_events": events}, NOBODY)
    assert lost["partial_chunks"] == ["H"]
    assert [one["finish_reason"] for one in lost["error"]["partial"]["choices"]] == [None, "stop"]
    assert "partial_events" not in lost
    left = assembled({"cancelled": True, "partial_events": events}, NOBODY)
    assert left == {"cancelled": True, "partial_chunks": ["H"]}
    nothing = assembled({"error": {"kind": "server", "message": "no"}, "partial_events": []}, NOBODY)
    assert nothing == {"error": {"kind": "server", "message": "no"}, "partial_chunks": []}


def test_without_words_of_its_own_a_client_is_judged_by_the_raw_ones() -> None:
    choices = [{"index": 0, "finish_reason": "length", "finish_reason_raw": "stop"}]
    claimed = {"response": {"choices": choices}}
    assert assembled(claimed, frozenset({"finish_words"})) == claimed
    [choice] = assembled(claimed, NOBODY)["response"]["choices"]
    assert choice["finish_reason"] == "stop"
    untold = {"response": {"choices": [{"index": 0, "finish_reason": None}]}}
    assert assembled(untold, NOBODY) == untold

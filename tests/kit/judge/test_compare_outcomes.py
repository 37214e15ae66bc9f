"""Outcomes compared with what a case expects, and the JSON matchers that this uses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.kit.judge.compare import (
    REPORTED,
    Difference,
    compare_outcome,
    compare_part,
    compare_range,
    compare_text,
    delta_level,
    show,
)
from botticelli.kit.judge.gravity import Gravity

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
        "inference_provider": "p",
        "rate_limits": {"requests": {"limit": 500}},
        "deviations": ["a", "b"],
        "chunks": ["H", "i"],
    }
    return {"response": {**whole, **changes}}


def found(expected: dict[str, Any], got: dict[str, Any], *, strict: bool = False) -> list[Difference]:
    return list(compare_outcome(expected, got, claims=REPORTED if strict else frozenset()))


def paths(expected: dict[str, Any], got: dict[str, Any], *, strict: bool = False) -> list[str]:
    return [difference.path for difference in found(expected, got, strict=strict)]


RESPONSES: list[tuple[dict[str, Any], str | None]] = [
    ({"text": "hi"}, "/choices/0/text"),
    ({"text": {"any_of": ["Ho", "Hi"]}}, None),
    ({"text": {"any_of": ["Ho", "Hu"]}}, "/choices/0/text"),
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
    ({"usage": {"prompt_tokens": 5, "completion_tokens": None}}, None),
    ({"usage": {"prompt_tokens": 6}}, "/usage/prompt_tokens"),
    ({"usage": {"completion_tokens": 0}}, "/usage/completion_tokens"),
    ({"usage": None}, "/usage"),
    ({"id": "i", "model": "m", "inference_provider": {"contains": "p"}, "request_id": None}, None),
    ({"request_id": "r"}, "/request_id"),
    ({"inference_provider": None}, "/inference_provider"),
    ({"rate_limits": {"requests": {}}}, None),
    ({"rate_limits": {"tokens": {}}}, "/rate_limits/tokens"),
    ({"deviations": ["b", "a"]}, None),
    ({"deviations": ["b"]}, "/deviations"),
    ({"deviations": ["a", "b", "b"]}, "/deviations"),
    ({"deviations": ["a", "b", "c"]}, "/deviations"),
    ({"min_chunks": 2}, None),
    ({"min_chunks": 3}, "/chunks"),
    ({"chunks_text": "Hello"}, "/chunks"),
    ({}, None),
]


@pytest.mark.parametrize(("wanted", "path"), RESPONSES)
def test_a_response_fits_or_says_where_not(wanted: dict[str, Any], path: str | None) -> None:
    expected = [] if path is None else [f"/response{path}"]
    assert paths({"response": {"text": "Hi", **wanted}}, answer(), strict=True) == expected


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ([{"index": 0, "text": "Hi"}], None),
        ([{"text": "Hi"}], None),
        ([], ""),
        ([{"index": 1, "text": "Hi"}], "/0/index"),
        ([{"text": "Hi"}, {"text": "Ho"}], ""),
    ],
)
def test_several_choices_fit_one_by_one(wanted: list[dict[str, Any]], path: str | None) -> None:
    expected = [] if path is None else [f"/response/choices{path}"]
    assert paths({"response": {"choices": wanted}}, answer()) == expected


@pytest.mark.parametrize(
    ("ghost", "path"),
    [
        ({"text": "Hi"}, "/text"),
        ({"reasoning": "let me see"}, "/reasoning"),
        ({"refusal": "no"}, "/refusal"),
        ({"tool_calls": CALLS[:1]}, "/tool_calls"),
    ],
)
def test_content_that_the_case_does_not_mention_is_a_difference(ghost: dict[str, Any], path: str) -> None:
    for silence in ({"text": None}, {"text": ""}):
        choice = {**CHOICE, **silence}
        assert paths({"response": {}}, answer(choices=[choice])) == []
        got = answer(choices=[choice | ghost])
        assert paths({"response": {}}, got) == [f"/response/choices/0{path}"]
        assert paths({"response": {"choices": [{}]}}, got) == [f"/response/choices/0{path}"]
        wanted: dict[str, Any] = {"error": {"kind": ["server"], "partial": {}}}
        lost = {
            **failed(kind="server"),
            "error": {**failed(kind="server")["error"], "partial": got["response"]},
        }
        assert paths(wanted, lost) == [f"/error/partial/choices/0{path}"]


@pytest.mark.parametrize(
    "choices",
    [[], [CHOICE, {**CHOICE, "index": 1}], [{**CHOICE, "index": 1}]],
    ids=["none", "two", "another"],
)
def test_one_choice_with_index_0_is_wanted_where_none_is_mentioned(choices: list[dict[str, Any]]) -> None:
    [difference] = found({"response": {"text": "Hi"}}, answer(choices=choices))
    assert difference.path in ("/response/choices", "/response/choices/0/index")


def test_deviations_of_a_driver_that_keeps_no_account_count_only_if_it_claims_to() -> None:
    got = answer(deviations=None)
    some, none = ({"response": {"text": "Hi", "deviations": codes}} for codes in (["a"], []))
    assert paths(some, got) == []
    assert paths(some, got, strict=True) == ["/response/deviations"]
    assert paths(none, got, strict=True) == []
    partial = {"error": {"kind": ["rate_limit"], "partial": some["response"]}}
    lost = failed(partial=got["response"])
    assert paths(partial, lost) == []
    assert paths(partial, lost, strict=True) == ["/error/partial/deviations"]


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
    assert paths({"response": {"text": "Hi", "tool_calls": wanted}}, got, strict=True) == expected


@pytest.mark.parametrize(
    ("sent", "given", "is_right"),
    [
        ('{"x": 1}', '{"x":1}', True),
        ('{"x": "é"}', '{"x":"\\u00e9"}', True),
        ('{"x": 1}', '{"x":2}', False),
        ('{"x": 1}', '{"x": 1', False),
        ('{"x": 1', '{"x": 1', True),
        ('{"x": 1', '{"x": 1}', False),
        ("", "{}", False),
    ],
)
def test_arguments_that_a_client_hands_out_parsed_are_compared_as_json(
    sent: str, given: str, is_right: bool
) -> None:
    wanted = {"response": {"text": "Hi", "tool_calls": [{"arguments": sent}]}}
    got = answer(choices=[{**CHOICE, "tool_calls": [{**CALLS[0], "arguments": given}]}])
    assert (paths(wanted, got) == []) == is_right
    assert (paths(wanted, got, strict=True) == []) == (sent == given), "raw_arguments is claimed"


def test_arguments_that_no_reader_goes_down_to_are_not_the_value() -> None:
    deep = {**CALLS[0], "arguments": "[" * 200_000 + "]" * 200_000}
    wanted: dict[str, Any] = {"response": {"text": "Hi", "tool_calls": [{"arguments": {"json": [[]]}}]}}
    assert paths(wanted, answer(choices=[{**CHOICE, "tool_calls": [deep]}])) == [
        "/response/choices/0/tool_calls/0/arguments"
    ]


def test_an_id_that_must_be_there() -> None:
    got = answer(choices=[{**CHOICE, "tool_calls": [{**CALLS[0], "id": None}]}])
    wanted = {"response": {"text": "Hi", "tool_calls": [{"id": {"present": True}}]}}
    assert paths(wanted, got) == ["/response/choices/0/tool_calls/0/id"]


ANY_ORDER: list[tuple[list[dict[str, Any]], bool]] = [
    ([{"id": "c2"}, {"id": "c1"}], True),
    ([{"id": "c2"}, {"id": "c2"}], False),
    # The first fit of the first is the only fit of the second.
    ([{}, {"id": "c1"}], True),
    ([{"id": {"present": True}}, {"name": "a"}], True),
    ([{}, {"id": "c3"}], False),
]


@pytest.mark.parametrize(("wanted", "fits"), ANY_ORDER)
def test_tool_calls_in_any_order_are_each_used_once(wanted: list[dict[str, Any]], *, fits: bool) -> None:
    got = answer(choices=[{**CHOICE, "tool_calls": CALLS}])
    free = {"response": {"text": "Hi", "tool_calls": wanted, "tool_calls_in_any_order": True}}
    assert paths(free, got) == ([] if fits else ["/response/choices/0/tool_calls"])


@settings(deadline=None, database=None)
@given(st.permutations(range(5)), st.permutations(range(5)))
def test_a_pairing_is_found_whenever_there_is_one(wanted: list[int], got: list[int]) -> None:
    # Call n fits whoever mentions the first n of five things or fewer: only one pairing is right.
    names = "abcde"
    made = [{"id": f"c{n}", "name": "f", "arguments": names[: n + 1]} for n in got]
    asked = [{"arguments": {"any_of": [names[: k + 1] for k in range(n + 1)] + ["", "x"]}} for n in wanted]
    free = {"response": {"text": "Hi", "tool_calls": asked, "tool_calls_in_any_order": True}}
    assert paths(free, answer(choices=[{**CHOICE, "tool_calls": made}])) == []


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
        ({"request_id": "x"}, "/request_id"),
    ],
)
def test_an_error_fits_or_says_where_not(wanted: dict[str, Any], path: str | None) -> None:
    expected = [] if path is None else [f"/error{path}"]
    assert paths({"error": {"kind": ["rate_limit"], **wanted}}, failed(), strict=True) == expected


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("attempts", 1, 2),
        ("phase", "idle", "total"),
        ("code", "a", "b"),
        ("code", 1, "1"),
        ("retry_after", 7, 8),
        ("request_id", "r", "s"),
    ],
)
def test_an_account_is_judged_when_it_is_kept_or_claimed(name: str, right: object, wrong: object) -> None:
    expected = {"error": {"kind": ["timeout"], name: right}}

    def reporting(value: object) -> dict[str, Any]:
        return {"error": {"kind": "timeout", "message": "m", name: value}}

    assert paths(expected, reporting(right)) == paths(expected, reporting(None)) == []
    assert paths(expected, reporting(wrong)) == [f"/error/{name}"]
    assert paths(expected, reporting(None), strict=True) == [f"/error/{name}"]


def lost(partial: dict[str, Any] | None, *delivered: str) -> dict[str, Any]:
    return {**failed(partial=partial), "partial_chunks": list(delivered)}


def test_partial_text_is_found_on_the_error_or_among_what_was_delivered() -> None:
    wanted = {"error": {"kind": ["rate_limit"], "partial": {"text": "Hi"}}}
    assert paths(wanted, failed(partial=answer()["response"])) == []
    assert paths(wanted, lost(None, "H", "i")) == []
    assert paths(wanted, lost(None, "i", "H")) == ["/partial_chunks"]
    assert paths(wanted, lost(None, "H")) == ["/partial_chunks"]
    assert paths(wanted, failed()) == ["/partial_chunks"]
    other = answer(choices=[{**CHOICE, "text": "H"}])["response"]
    assert paths(wanted, failed(partial=other)) == ["/error/partial/choices/0/text"]


@pytest.mark.parametrize("more", [{"finish_reason": "length"}, {"usage": None}, {"id": "i"}])
def test_what_was_delivered_stands_for_a_text_alone(more: dict[str, Any]) -> None:
    wanted = {"error": {"kind": ["rate_limit"], "partial": {"text": "Hi", **more}}}
    assert paths(wanted, lost(None, "Hi"), strict=True) == ["/error/partial"]
    # Of a driver whose errors carry no answer, what is more than the text isn't judged.
    assert paths(wanted, lost(None, "Hi")) == []
    assert paths(wanted, lost(None, "H")) == ["/partial_chunks"]
    two = {"error": {"kind": ["rate_limit"], "partial": {"choices": [{"text": "H"}, {"text": "i"}]}}}
    assert paths(two, lost(None, "Hi")) == []
    assert paths(two, lost(None, "Hi"), strict=True) == ["/error/partial"]


def test_outside_a_stream_an_error_carries_what_was_read_or_the_driver_does_not_claim_it() -> None:
    wanted = {"error": {"kind": ["rate_limit"], "partial": {"text": "Hi"}}}
    got = failed()

    def differences(claims: frozenset[str], got: dict[str, Any]) -> list[str]:
        return [one.path for one in compare_outcome(wanted, got, claims=claims, streamed=False)]

    assert differences(frozenset(), got) == []
    assert differences(REPORTED, got) == ["/partial_chunks"]
    other = answer(choices=[{**CHOICE, "text": "H"}])["response"]
    assert differences(frozenset(), failed(partial=other)) == ["/error/partial/choices/0/text"]


@pytest.mark.parametrize(
    ("name", "claim"),
    [("request_id", "request_id"), ("inference_provider", "provider")],
)
def test_what_only_some_drivers_tell_of_an_answer_is_judged_when_it_is_there_or_claimed(
    name: str, claim: str
) -> None:
    wanted = {"response": {"text": "Hi", name: "a"}}
    assert paths(wanted, answer(**{name: "a"})) == paths(wanted, answer(**{name: None})) == []
    assert paths(wanted, answer(**{name: "b"})) == [f"/response/{name}"]
    [difference] = compare_outcome(wanted, answer(**{name: None}), claims=frozenset({claim}))
    assert difference.path == f"/response/{name}"


def test_a_driver_without_neutral_words_is_judged_by_the_servers() -> None:
    wanted = {"response": {"text": "Hi", "finish_reason": "stop", "finish_reason_raw": "eos"}}
    raw = {**CHOICE, "finish_reason": None}
    assert paths(wanted, answer(choices=[raw])) == []
    assert paths(wanted, answer(choices=[{**raw, "finish_reason_raw": "stop"}])) == [
        "/response/choices/0/finish_reason_raw"
    ]
    place = ["/response/choices/0/finish_reason"]
    assert paths(wanted, answer(choices=[raw]), strict=True) == place
    assert paths(wanted, answer(choices=[{**raw, "finish_reason": "length"}])) == place


def test_a_choice_without_an_index_has_its_place_for_one() -> None:
    unnumbered = answer(choices=[{**CHOICE, "index": None}, {**CHOICE, "index": None, "text": "Ho"}])
    right = [{"index": 0, "text": "Hi"}, {"index": 1, "text": "Ho"}]
    assert paths({"response": {"choices": right}}, unnumbered) == []
    wrong = [right[0], {"index": 3, "text": "Ho"}]
    assert paths({"response": {"choices": wrong}}, unnumbered) == ["/response/choices/1/index"]
    assert paths({"response": {"text": "Hi"}}, answer(choices=[{**CHOICE, "index": None}])) == []


def test_a_usage_of_nulls_is_none() -> None:
    nulls: dict[str, Any] = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
    for wanted in (None, nulls):
        for got in (None, nulls, {}):
            assert paths({"response": {"text": "Hi", "usage": wanted}}, answer(usage=got)) == []
        some = answer(usage={**nulls, "total_tokens": 0})
        assert paths({"response": {"text": "Hi", "usage": wanted}}, some) == ["/response/usage"]
    asked = {"response": {"text": "Hi", "usage": {"total_tokens": 7}}}
    assert paths(asked, answer(usage=nulls)) == ["/response/usage"]


def test_a_tool_call_need_not_say_its_type() -> None:
    wanted = {"response": {"text": "Hi", "tool_calls": [{"type": "function", "name": "a"}]}}
    for silent in ({**CALLS[0], "type": None}, {k: v for k, v in CALLS[0].items() if k != "type"}):
        assert paths(wanted, answer(choices=[{**CHOICE, "tool_calls": [silent]}])) == []
    other = answer(choices=[{**CHOICE, "tool_calls": [{**CALLS[0], "type": "custom"}]}])
    assert paths(wanted, other) == ["/response/choices/0/tool_calls/0/type"]


def test_chunk_by_chunk_a_stream_says_texts_and_its_end() -> None:
    choice = {**CHOICE, "tool_calls": CALLS, "content": []}
    kept = {name: choice[name] for name in ("index", "text", "reasoning", "refusal")}
    kept |= {name: choice[name] for name in ("finish_reason", "finish_reason_raw")}
    response = answer(choices=[choice])["response"]
    gone = ("usage", "id", "model")
    reduced = {**{k: v for k, v in response.items() if k not in gone}, "choices": [kept]}
    assert delta_level({"response": response}) == {"response": reduced}
    assert delta_level(lost(response, "a")) == lost(reduced, "a")
    others: list[dict[str, Any]] = [lost(None, "a"), {"cancelled": True}, {"models": []}]
    for whole in others:
        assert delta_level(whole) == whole
    wanted: dict[str, Any] = {"text": "Hi", "tool_calls": [], "tool_calls_in_any_order": True, "usage": None}
    assert delta_level({"response": wanted}) == {"response": {"text": "Hi"}}
    assert response["usage"], "what is given stays as it is"


@pytest.mark.parametrize("mentioned", [{}, {"partial": None}])
def test_nothing_delivered_means_nothing_anywhere(mentioned: dict[str, Any]) -> None:
    wanted = {"error": {"kind": ["rate_limit"], **mentioned}}
    empty = {**CHOICE, "text": ""}
    assert paths(wanted, lost(answer(choices=[empty])["response"])) == []
    assert paths(wanted, lost(None, "H")) == ["/error/partial"]
    for extra in ({"text": "Hi"}, {"reasoning": "x"}, {"refusal": "x"}, {"tool_calls": CALLS}):
        assert paths(wanted, failed(partial=answer(choices=[empty | extra])["response"])) == [
            "/error/partial"
        ]


def test_texts_before_an_error_are_delivered_apart() -> None:
    partial = answer(choices=[CHOICE])["response"]
    wanted = {"error": {"kind": ["rate_limit"], "partial": {"text": "Hi"}, "min_chunks": 2}}
    assert paths(wanted, lost(partial, "H", "i")) == []
    assert paths(wanted, lost(partial, "Hi")) == ["/partial_chunks"]
    assert paths(wanted, lost(partial)) == ["/partial_chunks"]


def test_another_kind_of_outcome_is_one_difference() -> None:
    [difference] = found({"error": {"kind": ["server"]}}, answer())
    assert (difference.path, difference.expected) == ("", "error")
    assert difference.got.startswith('response with {"index": 0, "text": "Hi"')
    [difference] = found({"response": {}}, failed())
    assert difference.got.startswith('error {"kind": "rate_limit"')
    [difference] = found({"response": {}}, {"cancelled": True})
    assert difference.got == "cancelled"
    [difference] = found({"cancelled": {}}, answer(choices=[]))
    assert difference.got == "response with no choice"


def test_models_and_cancellation() -> None:
    assert paths({"models": ["a", "b"]}, {"models": ["a", "b"]}) == []
    assert paths({"models": ["a", "b"]}, {"models": ["b", "a"]}) == ["/models"]
    assert paths({"cancelled": {}}, {"cancelled": True}) == []
    wanted = {"cancelled": {"min_chunks": 1}}
    assert paths(wanted, {"cancelled": True}) == ["/partial_chunks"]
    assert paths(wanted, {"cancelled": True, "partial_chunks": ["a"]}) == []


@pytest.mark.parametrize(
    ("wanted", "got", "fits"),
    [
        ("Hi", "Hi", True),
        ("Hi", "hi", False),
        (None, None, True),
        (None, "", False),
        ("", None, False),
        ({"any_of": ["Ho", "Hi"]}, "Hi", True),
        ({"any_of": ["Ho", "Hu"]}, "Hi", False),
        ({"contains": "i"}, "Hi", True),
        ({"contains": "i"}, None, False),
        ({"repeat": 2, "of": "Hi"}, "HiHi", True),
        ({"repeat": 2, "of": "Hi"}, "Hi", False),
    ],
)
def test_text(wanted: Any, got: str | None, *, fits: bool) -> None:
    assert [m.path for m in compare_text(wanted, got, "/x")] == ([] if fits else ["/x"])


def test_part_escapes_its_pointers_and_compares_lists_whole() -> None:
    [difference] = compare_part({"a/b~c": 1}, {"a/b~c": 2}, "")
    assert difference == Difference("/a~1b~0c", "1", "2")
    assert [m.path for m in compare_part([{"a": 1}, 2], [{"a": 1, "b": 2}, 3], "")] == ["/1"]
    assert [m.path for m in compare_part([1], [1, 2], "/x")] == ["/x"]
    assert list(compare_part({"a": {"b": 1}}, {"a": 1}, "")) == [Difference("/a", '{"b": 1}', "1")]
    assert list(compare_part({"a": 1}, {}, "")) == [Difference("/a", "1", "nothing")]
    assert list(compare_part({"a": None}, {}, "")) == [Difference("/a", "null", "nothing")]
    assert list(compare_part({"a": None}, {"a": None}, "")) == []


def test_within_says_its_bounds() -> None:
    assert list(compare_range({"min": 1, "max": 2}, 1.0, "/x", "s")) == []
    assert list(compare_range({"min": 1, "max": 2}, 2.0, "/x", "s")) == []
    [difference] = compare_range({"min": 1, "max": 2}, 0.12345, "/x", "s")
    assert difference == Difference("/x", "at least 1, at most 2 s", "0.123 s")
    [difference] = compare_range({"max": 0}, 3, "/x")
    assert difference == Difference("/x", "at most 0", "3")


def test_show_is_printable_and_whole() -> None:
    assert show("é\u2028\ud83d") == '"é\\u2028\\ud83d"'
    assert show("a" * 1000) == f'"{"a" * 1000}"', "what is cut before the key is blanked may keep half of it"


TEXT: dict[str, Any] = {"type": "text", "text": "Hi"}
THOUGHT: dict[str, Any] = {"type": "reasoning", "text": "hm"}
CALLED: dict[str, Any] = {"type": "tool_calls", "count": 2}


@pytest.mark.parametrize(
    ("wanted", "got", "path"),
    [
        ([], [], None),
        ([THOUGHT, TEXT, CALLED], [THOUGHT, TEXT, CALLED], None),
        ([THOUGHT, TEXT], [TEXT, THOUGHT], ""),
        ([TEXT, CALLED], [TEXT], ""),
        ([TEXT], [TEXT, {"type": "other"}], ""),
        ([], [TEXT], ""),
        ([TEXT], [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}], None),
        ([TEXT], [{"type": "text", "text": "Ha"}], "/0/text"),
        ([THOUGHT, {"type": "text", "text": {"contains": "o"}}], [THOUGHT, TEXT], "/1/text"),
        ([{"type": "text"}], [TEXT], None),
        ([CALLED], [{"type": "tool_calls", "count": 1}, {"type": "tool_calls", "count": 1}], None),
        ([CALLED], [{"type": "tool_calls", "count": 3}], "/0/count"),
        ([{"type": "tool_calls"}], [CALLED], None),
        ([{"type": "image", "count": 2}], [{"type": "image"}, {"type": "image"}], None),
    ],
)
def test_blocks_come_in_their_order(
    wanted: list[dict[str, Any]], got: list[dict[str, Any]], path: str | None
) -> None:
    outcome = answer(choices=[{**CHOICE, "content": got}])
    differences = found({"response": {"text": "Hi", "content": wanted}}, outcome)
    place = "/response/choices/0/content"
    assert [difference.path for difference in differences] == ([] if path is None else [place + path])
    assert all(difference.gravity is Gravity.SILENT for difference in differences)
    assert paths({"response": {"text": "Hi"}}, outcome) == []


@pytest.mark.parametrize("choice", [CHOICE, {**CHOICE, "content": None}])
def test_an_order_that_is_not_reported_is_judged_when_it_is_claimed(choice: dict[str, Any]) -> None:
    wanted = {"response": {"choices": [{"text": "Hi", "content": [TEXT]}]}}
    outcome = answer(choices=[choice])
    assert list(compare_outcome(wanted, outcome, claims=frozenset())) == []
    [difference] = compare_outcome(wanted, outcome, claims=frozenset({"content"}))
    assert (difference.path, difference.got) == ("/response/choices/0/content", "no blocks")


def test_the_order_of_what_was_delivered_before_an_error_is_judged() -> None:
    wanted = {"error": {"kind": ["server"], "partial": {"text": "Hi", "content": [TEXT]}}}
    choice = {**CHOICE, "content": [THOUGHT, TEXT]}
    outcome = {"error": {"kind": "server", "message": "", "partial": {"choices": [choice]}}}
    assert paths(wanted, outcome) == ["/error/partial/choices/0/content"]

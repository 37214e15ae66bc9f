"""The verdict: which fault is found, how grave it is, and what is never shown."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.cases.case import Case
from botticelli.kit.judge.verdict import Crash, Fault, Hang, Outcome, Verdict, judge
from botticelli.kit.server.recording import RecordedRequest, Recording, Request

NOTHING = Recording((), 0, ())


def case(*calls: dict[str, Any], **members: Any) -> Case:
    head = {"id": "a-case", "title": "A case", "level": "must", "side": "driver", "area": "a"}
    rest = {"source": ["x#1"], "provenance": "prose", "exchanges": []}
    return Case({**head, **rest, **members, "calls": list(calls)})


def verdict(
    expect: list[dict[str, Any]],
    *outcomes: Outcome,
    operation: str = "generate",
    seen: Recording = NOTHING,
    claims: frozenset[str] = frozenset(),
    **members: Any,
) -> Verdict:
    calls = [{"operation": operation, "expect": expect}] * max(len(outcomes), 1)
    play = case(*calls, **members).render(seed=0, port=1)
    return judge(play, outcomes, seen, claims)


def answer(text: str | None = "Hi", **more: Any) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "stop"}
    choice |= {name: more.pop(name) for name in tuple(more) if name in CHOICE}
    return {"response": {"choices": [choice], **more}}


CHOICE = frozenset(
    {"index", "finish_reason", "finish_reason_raw", "reasoning", "refusal", "tool_calls", "logprobs"}
)


def error(kind: str = "server", message: str = "no", **more: Any) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, **more}}


ANSWER: list[dict[str, Any]] = [{"response": {"text": "Hi"}}]
ERROR: list[dict[str, Any]] = [{"error": {"kind": ["rate_limit", "server"]}}]
LOST: list[dict[str, Any]] = [{"error": {"kind": ["server"], "partial": {"text": "Hi"}}}]
KEY = case({"operation": "generate", "expect": ERROR}).render(seed=0, port=1).key


FAULTS: list[tuple[list[dict[str, Any]], Outcome, Fault | None]] = [
    (ANSWER, answer(), None),
    (ANSWER, answer("Ho"), Fault.SILENT),
    (ANSWER, {"models": []}, Fault.SILENT),
    (ANSWER, {"cancelled": True}, Fault.SILENT),
    (ANSWER, error(), Fault.ERROR),
    (ANSWER, {"unsupported": "no"}, Fault.UNSUPPORTED),
    (ANSWER, {"response": {}}, Fault.INVALID),
    (ANSWER, {}, Fault.INVALID),
    (ANSWER, {**answer(), **error()}, Fault.INVALID),
    (ANSWER, {"response": {"choices": [{1, 2}]}}, Fault.INVALID),
    (ANSWER, Crash("KeyError: 'x'"), Fault.CRASH),
    (ANSWER, Hang(3), Fault.HANG),
    (ERROR, error(), None),
    (ERROR, answer(), Fault.SILENT),
    (ERROR, error("timeout"), Fault.ERROR),
    (ERROR, error(message=f"key {KEY} is wrong"), Fault.LEAK),
    ([{"models": ["a"]}], {"models": ["b"]}, Fault.SILENT),
    ([{"response": {"text": "Hi", "usage": {"total_tokens": 1}}}], answer(), Fault.SILENT),
    ([{"response": {"text": "Hi", "request_id": "r"}}], answer(request_id="s"), Fault.DETAIL),
    (ANSWER, answer(index=None), None),
    ([{"response": {"text": "Hi", "deviations": []}}], answer(deviations=["x"]), Fault.DETAIL),
    # What was delivered before the error is lost, or made up: graver than a wrong kind.
    (LOST, error(), None),  # this is no stream, and the driver doesn't claim that its errors carry an answer
    (LOST, error(partial=answer("H")["response"]), Fault.SILENT),
    (LOST, error(partial=answer()["response"]), None),
    (LOST, error("timeout", partial=answer()["response"]), Fault.ERROR),
    (ERROR, error(partial=answer()["response"]), Fault.SILENT),
    # Not JSON.
    (ANSWER, answer(logprobs=float("nan")), Fault.INVALID),
    (ANSWER, answer(rate_limits={"tokens": {"reset": float("inf")}}), Fault.INVALID),
    # Not what the schema says.
    (ANSWER, answer(finish_reason="end"), Fault.INVALID),
    (ANSWER, answer(finish_reason=None), None),
    (ANSWER, answer(rate_limits={"tokens": {"reset": -1}}), Fault.INVALID),
    (ANSWER, answer(rate_limits={"tokens": 5}), Fault.INVALID),
    (ANSWER, answer(rate_limits={"tokens": {"limit": 5, "remaining": 4.5}}), Fault.INVALID),
    (ANSWER, answer(rate_limits={"images": {"limit": 5}}), Fault.INVALID),
    (ANSWER, answer(rate_limits={"tokens": {"limit": 5, "reset": 0.5}, "requests": None}), None),
]


@pytest.mark.parametrize(("expect", "outcome", "fault"), FAULTS)
def test_faults(expect: list[dict[str, Any]], outcome: Outcome, fault: Fault | None) -> None:
    found = verdict(expect, outcome)
    assert found.fault is fault
    assert found.passed is (fault is None)
    assert bool(found.differences) is (fault is not None)


def test_any_of_several_outcomes_is_right_and_the_nearest_one_is_reported() -> None:
    expect = [
        {"response": {"text": "Ho", "model": "m"}},
        {"response": {"text": "Hu"}},
        {"response": {"text": "He", "id": "i", "inference_provider": "p"}},
        *ERROR,
    ]
    assert verdict(expect, answer("Hu")).passed
    assert verdict(expect, error()).passed
    [difference] = verdict(expect, answer("Hi")).differences
    assert (difference.path, difference.expected, difference.got) == (
        "/response/choices/0/text",
        '"Hu"',
        '"Hi"',
    )


def test_what_is_right_but_could_be_better_is_remarked() -> None:
    assert verdict(ERROR, error("rate_limit")).remarks == ()
    [remark] = verdict(ERROR, error("server")).remarks
    assert remark == "server is accepted, rate_limit is more precise"
    full = [{"error": {"kind": ["rate_limit"], "status": 429}}, *ERROR]
    assert verdict(full, error("rate_limit", status=429)).remarks == ()
    [remark] = verdict(full, error("rate_limit")).remarks
    assert remark == "accepted, though a more complete error is the better outcome"
    [remark] = verdict([*ANSWER, *ERROR], error("rate_limit")).remarks
    assert remark == "accepted, though response is the better outcome"


def test_faults_are_ordered_by_gravity_and_the_gravest_is_named() -> None:
    assert [fault.value for fault in sorted(Fault, key=lambda fault: fault.gravity)] == [
        "silent",
        "hang",
        "crash",
        "leak",
        "invalid",
        "request",
        "error",
        "unsupported",
        "detail",
    ]
    found = verdict(ANSWER, error(), answer("Ho"), error())
    assert found.fault is Fault.SILENT
    assert [m.path for m in found.differences] == [
        "/calls/0",
        "/calls/1/response/choices/0/text",
        "/calls/2",
    ]


def test_the_nearest_outcome_is_of_the_kind_that_came_however_far() -> None:
    expect = [*ERROR, {"response": {"text": "Ho", "id": "i", "inference_provider": "p"}}]
    assert [m.path for m in verdict(expect, answer()).differences] == [
        "/response/choices/0/text",
        "/response/id",
    ]


CALLED: list[dict[str, Any]] = [{"id": "c", "name": "f", "arguments": ""}]
USAGE = {"prompt_tokens": 1}


@pytest.mark.parametrize(
    "got",
    [
        answer(chunks=["Hi"], final_chunks=1, tool_calls=[*CALLED, *CALLED]),
        answer(chunks=["Hi"], final_chunks=1, usage=USAGE, id="x"),
        {"error": {"kind": "server", "message": "", "partial": answer(usage=USAGE)["response"]}},
    ],
)
def test_of_a_stream_that_the_driver_does_not_assemble_only_the_chunks_are_judged(
    got: dict[str, Any],
) -> None:
    if "error" in got:
        got = {**got, "partial_chunks": ["Hi"]}
        expect: list[dict[str, Any]] = [{"error": {"kind": ["server"], "partial": {"text": "Hi"}}}]
    else:
        expect = [{"response": {"text": "Hi", "id": "{{id}}"}}]
    assert verdict(expect, got, operation="stream").passed
    assert verdict(expect, got, operation="stream", claims=frozenset({"assembles"})).fault is Fault.SILENT
    assert verdict(expect, got).fault is Fault.SILENT


def test_a_text_is_judged_whether_the_driver_assembles_or_not() -> None:
    got = answer("Ho", chunks=["Ho"], final_chunks=1)
    assert verdict(ANSWER, got, operation="stream").fault is Fault.SILENT
    lost = answer("Hi", chunks=["H"], final_chunks=1)
    assert verdict(ANSWER, lost, operation="stream").fault is Fault.SILENT


def test_words_for_the_end_are_due_where_they_are_claimed() -> None:
    found = verdict(ANSWER, answer(finish_reason=None), claims=frozenset({"finish_words"}))
    assert (found.fault, [m.path for m in found.differences]) == (
        Fault.INVALID,
        ["/response/choices/0/finish_reason"],
    )


def test_outside_a_stream_an_error_without_a_partial_answer_loses_it_only_where_it_is_claimed() -> None:
    claims = frozenset({"partial"})
    assert verdict(LOST, error()).passed
    assert verdict(LOST, error(), claims=claims).fault is Fault.SILENT
    assert verdict(LOST, error(), operation="stream").fault is Fault.SILENT


@pytest.mark.parametrize(("got", "shown"), [(None, "null"), (7, "7"), ("Hi", '"Hi"'), ([], "[]")])
def test_an_outcome_that_is_no_object_is_one_message(got: Any, shown: str) -> None:
    found = verdict(ANSWER, got, requests={"count": 0})
    assert found.fault is Fault.INVALID
    [difference] = found.differences
    assert difference.got == f"an object with one outcome is due, not {shown}"


def test_deviations_count_when_they_are_claimed() -> None:
    expect = [{"response": {"text": "Hi", "deviations": ["x"]}}]
    assert verdict(expect, answer()).passed
    claims = frozenset({"deviations"})
    assert verdict(expect, answer(), claims=claims).fault is Fault.DETAIL


def requests(count: int) -> Recording:
    request = Request("POST", "/v1/chat/completions", (), b"{}")
    return Recording(tuple(RecordedRequest(request, number, None) for number in range(count)), count, ())


EXCHANGE: dict[str, Any] = {"exchanges": [{"end": "cut"}]}


def test_what_the_server_saw_is_judged() -> None:
    assert verdict(ANSWER, answer(), requests={"count": 0}).passed
    assert verdict(ERROR, error(), requests={"count": 1}).fault is Fault.REQUEST
    unreadable = Recording((), 1, ("?",))
    assert verdict(ERROR, error(), seen=unreadable).fault is Fault.REQUEST
    assert verdict(ANSWER, answer(), seen=unreadable).fault is Fault.SILENT


@pytest.mark.parametrize(("made", "fault"), [(0, Fault.SILENT), (1, None), (2, Fault.SILENT)])
def test_for_an_answer_one_request_is_made(made: int, fault: Fault | None) -> None:
    found = verdict(ANSWER, answer(), seen=requests(made), **EXCHANGE)
    assert found.fault is fault
    assert [m.path for m in found.differences] == ([] if fault is None else ["/requests/count"])


@pytest.mark.parametrize(("made", "fault"), [(0, Fault.REQUEST), (1, None), (2, Fault.REQUEST)])
def test_for_an_error_one_request_is_made_too(made: int, fault: Fault | None) -> None:
    assert verdict(ERROR, error(), seen=requests(made), **EXCHANGE).fault is fault


def test_requests_are_counted_over_all_calls() -> None:
    assert verdict(ANSWER, answer(), answer(), seen=requests(2), **EXCHANGE).passed
    assert verdict(ANSWER, answer(), answer(), seen=requests(1), **EXCHANGE).fault is Fault.SILENT


def test_where_nothing_is_played_or_nobody_listens_nothing_is_asked() -> None:
    assert verdict(ERROR, error()).passed
    assert verdict(ERROR, error(), listen=False, **EXCHANGE).passed
    assert verdict(ERROR, error(), seen=requests(1)).fault is Fault.REQUEST


def test_a_case_may_want_more_requests_or_leave_some_free() -> None:
    more: dict[str, Any] = {"requests": {"count": {"min": 2}}, **EXCHANGE}
    assert verdict(ANSWER, answer(), seen=requests(3), **more).passed
    # One attempt too few is a matter of retries; the answer is the server's.
    assert verdict(ANSWER, answer(), seen=requests(1), **more).fault is Fault.REQUEST
    most: dict[str, Any] = {"requests": {"count": {"max": 1}}, **EXCHANGE}
    assert verdict(ANSWER, answer(), seen=requests(2), **most).fault is Fault.SILENT


def test_who_cannot_make_the_call_makes_no_request() -> None:
    assert verdict(ANSWER, {"unsupported": "no"}, **EXCHANGE).fault is Fault.UNSUPPORTED


@pytest.mark.parametrize("outcome", [Hang(1), Crash("x")])
def test_what_the_server_saw_says_nothing_after_a_hang_or_crash(outcome: Outcome) -> None:
    found = verdict(ANSWER, outcome, requests={"count": 1})
    assert len(found.differences) == 1


def test_the_key_is_never_shown() -> None:
    request = Request("GET", "/", (("Authorization", f"Basic {KEY}"),), b"")
    seen = Recording((RecordedRequest(request, 0, None),), 1, ())
    rule = {"all": {"headers": {"Authorization": "Bearer {{key}}"}}}
    for found in (
        verdict(ERROR, error(message=f"key {KEY}")),
        verdict(ANSWER, answer(KEY)),
        verdict(ANSWER, Crash(f"ValueError: {KEY}")),
        verdict(ANSWER, answer(), seen=seen, requests=rule),
    ):
        assert found.differences
        assert KEY not in repr(found)
        assert "[key]" in repr(found)


def test_what_a_driver_died_of_can_be_printed() -> None:
    [difference] = verdict(ANSWER, Crash("one\n\ud83d\x1b[31m")).differences
    assert difference.got == "one\n\\ud83d\\x1b[31m"


def deep(levels: int) -> dict[str, Any]:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return answer(finish_reason_raw=value)


def test_an_outcome_that_is_too_deep_is_invalid_and_ends_nothing() -> None:
    itself = answer()
    itself["response"]["usage"] = itself
    for endless in (deep(200), deep(100_000), itself):
        found = verdict(ANSWER, endless)
        assert found.fault is Fault.INVALID
        assert found.differences[0].got == "more than 100 levels deep"


def test_an_outcome_of_a_stream_is_complete() -> None:
    whole: dict[str, Any] = {"chunks": ["Hi"], "final_chunks": 1}
    assert verdict(ANSWER, answer(**whole), operation="stream").passed
    for name in whole:
        less = {key: value for key, value in whole.items() if key != name}
        assert verdict(ANSWER, answer(), operation="stream").fault is Fault.INVALID
        assert verdict(ANSWER, answer(**less), operation="stream").fault is Fault.INVALID
        assert verdict(ANSWER, answer(**less)).passed
        # What is wrong with the answer itself is graver, and not hidden.
        assert verdict(ANSWER, answer("Ho", **less), operation="stream").fault is Fault.SILENT


def test_a_law_that_is_broken_is_silent() -> None:
    found = verdict(ANSWER, answer(chunks=["H"], final_chunks=1), operation="stream")
    assert (found.fault, [m.path for m in found.differences]) == (Fault.SILENT, ["/response/chunks"])


@pytest.mark.parametrize("sent", [True, False])
def test_a_usage_is_the_servers_or_none(*, sent: bool) -> None:
    piece: dict[str, Any] = {"message": {}} if sent else {"json": {"error": {"message": "no"}}}
    exchange: dict[str, Any] = {"exchanges": [{"status": 200, "body": [piece]}]}
    got = answer(usage={"prompt_tokens": 5})
    found = verdict(ANSWER, got, seen=requests(1), **exchange)
    assert found.fault is (None if sent else Fault.SILENT)


@pytest.mark.parametrize(
    "got",
    [
        error(message=f"bad key {KEY}"),
        error(code=KEY),
        error(partial=answer(f"key {KEY}")["response"]),
        answer(model=KEY),
        answer(request_id=f"Bearer {KEY}"),
        answer(finish_reason_raw={"a/b": [{f"x{KEY}": 1}]}),
        {**error(), "partial_chunks": ["", KEY]},
        {"models": [KEY]},
        answer(logprobs={KEY: [KEY]}),
        {"unsupported": f"no call with {KEY}"},
        {"response": {"choices": [], "key": KEY}},
        {"cancelled": True, "partial_chunks": [KEY]},
    ],
)
def test_the_key_leaks_wherever_it_stands(got: dict[str, Any]) -> None:
    expect: list[dict[str, Any]] = [*ANSWER, *LOST, {"models": []}, {"cancelled": {}}]
    found = verdict(expect, got)
    assert [m for m in found.differences if m.expected == "no API key in it"]
    assert KEY not in repr(found)


def test_a_key_leaks_that_is_no_bearer_token() -> None:
    written = {"operation": "generate", "api_key": None, "expect": ERROR}
    own = {"operation": "generate", "api_key": "another-key", "expect": ERROR}
    play = case(written, own).render(seed=0, port=1)
    for outcomes in ((error(code=play.key), error()), (error(), error(code=play.key))):
        assert judge(play, outcomes, NOTHING, frozenset()).fault is Fault.LEAK
    assert judge(play, (error(), error(code="another-key")), NOTHING, frozenset()).fault is Fault.LEAK
    assert judge(play, (error(code="another-key"), error()), NOTHING, frozenset()).passed


def test_a_leak_is_a_fault_of_its_own() -> None:
    assert verdict(ERROR, error(code=KEY)).fault is Fault.LEAK
    assert verdict(ANSWER, answer(request_id=KEY)).fault is Fault.LEAK


def test_a_lone_surrogate_in_an_outcome_is_judged_not_stumbled_over() -> None:
    found = verdict(ANSWER, answer("Hi\ud83d"))
    assert found.fault is Fault.SILENT
    assert "\\ud83d" in found.differences[0].got

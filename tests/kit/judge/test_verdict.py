"""The verdict: what is found, how grave it is, and what is never shown."""

from __future__ import annotations

from typing import Any

import pytest

from botticelli.kit.cases.case import Case
from botticelli.kit.judge.verdict import Crash, Gravity, Hang, Outcome, Verdict, judge
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
ANYTHING: list[dict[str, Any]] = [{"anything": {}}]
ERROR: list[dict[str, Any]] = [{"error": {"kind": ["rate_limit", "server"]}}]
LOST: list[dict[str, Any]] = [{"error": {"kind": ["server"], "partial": {"text": "Hi"}}}]
CALL: dict[str, Any] = {"id": "c", "name": "f", "arguments": ""}
CALLS: list[dict[str, Any]] = [{"error": {"kind": ["server"], "partial": {"tool_calls": [CALL, CALL]}}}]
KEY = case({"operation": "generate", "expect": ERROR}).render(seed=0, port=1).key


GRAVITIES: list[tuple[list[dict[str, Any]], Outcome, Gravity | None]] = [
    (ANSWER, answer(), None),
    (ANSWER, answer("Ho"), Gravity.SILENT),
    (ANSWER, {"models": []}, Gravity.SILENT),
    (ANSWER, {"cancelled": True}, Gravity.SILENT),
    (ANSWER, error(), Gravity.REFUSED),
    (ANSWER, {"unsupported": "no"}, Gravity.REFUSED),
    (ANSWER, {"response": {}}, Gravity.CRASH),
    (ANSWER, {}, Gravity.CRASH),
    (ANSWER, {**answer(), **error()}, Gravity.CRASH),
    (ANSWER, {"response": {"choices": [{1, 2}]}}, Gravity.CRASH),
    (ANSWER, Crash("KeyError: 'x'"), Gravity.CRASH),
    (ANSWER, Hang(3), Gravity.HANG),
    (ERROR, error(), None),
    (ERROR, answer(), Gravity.SILENT),
    (ERROR, error("timeout"), Gravity.IMPRECISE),
    (ERROR, error(message=f"key {KEY} is wrong"), Gravity.LEAK),
    ([{"models": ["a"]}], {"models": ["b"]}, Gravity.SILENT),
    ([{"response": {"text": "Hi", "usage": {"total_tokens": 1}}}], answer(), Gravity.SILENT),
    ([{"response": {"text": "Hi", "request_id": "r"}}], answer(request_id="s"), Gravity.IMPRECISE),
    (ANSWER, answer(index=None), None),
    ([{"response": {"text": "Hi", "deviations": []}}], answer(deviations=["x"]), Gravity.IMPRECISE),
    # What was delivered before the error is lost, or made up: graver than a wrong kind. Less than was sent
    # isn't silent, as the error says that not all is there.
    (LOST, error(), None),  # this is no stream, and the driver doesn't claim that its errors carry an answer
    (LOST, error(partial=answer("H")["response"]), Gravity.REFUSED),
    (LOST, error(partial=answer("i")["response"]), Gravity.SILENT),
    (LOST, error(partial=answer("Hi", tool_calls=[CALL])["response"]), Gravity.SILENT),
    (LOST, error(partial=answer("Hi", reasoning="hm")["response"]), Gravity.SILENT),
    (LOST, error(partial={"choices": [*answer()["response"]["choices"]] * 2}), Gravity.SILENT),
    (CALLS, error(partial=answer("")["response"]), Gravity.REFUSED),
    (CALLS, error(partial=answer("", tool_calls=[CALL])["response"]), Gravity.REFUSED),
    (CALLS, error(partial=answer("", tool_calls=[{**CALL, "name": "g"}])["response"]), Gravity.SILENT),
    (LOST, error(partial=answer()["response"]), None),
    (LOST, error("timeout", partial=answer()["response"]), Gravity.IMPRECISE),
    (ERROR, error(partial=answer()["response"]), Gravity.SILENT),
    # Not JSON.
    (ANSWER, answer(logprobs=float("nan")), Gravity.CRASH),
    (ANSWER, answer(rate_limits={"tokens": {"reset": float("inf")}}), Gravity.CRASH),
    # Not what the schema says.
    (ANSWER, answer(finish_reason="end"), Gravity.CRASH),
    (ANSWER, answer(finish_reason=None), None),
    (ANSWER, answer(rate_limits={"tokens": {"reset": -1}}), Gravity.CRASH),
    (ANSWER, answer(rate_limits={"tokens": 5}), Gravity.CRASH),
    (ANSWER, answer(rate_limits={"tokens": {"limit": 5, "remaining": 4.5}}), Gravity.CRASH),
    (ANSWER, answer(rate_limits={"images": {"limit": 5}}), Gravity.CRASH),
    (ANSWER, answer(rate_limits={"tokens": {"limit": None, "reset": None}, "requests": None}), None),
]


@pytest.mark.parametrize(("expect", "outcome", "gravity"), GRAVITIES)
def test_gravities(expect: list[dict[str, Any]], outcome: Outcome, gravity: Gravity | None) -> None:
    found = verdict(expect, outcome)
    assert found.gravity is gravity
    assert found.passed is (gravity is None)
    assert bool(found.differences) is (gravity is not None)


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


def test_the_words_that_a_case_demands_are_demanded_at_every_level() -> None:
    words: list[dict[str, Any]] = [{"error": {"kind": ["server"], "message_contains": ["quite"]}}]
    for level in ("must", "should", "may"):
        assert verdict(words, error("server", "Server error"), level=level).gravity is Gravity.IMPRECISE
        assert verdict(words, error("server", "not quite"), level=level).passed


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


def test_gravities_are_ordered_and_the_gravest_is_named() -> None:
    assert [one.value for one in sorted(Gravity, key=lambda one: one.rank)] == [
        "silent",
        "hang",
        "crash",
        "leak",
        "refused",
        "imprecise",
    ]
    found = verdict(ANSWER, error(), answer("Ho"), error())
    assert found.gravity is Gravity.SILENT
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
    assert verdict(expect, got, operation="stream", claims=frozenset({"assembles"})).gravity is Gravity.SILENT
    assert verdict(expect, got).gravity is Gravity.SILENT


def test_a_text_is_judged_whether_the_driver_assembles_or_not() -> None:
    got = answer("Ho", chunks=["Ho"], final_chunks=1)
    assert verdict(ANSWER, got, operation="stream").gravity is Gravity.SILENT
    lost = answer("Hi", chunks=["H"], final_chunks=1)
    assert verdict(ANSWER, lost, operation="stream").gravity is Gravity.SILENT


def test_words_for_the_end_are_due_where_they_are_claimed() -> None:
    found = verdict(ANSWER, answer(finish_reason=None), claims=frozenset({"finish_words"}))
    assert (found.gravity, [m.path for m in found.differences]) == (
        Gravity.IMPRECISE,
        ["/response/choices/0/finish_reason"],
    )


def test_outside_a_stream_an_error_without_a_partial_answer_loses_it_only_where_it_is_claimed() -> None:
    claims = frozenset({"partial"})
    assert verdict(LOST, error()).passed
    assert verdict(LOST, error(), claims=claims).gravity is Gravity.REFUSED
    assert verdict(LOST, error(), operation="stream").gravity is Gravity.REFUSED


@pytest.mark.parametrize(("got", "shown"), [(None, "null"), (7, "7"), ("Hi", '"Hi"'), ([], "[]")])
def test_an_outcome_that_is_no_object_is_one_message(got: Any, shown: str) -> None:
    found = verdict(ANSWER, got, requests={"count": 0})
    assert found.gravity is Gravity.CRASH
    [difference] = found.differences
    assert difference.got == f"an object with one outcome is due, not {shown}"


def test_deviations_count_when_they_are_claimed() -> None:
    expect = [{"response": {"text": "Hi", "deviations": ["x"]}}]
    assert verdict(expect, answer()).passed
    claims = frozenset({"deviations"})
    assert verdict(expect, answer(), claims=claims).gravity is Gravity.IMPRECISE


def requests(count: int) -> Recording:
    request = Request("POST", "/v1/chat/completions", (), b"{}")
    return Recording(tuple(RecordedRequest(request, number, None) for number in range(count)), count, ())


EXCHANGE: dict[str, Any] = {"exchanges": [{"end": "cut"}]}


def test_what_the_server_saw_is_judged() -> None:
    assert verdict(ANSWER, answer(), requests={"count": 0}).passed
    assert verdict(ERROR, error(), requests={"count": 1}).gravity is Gravity.IMPRECISE
    unreadable = Recording((), 1, ("?",))
    assert verdict(ERROR, error(), seen=unreadable).gravity is Gravity.IMPRECISE
    assert verdict(ANSWER, answer(), seen=unreadable).gravity is Gravity.SILENT


@pytest.mark.parametrize(("made", "gravity"), [(0, Gravity.SILENT), (1, None), (2, Gravity.SILENT)])
def test_for_an_answer_one_request_is_made(made: int, gravity: Gravity | None) -> None:
    found = verdict(ANSWER, answer(), seen=requests(made), **EXCHANGE)
    assert found.gravity is gravity
    assert [m.path for m in found.differences] == ([] if gravity is None else ["/requests/count"])


@pytest.mark.parametrize(("made", "gravity"), [(0, Gravity.IMPRECISE), (1, None), (2, Gravity.IMPRECISE)])
def test_for_an_error_one_request_is_made_too(made: int, gravity: Gravity | None) -> None:
    assert verdict(ERROR, error(), seen=requests(made), **EXCHANGE).gravity is gravity


def test_requests_are_counted_over_all_calls() -> None:
    assert verdict(ANSWER, answer(), answer(), seen=requests(2), **EXCHANGE).passed
    assert verdict(ANSWER, answer(), answer(), seen=requests(1), **EXCHANGE).gravity is Gravity.SILENT


def test_where_nothing_is_played_or_nobody_listens_nothing_is_asked() -> None:
    assert verdict(ERROR, error()).passed
    assert verdict(ERROR, error(), listen=False, **EXCHANGE).passed
    assert verdict(ERROR, error(), seen=requests(1)).gravity is Gravity.IMPRECISE


def test_a_case_may_want_more_requests_or_leave_some_free() -> None:
    more: dict[str, Any] = {"requests": {"count": {"min": 2}}, **EXCHANGE}
    assert verdict(ANSWER, answer(), seen=requests(3), **more).passed
    # One attempt too few is a matter of retries; the answer is the server's.
    assert verdict(ANSWER, answer(), seen=requests(1), **more).gravity is Gravity.IMPRECISE
    most: dict[str, Any] = {"requests": {"count": {"max": 1}}, **EXCHANGE}
    assert verdict(ANSWER, answer(), seen=requests(2), **most).gravity is Gravity.SILENT


def test_who_cannot_make_the_call_makes_no_request() -> None:
    assert verdict(ANSWER, {"unsupported": "no"}, **EXCHANGE).gravity is Gravity.REFUSED


@pytest.mark.parametrize("outcome", [Hang(1), Crash("x")])
def test_what_the_server_saw_says_nothing_after_a_hang_or_crash(outcome: Outcome) -> None:
    found = verdict(ANSWER, outcome, requests={"count": 1})
    assert len(found.differences) == 1


@pytest.mark.parametrize("outcome", [answer(), error(), Crash("KeyError: 'x'", over=False)])
def test_a_call_that_only_prepares_the_next_may_end_in_anything(outcome: Outcome) -> None:
    assert verdict(ANYTHING, outcome, requests={"count": 0}).passed
    assert not verdict(ANYTHING, outcome, requests={"count": 2}).passed, "the requests are judged"


def test_also_where_anything_may_come_a_hang_fails_and_a_key_is_not_shown() -> None:
    assert verdict(ANYTHING, Hang(1)).gravity is Gravity.HANG
    assert verdict(ANYTHING, Crash(f"ValueError: {KEY}", over=False)).gravity is Gravity.LEAK
    assert verdict(ANYTHING, error(message=KEY)).gravity is Gravity.LEAK
    assert verdict(ANYTHING, {"nonsense": 1}).gravity is Gravity.CRASH
    assert verdict(ANYTHING, Crash("it died"), requests={"count": 1}).gravity is Gravity.CRASH


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
        assert found.gravity is Gravity.CRASH
        assert found.differences[0].got == "more than 100 levels deep"


def test_an_outcome_of_a_stream_is_complete() -> None:
    whole: dict[str, Any] = {"chunks": ["Hi"], "final_chunks": 1}
    assert verdict(ANSWER, answer(**whole), operation="stream").passed
    for name in whole:
        less = {key: value for key, value in whole.items() if key != name}
        assert verdict(ANSWER, answer(), operation="stream").gravity is Gravity.CRASH
        assert verdict(ANSWER, answer(**less), operation="stream").gravity is Gravity.CRASH
        assert verdict(ANSWER, answer(**less)).passed
        # What is wrong with the answer itself is graver, and not hidden.
        assert verdict(ANSWER, answer("Ho", **less), operation="stream").gravity is Gravity.SILENT


def test_a_law_that_is_broken_is_silent() -> None:
    found = verdict(ANSWER, answer(chunks=["H"], final_chunks=1), operation="stream")
    assert (found.gravity, [m.path for m in found.differences]) == (Gravity.SILENT, ["/response/chunks"])


@pytest.mark.parametrize("sent", [True, False])
def test_a_usage_is_the_servers_or_none(*, sent: bool) -> None:
    piece: dict[str, Any] = {"message": {}} if sent else {"json": {"error": {"message": "no"}}}
    exchange: dict[str, Any] = {"exchanges": [{"status": 200, "body": [piece]}]}
    got = answer(usage={"prompt_tokens": 5})
    found = verdict(ANSWER, got, seen=requests(1), **exchange)
    assert found.gravity is (None if sent else Gravity.SILENT)


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
        assert judge(play, outcomes, NOTHING, frozenset()).gravity is Gravity.LEAK
    assert judge(play, (error(), error(code="another-key")), NOTHING, frozenset()).gravity is Gravity.LEAK
    assert judge(play, (error(code="another-key"), error()), NOTHING, frozenset()).passed


def test_a_leak_is_a_gravity_of_its_own() -> None:
    assert verdict(ERROR, error(code=KEY)).gravity is Gravity.LEAK
    assert verdict(ANSWER, answer(request_id=KEY)).gravity is Gravity.LEAK


def test_a_lone_surrogate_in_an_outcome_is_judged_not_stumbled_over() -> None:
    found = verdict(ANSWER, answer("Hi\ud83d"))
    assert found.gravity is Gravity.SILENT
    assert "\\ud83d" in found.differences[0].got


# What is told though nobody sent it


def played(*pieces: dict[str, Any], **head: Any) -> dict[str, Any]:
    return {"exchanges": [{"status": 200, **head, "body": list(pieces)}]}


@pytest.mark.parametrize(
    ("got", "sent", "gravity"),
    [
        (answer(request_id="r-1"), played(), Gravity.IMPRECISE),
        (answer(request_id="r-1"), played(headers=[["x-request-id", "r-1"]]), None),
        (answer(inference_provider="openai"), played(), Gravity.IMPRECISE),
        (answer(inference_provider="groq"), played({"json": {"provider": "groq"}}), None),
        (answer(rate_limits={"tokens": {"limit": 0}}), played(), Gravity.IMPRECISE),
        (
            answer(rate_limits={"tokens": {"limit": 5, "reset": 0.5}}),
            played(headers=[["x-ratelimit-limit-tokens", "5"]]),
            None,
        ),
        (answer(logprobs={"content": []}), played({"message": {}}), Gravity.SILENT),
        (answer(logprobs={"content": []}), played({"json": {"logprobs": {}}}), None),
        (answer(logprobs={"content": []}), played({"repeat": 2, "of": [{"hex": "00"}]}), None),
    ],
)
def test_nothing_is_told_that_was_not_sent(
    got: dict[str, Any], sent: dict[str, Any], gravity: Gravity | None
) -> None:
    assert verdict(ANSWER, got, seen=requests(1), **sent).gravity is gravity


def test_what_an_error_tells_was_sent_too() -> None:
    told = error(request_id="r-1", partial=answer(logprobs={"content": []}, request_id="r-2")["response"])
    found = verdict(LOST, told, seen=requests(1), **played())
    assert [m.path for m in found.differences] == [
        "/error/request_id",
        "/error/partial/request_id",
        "/error/partial/choices/0/logprobs",
    ]


# Time alone is never silent


TIMED: list[dict[str, Any]] = [{"error": {"kind": ["timeout"]}}]
LEFT: list[dict[str, Any]] = [{"cancelled": {}}]
ENDS: list[dict[str, Any]] = [{"message": {}}]
HOLDS: list[dict[str, Any]] = [{"hold": True}]


@pytest.mark.parametrize(
    ("expect", "body", "gravity"),
    [
        (TIMED, ENDS, Gravity.HANG),
        (TIMED, HOLDS, Gravity.SILENT),
        (LEFT, ENDS, Gravity.IMPRECISE),
        (LEFT, HOLDS, Gravity.SILENT),
        (ERROR, ENDS, Gravity.SILENT),
    ],
)
def test_an_answer_that_is_late_is_not_silent_if_it_may_be_whole(
    expect: list[dict[str, Any]], body: list[dict[str, Any]], gravity: Gravity
) -> None:
    assert verdict(expect, answer(), seen=requests(1), **played(*body)).gravity is gravity


def test_an_error_in_place_of_a_cancellation_is_not_a_lost_answer() -> None:
    assert verdict(LEFT, error()).gravity is Gravity.IMPRECISE


def test_one_request_more_is_not_silent_where_limits_are_short() -> None:
    call: dict[str, Any] = {"operation": "generate", "expect": ANSWER}
    for limit, gravity in ((0.1, Gravity.IMPRECISE), (100, Gravity.SILENT)):
        timed = {**call, "options": {"timeouts": {"idle": limit}}}
        play = case(timed, **EXCHANGE).render(seed=0, port=1)
        assert judge(play, [answer()], requests(2), frozenset()).gravity is gravity
        assert judge(play, [answer()], requests(0), frozenset()).gravity is Gravity.SILENT


# Keys in requests and in what is printed


def asked(*headers: tuple[str, str], path: str = "/v1", body: bytes = b"{}") -> Recording:
    request = Request("POST", path, (("Host", "127.0.0.1:1"), *headers), body)
    return Recording((RecordedRequest(request, 0, None),), 1, ())


BEARER = ("Authorization", f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("seen", "path"),
    [
        (asked(BEARER), None),
        (asked(BEARER, ("X-Debug", KEY)), "/requests/0/headers/X-Debug"),
        (asked(BEARER, (f"X-{KEY}", "1")), "/requests/0/headers/X-[key]"),
        (asked(BEARER, path=f"/v1?key={KEY}"), "/requests/0/path"),
        (asked(BEARER, body=KEY.encode()), "/requests/0/body"),
        (asked(BEARER, ("Host", "evil.example")), "/requests/0/headers/Authorization"),
    ],
)
def test_a_key_is_sent_to_its_place_only(seen: Recording, path: str | None) -> None:
    found = verdict(ANSWER, answer(), seen=seen, **EXCHANGE)
    assert found.gravity is (None if path is None else Gravity.LEAK)
    assert [m.path for m in found.differences] == ([] if path is None else [path])
    assert KEY not in repr(found)


def test_a_key_goes_where_the_user_puts_it() -> None:
    own: dict[str, Any] = {"operation": "generate", "api_key": None, "expect": ANSWER}
    play = case({**own, "options": {"headers": {"api-key": "{{key}}"}}}, **EXCHANGE).render(seed=0, port=1)
    assert judge(play, [answer()], asked(("api-key", KEY)), frozenset()).passed
    assert judge(play, [answer()], asked(BEARER), frozenset()).gravity is Gravity.LEAK
    asking = {"messages": [{"role": "user", "content": "{{key}}"}]}
    url = "http://127.0.0.1:1/v1?k={{key}}"
    play = case({**own, "request": asking, "base_url": url}, **EXCHANGE).render(seed=0, port=1)
    seen = asked(path=f"/v1?k={KEY}", body=KEY.encode())
    assert judge(play, [answer()], seen, frozenset()).passed


def test_a_key_that_a_case_forbids_is_a_leak_and_is_told_once() -> None:
    rule: dict[str, Any] = {
        "requests": {"count": 1, "each": [{"headers": {"authorization": False}}]},
        **EXCHANGE,
    }
    found = verdict(ANSWER, answer(), seen=asked(("authorization", f"Bearer {KEY}")), **rule)
    assert (found.gravity, [m.path for m in found.differences]) == (
        Gravity.LEAK,
        ["/requests/0/headers/authorization"],
    )


def test_a_leak_is_a_leak_whatever_else_is_wrong() -> None:
    assert verdict(ANSWER, answer(f"Ho {KEY}")).gravity is Gravity.LEAK
    assert verdict(ANSWER, Crash(f"KeyError: {KEY}")).gravity is Gravity.LEAK
    found = verdict(ANSWER, Hang(1), seen=asked(BEARER, path=KEY), **EXCHANGE)
    assert found.gravity is Gravity.LEAK


def test_what_the_adapter_prints_holds_no_key() -> None:
    play = case({"operation": "generate", "expect": ANSWER}).render(seed=0, port=1)
    assert judge(play, [answer()], NOTHING, frozenset(), "all is well").passed
    found = judge(play, [answer()], NOTHING, frozenset(), f"DEBUG key={KEY[:12]}...")
    assert (found.gravity, [m.path for m in found.differences]) == (Gravity.LEAK, ["/output"])
    assert KEY[:8] not in repr(found)


def test_a_text_in_pieces_shows_a_key_too() -> None:
    got = {**error(), "partial_chunks": [KEY[at : at + 5] for at in range(0, len(KEY), 5)]}
    assert verdict(LOST, got).gravity is Gravity.LEAK

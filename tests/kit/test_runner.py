"""Running cases: every result is yielded, a hang or a crash is a verdict, and nobody is waited for."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from botticelli.kit.adapters.limits import CrashedError, HungError
from botticelli.kit.cases.case import Case
from botticelli.kit.cases.formats import OPENAI
from botticelli.kit.errors import BaselineError
from botticelli.kit.judge.verdict import Crash, Gravity, Hang
from botticelli.kit.report.machine import document_of, report_of
from botticelli.kit.report.model import Suite
from botticelli.kit.report.running import RunReport
from botticelli.kit.report.text import describe_failure
from botticelli.kit.runner import (
    DaemonPool,
    Result,
    Status,
    call_adapter,
    read_baseline,
    run_case,
    run_cases,
    side_by_side,
)
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.server.server import Listener, MockServer, exchange_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.server.recording import Recording


EVERYTHING = frozenset({"generate", "stream", "models", "retry"})


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer() as server:
        yield server


class Scripted:
    """An adapter that answers each call with a given function."""

    capabilities = EVERYTHING

    def __init__(self, do: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.do = do
        self.calls: list[dict[str, Any]] = []

    def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call)
        return self.do(call)


def case(slug: str = "a-case", **members: Any) -> Case:
    head = {"id": slug, "title": "A case", "level": "must", "side": "driver", "area": "a"}
    whole = {"status": 200, "headers": [["Content-Type", "application/json"]]}
    rest = {
        "source": ["x#1"],
        "provenance": "prose",
        "calls": [{"operation": "generate", "expect": [{"response": {"text": "{{text}}"}}]}],
        "exchanges": [{**whole, "body": [{"message": {"content": "{{text}}"}}]}],
    }
    return Case({**head, **rest, **members})


def answer(text: str) -> dict[str, Any]:
    return {"response": {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}}


def results(cases: list[Case], adapter: Adapter, **options: Any) -> dict[str, Result]:
    return {result.case.id: result for result in run_cases(cases, adapter, **options)}


def test_a_driver_that_does_right_passes(server: MockServer) -> None:
    assert run_case(case(), ReferenceClient(), server).passed
    found = results([case("a-one"), case("a-two")], ReferenceClient(), jobs=2)
    assert {slug: result.status for slug, result in found.items()} == {
        "a-one": Status.PASSED,
        "a-two": Status.PASSED,
    }


def test_the_seed_changes_what_is_played(server: MockServer) -> None:
    texts: list[str] = []

    def note(call: dict[str, Any]) -> dict[str, Any]:
        outcome = ReferenceClient().exchange(call)
        texts.append(outcome["response"]["choices"][0]["text"])
        return outcome

    for seed in (1, 2, 1):
        assert run_case(case(), Scripted(note), server, seed=seed).passed
    assert texts[0] == texts[2] != texts[1]


def test_a_driver_that_knows_the_answer_by_heart_fails(server: MockServer) -> None:
    assert run_case(case(), Scripted(lambda _: answer("Hi")), server).gravity is Gravity.SILENT


def test_calls_are_made_in_order_to_one_place_and_the_last_says_so(server: MockServer) -> None:
    adapter = Scripted(ReferenceClient().exchange)
    expect = [{"response": {"text": "{{text}}"}}]
    twice: dict[str, Any] = {"operation": "generate", "times": 2, "expect": expect}
    once: dict[str, Any] = {"operation": "stream", "expect": expect}
    assert run_case(case(calls=[twice, once]), adapter, server).passed
    assert [call["operation"] for call in adapter.calls] == ["generate", "generate", "stream"]
    assert [call["last"] for call in adapter.calls] == [False, False, True]
    assert len({call["base_url"] for call in adapter.calls}) == 1


def test_a_driver_that_changes_its_call_does_not_change_what_it_is_judged_by(
    server: MockServer,
) -> None:
    def spoil(call: dict[str, Any]) -> dict[str, Any]:
        message = f"the key {call['api_key']} is wrong"
        call["api_key"] = None
        return {"error": {"kind": "authentication", "message": message}}

    calls: list[dict[str, Any]] = [
        {"operation": "generate", "expect": [{"error": {"kind": ["authentication"]}}]}
    ]
    assert run_case(case(calls=calls), Scripted(spoil), server).gravity is Gravity.LEAK


def test_a_driver_that_renames_its_operation_is_judged_by_the_one_it_was_given(server: MockServer) -> None:
    def rename(call: dict[str, Any]) -> dict[str, Any]:
        call["operation"] = "generate"
        return answer("x")

    calls: list[dict[str, Any]] = [{"operation": "stream", "expect": [{"response": {"text": "x"}}]}]
    verdict = run_case(case(calls=calls, exchanges=[]), Scripted(rename), server)
    assert verdict.gravity is Gravity.CRASH
    assert [difference.path for difference in verdict.differences] == [
        "/response/chunks",
        "/response/final_chunks",
    ]


@pytest.mark.parametrize(
    ("requests", "waits"),
    [
        ({}, False),
        ({"all": {"client_left": False}}, False),
        ({"all": {"client_left": True}}, True),
        ({"each": [{}, {"client_left": True}]}, True),
    ],
)
def test_only_a_client_that_must_close_gets_time_to_close(
    server: MockServer, monkeypatch: pytest.MonkeyPatch, requests: dict[str, Any], *, waits: bool
) -> None:
    patience = list[float]()
    finish = Listener.finish

    def note(listener: Listener, **options: float) -> Recording:
        patience.append(options["patience"])
        return finish(listener, **options)

    monkeypatch.setattr(Listener, "finish", note)
    run_case(case(requests=requests), ReferenceClient(), server)
    assert [seconds > 0 for seconds in patience] == [waits]


@pytest.mark.parametrize(
    ("error", "gravity", "message", "calls_made"),
    [
        (KeyError("choices"), Gravity.CRASH, "KeyError: 'choices' (at test_runner.py:", 2),
        (SystemExit(3), Gravity.CRASH, "SystemExit: 3", 1),
        (CrashedError("died"), Gravity.CRASH, "died", 1),
        (HungError("x"), Gravity.HANG, "nothing in 5 s", 1),
    ],
)
def test_what_a_driver_raises_is_its_verdict(
    server: MockServer, error: BaseException, gravity: Gravity, message: str, calls_made: int
) -> None:
    """Nothing more is asked of one that is gone. One that raised an exception can go on, and is judged on."""

    def fail(_call: dict[str, Any]) -> dict[str, Any]:
        raise error

    calls: list[dict[str, Any]] = [{"operation": "generate", "times": 2, "expect": [{"response": {}}]}]
    adapter = Scripted(fail)
    verdict = run_case(case(calls=calls), adapter, server, limit=5)
    assert verdict.gravity is gravity
    assert message in verdict.differences[0].got
    assert len(adapter.calls) == calls_made


def test_where_a_driver_crashed_is_told_by_its_package(server: MockServer) -> None:
    def fail(_call: dict[str, Any]) -> dict[str, Any]:
        return dict(json.loads("{"))

    [found] = run_case(case(), Scripted(fail), server).differences
    assert "(at json/decoder.py:" in found.got


def test_a_driver_that_never_comes_back_is_left_behind(server: MockServer) -> None:
    released = threading.Event()

    def wait(_call: dict[str, Any]) -> dict[str, Any]:
        released.wait(30)
        return answer("late")

    verdict = run_case(case("a-straggler"), Scripted(wait), server, limit=0.1)
    [left] = [thread for thread in threading.enumerate() if thread.name == "botticelli-a-straggler"]
    assert left.daemon, "it ends with the process"
    released.set()
    left.join()
    assert verdict.gravity is Gravity.HANG


class MuteError(Exception):
    """What cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Spiteful(dict[str, Any]):
    """An outcome that breaks whoever reads it."""

    def items(self) -> Any:
        raise LookupError("mine")


def test_what_cannot_be_printed_or_read_is_a_crash(server: MockServer) -> None:
    def fail(_call: dict[str, Any]) -> dict[str, Any]:
        raise MuteError

    verdict = run_case(case(), Scripted(fail), server)
    assert verdict.gravity is Gravity.CRASH
    assert (
        "MuteError: (its message cannot be read: RuntimeError) (at test_runner.py:"
        in verdict.differences[0].got
    )
    verdict = run_case(case(), Scripted(lambda _: Spiteful(a=1)), server)
    assert verdict.gravity is Gravity.CRASH
    assert "LookupError: mine" in verdict.differences[0].got


def test_what_is_no_json_is_left_to_the_judge(server: MockServer) -> None:
    verdict = run_case(case(), Scripted(lambda _: {"response": {1, 2}}), server)
    assert "not JSON" in verdict.differences[0].got


def test_a_run_that_is_left_closes_its_player(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()

    class Watched(MockServer):
        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr("botticelli.kit.runner.MockServer", Watched)
    run = run_cases([case("a-one"), case("a-two")], ReferenceClient(), jobs=1)
    next(run)
    run.close()
    assert closed.wait(10)


def test_what_the_kit_fails_with_is_the_result_of_its_case_and_fails_the_run() -> None:
    broken = case("a-broken", title="{{nothing}}", level="may")
    found = results([broken, case("a-sound")], ReferenceClient(), known={"a-broken": "for a reason"})
    assert found["a-sound"].status is Status.PASSED
    assert "unknown variable {{nothing}}" in found["a-broken"].mishap
    assert found["a-broken"].fails_run
    [difference] = found["a-broken"].verdict.differences
    assert difference.got.startswith("the kit itself failed: a-broken: unknown variable {{nothing}}")


def test_no_free_port_is_the_result_of_its_case() -> None:
    class Full(MockServer):
        def open(self, **_how: Any) -> Listener:
            raise OSError(24, "Too many open files")

    with Full() as server:
        found = results([case()], ReferenceClient(), server=server)
    assert found["a-case"].mishap == "there is no port to play a-case on: Too many open files"


SUITE = Suite("1", "0123456789abcdef")


@pytest.mark.parametrize("how", ["answer", "crash", "no outcome", "broken HTTP"])
def test_no_part_of_the_key_is_reported_wherever_it_is_cut(server: MockServer, how: str) -> None:
    """The report shows 280 characters from the beginning of a long text and 80 from its end."""
    keys, texts = set[str](), list[str]()
    for before in range(255, 300):

        def leak(call: dict[str, Any], before: int = before) -> dict[str, Any]:
            keys.add(call["api_key"])
            text = call["api_key"].join(["x" * before, "x" * 200, "x" * (before - 180)])
            if how == "crash":
                raise KeyError(text)
            if how == "broken HTTP":
                url = urlsplit(str(call["base_url"]))
                with socket.create_connection((url.hostname, url.port), timeout=5) as client:
                    client.sendall(text.encode() + b"\r\n\r\n")
                    client.recv(100)
            return {text: text} if how == "no outcome" else answer(text)

        one = case()
        verdict = run_case(one, Scripted(leak), server)
        result = Result(one, Status.FAILED, verdict, 0.0)
        texts.append(
            describe_failure(result)
            + json.dumps(document_of(report_of([RunReport("d", EVERYTHING, [result])], 0, "1", suite=SUITE)))
        )
    [key] = keys
    assert all("characters]" in text for text in texts)
    assert not [text for text in texts if key[:6] in text or key[-6:] in text]


def test_watched_tells_what_came_of_a_call() -> None:
    neutral = {"case": "a-case"}
    assert call_adapter(Scripted(lambda call: call), neutral, 5) == neutral
    assert isinstance(call_adapter(Scripted(lambda call: call["x"]), neutral, 5), Crash)

    def wait(call: dict[str, Any]) -> dict[str, Any]:
        threading.Event().wait(1)
        return call

    assert call_adapter(Scripted(wait), neutral, 0.05) == Hang(0.05)


def test_what_is_not_claimed_is_not_run() -> None:
    adapter = Scripted(ReferenceClient().exchange)
    found = results([case(capability=["vision", "n"]), case("b-case")], adapter)
    skipped = found["a-case"]
    assert (skipped.status, skipped.reason) == (Status.NOT_CLAIMED, "n, vision")
    assert not skipped.fails_run
    assert len(adapter.calls) == 1


@pytest.mark.parametrize(("word", "status"), [("timeouts", Status.PASSED), ("retry", Status.NOT_CLAIMED)])
def test_an_old_word_is_taken_for_what_it_stands_for(word: str, status: Status) -> None:
    limited = {
        "operation": "generate",
        "options": {"timeouts": {"idle": 5, "first_byte": 5, "connect": 5, "pool": 5}},
        "expect": [{"response": {"text": "{{text}}"}}],
    }
    adapter = ReferenceClient()
    adapter.capabilities = frozenset({"generate", word})
    assert results([case(calls=[limited])], adapter)["a-case"].status is status


def test_what_is_claimed_and_then_refused_fails() -> None:
    found = results([case()], Scripted(lambda _: {"unsupported": "not yet"}))
    assert found["a-case"].verdict.gravity is Gravity.REFUSED


@pytest.mark.parametrize(
    ("text", "known", "level", "status", "fails"),
    [
        ("right", None, "must", Status.PASSED, False),
        ("wrong", None, "must", Status.FAILED, True),
        ("wrong", None, "should", Status.FAILED, True),
        ("wrong", None, "may", Status.NOTED, False),
        ("wrong", "for a reason", "must", Status.KNOWN, False),
        ("right", "for a reason", "may", Status.STALE, True),
    ],
)
def test_what_fails_a_run(text: str, known: str | None, level: str, status: Status, *, fails: bool) -> None:
    right = [{"operation": "generate", "expect": [{"response": {"text": "right"}}]}]
    one = case(level=level, calls=right, exchanges=[])
    found = results([one], Scripted(lambda _: answer(text)), known={one.id: known} if known else {})
    assert (found[one.id].status, found[one.id].fails_run) == (status, fails)
    assert found[one.id].reason == (known or "")


def test_cases_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def meet(_call: dict[str, Any]) -> dict[str, Any]:
        together.wait()
        return answer("x")

    calls: list[dict[str, Any]] = [{"operation": "generate", "expect": [{"response": {"text": "x"}}]}]
    cases = [case(f"a-{name}", calls=calls, exchanges=[]) for name in ("one", "two", "three")]
    found = results(cases, Scripted(meet), jobs=3)
    assert all(result.status is Status.PASSED for result in found.values())


def test_cases_that_wait_are_neither_the_first_nor_the_last() -> None:
    pause: list[dict[str, Any]] = [{"status": 200, "body": [{"sleep": 0.01}, {"text": "x"}]}]
    cases = [case(f"a-{n}", exchanges=pause if n in "45" else [{"status": 200}]) for n in "012345"]
    found = run_cases(cases, Scripted(lambda _call: answer("x")), jobs=1)
    assert [result.case.id[2:] for result in found] == ["0", "4", "5", "1", "2", "3"]


def test_generators_are_read_side_by_side_to_their_ends() -> None:
    together = threading.Barrier(2, timeout=10)

    def count(first: int) -> Generator[int, None, None]:
        together.wait()
        yield from range(first, first + 3)

    got: list[tuple[int, int]] = list(side_by_side([count(0), count(10)]))
    assert [value for number, value in got if number == 0] == [0, 1, 2]
    assert [value for number, value in got if number == 1] == [10, 11, 12]
    nothing: list[Generator[int, None, None]] = []
    assert list(side_by_side(nothing)) == []


def test_what_one_of_the_generators_raises_is_raised() -> None:
    def fail() -> Generator[int, None, None]:
        yield 1
        raise LookupError("7")

    with pytest.raises(LookupError, match="7"):
        list(side_by_side([fail()]))


def test_generators_that_are_left_are_closed_and_not_waited_for() -> None:
    go, closed, read_on = threading.Event(), threading.Event(), threading.Event()

    def give() -> Generator[int, None, None]:
        try:
            yield 1
            go.wait(60)
            yield 2
            read_on.set()
        finally:
            closed.set()

    found = side_by_side([give()])
    assert next(found) == (0, 1)
    found.close()
    assert not closed.is_set()
    go.set()
    assert closed.wait(60)
    assert not read_on.is_set()


def test_exchanges_are_played_in_order_and_the_last_goes_on() -> None:
    written = [{"status": 201, "times": 2}, {"status": 202}, {"status": 203, "times": 3}]
    play = case(exchanges=written).render(seed=0, port=1)
    assert [exchange_for(play.exchanges, n)["status"] for n in range(8)] == [201, 201, 202, *[203] * 5]


def test_a_request_where_none_is_expected_gets_an_error_that_is_not_tried_again(
    server: MockServer,
) -> None:
    calls: list[dict[str, Any]] = [
        {"operation": "generate", "options": {"max_retries": 2}, "expect": [{"response": {}}]}
    ]
    verdict = run_case(case(calls=calls, exchanges=[], requests={"count": 0}), ReferenceClient(), server)
    got = {difference.path: difference.got for difference in verdict.differences}
    assert "no request was expected" in got[""]
    assert got["/requests/count"] == "1"


def test_nothing_listens_where_a_case_says_so(server: MockServer) -> None:
    calls: list[dict[str, Any]] = [{"operation": "generate", "expect": [{"error": {"kind": ["connect"]}}]}]
    assert run_case(case(calls=calls, listen=False), ReferenceClient(), server).passed


def test_a_baseline_is_read(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(json.dumps({"known": {"a-case": "because of a reason"}}))
    assert read_baseline(path, [case()]) == {"a-case": "because of a reason"}


def test_a_baseline_and_a_run_name_cases_of_two_formats_apart(tmp_path: Path) -> None:
    right = [{"operation": "generate", "expect": [{"response": {"text": "right"}}]}]
    one = case(calls=right, exchanges=[])
    other = Case(one.document, dataclasses.replace(OPENAI, name="ollama"))
    path = tmp_path / "known.json"
    path.write_text(json.dumps({"known": {"ollama/a-case": "because of a reason"}}))
    known = read_baseline(path, [one, other])
    adapter = Scripted(lambda _: answer("wrong"))
    adapter.capabilities = EVERYTHING | {"ollama"}
    found = {result.case.key: result.status for result in run_cases([one, other], adapter, known=known)}
    assert found == {"a-case": Status.FAILED, "ollama/a-case": Status.KNOWN}
    with pytest.raises(BaselineError, match="no such case: ollama/a-case"):
        read_baseline(path, [one])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("{}", "known"),
        ('{"known": {"a-case": "no"}}', "/known/a-case"),
        ('{"known": {"b-case": "because of a reason"}}', "no such case: b-case"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    with pytest.raises(BaselineError, match=message):
        read_baseline(path, [case()])
    with pytest.raises(BaselineError, match="No such file"):
        read_baseline(tmp_path / "none.json", [case()])


def test_every_task_is_done_once() -> None:
    pool: DaemonPool[int, int] = DaemonPool(lambda number: number * 2, 3)
    assert sorted(pool.map(range(20))) == [(number, number * 2) for number in range(20)]
    assert list(DaemonPool[int, int](lambda number: number, 3).map([])) == []


def test_tasks_are_done_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(list(DaemonPool[int, int](lambda _: together.wait(), 3).map(range(3)))) == 3


def test_an_error_comes_out_where_the_results_are_taken() -> None:
    def fail(number: int) -> None:
        raise LookupError(number)

    with pytest.raises(LookupError, match="7"):
        list(DaemonPool(fail, 2).map([7]))


def test_leaving_waits_for_nobody_and_begins_nothing() -> None:
    begun, go, after = list[int](), threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number:
            go.wait(60)

    pool = DaemonPool(work, 2)
    done = pool.map(range(8))
    assert next(done) == (0, None)
    pool.abandon(after.set)
    assert not after.is_set()
    go.set()
    assert after.wait(60)
    assert len(begun) <= 3, "each thread had one more in hand"


def test_leaving_when_all_is_done_is_done_at_once() -> None:
    after = threading.Event()
    pool: DaemonPool[int, int] = DaemonPool(lambda number: number, 2)
    assert len(list(pool.map(range(3)))) == 3
    pool.abandon(after.set)
    assert after.is_set()

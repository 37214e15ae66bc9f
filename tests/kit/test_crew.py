"""Crews: every task is done once, errors come out where the results are taken, leaving waits for nobody."""

from __future__ import annotations

import threading

import pytest

from botticelli.kit.crew import DaemonPool


def test_every_task_is_done_once() -> None:
    crew: DaemonPool[int, int] = DaemonPool(lambda number: number * 2, 3)
    assert sorted(crew.do(range(20))) == [(number, number * 2) for number in range(20)]
    assert list(DaemonPool[int, int](lambda number: number, 3).do([])) == []


def test_tasks_are_done_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(list(DaemonPool[int, int](lambda _: together.wait(), 3).do(range(3)))) == 3


def test_an_error_comes_out_where_the_results_are_taken() -> None:
    def fail(number: int) -> None:
        raise LookupError(number)

    with pytest.raises(LookupError, match="7"):
        list(DaemonPool(fail, 2).do([7]))


def test_leaving_waits_for_nobody_and_begins_nothing() -> None:
    begun, go, after = list[int](), threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number:
            go.wait(60)

    crew = DaemonPool(work, 2)
    done = crew.do(range(8))
    assert next(done) == (0, None)
    crew.leave(after.set)
    assert not after.is_set()
    go.set()
    assert after.wait(60)
    assert len(begun) <= 3, "each thread had one more in hand"


def test_leaving_when_all_is_done_is_done_at_once() -> None:
    after = threading.Event()
    crew: DaemonPool[int, int] = DaemonPool(lambda number: number, 2)
    assert len(list(crew.do(range(3)))) == 3
    crew.leave(after.set)
    assert after.is_set()

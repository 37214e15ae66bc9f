"""Run cases against an adapter: many at once, with results as they come.

:func:`run` schedules any items and weighs their verdicts against the baseline; :func:`run_case` plays one
case. What is right or wrong is decided by the judge alone.
"""

from __future__ import annotations

import contextlib
import copy
import json
import queue
import threading
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from botticelli.kit.adapters.adapter import claims_of
from botticelli.kit.adapters.limits import (
    LIMIT,
    CrashedError,
    HungError,
    call_with_timeout,
    describe_exception,
)
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.errors import BaselineError, KitError
from botticelli.kit.judge.verdict import Crash, Hang, Outcome, Verdict, judge
from botticelli.kit.schemas import schema_violations
from botticelli.kit.server.server import MockServer, Responder, exchange_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.cases.case import Case, CaseRun
    from botticelli.kit.server.recording import Request

__all__ = [
    "JOBS",
    "DaemonPool",
    "Item",
    "Result",
    "Status",
    "call_adapter",
    "read_baseline",
    "respond_with",
    "run",
    "run_case",
    "run_cases",
]

JOBS = 16
"""Cases at once. They mostly wait, so there are more than processors."""

_CLOSING = 5.0  # seconds that a client has to close a connection that it should close
_GRACE = 1.2  # the watchdog waits this many times longer than an adapter that keeps the limit itself


# What is run, and what comes of it


class Item(Protocol):
    """What a run needs to know of a case, or of anything else that is judged."""

    @property
    def id(self) -> str:
        """A slug."""
        ...

    @property
    def key(self) -> str:
        """The name in baselines and reports; different from the id where one item is run several times."""
        ...

    @property
    def title(self) -> str:
        """The requirement, in a line."""
        ...

    @property
    def area(self) -> str:
        """The group that reports count it in."""
        ...

    @property
    def level(self) -> str:
        """``must``, ``should`` or ``may``."""
        ...

    @property
    def profile(self) -> str:
        """``core``, ``tolerance``, ``hardening`` or ``provider``."""
        ...

    @property
    def spec(self) -> str:
        """Where the requirement is written; empty when nowhere."""
        ...

    @property
    def provenance(self) -> str:
        """What the requirement rests on."""
        ...

    @property
    def policy(self) -> str:
        """What is demanded and why, where the format doesn't say; else empty."""
        ...

    @property
    def cause(self) -> str:
        """What usually makes an implementation fail it; empty when that isn't known."""
        ...

    @property
    def source(self) -> list[str]:
        """Where the failure was met."""
        ...


ItemT = TypeVar("ItemT", bound=Item)


class Status(StrEnum):
    """How an item went."""

    PASSED = "passed"
    FAILED = "failed"
    NOTED = "noted"
    """A ``may`` that wasn't kept: reported, and no failure."""
    KNOWN = "known"
    """Failed, as the baseline says."""
    STALE = "stale"
    """Passed, though the baseline says that it fails: the entry must go. Fails the run."""
    NOT_CLAIMED = "not_claimed"
    """Not run: the adapter doesn't declare a capability that the case needs."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one item went.

    Attributes:
        case: The item, usually a case.
        status: How it went.
        verdict: What the judge found; without a gravity when the item wasn't run.
        seconds: How long it took.
        reason: Why it is known to fail, or which capabilities are missing; else empty.
        evidence: What was exchanged (evidence in report.schema.json), of what didn't pass.
    """

    case: Item
    status: Status
    verdict: Verdict
    seconds: float
    reason: str = ""
    evidence: Document | None = None

    @property
    def fails_run(self) -> bool:
        """True for a result that makes the whole run fail."""
        return self.status in (Status.STALE, Status.FAILED)


def read_baseline(path: Path, items: Sequence[Item]) -> dict[str, str]:
    """Read the known failures: ``{"known": {key: reason}}``.

    Args:
        path: The file.
        items: All items there are; an entry for another one is an error.

    Raises:
        BaselineError: The file cannot be read, breaks its schema or names an unknown item.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BaselineError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: not JSON: {error}") from error
    violations = schema_violations("baseline", document)
    if violations:
        raise BaselineError(f"{path}: {'; '.join(violations)}")
    known: dict[str, str] = document["known"]
    unknown = sorted(known.keys() - {item.key for item in items})
    if unknown:
        raise BaselineError(f"{path}: no such case: {', '.join(unknown)}")
    return known


# Scheduling


def run(
    items: Iterable[ItemT],
    execute: Callable[[ItemT], Verdict],
    *,
    missing: Callable[[ItemT], Iterable[str]] = lambda _item: (),
    known: Mapping[str, str] | None = None,
    jobs: int = JOBS,
    after: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Execute items, several at once, and yield each result when it is there.

    When closed early, it waits for no thread: what is still running ends with the process at the latest.

    Args:
        items: What to run, in any order.
        execute: Returns the verdict on one item; called in several threads.
        missing: Returns the capabilities that an item lacks; an item that lacks one isn't run.
        known: Items known to fail, with reasons.
        jobs: Items at once.
        after: Called once no item is running any more, even if that is after the generator is closed.

    Raises:
        Exception: What ``execute`` raised.
    """
    reasons = known or {}

    def timed(item: ItemT) -> tuple[Verdict, float]:
        start = time.perf_counter()
        verdict = execute(item)
        return verdict, time.perf_counter() - start

    pool = DaemonPool(timed, jobs)
    try:
        runnable: list[ItemT] = []
        for item in items:
            if words := ", ".join(sorted(missing(item))):
                yield Result(item, Status.NOT_CLAIMED, Verdict(None), 0.0, words)
            else:
                runnable.append(item)
        for item, (verdict, seconds) in pool.map(runnable):
            yield _weigh(item, verdict, seconds, reasons.get(item.key))
    finally:
        pool.abandon(after)


def _weigh(item: Item, verdict: Verdict, seconds: float, reason: str | None) -> Result:
    if reason is None:
        missed = Status.NOTED if item.level == "may" else Status.FAILED
        status = Status.PASSED if verdict.passed else missed
    else:
        status = Status.STALE if verdict.passed else Status.KNOWN
    return Result(item, status, verdict, seconds, reason or "")


TaskT = TypeVar("TaskT")
DoneT = TypeVar("DoneT")


class DaemonPool(Generic[TaskT, DoneT]):
    """Daemon threads that call one function for many tasks.

    The standard library's executors are joined when the process ends; a run that the user interrupts must
    end at once, even if a driver still hangs.

    Args:
        work: Called for each task.
        size: Threads at most.
    """

    def __init__(self, work: Callable[[TaskT], DoneT], size: int) -> None:
        self._work = work
        self._size = size
        self._todo: queue.SimpleQueue[TaskT] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[TaskT, DoneT] | Exception] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def map(self, tasks: Iterable[TaskT]) -> Iterator[tuple[TaskT, DoneT]]:
        """Start all tasks in order; yield each with its result when it is done.

        Raises:
            Exception: What ``work`` raised.
        """
        total = 0
        for task in tasks:
            self._todo.put(task)
            total += 1
        for _ in range(min(self._size, total)):
            thread = threading.Thread(target=self._run, name="botticelli-case", daemon=True)
            self._threads.append(thread)
            thread.start()
        for _ in range(total):
            done = self._done.get()
            if isinstance(done, Exception):
                raise done
            yield done
        for thread in self._threads:
            thread.join()

    def abandon(self, after: Callable[[], None] | None = None) -> None:
        """Start no further task and return at once; call ``after`` when the running ones have ended."""
        for _ in self._remaining():
            pass
        busy = [thread for thread in self._threads if thread.is_alive()]

        def finish() -> None:
            for thread in busy:
                thread.join()
            if after is not None:
                after()

        if busy:
            threading.Thread(target=finish, name="botticelli-abandoned", daemon=True).start()
        else:
            finish()

    def _remaining(self) -> Iterator[TaskT]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._todo.get_nowait()

    def _run(self) -> None:
        for task in self._remaining():
            try:
                self._done.put((task, self._work(task)))
            except Exception as error:  # noqa: BLE001 -- raised again where the results are taken
                self._done.put(error)


# Playing cases


def run_cases(
    cases: Sequence[Case],
    adapter: Adapter,
    *,
    server: MockServer | None = None,
    seed: int = 0,
    known: Mapping[str, str] | None = None,
    jobs: int = JOBS,
    limit: float = LIMIT,
) -> Generator[Result, None, None]:
    """Play cases for an adapter and yield each result when it is there; see :func:`run`.

    Args:
        cases: What to play, in any order.
        adapter: The driver's adapter.
        server: Where to play; by default a server on loopback that lives as long as the run.
        seed: Decides the texts, ids and keys that are played.
        known: Cases known to fail, with reasons.
        jobs: Cases at once.
        limit: Seconds for one call.

    Raises:
        KitError: A case cannot be played.
    """
    claims = claims_of(adapter)
    playing = server or MockServer()
    yield from run(
        cases,
        lambda case: run_case(case, adapter, playing, seed=seed, limit=limit),
        missing=lambda case: case.needs - claims,
        known=known,
        jobs=jobs,
        after=playing.close if server is None else None,
    )


def run_case(
    case: Case, adapter: Adapter, server: MockServer, *, seed: int = 0, limit: float = LIMIT
) -> Verdict:
    """Play one case for an adapter and judge what came of it.

    Args:
        case: The case.
        adapter: The driver's adapter.
        server: Where to play it.
        seed: Decides the texts, ids and keys that are played.
        limit: Seconds for one call, after which the driver counts as hanging.

    Raises:
        KitError: The case cannot be played.
    """
    try:
        listener = server.open(listens=case.listens)
    except OSError as error:
        raise KitError(f"there is no port to play {case.key} on: {error.strerror or error}") from error
    play = case.render(seed=seed, port=listener.port)
    listener.respond(respond_with(play))
    outcomes: list[Outcome] = []
    for call in play.calls:
        time.sleep(call.pause)
        outcomes.append(call_adapter(adapter, call.neutral, limit))
        if isinstance(outcomes[-1], Crash | Hang):
            break
    recording = listener.finish(
        linger=play.requests.get("linger", 0.0),
        patience=_CLOSING if _must_close(play.requests) else 0.0,
    )
    return judge(play, outcomes, recording, adapter.capabilities)


def _must_close(requests: Document) -> bool:
    """Tell whether a case expects the client to close a connection before the answer's end."""
    rules = [requests.get("all", {}), *requests.get("each", [])]
    return any(rule.get("client_left") for rule in rules)


def respond_with(play: CaseRun) -> Responder:
    """Return the responder that plays a case's exchanges in order."""

    def script(index: int, _request: Request) -> ByteScript:
        exchange = exchange_for(play.exchanges, index)
        return compile_exchange(exchange, play.context, datetime.now(UTC))

    return script


def call_adapter(adapter: Adapter, call: Document, limit: float) -> Outcome:
    """Make one call, which may raise anything or never return."""

    def make() -> Document:
        # A copy, because the driver may change the call, and the original is needed to judge it.
        return _detached(adapter.exchange(copy.deepcopy(call)))

    try:
        return call_with_timeout(make, limit * _GRACE, f"botticelli-{call['case']}")
    except HungError:
        return Hang(limit)
    except CrashedError as error:
        return Crash(str(error))
    except Exception as error:  # noqa: BLE001 -- any exception of the driver's is part of the verdict
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Crash(f"{describe_exception(error)} (at {Path(last.filename).name}:{last.lineno})")


def _detached(outcome: Document) -> Document:
    """Return an outcome as plain JSON, read here, in the thread with the time limit.

    A driver may return a dict of its own class, which could run any code when the judge reads it.
    """
    try:
        plain: Document = json.loads(json.dumps(outcome))
    except (TypeError, ValueError, RecursionError):
        return outcome  # it isn't JSON, which the judge reports
    return plain

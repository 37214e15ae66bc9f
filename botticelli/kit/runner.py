"""Run cases against an adapter: many at once, with results as they come.

:func:`run` schedules any items and weighs their verdicts against the baseline; :func:`play_case` plays one
case. What is right or wrong is decided by the judge alone. Nothing that happens in one case ends the run.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from botticelli.kit.adapters.adapter import claims_of
from botticelli.kit.adapters.limits import (
    LIMIT,
    BystanderError,
    CrashedError,
    HungError,
    RaisedError,
    describe_exception,
    make_call,
)
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.errors import BaselineError, KitError
from botticelli.kit.evidence import evidence_of
from botticelli.kit.judge.compare import Difference
from botticelli.kit.judge.secrets import Secrets
from botticelli.kit.judge.verdict import Crash, Gravity, Hang, Outcome, Verdict, judge
from botticelli.kit.schemas import schema_violations
from botticelli.kit.server.server import MockServer, Responder, exchange_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.cases.case import Case, CaseRun
    from botticelli.kit.server.recording import Recording, Request

__all__ = [
    "JOBS",
    "DaemonPool",
    "Finding",
    "Item",
    "Played",
    "Result",
    "Status",
    "call_adapter",
    "play_case",
    "read_baseline",
    "respond_with",
    "run",
    "run_case",
    "run_cases",
    "side_by_side",
]

JOBS = 16
"""Cases at once. They mostly wait, so there are more than processors."""

_CLOSING = 5.0  # seconds that a client has to close a connection that it should close


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
        mishap: What the kit itself failed with, so that nothing was judged; fails the run whatever the case.
        unscored: The case isn't part of the suite's version, so its result counts for nothing.
        strict: Remarks fail the run, and so does a ``may`` that wasn't kept.
    """

    case: Item
    status: Status
    verdict: Verdict
    seconds: float
    reason: str = ""
    evidence: Document | None = None
    mishap: str = ""
    unscored: bool = False
    strict: bool = False

    @property
    def fails_run(self) -> bool:
        """True for a result that makes the whole run fail."""
        if self.mishap or self.unscored:
            return bool(self.mishap)
        if self.strict and (self.status is Status.NOTED or self._remarked):
            return True
        return self.status in (Status.STALE, Status.FAILED)

    @property
    def _remarked(self) -> bool:
        return self.status is Status.PASSED and bool(self.verdict.remarks)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of executing one item.

    Attributes:
        verdict: What the judge found.
        evidence: What was exchanged, where it is worth keeping.
    """

    verdict: Verdict
    evidence: Document | None = None


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
    execute: Callable[[ItemT], Finding],
    *,
    missing: Callable[[ItemT], Iterable[str]] = lambda _item: (),
    scored: Callable[[ItemT], bool] = lambda _item: True,
    known: Mapping[str, str] | None = None,
    strict: bool = False,
    jobs: int = JOBS,
    after: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Execute items, several at once, and yield each result when it is there.

    When closed early, it waits for no thread: what is still running ends with the process at the latest.

    Args:
        items: What to run, in any order.
        execute: Returns what came of one item; called in several threads. What it raises is the item's
            result, as a mishap of the kit.
        missing: Returns the capabilities that an item lacks; an item that lacks one isn't run.
        scored: Tells whether an item's result counts.
        known: Items known to fail, with reasons.
        strict: Remarks fail the run, and so does a ``may`` that wasn't kept.
        jobs: Items at once.
        after: Called once no item is running any more, even if that is after the generator is closed.
    """
    reasons = known or {}

    def timed(item: ItemT) -> Result:
        start = time.perf_counter()
        reason, unscored = reasons.get(item.key), not scored(item)
        try:
            found = execute(item)
        except Exception as error:  # noqa: BLE001 -- no item may end the run
            return _mishap(item, error, time.perf_counter() - start)
        seconds = time.perf_counter() - start
        status = _weigh(item, found.verdict, reason)
        return Result(
            item,
            status,
            found.verdict,
            seconds,
            reason or "",
            found.evidence,
            unscored=unscored,
            strict=strict,
        )

    pool = DaemonPool(timed, jobs)
    try:
        runnable: list[ItemT] = []
        for item in items:
            if words := ", ".join(sorted(missing(item))):
                yield Result(item, Status.NOT_CLAIMED, Verdict(None), 0.0, words, unscored=not scored(item))
            else:
                runnable.append(item)
        for _, result in pool.map(runnable):
            yield result
    finally:
        pool.abandon(after)


def _weigh(item: Item, verdict: Verdict, reason: str | None) -> Status:
    if reason is not None:
        return Status.STALE if verdict.passed else Status.KNOWN
    if verdict.passed:
        return Status.PASSED
    return Status.NOTED if item.level == "may" else Status.FAILED


def _mishap(item: Item, error: Exception, seconds: float) -> Result:
    """Return the result of an item that the kit couldn't judge: nobody is to blame, and nobody is cleared."""
    why = str(error) if isinstance(error, KitError) else describe_exception(error)
    text = " ".join(why.split())
    found = Difference("", "a verdict", f"the kit itself failed: {text}")
    return Result(item, Status.FAILED, Verdict(Gravity.CRASH, (found,)), seconds, mishap=text)


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


def side_by_side(streams: Sequence[Generator[TaskT, None, None]]) -> Generator[tuple[int, TaskT], None, None]:
    """Take from several generators at once, and yield what each gives, with its number.

    When closed early, it waits for none of them: each is closed once it has given one more.

    Args:
        streams: Each is read in a thread of its own.

    Raises:
        Exception: What a generator raised.
    """
    given: queue.SimpleQueue[tuple[int, TaskT] | Exception | None] = queue.SimpleQueue()
    left = threading.Event()

    def read(number: int, stream: Generator[TaskT, None, None]) -> None:
        try:
            with contextlib.closing(stream):
                for value in stream:
                    given.put((number, value))
                    if left.is_set():
                        break
            given.put(None)
        except Exception as error:  # noqa: BLE001 -- raised again below
            given.put(error)

    for number, stream in enumerate(streams):
        threading.Thread(target=read, args=(number, stream), name="botticelli-run", daemon=True).start()
    try:
        running = len(streams)
        while running:
            got = given.get()
            if isinstance(got, Exception):
                raise got
            if got is None:
                running -= 1
            else:
                yield got
    finally:
        left.set()


# Playing cases


def run_cases(
    cases: Sequence[Case],
    adapter: Adapter,
    *,
    server: MockServer | None = None,
    seed: int = 0,
    known: Mapping[str, str] | None = None,
    scored: Callable[[Case], bool] = lambda _case: True,
    strict: bool = False,
    jobs: int = JOBS,
    limit: float = LIMIT,
    command: Callable[[Case], str] = lambda _case: "",
) -> Generator[Result, None, None]:
    """Play cases for an adapter and yield each result when it is there; see :func:`run`.

    Args:
        cases: What to play, in any order.
        adapter: The driver's adapter.
        server: Where to play; by default a server on loopback that lives as long as the run.
        seed: Decides the texts, ids and keys that are played.
        known: Cases known to fail, with reasons.
        scored: Tells whether a case's result counts.
        strict: Remarks fail the run, and so does a ``may`` that wasn't kept.
        jobs: Cases at once.
        limit: Seconds for one call.
        command: Returns the command that plays a case again, for the evidence.
    """
    claims = claims_of(adapter)
    playing = server or MockServer()

    def execute(case: Case) -> Finding:
        played = _play_fairly(case, adapter, playing, seed=seed, limit=limit)
        return Finding(played.verdict, played.evidence(command(case)))

    yield from run(
        _in_good_order(cases),
        execute,
        missing=lambda case: case.needs - claims,
        scored=scored,
        known=known,
        strict=strict,
        jobs=jobs,
        after=playing.close if server is None else None,
    )


def _in_good_order(cases: Sequence[Case]) -> list[Case]:
    """Put the cases that wait among the others.

    Not at the beginning, when a client may still import what it needs, and not at the end, when nothing else
    would be left to do meanwhile.
    """
    waiting = [case for case in cases if case.waits]
    others = [case for case in cases if not case.waits]
    soon = len(others) // 4
    return others[:soon] + waiting + others[soon:]


def run_case(
    case: Case, adapter: Adapter, server: MockServer, *, seed: int = 0, limit: float = LIMIT
) -> Verdict:
    """Play one case for an adapter and return the verdict; see :func:`play_case`."""
    return play_case(case, adapter, server, seed=seed, limit=limit).verdict


@dataclass(frozen=True, slots=True)
class Played:
    """One case as it was played.

    Attributes:
        play: The case as it was rendered.
        outcomes: What came of its calls, as far as they were made.
        recording: What the server received, and what went over the wire.
        verdict: What the judge found.
        output: What the adapter printed meanwhile, where that is known.
    """

    play: CaseRun
    outcomes: Sequence[Outcome]
    recording: Recording
    verdict: Verdict
    output: str = ""

    def evidence(self, command: str = "") -> Document | None:
        """Return what shows how it went, unless all was right; the keys are struck out.

        Args:
            command: What plays it again.
        """
        if self.verdict.passed and not self.verdict.remarks:
            return None
        calls = [call.neutral for call in self.play.calls]
        return evidence_of(
            calls,
            self.outcomes,
            self.recording.wire,
            secrets=Secrets([self.play.key, *(call["api_key"] for call in calls)]),
            output=self.output,
            command=command,
        )


def _play_fairly(case: Case, adapter: Adapter, server: MockServer, *, seed: int, limit: float) -> Played:
    """Play a case; again and alone, when what happened to it may be the fault of another one.

    When the process of an adapter dies, or its interpreter is held, all cases in it are lost.
    """
    try:
        return play_case(case, adapter, server, seed=seed, limit=limit, rescue=True)
    except BystanderError:
        pass
    alone: Callable[..., contextlib.AbstractContextManager[Adapter]] = getattr(
        adapter, "alone", partial(_unchanged, adapter)
    )
    try:
        with alone() as single:
            return play_case(case, single, server, seed=seed, limit=limit, rescue=True)
    except BystanderError:  # something that an earlier case left behind
        with alone(fresh=True) as single:
            return play_case(case, single, server, seed=seed, limit=limit)


def _unchanged(adapter: Adapter, *, fresh: bool = False) -> contextlib.AbstractContextManager[Adapter]:
    """Return an adapter that has no process of its own, so that nothing else can be done for a case."""
    del fresh
    return contextlib.nullcontext(adapter)


def play_case(
    case: Case,
    adapter: Adapter,
    server: MockServer,
    *,
    seed: int = 0,
    limit: float = LIMIT,
    rescue: bool = False,
) -> Played:
    """Play one case for an adapter and judge what came of it.

    Args:
        case: The case.
        adapter: The driver's adapter.
        server: Where to play it.
        seed: Decides the texts, ids and keys that are played.
        limit: Seconds for one call, after which the driver counts as hanging.
        rescue: Raise BystanderError where another case may be to blame, rather than call it a crash.

    Raises:
        BystanderError: The case has to be played again.
        KitError: The case cannot be played.
    """
    try:
        listener = server.open(listens=case.listens)
    except OSError as error:
        raise KitError(f"there is no port to play {case.key} on: {error.strerror or error}") from error
    outcomes: list[Outcome] = []
    try:
        play = case.render(seed=seed, port=listener.port)
        listener.respond(respond_with(play))
        for call in play.calls:
            time.sleep(call.pause)
            outcomes.append(call_adapter(adapter, call.neutral, limit, rescue=rescue))
            if _is_over(outcomes[-1]):
                break
    except BaseException:  # Ctrl-C too: whatever ends the play, its port is let go
        listener.finish()
        raise
    recording = listener.finish(
        linger=play.requests.get("linger", 0.0),
        patience=_CLOSING if _must_close(play.requests) else 0.0,
    )
    printed: Callable[[str], str] = getattr(adapter, "printed", lambda _place: "")
    output = "".join(map(printed, dict.fromkeys(call.neutral["base_url"] for call in play.calls)))
    verdict = judge(play, outcomes, recording, adapter.capabilities, output)
    return Played(play, outcomes, recording, verdict, output)


def _is_over(outcome: Outcome) -> bool:
    """Tell whether no further call can be made. After an exception there can: what comes then is judged."""
    return isinstance(outcome, Hang) or (isinstance(outcome, Crash) and outcome.over)


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


def call_adapter(adapter: Adapter, call: Document, limit: float, *, rescue: bool = False) -> Outcome:
    """Make one call, which may raise anything or never return.

    Args:
        adapter: The adapter.
        call: The neutral call.
        limit: Seconds that the driver has.
        rescue: Raise BystanderError rather than call it a crash.

    Raises:
        BystanderError: The call was lost, and another may be to blame.
    """
    try:
        if getattr(adapter, "keeps_limits", False):
            return adapter.exchange(call)
        return make_call(adapter, call, limit)
    except HungError:
        return Hang(limit)
    except CrashedError as error:
        if rescue and isinstance(error, BystanderError):
            raise
        return Crash(str(error), over=not isinstance(error, RaisedError))

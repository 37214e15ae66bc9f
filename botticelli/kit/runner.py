"""Running cases through an adapter: many at once, results as they come.

May enter: the order of things (open a listener, make the calls, close it, have it judged), the
watchdog, and what is known to fail. What is right is not decided here.
"""

from __future__ import annotations

import copy
import json
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from botticelli.kit.adapters.limits import (
    LIMIT,
    CrashedError,
    HungError,
    call_with_timeout,
    describe_exception,
)
from botticelli.kit.cases.script import ByteScript, compile_exchange
from botticelli.kit.crew import DaemonPool
from botticelli.kit.errors import BaselineError, KitError
from botticelli.kit.judge.verdict import Crash, Hang, Outcome, Verdict, judge
from botticelli.kit.schemas import schema_violations
from botticelli.kit.server.server import MockServer, Responder

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.cases.case import Case, CaseRun
    from botticelli.kit.server.recording import Request

JOBS = 16
"""Cases at once. They mostly wait, so there are more than processors."""

_LEAVING = 5.0  # seconds that a client has to close a connection that it should close
_GRACE = 1.2  # times as patient is the watchdog as an adapter that watches itself


class Status(StrEnum):
    """How a case went."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN = "known"
    """Failed, as the baseline says that it does."""
    STALE = "stale"
    """Passed, though the baseline says that it fails: the entry must go. Fails the run."""
    NOT_CLAIMED = "not_claimed"
    """The driver does not claim what the case needs; it was not run."""


@dataclass(frozen=True, slots=True)
class Result:
    """One case through one adapter.

    Attributes:
        case: The case.
        status: How it went.
        verdict: What the judge found; for a case that was not run, nothing.
        seconds: How long it took.
        reason: Why it is known to fail, or what is not claimed; else empty.
    """

    case: Case
    status: Status
    verdict: Verdict
    seconds: float
    reason: str = ""

    @property
    def fails_run(self) -> bool:
        """True for what makes the whole run fail; a ``may`` is only told."""
        if self.status is Status.STALE:
            return True
        return self.status is Status.FAILED and self.case.level != "may"


def read_baseline(path: Path, cases: Sequence[Case]) -> dict[str, str]:
    """Read the known failures: ``{"known": {case id: reason}}``.

    Args:
        path: The file.
        cases: All cases there are; an entry for another is an error.

    Raises:
        BaselineError: It cannot be read, breaks its schema or names an unknown case.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BaselineError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: not JSON: {error}") from error
    found = schema_violations("baseline", document)
    if found:
        raise BaselineError(f"{path}: {'; '.join(found)}")
    known: dict[str, str] = document["known"]
    unknown = sorted(known.keys() - {case.key for case in cases})
    if unknown:
        raise BaselineError(f"{path}: no such case: {', '.join(unknown)}")
    return known


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
    """Run cases through an adapter and yield each result when it is there.

    Closed early, it waits for no driver; what still plays ends with the process at the latest.

    Args:
        cases: What to run, in any order.
        adapter: The driver.
        server: Where to play; by default one on loopback that lives as long as the run.
        seed: Decides texts, ids and keys.
        known: Cases known to fail, with reasons.
        jobs: Cases at once.
        limit: Seconds for one call.

    Raises:
        KitError: A case cannot be played.
    """
    claims = adapter.capabilities
    known = known or {}
    own = server or MockServer()

    def timed(case: Case) -> tuple[Verdict, float]:
        start = time.perf_counter()
        verdict = run_case(case, adapter, own, seed=seed, limit=limit)
        return verdict, time.perf_counter() - start

    crew = DaemonPool(timed, jobs)
    try:
        for case in cases:
            if missing := case.needs - claims:
                words = ", ".join(sorted(missing))
                yield Result(case, Status.NOT_CLAIMED, Verdict(None), 0.0, words)
        for case, (verdict, seconds) in crew.do(case for case in cases if case.needs <= claims):
            yield _weighed(case, verdict, seconds, known.get(case.key))
    finally:
        crew.leave(own.close if server is None else None)


def _weighed(case: Case, verdict: Verdict, seconds: float, reason: str | None) -> Result:
    if reason is None:
        status = Status.PASSED if verdict.passed else Status.FAILED
    else:
        status = Status.STALE if verdict.passed else Status.KNOWN
    return Result(case, status, verdict, seconds, reason or "")


def run_case(
    case: Case, adapter: Adapter, server: MockServer, *, seed: int = 0, limit: float = LIMIT
) -> Verdict:
    """Play one case for a driver and judge what it made of it.

    Args:
        case: What to play.
        adapter: The driver.
        server: Where to play it.
        seed: Decides texts, ids and keys.
        limit: Seconds for one call, after which the driver counts as hanging.

    Raises:
        KitError: The case cannot be played.
    """
    try:
        listener = server.open(listens=case.listens)
    except OSError as error:
        raise KitError(f"there is no port to play {case.id} on: {error.strerror or error}") from error
    play = case.render(seed=seed, port=listener.port)
    listener.direct(direct(play))
    told: list[Outcome] = []
    for call in play.calls:
        time.sleep(call.pause)
        told.append(watched(adapter, call.neutral, limit))
        if isinstance(told[-1], Crash | Hang):
            break
    seen = listener.finish(
        linger=play.requests.get("linger", 0.0),
        patience=_LEAVING if _must_leave(play.requests) else 0.0,
    )
    return judge(play, told, seen, adapter.capabilities)


def _must_leave(requests: Document) -> bool:
    rules = [requests.get("all", {}), *requests.get("each", [])]
    return any(rule.get("client_left") for rule in rules)


def direct(play: CaseRun) -> Responder:
    """Return what says which script answers which request."""

    def script(index: int, _request: Request) -> ByteScript:
        return compile_exchange(exchange_for(play, index), play.context, datetime.now(UTC))

    return script


def exchange_for(play: CaseRun, index: int) -> Document:
    """Return the exchange that answers the request of this number: in order, the last for ever."""
    for exchange in play.exchanges:
        times = exchange.get("times", 1)
        if index < times:
            return exchange
        index -= times
    return play.exchanges[-1] if play.exchanges else _UNEXPECTED


_UNEXPECTED: Document = {
    "status": 500,
    "headers": [["Content-Type", "application/json"], ["x-should-retry", "false"]],
    "body": [{"json": {"error": {"message": "no request was expected", "type": "server_error"}}}],
}


def watched(adapter: Adapter, call: Document, limit: float) -> Outcome:
    """Make a call that may raise anything or never come back."""

    def make() -> Document:
        # A copy: what a driver does to its call must not change what it is judged by.
        return _plain(adapter.exchange(copy.deepcopy(call)))

    try:
        return call_with_timeout(make, limit * _GRACE, f"botticelli-{call['case']}")
    except HungError:
        return Hang(limit)
    except CrashedError as error:
        return Crash(str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the verdict
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Crash(f"{describe_exception(error)} (at {Path(last.filename).name}:{last.lineno})")


def _plain(outcome: Document) -> Document:
    """Return an outcome that is nobody's any more: a driver's own dict could do anything when it is read."""
    try:
        plain: Document = json.loads(json.dumps(outcome))
    except (TypeError, ValueError, RecursionError):
        return outcome  # no JSON: the judge says so
    return plain

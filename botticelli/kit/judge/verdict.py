"""The verdict on one case: what came out of its calls and what the server received, judged together.

All functions are pure: raw JSON in, a verdict out; no driver's types, no socket, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import DEEPEST, is_object, too_deep
from botticelli.kit.judge.accumulate import assembled
from botticelli.kit.judge.compare import (
    Difference,
    compare_outcome,
    delta_level,
    escape_invisible,
    show,
)
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.judge.laws import check_response, invented, key_leaks, missing_fields, request_leaks
from botticelli.kit.judge.requests import compare_requests, wasted_requests
from botticelli.kit.judge.secrets import Secrets
from botticelli.kit.schemas import schema_violations

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.cases.case import Call, CaseRun
    from botticelli.kit.server.recording import Recording

__all__ = ["Crash", "Gravity", "Hang", "Outcome", "Verdict", "judge"]

Object: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Crash:
    """The driver raised an exception that isn't its own, or its process died.

    Attributes:
        message: What happened.
        over: It can't be called again.
    """

    message: str
    over: bool = True


@dataclass(frozen=True, slots=True)
class Hang:
    """The driver didn't return within so many seconds."""

    seconds: float


Outcome: TypeAlias = "Object | Crash | Hang"
"""What came of one call: an outcome as JSON (contracts/kit/outcome.schema.json), or none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        gravity: How grave the gravest difference is, or that there is a leak; None when everything was
            right.
        differences: All differences, those of the first call first. They don't contain the API key.
        remarks: What is accepted but could be better.
    """

    gravity: Gravity | None
    differences: tuple[Difference, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing is wrong."""
        return self.gravity is None


@dataclass
class _Findings:
    differences: list[Difference] = field(default_factory=list[Difference])
    remarks: list[str] = field(default_factory=list[str])

    def add(self, found: Iterable[Difference], place: str = "") -> None:
        """Add differences, with the place of their call before their paths."""
        self.differences += [replace(difference, path=place + difference.path) for difference in found]

    def gravity(self) -> Gravity | None:
        """Return what to call it all: a leak if there is one, else the gravest."""
        found = {difference.gravity for difference in self.differences}
        return Gravity.LEAK if Gravity.LEAK in found else min(found, key=lambda one: one.rank, default=None)


def judge(
    play: CaseRun,
    outcomes: Sequence[Outcome],
    recording: Recording,
    claims: frozenset[str],
    output: str = "",
) -> Verdict:
    """Judge one run of a case.

    Args:
        play: The case as it was rendered for this run.
        outcomes: What came of its calls, in order; fewer than calls when one hung or ended the driver.
        recording: What the server received.
        claims: The capabilities that the adapter declares.
        output: What the adapter printed meanwhile, which must not hold the key either.
    """
    findings = _Findings()
    secrets = Secrets(filter(None, (play.key, *(call.neutral["api_key"] for call in play.calls))))
    several = len(play.calls) > 1
    over = False
    for number, (call, got) in enumerate(zip(play.calls, outcomes, strict=False)):
        place = f"/calls/{number}" if several else ""
        over = not _judge_call(findings, play, call, got, claims, place) or over
    leaks = [*request_leaks(play, recording, secrets)]
    # After a hang, or a call that couldn't be made, the remaining calls weren't made either, and one that
    # raised may have ended before its requests or between them: counting requests would mean nothing.
    if not over:
        shown = {leak.path for leak in leaks}
        found = [one for one in compare_requests(play.requests, recording) if one.path not in shown]
        findings.add(_weighed(found, play, outcomes, recording))
    findings.add(leaks)
    findings.add(key_leaks(secrets, output, "/output"))
    hidden = tuple(_without_key(difference, secrets) for difference in findings.differences)
    return Verdict(findings.gravity(), hidden, tuple(map(secrets.strike, findings.remarks)))


def _weighed(
    found: Iterable[Difference], play: CaseRun, outcomes: Sequence[Outcome], recording: Recording
) -> Iterator[Difference]:
    """Yield differences in the requests; a wrong number of them is grave where an answer came of it."""
    answers = sum("response" in got or "models" in got for got in outcomes if isinstance(got, Mapping))
    wasted = wasted_requests(play.requests, answers, recording)
    # With limits that may run out, one more request can be a matter of time; an answer without one can't.
    if wasted and (answers > len(recording.requests) or not play.case.is_timed):
        for difference in found:
            counted = difference.path in ("/requests", "/requests/count")
            yield replace(difference, gravity=Gravity.SILENT) if counted else difference
        return
    yield from found


def _without_key(difference: Difference, secrets: Secrets) -> Difference:
    """Strike out the API key; escaping first, so that the key can't hide between invisible characters."""
    got = secrets.strike(escape_invisible(difference.got))
    return replace(
        difference,
        path=secrets.strike(difference.path),
        expected=secrets.strike(difference.expected),
        got=got,
    )


def _judge_call(
    findings: _Findings, play: CaseRun, call: Call, got: Outcome, claims: frozenset[str], place: str
) -> bool:
    """Judge one call. Return whether it came to an end, so that the requests can be judged."""
    secrets = Secrets(filter(None, (play.key, call.neutral["api_key"])))
    if isinstance(got, Hang):
        found = Difference("", "an outcome", f"nothing in {got.seconds:g} s", Gravity.HANG)
        findings.add([found], place)
        return False
    judged = not any("anything" in wanted for wanted in call.expect)
    if isinstance(got, Crash):
        judged = judged or got.over  # the calls that the case is about weren't made
        if judged:
            findings.add([Difference("", "an outcome", got.message, Gravity.CRASH)], place)
        findings.add(key_leaks(secrets, got.message), place)
        return not judged
    outcome, violations = _validated(got)
    findings.add(key_leaks(secrets, outcome), place)
    if violations:
        text = "; ".join(violations[:5])
        wanted = "an outcome that is valid by its schema (the adapter's mistake, not the client's)"
        findings.add([Difference("", wanted, text, Gravity.CRASH)], place)
    elif "unsupported" in outcome:
        wanted = "what the adapter's capabilities promise"
        findings.add([Difference("", wanted, outcome["unsupported"], Gravity.REFUSED)], place)
        return False
    elif judged:
        n = call.neutral.get("request", {}).get("n") or 1
        _judge_outcome(findings, play, call, assembled(outcome, claims, n), claims, place)
    return True


def _validated(got: Object) -> tuple[Document, list[str]]:
    """Return an outcome as plain JSON, and its violations of outcome.schema.json."""
    if too_deep(got):
        return {}, [f"more than {DEEPEST} levels deep"]
    try:
        # A Python adapter may return objects that aren't JSON, such as subclasses of dict.
        outcome: object = json.loads(json.dumps(got, allow_nan=False))
    except (TypeError, ValueError) as error:
        return {}, [f"not JSON: {error}"]
    if not is_object(outcome):
        # The schema would say it once for each of the outcomes that there are.
        return {}, [f"an object with one outcome is due, not {show(outcome)}"]
    return outcome, schema_violations("outcome", outcome)


def _judge_outcome(
    findings: _Findings, play: CaseRun, call: Call, got: Document, claims: frozenset[str], place: str
) -> None:
    operation, right = call.neutral["operation"], call.expect
    streamed = operation == "stream"
    if streamed and "assembles" not in claims:
        got, right = delta_level(got), [*map(delta_level, right)]
    compared = [
        list(compare_outcome(one, got, claims=claims, streamed=streamed, endless=play.sent.endless))
        for one in right
    ]
    # Report against the nearest expectation: of the same kind if there is one, then with fewest differences.
    found = min(compared, key=lambda found: (any(not d.path for d in found), len(found)))
    findings.add(found, place)
    findings.remarks += [] if found else _remarks(call, compared, got, place)
    n = call.neutral.get("request", {}).get("n") or 1
    findings.add(check_response(operation, got, usage_sent=play.usage_sent, n=n), place)
    findings.add(invented(got, play.sent), place)
    findings.add(missing_fields(operation, got, claims), place)


def _remarks(call: Call, compared: Sequence[Sequence[Difference]], got: Object, place: str) -> Iterator[str]:
    """Yield what would have been better than an outcome that is accepted."""
    fits = next(number for number, found in enumerate(compared) if not found)
    kinds = call.expect[fits].get("error", {}).get("kind", [])
    where = f"{place}: " if place else ""
    if kinds and got["error"]["kind"] != kinds[0]:
        yield f"{where}{got['error']['kind']} is accepted, {kinds[0]} is more precise"
    if fits:
        better = next(iter(call.expect[0]))
        more = f"a more complete {better}" if better in got else better
        yield f"{where}accepted, though {more} is the better outcome"

"""The verdict: a case, what came through the door, and what the server saw.

Pure: raw JSON in, a verdict out; no driver's types, no socket, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import DEEPEST, too_deep
from botticelli.kit.judge import laws
from botticelli.kit.judge.compare import outcome
from botticelli.kit.judge.mismatch import Mismatch, visible
from botticelli.kit.judge.sent import sent, unnoticed
from botticelli.kit.schemas import complaints

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.cases.case import Call, Play
    from botticelli.kit.server.recording import Seen

Object = Mapping[str, Any]


class Fault(StrEnum):
    """What is wrong with a driver, gravest first.

    Silent success is the gravest failure: nobody will ever know. A hang is at least noticed, a
    crash explains itself, a typed error of the wrong kind can be handled.
    """

    SILENT = "silent"
    """An answer that is not what the server said, that was never or too often asked for, or that
    stands where an error was due."""
    HANG = "hang"
    """No outcome in time."""
    CRASH = "crash"
    """An exception that the adapter does not know as the driver's own, or a dead process."""
    LEAK = "leak"
    """The API key in what the user gets to see."""
    INVALID = "invalid"
    """An outcome that breaks its schema."""
    REQUEST = "request"
    """The server saw something else than it should have."""
    ERROR = "error"
    """A typed error in place of an answer, or of another kind or with other data than was due."""
    UNSUPPORTED = "unsupported"
    """The driver claims what it then says it cannot do."""
    DETAIL = "detail"
    """The answer is right, something told about it is not."""

    @property
    def gravity(self) -> int:
        """Rank; 0 is the gravest."""
        return list(Fault).index(self)


@dataclass(frozen=True, slots=True)
class Crash:
    """An outcome that never was: the driver raised what it should not have, or died."""

    message: str


@dataclass(frozen=True, slots=True)
class Hang:
    """An outcome that never was: the driver did not come back in so many seconds."""

    seconds: float


Told: TypeAlias = "Object | Crash | Hang"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        fault: The gravest fault; None when the driver did right.
        mismatches: Every difference found, those of the first call first.
        remarks: What is right but could be better.
    """

    fault: Fault | None
    mismatches: tuple[Mismatch, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing is wrong."""
        return self.fault is None


@dataclass
class _Findings:
    faults: list[Fault] = field(default_factory=list[Fault])
    mismatches: list[Mismatch] = field(default_factory=list[Mismatch])
    remarks: list[str] = field(default_factory=list[str])

    def add(self, fault: Fault, *found: Mismatch) -> None:
        if found:
            self.faults.append(fault)
            self.mismatches += found


def judge(play: Play, told: Sequence[Told], seen: Seen, claims: frozenset[str]) -> Verdict:
    """Judge one play of a case.

    Args:
        play: The case as it was played.
        told: What came of its calls, in order; shorter when one hung or crashed.
        seen: What the server saw.
        claims: What the door says that the driver can do.
    """
    findings = _Findings()
    several = len(play.calls) > 1
    for number, (call, got) in enumerate(zip(play.calls, told, strict=False)):
        place = f"/calls/{number}" if several else ""
        _judge_call(findings, play, call, got, claims, place)
    if not {Fault.HANG, Fault.CRASH, Fault.UNSUPPORTED} & set(findings.faults):
        answers = sum("response" in got or "models" in got for got in told if isinstance(got, Mapping))
        grave = unnoticed(play.requests, answers, seen)
        findings.add(Fault.SILENT if grave else Fault.REQUEST, *sent(play.requests, seen))
    fault = min(findings.faults, key=lambda f: f.gravity, default=None)
    hidden = tuple(_without_key(m, play.key) for m in findings.mismatches)
    return Verdict(fault, hidden, tuple(findings.remarks))


def _without_key(mismatch: Mismatch, key: str) -> Mismatch:
    got = visible(mismatch.got)
    texts = (mismatch.path, mismatch.expected, got)
    return Mismatch(*(text.replace(key, "[key]") for text in texts))


def _judge_call(
    findings: _Findings, play: Play, call: Call, got: Told, claims: frozenset[str], place: str
) -> None:
    if isinstance(got, Hang):
        findings.add(Fault.HANG, Mismatch(place, "an outcome", f"nothing in {got.seconds:g} s"))
        return
    if isinstance(got, Crash):
        findings.add(Fault.CRASH, Mismatch(place, "an outcome", got.message))
        return
    answer, invalid = _valid(got)
    secrets = frozenset(filter(None, (play.key, call.neutral["api_key"])))
    findings.add(Fault.LEAK, *_placed(laws.leaks(secrets, answer), place))
    if invalid:
        text = "; ".join(invalid[:5])
        findings.add(Fault.INVALID, Mismatch(place, "an outcome that keeps its schema", text))
    elif "unsupported" in answer:
        found = Mismatch(place, "what was claimed", answer["unsupported"])
        findings.add(Fault.UNSUPPORTED, found)
    else:
        _judge_answer(findings, play, call, answer, claims, place)


def _valid(got: Object) -> tuple[Document, list[str]]:
    """Return an outcome as JSON, and what its schema has against it."""
    if too_deep(got):
        return {}, [f"more than {DEEPEST} levels deep"]
    try:
        # What a Python adapter returns need not be JSON; what is judged is.
        answer: Document = json.loads(json.dumps(got, allow_nan=False))
    except (TypeError, ValueError) as error:
        return {}, [f"not JSON: {error}"]
    return answer, complaints("outcome", answer)


def _judge_answer(
    findings: _Findings, play: Play, call: Call, got: Document, claims: frozenset[str], place: str
) -> None:
    best = [list(outcome(one, got, claims=claims)) for one in call.expect]
    found = min(best, key=lambda m: (any(not x.path for x in m), len(m)))
    findings.add(_fault(found, got), *_placed(found, place))
    findings.remarks += [] if found else _remarks(call, best, got, place)
    operation = call.neutral["operation"]
    broken = laws.answer(operation, got, usage_sent=play.usage_sent)
    findings.add(Fault.SILENT, *_placed(broken, place))
    findings.add(Fault.INVALID, *_placed(laws.untold(operation, got), place))


def _placed(found: Sequence[Mismatch] | Iterator[Mismatch], place: str) -> list[Mismatch]:
    return [Mismatch(place + m.path, m.expected, m.got) for m in found]


_SAID = ("/models", "/response/choices", "/response/usage")
_SAVED = ("/error/partial", "/partial_chunks")
"""An error that has lost what was delivered is no better than an answer that has."""


def _fault(found: Sequence[Mismatch], got: Object) -> Fault:
    if "error" in got:
        return Fault.SILENT if any(m.path.startswith(_SAVED) for m in found) else Fault.ERROR
    grave = any(not m.path or m.path.startswith(_SAID) for m in found)
    return Fault.SILENT if grave else Fault.DETAIL


def _remarks(call: Call, found: Sequence[Sequence[Mismatch]], got: Object, place: str) -> Iterator[str]:
    fits = next(n for n, mismatches in enumerate(found) if not mismatches)
    kinds = call.expect[fits].get("error", {}).get("kind", [])
    where = f"{place}: " if place else ""
    if kinds and got["error"]["kind"] != kinds[0]:
        yield f"{where}{got['error']['kind']} is accepted, {kinds[0]} is more precise"
    if fits:
        better = next(iter(call.expect[0]))
        more = "one that tells more" if better in got else better
        yield f"{where}accepted, though {more} is the better outcome"

"""The verdict: a case, what came through the door, and what the server saw.

Pure: raw JSON in, a verdict out; no driver's types, no socket, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.kit.match import Mismatch, outcome, show, visible
from botticelli.kit.schemas import complaints
from botticelli.kit.sent import sent, unnoticed

if TYPE_CHECKING:
    from botticelli.kit.case import Call, Play
    from botticelli.kit.seen import Seen
    from botticelli.kit.values import Document

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
    """The API key in an error's message."""
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
        _judge_call(findings, call, got, claims, place)
    if not {Fault.HANG, Fault.CRASH, Fault.UNSUPPORTED} & set(findings.faults):
        answers = sum("response" in got or "models" in got for got in told if isinstance(got, Mapping))
        grave = unnoticed(play.requests, answers, seen)
        findings.add(Fault.SILENT if grave else Fault.REQUEST, *sent(play.requests, seen))
    fault = min(findings.faults, key=lambda f: f.gravity, default=None)
    hidden = tuple(_without_key(m, play.key) for m in findings.mismatches)
    return Verdict(fault, hidden, tuple(findings.remarks))


def _without_key(mismatch: Mismatch, key: str) -> Mismatch:
    got = visible(mismatch.got)
    return Mismatch(mismatch.path, mismatch.expected.replace(key, "[key]"), got.replace(key, "[key]"))


def _judge_call(findings: _Findings, call: Call, got: Told, claims: frozenset[str], place: str) -> None:
    if isinstance(got, Hang):
        findings.add(Fault.HANG, Mismatch(place, "an outcome", f"nothing in {got.seconds:g} s"))
        return
    if isinstance(got, Crash):
        findings.add(Fault.CRASH, Mismatch(place, "an outcome", got.message))
        return
    answer, invalid = _valid(got)
    if invalid:
        text = "; ".join(invalid[:5])
        findings.add(Fault.INVALID, Mismatch(place, "an outcome that keeps its schema", text))
    elif "unsupported" in answer:
        found = Mismatch(place, "what was claimed", answer["unsupported"])
        findings.add(Fault.UNSUPPORTED, found)
    else:
        _judge_answer(findings, call, answer, claims, place)


def _valid(got: Object) -> tuple[Document, list[str]]:
    """Return an outcome as JSON, and what its schema has against it."""
    try:
        # What a Python adapter returns need not be JSON; what is judged is.
        answer: Document = json.loads(json.dumps(got))
        return answer, complaints("outcome", answer)
    except (TypeError, ValueError, RecursionError) as error:
        return {}, [f"not JSON: {error}"]


def _judge_answer(findings: _Findings, call: Call, got: Document, claims: frozenset[str], place: str) -> None:
    strict = "deviations" in claims
    best = [list(outcome(one, got, strict_deviations=strict)) for one in call.expect]
    found = min(best, key=lambda m: (any(not x.path for x in m), len(m)))
    findings.add(_fault(found, got), *_placed(found, place))
    findings.remarks += [] if found else _remarks(call, best, got, place)
    findings.add(Fault.LEAK, *_placed(_leaks(call, got), place))
    findings.add(Fault.SILENT, *_placed(_laws(call, got), place))


def _placed(found: Sequence[Mismatch] | Iterator[Mismatch], place: str) -> list[Mismatch]:
    return [Mismatch(place + m.path, m.expected, m.got) for m in found]


def _fault(found: Sequence[Mismatch], got: Object) -> Fault:
    if "error" in got:
        return Fault.ERROR
    content = any(
        m.path in ("", "/models") or m.path.startswith(("/models/", "/response/choices")) for m in found
    )
    usage = any(m.path.startswith("/response/usage") for m in found)
    return Fault.SILENT if content or usage else Fault.DETAIL


def _remarks(call: Call, found: Sequence[Sequence[Mismatch]], got: Object, place: str) -> Iterator[str]:
    fits = next(n for n, mismatches in enumerate(found) if not mismatches)
    kinds = call.expect[fits].get("error", {}).get("kind", [])
    where = f"{place}: " if place else ""
    if kinds and got["error"]["kind"] != kinds[0]:
        yield f"{where}{got['error']['kind']} is accepted, {kinds[0]} is more precise"
    if fits:
        yield f"{where}accepted, though {next(iter(call.expect[0]))} is the better outcome"


def _leaks(call: Call, got: Object) -> Iterator[Mismatch]:
    key = call.neutral["api_key"]
    if key and key in got.get("error", {}).get("message", ""):
        yield Mismatch("/error/message", "no API key in it", show(got["error"]["message"]))


def _laws(call: Call, got: Object) -> Iterator[Mismatch]:
    """Yield what is wrong in any case, whatever the case asks."""
    response = got.get("response")
    if response is None:
        return
    for number, choice in enumerate(response["choices"]):
        ids = [tool["id"] for tool in choice.get("tool_calls", []) if tool["id"]]
        if len(ids) != len(set(ids)):
            path = f"/response/choices/{number}/tool_calls"
            yield Mismatch(path, "ids that differ", show(ids))
    if call.neutral["operation"] != "stream":
        return
    if len(response["choices"]) == 1 and "chunks" in response:
        text = response["choices"][0]["text"] or ""
        if "".join(response["chunks"]) != text:
            yield Mismatch("/response/chunks", f"together {show(text)}", show(response["chunks"]))
    if response.get("final_chunks", 1) != 1:
        yield Mismatch("/response/final_chunks", "1", str(response["final_chunks"]))

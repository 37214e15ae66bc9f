"""The verdict on one case: what came out of its calls and what the server received, judged together.

All functions are pure: raw JSON in, a verdict out; no driver's types, no socket, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from botticelli.contracts.jsonvalue import DEEPEST, escape_token, is_array, is_object, too_deep
from botticelli.kit.judge.compare import (
    Difference,
    compare_outcome,
    compare_requests,
    delta_level,
    escape_invisible,
    show,
    wasted_requests,
)
from botticelli.kit.schemas import schema_violations

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.cases.case import Call, CaseRun
    from botticelli.kit.server.recording import Recording

__all__ = [
    "Crash",
    "Fault",
    "Hang",
    "Outcome",
    "Verdict",
    "check_response",
    "judge",
    "key_leaks",
    "missing_fields",
]

Object: TypeAlias = Mapping[str, Any]


class Fault(StrEnum):
    """What is wrong with a driver, gravest first.

    Silent success is the gravest, because nobody will ever know. A hang is at least noticed, a crash
    explains itself, and a typed error of the wrong kind can be handled.
    """

    SILENT = "silent"
    """Wrong, lost or invented content without an error, an answer in place of an error, or an answer that
    was requested from the server too often or never."""
    HANG = "hang"
    """No outcome in time."""
    CRASH = "crash"
    """An exception outside the driver's own error classes, or a dead process."""
    LEAK = "leak"
    """The API key shows in what the user gets."""
    INVALID = "invalid"
    """The outcome breaks its schema, or leaves out what the operation requires."""
    REQUEST = "request"
    """The server received other requests than it should have."""
    ERROR = "error"
    """A typed error in place of an answer, or an error of another kind or with other data than expected."""
    UNSUPPORTED = "unsupported"
    """The driver declares a capability and then says that it can't do it."""
    DETAIL = "detail"
    """The content is right; something reported beside it isn't."""

    @property
    def gravity(self) -> int:
        """Rank; 0 is the gravest."""
        return list(Fault).index(self)


@dataclass(frozen=True, slots=True)
class Crash:
    """The driver raised an exception that isn't its own, or its process died."""

    message: str


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
        fault: The gravest fault; None when everything was right.
        differences: All differences, those of the first call first. They don't contain the API key.
        remarks: What is accepted but could be better.
    """

    fault: Fault | None
    differences: tuple[Difference, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing is wrong."""
        return self.fault is None


@dataclass
class _Findings:
    faults: list[Fault] = field(default_factory=list[Fault])
    differences: list[Difference] = field(default_factory=list[Difference])
    remarks: list[str] = field(default_factory=list[str])

    def add(self, fault: Fault, found: Iterable[Difference], place: str = "") -> None:
        """Add differences, with the place of their call before their paths, as one fault."""
        placed = [replace(difference, path=place + difference.path) for difference in found]
        if placed:
            self.faults.append(fault)
            self.differences += placed


def judge(
    play: CaseRun, outcomes: Sequence[Outcome], recording: Recording, claims: frozenset[str]
) -> Verdict:
    """Judge one run of a case.

    Args:
        play: The case as it was rendered for this run.
        outcomes: What came of its calls, in order; fewer than calls when one hung or crashed.
        recording: What the server received.
        claims: The capabilities that the adapter declares.
    """
    findings = _Findings()
    several = len(play.calls) > 1
    for number, (call, got) in enumerate(zip(play.calls, outcomes, strict=False)):
        place = f"/calls/{number}" if several else ""
        _judge_call(findings, play, call, got, claims, place)
    # After these three the remaining calls weren't made, so that counting requests would mean nothing.
    if not {Fault.HANG, Fault.CRASH, Fault.UNSUPPORTED} & set(findings.faults):
        answers = sum("response" in got or "models" in got for got in outcomes if isinstance(got, Mapping))
        wasted = wasted_requests(play.requests, answers, recording)
        found = compare_requests(play.requests, recording)
        findings.add(Fault.SILENT if wasted else Fault.REQUEST, found)
    fault = min(findings.faults, key=lambda f: f.gravity, default=None)
    hidden = tuple(_without_key(difference, play.key) for difference in findings.differences)
    return Verdict(fault, hidden, tuple(findings.remarks))


def _without_key(difference: Difference, key: str) -> Difference:
    """Blank the API key; escaping first, so that the key can't hide between invisible characters."""
    got = escape_invisible(difference.got)
    path, expected, got = (text.replace(key, "[key]") for text in (difference.path, difference.expected, got))
    return replace(difference, path=path, expected=expected, got=got)


def _judge_call(
    findings: _Findings, play: CaseRun, call: Call, got: Outcome, claims: frozenset[str], place: str
) -> None:
    if isinstance(got, Hang):
        found = Difference("", "an outcome", f"nothing in {got.seconds:g} s")
        findings.add(Fault.HANG, [found], place)
        return
    if isinstance(got, Crash):
        findings.add(Fault.CRASH, [Difference("", "an outcome", got.message)], place)
        return
    outcome, violations = _validated(got)
    secrets = frozenset(filter(None, (play.key, call.neutral["api_key"])))
    findings.add(Fault.LEAK, key_leaks(secrets, outcome), place)
    if violations:
        text = "; ".join(violations[:5])
        findings.add(Fault.INVALID, [Difference("", "an outcome that is valid by its schema", text)], place)
    elif "unsupported" in outcome:
        found = Difference("", "what the adapter's capabilities promise", outcome["unsupported"])
        findings.add(Fault.UNSUPPORTED, [found], place)
    else:
        _judge_outcome(findings, play, call, outcome, claims, place)


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
    compared = [list(compare_outcome(one, got, claims=claims, streamed=streamed)) for one in right]
    # Report against the nearest expectation: of the same kind if there is one, then with fewest differences.
    found = min(compared, key=lambda found: (any(not d.path for d in found), len(found)))
    if any(difference.content for difference in found):
        fault = Fault.SILENT
    else:
        fault = Fault.ERROR if "error" in got else Fault.DETAIL
    findings.add(fault, found, place)
    findings.remarks += [] if found else _remarks(call, compared, got, place)
    n = call.neutral.get("request", {}).get("n") or 1
    findings.add(Fault.SILENT, check_response(operation, got, usage_sent=play.usage_sent, n=n), place)
    findings.add(Fault.INVALID, missing_fields(operation, got, claims), place)


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


# Invariants: what holds of every outcome, whatever its case expects


def missing_fields(operation: str, got: Object, claims: frozenset[str]) -> Iterator[Difference]:
    """Yield the members that are due for this operation and these claims, which the schema doesn't know."""
    if operation == "stream" and "response" in got:
        for name in ("chunks", "final_chunks"):
            if name not in got["response"]:
                yield Difference(f"/response/{name}", "present for every stream", "nothing")
    if "finish_words" in claims and "response" in got:
        for number, choice in enumerate(got["response"]["choices"]):
            if choice["finish_reason"] is None:
                path = f"/response/choices/{number}/finish_reason"
                yield Difference(path, "a word, as finish_words is claimed", "null")


def check_response(operation: str, got: Object, *, usage_sent: bool, n: int = 1) -> Iterator[Difference]:
    """Check the rules that every response keeps, also the partial one of an error.

    Args:
        operation: The call's operation.
        got: The outcome, valid by its schema.
        usage_sent: The server sent a usage, or something that may be one.
        n: The number of choices that the call asked for.
    """
    response: Object | None = got.get("response")
    if response is not None:
        yield from _check_parts(response, "/response", usage_sent=usage_sent)
        if operation == "stream":
            if "chunks" in response:
                yield from _check_chunks(response, response["chunks"], "/response/chunks", n)
            if response.get("final_chunks", 1) != 1:
                yield Difference("/response/final_chunks", "1", str(response["final_chunks"]))
    partial: Object | None = got.get("error", {}).get("partial")
    if partial is not None:
        yield from _check_parts(partial, "/error/partial", usage_sent=usage_sent)
        if operation == "stream":
            yield from _check_chunks(partial, got.get("partial_chunks", []), "/partial_chunks", n)


def _check_parts(response: Object, path: str, *, usage_sent: bool) -> Iterator[Difference]:
    indices = [
        place if choice["index"] is None else choice["index"]
        for place, choice in enumerate(response["choices"])
    ]
    if indices != sorted(set(indices)):
        yield Difference(f"{path}/choices", "distinct indices in ascending order", show(indices))
    for number, choice in enumerate(response["choices"]):
        ids = [call["id"] for call in choice.get("tool_calls", []) if call["id"]]
        if len(ids) != len(set(ids)):
            yield Difference(f"{path}/choices/{number}/tool_calls", "distinct ids", show(ids))
        yield from _check_blocks(choice, f"{path}/choices/{number}")
    usage: Object = response.get("usage") or {}
    if not usage_sent and any(count is not None for count in usage.values()):
        yield Difference(f"{path}/usage", "null, as none was sent", show(usage))


def _check_blocks(choice: Object, path: str) -> Iterator[Difference]:
    """Check that the ordered blocks of a choice hold the same as its other members."""
    blocks: list[Object] | None = choice.get("content")
    if blocks is None:
        return
    for name in ("text", "reasoning", "refusal"):
        text = "".join(block["text"] for block in blocks if block["type"] == name)
        if text != (choice.get(name) or ""):
            yield Difference(
                f"{path}/content", f"{name} blocks with {show(choice.get(name) or '')}", show(text)
            )
    count = sum(block["count"] for block in blocks if block["type"] == "tool_calls")
    calls = len(choice.get("tool_calls", []))
    if count != calls:
        yield Difference(f"{path}/content", f"blocks with {calls} tool calls", f"{count}")


def _check_chunks(response: Object, chunks: list[str], path: str, n: int) -> Iterator[Difference]:
    """Check that the chunks which the user received add up to the response."""
    texts = [choice["text"] or "" for choice in response["choices"]]
    if len(texts) > n and "".join(chunks) == texts[0]:
        return  # the others weren't asked for, so a loop over the chunks needn't print them
    if len(texts) > 1:
        # Chunks don't say which choice they belong to, so only their characters can be compared.
        if sorted("".join(chunks)) != sorted("".join(texts)):
            yield Difference(path, f"together the texts {show(texts)}", show(chunks))
    elif "".join(chunks) != "".join(texts):
        yield Difference(path, f"together {show(''.join(texts))}", show(chunks))


def key_leaks(secrets: frozenset[str], got: object, path: str = "") -> Iterator[Difference]:
    """Yield every place in an outcome, names of members included, that contains one of the secrets."""
    if isinstance(got, str):
        if any(secret in got for secret in secrets):
            yield Difference(path, "no API key in it", show(got))
    elif is_array(got):
        for position, item in enumerate(got):
            yield from key_leaks(secrets, item, f"{path}/{position}")
    elif is_object(got):
        for name, value in got.items():
            yield from key_leaks(secrets, name, path)
            yield from key_leaks(secrets, value, f"{path}/{escape_token(name)}")

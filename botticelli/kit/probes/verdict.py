"""The verdict on one probe, from its exchanges alone, so that a saved run can be judged again.

Four results are kept apart: a request that is obeyed, one that is refused honestly, one that is silently
ignored, and one of which nothing can be concluded. The fifth is an answer that breaks a rule.
"""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from botticelli.contracts.jsonvalue import as_object
from botticelli.kit.judge.compare import Difference
from botticelli.kit.judge.gravity import Gravity
from botticelli.kit.judge.verdict import Verdict
from botticelli.kit.probes.answer import Answer
from botticelli.kit.probes.comparisons import COMPARISONS
from botticelli.kit.probes.findings import Doubt, Finding
from botticelli.kit.probes.laws import LAWS
from botticelli.kit.probes.probe import laws_in, named_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.probes.exchange import Exchange
    from botticelli.kit.probes.probe import Ask, Probe

__all__ = ["Judgement", "Outcome", "curl", "evidence", "judge"]

_ORDER = list(Gravity)

_HONEST = frozenset({400, 405, 406, 409, 411, 413, 415, 422, 501})
"""Statuses that refuse a request for what it asks."""
_ELSEWHERE = frozenset({401, 402, 403, 404, 408, 425, 429, 502, 503, 504, 529})
"""Statuses that have to do with the key, the money, the load or a gateway, and not with what was asked."""


class Outcome(StrEnum):
    """What became of a request."""

    OBEYED = "obeyed"
    REFUSED = "refused"
    IGNORED = "ignored"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"


@dataclass
class Judgement:
    """What was found in the exchanges of one probe.

    Attributes:
        findings: Broken rules, each with the question that shows it.
        doubts: Why nothing can be concluded.
        refusals: What the server refused, in its own words.
        remarks: What is worth knowing and no fault.
    """

    findings: list[tuple[str, Finding]] = field(default_factory=list[tuple[str, Finding]])
    doubts: list[str] = field(default_factory=list[str])
    refusals: list[str] = field(default_factory=list[str])
    remarks: list[str] = field(default_factory=list[str])

    @property
    def gravity(self) -> Gravity | None:
        """The gravest finding's; None without any."""
        return min((Gravity(one.gravity) for _, one in self.findings), key=_ORDER.index, default=None)

    @property
    def outcome(self) -> Outcome:
        """What became of the request."""
        if self.findings:
            return Outcome.IGNORED if self.gravity is Gravity.SILENT else Outcome.BROKEN
        if self.doubts:
            return Outcome.INCONCLUSIVE
        return Outcome.REFUSED if self.refusals else Outcome.OBEYED

    def hide(self, exchange: Exchange) -> None:
        """Strike out of all words what an exchange must not show."""
        if exchange.hidden:
            hide = exchange.hide
            self.findings = [
                (name, replace(one, path=hide(one.path), rule=hide(one.rule), got=hide(one.got)))
                for name, one in self.findings
            ]
            self.doubts, self.refusals, self.remarks = (
                [hide(words) for words in several] for several in (self.doubts, self.refusals, self.remarks)
            )

    @property
    def why_open(self) -> str:
        """Why nothing was shown, in one line; empty where something was."""
        words = [*self.doubts, *self.refusals]
        return " ".join(words[0].split()) if words else ""

    @property
    def verdict(self) -> Verdict:
        """The same in the judge's words."""
        differences = [
            Difference(f"{name}: {one.path}" if one.path else name, one.rule, one.got, Gravity(one.gravity))
            for name, one in self.findings
        ]
        said = [*(self.doubts[:3]), *(self.refusals[:3]), *self.remarks]
        return Verdict(self.gravity, tuple(differences), tuple(said))


def judge(probe: Probe, exchanges: Sequence[Exchange], model: str) -> Judgement:
    """Judge one probe.

    Args:
        probe: What was asked.
        exchanges: What came, in order. Of those with one name only the last counts: the others were asked in
            another way, or with too little room.
        model: The model that was asked.
    """
    found = Judgement()
    answers: dict[str, Answer] = {}
    for ask in probe.asks:
        for name in [ask.name, *(f"{ask.name}.{number}" for number in range(2, ask.copies + 1))]:
            last = next((one for one in reversed(exchanges) if one.ask == name), None)
            if last is None:
                if not ask.if_stopped:
                    found.doubts.append(f"it was not asked: {name}")
                continue
            answer = Answer(last)
            if _judge_ask(found, probe, ask, answer, model):
                answers[name] = answer
    for law in laws_in(probe.document.get("laws", [])):
        if all(name in answers for name in named_in(law)):
            for one in COMPARISONS[law["law"]](answers, law):
                _add(found, _shown_by(law), one)
    for exchange in exchanges:
        found.hide(exchange)
    return found


_SHOWING = ("limited", "more", "stopped", "stream", "wrong", "many", "other", "second")


def _shown_by(law: Document) -> str:
    """Return the question whose answer shows that a law between answers is broken."""
    return next((str(law[role]) for role in _SHOWING if role in law), named_in(law)[-1])


def _add(found: Judgement, name: str, one: Finding | Doubt) -> None:
    if isinstance(one, Doubt):
        found.doubts.append(one.reason)
    else:
        found.findings.append((name, one))


def _judge_ask(found: Judgement, probe: Probe, ask: Ask, answer: Answer, model: str) -> bool:
    """Judge one answer; return whether it can be compared with others."""
    rule = ask.document.get("rule", probe.rule)
    if not _arrived(found, ask, answer):
        return False
    comparable = _judge_status(found, probe, ask, answer, rule)
    if comparable and ask.uncut and answer.cut:
        found.doubts.append("the answer was cut by our own limit, though it was asked again with more room")
        return False
    if comparable:
        for law in laws_in(ask.document.get("laws", [])):
            arguments = {**law, "model": model}
            for one in LAWS[law["law"]](answer, arguments):
                _add(found, ask.name, one)
    return comparable


def _arrived(found: Judgement, ask: Ask, answer: Answer) -> bool:
    """Judge whether an answer came at all, and whole."""
    exchange, response = answer.exchange, answer.response
    if exchange.end == "unreachable":
        found.doubts.append(f"nothing answers there any more: {exchange.detail}")
        return False
    if exchange.end == "left":
        return bool(response.status)
    if response.complete or (exchange.end == "held" and response.status):
        return True
    if exchange.end == "timeout":
        if ask.document.get("slow"):
            found.doubts.append(f"the server is too slow for this question: {exchange.detail}")
            return False
        if not response.status or not response.body:
            _add(found, ask.name, Finding("", "an answer", exchange.detail, "hang"))
            return False
        got = f"{len(response.data)} bytes, and then nothing: {exchange.detail}"
        _add(found, ask.name, Finding("", "an answer that ends", got, "hang"))
        return False
    if not response.status:
        if response.faults:
            _add(found, ask.name, Finding("HTTP", "an answer by RFC 9112", response.faults[0], "crash"))
        elif ask.document.get("slow"):
            found.doubts.append("the server closed the connection while the request was sent")
        else:
            why = f" ({exchange.detail})" if exchange.detail else ""
            got = f"the connection was closed without one{why}"
            _add(found, ask.name, Finding("", "an answer", got, "crash"))
        return False
    got = f"{len(response.data)} bytes, and then the connection was closed"
    _add(found, ask.name, Finding("HTTP", "an answer that ends as its framing says", got, "silent"))
    return False


def _judge_status(found: Judgement, probe: Probe, ask: Ask, answer: Answer, rule: str) -> bool:
    """Judge the status by the rule; return whether the laws apply."""
    status = answer.response.status
    said = f"{status}: {answer.error[:300]}" if answer.error else str(status)
    if rule == "whatever":
        return True
    if rule == "error":
        return _judge_error(found, ask, answer, said)
    if answer.ok:
        if rule != "any" and answer.error:
            rule_said = "an error's own status"
            _add(
                found,
                ask.name,
                Finding("", rule_said, f"{status} with an error in it: {answer.error[:200]}", "silent"),
            )
            return False
        return True
    if rule == "any":
        if status >= 500 and status != 501:
            _add(found, ask.name, Finding("status", "no 5xx for what a client sends", said))
            return False
        return True
    if status in _ELSEWHERE:
        found.doubts.append(f"the server answered {said}")
    elif status in _HONEST and rule == "feature":
        found.refusals.append(f"the server refused it: {said}")
        words = probe.parameter
        if words and words.lower() not in answer.response.data.decode("utf-8", "replace").lower():
            found.remarks.append(f"the refusal doesn't name {words}")
    elif rule == "feature":
        expected = f"an answer, or a 4xx that says that {probe.parameter or 'it'} isn't supported"
        _add(found, ask.name, Finding("status", expected, said, "refused"))
    else:
        _add(found, ask.name, Finding("status", "an answer", said, "refused"))
    return False


def _judge_error(found: Judgement, ask: Ask, answer: Answer, said: str) -> bool:
    status = answer.response.status
    if answer.ok:
        if answer.is_stream and answer.error:
            found.remarks.append(f"the error came in the stream, with status {status}: {answer.error[:200]}")
        elif answer.error:
            _add(
                found,
                ask.name,
                Finding("status", "a 4xx", f"{status} with an error in it: {answer.error[:200]}", "silent"),
            )
        else:
            shown = answer.response.data[:160].decode("utf-8", "replace")
            what = f"as if nothing were wrong: {shown}" if shown else "without a body"
            _add(
                found,
                ask.name,
                Finding("status", "a 4xx that says what is wrong", f"{status} {what}", "silent"),
            )
        return False
    if status >= 500 and status != 501:
        if status in _ELSEWHERE:
            found.doubts.append(f"the server answered {said}")
        else:
            _add(found, ask.name, Finding("status", "a 4xx: the request is at fault, not the server", said))
        return False
    if status == 429:
        found.doubts.append(f"the server answered {said}")
        return False
    return True


# What a reader needs to see it again


_LONGEST_LINE = 4000


def curl(exchange: Exchange, url: str, key_env: str = "") -> str:
    """Return the command that asks the same; the key is a variable.

    Args:
        exchange: What was asked.
        url: The endpoint's scheme and authority, such as ``http://127.0.0.1:8000``.
        key_env: The variable that holds the key.
    """
    words = ["curl", "-sS", "-i"]
    if exchange.asked.get("stream") is True:
        words.append("-N")
    if exchange.method == "HEAD":
        words.append("-I")
    elif exchange.method != ("POST" if exchange.body else "GET"):
        words += ["-X", exchange.method]
    first, *lines = exchange.head.decode("utf-8", "replace").split("\r\n")
    if first.endswith("HTTP/1.0"):
        words.append("--http1.0")
    words.append(shlex.quote(f"{url}{exchange.target}"))
    for line in lines:
        name, _, value = line.partition(": ")
        if name.lower() in ("", "host", "content-length", "accept", "user-agent"):
            continue
        if set(value.removeprefix("Bearer ")) == {"*"}:
            words += ["-H", f'"{name}: Bearer ${key_env or "API_KEY"}"']
        else:
            words += ["-H", shlex.quote(line)]
    if exchange.body:
        text = exchange.body.decode("utf-8", "replace")
        whole = len(text) <= _LONGEST_LINE and "�" not in text
        words += [
            "--data-binary",
            shlex.quote(text) if whole else f"@request.json  # {len(exchange.body)} bytes",
        ]
    return " ".join(words)


_SHOWN = 4000


def evidence(exchanges: Sequence[Exchange], command: str) -> Document:
    """Return what went over the wire, as a report keeps it (evidence in report.schema.json)."""
    wire: list[Document] = []
    start = 0.0
    for exchange in exchanges:
        sent = exchange.head + exchange.body
        wire.append(_passage(start, exchange.connection, "client", sent))
        left = _SHOWN
        for piece in exchange.pieces:
            if left > 0:
                wire.append(_passage(start + piece.at, exchange.connection, "server", piece.data[:left]))
            left -= len(piece.data)
        if left < 0:
            wire[-1]["omitted"] = -left
        start += exchange.seconds
    calls = [as_object(exchange.asked) for exchange in exchanges]
    outcomes = [{"status": exchange.response.status, "end": exchange.end} for exchange in exchanges]
    return {"calls": calls, "outcomes": outcomes, "wire": wire, "command": command}


def _passage(at: float, connection: int, side: str, data: bytes) -> Document:
    passage: Document = {"at": round(at, 6), "connection": connection, "from": side}
    try:
        passage["text"] = data[:_SHOWN].decode()
    except UnicodeDecodeError:
        passage["base64"] = base64.b64encode(data[:_SHOWN]).decode()
    if len(data) > _SHOWN:
        passage["omitted"] = len(data) - _SHOWN
    return passage

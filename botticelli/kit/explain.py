"""Explain a case: the rule behind it, what is asked and played, what is right, and how it went.

How it went comes from a report that was written as JSON, whose evidence holds the exchange as it was seen.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.cases.case import load_cases
from botticelli.kit.cases.script import Pause, compile_exchange
from botticelli.kit.errors import KitError
from botticelli.kit.judge.secrets import Secrets
from botticelli.kit.report.machine import document_of
from botticelli.kit.report.model import read_report
from botticelli.kit.report.text import painter
from botticelli.kit.selection import select_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.cases.case import Case, CaseRun

__all__ = ["explain"]

_PORT = 8434  # stands in the URLs of what is shown; nothing listens there
_PUBLISHED = "https://github.com/openai/openai-openapi"
_LONG = 1600  # characters shown of the bytes that go over the wire at once
_STEPS = 40  # writes shown of an answer
_WIDE = 110  # characters of a line of JSON
_END = 200  # of which so many come from the end
_AT_REST = {"format", "case", "api_key", "base_url", "model", "last"}  # of a call, alike in nearly every case
_ENDS = {
    "keep-alive": "and keeps the connection open",
    "close": "and closes the connection",
    "cut": "and closes the connection in the middle",
    "reset": "and resets the connection",
}


def explain(out: TextIO, name: str, *, report: Path | None = None, seed: int | None = None) -> None:
    """Write everything about one case.

    Args:
        out: Where to; with colour only if it is a terminal.
        name: The case's key.
        report: A report to show how it went in.
        seed: Chooses the texts, ids and keys that are shown; by default those of the report.

    Raises:
        KitError: There is no such case, or the report cannot be used or has no result of it.
    """
    found = select_cases(load_cases(), [name])
    exact = [case for case in found if name in (case.key, case.id)] or found
    if len(exact) > 1:
        raise KitError(f"{name!r} names {len(exact)} cases; explain one, such as {exact[0].key}")
    [case] = exact
    results = list(_results(report, case.key)) if report else []
    if seed is None:
        seed = results[0][2] if results else 0
    if report and not results:
        raise KitError(f"{report}: there is no result of {case.key} in it")
    paint = painter(out)
    play = case.render(seed=seed, port=_PORT)
    out.writelines(f"{line}\n" for line in _about(case, paint))
    out.writelines(f"{line}\n" for line in _asked(play, paint))
    for run, result, _ in results:
        out.writelines(f"{line}\n" for line in _how_it_went(run, result, paint))


def _about(case: Case, paint: Callable[[str, str], str]) -> Iterator[str]:
    yield paint(case.key, "bold") + f"  ({case.area}, {case.level}, {case.profile}, since {case.since})"
    yield f"  {case.title}"
    yield ""
    rows = {
        "rule": f"{_PUBLISHED} {case.spec}" if case.spec.startswith("#") else case.spec,
        "rests on": case.provenance,
        "source": "; ".join(case.source),
        "policy": case.policy,
        "note": str(case.document.get("note", "")),
        "cause": case.cause,
    }
    yield from (f"  {name:<9} {text}" for name, text in rows.items() if text)


def _asked(play: CaseRun, paint: Callable[[str, str], str]) -> Iterator[str]:
    secrets = Secrets([play.key, *(call.neutral["api_key"] for call in play.calls)])
    for number, call in enumerate(play.calls):
        yield ""
        yield paint(f"Call {number}: {call.neutral['operation']}", "bold")
        if call.pause:
            yield f"  after {call.pause:g} s"
        rest = {
            name: value
            for name, value in call.neutral.items()
            if name not in _AT_REST and name != "operation"
        }
        yield from _json(secrets.strike_json(rest))
        yield "  right is" if len(call.expect) == 1 else "  right is one of"
        for expected in call.expect:
            yield from _json(secrets.strike_json(expected), "    ")
    for number, exchange in enumerate(play.exchanges):
        yield ""
        times = exchange.get("times", 1)
        yield paint(f"Answer {number}", "bold") + (f", {times} times" if times > 1 else "")
        script = compile_exchange(exchange, play.context, datetime.now(UTC))
        for step in script.steps[:_STEPS]:
            if isinstance(step, Pause):
                patience = "for the client to leave" if step.seconds is None else f"{step.seconds:g} s"
                yield f"  waits {patience}"
            else:
                text = secrets.strike(_shortened(step.decode("utf-8", _BYTES)))
                yield from (f"  {line}" for line in _escaped(text))
        if len(script.steps) > _STEPS:
            yield f"  [... {len(script.steps) - _STEPS} writes more ...]"
        yield f"  {_ENDS[script.end]}"
    yield ""
    yield paint("What the server must receive", "bold")
    yield from _json(secrets.strike_json(play.requests))


def _how_it_went(run: str, result: Document, paint: Callable[[str, str], str]) -> Iterator[str]:
    yield ""
    gravity = result.get("gravity") or result.get("fault")
    yield paint(f"{run}: {result['status']}", "bold") + (f", {gravity}" if gravity else "")
    for difference in result.get("differences", ()):
        yield f"  at {difference['path'] or 'the outcome'}"
        yield f"    expected  {difference['expected']}"
        yield f"    got       {difference['got']}"
    yield from (f"  remark    {remark}" for remark in result.get("remarks", ()))
    evidence: Mapping[str, Any] | None = result.get("evidence")
    if evidence is None:
        return
    yield ""
    yield "  on the wire"
    yield from (f"    {line}" for piece in evidence["wire"] for line in _piece(piece))
    for number, outcome in enumerate(evidence["outcomes"]):
        yield ""
        yield f"  outcome of call {number}"
        yield from _json(outcome, "    ")
    if evidence.get("output"):
        yield ""
        yield "  printed meanwhile"
        yield from (f"    {line}" for line in _escaped(evidence["output"]))
    if evidence.get("command"):
        yield ""
        yield f"  play it again: {evidence['command']}"


def _piece(piece: Mapping[str, Any]) -> Iterator[str]:
    """Yield one piece of the wire: who, when and where on the first line, and the bytes beside it."""
    arrow = "client >" if piece["from"] == "client" else "server <"
    head = f"{piece['at']:9.4f} s  #{piece['connection']} {arrow} "
    if "event" in piece:
        yield f"{head}({piece['event']})"
    elif "omitted" in piece:
        yield f"{head}({piece['omitted']} bytes left out)"
    else:
        text = piece.get("text")
        if text is None:
            text = base64.b64decode(piece["base64"]).decode("utf-8", _BYTES)
        for line in _escaped(text):
            yield head + line
            head = " " * len(head)


_BYTES = "backslashreplace"  # what isn't UTF-8 is shown as \xNN


def _escaped(text: str) -> Iterator[str]:
    """Yield the lines of a text with everything shown that can't be seen, and its middle cut out."""
    for line in _shortened(text).splitlines(keepends=True):
        yield "".join(
            c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line
        )


def _shortened(text: str) -> str:
    if len(text) <= _LONG + _END:
        return text
    return f"{text[: _LONG - _END]}[... {len(text) - _LONG} characters ...]{text[-_END:]}"


def _json(value: object, indent: str = "  ") -> Iterator[str]:
    """Yield the lines of a JSON value, with what fits on a line on one."""
    yield from (line for text in _laid_out(value, indent) for line in _escaped(text))


def _laid_out(value: object, indent: str, name: str = "", comma: str = "") -> Iterator[str]:
    short = json.dumps(value, ensure_ascii=False)
    if len(indent + name + short) < _WIDE or not (is_object(value) or is_array(value)):
        yield f"{indent}{name}{short}{comma}"
        return
    opening, closing = "{}" if is_object(value) else "[]"
    yield f"{indent}{name}{opening}"
    members: list[tuple[str, object]]
    if is_object(value):
        members = [(f"{json.dumps(key, ensure_ascii=False)}: ", item) for key, item in value.items()]
    else:
        members = [("", item) for item in value]
    for place, (key, item) in enumerate(members):
        yield from _laid_out(item, indent + "  ", key, "," if place < len(members) - 1 else "")
    yield f"{indent}{closing}{comma}"


def _results(path: Path, key: str) -> Iterator[tuple[str, Document, int]]:
    """Yield the results of a case: what was judged, how it went, and the seed."""
    report = document_of(read_report(path))
    for run in report["runs"]:
        for result in run["results"]:
            if is_object(result) and result["case"] == key:
                yield str(run["name"]), result, run.get("seed", report["seed"])

"""Results in words: a table by area and every failure on the terminal, JSON, JUnit.

May enter: results. Rich is imported only when there is a terminal to draw on; piped, the report is
plain aligned text. Verdicts come without the API key (judge.py), so nothing here can show it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TextIO
from xml.etree import ElementTree as ET

from botticelli.kit.runner import Result, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from botticelli.kit.values import Document

_COLUMNS = ("passed", "failed", "known", "stale", "not claimed")


@dataclass
class DoorReport:
    """One driver's results.

    Attributes:
        door: The driver, as the user named it.
        capabilities: What it claims.
        results: So far, in the order in which they came.
        seconds: How long the run took.
    """

    door: str
    capabilities: frozenset[str]
    results: list[Result] = field(default_factory=list[Result])
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """True when nothing fails the run."""
        return not any(result.fails_run for result in self.results)

    def counts(self, area: str | None = None) -> Counter[Status]:
        """Count results by status, in one area or in all."""
        chosen = (r for r in self.results if area is None or r.case.area == area)
        return Counter(result.status for result in chosen)

    def areas(self) -> list[str]:
        """Return the areas that were run, in order."""
        return sorted({result.case.area for result in self.results})

    def ordered(self) -> list[Result]:
        """Return the results by area and case, so that two runs compare."""
        return sorted(self.results, key=lambda result: (result.case.area, result.case.id))

    def failures(self) -> list[Result]:
        """Return what is to be told at length, gravest first."""
        told = [r for r in self.ordered() if r.status in (Status.FAILED, Status.STALE)]
        return sorted(told, key=lambda r: r.verdict.fault.gravity if r.verdict.fault else 99)


def watch(results: Iterable[Result], total: int, title: str, out: TextIO) -> Iterator[Result]:
    """Pass results on, with a progress bar while they come if there is a terminal."""
    if not out.isatty() or find_spec("rich") is None:
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=out), transient=True) as progress:
        task = progress.add_task(title, total=total)
        for result in results:
            progress.advance(task)
            yield result


def write_terminal(report: DoorReport, out: TextIO) -> None:
    """Write the table by area, then every failure, then one line that says it all."""
    paint = _painter(out)
    out.write(f"{paint(report.door, 'bold')}\n\n")
    rows = [[area, *_numbers(report.counts(area))] for area in report.areas()]
    rows.append(["all", *_numbers(report.counts())])
    table = [["area", *_COLUMNS], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for number, row in enumerate(table):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        style = "bold" if number in (0, len(table) - 1) else _row_style(row)
        out.write(paint("  ".join(cells).rstrip(), style) + "\n")
    out.writelines("\n" + "\n".join(_told(result, paint)) + "\n" for result in report.failures())
    out.write(f"\n{_summary(report, paint)}\n")


def _numbers(counts: Counter[Status]) -> list[str]:
    # A dot for nothing lets the eye find what is something.
    return [str(counts[status] or ".") for status in Status]


def _row_style(row: Sequence[str]) -> str:
    return "red" if row[2] != "." or row[4] != "." else ""


def told(result: Result) -> str:
    """Return a failure at length: what was expected, what came, where the rule is from."""
    return "\n".join(_told(result, lambda text, _style: text))


def _told(result: Result, paint: Callable[[str, str], str]) -> Iterator[str]:
    case, verdict = result.case, result.verdict
    if result.status is Status.STALE:
        yield paint(f"STALE   {case.id}", "yellow") + f"  ({case.area}, {case.level})"
        yield f"  it passes now; take it out of the baseline, where it says: {result.reason}"
        return
    word = paint(f"FAILED  {case.id}", "red")
    yield f"{word}  ({case.area}, {case.level}, {verdict.fault})"
    yield f"  {case.title}"
    for mismatch in verdict.mismatches:
        yield f"  at {mismatch.path or 'the outcome'}"
        yield f"    expected  {mismatch.expected}"
        yield f"    got       {mismatch.got}".replace("\n", "\n" + " " * 14)
    yield f"  source    {'; '.join(filter(None, [case.spec, *case.source]))}"


def _summary(report: DoorReport, paint: Callable[[str, str], str]) -> str:
    counts = report.counts()
    told = [f"{counts[s]} {s.value.replace('_', ' ')}" for s in Status if counts[s]]
    verdict = paint("passed", "green") if report.passed else paint("FAILED", "red")
    return f"{verdict}: {', '.join(told) or 'nothing run'} in {report.seconds:.1f} s"


_CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}


def _painter(out: TextIO) -> Callable[[str, str], str]:
    if not out.isatty():
        return lambda text, _style: text
    return lambda text, style: f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style else text


def as_document(reports: Sequence[DoorReport], seed: int, version: str) -> Document:
    """Return the reports as JSON (contracts/kit/report.schema.json)."""
    return {
        "botticelli": version,
        "seed": seed,
        "passed": all(report.passed for report in reports),
        "doors": [_door(report) for report in reports],
    }


def _door(report: DoorReport) -> Document:
    counts = report.counts()
    return {
        "door": report.door,
        "capabilities": sorted(report.capabilities),
        "seconds": round(report.seconds, 3),
        "counts": {status.value: counts[status] for status in Status},
        "results": [_result(result) for result in report.ordered()],
    }


def _result(result: Result) -> Document:
    case, verdict = result.case, result.verdict
    told: dict[str, Any] = {
        "case": case.id,
        "title": case.title,
        "area": case.area,
        "level": case.level,
        "status": result.status.value,
        "seconds": round(result.seconds, 3),
        "source": case.source,
    }
    optional: dict[str, Any] = {
        "reason": result.reason,
        "fault": verdict.fault.value if verdict.fault else None,
        "mismatches": [{"path": m.path, "expected": m.expected, "got": m.got} for m in verdict.mismatches],
        "remarks": list(verdict.remarks),
        "spec": case.spec,
    }
    return told | {name: value for name, value in optional.items() if value}


def write_json(path: Path, document: Document) -> None:
    """Write a report as JSON.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_junit(path: Path, reports: Sequence[DoorReport]) -> None:
    """Write reports as JUnit XML, one suite per driver, as CI servers read it.

    Raises:
        OSError: The file cannot be written.
    """
    root = ET.Element("testsuites")
    for report in reports:
        results = report.ordered()
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_xml(report.door),
            tests=str(len(results)),
            failures=str(sum(result.fails_run for result in results)),
            skipped=str(sum(_skipped(result) for result in results)),
            errors="0",
            time=f"{report.seconds:.3f}",
        )
        for result in results:
            _testcase(suite, result)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _skipped(result: Result) -> bool:
    return result.status is not Status.PASSED and not result.fails_run


def _testcase(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=result.case.area,
        name=result.case.id,
        time=f"{result.seconds:.3f}",
    )
    text = _xml(told(result))
    if result.fails_run:
        kind = result.verdict.fault.value if result.verdict.fault else "stale"
        failure = ET.SubElement(case, "failure", type=kind, message=_xml(result.case.title))
        failure.text = text
    elif _skipped(result):
        message = f"{result.status.value.replace('_', ' ')}: {result.reason or 'a may'}"
        ET.SubElement(case, "skipped", message=_xml(message))


def _xml(text: str) -> str:
    """Return the text without what XML 1.0 cannot hold."""
    return "".join(c if c in "\t\n" or c.isprintable() else "\ufffd" for c in text)

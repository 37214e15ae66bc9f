"""Results in words, for a person: a table by area, every failure, one line that says it all.

May enter: results. Verdicts come without the API key (judge.py) and are cut only here, after it was
blanked, so that no half of it is left at an edge. Files for programs are written by written.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.report.terminal import painter
from botticelli.kit.runner import Result, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_COLUMNS = ("passed", "failed", "known", "stale", "not claimed")
_WIDE = 400  # characters of a line that are told
_HIGH = 24  # lines of a text that are told
MANY = 20
"""Differences of one case that are told."""


@dataclass
class RunReport:
    """One driver's results.

    Attributes:
        name: The driver, as the user named it.
        capabilities: What it claims.
        results: So far, in the order in which they came.
        seconds: How long the run took.
        mishaps: What went wrong with the run itself, such as a driver that cannot be closed.
        interrupted: The user ended it.
    """

    name: str
    capabilities: frozenset[str]
    results: list[Result] = field(default_factory=list[Result])
    seconds: float = 0.0
    mishaps: list[str] = field(default_factory=list[str])
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """True when something was judged and nothing fails the run."""
        return not self.problems() and not any(result.fails_run for result in self.results)

    def problems(self) -> list[str]:
        """Return what makes the run worthless or unsound, whatever the cases say."""
        if self.interrupted or any(result.status is not Status.NOT_CLAIMED for result in self.results):
            return self.mishaps
        claims = ", ".join(sorted(self.capabilities)) or "nothing"
        needs = ", ".join(word for word, _ in self.lacking().most_common(3))
        why = f": the driver claims {claims}; what the cases need most is {needs}" if needs else ""
        return [*self.mishaps, f"nothing was judged{why}"]

    def lacking(self) -> Counter[str]:
        """Count the cases that were not run by what the driver does not claim."""
        skipped = (result for result in self.results if result.status is Status.NOT_CLAIMED)
        return Counter(word for result in skipped for word in result.reason.split(", "))

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


def write_terminal(report: RunReport, out: TextIO) -> None:
    """Write the table by area, then every failure, then one line that says it all."""
    paint = painter(out)
    out.write(f"{paint(report.name, 'bold')}\n\n")
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
    if lacking := report.lacking():
        words = ", ".join(f"{word} ({count})" for word, count in sorted(lacking.items()))
        out.write(f"  not claimed: {words}\n")
    out.writelines(f"  {cut(problem)}\n" for problem in report.problems())


def _numbers(counts: Counter[Status]) -> list[str]:
    # A dot for nothing lets the eye find what is something.
    return [str(counts[status] or ".") for status in Status]


def _row_style(row: Sequence[str]) -> str:
    return "red" if row[2] != "." or row[4] != "." else ""


def cut(text: str) -> str:
    """Return a text of which a reader sees beginning and end: long lines and many are cut in the middle."""
    lines = text.split("\n")
    if len(lines) > _HIGH:
        lines[4 : 5 - _HIGH] = [f"[... {len(lines) - _HIGH + 1} lines]"]
    return "\n".join(
        line if len(line) <= _WIDE else f"{line[: _WIDE - 120]} [... {len(line)} characters] {line[-100:]}"
        for line in lines
    )


def told(result: Result) -> str:
    """Return a failure at length: what was expected, what came, where the rule is from."""
    return "\n".join(_told(result, lambda text, _style: text))


def _told(result: Result, paint: Callable[[str, str], str]) -> Iterator[str]:
    case, verdict = result.case, result.verdict
    if result.status is Status.STALE:
        yield paint(f"STALE   {case.id}", "yellow") + f"  ({case.area}, {case.level})"
        yield f"  it passes now; take it out of the baseline, where it says: {cut(result.reason)}"
        return
    word = paint(f"FAILED  {case.id}", "red")
    yield f"{word}  ({case.area}, {case.level}, {verdict.fault})"
    yield f"  {case.title}"
    for difference in verdict.differences[:MANY]:
        yield f"  at {cut(difference.path) or 'the outcome'}"
        yield _indented(f"    expected  {cut(difference.expected)}")
        yield _indented(f"    got       {cut(difference.got)}")
    if len(verdict.differences) > MANY:
        yield f"  and {len(verdict.differences) - MANY} other differences"
    yield f"  source    {'; '.join(filter(None, [case.spec, *case.source]))}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n" + " " * 14)


def _summary(report: RunReport, paint: Callable[[str, str], str]) -> str:
    counts = report.counts()
    told = [f"{counts[s]} {s.value.replace('_', ' ')}" for s in Status if counts[s]]
    verdict = paint("passed", "green") if report.passed else paint("FAILED", "red")
    return f"{verdict}: {', '.join(told) or 'nothing run'} in {report.seconds:.1f} s"

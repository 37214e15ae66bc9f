"""Reports for people: a table by area, every failure, and one line with the verdict.

Verdicts come without the API key (judge/verdict.py). Texts are shortened only here, after the key was
blanked, so that no part of a key is left at an edge. Reports for programs are in machine.py.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.adapters.adapter import OLD_WORDS
from botticelli.kit.judge.compare import REPORTED
from botticelli.kit.runner import Result, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "MANY",
    "RunReport",
    "cut",
    "describe_failure",
    "painter",
    "watch",
    "write_report",
    "write_table",
]

_COLUMNS = tuple(status.value.replace("_", " ") for status in Status)
_WIDE = 400  # characters shown of a line
_HIGH = 24  # lines shown of a text
MANY = 20
"""Differences shown of one case."""


@dataclass
class RunReport:
    """The results of one run.

    Attributes:
        name: What was judged, as the user named it.
        capabilities: What its adapter declares.
        results: So far, in the order in which they came.
        seconds: How long the run took.
        mishaps: What went wrong with the run itself, such as a driver that can't be closed.
        interrupted: The user ended it.
        finished: Every case that was chosen has a result.
        date: When the run began, RFC 3339.
        shard: Which part of the cases was played, as I/N; empty when all.
        suite: Version and hash of the set of cases.
    """

    name: str
    capabilities: frozenset[str]
    results: list[Result] = field(default_factory=list[Result])
    seconds: float = 0.0
    mishaps: list[str] = field(default_factory=list[str])
    interrupted: bool = False
    finished: bool = True
    date: str = ""
    shard: str = ""
    suite: tuple[str, str] = ("", "")

    @property
    def passed(self) -> bool:
        """True when something was judged to the end and nothing fails the run."""
        return self.finished and not self.problems() and not any(result.fails_run for result in self.results)

    def problems(self) -> list[str]:
        """Return what makes the run itself fail, whatever the results are."""
        if self.interrupted or any(result.status is not Status.NOT_CLAIMED for result in self.results):
            return self.mishaps
        claims = ", ".join(sorted(self.capabilities)) or "nothing"
        needs = ", ".join(word for word, _ in self.lacking().most_common(3))
        why = f": the driver claims {claims}; what the cases need most is {needs}" if needs else ""
        return [*self.mishaps, f"nothing was judged{why}"]

    def lacking(self) -> Counter[str]:
        """Count the cases that weren't run, by the capability that they lack."""
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
        return sorted(self.results, key=lambda result: (result.case.area, result.case.key))

    def failures(self) -> list[Result]:
        """Return the results to describe at length, gravest first; what is only noted comes last."""
        shown = [r for r in self.ordered() if r.status in (Status.FAILED, Status.STALE, Status.NOTED)]

        def rank(result: Result) -> tuple[bool, int]:
            gravity = result.verdict.gravity
            return result.status is Status.NOTED, gravity.rank if gravity else 99

        return sorted(shown, key=rank)

    def unjudged(self) -> Iterator[str]:
        """Yield in words what was judged less strictly because of what the adapter claims."""
        for old in sorted(OLD_WORDS.keys() & self.capabilities):
            new = ", ".join(sorted(OLD_WORDS[old]))
            yield f"{old} is an old word, taken for {new}: claim those of them that the client has"
        if words := ", ".join(sorted(REPORTED - self.capabilities)):
            yield f"not claimed, so judged only where it is reported: {words}"
        if "stream" in self.capabilities and not {"assembles", "events"} & self.capabilities:
            yield "of streams only the texts and finish reasons are judged, as assembles isn't claimed"


def write_report(report: RunReport, out: TextIO) -> None:
    """Write the table by area, then every failure, then one line with the verdict."""
    paint = painter(out)
    out.write(f"{paint(report.name, 'bold')}\n\n")
    rows = [[area, *_numbers(report.counts(area))] for area in report.areas()]
    failing = {result.case.area for result in report.results if result.fails_run}
    styles = ["red" if area in failing else "" for area in report.areas()]
    rows.append(["all", *_numbers(report.counts())])
    write_table(out, ("area", *_COLUMNS), rows, [*styles, "bold"], numbers=True)
    out.writelines("\n" + "\n".join(_describe(result, paint)) + "\n" for result in report.failures())
    out.write(f"\n{_summary(report, paint)}\n")
    if lacking := report.lacking():
        words = ", ".join(f"{word} ({count})" for word, count in sorted(lacking.items()))
        out.write(f"  not claimed: {words}\n")
    if any(result.status is not Status.NOT_CLAIMED for result in report.results):
        out.writelines(f"  {line}\n" for line in report.unjudged())
    out.writelines(f"  {cut(problem)}\n" for problem in report.problems())


def write_table(
    out: TextIO,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
    *,
    numbers: bool = False,
) -> None:
    """Write aligned columns under a head.

    Args:
        out: Where to.
        head: The names of the columns.
        rows: As many cells each as the head has.
        styles: One for each row; with any, the head is bold. Colour only where it is wanted.
        numbers: All columns but the first hold numbers and are aligned to the right.
    """
    paint = painter(out)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    every = ["bold", *styles] if styles else [""] * (len(rows) + 1)
    for row, style in zip([head, *rows], every, strict=True):
        cells = [
            cell.rjust(width) if numbers and position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        out.write(paint("  ".join(cells).rstrip(), style) + "\n")


def _numbers(counts: Counter[Status]) -> list[str]:
    # Dots instead of zeros make the other numbers stand out.
    return [str(counts[status] or ".") for status in Status]


def cut(text: str) -> str:
    """Shorten a text in the middle, both its long lines and its many lines."""
    lines = text.split("\n")
    if len(lines) > _HIGH:
        lines[4 : 5 - _HIGH] = [f"[... {len(lines) - _HIGH + 1} lines]"]
    return "\n".join(
        line if len(line) <= _WIDE else f"{line[: _WIDE - 120]} [... {len(line)} characters] {line[-100:]}"
        for line in lines
    )


def describe_failure(result: Result) -> str:
    """Describe a failure: what was expected, what happened, where the requirement comes from."""
    return "\n".join(_describe(result, lambda text, _style: text))


def _describe(result: Result, paint: Callable[[str, str], str]) -> Iterator[str]:
    case, verdict = result.case, result.verdict
    if result.status is Status.STALE:
        yield paint(f"STALE   {case.key}", "yellow") + f"  ({case.area}, {case.level})"
        yield f"  it passes now; remove it from the baseline, which says: {cut(result.reason)}"
        return
    noted = result.status is Status.NOTED
    word = paint(f"NOTED   {case.key}", "yellow") if noted else paint(f"FAILED  {case.key}", "red")
    yield f"{word}  ({case.area}, {case.level}, {verdict.gravity})"
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
    numbers = [f"{counts[s]} {s.value.replace('_', ' ')}" for s in Status if counts[s]]
    verdict = paint("passed", "green") if report.passed else paint("FAILED", "red")
    return f"{verdict}: {', '.join(numbers) or 'nothing run'} in {report.seconds:.1f} s"


# The terminal

_CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}


def painter(out: TextIO) -> Callable[[str, str], str]:
    """Return a function that paints a text in a style, or leaves it as it is where colour isn't wanted.

    The order is that of CPython and no-color.org: ``NO_COLOR`` forbids colour, ``FORCE_COLOR`` demands it,
    ``TERM=dumb`` and anything that isn't a terminal have none.
    """
    if os.environ.get("NO_COLOR") or not (os.environ.get("FORCE_COLOR") or _is_terminal(out)):
        return lambda text, _style: text
    return lambda text, style: f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style else text


def _is_terminal(out: TextIO) -> bool:
    """Tell whether the stream is a terminal that obeys escape sequences."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def watch(
    results: Iterable[Result], total: int, title: str, out: TextIO, *, after: float = 1.0
) -> Iterator[Result]:
    """Pass results on, and show a progress bar on a terminal when it takes a while.

    Args:
        results: The results, as they come.
        total: How many will come.
        title: Title of the bar.
        out: The stream to show it on.
        after: Seconds before the bar is shown; a short run needs none.
    """
    if not _is_terminal(out) or find_spec("rich") is None:
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, console=Console(file=out), transient=True)
    task, start = progress.add_task(title, total=total), time.monotonic()
    try:
        for result in results:
            progress.advance(task)
            if time.monotonic() - start >= after:
                progress.start()  # does nothing when called again
            yield result
    finally:
        progress.stop()

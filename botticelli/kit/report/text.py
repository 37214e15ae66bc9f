"""Reports for people: tables by area and profile, failures in a few lines each, one line with the verdict.

must, should and may are never counted together. Reports for programs are in machine.py.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections import Counter
from importlib.util import find_spec
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeVar

from botticelli.kit.adapters.adapter import OLD_WORDS
from botticelli.kit.judge.compare import REPORTED
from botticelli.kit.report import model
from botticelli.kit.report.running import RunReport, cut, lacking, result_of, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from botticelli.kit.report.model import Difference, Report, Result, Run
    from botticelli.kit.runner import Result as RunnerResult

__all__ = [
    "FACTS",
    "Fact",
    "describe",
    "describe_failure",
    "facts",
    "failures",
    "painter",
    "watch",
    "write_report",
    "write_summary",
    "write_table",
]

ResultT = TypeVar("ResultT")

FACTS = 5
"""Facts shown of one case; the report holds the others."""

_LINE = 110  # characters up to which a fact is one line
_SHARES = {"must": "required", "should": "recommended", "may": "optional"}
_STYLES = {"FAILED": "red", "NON-STRICT": "yellow", "INFORMATIONAL": "", "STALE": "yellow"}


def write_report(report: RunReport | Run, out: TextIO, *, saved: str = "") -> None:
    """Write tables by area and profile, then every failure, then one line with the verdict.

    Args:
        report: The run.
        out: Where to; with colour only if it is a terminal.
        saved: The file in which the report is kept as JSON, if it is.
    """
    run = run_of(report) if isinstance(report, RunReport) else report
    paint = painter(out)
    out.write(f"{paint(run.label, 'bold')}\n\n")
    _write_scores(run, out)
    for result in failures(run):
        first, *others = describe(result, saved=saved)
        word, rest = first[: len(_word(result))], first[len(_word(result)) :]
        lines = [paint(word, _STYLES[word]) + rest, *others]
        out.write("\n" + "\n".join(lines) + "\n")
    out.write(f"\n{_verdict(run, paint)}\n")
    counts = model.tally(run.results)
    scores = {level: model.score(counts, level) for level in model.LEVELS}
    if any(each.judged for each in scores.values()):
        shares = (f"{_SHARES[level]} {each}" for level, each in scores.items() if each.judged)
        out.write(f"  {', '.join(shares)}\n")
    if lacked := lacking(run.results):
        words = ", ".join(f"{word} ({count})" for word, count in sorted(lacked.items()))
        out.write(f"  not claimed: {words}\n")
    if any(result.status != "not_claimed" for result in run.results):
        out.writelines(f"  {line}\n" for line in _unjudged(frozenset(run.capabilities)))
    out.writelines(f"  {cut(problem)}\n" for problem in run.problems)


def _write_scores(run: Run, out: TextIO) -> None:
    """Write how many of the cases judged were kept, by profile, and by area where one was not."""
    counts = model.tally(run.results)
    missed = {result.area for result in run.results if result.grade not in ("OK", "NOT CLAIMED")}
    areas = sorted(missed | {result.area for result in run.results if result.status == "stale"})
    failing = {result.area for result in run.results if result.fails_run}
    rows = [[area, *_cells(counts, area=area)] for area in areas]
    styles = ["red" if area in failing else "" for area in areas]
    if areas and (others := {result.area for result in run.results} - {*areas}):
        rest = Counter({key: count for key, count in counts.items() if key[3] in others})
        rows.append([f"{len(others)} more", *_cells(rest)])
        styles.append("")
    rows.append(["all" if areas else "every area", *_cells(counts)])
    styles.append("bold")
    profiles = [name for name in model.PROFILES if any(result.profile == name for result in run.results)]
    below = [[name, *_cells(counts, profile=name)] for name in profiles]
    # One width for both tables, so that their columns stand above each other.
    head = ("profile", *_HEAD[1:])
    widths = [max(map(len, column)) for column in zip(_HEAD, head, *rows, *below, strict=True)]
    write_table(out, _HEAD, rows, styles, numbers=True, widths=widths)
    out.write("\n")
    write_table(out, head, below, [""] * len(below), numbers=True, widths=widths)


_HEAD = ("area", *model.LEVELS, "not claimed")


def _cells(counts: Counter[tuple[str, str, str, str]], *, area: str = "", profile: str = "") -> list[str]:
    scores = [model.score(counts, level, area=area, profile=profile) for level in model.LEVELS]
    skipped = sum(
        count
        for (_, grade, its_profile, its_area), count in counts.items()
        if grade == "NOT CLAIMED" and area in ("", its_area) and profile in ("", its_profile)
    )
    # Dots instead of zeros make the other numbers stand out.
    return [f"{one.kept}/{one.judged}" if one.judged else "." for one in scores] + [str(skipped or ".")]


def write_summary(report: Report, out: TextIO) -> None:
    """Write one line for each implementation: what it keeps, by level and profile, and whether it passed."""
    paint = painter(out)
    head = ("implementation", *model.LEVELS, *(f"{name} musts" for name in model.PROFILES), "verdict")
    rows: list[list[str]] = []
    for run in report.runs:
        counts = model.tally(run.results)
        rows.append(
            [
                run.label,
                *(str(model.score(counts, level)) for level in model.LEVELS),
                *(str(model.score(counts, "must", profile=name)) for name in model.PROFILES),
                "passed" if run.passed else "FAILED",
            ]
        )
    styles = ["" if run.passed else "red" for run in report.runs]
    write_table(out, head, rows, styles, numbers=True)
    for run in report.runs:
        out.writelines(f"  {run.label}: {cut(problem)}\n" for problem in run.problems)
    if not report.finished:
        out.write("  the report isn't finished, so it hasn't passed\n")
    verdict = paint("passed", "green") if report.passed else paint("FAILED", "red")
    good = sum(run.passed for run in report.runs)
    out.write(
        f"\n{verdict}: {good} of {len(report.runs)} implementations passed; suite {report.suite.version}"
    )
    out.write(f" ({report.suite.hash}), {report.date}\n")


def write_table(
    out: TextIO,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
    *,
    numbers: bool = False,
    widths: Sequence[int] = (),
) -> None:
    """Write aligned columns under a head.

    Args:
        out: Where to.
        head: The names of the columns.
        rows: As many cells each as the head has.
        styles: One for each row; with any, the head is bold. Colour only where it is wanted.
        numbers: All columns but the first hold numbers and are aligned to the right.
        widths: How wide each column is at least.
    """
    paint = painter(out)
    columns = zip(head, *rows, strict=True)
    least = widths or [0] * len(head)
    wide = [max(least[place], *map(len, column)) for place, column in enumerate(columns)]
    every = ["bold", *styles] if styles else [""] * (len(rows) + 1)
    for row, style in zip([head, *rows], every, strict=True):
        cells = [
            cell.rjust(width) if numbers and position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, wide, strict=True))
        ]
        out.write(paint("  ".join(cells).rstrip(), style) + "\n")


# Failures


class Fact(NamedTuple):
    """One difference, or several that say the same."""

    path: str
    expected: str
    got: str
    times: int


_NUMBER = re.compile(r"(?<=/)[0-9]+(?=/|$)")


def facts(differences: Iterable[Difference]) -> list[Fact]:
    """Fold differences that say the same of several items of a list, such as of each request, to one fact."""
    folded: dict[tuple[str, str, str], list[str]] = {}
    for one in differences:
        folded.setdefault((_NUMBER.sub("*", one.path), one.expected, one.got), []).append(one.path)
    return [
        Fact(paths[0] if len(paths) == 1 else pattern, expected, got, len(paths))
        for (pattern, expected, got), paths in folded.items()
    ]


def failures(run: Run) -> list[Result]:
    """Return the results to describe: musts before shoulds before mays, the gravest first."""
    shown = [result for result in run.results if result.status in ("failed", "stale", "noted")]

    def rank(result: Result) -> tuple[bool, int, int]:
        gravity = model.GRAVITIES.index(result.gravity) if result.gravity else len(model.GRAVITIES)
        return result.status == "stale", model.LEVELS.index(result.level), gravity

    return sorted(shown, key=rank)


def describe_failure(result: RunnerResult) -> str:
    """Describe what a run has found in the fewest useful lines."""
    return "\n".join(describe(result_of(result)))


def describe(result: Result, *, saved: str = "") -> Iterator[str]:
    """Yield the fewest useful lines on a failure: what is demanded, each fact, and where the rule is.

    Args:
        result: What came of a case.
        saved: The file in which the report is kept as JSON, if it is; a command shows the exchange from it.
    """
    about = ", ".join(filter(None, [result.area, result.level, result.profile, result.gravity]))
    yield f"{_word(result)}  {result.case}  ({about})"
    if result.status == "stale":
        yield f"  it passes now; remove it from the baseline, which says: {cut(result.reason)}"
        return
    yield f"  {result.title}"
    found = facts(result.differences)
    for fact in found[:FACTS]:
        yield from _fact(fact)
    if len(found) > FACTS:
        yield f"  and {len(found) - FACTS} other facts"
    yield from (_indented(f"  {cut(remark)}", 2) for remark in result.remarks)
    if result.unscored:
        yield "  it is newer than this version of the suite, and counts for nothing"
    if result.spec:
        yield f"  rule      {cut(result.spec)}"
    if result.policy:
        yield _indented("  policy    " + "\n".join(wrap(cut(result.policy), _LINE - 12)), 12)
    if saved:
        yield f"  botticelli explain {result.case} --report {shlex.quote(saved)}"


def _word(result: Result) -> str:
    return "STALE" if result.status == "stale" else result.grade


def _fact(fact: Fact) -> Iterator[str]:
    path, times = cut(fact.path) or "the outcome", f" ({fact.times} times)" if fact.times > 1 else ""
    line = f"  {path}: expected {fact.expected}, got {fact.got}{times}"
    if len(line) <= _LINE and "\n" not in line:
        yield line
        return
    yield f"  {path}{times}"
    yield _indented(f"    expected  {cut(fact.expected)}", 14)
    yield _indented(f"    got       {cut(fact.got)}", 14)


def _indented(text: str, width: int) -> str:
    return text.replace("\n", "\n" + " " * width)


def _verdict(run: Run, paint: Callable[[str, str], str]) -> str:
    status = Counter(result.status for result in run.results)
    verdict = paint("passed", "green") if run.passed else paint("FAILED", "red")
    if run.passed and status["known"]:
        verdict += ", but for what is known to fail"
    counted = Counter(result.grade for result in run.results if not result.unscored)
    words = [f"{counted[grade]} {_GRADES.get(grade, grade)}" for grade in model.GRADES if counted[grade]]
    words += [f"{status[name]} {name}" for name in ("known", "stale") if status[name]]
    if unscored := sum(result.unscored for result in run.results):
        words.append(f"{unscored} unscored")
    return f"{verdict}: {', '.join(words) or 'nothing run'} in {run.seconds:.1f} s"


_GRADES = {"NOT CLAIMED": "not claimed"}


def _unjudged(claims: frozenset[str]) -> Iterator[str]:
    """Yield in words what was judged less strictly because of what an adapter claims."""
    if not claims:
        return
    for old in sorted(OLD_WORDS.keys() & claims):
        new = ", ".join(sorted(OLD_WORDS[old]))
        yield f"{old} is an old word, taken for {new}: claim those of them that the client has"
    if words := ", ".join(sorted(REPORTED - claims)):
        yield f"not claimed, so judged only where it is reported: {words}"
    if "stream" in claims and not {"assembles", "events"} & claims:
        yield "of streams only the texts and finish reasons are judged, as assembles isn't claimed"


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
    results: Iterable[ResultT], total: int, title: str, out: TextIO, *, after: float = 1.0
) -> Iterator[ResultT]:
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

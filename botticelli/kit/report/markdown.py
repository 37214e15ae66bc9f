"""A report as Markdown, fit for the summary of a job on GitHub: tables, and the failures folded below."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from botticelli.kit.judge.compare import escape_invisible
from botticelli.kit.report import model
from botticelli.kit.report.text import describe, failures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.kit.report.model import Report, Result, Run

__all__ = ["markdown"]

_ROOM = 600_000
"""Bytes; GitHub shows no summary above 1 MiB, and other steps write into the same one."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+.!|~@:-])")


def markdown(report: Report) -> str:
    """Return a table of implementations by level, one by profile, and every failure."""
    lines = [*_head(report), *_table(report), ""]
    room = _ROOM // max(1, len(report.runs))
    for run in report.runs:
        lines += [*_failures(run, room), ""]
    return "\n".join(lines)


def _head(report: Report) -> Iterator[str]:
    good = sum(run.passed for run in report.runs)
    verdict = "passed" if report.passed else "FAILED"
    yield "### Chat format conformance"
    yield ""
    yield f"**{verdict}**: {good} of {len(report.runs)} implementations passed, "
    yield (
        f"suite {_plain(report.suite.version)} ({_plain(report.suite.hash)}), "
        f"{_plain(report.date)}, botticelli {_plain(report.botticelli)}"
    )
    yield ""
    for run in report.runs:
        for problem in run.problems:
            yield f"- {_plain(run.label)}: {_plain(problem)}"
    if not report.finished:
        yield "- The report isn't finished, so it hasn't passed."
    yield ""


def _table(report: Report) -> Iterator[str]:
    yield (
        "| implementation | must | should | may | " + " | ".join(f"{p} musts" for p in model.PROFILES) + " |"
    )
    yield "|---|" + "---:|" * (len(model.LEVELS) + len(model.PROFILES))
    for run in report.runs:
        counts = model.tally(run.results)
        scores = [model.score(counts, level) for level in model.LEVELS]
        scores += [model.score(counts, "must", profile=profile) for profile in model.PROFILES]
        cells = (f"{one} ({one.kept}/{one.judged})" if one.judged else "–" for one in scores)
        yield f"| {_plain(run.label)} | {' | '.join(cells)} |"


def _failures(run: Run, room: int) -> Iterator[str]:
    """Yield the failures of one run, a fold for each level, as many as there is room for."""
    shown = failures(run)
    for level in model.LEVELS:
        group = [result for result in shown if result.level == level]
        if not group:
            continue
        what = f"{len(group)} {level}{'s' * (len(group) != 1)}"
        yield f"<details><summary>{escape(run.label)}: {what} not kept or stale</summary>"
        yield ""
        for place, result in enumerate(group):
            text = _described(result)
            if (room := room - len(text.encode("utf-8", "replace"))) < 0:
                yield f"… and {len(group) - place} more, which don't fit here"
                break
            yield text
        yield ""
        yield "</details>"


def _described(result: Result) -> str:
    # <pre>, because a fence of backticks could be closed by what a server sent.
    text = escape_invisible("\n".join(describe(result)))
    return f"<pre>{escape(text, quote=False)}</pre>"


def _plain(text: str) -> str:
    """Return a text that Markdown and HTML show as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", escape(escape_invisible(" ".join(text.split())), quote=False))

"""What the command line asks of the kit: choose cases, judge drivers, write the reports.

Whatever the user can correct is raised as KitError, with a message of one line.
"""

from __future__ import annotations

import time
from contextlib import closing
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.adapters.limits import LIMIT, bypass_proxies
from botticelli.kit.adapters.load import close_adapter, importable_working_directory, load_adapter
from botticelli.kit.cases.case import load_cases
from botticelli.kit.errors import AdapterError, KitError, nearest
from botticelli.kit.report import machine
from botticelli.kit.report.running import RunReport
from botticelli.kit.report.text import watch, write_report, write_table
from botticelli.kit.runner import JOBS, read_baseline, run_cases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.cases.case import Case

__all__ = ["list_cases", "run_check", "select_cases"]

_HURRY = 1.0  # seconds that a driver has to close when the run was interrupted


def select_cases(cases: Sequence[Case], words: Sequence[str]) -> list[Case]:
    """Choose cases.

    Args:
        cases: All of them.
        words: Ids, areas, or patterns of ids (``sse-*``, ``gemini/*``); none means all.

    Raises:
        KitError: A word chooses nothing.
    """
    if not words:
        return list(cases)
    chosen: set[str] = set()
    for word in words:
        found = {
            case.key
            for case in cases
            if word == case.area or fnmatchcase(case.id, word) or fnmatchcase(case.key, word)
        }
        if not found:
            known = {name for case in cases for name in (case.id, case.key, case.area)}
            near = nearest(word, known) or "; see botticelli list cases"
            raise KitError(f"no case or area is called {word!r}{near}")
        chosen |= found
    return [case for case in cases if case.key in chosen]


def run_check(
    adapters: Sequence[str],
    *,
    out: TextIO,
    select: Sequence[str] = (),
    json_path: Path | None = None,
    junit_path: Path | None = None,
    paths: Mapping[str, Path | None] | None = None,
    baseline: Path | None = None,
    seed: int = 0,
    jobs: int = JOBS,
) -> int:
    """Judge drivers one after the other and report.

    Args:
        adapters: Their adapters: ``package.module:factory`` or ``command: ...``.
        out: Where the report is written; with colour and a progress bar only if it is a terminal.
        select: Ids, areas or patterns of the cases to play; none means all.
        json_path: Where to write the report as JSON, if anywhere.
        junit_path: Where to write it as JUnit XML, if anywhere.
        paths: Where to write it in other forms, by the words of ``machine.FORMS``.
        baseline: File of known failures, if there is one.
        seed: Decides the texts, ids and keys that are played.
        jobs: Cases at once.

    Returns:
        0 when something was judged and nothing failed, else 1.

    Raises:
        KeyboardInterrupt: The user ended the run; the report of what was run has been written.
        KitError: A driver, a case, the baseline or a file to write cannot be used.
    """
    everything = load_cases()
    cases = select_cases(everything, select)
    known = read_baseline(baseline, everything) if baseline else {}
    files = {"json": json_path, "junit": junit_path, **(paths or {})}
    machine.reserve(files.values())
    reports: list[RunReport] = []
    with bypass_proxies(), importable_working_directory():
        for spec in adapters:
            report = _judge(spec, cases, out, known=known, seed=seed, jobs=jobs)
            out.write("\n" if reports else "")
            write_report(report, out, saved=str(files["json"] or ""))
            out.flush()
            reports.append(report)
            if report.interrupted:
                break
    suite = machine.suite_of(everything)
    machine.write_files(machine.report_of(reports, seed, version("botticelli"), suite=suite), files)
    if reports and reports[-1].interrupted:
        raise KeyboardInterrupt
    return 0 if all(report.passed for report in reports) else 1


def _judge(
    spec: str, cases: Sequence[Case], out: TextIO, *, known: Mapping[str, str], seed: int, jobs: int
) -> RunReport:
    """Run the cases against one adapter; an interruption ends the run and is noted in its report."""
    adapter = load_adapter(spec)
    report = RunReport(spec, adapter.capabilities)
    start = time.perf_counter()
    results = run_cases(cases, adapter, seed=seed, known=known, jobs=jobs)
    patience = _HURRY
    try:
        with closing(results):
            for result in watch(results, len(cases), spec, out):
                report.results.append(result)
        patience = LIMIT
    except KeyboardInterrupt:
        left = len(cases) - len(report.results)
        report.mishaps.append(f"interrupted, with {left} of {len(cases)} cases to go")
        report.interrupted = True
    finally:
        try:
            close_adapter(adapter, patience)
        except AdapterError as error:
            report.mishaps.append(str(error))
        except KeyboardInterrupt:
            report.mishaps.append("interrupted while the driver was being closed")
            report.interrupted = True
    report.seconds = time.perf_counter() - start
    return report


def list_cases(out: TextIO, select: Sequence[str] = ()) -> None:
    """Write a table of the cases: key, area, level, title.

    Raises:
        KitError: A word of ``select`` chooses nothing.
    """
    cases = select_cases(load_cases(), select)
    rows = [(case.key, case.area, case.level, case.title) for case in cases]
    write_table(out, ("case", "area", "level", "what a driver must do"), rows)

"""What the command line asks of the kit: judge drivers, serve, list cases.

May enter: the user's words, turned into cases and doors; exit codes. Raises KitError for whatever
the user can mend, with one line to read.
"""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

from botticelli.kit import report as reports
from botticelli.kit.cases import load_cases
from botticelli.kit.door import close_door, open_door
from botticelli.kit.errors import KitError
from botticelli.kit.runner import JOBS, read_baseline, run_cases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from botticelli.kit.case import Case


def select_cases(cases: Sequence[Case], words: Sequence[str]) -> list[Case]:
    """Choose cases.

    Args:
        cases: All of them.
        words: Ids, areas, or patterns of ids (``sse-*``); none means all.

    Raises:
        KitError: A word chooses nothing.
    """
    if not words:
        return list(cases)
    chosen: set[str] = set()
    for word in words:
        found = {case.id for case in cases if word == case.area or fnmatchcase(case.id, word)}
        if not found:
            raise KitError(f"no case or area is called {word!r}; see botticelli list cases")
        chosen |= found
    return [case for case in cases if case.id in chosen]


def run_check(
    doors: Sequence[str],
    *,
    out: TextIO,
    select: Sequence[str] = (),
    json_path: Path | None = None,
    junit_path: Path | None = None,
    baseline: Path | None = None,
    seed: int = 0,
    jobs: int = JOBS,
) -> int:
    """Judge drivers one after the other and report.

    Args:
        doors: The drivers: ``package.module:factory`` or ``command: ...``.
        out: Where the report is written; colour and a progress bar only if it is a terminal.
        select: Ids, areas or patterns of the cases to run; none means all.
        json_path: Where to write the report as JSON, if anywhere.
        junit_path: Where to write it as JUnit XML, if anywhere.
        baseline: File of known failures, if there is one.
        seed: Decides the texts, ids and keys that are played.
        jobs: Cases at once.

    Returns:
        0 when nothing failed, else 1.

    Raises:
        KitError: A driver, a case, the baseline or a file to write cannot be used.
    """
    everything = load_cases()
    cases = select_cases(everything, select)
    known = read_baseline(baseline, everything) if baseline else {}
    told: list[reports.DoorReport] = []
    for spec in doors:
        door = open_door(spec)
        report = reports.DoorReport(spec, door.capabilities)
        start = time.perf_counter()
        try:
            results = run_cases(cases, door, seed=seed, known=known, jobs=jobs)
            report.results.extend(reports.watch(results, len(cases), spec, out))
        finally:
            close_door(door)
        report.seconds = time.perf_counter() - start
        if told:
            out.write("\n")
        reports.write_terminal(report, out)
        told.append(report)
    try:
        if json_path:
            document = reports.as_document(told, seed, version("botticelli"))
            reports.write_json(json_path, document)
        if junit_path:
            reports.write_junit(junit_path, told)
    except OSError as error:
        raise KitError(f"cannot write the report: {error}") from error
    return 0 if all(report.passed for report in told) else 1


def list_cases(out: TextIO, select: Sequence[str] = ()) -> None:
    """Write a table of the cases: id, area, level, title.

    Raises:
        KitError: A word of ``select`` chooses nothing.
    """
    cases = select_cases(load_cases(), select)
    wide = max(len(case.id) for case in cases)
    area = max(len(case.area) for case in cases)
    out.writelines(
        f"{case.id:<{wide}}  {case.area:<{area}}  {case.level:<6}  {case.title}\n" for case in cases
    )

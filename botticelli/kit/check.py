"""What the command line asks of the kit: judge drivers, serve, list cases.

May enter: the user's words, turned into cases and adapters; exit codes. Raises KitError for whatever
the user can mend, with one line to read.
"""

from __future__ import annotations

import time
from contextlib import closing
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.adapters.adapter import close_adapter, load_adapter
from botticelli.kit.adapters.limits import LIMIT
from botticelli.kit.adapters.proxies import bypass_proxies
from botticelli.kit.cases.case import load_cases
from botticelli.kit.errors import AdapterError, KitError, nearest
from botticelli.kit.report import machine
from botticelli.kit.report import text as reports
from botticelli.kit.report.terminal import watch
from botticelli.kit.runner import JOBS, read_baseline, run_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.cases.case import Case

_HURRY = 1.0  # seconds that a driver has to close when the run was interrupted


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
            known = {name for case in cases for name in (case.id, case.area)}
            near = nearest(word, known) or "; see botticelli list cases"
            raise KitError(f"no case or area is called {word!r}{near}")
        chosen |= found
    return [case for case in cases if case.id in chosen]


def run_check(
    adapters: Sequence[str],
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
        adapters: The drivers: ``package.module:factory`` or ``command: ...``.
        out: Where the report is written; colour and a progress bar only if it is a terminal.
        select: Ids, areas or patterns of the cases to run; none means all.
        json_path: Where to write the report as JSON, if anywhere.
        junit_path: Where to write it as JUnit XML, if anywhere.
        baseline: File of known failures, if there is one.
        seed: Decides the texts, ids and keys that are played.
        jobs: Cases at once.

    Returns:
        0 when something was judged and nothing failed, else 1.

    Raises:
        KeyboardInterrupt: The user ended the run; what there is of the report has been written.
        KitError: A driver, a case, the baseline or a file to write cannot be used.
    """
    everything = load_cases()
    cases = select_cases(everything, select)
    known = read_baseline(baseline, everything) if baseline else {}
    for path in filter(None, (json_path, junit_path)):
        # What cannot be written is told before the run, not after it.
        _write(path, lambda path: path.open("ab").close())
    told: list[reports.RunReport] = []
    with bypass_proxies():
        for spec in adapters:
            report = _judged(spec, cases, out, known=known, seed=seed, jobs=jobs)
            out.write("\n" if told else "")
            reports.write_terminal(report, out)
            out.flush()
            told.append(report)
            if report.interrupted:
                break
    if json_path:
        document = machine.as_document(told, seed, version("botticelli"))
        _write(json_path, lambda path: machine.write_json(path, document))
    if junit_path:
        _write(junit_path, lambda path: machine.write_junit(path, told))
    if told and told[-1].interrupted:
        raise KeyboardInterrupt
    return 0 if all(report.passed for report in told) else 1


def _write(path: Path, write: Callable[[Path], None]) -> None:
    try:
        write(path)
    except OSError as error:
        raise KitError(f"cannot write the report {path}: {error.strerror or error}") from error


def _judged(
    spec: str, cases: Sequence[Case], out: TextIO, *, known: Mapping[str, str], seed: int, jobs: int
) -> reports.RunReport:
    adapter = load_adapter(spec)
    report = reports.RunReport(spec, adapter.capabilities)
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
    """Write a table of the cases: id, area, level, title.

    Raises:
        KitError: A word of ``select`` chooses nothing.
    """
    cases = select_cases(load_cases(), select)
    rows = [("case", "area", "level", "what a driver must do")]
    rows += [(case.id, case.area, case.level, case.title) for case in cases]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    out.writelines("  ".join(map(str.ljust, row, wide)).rstrip() + "\n" for row in rows)

"""What the command line asks of the kit: judge drivers, write the reports, note what is known to fail.

Whatever the user can correct is raised as KitError, with a message of one line.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.adapters.adapter import said_version
from botticelli.kit.adapters.hosted import open_adapter
from botticelli.kit.adapters.limits import LIMIT, bypass_proxies
from botticelli.kit.adapters.load import close_adapter, importable_working_directory
from botticelli.kit.cases.case import load_cases
from botticelli.kit.cases.suite import SUITE_VERSION, is_scored, suite_hash
from botticelli.kit.errors import AdapterError, KitError
from botticelli.kit.journal import Journal, writing
from botticelli.kit.report import machine
from botticelli.kit.report.model import LEVELS, Report, Suite, read_report
from botticelli.kit.report.running import RunReport, cut
from botticelli.kit.report.text import watch, write_report, write_table
from botticelli.kit.runner import JOBS, Result, Status, read_baseline, run_cases, side_by_side
from botticelli.kit.selection import Shard, failed_in, narrow, select_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.cases.case import Case

__all__ = ["SEEDS", "list_cases", "run_check", "select_cases", "write_baseline"]

SEEDS = 1 << 31
"""A seed that is drawn is below this, so that it is short enough to type."""

_TOGETHER = 2  # drivers judged at once, such as a client's sync and async half; each is a process
_HURRY = 1.0  # seconds that a driver has to close when the run was interrupted


@dataclass(frozen=True, slots=True)
class _Settings:
    """How the cases are played, alike for every driver of a run."""

    known: Mapping[str, str]
    seed: int
    jobs: int
    limit: float
    strict: bool
    in_process: bool
    suite_version: str


def run_check(
    adapters: Sequence[str],
    *,
    out: TextIO,
    select: Sequence[str] = (),
    level: str = LEVELS[-1],
    profiles: Sequence[str] = (),
    shard: Shard | None = None,
    rerun: Path | None = None,
    paths: Mapping[str, Path | None] | None = None,
    baseline: Path | None = None,
    new_baseline: Path | None = None,
    seed: int | None = None,
    jobs: int = JOBS,
    timeout_scale: float = 1.0,
    strict: bool = False,
    in_process: bool = False,
    suite_version: str = SUITE_VERSION,
) -> int:
    """Judge drivers, two at a time, and report.

    Args:
        adapters: Their adapters: ``package.module:factory`` or ``command: ...``.
        out: Where the report is written; with colour and a progress bar only if it is a terminal.
        select: Ids, areas or patterns of the cases to play; none means all.
        level: The laxest level to play.
        profiles: The profiles to play; none means all.
        shard: The part of the cases to play.
        rerun: An earlier report; only what failed in it is played.
        paths: Where to write the report, by the words of ``machine.FORMS``.
        baseline: File of known failures, if there is one.
        new_baseline: Where to write what is known to fail after this run, if anywhere.
        seed: Decides the texts, ids and keys that are played; None draws one and prints it.
        jobs: Cases at once, of each driver; with 1 the drivers are judged one after the other.
        timeout_scale: Multiplies the time that a call may take before it counts as hanging.
        strict: Remarks fail the run, and so does a ``may`` that wasn't kept.
        in_process: Import adapters in Python into this process.
        suite_version: Cases that don't belong to it count for nothing.

    Returns:
        0 when something was judged and nothing failed, else 1.

    Raises:
        KeyboardInterrupt: The user ended the run; the report of what was run has been written.
        KitError: A driver, a case, the baseline or a file to write cannot be used.
    """
    everything = load_cases()
    cases = narrow(select_cases(everything, select), level=level, profiles=profiles, shard=shard)
    known = read_baseline(baseline, everything) if baseline else {}
    chosen = _chosen(adapters, cases, rerun, strict=strict)
    drawn = seed is None
    settings = _Settings(
        known=known,
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        jobs=jobs,
        limit=LIMIT * timeout_scale,
        strict=strict,
        in_process=in_process,
        suite_version=suite_version,
    )
    files = dict(paths or {})
    json_path = files.pop("json", None)
    machine.reserve([*files.values(), new_baseline])
    suite = Suite(suite_version, suite_hash(everything, suite_version))

    def report_of(reports: Sequence[RunReport], ended: bool) -> Report:
        return machine.report_of(
            reports,
            settings.seed,
            version("botticelli"),
            suite=suite,
            finished=ended,
            shard=str(shard or ""),
        )

    together = 1 if in_process or jobs == 1 else _TOGETHER
    journal, reports, finished = Journal(json_path, report_of), list[RunReport](), False
    interrupted = False
    try:
        with bypass_proxies(), importable_working_directory():
            for first in range(0, len(chosen), together):
                runs = [
                    (RunReport(spec, frozenset(), finished=False), wanted)
                    for spec, wanted in chosen[first : first + together]
                ]
                interrupted = _judge(runs, out, journal, settings, reports)
                if drawn and not first:
                    out.write(
                        f"seed {settings.seed} was drawn; --seed {settings.seed} plays the same again\n\n"
                    )
                for report, _ in runs:
                    out.write("\n" if report is not reports[0] else "")
                    write_report(report, out, saved=str(json_path or ""))
                out.flush()
                if interrupted:
                    break
        finished = len(reports) == len(chosen) and all(report.finished for report in reports)
    finally:
        journal.finish(reports, finished=finished)
    machine.write_files(report_of(reports, finished), files)
    if new_baseline:
        writing(new_baseline, lambda path: write_baseline(path, reports, known))
    if interrupted:
        raise KeyboardInterrupt
    return 0 if finished and all(report.passed for report in reports) else 1


def _chosen(
    adapters: Sequence[str], cases: Sequence[Case], rerun: Path | None, *, strict: bool
) -> list[tuple[str, list[Case]]]:
    """Return each adapter with the cases to play for it; those without any are left out of a second run."""
    if rerun is None:
        return [(spec, list(cases)) for spec in adapters]
    runs = read_report(rerun).runs
    failed = {spec: failed_in(runs, spec, strict=strict) for spec in adapters}
    chosen = [(spec, [case for case in cases if case.key in failed[spec]]) for spec in adapters]
    chosen = [(spec, wanted) for spec, wanted in chosen if wanted]
    if not chosen:
        raise KitError(
            f"{rerun}: none of the chosen cases failed there, so that nothing is to be played again"
        )
    return chosen


def _judge(
    chosen: Sequence[tuple[RunReport, Sequence[Case]]],
    out: TextIO,
    journal: Journal,
    settings: _Settings,
    reports: list[RunReport],
) -> bool:
    """Run the drivers' cases, side by side; an interruption ends all, and is noted in the reports.

    Args:
        chosen: What is judged, each with its cases.
        out: Where progress is shown.
        journal: Gets each result when it is there.
        settings: How the cases are played.
        reports: Those of `chosen` are added once all adapters are open, and kept whatever comes then.

    Returns:
        True when the user ended the run.
    """
    interrupted = False
    with ExitStack() as opened:
        adapters = [opened.enter_context(_adapter_of(report, settings)) for report, _ in chosen]
        reports += [report for report, _ in chosen]
        results = side_by_side(
            [
                _results(report.name, adapter, cases, settings)
                for (report, cases), adapter in zip(chosen, adapters, strict=True)
            ]
        )
        total = sum(len(cases) for _, cases in chosen)
        title = ", ".join(report.name for report, _ in chosen)
        start = time.perf_counter()
        try:
            with closing(results):
                for number, result in watch(results, total, title, out):
                    report = chosen[number][0]
                    report.results.append(result)
                    report.mishaps += _mishaps(result)
                    report.seconds = time.perf_counter() - start
                    journal.note(report, result)
        except KeyboardInterrupt:
            interrupted = True
        for report, cases in chosen:
            left = len(cases) - len(report.results)
            report.finished, report.interrupted = not left, bool(left)
            if left:
                report.mishaps.append(f"interrupted, with {left} of {len(cases)} cases to go")
    return interrupted or any(report.interrupted for report, _ in chosen)


@contextmanager
def _adapter_of(report: RunReport, settings: _Settings) -> Generator[Adapter, None, None]:
    """Open the adapter of a run; at the end close it, and note in the report what was wrong with that."""
    spec = report.name
    adapter = open_adapter(spec, limit=settings.limit, in_process=settings.in_process)
    report.capabilities = adapter.capabilities
    report.version = said_version(adapter).removeprefix(f"{spec} ")  # the name is there already
    try:
        yield adapter
    finally:
        unexplained: Callable[[], list[str]] = getattr(adapter, "unexplained", list)
        report.mishaps += unexplained()
        try:
            close_adapter(adapter, LIMIT if report.finished else _HURRY)
        except AdapterError as error:
            report.mishaps.append(str(error))
        except KeyboardInterrupt:
            report.mishaps.append("interrupted while the driver was being closed")
            report.interrupted = True
        finally:
            getattr(adapter, "kill", lambda: None)()


def _results(
    spec: str, adapter: Adapter, cases: Sequence[Case], settings: _Settings
) -> Generator[Result, None, None]:
    again = f"botticelli check driver {shlex.quote(spec)} --seed {settings.seed} --case "
    return run_cases(
        cases,
        adapter,
        seed=settings.seed,
        known=settings.known,
        scored=lambda case: is_scored(case, settings.suite_version),
        strict=settings.strict,
        jobs=settings.jobs,
        limit=settings.limit,
        command=lambda case: again + case.key,
    )


def _mishaps(result: Result) -> list[str]:
    """Return what a result says about the run itself."""
    if result.mishap:
        return [f"{result.case.key} couldn't be judged: {result.mishap}"]
    if result.fails_run and result.status is Status.PASSED:
        return [f"{result.case.key}: {remark}" for remark in result.verdict.remarks]
    return []


def write_baseline(path: Path, reports: Sequence[RunReport], known: Mapping[str, str]) -> None:
    """Write what is known to fail, with the reasons: the old ones, and the first difference of a new one.

    What passes now is left out; what wasn't played stays as it was.

    Raises:
        OSError: The file cannot be written.
    """
    results = [result for report in reports for result in report.results if not result.mishap]
    reasons = {key: reason for key, reason in known.items() if key not in {r.case.key for r in results}}
    for result in results:
        if result.status is Status.KNOWN:
            reasons[result.case.key] = result.reason
        elif result.status is Status.FAILED:
            reasons.setdefault(result.case.key, _reason(result))
    text = json.dumps({"known": dict(sorted(reasons.items()))}, ensure_ascii=False, indent=2) + "\n"
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def _reason(result: Result) -> str:
    """Return the first difference in a line."""
    first = result.verdict.differences[0]
    place = f"at {cut(first.path)} " if first.path else ""
    line = f"{result.verdict.gravity}: {place}expected {cut(first.expected)}, got {cut(first.got)}"
    return " ".join(line.split())


def list_cases(out: TextIO, select: Sequence[str] = ()) -> None:
    """Write a table of the cases: key, area, level, title.

    Raises:
        KitError: A word of ``select`` chooses nothing.
    """
    cases = select_cases(load_cases(), select)
    rows = [(case.key, case.area, case.level, case.title) for case in cases]
    write_table(out, ("case", "area", "level", "what a driver must do"), rows)

"""Judge endpoints: choose probes, say what they cost, ask, report, save; and judge saved runs again.

Whatever the user can correct is raised as KitError, with a message of one line.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.errors import EndpointError, KitError, nearest
from botticelli.kit.probes.answer import Answer
from botticelli.kit.probes.archive import SavedRun, capture_probe, read_captures, read_runs, write_runs
from botticelli.kit.probes.findings import broken_contract, contract_of
from botticelli.kit.probes.probe import Probe, hash_of, load_probes
from botticelli.kit.probes.subject import bug_report, find_subject, fitting, weighed
from botticelli.kit.probes.verdict import Judgement, Outcome, judge
from botticelli.kit.report import machine
from botticelli.kit.report.model import Suite
from botticelli.kit.report.running import RunReport, cut, run_of
from botticelli.kit.report.text import failures, painter, watch, write_report, write_table
from botticelli.kit.runner import Finding, Result, Status, read_baseline, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.probes.exchange import Exchange
    from botticelli.kit.probes.probe import Target
    from botticelli.kit.probes.subject import Subject

__all__ = [
    "Choice",
    "EndpointReport",
    "check_endpoints",
    "judge_saved",
    "rejudge",
    "select_probes",
]

PROBES_VERSION = "1"
"""The version of the set of probes."""

PREFLIGHT = "preflight"
"""The name under which the questions before the probes are saved."""

_MOST_STRICT = 12  # lines about the strict contract


@dataclass(frozen=True, slots=True)
class Choice:
    """Which probes to ask.

    Attributes:
        words: Ids, areas or patterns of ids; none means all.
        areas: Areas; none means all.
        levels: Levels; none means all.
        profiles: Profiles; none means all.
        costly: Also ask what sends megabytes.
    """

    words: Sequence[str] = ()
    areas: Sequence[str] = ()
    levels: Sequence[str] = ()
    profiles: Sequence[str] = ()
    costly: bool = False


def select_probes(probes: Sequence[Probe], choice: Choice) -> list[Probe]:
    """Choose probes.

    Raises:
        KitError: A word chooses nothing.
    """
    chosen: set[str] = set()
    for word in choice.words:
        found = {probe.id for probe in probes if word == probe.area or fnmatchcase(probe.id, word)}
        if not found:
            known = {name for probe in probes for name in (probe.id, probe.area)}
            near = nearest(word, known) or "; --dry-run lists them"
            raise KitError(f"no probe or area is called {word!r}{near}")
        chosen |= found
    areas = {probe.area for probe in probes}
    for area in choice.areas:
        if area not in areas:
            raise KitError(f"no area is called {area!r}; there are {', '.join(sorted(areas))}")
    left = [
        probe
        for probe in probes
        if (not choice.words or probe.id in chosen)
        and (not choice.areas or probe.area in choice.areas)
        and (not choice.levels or probe.level in choice.levels)
        and (not choice.profiles or probe.profile in choice.profiles)
    ]
    if not left:
        raise KitError("no probe fits all that was asked for")
    return left


class EndpointReport(RunReport):
    """The report of a run against an endpoint, which claims nothing."""

    def problems(self) -> list[str]:
        """Return what makes the run itself fail."""
        if self.interrupted or any(result.status is not Status.NOT_CLAIMED for result in self.results):
            return self.mishaps
        return [*self.mishaps, "nothing was judged: every probe was refused or inconclusive"]


# Live


def check_endpoints(
    targets: Sequence[Target],
    *,
    out: TextIO,
    choice: Choice | None = None,
    paths: Mapping[str, Path | None] | None = None,
    save: Path | None = None,
    baseline: Path | None = None,
    confirm: Callable[[], bool] = lambda: True,
    dry_run: bool = False,
    most: int | None = None,
    timeout: float = 60.0,
    jobs: int = 1,
) -> int:
    """Judge models of endpoints, one after the other, and report.

    Args:
        targets: What to judge; one without a model takes the only one that its endpoint lists.
        out: Where the report is written; with colour and a progress bar only if it is a terminal.
        choice: Which probes to ask.
        paths: Where else the report goes, by the words of ``machine.FORMS``.
        save: Where the exchanges go, to be judged again.
        baseline: File of known failures, if there is one.
        confirm: Asks the user whether to go on, once the costs have been announced.
        dry_run: Only tell the costs and list the probes.
        most: Calls at most for each model.
        timeout: Seconds in which something must come.
        jobs: Probes at once.

    Returns:
        0 when something was judged and nothing failed, else 1.

    Raises:
        KeyboardInterrupt: The user ended the run; the report of what was done has been written.
        KitError: The endpoint can't be judged, or a file can't be used.
    """
    choice, files = choice or Choice(), dict(paths or {})
    everything = load_probes()
    probes = select_probes(everything, choice)
    known = read_baseline(baseline, everything) if baseline else {}
    machine.reserve([*files.values(), save])
    chosen = fitting(probes, choice.words, costly=choice.costly)
    if not chosen:
        raise KitError("all of these probes send prompts of megabytes; --costly asks them")
    subjects = [find_subject(target, timeout=timeout, most=most, reachable=not dry_run) for target in targets]
    for subject in subjects:
        out.writelines(f"{line}\n" for line in subject.announce(chosen))
    if len(chosen) < len(probes):
        out.write(
            f"{len(probes) - len(chosen)} probes with prompts of megabytes are left out; --costly asks them\n"
        )
    out.flush()
    if dry_run:
        out.write("\n")
        rows = [(one.id, one.area, one.level, one.title) for one in chosen]
        write_table(out, ("probe", "area", "level", "what a server must do"), rows)
        return 0
    if not confirm():
        return 1
    out.write("\n")
    finished: list[RunReport] = []
    saved: list[SavedRun] = []
    for subject in subjects:
        report, kept = _ask(subject, chosen, out, known=known, jobs=jobs, alone=len(subjects) == 1)
        out.write("\n" if finished else "")
        finished.append(report)
        saved.append(kept)
        if report.interrupted:
            break
    if save:
        write_runs(save, saved, version("botticelli"))
    return _conclude(finished, files, everything)


def _ask(
    subject: Subject,
    probes: Sequence[Probe],
    out: TextIO,
    *,
    known: Mapping[str, str],
    jobs: int,
    alone: bool,
) -> tuple[RunReport, SavedRun]:
    """Ask one model; an interruption ends the run and is noted in its report."""
    session = subject.session
    report = EndpointReport(subject.name, frozenset())
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = SavedRun(subject.name, session.target.address.origin, session.target.model, date)
    asked = {PREFLIGHT: list(subject.listed)}
    start = time.perf_counter()
    judgements: dict[str, Judgement] = {}

    def execute(probe: Probe) -> Finding:
        exchanges = session.ask(probe)
        asked[probe.id] = exchanges
        judgements[probe.id] = judge(probe, exchanges, session.target.model)
        return Finding(judgements[probe.id].verdict)

    try:
        asked[PREFLIGHT] += session.begin()
        results = run(probes, execute, known=known, jobs=jobs)
        with closing(results):
            for result in watch(results, len(probes), subject.name, out):
                exchanges = asked.get(result.case.id, [])
                report.results.append(
                    _weighed(result, judgements, exchanges, kept.url, session.target.key_env)
                )
    except EndpointError as error:
        if alone:
            raise
        report.mishaps.append(str(error))
    except KeyboardInterrupt:
        report.mishaps.append(
            f"interrupted, with {len(probes) - len(report.results)} of {len(probes)} probes to go"
        )
        report.interrupted = True
        report.finished = False
    report.seconds = time.perf_counter() - start
    # A copy, because a probe that an interruption has left may still be answered.
    kept.exchanges = dict(asked)
    _write_one(report, judgements, kept, out)
    if session.waited:
        out.write(f"  the server was busy: {session.waited:.0f} s of waiting\n")
    return report, kept


def _weighed(
    result: Result, judgements: Mapping[str, Judgement], exchanges: Sequence[Exchange], url: str, key_env: str
) -> Result:
    name = result.case.id
    if name not in judgements:
        return result  # a mishap of the kit
    return weighed(result, judgements[name], exchanges, url, key_env)


# Reports


def _write_one(report: RunReport, judgements: Mapping[str, Judgement], kept: SavedRun, out: TextIO) -> None:
    """Write the report of one run, with what helps to see each finding again."""
    write_report(report, out)
    whole = run_of(report)
    paint = painter(out)
    asked = {result.case.key: result for result in report.results}
    for failure in failures(whole):
        shown = asked[failure.case]
        if shown.evidence and isinstance(shown.case, Probe):
            lines = bug_report(shown.case, judgements[failure.case], shown.evidence["command"], paint)
            out.write("\n")
            out.writelines(f"{line}\n" for line in lines)
    for outcome in (Outcome.REFUSED, Outcome.INCONCLUSIVE):
        found = [result for result in whole.results if result.reason == outcome.value]
        if found:
            out.write(f"\n{paint(outcome.value, 'bold')}: no fault\n")
        out.writelines(f"  {result.case}: {cut(judgements[result.case].why_open)}\n" for result in found)
    _write_strict(kept, out)


def _write_strict(kept: SavedRun, out: TextIO) -> None:
    """Tell beside the findings where the messages depart from the strict contract."""
    count: Counter[str] = Counter()
    messages = 0
    for exchanges in kept.exchanges.values():
        for exchange in exchanges:
            answer = Answer(exchange)
            name = contract_of(answer)
            messages += max(len(answer.chunks), 1) if name else 0
            for path, message in broken_contract(answer):
                count[exchange.hide(f"{name}: {_general(path)} {message}")] += 1
    if not count:
        return
    out.write(f"\nThe strict contract, of {messages} messages (no failure by itself):\n")
    out.writelines(f"  {times:>5} × {cut(place)}\n" for place, times in count.most_common(_MOST_STRICT))
    if len(count) > _MOST_STRICT:
        out.write(f"        and {len(count) - _MOST_STRICT} more kinds\n")


def _general(path: str) -> str:
    """Return a path without numbers of events and choices: departures of one kind are counted as one."""
    return re.sub(r"\[\d+\]", "[]", re.sub(r"^event \d+: ", "", path))


def _conclude(
    finished: Sequence[RunReport], files: Mapping[str, Path | None], everything: Sequence[Probe]
) -> int:
    suite = Suite(PROBES_VERSION, hash_of(everything))
    report = machine.report_of(finished, 0, version("botticelli"), suite=suite)
    machine.write_files(report, files)
    if finished and finished[-1].interrupted:
        raise KeyboardInterrupt
    return 0 if report.passed else 1


# Saved runs


def rejudge(
    path: Path,
    *,
    out: TextIO,
    choice: Choice | None = None,
    paths: Mapping[str, Path | None] | None = None,
    baseline: Path | None = None,
) -> int:
    """Judge a saved run, a HAR file or a folder of raw exchanges, offline.

    Args:
        path: The file or folder.
        out: Where the report is written.
        choice: Which probes to judge, of a saved run.
        paths: Where else the report goes, by the words of ``machine.FORMS``.
        baseline: File of known failures, if there is one.

    Returns:
        0 when something was judged and nothing failed, else 1.

    Raises:
        KitError: It can't be read.
    """
    everything = load_probes()
    known = read_baseline(baseline, everything) if baseline else {}
    finished: list[RunReport] = []
    if path.suffix == ".zip":
        chosen = {probe.id for probe in select_probes(everything, choice or Choice())}
        pairs = [(run_, {one.id: one for one in everything if one.id in chosen}) for run_ in read_runs(path)]
    else:
        captures = read_captures(path)
        run_ = SavedRun(str(path), "", "", "", {name: [one] for name, one in captures.items()})
        pairs = [(run_, {name: capture_probe(name, one) for name, one in captures.items()})]
    for saved, probes in pairs:
        report, judgements = judge_saved(saved, probes, known)
        out.write("\n" if finished else "")
        _write_one(report, judgements, saved, out)
        finished.append(report)
    return _conclude(finished, paths or {}, everything)


def judge_saved(
    saved: SavedRun, probes: Mapping[str, Probe], known: Mapping[str, str] | None = None
) -> tuple[RunReport, dict[str, Judgement]]:
    """Judge the exchanges of a saved run; those of probes that there are no more are left out."""
    report = EndpointReport(saved.name, frozenset())
    start = time.perf_counter()
    judgements = {
        name: judge(probes[name], exchanges, saved.model)
        for name, exchanges in saved.exchanges.items()
        if name in probes
    }
    asked = [probe for name, probe in probes.items() if name in judgements]
    for result in run(asked, lambda probe: Finding(judgements[probe.id].verdict), known=known, jobs=1):
        exchanges = saved.exchanges.get(result.case.id, [])
        report.results.append(_weighed(result, judgements, exchanges, saved.url, ""))
    report.seconds = time.perf_counter() - start
    return report, judgements

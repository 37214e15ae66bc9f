"""Judge endpoints: choose probes, say what they cost, ask, report, save; and judge saved runs again.

Whatever the user can correct is raised as KitError, with a message of one line.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, TextIO

from botticelli.kit.errors import KitError, nearest
from botticelli.kit.probes.answer import Answer
from botticelli.kit.probes.archive import SavedRun, capture_probe, read_captures, read_runs, write_runs
from botticelli.kit.probes.client import EndpointError
from botticelli.kit.probes.findings import broken_contract, contract_of
from botticelli.kit.probes.probe import Probe, Target, hash_of, load_probes
from botticelli.kit.probes.session import Model, Session
from botticelli.kit.probes.verdict import Judgement, Outcome, curl, evidence, judge
from botticelli.kit.report import machine
from botticelli.kit.report.model import Suite
from botticelli.kit.report.running import RunReport, cut, run_of
from botticelli.kit.report.text import failures, painter, watch, write_report, write_table
from botticelli.kit.runner import Finding, Result, Status, read_baseline, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.probes.exchange import Exchange

__all__ = [
    "Choice",
    "EndpointReport",
    "check_endpoints",
    "judge_saved",
    "list_probes",
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
        costly: Also ask what sends megabytes, of any server.
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


def list_probes(out: TextIO, choice: Choice) -> None:
    """Write a table of the probes: id, area, level, title.

    Raises:
        KitError: Nothing is chosen.
    """
    rows = [(one.id, one.area, one.level, one.title) for one in select_probes(load_probes(), choice)]
    write_table(out, ("probe", "area", "level", "what a server must do"), rows)


class EndpointReport(RunReport):
    """The report of a run against an endpoint, which claims nothing."""

    def problems(self) -> list[str]:
        """Return what makes the run itself fail."""
        if self.interrupted or any(result.status is not Status.NOT_CLAIMED for result in self.results):
            return self.mishaps
        return [*self.mishaps, "nothing was judged: every probe was refused or inconclusive"]


# Live


@dataclass
class _Subject:
    """One model of one endpoint that is to be judged."""

    session: Session
    name: str
    price: Model | None
    probes: list[Probe]
    listed: list[Exchange]


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
        confirm: Asks the user whether to go on, once the costs have been told.
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
    subjects = [
        _subject(target, probes, choice, most=most, timeout=timeout, reachable=not dry_run)
        for target in targets
    ]
    for subject in subjects:
        out.writelines(f"{line}\n" for line in _announce(subject, most))
    out.flush()
    if dry_run:
        out.write("\n")
        rows = [(one.id, one.area, one.level, one.title) for one in probes]
        write_table(out, ("probe", "area", "level", "what a server must do"), rows)
        return 0
    if not confirm():
        return 1
    out.write("\n")
    finished: list[RunReport] = []
    saved: list[SavedRun] = []
    for subject in subjects:
        report, kept = _ask(subject, out, known=known, jobs=jobs, alone=len(subjects) == 1)
        out.write("\n" if finished else "")
        finished.append(report)
        saved.append(kept)
        if report.interrupted:
            break
    if save:
        write_runs(save, saved, version("botticelli"))
    return _conclude(finished, files)


def _subject(
    target: Target,
    probes: Sequence[Probe],
    choice: Choice,
    *,
    most: int | None,
    timeout: float,
    reachable: bool,
) -> _Subject:
    """Find out what a target lists, and choose the model."""
    session = Session(target, timeout=timeout, most=None)
    models: list[Model] = []
    listed: list[Exchange] = []
    try:
        models, exchange = session.list_models()
        listed = [exchange]
    except EndpointError:
        if reachable or not target.model:
            raise
    if not target.model:
        if len(models) != 1:
            names = ", ".join(model.id for model in models[:5]) + (", ..." if len(models) > 5 else "")
            what = f"it lists {len(models)}: {names}" if models else "it lists none"
            raise EndpointError(f"name a model of {target.address.url} with --model; {what}")
        target = replace(target, model=models[0].id)
    session = Session(target, timeout=timeout, most=most)
    price = next((model for model in models if model.id == target.model.partition(":")[0]), None)
    fitting = [one for one in probes if not one.costly or choice.costly or _is_near(target.address.host)]
    # Last, because a server may be busy with a long prompt long after we have left.
    fitting.sort(key=lambda probe: probe.costly)
    name = f"{target.model} at {target.address.url}"
    return _Subject(session, name, price, fitting, listed)


def _is_near(host: str) -> bool:
    """Tell whether a server is on this machine or network, so that megabytes cost nobody anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _announce(subject: _Subject, most: int | None) -> Iterable[str]:
    calls = sum(probe.calls for probe in subject.probes) + 4
    pairs = [probe.tokens for probe in subject.probes]
    sent, got = sum(one for one, _ in pairs), sum(other for _, other in pairs)
    limited = min(calls, most) if most is not None else calls
    yield f"{subject.name}: {len(subject.probes)} probes, at most {limited} calls"
    price = subject.price
    money = "no prices are listed"
    if price is not None and price.prompt is not None and price.completion is not None:
        dollars = (sent * price.prompt + got * price.completion) / 1e6
        money = f"about ${dollars:.4f} at the highest price that is listed"
    extent = f"about {sent} tokens of prompt and at most {got} of answers, more if the model thinks first"
    yield f"  {extent}; {money}"


def _ask(
    subject: _Subject, out: TextIO, *, known: Mapping[str, str], jobs: int, alone: bool
) -> tuple[RunReport, SavedRun]:
    """Ask one model; an interruption ends the run and is noted in its report."""
    session, probes = subject.session, subject.probes
    report = EndpointReport(subject.name, frozenset())
    address = session.target.address
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = SavedRun(subject.name, f"{address.scheme}://{address.authority}", session.target.model, date)
    kept.exchanges[PREFLIGHT] = list(subject.listed)
    start = time.perf_counter()
    judgements: dict[str, Judgement] = {}

    def execute(probe: Probe) -> Finding:
        exchanges = session.ask(probe)
        kept.exchanges[probe.id] = exchanges
        judgements[probe.id] = judge(probe, exchanges, session.target.model)
        return Finding(judgements[probe.id].verdict)

    try:
        kept.exchanges[PREFLIGHT] += session.begin()
        results = run(probes, execute, known=known, jobs=jobs)
        with closing(results):
            for result in watch(results, len(probes), subject.name, out):
                report.results.append(
                    _weighed(result, judgements[result.case.id], kept, session.target.key_env)
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
    _write_one(report, judgements, kept, out, session.target.key_env)
    if session.waited:
        out.write(f"  the server was busy: {session.waited:.0f} s of waiting\n")
    return report, kept


def _weighed(result: Result, judgement: Judgement, kept: SavedRun, key_env: str) -> Result:
    """Give a result the word for what the probe showed, and its evidence."""
    if judgement.outcome in (Outcome.REFUSED, Outcome.INCONCLUSIVE):
        # Nothing failed and nothing was shown: the probe doesn't count, and a baseline has no say in it.
        return replace(result, status=Status.NOT_CLAIMED, reason=judgement.outcome.value)
    exchanges = kept.exchanges[result.case.id]
    if not judgement.findings or not exchanges:
        return result
    asked = _shown(judgement, exchanges)
    return replace(result, evidence=evidence(exchanges, curl(asked, kept.url, key_env)))


def _shown(judgement: Judgement, exchanges: Sequence[Exchange]) -> Exchange:
    """Return the exchange that shows the first finding."""
    name = judgement.findings[0][0]
    return next((one for one in reversed(exchanges) if one.ask == name), exchanges[-1])


# Reports


def _write_one(
    report: RunReport, judgements: Mapping[str, Judgement], kept: SavedRun, out: TextIO, key_env: str
) -> None:
    """Write the report of one run, with what helps to see each finding again."""
    write_report(report, out)
    paint = painter(out)
    whole = run_of(report)
    asked = {result.case.key: result.case for result in report.results}
    for failure in failures(whole):
        judgement, probe = judgements.get(failure.case), asked[failure.case]
        exchanges = kept.exchanges.get(failure.case, [])
        if judgement is None or not judgement.findings or not exchanges or not isinstance(probe, Probe):
            continue
        out.write(f"\n{paint(probe.id, 'bold')}: {judgement.outcome}\n")
        out.write(f"  rule      {probe.title}{f' ({probe.spec})' if probe.spec else ''}\n")
        out.write(f"  effect    {probe.effect}\n")
        out.write(f"  ask again {curl(_shown(judgement, exchanges), kept.url, key_env)}\n")
    for outcome in (Outcome.REFUSED, Outcome.INCONCLUSIVE):
        shown = [result for result in whole.results if result.reason == outcome.value]
        if shown:
            out.write(f"\n{paint(outcome.value, 'bold')}: no fault\n")
        for result in shown:
            words = [*judgements[result.case].doubts, *judgements[result.case].refusals]
            out.write(f"  {result.case}: {cut(' '.join(words[0].split()))}\n")
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
                count[f"{name}: {_general(path)} {message}"] += 1
    if not count:
        return
    out.write(f"\nThe strict contract, of {messages} messages (no failure by itself):\n")
    out.writelines(f"  {times:>5} × {cut(place)}\n" for place, times in count.most_common(_MOST_STRICT))
    if len(count) > _MOST_STRICT:
        out.write(f"        and {len(count) - _MOST_STRICT} more kinds\n")


def _general(path: str) -> str:
    """Return a path without numbers of events and choices: departures of one kind are counted as one."""
    return re.sub(r"\[\d+\]", "[]", re.sub(r"^event \d+: ", "", path))


def _conclude(finished: Sequence[RunReport], files: Mapping[str, Path | None]) -> int:
    suite = Suite(PROBES_VERSION, hash_of(load_probes()))
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
        _write_one(report, judgements, saved, out, "")
        finished.append(report)
    return _conclude(finished, paths or {})


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
        report.results.append(_weighed(result, judgements[result.case.id], saved, ""))
    report.seconds = time.perf_counter() - start
    return report, judgements

"""Reports as values: read them, merge them, count them.

A report is what contracts/kit/report.schema.json describes. Whatever is written for people or programs is
written from these values, so that a run and a file read again look the same. Nothing here is shortened, and
nothing but :func:`read_report` touches a file.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from botticelli.contracts.jsonvalue import as_object, is_array
from botticelli.kit.errors import KitError
from botticelli.kit.schemas import schema_violations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from botticelli.contracts.jsonvalue import Document

__all__ = [
    "GRADES",
    "GRAVITIES",
    "LEVELS",
    "PROFILES",
    "STATUSES",
    "Difference",
    "Evidence",
    "Report",
    "Result",
    "Run",
    "Score",
    "Suite",
    "WireEvent",
    "as_evidence",
    "as_report",
    "from_document",
    "grade_of",
    "merge",
    "read_report",
    "score",
    "tally",
    "to_document",
]

LEVELS = ("must", "should", "may")
PROFILES = ("core", "tolerance", "hardening", "provider")
GRADES = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED", "NOT CLAIMED")
GRAVITIES = ("silent", "hang", "crash", "leak", "refused", "imprecise")
STATUSES = ("passed", "failed", "noted", "known", "stale", "not_claimed")

_MISSED = {"must": "FAILED", "should": "NON-STRICT", "may": "INFORMATIONAL"}
_SHOWN = 3  # violations of the schema that a message quotes


def grade_of(level: str, status: str) -> str:
    """Return the grade of a result, which the baseline has no part in."""
    if status == "not_claimed":
        return "NOT CLAIMED"
    return "OK" if status in ("passed", "stale") else _MISSED[level]


@dataclass(frozen=True)
class Difference:
    """One difference between what was expected and what happened."""

    path: str
    expected: str
    got: str


@dataclass(frozen=True)
class WireEvent:
    """Bytes that one side sent, or what happened to the connection."""

    at: float
    connection: int
    sender: str
    text: str | None = None
    base64: str | None = None
    omitted: int = 0
    event: str = ""


@dataclass(frozen=True)
class Evidence:
    """The exchange of a case as it was seen."""

    calls: list[dict[str, Any]]
    outcomes: list[Any]
    wire: list[WireEvent]
    output: str = ""
    command: str = ""


@dataclass(frozen=True)
class Result:
    """What came of one case."""

    case: str
    title: str
    area: str
    level: str
    profile: str
    status: str
    grade: str
    seconds: float
    unscored: bool = False
    reason: str = ""
    gravity: str = ""
    differences: list[Difference] = field(default_factory=list[Difference])
    remarks: list[str] = field(default_factory=list[str])
    spec: str = ""
    provenance: str = ""
    policy: str = ""
    cause: str = ""
    source: list[str] = field(default_factory=list[str])
    evidence: Evidence | None = None

    @property
    def fails_run(self) -> bool:
        """True for a result that makes the whole run fail."""
        return self.status in ("failed", "stale") and not self.unscored


@dataclass(frozen=True)
class Run:
    """What came of judging one implementation."""

    name: str
    capabilities: list[str]
    seconds: float
    counts: dict[str, int]
    results: list[Result]
    version: str = ""
    seed: int | None = None
    date: str = ""
    problems: list[str] = field(default_factory=list[str])

    @property
    def label(self) -> str:
        """The name, with the version where it is known."""
        return f"{self.name} {self.version}".rstrip()

    @property
    def passed(self) -> bool:
        """True when nothing fails the run; whether it is finished, only its report knows."""
        return not self.problems and not any(result.fails_run for result in self.results)


@dataclass(frozen=True)
class Suite:
    """Which cases were asked."""

    version: str
    hash: str


@dataclass(frozen=True)
class Report:
    """What came of judging one or more implementations."""

    botticelli: str
    suite: Suite
    seed: int
    date: str
    finished: bool
    passed: bool
    runs: list[Run]
    shard: str = ""


# Counting


class Score(NamedTuple):
    """How many of the judged cases were kept."""

    kept: int
    judged: int

    @property
    def percent(self) -> int | None:
        """Rounded down, so that 100 means all of them; None when nothing was judged."""
        return self.kept * 100 // self.judged if self.judged else None

    def __str__(self) -> str:
        return "." if self.percent is None else f"{self.percent} %"


def tally(results: Iterable[Result]) -> Counter[tuple[str, str, str, str]]:
    """Count results by level, grade, profile and area; unscored ones count for nothing."""
    return Counter((one.level, one.grade, one.profile, one.area) for one in results if not one.unscored)


def score(
    counts: Counter[tuple[str, str, str, str]], level: str, *, profile: str = "", area: str = ""
) -> Score:
    """Return how many cases of one level were kept; what isn't claimed wasn't judged.

    Args:
        counts: From :func:`tally`.
        level: Levels are never counted together.
        profile: One profile only, if given.
        area: One area only, if given.
    """
    kept = judged = 0
    for (each, grade, its_profile, its_area), count in counts.items():
        if each != level or profile not in ("", its_profile) or area not in ("", its_area):
            continue
        judged += count if grade != "NOT CLAIMED" else 0
        kept += count if grade == "OK" else 0
    return Score(kept, judged)


# Reading


def read_report(path: Path) -> Report:
    """Read a report that was written as JSON.

    Raises:
        KitError: The file can't be read, or isn't a report.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise KitError(f"the report {path} can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise KitError(f"{path} isn't a report: it isn't JSON ({error})") from error
    return as_report(document, str(path))


def as_report(document: object, name: str = "the document") -> Report:
    """Return a report from its JSON.

    Args:
        document: The JSON.
        name: What messages call it.

    Raises:
        KitError: It breaks the schema of reports.
    """
    if violations := schema_violations("report", document):
        more = f"; and {len(violations) - _SHOWN} more" if len(violations) > _SHOWN else ""
        hint = ""
        if isinstance(document, dict) and "runs" in document and "suite" not in document:
            hint = "; an older botticelli wrote it, so judge again with this one"
        raise KitError(f"{name} isn't a report: {'; '.join(violations[:_SHOWN])}{more}{hint}")
    return from_document(as_object(document))


def as_evidence(document: Document) -> Evidence:
    """Return evidence from its JSON, which keeps the schema."""
    members: Document = {**document, "wire": [_event_of(one) for one in document["wire"]]}
    return Evidence(**members)


def from_document(document: Document) -> Report:
    """Return a report from JSON that is known to keep the schema; see :func:`as_report` for any other."""
    runs = [_run_of(run) for run in document["runs"]]
    members: Document = {**document, "suite": Suite(**document["suite"]), "runs": runs}
    return Report(**members)


def _run_of(document: Document) -> Run:
    members: Document = {**document, "results": [_result_of(result) for result in document["results"]]}
    return Run(**members)


def _result_of(document: Document) -> Result:
    differences = [Difference(**one) for one in document.get("differences", ())]
    members: Document = {**document, "differences": differences}
    if evidence := document.get("evidence"):
        members["evidence"] = as_evidence(evidence)
    return Result(**members)


def _event_of(document: Document) -> WireEvent:
    members: Document = {_SENDER.get(name, name): value for name, value in document.items()}
    return WireEvent(**members)


# Writing

_SENDER = {"from": "sender"}  # "from" is no name in Python
_FROM = {name: word for word, name in _SENDER.items()}


def to_document(value: Any) -> Document:
    """Return a value as JSON (contracts/kit/report.schema.json); what has its default is left out."""
    document: Document = {}
    for one in fields(value):
        held: Any = getattr(value, one.name)
        usual = one.default_factory() if one.default_factory is not MISSING else one.default
        if held == usual:
            continue
        if is_dataclass(held):
            held = to_document(held)
        elif is_array(held):
            held = [to_document(item) if is_dataclass(item) else item for item in held]
        document[_FROM.get(one.name, one.name)] = held
    return document


# Merging


class _Part(NamedTuple):
    name: str  # of the file
    report: Report
    run: Run


def merge(reports: Sequence[tuple[str, Report]]) -> Report:
    """Merge reports: the shards of an implementation become one run, implementations stand side by side.

    Whether it passed is counted anew: it did when all parts are there and finished, and nothing failed.

    Args:
        reports: Each with a name for messages, such as that of its file.

    Raises:
        KitError: They don't belong together: other cases, the same run twice, shards that don't match.
    """
    if not reports:
        raise KitError("there is no report to merge")
    first_name, first = reports[0]
    for name, report in reports:
        if report.suite != first.suite:
            raise KitError(
                f"{first_name} and {name} were judged by different sets of cases "
                f"(version {first.suite.version}, {first.suite.hash}, "
                f"and version {report.suite.version}, {report.suite.hash}); judge them by the same one"
            )
    groups: dict[tuple[str, str, int], list[_Part]] = {}
    for name, report in reports:
        seen: Counter[tuple[str, str]] = Counter()
        for run in report.runs:
            # The number keeps apart what one command judged twice under one name.
            groups.setdefault((run.name, run.version, seen[run.name, run.version]), []).append(
                _Part(name, report, run)
            )
            seen[run.name, run.version] += 1
    runs = [_joined(parts) for parts in groups.values()]
    ended = all(report.finished for _, report in reports)
    finished = ended and not any(map(_missing_shards, groups.values()))
    passed = finished and bool(runs) and all(run.passed for run in runs)
    return Report(
        botticelli=", ".join(dict.fromkeys(report.botticelli for _, report in reports)),
        suite=first.suite,
        seed=first.seed,
        date=min(report.date for _, report in reports),
        finished=finished,
        passed=passed,
        runs=runs,
    )


def _joined(parts: Sequence[_Part]) -> Run:
    """Return the run that is made of these parts.

    Raises:
        KitError: They aren't shards of one run.
    """
    _check_shards(parts)
    results: dict[str, Result] = {}
    for part in parts:
        for result in part.run.results:
            if len(parts) > 1 and result.case in results:
                raise KitError(f"{part.name} and another shard of {part.run.label} both hold {result.case}")
            results[result.case] = result
    everything = [result for part in parts for result in part.run.results]
    everything.sort(key=lambda result: (result.area, result.case))
    problems = [problem for part in parts for problem in _problems(part)]
    if missing := _missing_shards(parts):
        problems.append(f"not all shards are here; missing: {', '.join(missing)}")
    first = parts[0]
    counted = Counter(result.status for result in everything)
    return replace(
        first.run,
        capabilities=sorted({word for part in parts for word in part.run.capabilities}),
        seconds=round(sum(part.run.seconds for part in parts), 3),
        counts={status: counted[status] for status in STATUSES},
        results=everything,
        seed=first.report.seed if first.run.seed is None else first.run.seed,
        date=min(part.run.date or part.report.date for part in parts),
        problems=problems,
    )


def _problems(part: _Part) -> Iterator[str]:
    place = f"shard {part.report.shard}: " if part.report.shard else ""
    yield from (place + problem for problem in part.run.problems)
    if not part.report.finished and not any(run.problems for run in part.report.runs):
        yield f"{place}the run isn't finished"


def _check_shards(parts: Sequence[_Part]) -> None:
    if len(parts) == 1:
        return
    first, whole = parts[0], [part for part in parts if not part.report.shard]
    if whole:
        other = next(part for part in parts if part is not whole[0])
        raise KitError(
            f"{whole[0].name} and {other.name} both judge {first.run.label}; give one of them, "
            "or judge again under another name"
        )
    seen: dict[str, str] = {}
    for name, report, run in parts:
        if report.shard.partition("/")[2] != first.report.shard.partition("/")[2]:
            raise KitError(
                f"{first.name} is shard {first.report.shard} of {run.label}, {name} is {report.shard}; "
                "they are of different runs"
            )
        if report.shard in seen:
            raise KitError(f"{seen[report.shard]} and {name} are both shard {report.shard} of {run.label}")
        seen[report.shard] = name


_SHARDS = 1000  # more aren't listed: a number in a file mustn't cost memory


def _missing_shards(parts: Sequence[_Part]) -> list[str]:
    here = {part.report.shard for part in parts} - {""}
    if not here:
        return []
    total = int(min(here).partition("/")[2][:10])
    return [shard for place in range(1, min(total, _SHARDS) + 1) if (shard := f"{place}/{total}") not in here]

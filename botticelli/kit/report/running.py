"""The report of a run as it grows, and the finished values (model.py) that are made of it.

Verdicts and evidence come without the API key (judge/verdict.py). Texts are shortened only here, after the
key was blanked, so that no part of a key is left at an edge.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botticelli.kit.report import model
from botticelli.kit.runner import Result, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MANY", "RunReport", "cut", "lacking", "result_of", "run_of"]

_WIDE = 400  # characters kept of a line
_HIGH = 24  # lines kept of a text
MANY = 20
"""Differences kept of one case."""


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
        version: Of the implementation, where it is known.
        started: When the run began.
    """

    name: str
    capabilities: frozenset[str]
    results: list[Result] = field(default_factory=list[Result])
    seconds: float = 0.0
    mishaps: list[str] = field(default_factory=list[str])
    interrupted: bool = False
    finished: bool = True
    version: str = ""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def passed(self) -> bool:
        """True when something was judged to the end and nothing fails the run."""
        return self.finished and not self.problems() and not any(result.fails_run for result in self.results)

    def problems(self) -> list[str]:
        """Return what makes the run itself fail, whatever the results are."""
        if self.interrupted or any(result.status is not Status.NOT_CLAIMED for result in self.results):
            return self.mishaps
        claims = ", ".join(sorted(self.capabilities)) or "nothing"
        needs = ", ".join(word for word, _ in lacking(map(result_of, self.results)).most_common(3))
        why = f": the driver claims {claims}; what the cases need most is {needs}" if needs else ""
        return [*self.mishaps, f"nothing was judged{why}"]


def lacking(results: Iterable[model.Result]) -> Counter[str]:
    """Count the cases that weren't run, by the capability that they lack."""
    skipped = (result for result in results if result.status == "not_claimed")
    return Counter(word for result in skipped for word in result.reason.split(", "))


def run_of(report: RunReport) -> model.Run:
    """Return the results by area and case, so that two runs compare, and with long texts shortened."""
    results = [result_of(result) for result in report.results]
    counts = Counter(result.status for result in results)
    return model.Run(
        name=report.name,
        version=report.version,
        capabilities=sorted(report.capabilities),
        seconds=round(report.seconds, 3),
        counts={status: counts[status] for status in model.STATUSES},
        results=sorted(results, key=lambda result: (result.area, result.case)),
        problems=[cut(problem) for problem in report.problems()],
    )


def result_of(result: Result) -> model.Result:
    """Return one result with its long texts shortened."""
    case, verdict = result.case, result.verdict
    remarks = [cut(remark) for remark in verdict.remarks]
    if len(verdict.differences) > MANY:
        remarks.append(f"and {len(verdict.differences) - MANY} other differences")
    return model.Result(
        case=case.key,
        title=case.title,
        area=case.area,
        level=case.level,
        profile=case.profile,
        status=result.status.value,
        grade=model.grade_of(case.level, result.status.value),
        seconds=round(result.seconds, 3),
        unscored=result.unscored,
        reason=cut(result.reason),
        gravity=verdict.gravity.value if verdict.gravity else "",
        differences=[
            model.Difference(cut(each.path), cut(each.expected), cut(each.got))
            for each in verdict.differences[:MANY]
        ],
        remarks=remarks,
        spec=case.spec,
        provenance=case.provenance,
        policy=case.policy,
        cause=case.cause,
        source=case.source,
        evidence=model.as_evidence(result.evidence) if result.evidence else None,
    )


def cut(text: str) -> str:
    """Shorten a text in the middle, both its long lines and its many lines.

    What was shortened once stays as it is.
    """
    lines = text.split("\n")
    if len(lines) > _HIGH:
        lines[4 : 5 - _HIGH] = [f"[... {len(lines) - _HIGH + 1} lines]"]
    return "\n".join(
        line if len(line) <= _WIDE else f"{line[: _WIDE - 120]} [... {len(line)} characters] {line[-80:]}"
        for line in lines
    )

"""Reports for programs: JSON (contracts/kit/report.schema.json) and JUnit XML.

Long texts are shortened as on the terminal (text.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from botticelli.kit.report.text import MANY, cut, describe_failure
from botticelli.kit.runner import Result, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.report.text import RunReport


__all__ = ["as_document", "write_json", "write_junit"]


def as_document(reports: Sequence[RunReport], seed: int, version: str) -> Document:
    """Return the reports as JSON (contracts/kit/report.schema.json)."""
    return {
        "botticelli": version,
        "seed": seed,
        "passed": all(report.passed for report in reports),
        "runs": [_run(report) for report in reports],
    }


def _run(report: RunReport) -> Document:
    counts = report.counts()
    document: Document = {
        "name": report.name,
        "capabilities": sorted(report.capabilities),
        "seconds": round(report.seconds, 3),
        "counts": {status.value: counts[status] for status in Status},
        "results": [_result(result) for result in report.ordered()],
    }
    problems = [cut(problem) for problem in report.problems()]
    return document | ({"problems": problems} if problems else {})


def _result(result: Result) -> Document:
    case, verdict = result.case, result.verdict
    document: dict[str, Any] = {
        "case": case.key,
        "title": case.title,
        "area": case.area,
        "level": case.level,
        "status": result.status.value,
        "seconds": round(result.seconds, 3),
        "source": case.source,
    }
    remarks = [cut(remark) for remark in verdict.remarks]
    if len(verdict.differences) > MANY:
        remarks.append(f"and {len(verdict.differences) - MANY} other differences")
    optional: dict[str, Any] = {
        "reason": cut(result.reason),
        "gravity": verdict.gravity.value if verdict.gravity else None,
        "differences": [
            {"path": cut(m.path), "expected": cut(m.expected), "got": cut(m.got)}
            for m in verdict.differences[:MANY]
        ],
        "remarks": remarks,
        "spec": case.spec,
    }
    return document | {name: value for name, value in optional.items() if value}


def write_json(path: Path, document: Document) -> None:
    """Write a report as JSON.

    Raises:
        OSError: The file cannot be written.
    """
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    # A lone surrogate, as in a file name that isn't UTF-8, can't be encoded; its escape is valid JSON.
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_junit(path: Path, reports: Sequence[RunReport]) -> None:
    """Write reports as JUnit XML, one suite per driver, in the form that CI servers read.

    Raises:
        OSError: The file cannot be written.
    """
    root = ET.Element("testsuites")
    for report in reports:
        results, problems = report.ordered(), report.problems()
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_xml(report.name),
            tests=str(len(results) + len(problems)),
            failures=str(sum(result.fails_run for result in results)),
            skipped=str(sum(_skipped(result) for result in results)),
            errors=str(len(problems)),
            time=f"{report.seconds:.3f}",
        )
        for result in results:
            _testcase(suite, result)
        for problem in problems:
            case = ET.SubElement(suite, "testcase", classname="botticelli", name="the run itself")
            ET.SubElement(case, "error", type="run", message=_xml(cut(problem)))
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _skipped(result: Result) -> bool:
    return result.status is not Status.PASSED and not result.fails_run


def _testcase(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=result.case.area,
        name=result.case.key,
        time=f"{result.seconds:.3f}",
    )
    if result.fails_run:
        kind = result.verdict.gravity.value if result.verdict.gravity else "stale"
        failure = ET.SubElement(case, "failure", type=kind, message=_xml(result.case.title))
        failure.text = _xml(describe_failure(result))
    elif _skipped(result):
        message = f"{result.status.value.replace('_', ' ')}: {cut(result.reason) or 'a may'}"
        ET.SubElement(case, "skipped", message=_xml(message))


def _xml(text: str) -> str:
    """Replace the characters that XML 1.0 can't contain."""
    return "".join(c if c in "\t\n" or c.isprintable() else "\ufffd" for c in text)

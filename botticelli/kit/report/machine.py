"""Reports for programs: JSON (contracts/kit/report.schema.json) and JUnit XML, and which file gets what."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from botticelli.kit.errors import KitError
from botticelli.kit.report import model
from botticelli.kit.report.running import cut, run_of
from botticelli.kit.report.text import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.report.model import Report, Result
    from botticelli.kit.report.running import RunReport

__all__ = [
    "FORMS",
    "document_of",
    "junit",
    "report_of",
    "reserve",
    "write_files",
    "write_json",
]


def report_of(
    reports: Sequence[RunReport],
    seed: int,
    version: str,
    *,
    suite: model.Suite,
    finished: bool | None = None,
    shard: str = "",
) -> Report:
    """Return the report of one run of the command.

    Args:
        reports: One for each implementation, in order.
        seed: Of the run.
        version: Of the kit.
        suite: Which cases count.
        finished: Every chosen case has a result; by default, each of these says so.
        shard: Which part of the cases was played, as I/N; empty for all of them.
    """
    ended = all(report.finished for report in reports) if finished is None else finished
    began = min((report.started for report in reports), default=datetime.now(UTC))
    return model.Report(
        botticelli=version,
        suite=suite,
        seed=seed,
        date=began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        finished=ended,
        passed=ended and bool(reports) and all(report.passed for report in reports),
        runs=[run_of(report) for report in reports],
        shard=shard,
    )


def document_of(report: Report) -> Document:
    """Return a report as JSON (contracts/kit/report.schema.json)."""
    return model.to_document(report)


# Files


def write_files(report: Report, paths: Mapping[str, Path | None]) -> None:
    """Write a report in several forms.

    Args:
        report: What to write.
        paths: The file for each form: ``json``, ``junit``, ``markdown``, ``badge``, ``html``.

    Raises:
        KitError: A file can't be written.
    """
    for form, path in paths.items():
        if path is not None:
            text = FORMS[form](report)
            try:
                path.write_bytes(_encoded(text))
            except OSError as error:
                raise KitError(f"cannot write the report {path}: {error.strerror or error}") from error


def reserve(paths: Iterable[Path | None]) -> None:
    """Find out whether files can be written, so that the user learns it before the run and not after it.

    Raises:
        KitError: One can't.
    """
    for path in filter(None, paths):
        try:
            path.open("ab").close()
        except OSError as error:
            raise KitError(f"cannot write the report {path}: {error.strerror or error}") from error


def write_json(path: Path, document: Document) -> None:
    """Write the JSON of a report.

    Raises:
        OSError: The file can't be written.
    """
    path.write_bytes(_encoded(_dumped(document)))


def _dumped(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _encoded(text: str) -> bytes:
    # A lone surrogate, as in a file name that isn't UTF-8, can't be encoded. Its escape is valid JSON.
    return text.encode("utf-8", "backslashreplace")


def _json(report: Report) -> str:
    return _dumped(document_of(report))


def _markdown(report: Report) -> str:
    from botticelli.kit.report.markdown import markdown

    return markdown(report)


def _badge(report: Report) -> str:
    from botticelli.kit.report.badge import badge

    return badge(report)


def _html(report: Report) -> str:
    from botticelli.kit.report.page import page

    return page(report)


# JUnit


def junit(report: Report) -> str:
    """Return a report as JUnit XML, one suite per implementation, in the form that CI servers read."""
    root = ET.Element("testsuites")
    for run in report.runs:
        problems = run.problems or ([] if report.finished else ["the run isn't finished"])
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_xml(run.label),
            tests=str(len(run.results) + len(problems)),
            failures=str(sum(result.fails_run for result in run.results)),
            skipped=str(sum(map(_skipped, run.results))),
            errors=str(len(problems)),
            time=f"{run.seconds:.3f}",
        )
        for result in run.results:
            _testcase(suite, result)
        for problem in problems:
            case = ET.SubElement(suite, "testcase", classname="botticelli", name="the run itself")
            ET.SubElement(case, "error", type="run", message=_xml(cut(problem)))
    ET.indent(root)
    out = io.StringIO()
    ET.ElementTree(root).write(out, encoding="unicode", xml_declaration=False)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{out.getvalue()}\n"


def _skipped(result: Result) -> bool:
    return result.status != "passed" and not result.fails_run


def _testcase(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=_xml(result.area), name=_xml(result.case), time=f"{result.seconds:.3f}"
    )
    if result.fails_run:
        kind = result.gravity or result.status
        failure = ET.SubElement(case, "failure", type=_xml(kind), message=_xml(result.title))
        failure.text = _xml("\n".join(describe(result)))
    elif _skipped(result):
        why = cut(result.reason) or ("newer than the suite" if result.unscored else f"a {result.level}")
        message = f"{result.status.replace('_', ' ')}: {why}"
        ET.SubElement(case, "skipped", message=_xml(message))


def _xml(text: str) -> str:
    """Replace the characters that XML 1.0 can't contain."""
    return "".join(c if c in "\t\n" or c.isprintable() else "\ufffd" for c in text)


FORMS: dict[str, Callable[[Report], str]] = {
    "json": _json,
    "junit": junit,
    "markdown": _markdown,
    "badge": _badge,
    "html": _html,
}
"""What writes each form of a report."""

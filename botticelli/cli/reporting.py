"""The command `report`, which merges reports, and the options that say where a report is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from botticelli.cli.terminal import Commands

__all__ = ["add_report", "add_report_options", "report_paths"]

_FORMS = {
    "json": "as JSON, with the exchanges; `botticelli report` reads it",
    "junit": "as JUnit XML, for CI servers",
    "markdown": "as Markdown: tables, and the failures folded below; fit for the summary of a job on GitHub",
    "badge": "as a badge (SVG): how many per cent of the musts are kept",
    "html": "as one page (HTML) that needs no network: cases by implementations, each with its exchange",
}


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each form in which a report can be written to a file."""
    group = parser.add_argument_group("write the report to files")
    for form, text in _FORMS.items():
        group.add_argument(f"--{form}", type=Path, metavar="FILE", help=text)


def report_paths(options: argparse.Namespace) -> Mapping[str, Path | None]:
    """Return the files that the options of :func:`add_report_options` name, by form."""
    return {form: getattr(options, form) for form in _FORMS}


def add_report(commands: Commands) -> None:
    """Register `report`."""
    report = commands.add_parser(
        "report",
        help="merge reports, of shards and of several implementations, and write them in other forms",
        description="Merge reports that `check driver --json` wrote: the shards of an implementation become "
        "one run, implementations stand side by side. Ends with 0 when all are finished and none failed.",
    )
    report.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="a report written as JSON")
    add_report_options(report)
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from botticelli.kit.report import machine
    from botticelli.kit.report.model import merge, read_report
    from botticelli.kit.report.text import write_summary

    merged = merge([(str(path), read_report(path)) for path in options.reports])
    machine.write_files(merged, report_paths(options))
    write_summary(merged, sys.stdout)
    return 0 if merged.passed else 1

"""The JSON report on disk while a run goes on: unfinished from the first moment, whole at the end.

Beside ``report.json`` each result is written to ``report.jsonl`` when it is there, so that nothing is lost if
the run is. The report is replaced in one step: whoever reads it sees a whole one, and that of a run that died
says ``"finished": false``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from botticelli.kit.errors import KitError
from botticelli.kit.report import machine
from botticelli.kit.report.model import to_document
from botticelli.kit.report.running import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from botticelli.kit.report.model import Report
    from botticelli.kit.report.running import RunReport
    from botticelli.kit.runner import Result

__all__ = ["Journal", "writing"]


def writing(path: Path, write: Callable[[Path], Any]) -> Any:
    """Do something that writes to a path.

    Raises:
        KitError: It cannot be written.
    """
    try:
        return write(path)
    except OSError as error:
        raise KitError(f"cannot write the report {path}: {error.strerror or error}") from error


class Journal:
    """Writes the JSON report of a run, and its results one by one.

    Args:
        path: Where the report goes; None writes nothing.
        report_of: Returns the report of the runs so far, given whether they are all and at their end.

    Raises:
        KitError: The file cannot be written.
    """

    def __init__(self, path: Path | None, report_of: Callable[[Sequence[RunReport], bool], Report]) -> None:
        self._path = path
        self._report_of = report_of
        self._lines: TextIO | None = None
        if path is not None:
            self._write([], finished=False)
            if self._replaces:  # beside a pipe or a device there is no place for another file
                beside = path.with_name(f"{path.name}l")
                self._lines = writing(beside, lambda beside: beside.open("w", encoding="utf-8"))

    @property
    def _replaces(self) -> bool:
        return self._path is not None and (self._path.is_file() or not self._path.exists())

    def note(self, report: RunReport, result: Result) -> None:
        """Write one result, at once.

        Raises:
            KitError: The file cannot be written.
        """
        lines = self._lines
        if lines is None or self._path is None:
            return
        line = json.dumps({"run": report.name, **to_document(result_of(result))})

        def write(_path: Path) -> None:
            lines.write(f"{line}\n")
            lines.flush()

        writing(self._path, write)

    def finish(self, reports: Sequence[RunReport], *, finished: bool) -> None:
        """Write the report of all runs.

        Args:
            reports: The runs.
            finished: Whether every case that was chosen has a result.

        Raises:
            KitError: The file cannot be written.
        """
        if self._lines is not None:
            self._lines.close()
        if self._path is not None:
            self._write(reports, finished=finished)

    def _write(self, reports: Sequence[RunReport], *, finished: bool) -> None:
        document = machine.document_of(self._report_of(reports, finished))
        path, replaces = self._path, self._replaces
        assert path is not None  # noqa: S101 -- the callers look

        def write(path: Path) -> None:
            if not replaces:
                machine.write_json(path, document)
                return
            real = path.resolve()  # a link stays one
            part = real.with_name(f"{real.name}.part")
            machine.write_json(part, document)
            part.replace(real)

        writing(path, write)

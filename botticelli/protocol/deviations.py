"""Where the deviations of one answer are gathered, and what can't be read of it. No bytes, no I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

from botticelli.core.response import Deviation
from botticelli.protocol import lenient_json

__all__ = ["Fault", "Notes"]


class Fault(NamedTuple):
    """What makes an answer one that can't be read.

    Attributes:
        path: Where it stands.
        message: What is wrong with it.
    """

    path: str
    message: str


class Notes:
    """The deviations of one answer: the first path of each code at each place, and how often.

    The codes are those of `contracts/wire/<format>/relaxations.json`. A place is a path with ``[]`` for
    every index.

    Attributes:
        fault: What of the answer can't be read, or None. It doesn't stop the reading, for the error to carry
            the rest; whoever asked for the reading raises it.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, int]] = {}
        self.fault: Fault | None = None

    def add(self, code: str, path: str = "$", place: str = "$", count: int = 1) -> None:
        """Note a deviation at a path; the place tells repeats."""
        first, before = self._seen.get((code, place), (path, 0))
        self._seen[code, place] = (first, before + count)

    def refuse(self, path: str, value: Any) -> None:
        """Note that the value at a path can't be read; the first such is the fault."""
        shown = lenient_json.excerpt(lenient_json.write(value).encode(), limit=80)
        self.fault = self.fault or Fault(path, f"a part of the answer can't be read as the format: {shown}")

    def deviations(self) -> list[Deviation]:
        """What was noted, in the order of first sight."""
        return [Deviation(code, path, count) for (code, _), (path, count) in self._seen.items()]

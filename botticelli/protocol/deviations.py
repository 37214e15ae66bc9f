"""Collect the deviations of one answer, and what of it can't be read."""

from __future__ import annotations

from typing import Any, NamedTuple

from botticelli.core.response import Deviation
from botticelli.protocol import lenient_json

__all__ = ["DeviationLog", "Unreadable"]


class Unreadable(NamedTuple):
    """Name a part of an answer that can't be read.

    Attributes:
        path: Where it stands.
        message: What is wrong with it.
    """

    path: str
    message: str


class DeviationLog:
    """Collect the deviations of one answer: the first path of each code at each place, and how often it came.

    The codes are those of the format's ``relaxations.json``. A place is a path with ``[]`` for every index.

    Attributes:
        unreadable: The first part of the answer that can't be read, or None. Reading goes on after it, so
            that the error can carry the rest; the caller who asked for the reading raises the error.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[str, int]] = {}
        self.unreadable: Unreadable | None = None

    def add(self, code: str, path: str = "$", place: str = "$", count: int = 1) -> None:
        """Record a deviation at a path; the same code at the same place is counted as a repeat."""
        first, before = self._found.get((code, place), (path, 0))
        self._found[code, place] = (first, before + count)

    def refuse(self, path: str, value: Any) -> None:
        """Record that the value at a path can't be read; only the first one is remembered."""
        shown = lenient_json.excerpt(lenient_json.dump(value).encode(), limit=80)
        self.refuse_because(path, f"a part of the answer can't be read as the format: {shown}")

    def refuse_because(self, path: str, message: str) -> None:
        """Record a reason why the answer can't be read; only the first one is remembered."""
        self.unreadable = self.unreadable or Unreadable(path, message)

    def deviations(self) -> list[Deviation]:
        """Return the deviations in the order in which they were first found."""
        return [Deviation(code, path, count) for (code, _), (path, count) in self._found.items()]

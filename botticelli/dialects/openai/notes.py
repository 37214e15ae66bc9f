"""Where the deviations of one answer are gathered. No bytes, no I/O, no judgement."""

from __future__ import annotations

from botticelli.core.response import Deviation

__all__ = ["Notes"]


class Notes:
    """The deviations of one answer: the first path of each code at each place, and how often.

    The codes are those of `contracts/wire/relaxations.json`. A place is a path with ``[]`` for every index.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, int]] = {}

    def add(self, code: str, path: str = "$", place: str = "$", count: int = 1) -> None:
        """Note a deviation at a path; the place tells repeats."""
        first, before = self._seen.get((code, place), (path, 0))
        self._seen[code, place] = (first, before + count)

    def deviations(self) -> list[Deviation]:
        """What was noted, in the order of first sight."""
        return [Deviation(code, path, count) for (code, _), (path, count) in self._seen.items()]

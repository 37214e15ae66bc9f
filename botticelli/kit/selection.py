"""Choose the cases of a run: by name, level, profile, shard, or by what failed in an earlier report.

Whatever the user can correct is raised as KitError, with a message of one line.
"""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from botticelli.kit.errors import KitError, nearest
from botticelli.kit.report.model import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botticelli.kit.cases.case import Case
    from botticelli.kit.report.model import Run

__all__ = ["Shard", "failed_in", "narrow", "select_cases"]


def select_cases(cases: Sequence[Case], words: Sequence[str]) -> list[Case]:
    """Choose cases by name.

    Args:
        cases: All of them.
        words: Ids, areas, or patterns of ids (``sse-*``, ``gemini/*``); none means all.

    Raises:
        KitError: A word chooses nothing.
    """
    if not words:
        return list(cases)
    chosen: set[str] = set()
    for word in words:
        found = {
            case.key
            for case in cases
            if word == case.area or fnmatchcase(case.id, word) or fnmatchcase(case.key, word)
        }
        if not found:
            known = {name for case in cases for name in (case.id, case.key, case.area)}
            near = nearest(word, known) or "; see botticelli list cases"
            raise KitError(f"no case or area is called {word!r}{near}")
        chosen |= found
    return [case for case in cases if case.key in chosen]


class Shard:
    """One part of N of the cases. A case stays in its part whatever other cases there are.

    Args:
        text: ``I/N``, counted from 1.

    Raises:
        ValueError: It isn't that.
    """

    def __init__(self, text: str) -> None:
        part, slash, parts = text.partition("/")
        if not (slash and part.isascii() and part.isdigit() and parts.isascii() and parts.isdigit()):
            raise ValueError(f"{text!r} isn't I/N, such as 1/4")
        self.part, self.parts = int(part), int(parts)
        if not 1 <= self.part <= self.parts:
            raise ValueError(f"{text!r}: parts are counted from 1 to {self.parts}")

    def __str__(self) -> str:
        return f"{self.part}/{self.parts}"

    def holds(self, key: str) -> bool:
        """Tell whether a case is in this part."""
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % self.parts == self.part - 1


def narrow(
    cases: Iterable[Case], *, level: str = "may", profiles: Sequence[str] = (), shard: Shard | None = None
) -> list[Case]:
    """Keep the cases of a level or a stricter one, of some profiles, and of one part.

    Args:
        cases: The cases.
        level: The laxest level to keep.
        profiles: The profiles to keep; none means all.
        shard: The part to keep; None means all.

    Raises:
        KitError: None is left.
    """
    levels = LEVELS[: LEVELS.index(level) + 1]
    kept = [case for case in cases if case.level in levels and (not profiles or case.profile in profiles)]
    if not kept:
        wanted = f"level {' or '.join(levels)}" + (
            f" and profile {' or '.join(profiles)}" if profiles else ""
        )
        raise KitError(f"none of the chosen cases has {wanted}")
    return [case for case in kept if shard is None or shard.holds(case.key)]


# An earlier report


def failed_in(runs: Sequence[Run], name: str, *, strict: bool = False) -> set[str]:
    """Return the keys of the cases that failed an earlier run.

    Args:
        runs: The runs of a report.
        name: What was judged; where no run is called that, all runs count.
        strict: A ``may`` that wasn't kept, or a remark, is a failure too.
    """
    named = [run for run in runs if run.name == name]
    wanted = {"failed", "stale", *(("noted",) if strict else ())}
    return {
        result.case
        for run in named or runs
        for result in run.results
        if result.status in wanted or (strict and result.remarks)
    }

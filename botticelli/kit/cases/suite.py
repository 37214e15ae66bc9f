"""The suite as a whole: its version, what belongs to it, and a hash that tells two sets of cases apart."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.kit.cases.case import Case

__all__ = ["SUITE_VERSION", "is_scored", "suite_hash"]

SUITE_VERSION = "1"
"""The released version; cases of a later one are played, and count for nothing."""


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def is_scored(case: Case, version: str = SUITE_VERSION) -> bool:
    """Tell whether a case belongs to a version of the suite."""
    until = case.document.get("until")
    return _order(case.since) <= _order(version) and (until is None or _order(version) <= _order(str(until)))


def suite_hash(cases: Iterable[Case], version: str = SUITE_VERSION) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over the cases of a version, in any order."""
    whole = hashlib.sha256()
    documents = {case.key: case.document for case in cases if is_scored(case, version)}
    for key in sorted(documents):
        whole.update(f"{key}\0{json.dumps(documents[key], sort_keys=True)}\n".encode())
    return whole.hexdigest()[:16]

"""Versions of the suite: which cases count, and a hash that names them.

A score says something only together with the set of cases behind it. A case that is added later belongs to
the next version: until that is released, it is played and its result is shown, but it counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from botticelli.kit.cases.case import version_key
from botticelli.kit.errors import CaseError
from botticelli.kit.schemas import data_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.kit.cases.case import Case

__all__ = ["SUITE_VERSION", "check_version", "is_scored", "suite_hash"]


def _read_version() -> str:
    path = data_root() / "fixtures" / "suite.json"
    version: str = json.loads(path.read_bytes())["version"]
    return version


SUITE_VERSION: Final = _read_version()
"""The version that is released: ``fixtures/suite.json``."""


def check_version(version: str) -> str:
    """Return a version that a user asks for, if there is one of that name.

    Raises:
        CaseError: It is no version, or none that is released yet.
    """
    if not all(part.isdecimal() and part.isascii() for part in version.split(".")):
        raise CaseError(f"{version!r} is no version of the suite; they are numbers, such as {SUITE_VERSION}")
    if not version_key("1") <= version_key(version) <= version_key(SUITE_VERSION):
        raise CaseError(f"there is no version {version} of the suite; the newest is {SUITE_VERSION}")
    return version


def is_scored(case: Case, version: str = SUITE_VERSION) -> bool:
    """Tell whether a case counts in a version of the suite."""
    wanted = version_key(version)
    return version_key(case.since) <= wanted and (not case.until or wanted <= version_key(case.until))


def suite_hash(cases: Iterable[Case], version: str = SUITE_VERSION) -> str:
    """Return the first 16 hexadecimal digits of SHA-256 over the cases that count in a version.

    The order of the cases and the layout of their files mean nothing, nor do ``cause`` and ``note``, which
    explain a case and don't change what it asks.

    Args:
        cases: All cases.
        version: The version of the suite.
    """
    documents = [
        json.dumps(
            {name: value for name, value in case.document.items() if name not in ("cause", "note")},
            ensure_ascii=True,
            sort_keys=True,
            separators=(",", ":"),
        )
        for case in cases
        if is_scored(case, version)
    ]
    return hashlib.sha256("\n".join(sorted(documents)).encode()).hexdigest()[:16]

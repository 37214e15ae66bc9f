"""Holds fixtures/cases/origins.json to the cases: which vector became which case, or why none.

May enter: the file, the case files, and the ids of the vectors that the cases were made from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_CASES = Path(__file__).parents[2] / "fixtures" / "cases"

_VECTORS = {
    "aut": "001 002 003 005 008",
    "chk": "001 002 003 004 005 006 008 010 011 012 013 014 018 021 022 023 024 025 029 030 031 033 034",
    "con": "001 003 004 007 008 009 011",
    "err": (
        "002 003 004 005 006 007 008 009 010 012 014 018 020 021 022 023 024 025 026 027 "
        "029 030 031 032 037 038"
    ),
    "fin": "001 002 003 004 005 007 008 010 011 012 014",
    "jsn": "001 002 004 005 006 008",
    "lgp": "001 003 005 006",
    "mch": "001 002 003 004 006",
    "mdl": "001 004 005 006 007",
    "mid": "001 002 003 004 005 007 008 009 010 012 014 015 017",
    "prx": "003",
    "req": "001 002 003 004",
    "rlh": "001 002 003",
    "rsn": "002 003 005 006 007",
    "rty": "001 002 003 004 005 006 007 008 009 012 013 014 015 017",
    "sse": (
        "001 002 003 005 008 009 010 011 012 013 015 016 017 018 020 022 025 026 027 029 "
        "030 031 032 035 036 044 045 046 047 048 051 053 055"
    ),
    "tmo": "001 004 005",
    "tool": "001 002 003 004 005 007 008 010 013 014 017 018 020 021 022 024 025 027 028 030 031 033 036 037",
    "use": "001 003 005 006 008 010 011 012 013",
    "utf": "001 002 003 005 006 007 009 011 012 014 015",
}
"""The ids of the 212 vectors, by prefix: a vector that is forgotten here and there would go unnoticed."""

_IDS = sorted(f"{prefix}-{number}" for prefix, numbers in _VECTORS.items() for number in numbers.split())


def _read(text: str) -> dict[str, Any]:
    """Return the file's members, which must be distinct: a plain reader would keep the last of two."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"twice: {', '.join(sorted(twice))}")
        return dict(pairs)

    document: dict[str, Any] = json.loads(text, object_pairs_hook=distinct)
    return document


def _wrong(entry: Any, slugs: frozenset[str]) -> str | None:
    """Say what is wrong with what became of one vector, or None."""
    match entry:
        case {"cases": [*cases], **rest} if cases and not rest:
            unknown = [slug for slug in cases if slug not in slugs]
            if unknown:
                return f"no such case: {', '.join(map(str, unknown))}"
            return None if len(set(cases)) == len(cases) else "a case twice"
        case {"reason": str(reason), **rest} if not rest:
            return None if len(reason.split()) >= 3 else f"not a reason: {reason!r}"
        case _:
            return f"neither cases nor a reason: {entry!r}"


@pytest.fixture(scope="module")
def origins() -> dict[str, Any]:
    return _read((_CASES / "origins.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def slugs() -> frozenset[str]:
    return frozenset(path.stem for path in _CASES.glob("*/*/*.json"))


def test_there_are_212_vectors() -> None:
    assert len(set(_IDS)) == len(_IDS) == 212


def test_every_vector_is_accounted_for_once_and_in_order(origins: dict[str, Any]) -> None:
    assert list(origins) == _IDS


def test_every_vector_became_cases_that_exist_or_has_a_reason(
    origins: dict[str, Any], slugs: frozenset[str]
) -> None:
    wrong = {name: found for name, entry in origins.items() if (found := _wrong(entry, slugs))}
    assert wrong == {}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"cases": []},
        {"cases": ["sse-none-such"]},
        {"cases": ["sse-crlf", "sse-crlf"]},
        {"cases": ["sse-crlf"], "reason": "it has both of them"},
        {"cases": "sse-crlf"},
        {"reason": ""},
        {"reason": "   "},
        {"reason": None},
        ["sse-crlf"],
    ],
)
def test_what_is_wrong_is_found(entry: object) -> None:
    assert _wrong(entry, frozenset({"sse-crlf"})) is not None


def test_a_vector_listed_twice_is_found() -> None:
    with pytest.raises(ValueError, match="twice: aut-001"):
        _read('{"aut-001": {"cases": ["a-b"]}, "aut-001": {"reason": "no longer wanted here"}}')

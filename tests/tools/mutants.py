"""Find which cases fail which mutant, and write it to tests/conformance/mutants.json.

Run ``python -m tests.tools.mutants`` after a change of the mutants or of the cases, and read what the diff
says: a test holds the file to what happens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from botticelli.kit.adapters.load import close_adapter
from botticelli.kit.cases.case import load_cases
from botticelli.kit.runner import Status, run_cases
from botticelli.kit.selftest.mutants import MUTANTS
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.cases.case import Case

__all__ = ["CASES", "TABLE", "caught", "columns", "main", "read_table"]

TABLE = Path(__file__).parents[1] / "conformance" / "mutants.json"
"""``unmet``: what the unmutated client fails; ``mutants``: what each mutant fails in its columns."""

CASES = {case.id: case for case in load_cases()}

_LIMIT = 15.0  # seconds; it ends the mutants that never come back, and no other one whatever the machine does
_SLOW = frozenset(
    {"retry", "timeout", "cancel"}
)  # areas whose cases wait: only those that are named are played

Row: TypeAlias = dict[str, list[str]]
"""Cases that fail a mutant, with the gravity and the first path."""


def columns(mutant: type[ReferenceClient], unmet: Iterable[str]) -> list[Case]:
    """Return the cases that a mutant is tried on: those that exist for it, and the musts beside them."""
    named = MUTANTS[mutant]
    areas = {CASES[slug].area for slug in named} - _SLOW
    near = {
        slug
        for slug, case in CASES.items()
        if case.area in areas and case.level == "must" and not case.is_timed and slug not in unmet
    }
    return [CASES[slug] for slug in sorted(near | named.keys())]


def caught(adapter: Adapter, cases: Iterable[Case]) -> Row:
    """Return which of some cases an adapter fails."""
    try:
        results = list(run_cases(list(cases), adapter, limit=_LIMIT))
    finally:
        close_adapter(adapter)
    return {
        result.case.id: [str(result.verdict.gravity), result.verdict.differences[0].path]
        for result in sorted(results, key=lambda result: result.case.id)
        if result.status in (Status.FAILED, Status.NOTED)
    }


def read_table() -> tuple[list[str], dict[str, Row]]:
    """Return what the unmutated client fails, and what each mutant does."""
    document = json.loads(TABLE.read_bytes())
    return document["unmet"], document["mutants"]


def main() -> None:
    """Write the table."""
    unmet = sorted(caught(ReferenceClient(), CASES.values()))
    rows: dict[str, Row] = {}
    for mutant in MUTANTS:
        rows[mutant.__name__] = caught(mutant(), columns(mutant, unmet))
        sys.stdout.write(f"{mutant.__name__}: {len(rows[mutant.__name__])}\n")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))
    text = f'{{\n "unmet": {json.dumps(unmet)},\n "mutants": {{\n{lines}\n }}\n}}\n'
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

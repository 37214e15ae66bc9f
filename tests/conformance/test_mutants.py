"""Every mutant is caught by the cases that exist for it, where it went wrong; every must catches one.

A check that has never failed proves nothing. The table of mutants by cases is mutants.json, which
``python -m tests.tools.mutants`` writes.
"""

from __future__ import annotations

from types import ModuleType

import pytest

from botticelli.kit.adapters.load import as_adapter
from botticelli.kit.selftest import mutants
from botticelli.kit.selftest.mutants import MUTANTS
from botticelli.kit.selftest.reference_client import ReferenceClient
from tests.conformance.driver_mutants import DRIVER_MUTANTS
from tests.tools.mutants import CASES, caught, columns, read_table

MEANT = {slug for meant in MUTANTS.values() for slug in meant}
UNMET, TABLE = read_table()


def test_every_area_has_a_mutant() -> None:
    assert {CASES[slug].area for slug in MEANT} == {case.area for case in CASES.values()}


def test_every_must_is_tripped_by_a_mutant() -> None:
    tripped = MEANT.union(*(meant for _, meant in DRIVER_MUTANTS.values()))
    assert {slug for slug, case in CASES.items() if case.level == "must"} - tripped == set()


def test_every_mutant_is_registered() -> None:
    modules = [one for one in vars(mutants).values() if isinstance(one, ModuleType)]
    defined = {
        one
        for module in modules
        for name, one in vars(module).items()
        if isinstance(one, type) and one.__module__ == module.__name__ and not name.startswith("_")
    }
    assert {one for one in defined if issubclass(one, ReferenceClient)} == MUTANTS.keys()


def test_the_table_has_a_row_for_every_mutant_and_no_two_are_alike() -> None:
    assert {mutant.__name__ for mutant in MUTANTS} == TABLE.keys()
    assert len(MUTANTS) >= 120
    assert len({str(row) for row in TABLE.values()}) == len(TABLE)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_table_says_of_a_mutant_what_it_declares(mutant: type[ReferenceClient]) -> None:
    row = TABLE[mutant.__name__]
    declared = {slug: [str(gravity), path] for slug, (gravity, path) in MUTANTS[mutant].items()}
    assert declared.items() <= row.items()


def test_the_reference_client_fails_nothing_that_a_mutant_is_tried_on() -> None:
    tried = {case.id for mutant in MUTANTS for case in columns(mutant, UNMET)}
    failed = caught(ReferenceClient(), CASES.values())
    assert failed.keys() & tried == set()
    assert set(UNMET) == failed.keys()
    assert not any(CASES[slug].level == "must" for slug in UNMET)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_caught(mutant: type[ReferenceClient]) -> None:
    assert caught(mutant(), columns(mutant, UNMET)) == TABLE[mutant.__name__]


@pytest.mark.parametrize("name", DRIVER_MUTANTS)
def test_a_mutant_of_our_drivers_is_caught(name: str) -> None:
    make, kills = DRIVER_MUTANTS[name]
    adapter = as_adapter(make(), name, limit=3)
    found = caught(adapter, [CASES[slug] for slug in kills])
    assert found == {slug: [str(gravity), path] for slug, (gravity, path) in kills.items()}

"""Every mutant is caught by the case that is meant for it, where it went wrong, and by no other's.

A check that has never failed proves nothing: here each of these cases fails once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from botticelli.kit.adapters.load import close_adapter
from botticelli.kit.cases.case import load_cases
from botticelli.kit.runner import Status, run_cases
from botticelli.kit.selftest import mutants
from botticelli.kit.selftest.mutants import MUTANTS
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from botticelli.kit.cases.case import Case

CASES = {case.id: case for case in load_cases()}
MEANT = {next(iter(meant)) for meant in MUTANTS.values()}


def meant_cases() -> list[Case]:
    return [CASES[slug] for slug in sorted(MEANT)]


def test_every_area_has_a_mutant() -> None:
    assert {CASES[slug].area for slug in MEANT} == {case.area for case in CASES.values()}


def test_every_mutant_is_registered() -> None:
    defined = {
        one for one in vars(mutants).values() if isinstance(one, type) and one.__module__ == mutants.__name__
    }
    assert {one for one in defined if issubclass(one, ReferenceClient)} == MUTANTS.keys()


def test_each_mutant_has_a_case_of_its_own() -> None:
    assert len(MEANT) == len(MUTANTS)


def test_the_reference_client_passes_the_cases_of_all_mutants() -> None:
    failed = [
        (result.case.id, result.verdict)
        for result in run_cases(meant_cases(), ReferenceClient())
        if result.status is not Status.PASSED
    ]
    assert failed == []


@pytest.mark.parametrize("driver", MUTANTS, ids=lambda driver: driver.__name__)
def test_a_mutant_is_caught(driver: type[ReferenceClient]) -> None:
    # The limit ends the one that never comes back; the others need a fraction of it.
    adapter = driver()
    found = list(run_cases(meant_cases(), adapter, limit=3))
    close_adapter(adapter)
    caught = {
        result.case.id: (result.verdict.gravity, result.verdict.differences[0].path)
        for result in found
        if result.status is not Status.PASSED
    }
    assert caught == MUTANTS[driver]

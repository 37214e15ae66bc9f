"""Every broken driver is caught by the case that is meant for it, where it went wrong, and by no other's.

A check that has never failed proves nothing: here each of these cases fails once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from botticelli.kit.adapters.adapter import close_adapter
from botticelli.kit.cases.case import load_cases
from botticelli.kit.runner import Status, run_cases
from botticelli.kit.selftest import unjust
from botticelli.kit.selftest.mutants import MUTANTS
from botticelli.kit.selftest.reference_client import ReferenceClient

if TYPE_CHECKING:
    from botticelli.kit.cases.case import Case

CASES = {case.id: case for case in load_cases()}
MEANT = {next(iter(meant)) for meant in MUTANTS.values()}


def meant_cases() -> list[Case]:
    return [CASES[slug] for slug in sorted(MEANT)]


def test_every_area_has_a_broken_driver() -> None:
    assert {CASES[slug].area for slug in MEANT} == {case.area for case in CASES.values()}


def test_the_unjust_are_among_the_broken() -> None:
    assert {unjust.Remembers, unjust.AsksTwice, unjust.CallsNull, unjust.Withholds} <= MUTANTS.keys()


def test_each_broken_driver_has_a_case_of_its_own() -> None:
    assert len(MEANT) == len(MUTANTS)


def test_the_unbroken_driver_passes_what_is_meant_for_the_broken() -> None:
    failed = [
        (result.case.id, result.verdict)
        for result in run_cases(meant_cases(), ReferenceClient())
        if result.status is not Status.PASSED
    ]
    assert failed == []


@pytest.mark.parametrize("driver", MUTANTS, ids=lambda driver: driver.__name__)
def test_a_broken_driver_is_caught(driver: type[ReferenceClient]) -> None:
    # The limit ends the one that never comes back; the others need a fraction of it.
    adapter = driver()
    found = list(run_cases(meant_cases(), adapter, limit=3))
    close_adapter(adapter)
    caught = {
        result.case.id: (result.verdict.fault, result.verdict.differences[0].path)
        for result in found
        if result.status is not Status.PASSED
    }
    assert caught == MUTANTS[driver]

"""The client is judged, and not the taste of whoever wrote its adapter."""

from __future__ import annotations

import pytest

from botticelli.kit.cases.case import load_cases
from botticelli.kit.runner import run_cases
from botticelli.kit.selftest.iterator_client import IteratorClient
from botticelli.kit.selftest.reference_client import ReferenceClient

MUSTS = [case for case in load_cases() if case.level == "must"]


@pytest.fixture(scope="module")
def verdicts() -> list[dict[str, str]]:
    return [
        {result.case.key: result.status.value for result in run_cases(MUSTS, adapter, limit=30)}
        for adapter in (ReferenceClient(), IteratorClient())
    ]


def test_two_adapters_of_one_client_get_the_same_verdicts(verdicts: list[dict[str, str]]) -> None:
    assembling, handing_out = verdicts
    assert {
        key: (status, handing_out[key]) for key, status in assembling.items() if status != handing_out[key]
    } == {}

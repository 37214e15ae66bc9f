"""Adapters that lie are found out, each by the cases that are named beside it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from botticelli.kit.adapters.hosted import HostedAdapter
from botticelli.kit.adapters.load import as_adapter, close_adapter
from botticelli.kit.errors import AdapterError
from botticelli.kit.runner import run_cases
from botticelli.kit.selftest.reference_client import ReferenceClient
from tests.conformance.liars import LIARS, AnswersByHeart
from tests.tools.mutants import CASES, caught

if TYPE_CHECKING:
    from botticelli.kit.adapters.adapter import Adapter

NAMED = [CASES[slug] for slug in sorted({slug for found in LIARS.values() for slug in found})]


def test_the_reference_client_tells_no_lies() -> None:
    adapter = HostedAdapter("botticelli.kit.selftest.reference_client:ReferenceClient")
    assert caught(adapter, NAMED) == {}


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_a_liar_is_found_out(liar: type[ReferenceClient]) -> None:
    expected = LIARS[liar]
    cases = [CASES[slug] for slug in expected]
    adapter: Adapter
    if liar is AnswersByHeart:
        adapter = liar()
        list(run_cases(cases, adapter, seed=1))
    else:
        adapter = HostedAdapter(f"{liar.__module__}:{liar.__name__}", limit=3)
    assert caught(adapter, cases) == {
        slug: [str(gravity), path] for slug, (gravity, path) in expected.items()
    }


def test_what_is_printed_is_judged_with_its_own_case() -> None:
    adapter = HostedAdapter("tests.conformance.liars:PrintsKey")
    results = list(run_cases([CASES["json-minimal"], CASES["auth-anonymous"]], adapter))
    close_adapter(adapter)
    failed = {result.case.id: result for result in results if not result.verdict.passed}
    assert failed.keys() == {"json-minimal"}, "the other case has no key to print"
    [difference] = failed["json-minimal"].verdict.differences
    assert difference.path == "/output"
    assert "[key]" in difference.got
    assert CASES["json-minimal"].render(seed=0, port=1).key not in str(failed)


class LeavesTasks:
    """Leaves a task behind at every call."""

    capabilities = ReferenceClient.capabilities

    def __init__(self) -> None:
        self._left: list[asyncio.Task[Any]] = []

    async def exchange(self, call: dict[str, Any]) -> dict[str, Any]:
        """Make the call elsewhere."""
        self._left.append(asyncio.create_task(asyncio.sleep(3600)))
        return await asyncio.to_thread(ReferenceClient().exchange, call)


def test_tasks_that_are_left_fail_the_run() -> None:
    adapter = as_adapter(LeavesTasks(), "LeavesTasks")
    cases = [case for case in CASES.values() if case.area == "unicode"]
    list(run_cases(cases, adapter))
    with pytest.raises(AdapterError, match=r"\d+ tasks are left running, though every call has ended"):
        close_adapter(adapter)


def test_a_few_workers_of_a_client_are_its_own() -> None:
    adapter = as_adapter(LeavesTasks(), "LeavesTasks")
    list(run_cases([CASES["json-minimal"]], adapter))
    close_adapter(adapter)

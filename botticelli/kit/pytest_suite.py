"""The cases as a pytest class: each case is a test, named by its key.

    class TestMyDriver(DriverSuite):
        @pytest.fixture
        def adapter(self):
            return MyAdapter()

Each test gets an adapter of its own, which is closed after it. A case that needs a capability which the
adapter doesn't declare is skipped; a case that the baseline lists is expected to fail, and so is a ``may``
that isn't kept.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

import pytest

from botticelli.kit.adapters.limits import bypass_proxies
from botticelli.kit.adapters.load import as_adapter, close_adapter
from botticelli.kit.cases.case import load_cases
from botticelli.kit.report.text import describe_failure
from botticelli.kit.runner import Status, read_baseline, run_cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botticelli.kit.adapters.adapter import Adapter, AsyncAdapter
    from botticelli.kit.cases.case import Case

__all__ = ["DriverSuite"]


@functools.cache
def _cases() -> list[Case]:
    return load_cases()


class DriverSuite:
    """Inherit, and add a fixture ``adapter`` that returns your adapter, synchronous or not.

    Attributes:
        baseline: File of known failures, if there is one.
        seed: Decides the texts, ids and keys that are played.
    """

    baseline: ClassVar[Path | None] = None
    seed: ClassVar[int] = 0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each case, when pytest collects a subclass; importing this module reads no file."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", _cases(), ids=lambda case: case.key)

    @pytest.fixture(autouse=True)
    def _bypass_proxies(self) -> Iterator[None]:
        # Autouse, so that it comes before the adapter: many clients read the proxies when they are made.
        with bypass_proxies():
            yield

    @pytest.fixture
    def judged(self, adapter: Adapter | AsyncAdapter) -> Iterator[Adapter]:
        """The adapter, bridged if it is asynchronous."""
        bridged = as_adapter(adapter, type(self).__name__)
        yield bridged
        close_adapter(bridged)

    @pytest.fixture
    def known(self) -> dict[str, str]:
        """The known failures."""
        return read_baseline(self.baseline, _cases()) if self.baseline else {}

    def test_case(self, case: Case, judged: Adapter, known: dict[str, str]) -> None:
        """Judge the driver by one case."""
        [result] = run_cases([case], judged, seed=self.seed, known=known, jobs=1)
        if result.status is Status.NOT_CLAIMED:
            pytest.skip(f"not claimed: {result.reason}")
        if result.status is Status.KNOWN:
            pytest.xfail(result.reason)
        if result.status is Status.NOTED:
            pytest.xfail(f"a may: {result.case.title}")
        if result.status is not Status.PASSED:
            pytest.fail(describe_failure(result), pytrace=False)

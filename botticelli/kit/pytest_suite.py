"""The cases as a pytest class.

    class TestMyDriver(DriverSuite):
        @pytest.fixture
        def adapter(self):
            return MyAdapter()

May enter: pytest. Each case is a test, named by its id, with an adapter of its own that is closed after
it; what the driver does not claim is skipped; what the baseline knows must go on failing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from botticelli.kit.adapters.adapter import Adapter, AsyncAdapter, as_adapter, close_adapter
from botticelli.kit.adapters.proxies import bypass_proxies
from botticelli.kit.cases.case import load_cases
from botticelli.kit.report.text import told
from botticelli.kit.runner import Status, read_baseline, run_cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botticelli.kit.cases.case import Case

_CASES = load_cases()


class DriverSuite:
    """Inherit and add a fixture ``adapter`` that returns your adapter, synchronous or not.

    Attributes:
        baseline: File of known failures, if there is one.
        seed: Decides the texts, ids and keys that are played.
    """

    baseline: ClassVar[Path | None] = None
    seed: ClassVar[int] = 0

    @pytest.fixture(autouse=True)
    def _bypass_proxies(self) -> Iterator[None]:
        """Around the adapter too: many clients read the proxies once, when they are made."""
        with bypass_proxies():
            yield

    @pytest.fixture
    def judged(self, adapter: Adapter | AsyncAdapter) -> Iterator[Adapter]:
        """The adapter, bridged if it is asynchronous."""
        opened = as_adapter(adapter, type(self).__name__)
        yield opened
        close_adapter(opened)

    @pytest.fixture
    def known(self) -> dict[str, str]:
        """The known failures."""
        return read_baseline(self.baseline, _CASES) if self.baseline else {}

    @pytest.mark.parametrize("case", _CASES, ids=lambda case: case.id)
    def test_case(self, case: Case, judged: Adapter, known: dict[str, str]) -> None:
        """Judge the driver by one case."""
        [result] = run_cases([case], judged, seed=self.seed, known=known, jobs=1)
        if result.status is Status.NOT_CLAIMED:
            pytest.skip(f"not claimed: {result.reason}")
        if result.status is Status.KNOWN:
            pytest.xfail(result.reason)
        if result.status is not Status.PASSED:
            pytest.fail(told(result), pytrace=False)

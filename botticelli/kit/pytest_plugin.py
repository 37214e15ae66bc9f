"""The pytest plugin: options and markers for :class:`botticelli.kit.pytest_suite.DriverSuite`.

pytest loads it in every run where Botticelli is installed, so nothing is imported before a suite needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.pytest_suite import DriverSuite
    from botticelli.kit.server.server import MockServer

__all__ = ["case_server", "judged_adapter", "known_failures", "pytest_addoption", "pytest_configure"]

_MARKERS = (
    "must: a case of the driver suite that every client must keep",
    "should: a case that a careful client keeps",
    "may: a case that is noted and fails nothing",
    "core: a case about the published format",
    "tolerance: a case about what servers really send",
    "hardening: a case about secrets, limits and bad peers",
    "provider: a case about one service's ways",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the driver suite."""
    group = parser.getgroup("botticelli", "judge a chat driver (botticelli)")
    group.addoption(
        "--driver-case",
        action="append",
        default=[],
        metavar="WORD",
        help="play only these cases: a case, an area, or a pattern (sse-*); repeatable",
    )
    group.addoption(
        "--driver-baseline",
        type=Path,
        metavar="FILE",
        help="known failures: a JSON file with their reasons by case",
    )
    group.addoption(
        "--driver-seed", type=int, metavar="N", help="chooses the texts, ids and keys that are played"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers for levels and profiles; those for areas come with the first suite."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


# The fixtures of a suite. They are here because fixtures for a class can't be methods of it.


@pytest.fixture(scope="session")
def case_server() -> Iterator[MockServer]:
    """Return the server that plays all cases of a session."""
    from botticelli.kit.server.server import MockServer

    server = MockServer()
    yield server
    server.close()


@pytest.fixture(scope="class")
def judged_adapter(request: pytest.FixtureRequest) -> Iterator[Adapter]:
    """Return what the suite's fixture ``adapter`` returns, bridged if it is asynchronous."""
    from botticelli.kit.adapters.limits import bypass_proxies
    from botticelli.kit.adapters.load import as_adapter, close_adapter

    # Before the adapter is made: many clients read the proxies then.
    with bypass_proxies():
        try:
            adapter = request.getfixturevalue("adapter")
        except pytest.fail.Exception as failed:
            if "ScopeMismatch" not in str(failed):
                raise
            pytest.fail('the fixture adapter serves all cases: give it scope="class"', pytrace=False)
        bridged = as_adapter(adapter, _suite(request).__name__)
        yield bridged
        close_adapter(bridged)


@pytest.fixture(scope="class")
def known_failures(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the known failures of a suite."""
    from botticelli.kit.cases.case import load_cases
    from botticelli.kit.runner import read_baseline

    baseline: Path | None = request.config.getoption("--driver-baseline") or _suite(request).baseline
    return read_baseline(baseline, load_cases()) if baseline else {}


def _suite(request: pytest.FixtureRequest) -> type[DriverSuite]:
    suite: type[DriverSuite] = request.cls
    return suite

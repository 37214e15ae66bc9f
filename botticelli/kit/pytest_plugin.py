"""The pytest plugin: options and markers for judging drivers (pytest_suite.py) and endpoints.

pytest loads it in every run where Botticelli is installed, so nothing is imported before a suite or an
endpoint (pytest_endpoint.py) needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botticelli.kit.adapters.adapter import Adapter
    from botticelli.kit.cases.case import Case
    from botticelli.kit.pytest_suite import DriverSuite, PlayedCases
    from botticelli.kit.server.server import MockServer

__all__ = [
    "case_server",
    "judged_adapter",
    "known_failures",
    "played_cases",
    "pytest_addoption",
    "pytest_configure",
]

_MARKERS = (
    "must: a case or a probe that every implementation must keep",
    "should: one that a careful implementation keeps",
    "may: one that is noted and fails nothing",
    "core: a case or a probe about the published format",
    "tolerance: one about what servers really send",
    "hardening: one about secrets, limits and bad peers",
    "provider: one about one service's ways",
)

_OF_ENDPOINT = [f"--botticelli-{word}" for word in ("model", "case", "baseline", "token-env", "timeout")]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the driver suite, and those for an endpoint."""
    _add_endpoint(parser)
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
    group.addoption("--driver-jobs", type=int, metavar="N", help="cases at once; 1 plays one after the other")


def _add_endpoint(parser: pytest.Parser) -> None:
    group = parser.getgroup("botticelli-endpoint", "judge a chat endpoint (botticelli)")
    group.addoption(
        "--botticelli-endpoint",
        metavar="URL",
        help="run the probes against this server, such as http://127.0.0.1:8000/v1; with no path, only them",
    )
    group.addoption(
        "--botticelli-model",
        metavar="NAME",
        help="the model to ask; default: the only one that is listed",
    )
    group.addoption(
        "--botticelli-token-env", metavar="NAME", help="the environment variable that holds the key"
    )
    group.addoption(
        "--botticelli-case",
        action="append",
        default=[],
        metavar="WORD",
        help="only these: a probe, an area, or a pattern (stop-*); repeatable",
    )
    group.addoption(
        "--botticelli-baseline",
        type=Path,
        metavar="FILE",
        help="known failures: a JSON file with their reasons by probe",
    )
    group.addoption(
        "--botticelli-timeout",
        type=float,
        metavar="SECONDS",
        help="in which something must come; default: 60",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers for levels and profiles; those for areas come with the first suite.

    Raises:
        pytest.UsageError: The options for an endpoint can't be used.
    """
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--botticelli-endpoint") is None:
        for option in _OF_ENDPOINT:
            if config.getoption(option) not in (None, []):
                raise pytest.UsageError(f"{option} needs an endpoint: name it with --botticelli-endpoint")
        return
    from botticelli.kit.pytest_endpoint import EndpointPlugin

    config.pluginmanager.register(EndpointPlugin(config), "botticelli-endpoint")


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


@pytest.fixture(scope="class")
def played_cases(
    request: pytest.FixtureRequest,
    judged_adapter: Adapter,
    known_failures: dict[str, str],
    case_server: MockServer,
) -> Iterator[PlayedCases]:
    """Return the results of the suite's cases that were chosen."""
    from botticelli.kit.pytest_suite import PlayedCases
    from botticelli.kit.runner import JOBS, run_cases

    config, suite = request.config, _suite(request)
    # A process of pytest-xdist doesn't know which tests it will get, so it plays them one by one.
    alone = hasattr(config, "workerinput")
    chosen = [item for item in request.session.items if isinstance(item, pytest.Function)]
    cases = [case for item in chosen if item.cls is suite and (case := _case_of(item))]
    given: int | None = config.getoption("--driver-seed")
    played = PlayedCases(
        [] if alone else cases,
        lambda cases: run_cases(
            cases,
            judged_adapter,
            server=case_server,
            seed=suite.seed if given is None else given,
            known=known_failures,
            jobs=config.getoption("--driver-jobs") or JOBS,
        ),
    )
    yield played
    played.close()


def _suite(request: pytest.FixtureRequest) -> type[DriverSuite]:
    # Any, because pytest says of what its users write only that it is an object.
    node: Any = request
    suite: type[DriverSuite] = node.cls
    return suite


def _case_of(item: pytest.Function) -> Case | None:
    """Return the case of a test of a suite; a test that a subclass adds has none."""
    node: Any = item
    case: Case | None = node.callspec.params.get("case") if hasattr(item, "callspec") else None
    return case

"""Define the fixtures of the live suite. A test that makes more calls than its marker says fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .callers import AsyncCaller, Caller, SyncCaller
from .target import PLUGIN, Suite, Target, calls_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> Suite:
    found = request.config.pluginmanager.get_plugin(PLUGIN)
    if not isinstance(found, Suite):
        pytest.fail("live tests are run by `just test-api PROVIDER`", pytrace=False)
    return found


@pytest.fixture
def target(suite: Suite) -> Target:
    return suite.target


@pytest.fixture
def users_environment(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the proxies and TLS settings of the user's environment."""
    for name, value in target.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def make(
    request: pytest.FixtureRequest, suite: Suite, users_environment: None
) -> Generator[Callable[..., Caller]]:
    """Make callers, close them, and check that the test made no more calls than its marker says."""
    made: list[Caller] = []
    target = suite.target

    def new(*, aio: bool = False, key: str | None = None) -> Caller:
        drivers, token = target.drivers, target.key.reveal() if key is None else key
        where = (token, target.model, target.base_url)
        made.append(AsyncCaller(drivers.aio, *where) if aio else SyncCaller(drivers.sync, *where))
        return made[-1]

    yield new
    for caller in made:
        caller.close()
        suite.add(caller.usage)
    announced = calls_of(request.node)
    used = sum(caller.usage.calls for caller in made)
    assert used <= announced, f"{used} calls were made, {announced} announced"


@pytest.fixture
def caller(make: Callable[..., Caller]) -> Caller:
    return make()


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, make: Callable[..., Caller]) -> Caller:
    """Return the sync driver, then the async one."""
    return make(aio=request.param == "async")

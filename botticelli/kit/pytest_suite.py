"""The cases as a pytest class: each case is a test, named by its key and marked by level, profile and area.

    @pytest.fixture(scope="class")
    def adapter():
        return MyAdapter()

    class TestMyDriver(DriverSuite):
        pass

One adapter serves the class and is closed after it, and one server plays the cases of the whole session. With
the first test the chosen cases start, many at once, and each test waits for its own. A case that needs a
capability which the adapter doesn't declare is skipped; one that the baseline lists is expected to fail, and
so is a ``may`` that isn't kept. ``-m "must and core"`` and ``--driver-case 'sse-*'`` choose cases.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from botticelli.kit.cases.case import load_cases
from botticelli.kit.check import select_cases
from botticelli.kit.errors import KitError
from botticelli.kit.report.text import describe_failure
from botticelli.kit.runner import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from botticelli.kit.cases.case import Case
    from botticelli.kit.runner import Result

__all__ = ["DriverSuite", "PlayedCases", "settle"]

_SETTINGS = frozenset({"baseline", "seed", "overrides"})


@functools.cache
def _cases() -> list[Case]:
    return load_cases()


def settle(result: Result, failure: str = "") -> None:
    """End a test as its result says: passed, failed, skipped, or failed as expected.

    Args:
        result: What came of the case or the probe.
        failure: The text of a failure; by default what the terminal's report says of it.
    """
    if result.status is Status.NOT_CLAIMED:
        pytest.skip(f"not claimed: {result.reason}")
    if result.status is Status.KNOWN:
        pytest.xfail(result.reason)
    if result.status is Status.NOTED:
        pytest.xfail(f"a may: {result.case.title}")
    if result.status is not Status.PASSED:
        pytest.fail(failure or describe_failure(result), pytrace=False)


class PlayedCases:
    """The results of a class's cases, which are played many at once, for the tests to ask one by one.

    Args:
        cases: What to play ahead; a case that isn't among them, or is asked again, is played then.
        play: Plays cases and yields each result when it is there.
    """

    def __init__(
        self, cases: Sequence[Case], play: Callable[[Sequence[Case]], Generator[Result, None, None]]
    ) -> None:
        self._play = play
        self._coming = play(cases)
        self._there: dict[str, Result] = {}

    def result_of(self, case: Case) -> Result:
        """Return a case's result once it is there.

        Raises:
            KitError: A case can't be played.
        """
        while case.key not in self._there:
            result = next(self._coming, None)
            if result is None:
                [result] = self._play([case])
            self._there[result.case.key] = result
        return self._there.pop(case.key)

    def close(self) -> None:
        """Start no further case."""
        self._coming.close()


class DriverSuite:
    """Inherit, and write a fixture ``adapter`` of scope ``class`` that returns your adapter, sync or async.

    Attributes:
        baseline: File of known failures, if there is one; the option ``--driver-baseline`` comes first.
        seed: Decides the texts, ids and keys that are played; the option ``--driver-seed`` comes first.
        overrides: The reason, by name, for each test or hook of this class that yours replaces or deletes.
    """

    baseline: ClassVar[Path | None] = None
    seed: ClassVar[int] = 0
    overrides: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse a subclass that judges less than it seems to.

        Raises:
            TypeError: It replaces or deletes something of this class without a reason in ``overrides``.
        """
        super().__init_subclass__(**arguments)
        for name, own in vars(DriverSuite).items():
            if name.startswith("__") or name in _SETTINGS or inspect.getattr_static(cls, name) is own:
                continue
            if not cls.overrides.get(name, "").strip():
                raise TypeError(
                    f"{cls.__name__} overrides {name} of DriverSuite without a reason: cases might go "
                    f'unjudged; add overrides = {{"{name}": "the reason, in a sentence"}}, or use a baseline'
                )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each case, when pytest collects a subclass; importing this module reads no file."""
        if "case" not in metafunc.fixturenames:
            return
        config = metafunc.config
        words: list[str] = config.getoption("--driver-case") or []
        try:
            cases = select_cases(_cases(), words)
        except KitError as error:
            raise pytest.UsageError(f"--driver-case: {error}") from error
        for area in sorted({case.area for case in cases}):
            config.addinivalue_line("markers", f"{area}: a case of the driver suite in this area")
        metafunc.parametrize(
            "case",
            [
                pytest.param(
                    case,
                    id=case.key,
                    marks=[getattr(pytest.mark, word) for word in (case.level, case.profile, case.area)],
                )
                for case in cases
            ],
        )

    def test_case(
        self,
        case: Case,
        played_cases: PlayedCases,
    ) -> None:
        """Judge the driver by one case."""
        settle(played_cases.result_of(case))

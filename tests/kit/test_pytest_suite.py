"""The pytest plugin and class: run as a user would run them, in a pytest of their own."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from botticelli.kit.pytest_suite import DriverSuite, PlayedCases
from tests.kit.own_pytest import run_pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

TESTS = """
import os
import pytest
from pathlib import Path
from botticelli.kit.selftest.mutants.bodies import SumsUsage
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.pytest_suite import DriverSuite


made = []


@pytest.fixture(scope="class")
def adapter(request):
    assert "127.0.0.1" in os.environ["no_proxy"], "a client that is made here meets no proxy"
    assert request.cls not in made, "one adapter serves the class"
    made.append(request.cls)
    return request.cls.judged()


class TestReference(DriverSuite):
    judged = ReferenceClient


class Awaited:
    capabilities = frozenset({"models"})

    async def exchange(self, call):
        return ReferenceClient().exchange(call)


class TestAwaited(DriverSuite):
    judged = Awaited


class TestBroken(DriverSuite):
    judged = SumsUsage


class TestKnown(TestBroken):
    baseline = Path(__file__).with_name("known.json")


class Plain(ReferenceClient):
    def headers(self, call):
        return {**super().headers(call), "Accept-Encoding": "gzip"}


class TestMay(DriverSuite):
    judged = Plain


class TestNarrow(DriverSuite):
    @pytest.fixture
    def adapter(self):
        return ReferenceClient()
"""
CASES = "usage-cumulative or models-bare-array or (TestMay and headers-stream-not-compressed)"


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "known.json").write_text('{"known": {"usage-cumulative": "sums, we know"}}')
    return partial(run_pytest, tmp_path)


def test_each_case_is_a_test(suite: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = suite("-rA", "-p", "no:xdist", "-k", CASES)
    lines = done.stdout.splitlines()
    outcomes = {line for line in lines if line.startswith(("PASSED", "FAILED", "ERROR")) and "::" in line}
    names = {line.split(" - ")[0].replace("test_mine.py::", "") for line in outcomes}
    assert names == {
        "PASSED TestReference::test_case[usage-cumulative]",
        "PASSED TestReference::test_case[models-bare-array]",
        "PASSED TestAwaited::test_case[models-bare-array]",
        "FAILED TestBroken::test_case[usage-cumulative]",
        "PASSED TestBroken::test_case[models-bare-array]",
        "PASSED TestKnown::test_case[models-bare-array]",
        "PASSED TestMay::test_case[usage-cumulative]",
        "PASSED TestMay::test_case[models-bare-array]",
        "ERROR TestNarrow::test_case[usage-cumulative]",
        "ERROR TestNarrow::test_case[models-bare-array]",
    }, done.stdout + done.stderr
    assert "1 skipped" in lines[-1]
    assert "2 xfailed" in lines[-1]
    assert "a may: Does not offer compression when it asks for a stream" in done.stdout
    assert "FAILED  usage-cumulative  (usage, must, tolerance, silent)" in done.stdout
    assert 'the fixture adapter serves all cases: give it scope="class"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-m", "must and usage"], None),
        (["-m", "usage and not must"], None),
        (["--driver-case", "usage-cu*"], 1),
        (["--driver-case", "usage-cumulative", "--driver-case", "models-bare-array"], 2),
    ],
)
def test_cases_are_chosen_by_marker_and_by_pattern(
    arguments: list[str], count: int | None, suite: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = suite("--collect-only", "-q", "test_mine.py::TestReference", *arguments)
    chosen = [line for line in done.stdout.splitlines() if "::test_case[" in line]
    assert done.returncode == 0, done.stdout + done.stderr
    assert chosen
    if count is None:
        assert all("[usage-" in line for line in chosen)
    else:
        assert len(chosen) == count


def test_a_pattern_that_chooses_nothing_is_named(
    suite: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = suite("--driver-case", "usage-cumulativ")
    assert done.returncode != 0
    assert "--driver-case: no case or area is called 'usage-cumulativ'; did you mean usage-cum" in (
        done.stdout + done.stderr
    )


def test_a_baseline_and_a_seed_can_be_options(
    suite: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    options = ("--driver-baseline", "known.json", "--driver-seed", "7", "--driver-case", "usage-cumulative")
    done = suite("test_mine.py::TestBroken", "test_mine.py::TestReference", *options, f"--junit-xml={junit}")
    assert done.returncode == 1
    assert "1 failed, 1 xfailed" in done.stdout
    assert "it passes now; remove it from the baseline" in done.stdout, "TestReference has no such fault"
    names = {case.attrib["name"] for case in ET.parse(junit).getroot().iter("testcase")}
    assert names == {"test_case[usage-cumulative]"}


def test_the_cases_can_be_spread_over_processes(
    suite: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = suite("-n", "2", "test_mine.py::TestAwaited", "-m", "models")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_a_run_without_a_suite_loads_nothing_of_the_kit(
    suite: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\n"
        "def test_loaded():\n"
        "    ours = {name for name in sys.modules if name.startswith('botticelli')}\n"
        "    assert ours == {'botticelli', 'botticelli.kit', 'botticelli.kit.pytest_plugin'}\n"
    )
    done = suite("-p", "no:xdist", "test_other.py")
    assert done.returncode == 0, done.stdout


# Playing ahead


def result(name: str) -> Any:
    return SimpleNamespace(case=SimpleNamespace(key=name))


def test_results_are_taken_as_they_come_and_each_once() -> None:
    asked: list[list[str]] = []

    def play(cases: Any) -> Any:
        asked.append([case.key for case in cases])
        yield from (result(name) for name in reversed(asked[-1]))

    cases: Any = [SimpleNamespace(key=name) for name in "abc"]
    played = PlayedCases(cases, play)
    assert [played.result_of(case).case.key for case in cases] == ["a", "b", "c"]
    assert asked == [["a", "b", "c"]]
    assert played.result_of(cases[1]).case.key == "b", "a test that is run again is played again"
    assert asked[1:] == [["b"]]


def test_cases_are_played_many_at_once_but_one_by_one_where_that_is_asked(
    suite: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import threading\n"
        "import pytest\n"
        "from botticelli.kit.pytest_suite import DriverSuite\n"
        "both = threading.Barrier(2, timeout=5)\n\n\n"
        "class Meets:\n"
        "    capabilities = frozenset({'models'})\n\n"
        "    def exchange(self, call):\n"
        "        both.wait()\n"
        "        return {'models': []}\n\n\n"
        "@pytest.fixture(scope='class')\n"
        "def adapter():\n"
        "    return Meets()\n\n\n"
        "class TestMeets(DriverSuite):\n"
        "    pass\n"
    )
    words = ("--driver-case", "models-many", "--driver-case", "models-bare-array")
    met = suite("-p", "no:xdist", *words)
    alone = suite("-p", "no:xdist", *words, "--driver-jobs", "1")
    assert "BrokenBarrierError" not in met.stdout
    assert "BrokenBarrierError" in alone.stdout


# What may be overridden


def nothing(*_arguments: object) -> None:
    """Judge nothing."""


def subclass(**members: object) -> type:
    return type("TestMine", (DriverSuite,), members)


@pytest.mark.parametrize(
    "members",
    [
        {"test_case": None},
        {"test_case": nothing},
        {"pytest_generate_tests": nothing},
        {"test_case": None, "overrides": {"test_case": " "}},
        {"test_case": None, "overrides": {"pytest_generate_tests": "a reason for something else"}},
    ],
)
def test_overriding_a_test_without_a_reason_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"TestMine overrides \w+ of DriverSuite without a reason"):
        subclass(**members)


def test_a_base_class_that_overrides_is_noticed_too() -> None:
    class Quiet:
        def test_case(self) -> None:
            """Judge nothing."""

    with pytest.raises(TypeError, match="overrides test_case"):
        type("TestMine", (Quiet, DriverSuite), {})


def test_overriding_with_a_reason_and_adding_are_allowed() -> None:
    subclass(test_case=None, overrides={"test_case": "the suite runs in another repository"})
    subclass(test_of_my_own=nothing, seed=5, baseline=None)

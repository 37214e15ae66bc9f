"""The pytest class: run as a user would run it, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import os
import pytest
from pathlib import Path
from botticelli.kit.selftest.mutants import SumsUsage
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.pytest_suite import DriverSuite


class TestReference(DriverSuite):
    @pytest.fixture
    def adapter(self):
        assert "127.0.0.1" in os.environ["no_proxy"], "a client that is made here meets no proxy"
        return ReferenceClient()


class Awaited:
    capabilities = frozenset({"models"})

    async def exchange(self, call):
        return ReferenceClient().exchange(call)


class TestAwaited(DriverSuite):
    @pytest.fixture
    def adapter(self):
        return Awaited()


class TestBroken(DriverSuite):
    @pytest.fixture
    def adapter(self):
        return SumsUsage()


class TestKnown(TestBroken):
    baseline = Path(__file__).with_name("known.json")


class Plain(ReferenceClient):
    def headers(self, call):
        return {**super().headers(call), "Accept-Encoding": "gzip"}


class TestMay(DriverSuite):
    @pytest.fixture
    def adapter(self):
        return Plain()


class TestNothing(DriverSuite):
    pass
"""
CASES = "usage-cumulative or models-bare-array or (TestMay and headers-stream-not-compressed)"


def test_each_case_is_a_test(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "known.json").write_text('{"known": {"usage-cumulative": "sums, we know"}}')
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-rA", "--color=no", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-p", "no:xdist", "-k", CASES, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
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
        "ERROR TestNothing::test_case[usage-cumulative]",
        "ERROR TestNothing::test_case[models-bare-array]",
    }, done.stdout + done.stderr
    assert "1 skipped" in lines[-1]
    assert "2 xfailed" in lines[-1]
    assert "a may: Does not offer compression when it asks for a stream" in done.stdout
    assert "FAILED  usage-cumulative  (usage, must, core, silent)" in done.stdout
    assert "fixture 'adapter' not found" in done.stdout

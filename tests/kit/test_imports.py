"""What the judge loads: nothing of the accused, and nothing heavy before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

JUDGE = "botticelli.kit.check, botticelli.kit.server.demo, botticelli.kit.selftest.mutants"


def loaded(modules: str) -> set[str]:
    code = f"import sys, {modules}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("modules", [JUDGE, "botticelli.kit.pytest_suite", "botticelli.kit.pytest_endpoint"])
def test_the_judge_shares_no_code_with_the_accused(modules: str) -> None:
    accused = ("core", "protocol", "dialects", "drivers", "cli")
    assert not {m for m in loaded(modules) if m.startswith(tuple(f"botticelli.{a}" for a in accused))}


def test_the_terminal_and_the_test_tools_are_loaded_late() -> None:
    heavy = {"rich", "pytest", "hypothesis", "httpx", "msgspec", "anyio"}
    assert not heavy & loaded(JUDGE)

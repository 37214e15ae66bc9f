"""The README is true: its code runs, against the embedded server, and prints what the README shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botticelli.kit.cases.case import load_cases
from botticelli.kit.server.demo import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [code for language, code in BLOCKS if language == "sh"]
COMMANDS, OTHERS = SHELL[:2], SHELL[2:]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    scripts = Path(sys.executable).parent
    with serving(load_cases()) as origin:
        yield {
            "HUGGINGFACE_API_KEY": "hf_readme",
            "HUGGINGFACE_BASE_URL": f"{origin}/v1",
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "HOME": str(tmp_path_factory.mktemp("home")),
        }


def run(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        arguments, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_block_is_of_a_language_that_is_looked_at() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh", "text"}
    assert sum(language == "text" for language, _ in BLOCKS) == 1, (
        "text blocks aren't executed: only one shows output"
    )


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.strip().splitlines()[-1][:40])
def test_python(code: str, environment: dict[str, str], tmp_path: Path) -> None:
    if "import pytest" in code:
        (tmp_path / "test_mine.py").write_text(code, encoding="utf-8")
        output = run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "test_mine.py",
                "-k",
                "sse-cr-only",
                "-p",
                "no:cacheprovider",
            ],
            environment,
            tmp_path,
        )
        assert re.search(r"\b1 passed", output), output
    else:
        assert run([sys.executable, "-c", code], environment, tmp_path).strip()


@pytest.mark.parametrize("code", OTHERS, ids=lambda code: code.strip().splitlines()[0])
def test_shell(code: str, environment: dict[str, str], tmp_path: Path) -> None:
    assert run(["bash", "-euc", code], environment, tmp_path).strip()


def test_each_of_the_two_commands_brings_its_own_set_up() -> None:
    for command in COMMANDS:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert COMMANDS[0].rstrip().endswith(".venv/bin/botticelli check driver")


def test_ci_runs_the_tests_as_the_readme_does() -> None:
    tests = COMMANDS[1].rpartition(" && ")[2].strip()
    assert tests in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_main_command_prints_what_the_readme_shows(environment: dict[str, str], tmp_path: Path) -> None:
    shown = next(code for language, code in BLOCKS if language == "text")
    printed = run(["botticelli", "check", "driver"], environment, tmp_path)
    assert timeless(printed) == timeless(shown)


def timeless(text: str) -> str:
    return re.sub(r"in [\d.]+ s", "in N s", text).strip()

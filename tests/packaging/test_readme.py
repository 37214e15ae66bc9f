"""The documents are true: their code runs, against the embedded server, and prints what they show."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botticelli.kit.cases.case import load_cases
from botticelli.kit.server.demo import serving
from botticelli.providers import PROVIDERS, async_driver, sync_driver

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    path
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "contracts/README.md",
        "fixtures/README.md",
        "botticelli/kit/README.md",
    )
    if (path := ROOT / name).exists()
]


def blocks_of(document: Path) -> list[tuple[str, str]]:
    """Return the language and the text of each code block."""
    text = document.read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def sets_up(code: str) -> bool:
    """Return whether a command makes a virtual environment; CI runs those, in a clean clone."""
    return code.startswith("python3 -m venv .venv && .venv/bin/pip install")


BLOCKS = blocks_of(ROOT / "README.md")
EVERY = [(path.relative_to(ROOT), *block) for path in DOCUMENTS for block in blocks_of(path)]
PYTHON = [
    pytest.param(code, id=f"{name}: {code.strip().splitlines()[-1][:40]}")
    for name, language, code in EVERY
    if language == "python" and "(ClientAdapter)" not in code  # test_tutorial.py runs that one
]
COMMANDS = [code for language, code in BLOCKS if language == "sh" and sets_up(code)]
OTHERS = [
    pytest.param(code, id=f"{name}: {code.strip().splitlines()[0]}")
    for name, language, code in EVERY
    if language == "sh" and not sets_up(code)
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    scripts = Path(sys.executable).parent
    with serving(load_cases()) as origin:
        yield {
            "HUGGINGFACE_API_KEY": "hf_readme",
            "HUGGINGFACE_BASE_URL": f"{origin}/v1",
            "ACME_API_KEY": "acme-readme",
            "ACME_BASE_URL": f"{origin}/v1",
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
    assert "ResourceWarning" not in done.stderr, "who copies the example has warnings as errors"
    return done.stdout


def test_every_block_is_of_a_language_that_is_run() -> None:
    languages = {language for _, language, _ in EVERY}
    # JavaScript: tests/contracts holds ajv to the same verdicts. JSON and text: data, which nobody runs.
    assert languages <= {"python", "sh", "text", "json", "javascript"}
    assert {language for language, _ in BLOCKS} == {"python", "sh", "text"}
    assert sum(language == "text" for language, _ in BLOCKS) == 1, "README's only text block is the output"


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 400


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_has_a_row_that_is_true(provider: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{provider}` |"))
    found = set(re.findall(r"`([^`]+)`", row))
    value = sync_driver(provider).provider
    assert {sync_driver(provider).__name__, async_driver(provider).__name__} <= found
    assert {*value.key_env, value.base_url_env, value.base_url} <= found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with what the programs of the documents read by relative paths."""
    for name in ("contracts", "fixtures"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("code", PYTHON)
def test_python(code: str, environment: dict[str, str], folder: Path) -> None:
    for module in re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE):
        if importlib.util.find_spec(module) is None:  # jsonschema isn't a dependency of ours
            pytest.skip(f"{module} isn't installed")
    if "import pytest" in code:
        (folder / "test_mine.py").write_text(code, encoding="utf-8")
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
            folder,
        )
        assert re.search(r"\b1 passed", output), output
    else:
        arguments = [sys.executable, "-W", "error::ResourceWarning", "-c", code]
        assert run(arguments, environment, folder).strip()


@pytest.mark.parametrize("code", OTHERS)
def test_shell(code: str, environment: dict[str, str], folder: Path) -> None:
    assert run(["bash", "-euc", code], environment, folder).strip()


def test_each_of_the_two_commands_brings_its_own_set_up() -> None:
    assert [code for language, code in BLOCKS if language == "sh"][:2] == COMMANDS
    assert len(COMMANDS) == 2
    assert COMMANDS[0].rstrip().endswith(".venv/bin/botticelli check driver")


def test_ci_runs_the_tests_as_the_readme_does() -> None:
    tests = COMMANDS[1].rpartition(" && ")[2].strip()
    assert (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").count(COMMANDS[1]) == 1
    assert tests in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_main_command_prints_what_the_readme_shows(environment: dict[str, str], tmp_path: Path) -> None:
    shown = next(code for language, code in BLOCKS if language == "text")
    printed = run(["botticelli", "check", "driver"], environment, tmp_path)
    assert timeless(printed) == timeless(shown)


def timeless(text: str) -> str:
    return re.sub(r"seed \d+", "seed N", re.sub(r"in [\d.]+ s", "in N s", text)).strip()

"""What is left of the command line when a half of the package is deleted: that half's commands, whole.

`test_layers` deletes the halves and imports what is left; here the commands are run, the endpoint side too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parents[2]
DRIVER = ("core", "protocol", "dialects", "drivers")
JUDGE = ("kit", "contracts")


def without(folder: Path, packages: tuple[str, ...]) -> Path:
    """A copy of the package that lacks some of its parts."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("botticelli", "contracts", "fixtures"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for package in packages:
        shutil.rmtree(folder / "botticelli" / package)
    return folder


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return without(tmp_path_factory.mktemp("judge"), DRIVER)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = without(tmp_path_factory.mktemp("driver"), JUDGE)
    shutil.rmtree(folder / "contracts")
    shutil.rmtree(folder / "fixtures")
    return folder


def command(half: Path, *arguments: str) -> list[str]:
    """The command line of a half; the checkout that may be installed beside it must not be found."""
    program = (
        f"import sys; sys.path.insert(0, {str(half)!r})\n"
        "import botticelli; from botticelli.cli import main\n"
        f"assert botticelli.__file__.startswith({str(half)!r})\n"
        "sys.exit(main())"
    )
    return [sys.executable, "-P", "-c", program, *arguments]


def run(half: Path, *arguments: str, code: int = 0, said: str = "") -> str:
    done = subprocess.run(
        command(half, *arguments),
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@contextmanager
def served(half: Path) -> Generator[str]:
    """The half's own `serve`, and where it is."""
    with subprocess.Popen(
        command(half, "serve", "--port", "0", "--case", "sse-cr-only"),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            words = (word for line in process.stdout for word in line.split())
            yield next(word for word in words if word.startswith("http://") and word.endswith("/v1"))
        finally:
            process.kill()


def test_the_endpoint_side_works_without_the_driver(judge: Path) -> None:
    assert "5 violations" in run(
        judge,
        "validate",
        "-",
        "--contract",
        "openai/response",
        code=1,
        said='{"id": 1, "created": "now"}',
    )
    assert "openai/request" in run(judge, "list", "contracts")
    assert "sse-cr-only" in run(judge, "list", "cases", "sse")
    with served(judge) as url:
        assert "passed: 1 OK" in run(judge, "check", "endpoint", url, "--case", "stream-done")


def test_the_driver_talks_without_the_judge_to_a_judge_without_the_driver(judge: Path, driver: Path) -> None:
    with served(judge) as url:
        assert run(driver, "chat", "hi", "--base-url", url).strip()
        assert run(driver, "models", "--base-url", url).strip()


def test_a_stale_copy_of_the_data_is_not_read(tmp_path: Path) -> None:
    """An editable install leaves `_data` in site-packages, as old as the day on which it was made."""
    stale = tmp_path / "botticelli" / "_data"
    for name in ("contracts", "fixtures"):
        (stale / name).mkdir(parents=True)
    program = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from botticelli.contracts import data_root, names\n"
        "print(data_root()); print(len(names()))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    root, count = done.stdout.splitlines()
    assert Path(root) == ROOT
    assert int(count) > 10

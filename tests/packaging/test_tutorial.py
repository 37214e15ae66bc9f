"""README's tutorial: the adapter that it shows is one, and the client is judged by it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = (
    "sse-one-read",
    "error-status-400",
    "tool-whole-answer",
    "cancel-stream-closes-connection",
    "stream-error-in-chunk",
)


def adapter_of_readme() -> str:
    blocks: list[str] = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    [found] = [block for block in blocks if "(ClientAdapter)" in block]
    return found


def checked(what: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "my_adapter.py").write_text(adapter_of_readme(), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "botticelli", "check", what, "my_adapter:MyAdapter", *words],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_adapter_of_the_tutorial_looks_right(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    done = checked("adapter", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong" not in done.stdout


def test_the_adapter_of_the_tutorial_judges_its_client(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    done = checked("driver", tmp_path, *[word for case in CASES for word in ("--case", case)])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^passed: [5-9]\d* OK", done.stdout, re.MULTILINE)


def test_it_is_short() -> None:
    assert len(adapter_of_readme().splitlines()) <= 30

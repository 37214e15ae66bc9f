"""Run pytest as a user would: in a process and a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run_pytest"]


def run_pytest(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, with warnings as errors."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\nxfail_strict = true\n")
    command = [sys.executable, "-m", "pytest", "--strict-markers", "--color=no", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        check=False,
    )

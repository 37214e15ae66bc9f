"""The examples in docstrings run and print what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "botticelli").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_requests_drivers_and_messages_have_examples() -> None:
    assert {"botticelli.core.driver", "botticelli.core.message", "botticelli.core.request"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), raise_on_error=True)
    assert done.attempted

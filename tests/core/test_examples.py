"""The examples in the docstrings say what is true."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name", ["core.driver", "core.message", "core.request", "providers.mock", "drivers.settings"]
)
def test_the_examples_of_a_module_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(f"botticelli.{name}"), raise_on_error=True)
    assert done.attempted

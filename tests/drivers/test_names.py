"""The public names: all there, each resolved on first use, and next to nothing loaded before."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import botticelli
from botticelli import (
    AsyncBotticelliDriver,
    AsyncGenerateStream,
    AsyncHuggingFaceDriver,
    AsyncMockDriver,
    BotticelliDriver,
    GenerateRequest,
    GenerateStream,
    HuggingFaceDriver,
    Message,
    MockDriver,
)

SOURCE = Path(botticelli.__file__)


def loaded(code: str) -> set[str]:
    """What a fresh interpreter has loaded after the code, beyond what it loads anyway."""
    report = "import sys; before = set(sys.modules); {}; print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", report.format(code)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", botticelli.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(botticelli, name) is not None
    assert name in dir(botticelli)


def test_a_name_that_isnt_there() -> None:
    with pytest.raises(AttributeError, match="Mesage"):
        getattr(botticelli, "Mesage")  # noqa: B009 -- for the type checkers know that it isn't


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(SOURCE.read_text())
    (checked,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    imported = {
        alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported | {"__version__"} == set(botticelli.__all__)
    assert botticelli.__all__ == sorted(botticelli.__all__)


def test_importing_loads_next_to_nothing() -> None:
    assert loaded("import botticelli") == {"botticelli"}


def test_a_vocabulary_loads_no_http() -> None:
    found = loaded("from botticelli import GenerateRequest, Message, ApiError")
    assert "botticelli.core.request" in found
    assert not found & {"httpx", "anyio", "asyncio", "ssl", "dotenv", "botticelli.drivers"}


def test_a_driver_loads_neither_the_judge_nor_the_other_needs() -> None:
    found = loaded("from botticelli import HuggingFaceDriver; HuggingFaceDriver('m', api_key='hf_x')")
    assert "botticelli.providers.huggingface" in found
    unwanted = {"botticelli.kit", "botticelli.contracts", "botticelli.cli", "dotenv", "jsonschema_rs"}
    assert not {name for name in found if name in unwanted or name.startswith("botticelli.kit")}


def test_the_drivers_satisfy_the_protocols_for_type_checkers_too() -> None:
    drivers: list[BotticelliDriver] = [
        MockDriver(),
        HuggingFaceDriver.with_api_token(None, "m", base_url="http://h/v1"),
    ]
    async_drivers: list[AsyncBotticelliDriver] = [
        AsyncMockDriver(),
        AsyncHuggingFaceDriver.with_api_token(None, "m", base_url="http://h/v1"),
    ]
    request = GenerateRequest(messages=[Message.user("Hi")])
    streams: list[GenerateStream] = [driver.generate_stream(request) for driver in drivers]
    async_streams: list[AsyncGenerateStream] = [driver.generate_stream(request) for driver in async_drivers]
    assert [stream.response.choices for stream in streams] == [[], []]
    assert [stream.response.choices for stream in async_streams] == [[], []]


def test_the_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert botticelli.__version__ == version("botticelli")
    project = SOURCE.parent.parent / "pyproject.toml"
    if project.exists():
        assert botticelli.__version__ == tomllib.loads(project.read_text())["project"]["version"]

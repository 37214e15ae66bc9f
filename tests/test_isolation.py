"""`conftest` keeps its promises: tried on test runs of its own, for a guard that never bit proves nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from botticelli import ConfigurationError, HuggingFaceDriver

from .conftest import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable

CONFTEST = Path(__file__).with_name("conftest.py")
REAL = "hf_theUsersOwnKey"


def test_the_users_settings_are_out_of_sight() -> None:
    for name in ("HUGGINGFACE_API_KEY", "HF_TOKEN", "HUGGINGFACE_BASE_URL", "HTTPS_PROXY", "https_proxy"):
        assert name not in os.environ
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_API_KEY is not set"):
        HuggingFaceDriver("m")


@pytest.mark.parametrize("host", ["192.0.2.1", "1.127.0.0", "127.0.0.1.example"])
def test_connections_are_refused(host: str) -> None:
    with socket.socket() as out, pytest.raises(RuntimeError, match="Network is disabled"):
        out.connect((host, 443))


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as out:
        out.connect(server.getsockname())


@pytest.fixture
def outcome(tmp_path: Path) -> Callable[[str], tuple[int, str]]:
    """Run a test module under `conftest`, with a key in the environment and one in `.env`."""

    def run(body: str) -> tuple[int, str]:
        tests = tmp_path / "tests"
        tests.mkdir()
        (tests / "conftest.py").write_text(CONFTEST.read_text("utf-8"), "utf-8")
        (tests / "test_it.py").write_text(f"import logging, os\n{body}\n", "utf-8")
        (tmp_path / ".env").write_text(f"HUGGINGFACE_API_KEY={REAL}Too\n", "utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = api\n", "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"],
            cwd=tmp_path,
            env={**os.environ, "HUGGINGFACE_API_KEY": REAL, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_quiet_test_passes(outcome: Callable[[str], tuple[int, str]]) -> None:
    code, text = outcome(
        "from botticelli.drivers.credentials import find_key\n"
        "from botticelli import ConfigurationError\n"
        "from botticelli.providers.huggingface import HUGGINGFACE\n"
        "def test(canary):\n"
        "    try: find_key(HUGGINGFACE, None)\n"
        "    except ConfigurationError: return\n"
        "    assert False, 'the key was found'"
    )
    assert code == 0, text


@pytest.mark.parametrize(
    "body",
    [
        "def test(canary): print('Bearer ' + canary)",
        "def test(canary): os.write(2, canary.encode())",
        "def test(canary): logging.getLogger('botticelli.x').debug('with %s', canary)",
    ],
)
def test_a_printed_key_fails_the_test(body: str, outcome: Callable[[str], tuple[int, str]]) -> None:
    code, text = outcome(body)
    assert code == 1
    assert "a key was printed" in text
    assert CANARY not in text


@pytest.mark.parametrize("key", [REAL, CANARY])
def test_a_failing_test_doesnt_show_a_key(key: str, outcome: Callable[[str], tuple[int, str]]) -> None:
    code, text = outcome(f"def test():\n    sent = {key!r}[:-1] + {key[-1]!r}\n    assert sent == ''")
    assert code == 1
    assert "assert" in text
    assert key not in text


def test_a_test_that_leaves_a_file_behind_fails(outcome: Callable[[str], tuple[int, str]]) -> None:
    code, text = outcome("def test(): open('.env', 'w').close()")
    assert code == 1
    assert "left ['.env'] behind" in text

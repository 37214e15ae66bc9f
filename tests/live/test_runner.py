"""Test the runner of the live suite offline: when it must not report a success."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from botticelli.kit.server.chat import MODEL
from tests.kit.broken_servers import cut_streams, error_in_200, no_done, stop_deleted
from tests.kit.changed_server import Asked, Change, refuses, serving

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:1/v1"


def run(folder: Path, *arguments: str, key: str | None = None) -> tuple[int, str]:
    """Run it in an empty folder, so that no `.env` is found."""
    known = {"HUGGINGFACE_API_KEY": key} if key else {}
    done = subprocess.run(
        [sys.executable, "-m", "tests.live", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **known},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def against(url: str) -> list[str]:
    return ["huggingface", "--base-url", url, "--model", MODEL]


def test_without_a_key_it_ends_at_once_and_says_what_to_set(tmp_path: Path) -> None:
    code, text = run(tmp_path, "huggingface")
    assert code == 1
    assert "HUGGINGFACE_API_KEY is not set" in text
    assert text.count("\n") == 1


def test_no_test_is_no_success(tmp_path: Path, canary: str) -> None:
    with serving(key=canary) as url:
        code, text = run(tmp_path, *against(url), "-k", "no_such_test", key=canary)
    assert code == 1
    assert "nothing is proven" in text


def test_a_server_that_isnt_there_is_a_failure_in_a_line(tmp_path: Path, canary: str) -> None:
    code, text = run(tmp_path, "huggingface", "--base-url", NOWHERE, "-k", "basic", key=canary)
    assert code == 4
    assert f"ERROR: nothing answers at {NOWHERE}" in text
    assert canary not in text


def test_the_driver_and_the_server_are_judged_beside_each_other(tmp_path: Path, canary: str) -> None:
    """The server keeps no stop words: it fails, and the driver, which delivers what came, doesn't."""
    words = "basic or test_stop or stop-word or stream-done or test_tools or vision"
    with serving(stop_deleted, key=canary) as url:
        options = [*against(url), "--without", "tools,vision", "-k", words, "-rf"]
        code, text = run(tmp_path, *options, key=canary)
    assert code == 1
    assert re.search(r"FAILED \S*botticelli-endpoint::stop/stop-word\b", text)
    assert "stop-word: ignored" in text
    assert '-H "Authorization: Bearer $BOTTICELLI_LIVE_KEY"' in text
    assert "the server: 3 failed, 1 passed" in text
    assert "the driver: 0 failed, 3 passed" in text
    assert f"live: {MODEL} at {url}" in text
    assert re.search(r"at most \d+ billed calls", text)
    assert "used: 3 calls, 0 of them repeated" in text
    assert "not asked: base_model: only the provider's own endpoint" in text
    assert "not asked: tools: declared out of this server's reach" in text
    assert "not asked: vision: declared out of this server's reach" in text
    assert canary not in text


def no_tool_calls(asked: Asked) -> None:
    for message in asked.messages:
        message.pop("tool_calls", None)


def silent(asked: Asked) -> None:
    """Close the connection before any byte, once the probes know who is there."""
    if ("User-Agent", "botticelli-check-endpoint") not in asked.request.headers:
        asked.exchange = {"end": "cut"}


@pytest.mark.parametrize(
    "change", [None, error_in_200, refuses("tools"), no_tool_calls, no_done, cut_streams, silent]
)
def test_whatever_a_server_does_wrong_the_driver_is_not_blamed(
    change: Change | None, tmp_path: Path, canary: str
) -> None:
    with serving(change, key=canary) as url:
        code, text = run(tmp_path, *against(url), "-k", "test_", key=canary)
    assert code == 0, text
    assert "the driver: 0 failed" in text


LOSES_A_WORD = """
from botticelli import Text
from botticelli.dialects.openai.dialect import OpenAIDialect

read = OpenAIDialect.response


def lossy(self, *arguments, **options):
    response = read(self, *arguments, **options)
    for choice in response.choices:
        choice.outputs = [Text(part.text[:-1]) if isinstance(part, Text) else part for part in choice.outputs]
    return response


OpenAIDialect.response = lossy
"""


def test_a_driver_that_loses_something_is_blamed_and_the_server_is_not(tmp_path: Path, canary: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOSES_A_WORD)
    with serving(key=canary) as url:
        options = [*against(url), "-k", "test_basic or answer-readable"]
        code, text = run(tmp_path, *options, key=canary)
    assert code == 1
    assert "the server: 0 failed, 1 passed" in text
    assert "the driver: 2 failed, 0 passed" in text


@pytest.mark.parametrize(
    ("arguments", "code"), [(["huggingface", "--base-url", NOWHERE, "--without", "all"], 4), (["nobody"], 2)]
)
def test_mistakes_are_usage_errors(arguments: list[str], code: int, tmp_path: Path, canary: str) -> None:
    assert run(tmp_path, *arguments, key=canary)[0] == code

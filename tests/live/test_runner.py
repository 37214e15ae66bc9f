"""Test the runner of the live suite offline: when it must not report a success."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from botticelli import InvalidRequestError, MalformedResponseError, ModelsError, ServerError

from .test_live import announced_only, names_model

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:1/v1"


def run(folder: Path, *arguments: str, key: str | None = None) -> tuple[int, str]:
    """Run it in an empty folder, so that no `.env` is found."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.live", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **({"HUGGINGFACE_API_KEY": key} if key else {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_without_a_key_it_ends_at_once_and_says_what_to_set(tmp_path: Path) -> None:
    code, text = run(tmp_path, "huggingface")
    assert code == 1
    assert "HUGGINGFACE_API_KEY is not set" in text
    assert text.count("\n") == 1


def test_no_test_is_no_success(tmp_path: Path, canary: str) -> None:
    code, text = run(tmp_path, "huggingface", "--base-url", NOWHERE, "-k", "nothing", key=canary)
    assert code == 1
    assert "nothing is proven" in text


def test_a_server_that_isnt_there_is_a_failure(tmp_path: Path, canary: str) -> None:
    code, text = run(
        tmp_path, "huggingface", "--base-url", NOWHERE, "-k", "basic", "--without", "tools", key=canary
    )
    assert code == 1
    assert "2 failed" in text
    assert f"live: meta-llama/Llama-3.2-1B-Instruct at {NOWHERE}" in text
    assert "at most 2 billed calls" in text
    assert "not asked: base_model: only the provider's own endpoint" in text
    assert "not asked: tools: declared out of this server's reach" in text
    assert canary not in text


def test_a_server_that_isnt_there_departs_from_nothing(tmp_path: Path, canary: str) -> None:
    topics = "json_schema or unknown_model or bad_token"
    code, text = run(tmp_path, "huggingface", "--base-url", NOWHERE, "-k", topics, key=canary)
    assert code == 1
    assert "4 failed" in text
    assert "ConnectError" in text
    assert "departure" not in text


def test_what_the_server_does_wrong_is_told_from_what_the_driver_does(tmp_path: Path, canary: str) -> None:
    """The server of the benchmark sends valid responses, but always the same one."""
    command = [sys.executable, "-m", "tests.bench.server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/single"
        code, text = run(tmp_path, "huggingface", "--base-url", url, "-k", "basic or max_tokens", key=canary)
        server.stdin.close()
    assert code == 1
    assert "1 failed, 2 passed" in text
    assert "the server's departure, not the driver's: max_tokens=5 didn't end the answer" in text
    assert "used: 3 calls, 0 of them repeated" in text
    assert canary not in text


def test_a_server_that_needs_no_key_may_take_any(tmp_path: Path, canary: str) -> None:
    """The bench's server takes any, and none."""
    command = [sys.executable, "-m", "tests.bench.server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/single"
        code, text = run(tmp_path, "huggingface", "--base-url", url, "-k", "bad_token", key=canary)
        server.stdin.close()
    assert code == 0
    assert "not asked: bad_token: the server needs no key, so it may take any" in text


@pytest.mark.parametrize(
    ("error", "honest"),
    [
        (InvalidRequestError("Invalid model name passed in model=a/b", status=400), True),
        (InvalidRequestError("bad request", status=400), False),
        (ServerError("a/b failed", status=500), False),
    ],
)
def test_an_error_that_names_the_model_is_honest(error: ModelsError, *, honest: bool) -> None:
    assert names_model(error, "a/b") is honest


@pytest.mark.parametrize("body", [b'{"choices":[{"message":{"tool_calls":[{}]}}]}', b"no JSON"])
def test_an_error_with_a_call_is_the_drivers_to_explain(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        announced_only(MalformedResponseError("odd", body=body))


def test_a_call_that_is_announced_only_is_the_servers_departure() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"the server's departure.*announces a call"):
        announced_only(MalformedResponseError("odd", body=b'{"choices":[{"message":{}}]}'))


@pytest.mark.parametrize(
    ("arguments", "code"), [(["huggingface", "--base-url", NOWHERE, "--without", "all"], 4), (["nobody"], 2)]
)
def test_mistakes_are_usage_errors(arguments: list[str], code: int, tmp_path: Path, canary: str) -> None:
    assert run(tmp_path, *arguments, key=canary)[0] == code

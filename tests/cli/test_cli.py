"""The command line: what each command prints, where, and the exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from botticelli.cli import main
from botticelli.kit.cases.case import load_cases
from botticelli.kit.server.demo import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "hf_canary_0123456789"
HELLO = "Hello from the embedded server."
DEFAULT = "meta-llama/Llama-3.2-1B-Instruct"
CHOICE: dict[str, Any] = {
    "index": 0,
    "message": {"role": "assistant", "content": "x", "refusal": None},
    "finish_reason": "stop",
    "logprobs": None,
}
GOOD: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [CHOICE],
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HUGGINGFACE_API_KEY", "HF_TOKEN", "HUGGINGFACE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with serving(load_cases()) as address:
        yield address


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACE_API_KEY", KEY)


def run(*arguments: str) -> int:
    """The exit code, whether it is returned or, as argparse does it, raised."""
    try:
        return main(arguments)
    except SystemExit as raised:
        return int(raised.code or 0)


class Recorder(BaseHTTPRequestHandler):
    """Answers every request with one body and remembers what came."""

    answer: bytes = b""
    listing: bytes | None = None
    seen: list[tuple[dict[str, str], Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self._reply()

    def do_GET(self) -> None:
        self._reply(self.listing)

    def _reply(self, listing: bytes | None = None) -> None:
        answer = self.answer if listing is None else listing
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's own word
        """Keep quiet."""


@pytest.fixture
def recorder() -> Iterator[tuple[type[Recorder], str]]:
    handler = type("Handler", (Recorder,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


ESCAPES = "\x1b]0;pwned\x07\x1b[2J\x9b31m\x7f\r"
"""What sets a terminal's title, clears it and colours it."""
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TestNothingOfAServersSteersTheTerminal:
    """Of any text that it sends, in any way of printing it."""

    BODY: ClassVar[dict[str, Any]] = {
        **GOOD,
        "model": f"evil{ESCAPES}",
        "choices": [
            {
                **CHOICE,
                "finish_reason": f"why{ESCAPES}",
                "message": {"role": "assistant", "content": f"a\tb\n{ESCAPES}c", "refusal": None},
            }
        ],
    }
    CALL: ClassVar[dict[str, Any]] = {
        **GOOD,
        "choices": [
            {
                **CHOICE,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "function",
                            "function": {"name": f"n{ESCAPES}", "arguments": ESCAPES},
                        }
                    ],
                },
            }
        ],
    }

    @pytest.mark.parametrize("how", ["--stream", "--no-stream", "--json"])
    @pytest.mark.parametrize("verbose", [["-v"], []])
    @pytest.mark.parametrize("body", [BODY, CALL], ids=["text", "call"])
    def test_in_an_answer(
        self,
        body: dict[str, Any],
        verbose: list[str],
        how: str,
        recorder: tuple[type[Recorder], str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps(body).encode()
        assert run("chat", "hi", "--model", "m", "--base-url", url, how, *verbose) == 0
        printed = capsys.readouterr()
        assert not STEERING.findall(printed.out + printed.err)
        assert r"\x1b]0;pwned\x07" in printed.out or how == "--json"
        if how == "--json":
            assert "pwned" in str(json.loads(printed.out)["choices"][0]["outputs"][0])
        elif body is self.BODY:
            assert printed.out.startswith("a\tb\n")

    @pytest.mark.parametrize("how", [[], ["--json"]])
    def test_in_a_list_of_models(
        self, how: list[str], recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps({"data": [{"id": f"m{ESCAPES}"}]}).encode()
        assert run("models", "--base-url", url, *how) == 0
        assert not STEERING.findall(capsys.readouterr().out)


class TestChat:
    @pytest.mark.parametrize("how", ["--stream", "--no-stream"])
    def test_prints_the_answer_and_nothing_else(
        self, how: str, origin: str, keyed: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("chat", "hi", how, "--base-url", f"{origin}/v1") == 0
        assert capsys.readouterr() == (HELLO + "\n", "")

    def test_prints_the_answer_as_json(
        self, origin: str, keyed: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("chat", "hi", "--json", "--base-url", f"{origin}/v1") == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["choices"][0]["outputs"] == [{"type": "text", "text": HELLO}]
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert "raw" not in answer

    def test_sends_what_was_asked_for(self, keyed: None, recorder: tuple[type[Recorder], str]) -> None:
        handler, url = recorder
        handler.answer = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
        arguments = ["--model", "org/m:fastest", "--system", "Be terse.", "--max-tokens", "7"]
        assert run("chat", "hi", *arguments, "--temperature", "0", "--no-stream", "--base-url", url) == 0
        ((headers, body),) = handler.seen
        assert headers["authorization"] == f"Bearer {KEY}"
        assert body == {
            "model": "org/m:fastest",
            "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "hi"}],
            "max_tokens": 7,
            "temperature": 0,
        }

    def test_reads_the_prompt_from_standard_input(
        self, keyed: None, recorder: tuple[type[Recorder], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handler, url = recorder
        handler.answer = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("grüß dich".encode())))
        assert run("chat", "-", "--no-stream", "--base-url", url) == 0
        assert handler.seen[0][1]["messages"][0]["content"] == "grüß dich"

    def test_needs_no_key_for_another_server(self, recorder: tuple[type[Recorder], str]) -> None:
        handler, url = recorder
        handler.answer = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
        assert run("chat", "hi", "--no-stream", "--base-url", url) == 0
        assert "authorization" not in handler.seen[0][0]

    def test_tells_usage_and_departures_when_verbose(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "tiny",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "x"},
                        "finish_reason": "stop",
                        "logprobs": None,
                    }
                ],
                "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
            }
        ).encode()
        assert run("chat", "hi", "-v", "--no-stream", "--base-url", url) == 0
        printed = capsys.readouterr()
        assert printed.out == "x\n"
        assert printed.err.splitlines() == [
            "tiny: stop, 3 + 1 tokens",
            "departs from the format: refusal-missing at $.choices[0].message.refusal",
        ]

    def test_shows_calls_where_there_is_no_text(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        message = {"content": None, "tool_calls": [call]}
        handler.answer = json.dumps(
            {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        ).encode()
        for how in ("--stream", "--no-stream"):
            assert run("chat", "hi", how, "--base-url", url) == 0
            assert capsys.readouterr().out == 'f({"a":1})\n'

    @pytest.mark.parametrize("how", ["--stream", "--no-stream"])
    @pytest.mark.parametrize(
        ("message", "out", "err"),
        [
            ({"images": ["PICTURE"]}, "[image: data:,x]\n", ""),
            (
                {"content": "x", "images": ["PICTURE"], "reasoning": "hm"},
                "x\n",
                "botticelli: besides its text the answer has [image: data:,x]\n",
            ),
            ({"content": ""}, "\n", "botticelli: the answer is empty\n"),
            ({"content": "", "reasoning": ""}, "\n", "botticelli: the answer is empty\n"),
        ],
    )
    def test_tells_what_an_answer_has_but_text(
        self,
        how: str,
        message: dict[str, Any],
        out: str,
        err: str,
        keyed: None,
        recorder: tuple[type[Recorder], str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        handler, url = recorder
        picture = {"type": "image_url", "image_url": {"url": "data:,x"}}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        handler.answer = json.dumps({"choices": [choice]}).replace('"PICTURE"', json.dumps(picture)).encode()
        assert run("chat", "hi", how, "--base-url", url) == 0
        assert capsys.readouterr() == (out, err)

    def test_keeps_what_was_delivered_before_an_error(
        self, origin: str, keyed: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("chat", "hi", "--base-url", f"{origin}/stream-error-after-text/v1") == 1
        printed = capsys.readouterr()
        assert printed.out.strip()
        assert printed.out.endswith("\n")
        assert printed.err.startswith("botticelli: ")
        assert len(printed.err.splitlines()) == 1

    def test_says_what_to_set_where_there_is_no_key(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("chat", "hi") == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "HUGGINGFACE_API_KEY" in printed.err
        assert "huggingface.co/settings/tokens" in printed.err
        assert len(printed.err.splitlines()) == 1

    def test_refuses_a_request_that_the_format_cannot_carry(
        self, origin: str, keyed: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("chat", "hi", "--temperature", "3", "--base-url", f"{origin}/v1") == 1
        assert "temperature must be between 0 and 2" in capsys.readouterr().err

    def test_does_not_take_a_malformed_key_for_none(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("HUGGINGFACE_API_KEY", "hf inside")
        assert run("chat", "hi", "--base-url", "http://127.0.0.1:1/v1") == 2
        assert "HUGGINGFACE_API_KEY" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("listed", "code", "asked"),
        [(["tiny"], 0, "tiny"), (["a", "b"], 2, None), ([], 0, DEFAULT), (["a", DEFAULT], 0, DEFAULT)],
    )
    def test_asks_the_only_model_that_another_server_lists(
        self,
        listed: list[str],
        code: int,
        asked: str | None,
        recorder: tuple[type[Recorder], str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps(GOOD).encode()
        handler.listing = json.dumps({"object": "list", "data": [{"id": name} for name in listed]}).encode()
        assert run("chat", "hi", "--no-stream", "--base-url", url) == code
        assert [body["model"] for _, body in handler.seen] == [asked] * (asked is not None)
        if code:
            said = "botticelli: name a model with --model; the server lists a, b\n"
            assert capsys.readouterr() == ("", said)

    def test_a_server_that_isnt_there_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("chat", "hi", "--base-url", "http://127.0.0.1:1/v1") == 1
        assert "no connection" in capsys.readouterr().err

    def test_tells_a_streams_departures_too_when_verbose(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choice = {"index": 0, "delta": {"content": "x"}}
        chunks = [{**chunk, "choices": [choice]}, {**chunk, "choices": [{**choice, "finish_reason": "stop"}]}]
        handler.answer = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks)
        handler.answer += b"data: [DONE]\n\n"
        assert run("chat", "hi", "-v", "--model", "m", "--base-url", url) == 0
        assert "departs from the format: finish-reason-missing" in capsys.readouterr().err

    def test_says_that_an_answer_is_cut(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"length"}]}'
        assert run("chat", "hi", "--no-stream", "--base-url", url) == 0
        assert capsys.readouterr() == ("x\n", "botticelli: the answer may not be whole: length\n")

    def test_never_shows_the_key(self, origin: str, keyed: None, capsys: pytest.CaptureFixture[str]) -> None:
        for case in ("error-router-token-refused", "stream-error-after-text"):
            run("chat", "hi", "--json", "-v", "--base-url", f"{origin}/{case}/v1")
            run("chat", "hi", "-v", "--base-url", f"{origin}/{case}/v1")
        printed = capsys.readouterr()
        assert KEY not in printed.out + printed.err


class TestModels:
    LIST: ClassVar[dict[str, Any]] = {
        "object": "list",
        "data": [
            {
                "id": "org/large",
                "object": "model",
                "created": 1,
                "owned_by": "org",
                "providers": [
                    {
                        "provider": "one",
                        "status": "live",
                        "context_length": 8192,
                        "pricing": {"input": 0.5, "output": 1.5},
                        "supports_tools": True,
                    },
                    {
                        "provider": "two",
                        "status": "live",
                        "context_length": 131072,
                        "pricing": {"input": 0.1, "output": 12},
                    },
                    {"provider": "three", "status": "error"},
                ],
            },
            {"id": "org/tiny", "object": "model", "created": 1, "owned_by": "org"},
        ],
    }

    def test_prints_an_aligned_table_with_the_cheapest_live_offer(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps(self.LIST).encode()
        assert run("models", "--base-url", url) == 0
        assert capsys.readouterr().out == (
            "model      providers  context  USD/M in    out  tools\n"
            "org/large  one, two    131072      0.10  12.00  yes\n"
            "org/tiny\n"
        )

    def test_searches(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps(self.LIST).encode()
        assert run("models", "TINY", "--base-url", url) == 0
        assert capsys.readouterr().out == "model\norg/tiny\n"
        assert run("models", "nothing", "--base-url", url) == 0
        assert capsys.readouterr().out == "no model has 'nothing' in its name\n"

    def test_keeps_a_servers_words_from_the_terminal(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps({"object": "list", "data": [{"id": "a\x1b[31m\nb"}]}).encode()
        assert run("models", "--base-url", url) == 0
        assert capsys.readouterr().out == "model\na\ufffd[31m\ufffdb\n"

    def test_prints_json(
        self, keyed: None, recorder: tuple[type[Recorder], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler, url = recorder
        handler.answer = json.dumps(self.LIST).encode()
        assert run("models", "--json", "--base-url", url) == 0
        found = json.loads(capsys.readouterr().out)
        assert [model["id"] for model in found] == ["org/large", "org/tiny"]
        assert found[0]["providers"][0]["input_price"] == 0.5


class TestValidate:
    def test_prints_every_violation_with_its_path(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "answer.json"
        file.write_text(json.dumps({**GOOD, "id": 1}))
        assert run("validate", str(file), "--contract", "openai/response") == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("$.id  ")
        assert lines[-1] == f"{file}: 1 violation of openai/response"

    def test_says_so_when_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = json.dumps(GOOD).encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(good)))
        assert run("validate", "-", "--contract", "openai/response") == 0
        assert capsys.readouterr().out == "standard input: valid by openai/response\n"

    def test_takes_bytes_that_are_no_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "answer.json"
        file.write_bytes(b"<html>\xff")
        assert run("validate", str(file), "--contract", "openai/response") == 1
        assert "JSON" in capsys.readouterr().out

    def test_takes_a_whole_stream_and_numbers_its_events(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chunk = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}
        events = [
            {**chunk, "choices": [choice]},
            {**chunk, "id": "b", "choices": [{**choice, "delta": {}, "finish_reason": "stop"}]},
        ]
        stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stream)))
        assert run("validate", "-", "--contract", "openai/chunk") == 1
        assert capsys.readouterr().out == (
            'event 2: $.id  is "b", but "a" in event 1\n'
            "stream         it ends without [DONE]\n"
            "standard input: 2 violations of openai/chunk (2 events)\n"
        )
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stream + b"data: [DONE]\n\n")))
        assert run("validate", "-", "--contract", "wire/openai/chunk") == 0
        assert capsys.readouterr().out == "standard input: valid by wire/openai/chunk (3 events)\n"

    def test_takes_json_lines(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "answers.jsonl"
        file.write_text(f"{json.dumps(GOOD)}\n{json.dumps({**GOOD, 'id': 1})}\n")
        assert run("validate", str(file), "--contract", "openai/response") == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("event 2: $.id  ")
        assert lines[-1] == f"{file}: 1 violation of openai/response (2 events)"

    @pytest.mark.parametrize(
        ("file", "contract", "complaint"),
        [
            ("absent.json", "openai/response", "absent.json can't be read"),
            ("-", "no/such", "openai/response"),
        ],
    )
    def test_says_in_one_line_what_it_cannot_do(
        self,
        file: str,
        contract: str,
        complaint: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
        assert run("validate", file, "--contract", contract) == 2
        printed = capsys.readouterr()
        assert complaint in printed.err
        assert len(printed.err.splitlines()) == 1


class TestCheck:
    def test_passes_a_driver_that_is_right(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            run(
                "check",
                "driver",
                "botticelli.kit.selftest.reference_client:ReferenceClient",
                "--case",
                "sse-cr-only",
            )
            == 0
        )
        printed = capsys.readouterr()
        assert "passed: 1 OK in " in printed.out
        assert "\x1b" not in printed.out + printed.err

    def test_fails_one_that_is_broken_and_writes_reports(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reports = ["--json", str(tmp_path / "r.json"), "--junit", str(tmp_path / "r.xml")]
        assert (
            run(
                "check",
                "driver",
                "botticelli.kit.selftest.mutants.streams:SplitsLikeText",
                "--case",
                "sse",
                "--jobs",
                "4",
                *reports,
            )
            == 1
        )
        assert "FAILED" in capsys.readouterr().out
        assert json.loads((tmp_path / "r.json").read_text())
        assert "<failure" in (tmp_path / "r.xml").read_text()

    @pytest.mark.parametrize(
        "arguments", [("no.such.module:adapter",), ("--case", "no-such-case"), ("--baseline", "absent.json")]
    )
    def test_says_in_one_line_what_it_cannot_do(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("check", "driver", *arguments) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


class TestList:
    def test_lists_cases(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("list", "cases", "sse") == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert head.split()[:3] == ["case", "area", "level"]
        assert len(lines) > 10
        assert all(line.split()[1] == "sse" for line in lines)

    def test_lists_contracts(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("list", "contracts") == 0
        assert any(line.startswith("openai/response ") for line in capsys.readouterr().out.splitlines())


HANGING = """
import concurrent.futures, pathlib, threading, time
from botticelli.kit.selftest.reference_client import ReferenceClient

for_ever = concurrent.futures.ThreadPoolExecutor(1)  # its threads are waited for at the end of a process


class Adapter(ReferenceClient):
    def exchange(self, call):
        if call["case"] != "sse-cr-only":
            return super().exchange(call)
        for_ever.submit(time.sleep, 600)
        pathlib.Path("hangs").touch()
        time.sleep(600)

    def close(self):
        time.sleep(600)
"""


DEEP = "[" * 100_000

NONSENSE = [
    ("check", "driver", "command: 'x"),
    ("check", "driver", "command:"),
    ("check", "driver", "command: /"),
    ("check", "driver", "command: true"),
    ("check", "driver", "command: cat"),
    ("check", "driver", ""),
    ("check", "driver", ":"),
    ("check", "driver", "os:getcwd"),
    ("check", "driver", "sys:exit"),
    ("check", "driver", "a\nb\x1b[31m:c"),
    ("check", "driver", "json:loads"),
    ("check", "driver", "--case", ""),
    ("check", "driver", "--case", "["),
    ("check", "driver", "--baseline", "folder"),
    ("check", "driver", "--baseline", "not-utf-8"),
    ("check", "driver", "--baseline", "deep"),
    ("check", "driver", "--json", "folder"),
    ("check", "driver", "--junit", "none/x.xml"),
    ("check", "driver", "--rerun", "folder"),
    ("check", "driver", "--rerun", "deep"),
    ("check", "driver", "--write-baseline", "none/known.json"),
    ("check", "adapter", "no.such:adapter"),
    ("check", "adapter", "nobody"),
    ("explain", "nosuch"),
    ("explain", "sse-*"),
    ("explain", "sse-cr-only", "--report", "not-utf-8"),
    ("validate", "folder", "--contract", "openai/response"),
    ("validate", "", "--contract", "openai/response"),
    ("validate", "deep", "--contract", ""),
    ("validate", "deep", "--contract", "../x"),
    ("list", "cases", ""),
    ("list", "cases", "xyzzy"),
    ("serve", "--case", "nosuch"),
    ("serve", "--case", "connection-refused"),
    ("serve", "--host", "300.1.1.1"),
    ("chat", "hi", "--base-url", "x"),
    ("chat", "hi", "--base-url", "http://[::1"),
    ("chat", "hi", "--model", "", "--base-url", "http://127.0.0.1:1"),
    ("chat", "hi", "--timeout", "nan", "--base-url", "http://127.0.0.1:1"),
    ("models", "--base-url", "ftp://x"),
]


@pytest.mark.parametrize("arguments", NONSENSE, ids=lambda arguments: " ".join(arguments)[:40])
def test_nonsense_is_one_line_and_2(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "not-utf-8").write_bytes(b"\xff")
    (tmp_path / "deep").write_text(DEEP)
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("botticelli: ")
    assert printed.err.endswith("\n")
    assert printed.err[:-1].isprintable()


class TestProcess:
    def test_an_interrupted_run_ends_at_once_and_tells_what_there_is(self, tmp_path: Path) -> None:
        (tmp_path / "hanging.py").write_text(HANGING)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "botticelli", "check", "driver", "hanging:Adapter"),
                *("--case", "sse-cr-only", "--case", "models", "--json", "report.json"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not (tmp_path / "hangs").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (130, "")
        [adapter] = json.loads((tmp_path / "report.json").read_text())["runs"]
        interrupted, stuck = adapter["problems"]
        assert re.fullmatch(r"interrupted, with \d+ of \d+ cases to go", interrupted)
        assert stuck == "the driver cannot be closed: nothing in 1 s"
        assert printed.endswith(f"  {interrupted}\n  {stuck}\n")

    def test_a_driver_that_leaves_threads_behind_does_not_keep_the_process(self, tmp_path: Path) -> None:
        hanging = HANGING.replace("time.sleep(600)\n\n", "return super().exchange(call)\n\n")
        (tmp_path / "hanging.py").write_text(hanging.partition("    def close")[0])
        done = subprocess.run(
            [
                *(sys.executable, "-m", "botticelli", "check", "driver", "hanging:Adapter"),
                *("--case", "sse-cr-only"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "\npassed: 1 OK in " in done.stdout

    def test_serve_says_where_and_ends_quietly_when_interrupted(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "botticelli", "serve", "--port", "0", "--case", "sse-cr-only"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        _, first, second = (process.stdout.readline() for _ in range(3))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert first.startswith("http://127.0.0.1:")
        assert "/sse-cr-only/v1" in second
        assert errors == ""
        assert process.returncode in (0, 130)

    def test_a_reader_that_leaves_gets_no_traceback_and_no_success(self) -> None:
        code = "import subprocess,sys; sys.exit(0)"
        reader = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        reader.wait()
        assert reader.stdin is not None
        done = subprocess.run(
            [sys.executable, "-m", "botticelli", "list", "cases"],
            stdout=reader.stdin,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        with contextlib.suppress(BrokenPipeError):
            reader.stdin.close()
        assert done.stderr == b""
        assert done.returncode == 141

    @pytest.mark.parametrize(
        "arguments",
        [
            ("check", "driver", "--jobs", "0"),
            ("check", "driver", "--shard", "4/3"),
            ("check", "driver", "--level", "shall"),
            ("check", "driver", "--profile", "none"),
            ("check", "driver", "--timeout-scale", "nan"),
            ("check", "driver", "--suite-version", "x"),
            ("serve", "--port", "65536"),
            ("serve", "--host", ""),
            ("serve", "--delay", "-1"),
            ("serve", "--delay", "nan"),
            ("serve", "--key", ""),
            ("serve", "--key", "sk- 1"),
            ("serve", "--answer", ""),
            ("serve", "--model", ""),
            ("list", "contracts", "x"),
            ("check", "endpoint"),
            ("validate", "x"),
            (),
            ("check", "driver", "--jobs", "x"),
        ],
    )
    def test_a_number_out_of_range_is_a_usage_error(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(*arguments) == 2
        assert "usage:" in capsys.readouterr().err

    def test_a_terminal_that_cannot_show_a_letter_loses_no_answer(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "botticelli", "list", "cases"],
            env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_output_that_cannot_be_written_is_one_line(self) -> None:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "botticelli", "list", "cases"],
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
                timeout=60,
            )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--version") == 0
        assert capsys.readouterr().out.startswith("botticelli ")

    def test_an_unknown_command_is_a_usage_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("dance") == 2
        assert "usage:" in capsys.readouterr().err

"""The mock server on its own: a well-behaved server at /v1, every case under its path."""

from __future__ import annotations

import http.client
import io
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from botticelli.kit.cases.case import Case
from botticelli.kit.errors import KitError
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.server.demo import serve, serving
from botticelli.kit.server.recording import Recording
from botticelli.kit.server.server import Listener

CASE = Case(
    {
        "id": "retry-then-answer",
        "title": "Tries again",
        "level": "must",
        "side": "driver",
        "area": "retry",
        "source": ["constructed"],
        "provenance": "prose",
        "calls": [{"operation": "generate", "expect": [{"response": {}}]}],
        "exchanges": [
            {"status": 503, "framing": "length", "times": 2},
            {
                "status": 200,
                "headers": [["Content-Type", "application/json"]],
                "body": [{"message": {"content": "at last"}}],
            },
        ],
    }
)


def call(base: str, operation: str, **request: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hello"}]
    return {
        "case": "x-x",
        "operation": operation,
        "base_url": base,
        "api_key": None,
        "model": "m",
        "request": {"messages": messages, **request},
        "options": {},
        "last": True,
    }


def ask(origin: str, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    url = urlsplit(origin)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)
    connection.request(method, path, body)
    reply = connection.getresponse()
    told = json.loads(reply.read())
    connection.close()
    return reply.status, told


def test_v1_answers_whole_and_in_pieces() -> None:
    driver = ReferenceClient()
    with serving([]) as origin:
        whole = driver.exchange(call(f"{origin}/v1", "generate"))["response"]
        streamed = driver.exchange(call(f"{origin}/v1", "stream", stream_usage=True))["response"]
        models = driver.exchange({**call(f"{origin}/v1", "models"), "request": {}})["models"]
        plain = driver.exchange(call(f"{origin}/v1", "stream"))["response"]
    assert whole["choices"] == streamed["choices"]
    assert whole["choices"][0]["text"] == "Hello from the embedded server."
    assert len(streamed["chunks"]) > 1
    assert streamed["usage"]["completion_tokens"] == len(streamed["chunks"])
    assert plain["usage"] is None
    assert models == [whole["model"]]


def test_v1_refuses_what_is_wrong_as_a_server_would() -> None:
    with serving([]) as origin:
        assert ask(origin, "POST", "/v1/chat/completions", "{")[0] == 400
        status, told = ask(origin, "POST", "/v1/chat/completions", "{}")
        assert (status, told["error"]["message"]) == (400, "messages is missing")
        status, told = ask(origin, "GET", "/v2/models?x=1")
        assert status == 404
        assert told["error"]["message"] == "nothing at GET /v2/models; try /v1 or /CASE/v1"


def test_a_case_is_played_under_its_path_again_and_again() -> None:
    driver = ReferenceClient()
    with serving([CASE]) as origin:
        for _ in range(2):
            told = [driver.exchange(call(f"{origin}/retry-then-answer/v1", "generate")) for _ in "123"]
            assert [one.get("error", {}).get("status") for one in told] == [503, 503, None]
            assert told[2]["response"]["choices"][0]["text"] == "at last"


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(KitError, match=f"cannot listen on 127.0.0.1:{port}"),
            serving([], port=port),
        ):
            pass


def test_serve_says_where_and_ends_when_interrupted() -> None:
    out = io.StringIO()

    def interrupt() -> None:
        origin = out.getvalue().splitlines()[1].partition("/v1")[0]
        assert ask(origin, "GET", "/v1/models")[0] == 200
        raise KeyboardInterrupt

    serve([CASE], port=0, host="127.0.0.1", out=out, until=interrupt)
    head, echo, case, *_, last, _ = out.getvalue().split("\n")
    column = head.index("what answers there")
    assert (echo[:7], echo[column:]) == ("http://", "a well-behaved server with one model, botticelli/echo")
    assert case[:column].rstrip().endswith("/retry-then-answer/v1")
    assert case[column:] == "Tries again"
    assert "API key" in out.getvalue()
    assert last == ""


def test_serve_does_not_list_hundreds() -> None:
    out = io.StringIO()
    serve([CASE] * 21, port=0, host="127.0.0.1", out=out, until=lambda: None)
    assert "/CASE/v1  one of 21 cases; botticelli list cases names them\n" in out.getvalue()
    assert "Tries again" not in out.getvalue()


def test_serve_keeps_nothing_of_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = list[Recording]()
    finish = Listener.finish

    def noted(listener: Listener) -> Recording:
        finished.append(finish(listener))
        return finished[-1]

    monkeypatch.setattr(Listener, "finish", noted)
    with serving([]) as origin:
        assert ask(origin, "POST", "/v1/chat/completions", "{")[0] == 400
    assert finished == [Recording((), 1, ())]

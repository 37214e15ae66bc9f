"""The demo server: a well-behaved server at /v1, every case under its own path."""

from __future__ import annotations

import dataclasses
import http.client
import io
import json
import socket
from contextlib import closing
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from botticelli.kit.cases.case import Case
from botticelli.kit.cases.formats import OPENAI
from botticelli.kit.errors import KitError
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.server.chat import ChatServer
from botticelli.kit.server.demo import Log, serve, serving
from botticelli.kit.server.http1 import Limits
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
    answer = json.loads(reply.read())
    connection.close()
    return reply.status, answer


def ask_status(origin: str, path: str) -> int:
    url = urlsplit(origin)
    with closing(http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)) as connection:
        connection.request("POST", path, "{}")
        return connection.getresponse().status


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
    assert whole["model"] == "m", "any model is served under the name that was asked for"
    assert models == ["botticelli/echo"]


def test_v1_refuses_what_is_wrong_as_a_server_would() -> None:
    with serving([]) as origin:
        assert ask(origin, "POST", "/v1/chat/completions", "{")[0] == 400
        status, answer = ask(origin, "POST", "/v1/chat/completions", "{}")
        assert (status, answer["error"]["message"]) == (400, "you must provide a model parameter")
        status, answer = ask(origin, "GET", "/v2/models?x=1")
        assert status == 404
        assert answer["error"]["message"] == "nothing at GET /v2/models; try /v1 or /CASE/v1"


def test_a_case_is_played_under_its_path_again_and_again() -> None:
    driver = ReferenceClient()
    with serving([CASE]) as origin:
        for _ in range(2):
            outcomes = [driver.exchange(call(f"{origin}/retry-then-answer/v1", "generate")) for _ in "123"]
            assert [one.get("error", {}).get("status") for one in outcomes] == [503, 503, None]
            assert outcomes[2]["response"]["choices"][0]["text"] == "at last"


def test_a_case_is_served_under_its_key() -> None:
    other = Case(
        {**CASE.document, "exchanges": [{"status": 418, "framing": "length"}]},
        dataclasses.replace(OPENAI, name="other"),
    )
    with serving([CASE, other]) as origin:
        path = "/v1/chat/completions"
        statuses = [
            ask_status(origin, f"{start}{path}")
            for start in ("/other/retry-then-answer", "/retry-then-answer?x=/other/", "/retry-then-answer")
        ]
        assert statuses == [418, 503, 503]
        assert ask_status(origin, f"/retry-then-answer{path}") == 200, "each case counts by itself"
        assert ask_status(origin, f"/other{path}") == 404
    out = io.StringIO()
    serve([CASE, other], port=0, host="127.0.0.1", out=out, until=lambda: None)
    assert "/retry-then-answer/v1 " in out.getvalue()
    assert "/other/retry-then-answer/v1 " in out.getvalue()


def test_a_taken_port_is_an_error() -> None:
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


def exchange_bytes(origin: str, sent: bytes) -> bytes:
    """Send bytes and return everything up to the end of the connection."""
    url = urlsplit(origin)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as client:
        client.sendall(sent)
        data = b""
        while piece := client.recv(65536):
            data += piece
    return data


ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
LENGTH = b"Content-Length: %d\r\n\r\n" % len(ASKED)


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/retry-then-answer/v1/chat/completions"])
@pytest.mark.parametrize("option", [b"close", b"Keep-Alive, Close"])
def test_the_connection_is_closed_when_the_client_asks(path: bytes, option: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n" % (path, option)
    with serving([CASE]) as origin:
        answer = exchange_bytes(origin, head + LENGTH + ASKED)
    assert answer.startswith(b"HTTP/1.1 ")
    assert (b"\r\nConnection: close\r\n" in answer) == path.startswith(b"/v1")


def test_http_1_0_gets_no_chunks_and_an_end() -> None:
    with serving([]) as origin:
        answer = exchange_bytes(origin, b"POST /v1/chat/completions HTTP/1.0\r\n" + LENGTH + ASKED)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


def test_head_has_the_length_and_no_body() -> None:
    sent = b"%b /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving([]) as origin:
        head = exchange_bytes(origin, sent % b"HEAD")
        got = exchange_bytes(origin, sent % b"GET")
    assert head.endswith(b"\r\n\r\n")
    length = len(got.partition(b"\r\n\r\n")[2])
    assert b"\r\nContent-Length: %d\r\n" % length in head


def test_a_half_open_request_is_given_up() -> None:
    with serving([], limits=Limits(patience=0.05)) as origin:
        assert exchange_bytes(origin, b"POST / HTTP/1.1\r\n").startswith(b"HTTP/1.1 408 ")
        assert exchange_bytes(origin, b"POST / HTTP/1.1\r\nHost: x\r\n" + LENGTH).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving([], limits=Limits(idle=0.05)) as origin:
        assert exchange_bytes(origin, b"") == b""


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


def test_bodies_are_held_up_to_a_limit_and_then_let_go() -> None:
    with serving([], limits=Limits(held=len(ASKED))) as origin:
        url = urlsplit(origin)
        for _ in range(3):
            answer = exchange_bytes(origin, POST + LENGTH + ASKED)
            assert answer.startswith(b"HTTP/1.1 200 "), "what was answered is let go"
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as client:
            client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            assert exchange_bytes(origin, POST + LENGTH + ASKED).startswith(b"HTTP/1.1 503 ")
            client.sendall(b"x")
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
        assert exchange_bytes(origin, POST + LENGTH + ASKED).startswith(b"HTTP/1.1 200 ")
        chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ASKED)
        assert exchange_bytes(origin, POST + chunk + ASKED + b"\r\n1\r\nx").startswith(b"HTTP/1.1 503 ")
        assert exchange_bytes(origin, POST + LENGTH + ASKED).startswith(b"HTTP/1.1 200 "), "so is the refused"


NOTHING = Case({**CASE.document, "id": "plays-nothing", "exchanges": []})


def test_a_case_that_plays_nothing_is_not_served_and_said_so() -> None:
    out = io.StringIO()
    serve([CASE, NOTHING], port=0, host="127.0.0.1", out=out, until=lambda: None)
    assert "/plays-nothing/v1" not in out.getvalue()
    assert "Not served, because they play nothing: plays-nothing.\n" in out.getvalue()
    with serving([NOTHING]) as origin:
        assert ask_status(origin, "/plays-nothing/v1/chat/completions") == 404
    with pytest.raises(KitError, match="in plays-nothing a client finds no server"):
        serve([NOTHING], port=0, host="127.0.0.1", out=out, until=lambda: None)


def test_every_request_is_a_line_of_the_log() -> None:
    out = io.StringIO()

    def visit() -> None:
        origin = out.getvalue().splitlines()[1].partition("/v1")[0]
        ask(origin, "GET", "/v1/models?key=sk-secret")
        ask(origin, "POST", "/v1/chat/completions", '{"model": "m", "\\u001b[31m\\n": 1}')
        ask_status(origin, "/retry-then-answer/v1/chat/completions")
        exchange_bytes(origin, b"nonsense\r\n\r\n")

    serve([CASE], port=0, host="127.0.0.1", out=out, until=visit, logs=True)
    lines = [line.partition(" ") for line in out.getvalue().partition("Ctrl-C ends it.\n")[2].splitlines()]
    assert [rest for _, _, rest in lines] == [
        "GET /v1/models 200",
        "POST /v1/chat/completions 400 (Unknown parameter: '\\x1b[31m\\n'.)",
        "POST /retry-then-answer/v1/chat/completions 503",
        "not a request 400 Bad Request",
    ]
    assert all(datetime.fromisoformat(moment) for moment, _, _ in lines)


def test_without_log_nothing_is_written_while_it_serves() -> None:
    out = io.StringIO()

    def visit() -> None:
        ask(out.getvalue().splitlines()[1].partition("/v1")[0], "GET", "/v1/models")

    serve([], port=0, host="127.0.0.1", out=out, until=visit)
    assert out.getvalue().endswith("Ctrl-C ends it.\n")


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_log_that_nobody_reads_ends_the_server() -> None:
    log = Log(Broken())
    with serving([], log=log) as origin:
        assert ask(origin, "GET", "/v1/models")[0] == 200
        assert ask(origin, "GET", "/v1/models")[0] == 200
        with pytest.raises(BrokenPipeError):
            log.wait()


def test_serve_says_what_it_accepts() -> None:
    out = io.StringIO()
    chat = ChatServer(key="sk-secret", models=["a", "b"])
    serve([], port=0, host="127.0.0.1", out=out, until=lambda: None, chat=chat)
    assert "a well-behaved server with 2 models, a, b\n" in out.getvalue()
    assert "only the API key of --key, and no other model name." in out.getvalue()
    assert "sk-secret" not in out.getvalue() + repr(chat)

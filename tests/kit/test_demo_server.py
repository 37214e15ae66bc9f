"""The demo server: a well-behaved server at /v1, every case under its own path."""

from __future__ import annotations

import dataclasses
import http.client
import io
import json
import socket
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from botticelli.contracts import violations
from botticelli.kit.cases.case import Case
from botticelli.kit.cases.formats import OPENAI
from botticelli.kit.errors import KitError
from botticelli.kit.selftest.reference_client import ReferenceClient
from botticelli.kit.server.demo import TEXT, demo_answer, serve, serving
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
    assert models == [whole["model"]]


def test_v1_refuses_what_is_wrong_as_a_server_would() -> None:
    with serving([]) as origin:
        assert ask(origin, "POST", "/v1/chat/completions", "{")[0] == 400
        status, answer = ask(origin, "POST", "/v1/chat/completions", "{}")
        assert (status, answer["error"]["message"]) == (400, "messages is missing")
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


USER = {"role": "user", "content": "Hello"}
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "kelvin"]},
        "days": {"type": "integer"},
        "where": {"type": "object", "properties": {"id": {"type": "number"}}, "required": ["id"]},
        "free": {"type": "string"},
    },
    "required": ["city", "unit", "days", "where"],
}
INSTANCE = {"city": "city", "unit": "celsius", "days": 0, "where": {"id": 0}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


def reply_to(**members: Any) -> dict[str, Any]:
    return demo_answer("POST", "/v1/chat/completions", json.dumps({"messages": [USER], **members}).encode())


def whole(**members: Any) -> dict[str, Any]:
    exchange = reply_to(**members)
    value = exchange["body"][0]["json"]
    assert exchange["status"] == 200
    assert violations("openai/response", value) == []
    return dict(value["choices"][0])


def events(**members: Any) -> list[dict[str, Any]]:
    exchange = reply_to(stream=True, **members)
    values = [piece["event"] for piece in exchange["body"]]
    assert values.pop() == "[DONE]"
    assert [violations("openai/chunk", value) for value in values] == [[]] * len(values)
    return values


def deltas(**members: Any) -> list[dict[str, Any]]:
    return [choice["delta"] for event in events(**members) for choice in event["choices"]]


def test_text_whole_and_in_pieces() -> None:
    assert whole()["message"]["content"] == TEXT
    assert "".join(delta.get("content", "") for delta in deltas()) == TEXT
    assert len(deltas()) > 4


def test_usage_in_a_stream_only_when_asked() -> None:
    assert not any("usage" in event for event in events())
    asked = events(stream_options={"include_usage": True})
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == len(TEXT.split())


def test_a_tool_is_called_with_arguments_that_keep_its_schema() -> None:
    choice = whole(tools=[TOOL])
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == INSTANCE
    (piece,) = [piece for delta in deltas(tools=[TOOL]) for piece in delta.get("tool_calls", ())]
    assert piece == {"index": 0, **call}


@pytest.mark.parametrize(
    "members",
    [
        {"tool_choice": "none"},
        {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "sunny"}]},
    ],
    ids=["none", "answered"],
)
def test_no_tool_is_called_where_none_should_be(members: dict[str, Any]) -> None:
    assert whole(tools=[TOOL], **members)["message"]["content"] == TEXT


def test_a_schema_is_kept() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert json.loads(whole(response_format=form)["message"]["content"]) == INSTANCE
    assert whole(response_format={"type": "json_object"})["message"]["content"] == "{}"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/chat/completions", b"", 404),
        ("POST", "/chat/completions", b"{}", 404),
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"messages":[]}', 400),
        ("POST", "/v1/chat/completions", b'{"messages":"hi"}', 400),
    ],
)
def test_what_is_wrong_is_refused_in_the_published_envelope(
    method: str, path: str, body: bytes, status: int
) -> None:
    exchange = demo_answer(method, path, body)
    assert exchange["status"] == status
    assert violations("openai/error", exchange["body"][0]["json"]) == []


def test_the_models_keep_the_contract() -> None:
    assert violations("openai/model-list", demo_answer("GET", "/v1/models?x=1", b"")["body"][0]["json"]) == []

"""The well-behaved server keeps the contract, whatever it is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from botticelli.contracts import violations
from botticelli.kit.server.echo import TEXT, answer

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


def ask(**members: Any) -> dict[str, Any]:
    return answer("POST", "/v1/chat/completions", json.dumps({"messages": [USER], **members}).encode())


def whole(**members: Any) -> dict[str, Any]:
    exchange = ask(**members)
    value = exchange["body"][0]["json"]
    assert exchange["status"] == 200
    assert violations("openai/response", value) == []
    return dict(value["choices"][0])


def events(**members: Any) -> list[dict[str, Any]]:
    exchange = ask(stream=True, **members)
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
    exchange = answer(method, path, body)
    assert exchange["status"] == status
    assert violations("openai/error", exchange["body"][0]["json"]) == []


def test_the_models_keep_the_contract() -> None:
    assert violations("openai/model-list", answer("GET", "/v1/models?x=1", b"")["body"][0]["json"]) == []

"""The well-behaved server: what it answers, what it refuses, and that it does one or the other always."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botticelli.contracts import violations
from botticelli.contracts.jsonvalue import as_object
from botticelli.kit.cases.formats import OPENAI, Context
from botticelli.kit.cases.script import Pause, compile_exchange
from botticelli.kit.server.chat import MODEL, TEXT, ChatServer
from botticelli.kit.server.recording import Request
from botticelli.kit.strategies import instances, json_values, mutations

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Hello, answer with json"}
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
OTHER = {"type": "function", "function": {"name": "clock"}}
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "sunny"}
ANSWERED = [USER, {"role": "assistant", "tool_calls": [CALL]}, RESULT]
BAD_SCHEMA = {"type": "object", "required": 5}
ENDLESS = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}


def ask(
    server: ChatServer | None = None,
    *,
    method: str = "POST",
    path: str = CHAT,
    body: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    return (server or ChatServer()).answer(Request(method, path, headers, body))


def reply_to(server: ChatServer | None = None, **members: Any) -> dict[str, Any]:
    request = {"model": "m", "messages": [USER], **members}
    assert violations("openai/request", request) == []
    return ask(server, body=json.dumps(request).encode())


def answer(server: ChatServer | None = None, **members: Any) -> dict[str, Any]:
    exchange = reply_to(server, **members)
    value = exchange["body"][0]["json"]
    assert exchange["status"] == 200, value
    assert violations("openai/response", value) == []
    return dict(value)


def whole(**members: Any) -> dict[str, Any]:
    return dict(answer(**members)["choices"][0])


def events(server: ChatServer | None = None, **members: Any) -> list[dict[str, Any]]:
    exchange = reply_to(server, stream=True, **members)
    values = [piece["event"] for piece in exchange["body"] if "event" in piece]
    assert values.pop() == "[DONE]"
    assert [violations("openai/chunk", value) for value in values] == [[]] * len(values)
    return values


def together(**members: Any) -> dict[str, Any]:
    """Put the first choice of a stream together."""
    message: dict[str, Any] = {"content": "", "tool_calls": []}
    choice: dict[str, Any] = {"message": message, "finish_reason": None, "logprobs": []}
    for event in events(**members):
        for part in event["choices"]:
            if part["index"] != 0:
                continue
            message["content"] += part["delta"].get("content") or ""
            choice["logprobs"] += as_object(part.get("logprobs")).get("content") or []
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
            for call in part["delta"].get("tool_calls", ()):
                if "id" in call:
                    message["tool_calls"].append(json.loads(json.dumps(call)))
                else:
                    arguments = call["function"]["arguments"]
                    message["tool_calls"][call["index"]]["function"]["arguments"] += arguments
    return choice


def called(choice: dict[str, Any]) -> list[tuple[str, Any]]:
    calls = [call["function"] for call in choice["message"].get("tool_calls", ())]
    return [(call["name"], json.loads(call["arguments"])) for call in calls]


def test_text_whole_and_in_pieces() -> None:
    assert whole()["message"]["content"] == TEXT
    assert together()["message"]["content"] == TEXT
    assert len(events()) > 4
    assert answer(ChatServer(text="My own."))["choices"][0]["message"]["content"] == "My own."


def test_usage_in_a_stream_only_when_asked() -> None:
    assert not any("usage" in event for event in events())
    *others, last = events(stream_options={"include_usage": True})
    assert [event["usage"] for event in others] == [None] * len(others)
    assert last["choices"] == []
    assert last["usage"] == answer()["usage"]
    assert last["usage"]["completion_tokens"] == len(TEXT.split())


def test_one_id_in_a_stream_and_another_in_the_next_answer() -> None:
    streams = [{event["id"] for event in events()} for _ in range(2)]
    assert [len(ids) for ids in streams] == [1, 1]
    assert len(streams[0] | streams[1] | {answer()["id"], answer()["id"]}) == 4
    ids = {whole(tools=[TOOL])["message"]["tool_calls"][0]["id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize("play", [whole, together], ids=["whole", "stream"])
class TestBoth:
    def test_a_tool_is_called_with_arguments_that_keep_its_schema(self, play: Any) -> None:
        choice = play(tools=[TOOL, OTHER])
        assert choice["finish_reason"] == "tool_calls"
        assert called(choice) == [("weather", INSTANCE)]
        assert not choice["message"]["content"]
        assert choice["message"]["tool_calls"][0]["id"].startswith("call_")

    @pytest.mark.parametrize(
        ("choice", "name"),
        [
            ({"type": "function", "function": {"name": "clock"}}, "clock"),
            ("required", "weather"),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}},
                "clock",
            ),
        ],
        ids=["named", "required", "allowed"],
    )
    def test_a_tool_that_must_be_called_is_called(self, play: Any, choice: Any, name: str) -> None:
        for messages in ([USER], ANSWERED):
            played = play(tools=[TOOL, OTHER], tool_choice=choice, messages=messages)
            assert [called for called, _ in called(played)] == [name]

    @pytest.mark.parametrize(
        "members",
        [
            {"tool_choice": "none"},
            {"messages": ANSWERED},
            {"messages": ANSWERED, "tool_choice": "auto"},
            {
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OTHER]}},
                "messages": ANSWERED,
            },
        ],
        ids=["none", "answered", "auto", "allowed"],
    )
    def test_no_tool_is_called_where_none_should_be(self, play: Any, members: dict[str, Any]) -> None:
        choice = play(tools=[TOOL, OTHER], **members)
        assert called(choice) == []
        assert (choice["message"]["content"], choice["finish_reason"]) == (TEXT, "stop")

    def test_a_schema_is_kept(self, play: Any) -> None:
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
        assert json.loads(play(response_format=form)["message"]["content"]) == INSTANCE
        assert play(response_format={"type": "json_object"})["message"]["content"] == "{}"
        assert play(response_format={"type": "text"})["message"]["content"] == TEXT

    @pytest.mark.parametrize(
        ("stop", "text"),
        [
            ("embedded", "Hello from the "),
            (["nowhere", "from the", "embedded"], "Hello "),
            ("Hello", ""),
            ("nowhere", TEXT),
            (["r.", "the emb"], "Hello from "),
            (None, TEXT),
        ],
    )
    def test_nothing_comes_from_the_first_stop_sequence_on(self, play: Any, stop: Any, text: str) -> None:
        choice = play(stop=stop)
        assert (choice["message"]["content"], choice["finish_reason"]) == (text, "stop")

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    def test_no_more_tokens_than_allowed(self, play: Any, name: str) -> None:
        cut, enough = play(**{name: 2}), play(**{name: len(TEXT.split())})
        assert (cut["message"]["content"], cut["finish_reason"]) == ("Hello from", "length")
        assert (enough["message"]["content"], enough["finish_reason"]) == (TEXT, "stop")
        stopped = play(**{name: 3}, stop=" the")
        assert (stopped["message"]["content"], stopped["finish_reason"]) == ("Hello from", "stop")
        arguments = play(**{name: 1}, tools=[TOOL])
        assert arguments["finish_reason"] == "length"
        assert arguments["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":'

    def test_log_probabilities_are_those_of_the_words(self, play: Any) -> None:
        told: Any = play(logprobs=True, top_logprobs=2)["logprobs"]
        entries: list[dict[str, Any]] = told if play is together else told["content"]
        assert "".join(entry["token"] for entry in entries) == TEXT
        assert bytes(byte for entry in entries for byte in entry["bytes"]) == TEXT.encode()
        assert {entry["logprob"] for entry in entries} == {0.0}
        assert [entry["top_logprobs"][0]["token"] for entry in entries] == [e["token"] for e in entries]
        assert not play()["logprobs"]


def test_as_many_choices_as_asked_for() -> None:
    several = answer(n=3, tools=[TOOL])
    assert [choice["index"] for choice in several["choices"]] == [0, 1, 2]
    assert len({choice["message"]["tool_calls"][0]["id"] for choice in several["choices"]}) == 3
    assert several["usage"]["completion_tokens"] == 3 * answer(tools=[TOOL])["usage"]["completion_tokens"]
    texts = {0: "", 1: ""}
    ends: list[tuple[int, str]] = []
    for event in events(n=2):
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
            ends += [(choice["index"], choice["finish_reason"])] if choice["finish_reason"] else []
    assert texts == {0: TEXT, 1: TEXT}
    assert ends == [(0, "stop"), (1, "stop")]


def test_a_long_answer_has_a_bounded_number_of_chunks() -> None:
    body = reply_to(ChatServer(text="word " * 50_000), stream=True, n=2)["body"]
    assert 1_000 < len(body) < 25_000
    first = [event["event"]["choices"][0] for event in body[:-1]]
    texts = [choice["delta"].get("content", "") for choice in first if choice["index"] == 0]
    assert "".join(texts) == "word " * 50_000


def test_a_delay_is_between_the_chunks() -> None:
    exchange = reply_to(ChatServer(delay=0.25), stream=True)
    steps = compile_exchange(exchange, Context(OPENAI, "", MODEL), datetime.now(UTC)).steps
    written = [index for index, step in enumerate(steps) if isinstance(step, bytes) and b"data: " in step]
    pauses = [index for index, step in enumerate(steps) if step == Pause(0.25)]
    assert pauses == [index + 1 for index in written[:-1]]


def test_models_are_listed_and_found_by_name() -> None:
    listed = ask(method="GET", path="/v1/models?x=1")["body"][0]["json"]
    assert violations("openai/model-list", listed) == []
    assert [model["id"] for model in listed["data"]] == [MODEL]
    for path in ("/v1/models/botticelli/echo", "/v1/models/botticelli%2Fecho?x=1"):
        assert ask(method="GET", path=path)["body"][0]["json"] == listed["data"][0]
    assert ask(method="GET", path="/v1/models/other")["body"][0]["json"]["id"] == "other"
    assert answer(model="other/name")["model"] == "other/name"


def test_named_models_are_the_only_ones() -> None:
    server = ChatServer(models=["a/b", "c"])
    listed = ask(server, method="GET", path="/v1/models")["body"][0]["json"]
    assert [model["id"] for model in listed["data"]] == ["a/b", "c"]
    assert answer(server, model="c")["model"] == "c"
    assert ask(server, method="GET", path="/v1/models/a%2Fb")["status"] == 200
    for exchange in (reply_to(server), ask(server, method="GET", path="/v1/models/m")):
        assert refused(exchange)[:3] == (404, "model", "model_not_found")


def refused(exchange: dict[str, Any]) -> tuple[int, str | None, str | None, str]:
    """Return the status, the param, the code and the message of a refusal, after checking its form."""
    body = exchange["body"][0]["json"]
    assert violations("openai/error", body) == []
    error = body["error"]
    assert error["type"] == "invalid_request_error"
    return exchange["status"], error["param"], error["code"], error["message"]


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"model": None}, None, None),
        ({"model": 5}, "model", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": [5]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [USER, RESULT]}, "messages[1].role", None),
        ({"messages": ANSWERED[:2]}, "messages[1]", None),
        ({"messages": [*ANSWERED[:2], USER]}, "messages[1]", None),
        ({"messages": [*ANSWERED, RESULT]}, "messages[3].role", None),
        ({"temperature": 9}, "temperature", "decimal_above_max_value"),
        ({"temperature": -1}, "temperature", "decimal_below_min_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"max_tokens": -5}, "max_tokens", "integer_below_min_value"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "integer_below_min_value"),
        ({"max_tokens": "many"}, "max_tokens", "invalid_type"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "invalid_parameter_combination"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"stop": list("abcde")}, "stop", "array_above_max_length"),
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream": "yes", "stream_options": {}}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"top_logprobs": 2}, "top_logprobs", None),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", None),
        ({"tools": 5}, "tools", "invalid_type"),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type", "unsupported_value"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        (
            {"modalities": ["audio"], "audio": {"voice": "x", "format": "wav"}},
            "audio",
            "unsupported_parameter",
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "clock"}}},
            "tool_choice",
            "invalid_value",
        ),
        (
            {"tools": [TOOL, {"type": "function", "function": {"name": "f", "parameters": BAD_SCHEMA}}]},
            "tools[1].function.parameters",
            "invalid_function_parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": ENDLESS}}]},
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": BAD_SCHEMA}}},
            "response_format",
            None,
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": ENDLESS}}},
            "response_format",
            None,
        ),
        (
            {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "Hi"}]},
            "messages",
            None,
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_what_openai_refuses_is_refused(members: dict[str, Any], param: str | None, code: str | None) -> None:
    request = {"model": "m", "messages": [USER], **members}
    request = {name: value for name, value in request.items() if value is not None}
    status, found_param, found_code, message = refused(ask(body=json.dumps(request).encode()))
    assert (status, found_param, found_code) == (400, param, code), message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"model": NaN}',
        b"\xff",
        b'{"a": "\\ud800"}',
        b"{} {}",
        b"[" * 200_000,
        b'{"a":' * 200_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    status, param, code, message = refused(ask(body=body))
    assert (status, param, code) == (400, None, None)
    assert "JSON body" in message
    assert "Recursion" not in message


def test_a_key_that_occurs_twice_is_json() -> None:
    body = json.dumps({"model": "m", "messages": [USER]}).replace('"model"', '"model": "x", "model"')
    assert ask(body=body.encode())["body"][0]["json"]["model"] == "m"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", CHAT, 405, "POST"),
        ("DELETE", "/v1/models", 405, "GET, HEAD"),
        ("POST", "/v1/models/botticelli/echo", 405, "GET, HEAD"),
        ("POST", "/chat/completions", 404, None),
        ("GET", "/v1/models/", 404, None),
        ("GET", "/", 404, None),
        ("OPTIONS", "*", 404, None),
    ],
)
def test_wrong_paths_and_methods(method: str, path: str, status: int, allow: str | None) -> None:
    exchange = ask(method=method, path=path, body=b"{}")
    assert refused(exchange)[0] == status
    assert dict(exchange["headers"]).get("Allow") == allow


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, None),
        ("Bearer ", 401, None),
        ("Basic sk-right", 401, None),
        ("Bearer sk-wrong", 401, "invalid_api_key"),
        ("Bearer sk-right\xe9", 401, "invalid_api_key"),
        ("Bearer sk-right", 200, None),
        ("bearer  sk-right", 200, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_key_is_asked_for_if_there_is_one(
    method: str, header: str | None, status: int, code: str | None
) -> None:
    body = json.dumps({"model": "m", "messages": [USER]}).encode()
    exchange = ask(
        ChatServer(key="sk-right"),
        method=method,
        path=CHAT if method == "POST" else "/v1/models",
        body=body,
        headers=(("Authorization", header),) if header is not None else (),
    )
    assert exchange["status"] == status
    if status == 401:
        assert refused(exchange)[1:3] == (None, code)
        assert "sk-" not in json.dumps(exchange)
        assert dict(exchange["headers"])["WWW-Authenticate"].startswith("Bearer ")


def test_every_answer_has_a_date_and_an_id_of_its_own() -> None:
    exchanges = [reply_to(), reply_to(stream=True), ask(body=b"{"), ask(method="GET", path="/v1/models")]
    heads = [dict(exchange["headers"]) for exchange in exchanges]
    assert len({head["x-request-id"] for head in heads}) == len(heads)
    assert all(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", head["Date"]) for head in heads)


def holds(exchange: dict[str, Any]) -> None:
    """Check that an exchange can be played and is an answer or a refusal that keeps its contract."""
    compile_exchange(exchange, Context(OPENAI, "", MODEL), datetime.now(UTC))
    assert exchange["status"] in (200, 400)
    for piece in exchange["body"]:
        if "event" in piece:
            assert piece["event"] == "[DONE]" or violations("openai/chunk", piece["event"]) == []
        elif exchange["status"] == 200:
            assert violations("openai/response", piece["json"]) == []
        else:
            refused(exchange)


@given(json_values() | instances("openai/request") | mutations("openai/request"))
@settings(max_examples=100, deadline=None)
def test_any_json_is_answered_or_refused(value: Any) -> None:
    holds(ask(body=json.dumps(value).encode()))


SCHEMA_WORDS = [
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "items",
    "anyOf",
    "$ref",
    "pattern",
    "minItems",
]


@given(
    st.dictionaries(st.sampled_from(SCHEMA_WORDS), json_values() | st.just("#") | st.just("string"))
    | st.recursive(json_values(), lambda inner: st.dictionaries(st.sampled_from(SCHEMA_WORDS), inner)).filter(
        lambda value: isinstance(value, dict)
    ),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_schema_is_kept_or_refused(schema: Any, stream: bool) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    for members in ({"response_format": form}, {"tools": [tool]}):
        request = {"model": "m", "messages": [USER], "stream": stream, **members}
        holds(ask(body=json.dumps(request).encode()))

"""Our adapters to the judge; the judge itself uses them in `tests/conformance`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from botticelli import AsyncHuggingFaceDriver, GenerateRequest, HuggingFaceDriver, NamedTool
from botticelli.drivers.conformance import AsyncChatAdapter, ChatAdapter, Inexpressible, request_of

from .conftest import STREAM_HEAD, TOKEN, Server, answer, error, event, framed, http, stream

Serve = Callable[..., Server]

SYNC, ASYNC = "sync", "async"


class Judge:
    """Either door, from an async test."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.door: Any = (
            ChatAdapter(HuggingFaceDriver) if kind == SYNC else AsyncChatAdapter(AsyncHuggingFaceDriver)
        )

    async def __call__(self, server: Server, operation: str, **members: Any) -> dict[str, Any]:
        call = {
            "case": "a-case",
            "operation": operation,
            "base_url": server.url,
            "api_key": TOKEN,
            "model": "test/model",
            "request": {} if operation == "models" else {"messages": [{"role": "user", "content": "Hello"}]},
            "options": {"max_retries": 0},
            "last": True,
            **members,
        }
        found: dict[str, Any]
        if self.kind == SYNC:
            found = await anyio.to_thread.run_sync(self.door.exchange, call)
        else:
            found = await self.door.exchange(call)
        return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=[SYNC, ASYNC])
def judge(request: pytest.FixtureRequest) -> Judge:
    return Judge(str(request.param))


pytestmark = pytest.mark.anyio


async def test_a_whole_answer(judge: Judge, serve: Serve) -> None:
    server = serve(answer("Hi", headers=(("x-request-id", "r1"), ("x-ratelimit-remaining-requests", "4"))))
    assert await judge(server, "generate") == {
        "response": {
            "choices": [
                {
                    "index": 0,
                    "text": "Hi",
                    "reasoning": None,
                    "refusal": None,
                    "finish_reason": "stop",
                    "finish_reason_raw": "stop",
                    "tool_calls": [],
                    "content": [{"type": "text", "text": "Hi"}],
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            "id": "c1",
            "model": "m",
            "request_id": "r1",
            "inference_provider": None,
            "rate_limits": {"requests": {"limit": None, "remaining": 4, "reset": None}, "tokens": None},
            "deviations": [],
        }
    }


async def test_a_stream(judge: Judge, serve: Serve) -> None:
    response = (await judge(serve(stream("He", "llo")), "stream"))["response"]
    assert response["choices"][0]["text"] == "Hello"
    assert (response["chunks"], response["final_chunks"]) == (["He", "llo"], 1)


async def test_models(judge: Judge, serve: Serve) -> None:
    server = serve(http('{"object": "list", "data": [{"id": "a", "object": "model"}, {"id": "b"}]}'))
    assert await judge(server, "models") == {"models": ["a", "b"]}


async def test_an_error(judge: Judge, serve: Serve) -> None:
    server = serve(error(429, "slowly", code="c", headers=(("Retry-After", "9"),)))
    told = (await judge(server, "generate"))["error"]
    expected = {"kind": "rate_limit", "status": 429, "code": "c", "message": "slowly", "retry_after": 9}
    assert told == told | expected | {"attempts": 1, "partial": None, "phase": None, "cause_kind": None}


async def test_a_broken_stream(judge: Judge, serve: Serve) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    outcome = await judge(server, "stream", options={"max_retries": 0, "timeouts": {"idle": 0.1}})
    assert outcome["partial_chunks"] == ["Hi"]
    assert (outcome["error"]["kind"], outcome["error"]["phase"]) == ("timeout", "idle")
    (choice,) = outcome["error"]["partial"]["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("Hi", None)


async def test_what_never_reached_the_network(judge: Judge, serve: Serve) -> None:
    server = serve(answer())
    outcome = await judge(server, "generate", request={"messages": []})
    assert (outcome["error"]["kind"], outcome["error"]["attempts"]) == ("request", 0)
    outcome = await judge(server, "generate", api_key="a b")
    assert (outcome["error"]["kind"], outcome["error"]["attempts"]) == ("configuration", 0)
    assert server.connections == 0


@pytest.mark.parametrize("chunks", [0, 1])
async def test_leaving_a_stream(judge: Judge, serve: Serve, chunks: int) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    outcome = await judge(server, "stream", cancel_after={"chunks": chunks})
    assert outcome == {"cancelled": True, "partial_chunks": ["Hi"][:chunks]}
    assert await anyio.to_thread.run_sync(server.left.wait, 5)


async def test_a_stream_that_ends_before_it_would_be_left(judge: Judge, serve: Serve) -> None:
    assert "response" in await judge(serve(stream("Hi")), "stream", cancel_after={"chunks": 9})


async def test_cancelling(judge: Judge, serve: Serve) -> None:
    server = serve("hold")
    outcome = await judge(server, "generate", cancel_after={"seconds": 0.1})
    if judge.kind == SYNC:
        assert "cancel_any_time" not in judge.door.capabilities
        assert list(outcome) == ["unsupported"]
    else:
        assert "cancel_any_time" in judge.door.capabilities
        assert outcome == {"cancelled": True, "partial_chunks": []}
        assert await anyio.to_thread.run_sync(server.left.wait, 5)


async def test_one_driver_serves_a_case(judge: Judge, serve: Serve) -> None:
    server = serve(answer())
    for last in (False, False, True):
        await judge(server, "generate", last=last)
    assert (len(server.requests), server.connections) == (3, 1)
    await judge(server, "generate", last=False)
    assert server.connections == 2
    closing = judge.door.close()
    if judge.kind == ASYNC:
        await closing
    assert not server.open_connections or await _emptied(server)


async def _emptied(server: Server) -> bool:
    with anyio.fail_after(5):
        while server.open_connections:  # noqa: ASYNC110 -- a thread's set has no event
            await anyio.sleep(0.01)
    return True


async def test_options_reach_the_driver(judge: Judge, serve: Serve) -> None:
    server = serve(error(503), answer())
    options = {"max_retries": 1, "backoff": 0.001, "headers": {"x-a": "b"}}
    assert "response" in await judge(server, "generate", options=options)
    assert server.requests[1].headers["x-a"] == "b"


async def test_without_a_key(judge: Judge, serve: Serve) -> None:
    server = serve(answer())
    await judge(server, "generate", api_key=None)
    assert "authorization" not in server.requests[0].headers


async def test_a_crash_is_not_hidden(judge: Judge, serve: Serve) -> None:
    with pytest.raises(KeyError):
        await judge(serve(answer()), "generate", request={"messages": [{"content": "no role"}]})


PDF = "data:application/pdf;base64,QUJD"
REQUEST: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "Ann",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning_content": "hm",
            "refusal": "no",
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "signature": "s",
                },
                {"id": "2", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ],
    "max_tokens": 5,
    "temperature": 0.0,
    "stop": ["a", "b"],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "logit_bias": {"5": 1},
}


async def test_a_request_arrives_as_it_was(judge: Judge, serve: Serve) -> None:
    server = serve(answer())
    await judge(server, "generate", request={**REQUEST, "extra": {"top_k": 3}})
    assert server.requests[0].json == {"model": "test/model", **REQUEST, "top_k": 3}


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"type": "custom", "custom": {"name": "g"}}]},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
        {"tool_choice": "required", "response_format": {"type": "json_object"}},
    ],
)
async def test_what_has_no_word_of_ours_passes_through(
    judge: Judge, serve: Serve, members: dict[str, Any]
) -> None:
    server = serve(answer())
    request = {"messages": [{"role": "user", "content": "Hello"}], **members}
    await judge(server, "generate", request=request)
    assert server.requests[0].json == {"model": "test/model", **request}


async def test_what_cant_be_expressed(judge: Judge, serve: Serve) -> None:
    part = {"type": "file", "file": {"file_id": "f-1"}}
    request = {"messages": [{"role": "user", "content": [part]}]}
    assert "file" in (await judge(serve(answer()), "generate", request=request))["unsupported"]
    with pytest.raises(Inexpressible):
        request_of(request)


async def test_the_members_that_need_translating() -> None:
    request = request_of({"messages": [], "tool_choice": REQUEST["tool_choice"], "stream_usage": True})
    assert isinstance(request, GenerateRequest)
    assert request.tool_choice == NamedTool("f")
    assert request.stream_usage


async def test_the_door_is_no_part_of_the_judge() -> None:
    code = (
        "import sys, botticelli.drivers.conformance; print([m for m in sys.modules if m == 'botticelli.kit'])"
    )
    done = await anyio.run_process([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert done.stdout.strip() == b"[]"

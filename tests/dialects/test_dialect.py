"""The OpenAI dialect as drivers use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from botticelli import (
    Capabilities,
    GenerateRequest,
    Message,
    RateLimitError,
    RequestError,
    StreamError,
    Usage,
)
from botticelli.dialects.dialect import CallContext, Dialect
from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.protocol.http import HttpRequest, ResponseHead

DIALECT: Dialect = OpenAIDialect()
ASK = GenerateRequest(messages=[Message.user("Hi")], max_tokens=5)
ANSWER = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"usage": 5}', b'{"usage": null}', b"{}", b"\xff", b"[" * 9999]
)
def test_what_tells_no_usage(body: bytes) -> None:
    assert DIALECT.usage(body) is None


def test_what_tells_usage() -> None:
    assert DIALECT.usage(
        b'{"a": 1, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}'
    ) == (Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7))


def test_its_name_is_that_of_its_folders() -> None:
    root = Path(__file__).resolve().parents[2]
    for folder in ("botticelli/dialects", "contracts", "contracts/wire", "fixtures/cases"):
        assert (root / folder / DIALECT.name).is_dir()
    assert DIALECT.capabilities == Capabilities()


@pytest.mark.parametrize(("stream", "accept"), [(False, "application/json"), (True, "text/event-stream")])
def test_a_request(stream: bool, accept: str) -> None:
    asked = OpenAIDialect(max_tokens_field="max_completion_tokens").chat(
        ASK, model="m", stream=stream, read_media=str.encode
    )
    assert (asked.method, asked.path) == ("POST", "/chat/completions")
    assert asked.headers == {"accept": accept, "content-type": "application/json"}
    body = json.loads(asked.body or b"")
    assert body["max_completion_tokens"] == 5
    assert body.get("stream", False) is stream


def test_what_is_no_request_is_refused() -> None:
    wrong: Any = {"messages": []}
    with pytest.raises(RequestError, match="must be a GenerateRequest, not dict"):
        DIALECT.chat(wrong, model="m", stream=False, read_media=str.encode)


def test_a_whole_answer_and_back() -> None:
    response = DIALECT.response(ResponseHead(), ANSWER, CallContext())
    again = DIALECT.response(ResponseHead(), DIALECT.encode_response(response), CallContext())
    assert [choice.text for choice in again.choices] == ["Hi"]
    assert "choices-fewer" in [
        it.code for it in DIALECT.response(ResponseHead(), ANSWER, CallContext(n=2)).deviations
    ]


def test_an_error_in_an_answer_hides_the_secrets() -> None:
    context = CallContext(model="m", find_secrets=lambda: ("Canary-secret",))
    with pytest.raises(StreamError) as caught:
        DIALECT.response(ResponseHead(), b'{"error": {"message": "bad Canary-secret"}}', context)
    assert caught.value.message == "bad [redacted]"
    assert "Canary" not in repr(context)


def test_a_stream() -> None:
    reader = DIALECT.stream(ResponseHead(), CallContext())
    event = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    chunks = [*reader.feed(event), *reader.feed(b"data: [DONE]\n\n"), *reader.finish()]
    assert "".join(chunk.text for chunk in chunks) == "Hi"
    assert [chunk.is_final for chunk in chunks] == [False, True]
    assert reader.ended


def test_an_error_status() -> None:
    head = ResponseHead(status=429, headers={"retry-after": "7"})
    error = DIALECT.error(head, b"{}", CallContext(model="m", hints={"rate_limit": "wait"}))
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.hint) == (7, "wait")


def test_a_model_list() -> None:
    assert DIALECT.models() == HttpRequest(
        method="GET", path="/models", headers={"accept": "application/json"}
    )
    page = DIALECT.model_page(ResponseHead(), b'{"object":"list","data":[{"id":"a"}]}', CallContext())
    assert ([model.id for model in page.models], page.cursor) == (["a"], None)


@pytest.mark.parametrize(
    ("beside", "cursor"),
    [
        ('"has_more":true,"last_id":"z"', "z"),
        ('"has_more":false,"last_id":"z"', None),
        ('"has_more":true,"last_id":null', None),
        ('"has_more":true,"last_id":""', None),
        ('"has_more":"yes","last_id":"z"', None),
        ('"last_id":"z"', None),
    ],
)
def test_a_page_of_a_model_list(beside: str, cursor: str | None) -> None:
    body = f'{{"object":"list","data":[{{"id":"a"}}],{beside}}}'.encode()
    assert DIALECT.model_page(ResponseHead(), body, CallContext()).cursor == cursor
    assert DIALECT.models("z").query == {"after": "z", "after_id": "z"}

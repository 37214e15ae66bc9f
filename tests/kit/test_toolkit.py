"""The toolkit for Python adapters: what it makes of calls, of answers and chunks, and of exceptions."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.kit.adapters.toolkit import (
    AsyncClientAdapter,
    ClientAdapter,
    body_of,
    chunk_texts,
    client_options,
    error_of,
    http_timeout,
    import_client,
    kind_of_status,
    limits_of,
    plain,
    split_body,
    stream_response,
    transport_kind,
    version_of,
    whole_response,
)
from botticelli.kit.errors import AdapterError
from botticelli.kit.judge.accumulate import assembled
from botticelli.kit.schemas import schema_violations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


def call(operation: str = "generate", **members: Any) -> dict[str, Any]:
    return {
        "case": "a-case",
        "format": "openai",
        "operation": operation,
        "base_url": "http://127.0.0.1:1/v1",
        "api_key": "key",
        "model": "m",
        "request": {"messages": []},
        "options": {},
        "last": False,
        **members,
    }


def piece(text: str | None = None, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    given = {**({} if text is None else {"content": text}), **delta}
    return {"choices": [{"index": index, "delta": given, "finish_reason": finish}]}


# Calls


@pytest.mark.parametrize(
    ("timeouts", "read"),
    [({"first_byte": 1, "idle": 2}, 1), ({"first_byte": 3, "idle": 2}, 2), ({"idle": 5}, 5), ({}, None)],
)
def test_one_read_limit_is_the_smaller_of_two(timeouts: dict[str, float], read: float | None) -> None:
    assert limits_of(call(options={"timeouts": timeouts})).read == read


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_limits_become_those_of_an_http_library(library: Any) -> None:
    limits = {"connect": 1, "pool": 2, "first_byte": 3, "idle": 4}
    found = http_timeout(library, call(options={"timeouts": limits}))
    assert (found.connect, found.pool, found.read) == (1, 2, 3)


def test_the_neutral_members_become_those_of_the_format() -> None:
    request: dict[str, Any] = {"messages": [], "seed": 1, "extra": {"top_k": 5}, "stream_usage": True}
    made = call(request=request)
    assert split_body(made) == ({"messages": [], "seed": 1, "model": "m"}, {"top_k": 5})
    assert body_of(made, stream=True) == {
        "messages": [],
        "seed": 1,
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "top_k": 5,
    }
    assert made["request"] is request, "the call is left as it was"
    assert "extra" in request


# Answers


def test_a_whole_answer_keeps_what_the_client_shows_and_makes_nothing_up() -> None:
    message = {
        "content": "hi",
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": " {}"}},
            {"id": "2", "type": "custom", "custom": {"name": "c", "input": "free text"}},
        ],
    }
    found = whole_response({"choices": [{"message": message, "finish_reason": "eos"}]})
    [choice] = found["choices"]
    assert (choice["text"], choice["reasoning"], choice["index"]) == ("hi", "hm", None)
    assert (choice["finish_reason"], choice["finish_reason_raw"]) == (None, "eos")
    assert [(tool["name"], tool["arguments"]) for tool in choice["tool_calls"]] == [
        ("f", " {}"),
        ("c", "free text"),
    ]
    assert (found["usage"], found["id"], found["model"]) == (None, None, None)
    assert not schema_violations("outcome", {"response": found})


@pytest.mark.parametrize("answer", ["<html>", [], 7, None])
def test_what_is_no_answer_is_named(answer: object) -> None:
    with pytest.raises(TypeError, match=rf"the client gave .* \({type(answer).__name__}\) for an answer"):
        whole_response(answer)


def judged(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the response that is judged: what the kit makes of the chunks that the toolkit hands on."""
    handed_on = {"response": stream_response(chunks)}
    assert handed_on["response"] == {"events": chunks}
    assert not schema_violations("outcome", handed_on)
    found: dict[str, Any] = assembled(handed_on, frozenset({"events"}), n=4)["response"]
    return found


@pytest.mark.parametrize("chunk", ["data", [], 7, None])
def test_what_is_no_chunk_is_named(chunk: object) -> None:
    with pytest.raises(TypeError, match=rf"the client gave .* \({type(chunk).__name__}\) for a chunk"):
        stream_response([piece("a"), chunk])


def test_content_in_parts_is_text_and_reasoning() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    [choice] = whole_response({"choices": [{"message": {"content": parts}}]})["choices"]
    assert (choice["text"], choice["reasoning"]) == ("ab", "hm")
    named = {"content": parts, "reasoning": "other"}
    [choice] = whole_response({"choices": [{"message": named}]})["choices"]
    assert choice["reasoning"] == "other"


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=4)), max_size=12))
def test_the_texts_of_a_stream_are_joined_by_choice(texts: list[tuple[int, str]]) -> None:
    found = judged([piece(text, index) for index, text in texts])
    assert len(found["chunks"]) == sum(1 for _, text in texts if text)
    assert [choice["index"] for choice in found["choices"]] == sorted({index for index, _ in texts})
    for choice in found["choices"]:
        assert choice["text"] == "".join(text for index, text in texts if index == choice["index"])
    assert not schema_violations("outcome", {"response": found})


def test_the_last_finish_reason_that_was_sent_counts() -> None:
    chunks: list[dict[str, Any]] = [
        piece("a"),
        piece(finish="length"),
        piece(finish="stop"),
        piece(),
        {"choices": []},
    ]
    [choice] = judged(chunks)["choices"]
    assert choice["finish_reason_raw"] == "stop"


def test_reasoning_and_refusals_are_no_chunks() -> None:
    chunk = piece(reasoning="hm", refusal="no")
    assert chunk_texts(chunk) == []
    [choice] = judged([chunk])["choices"]
    assert (choice["reasoning"], choice["refusal"]) == ("hm", "no")


# Errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication"), (418, "invalid_request"), (408, "server"), (529, "server"), (302, "api")],
)
def test_a_status_has_a_kind(status: int, kind: str) -> None:
    assert kind_of_status(status) == kind


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ConnectError", "connect"),
        ("ConnectTimeout", "timeout"),
        ("ReadTimeout", "timeout"),
        ("ReadError", "connection_lost"),
        ("RemoteProtocolError", "connection_lost"),
        ("LocalProtocolError", "configuration"),
        ("DecodingError", "malformed_response"),
        ("TooManyRedirects", "api"),
    ],
)
def test_an_error_that_a_client_wraps_has_the_kind_of_its_cause(library: Any, name: str, kind: str) -> None:
    class ApiConnectionError(Exception):
        pass

    wrapped = ApiConnectionError("Connection error.")
    wrapped.__cause__ = getattr(library, name)("broken")
    assert transport_kind(wrapped) == kind
    assert error_of(wrapped) == {"kind": kind, "message": "Connection error.", "status": None}


def test_causes_that_go_in_a_circle_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert transport_kind(one) is None


def test_the_status_comes_before_the_cause_and_a_given_kind_before_both() -> None:
    request = httpx.Request("POST", "http://127.0.0.1")
    error = httpx.HTTPStatusError("busy", request=request, response=httpx.Response(429, request=request))
    assert error_of(error) == {"kind": "rate_limit", "message": "busy", "status": 429}
    assert error_of(error, "credits_exhausted")["kind"] == "credits_exhausted"
    fine = httpx.HTTPStatusError("odd", request=request, response=httpx.Response(200, request=request))
    assert error_of(fine)["kind"] != "api", "an answer's status says nothing about what was wrong with it"


# Adapters


class OwnError(Exception):
    pass


class Client:
    """Records what becomes of it; its stream breaks where it is told to."""

    def __init__(self, breaks: Exception | None = None) -> None:
        self.breaks = breaks
        self.closed = 0
        self.left = 0

    def close(self) -> None:
        self.closed += 1

    def chunks(self) -> Generator[dict[str, Any], None, None]:
        try:
            for text in ("a", "", "b"):
                yield piece(text)
            if self.breaks:
                raise self.breaks
        finally:
            self.left += 1


class Bare(ClientAdapter):
    """Claims what it has no method for."""

    capabilities = frozenset({"generate", "stream", "models"})

    def connect(self, call: dict[str, Any]) -> object:
        return call

    def generate(self, client: Any, call: dict[str, Any]) -> dict[str, Any]:
        return {"client": client, "call": call}


@pytest.mark.parametrize("operation", ["stream", "models"])
def test_an_operation_that_is_claimed_and_missing_is_named(operation: str) -> None:
    with pytest.raises(
        AdapterError, match=f"Bare claims '{operation}' and has no method {operation}; write it"
    ):
        Bare().exchange(call(operation))


class Sync(ClientAdapter):
    capabilities = frozenset({"generate", "stream", "events"})
    errors = (OwnError,)

    def __init__(self, breaks: Exception | None = None) -> None:
        super().__init__()
        self.made: list[Client] = []
        self.breaks = breaks

    def connect(self, call: dict[str, Any]) -> Client:
        self.made.append(Client(self.breaks))
        return self.made[-1]

    def generate(self, client: Client, call: dict[str, Any]) -> dict[str, Any]:
        return {"choices": []}

    def stream(self, client: Client, call: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        return client.chunks()


class Awaited(AsyncClientAdapter):
    capabilities = frozenset({"generate", "stream", "events"})
    errors = (OwnError,)

    def __init__(self, breaks: Exception | None = None, sleep: float = 0) -> None:
        super().__init__()
        self.made: list[Client] = []
        self.breaks = breaks
        self.sleep = sleep

    def connect(self, call: dict[str, Any]) -> Client:
        self.made.append(Client(self.breaks))
        return self.made[-1]

    async def disconnect(self, client: Client) -> None:
        client.close()

    async def generate(self, client: Client, call: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(self.sleep)
        if self.breaks:
            raise self.breaks
        return {"choices": []}

    async def stream(self, client: Client, call: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        chunks = client.chunks()
        try:
            for chunk in chunks:
                yield chunk
            await asyncio.sleep(self.sleep)
        finally:
            chunks.close()


def made_by(adapter: Sync | Awaited, given: dict[str, Any]) -> dict[str, Any]:
    outcome = adapter.exchange(given)
    return outcome if isinstance(outcome, dict) else asyncio.run(_awaited(outcome))


async def _awaited(outcome: Any) -> dict[str, Any]:
    found: dict[str, Any] = await outcome
    return found


SENT = [piece(text) for text in ("a", "", "b")]
BOTH = pytest.mark.parametrize("kind", [Sync, Awaited])


@BOTH
def test_one_client_serves_a_base_url_until_its_last_call(kind: type[Sync | Awaited]) -> None:
    adapter = kind()
    for last in (False, True):
        made_by(adapter, call(last=last))
    made_by(adapter, call(base_url="http://127.0.0.1:2/v1"))
    assert [client.closed for client in adapter.made] == [1, 0]
    closing = adapter.close()
    if closing is not None:
        asyncio.run(_closed(closing))
    assert [client.closed for client in adapter.made] == [1, 1]


async def _closed(closing: Any) -> None:
    await closing


@BOTH
def test_a_whole_stream_is_a_response(kind: type[Sync | Awaited]) -> None:
    assert made_by(kind(), call("stream"))["response"] == {"events": SENT}


@BOTH
def test_an_adapter_that_claims_no_events_tells_the_texts(kind: type[Sync | Awaited]) -> None:
    class Joining(kind):  # type: ignore[misc, valid-type]
        capabilities = frozenset({"generate", "stream"})

    assert made_by(Joining(OwnError("gone")), call("stream"))["partial_chunks"] == ["a", "b"]


@BOTH
def test_a_stream_is_left_after_so_many_chunks(kind: type[Sync | Awaited]) -> None:
    adapter = kind()
    assert made_by(adapter, call("stream", cancel_after={"chunks": 1})) == {
        "cancelled": True,
        "partial_events": SENT[:1],
    }
    assert adapter.made[0].left == 1


@BOTH
def test_a_clients_own_error_is_an_outcome_with_what_had_come(kind: type[Sync | Awaited]) -> None:
    found = made_by(kind(OwnError("gone")), call("stream"))
    assert found["error"]["message"] == "gone"
    assert found["partial_events"] == SENT


@BOTH
@pytest.mark.parametrize("error", [KeyError("x"), TimeoutError("the client's own")])
def test_any_other_exception_passes_through_and_the_client_is_closed(
    kind: type[Sync | Awaited], error: Exception
) -> None:
    adapter = kind(error)
    operation = "stream" if kind is Sync else "generate"
    with pytest.raises(type(error)):
        made_by(adapter, call(operation, last=True))
    assert adapter.made[0].closed == 1


def test_a_sync_call_cannot_be_cancelled_and_an_awaited_one_can() -> None:
    given = call(cancel_after={"seconds": 0.01})
    assert "unsupported" in made_by(Sync(), given)
    assert made_by(Awaited(sleep=60), given) == {"cancelled": True, "partial_events": []}
    streamed = call("stream", cancel_after={"seconds": 0.01})
    assert made_by(Awaited(sleep=60), streamed) == {"cancelled": True, "partial_events": SENT}


# Clients


def test_a_client_that_is_missing_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(AdapterError, match=r"install it with: pip install 'no-such-client\[x\]'"):
        import_client("no_such_client", "no-such-client[x]")


def test_a_version_has_a_name_and_a_number() -> None:
    assert version_of("httpx") == f"httpx {httpx.__version__}"
    assert version_of("no-such-client") == "no-such-client"


class Quiet:
    def to_dict(self, *, warnings: bool = True) -> dict[str, Any]:
        assert not warnings
        return {"id": "a"}


class Plain:
    def to_dict(self) -> dict[str, Any]:
        return {"id": "b"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Quiet(), {"id": "a"}),
        (Plain(), {"id": "b"}),
        (SimpleNamespace(to_dict=lambda: {"id": "c"}), {"id": "c"}),
        (SimpleNamespace(to_dict={"id": "d"}.copy), {"id": "d"}),
        (SimpleNamespace(to_dict=dict), {}),
        ("<html>", "<html>"),
        (None, None),
    ],
)
def test_what_a_client_hands_out_becomes_json_by_its_own_method(given: object, told: object) -> None:
    assert plain(given) == told


def test_only_the_options_that_a_call_has_are_given_to_a_client() -> None:
    assert client_options(httpx, call()) == {}
    options: dict[str, Any] = {"max_retries": 0, "timeouts": {"idle": 2}, "headers": {"X-A": "b"}}
    found = client_options(httpx, call(options=options))
    assert found.keys() == {"max_retries", "timeout", "default_headers"}
    assert (found["max_retries"], found["default_headers"]) == (0, {"X-A": "b"})
    assert found["timeout"].read == 2


class APIError(Exception):
    """As openai and its relatives raise it for an error inside of a stream."""


class APITimeoutError(APIError):
    pass


def test_the_base_class_of_openais_relatives_is_an_error_in_a_stream() -> None:
    assert error_of(APIError("overloaded"))["kind"] == "stream_error"
    assert error_of(APIError("overloaded"), "server")["kind"] == "server"
    assert error_of(APITimeoutError("x"))["kind"] == "malformed_response"


def test_a_message_of_megabytes_is_cut() -> None:
    found = error_of(ValueError("x" * (5 << 20)))["message"]
    assert found.endswith("x [... 5242880 characters]")
    assert len(found) < 1.1 * (1 << 20)

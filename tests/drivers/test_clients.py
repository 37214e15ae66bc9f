"""A client of the user's own: its hooks, its transports, and what they raise."""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from botticelli import (
    AsyncHuggingFaceDriver,
    AuthenticationError,
    ConfigurationError,
    GenerateRequest,
    Message,
    RateLimitError,
    ServerError,
)

from .conftest import TOKEN, Rim, Server, answer, error, stream

Serve = Callable[..., Server]


class BlockedError(Exception):
    """A user's own."""


def hooks(rim: Rim, *, read: bool = False, raises: Exception | None = None, on: str = "response") -> Any:
    """A client whose hook raises this, or for every error of the server's."""

    def hook(message: Any) -> None:
        if raises is not None:
            raise raises
        if read:
            message.read()
        message.raise_for_status()

    async def ahook(message: Any) -> None:
        if raises is None and read:
            await message.aread()
        if raises is not None:
            raise raises
        message.raise_for_status()

    return rim.client(event_hooks={on: [hook if rim.name == "sync" else ahook]})


@pytest.mark.parametrize("read", [True, False])
def test_a_hook_that_raises_for_a_status(rim: Rim, serve: Serve, ask: GenerateRequest, read: bool) -> None:
    told = (("x-request-id", "req-9"), ("Retry-After", "70"))
    server = serve(
        error(401, "bad token"), error(429, "slower", headers=told), error(401, "bad token"), answer()
    )
    client = hooks(rim, read=read)
    driver = rim.driver(server, http_client=client)
    with pytest.raises(AuthenticationError) as refused:
        rim.generate(driver, ask)
    assert (refused.value.status, refused.value.attempts) == (401, 1)
    assert refused.value.__context__ is None
    with pytest.raises(RateLimitError) as limited:
        rim.generate(driver, ask)
    assert (limited.value.retry_after, limited.value.request_id) == (70, "req-9")
    assert "hf_Canary" not in repr(limited.value)
    in_stream = rim.stream(driver, ask).error
    assert isinstance(in_stream, AuthenticationError)
    for problem in (refused.value, in_stream):
        assert ("bad token" in str(problem)) == read
    assert ("keeps the server's words" in str(limited.value)) == (not read)
    assert rim.generate(driver, ask).text == "Hi"
    rim.close(client)


def test_a_status_that_a_hook_raises_is_tried_again(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(503), error(503), answer(), error(503))
    client = hooks(rim)
    driver = rim.driver(server, http_client=client)
    assert rim.generate(driver, ask).text == "Hi"
    with pytest.raises(ServerError) as caught:
        rim.generate(driver, ask)
    assert caught.value.attempts == 3
    rim.close(client)


def test_a_status_of_somebody_elses_answer(rim: Rim, ask: GenerateRequest) -> None:
    other = rim.library.Response(401, request=rim.library.Request("GET", "http://tokens.invalid/"))
    raised = rim.library.HTTPStatusError("no token", request=other.request, response=other)
    client = hooks(rim, raises=raised, on="request")
    driver = rim.driver("http://h/v1", http_client=client)
    with pytest.raises(ConfigurationError, match="HTTPStatusError: no token"):
        rim.generate(driver, ask)
    rim.close(client)


@pytest.mark.parametrize("on", ["request", "response"])
def test_an_exception_of_the_users_own_is_the_users(
    rim: Rim, serve: Serve, ask: GenerateRequest, on: str
) -> None:
    server = serve(answer(), stream("Hi"))
    mine = BlockedError("not today")
    client = hooks(rim, raises=mine, on=on)
    driver = rim.driver(server, http_client=client)
    for call in (rim.generate, rim.stream):
        with pytest.raises(BlockedError) as caught:
            call(driver, ask)
        assert caught.value is mine
    assert driver.usage.calls == 2
    rim.close(client)


@pytest.mark.parametrize("raises", [ValueError("odd"), httpx.CookieConflict("two"), httpx.StreamClosed()])
def test_an_exception_of_the_http_stack_is_ours(rim: Rim, ask: GenerateRequest, raises: Exception) -> None:
    client = hooks(rim, raises=raises, on="request")
    with pytest.raises(ConfigurationError, match=type(raises).__name__):
        rim.generate(rim.driver("http://h/v1", http_client=client), ask)
    rim.close(client)


@pytest.mark.anyio
@pytest.mark.parametrize("own", [True, False])
async def test_cancelling_while_the_request_is_sent(own: bool) -> None:
    large = GenerateRequest(messages=[Message.user("x" * (16 << 20))])  # more than a socket takes unread
    with socket.create_server(("127.0.0.1", 0)) as deaf, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with (
            httpx.AsyncClient() as client,
            AsyncHuggingFaceDriver.with_api_token(
                TOKEN,
                "m",
                base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1",
                http_client=client if own else None,
            ) as driver,
        ):
            with anyio.move_on_after(0.3) as scope:
                await driver.generate(large)
            assert scope.cancelled_caught
            with anyio.move_on_after(0.3) as scope:
                async with driver.generate_stream(large):
                    pass
            assert scope.cancelled_caught
        gc.collect()
        assert [str(warning.message) for warning in warned] == []


def test_a_request_that_is_sent_twice_is_sent_whole(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    challenge = (("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"'),)
    server = serve(error(401, headers=challenge), answer())
    client = rim.client(auth=rim.library.DigestAuth("user", "password"))
    assert rim.generate(rim.driver(server, token=None, http_client=client), ask).text == "Hi"
    first, second = server.requests
    assert first.body == second.body != b""
    assert second.headers["authorization"].startswith("Digest ")
    rim.close(client)

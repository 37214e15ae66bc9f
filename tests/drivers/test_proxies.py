"""What goes wrong on the way to a proxy, or because of it, is said of the proxy and not of the server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from botticelli import ApiError, CallTimeoutError, ConnectError, GenerateRequest, Timeouts

from .conftest import Play, Rim, Server, Step, answer, http

Serve = Callable[..., Server]

SECRET = "ProxyCanary"


def at(origin: str) -> str:
    """A proxy's URL, with a password."""
    return origin.replace("http://", f"http://user:{SECRET}@")


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("base_url", ["http://example.invalid/v1", "https://example.invalid/v1"])
@pytest.mark.parametrize("how", ["environment", "client"])
def test_a_proxy_that_is_not_there(
    rim: Rim, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch, nobody: str, base_url: str, how: str
) -> None:
    variable = "HTTPS_PROXY" if base_url.startswith("https") else "HTTP_PROXY"
    options: dict[str, Any] = {}
    if how == "environment":
        monkeypatch.setenv(variable, at(nobody))
    else:
        options["http_client"] = rim.client(proxy=at(nobody))
    with pytest.raises(ConnectError) as caught:
        rim.generate(rim.driver(base_url, **options), ask)
    said = str(caught.value)
    assert f"no connection to the proxy {nobody.removeprefix('http://')}" in said
    assert "refused" in said
    assert ("check " + (variable if how == "environment" else "the proxy of the http_client")) in said
    assert "base URL" not in said
    assert SECRET not in said
    assert caught.value.attempts == 3
    if how == "client":
        rim.close(options["http_client"])


def test_a_server_that_is_not_there_is_no_proxy(rim: Rim, ask: GenerateRequest, nobody: str) -> None:
    with pytest.raises(ConnectError, match="check the base URL") as caught:
        rim.generate(rim.driver(f"{nobody}/v1"), ask)
    assert "proxy" not in str(caught.value)
    assert "Connection refused" in str(caught.value)


@pytest.mark.parametrize(
    ("play", "word"),
    [
        (
            http(status=407).replace(b"Word", b"Proxy Authentication Required"),
            "the proxy's user and password go into its URL",
        ),
        (http(status=502).replace(b"Word", b"Bad Gateway"), "makes no connection: 502 Bad Gateway"),
        (("close",), "no connection to the proxy"),
        ((b"HTTP/1.1 2", 0.02, "reset"), "no connection to the proxy"),
        ((b"nonsense\r\n\r\n", "close"), "no connection to the proxy"),
    ],
)
def test_a_proxy_that_makes_no_connection(
    rim: Rim,
    serve: Serve,
    ask: GenerateRequest,
    monkeypatch: pytest.MonkeyPatch,
    play: Play | Step,
    word: str,
) -> None:
    proxy = serve(play)
    monkeypatch.setenv("HTTPS_PROXY", at(proxy.origin))
    with pytest.raises(ConnectError) as caught:
        rim.generate(rim.driver("https://example.invalid/v1"), ask)
    assert word in str(caught.value)
    assert proxy.origin.removeprefix("http://") in str(caught.value)
    assert SECRET not in str(caught.value)
    assert [seen.method for seen in proxy.requests] == ["CONNECT"] * 3


@pytest.mark.parametrize("steps", [("hold",), (b"HTTP/1.1 200 OK\r\n", *[b"x-a: b\r\n", 0.03] * 200)])
def test_a_proxy_that_is_slow_to_connect(
    rim: Rim, serve: Serve, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch, steps: Play
) -> None:
    proxy = serve(steps)
    monkeypatch.setenv("ALL_PROXY", at(proxy.origin))
    limits = Timeouts(connect=0.3, first_byte=30)
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(rim.driver("https://example.invalid/v1", timeout=limits, max_retries=1), ask)
    assert (caught.value.phase, caught.value.seconds, caught.value.attempts) == ("connect", 0.3, 2)
    assert f"the proxy {proxy.origin.removeprefix('http://')} doesn't answer" in str(caught.value)
    assert "check ALL_PROXY" in str(caught.value)


def test_a_proxy_that_wants_to_know_who_asks(
    rim: Rim, serve: Serve, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(http(b"who are you?", status=407, content_type="text/plain"))
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    with pytest.raises(ApiError, match="who are you") as caught:
        rim.generate(rim.driver("http://example.invalid/v1"), ask)
    assert caught.value.status == 407
    assert "the proxy's user and password go into its URL" in str(caught.value)


def test_beyond_the_proxy_the_server_is_to_blame(
    rim: Rim, serve: Serve, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve((b"HTTP/1.1 200 OK\r\n\r\n", 0.1, b"I speak no TLS" * 10, "hold"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
    with pytest.raises(ConnectError, match="the server may speak http://") as caught:
        rim.generate(rim.driver("https://example.invalid/v1"), ask)
    assert "WRONG_VERSION_NUMBER" in str(caught.value)
    assert "proxy" not in str(caught.value)


def test_an_answer_by_way_of_a_proxy(
    rim: Rim, serve: Serve, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(answer())
    monkeypatch.setenv("HTTP_PROXY", at(proxy.origin))
    assert rim.generate(rim.driver("http://example.invalid/v1"), ask).text == "Hi"
    assert proxy.requests[0].path == "http://example.invalid/v1/chat/completions"

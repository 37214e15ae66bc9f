"""Which headers are secret, and which parts of their values."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from botticelli import BotticelliError, ConfigurationError, GenerateRequest, HuggingFaceDriver
from botticelli.drivers.credentials import is_credential, secret_words

from .conftest import Rim, Server, answer, error

Serve = Callable[..., Server]


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Authorization-Extra",
        "X-Auth",
        "X-OAuth",
        "X-Auth-Token",
        "XAuthToken",
        "api-key",
        "X-API-Key",
        "X-ApiKey",
        "apikey",
        "x_api_key",
        "Ocp-Apim-Subscription-Key",
        "X-Goog-Api-Key",
        "X-Access-Key",
        "AccessKey",
        "Cookie",
        "X-Session",
        "X-Session-Id",
        "sessionid",
        "X-JWT",
        "X-Jwt-Assertion",
        "X-Password",
        "X-DbPassword",
        "X-Passwd",
        "client.secret",
        "X-ClientSecret",
        "X-Credentials",
        "X-Amz-Signature",
        "Bearer",
        "key",
    ],
)
def test_a_credential_is_known_by_its_name(name: str) -> None:
    assert is_credential(name)
    assert is_credential(name.upper())
    assert is_credential(name.lower())


@pytest.mark.parametrize(
    "name",
    [
        "X-Author",
        "X-Authored-By",
        "Authority",
        "X-Max-Tokens",
        "X-Tokenizer",
        "X-Keyboard",
        "X-Monkey",
        "Keep-Alive",
        "X-Secretary",
        "X-Compass",
        "X-Side",
        "X-Request-Id",
        "OpenAI-Organization",
        "OpenAI-Beta",
        "User-Agent",
        "X-HF-Bill-To",
        "X-Cookies-Accepted",
        "X-Design",
    ],
)
def test_an_ordinary_header_is_none(name: str) -> None:
    assert not is_credential(name)
    assert not is_credential(name, "an ordinary value")


@pytest.mark.parametrize("value", ["Bearer abc", "basic YTpi", "hf_abcdefghijkl", "sk-abcdefgh", "Digest a"])
def test_a_credential_is_known_by_its_value_too(value: str) -> None:
    assert is_credential("X-Forwarded", value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Bearer 0123456789", ["0123456789"]),
        ("0123456789", ["0123456789"]),
        ("sessionidentifier=0123456789; other=abcdefgh", ["0123456789", "abcdefgh"]),
        ("MDEyMzQ1Njc4OQ==", ["MDEyMzQ1Njc4OQ=="]),
        ('Digest response="0123456789abc", nc=1', ["0123456789abc"]),
        ("short", []),
        ("", []),
    ],
)
def test_what_of_a_value_is_the_secret(value: str, words: list[str]) -> None:
    assert list(secret_words(value)) == words


OWN = {
    "X-ApiKey": "CanaryOfTheGateway",
    "X-Session": "CanaryOfTheSession",
    "X-Password": "CanaryOfThePassword",
    "Cookie": "sessionidentifier=CanaryOfTheCookie",
    "X-Forwarded": "Bearer CanaryOfTheHop",
}


def test_none_of_them_is_seen(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="botticelli")  # httpcore logs what the server repeats
    said = " ".join(value.rpartition(" ")[2].rpartition("=")[2] for value in OWN.values())
    cache: dict[str, bytes] = {}
    server = serve(error(400, f"what is {said}?", headers=(("x-request-id", said),)), answer())
    driver = rim.driver(server, headers={**OWN, "X-Author": "me"}, cache=cache)
    with pytest.raises(BotticelliError, match="what is") as caught:
        rim.generate(driver, ask)
    rim.generate(driver, ask)
    sent = server.requests[0].headers
    assert {name: sent[name.lower()] for name in OWN} == OWN
    assert sent["x-author"] == "me"
    things: list[Any] = [
        caught.value,
        vars(caught.value),
        driver,
        vars(driver),
        vars(driver._config),
        cache,
    ]
    for thing in things:
        assert "Canary" not in repr(thing)
    assert "Canary" not in caplog.text


def test_a_key_in_the_urls_query_is_not_repeated(serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(400, "what is CanaryInTheQuery?"))
    url = f"{server.url}?key=CanaryInTheQuery&api-version=2026-01-01"
    with HuggingFaceDriver.with_api_token(None, "m", base_url=url) as driver:
        with pytest.raises(BotticelliError, match="what is") as caught:
            driver.generate(ask)
        assert "Canary" not in repr(caught.value) + repr(vars(caught.value)) + repr(driver)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([("a", "b")], "headers must be a mapping of names to texts, not a list"),
        ("X-A: b", "headers must be a mapping of names to texts, not a str"),
        ({5: "b"}, "a int in headers is not a header's name"),
        ({"hf_0123456789abc def": "b"}, "'[redacted] def' in headers is not a header's name"),
        ({"X-" + "a" * 99 + " ": "b"}, f"'X-{'a' * 38}' in headers is not a header's name"),
        ({"X-A": "hf_0123456789\n"}, "the value of header X-A must be a str of printable ASCII"),
    ],
)
def test_what_is_refused_is_named_but_no_value_is_repeated(headers: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HuggingFaceDriver.with_api_token("hf_x", "m", headers=headers)
    assert str(caught.value).startswith(said)
    assert caught.value.setting == "headers"
    assert "0123456789" not in str(caught.value)

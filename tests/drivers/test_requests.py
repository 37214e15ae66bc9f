"""What is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

import botticelli
from botticelli import (
    AsyncChatDriver,
    AsyncHuggingFaceDriver,
    ChatDriver,
    ConfigurationError,
    GenerateRequest,
    HuggingFaceDriver,
    Image,
    MalformedResponseError,
    Message,
    Model,
    Provider,
    RequestError,
)
from botticelli.dialects.dialect import CallContext, ModelPage
from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers import driver as driver_module
from botticelli.protocol.http import HttpRequest, ResponseHead

from .conftest import TOKEN, Rim, Server, answer, http, stream

Serve = Callable[..., Server]

AZURE = Provider(
    name="azure",
    base_url="http://h/openai/deployments/d",
    dialect=OpenAIDialect(max_tokens_field="max_completion_tokens"),
    key_env=("AZURE_KEY",),
    auth_header="api-key",
    auth_scheme="",
    headers={"x-provider": "yes"},
)


class AzureDriver(ChatDriver):
    provider = AZURE


def test_a_whole_answer_is_asked_for(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    rim.generate(rim.driver(server), ask)
    (seen,) = server.requests
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.body.startswith(b'{"model":"test/model",')
    assert seen.json == {"model": "test/model", "messages": [{"role": "user", "content": "Hello"}]}
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    for name, value in {
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "user-agent": f"botticelli/{botticelli.__version__} (python {version})",
    }.items():
        assert seen.headers[name] == value
    assert "x-hf-bill-to" not in seen.headers


def test_a_stream_is_asked_for_uncompressed(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(stream("Hi"))
    rim.stream(rim.driver(server), ask)
    (seen,) = server.requests
    assert seen.json == {
        "model": "test/model",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }
    assert seen.headers["accept"] == "text/event-stream"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["content-type"] == "application/json"


def test_usage_in_a_stream_is_asked_for_on_demand(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(stream("Hi"))
    ask.stream_usage = True
    rim.stream(rim.driver(server), ask)
    assert server.requests[0].json["stream_options"] == {"include_usage": True}


def test_a_request_may_name_its_own_model(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    ask.model = "other/model:fastest"
    rim.generate(rim.driver(server), ask)
    assert server.requests[0].json["model"] == "other/model:fastest"


def test_models_are_asked_for_without_a_body(rim: Rim, serve: Serve) -> None:
    server = serve(botticelli_models())
    rim.models(rim.driver(server))
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.body) == ("GET", "/v1/models", b"")
    assert "content-type" not in seen.headers
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"


def botticelli_models() -> bytes:
    from .conftest import http

    return http('{"object": "list", "data": []}')


def test_without_a_key_no_authorization_is_sent(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    for token in (None, "", "  "):
        rim.generate(rim.driver(server, token), ask)
    assert len(server.requests) == 3
    assert not any("authorization" in seen.headers for seen in server.requests)


def test_who_pays_and_the_users_headers(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    headers = {"X-Trace": "abc", "User-Agent": "mine/1", "Cookie": "a=b"}
    rim.generate(rim.driver(server, bill_to="my-org", headers=headers), ask)
    seen = server.requests[0].headers
    assert seen["x-hf-bill-to"] == "my-org"
    assert (seen["x-trace"], seen["user-agent"], seen["cookie"]) == ("abc", "mine/1", "a=b")


def test_a_users_authorization_serves_where_there_is_no_key(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(answer())
    rim.generate(rim.driver(server, None, headers={"Authorization": "Basic abc"}), ask)
    assert server.requests[0].headers["authorization"] == "Basic abc"


@pytest.mark.parametrize("kind", [HuggingFaceDriver, AsyncHuggingFaceDriver])
@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"authorization": "Bearer other"}, "replace the key"),
        ({"AUTHORIZATION": "Bearer other"}, "replace the key"),
        ({"Content-Length": "3"}, "driver's own"),
        ({"Transfer-Encoding": "chunked"}, "driver's own"),
        ({"X-A": "b\r\nX-Evil: 1"}, "printable ASCII"),
        ({"X-A": "ä"}, "printable ASCII"),
        ({"X-A": " b"}, "printable ASCII"),
        ({"X-A": 1}, "printable ASCII"),
        ({"X A": "b"}, "not a header's name"),
        ({"": "b"}, "not a header's name"),
        ({1: "b"}, "not a header's name"),
        ({"X-A": "1", "x-a": "2"}, "given twice"),
    ],
)
def test_headers_that_are_refused(kind: Any, headers: dict[Any, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        kind.with_api_token("hf_x", "m", headers=headers)
    assert caught.value.setting == "headers"


def test_who_pays_must_fit_in_a_header() -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        HuggingFaceDriver.with_api_token("hf_x", "m", bill_to="my\norg")


# Another provider is a value.


def test_a_provider_with_a_key_header_of_its_own_and_a_query(serve: Serve) -> None:
    server = serve(answer())
    url = f"{server.origin}/openai/deployments/d/?api-version=2024-10-21"
    request = GenerateRequest(messages=[Message.user("Hi")], max_tokens=5)
    with AzureDriver.with_api_token("K3y", "m", base_url=url) as driver:
        driver.generate(request)
        assert driver.provider_name == "azure"
    (seen,) = server.requests
    assert seen.path == "/openai/deployments/d/chat/completions?api-version=2024-10-21"
    assert seen.headers["api-key"] == "K3y"
    assert seen.headers["x-provider"] == "yes"
    assert "authorization" not in seen.headers
    assert seen.json["max_completion_tokens"] == 5
    assert "max_tokens" not in seen.json


def test_a_provider_that_bills_nobody_else() -> None:
    with pytest.raises(ConfigurationError, match="azure can't bill another account"):
        AzureDriver.with_api_token("k", "m", bill_to="org")


def test_a_key_header_of_its_own_is_not_replaced_either() -> None:
    with pytest.raises(ConfigurationError, match="replace the key"):
        AzureDriver.with_api_token("k", "m", headers={"API-Key": "other"})


# What can't be sent.


def test_a_request_that_cant_be_expressed_is_refused_before_any_network(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(answer())
    driver = rim.driver(server)
    ask.temperature = float("nan")
    with pytest.raises(RequestError):
        rim.generate(driver, ask)
    with pytest.raises(RequestError):
        driver.generate_stream(ask)
    assert server.connections == 0
    assert driver.usage == botticelli.UsageTotals()


def test_what_is_no_request_at_all(rim: Rim, serve: Serve) -> None:
    driver = rim.driver(serve(answer()))
    with pytest.raises(RequestError):
        rim.generate(driver, "Hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- the point


def test_a_file_is_read_when_it_is_sent(rim: Rim, serve: Serve, tmp_path: Any) -> None:
    server = serve(answer())
    picture = tmp_path / "dot.png"
    request = GenerateRequest(messages=[Message.user([Image.of(picture)])])
    driver = rim.driver(server)
    with pytest.raises(RequestError, match=r"dot\.png"):
        rim.generate(driver, request)
    picture.write_bytes(b"abc")
    rim.generate(driver, request)
    url = server.requests[0].json["messages"][0]["content"][0]["image_url"]["url"]
    assert url == "data:image/png;base64,YWJj"


class Paged(OpenAIDialect, frozen=True):
    """A format whose model list has pages, as Anthropic's and Gemini's have."""

    def models(self, cursor: str | None = None) -> HttpRequest:
        return HttpRequest(method="GET", path="/models", query={"after": cursor} if cursor else {})

    def model_page(self, head: ResponseHead, body: bytes, context: CallContext) -> ModelPage:
        ids, cursor = json.loads(body)
        return ModelPage([Model(id=id_) for id_ in ids], cursor)


PAGED = Provider(name="paged", base_url="http://h", dialect=Paged(), key_env=("PAGED_KEY",))


def paged(rim: Rim, server: Server) -> Any:
    kind: Any = ChatDriver if rim.name == "sync" else AsyncChatDriver
    paged_kind: Any = type("PagedDriver", (kind,), {"provider": PAGED})
    return rim.adopt(paged_kind.with_api_token(None, "m", base_url=server.url))


def test_a_model_list_is_read_page_by_page(rim: Rim, serve: Serve) -> None:
    server = serve(http('[["a", "b"], "b"]'), http('[["c"], null]'))
    assert [model.id for model in rim.models(paged(rim, server))] == ["a", "b", "c"]
    assert [seen.path for seen in server.requests] == ["/v1/models", "/v1/models?after=b"]


def test_a_page_that_the_server_repeats_is_the_last(rim: Rim, serve: Serve) -> None:
    server = serve(http('[["a", "a"], "a"]'))
    assert [model.id for model in rim.models(paged(rim, server))] == ["a", "a"]
    assert len(server.requests) == 2


def test_a_model_list_without_an_end_is_malformed(
    rim: Rim, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "MAX_PAGES", 3)
    server = serve(*(http(f'[["{name}"], "{name}"]') for name in "abcd"))
    with pytest.raises(MalformedResponseError, match=r"no end.*3 models"):
        rim.models(paged(rim, server))
    assert len(server.requests) == 3


def test_openais_list_is_followed_where_a_server_says_that_there_is_more(rim: Rim, serve: Serve) -> None:
    first = '{"object":"list","data":[{"id":"a"}],"has_more":true,"last_id":"a"}'
    server = serve(http(first), http('{"object":"list","data":[{"id":"b"}],"has_more":false,"last_id":"b"}'))
    assert [model.id for model in rim.models(rim.driver(server))] == ["a", "b"]
    assert [seen.path for seen in server.requests] == ["/v1/models", "/v1/models?after=a&after_id=a"]

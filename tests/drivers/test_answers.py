"""Whole answers: what is made of what comes, in each rim."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from botticelli import (
    ApiError,
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    CreditsExhaustedError,
    EmptyResponseError,
    GenerateRequest,
    InvalidRequestError,
    Limits,
    MalformedResponseError,
    Model,
    ModelNotFoundError,
    ModelProvider,
    NotChatModelError,
    RateLimit,
    StreamError,
    Timeouts,
    UsageTotals,
)

from .conftest import (
    END,
    STREAM_HEAD,
    TOKEN,
    Rim,
    Server,
    answer,
    completion,
    error,
    framed,
    http,
    stream,
)

if TYPE_CHECKING:
    import httpx

Serve = Callable[..., Server]

TOLD = (
    ("x-request-id", "req-1"),
    ("x-inference-provider", "together"),
    ("x-ratelimit-limit-requests", "10"),
    ("x-ratelimit-remaining-requests", "9"),
)


def test_an_answer_and_what_its_headers_tell(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer("Grüße", headers=TOLD))
    driver = rim.driver(server)
    assert driver.rate_limits is None
    response = rim.generate(driver, ask)
    assert response.text == "Grüße"
    assert (response.request_id, response.inference_provider) == ("req-1", "together")
    assert response.rate_limits is not None
    assert response.rate_limits.requests == RateLimit(limit=10, remaining=9)
    assert driver.rate_limits == response.rate_limits
    assert response.deviations == []
    assert response.raw == completion("Grüße").encode()


def test_the_drivers_are_drivers(rim: Rim) -> None:
    driver = rim.driver("http://127.0.0.1:9/v1")
    assert (driver.provider_name, driver.model_name) == ("huggingface", "test/model")
    assert driver.capabilities.streaming
    assert not driver.capabilities.video


def test_a_connection_serves_again(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    driver = rim.driver(server)
    for _ in range(3):
        rim.generate(driver, ask)
    assert (len(server.requests), server.connections) == (3, 1)


def test_usage_adds_up(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer(), http(completion(usage=None)), error(400), error(503), answer())
    driver = rim.driver(server)
    rim.generate(driver, ask)
    rim.generate(driver, ask)
    with pytest.raises(InvalidRequestError):
        rim.generate(driver, ask)
    rim.generate(driver, ask)
    assert driver.usage == UsageTotals(
        calls=4, retries=1, prompt_tokens=10, completion_tokens=4, unknown=1, cost=0, priced=0
    )


def catalog(body: dict[str, Any]) -> bytes:
    return http(json.dumps({"object": "list", "data": [body]}))


ROUTED = {
    "id": "test/model",
    "object": "model",
    "created": 1,
    "owned_by": "test",
    "providers": [
        {"provider": "together", "status": "live", "pricing": {"input": 1, "output": 2}},
        {"provider": "novita", "status": "live", "pricing": {"input": 10, "output": 20}},
    ],
}


def test_models_and_what_they_cost(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(catalog(ROUTED), answer(headers=TOLD), answer(), answer())
    driver = rim.driver(server)
    (model,) = rim.models(driver)
    assert model.id == "test/model"
    assert [offer.provider for offer in model.providers] == ["together", "novita"]
    assert driver.usage == UsageTotals()  # a list is free
    rim.generate(driver, ask)
    assert driver.usage.cost == pytest.approx((5 * 1 + 2 * 2) / 1e6)
    rim.generate(driver, ask)  # by whom, isn't told
    assert driver.usage.priced == 1
    ask.model = "test/model:novita"
    rim.generate(driver, ask)
    assert driver.usage.cost == pytest.approx((5 * 1 + 2 * 2 + 5 * 10 + 2 * 20) / 1e6)
    assert (driver.usage.priced, driver.usage.calls) == (2, 3)


def test_prices_may_be_given(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    offer = ModelProvider(provider="x", input_price=100, output_price=100)
    driver = rim.driver(serve(answer()), catalog=[Model(id="test/model", providers=(offer,))])
    rim.generate(driver, ask)
    assert driver.usage.cost == pytest.approx(700 / 1e6)


def test_an_error_in_the_list_of_models(rim: Rim, serve: Serve) -> None:
    with pytest.raises(AuthenticationError) as caught:
        rim.models(rim.driver(serve(error(401))))
    assert caught.value.provider == "huggingface"
    with pytest.raises(MalformedResponseError):
        rim.models(rim.driver(serve(http("[1, 2"))))


# Codings and framings.


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("GZIP", gzip.compress),
    ],
)
def test_a_compressed_answer(
    rim: Rim, serve: Serve, ask: GenerateRequest, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    body = encode(completion("Hi").encode())
    server = serve(http(body, headers=(("Content-Encoding", coding),)))
    assert rim.generate(rim.driver(server), ask).text == "Hi"


def test_a_coding_that_wasnt_asked_for(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(http(b"\x0b\x02\x80", headers=(("Content-Encoding", "br"),)))
    with pytest.raises(MalformedResponseError, match="'br'") as caught:
        rim.generate(rim.driver(server), ask)
    assert caught.value.path == "content-encoding"
    assert len(server.requests) == 1


def test_a_compressed_answer_that_was_cut(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    body = gzip.compress(completion("Hi" * 500).encode())[:-9]
    server = serve(http(body, headers=(("Content-Encoding", "gzip"),)))
    with pytest.raises(MalformedResponseError, match="ends in the middle"):
        rim.generate(rim.driver(server), ask)


def test_an_answer_in_chunks_and_one_that_ends_with_the_connection(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    body = completion("Hi").encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + framed(body[:9]) + framed(body[9:]) + END
    server = serve(chunked, (head + b"\r\n" + body, "close"))
    driver = rim.driver(server)
    assert rim.generate(driver, ask).text == "Hi"
    assert rim.generate(driver, ask).text == "Hi"


def test_a_stream_in_place_of_a_whole_answer(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    response = rim.generate(rim.driver(serve(stream("He", "llo"))), ask)
    assert response.text == "Hello"
    assert [deviation.code for deviation in response.deviations] == ["sse-in-json"]


# Errors by status.


def test_audit_and_the_number_of_choices_are_passed_on(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    ask.n = 2
    body = completion().replace('"id"', '"id": "c0", "id"', 1)
    codes: list[list[str]] = []
    for audit in (False, True):
        response = rim.generate(rim.driver(serve(http(body)), audit=audit), ask)
        codes.append([deviation.code for deviation in response.deviations])
    assert codes == [["choices-fewer"], ["choices-fewer", "key-repeated"]]


def test_an_error_is_complete(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(400, "bad stop", code="c", type="t", param="stop", headers=TOLD))
    with pytest.raises(InvalidRequestError) as caught:
        rim.generate(rim.driver(server), ask)
    problem = caught.value
    assert (problem.status, problem.code, problem.type, problem.param) == (400, "c", "t", "stop")
    assert (problem.provider, problem.model, problem.attempts) == ("huggingface", "test/model", 1)
    assert (problem.request_id, problem.partial) == ("req-1", None)
    assert problem.rate_limits is not None
    assert json.loads(problem.body)["error"]["message"] == "bad stop"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The requested model 'test/model' is not a chat model.", NotChatModelError),
        ("The requested model 'test/model' is not supported by any provider", ModelNotFoundError),
    ],
)
def test_the_providers_table_refines(
    rim: Rim, serve: Serve, ask: GenerateRequest, message: str, kind: type[ApiError]
) -> None:
    server = serve(error(400, message, code="model_not_supported"))
    with pytest.raises(kind):
        rim.generate(rim.driver(server), ask)
    embedded = serve(http(json.dumps({"error": {"message": message, "code": "model_not_supported"}})))
    with pytest.raises(StreamError) as caught:
        rim.generate(rim.driver(embedded), ask)
    assert caught.value.cause_kind == kind.kind


def test_the_word_before_a_key_is_no_secret(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    said = "Bearer token expected"
    for token, headers in ((TOKEN, {}), (None, {"Authorization": "Bearer 0123456789"})):
        with pytest.raises(AuthenticationError) as caught:
            rim.generate(rim.driver(serve(error(401, said)), token, headers=headers), ask)
        assert caught.value.message == said


def test_another_servers_errors_name_its_host(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(402), error(401))
    host = server.origin.removeprefix("http://")
    with pytest.raises(CreditsExhaustedError) as unpaid:
        rim.generate(rim.driver(server), ask)
    with pytest.raises(AuthenticationError, match="no key was sent") as refused:
        rim.generate(rim.driver(server, None), ask)
    for caught in (unpaid, refused):
        assert (caught.value.host, caught.value.provider) == (host, "huggingface")
        assert host in str(caught.value)
        assert "huggingface" not in str(caught.value)


def test_a_redirect_is_not_followed(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    other = serve(answer())
    server = serve(
        http(
            b"", status=307, headers=(("Location", f"{other.url}/chat/completions?key=hf_Canary0123456789"),)
        )
    )
    with pytest.raises(ApiError) as caught:
        rim.generate(rim.driver(server), ask)
    assert caught.value.status == 307
    assert other.origin in str(caught.value)
    assert "Canary" not in str(caught.value)
    assert (len(server.requests), other.connections) == (1, 0)


def test_a_long_error_is_cut_and_its_connection_dropped(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n"
    server = serve((head + b"x" * (2 << 20), "hold"))
    with pytest.raises(InvalidRequestError) as caught:
        rim.generate(rim.driver(server), ask)
    assert len(caught.value.body) == 1 << 20
    assert server.left.wait(5)


def test_a_long_answer_is_cut_and_its_connection_dropped(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    limits = Limits(max_body_bytes=1000)
    server = serve((http(b"x" * 2000, length=10**9), "hold"))
    with pytest.raises(MalformedResponseError, match="more than 1000 bytes") as caught:
        rim.generate(rim.driver(server, timeout=20, limits=limits), ask)
    assert len(caught.value.body) == 1000
    assert server.left.wait(5)


@pytest.mark.parametrize("end", ["close", "reset", "hold"])
def test_an_error_with_a_broken_body_is_still_that_error(
    rim: Rim, serve: Serve, ask: GenerateRequest, end: str
) -> None:
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    server = serve((head + b'{"error": {"message": "why"}}', 0.05, end))
    with pytest.raises(InvalidRequestError, match="why"):
        rim.generate(rim.driver(server, timeout=0.3), ask)


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_an_error_with_an_unreadable_body_is_still_that_error(
    rim: Rim, serve: Serve, ask: GenerateRequest, coding: str
) -> None:
    server = serve(http(b"abc", status=422, headers=(("Content-Encoding", coding),)))
    with pytest.raises(InvalidRequestError):
        rim.generate(rim.driver(server), ask)


# Errors in a 2xx.


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        (http(""), EmptyResponseError),
        (http("", status=204), EmptyResponseError),
        (http(completion(choices=[])), EmptyResponseError),
        (http("<html>no</html>", content_type="text/html"), MalformedResponseError),
        (http(completion()[:-20]), MalformedResponseError),
        (http('{"error": {"message": "no"}}'), StreamError),
    ],
)
def test_a_good_status_is_not_enough(
    rim: Rim, serve: Serve, ask: GenerateRequest, play: bytes, kind: type[Exception]
) -> None:
    server = serve(play)
    with pytest.raises(kind) as caught:
        rim.generate(rim.driver(server), ask)
    assert type(caught.value) is kind
    assert getattr(caught.value, "model", None) == "test/model"
    assert len(server.requests) == 1


# Connections.


def test_nobody_listens(rim: Rim, ask: GenerateRequest) -> None:
    server = Server([(answer(),)])
    server.stop()
    with pytest.raises(ConnectError, match="check the base URL") as caught:
        rim.generate(rim.driver(server), ask)
    assert caught.value.attempts == 3


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_that_is_lost_before_an_answer_is_tried_again(
    rim: Rim, serve: Serve, ask: GenerateRequest, end: str
) -> None:
    server = serve((end,), (end,), answer())
    assert rim.generate(rim.driver(server), ask).text == "Hi"
    assert len(server.requests) == 3
    assert len({seen.body for seen in server.requests}) == 1
    server = serve((end,))
    with pytest.raises(ConnectionLostError) as caught:
        rim.generate(rim.driver(server), ask)
    assert (caught.value.answered, caught.value.attempts) == (False, 3)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("head", [b"H", b"HTTP/1.1 200 O", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_connection_that_is_lost_in_the_head_is_not(
    rim: Rim, serve: Serve, ask: GenerateRequest, end: str, head: bytes, kept: bool
) -> None:
    plays: list[Any] = [(head, 0.02, end), answer()]
    server = serve(*([answer()] if kept else []), *plays)
    driver = rim.driver(server)
    if kept:
        rim.generate(driver, ask)
    with pytest.raises(ConnectionLostError, match="in the head") as caught:
        rim.generate(driver, ask)
    assert (caught.value.answered, caught.value.attempts) == (True, 1)
    assert len(server.requests) == 1 + kept
    assert server.connections == 1


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_connection_that_is_lost_in_the_answer_is_not(
    rim: Rim, serve: Serve, ask: GenerateRequest, end: str
) -> None:
    server = serve((http(completion()[:50], length=500), 0.05, end))
    with pytest.raises(ConnectionLostError) as caught:
        rim.generate(rim.driver(server), ask)
    assert (caught.value.answered, caught.value.attempts) == (True, 1)
    assert len(server.requests) == 1


def test_an_answer_that_isnt_http(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "close"))
    with pytest.raises(ConnectionLostError, match="doesn't speak HTTP") as caught:
        rim.generate(rim.driver(server), ask)
    assert (caught.value.answered, len(server.requests)) == (True, 1)


def test_an_answer_with_broken_framing(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve((head + framed(b"{") + b"what?\r\n", "hold"))
    with pytest.raises(MalformedResponseError, match="breaks HTTP"):
        rim.generate(rim.driver(server), ask)


def test_a_kept_connection_that_went_away_is_replaced_at_once(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(answer("1"), ("reset",), answer("2"))
    # an ordinary wait would be longer than the call may take, so that there would be none
    driver = rim.driver(server, backoff=600, timeout=Timeouts(total=5))
    assert rim.generate(driver, ask).text == "1"
    # the second request goes out on the first one's connection, which is then reset
    assert rim.generate(driver, ask).text == "2"
    assert [seen.connection for seen in server.requests] == [1, 1, 2]
    assert driver.usage.retries == 1


# A user's own client.


def test_a_users_client(rim: Rim, ask: GenerateRequest) -> None:
    seen: list[httpx.Request] = []

    def handler(request: Any) -> Any:
        seen.append(request)
        return rim.library.Response(200, content=completion("Hi"))

    client = rim.client(handler, headers={"x-mine": "1"}, params={"a": "b"})
    driver = rim.driver("http://h/v1", http_client=client)
    assert rim.generate(driver, ask).text == "Hi"
    assert str(seen[0].url) == "http://h/v1/chat/completions?a=b"
    assert seen[0].headers["x-mine"] == "1"
    assert seen[0].headers["authorization"].startswith("Bearer hf_")
    rim.close(driver)
    assert not client.is_closed
    rim.close(client)


def test_a_users_client_may_read_compressed_answers_itself(rim: Rim, ask: GenerateRequest) -> None:
    def handler(_: Any) -> Any:
        body = gzip.compress(completion("Hi").encode())
        return rim.library.Response(200, content=body, headers={"content-encoding": "gzip"})

    client = rim.client(handler)
    assert rim.generate(rim.driver("http://h/v1", http_client=client), ask).text == "Hi"
    rim.close(client)


def test_whatever_a_users_client_raises_becomes_ours(rim: Rim, ask: GenerateRequest) -> None:
    def handler(_: Any) -> Any:
        raise KeyError("surprise")

    client = rim.client(handler)
    with pytest.raises(ConfigurationError, match="KeyError") as caught:
        rim.generate(rim.driver("http://h/v1", http_client=client), ask)
    assert caught.value.setting == "http_client"
    rim.close(client)


def test_a_users_auth_serves_where_there_is_no_key(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    client = rim.client(auth=("user", "password"))
    rim.generate(rim.driver(server, None, http_client=client), ask)
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    rim.close(client)


def test_a_client_of_the_other_kind(rim: Rim) -> None:
    wrong: Any = rim.library.Client() if rim.name != "sync" else rim.library.AsyncClient()
    with pytest.raises(ConfigurationError, match="http_client must be") as caught:
        rim.driver("http://h/v1", http_client=wrong)
    assert caught.value.setting == "http_client"
    if isinstance(wrong, rim.library.Client):
        wrong.close()


# Closing.


def test_a_closed_client_and_a_closed_driver_say_so(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(answer())
    client = rim.client()
    rim.close(client)
    with pytest.raises(ConfigurationError, match="closed"):
        rim.generate(rim.driver(server, http_client=client), ask)
    driver = rim.driver(server)
    rim.close(driver)
    rim.close(driver)
    for call in (rim.generate, rim.stream):
        if call == rim.stream:
            assert isinstance(rim.stream(driver, ask).error, ClosedError)
        else:
            with pytest.raises(ClosedError, match="the driver is closed"):
                call(driver, ask)
    with pytest.raises(ClosedError, match="the driver is closed"):
        rim.models(driver)
    assert server.connections == 0
    assert driver.usage == UsageTotals()


@pytest.mark.parametrize("framing", ["chunked", "length", "gzip"])
def test_a_whole_answer_without_the_end_of_its_framing_is_delivered(
    rim: Rim, serve: Serve, ask: GenerateRequest, framing: str
) -> None:
    body = completion("all of it").encode()
    plays = {
        "chunked": STREAM_HEAD + framed(body),
        "length": http(body, length=len(body) + 5),
        "gzip": http(gzip.compress(body), length=9999, headers=(("Content-Encoding", "gzip"),)),
    }
    cache: dict[str, bytes] = {}
    server = serve((plays[framing], 0.05, "close"))
    driver = rim.driver(server, cache=cache)
    response = rim.generate(driver, ask)
    assert response.text == "all of it"
    assert [found.code for found in response.deviations] == ["body-cut-short"]
    assert driver.usage.retries == 0
    assert rim.generate(driver, ask).text == "all of it"


def test_of_an_answer_that_was_cut_the_error_has_what_came(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    body = completion(f"the key is {TOKEN}").encode()
    server = serve((http(body[:-3], length=len(body)), 0.05, "close"))
    with pytest.raises(ConnectionLostError) as caught:
        rim.generate(rim.driver(server), ask)
    assert caught.value.body.startswith(b'{"id"')
    assert TOKEN.encode() not in caught.value.body
    assert len(server.requests) == 1


def test_an_error_that_came_whole_is_that_error(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((http(b'{"error": {"message": "why"}}', length=999), 0.05, "close"))
    with pytest.raises(StreamError, match="why"):
        rim.generate(rim.driver(server), ask)

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

from botticelli import (
    Choice,
    ConfigurationError,
    FinishReason,
    GenerateRequest,
    GenerateResponse,
    InvalidRequestError,
    Message,
    Output,
    StreamError,
    Text,
    UsageTotals,
)
from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.cache import cache_key, store
from tests.spoken import spoken_output

from .conftest import (
    DONE,
    END,
    STREAM_HEAD,
    TOKEN,
    Rim,
    Server,
    answer,
    completion,
    error,
    event,
    framed,
    http,
    stream,
)

Serve = Callable[..., Server]


@pytest.fixture
def cache() -> dict[str, bytes]:
    return {}


def test_the_same_question_is_asked_once(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(answer("first"), answer("second"))
    driver = rim.driver(server, cache=cache)
    first = rim.generate(driver, ask)
    assert rim.generate(driver, ask).text == "first"
    assert rim.generate(rim.driver(server, "hf_another", cache=cache), ask).text == "first"
    assert len(server.requests) == 1
    assert driver.usage.calls == 1
    assert list(cache.values()) == [first.raw]
    ask.seed = 2
    assert rim.generate(driver, ask).text == "second"
    assert len(cache) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_kept_answer_equals_the_first_one(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], *, streamed: bool
) -> None:
    headers = (("x-request-id", "req-1"), ("x-inference-provider", "together"))
    events = framed(event("Hi")) + framed(event(finish="stop")) + framed(DONE)
    server = serve(STREAM_HEAD + events + END if streamed else answer(headers=headers))
    driver = rim.driver(server, cache=cache)
    first = rim.stream(driver, ask).response if streamed else rim.generate(driver, ask)
    assert first is not None
    assert (first.request_id, first.inference_provider) == ("req-1", "together")
    again = rim.generate(driver, ask)
    if streamed:
        again.raw = b""
    assert again == first
    assert len(server.requests) == 1


@pytest.mark.parametrize("said", ["5", "{", '{"request_id":5}', "\u00e9"])
def test_what_an_entry_says_of_an_answer_must_be_readable(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], said: str
) -> None:
    driver = rim.driver(serve(answer("first"), answer("second")), cache=cache)
    rim.generate(driver, ask)
    for key in cache:
        cache[key] += b"\n#botticelli " + said.encode("latin-1")
    assert rim.generate(driver, ask).text == "second"


def test_what_makes_a_question_another_one(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(*(answer(str(number)) for number in range(4)))
    rim.generate(rim.driver(server, cache=cache), ask)
    rim.generate(rim.driver(f"{server.origin}/v2", cache=cache), ask)
    ask.model = "other"
    rim.generate(rim.driver(server, cache=cache), ask)
    rim.generate(
        rim.driver(server, cache=cache), GenerateRequest(messages=[Message.user("Bye")], model="other")
    )
    assert (len(server.requests), len(cache)) == (4, 4)


def test_what_changes_the_answer_makes_another_question(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(answer())
    clients = [rim.client(), rim.client(params={"a": "1"}), rim.client(headers={"openai-beta": "2"})]
    clients.append(rim.client(cookies={"session": "CanaryCookie"}))
    ways: list[dict[str, Any]] = [
        {"headers": {"OpenAI-Organization": "one"}},
        {"headers": {"OpenAI-Organization": "two"}},
        {"headers": {"X-Api-Key": "CanaryCanary"}},
        {"headers": {"Cookie": "a=CanaryCanary"}},
        *({"http_client": client} for client in clients[1:]),
    ]
    rim.generate(rim.driver(server, cache=cache), ask)
    for number, way in enumerate(ways, start=2):
        for _ in range(2):
            rim.generate(rim.driver(server, cache=cache, **way), ask)
        assert len(cache) == number, way
    assert len(server.requests) == len(cache)
    assert "Canary" not in repr(cache)
    for client in clients:
        rim.close(client)


def test_what_doesnt_change_the_answer_makes_none(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(answer())
    client = rim.client(headers={"user-agent": "mine", "accept": "*/*"})
    rim.generate(rim.driver(server, cache=cache, headers={"OpenAI-Beta": "a"}), ask)
    ways: list[tuple[str, dict[str, Any]]] = [
        (f"{server.url}/", {}),
        (server.url.replace("http://", "HTTP://"), {"bill_to": "org"}),
        (server.url, {"headers": {"openai-beta": "a", "User-Agent": "mine"}}),
        (server.url, {"http_client": client, "audit": True}),
    ]
    for url, way in ways:
        options: dict[str, Any] = {"headers": {"OpenAI-Beta": "a"}, "cache": cache, **way}
        rim.generate(rim.driver(url, TOKEN, **options), ask)
    assert (len(server.requests), len(cache)) == (1, 1)
    rim.close(client)


def test_a_clients_parameters_as_they_are_now(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(answer())
    client = rim.client()
    driver = rim.driver(f"{server.url}?api-version=1", cache=cache, http_client=client)
    for version in ("a", "b"):
        client.params = {"v": version}
        rim.generate(driver, ask)
        rim.generate(driver, ask)
    paths = [seen.path.partition("?")[2] for seen in server.requests]
    assert [sorted(path.split("&")) for path in paths] == [["api-version=1", "v=a"], ["api-version=1", "v=b"]]
    rim.close(client)


def test_a_base_urls_query_counts_beside_a_clients_parameters(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(answer())
    client = rim.client(params={"v": "a"})
    for version in ("1", "2"):
        driver = rim.driver(f"{server.url}?api-version={version}", cache=cache, http_client=client)
        rim.generate(driver, ask)
    assert (len(server.requests), len(cache)) == (2, 2)
    rim.close(client)


def test_the_parts_of_a_key_dont_run_into_each_other() -> None:
    questions: list[tuple[str, list[tuple[str, str]], bytes]] = [
        ("http://h/v1", [("a", "bc")], b"d"),
        ("http://h/v1", [("ab", "c")], b"d"),
        ("http://h/v1", [("a", "b"), ("c", "")], b"d"),
        ("http://h/v1", [], b"1:a2:bcd"),
        ("http://h/v1", [("a", "bc")], b"dd"),
        ("http://h/v2", [("a", "bc")], b"d"),
    ]
    assert len({cache_key(*question) for question in questions}) == len(questions)
    assert cache_key("u", [("a", "1"), ("B", "2")], b"") == cache_key("u", [("b", "2"), ("A", "1")], b"")


def test_a_client_that_cant_say_what_it_would_send_is_asked_without_a_cache(
    rim: Rim, ask: GenerateRequest, cache: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("surprise")

    client = rim.client()
    monkeypatch.setattr(client, "build_request", fail)
    with pytest.raises(ConfigurationError, match="KeyError"):
        rim.generate(rim.driver("http://h/v1", cache=cache, http_client=client), ask)
    assert cache == {}
    rim.close(client)


def test_a_stream_from_the_cache_is_one_final_chunk(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(answer("Hello"))
    driver = rim.driver(server, cache=cache)
    rim.generate(driver, ask)
    ask.stream_usage = True  # a way of sending, not of asking
    got = rim.stream(driver, ask)
    assert [(chunk.text, chunk.is_final) for chunk in got.chunks] == [("Hello", True)]
    assert got.chunks[0].usage is not None
    assert got.response is not None
    assert (got.response.text, got.response.deviations) == ("Hello", [])
    assert len(server.requests) == 1
    assert driver.usage.calls == 1


def test_a_stream_fills_the_cache(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    server = serve(stream("He", "llo"))
    driver = rim.driver(server, cache=cache)
    rim.stream(driver, ask)
    response = rim.generate(driver, ask)
    assert (response.text, response.finish_reason_raw, response.deviations) == ("Hello", "stop", [])
    assert len(server.requests) == 1


def test_a_stream_from_the_cache_holds_every_choice(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
        for index, text in enumerate(["a", "b"])
    ]
    ask.n = 2
    driver = rim.driver(serve(http(completion(choices=choices))), cache=cache)
    rim.generate(driver, ask)
    got = rim.stream(driver, ask)
    assert sorted((chunk.choice, chunk.text) for chunk in got.chunks) == [(0, "a"), (1, "b")]
    assert [chunk.is_final for chunk in got.chunks] == [False, True]


def finished(word: Any) -> str:
    message = {"role": "assistant", "content": "Hi", "refusal": None}
    return completion(choices=[{"index": 0, "message": message, "finish_reason": word, "logprobs": None}])


@pytest.mark.parametrize("word", ["stop", "length", "tool_calls"])
def test_good_answers_enter(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], word: str
) -> None:
    rim.generate(rim.driver(serve(http(finished(word))), cache=cache), ask)
    assert len(cache) == 1


@pytest.mark.parametrize("word", ["content_filter", "abort", None])
def test_dubious_answers_stay_out(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], word: str | None
) -> None:
    rim.generate(rim.driver(serve(http(finished(word))), cache=cache), ask)
    assert cache == {}


@pytest.mark.parametrize(
    "play",
    [
        error(400),
        http('{"error": {"message": "no"}}'),
        (http(completion()[:40], length=400), "close"),
        STREAM_HEAD + framed(event("Hi")) + END,
        STREAM_HEAD + framed(event("Hi")) + framed(DONE) + END,
        (STREAM_HEAD + framed(event("Hi")), "hold"),
    ],
)
def test_what_failed_stays_out(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], play: Any
) -> None:
    leave_after = 1 if isinstance(play, tuple) and "hold" in play else None
    rim.stream(rim.driver(serve(play), cache=cache), ask, leave_after=leave_after)
    assert cache == {}


def test_deviations_are_kept_with_a_whole_answer(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    body = json.loads(completion())
    del body["created"]
    driver = rim.driver(serve(http(json.dumps(body))), cache=cache)
    for _ in range(2):
        response = rim.generate(driver, ask)
        assert [deviation.code for deviation in response.deviations] == ["created-missing"]
    assert driver.usage.calls == 1


def test_a_stream_in_place_of_a_whole_answer_is_kept_whole(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    driver = rim.driver(serve(stream("Hello")), cache=cache)
    rim.generate(driver, ask)
    assert rim.generate(driver, ask).text == "Hello"
    assert all(kept.startswith(b"{") for kept in cache.values())


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"{",
        b'{"error": "no"}',
        b"\x80\x04K\x01.",
        b"null",
        b'{"choices": []}',
        "text",
        5,
        10**13,
        [],
        None,
    ],
)
def test_an_entry_that_cant_be_read_is_replaced(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], kept: Any
) -> None:
    server = serve(answer("new"))
    driver = rim.driver(server, cache=cache)
    rim.generate(driver, ask)
    (key,) = cache
    cache[key] = kept
    assert rim.generate(driver, ask).text == "new"
    assert len(server.requests) == 2
    assert json.loads(cache[key])["id"] == "c1"


@pytest.mark.parametrize("word", ["content_filter", None])
def test_a_foreign_entry_is_held_to_the_same_rules(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes], word: str | None
) -> None:
    driver = rim.driver(serve(answer("new")), cache=cache)
    rim.generate(driver, ask)
    cache[next(iter(cache))] = finished(word).encode()
    assert rim.generate(driver, ask).text == "new"
    assert driver.usage.calls == 2


def test_an_entry_may_be_any_sort_of_bytes(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, Any]
) -> None:
    driver = rim.driver(serve(answer("first")), cache=cache)
    rim.generate(driver, ask)
    (key,) = cache
    for sort in (bytearray, memoryview):
        cache[key] = sort(answer_body())
        assert rim.generate(driver, ask).text == "first"
    assert driver.usage.calls == 1


def answer_body() -> bytes:
    return completion("first").encode()


def test_an_entry_is_read_as_the_answer_was(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    ask.n = 2
    body = completion().replace('"id"', '"id": "c0", "id"', 1)
    driver = rim.driver(serve(http(body)), cache=cache, audit=True)
    codes = [[found.code for found in rim.generate(driver, ask).deviations] for _ in range(2)]
    assert codes == [["choices-fewer", "key-repeated"]] * 2
    assert driver.usage.calls == 1


def test_a_spoken_stream_is_kept_with_its_sound(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    spoken = {"id": "a", "data": "QQ==", "transcript": "hey", "expires_at": 5}
    choice = {"index": 0, "delta": {"audio": spoken}, "finish_reason": None, "logprobs": None}
    events = [event(choices=[choice]), event(finish="stop"), DONE]
    driver = rim.driver(serve(STREAM_HEAD + b"".join(map(framed, events)) + END), cache=cache)
    answers = [rim.stream(driver, ask).response for _ in range(2)]
    assert [found and found.outputs for found in answers] == [[spoken_output("a", "QQ==", "hey", 5)]] * 2


def test_what_a_whole_answer_cant_express_is_not_kept(cache: dict[str, bytes]) -> None:
    outputs: list[Output] = [Text("a"), Text("b")]
    end: dict[str, Any] = {"finish_reason": FinishReason.STOP, "finish_reason_raw": "stop"}
    store(cache, "two texts", OpenAIDialect(), GenerateResponse(choices=[Choice(outputs=outputs, **end)]))
    assert cache == {}
    store(cache, "one text", OpenAIDialect(), GenerateResponse(choices=[Choice(outputs=outputs[:1], **end)]))
    assert list(cache) == ["one text"]


def test_an_entry_that_cant_be_read_is_dropped(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    driver = rim.driver(serve(answer(), error(400)), cache=cache)
    rim.generate(driver, ask)
    cache[next(iter(cache))] = b"?"
    with pytest.raises(InvalidRequestError):
        rim.generate(driver, ask)
    assert cache == {}


class Broken(MutableMapping[str, bytes]):
    """Fails when it is read, or only when it is written."""

    def __init__(self, *, readable: bool) -> None:
        self._readable = readable

    def __getitem__(self, key: str) -> bytes:
        raise KeyError(key) if self._readable else OSError("disk gone")

    def __setitem__(self, key: str, value: bytes) -> None:
        raise OSError("disk full")

    def __delitem__(self, key: str) -> None:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_cache_that_cant_be_read_costs_no_answer(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    driver = rim.driver(serve(answer(), stream("Hi")), cache=Broken(readable=False))
    assert rim.generate(driver, ask).text == "Hi"
    assert rim.stream(driver, ask).texts == ["Hi"]
    told = ["cache: it can't be read: OSError", "cache: the answer can't be kept: OSError"]
    assert warned(caplog) == told * 2


class Stuck(dict[str, bytes]):
    """Can't drop what it holds."""

    def pop(self, *_: Any) -> Any:
        raise OSError("read only")


def test_an_entry_that_cant_be_dropped_is_asked_for_again(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Stuck()
    driver = rim.driver(serve(answer("old"), answer("new")), cache=cache)
    rim.generate(driver, ask)
    cache[next(iter(cache))] = b"?"
    assert rim.generate(driver, ask).text == "new"
    assert warned(caplog)[1:] == ["cache: it can't be read: OSError"]


def test_a_cache_that_cant_be_written_costs_no_answer(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    driver = rim.driver(serve(answer()), cache=Broken(readable=True))
    assert rim.generate(driver, ask).text == "Hi"
    assert warned(caplog) == ["cache: the answer can't be kept: OSError"]


def test_models_are_not_kept(rim: Rim, serve: Serve, cache: dict[str, bytes]) -> None:
    server = serve(http('{"object": "list", "data": []}'))
    driver = rim.driver(server, cache=cache)
    rim.models(driver)
    rim.models(driver)
    assert (len(server.requests), cache) == (2, {})


def test_an_error_in_the_cached_question_is_not_free(
    rim: Rim, serve: Serve, ask: GenerateRequest, cache: dict[str, bytes]
) -> None:
    driver = rim.driver(serve(http('{"error": {"message": "no"}}')), cache=cache)
    for _ in range(2):
        with pytest.raises(StreamError):
            rim.generate(driver, ask)
    assert driver.usage == UsageTotals(calls=2)

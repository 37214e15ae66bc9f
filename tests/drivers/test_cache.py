from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

from botticelli import (
    ConfigurationError,
    GenerateRequest,
    InvalidRequestError,
    Message,
    StreamError,
    UsageTotals,
)

from .conftest import (
    DONE,
    END,
    STREAM_HEAD,
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


@pytest.mark.parametrize("kept", [b"", b"{", b'{"error": "no"}', "text", 5, None])
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


def test_a_cache_that_cant_be_read_is_a_mistake_to_be_told(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(answer())
    driver = rim.driver(server, cache=Broken(readable=False))
    with pytest.raises(ConfigurationError, match="disk gone") as caught:
        rim.generate(driver, ask)
    assert caught.value.setting == "cache"
    assert isinstance(rim.stream(driver, ask).error, ConfigurationError)
    assert server.connections == 0


def test_a_cache_that_cant_be_written_costs_no_answer(
    rim: Rim, serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    driver = rim.driver(serve(answer()), cache=Broken(readable=True))
    assert rim.generate(driver, ask).text == "Hi"
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == ["cache: the answer can't be kept: OSError"]


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

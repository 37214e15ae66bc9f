"""Streams: what comes, when it ends, and what becomes of the connection."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from types import AsyncGeneratorType
from typing import Any

import anyio
import httpx
import pytest

from botticelli import (
    AsyncHuggingFaceDriver,
    ClosedError,
    ConnectionLostError,
    EmptyResponseError,
    FinishReason,
    GenerateRequest,
    GenerateResponse,
    HuggingFaceDriver,
    MalformedResponseError,
    ModelsError,
    RateLimitError,
    ServerError,
    StreamError,
    StreamTruncatedError,
    Usage,
    UsageTotals,
)

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

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def test_a_stream_from_end_to_end(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    events = [event("He"), event("llo"), event(finish="length", usage=USAGE), DONE]
    driver = rim.driver(serve(STREAM_HEAD + b"".join(map(framed, events)) + END))
    got = rim.stream(driver, ask)
    assert got.error is None
    assert got.texts == ["He", "llo"]
    final = got.chunks[-1]
    usage = Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)
    assert [chunk.is_final for chunk in got.chunks] == [False, False, True]
    assert (final.text, final.finish_reason, final.usage) == ("", FinishReason.LENGTH, usage)
    response = got.response
    assert response is not None
    assert (response.text, response.finish_reason, response.usage) == ("Hello", FinishReason.LENGTH, usage)
    assert (response.request_id, response.inference_provider) == ("req-1", "together")
    assert response.deviations == []
    assert driver.usage == UsageTotals(calls=1, prompt_tokens=5, completion_tokens=2)


def test_nothing_is_sent_before_a_stream_is_entered(serve: Serve, ask: GenerateRequest) -> None:
    server = serve(stream("Hi"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        waiting = driver.generate_stream(ask)
        assert server.connections == 0
        assert waiting.response == GenerateResponse()
        with waiting:
            assert len(server.requests) == 1
            assert [chunk.text for chunk in waiting] == ["Hi", ""]


def test_a_stream_may_be_iterated_without_being_entered(serve: Serve, ask: GenerateRequest) -> None:
    server = serve(stream("Hi"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        reading = driver.generate_stream(ask)
        assert next(reading).text == "Hi"
        assert [chunk.is_final for chunk in reading] == [True]
        assert list(reading) == []
        assert reading.response.text == "Hi"


def test_chunks_come_as_they_are_sent(serve: Serve, ask: GenerateRequest) -> None:
    # the server says no more until it is left: waiting for it would end in a timeout
    server = serve((STREAM_HEAD + framed(event("first")), "hold"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url, timeout=20) as driver:
        with driver.generate_stream(ask) as reading:
            assert next(reading).text == "first"
            assert reading.response.text == "first"
            assert reading.response.request_id == "req-1"
        assert server.left.wait(5)


def test_leaving_closes_the_connection(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("first")) + framed(event("second")), "hold"), stream("next"))
    driver = rim.driver(server)
    got = rim.stream(driver, ask, leave_after=1)
    assert got.texts == ["first"]
    assert server.left.wait(5)
    assert driver.usage == UsageTotals(calls=1, unknown=1)
    assert rim.stream(driver, ask).texts == ["next"]


def test_leaving_before_the_first_chunk_closes_the_connection(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    server = serve((STREAM_HEAD, "hold"))
    assert rim.stream(rim.driver(server), ask, leave_after=0).chunks == []
    assert server.left.wait(5)


def test_after_done_nothing_is_waited_for(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((stream("Hi", end=b""), "hold"))
    got = rim.stream(rim.driver(server, timeout=20), ask)
    assert (got.error, got.texts, got.chunks[-1].is_final) == (None, ["Hi"], True)
    assert server.left.wait(5)


@pytest.mark.parametrize("end", [b"zz\r\n", framed(b": bye\n" * 20_000) * 2])
def test_after_done_nothing_can_go_wrong(rim: Rim, serve: Serve, ask: GenerateRequest, end: bytes) -> None:
    server = serve((stream("Hi", end=end), "hold"))
    driver = rim.driver(server, timeout=20)
    got = rim.stream(driver, ask)
    assert (got.error, got.texts, got.chunks[-1].is_final) == (None, ["Hi"], True)
    assert server.left.wait(5)


@pytest.mark.parametrize("late", [False, True])
def test_after_done_the_connection_serves_again(
    rim: Rim, serve: Serve, ask: GenerateRequest, late: bool
) -> None:
    plays: list[Any] = [(stream("Hi", end=b""), 0.01, END)] if late else [stream("Hi")]
    server = serve(*plays)
    driver = rim.driver(server)
    for _ in range(3):
        assert rim.stream(driver, ask).texts == ["Hi"]
    assert (len(server.requests), server.connections) == (3, 1)


def test_a_stream_answered_whole_is_one_final_chunk(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    driver = rim.driver(serve(answer("Hello")))
    got = rim.stream(driver, ask)
    assert [(chunk.text, chunk.is_final) for chunk in got.chunks] == [("Hello", True)]
    assert got.chunks[0].finish_reason == FinishReason.STOP
    assert got.response is not None
    assert got.response.text == "Hello"
    assert [deviation.code for deviation in got.response.deviations] == ["json-in-sse"]
    assert driver.usage.completion_tokens == 2


def test_a_compressed_stream(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    body = gzip.compress(event("Hi") + event(finish="stop") + DONE)
    head = (("Content-Encoding", "gzip"),)
    got = rim.stream(rim.driver(serve(http(body, content_type="text/event-stream", headers=head))), ask)
    assert got.texts == ["Hi"]
    short = http(gzip.compress(event("Hi"))[:-8], content_type="text/event-stream", headers=head)
    cut = rim.stream(rim.driver(serve(short)), ask)
    assert isinstance(cut.error, MalformedResponseError)


def test_a_stream_in_an_unknown_coding(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD.replace(b"x-request", b"Content-Encoding: br\r\nx-request"), "hold"))
    got = rim.stream(rim.driver(server, timeout=20), ask)
    assert isinstance(got.error, MalformedResponseError)
    assert server.left.wait(5)


def test_audit_is_passed_on(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    odd = event("Hi", object="chunk")
    play = STREAM_HEAD + framed(odd) + framed(event(finish="stop")) + framed(DONE) + END
    codes: list[list[str]] = []
    for audit in (False, True):
        response = rim.stream(rim.driver(serve(play), audit=audit), ask).response
        assert response is not None
        codes.append([deviation.code for deviation in response.deviations])
    assert codes == [[], ["object-unknown"]]


# Errors.


def test_an_error_in_place_of_a_stream(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(429, "slowly", headers=(("Retry-After", "99"),)))
    driver = rim.driver(server)
    got = rim.stream(driver, ask)
    assert isinstance(got.error, RateLimitError)
    assert (got.error.retry_after, got.error.attempts, got.error.model) == (99, 1, "test/model")
    assert driver.usage == UsageTotals(calls=1)


def test_an_error_in_place_of_a_stream_is_tried_again(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(503), ("reset",), stream("Hi"))
    driver = rim.driver(server)
    assert rim.stream(driver, ask).texts == ["Hi"]
    assert len({seen.body for seen in server.requests}) == 1
    assert (driver.usage.calls, driver.usage.retries) == (1, 2)


def test_errors_leave_no_connection_behind(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(400))
    driver = rim.driver(server)
    for _ in range(25):
        assert rim.stream(driver, ask).error is not None
    assert server.connections == 1


def test_an_error_event(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    bad = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'
    server = serve((STREAM_HEAD + framed(event("Hi")) + framed(bad), "hold"))
    driver = rim.driver(server, timeout=20)
    got = rim.stream(driver, ask)
    assert got.texts == ["Hi"]
    assert isinstance(got.error, StreamError)
    assert (got.error.cause_kind, got.error.message) == ("server", "overloaded")
    assert (got.error.model, got.error.attempts, got.error.request_id) == ("test/model", 1, "req-1")
    assert got.error.partial is not None
    assert got.error.partial.text == "Hi"
    assert got.error.partial.inference_provider == "together"
    assert server.left.wait(5)
    assert driver.usage == UsageTotals(calls=1, unknown=1)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ((framed(event("Hi")) + END,), StreamTruncatedError),
        ((framed(event("Hi")), 0.05, "close"), ConnectionLostError),
        ((framed(event("Hi")), 0.05, "reset"), ConnectionLostError),
        ((framed(event("Hi")) + b"what?\r\n", "hold"), MalformedResponseError),
        ((framed(event("Hi")) + framed(b"data: {]\n\n"), "hold"), MalformedResponseError),
    ],
)
def test_a_stream_that_breaks_keeps_what_came(
    rim: Rim, serve: Serve, ask: GenerateRequest, steps: tuple[Any, ...], kind: type[Exception]
) -> None:
    server = serve((STREAM_HEAD + steps[0], *steps[1:]))
    got = rim.stream(rim.driver(server), ask)
    assert got.texts == ["Hi"]
    assert type(got.error) is kind
    assert got.error is not None
    assert got.error.partial is not None
    assert (got.error.partial.text, got.error.partial.request_id) == ("Hi", "req-1")
    assert got.response is not None
    assert got.response.text == "Hi"
    assert len(server.requests) == 1


def test_a_stream_that_breaks_before_anything_came(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD, 0.05, "reset"))
    got = rim.stream(rim.driver(server), ask)
    assert isinstance(got.error, ConnectionLostError)
    assert (got.error.answered, got.error.partial, len(server.requests)) == (True, None, 1)


def test_a_stream_of_nothing(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    got = rim.stream(rim.driver(serve(STREAM_HEAD + framed(DONE) + END)), ask)
    assert isinstance(got.error, EmptyResponseError)


def test_after_an_error_a_stream_goes_on_failing(serve: Serve, ask: GenerateRequest) -> None:
    server = serve(STREAM_HEAD + framed(event("Hi")) + END)
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        reading = driver.generate_stream(ask)
        with pytest.raises(StreamTruncatedError):
            list(reading)
        with pytest.raises(StreamTruncatedError):
            list(reading)
        with pytest.raises(StreamTruncatedError):
            next(reading)
        with pytest.raises(StreamTruncatedError), reading:
            pass


def test_a_stream_that_could_not_begin_is_not_entered_later(serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(400), stream("Hi"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        reading = driver.generate_stream(ask)
        problems: list[BaseException] = []
        for _ in range(2):
            with pytest.raises(ModelsError) as raised, reading:
                pass
            problems.append(raised.value)
        assert problems[0] is problems[1]
        assert len(server.requests) == 1


def test_a_closed_stream_says_so(serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        unopened = driver.generate_stream(ask)
        unopened.close()
        with pytest.raises(ClosedError, match="the stream is closed"):
            list(unopened)
        assert server.connections == 0
        for read in (0, 1):
            reading = driver.generate_stream(ask)
            with reading:
                for _ in range(read):
                    next(reading)
            reading.close()
            with pytest.raises(ClosedError, match="the stream is closed"):
                next(reading)
            with pytest.raises(ClosedError, match="the stream is closed"), reading:
                pass


@pytest.mark.anyio
async def test_a_closed_async_stream_says_so(serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        unopened = driver.generate_stream(ask)
        await unopened.aclose()
        with pytest.raises(ClosedError, match="the stream is closed"):
            await anext(unopened)
        assert server.connections == 0
        for read in (0, 1):
            reading = driver.generate_stream(ask)
            async with reading:
                for _ in range(read):
                    await anext(reading)
            await reading.aclose()
            with pytest.raises(ClosedError, match="the stream is closed"):
                await anext(reading)
            with pytest.raises(ClosedError, match="the stream is closed"):
                await reading.__aenter__()


@pytest.mark.anyio
async def test_an_async_stream_may_be_iterated_without_being_entered(
    serve: Serve, ask: GenerateRequest
) -> None:
    server = serve(stream("Hi"), STREAM_HEAD + framed(event("Hi")) + END)
    async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        waiting = driver.generate_stream(ask)
        assert server.connections == 0
        assert [chunk.text async for chunk in waiting] == ["Hi", ""]
        assert [chunk.text async for chunk in waiting] == []
        broken = driver.generate_stream(ask)
        for _ in range(2):
            with pytest.raises(StreamTruncatedError):
                _ = [chunk async for chunk in broken]


def test_a_stream_that_is_forgotten_is_warned_of(serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        reading = driver.generate_stream(ask)
        next(reading)
        with pytest.warns(ResourceWarning, match="unclosed ChatStream"):
            reading.__del__()
        reading.close()


def test_a_forgotten_stream_is_freed_without_the_collector(serve: Serve, ask: GenerateRequest) -> None:
    # the collector runs anywhere, under the pool's lock too, and freeing a stream takes that lock
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        collecting = gc.isenabled()
        gc.disable()
        try:
            reading = driver.generate_stream(ask)
            next(iter(reading))
            freed = weakref.ref(reading)
            with pytest.warns(ResourceWarning, match="unclosed ChatStream"):
                del reading
            assert freed() is None
        finally:
            if collecting:
                gc.enable()
        assert server.left.wait(5)


# Cancelling.


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["whole", "head", "first", "between"])
async def test_cancelling_closes_the_connection_at_once(serve: Serve, ask: GenerateRequest, how: str) -> None:
    play = {
        "whole": ("hold",),
        "head": ("hold",),
        "first": (STREAM_HEAD, "hold"),
        "between": (STREAM_HEAD + framed(event("Hi")), "hold"),
    }[how]
    server = serve(play)
    async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        read = anyio.Event()

        async def call() -> None:
            if how == "whole":
                await driver.generate(ask)
            async with driver.generate_stream(ask) as reading:
                async for _ in reading:
                    read.set()

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.to_thread.run_sync(server.asked.wait, 5)
            if how == "between":
                await read.wait()
            await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(server.left.wait, 5)
        assert read.is_set() == (how == "between")
        assert driver.usage.calls == 1
    assert len(server.requests) == 1


class Slow(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Says nothing, and needs a moment to be closed."""

    closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=self, headers={"content-type": "text/event-stream"})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    async def aclose(self) -> None:
        await anyio.sleep(0.01)
        self.closed = True


@pytest.mark.anyio
async def test_cancelling_lets_a_connection_be_closed_in_peace(ask: GenerateRequest) -> None:
    transport = Slow()
    async with httpx.AsyncClient(transport=transport) as client:
        driver = AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url="http://h/v1", http_client=client)
        with anyio.move_on_after(0.05):
            async with driver.generate_stream(ask) as reading:
                await anext(reading)
        assert transport.closed


class Kept(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Says something when it is told to; what says it is kept."""

    def __init__(self) -> None:
        self.asked, self.say = anyio.Event(), anyio.Event()
        self.saying: AsyncGeneratorType[bytes, None] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=self, headers={"content-type": "text/event-stream"})

    def __aiter__(self) -> AsyncIterator[bytes]:
        said = self._say()
        assert isinstance(said, AsyncGeneratorType)
        self.saying = said
        return said

    async def _say(self) -> AsyncGenerator[bytes, None]:
        self.asked.set()
        await self.say.wait()
        yield event("Hi")
        await anyio.sleep_forever()


@pytest.mark.anyio
async def test_closing_as_something_comes_leaves_no_generator_behind(ask: GenerateRequest) -> None:
    transport = Kept()
    async with httpx.AsyncClient(transport=transport) as client:
        driver = AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url="http://h/v1", http_client=client)
        reading = driver.generate_stream(ask)

        async def read() -> None:
            with pytest.raises(ClosedError, match="closed"):
                await anext(reading)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await transport.asked.wait()
            transport.say.set()
            await reading.aclose()
        assert transport.saying is not None
        assert transport.saying.ag_frame is None


@pytest.mark.parametrize("streaming", [False, True])
def test_asyncios_own_cancelling(serve: Serve, ask: GenerateRequest, streaming: bool) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))

    async def call(driver: AsyncHuggingFaceDriver) -> None:
        if not streaming:
            await driver.generate(ask)
        async for _ in driver.generate_stream(ask):
            pass

    async def main() -> None:
        async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call(driver), 0.2)
            assert await asyncio.to_thread(server.left.wait, 5)

    asyncio.run(main())


@pytest.mark.anyio
async def test_cancelling_in_the_wait_for_a_retry(serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(429, headers=(("Retry-After", "50"),)), answer())
    async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
        async with anyio.create_task_group() as group:
            group.start_soon(driver.generate, ask)
            await anyio.to_thread.run_sync(server.asked.wait, 5)
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        assert driver.usage == UsageTotals(calls=1)
    assert len(server.requests) == 1


def test_closing_wakes_who_waits_for_a_retry(
    serve: Serve, ask: GenerateRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(error(429, headers=(("Retry-After", "50"),)), answer())
    driver = HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url)
    waiting = threading.Event()
    raised: list[BaseException] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "the next one in" in record.getMessage():
                waiting.set()

    def call() -> None:
        try:
            driver.generate(ask)
        except ClosedError as problem:
            raised.append(problem)

    caplog.set_level(logging.DEBUG, logger="botticelli")
    listening = Listening()
    logging.getLogger("botticelli").addHandler(listening)
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert waiting.wait(5)
    driver.close()
    thread.join(10)
    logging.getLogger("botticelli").removeHandler(listening)
    assert not thread.is_alive()
    assert len(raised) == 1
    assert len(server.requests) == 1


def test_an_interrupt_closes_the_connection(serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))

    def interrupted(_: httpx.Response) -> None:
        raise KeyboardInterrupt

    client = httpx.Client()
    with HuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url, http_client=client) as driver:
        with pytest.raises(KeyboardInterrupt), driver.generate_stream(ask):
            raise KeyboardInterrupt
        assert server.left.wait(5)
        client.event_hooks = {"response": [interrupted]}
        server.left.clear()
        with pytest.raises(KeyboardInterrupt):
            driver.generate(ask)
        assert server.left.wait(5)
        server.left.clear()
        with pytest.raises(KeyboardInterrupt), driver.generate_stream(ask):
            pass
        assert server.left.wait(5)
        assert driver.usage.calls == 3
    client.close()


def test_an_interrupted_stream_is_closed(ask: GenerateRequest) -> None:
    class Interrupted(httpx.SyncByteStream):
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield event("Hi")
            raise KeyboardInterrupt

        def close(self) -> None:
            self.closed = True

    body = Interrupted()
    head = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=head, stream=body))
    with (
        httpx.Client(transport=transport) as client,
        HuggingFaceDriver.with_api_token(TOKEN, "m", http_client=client) as driver,
    ):
        reading = driver.generate_stream(ask)
        assert next(reading).text == "Hi"
        with pytest.raises(KeyboardInterrupt):
            next(reading)
        assert body.closed
        for _ in range(2):
            with pytest.raises(ClosedError, match="the stream is closed"):
                next(reading)
        assert reading.response.text == "Hi"


# A mock transport may hold everything ready.


def test_a_stream_through_a_mock_transport(rim: Rim, ask: GenerateRequest) -> None:
    body = event("Hi") + event(finish="stop") + DONE

    def handler(_: Any) -> Any:
        return rim.library.Response(200, content=body, headers={"content-type": "text/event-stream"})

    client = rim.client(handler)
    assert rim.stream(rim.driver("http://h/v1", http_client=client), ask).texts == ["Hi"]
    rim.close(client)


def test_a_generated_stream_through_a_mock_transport(ask: GenerateRequest) -> None:
    def pieces() -> Any:
        yield from (event("Hi")[:9], event("Hi")[9:], event(finish="stop"), DONE)

    def handler(_: Any) -> Any:
        return httpx.Response(200, content=pieces(), headers={"content-type": "text/event-stream"})

    with (
        httpx.Client(transport=httpx.MockTransport(handler)) as client,
        HuggingFaceDriver.with_api_token(TOKEN, "m", base_url="http://h/v1", http_client=client) as driver,
        driver.generate_stream(ask) as reading,
    ):
        assert [chunk.text for chunk in reading] == ["Hi", ""]


def test_several_choices(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    def of(index: int, text: str | None, finish: str | None = None) -> bytes:
        delta = {"content": text} if text else {}
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
        return event(choices=[choice])

    texts = [(0, "a"), (1, "x"), (0, "b"), (1, "y")]
    ends = [of(1, None, "stop"), of(0, None, "length"), DONE]
    events = [*(of(index, text) for index, text in texts), *ends]
    ask.n = 2
    server = serve(STREAM_HEAD + b"".join(map(framed, events)) + END)
    got = rim.stream(rim.driver(server), ask)
    assert [(chunk.choice, chunk.text) for chunk in got.chunks[:-1]] == texts
    assert got.response is not None
    assert [choice.text for choice in got.response.choices] == ["ab", "xy"]
    assert json.loads(server.requests[0].body)["n"] == 2


def test_several_choices_answered_whole_are_all_delivered(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    def of(index: int, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "finish_reason": "stop", "logprobs": None}

    ask.n = 2
    got = rim.stream(rim.driver(serve(http(completion(choices=[of(0, "a"), of(1, "x")])))), ask)
    assert [(chunk.choice, chunk.text, chunk.is_final) for chunk in got.chunks] == [
        (1, "x", False),
        (0, "a", True),
    ]


def test_fewer_choices_than_asked_for_are_noted(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    ask.n = 2
    response = rim.stream(rim.driver(serve(stream("Hi"))), ask).response
    assert response is not None
    assert [deviation.code for deviation in response.deviations] == ["choices-fewer"]


def test_a_whole_error_in_place_of_a_stream(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    body = json.dumps({"error": {"message": "no", "code": 503}})
    got = rim.stream(rim.driver(serve(http(body))), ask)
    assert isinstance(got.error, StreamError)
    assert not isinstance(got.error, ServerError)
    assert got.error.cause_kind == "server"
    cut = rim.stream(rim.driver(serve(http(completion()[:-9]))), ask)
    assert isinstance(cut.error, MalformedResponseError)

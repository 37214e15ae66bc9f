"""One driver, many callers: threads, tasks, descriptors."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import coroutine
from typing import TYPE_CHECKING, Any, Self

import anyio
import httpx
import pytest

from botticelli import (
    AsyncHuggingFaceDriver,
    ClosedError,
    GenerateRequest,
    HuggingFaceDriver,
    Message,
    UsageTotals,
)
from botticelli.dialects.openai.stream import OpenAIStreamReader

from .conftest import (
    END,
    HOLD,
    STREAM_HEAD,
    TOKEN,
    Play,
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

if TYPE_CHECKING:
    from botticelli import StreamChunk
    from botticelli.drivers.stream import AsyncChatStream

Serve = Callable[..., Server]


class Echo:
    """An asyncio server in a thread of its own that says, after a while, what it was asked.

    Args:
        wait: Seconds.
        together: How many requests must have come before any is answered.
        certificate: A file with a certificate and its key, to speak TLS.
    """

    def __init__(self, wait: float, together: int = 1, certificate: Path | None = None) -> None:
        self._wait = wait
        self._together = together
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._requests = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.connections = 0
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._over, self._all = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, ssl=self._context)
        scheme = "http" if self._context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._over.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                text = asked["messages"][0]["content"]
                self._requests += 1
                if self._requests >= self._together:
                    self._all.set()
                await self._all.wait()
                await asyncio.sleep(self._wait)
                writer.write(stream(text, "!") if asked.get("stream") else answer(f"{text}!"))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def asking(text: str) -> GenerateRequest:
    return GenerateRequest(messages=[Message.user(text)])


def descriptors() -> int:
    """Where they are counted; elsewhere always none."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


@pytest.mark.anyio
async def test_five_hundred_calls_at_once() -> None:
    answers: dict[int, str] = {}
    before = descriptors()
    with Echo(wait=1.5, together=500) as server:
        async with AsyncHuggingFaceDriver.with_api_token(None, "m", base_url=server.url) as driver:

            async def call(number: int) -> None:
                if number % 2:
                    answers[number] = (await driver.generate(asking(f"q{number}"))).text
                    return
                async with driver.generate_stream(asking(f"q{number}")) as reading:
                    answers[number] = "".join([chunk.text async for chunk in reading])

            async with anyio.create_task_group() as group:
                for number in range(500):
                    group.start_soon(call, number)
            assert driver.usage.calls == 500
    assert answers == {number: f"q{number}!" for number in range(500)}
    gc.collect()
    assert descriptors() <= before


def test_threads_share_a_driver() -> None:
    with (
        Echo(wait=0.01) as server,
        HuggingFaceDriver.with_api_token(None, "m", base_url=server.url) as driver,
    ):

        def call(number: int) -> str:
            if number % 2:
                return driver.generate(asking(f"q{number}")).text
            with driver.generate_stream(asking(f"q{number}")) as reading:
                return "".join(chunk.text for chunk in reading)

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(call, range(320)))
        assert answers == [f"q{number}!" for number in range(320)]
        assert driver.usage == UsageTotals(
            calls=320, prompt_tokens=160 * 5, completion_tokens=160 * 2, unknown=160
        )
        assert server.connections <= 16


class Once(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """An answer whose connection, like httpcore's, begins to be closed only once."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.closing, self.closed = asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=self, headers={"content-type": "application/json"})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    async def aclose(self) -> None:
        if not self.closing.is_set():
            self.closing.set()
            await asyncio.sleep(0.01)
            self.closed.set()


@pytest.mark.parametrize("streaming", [False, True])
def test_asyncios_own_cancelling_lets_a_connection_be_closed(ask: GenerateRequest, streaming: bool) -> None:
    async def call(driver: AsyncHuggingFaceDriver) -> None:
        if not streaming:
            await driver.generate(ask)
        async for _ in driver.generate_stream(ask):
            pass

    async def main() -> None:
        transport = Once(completion().encode())
        async with httpx.AsyncClient(transport=transport) as client:
            driver = AsyncHuggingFaceDriver.with_api_token(
                None, "m", base_url="http://h/v1", http_client=client
            )
            calling = asyncio.create_task(call(driver))
            await transport.closing.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await asyncio.wait_for(transport.closed.wait(), 5)
            assert driver.usage.calls == 1

    asyncio.run(main())


async def whole(driver: AsyncHuggingFaceDriver, ask: GenerateRequest, *, streaming: bool) -> None:
    """One answer, read to its end."""
    if not streaming:
        await driver.generate(ask)
        return
    async for _ in driver.generate_stream(ask):
        pass


@coroutine
def cancelled_at(step: int, calling: Coroutine[Any, Any, None]) -> Generator[Any, Any, bool]:
    """Run a call, cancelled by asyncio as it lets others run for so many a time; whether it came to that."""
    error: BaseException | None = None
    for taken in count(1):
        try:
            awaited = calling.throw(error) if error is not None else calling.send(None)
        except StopIteration:
            assert taken <= step, "the cancellation is lost"
            return False
        except asyncio.CancelledError:
            return True
        if taken == step:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        error = None
        try:
            yield awaited
        except asyncio.CancelledError as caught:
            error = caught
    raise AssertionError


@pytest.mark.parametrize("streaming", [False, True])
def test_no_connection_is_left_behind_wherever_asyncio_cancels(
    serve: Serve, ask: GenerateRequest, streaming: bool
) -> None:
    server = serve((stream("Hi") if streaming else answer(),))

    async def attempt(step: int, driver: AsyncHuggingFaceDriver) -> bool:
        return await cancelled_at(step, whole(driver, ask, streaming=streaming))

    async def main() -> int:
        step = 1
        async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
            await whole(driver, ask, streaming=streaming)  # so that there is a connection
            while await asyncio.create_task(attempt(step, driver)):
                await whole(driver, ask, streaming=streaming)
                step += 1
            await whole(driver, ask, streaming=streaming)
            for _ in range(500):
                if server.open_connections == 1:
                    break
                await asyncio.sleep(0.01)
            assert server.open_connections == 1
            return step

    assert asyncio.run(main()) > 5


@pytest.mark.parametrize("streaming", [False, True])
def test_an_answer_that_is_read_to_its_end_costs_no_task(
    serve: Serve, ask: GenerateRequest, streaming: bool
) -> None:
    server = serve((stream("Hi") if streaming else answer(),))
    made: list[object] = []

    def make(loop: asyncio.AbstractEventLoop, calling: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(calling)
        return asyncio.Task(calling, loop=loop, **options)

    async def main() -> None:
        async with AsyncHuggingFaceDriver.with_api_token(TOKEN, "m", base_url=server.url) as driver:
            await whole(driver, ask, streaming=streaming)
            asyncio.get_running_loop().set_task_factory(make)
            await whole(driver, ask, streaming=streaming)
            asyncio.get_running_loop().set_task_factory(None)

    asyncio.run(main())
    assert made == []
    assert server.connections == 1


@pytest.fixture
def counted() -> Iterator[None]:
    if not Path("/proc/self/fd").exists():
        pytest.skip("descriptors are counted in /proc")
    before = descriptors()
    yield
    assert descriptors() <= before


LATE = framed(event("late")) + framed(event(finish="stop")) + END
GUARD = 0.7 * HOLD
"""Seconds after which nobody wakes any more."""
UNFRAMED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
WAITS: dict[str, tuple[Play, list[str]]] = {
    "head": (("hold", STREAM_HEAD + LATE), []),
    "half a head": ((STREAM_HEAD[:20], "hold", STREAM_HEAD[20:] + LATE), []),
    "first": ((STREAM_HEAD, "hold", LATE), []),
    "next": ((STREAM_HEAD + framed(event("Hi")), "hold", LATE), ["Hi"]),
    "unframed": ((UNFRAMED + event("Hi") + event(finish="stop"), "hold"), ["Hi"]),
    "retry": ((error(429, headers=(("Retry-After", "50"),)),), []),
}


async def read_on(reading: AsyncChatStream, got: list[str]) -> None:
    async for chunk in reading:
        got.append(chunk.text)  # noqa: PERF401 -- another task looks at it meanwhile


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("where", list(WAITS))
@pytest.mark.anyio
async def test_closing_in_another_task_wakes_who_reads(
    serve: Serve, ask: GenerateRequest, where: str, kept: bool
) -> None:
    play, texts = WAITS[where]
    server = serve(*([answer()] if kept else []), play)
    got: list[str] = []
    async with AsyncHuggingFaceDriver.with_api_token(None, "m", base_url=server.url) as driver:
        if kept:
            await driver.generate(ask)
        reading = driver.generate_stream(ask)

        async def read() -> None:
            with pytest.raises(ClosedError, match="the stream is closed"):
                await read_on(reading, got)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            while len(server.requests) <= kept or len(got) < len(texts):  # noqa: ASYNC110 -- the server's no task
                await anyio.sleep(0.01)
            await anyio.wait_all_tasks_blocked()
            await reading.aclose()
        assert got == texts
        assert reading.response.text == "".join(texts)
        if "hold" in play:
            assert await anyio.to_thread.run_sync(server.left.wait, 5)
        with pytest.raises(ClosedError, match="the stream is closed"):
            await anext(reading)
        assert driver.usage.calls == 1 + kept
    assert len(server.requests) == 1 + kept


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("where", list(WAITS))
@pytest.mark.usefixtures("counted")
def test_closing_in_another_thread_wakes_who_reads(
    serve: Serve, ask: GenerateRequest, where: str, kept: bool
) -> None:
    play, texts = WAITS[where]
    server = serve(*([answer()] if kept else []), play)
    got: list[str] = []
    with HuggingFaceDriver.with_api_token(None, "m", base_url=server.url) as driver:
        if kept:
            driver.generate(ask)
        reading = driver.generate_stream(ask)

        def read() -> None:
            with pytest.raises(ClosedError, match="the stream is closed"):
                got.extend(chunk.text for chunk in reading)

        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(read)
            while len(server.requests) <= kept or len(got) < len(texts):
                threading.Event().wait(0.01)
            threading.Event().wait(0.05)
            reading.close()
            result.result(GUARD)
        assert got == texts
        assert reading.response.text == "".join(texts)
        if "hold" in play:
            assert server.left.wait(5)
        with pytest.raises(ClosedError, match="the stream is closed"):
            next(reading)
        assert driver.usage.calls == 1 + kept
    assert len(server.requests) == 1 + kept
    server.stop()


def test_closing_as_a_read_ends_closes_all_the_same(
    serve: Serve, ask: GenerateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    with HuggingFaceDriver.with_api_token(None, "m", base_url=server.url) as driver:
        reading = driver.generate_stream(ask)
        feed = OpenAIStreamReader.feed

        def closed_meanwhile(reader: OpenAIStreamReader, piece: bytes) -> list[StreamChunk]:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(reading.close).result(GUARD)
            return feed(reader, piece)

        monkeypatch.setattr(OpenAIStreamReader, "feed", closed_meanwhile)
        assert next(reading).text == "Hi"
        assert driver.usage.calls == 1
        assert server.left.wait(5)


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("retries", [0, 2])
def test_closing_the_driver_wakes_who_waits_for_an_answer(
    serve: Serve, ask: GenerateRequest, retries: int
) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold", LATE), ("hold", answer()))
    driver = HuggingFaceDriver.with_api_token(None, "m", base_url=server.url, max_retries=retries)
    reading = driver.generate_stream(ask)
    assert next(reading).text == "Hi"
    with ThreadPoolExecutor(2) as pool:
        calls: list[Future[Any]] = [pool.submit(next, reading), pool.submit(driver.generate, ask)]
        while len(server.requests) < 2:
            threading.Event().wait(0.01)
        threading.Event().wait(0.05)
        driver.close()
        kinds = [type(call.exception(GUARD)) for call in calls]
    assert kinds == [ClosedError, ClosedError]
    assert reading.response.text == "Hi"
    assert len(server.requests) == 2
    server.stop()


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.anyio
async def test_closing_the_async_driver_wakes_who_waits_for_an_answer(
    serve: Serve, ask: GenerateRequest, retries: int
) -> None:
    server = serve(("hold", answer()))
    driver = AsyncHuggingFaceDriver.with_api_token(None, "m", base_url=server.url, max_retries=retries)
    errors: list[BaseException] = []

    async def call() -> None:
        with pytest.raises(ClosedError, match="the driver is closed") as caught:
            await driver.generate(ask)
        errors.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        group.start_soon(call)
        while len(server.requests) < 2:  # noqa: ASYNC110 -- a thread's
            await anyio.sleep(0.01)
        await driver.close()
    assert len(errors) == 2


def test_an_answer_that_closing_cuts_off_is_not_taken_for_whole(serve: Serve, ask: GenerateRequest) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    server = serve((head + event("Hi") + event(finish="stop"), "hold"))
    driver = HuggingFaceDriver.with_api_token(None, "m", base_url=server.url)
    reading = driver.generate_stream(ask)
    assert next(reading).text == "Hi"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(next, reading)
        threading.Event().wait(0.1)
        driver.close()
        assert type(call.exception(GUARD)) is ClosedError


def test_closing_in_a_signal_handler_wakes_the_interrupted_reader(serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold", LATE))
    with HuggingFaceDriver.with_api_token(None, "m", base_url=server.url) as driver:
        reading = driver.generate_stream(ask)

        def handle(number: int, frame: object) -> None:
            reading.close()

        before = signal.signal(signal.SIGALRM, handle)
        try:
            assert next(reading).text == "Hi"
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(ClosedError, match="the stream is closed"):
                next(reading)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert server.left.wait(5)
        assert driver.usage.calls == 1


@pytest.mark.usefixtures("counted")
def test_no_descriptor_is_left(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    plays = {
        "answer": answer(),
        "stream": stream("Hi"),
        "error": error(400),
        "cut": (http(completion()[:40], length=400), "close"),
        "reset": ("reset",),
        "broken": STREAM_HEAD + framed(event("Hi")) + END,
        "left": (STREAM_HEAD + framed(event("Hi")), "hold"),
        "silent": ("hold",),
    }
    for play in plays.values():
        server = serve(play)
        driver = rim.driver(server, timeout=0.2, max_retries=1)
        rim.stream(driver, ask, leave_after=1)
        rim.close(driver)
        server.stop()
        assert server.open_connections == 0
    assert rim.name in ("sync", "asyncio", "trio")


def test_a_driver_may_be_closed_when_its_event_loop_is_gone(serve: Serve, ask: GenerateRequest) -> None:
    driver = AsyncHuggingFaceDriver.with_api_token(None, "m", base_url=serve(answer()).url)
    assert asyncio.run(driver.generate(ask)).text == "Hi"
    asyncio.run(driver.close())
    del driver
    gc.collect()

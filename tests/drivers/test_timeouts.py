"""Every limit names its phase. Times are far apart, and none is asserted."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest

from botticelli import (
    AsyncHuggingFaceDriver,
    CallTimeoutError,
    GenerateRequest,
    InvalidRequestError,
    RateLimitError,
    Timeouts,
)

from .conftest import (
    DONE,
    END,
    HOLD,
    STREAM_HEAD,
    TOKEN,
    Rim,
    Server,
    answer,
    error,
    event,
    framed,
    http,
    stream,
)

Serve = Callable[..., Server]

ANSWER = answer()
REST = framed(event("late")) + framed(event(finish="stop")) + framed(DONE) + END

LONG = Timeouts(pool=30, connect=30, first_byte=30, idle=30, progress=30, total=30)


def limits(**short: float) -> Timeouts:
    return Timeouts(**{**dict.fromkeys(LONG.__struct_fields__, 30.0), **short})


@pytest.fixture
def full_backlog() -> Iterator[str]:
    """An address where connections are neither refused nor made: nobody accepts, and the queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting: list[socket.socket] = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for client in waiting:
            client.close()


def test_connect(rim: Rim, ask: GenerateRequest, full_backlog: str) -> None:
    driver = rim.driver(full_backlog, timeout=limits(connect=0.1), max_retries=1)
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.phase, caught.value.seconds, caught.value.attempts) == ("connect", 0.1, 2)


def test_pool(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold"))
    client = rim.client(limits=rim.library.Limits(max_connections=1))
    driver = rim.driver(server, http_client=client, timeout=limits(pool=0.1), max_retries=0)
    if rim.name == "sync":
        with driver.generate_stream(ask), pytest.raises(CallTimeoutError) as caught:
            driver.generate(ask)
    else:
        caught = rim.call(_in_a_stream, driver, ask)
    assert (caught.value.phase, caught.value.seconds) == ("pool", 0.1)
    assert len(server.requests) == 1
    rim.close(client)


async def _in_a_stream(driver: Any, ask: GenerateRequest) -> Any:
    async with driver.generate_stream(ask):
        with pytest.raises(CallTimeoutError) as caught:
            await driver.generate(ask)
    return caught


@pytest.mark.parametrize("steps", [("hold", ANSWER), (ANSWER[:30], "hold", ANSWER[30:])])
def test_first_byte(rim: Rim, serve: Serve, ask: GenerateRequest, steps: Any) -> None:
    server = serve(steps)
    driver = rim.driver(server, timeout=limits(first_byte=0.15))
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.phase, caught.value.seconds, caught.value.attempts) == ("first_byte", 0.15, 1)
    assert server.left.wait(5)
    assert len(server.requests) == 1  # it may have been billed
    got = rim.stream(driver, ask)
    assert isinstance(got.error, CallTimeoutError)
    assert (got.error.phase, got.error.partial) == ("first_byte", None)


def test_idle_in_a_whole_answer(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((ANSWER[:-20], "hold", ANSWER[-20:]))
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(rim.driver(server, timeout=limits(idle=0.15)), ask)
    assert (caught.value.phase, caught.value.seconds, caught.value.partial) == ("idle", 0.15, None)
    assert server.left.wait(5)


@pytest.mark.parametrize("said", [True, False])
def test_idle_in_a_stream(rim: Rim, serve: Serve, ask: GenerateRequest, said: bool) -> None:
    server = serve((STREAM_HEAD + (framed(event("Hi")) if said else b""), "hold", REST))
    got = rim.stream(rim.driver(server, timeout=limits(idle=0.15)), ask)
    assert isinstance(got.error, CallTimeoutError)
    assert (got.error.phase, got.error.seconds) == ("idle", 0.15)
    assert (got.error.partial.text if got.error.partial else None) == ("Hi" if said else None)
    assert server.left.wait(5)


def test_comments_keep_a_stream_from_being_idle(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    comments: list[Any] = [step for _ in range(8) for step in (framed(b": wait\n\n"), 0.1)]
    end = framed(event("Hi")) + framed(event(finish="stop"))
    server = serve((STREAM_HEAD, *comments, end + END))
    assert rim.stream(rim.driver(server, timeout=limits(idle=0.5)), ask).texts == ["Hi"]


def test_comments_are_no_progress(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    comments: list[Any] = [step for _ in range(200) for step in (framed(b": wait\n\n"), 0.03)]
    server = serve((STREAM_HEAD + framed(event("Hi")), *comments))
    got = rim.stream(rim.driver(server, timeout=limits(progress=0.2)), ask)
    assert isinstance(got.error, CallTimeoutError)
    assert (got.error.phase, got.error.seconds) == ("progress", 0.2)
    assert got.error.partial is not None
    assert got.error.partial.text == "Hi"


def test_silence_may_be_a_lack_of_progress(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold", REST))
    got = rim.stream(rim.driver(server, timeout=limits(progress=0.15)), ask)
    assert isinstance(got.error, CallTimeoutError)
    assert got.error.phase == "progress"
    assert server.left.wait(5)


@pytest.mark.parametrize(
    "steps",
    [
        ("hold", ANSWER),
        (ANSWER[:-20], "hold", ANSWER[-20:]),
        (http(b"", length=500), *[step for _ in range(200) for step in (b" ", 0.03)]),
    ],
)
def test_total_of_a_whole_answer(rim: Rim, serve: Serve, ask: GenerateRequest, steps: Any) -> None:
    server = serve(steps)
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(rim.driver(server, timeout=limits(total=0.2)), ask)
    assert (caught.value.phase, caught.value.seconds, caught.value.attempts) == ("total", 0.2, 1)
    assert len(server.requests) == 1


@pytest.mark.parametrize("came", ["", '{"error": "Half a sen'])
def test_the_total_takes_no_error_away(rim: Rim, serve: Serve, ask: GenerateRequest, came: str) -> None:
    server = serve((http(came, status=400, length=500), "hold"))
    driver = rim.driver(server, timeout=limits(total=0.8))
    with pytest.raises(InvalidRequestError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.status, caught.value.body, caught.value.attempts) == (400, came.encode(), 1)
    assert isinstance(rim.stream(driver, ask).error, InvalidRequestError)


def test_total_of_a_stream_that_falls_silent(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((STREAM_HEAD + framed(event("Hi")), "hold", REST))
    got = rim.stream(rim.driver(server, timeout=limits(total=0.3)), ask)
    assert isinstance(got.error, CallTimeoutError)
    assert got.error.phase == "total"
    assert server.left.wait(5)


def test_total_of_a_stream_that_goes_on(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    events: list[Any] = [step for _ in range(200) for step in (framed(event("x")), 0.03)]
    server = serve((STREAM_HEAD, *events))
    got = rim.stream(rim.driver(server, timeout=limits(total=0.3)), ask)
    assert isinstance(got.error, CallTimeoutError)
    assert got.error.phase == "total"
    assert got.error.partial is not None
    assert got.error.partial.text == "".join(got.texts) != ""


def test_total_over_retries(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve((0.3, error(503)), ("hold", ANSWER))
    driver = rim.driver(server, timeout=limits(total=0.5), max_retries=5)
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.phase, caught.value.attempts) == ("total", 2)


def test_the_total_begins_with_the_stream(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    driver = rim.driver(serve(stream("Hi")), timeout=limits(total=0.5))
    if rim.name == "sync":
        waiting = driver.generate_stream(ask)
        threading.Event().wait(0.6)
        assert [chunk.text for chunk in waiting] == ["Hi", ""]
    else:
        texts: list[str] = []
        rim.call(_late, driver, ask, texts)
        assert texts == ["Hi", ""]


async def _late(driver: Any, ask: GenerateRequest, texts: list[str]) -> None:
    waiting = driver.generate_stream(ask)
    await anyio.sleep(0.6)
    texts.extend([chunk.text async for chunk in waiting])


def test_a_wait_beyond_the_total_is_not_begun(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(error(429, headers=(("Retry-After", "20"),)))
    driver = rim.driver(server, timeout=limits(total=10))
    with pytest.raises(RateLimitError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.attempts, caught.value.retry_after) == (1, 20)


def drip(piece: bytes) -> list[Any]:
    return [step for _ in range(200) for step in (piece, 0.03)]


@pytest.mark.parametrize("phase", ["first_byte", "total"])
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_head_that_drips(
    rim: Rim, serve: Serve, ask: GenerateRequest, phase: str, head: bytes, kept: bool
) -> None:
    first, line_end, rest = ANSWER.partition(b"\r\n")
    dripping: Any = (head, *([0.1, head] if head else []), first + line_end, *drip(b"x-a: b\r\n"), rest)
    server = serve(*([answer()] if kept else []), dripping)
    driver = rim.driver(server, timeout=limits(**{phase: 0.3}))
    if kept:
        rim.generate(driver, ask)
    with pytest.raises(CallTimeoutError) as caught:
        rim.generate(driver, ask)
    assert (caught.value.phase, caught.value.seconds, caught.value.attempts) == (phase, 0.3, 1)
    assert server.connections == 1


@pytest.mark.parametrize("phase", ["progress", "total"])
def test_framing_that_drips(rim: Rim, serve: Serve, ask: GenerateRequest, phase: str) -> None:
    extension = STREAM_HEAD + framed(event("Hi")) + b"5;x="
    server = serve((extension, *drip(b"x")))
    got = rim.stream(rim.driver(server, timeout=limits(**{phase: 0.3, "idle": 0.2})), ask)
    assert isinstance(got.error, CallTimeoutError)
    assert (got.error.phase, got.texts) == (phase, ["Hi"])


def test_the_wait_before_a_request_is_none_for_its_answer(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    held, asked = serve((0.6, answer())), serve((0.6, answer()))
    client = rim.client(limits=rim.library.Limits(max_connections=1))
    drivers = [
        rim.driver(server, http_client=client, timeout=limits(first_byte=1.0)) for server in (held, asked)
    ]
    if rim.name == "sync":
        with ThreadPoolExecutor(2) as pool:
            texts = [answered.text for answered in pool.map(rim.generate, drivers, [ask, ask])]
    else:
        texts = rim.call(_together, drivers, ask)
    assert texts == ["Hi", "Hi"]
    rim.close(client)


async def _together(drivers: list[Any], ask: GenerateRequest) -> list[str]:
    texts: list[str] = []

    async def call(driver: Any) -> None:
        texts.append((await driver.generate(ask)).text)

    async with anyio.create_task_group() as group:
        for driver in drivers:
            group.start_soon(call, driver)
    return texts


def test_the_time_in_which_the_caller_is_busy_is_not_silence(
    rim: Rim, serve: Serve, ask: GenerateRequest
) -> None:
    rest = framed(event("b")) + framed(event(finish="stop")) + END
    server = serve((STREAM_HEAD + framed(event("a")), 0.2, rest))
    driver = rim.driver(server, timeout=limits(idle=0.4, progress=0.4))
    busy = threading.Event()
    texts: list[str] = []
    if rim.name == "sync":
        with driver.generate_stream(ask) as reading:
            texts.append(next(reading).text)
            busy.wait(0.6)
            texts.extend(chunk.text for chunk in reading)
    else:
        rim.call(_busily, driver, ask, texts)
    assert texts == ["a", "b", ""]


async def _busily(driver: Any, ask: GenerateRequest, texts: list[str]) -> None:
    async with driver.generate_stream(ask) as reading:
        texts.append((await anext(reading)).text)
        await anyio.sleep(0.6)
        texts.extend([chunk.text async for chunk in reading])


def test_a_number_sets_the_waits(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    server = serve(("hold", ANSWER), (ANSWER[:-20], "hold", ANSWER[-20:]))
    driver = rim.driver(server, timeout=0.15)
    for phase in ("first_byte", "idle"):
        with pytest.raises(CallTimeoutError) as caught:
            rim.generate(driver, ask)
        assert (caught.value.phase, caught.value.seconds) == (phase, 0.15)


def test_without_limits_an_answer_comes_all_the_same(rim: Rim, serve: Serve, ask: GenerateRequest) -> None:
    none = Timeouts(pool=None, connect=None, first_byte=None, idle=None, progress=None, total=None)
    driver = rim.driver(serve((0.05, answer())), timeout=none)
    assert rim.generate(driver, ask).text == "Hi"


@pytest.mark.anyio
async def test_the_total_limit_is_exact_on_a_transport_without_limits(ask: GenerateRequest) -> None:
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield event("Hi")
            await anyio.sleep(HOLD)

    head = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=head, stream=Silent()))
    async with httpx.AsyncClient(transport=transport) as client:
        driver = AsyncHuggingFaceDriver.with_api_token(
            TOKEN, "m", base_url="http://h/v1", http_client=client, timeout=Timeouts(total=0.2)
        )
        reading = driver.generate_stream(ask)
        assert (await anext(reading)).text == "Hi"
        with pytest.raises(CallTimeoutError) as caught:
            await anext(reading)
        assert caught.value.phase == "total"

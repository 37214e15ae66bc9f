"""One driver, many callers: threads, tasks, descriptors."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import anyio
import pytest

from botticelli import AsyncHuggingFaceDriver, GenerateRequest, HuggingFaceDriver, Message, UsageTotals

from .conftest import END, STREAM_HEAD, Rim, Server, answer, completion, error, event, framed, http, stream

Serve = Callable[..., Server]


class Echo:
    """An asyncio server in a thread of its own that says, after a while, what it was asked.

    Args:
        wait: Seconds.
        together: How many requests must have come before any is answered.
    """

    def __init__(self, wait: float, together: int = 1) -> None:
        self._wait = wait
        self._together = together
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
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
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


@pytest.mark.anyio
async def test_five_hundred_calls_at_once() -> None:
    answers: dict[int, str] = {}
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


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def counted() -> Iterator[None]:
    if not Path("/proc/self/fd").exists():
        pytest.skip("descriptors are counted in /proc")
    before = descriptors()
    yield
    assert descriptors() <= before


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

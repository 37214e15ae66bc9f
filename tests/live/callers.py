"""Give both drivers the same sync interface, so that each test can run with either."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from botticelli import (
        AsyncChatDriver,
        ChatDriver,
        GenerateRequest,
        GenerateResponse,
        Model,
        StreamChunk,
        UsageTotals,
    )


class Streamed(NamedTuple):
    """The chunks and the response of a stream that was read to its end."""

    chunks: list[StreamChunk]
    response: GenerateResponse


class Caller(Protocol):
    """A driver, sync or async."""

    @property
    def usage(self) -> UsageTotals: ...
    def generate(self, request: GenerateRequest) -> GenerateResponse: ...
    def stream(self, request: GenerateRequest) -> Streamed: ...
    def models(self) -> list[Model]: ...
    def close(self) -> None: ...


class SyncCaller:
    def __init__(self, driver: ChatDriver) -> None:
        self._driver = driver

    @property
    def usage(self) -> UsageTotals:
        return self._driver.usage

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        return self._driver.generate(request)

    def stream(self, request: GenerateRequest) -> Streamed:
        with self._driver.generate_stream(request) as stream:
            chunks = list(stream)
        return Streamed(chunks, stream.response)

    def models(self) -> list[Model]:
        return self._driver.models()

    def close(self) -> None:
        self._driver.close()


class AsyncCaller:
    def __init__(self, driver: AsyncChatDriver) -> None:
        self._driver = driver
        self._runner = asyncio.Runner()

    @property
    def usage(self) -> UsageTotals:
        return self._driver.usage

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        return self._runner.run(self._driver.generate(request))

    def stream(self, request: GenerateRequest) -> Streamed:
        async def read() -> Streamed:
            async with self._driver.generate_stream(request) as stream:
                chunks = [chunk async for chunk in stream]
            return Streamed(chunks, stream.response)

        return self._runner.run(read())

    def models(self) -> list[Model]:
        return self._runner.run(self._driver.models())

    def close(self) -> None:
        self._runner.run(self._driver.close())
        self._runner.close()

"""Give both drivers the same sync interface, so that each test can run with either."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .sent import Sent

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
    @property
    def sent(self) -> Sent: ...
    def generate(self, request: GenerateRequest) -> GenerateResponse: ...
    def stream(self, request: GenerateRequest) -> Streamed: ...
    def models(self) -> list[Model]: ...
    def close(self) -> None: ...


class SyncCaller:
    def __init__(self, driver: type[ChatDriver], key: str, model: str, url: str) -> None:
        self.sent = Sent()
        self._client = self.sent.client()
        self._driver = driver.with_api_token(key, model, base_url=url, http_client=self._client)

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
        self._client.close()


class AsyncCaller:
    def __init__(self, driver: type[AsyncChatDriver], key: str, model: str, url: str) -> None:
        self.sent = Sent()
        self._client = self.sent.async_client()
        self._driver = driver.with_api_token(key, model, base_url=url, http_client=self._client)
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
        self._runner.run(self._client.aclose())
        self._runner.close()

"""Drivers of a third party's, as a type checker sees them: read by mypy and pyright, run by nobody.

They inherit from nothing of ours. What fits is assigned; what does not carries an ignore for each checker.
To mypy an ignore that is not needed is an error: the day a protocol no longer tells them apart, it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import botticelli as b

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Pieces:
    """A stream of a third party's."""

    response = b.GenerateResponse()

    def __iter__(self) -> Iterator[b.StreamChunk]:
        return self

    def __next__(self) -> b.StreamChunk:
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None: ...

    def close(self) -> None: ...


class AsyncPieces:
    """An async one."""

    response = b.GenerateResponse()

    def __aiter__(self) -> AsyncIterator[b.StreamChunk]:
        return self

    async def __anext__(self) -> b.StreamChunk:
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None: ...

    async def aclose(self) -> None: ...


class Named:
    """What both have."""

    provider_name = "mine"
    model_name = "m"

    @property
    def capabilities(self) -> b.Capabilities:
        return b.Capabilities(streaming=False)

    @property
    def rate_limits(self) -> b.RateLimits | None:
        return None


class Mine(Named):
    """A sync driver: nothing is missing, and nothing more is wanted."""

    def generate(self, request: b.GenerateRequest) -> b.GenerateResponse:
        return b.GenerateResponse()

    def generate_stream(self, request: b.GenerateRequest) -> b.GenerateStream:
        return Pieces()

    def models(self) -> list[b.Model]:
        return []

    def close(self) -> None: ...


class AsyncMine(Named):
    """An async one."""

    async def generate(self, request: b.GenerateRequest) -> b.GenerateResponse:
        return b.GenerateResponse()

    def generate_stream(self, request: b.GenerateRequest) -> b.AsyncGenerateStream:
        return AsyncPieces()

    async def models(self) -> list[b.Model]:
        return []

    async def close(self) -> None: ...


class Unclosed(Named):
    """Lacks a member."""

    def generate(self, request: b.GenerateRequest) -> b.GenerateResponse:
        return b.GenerateResponse()

    def generate_stream(self, request: b.GenerateRequest) -> b.GenerateStream:
        return Pieces()

    def models(self) -> list[b.Model]:
        return []


class Texts(Mine):
    """Answers with a text."""

    def generate(self, request: Any) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] -- the point
        return ""


SYNC: b.BotticelliDriver = Mine()
ASYNC: b.AsyncBotticelliDriver = AsyncMine()
STREAM: b.GenerateStream = Pieces()
ASYNC_STREAM: b.AsyncGenerateStream = AsyncPieces()

NOT_SYNC: b.BotticelliDriver = AsyncMine()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] -- it is async
NOT_ASYNC: b.AsyncBotticelliDriver = Mine()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] -- it is sync
UNCLOSED: b.BotticelliDriver = Unclosed()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] -- no close
TEXTS: b.BotticelliDriver = Texts()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] -- a str is no answer
NOT_ASYNC_STREAM: b.AsyncGenerateStream = Pieces()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType] -- it is sync


async def used(driver: b.BotticelliDriver, aio: b.AsyncBotticelliDriver, request: b.GenerateRequest) -> None:
    """A program that takes any driver."""
    whole: b.GenerateResponse = driver.generate(request)
    again: b.GenerateResponse = await aio.generate(request)
    with driver.generate_stream(request) as stream:
        chunks: Iterator[b.StreamChunk] = iter(stream)
    async with aio.generate_stream(request) as astream:
        achunks: AsyncIterator[b.StreamChunk] = aiter(astream)
    print(whole, again, chunks, achunks)


def keyed(secret: b.Secret) -> b.HuggingFaceDriver:
    """No public signature needs a private name."""
    return b.HuggingFaceDriver("m", api_key=secret)

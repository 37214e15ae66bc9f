"""What a driver is: two protocols that a third party implements without inheriting. No wire, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from .catalog import Model, UsageTotals
    from .request import GenerateRequest
    from .response import GenerateResponse, RateLimits, StreamChunk

__all__ = [
    "AsyncBotticelliDriver",
    "AsyncGenerateStream",
    "BotticelliDriver",
    "Capabilities",
    "GenerateStream",
]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver can carry; what a given model makes of it is the model's affair."""

    streaming: bool = True
    tools: bool = True
    structured_output: bool = True
    logprobs: bool = True
    multiple_choices: bool = True
    images: bool = True
    audio: bool = True
    documents: bool = True
    video: bool = False
    reasoning: bool = True
    models: bool = True


class GenerateStream(Protocol):
    """An answer that arrives in pieces: iterate it inside ``with``; leaving closes the connection."""

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        ...

    def __iter__(self) -> Iterator[StreamChunk]: ...
    def __next__(self) -> StreamChunk: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        ...


class AsyncGenerateStream(Protocol):
    """The same, for ``async with`` and ``async for``."""

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        ...

    def __aiter__(self) -> AsyncIterator[StreamChunk]: ...
    async def __anext__(self) -> StreamChunk: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    async def aclose(self) -> None:
        """Close the connection; harmless when repeated."""
        ...


@runtime_checkable
class BotticelliDriver(Protocol):
    """A way to talk to a model. Safe to share between threads."""

    @property
    def provider_name(self) -> str:
        """The provider, such as ``huggingface``."""
        ...

    @property
    def model_name(self) -> str:
        """The model that a request without one of its own goes to."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can carry."""
        ...

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the newest answer's headers said, or None."""
        ...

    @property
    def usage(self) -> UsageTotals:
        """What it has used so far."""
        ...

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Raises:
            BotticelliError: One of the tree in `botticelli.core.errors`, and nothing else.
        """
        ...

    def generate_stream(self, request: GenerateRequest) -> GenerateStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated."""
        ...

    def models(self) -> list[Model]:
        """What the server serves."""
        ...

    def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        ...


@runtime_checkable
class AsyncBotticelliDriver(Protocol):
    """The same for asyncio and trio. Safe to share between the tasks of one event loop."""

    @property
    def provider_name(self) -> str:
        """The provider, such as ``huggingface``."""
        ...

    @property
    def model_name(self) -> str:
        """The model that a request without one of its own goes to."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can carry."""
        ...

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the newest answer's headers said, or None."""
        ...

    @property
    def usage(self) -> UsageTotals:
        """What it has used so far."""
        ...

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Raises:
            BotticelliError: One of the tree in `botticelli.core.errors`, and nothing else.
        """
        ...

    def generate_stream(self, request: GenerateRequest) -> AsyncGenerateStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated."""
        ...

    async def models(self) -> list[Model]:
        """What the server serves."""
        ...

    async def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        ...

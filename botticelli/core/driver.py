"""Define what a driver is, as protocols that anyone can implement without inheriting from them.

They hold what every driver must have. Ours have more: `usage`, and they are context managers. Type checkers
hold a class to them. ``isinstance`` raises TypeError on purpose: it would only compare names, and a sync
driver has the same names as an async one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from botticelli.core.models import Model
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import GenerateResponse, RateLimits, StreamChunk

__all__ = [
    "AsyncBotticelliDriver",
    "AsyncGenerateStream",
    "BotticelliDriver",
    "Capabilities",
    "GenerateStream",
]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The features that a driver supports. Whether a given model supports them too is another question.

    Attributes:
        streaming: Answers that arrive while they are made.
        tools: `GenerateRequest.tools` and tool calls.
        structured_output: `ResponseFormat.json_schema`.
        logprobs: Log probabilities of tokens.
        multiple_choices: Several answers to one request (`GenerateRequest.n`).
        images: `Image` in messages.
        audio: `Audio` in messages.
        documents: `Document` in messages.
        video: `Video` in messages.
        reasoning: The model's reasoning, apart from its answer.
        models: A list of the models that the server offers.
    """

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
    """A streamed answer. Iterate it inside ``with``; leaving the block closes the connection.

    Entering and iterating raise the errors of `botticelli.core.errors`, whose `partial` holds what arrived.
    Exactly one chunk, the last, has `StreamChunk.is_final`.
    """

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has arrived; complete after the final chunk."""
        ...

    def __iter__(self) -> Iterator[StreamChunk]: ...
    def __next__(self) -> StreamChunk: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def close(self) -> None:
        """Close the connection; closing again does nothing."""
        ...


class AsyncGenerateStream(Protocol):
    """A streamed answer, for ``async with`` and ``async for``; else like `GenerateStream`."""

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has arrived; complete after the final chunk."""
        ...

    def __aiter__(self) -> AsyncIterator[StreamChunk]: ...
    async def __anext__(self) -> StreamChunk: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    async def aclose(self) -> None:
        """Close the connection; closing again does nothing."""
        ...


class BotticelliDriver(Protocol):
    """Talks to the models of one provider. Safe to share between threads.

    Example:
        >>> from botticelli import BotticelliDriver, GenerateRequest, Message, MockDriver
        >>> def ask(driver: BotticelliDriver, question: str) -> str:
        ...     return driver.generate(GenerateRequest(messages=[Message.user(question)])).text
        >>> ask(MockDriver(["42"]), "What is six by seven?")
        '42'
    """

    @property
    def provider_name(self) -> str:
        """The name of the provider, such as ``huggingface``."""
        ...

    @property
    def model_name(self) -> str:
        """The model for requests that name none."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """The features that the driver supports."""
        ...

    @property
    def rate_limits(self) -> RateLimits | None:
        """The rate limits that the latest response stated; None before the first, or where it stated none."""
        ...

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Send a request and return the complete answer.

        Raises:
            BotticelliError: Something went wrong; see the classes in `botticelli.core.errors`.
        """
        ...

    def generate_stream(self, request: GenerateRequest) -> GenerateStream:
        """Return the answer as a stream. Nothing is sent before the stream is entered or iterated.

        Raises:
            RequestError: The format can't carry the request. All other errors come from the stream.
        """
        ...

    def models(self) -> list[Model]:
        """Return the models that the server offers, in its order.

        Raises:
            BotticelliError: As for `generate`.
        """
        ...

    def close(self) -> None:
        """Close the connections; closing again does nothing."""
        ...


class AsyncBotticelliDriver(Protocol):
    """A `BotticelliDriver` for asyncio and trio. Safe to share between the tasks of one event loop."""

    @property
    def provider_name(self) -> str:
        """The name of the provider, such as ``huggingface``."""
        ...

    @property
    def model_name(self) -> str:
        """The model for requests that name none."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """The features that the driver supports."""
        ...

    @property
    def rate_limits(self) -> RateLimits | None:
        """The rate limits that the latest response stated; None before the first, or where it stated none."""
        ...

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Send a request and return the complete answer.

        Raises:
            BotticelliError: Something went wrong; see the classes in `botticelli.core.errors`.
        """
        ...

    def generate_stream(self, request: GenerateRequest) -> AsyncGenerateStream:
        """Return the answer as a stream. Nothing is sent before the stream is entered or iterated.

        Raises:
            RequestError: The format can't carry the request. All other errors come from the stream.
        """
        ...

    async def models(self) -> list[Model]:
        """Return the models that the server offers, in its order.

        Raises:
            BotticelliError: As for `generate`.
        """
        ...

    async def close(self) -> None:
        """Close the connections; closing again does nothing."""
        ...

"""What a driver is: two protocols that a third party implements without inheriting. No wire, no I/O.

They hold what every driver must have and nothing more; ours have `usage` and are context managers besides.
A type checker holds a class to them. ``isinstance`` refuses to: it would look for names only, and those of a
sync driver and an async one are the same.
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
    """What a driver can carry; what a given model makes of it is the model's affair.

    Attributes:
        streaming: Answers in pieces as they are made, not only whole ones cut up.
        tools: `GenerateRequest.tools`, and the model's calls of them.
        structured_output: `ResponseFormat.json_schema`.
        logprobs: Log probabilities of tokens.
        multiple_choices: More than one answer (`GenerateRequest.n`).
        images: `Image` in messages.
        audio: `Audio` in messages.
        documents: `Document` in messages.
        video: `Video` in messages; the OpenAI format has no part for it.
        reasoning: The model's thinking, apart from its answer.
        models: A list of what the server serves.
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
    """An answer that arrives in pieces: iterate it inside ``with``; leaving closes the connection.

    Entering and iterating raise errors of the tree in `botticelli.core.errors`, with what had come as their
    `partial`. Exactly one chunk, the last, is final.
    """

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


class BotticelliDriver(Protocol):
    """A way to talk to a model. Safe to share between threads.

    Example:
        >>> from botticelli import BotticelliDriver, GenerateRequest, Message, MockDriver
        >>> def ask(driver: BotticelliDriver, question: str) -> str:
        ...     return driver.generate(GenerateRequest(messages=[Message.user(question)])).text
        >>> ask(MockDriver(["42"]), "What is six by seven?")
        '42'
    """

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
        """What the newest answer's headers said; None before the first, or where they said nothing."""
        ...

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Raises:
            BotticelliError: One of the tree in `botticelli.core.errors`, and nothing else.
        """
        ...

    def generate_stream(self, request: GenerateRequest) -> GenerateStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Raises:
            RequestError: The request can't be expressed; whatever else goes wrong, the stream raises.
        """
        ...

    def models(self) -> list[Model]:
        """What the server serves, in its own order.

        Raises:
            BotticelliError: As above.
        """
        ...

    def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        ...


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
        """What the newest answer's headers said; None before the first, or where they said nothing."""
        ...

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Raises:
            BotticelliError: One of the tree in `botticelli.core.errors`, and nothing else.
        """
        ...

    def generate_stream(self, request: GenerateRequest) -> AsyncGenerateStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Raises:
            RequestError: The request can't be expressed; whatever else goes wrong, the stream raises.
        """
        ...

    async def models(self) -> list[Model]:
        """What the server serves, in its own order.

        Raises:
            BotticelliError: As above.
        """
        ...

    async def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        ...

"""Drivers for the tests of programs that use a model: what they answer is a script. No network, no httpx."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from botticelli.core.driver import Capabilities
from botticelli.core.response import GenerateResponse

from .script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from types import TracebackType

    from botticelli.core.catalog import Model, UsageTotals
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import RateLimits, StreamChunk

    from .script import Answer, Played

__all__ = ["AsyncMockDriver", "AsyncMockStream", "MockDriver", "MockStream"]


class _Mock:
    """What both mocks are.

    Args:
        script: The answers, one per call.
        model: The model's name.
        models: What `models` lists.
        rate_limits: What `rate_limits` says.
    """

    def __init__(
        self,
        script: Iterable[Answer] = (),
        *,
        model: str = "mock-model",
        models: Sequence[Model] = (),
        rate_limits: RateLimits | None = None,
    ) -> None:
        self._script = Script(script, model)
        self._models = list(models)
        self._rate_limits = rate_limits

    @property
    def calls(self) -> list[GenerateRequest]:
        """The requests so far, each as it was when the call was made."""
        return self._script.calls

    @property
    def provider_name(self) -> str:
        """Always ``mock``."""
        return "mock"

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self._script.model

    @property
    def capabilities(self) -> Capabilities:
        """Everything that the format carries."""
        return Capabilities()

    @property
    def rate_limits(self) -> RateLimits | None:
        """What it was told to say."""
        return self._rate_limits

    @property
    def usage(self) -> UsageTotals:
        """The totals of the answers so far."""
        return self._script.usage

    def _whole(self, request: GenerateRequest) -> GenerateResponse:
        played = self._script.play(request)
        deque(self._script.follow(played), maxlen=0)
        return played.response


class MockDriver(_Mock):
    """A `BotticelliDriver` that answers from a script.

    Example:
        >>> from botticelli import GenerateRequest, Message, MockDriver
        >>> driver = MockDriver(["Hello!", ["Hel", "lo", "!"]])
        >>> request = GenerateRequest(messages=[Message.user("Hi")])
        >>> driver.generate(request).text
        'Hello!'
        >>> [chunk.text for chunk in driver.generate_stream(request)]
        ['Hel', 'lo', '!', '']
        >>> driver.calls[0].messages[0].text
        'Hi'
    """

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """The next answer of the script.

        Raises:
            BotticelliError: What the script holds, or that it is at its end.
        """
        return self._whole(request)

    def generate_stream(self, request: GenerateRequest) -> MockStream:
        """The next answer of the script, as a stream; it is taken when the stream is entered or iterated."""
        return MockStream(self._script, request)

    def models(self) -> list[Model]:
        """The models it was given."""
        return list(self._models)

    def close(self) -> None:
        """Refuse further calls."""
        self._script.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class AsyncMockDriver(_Mock):
    """An `AsyncBotticelliDriver` that answers from a script; see `MockDriver`."""

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """The next answer of the script.

        Raises:
            BotticelliError: What the script holds, or that it is at its end.
        """
        return self._whole(request)

    def generate_stream(self, request: GenerateRequest) -> AsyncMockStream:
        """The next answer of the script, as a stream; it is taken when the stream is entered or iterated."""
        return AsyncMockStream(self._script, request)

    async def models(self) -> list[Model]:
        """The models it was given."""
        return list(self._models)

    async def close(self) -> None:
        """Refuse further calls."""
        self._script.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()


class _MockStream:
    def __init__(self, script: Script, request: GenerateRequest) -> None:
        self._script = script
        self._request = request
        self._played: Played | None = None
        self._chunks = self._produce()

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        return self._played.response if self._played else GenerateResponse()

    def _begin(self) -> Played:
        if self._played is None:
            self._played = self._script.play(self._request)
        return self._played

    def _produce(self) -> Iterator[StreamChunk]:
        yield from self._script.follow(self._begin())


class MockStream(_MockStream):
    """A scripted answer in pieces."""

    def __iter__(self) -> Iterator[StreamChunk]:
        return self._chunks

    def __next__(self) -> StreamChunk:
        return next(self._chunks)

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream."""


class AsyncMockStream(_MockStream):
    """A scripted answer in pieces, for ``async for``."""

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self

    async def __anext__(self) -> StreamChunk:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream."""

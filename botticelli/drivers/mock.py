"""Drivers for the tests of programs that use a model: what they answer is a script. No network, no httpx.

In all else they behave as the drivers that send: the same requests are refused, a closed one refuses calls, a
failed call is counted, an error in mid-stream carries what had come. What they don't do is try again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

from botticelli.core.driver import Capabilities
from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.core.response import GenerateResponse, RateLimits
from botticelli.drivers.script import Script
from botticelli.drivers.settings import check_catalog, check_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from botticelli.core.models import Model, UsageTotals
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import StreamChunk
    from botticelli.drivers.script import Answer, Played

__all__ = ["AsyncMockDriver", "AsyncMockStream", "MockDriver", "MockStream"]


class _Mock:
    """What both mocks are.

    Args:
        script: The answers, one per call.
        model: The model's name.
        models: What `models` lists.
        rate_limits: What `rate_limits` says.

    Raises:
        ConfigurationError: The script or another argument isn't what it must be; it says which and where.
    """

    def __init__(
        self,
        script: Iterable[Answer] = (),
        *,
        model: str = "mock-model",
        models: Sequence[Model] = (),
        rate_limits: RateLimits | None = None,
    ) -> None:
        self._script = Script(script, check_model(model))
        self._models = check_catalog(models, "models")
        given: Any = rate_limits
        if given is not None and not isinstance(given, RateLimits):
            raise ConfigurationError.wrong("rate_limits", "a RateLimits", given)
        self._rate_limits = rate_limits

    @property
    def calls(self) -> list[GenerateRequest]:
        """The requests so far, each as it was when the call was made; refused ones are no calls."""
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
        """The totals of the calls so far, failed ones included."""
        return self._script.usage

    def _whole(self, request: GenerateRequest) -> GenerateResponse:
        played = self._script.play(self._script.take(request, stream=False))
        try:
            deque(played.chunks(), maxlen=0)
        finally:
            self._script.count(played)
        return played.response

    def _listed(self) -> list[Model]:
        self._script.check_open()
        return list(self._models)


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
            RequestError: A driver that sends would refuse the request.
            BotticelliError: What the script holds, or that it is at its end.
        """
        return self._whole(request)

    def generate_stream(self, request: GenerateRequest) -> MockStream:
        """The next answer of the script, as a stream; it is taken when the stream is entered or iterated.

        Raises:
            RequestError: A driver that sends would refuse the request.
        """
        return MockStream(self._script, request)

    def models(self) -> list[Model]:
        """The models it was given.

        Raises:
            ConfigurationError: The driver is closed.
        """
        return self._listed()

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
            RequestError: A driver that sends would refuse the request.
            BotticelliError: What the script holds, or that it is at its end.
        """
        return self._whole(request)

    def generate_stream(self, request: GenerateRequest) -> AsyncMockStream:
        """The next answer of the script, as a stream; it is taken when the stream is entered or iterated.

        Raises:
            RequestError: A driver that sends would refuse the request.
        """
        return AsyncMockStream(self._script, request)

    async def models(self) -> list[Model]:
        """The models it was given.

        Raises:
            ConfigurationError: The driver is closed.
        """
        return self._listed()

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
    """A scripted answer as it comes, told as the real streams tell theirs."""

    def __init__(self, script: Script, request: GenerateRequest) -> None:
        """Take the request as it is now; the script's line is taken when the stream begins.

        Raises:
            RequestError: A driver that sends would refuse the request.
        """
        self._script = script
        self._request = script.take(request, stream=True)
        self._played: Played | None = None
        self._chunks: Iterator[StreamChunk] = iter(())
        self._problem: BotticelliError | None = None
        self._closed = self._over = False

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        return self._played.response if self._played else GenerateResponse()

    def _begin(self) -> None:
        if self._problem is not None:
            raise self._problem
        if self._closed:
            raise ConfigurationError("the stream is closed", setting="stream", hint="ask again")
        if self._played is not None:
            return
        try:
            self._played = self._script.play(self._request)
            if (error := self._played.refusal) is not None:
                raise error
        except BotticelliError as error:
            self._problem = error
            self._end()
            raise
        self._chunks = self._played.chunks()

    def _next(self) -> StreamChunk | None:
        """The next chunk; None after the final one."""
        if self._over:
            return None
        self._begin()
        try:
            chunk = next(self._chunks)
        except BotticelliError as error:
            self._problem = error
            self._end()
            raise
        if chunk.is_final:
            self._over = True
            self._end()
        return chunk

    def _end(self) -> None:
        if not self._closed and self._played is not None:
            self._script.count(self._played)
        self._closed = True


class MockStream(_MockStream):
    """A scripted answer in pieces."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        chunk = self._next()
        if chunk is None:
            raise StopIteration
        return chunk

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream, wherever it is; harmless when repeated."""
        self._end()


class AsyncMockStream(_MockStream):
    """A scripted answer in pieces, for ``async for``."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        chunk = self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream, wherever it is; harmless when repeated."""
        self._end()

"""The async driver and its streams, for asyncio and trio: `sync`, with `await`. I/O is done by `acourier`."""

from __future__ import annotations

import warnings
from collections import deque
from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

import anyio

from botticelli.core.driver import Capabilities
from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.core.response import GenerateResponse

from .acourier import AsyncCourier, AsyncIncoming
from .endpoint import Endpoint
from .pieces import chunks_of
from .settings import Options, Secret, read_key
from .streaming import StreamAnswer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    import httpx

    from botticelli.core.catalog import Model, UsageTotals
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import RateLimits, StreamChunk

    from .provider import Provider
    from .task import Task

__all__ = ["AsyncChatDriver", "AsyncChatStream"]


class AsyncChatDriver:
    """`ChatDriver` for asyncio and trio: the same options, the same answers.

    Safe to share between the tasks of one event loop. `close` it, or use it as a context manager. A cache
    and the files that a request names are read without `await`.

    Args:
        model: The model that a request without one of its own goes to.
        api_key: The key; None looks in the environment, then in ``.env``.
        http_client: An httpx client of your own, which you close yourself; its timeouts don't apply. Of
            HTTP/2, see `ChatDriver`.
        **options: As in `ChatDriver`.

    Raises:
        ConfigurationError: As in `ChatDriver`.
    """

    provider: ClassVar[Provider]

    def __init__(
        self,
        model: str,
        *,
        api_key: str | Secret | None = None,
        http_client: httpx.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._endpoint = Endpoint(self.provider, model, api_key, http_client=http_client, **options)
        self._courier = AsyncCourier(self._endpoint, http_client)

    @classmethod
    def with_api_token(
        cls,
        token: str | None,
        model: str,
        *,
        http_client: httpx.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A driver with this key and no other.

        Args:
            token: The key; None or empty sends none, for local servers.
            model: As above, and so are the rest.
            http_client: As above.
            **options: As above.

        Raises:
            ConfigurationError: As above.
        """
        return cls(model, api_key=read_key(token, "token"), http_client=http_client, **options)

    @property
    def provider_name(self) -> str:
        """The provider, such as ``huggingface``."""
        return self.provider.name

    @property
    def model_name(self) -> str:
        """The model that a request without one of its own goes to."""
        return self._endpoint.model

    @property
    def capabilities(self) -> Capabilities:
        """What the format carries; what a given model makes of it is the model's affair."""
        return Capabilities()

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the newest answer's headers said, or None."""
        return self._endpoint.ledger.rate_limits

    @property
    def usage(self) -> UsageTotals:
        """What this driver has used so far; answers from the cache are free."""
        return self._endpoint.ledger.usage

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Args:
            request: What to ask.

        Returns:
            The answer, with at least one choice.

        Raises:
            RequestError: The format can't carry the request; nothing was sent.
            ModelsError: Something went wrong on the way; see its subclasses.
            ConfigurationError: The driver or its client is closed.
        """
        task = self._endpoint.chat(request, stream=False)
        kept = task.cached()
        if kept is not None:
            return kept

        async def attempt() -> GenerateResponse:
            return task.answer(await self._courier.fetch(task))

        try:
            return await self._courier.run(task, attempt)
        finally:
            task.count()

    def generate_stream(self, request: GenerateRequest) -> AsyncChatStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Args:
            request: What to ask.

        Raises:
            RequestError: The format can't carry the request.
        """
        return AsyncChatStream(self._courier, self._endpoint.chat(request, stream=True))

    async def models(self) -> list[Model]:
        """What the server serves; its prices are used for `usage` from now on.

        Raises:
            ModelsError: Something went wrong on the way; see its subclasses.
            ConfigurationError: The driver or its client is closed.
        """
        task = self._endpoint.listing()

        async def attempt() -> list[Model]:
            return task.models(await self._courier.fetch(task))

        return await self._courier.run(task, attempt)

    async def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        await self._courier.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.summary()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied: it has a key and connections")


class AsyncChatStream:
    """An answer that arrives in pieces: iterate it, inside ``async with`` unless you read it to its end.

    Leaving the block, or cancelling the task, closes the connection at once. One task at a time reads it;
    any may close it.
    """

    def __init__(self, courier: AsyncCourier, task: Task) -> None:
        """A stream that hasn't begun; `AsyncChatDriver.generate_stream` makes it."""
        self._courier = courier
        self._task = task
        self._incoming: AsyncIncoming | None = None
        self._answer: StreamAnswer | None = None
        self._kept: GenerateResponse | None = None
        self._problem: BotticelliError | None = None
        self._ready: deque[StreamChunk] = deque()
        self._begun = self._closed = self._over = False
        self._beginning: anyio.CancelScope | None = None

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        if self._answer is not None:
            return self._answer.response
        return self._kept or GenerateResponse()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        ready = self._ready
        while not ready:
            if self._over:
                raise StopAsyncIteration
            await self._advance()
        return ready.popleft()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection; harmless when repeated.

        A task that waits for the answer meanwhile wakes, with a `ConfigurationError` that says so.
        """
        self._closed = True
        if self._beginning is not None:
            self._beginning.cancel()
        incoming, self._incoming = self._incoming, None
        try:
            if incoming is not None:
                await incoming.close()
        finally:
            self._task.count()

    def __del__(self) -> None:
        if getattr(self, "_incoming", None) is not None:
            warnings.warn(
                f"unclosed {type(self).__name__}: use it inside async with",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    async def _begin(self) -> None:
        """Send the request and wait for the head of a good answer, or take the answer from the cache."""
        if self._problem is not None:
            raise self._problem
        self._check()
        if self._begun:
            return
        self._begun = True
        try:
            self._kept = self._task.cached()
            if self._kept is None:
                with anyio.CancelScope() as self._beginning:
                    self._incoming, self._answer = await self._courier.run(self._task, self._attempt)
            self._check()
        except BaseException as error:
            if (told := await self._failed(error)) is not error:
                raise told from None
            raise

    def _check(self) -> None:
        if self._closed:
            raise _closed()

    async def _failed(self, error: BaseException) -> BaseException:
        """The stream is over; what its reader is to be told."""
        if self._closed and isinstance(error, Exception):
            error = _closed()  # by another task; what came of it doesn't matter
        if isinstance(error, BotticelliError):
            self._problem = error
        await self.aclose()
        return error

    async def _attempt(self) -> tuple[AsyncIncoming, StreamAnswer]:
        incoming = await self._courier.open(self._task)
        try:
            return incoming, StreamAnswer(self._task)
        except BaseException:
            await incoming.close()
            raise

    async def _advance(self) -> None:
        """Read until something is ready or all is over."""
        await self._begin()
        if self._kept is not None:
            self._ready.extend(chunks_of(self._kept))
            self._over = True
            await self.aclose()
            return
        answer, incoming = self._answer, self._incoming
        if answer is None or incoming is None:
            raise _closed()
        try:
            if not answer.ended:
                piece = await incoming.next(self._task)
                self._check()
                if piece is not None:
                    self._ready.extend(answer.feed(piece))
                    return
            else:
                await incoming.linger()
            self._ready.extend(answer.finish())
            self._over = True
        except BaseException as error:
            if isinstance(error, BotticelliError):
                answer.failed(error)
            if (told := await self._failed(error)) is not error:
                raise told from None
            raise
        await self.aclose()


def _closed() -> ConfigurationError:
    return ConfigurationError("the stream is closed", setting="stream", hint="ask again")

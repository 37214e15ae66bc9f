"""The stream of the async driver: `chatstream`, with `await`."""

from __future__ import annotations

import warnings
from collections import deque
from typing import TYPE_CHECKING, Self

import anyio

from botticelli.core.errors import BotticelliError
from botticelli.core.response import GenerateResponse, chunks_of
from botticelli.drivers.stream import closed
from botticelli.drivers.streaming import StreamAnswer

if TYPE_CHECKING:
    from types import TracebackType

    from botticelli.core.response import StreamChunk
    from botticelli.drivers.http_async import AsyncCourier, AsyncIncoming
    from botticelli.drivers.task import Task

__all__ = ["AsyncChatStream"]


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
            raise closed()

    async def _failed(self, error: BaseException) -> BaseException:
        """The stream is over; what its reader is to be told."""
        if self._closed and isinstance(error, Exception):
            error = closed()  # by another task; what came of it doesn't matter
        if isinstance(error, BotticelliError):
            self._problem = error
        await self.aclose()
        return error

    async def _attempt(self) -> tuple[AsyncIncoming, StreamAnswer]:
        incoming = await self._courier.open(self._task)
        try:
            return incoming, StreamAnswer(self._task)
        except BaseException:  # raised again: whatever it is, nobody else could close the connection
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
            raise closed()
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
            if self._incoming is None:
                # another task has closed it, but couldn't end what this one was reading
                await incoming.close()
            if isinstance(error, BotticelliError):
                answer.failed(error)
            if (told := await self._failed(error)) is not error:
                raise told from None
            raise
        await self.aclose()

"""Read streamed responses chunk by chunk: the streams of the sync and the async driver."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING, Self

import anyio

from botticelli.core.errors import BotticelliError, ClosedError
from botticelli.core.response import chunks_of
from botticelli.drivers.http_async import AsyncHttpCall
from botticelli.drivers.http_sync import HttpCall

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from botticelli.core.response import GenerateResponse, StreamChunk
    from botticelli.drivers.call import Call
    from botticelli.drivers.http_async import AsyncHttpClient
    from botticelli.drivers.http_sync import HttpClient
    from botticelli.protocol.exchange import Steps

__all__ = ["AsyncChatStream", "ChatStream"]


class _StreamState:
    """The common state of both streams."""

    def __init__(self, call: Call) -> None:
        self._call = call
        # the generator doesn't refer to `self`: in such a cycle, only the garbage collector could free a
        # forgotten stream, and closing it there takes the pool's lock, which the same thread may hold
        self._steps: Steps[None] | None = None
        self._cached: GenerateResponse | None = None
        self._error: BotticelliError | None = None
        self._ready: deque[StreamChunk] = deque()
        self._is_begun = self._closed = self._is_finished = False

    @property
    def response(self) -> GenerateResponse:
        """The response so far; complete after the final chunk."""
        return self._call.response if self._cached is None else self._cached

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the stream is closed", hint="ask again")

    def _queue(self, chunks: list[StreamChunk]) -> None:
        """Queue chunks for the caller; the final chunk ends the stream."""
        self._ready.extend(chunks)
        self._is_finished = chunks[-1].is_final

    def _error_for_reader(self, error: BaseException) -> BaseException:
        """Return the error to raise in the reading thread or task for an error that ends the stream."""
        if self._closed and isinstance(error, Exception):
            # another thread or task has closed the stream, which caused the error
            error = ClosedError("the stream is closed", hint="ask again")
        if isinstance(error, BotticelliError):
            self._error = error
        return error

    def _warn(self, block: str) -> None:
        # don't close it here: that takes the pool's lock, which this thread may hold
        warnings.warn(
            f"unclosed {type(self).__name__}: use it inside {block}",
            ResourceWarning,
            stacklevel=3,
            source=self,
        )


class ChatStream(_StreamState):
    """A response that arrives in chunks: iterate over it, in ``with`` unless you read it to the end.

    Leaving the block closes the connection at once, even in the middle of the response. Only one thread at a
    time may read the stream; any thread may close it.
    """

    def __init__(self, client: HttpClient, call: Call) -> None:
        """Prepare a stream; call `ChatDriver.generate_stream` instead."""
        super().__init__(call)
        self._client = client
        self._http = HttpCall(client, call)
        self._busy = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        ready = self._ready
        while not ready:
            if self._is_finished:
                raise StopIteration
            self._exclusively(self._advance)
        return ready.popleft()

    def __enter__(self) -> Self:
        self._exclusively(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; safe to call more than once.

        A thread that is waiting for the response wakes up with a `ClosedError`.
        """
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._busy.release()
        else:
            # the connection is in use, maybe by this thread, which a signal handler has interrupted: shut
            # it down here; its user then closes it
            self._client.abandon(self._http)

    def _release(self) -> None:
        self._closed = True
        self._steps = None
        self._http.close()
        self._call.count()

    def _exclusively(self, step: Callable[[], None]) -> None:
        """Run a step while no other thread uses the connection."""
        try:
            with self._busy:
                step()
        finally:
            if self._closed and self._http.is_open:
                # another thread has called `close`, which left the closing to this one
                self.close()

    def __del__(self) -> None:
        http = getattr(self, "_http", None)
        if http is not None and http.is_open:
            self._warn("with")

    def _begin(self) -> None:
        """Send the request and wait for a successful head, or take the response from the cache."""
        if self._error is not None:
            raise self._error
        self._check()
        if self._is_begun:
            return
        self._is_begun = True
        try:
            self._cached = self._call.cached()
            if self._cached is None:
                self._client.check_open()
                self._steps = self._call.stream()
                self._http.advance(self._steps)
            self._check()
        except BaseException as error:
            self._fail(error)
            raise

    def _advance(self) -> None:
        """Read until a chunk is ready or the stream has ended."""
        self._begin()
        if self._cached is not None:
            self._queue(chunks_of(self._cached, n=self._call.n))
            self._release()
            return
        if self._steps is None:
            self._check()
            return
        try:
            self._queue(self._http.advance(self._steps))
        except BaseException as error:
            self._fail(error)
            raise
        if self._is_finished:
            self._release()

    def _fail(self, error: BaseException) -> None:
        """End the stream, and raise `_error_for_reader` if that is another error."""
        raised = self._error_for_reader(error)
        self._release()
        if raised is not error:
            raise raised from None


class AsyncChatStream(_StreamState):
    """A response that arrives in chunks: iterate over it, in ``async with`` unless you read it to the end.

    Leaving the block, or cancelling the task, closes the connection at once. Only one task at a time may
    read the stream; any task may close it.
    """

    def __init__(self, client: AsyncHttpClient, call: Call) -> None:
        """Prepare a stream; call `AsyncChatDriver.generate_stream` instead."""
        super().__init__(call)
        self._client = client
        self._http = AsyncHttpCall(client, call)
        self._begin_scope: anyio.CancelScope | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        ready = self._ready
        while not ready:
            if self._is_finished:
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
        """Close the connection; safe to call more than once.

        A task that is waiting for the response wakes up with a `ClosedError`.
        """
        self._closed = self._call.abandoned = True
        if self._begin_scope is not None:
            self._begin_scope.cancel()
        try:
            await self._http.close()
        finally:
            self._call.count()

    def __del__(self) -> None:
        http = getattr(self, "_http", None)
        if http is not None and http.is_open:
            self._warn("async with")

    async def _begin(self) -> None:
        """Send the request and wait for a successful head, or take the response from the cache."""
        if self._error is not None:
            raise self._error
        self._check()
        if self._is_begun:
            return
        self._is_begun = True
        try:
            await self._client.encode(self._call)
            self._check()
            self._cached = self._call.cached()
            if self._cached is None:
                self._client.check_open()
                self._steps = self._call.stream()
                with anyio.CancelScope() as self._begin_scope:
                    await self._http.advance(self._steps)
            self._check()
        except BaseException as error:
            await self._fail(error)
            raise

    async def _advance(self) -> None:
        """Read until a chunk is ready or the stream has ended."""
        await self._begin()
        if self._cached is not None:
            self._queue(chunks_of(self._cached, n=self._call.n))
            await self._release()
            return
        if self._steps is None:
            self._check()
            return
        try:
            self._queue(await self._http.advance(self._steps))
        except BaseException as error:
            await self._fail(error)
            raise
        if self._is_finished:
            await self._release()

    async def _release(self) -> None:
        self._steps = None
        await self.aclose()

    async def _fail(self, error: BaseException) -> None:
        """End the stream, and raise `_error_for_reader` if that is another error."""
        raised = self._error_for_reader(error)
        await self._release()
        if raised is not error:
            raise raised from None

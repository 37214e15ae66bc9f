"""The streams of both drivers: an answer in chunks."""

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
    """What both streams know."""

    def __init__(self, call: Call) -> None:
        self._call = call
        # a generator over the exchange and never over `self`: in that cycle only the collector could free a
        # forgotten stream, and closing it from there takes the
        # pool's lock, which the collecting thread may hold
        self._steps: Steps[None] | None = None
        self._cached: GenerateResponse | None = None
        self._problem: BotticelliError | None = None
        self._ready: deque[StreamChunk] = deque()
        self._begun = self._closed = self._over = False

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        return self._call.response if self._cached is None else self._cached

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the stream is closed", hint="ask again")

    def _take(self, chunks: list[StreamChunk]) -> None:
        """Keep chunks for the caller; the final one ends the stream."""
        self._ready.extend(chunks)
        self._over = chunks[-1].is_final

    def _error_for_reader(self, error: BaseException) -> BaseException:
        """Return what the reader gets for an error that ends the stream."""
        if self._closed and isinstance(error, Exception):
            # closed meanwhile by another thread or task: what came of the reading doesn't matter
            error = ClosedError("the stream is closed", hint="ask again")
        if isinstance(error, BotticelliError):
            self._problem = error
        return error

    def _warn(self, block: str) -> None:
        # not closed here: that takes the pool's lock, which this very thread may hold
        warnings.warn(
            f"unclosed {type(self).__name__}: use it inside {block}",
            ResourceWarning,
            stacklevel=3,
            source=self,
        )


class ChatStream(_StreamState):
    """An answer that arrives in chunks: iterate it, inside ``with`` unless you read it to its end.

    Leaving the block closes the connection at once, in the middle of the answer too. One thread at a time
    reads it; any may close it.
    """

    def __init__(self, client: HttpClient, call: Call) -> None:
        """Prepare a stream; `ChatDriver.generate_stream` does."""
        super().__init__(call)
        self._client = client
        self._http = HttpCall(client, call)
        self._busy = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        ready = self._ready
        while not ready:
            if self._over:
                raise StopIteration
            self._alone(self._advance)
        return ready.popleft()

    def __enter__(self) -> Self:
        self._alone(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; harmless when repeated.

        A thread that waits for the answer meanwhile wakes, with a `ClosedError` that says so.
        """
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._busy.release()
        else:
            # the connection is in use, maybe by this very thread, that a signal has interrupted: it is
            # broken here, and closed by who uses it
            self._client.abandon(self._http)

    def _release(self) -> None:
        self._closed = True
        self._steps = None
        self._http.close()
        self._call.count()

    def _alone(self, step: Callable[[], None]) -> None:
        """Do this while nobody else does anything with the connection."""
        try:
            with self._busy:
                step()
        finally:
            if self._closed and self._http.is_open:
                # another thread has closed the stream, and left this to do
                self.close()

    def __del__(self) -> None:
        http = getattr(self, "_http", None)
        if http is not None and http.is_open:
            self._warn("with")

    def _begin(self) -> None:
        """Send the request and wait for the head of a good answer, or take the answer from the cache."""
        if self._problem is not None:
            raise self._problem
        self._check()
        if self._begun:
            return
        self._begun = True
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
        """Read until something is ready or all is over."""
        self._begin()
        if self._cached is not None:
            self._take(chunks_of(self._cached, n=self._call.n))
            self._release()
            return
        if self._steps is None:
            self._check()
            return
        try:
            self._take(self._http.advance(self._steps))
        except BaseException as error:
            self._fail(error)
            raise
        if self._over:
            self._release()

    def _fail(self, error: BaseException) -> None:
        """End the stream, and raise what the reader gets if that is another error."""
        shown = self._error_for_reader(error)
        self._release()
        if shown is not error:
            raise shown from None


class AsyncChatStream(_StreamState):
    """An answer that arrives in chunks: iterate it, inside ``async with`` unless you read it to its end.

    Leaving the block, or cancelling the task, closes the connection at once. One task at a time reads it;
    any may close it.
    """

    def __init__(self, client: AsyncHttpClient, call: Call) -> None:
        """Prepare a stream; `AsyncChatDriver.generate_stream` does."""
        super().__init__(call)
        self._client = client
        self._http = AsyncHttpCall(client, call)
        self._beginning: anyio.CancelScope | None = None

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

        A task that waits for the answer meanwhile wakes, with a `ClosedError` that says so.
        """
        self._closed = self._call.abandoned = True
        if self._beginning is not None:
            self._beginning.cancel()
        try:
            await self._http.close()
        finally:
            self._call.count()

    def __del__(self) -> None:
        http = getattr(self, "_http", None)
        if http is not None and http.is_open:
            self._warn("async with")

    async def _begin(self) -> None:
        """Send the request and wait for the head of a good answer, or take the answer from the cache."""
        if self._problem is not None:
            raise self._problem
        self._check()
        if self._begun:
            return
        self._begun = True
        try:
            self._cached = self._call.cached()
            if self._cached is None:
                self._client.check_open()
                self._steps = self._call.stream()
                with anyio.CancelScope() as self._beginning:
                    await self._http.advance(self._steps)
            self._check()
        except BaseException as error:
            await self._fail(error)
            raise

    async def _advance(self) -> None:
        """Read until something is ready or all is over."""
        await self._begin()
        if self._cached is not None:
            self._take(chunks_of(self._cached, n=self._call.n))
            await self._release()
            return
        if self._steps is None:
            self._check()
            return
        try:
            self._take(await self._http.advance(self._steps))
        except BaseException as error:
            await self._fail(error)
            raise
        if self._over:
            await self._release()

    async def _release(self) -> None:
        self._steps = None
        await self.aclose()

    async def _fail(self, error: BaseException) -> None:
        """End the stream, and raise what the reader gets if that is another error."""
        shown = self._error_for_reader(error)
        await self._release()
        if shown is not error:
            raise shown from None

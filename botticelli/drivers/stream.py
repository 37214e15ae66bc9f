"""The stream of the sync driver: an answer in pieces, that one thread reads and any may close."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING, Self

from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.core.response import GenerateResponse, chunks_of
from botticelli.drivers.streaming import StreamAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from botticelli.core.response import StreamChunk
    from botticelli.drivers.http_sync import Courier, Incoming
    from botticelli.drivers.task import Task

__all__ = ["ChatStream", "closed"]


class ChatStream:
    """An answer that arrives in pieces: iterate it, inside ``with`` unless you read it to its end.

    Leaving the block closes the connection at once, in the middle of the answer too. One thread at a time
    reads it; any may close it.
    """

    def __init__(self, courier: Courier, task: Task) -> None:
        """A stream that hasn't begun; `ChatDriver.generate_stream` makes it."""
        self._courier = courier
        self._task = task
        self._incoming: Incoming | None = None
        self._answer: StreamAnswer | None = None
        self._kept: GenerateResponse | None = None
        self._problem: BotticelliError | None = None
        # no generator over `self`: in that cycle only the collector could free a forgotten stream, and
        # closing it from there takes the pool's lock, which the collecting thread may hold
        self._ready: deque[StreamChunk] = deque()
        self._begun = self._closed = self._over = False
        self._busy = threading.Lock()

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        if self._answer is not None:
            return self._answer.response
        return self._kept or GenerateResponse()

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

        A thread that waits for the answer meanwhile wakes, with a `ConfigurationError` that says so.
        """
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._busy.release()
        else:
            # the connection is in use, maybe by this very thread, that a signal has interrupted: it is
            # broken here, and let go by who uses it
            self._courier.abandon(self._task)

    def _let_go(self) -> None:
        self._closed = True
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.close()
        self._task.count()

    def _alone(self, step: Callable[[], None]) -> None:
        """Do this while nobody else does anything with the connection."""
        try:
            with self._busy:
                step()
        finally:
            if self._closed and self._incoming is not None:
                # another thread has closed the stream, and left this to do
                self.close()

    def __del__(self) -> None:
        if getattr(self, "_incoming", None) is not None:
            # not closed here: that takes the pool's lock, which this very thread may hold
            warnings.warn(
                f"unclosed {type(self).__name__}: use it inside with",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _begin(self) -> None:
        """Send the request and wait for the head of a good answer, or take the answer from the cache."""
        if self._problem is not None:
            raise self._problem
        self._check()
        if self._begun:
            return
        self._begun = True
        task, courier = self._task, self._courier
        try:
            self._kept = task.cached()
            if self._kept is None:
                self._incoming, self._answer = courier.run(task, self._attempt)
            self._check()
        except BaseException as error:
            if (told := self._failed(error)) is not error:
                raise told from None
            raise

    def _check(self) -> None:
        if self._closed:
            raise closed()

    def _failed(self, error: BaseException) -> BaseException:
        """The stream is over; what its reader is to be told."""
        if self._closed and isinstance(error, Exception):
            error = closed()  # by another thread; what came of it doesn't matter
        if isinstance(error, BotticelliError):
            self._problem = error
        self._let_go()
        return error

    def _attempt(self) -> tuple[Incoming, StreamAnswer]:
        incoming = self._courier.open(self._task)
        try:
            return incoming, StreamAnswer(self._task)
        except BaseException:  # raised again: whatever it is, nobody else could close the connection
            incoming.close()
            raise

    def _advance(self) -> None:
        """Read until something is ready or all is over."""
        self._begin()
        if self._kept is not None:
            self._ready.extend(chunks_of(self._kept))
            self._over = True
            self._let_go()
            return
        answer, incoming = self._answer, self._incoming
        if answer is None or incoming is None:
            raise closed()
        try:
            if not answer.ended:
                piece = incoming.next(self._task)
                self._check()
                if piece is not None:
                    self._ready.extend(answer.feed(piece))
                    return
            else:
                incoming.linger(self._task)
            self._ready.extend(answer.finish())
            self._over = True
        except BaseException as error:
            if isinstance(error, BotticelliError):
                answer.failed(error)
            if (told := self._failed(error)) is not error:
                raise told from None
            raise
        self._let_go()


def closed() -> ConfigurationError:
    """The error for a stream that is read after it was closed; not raised."""
    return ConfigurationError("the stream is closed", setting="stream", hint="ask again")

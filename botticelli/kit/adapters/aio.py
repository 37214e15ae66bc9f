"""Asynchronous adapters: one loop in a thread of its own, shared by all calls, as an application would.

May enter: an object with an awaitable ``exchange``. A loop that a call blocks is left behind, and
another takes the calls that follow.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.limits import LIMIT, CrashedError, HungError, describe_exception

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import AsyncAdapter

_PARTING = 2.0  # seconds that a loop has to cancel what still runs on it


class AsyncBridge:
    """An adapter for an :class:`AsyncAdapter`, with a loop in a thread of its own.

    Args:
        adapter: The asynchronous adapter.
        limit: Seconds after which a call is cancelled and counts as hanging.
    """

    def __init__(self, adapter: AsyncAdapter, limit: float = LIMIT) -> None:
        self._door = adapter
        self._limit = limit
        self._lock = threading.Lock()
        self._loop, self._thread = _running_loop()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do."""
        return self._door.capabilities

    def exchange(self, call: Document) -> Document:
        """Make the call on the loop and wait for it.

        Raises:
            HungError: The limit ran out; the call was cancelled.
            CrashedError: The limit ran out because another call blocks the loop.
        """
        loop, name = self._loop, f"case {call.get('case')}"
        future = asyncio.run_coroutine_threadsafe(self._make(call, name), loop)
        try:
            return future.result(self._limit)
        except FutureTimeoutError:
            if future.done():
                raise  # the driver's own TimeoutError is a crash, not a hang
            future.cancel()
            culprit = self._left(loop)
            if culprit not in (None, name):
                raise CrashedError(f"the event loop was blocked meanwhile, by {culprit}") from None
            raise HungError(f"no outcome in {self._limit:g} s") from None

    def close(self) -> None:
        """Close the adapter behind, if it can be closed, and end the loop.

        Raises:
            HungError: The adapter behind does not close in time.
        """
        closing = getattr(self._door, "close", None)
        with self._lock:
            loop, thread = self._loop, self._thread
        try:
            if closing is not None:
                future = asyncio.run_coroutine_threadsafe(_settled(closing), loop)
                if not wait([future], self._limit).done:
                    raise HungError(f"nothing in {self._limit:g} s")
                future.result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_PARTING)

    async def _make(self, call: Document, name: str) -> Document:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it was made to run as one
        task.set_name(name)
        try:
            return await self._door.exchange(call)
        except (SystemExit, KeyboardInterrupt) as error:
            # These two a loop does not keep to the task, but ends with them.
            raise CrashedError(describe_exception(error)) from error

    def _left(self, loop: asyncio.AbstractEventLoop) -> str | None:
        """Leave a loop that does no more work; return what blocks it."""
        works = threading.Event()
        loop.call_soon_threadsafe(works.set)
        if works.wait(self._limit / 10):
            return None
        running = asyncio.current_task(loop)
        with self._lock:
            if self._loop is loop:
                loop.call_soon_threadsafe(loop.stop)
                self._loop, self._thread = _running_loop()
        return running.get_name() if running else "something that is no task"


def _running_loop() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="botticelli-adapter", daemon=True)
    thread.start()
    return loop, thread


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    if pending:
        loop.run_until_complete(asyncio.wait(pending, timeout=_PARTING / 2))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _settled(closing: Any) -> None:
    result = closing()
    if inspect.isawaitable(result):
        await result

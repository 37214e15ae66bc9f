"""Run an asynchronous adapter: all calls share one event loop in a thread, as in an application.

A loop that a call blocks is abandoned, and the calls that follow get a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from concurrent.futures import CancelledError, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.adapter import said_version
from botticelli.kit.adapters.limits import LIMIT, BystanderError, CrashedError, HungError, describe_exception

if TYPE_CHECKING:
    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import AsyncAdapter

__all__ = ["AsyncBridge"]

_SHUTDOWN = 2.0  # seconds that a loop has to cancel what still runs on it
_WORKERS = 16  # tasks that a client may have of its own; one left at every call is more than that


class AsyncBridge:
    """Make an :class:`AsyncAdapter` an :class:`Adapter`.

    Args:
        adapter: The asynchronous adapter.
        limit: Seconds after which a call is cancelled and counts as hanging.
    """

    def __init__(self, adapter: AsyncAdapter, limit: float = LIMIT) -> None:
        self._adapter = adapter
        self._limit = limit
        self._lock = threading.Lock()
        self._loop, self._thread = _running_loop()
        self._culprits: dict[asyncio.AbstractEventLoop, str] = {}  # what blocked the loops that were left
        self._begun: dict[str | None, asyncio.AbstractEventLoop] = {}  # by the base_url of a case's calls

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do."""
        return self._adapter.capabilities

    @property
    def version(self) -> str:
        """The client's version, where the adapter tells it."""
        return said_version(self._adapter)

    def exchange(self, call: Document) -> Document:
        """Make the call on the loop and wait for its outcome.

        Raises:
            HungError: The limit ran out; the call was cancelled.
            BystanderError: It was lost because another call blocks the loop, or has blocked it.
        """
        name, place = f"case {call.get('case')}", call.get("base_url")
        with self._lock:
            loop = self._loop
            if (began := self._begun.pop(place, loop)) is not loop:
                # openai-async, tool-beside-text: what the client kept of that loop, its connections, is lost.
                raise self._bystander(began)
            if not call.get("last", True):
                self._begun[place] = loop
            future = asyncio.run_coroutine_threadsafe(self._make(call, name), loop)
        try:
            return future.result(self._limit)
        except CancelledError:
            if loop not in self._culprits:
                raise  # the driver's own, which is a crash
            raise self._bystander(loop) from None
        except FutureTimeoutError:
            if future.done():
                raise  # a TimeoutError of the driver's own is a crash, not a hang
            future.cancel()
            if self._abandon_if_blocked(loop) not in (None, name):
                raise self._bystander(loop) from None
            raise HungError(f"no outcome in {self._limit:g} s") from None

    def _bystander(self, loop: asyncio.AbstractEventLoop) -> BystanderError:
        return BystanderError(f"its event loop was blocked by {self._culprits[loop]}, and left")

    def close(self) -> None:
        """Close the adapter, if it can be closed, and end the loop.

        A client that is left of a loop which a call has blocked can't be closed: that is no second fault.

        Raises:
            HungError: The adapter doesn't close in time.
            CrashedError: Many tasks are left running, though all calls have ended.
        """
        closing = getattr(self._adapter, "close", None)
        with self._lock:
            loop, thread = self._loop, self._thread
        try:
            if closing is not None:
                future = asyncio.run_coroutine_threadsafe(_call_and_await(closing), loop)
                if not wait([future], self._limit).done:
                    raise HungError(f"nothing in {self._limit:g} s")
                with contextlib.suppress(RuntimeError) if self._culprits else contextlib.nullcontext():
                    # Of a loop that was abandoned a client may be left, which can't be closed any more.
                    future.result()
            counted = asyncio.run_coroutine_threadsafe(_count_others(), loop)
            if wait([counted], self._limit).done and counted.result() > _WORKERS:
                raise CrashedError(f"{counted.result()} tasks are left running, though every call has ended")
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_SHUTDOWN)

    async def _make(self, call: Document, name: str) -> Document:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- run_coroutine_threadsafe made one
        task.set_name(name)
        try:
            return await self._adapter.exchange(call)
        except (SystemExit, KeyboardInterrupt) as error:
            # A task that raises one of these two ends its event loop.
            raise CrashedError(describe_exception(error)) from error

    def _abandon_if_blocked(self, loop: asyncio.AbstractEventLoop) -> str | None:
        """Replace a loop that doesn't respond; return the name of the task that blocks it, or None."""
        works = threading.Event()
        with self._lock:
            if loop in self._culprits:
                return self._culprits[loop]
            loop.call_soon_threadsafe(works.set)
        if works.wait(self._limit / 10):
            return None
        running = asyncio.current_task(loop)
        with self._lock:
            if loop not in self._culprits:
                self._culprits[loop] = running.get_name() if running else "a callback outside any task"
                loop.call_soon_threadsafe(loop.stop)
                self._loop, self._thread = _running_loop()
            return self._culprits[loop]


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
        loop.run_until_complete(asyncio.wait(pending, timeout=_SHUTDOWN / 2))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _count_others() -> int:
    return len(asyncio.all_tasks()) - 1


async def _call_and_await(closing: Any) -> None:
    result = closing()
    if inspect.isawaitable(result):
        await result

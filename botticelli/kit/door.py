"""The door: where a driver, in any language, meets the judge.

May enter: anything that takes a neutral call and gives a neutral outcome, both JSON (contracts/kit/
call.schema.json and outcome.schema.json). A Python adapter is an object with ``capabilities`` and
``exchange``; a program in another language speaks JSON lines (command.py). An adapter lets pass
what its driver raises outside its own error classes: that is a crash, and the judge wants it.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

from botticelli.kit.errors import DoorError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from botticelli.kit.values import Document

LIMIT = 10.0
"""Seconds that a driver has for one call; a case's calls are made to need far less."""


class HungError(Exception):
    """Raised by a door that knows its driver will not come back."""


class CrashedError(Exception):
    """Raised by a door whose driver died or reported an untyped exception."""


@runtime_checkable
class Door(Protocol):
    """A driver behind a door. ``exchange`` is called from several threads at once."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do: words of ``capability`` in case.schema.json, and operations."""
        ...

    def exchange(self, call: Document) -> Document:
        """Make the call, return what came of it."""
        ...


@runtime_checkable
class AsyncDoor(Protocol):
    """The same for a driver on asyncio. ``exchange`` runs many times at once on one loop."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do."""
        ...

    def exchange(self, call: Document) -> Awaitable[Document]:
        """Make the call, return what came of it."""
        ...


class AsyncBridge:
    """A door for an :class:`AsyncDoor`, with a loop in a thread of its own.

    Args:
        door: The asynchronous door.
        limit: Seconds after which a call is cancelled and counts as hanging.
    """

    def __init__(self, door: AsyncDoor, limit: float = LIMIT) -> None:
        self._door = door
        self._limit = limit
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="botticelli-door", daemon=True)
        self._thread.start()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do."""
        return self._door.capabilities

    def exchange(self, call: Document) -> Document:
        """Make the call on the loop and wait for it.

        Raises:
            HungError: The limit ran out; the call was cancelled.
        """

        async def make() -> Document:
            return await self._door.exchange(call)

        future = asyncio.run_coroutine_threadsafe(make(), self._loop)
        try:
            return future.result(self._limit)
        except FutureTimeoutError:
            if future.done():
                raise  # the driver's own TimeoutError is a crash, not a hang
            future.cancel()
            raise HungError(f"no outcome in {self._limit:g} s") from None

    def close(self) -> None:
        """Close the door behind, if it can be closed, and end the loop."""
        closing = getattr(self._door, "close", None)
        try:
            if closing is not None:
                result = asyncio.run_coroutine_threadsafe(_settled(closing), self._loop)
                result.result(self._limit)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        if pending:
            self._loop.run_until_complete(asyncio.wait(pending, timeout=1))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


async def _settled(closing: Any) -> None:
    result = closing()
    if inspect.isawaitable(result):
        await result


def is_async(door: Door | AsyncDoor) -> TypeGuard[AsyncDoor]:
    """Tell whether a door's exchange must be awaited."""
    return inspect.iscoroutinefunction(door.exchange)


def open_door(spec: str) -> Door:
    """Find the driver that a user means.

    Args:
        spec: ``package.module:factory``, where the factory takes nothing and returns a door,
            synchronous or not; or ``command:`` and a command line that speaks JSON lines.

    Raises:
        DoorError: There is no such thing, or it is not a door.
    """
    if spec.startswith("command:"):
        from botticelli.kit.command import CommandDoor

        return CommandDoor(spec.removeprefix("command:").strip())
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise DoorError(f"{spec!r} is not a driver: write package.module:factory or command: ...")
    try:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
        door = found()
    except Exception as error:
        # Whatever a stranger's module raises on import, the user must read one line.
        raise DoorError(f"cannot open {spec}: {type(error).__name__}: {error}") from error
    return as_door(door, spec)


def as_door(door: object, name: str) -> Door:
    """Check that an object is a door, and bridge it if it is asynchronous.

    Raises:
        DoorError: It is not.
    """
    words: object = getattr(door, "capabilities", None)
    if not isinstance(words, frozenset):
        raise DoorError(f"{name}: capabilities is not a frozenset of words but {words!r}")
    if not isinstance(door, Door):
        raise DoorError(f"{name}: a door has exchange(call); this has not")
    return AsyncBridge(door) if is_async(door) else door


def close_door(door: Door) -> None:
    """Close a door that can be closed.

    Raises:
        DoorError: It cannot.
    """
    closing = getattr(door, "close", None)
    try:
        if callable(closing):
            closing()
    except Exception as error:
        # As when it was opened: a stranger's exception, of which the user reads one line.
        raise DoorError(f"the driver cannot be closed: {type(error).__name__}: {error}") from error

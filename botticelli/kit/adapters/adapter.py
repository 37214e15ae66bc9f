"""The door: where a driver, in any language, meets the judge.

May enter: anything that takes a neutral call and gives a neutral outcome, both JSON (contracts/kit/
call.schema.json and outcome.schema.json). A Python adapter is an object with ``capabilities`` and
``exchange``; a program in another language speaks JSON lines (command.py). An adapter lets pass
what its driver raises outside its own error classes: that is a crash, and the judge wants it.
Nothing that stands behind a door is trusted to come back, to raise what can be printed, or to close.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast, runtime_checkable

from botticelli.kit.adapters.aio import AsyncBridge
from botticelli.kit.adapters.limits import LIMIT, bounded, in_a_line
from botticelli.kit.errors import DoorError, nearest
from botticelli.kit.schemas import capabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from botticelli.contracts.jsonvalue import Document

OPENING = 60.0
"""Seconds that a driver's module and factory have; some load a lot."""


@runtime_checkable
class Door(Protocol):
    """A driver behind a door. ``exchange`` is called from several threads at once."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do: words of ``capability`` in case.schema.json, and operations.

        A word that is not claimed costs the cases that need it; `unsupported` is a failure.
        """
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


def is_async(door: Door | AsyncDoor) -> TypeGuard[AsyncDoor]:
    """Tell whether a door's exchange must be awaited."""
    return inspect.iscoroutinefunction(door.exchange)


def open_door(spec: str) -> Door:
    """Find the driver that a user means.

    Args:
        spec: ``package.module:factory``, importable from here or from the working directory,
            where the factory takes nothing and returns a door, synchronous or not; or
            ``command:`` and a command line that speaks JSON lines.

    Raises:
        DoorError: There is no such thing, or it is not a door.
    """
    if spec.startswith("command:"):
        from botticelli.kit.adapters.process import CommandDoor

        return CommandDoor(spec.removeprefix("command:").strip())
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise DoorError(f"{spec!r} is not a driver: write package.module:factory or command: ...")

    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not look where the user stands. Last, so that nothing is shadowed.
        sys.path.append(here)

    def made() -> object:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
        return found()

    try:
        door = bounded(made, OPENING, "botticelli-opening")
    except Exception as error:
        # Whatever a stranger's module raises on import, the user must read one line.
        raise DoorError(f"cannot open {spec}: {in_a_line(error)}") from error
    return as_door(door, spec)


def as_door(door: object, name: str) -> Door:
    """Check that an object is a door, and bridge it if it is asynchronous.

    Raises:
        DoorError: It is not.
    """
    try:
        words: object = getattr(door, "capabilities", None)
    except Exception as error:
        raise DoorError(f"{name}: capabilities cannot be read: {in_a_line(error)}") from error
    if words is None:
        kind = type(door).__name__
        raise DoorError(f"{name}: a door has capabilities and exchange(call); this is a {kind} without")
    if not isinstance(words, frozenset):
        raise DoorError(f"{name}: capabilities is not a frozenset of words but {words!r}")
    capable(cast("frozenset[object]", words), name)
    if not isinstance(door, Door):
        raise DoorError(f"{name}: a door has exchange(call); this has not")
    return AsyncBridge(door) if is_async(door) else door


def capable(words: Iterable[object], name: str) -> frozenset[str]:
    """Return what a door claims, when each of its words means something.

    Raises:
        DoorError: One does not: a case that asks for the right word would never be run.
    """
    known = capabilities()
    claimed = frozenset(map(str, words))
    for word in sorted(claimed - known):
        raise DoorError(f"{name}: there is no capability {word!r}{nearest(word, known)}")
    return claimed


def close_door(door: Door, limit: float = LIMIT) -> None:
    """Close a door that can be closed.

    Args:
        door: The door.
        limit: Seconds that it has.

    Raises:
        DoorError: It cannot, or does not in time.
    """
    closing = getattr(door, "close", None)
    try:
        if callable(closing):
            bounded(closing, limit, "botticelli-closing")
    except Exception as error:
        # As when it was opened: a stranger's exception, of which the user reads one line.
        raise DoorError(f"the driver cannot be closed: {in_a_line(error)}") from error

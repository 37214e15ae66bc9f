"""The adapter: where a driver, in any language, meets the judge.

May enter: anything that takes a neutral call and gives a neutral outcome, both JSON (contracts/kit/
call.schema.json and outcome.schema.json). A Python adapter is an object with ``capabilities`` and
``exchange``; a program in another language speaks JSON lines (command.py). An adapter lets pass
what its driver raises outside its own error classes: that is a crash, and the judge wants it.
Nothing that stands behind an adapter is trusted to come back, to raise what can be printed, or to close.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast, runtime_checkable

from botticelli.kit.adapters.aio import AsyncBridge
from botticelli.kit.adapters.limits import LIMIT, call_with_timeout, in_one_line
from botticelli.kit.errors import AdapterError, nearest
from botticelli.kit.schemas import capabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from botticelli.contracts.jsonvalue import Document

OPENING = 60.0
"""Seconds that a driver's module and factory have; some load a lot."""


@runtime_checkable
class Adapter(Protocol):
    """A driver behind an adapter. ``exchange`` is called from several threads at once."""

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
class AsyncAdapter(Protocol):
    """The same for a driver on asyncio. ``exchange`` runs many times at once on one loop."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do."""
        ...

    def exchange(self, call: Document) -> Awaitable[Document]:
        """Make the call, return what came of it."""
        ...


def is_async(adapter: Adapter | AsyncAdapter) -> TypeGuard[AsyncAdapter]:
    """Tell whether an adapter's exchange must be awaited."""
    return inspect.iscoroutinefunction(adapter.exchange)


def load_adapter(spec: str) -> Adapter:
    """Find the driver that a user means.

    Args:
        spec: ``package.module:factory``, importable from here or from the working directory,
            where the factory takes nothing and returns an adapter, synchronous or not; or
            ``command:`` and a command line that speaks JSON lines.

    Raises:
        AdapterError: There is no such thing, or it is not an adapter.
    """
    if spec.startswith("command:"):
        from botticelli.kit.adapters.process import ProcessAdapter

        return ProcessAdapter(spec.removeprefix("command:").strip())
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise AdapterError(f"{spec!r} is not a driver: write package.module:factory or command: ...")

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
        adapter = call_with_timeout(made, OPENING, "botticelli-opening")
    except Exception as error:
        # Whatever a stranger's module raises on import, the user must read one line.
        raise AdapterError(f"cannot open {spec}: {in_one_line(error)}") from error
    return as_adapter(adapter, spec)


def as_adapter(adapter: object, name: str) -> Adapter:
    """Check that an object is an adapter, and bridge it if it is asynchronous.

    Raises:
        AdapterError: It is not.
    """
    try:
        words: object = getattr(adapter, "capabilities", None)
    except Exception as error:
        raise AdapterError(f"{name}: capabilities cannot be read: {in_one_line(error)}") from error
    if words is None:
        kind = type(adapter).__name__
        raise AdapterError(
            f"{name}: an adapter has capabilities and exchange(call); this is a {kind} without"
        )
    if not isinstance(words, frozenset):
        raise AdapterError(f"{name}: capabilities is not a frozenset of words but {words!r}")
    capable(cast("frozenset[object]", words), name)
    if not isinstance(adapter, Adapter):
        raise AdapterError(f"{name}: an adapter has exchange(call); this has not")
    return AsyncBridge(adapter) if is_async(adapter) else adapter


def capable(words: Iterable[object], name: str) -> frozenset[str]:
    """Return what an adapter claims, when each of its words means something.

    Raises:
        AdapterError: One does not: a case that asks for the right word would never be run.
    """
    known = capabilities()
    claimed = frozenset(map(str, words))
    for word in sorted(claimed - known):
        raise AdapterError(f"{name}: there is no capability {word!r}{nearest(word, known)}")
    return claimed


def close_adapter(adapter: Adapter, limit: float = LIMIT) -> None:
    """Close an adapter that can be closed.

    Args:
        adapter: The adapter.
        limit: Seconds that it has.

    Raises:
        AdapterError: It cannot, or does not in time.
    """
    closing = getattr(adapter, "close", None)
    try:
        if callable(closing):
            call_with_timeout(closing, limit, "botticelli-closing")
    except Exception as error:
        # As when it was opened: a stranger's exception, of which the user reads one line.
        raise AdapterError(f"the driver cannot be closed: {in_one_line(error)}") from error

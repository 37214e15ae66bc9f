"""Adapters: how the kit calls the driver that it judges.

An adapter turns a neutral call into a neutral outcome, both JSON (contracts/kit/call.schema.json and
outcome.schema.json). In Python it is an object with ``capabilities`` and ``exchange``; a program in another
language speaks JSON lines (process.py). Adapters and drivers are foreign code: every use of one is guarded
against exceptions of any kind and against hanging.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast, runtime_checkable

from botticelli.kit.adapters.aio import AsyncBridge
from botticelli.kit.adapters.limits import LIMIT, call_with_timeout, in_one_line
from botticelli.kit.errors import AdapterError, nearest
from botticelli.kit.schemas import capabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Iterable

    from botticelli.contracts.jsonvalue import Document

__all__ = [
    "OPENING",
    "Adapter",
    "AsyncAdapter",
    "as_adapter",
    "check_capabilities",
    "close_adapter",
    "importable_working_directory",
    "is_async",
    "load_adapter",
]

OPENING = 60.0
"""Seconds that a driver's module and factory may take; some load a lot."""


@runtime_checkable
class Adapter(Protocol):
    """A driver as the kit calls it. ``exchange`` is called from several threads at once.

    An exception that isn't one of the driver's own error classes must be let through: it is judged as a
    crash.
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do: the operations, and words of ``capability`` in case.schema.json.

        Cases that need another word aren't played. Answering `unsupported` to one that is declared fails.
        """
        ...

    def exchange(self, call: Document) -> Document:
        """Make the call and return its outcome."""
        ...


@runtime_checkable
class AsyncAdapter(Protocol):
    """The same for a driver on asyncio. ``exchange`` runs many times at once on one event loop."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the driver can do; see :class:`Adapter`."""
        ...

    def exchange(self, call: Document) -> Awaitable[Document]:
        """Make the call and return its outcome."""
        ...


def is_async(adapter: Adapter | AsyncAdapter) -> TypeGuard[AsyncAdapter]:
    """Tell whether an adapter's ``exchange`` must be awaited."""
    return inspect.iscoroutinefunction(adapter.exchange)


@contextmanager
def importable_working_directory() -> Generator[None, None, None]:
    """Let modules of the working directory be imported while the block runs.

    A console script doesn't search the directory that it is started in, but that is where users keep their
    adapters. It is searched last, so that it hides no installed module. Keep the block open for the whole
    run: an adapter may import something as late as in its first call.
    """
    here = str(Path.cwd())
    if here in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def load_adapter(spec: str) -> Adapter:
    """Import or start the adapter that a user names.

    Args:
        spec: ``package.module:factory``, where the factory takes nothing and returns an adapter,
            synchronous or not; or ``command:`` and a command line whose program speaks JSON lines.

    Raises:
        AdapterError: There is no such thing, or it isn't an adapter.
    """
    if spec.startswith("command:"):
        from botticelli.kit.adapters.process import ProcessAdapter

        return ProcessAdapter(spec.removeprefix("command:").strip())
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise AdapterError(f"{spec!r} doesn't name a driver: write package.module:factory or command: ...")

    def make() -> object:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
        return found()

    try:
        adapter = call_with_timeout(make, OPENING, "botticelli-opening")
    except Exception as error:
        # Importing foreign code may raise anything; the user gets one line.
        raise AdapterError(f"cannot open {spec}: {in_one_line(error)}") from error
    return as_adapter(adapter, spec)


def as_adapter(adapter: object, name: str) -> Adapter:
    """Check that an object is an adapter, and bridge it if it is asynchronous.

    Raises:
        AdapterError: It isn't an adapter.
    """
    try:
        words: object = getattr(adapter, "capabilities", None)
    except Exception as error:
        raise AdapterError(f"{name}: capabilities cannot be read: {in_one_line(error)}") from error
    if words is None:
        kind = type(adapter).__name__
        raise AdapterError(f"{name}: an adapter has capabilities and exchange(call); this {kind} has not")
    if not isinstance(words, frozenset):
        raise AdapterError(f"{name}: capabilities must be a frozenset of words, not {words!r}")
    check_capabilities(cast("frozenset[object]", words), name)
    if not isinstance(adapter, Adapter):
        raise AdapterError(f"{name}: an adapter has exchange(call); this has not")
    return AsyncBridge(adapter) if is_async(adapter) else adapter


def check_capabilities(words: Iterable[object], name: str) -> frozenset[str]:
    """Return the capabilities that an adapter declares, if all of them exist.

    Raises:
        AdapterError: One doesn't; with a misspelt word the cases that need the right one would be skipped.
    """
    known = capabilities()
    claimed = frozenset(map(str, words))
    for word in sorted(claimed - known):
        raise AdapterError(f"{name}: there is no capability {word!r}{nearest(word, known)}")
    return claimed


def close_adapter(adapter: Adapter, limit: float = LIMIT) -> None:
    """Close an adapter, if it can be closed.

    Args:
        adapter: The adapter.
        limit: Seconds that closing may take.

    Raises:
        AdapterError: Closing fails or takes too long.
    """
    closing = getattr(adapter, "close", None)
    try:
        if callable(closing):
            call_with_timeout(closing, limit, "botticelli-closing")
    except Exception as error:
        raise AdapterError(f"the driver cannot be closed: {in_one_line(error)}") from error

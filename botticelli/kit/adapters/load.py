"""Load, check and close adapters.

They and their drivers are foreign code: each use is guarded against exceptions of any kind and against
hanging.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botticelli.kit.adapters.adapter import Adapter, check_capabilities, is_async
from botticelli.kit.adapters.aio import AsyncBridge
from botticelli.kit.adapters.clients.registry import CLIENTS, open_client
from botticelli.kit.adapters.limits import LIMIT, call_with_timeout, in_one_line
from botticelli.kit.adapters.process import ProcessAdapter
from botticelli.kit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["OPENING", "as_adapter", "close_adapter", "importable_working_directory", "load_adapter"]

OPENING = 60.0
"""Seconds that a driver's module and factory may take; some load a lot."""


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


def load_adapter(spec: str, *, limit: float = LIMIT) -> Adapter:
    """Import the adapter that a user names into this process, or start the program that it is.

    Args:
        spec: ``package.module:factory``, where the factory takes nothing and returns an adapter,
            synchronous or not; ``command:`` and a command line whose program speaks JSON lines; or the word
            for a client that the kit has an adapter for (clients/registry.py).
        limit: Seconds that a program, or an asynchronous adapter, has for one call.

    Raises:
        AdapterError: There is no such thing, or it isn't an adapter.
    """
    if spec in CLIENTS:
        return _opened(spec, lambda: open_client(spec, limit), limit)
    if spec.startswith("command:"):
        return ProcessAdapter(spec.removeprefix("command:").strip(), limit)
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise AdapterError(f"{spec!r} doesn't name a driver: write package.module:factory or command: ...")

    def make() -> object:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
        return found()

    return _opened(spec, make, limit)


def _opened(spec: str, make: Callable[[], object], limit: float) -> Adapter:
    try:
        adapter = call_with_timeout(make, OPENING, "botticelli-opening")
    except AdapterError:
        raise  # it says already what is wrong
    except Exception as error:
        # Importing foreign code may raise anything; the user gets one line.
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name == spec.partition(":")[0].partition(".")[0]:
            hint = f"; run this in the folder of {error.name}.py, or name that in PYTHONPATH"
        raise AdapterError(f"cannot open {spec}: {in_one_line(error)}{hint}") from error
    return as_adapter(adapter, spec, limit=limit)


def as_adapter(adapter: object, name: str, *, limit: float = LIMIT) -> Adapter:
    """Check that an object is an adapter, and bridge it if it is asynchronous.

    Args:
        adapter: The object.
        name: What the user calls it.
        limit: Seconds that an asynchronous adapter has for one call.

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
    return AsyncBridge(adapter, limit) if is_async(adapter) else adapter


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

"""What asyncio's cancelling must not break off: anyio's shields let it in, and httpcore closes only once.

May enter: asyncio, where it runs; trio needs none of this. May not: HTTP.
"""

from __future__ import annotations

import sys
from types import coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Generator

__all__ = ["persistent", "undisturbed"]

_closings: set[asyncio.Task[None]] = set()
"""asyncio itself refers to its tasks weakly."""


async def persistent(closing: Coroutine[Any, Any, None]) -> None:
    """Run it to its end in this task, and only then be cancelled, should asyncio cancel it meanwhile.

    It holds where others are only given their turn, which is all that httpcore does as it takes a connection
    back; what waits for something would be cancelled with it.
    """
    await (_stepwise(closing) if _on_asyncio() else closing)


@coroutine
def _stepwise(closing: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    from asyncio import CancelledError

    cancelled: CancelledError | None = None
    try:
        while True:
            try:
                awaited = closing.send(None)
            except StopIteration:
                break
            try:
                yield awaited
            except CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
    finally:
        closing.close()
        del cancelled  # it refers to this frame


async def undisturbed(closing: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, even if asyncio cancels this task: anyio's shield doesn't keep that off."""
    if not _on_asyncio():
        await closing
        return
    import asyncio

    task = asyncio.ensure_future(closing)
    _closings.add(task)
    task.add_done_callback(_closings.discard)
    await asyncio.shield(task)


def _on_asyncio() -> bool:
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        # trio as a guest has asyncio's loop around it, but no task
        return asyncio.current_task() is not None
    except RuntimeError:
        return False

"""Code of strangers, called so that the run goes on whatever it does.

May enter: a callable, and how long it may take. What its failure means is for the caller to say.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LIMIT = 10.0
"""Seconds that a driver has for one call; a case's calls are made to need far less."""


class HungError(Exception):
    """Raised by an adapter that knows its driver will not come back."""


class CrashedError(Exception):
    """Raised by an adapter whose driver died or reported an untyped exception."""


def call_with_timeout(work: Callable[[], T], limit: float, name: str) -> T:
    """Do what may raise anything or never come back.

    Args:
        work: What to do, in a thread of its own. One that does not come back is left behind and ends
            with the process: Python has no way to end it.
        limit: Seconds that it has.
        name: Of the thread.

    Raises:
        HungError: It has not come back.
        CrashedError: It raised what is no Exception.
        Exception: What it raised.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised again, where it is waited for
            future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - a stranger's must not pass for the user's Ctrl-C
            future.set_exception(CrashedError(describe_exception(error)))

    threading.Thread(target=run, name=name, daemon=True).start()
    if not wait([future], limit).done:
        raise HungError(f"nothing in {limit:g} s")
    return future.result()


def describe_exception(error: BaseException) -> str:
    """Return what an exception says, and its class; also of one that cannot be made to speak."""
    try:
        message = str(error)
    except BaseException as another:  # noqa: BLE001 - a stranger's code, whatever it raises
        message = f"(its message cannot be read: {type(another).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def in_one_line(error: Exception) -> str:
    """Return an exception in one line; the words of ours alone, for they name what is not ours."""
    ours = isinstance(error, HungError | CrashedError)
    return " ".join((str(error) if ours else describe_exception(error)).split())

"""What keeps foreign code in bounds: time limits, readable exceptions, and no way through a proxy."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

__all__ = [
    "LIMIT",
    "CrashedError",
    "HungError",
    "bypass_proxies",
    "call_with_timeout",
    "describe_exception",
    "in_one_line",
    "no_proxy_variables",
]

T = TypeVar("T")

LIMIT = 20.0
"""Seconds that a driver has for one call; the cases are made to need far less."""


class HungError(Exception):
    """Raised when a driver doesn't return in time."""


class CrashedError(Exception):
    """Raised when a driver's process died, or when it raised something that isn't an Exception."""


def call_with_timeout(work: Callable[[], T], limit: float, name: str) -> T:
    """Call a function that may raise anything or never return.

    Args:
        work: The function; called in a new daemon thread. Python can't stop a thread, so one that hangs is
            abandoned and ends with the process.
        limit: Seconds that it has.
        name: Name of the thread.

    Raises:
        HungError: It hasn't returned in time.
        CrashedError: It raised something that isn't an Exception, such as SystemExit.
        Exception: What it raised.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 -- raised again by future.result() in the caller's thread
            future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 -- a driver's KeyboardInterrupt isn't the user's
            future.set_exception(CrashedError(describe_exception(error)))

    threading.Thread(target=run, name=name, daemon=True).start()
    if not wait([future], limit).done:
        raise HungError(f"nothing in {limit:g} s")
    return future.result()


def describe_exception(error: BaseException) -> str:
    """Return an exception's class and message, even if its message can't be read."""
    try:
        message = str(error)
    except BaseException as another:  # noqa: BLE001 -- foreign code runs here: it may raise anything
        message = f"(its message cannot be read: {type(another).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def in_one_line(error: Exception) -> str:
    """Return an exception as one line. Our own two need no class name: their message describes another."""
    ours = isinstance(error, HungError | CrashedError)
    return " ".join((str(error) if ours else describe_exception(error)).split())


# Proxies

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAMES = ("NO_PROXY", "no_proxy")  # libraries differ in which of the two they read


def no_proxy_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exempt loopback from proxies, beside what they exempt already."""
    listed = ",".join(environment.get(name, "") for name in _NAMES)
    hosts = dict.fromkeys(filter(None, (host.strip() for host in listed.split(","))))
    # A star exempts everything when it stands alone, but nothing when it is one of several.
    value = "*" if "*" in hosts else ",".join(dict.fromkeys((*hosts, *_LOOPBACK)))
    return dict.fromkeys(_NAMES, value)


@contextmanager
def bypass_proxies() -> Generator[None, None, None]:
    """Exempt loopback from the user's proxies while the block runs.

    Cases are played on loopback, and clients take their proxies from the environment of the process, most
    of them when they are constructed. So the environment itself is changed, and restored at the end. Use it
    around a whole run, and not in two threads at once.
    """
    before = {name: os.environ.get(name) for name in _NAMES}
    os.environ.update(no_proxy_variables(os.environ))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""What keeps foreign code in bounds: time limits, readable exceptions, and no way through a proxy."""

from __future__ import annotations

import copy
import json
import os
import sys
import threading
import traceback
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from botticelli.contracts.jsonvalue import Document
    from botticelli.kit.adapters.adapter import Adapter

__all__ = [
    "LIMIT",
    "BystanderError",
    "CrashedError",
    "HungError",
    "RaisedError",
    "bypass_proxies",
    "call_with_timeout",
    "describe_exception",
    "in_one_line",
    "make_call",
    "no_proxy_variables",
]

T = TypeVar("T")

LIMIT = 20.0
"""Seconds that a driver has for one call; the cases are made to need far less."""


class HungError(Exception):
    """Raised when a driver doesn't return in time."""


class CrashedError(Exception):
    """Raised when a driver's process died, or when it raised something that isn't an Exception."""


class RaisedError(CrashedError):
    """Raised when a driver raised an exception that isn't one of its own; it can be called again."""


class BystanderError(CrashedError):
    """Raised when a call was lost and another, made at the same time or before, may be to blame."""


_GRACE = 1.2  # the watchdog waits this many times longer than an adapter that keeps the limit itself


def make_call(adapter: Adapter, call: Document, limit: float) -> Document:
    """Make one call, which may raise anything or never return.

    Returns:
        The outcome as plain JSON, where it is JSON.

    Raises:
        HungError: No outcome in time.
        BystanderError: It was lost through no fault of its own, as far as that is known.
        RaisedError: The driver raised something that isn't one of its own errors.
        CrashedError: It raised what ends a program, such as SystemExit.
    """

    def make() -> Document:
        # A copy, because the driver may change the call, and the original is needed to judge it.
        return _detached(adapter.exchange(copy.deepcopy(call)))

    try:
        return call_with_timeout(make, limit * _GRACE, f"botticelli-{call['case']}")
    except (HungError, CrashedError):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        # What the toolkit raises says what the client did; a line of the toolkit would look like its mistake.
        ours = Path(last.filename).parent == Path(__file__).parent
        where = "" if ours else f" (at {_in_package(Path(last.filename))}:{last.lineno})"
        raise RaisedError(f"{describe_exception(error)}{where}") from error


def _in_package(path: Path) -> str:
    """Return a file's path below the folder that packages are in; of any other its name."""
    for folder in ("site-packages", f"python{sys.version_info.major}.{sys.version_info.minor}"):
        if folder in path.parts:
            return "/".join(path.parts[path.parts.index(folder) + 1 :])
    return path.name


def _detached(outcome: Document) -> Document:
    """Return an outcome as plain JSON, read here, in the thread with the time limit.

    A driver may return a dict of its own class, which could run any code when the judge reads it.
    """
    try:
        plain: Document = json.loads(json.dumps(outcome))
    except (TypeError, ValueError, RecursionError):
        return outcome  # it isn't JSON, which the judge reports
    return plain


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

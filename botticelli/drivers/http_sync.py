"""The sync rim's hands: sends a task with httpx, waits, reads, closes. What anything means, `task` decides.

httpx's exceptions are caught here and ours are raised outside ``except``, see `transport`. `acourier` is
the same for asyncio and trio, line for line where it can be.
"""

from __future__ import annotations

import logging
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import httpx

from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.drivers.connection import Line, Trace
from botticelli.drivers.httpx_errors import KeyAuth, make_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from botticelli.drivers.config import Endpoint
    from botticelli.drivers.task import Task
    from botticelli.protocol.content_encoding import Body

__all__ = ["LINGER", "LINGER_BYTES", "Courier", "Incoming", "finite"]

_log = logging.getLogger("botticelli")

_T = TypeVar("_T")

LINGER = 0.05
"""Seconds that the end of an answer may take after ``[DONE]``, so that its connection can serve again."""
LINGER_BYTES = 1 << 16


class Courier:
    """Carries the tasks of one driver."""

    def __init__(self, endpoint: Endpoint, client: httpx.Client | None) -> None:
        """Take the user's client, or make one.

        Raises:
            ConfigurationError: It isn't a sync client, or none can be made.
        """
        given: Any = client
        if given is not None and not isinstance(given, httpx.Client):
            raise ConfigurationError(
                f"http_client must be an httpx.Client, not {type(given).__name__}", setting="http_client"
            )
        self._owned = client is None
        self._client = client or make_client(httpx.Client, endpoint.base_url)
        self._auth = KeyAuth(endpoint.credentials) if endpoint.credentials else None
        self._closed = False
        self._news = threading.Condition()
        self._lines: WeakSet[Line] = WeakSet()

    def close(self) -> None:
        """Let the connections go, and wake whoever waits, for an answer or for a retry."""
        self._closed = True
        self._wake()
        if self._owned:
            with self._news:
                lines = list(self._lines)
            for line in lines:
                line.abandon()
            self._client.close()

    def abandon(self, task: Task) -> None:
        """From another thread: wake who waits for the answer, or for a retry."""
        task.abandon()
        self._wake()

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def run(self, task: Task, attempt: Callable[[], _T]) -> _T:
        """Attempt a task until it is done or its error stands.

        Raises:
            BotticelliError: What the last attempt came to.
        """
        task.start()
        while True:
            if self._closed:
                raise ConfigurationError("the driver is closed", setting="driver", hint="make a new one")
            try:
                return attempt()
            except BotticelliError as error:
                wait = task.failed(error)
                if wait is None or self._gives_up(task, wait):
                    raise

    def _gives_up(self, task: Task, seconds: float) -> bool:
        """Wait; whether the task was abandoned meanwhile."""
        with self._news:
            self._news.wait_for(lambda: self._closed or task.abandoned, seconds)
        return task.abandoned

    def fetch(self, task: Task) -> bytes:
        """One attempt at the body of a whole answer."""
        incoming = self.open(task)
        try:
            return self._collect(task, incoming, task.new_body())
        finally:
            incoming.close()

    def open(self, task: Task) -> Incoming:
        """One attempt at an answer; the caller reads its body and closes it.

        Raises:
            ApiError: Its status isn't a 2xx.
        """
        response = self._send(task)
        incoming = Incoming(response)
        task.received(response.status_code, response.headers.raw, decoded=response.is_stream_consumed)
        if not task.refused:
            return incoming
        try:
            body = self._error_body(task, incoming)
        finally:
            incoming.close()
        raise task.refusal(body)

    def _send(self, task: Task) -> httpx.Response:
        limits = task.begin()
        with self._news:
            self._lines.add(task.line)
        client = self._client
        try:
            with task.line.sending():
                # a user's client has headers, cookies and parameters of its own to add
                make = httpx.Request if self._owned else client.build_request
                request = make(
                    task.method,
                    task.url,
                    params=None if self._owned else task.url.params or None,  # else the client's replace them
                    content=task.body,
                    headers=task.headers,
                    extensions={"timeout": limits, "trace": Trace(task.line)},
                )
                return client.send(
                    request,
                    stream=True,
                    auth=self._auth or httpx.USE_CLIENT_DEFAULT,
                    follow_redirects=False,
                )
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = task.fault(error)
        raise problem

    def _collect(self, task: Task, incoming: Incoming, body: Body) -> bytes:
        while not body.full and (piece := incoming.next(task)) is not None:
            body.feed(piece)
            task.call.moved()
        return body.whole()

    def _error_body(self, task: Task, incoming: Incoming) -> bytes:
        """As much of an error's body as comes: the status is the news, a broken body can't take it away."""
        try:
            body = task.new_body()
        except BotticelliError:
            return b""
        try:
            return self._collect(task, incoming, body)
        except BotticelliError:
            return body.kept()


class Incoming:
    """An answer's body on its way."""

    __slots__ = ("_pieces", "_response")

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        # a client's hook or a mock transport may have read it already
        read = response.is_stream_consumed
        self._pieces = iter((response.content,)) if read else response.iter_raw()

    def next(self, task: Task) -> bytes | None:
        """The next bytes as received, or None at the end."""
        # httpcore takes the limit when the iteration begins; from then on the clock is looked at here
        task.limits["read"] = finite(task.wait())
        try:
            return next(self._pieces, None)
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = task.fault(error)
        raise problem

    def linger(self, task: Task) -> None:
        """After ``[DONE]``: read the end, if it comes at once; else the connection can't be kept.

        A second iteration, because httpcore takes its time limit when one begins. The limit is for each
        read, and comments renew it, so the whole is timed as well.
        """
        task.limits["read"] = LINGER
        until = time.monotonic() + LINGER
        tail: Any = self._response.stream  # httpx's type allows an async one too
        size = 0
        try:
            for piece in tail:
                size += len(piece)
                if size > LINGER_BYTES or time.monotonic() > until:
                    break
        except Exception as error:  # noqa: BLE001 -- the answer is whole, only the connection isn't kept
            _log.debug("the connection is not kept: %s", type(error).__name__)

    def close(self) -> None:
        """Close it, and its connection unless it was read to its end."""
        try:
            self._response.close()
        except Exception as error:  # noqa: BLE001 -- nothing more is wanted of what is given up
            _log.debug("closing a connection: %s", type(error).__name__)


def finite(seconds: float) -> float | None:
    """A limit as HTTP clients take it."""
    return None if seconds == inf else seconds

"""Synchronous HTTP for one driver: does the steps of an exchange with an httpx client.

httpx's exceptions are caught here and ours are raised outside ``except``; `httpx_errors` says why.
`http_async` is its counterpart.
"""

from __future__ import annotations

import logging
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from botticelli.core.errors import ClosedError
from botticelli.drivers.connection import ConnectionMonitor, Trace
from botticelli.drivers.forking import at_fork
from botticelli.drivers.httpx_errors import (
    UNREAD,
    KeyAuth,
    client_and_library,
    content,
    error_of,
    hooked,
    url_for,
)
from botticelli.protocol.exchange import (
    LINGER,
    LINGER_BYTES,
    Close,
    Deliver,
    Linger,
    Read,
    Received,
    Send,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import httpx2

    from botticelli.core.response import StreamChunk
    from botticelli.drivers.call import Call
    from botticelli.drivers.config import DriverConfig
    from botticelli.protocol.exchange import Step, Steps

__all__ = ["HttpCall", "HttpClient", "closed_error", "finite"]

_log = logging.getLogger("botticelli")

_T = TypeVar("_T")


class HttpClient:
    """The HTTP client of one driver, the user's or our own."""

    def __init__(self, config: DriverConfig, client: httpx.Client | httpx2.Client | None) -> None:
        """Take the user's client, or make one.

        Raises:
            ConfigurationError: It isn't a sync client, or none can be made.
        """
        self.client, self.library = client_and_library(client, "Client", config.base_url)
        self.owned = client is None
        self._base_url = config.base_url
        self._inherited = False
        self.auth = KeyAuth(config.credentials) if config.credentials else None
        self.closed = False
        self._changed = threading.Condition()
        self._monitors: WeakSet[ConnectionMonitor] = WeakSet()
        at_fork(self)

    def forked(self) -> None:
        """Leave the parent's connections and locks behind; see `forking`."""
        self._changed = threading.Condition()
        self._monitors = WeakSet()
        self._inherited = self.owned

    def check_open(self) -> None:
        """Raise a `ClosedError` if the driver is closed."""
        if self.closed:
            raise closed_error()

    def run(self, call: Call, steps: Steps[_T]) -> _T:
        """Do all the steps to an answer that isn't streamed.

        Raises:
            BotticelliError: What the call came to.
        """
        http = HttpCall(self, call)
        try:
            return http.run(steps)
        finally:
            http.close()

    def close(self) -> None:
        """Close the connections of our own client, and wake whoever waits, for an answer or for a retry."""
        self.closed = True
        self._wake()
        if self.owned:
            with self._changed:
                monitors = list(self._monitors)
            for monitor in monitors:
                monitor.abandon()
            self.client.close()

    def monitor(self, call: Call) -> ConnectionMonitor:
        """Return what watches the connection of a new attempt.

        Raises:
            ConfigurationError: A forked child needs a client of its own, and none can be made.
        """
        made = ConnectionMonitor(call.deadlines, call.url)
        with self._changed:
            if self._inherited:
                self.client, self.library = client_and_library(None, "Client", self._base_url)
                self._inherited = False
            self._monitors.add(made)
        return made

    def wait(self, call: Call, seconds: float) -> bool:
        """Wait before a retry; return whether the call was abandoned meanwhile.

        Raises:
            ClosedError: The driver was closed meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.closed or call.abandoned, seconds)
        if not call.abandoned:
            self.check_open()
        return call.abandoned

    def abandon(self, http: HttpCall) -> None:
        """From another thread: wake who waits for the answer, or for a retry."""
        http.abandon()
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class HttpCall:
    """The I/O of one call: one response at a time."""

    __slots__ = ("_call", "_http", "_limits", "_monitor", "_pieces", "_response", "_result")

    def __init__(self, http: HttpClient, call: Call) -> None:
        self._http = http
        self._call = call
        self._limits: dict[str, float | None] = {}
        self._monitor: ConnectionMonitor | None = None
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._result: Any = None

    @property
    def is_open(self) -> bool:
        """Whether there is a response that isn't closed."""
        return self._response is not None

    def run(self, steps: Steps[_T]) -> _T:
        """Do steps that deliver nothing, and return their result."""
        self._http.check_open()
        self.advance(steps)
        result: _T = self._result
        return result

    def advance(self, steps: Steps[Any]) -> list[StreamChunk]:
        """Do steps up to the next delivery, and return that; nothing at their end.

        Raises:
            BotticelliError: What the call came to.
        """
        reply: Any = None
        problem: Exception | None = None
        try:
            while True:
                step = steps.send(reply) if problem is None else steps.throw(problem)
                if type(step) is Deliver:
                    return step.chunks
                reply = problem = None
                try:
                    reply = self._do(step)
                except Exception as error:  # noqa: BLE001 -- the exchange decides what it means
                    problem = error
        except StopIteration as end:
            self._result = end.value
            return []
        finally:
            del problem  # it refers to this frame

    def _do(self, step: Step) -> Any:
        match step:
            case Read():
                return self._read(step.limit)
            case Send():
                return self._send(step.limits)
            case Linger():
                return self._linger()
            case Wait():
                return self._http.wait(self._call, step.seconds)
            case Close():
                return self.close()
            case _:
                raise AssertionError(step)

    def _send(self, limits: dict[str, float | None]) -> Received:
        call, http = self._call, self._http
        self._limits = limits
        monitor = self._monitor = http.monitor(call)
        if call.abandoned:  # looked at once `abandon` can find the monitor
            monitor.abandon()
        asked = call.request
        try:
            with monitor.sending():
                # a user's client has headers, cookies and parameters of its own to add
                make = http.library.Request if http.owned else http.client.build_request
                request = make(
                    asked.method,
                    url_for(http.library, call.url),
                    # without these the client's own would replace the URL's
                    params=None if http.owned else call.url.params.multi_items() or None,
                    content=asked.body,
                    headers=asked.headers,
                    extensions={"timeout": limits, "trace": Trace(monitor)},
                )
                response = http.client.send(
                    request,
                    stream=True,
                    auth=http.auth or http.library.USE_CLIENT_DEFAULT,
                    follow_redirects=False,  # auth-redirect-other-host
                )
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            refused = hooked(error, call.url)
            if refused is not None:
                # the client has closed it, so what wasn't read by now is lost
                body = content(refused)
                self._pieces = iter((body or b"",))
                note = UNREAD if body is None else None
                raw = refused.headers.raw
                return Received(refused.status_code, raw, time.time(), decoded=True, note=note)
            problem = self._error_of(error)
        else:
            self._response = response
            # a client's hook or a mock transport may have read it already
            read = response.is_stream_consumed
            self._pieces = iter((response.content,)) if read else response.iter_raw()
            return Received(response.status_code, response.headers.raw, time.time(), decoded=read)
        raise problem

    def _read(self, limit: float) -> bytes | None:
        # httpcore takes the limit when the iteration begins; from then on the monitor looks at the clock
        self._limits["read"] = finite(limit)
        try:
            piece = next(self._pieces, None)
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = self._error_of(error)
        else:
            if piece is not None or not self._is_cut():
                return piece
            problem = closed_error()
        raise problem

    def _is_cut(self) -> bool:
        """Whether closing the driver may have ended an answer that ends with its connection."""
        response = self._response
        return (
            response is not None
            and self._http.owned
            and self._http.closed
            and response.headers.keys().isdisjoint(("content-length", "transfer-encoding"))
        )

    def _error_of(self, error: Exception) -> Exception:
        if self._monitor is None:
            return error
        if self._http.owned and self._http.closed:
            return closed_error()  # whatever its breaking off looks like
        return error_of(error, self._monitor, time.monotonic(), self._call.redact)

    def _linger(self) -> None:
        """Read the end, if it comes at once; see `exchange.LINGER`.

        It is a second iteration, because httpcore takes its limit when one begins. The limit is for each
        read, and comments renew it (sse-done-then-comments), so the whole is timed as well.
        """
        self._limits["read"] = LINGER
        until = time.monotonic() + LINGER
        tail: Any = () if self._response is None else self._response.stream  # httpx allows an async one
        size = 0
        try:
            for piece in tail:
                size += len(piece)
                if size > LINGER_BYTES or time.monotonic() > until:
                    break
        except Exception as error:  # noqa: BLE001 -- the answer is whole, only the connection isn't used again
            _log.debug("the connection is not used again: %s", type(error).__name__)

    def close(self) -> None:
        """Close the response, and its connection unless it was read to its end; harmless when repeated."""
        response, self._response = self._response, None
        self._pieces = iter(())  # the generators refer to the request, and so to the key
        if response is None:
            return
        try:
            response.close()
        except Exception as error:  # noqa: BLE001 -- nothing more is wanted of what is given up
            _log.debug("closing a connection: %s", type(error).__name__)

    def abandon(self) -> None:
        """From another thread: break the connection, which wakes who waits for it."""
        self._call.abandoned = True
        monitor = self._monitor
        if monitor is not None:
            monitor.abandon()


def closed_error() -> ClosedError:
    """Return what a call comes to whose driver is closed."""
    return ClosedError("the driver is closed", hint="make a new one")


def finite(seconds: float) -> float | None:
    """Return a limit as HTTP clients take it."""
    return None if seconds == inf else seconds

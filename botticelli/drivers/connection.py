"""An attempt's connection, seen from below the HTTP client: what goes through it, and when.

httpx takes a limit for each read of the socket, tells nobody whether half a head had come, and can't be
interrupted. So httpcore's ``trace`` extension, which a user's client has as well, tells of each connection
made, and a tap is put on it. Which events it tells of may differ between its versions, and a user's client
may have streams or a transport of its own: without a tap all works as far as httpx takes it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import weakref
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, cast

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from botticelli.protocol.deadlines import Deadlines

__all__ = ["AsyncTrace", "ConnectionMonitor", "Trace", "is_sending"]

_log = logging.getLogger("botticelli")

_current: ContextVar[ConnectionMonitor | None] = ContextVar("monitor", default=None)

_HTTP2 = b"PRI * HTTP/2"
"""RFC 9113, 3.4. Its connections serve several requests at once, so that a read belongs to none of them."""


def is_sending() -> bool:
    """Return whether this task or thread is sending one of our requests."""
    return _current.get() is not None


class ConnectionMonitor:
    """What one attempt's connection does.

    Attributes:
        deadlines: The call's limits; the monitor reports to them what has arrived.
        proxy: Host and port of the proxy that is being reached; None when it is the server itself.
    """

    def __init__(self, deadlines: Deadlines, url: httpx.URL) -> None:
        self.deadlines = deadlines
        self.proxy: str | None = None
        self._server = (url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
        self._connected = False
        self._abandoned = False
        self._stream: Callable[[], Any] | None = None
        # reentrant: a signal's handler may abandon what its own thread is writing
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def sending(self) -> Generator[None]:
        """In this block, what is written to a connection is this attempt's request."""
        token = _current.set(self)
        try:
            yield
        finally:
            # a forgotten coroutine is ended by the collector, amid whatever that interrupts
            with contextlib.suppress(ValueError):
                _current.reset(token)

    def abandon(self) -> None:
        """From another thread: whoever waits for this connection wakes, and it carries nothing more."""
        with self._lock:
            self._abandoned = True
            stream = self._stream() if self._stream else None
            found = None if stream is None else stream.get_extra_info("socket")
            if isinstance(found, socket.socket):
                # not closed: its descriptor might be another's by the time that the waiting thread looks;
                # not by a TLS socket's own method, which would leave it without TLS
                with contextlib.suppress(OSError):  # it is down already
                    socket.socket.shutdown(found, socket.SHUT_RDWR)

    def note(self, event: str, info: dict[str, Any]) -> Any:
        """Take what httpcore reports.

        Returns:
            The connection that was made, if it tells of one.
        """
        part, _, what = event.partition(".")
        match what:
            case "connect_tcp.started" | "connect_unix_socket.started":
                self._connected = True
                peer = (info.get("host"), info.get("port"))
                self.proxy = None if peer in (self._server, (None, None)) else f"{peer[0]}:{peer[1]}"
            case "connect_tcp.complete" | "connect_unix_socket.complete" | "start_tls.complete":
                return info.get("return_value")
            case "setup_socks5_connection.started":
                self.deadlines.on_connect_proxy(time.monotonic())
            case "start_tls.started" if part != "connection":
                self.proxy = None  # it has done its part
            case "send_request_headers.started":
                self._sends(tunnel=getattr(info.get("request"), "method", None) == b"CONNECT")
            case "receive_response_headers.started" if not self.deadlines.connecting:
                self.deadlines.on_request_sent(time.monotonic())
            case _:
                pass
        return None

    def _sends(self, *, tunnel: bool) -> None:
        if tunnel:
            self.deadlines.on_connect_proxy(time.monotonic())
            return
        self.proxy = None
        self.deadlines.reused = not self._connected
        self.deadlines.on_connected()

    def tap(self, stream: Callable[[], Any]) -> None:
        """The request goes out on the connection that this weakly refers to.

        Raises:
            httpx.ReadError: The attempt is abandoned.
        """
        with self._lock:
            self._stream = stream
            if self._abandoned:
                raise httpx.ReadError("abandoned")

    def leave(self) -> None:
        """The connection serves another attempt, which whoever abandons this one must not break."""
        with self._lock:
            self._stream = None

    def limit(self, timeout: float | None) -> float | None:
        """The seconds that a read or write may take, of which the HTTP client would allow so many.

        Raises:
            httpx.ReadTimeout: None are left.
        """
        room = self.deadlines.io_limit(time.monotonic())
        if room <= 0:
            raise httpx.ReadTimeout("")
        if timeout is not None and timeout <= room:
            return timeout
        return None if room == inf else room


class _Tapped:
    """A connection of httpcore's, for as long as that lives; it serves one attempt after another."""

    def __init__(self, stream: Any) -> None:
        kind = cast("Any", type(stream))
        # weakly, so that a connection is freed without the collector
        self._stream = weakref.ref(stream)
        self._monitor: ConnectionMonitor | None = None
        self._shared = False
        self._read, self._write = kind.read, kind.write

    def _reads(self, timeout: float | None) -> float | None:
        return timeout if self._monitor is None else self._monitor.limit(timeout)

    def _came(self, data: bytes) -> bytes:
        if data and self._monitor is not None:
            self._monitor.deadlines.on_bytes()
        return data

    def _writes(self, buffer: bytes, timeout: float | None) -> float | None:
        self._shared = self._shared or buffer.startswith(_HTTP2)
        before, monitor = self._monitor, None if self._shared else _current.get()
        self._monitor = monitor
        if before is not None and before is not monitor:
            before.leave()
        if monitor is None:
            return timeout
        monitor.tap(self._stream)
        return monitor.limit(timeout)


class _Tap(_Tapped):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._came(self._read(self._stream(), max_bytes, self._reads(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._write(self._stream(), buffer, self._writes(buffer, timeout))


class _AsyncTap(_Tapped):
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- httpcore's
        return self._came(await self._read(self._stream(), max_bytes, self._reads(timeout)))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- httpcore's
        await self._write(self._stream(), buffer, self._writes(buffer, timeout))


def _put(kind: type[_Tap | _AsyncTap], stream: Any) -> None:
    try:
        tap = kind(stream)
        stream.read, stream.write = tap.read, tap.write
    except (AttributeError, TypeError) as error:
        _log.debug("a connection of %s can't be looked into: %s", type(stream).__name__, error)


class Trace:
    """What httpcore's sync side calls."""

    def __init__(self, monitor: ConnectionMonitor) -> None:
        self._monitor = monitor

    def __call__(self, event: str, info: dict[str, Any], /) -> None:
        """Take what it reports."""
        if (stream := self._monitor.note(event, info)) is not None:
            _put(_Tap, stream)


class AsyncTrace:
    """What httpcore's async side calls, and awaits."""

    def __init__(self, monitor: ConnectionMonitor) -> None:
        self._monitor = monitor

    async def __call__(self, event: str, info: dict[str, Any], /) -> None:
        """Take what it reports."""
        if (stream := self._monitor.note(event, info)) is not None:
            _put(_AsyncTap, stream)

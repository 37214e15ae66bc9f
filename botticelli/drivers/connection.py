"""Monitor an attempt's connection below the HTTP client: what is read and written, and when.

httpx limits only each single read of the socket, doesn't report whether a part of the head has arrived, and
can't be interrupted. So httpcore's ``trace`` extension, which works with a user's client too, reports each
new connection, and a tap is installed on it, which replaces its read and write methods. The reported events
may differ between versions of httpcore, and a user's client may have streams or a transport of its own;
without a tap, the driver works within the limits of httpx.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
import time
import weakref
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, cast

import httpx

from botticelli.drivers.forking import at_fork
from botticelli.protocol.framing import AnswerEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from botticelli.protocol.deadlines import Deadlines

__all__ = ["AsyncTrace", "ConnectionMonitor", "Trace", "is_sending"]

_log = logging.getLogger("botticelli")

_current: ContextVar[ConnectionMonitor | None] = ContextVar("monitor", default=None)

_HTTP2_PREFACE = b"PRI * HTTP/2"
"""RFC 9113, 3.4. Requests share an HTTP/2 connection, so a read can't be assigned to one of them."""


def is_sending() -> bool:
    """Return whether this task or thread is sending one of our requests."""
    return _current.get() is not None


class ConnectionMonitor:
    """Monitors the connection of one attempt.

    Attributes:
        deadlines: The call's limits; the monitor reports the connection's events to them.
        proxy: Host and port of the proxy while the attempt connects to one; else None.
    """

    def __init__(self, deadlines: Deadlines, url: httpx.URL) -> None:
        self.deadlines = deadlines
        self.proxy: str | None = None
        self._server = (url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
        self._connected = False
        self._abandoned = False
        self._stream: Callable[[], Any] | None = None
        # reentrant, because a signal handler may call `abandon` in the thread that is writing
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def sending(self) -> Generator[None]:
        """Return a context in which anything written to a connection is taken for this attempt's request."""
        token = _current.set(self)
        try:
            yield
        finally:
            # the garbage collector may close a forgotten coroutine in another context
            with contextlib.suppress(ValueError):
                _current.reset(token)

    def abandon(self) -> None:
        """Shut the connection down from another thread; a thread that waits for it wakes up with an error."""
        with self._lock:
            self._abandoned = True
            stream = self._stream() if self._stream else None
            sock = None if stream is None else stream.get_extra_info("socket")
            if isinstance(sock, socket.socket):
                # don't close it: its descriptor might be reused before the waiting thread wakes up;
                # and don't use the method of a TLS socket, which would remove the TLS layer
                with contextlib.suppress(OSError):  # already shut down
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def note(self, event: str, info: dict[str, Any]) -> Any:
        """Process an event of httpcore's trace.

        Returns:
            The connection, if the event reports a new one; else None.
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
                self.proxy = None  # the proxy has connected us to the server
            case "send_request_headers.started":
                self._on_send_request(tunnel=getattr(info.get("request"), "method", None) == b"CONNECT")
            case "receive_response_headers.started" if not self.deadlines.connecting:
                self.deadlines.on_request_sent(time.monotonic())
            case _:
                pass
        return None

    def _on_send_request(self, *, tunnel: bool) -> None:
        if tunnel:
            self.deadlines.on_connect_proxy(time.monotonic())
            return
        self.proxy = None
        self.deadlines.reused = not self._connected
        self.deadlines.on_connected()

    def tap(self, stream: Callable[[], Any]) -> None:
        """Note the connection that the request is sent on, as a weak reference.

        Raises:
            httpx.ReadError: The attempt has been abandoned.
        """
        with self._lock:
            self._stream = stream
            if self._abandoned:
                raise httpx.ReadError("abandoned")

    def leave(self) -> None:
        """Forget the connection, because it now serves another attempt, which `abandon` mustn't interrupt."""
        with self._lock:
            self._stream = None

    def limit(self, timeout: float | None) -> float | None:
        """Return the seconds that a read or write may take.

        Args:
            timeout: The HTTP client's own limit.

        Raises:
            httpx.ReadTimeout: No time is left.
        """
        left = self.deadlines.io_limit(time.monotonic())
        if left <= 0:
            raise httpx.ReadTimeout("")
        if timeout is not None and timeout <= left:
            return timeout
        return None if left == inf else left


_kept_alive: list[Any] = []
"""Connections of a parent's event loop: if they were collected, asyncio would warn about them."""


class _BaseTap:
    """A tap on one of httpcore's connections, which serves one attempt after another."""

    def __init__(self, stream: Any) -> None:
        kind = cast("Any", type(stream))
        # weak, so that the connection is freed without the garbage collector
        self._stream = weakref.ref(stream)
        self._monitor: ConnectionMonitor | None = None
        self._is_http2 = False
        self._end = AnswerEnd()
        self._read, self._write = kind.read, kind.write
        self._info = getattr(kind, "get_extra_info", None)
        at_fork(self)

    def forked(self) -> None:
        """Close the child's copy of the socket; nothing is sent or shut down, for the parent uses it."""
        stream = self._stream()
        found = None if stream is None or self._info is None else self._info(stream, "socket")
        if isinstance(found, socket.socket):
            socket.socket.close(found)
        elif found is not None and found.fileno() >= 0:
            # The event loop knows the descriptor by its number, so that stays in use. The loop must not
            # be told: its selector is shared with the parent.
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, found.fileno(), inheritable=False)
            os.close(nothing)
            _kept_alive.append(stream)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of the stream; "is_readable" also if bytes beyond the answer were read.

        httpcore doesn't reuse an idle connection that is readable, but looks at the socket only: bytes may
        have been read together with the answer (connection-bytes-beyond-answer).
        """
        stream = self._stream()
        if info == "is_readable" and not self._is_http2 and not self._end.clean:
            return True
        found = None if self._info is None else self._info(stream, info)
        if info == "is_readable" and not found and self._info is not None:
            return _is_readable(self._info(stream, "ssl_object"))
        return found

    def _read_timeout(self, timeout: float | None) -> float | None:
        return timeout if self._monitor is None else self._monitor.limit(timeout)

    def _on_read(self, data: bytes) -> bytes:
        if not self._is_http2:
            self._end.feed(data)
        if data and self._monitor is not None:
            self._monitor.deadlines.on_bytes()
        return data

    def _on_write(self, buffer: bytes, timeout: float | None) -> float | None:
        self._is_http2 = self._is_http2 or buffer.startswith(_HTTP2_PREFACE)
        if not self._is_http2:
            self._end.send(buffer)
        previous, monitor = self._monitor, None if self._is_http2 else _current.get()
        self._monitor = monitor
        if previous is not None and previous is not monitor:
            previous.leave()
        if monitor is None:
            return timeout
        monitor.tap(self._stream)
        return monitor.limit(timeout)


class _Tap(_BaseTap):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._on_read(self._read(self._stream(), max_bytes, self._read_timeout(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._write(self._stream(), buffer, self._on_write(buffer, timeout))


class _AsyncTap(_BaseTap):
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- httpcore's
        return self._on_read(await self._read(self._stream(), max_bytes, self._read_timeout(timeout)))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- httpcore's
        await self._write(self._stream(), buffer, self._on_write(buffer, timeout))


def _is_readable(tls: object) -> bool:
    """Return whether a TLS connection that decrypts in memory, as async ones do, has something left there."""
    if not isinstance(tls, ssl.SSLObject):
        return False
    try:
        tls.read(1)  # the byte may be lost: a connection with something to read isn't used again
    except ssl.SSLWantReadError:
        return False
    except (ssl.SSLError, ValueError):
        return True
    return True


def _install_tap(kind: type[_Tap | _AsyncTap], stream: Any) -> None:
    try:
        tap = kind(stream)
        stream.read, stream.write, stream.get_extra_info = tap.read, tap.write, tap.get_extra_info
    except (AttributeError, TypeError) as error:
        _log.debug("a connection of %s can't be looked into: %s", type(stream).__name__, error)


class Trace:
    """The ``trace`` callback for httpcore's sync API."""

    def __init__(self, monitor: ConnectionMonitor) -> None:
        self._monitor = monitor

    def __call__(self, event: str, info: dict[str, Any], /) -> None:
        """Process an event, and install a tap on a new connection."""
        if (stream := self._monitor.note(event, info)) is not None:
            _install_tap(_Tap, stream)


class AsyncTrace:
    """The ``trace`` callback for httpcore's async API."""

    def __init__(self, monitor: ConnectionMonitor) -> None:
        self._monitor = monitor

    async def __call__(self, event: str, info: dict[str, Any], /) -> None:
        """Process an event, and install a tap on a new connection."""
        if (stream := self._monitor.note(event, info)) is not None:
            _install_tap(_AsyncTap, stream)

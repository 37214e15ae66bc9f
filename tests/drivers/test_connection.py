"""The connection monitor, without a connection."""

from __future__ import annotations

import contextvars
import gc
import socket
import time
import weakref
from typing import Any

import httpx
import pytest

from botticelli import Timeouts
from botticelli.drivers.connection import ConnectionMonitor, Trace
from botticelli.protocol.deadlines import Deadlines
from botticelli.protocol.retry import RetryPolicy


class Stream:
    """What httpcore calls a network stream, as far as it matters."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.timeouts.append(timeout)
        return b"x" * max_bytes

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)


class Slotted:
    __slots__ = ()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"x" * max_bytes

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass


class Delegating:
    """One whose class has none of it."""

    def __init__(self) -> None:
        self._stream = Slotted()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Frozen(Stream):
    """One that nothing can be put on."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("read", "write"):
            raise AttributeError(name)
        super().__setattr__(name, value)


class Unreferable(Slotted):
    """One that can't be referred to weakly."""

    __slots__ = ("__dict__",)


class Wired(Stream):
    """One that has a socket, or says so."""

    def __init__(self, wire: object) -> None:
        super().__init__()
        self._wire = wire

    def get_extra_info(self, info: str) -> object:
        return self._wire if info == "socket" else None


def line(total: float | None = 30.0) -> ConnectionMonitor:
    call = Deadlines(
        Timeouts(first_byte=None, idle=None, progress=None, total=total), RetryPolicy(), streaming=False
    )
    call.start(time.monotonic())
    call.begin(time.monotonic())
    return ConnectionMonitor(call, httpx.URL("http://h/v1"))


def connected(made: ConnectionMonitor, stream: Any) -> Any:
    Trace(made)("connection.connect_tcp.complete", {"return_value": stream})
    return stream


def test_a_tapped_connection_keeps_the_limits_of_the_request_that_is_written_to_it() -> None:
    made, stream = line(), connected(line(), Stream())
    stream.write(b"somebody else's", 99.0)
    stream.read(1, 99.0)
    assert stream.timeouts == [99.0, 99.0]
    with made.sending():
        stream.write(b"POST", 99.0)
    assert stream.read(1, 99.0) == b"x"
    assert stream.read(1, None) == b"x"
    assert stream.read(1, 5.0) == b"x"
    assert all(timeout is not None and timeout <= 30 for timeout in stream.timeouts[2:])
    assert stream.timeouts[-1] == 5.0
    assert made.deadlines.bytes_received
    stream.write(b"somebody else's again", 99.0)
    stream.read(1, 99.0)
    assert stream.timeouts[-2:] == [99.0, 99.0]


def test_without_limits_there_are_none() -> None:
    made, stream = line(total=None), connected(line(), Stream())
    with made.sending():
        stream.write(b"POST")
    stream.read(1)
    assert stream.timeouts == [None, None]


def test_a_connection_that_serves_several_requests_at_once_is_let_be() -> None:
    made, stream = line(), connected(line(), Stream())
    with made.sending():
        stream.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 99.0)
        stream.write(b"frames", 99.0)
    stream.read(1, 99.0)
    assert stream.timeouts == [99.0, 99.0, 99.0]
    assert not made.deadlines.bytes_received


@pytest.mark.parametrize("kind", [Slotted, Delegating, Frozen, Unreferable])
def test_a_connection_that_cannot_be_tapped_works(kind: type[Any]) -> None:
    stream = connected(line(), kind())
    stream.write(b"POST", 1.0)
    assert stream.read(2, 1.0) == b"xx"


def test_a_tapped_connection_is_freed_without_the_collector() -> None:
    made, stream = line(), connected(line(), Stream())
    with made.sending():
        stream.write(b"POST")
    stream.read(1)
    seen = weakref.ref(stream)
    gc.disable()
    try:
        del stream
        assert seen() is None
    finally:
        gc.enable()
    made.abandon()  # of which nothing is left


def test_nothing_is_written_for_an_abandoned_attempt() -> None:
    made, stream = line(), connected(line(), Stream())
    made.abandon()
    with made.sending(), pytest.raises(httpx.ReadError):
        stream.write(b"POST")
    assert stream.timeouts == []


@pytest.mark.parametrize(
    "event",
    [
        "connection.connect_tcp.started",
        "connection.connect_tcp.complete",
        "http11.send_request_headers.started",
    ],
)
def test_an_event_that_tells_nothing_does_no_harm(event: str) -> None:
    Trace(line())(event, {})


def test_abandoning_breaks_the_connection() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made, stream = line(), connected(line(), Wired(ours))
        with made.sending():
            stream.write(b"POST")
        made.abandon()
        assert theirs.recv(1) == b""


def test_abandoning_leaves_a_connection_that_serves_another_attempt_by_now() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        made, other, stream = line(), line(), connected(line(), Wired(ours))
        for user in (made, other):
            with user.sending():
                stream.write(b"POST")
        made.abandon()
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        other.abandon()
        assert theirs.recv(1) == b""


def test_abandoning_a_connection_without_a_socket_is_harmless() -> None:
    made, stream = line(), connected(line(), Wired(None))
    with made.sending():
        stream.write(b"POST")
    made.abandon()
    with made.sending(), pytest.raises(httpx.ReadError):
        stream.write(b"more")


def test_a_coroutine_that_is_ended_elsewhere_ends_in_peace() -> None:
    made = line().sending()
    contextvars.copy_context().run(made.__enter__)
    made.__exit__(None, None, None)

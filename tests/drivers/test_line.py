"""The tap on a connection, without one."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import httpx
import pytest

from botticelli import Timeouts
from botticelli.drivers.line import Line, Trace
from botticelli.protocol.call import Call
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
    __slots__ = ("__weakref__",)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"x" * max_bytes

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass


def line(total: float | None = 30.0) -> Line:
    call = Call(
        Timeouts(first_byte=None, idle=None, progress=None, total=total), RetryPolicy(), streaming=False
    )
    call.start(time.monotonic())
    call.begin(time.monotonic())
    return Line(call, httpx.URL("http://h/v1"))


def connected(made: Line, stream: Any) -> Any:
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
    assert made.call.heard
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
    assert not made.call.heard


def test_a_connection_that_cannot_be_tapped_works() -> None:
    stream = connected(line(), Slotted())
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

"""The mock server: plays scripts to the byte and records the requests that it receives.

It runs an event loop in a thread, so that blocking drivers can be judged, and listens on loopback by default.
Each listener has a port of its own, so that nothing a driver does in one case reaches another.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeAlias, TypeVar

from botticelli.kit.cases.script import ByteScript, Pause
from botticelli.kit.errors import KitError
from botticelli.kit.server.http1 import Bodies, Limits, Room, UnreadableRequestError, read_request
from botticelli.kit.server.recording import RecordedRequest, Recording, Request
from botticelli.kit.server.wire import Line, Side, Transcript

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from botticelli.contracts.jsonvalue import Document

__all__ = ["Listener", "MockServer", "Responder", "exchange_for"]

T = TypeVar("T")

Responder: TypeAlias = Callable[[int, Request], ByteScript]
"""Returns the script to play for a request, given how many requests came before it."""

_POLL = 0.005  # seconds between two looks at whether the client is still connected
_FLIGHT = 0.03  # seconds that bytes may take over loopback, where the kernel can't be asked
_HEAD_LIMIT = 1 << 20
_HEARING = 1.0  # seconds that are spent on the rest of what isn't a request
_LOOP_LIMIT = 30.0  # seconds for work on the loop; only a bug in this module reaches it


@dataclass
class _Memory:
    """What a listener has received so far."""

    requests: list[RecordedRequest] = field(default_factory=list[RecordedRequest])
    protocol_errors: list[str] = field(default_factory=list[str])
    connections: int = 0
    arrived: int = 0
    playing: int = 0
    answered_at: float | None = None


class _NotingReader(asyncio.StreamReader):
    """A reader that notes what comes from the client, split as it comes."""

    def __init__(self, line: Line) -> None:
        super().__init__(limit=_HEAD_LIMIT, loop=asyncio.get_running_loop())
        self._line = line

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Take what the connection received."""
        self._line.sent("client", bytes(data))
        super().feed_data(data)

    def feed_eof(self) -> None:
        """Take the end: the client has closed its side, or the connection was closed here."""
        self._line.did("client", "close")
        super().feed_eof()

    def set_exception(self, exc: Exception) -> None:
        """Take an error of the connection, such as a reset."""
        self._line.did("client", "reset")
        super().set_exception(exc)


class Listener:
    """One port, and what is played on it. Made by :meth:`MockServer.open`."""

    def __init__(self, server: MockServer, *, records: bool, limits: Limits) -> None:
        self._mock_server = server
        self._records = records
        self._room = Room(limits)
        self._refused: Callable[[str], None] | None = None
        self._memory = _Memory()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._transcript: Transcript | None = None
        self._socket: socket.socket | None = None
        self._responder: Responder | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.port = 0

    def respond(self, responder: Responder, refused: Callable[[str], None] | None = None) -> None:
        """Set what to play; before the first request comes.

        Args:
            responder: Returns the script for a request.
            refused: Called with the status and the reason of each rejection of an unreadable request.
        """
        self._responder = responder
        self._refused = refused

    def finish(self, *, linger: float = 0.0, patience: float = 0.0) -> Recording:
        """Close the listener and return what it recorded.

        Args:
            linger: Seconds to listen on first, for requests that shouldn't come.
            patience: Seconds to wait for the client to close connections on which a script is still playing.
        """
        self._mock_server.forget(self)
        return self._mock_server.run(self._finish(linger, patience))

    async def start(self, host: str, port: int, *, listens: bool) -> None:
        """Open the port; runs on the server's loop."""
        if not listens:
            # Bound but not listening: the port is ours and every connection is refused.
            self._socket = socket.socket()
            self._socket.bind((host, port))
            self.port = self._socket.getsockname()[1]
            return
        loop = asyncio.get_running_loop()
        if self._records:
            self._transcript = Transcript(loop.time)
        self._server = await loop.create_server(self._protocol, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _finish(self, linger: float, patience: float) -> Recording:
        await asyncio.sleep(linger)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), patience)
        if self._server:
            self._server.close()
        if self._socket:
            self._socket.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        memory = self._memory
        wire = self._transcript.pieces() if self._transcript else ()
        return Recording(tuple(memory.requests), memory.connections, tuple(memory.protocol_errors), wire)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        """Return what reads a new connection: as asyncio.start_server does, with a reader of our own."""
        number = self._memory.connections
        self._memory.connections += 1
        line = self._transcript.line(number) if self._transcript else None
        reader = _NotingReader(line) if line else asyncio.StreamReader(limit=_HEAD_LIMIT)
        return asyncio.StreamReaderProtocol(reader, partial(self._connected, number, line))

    async def _connected(
        self,
        number: int,
        line: Line | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- the protocol runs each connection as a task
        self._tasks.add(task)
        connection = _Connection(reader, writer, line, self._writing)
        connection.did("client", "open")
        # Every drain waits until the kernel has the bytes: a later write is a later segment.
        writer.transport.set_write_buffer_limits(0)
        bodies = Bodies(self._room)
        try:
            await self._serve(number, connection, bodies)
        except UnreadableRequestError as error:
            bodies.release()
            connection.write(self._reject(error.status, str(error)))
            if self._refused is not None:
                self._refused(error.status)
            await _hear_out(connection)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has closed between answers, or the listener is being closed
        finally:
            bodies.release()
            self._tasks.discard(task)
            connection.did("server", "close")
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _serve(self, number: int, connection: _Connection, bodies: Bodies) -> None:
        memory, loop = self._memory, asyncio.get_running_loop()
        while request := await read_request(connection.reader, connection.write, bodies):
            index, before = memory.arrived, memory.answered_at
            delay = None if before is None else loop.time() - before
            memory.arrived += 1
            memory.playing += 1
            if self._records:
                memory.requests.append(RecordedRequest(request, number, delay))
            self._quiet.clear()
            try:
                script = self._script(index, request)
                closed_early = await _play_script(script, connection)
            finally:
                bodies.release()
                memory.playing -= 1
                if not memory.playing:
                    self._quiet.set()
            if self._records:
                memory.requests[index] = replace(memory.requests[index], client_left=closed_early)
            if script.end != "keep-alive" or request.closes:
                return

    def _writing(self) -> None:
        # Before a write, not after it: the client may have the bytes long before this thread runs again,
        # and a delay must not be measured shorter than it was (retry-after-seconds).
        self._memory.answered_at = asyncio.get_running_loop().time()

    def _script(self, index: int, request: Request) -> ByteScript:
        complaint = "a request came before the listener had a responder"
        try:
            if self._responder is not None:
                return self._responder(index, request)
        except Exception as error:  # noqa: BLE001 -- reported to the judge; the loop would only log it
            complaint = f"cannot be played: {error!r}"
        return ByteScript((self._reject("500 Internal Server Error", complaint),), "close")

    def _reject(self, status: str, complaint: str) -> bytes:
        """Record what is wrong, for the judge, and return a response that says it, for the client."""
        if self._records:
            self._memory.protocol_errors.append(complaint)
        body = complaint.encode("utf-8", "backslashreplace") + b"\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


_UNEXPECTED: Document = {
    "status": 500,
    "headers": [["Content-Type", "text/plain"], ["x-should-retry", "false"]],
    "body": [{"text": "no request was expected"}],
}


def exchange_for(exchanges: Sequence[Document], index: int) -> Document:
    """Return the exchange that answers the request of this number: one after the other, the last for ever."""
    for exchange in exchanges:
        times = exchange.get("times", 1)
        if index < times:
            return exchange
        index -= times
    return exchanges[-1] if exchanges else _UNEXPECTED


@dataclass(frozen=True, slots=True)
class _Connection:
    """An open connection, and what notes what goes over it.

    Attributes:
        reader: Reads from the client.
        writer: Writes to the client; used through :meth:`write`.
        line: Notes what is written, unless nothing is recorded.
        writing: Called before each write of a script, and once for a script that writes nothing.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    line: Line | None
    writing: Callable[[], None]

    def write(self, data: bytes) -> None:
        """Note bytes and write them."""
        if self.line is not None:
            self.line.sent("server", data)
        self.writer.write(data)

    def did(self, side: Side, event: str) -> None:
        """Note an event."""
        if self.line is not None:
            self.line.did(side, event)


async def _play_script(script: ByteScript, connection: _Connection) -> bool:
    """Play one script on an open connection.

    Returns:
        True when the client closed the connection before the end.
    """
    for step in script.steps:
        if isinstance(step, Pause):
            if await _pause(step.seconds, connection.reader, connection.writer):
                return True
            continue
        connection.writing()
        connection.write(step)
        try:
            await connection.writer.drain()
        except ConnectionError:
            return True
    if not script.steps:
        connection.writing()
    if script.end == "reset":
        await _wait_until_received(connection.writer)
        connection.did("server", "reset")
        _reset(connection.writer)
    return False


async def _pause(seconds: float | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    while deadline is None or loop.time() < deadline:
        if reader.at_eof() or reader.exception() or writer.is_closing():
            return True
        await asyncio.sleep(_POLL)
    return False


async def _wait_until_received(writer: asyncio.StreamWriter) -> None:
    """Wait until the client has received what was written; a reset discards what is still on its way."""
    if sys.platform == "linux":
        connection = writer.get_extra_info("socket")
        while not writer.is_closing() and _unsent(connection.fileno()):  # noqa: ASYNC110 -- the kernel signals no event
            await asyncio.sleep(_POLL)
    else:
        await asyncio.sleep(_FLIGHT)


def _unsent(file: int) -> int:
    """Return how many bytes the other side has not acknowledged (SIOCOUTQ, see tcp(7))."""
    count = array.array("i", [0])
    fcntl.ioctl(file, termios.TIOCOUTQ, count)
    return count[0]


async def _hear_out(connection: _Connection) -> None:
    """Read what a client still sends for a while: closed with bytes unread, the connection would be reset."""
    with contextlib.suppress(OSError):  # a timeout is one
        connection.writer.write_eof()
        async with asyncio.timeout(_HEARING):
            while await connection.reader.read(_HEAD_LIMIT):
                pass


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    # Closing with SO_LINGER of zero seconds makes the kernel send RST instead of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class MockServer:
    """A server in a thread; listeners are opened on it.

    Args:
        host: Address to listen on.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._listeners: set[Listener] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="botticelli-server", daemon=True)
        self._thread.start()

    def open(
        self, *, port: int = 0, listens: bool = True, records: bool = True, limits: Limits | None = None
    ) -> Listener:
        """Open a listener.

        Args:
            port: The port; 0 for any free one.
            listens: False to have connections refused.
            records: False to record nothing, for a server that runs for long.
            limits: What clients are allowed; by default anything but a body that is far too large.

        Raises:
            OSError: The port is taken.
        """
        listener = Listener(self, records=records, limits=limits or Limits())
        self.run(listener.start(self._host, port, listens=listens))
        self._listeners.add(listener)
        return listener

    def forget(self, listener: Listener) -> None:
        """Drop a listener from those that :meth:`close` closes."""
        self._listeners.discard(listener)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(_LOOP_LIMIT)
        except FutureTimeoutError:  # an OSError, which would be taken for the socket's
            future.cancel()
            raise KitError(f"the embedded server didn't get to work in {_LOOP_LIMIT:g} s") from None

    def close(self) -> None:
        """Close all listeners, stop the loop and end the thread."""
        if self._thread.is_alive():
            for listener in list(self._listeners):
                listener.finish()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.closing(self._loop):
            self._loop.run_forever()

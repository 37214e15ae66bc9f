"""The embedded server: plays scripts byte by byte and remembers what it was sent.

The only part of the judge that opens sockets. It lives in a thread and a loop of its own, so that
blocking drivers can be judged, and listens on loopback unless told otherwise. Each listener has a
port of its own: nothing that a driver does in one case can reach another.
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
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from botticelli.kit.cases.script import ByteScript, Pause
from botticelli.kit.server.http1 import UnreadableRequestError, read_request
from botticelli.kit.server.recording import RecordedRequest, Recording, Request

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

Responder: TypeAlias = Callable[[int, Request], ByteScript]
"""Says what to play for a request, given how many came before it."""

_POLL = 0.005  # how often silence looks whether the client is still there; seconds
_FLIGHT = 0.03  # how long bytes may take over loopback where the kernel does not tell; seconds
_HEAD_LIMIT = 1 << 20
_PATIENCE = 30.0  # for the loop's own work; only a bug in here reaches it


@dataclass
class _Memory:
    requests: list[RecordedRequest] = field(default_factory=list[RecordedRequest])
    protocol_errors: list[str] = field(default_factory=list[str])
    connections: int = 0
    arrived: int = 0
    playing: int = 0
    answered_at: float | None = None


class Listener:
    """One listening port and what is played there. Made by :meth:`MockServer.open`."""

    def __init__(self, server: MockServer, *, remembers: bool) -> None:
        self._mock_server = server
        self._remembers = remembers
        self._memory = _Memory()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._director: Responder | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.port = 0

    def direct(self, director: Responder) -> None:
        """Say what is to be played; before the first request comes."""
        self._director = director

    def finish(self, *, linger: float = 0.0, patience: float = 0.0) -> Recording:
        """Close the listener and tell what it saw.

        Args:
            linger: Seconds to go on listening first, for requests that should not come.
            patience: Seconds to wait for the client to leave answers that are still being played.
        """
        self._mock_server.forget(self)
        return self._mock_server.run(self._finish(linger, patience))

    async def start(self, host: str, port: int, *, listens: bool) -> None:
        """Open the port; on the mock server's loop."""
        if not listens:
            # Bound but not listening: the port is ours and every connection is refused.
            self._socket = socket.socket()
            self._socket.bind((host, port))
            self.port = self._socket.getsockname()[1]
            return
        self._server = await asyncio.start_server(self._connected, host, port, limit=_HEAD_LIMIT)
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
        return Recording(tuple(memory.requests), memory.connections, tuple(memory.protocol_errors))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of start_server runs as a task
        self._tasks.add(task)
        number = self._memory.connections
        self._memory.connections += 1
        # Every drain waits until the kernel has the bytes: a later write is a later segment.
        writer.transport.set_write_buffer_limits(0)
        try:
            await self._converse(number, reader, writer)
        except UnreadableRequestError as error:
            writer.write(self._refusal("400 Bad Request", str(error)))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away between answers, or the listener is being closed
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _converse(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        memory, loop = self._memory, asyncio.get_running_loop()
        while request := await read_request(reader, writer):
            index, before = memory.arrived, memory.answered_at
            delay = None if before is None else loop.time() - before
            memory.arrived += 1
            memory.playing += 1
            if self._remembers:
                memory.requests.append(RecordedRequest(request, number, delay))
            self._quiet.clear()
            try:
                script = self._script(index, request)
                left = await play_script(script, reader, writer, self._writing)
            finally:
                memory.playing -= 1
                if not memory.playing:
                    self._quiet.set()
            if self._remembers:
                memory.requests[index] = replace(memory.requests[index], client_left=left)
            if script.end != "keep-alive":
                return

    def _writing(self) -> None:
        # Before a write, not after it: the client may have the bytes long before this thread runs again,
        # and a delay must not be measured shorter than it was (retry-after-seconds).
        self._memory.answered_at = asyncio.get_running_loop().time()

    def _script(self, index: int, request: Request) -> ByteScript:
        complaint = "a request before the listener was set"
        try:
            if self._director is not None:
                return self._director(index, request)
        except Exception as error:  # noqa: BLE001 - the judge must hear of it; the loop would only log it
            complaint = f"cannot be played: {error!r}"
        return ByteScript((self._refusal("500 Internal Server Error", complaint),), "close")

    def _refusal(self, status: str, complaint: str) -> bytes:
        """Remember what is wrong, for the judge, and return the answer that tells it to the client."""
        if self._remembers:
            self._memory.protocol_errors.append(complaint)
        body = complaint.encode("utf-8", "backslashreplace") + b"\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def play_script(
    script: ByteScript,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    writing: Callable[[], None],
) -> bool:
    """Play one script on an open connection.

    Args:
        script: What to play.
        reader: Of the connection.
        writer: Of the connection.
        writing: Called before each write, and before a connection is closed without one.

    Returns:
        True when the client left before the end.
    """
    for step in script.steps:
        if isinstance(step, Pause):
            if await _silence(step.seconds, reader, writer):
                return True
            continue
        writing()
        writer.write(step)
        try:
            await writer.drain()
        except ConnectionError:
            return True
    if not script.steps:
        writing()
    if script.end == "reset":
        await _arrived(writer)
        _reset(writer)
    return False


async def _silence(seconds: float | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    while deadline is None or loop.time() < deadline:
        if reader.at_eof() or reader.exception() or writer.is_closing():
            return True
        await asyncio.sleep(_POLL)
    return False


async def _arrived(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side has what was written, for a reset takes back what it has not."""
    if sys.platform == "linux":
        connection = writer.get_extra_info("socket")
        while not writer.is_closing() and _unsent(connection.fileno()):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_POLL)
    else:
        await asyncio.sleep(_FLIGHT)


def _unsent(file: int) -> int:
    """Return how many bytes the other side has not acknowledged (SIOCOUTQ, see tcp(7))."""
    count = array.array("i", [0])
    fcntl.ioctl(file, termios.TIOCOUTQ, count)
    return count[0]


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    # Closing with a linger of zero is what makes the kernel send RST in place of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class MockServer:
    """A thread with a loop on which stages are opened.

    Args:
        host: Address to listen on.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._listeners: set[Listener] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="botticelli-server", daemon=True)
        self._thread.start()

    def open(self, *, port: int = 0, listens: bool = True, remembers: bool = True) -> Listener:
        """Open a listener.

        Args:
            port: Where to listen; 0 for any free port.
            listens: False to have connections refused.
            remembers: False to keep nothing of what comes, for a server that goes on for long.

        Raises:
            OSError: The port is taken.
        """
        listener = Listener(self, remembers=remembers)
        self.run(listener.start(self._host, port, listens=listens))
        self._listeners.add(listener)
        return listener

    def forget(self, listener: Listener) -> None:
        """No longer count a listener among those to close."""
        self._listeners.discard(listener)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the mock server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def close(self) -> None:
        """Close what is still open, stop the loop and end the thread."""
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

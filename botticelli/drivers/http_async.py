"""Asynchronous HTTP for one driver, on asyncio and trio: `http_sync` with anyio's exact deadlines.

Closing is the delicate part. asyncio's own cancelling gets through anyio's shields, and httpcore closes a
connection only once, so what was broken off in the middle would stay open.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import weakref
from contextlib import nullcontext
from types import coroutine
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import anyio.to_thread

from botticelli.core.errors import ConfigurationError
from botticelli.drivers.connection import AsyncTrace, ConnectionMonitor
from botticelli.drivers.forking import at_fork
from botticelli.drivers.http_sync import closed_error, finite
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
    import asyncio
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator

    import httpx
    import httpx2

    from botticelli.core.response import StreamChunk
    from botticelli.drivers.call import Call
    from botticelli.drivers.config import DriverConfig
    from botticelli.protocol.exchange import Step, Steps

__all__ = ["AsyncHttpCall", "AsyncHttpClient"]

_log = logging.getLogger("botticelli")

_T = TypeVar("_T")

_CLOSING = 1.0
"""Seconds that closing may take; it doesn't wait for the peer, so it takes next to none."""


class AsyncHttpClient:
    """The HTTP client of one driver, the user's or our own."""

    def __init__(self, config: DriverConfig, client: httpx.AsyncClient | httpx2.AsyncClient | None) -> None:
        """Take the user's client, or make one.

        Raises:
            ConfigurationError: It isn't an async client, or none can be made.
        """
        self.client, self.library = client_and_library(client, "AsyncClient", config.base_url)
        self.owned = client is None
        self.auth = KeyAuth(config.credentials) if config.credentials else None
        self.closed = False
        self._base_url = config.base_url
        self._lock = threading.Lock()
        self._loop: Any = None
        self._keeper: AsyncGenerator[None] | None = None
        self._used = False
        at_fork(self)

    def forked(self) -> None:
        """Leave the parent's connections, event loop and locks behind; see `forking`."""
        _left.append((self.client, self._keeper))
        self._lock = threading.Lock()
        self._loop = self._keeper = None
        self._used = True

    async def enter(self) -> None:
        """Be of the running event loop: one that is over takes its connections with it.

        Raises:
            ConfigurationError: Another one is still running.
        """
        loop = _running_loop()
        if loop is self._loop:
            return
        with self._lock:
            if self._loop is not None and not _is_over(self._loop):
                raise ConfigurationError(
                    "the driver is in use in another event loop",
                    setting="http_client",
                    hint="make one driver per event loop",
                )
            if not self.owned:
                # trio doesn't say of another run whether it is over
                self._loop = loop if hasattr(loop, "is_running") else None
                return
            if self._used:
                self.client, self.library = client_and_library(None, "AsyncClient", self._base_url)
            self._used = True
            self._loop = loop
            keeper = self._keeper = _keep(self.client, weakref.ref(self), loop)
        await anext(keeper)

    def leave(self, loop: Any) -> None:
        """Note that an event loop is over."""
        with self._lock:
            if self._loop is loop:
                self._loop = self._keeper = None

    def check_open(self) -> None:
        """Raise a `ClosedError` if the driver is closed."""
        if self.closed:
            raise closed_error()

    async def run(self, call: Call, steps: Steps[_T]) -> _T:
        """Do all the steps to an answer that isn't streamed.

        Raises:
            BotticelliError: What the call came to.
        """
        http = AsyncHttpCall(self, call)
        try:
            return await http.run(steps)
        finally:
            await http.close()

    async def encode(self, call: Call) -> None:
        """Encode a call whose request names files: in a thread, for a file system may be slow.

        Raises:
            RequestError: The format can't carry the request.
        """
        if call.reads_files:
            await anyio.to_thread.run_sync(call.encode, abandon_on_cancel=True)

    async def close(self) -> None:
        """Close the connections of our own client."""
        self.closed = True
        loop, keeper = self._loop, self._keeper
        if not self.owned or (loop is not None and loop is not _running_loop() and not _is_over(loop)):
            return  # another loop's connections are closed when that is over
        try:
            await self.client.aclose()
            if keeper is not None:
                await keeper.aclose()
        except Exception as error:  # noqa: BLE001 -- such as RuntimeError, when the connections' event loop is gone
            _log.debug("closing the driver: %s", type(error).__name__)


async def _keep(client: Any, http: weakref.ref[AsyncHttpClient], loop: Any) -> AsyncGenerator[None]:
    """Close a client's connections when their event loop is over, which ends its unfinished generators."""
    try:
        yield
    finally:
        if (found := http()) is not None:
            found.leave(loop)
        with contextlib.suppress(Exception):  # as in `AsyncHttpClient.close`
            await client.aclose()


class AsyncHttpCall:
    """The I/O of one call: one response at a time."""

    __slots__ = (
        "_call",
        "_http",
        "_limits",
        "_monitor",
        "_over",
        "_pieces",
        "_reading",
        "_response",
        "_result",
    )

    def __init__(self, http: AsyncHttpClient, call: Call) -> None:
        self._http = http
        self._call = call
        self._limits: dict[str, float | None] = {}
        self._monitor: ConnectionMonitor | None = None
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] = _Pieces(b"")
        self._over = self._reading = False
        self._result: Any = None

    @property
    def is_open(self) -> bool:
        """Whether there is a response that isn't closed."""
        return self._response is not None

    async def run(self, steps: Steps[_T]) -> _T:
        """Do steps that deliver nothing, and return their result."""
        self._http.check_open()
        await self.advance(steps)
        result: _T = self._result
        return result

    async def advance(self, steps: Steps[Any]) -> list[StreamChunk]:
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
                    reply = await self._do(step)
                except Exception as error:  # noqa: BLE001 -- the exchange decides what it means
                    problem = error
        except StopIteration as end:
            self._result = end.value
            return []
        finally:
            del problem  # it refers to this frame

    async def _do(self, step: Step) -> Any:
        match step:
            case Read():
                return await self._read(step.limit, step.idle)
            case Send():
                return await self._send(step.limits)
            case Linger():
                return await self._linger()
            case Wait():
                return await self._wait(step.seconds)
            case Close():
                return await self.close()
            case _:
                raise AssertionError(step)

    async def _wait(self, seconds: float) -> bool:
        await anyio.sleep(seconds)
        self._http.check_open()
        return self._call.abandoned

    async def _send(self, limits: dict[str, float | None]) -> Received:
        deadlines = self._call.deadlines
        with anyio.move_on_after(deadlines.remaining(time.monotonic())):
            return await self._begin(limits)
        raise deadlines.timeout_error("total", time.monotonic())

    async def _begin(self, limits: dict[str, float | None]) -> Received:
        call, http = self._call, self._http
        self._limits = limits
        self._over = False
        monitor = self._monitor = ConnectionMonitor(call.deadlines, call.url)
        asked = call.request
        await http.enter()
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
                    extensions={"timeout": limits, "trace": AsyncTrace(monitor)},
                )
                request.stream = _sent(http.library, asked.body or b"")
                response = await http.client.send(
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
                self._pieces = _Pieces(body or b"")
                note = UNREAD if body is None else None
                raw = refused.headers.raw
                return Received(refused.status_code, raw, time.time(), decoded=True, note=note)
            problem = self._error_of(error)
        else:
            self._response = response
            # a client's hook or a mock transport may have read it already
            read = response.is_stream_consumed
            # not aiter_raw(), which closes the response at its end: asyncio's cancelling would break that
            # off, and httpcore doesn't close a second time
            stream: Any = response.stream  # httpx's type allows a sync one too
            self._pieces = _Pieces(response.content) if read else aiter(stream)
            return Received(response.status_code, response.headers.raw, time.time(), decoded=read)
        raise problem

    async def _read(self, limit: float, idle: float) -> bytes | None:
        problem: Exception | None = None
        self._limits["read"] = finite(idle)
        self._reading = True
        # the client keeps the idle limit itself; a scope costs as much as a read, so it is for the others
        with nullcontext() if limit == idle else anyio.move_on_after(finite(limit)):
            try:
                piece = await anext(self._pieces, None)
            except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
                problem = self._error_of(error)
            else:
                self._over = piece is None
                return piece
            finally:
                self._reading = False
        raise problem or self._call.deadlines.timeout_error("idle", time.monotonic())

    def _error_of(self, error: Exception) -> Exception:
        if self._monitor is None:
            return error
        if self._http.owned and self._http.closed:
            return closed_error()  # whatever its breaking off looks like
        return error_of(error, self._monitor, time.monotonic(), self._call.redact)

    async def _linger(self) -> None:
        """Read the end, if it comes at once; see `exchange.LINGER`."""
        size = 0
        with anyio.move_on_after(LINGER):
            try:
                async for piece in self._pieces:
                    size += len(piece)
                    if size > LINGER_BYTES:
                        break
                else:
                    self._over = True
            except Exception as error:  # noqa: BLE001 -- the answer is whole, only the connection isn't used again
                _log.debug("the connection is not used again: %s", type(error).__name__)

    async def close(self) -> None:
        """Close the response, and its connection unless it was read to its end; in a cancelled task too.

        Harmless when repeated. While another task reads, only the connection can be closed; the reader wakes,
        and closes the rest.
        """
        response, pieces = self._response, self._pieces
        if response is None:
            return
        if not self._reading:
            self._response, self._pieces = None, _Pieces(b"")
        with anyio.CancelScope(shield=True):
            if self._over and self._http.owned:
                # only the connection is given back; a task for that would cost a fifth of a short call
                await _finish_then_cancel(_give_back(response))
            else:
                await _shield(_break_off(response, pieces))


async def _give_back(response: httpx.Response) -> None:
    try:
        await response.aclose()
    except Exception as error:  # noqa: BLE001 -- the answer is whole
        _log.debug("closing a connection: %s", type(error).__name__)


async def _break_off(response: httpx.Response, pieces: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(_CLOSING, shield=True):
        try:
            await _end(response, pieces)
        except Exception as error:  # noqa: BLE001 -- nothing more is wanted of what is given up
            _log.debug("closing a connection: %s", type(error).__name__)


async def _end(response: httpx.Response, pieces: AsyncIterator[bytes]) -> None:
    try:
        with anyio.CancelScope() as scope:
            # httpx's generators within generators end by an exception or when garbage is collected, which
            # trio complains about
            scope.cancel()
            async for _ in pieces:
                pass
    finally:
        # another task may be in the generators, which then can't be ended here
        await response.aclose()


def _sent(library: Any, data: bytes) -> Any:
    """Return a request's body.

    httpx's own is a generator, which a cancelled call leaves unfinished; trio warns.
    """
    kind = _bodies.get(library.__name__)
    if kind is None:
        # the library sends only what is of its own class
        kind = type("Body", (library.AsyncByteStream,), {"__aiter__": _pieces_of})
        _bodies[library.__name__] = kind
    body = kind()
    body.data = data
    return body


_bodies: dict[str, type[Any]] = {}


def _pieces_of(body: Any) -> AsyncIterator[bytes]:
    return _Pieces(body.data)


class _Pieces:
    """Yields these bytes, if there are any."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data


# What asyncio's cancelling must not break off.

_left: list[Any] = []
"""What a forked child has of its parent's event loop, which would complain if it were collected."""

_closings: set[asyncio.Task[None]] = set()
"""asyncio itself refers to its tasks weakly."""


async def _finish_then_cancel(closing: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in this task; if asyncio cancels it meanwhile, pass that on afterwards.

    Only for coroutines that yield to the event loop without waiting on I/O, as httpcore does when it takes a
    connection back: what waits for something would be cancelled too.
    """
    await (_stepwise(closing) if _on_asyncio() else closing)


@coroutine
def _stepwise(closing: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    from asyncio import CancelledError

    cancelled: CancelledError | None = None
    try:
        while True:
            try:
                awaited = closing.send(None)
            except StopIteration:
                break
            try:
                yield awaited
            except CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
    finally:
        closing.close()
        del cancelled  # it refers to this frame


async def _shield(closing: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, even if asyncio cancels this task: anyio's shield doesn't prevent that."""
    if not _on_asyncio():
        await closing
        return
    import asyncio

    task = asyncio.ensure_future(closing)
    _closings.add(task)
    task.add_done_callback(_closings.discard)
    await asyncio.shield(task)


def _running_loop() -> Any:
    """The running event loop: asyncio's itself, or what stands for a run of trio's."""
    if _on_asyncio():
        import asyncio

        return asyncio.get_running_loop()
    import trio

    return trio.lowlevel.current_trio_token()


def _is_over(loop: Any) -> bool:
    """Whether an event loop of asyncio's runs no longer; trio's say it by ending their generators."""
    return hasattr(loop, "is_running") and not loop.is_running()


def _on_asyncio() -> bool:
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        # trio as a guest has asyncio's loop around it, but no task
        return asyncio.current_task() is not None
    except RuntimeError:
        return False

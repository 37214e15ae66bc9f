"""The async rim's hands, for asyncio and trio: `courier`, with anyio's cancel scopes for exact deadlines."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx

from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.drivers.connection import AsyncTrace
from botticelli.drivers.http_sync import LINGER, LINGER_BYTES, finite
from botticelli.drivers.httpx_errors import KeyAuth, make_client
from botticelli.drivers.undisturbed import persistent, undisturbed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from botticelli.drivers.config import Endpoint
    from botticelli.drivers.task import Task
    from botticelli.protocol.content_encoding import Body

__all__ = ["AsyncCourier", "AsyncIncoming"]

_log = logging.getLogger("botticelli")

_T = TypeVar("_T")

_CLOSING = 1.0
"""Seconds that closing may take; it doesn't wait for the peer, so it takes next to none."""


class AsyncCourier:
    """Carries the tasks of one driver."""

    def __init__(self, endpoint: Endpoint, client: httpx.AsyncClient | None) -> None:
        """Take the user's client, or make one.

        Raises:
            ConfigurationError: It isn't an async client, or none can be made.
        """
        given: Any = client
        if given is not None and not isinstance(given, httpx.AsyncClient):
            raise ConfigurationError(
                f"http_client must be an httpx.AsyncClient, not {type(given).__name__}", setting="http_client"
            )
        self._owned = client is None
        self._client = client or make_client(httpx.AsyncClient, endpoint.base_url)
        self._auth = KeyAuth(endpoint.credentials) if endpoint.credentials else None
        self._closed = False

    async def close(self) -> None:
        """Let the connections go."""
        self._closed = True
        if not self._owned:
            return
        try:
            await self._client.aclose()
        except Exception as error:  # noqa: BLE001 -- such as RuntimeError, when the connections' event loop is gone
            _log.debug("closing the driver: %s", type(error).__name__)

    async def run(self, task: Task, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Attempt a task until it is done or its error stands.

        Raises:
            BotticelliError: What the last attempt came to.
        """
        task.start()
        while True:
            if self._closed:
                raise ConfigurationError("the driver is closed", setting="driver", hint="make a new one")
            problem: BotticelliError | None = None
            with anyio.move_on_after(task.left()):
                try:
                    return await attempt()
                except BotticelliError as error:
                    problem = error
            # without a problem of its own, the attempt was cut off
            problem = problem or task.cut_off()
            wait = task.failed(problem)
            if wait is None:
                raise problem
            await anyio.sleep(wait)

    async def fetch(self, task: Task) -> bytes:
        """One attempt at the body of a whole answer."""
        incoming = await self.open(task)
        try:
            return await self._collect(task, incoming, task.new_body())
        finally:
            await incoming.close()

    async def open(self, task: Task) -> AsyncIncoming:
        """One attempt at an answer; the caller reads its body and closes it.

        Raises:
            ApiError: Its status isn't a 2xx.
        """
        response = await self._send(task)
        incoming = AsyncIncoming(response, ours=self._owned)
        task.received(response.status_code, response.headers.raw, decoded=response.is_stream_consumed)
        if not task.refused:
            return incoming
        try:
            body = await self._error_body(task, incoming)
        finally:
            await incoming.close()
        raise task.refusal(body)

    async def _send(self, task: Task) -> httpx.Response:
        limits = task.begin()
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
                    extensions={"timeout": limits, "trace": AsyncTrace(task.line)},
                )
                request.stream = _Sent(task.body or b"")
                return await client.send(
                    request,
                    stream=True,
                    auth=self._auth or httpx.USE_CLIENT_DEFAULT,
                    follow_redirects=False,
                )
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = task.fault(error)
        raise problem

    async def _collect(self, task: Task, incoming: AsyncIncoming, body: Body) -> bytes:
        while not body.full and (piece := await incoming.next(task)) is not None:
            body.feed(piece)
            task.call.moved()
        return body.whole()

    async def _error_body(self, task: Task, incoming: AsyncIncoming) -> bytes:
        """As much of an error's body as comes: the status is the news, a broken body can't take it away."""
        try:
            body = task.new_body()
        except BotticelliError:
            return b""
        try:
            return await self._collect(task, incoming, body)
        except BotticelliError:
            return body.kept()


class AsyncIncoming:
    """An answer's body on its way."""

    __slots__ = ("_ours", "_over", "_pieces", "_response")

    def __init__(self, response: httpx.Response, *, ours: bool) -> None:
        self._response = response
        self._ours = ours  # and so httpcore's
        self._over = False
        # a client's hook or a mock transport may have read it already
        read = response.is_stream_consumed
        # not aiter_raw(), which closes the response at its end: asyncio's cancelling would break that off,
        # and httpcore doesn't close a second time
        stream: Any = response.stream  # httpx's type allows a sync one too
        self._pieces: AsyncIterator[bytes] = _only(response.content) if read else aiter(stream)

    async def next(self, task: Task) -> bytes | None:
        """The next bytes as received, or None at the end."""
        problem: Exception | None = None
        wait, idle = task.wait(), task.call.idle
        task.limits["read"] = finite(idle)
        # the client keeps the idle limit itself; a scope costs as much as a read, so it is for the others
        with nullcontext() if wait == idle else anyio.move_on_after(finite(wait)):
            try:
                piece = await anext(self._pieces, None)
            except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
                problem = task.fault(error)
            else:
                self._over = piece is None
                return piece
        raise problem or task.late("idle")

    async def linger(self) -> None:
        """After ``[DONE]``: read the end, if it comes at once; else the connection can't be kept."""
        size = 0
        with anyio.move_on_after(LINGER):
            try:
                async for piece in self._pieces:
                    size += len(piece)
                    if size > LINGER_BYTES:
                        break
                else:
                    self._over = True
            except Exception as error:  # noqa: BLE001 -- the answer is whole, only the connection isn't kept
                _log.debug("the connection is not kept: %s", type(error).__name__)

    async def close(self) -> None:
        """Close it, and its connection unless it was read to its end; in a cancelled task too."""
        with anyio.CancelScope(shield=True):
            if self._over and self._ours:
                # only the connection is given back; a task for that would cost a fifth of a short call
                await persistent(self._give_back())
            else:
                await undisturbed(self._break_off())

    async def _give_back(self) -> None:
        try:
            await self._response.aclose()
        except Exception as error:  # noqa: BLE001 -- the answer is whole
            _log.debug("closing a connection: %s", type(error).__name__)

    async def _break_off(self) -> None:
        with anyio.move_on_after(_CLOSING, shield=True):
            try:
                await self._end()
            except Exception as error:  # noqa: BLE001 -- nothing more is wanted of what is given up
                _log.debug("closing a connection: %s", type(error).__name__)

    async def _end(self) -> None:
        try:
            with anyio.CancelScope() as scope:
                # httpx's generators within generators end by an exception or when garbage is collected,
                # which trio complains about
                scope.cancel()
                async for _ in self._pieces:
                    pass
        finally:
            # another task may be in the generators, which then can't be ended here
            await self._response.aclose()


class _Sent(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, which a cancelled call leaves unfinished; trio warns."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self._data)


class _Pieces:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data


async def _only(content: bytes) -> AsyncIterator[bytes]:
    yield content

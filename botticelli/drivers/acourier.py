"""The async rim's hands, for asyncio and trio: `courier`, with anyio's cancel scopes for exact deadlines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx

from botticelli.core.errors import BotticelliError, ConfigurationError

from .courier import LINGER, LINGER_BYTES
from .transport import AsyncTrace, KeyAuth, make_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from .coding import Body
    from .endpoint import Endpoint
    from .task import Task

__all__ = ["AsyncCourier", "apieces_of", "let_go"]

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
        self._client = client or make_client(httpx.AsyncClient, endpoint.base_url, http2=endpoint.http2)
        self._auth = KeyAuth(endpoint.credentials) if endpoint.credentials else None
        self._closed = False

    async def close(self) -> None:
        """Let the connections go."""
        self._closed = True
        if self._owned:
            await self._client.aclose()

    async def run(self, task: Task, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Attempt a task until it is done or its error stands.

        Raises:
            BotticelliError: What the last attempt came to.
        """
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
            problem = problem or task.late("total")
            wait = task.failed(problem)
            if wait is None:
                raise problem
            await anyio.sleep(wait)

    async def fetch(self, task: Task) -> bytes:
        """One attempt at the body of a whole answer."""
        response = await self.open(task)
        try:
            return await self._collect(task, response, task.new_body())
        finally:
            await let_go(response)

    async def open(self, task: Task) -> httpx.Response:
        """One attempt at an answer; the caller reads its body and lets it go.

        Raises:
            ApiError: Its status isn't a 2xx.
        """
        response = await self._send(task)
        task.received(response.status_code, response.headers.raw, decoded=response.is_stream_consumed)
        if not task.refused:
            return response
        try:
            body = await self._error_body(task, response)
        finally:
            await let_go(response)
        raise task.refusal(body)

    async def next(self, task: Task, source: AsyncIterator[bytes]) -> bytes | None:
        """The next bytes of a body, or None at its end."""
        problem: BotticelliError | None = None
        with anyio.move_on_after(task.wait()):
            try:
                return await anext(source, None)
            except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
                problem = task.fault(error)
        raise problem or task.late("idle")

    async def linger(self, source: AsyncIterator[bytes]) -> None:
        """After ``[DONE]``: read the answer's end, if it comes at once; else its connection can't be kept."""
        size = 0
        with anyio.move_on_after(LINGER):
            try:
                async for piece in source:
                    size += len(piece)
                    if size > LINGER_BYTES:
                        break
            except Exception as error:  # noqa: BLE001 -- the answer is whole, only the connection isn't kept
                _log.debug("the connection is not kept: %s", type(error).__name__)

    async def _send(self, task: Task) -> httpx.Response:
        limits = task.begin()
        client = self._client
        try:
            request = client.build_request(
                task.method,
                task.url,
                content=task.body,
                headers=task.headers,
                extensions={"timeout": limits, "trace": AsyncTrace(task.call)},
            )
            return await client.send(
                request,
                stream=True,
                auth=self._auth or httpx.USE_CLIENT_DEFAULT,
                follow_redirects=False,
            )
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = task.fault(error)
        raise problem

    async def _collect(self, task: Task, response: httpx.Response, body: Body) -> bytes:
        source = apieces_of(response)
        while not body.full and (piece := await self.next(task, source)) is not None:
            body.feed(piece)
            task.call.read(events=True)
        return body.whole()

    async def _error_body(self, task: Task, response: httpx.Response) -> bytes:
        """As much of an error's body as comes: the status is the news, a broken body can't take it away."""
        try:
            body = task.new_body()
        except BotticelliError:
            return b""
        try:
            return await self._collect(task, response, body)
        except BotticelliError:
            return body.kept()


def apieces_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """The bytes of a body as received; a client's hook or a mock transport may have read them already."""
    return _only(response.content) if response.is_stream_consumed else response.aiter_raw()


async def _only(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def let_go(response: httpx.Response) -> None:
    """Close an answer, and its connection unless it was read to its end; in a cancelled task too."""
    with anyio.move_on_after(_CLOSING, shield=True):
        try:
            await response.aclose()
        except Exception as error:  # noqa: BLE001 -- nothing more is wanted of a connection that is given up
            _log.debug("closing a connection: %s", type(error).__name__)

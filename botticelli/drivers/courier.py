"""The sync rim's hands: sends a task with httpx, waits, reads, closes. What anything means, `task` decides.

httpx's exceptions are caught here and ours are raised outside ``except``, see `transport`. `acourier` is
the same for asyncio and trio, line for line where it can be.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from botticelli.core.errors import BotticelliError, ConfigurationError

from .transport import KeyAuth, Trace, make_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .coding import Body
    from .endpoint import Endpoint
    from .task import Task

__all__ = ["Courier", "let_go", "pieces_of"]

_log = logging.getLogger("botticelli")

_T = TypeVar("_T")

LINGER = 0.05
"""Seconds that the end of an answer may take after ``[DONE]``, so that its connection can serve again."""
LINGER_BYTES = 1 << 16


class Courier:
    """Carries the tasks of one driver."""

    def __init__(self, endpoint: Endpoint, client: httpx.Client | None) -> None:
        """Take the user's client, or make one.

        Raises:
            ConfigurationError: It isn't a sync client, or none can be made.
        """
        given: Any = client
        if given is not None and not isinstance(given, httpx.Client):
            raise ConfigurationError(
                f"http_client must be an httpx.Client, not {type(given).__name__}", setting="http_client"
            )
        self._owned = client is None
        self._client = client or make_client(httpx.Client, endpoint.base_url, http2=endpoint.http2)
        self._auth = KeyAuth(endpoint.credentials) if endpoint.credentials else None
        self._closed = threading.Event()

    def close(self) -> None:
        """Let the connections go, and wake whoever waits for a retry."""
        self._closed.set()
        if self._owned:
            self._client.close()

    def run(self, task: Task, attempt: Callable[[], _T]) -> _T:
        """Attempt a task until it is done or its error stands.

        Raises:
            BotticelliError: What the last attempt came to.
        """
        while True:
            if self._closed.is_set():
                raise ConfigurationError("the driver is closed", setting="driver", hint="make a new one")
            try:
                return attempt()
            except BotticelliError as error:
                wait = task.failed(error)
                if wait is None:
                    raise
            self._closed.wait(wait)

    def fetch(self, task: Task) -> bytes:
        """One attempt at the body of a whole answer."""
        response = self.open(task)
        try:
            return self._collect(task, response, task.new_body())
        finally:
            let_go(response)

    def open(self, task: Task) -> httpx.Response:
        """One attempt at an answer; the caller reads its body and lets it go.

        Raises:
            ApiError: Its status isn't a 2xx.
        """
        response = self._send(task)
        task.received(response.status_code, response.headers.raw, decoded=response.is_stream_consumed)
        if not task.refused:
            return response
        try:
            body = self._error_body(task, response)
        finally:
            let_go(response)
        raise task.refusal(body)

    def next(self, task: Task, source: Iterator[bytes]) -> bytes | None:
        """The next bytes of a body, or None at its end."""
        task.wait()
        try:
            return next(source, None)
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = task.fault(error)
        raise problem

    def linger(self, task: Task, response: httpx.Response) -> None:
        """After ``[DONE]``: read the answer's end, if it comes at once; else its connection can't be kept.

        httpcore takes its time limit when the iteration of a body begins, hence a second iteration.
        """
        task.limits["read"] = LINGER
        size = 0
        try:
            tail: Any = response.stream  # httpx's type allows an async one too
            for piece in tail:
                size += len(piece)
                if size > LINGER_BYTES:
                    break
        except Exception as error:  # noqa: BLE001 -- the answer is whole, only the connection isn't kept
            _log.debug("the connection is not kept: %s", type(error).__name__)

    def _send(self, task: Task) -> httpx.Response:
        limits = task.begin()
        client = self._client
        try:
            request = client.build_request(
                task.method,
                task.url,
                content=task.body,
                headers=task.headers,
                extensions={"timeout": limits, "trace": Trace(task.call)},
            )
            return client.send(
                request,
                stream=True,
                auth=self._auth or httpx.USE_CLIENT_DEFAULT,
                follow_redirects=False,
            )
        except Exception as error:  # noqa: BLE001 -- whatever a client raises becomes one of ours
            problem = task.fault(error)
        raise problem

    def _collect(self, task: Task, response: httpx.Response, body: Body) -> bytes:
        source = pieces_of(response)
        while not body.full and (piece := self.next(task, source)) is not None:
            body.feed(piece)
            task.call.read(events=True)
        return body.whole()

    def _error_body(self, task: Task, response: httpx.Response) -> bytes:
        """As much of an error's body as comes: the status is the news, a broken body can't take it away."""
        try:
            body = task.new_body()
        except BotticelliError:
            return b""
        try:
            return self._collect(task, response, body)
        except BotticelliError:
            return body.kept()


def pieces_of(response: httpx.Response) -> Iterator[bytes]:
    """The bytes of a body as received; a client's hook or a mock transport may have read them already."""
    return iter((response.content,)) if response.is_stream_consumed else response.iter_raw()


def let_go(response: httpx.Response) -> None:
    """Close an answer, and its connection unless it was read to its end."""
    try:
        response.close()
    except Exception as error:  # noqa: BLE001 -- nothing more is wanted of a connection that is given up
        _log.debug("closing a connection: %s", type(error).__name__)

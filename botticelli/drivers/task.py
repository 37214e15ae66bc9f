"""One call as both rims make it: what is sent, and what is made of each thing that comes. No I/O.

The rim drives it: `begin`, send, `received`, read, `answer` (or a `StreamAnswer`), and `failed` for
whatever went wrong. It reads the clock and draws the chance, which the modules it calls may not.
"""

from __future__ import annotations

import logging
import time
from random import random
from typing import TYPE_CHECKING

from botticelli.core.errors import BotticelliError, ModelsError, ResponseError, StreamError
from botticelli.dialects.dialect import CallContext
from botticelli.drivers.cache import look_up, store
from botticelli.drivers.connection import Line
from botticelli.drivers.httpx_errors import PROXY_LOGIN, content, fault, hooked
from botticelli.protocol import response_headers
from botticelli.protocol.content_encoding import Body
from botticelli.protocol.deadlines import Call
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.http import ResponseHead
from botticelli.protocol.redaction import redact_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from botticelli.core.errors import ApiError, CallTimeoutError
    from botticelli.core.response import GenerateResponse, RateLimits, Usage
    from botticelli.dialects.dialect import ModelPage, StreamReader
    from botticelli.drivers.config import Endpoint

__all__ = ["MAX_ANSWER", "Task"]

_log = logging.getLogger("botticelli")

MAX_ANSWER = 256 << 20
"""Bytes of a whole answer, decompressed; a longer one is a `MalformedResponseError`."""


class Task:
    """One call.

    Attributes:
        call: Its attempts and deadlines.
        method: The request's, and so are `url`, `headers` (without the key) and `body`.
        model: What is asked for.
        status: The status of the newest answer.
        headers_told: Its headers, names in lower case.
        line: The newest attempt's connection.
        abandoned: Whether another thread has given the call up; there is no further attempt.
    """

    __slots__ = (
        "_at",
        "_billed",
        "_body",
        "_counted",
        "_endpoint",
        "_key",
        "_n",
        "_rate_limits",
        "_reader",
        "_response",
        "abandoned",
        "body",
        "call",
        "headers",
        "headers_told",
        "limits",
        "line",
        "method",
        "model",
        "status",
        "url",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        method: str,
        url: httpx.URL,
        model: str,
        headers: httpx.Headers,
        body: bytes | None = None,
        streaming: bool = False,
        key: str | None = None,
        n: int = 1,
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._n = n
        self.method, self.url, self.model, self.headers, self.body = method, url, model, headers, body
        self.call = Call(endpoint.timeouts, endpoint.policy, streaming=streaming)
        self.status = 0
        self.headers_told: dict[str, str] = {}
        self.limits: dict[str, float | None] = {}
        self._at = 0.0
        self._body: Body | None = None
        self._rate_limits: RateLimits | None = None
        self._response: GenerateResponse | None = None
        self._reader: StreamReader | None = None
        self._billed: Usage | None = None
        self._counted = False
        self.line = Line(self.call, url)
        self.abandoned = False

    # Before the answer.

    def cached(self) -> GenerateResponse | None:
        """The answer from the cache, or None."""
        endpoint = self._endpoint
        if self._key is None or endpoint.cache is None:
            return None
        return look_up(endpoint.cache, self._key, endpoint.dialect, n=self._n, audit=endpoint.audit)

    def start(self) -> None:
        """The call begins, and its total limit with it."""
        self.call.start(time.monotonic())

    def left(self) -> float | None:
        """Seconds until the whole call is over; None without such a limit."""
        return self.call.left(time.monotonic())

    def begin(self) -> dict[str, float | None]:
        """The next attempt begins: its limits, as the dict that the HTTP client goes on reading.

        Raises:
            CallTimeoutError: The call's time is over.
        """
        self.limits = self.call.begin(time.monotonic())
        self.line = Line(self.call, self.url)
        if self.abandoned:
            self.line.abandon()
        self.status = 0
        self.headers_told = {}
        self._body = None
        _log.debug("%s %s: attempt %d", self.method, self.url.path, self.call.attempts)
        return self.limits

    def received(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, decoded: bool) -> None:
        """The answer's head has come.

        Args:
            status: Its status.
            headers: Its headers as received.
            decoded: Whether the HTTP client has undone the content coding already.
        """
        self.call.head()
        self._at = time.time()
        self.status = status
        found: dict[str, str] = {}
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        if decoded:
            found.pop("content-encoding", None)
        self.headers_told = found
        self._rate_limits = response_headers.read_rate_limits(found, self._at)
        if self._rate_limits is not None:
            self._endpoint.ledger.rate_limits = self._rate_limits

    @property
    def refused(self) -> bool:
        """Whether the answer is an error by its status."""
        return not 200 <= self.status <= 299

    def wait(self) -> float:
        """A read of the body begins: seconds it may take, maybe infinite.

        Raises:
            CallTimeoutError: A limit has already passed.
        """
        return self.call.wait(time.monotonic())

    # What is made of it.

    def new_body(self) -> Body:
        """Where the body is collected: a whole answer's, or as much of an error's as is kept."""
        self._body = Body(self.headers_told, MAX_BODY if self.refused else MAX_ANSWER)
        return self._body

    @property
    def head(self) -> ResponseHead:
        """The head of the newest answer."""
        return ResponseHead(status=self.status, headers=self.headers_told, received_at=self._at)

    @property
    def context(self) -> CallContext:
        """What reading the answer needs to know of this call."""
        endpoint = self._endpoint
        return CallContext(
            model=self.model,
            n=self._n,
            audit=endpoint.audit,
            error_rules=endpoint.provider.error_rules,
            hints=endpoint.hints(),
            secrets=endpoint.secrets,
        )

    def refusal(self, body: bytes) -> ApiError:
        """The error that the answer is by its status; not raised."""
        endpoint = self._endpoint
        error = endpoint.dialect.error(self.head, body, self.context)
        if 300 <= self.status <= 399 and (location := self.headers_told.get("location")):
            error.hint = f"it points to {endpoint.redact(location)}, where the key isn't sent: see base_url"
        elif self.status == 407:
            error.hint = PROXY_LOGIN
        return error

    def answer(self, body: bytes) -> GenerateResponse:
        """The whole answer in a body.

        Raises:
            ResponseError: It isn't one.
            StreamError: It is an error in spite of its status.
        """
        dialect = self._endpoint.dialect
        try:
            response = dialect.response(self.head, body, self.context)
        except ModelsError:
            self._billed = dialect.usage(body)
            raise
        self.settle(response)
        return response

    def models(self, body: bytes) -> ModelPage:
        """The page of the model list in a body.

        Raises:
            ResponseError: It isn't one.
        """
        page = self._endpoint.dialect.model_page(self.head, body, self.context)
        self._endpoint.ledger.learn(page.models)
        return page

    def reader(self) -> StreamReader:
        """What reads the stream."""
        self._reader = self._endpoint.dialect.stream(self.head, self.context)
        return self._reader

    def stamp(self, response: GenerateResponse) -> GenerateResponse:
        """Add to an answer what its headers tell."""
        headers = self.headers_told
        response.request_id = response_headers.read_request_id(headers)
        response.inference_provider = response_headers.read_inference_provider(headers)
        response.rate_limits = self._rate_limits
        return response

    def settle(self, response: GenerateResponse) -> None:
        """The answer is whole: remember it, and keep it if there is a cache."""
        self._response = self.stamp(response)
        if self._key is not None and self._endpoint.cache is not None:
            store(self._endpoint.cache, self._key, self._endpoint.dialect, response)

    # What went wrong, and the end.

    def fault(self, error: Exception) -> Exception:
        """What an exception of the HTTP client is in our tree, or a user's own one; not raised."""
        if (response := hooked(error, self.url)) is not None:
            self.received(response.status_code, response.headers.raw, decoded=True)
            if self.refused:
                return self._hooked(response)
        return fault(error, self.line, time.monotonic(), self._endpoint.redact)

    def _hooked(self, response: httpx.Response) -> ApiError:
        # the client has closed it, so what wasn't read by now is lost
        body = content(response)
        error = self.refusal(body or b"")
        if body is None:
            unread = "a hook that reads the answer before it raises keeps the server's words"
            error.hint = "; ".join(filter(None, (error.hint, unread)))
        return error

    def abandon(self) -> None:
        """From another thread: wake who waits for the answer; nothing more is sent or read."""
        self.abandoned = True
        self.line.abandon()

    def late(self, phase: str) -> CallTimeoutError:
        """The error for a wait that was cut off; not raised."""
        return self.call.late(phase, time.monotonic())

    def cut_off(self) -> BotticelliError:
        """The error for an attempt that the total limit cut off; not raised.

        Once an error's status has come it is the news, however much of its body has.
        """
        if self.status and self.refused:
            return self.refusal(self._body.kept() if self._body else b"")
        return self.late("total")

    def failed(self, error: BotticelliError) -> float | None:
        """An attempt has failed.

        Returns:
            Seconds to wait before the next one; None when the error stands. It is complete then.
        """
        if self.abandoned or not isinstance(error, ModelsError):
            return None
        wait = self.call.failed(error, time.monotonic(), random())  # noqa: S311 -- jitter, not a secret
        if wait is None:
            self.give_up(error)
        else:
            _log.debug("attempt %d: %s; the next one in %.3f s", self.call.attempts, error.kind, wait)
        return wait

    def give_up(self, error: ModelsError) -> None:
        """The error stands: complete it with what is known of the call."""
        _log.debug("attempt %d: %s; given up", self.call.attempts, error.kind)
        endpoint = self._endpoint
        error.during(provider=endpoint.provider.name, model=self.model, attempts=self.call.attempts)
        if error.request_id is None and (id_ := response_headers.read_request_id(self.headers_told)):
            error.request_id = endpoint.redact(id_)
        if error.partial is not None:
            self.stamp(error.partial)
            self._response = self._response or error.partial
        if isinstance(error, ResponseError | StreamError):
            error.message = endpoint.redact(error.message)
            error.args = (error.message,)
            error.body = redact_bytes(error.body[:MAX_BODY], endpoint.secrets)

    def count(self) -> None:
        """The call is over, however it ended: it enters the totals, once, if a request was begun."""
        if self._counted or not self.call.attempts:
            return
        self._counted = True
        # what was left or broken off has been billed as far as the server had counted
        come = self._response or (self._reader and self._reader.response)
        self._endpoint.ledger.count(
            attempts=self.call.attempts,
            usage=(come and come.usage) or self._billed,
            answered=self._response is not None or self.call.delivered,
            model=self.model,
            provider=response_headers.read_inference_provider(self.headers_told),
        )

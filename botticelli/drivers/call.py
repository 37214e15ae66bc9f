"""One call of a driver: the request that is sent, and the driver's part in the exchange that answers it."""

from __future__ import annotations

import logging
import time
from random import random
from typing import TYPE_CHECKING, Self

from botticelli.core.errors import ModelsError, ResponseError, StreamError
from botticelli.core.response import GenerateResponse
from botticelli.dialects.dialect import CallContext
from botticelli.drivers.cache import look_up, store
from botticelli.protocol import response_headers
from botticelli.protocol.deadlines import Deadlines
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.exchange import Exchange
from botticelli.protocol.http import ResponseHead
from botticelli.protocol.redaction import redact_bytes

if TYPE_CHECKING:
    import httpx

    from botticelli.core.errors import ApiError
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import RateLimits, Usage
    from botticelli.dialects.dialect import ModelPage, StreamReader
    from botticelli.drivers.config import DriverConfig
    from botticelli.protocol.exchange import Steps
    from botticelli.protocol.http import HttpRequest

__all__ = ["PROXY_LOGIN", "Call"]

_log = logging.getLogger("botticelli")

PROXY_LOGIN = "the proxy's user and password go into its URL: http://user:password@host:port"

_NO_HEAD = ResponseHead(status=0)


class Call:
    """One call; it is the exchange's `Handler`.

    It holds no connection and no exchange, so that both are freed without the garbage collector.

    Attributes:
        request: The method, headers (without the key) and body.
        url: The URL, with the base URL's parameters.
        path: The URL's path, for logs.
        model: The model that is asked for.
        deadlines: Its attempts and limits.
        abandoned: Whether the caller has given it up, maybe in another thread.
    """

    __slots__ = (
        "_billed",
        "_config",
        "_counted",
        "_finished",
        "_head",
        "_key",
        "_n",
        "_rate_limits",
        "_reader",
        "_response",
        "abandoned",
        "deadlines",
        "model",
        "path",
        "request",
        "url",
    )

    def __init__(
        self,
        config: DriverConfig,
        request: HttpRequest,
        *,
        url: httpx.URL,
        model: str,
        streaming: bool = False,
        key: str | None = None,
        n: int = 1,
    ) -> None:
        """Prepare a call.

        Args:
            config: The driver's configuration.
            request: What is sent, with the driver's own headers.
            url: Where it is sent.
            model: The model that is asked for.
            streaming: Whether the answer is streamed.
            key: The cache's key, or None to leave the cache alone.
            n: How many choices are asked for.
        """
        self._config = config
        self._key = key
        self._n = n
        self.request, self.url, self.model = request, url, model
        self.path = url.path
        self.deadlines = Deadlines(config.timeouts, config.policy, streaming=streaming)
        self.abandoned = False
        self._head = _NO_HEAD
        self._rate_limits: RateLimits | None = None
        self._response: GenerateResponse | None = None
        self._reader: StreamReader | None = None
        self._billed: Usage | None = None
        self._counted = self._finished = False

    @classmethod
    def chat(cls, config: DriverConfig, request: GenerateRequest, *, stream: bool) -> Self:
        """Return a chat call, encoded.

        Raises:
            RequestError: The format can't carry the request.
        """
        encoded = config.encode(request, stream=stream)
        return cls(
            config,
            encoded,
            url=config.url(encoded),
            model=request.model or config.model,
            streaming=stream,
            key=config.cache_key(request),
            n=request.n or 1,
        )

    @classmethod
    def listing(cls, config: DriverConfig, cursor: str | None = None) -> Self:
        """Return a call for a page of the model list."""
        encoded = config.encode_listing(cursor)
        return cls(config, encoded, url=config.url(encoded), model=config.model)

    # What the driver does with it.

    @property
    def n(self) -> int:
        """How many answers are asked for."""
        return self._n

    def cached(self) -> GenerateResponse | None:
        """Return the answer from the cache, or None."""
        config = self._config
        if self._key is None or config.cache is None:
            return None
        return look_up(config.cache, self._key, config.dialect, n=self._n, audit=config.audit)

    def whole(self) -> Steps[GenerateResponse]:
        """Return the steps to a whole answer."""
        return self._exchange().whole(self._decode)

    def page(self) -> Steps[ModelPage]:
        """Return the steps to a page of the model list."""
        return self._exchange().whole(self._decode_page)

    def stream(self) -> Steps[None]:
        """Return the steps of a streamed answer."""
        return self._exchange().stream()

    @property
    def response(self) -> GenerateResponse:
        """The streamed answer as far as it has come."""
        if self._reader is None:
            return GenerateResponse()
        response = self._reader.response
        return response if self._finished else self._stamp(response)

    def count(self) -> None:
        """Add the call to the driver's totals when it is over, however it ended; only once.

        A call of which no request was begun doesn't count.
        """
        if self._counted or not self.deadlines.attempts:
            return
        self._counted = True
        # an answer that was left or broken off is billed as far as the server had counted
        answer = self._response
        if answer is None and self._reader is not None:
            answer = self._reader.response
        self._config.usage.count(
            attempts=self.deadlines.attempts,
            usage=(answer and answer.usage) or self._billed,
            answered=self._response is not None or self.deadlines.delivered,
            model=self.model,
            provider=self._inference_provider(),
        )

    def _inference_provider(self) -> str | None:
        header = self._config.provider.inference_provider_header
        return response_headers.read_inference_provider(self._head.headers, header and header.lower())

    def redact(self, text: str) -> str:
        """Return a text without anything secret."""
        return self._config.redact(text)

    def _exchange(self) -> Exchange:
        return Exchange(self.deadlines, self, clock=time.monotonic, chance=random)

    @property
    def _context(self) -> CallContext:
        """What the dialect needs to know of the call."""
        config = self._config
        return CallContext(
            model=self.model,
            n=self._n,
            audit=config.audit,
            error_rules=config.provider.error_rules,
            hints=config.hints,
            find_secrets=config.find_secrets,
        )

    def _decode(self, head: ResponseHead, body: bytes) -> GenerateResponse:
        dialect = self._config.dialect
        try:
            response = dialect.response(head, body, self._context)
        except ModelsError:
            self._billed = dialect.usage(body)
            raise
        self._settle(response)
        return response

    def _decode_page(self, head: ResponseHead, body: bytes) -> ModelPage:
        page = self._config.dialect.model_page(head, body, self._context)
        self._config.usage.learn(page.models)
        return page

    def _settle(self, response: GenerateResponse) -> None:
        """Keep a whole answer, in the cache too if there is one."""
        self._response = self._stamp(response)
        if self._key is not None and self._config.cache is not None:
            store(self._config.cache, self._key, self._config.dialect, response)

    def _stamp(self, response: GenerateResponse) -> GenerateResponse:
        """Add what the headers say to an answer."""
        headers = self._head.headers
        response.request_id = response_headers.read_request_id(headers)
        response.inference_provider = self._inference_provider()
        response.rate_limits = self._rate_limits
        return response

    # The exchange's handler.

    def sending(self) -> None:
        """Note that an attempt begins."""
        self._head = _NO_HEAD
        _log.debug("%s %s: attempt %d", self.request.method, self.path, self.deadlines.attempts)

    def received(self, head: ResponseHead) -> None:
        """Note the head of a new response."""
        self._head = head
        self._rate_limits = response_headers.read_rate_limits(head.headers, head.received_at)
        if self._rate_limits is not None:
            self._config.usage.rate_limits = self._rate_limits

    def error(self, head: ResponseHead, body: bytes) -> ApiError:
        """Return the error that a response is whose status isn't a 2xx."""
        error = self._config.dialect.error(head, body, self._context)
        if 300 <= head.status <= 399 and (location := head.headers.get("location")):
            # auth-redirect-other-host: the key must not go to another host, so no redirect is followed
            error.hint = f"it points to {self.redact(location)}, where the key isn't sent: see base_url"
        elif head.status == 407:
            error.hint = PROXY_LOGIN
        return error

    def reader(self, head: ResponseHead) -> StreamReader:
        """Return what reads a streamed answer."""
        self._reader = self._config.dialect.stream(head, self._context)
        return self._reader

    def finished(self) -> None:
        """Note that the stream's reader has finished without an error."""
        if self._reader is not None:
            self._settle(self._reader.response)
        self._finished = True

    def failed(self, error: ModelsError) -> None:
        """Complete an error that ends the call."""
        _log.debug("attempt %d: %s; given up", self.deadlines.attempts, error.kind)
        config = self._config
        error.during(provider=config.provider.name, model=self.model, attempts=self.deadlines.attempts)
        if error.request_id is None and (id_ := response_headers.read_request_id(self._head.headers)):
            error.request_id = self.redact(id_)
        if error.partial is not None:
            self._stamp(error.partial)
            self._response = self._response or error.partial
        if isinstance(error, ResponseError | StreamError):
            error.message = self.redact(error.message)
            error.args = (error.message,)
            error.body = redact_bytes(error.body[:MAX_BODY], config.find_secrets())

    def retried(self, error: ModelsError, seconds: float) -> None:
        """Note that an attempt failed and that the next one begins in so many seconds."""
        _log.debug("attempt %d: %s; the next one in %.3f s", self.deadlines.attempts, error.kind, seconds)

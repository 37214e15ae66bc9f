"""Hold the state of one call of a driver: its request, and the driver's part in the exchange."""

from __future__ import annotations

import logging
import time
from random import random
from typing import TYPE_CHECKING, Self

from msgspec import structs

from botticelli.core.errors import ConnectionLostError, ModelsError, ResponseError, StreamError
from botticelli.core.response import GenerateResponse
from botticelli.dialects.dialect import CallContext
from botticelli.drivers.cache import look_up, store
from botticelli.drivers.config import names_files
from botticelli.protocol import response_headers
from botticelli.protocol.deadlines import Deadlines
from botticelli.protocol.error_body import MAX_BODY
from botticelli.protocol.exchange import Exchange
from botticelli.protocol.http import HttpRequest, ResponseHead
from botticelli.protocol.redaction import redact_bytes

if TYPE_CHECKING:
    import httpx

    from botticelli.core.errors import ApiError
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import RateLimits, Usage
    from botticelli.dialects.dialect import ModelPage, StreamReader
    from botticelli.drivers.config import DriverConfig
    from botticelli.protocol.exchange import Steps

__all__ = ["PROXY_LOGIN", "Call"]

_log = logging.getLogger("botticelli")

PROXY_LOGIN = "the proxy's user and password go into its URL: http://user:password@host:port"

_NO_HEAD = ResponseHead(status=0)


class Call:
    """One call; implements the exchange's `Handler`.

    It doesn't refer to the connection or the exchange, so that both are freed without the garbage collector.

    Attributes:
        request: The method, headers (without the key) and body.
        url: The URL, with the base URL's parameters.
        path: The URL's path, for logs.
        model: The requested model.
        deadlines: The attempts and limits.
        abandoned: Whether the caller, maybe in another thread, has given up the call.
    """

    __slots__ = (
        "_cache_key",
        "_config",
        "_counted",
        "_error_usage",
        "_finished",
        "_head",
        "_n",
        "_rate_limits",
        "_reader",
        "_request",
        "_response",
        "_wants_usage",
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
        usage: bool = False,
    ) -> None:
        """Prepare a call.

        Args:
            config: The driver's configuration.
            request: The encoded request, with the driver's own headers.
            url: The URL to send it to.
            model: The requested model; empty for none.
            streaming: Whether the response is streamed.
            key: The cache key; None to bypass the cache.
            n: The requested number of choices.
            usage: Whether the usage of a stream is asked for.
        """
        self._config = config
        self._cache_key = key
        self._n = n
        self._wants_usage = usage
        self._request: GenerateRequest | None = None
        self.request, self.url, self.model = request, url, model
        self.path = url.path
        self.deadlines = Deadlines(config.timeouts, config.policy, streaming=streaming)
        self.abandoned = False
        self._head = _NO_HEAD
        self._rate_limits: RateLimits | None = None
        self._response: GenerateResponse | None = None
        self._reader: StreamReader | None = None
        self._error_usage: Usage | None = None
        self._counted = self._finished = False

    @classmethod
    def chat(
        cls, config: DriverConfig, request: GenerateRequest, *, stream: bool, later: bool = False
    ) -> Self:
        """Encode a chat request and return the call.

        Args:
            config: The driver's configuration.
            request: The request.
            stream: Whether the response is streamed.
            later: Leave the encoding to `encode` if it reads files.

        Raises:
            RequestError: The format can't express the request.
        """
        if later and names_files(request):
            unread = HttpRequest(path="/")
            call = cls(config, unread, url=config.url(unread), model=config.model, streaming=stream)
            call._request = request
            return call
        encoded = config.encode(request, stream=stream)
        return cls(
            config,
            encoded,
            url=config.url(encoded),
            model=request.model or config.model,
            streaming=stream,
            key=config.cache_key(request),
            n=request.n or 1,
            usage=stream and request.stream_usage,
        )

    @property
    def reads_files(self) -> bool:
        """Whether `encode` has to be called first, and reads files."""
        return self._request is not None

    def encode(self) -> None:
        """Encode a request that was left for later.

        Raises:
            RequestError: The format can't carry the request.
        """
        if self._request is None:
            return
        made = type(self).chat(self._config, self._request, stream=self.deadlines.streaming)
        self.request, self.url, self.path, self.model = made.request, made.url, made.path, made.model
        self._cache_key, self._n, self._wants_usage = made._cache_key, made._n, made._wants_usage
        self._request = None

    @classmethod
    def listing(cls, config: DriverConfig, cursor: str | None = None) -> Self:
        """Return a call for a page of the model list."""
        encoded = config.encode_listing(cursor)
        return cls(config, encoded, url=config.url(encoded), model="")

    # Used by the driver.

    @property
    def n(self) -> int:
        """How many answers are asked for."""
        return self._n

    def cached(self) -> GenerateResponse | None:
        """Return the response from the cache, or None."""
        config = self._config
        if self._cache_key is None or config.cache is None:
            return None
        return look_up(
            config.cache, self._cache_key, config.dialect, n=self._n, audit=config.audit, limits=config.limits
        )

    def whole(self) -> Steps[GenerateResponse]:
        """Return the steps of a call that isn't streamed."""
        return self._exchange().whole(self._decode)

    def page(self) -> Steps[ModelPage]:
        """Return the steps of a call for a page of the model list."""
        return self._exchange().whole(self._decode_page)

    def stream(self) -> Steps[None]:
        """Return the steps of a streamed call."""
        return self._exchange().stream()

    @property
    def response(self) -> GenerateResponse:
        """The streamed response so far."""
        if self._reader is None:
            return GenerateResponse()
        response = self._reader.response
        return response if self._finished else self._add_headers(response)

    def count(self) -> None:
        """Add the finished or failed call to the driver's totals; only once.

        A call without any attempt isn't counted.
        """
        if self._counted or not self.deadlines.attempts:
            return
        self._counted = True
        # an incomplete stream is billed too, so count the usage that the server has sent so far
        answer = self._response
        if answer is None and self._reader is not None:
            answer = self._reader.response
        self._config.usage.count(
            attempts=self.deadlines.attempts,
            usage=(answer and answer.usage) or self._error_usage,
            answered=self._response is not None or self.deadlines.delivered,
            model=self.model,
            provider=self._inference_provider(),
        )

    def _inference_provider(self) -> str | None:
        header = self._config.provider.inference_provider_header
        return response_headers.read_inference_provider(self._head.headers, header and header.lower())

    def redact(self, text: str) -> str:
        """Return a text with the secrets removed."""
        return self._config.redact(text)

    def _exchange(self) -> Exchange:
        return Exchange(
            self.deadlines,
            self,
            clock=time.monotonic,
            chance=random,
            max_body_bytes=self._config.limits.max_body_bytes,
        )

    @property
    def _context(self) -> CallContext:
        """What the dialect needs to know about the call."""
        config = self._config
        return CallContext(
            model=self.model or None,
            n=self._n,
            usage=self._wants_usage,
            audit=config.audit,
            limits=config.limits,
            error_rules=config.provider.error_rules,
            hints=config.hints,
            find_secrets=config.find_secrets,
        )

    def _decode(self, head: ResponseHead, body: bytes, cut_short: bool) -> GenerateResponse:
        dialect = self._config.dialect
        context = self._context
        if cut_short:
            context = structs.replace(context, cut_short=True)
        try:
            response = dialect.response(head, body, context)
        except ModelsError:
            self._error_usage = dialect.usage(body)
            raise
        self._record(response)
        return response

    def _decode_page(self, head: ResponseHead, body: bytes, _cut_short: bool) -> ModelPage:
        page = self._config.dialect.model_page(head, body, self._context)
        self._config.usage.learn(page.models)
        return page

    def _record(self, response: GenerateResponse) -> None:
        """Record a complete response, and store it in the cache if there is one."""
        self._response = self._add_headers(response)
        if self._cache_key is not None and self._config.cache is not None:
            store(self._config.cache, self._cache_key, self._config.dialect, response)

    def _add_headers(self, response: GenerateResponse) -> GenerateResponse:
        """Add the data from the headers to a response."""
        headers = self._head.headers
        response.request_id = response_headers.read_request_id(headers)
        response.inference_provider = self._inference_provider()
        response.rate_limits = self._rate_limits
        return response

    # The methods of `Handler`.

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
        """Return the error for a response whose status isn't a 2xx."""
        error = self._config.dialect.error(head, body, self._context)
        if 300 <= head.status <= 399 and (location := head.headers.get("location")):
            # no redirect is followed, because the key mustn't go to another host (auth-redirect-other-host)
            error.hint = f"it points to {self.redact(location)}, where the key isn't sent: see base_url"
        elif head.status == 407:
            error.hint = PROXY_LOGIN
        return error

    def reader(self, head: ResponseHead) -> StreamReader:
        """Return the reader for a streamed response."""
        self._reader = self._config.dialect.stream(head, self._context)
        return self._reader

    def finished(self) -> None:
        """Note that the stream's reader has finished without an error."""
        if self._reader is not None:
            self._record(self._reader.response)
        self._finished = True

    def failed(self, error: ModelsError) -> None:
        """Complete an error that ends the call."""
        _log.debug("attempt %d: %s; given up", self.deadlines.attempts, error.kind)
        config = self._config
        error.during(
            provider=config.provider.name,
            model=self.model,
            attempts=self.deadlines.attempts,
            host=config.foreign_host,
        )
        if error.request_id is None and (id_ := response_headers.read_request_id(self._head.headers)):
            error.request_id = self.redact(id_)
        if error.partial is not None:
            self._add_headers(error.partial)
            self._response = self._response or error.partial
        if isinstance(error, ResponseError | StreamError | ConnectionLostError):
            error.message = self.redact(error.message)
            error.args = (error.message,)
            error.body = redact_bytes(error.body[:MAX_BODY], config.find_secrets())

    def retried(self, error: ModelsError, seconds: float) -> None:
        """Note that an attempt failed and that the next one begins after this many seconds."""
        _log.debug("attempt %d: %s; the next one in %.3f s", self.deadlines.attempts, error.kind, seconds)

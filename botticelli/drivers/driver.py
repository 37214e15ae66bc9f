"""The drivers' classes, sync and async, for any provider; a subclass names one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

from botticelli.core.errors import MalformedResponseError
from botticelli.drivers.call import Call
from botticelli.drivers.config import DriverConfig, Options
from botticelli.drivers.credentials import Secret, read_key
from botticelli.drivers.http_async import AsyncHttpClient
from botticelli.drivers.http_sync import HttpClient
from botticelli.drivers.provider import provider_of
from botticelli.drivers.stream import AsyncChatStream, ChatStream

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Unpack

    import httpx
    import httpx2

    from botticelli.core.driver import Capabilities
    from botticelli.core.models import Model, UsageTotals
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import GenerateResponse, RateLimits
    from botticelli.dialects.dialect import ModelPage
    from botticelli.drivers.provider import Provider

__all__ = ["MAX_PAGES", "AsyncChatDriver", "ChatDriver"]

MAX_PAGES = 1000
"""Pages of a model list that are asked for; a list that goes on is a `MalformedResponseError`."""


class _Driver:
    """What both drivers know."""

    provider: ClassVar[Provider]

    _config: DriverConfig

    @property
    def provider_name(self) -> str:
        """The provider, such as ``huggingface``."""
        return self.provider.name

    @property
    def model_name(self) -> str:
        """The model that a request without one of its own goes to."""
        return self._config.model

    @property
    def capabilities(self) -> Capabilities:
        """What the provider can carry; whether a given model can do it is another question."""
        return self.provider.capabilities

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the newest answer's headers said, or None."""
        return self._config.usage.rate_limits

    @property
    def usage(self) -> UsageTotals:
        """What this driver has used so far; answers from the cache are free."""
        return self._config.usage.usage

    def __repr__(self) -> str:
        # a traceback may show one whose making failed
        config: DriverConfig | None = getattr(self, "_config", None)
        return f"{type(self).__name__}({config.summary() if config else 'not made'})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied: it has a key and connections")

    def _model_list(self) -> Generator[Call, ModelPage, list[Model]]:
        """Yield the call for each page, take the page, and return all models.

        A page without a new model is the last one: the server doesn't know the cursor, and sends the same
        page again.
        """
        models: list[Model] = []
        names: set[str] = set()
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = yield Call.listing(self._config, cursor)
            new = page.models if cursor is None else [one for one in page.models if one.id not in names]
            models += new
            names |= {one.id for one in new}
            cursor = page.cursor
            if cursor is None or not new:
                return models
        raise MalformedResponseError(
            f"the model list has no end: there is more after {MAX_PAGES} pages with {len(models)} models",
            path="$",
            hint="ask for a model by its name; the list isn't needed for that",
        )


class ChatDriver(_Driver):
    """A driver for any provider; a subclass names the provider.

    Safe to share between threads. `close` it, or use it as a context manager. A forked process leaves the
    connections to its parent and makes its own.

    Args:
        model: The model that a request without one of its own goes to.
        api_key: The key; None looks in the environment, then in ``.env``.
        http_client: A client of your own, of httpx or httpx2, which you close yourself; its timeouts don't
            apply. One that speaks HTTP/2 doesn't tell the server that a stream was left, which goes on
            generating, and logs your own credential headers at DEBUG: httpcore sends no RST_STREAM, hpack
            logs them.
        base_url: Where the API begins; None for the environment's, else the provider's.
        timeout: Seconds for pool, first_byte and idle, or `Timeouts`.
        max_retries: How often a call is tried again.
        max_retry_after: The longest ``Retry-After`` that is waited for, in seconds.
        backoff: The first wait before a retry that no server asked for, in seconds; doubled each time.
        cache: Where answers are kept, by a hash of all that is asked but the key; `drivers.cache` says
            which. One that fails costs a warning in the log, and a call.
        audit: Hold every event of a stream to the strict contract; see `GenerateResponse.deviations`.
        limits: How much an answer may hold; see `Limits`.
        bill_to: Who pays, where the provider bills others.
        headers: Sent with every request. None may change the framing or replace the key.
        catalog: Models whose prices are known, for `usage`; `models` adds what it finds.

    Raises:
        ConfigurationError: Something of this is missing or malformed, or the environment's proxy or TLS
            settings can't be used.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | Secret | None = None,
        http_client: httpx.Client | httpx2.Client | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._config = DriverConfig(
            provider_of(type(self)), model, api_key, http_client=http_client, **options
        )
        self._http = HttpClient(self._config, http_client)

    @classmethod
    def with_api_token(
        cls,
        token: str | None,
        model: str,
        *,
        http_client: httpx.Client | httpx2.Client | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A driver with this key and no other.

        Args:
            token: The key; None or empty sends none, for local servers.
            model: As above, and so are the rest.
            http_client: As above.
            **options: As above.

        Raises:
            ConfigurationError: As above.
        """
        return cls(model, api_key=read_key(token, "token"), http_client=http_client, **options)

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Args:
            request: What to ask.

        Returns:
            The answer, with at least one choice.

        Raises:
            RequestError: The format can't carry the request; nothing was sent.
            ModelsError: Something went wrong on the way; see its subclasses.
            ClosedError: The driver is closed.
            ConfigurationError: The user's client is closed, or of no use.
        """
        call = Call.chat(self._config, request, stream=False)
        cached = call.cached()
        if cached is not None:
            return cached
        try:
            return self._http.run(call, call.whole())
        finally:
            call.count()

    def generate_stream(self, request: GenerateRequest) -> ChatStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Args:
            request: What to ask.

        Raises:
            RequestError: The format can't carry the request.
        """
        return ChatStream(self._http, Call.chat(self._config, request, stream=True))

    def models(self) -> list[Model]:
        """What the server serves; its prices are used for `usage` from now on.

        Raises:
            ModelsError: Something went wrong on the way; see its subclasses.
            ClosedError: The driver is closed.
            ConfigurationError: The user's client is closed, or of no use.
        """
        pages = self._model_list()
        try:
            call = next(pages)
            while True:
                call = pages.send(self._http.run(call, call.page()))
        except StopIteration as end:
            models: list[Model] = end.value
            return models

    def close(self) -> None:
        """Let the connections go; harmless when repeated. Calls that wait in other threads fail at once."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class AsyncChatDriver(_Driver):
    """`ChatDriver` on asyncio and trio: the same options, the same answers.

    Safe to share between the tasks of one event loop, and without an `http_client` of your own usable in one
    loop after another, as several ``asyncio.run`` make them; two at the same time are refused by a
    `ConfigurationError`. `close` it, or use it as a context manager. A cache is read without `await`; the
    files that a request names are read in a thread.

    Args:
        model: The model that a request without one of its own goes to.
        api_key: The key; None looks in the environment, then in ``.env``.
        http_client: A client of your own, of httpx or httpx2, which you close yourself; its timeouts don't
            apply. Of HTTP/2, see `ChatDriver`.
        **options: As in `ChatDriver`.

    Raises:
        ConfigurationError: As in `ChatDriver`.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | Secret | None = None,
        http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._config = DriverConfig(
            provider_of(type(self)), model, api_key, http_client=http_client, **options
        )
        self._http = AsyncHttpClient(self._config, http_client)

    @classmethod
    def with_api_token(
        cls,
        token: str | None,
        model: str,
        *,
        http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """A driver with this key and no other.

        Args:
            token: The key; None or empty sends none, for local servers.
            model: As above, and so are the rest.
            http_client: As above.
            **options: As above.

        Raises:
            ConfigurationError: As above.
        """
        return cls(model, api_key=read_key(token, "token"), http_client=http_client, **options)

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Args:
            request: What to ask.

        Returns:
            The answer, with at least one choice.

        Raises:
            RequestError: The format can't carry the request; nothing was sent.
            ModelsError: Something went wrong on the way; see its subclasses.
            ClosedError: The driver is closed.
            ConfigurationError: The user's client is closed, or of no use.
        """
        call = Call.chat(self._config, request, stream=False, later=True)
        await self._http.encode(call)
        cached = call.cached()
        if cached is not None:
            return cached
        try:
            return await self._http.run(call, call.whole())
        finally:
            call.count()

    def generate_stream(self, request: GenerateRequest) -> AsyncChatStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Args:
            request: What to ask.

        Raises:
            RequestError: The format can't carry the request. If it names files, which are read off the event
                loop, this is raised when the stream is entered or iterated.
        """
        return AsyncChatStream(self._http, Call.chat(self._config, request, stream=True, later=True))

    async def models(self) -> list[Model]:
        """What the server serves; its prices are used for `usage` from now on.

        Raises:
            ModelsError: Something went wrong on the way; see its subclasses.
            ClosedError: The driver is closed.
            ConfigurationError: The user's client is closed, or of no use.
        """
        pages = self._model_list()
        try:
            call = next(pages)
            while True:
                call = pages.send(await self._http.run(call, call.page()))
        except StopIteration as end:
            models: list[Model] = end.value
            return models

    async def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()

"""The sync driver, for any provider of the OpenAI format. I/O is done by `courier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

from botticelli.drivers.config import Endpoint
from botticelli.drivers.http_sync import Courier
from botticelli.drivers.provider import provider_of
from botticelli.drivers.settings import Options, Secret, read_key
from botticelli.drivers.stream import ChatStream

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    import httpx

    from botticelli.core.driver import Capabilities
    from botticelli.core.models import Model, UsageTotals
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import GenerateResponse, RateLimits
    from botticelli.dialects.dialect import ModelPage
    from botticelli.drivers.provider import Provider
    from botticelli.drivers.task import Task

__all__ = ["MAX_PAGES", "ChatDriver"]

MAX_PAGES = 1000
"""Pages of a model list that are asked for; a server whose list never ends gives no more."""


class ChatDriver:
    """A driver for any provider of the OpenAI format; a subclass names the provider.

    Safe to share between threads. `close` it, or use it as a context manager.

    Args:
        model: The model that a request without one of its own goes to.
        api_key: The key; None looks in the environment, then in ``.env``.
        http_client: An httpx client of your own, which you close yourself; its timeouts don't apply. One
            that speaks HTTP/2 doesn't tell the server that a stream was left, which goes on generating,
            and logs your own credential headers at DEBUG: httpcore sends no RST_STREAM, hpack logs them.
        base_url: Where the API begins; None for the environment's, else the provider's.
        timeout: Seconds for pool, first_byte and idle, or `Timeouts`.
        max_retries: How often a call is tried again.
        max_retry_after: The longest ``Retry-After`` that is waited for, in seconds.
        backoff: The first wait before a retry that no server asked for, in seconds; doubled each time.
        cache: Where answers are kept, by a hash of all that is asked but the key; `drivers.cache` says
            which. One that fails costs a warning in the log, and a call.
        audit: Hold every event of a stream to the strict contract; see `GenerateResponse.deviations`.
        bill_to: Who pays, where the provider bills others.
        headers: Sent with every request. None may change the framing or replace the key.
        catalog: Models whose prices are known, for `usage`; `models` adds what it finds.

    Raises:
        ConfigurationError: Something of this is missing or malformed, or the environment's proxy or TLS
            settings can't be used.
    """

    provider: ClassVar[Provider]

    def __init__(
        self,
        model: str,
        *,
        api_key: str | Secret | None = None,
        http_client: httpx.Client | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._endpoint = Endpoint(provider_of(type(self)), model, api_key, http_client=http_client, **options)
        self._courier = Courier(self._endpoint, http_client)

    @classmethod
    def with_api_token(
        cls,
        token: str | None,
        model: str,
        *,
        http_client: httpx.Client | None = None,
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

    @property
    def provider_name(self) -> str:
        """The provider, such as ``huggingface``."""
        return self.provider.name

    @property
    def model_name(self) -> str:
        """The model that a request without one of its own goes to."""
        return self._endpoint.model

    @property
    def capabilities(self) -> Capabilities:
        """What the format carries; what a given model makes of it is the model's affair."""
        return self.provider.capabilities

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the newest answer's headers said, or None."""
        return self._endpoint.ledger.rate_limits

    @property
    def usage(self) -> UsageTotals:
        """What this driver has used so far; answers from the cache are free."""
        return self._endpoint.ledger.usage

    def generate(self, request: GenerateRequest) -> GenerateResponse:
        """Ask, and wait for the whole answer.

        Args:
            request: What to ask.

        Returns:
            The answer, with at least one choice.

        Raises:
            RequestError: The format can't carry the request; nothing was sent.
            ModelsError: Something went wrong on the way; see its subclasses.
            ConfigurationError: The driver or its client is closed.
        """
        task = self._endpoint.chat(request, stream=False)
        kept = task.cached()
        if kept is not None:
            return kept
        try:
            return self._courier.run(task, lambda: task.answer(self._courier.fetch(task)))
        finally:
            task.count()

    def generate_stream(self, request: GenerateRequest) -> ChatStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Args:
            request: What to ask.

        Raises:
            RequestError: The format can't carry the request.
        """
        return ChatStream(self._courier, self._endpoint.chat(request, stream=True))

    def models(self) -> list[Model]:
        """What the server serves; its prices are used for `usage` from now on.

        Raises:
            ModelsError: Something went wrong on the way; see its subclasses.
            ConfigurationError: The driver or its client is closed.
        """
        models: list[Model] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = self._page(self._endpoint.listing(cursor))
            models += page.models
            cursor = page.cursor
            if cursor is None:
                break
        return models

    def _page(self, task: Task) -> ModelPage:
        return self._courier.run(task, lambda: task.models(self._courier.fetch(task)))

    def close(self) -> None:
        """Let the connections go; harmless when repeated. Calls that wait in other threads fail at once."""
        self._courier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.summary()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied: it has a key and connections")

"""The async driver, for asyncio and trio: `sync`, with `await`. I/O is done by `acourier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

from botticelli.drivers.achatstream import AsyncChatStream
from botticelli.drivers.config import Endpoint
from botticelli.drivers.driver import MAX_PAGES
from botticelli.drivers.http_async import AsyncCourier
from botticelli.drivers.provider import provider_of
from botticelli.drivers.settings import Options, Secret, read_key

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

__all__ = ["AsyncChatDriver"]


class AsyncChatDriver:
    """`ChatDriver` for asyncio and trio: the same options, the same answers.

    Safe to share between the tasks of one event loop. `close` it, or use it as a context manager. A cache
    and the files that a request names are read without `await`.

    Args:
        model: The model that a request without one of its own goes to.
        api_key: The key; None looks in the environment, then in ``.env``.
        http_client: An httpx client of your own, which you close yourself; its timeouts don't apply. Of
            HTTP/2, see `ChatDriver`.
        **options: As in `ChatDriver`.

    Raises:
        ConfigurationError: As in `ChatDriver`.
    """

    provider: ClassVar[Provider]

    def __init__(
        self,
        model: str,
        *,
        api_key: str | Secret | None = None,
        http_client: httpx.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._endpoint = Endpoint(provider_of(type(self)), model, api_key, http_client=http_client, **options)
        self._courier = AsyncCourier(self._endpoint, http_client)

    @classmethod
    def with_api_token(
        cls,
        token: str | None,
        model: str,
        *,
        http_client: httpx.AsyncClient | None = None,
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

    async def generate(self, request: GenerateRequest) -> GenerateResponse:
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

        async def attempt() -> GenerateResponse:
            return task.answer(await self._courier.fetch(task))

        try:
            return await self._courier.run(task, attempt)
        finally:
            task.count()

    def generate_stream(self, request: GenerateRequest) -> AsyncChatStream:
        """Ask, and take the answer as it comes. Nothing is sent before the stream is entered or iterated.

        Args:
            request: What to ask.

        Raises:
            RequestError: The format can't carry the request.
        """
        return AsyncChatStream(self._courier, self._endpoint.chat(request, stream=True))

    async def models(self) -> list[Model]:
        """What the server serves; its prices are used for `usage` from now on.

        Raises:
            ModelsError: Something went wrong on the way; see its subclasses.
            ConfigurationError: The driver or its client is closed.
        """
        models: list[Model] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._page(self._endpoint.listing(cursor))
            models += page.models
            cursor = page.cursor
            if cursor is None:
                break
        return models

    async def _page(self, task: Task) -> ModelPage:
        async def attempt() -> ModelPage:
            return task.models(await self._courier.fetch(task))

        return await self._courier.run(task, attempt)

    async def close(self) -> None:
        """Let the connections go; harmless when repeated."""
        await self._courier.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.summary()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied: it has a key and connections")

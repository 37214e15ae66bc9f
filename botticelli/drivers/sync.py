"""The sync driver and its streams, for any provider of the OpenAI format. I/O is done by `courier`."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING, ClassVar, NoReturn, Self

from botticelli.core.driver import Capabilities
from botticelli.core.errors import BotticelliError, ConfigurationError
from botticelli.core.response import GenerateResponse

from .courier import Courier, Incoming
from .endpoint import Endpoint
from .pieces import chunks_of
from .settings import Options, Secret, read_key
from .streaming import StreamAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Unpack

    import httpx

    from botticelli.core.catalog import Model, UsageTotals
    from botticelli.core.request import GenerateRequest
    from botticelli.core.response import RateLimits, StreamChunk

    from .provider import Provider
    from .task import Task

__all__ = ["ChatDriver", "ChatStream"]


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
        cache: Where answers are kept, by a hash of base URL and request; `drivers.cache` says which.
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
        self._endpoint = Endpoint(self.provider, model, api_key, http_client=http_client, **options)
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
        return Capabilities()

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
        task = self._endpoint.listing()
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


class ChatStream:
    """An answer that arrives in pieces: iterate it, inside ``with`` unless you read it to its end.

    Leaving the block closes the connection at once, in the middle of the answer too. One thread at a time
    reads it; any may close it.
    """

    def __init__(self, courier: Courier, task: Task) -> None:
        """A stream that hasn't begun; `ChatDriver.generate_stream` makes it."""
        self._courier = courier
        self._task = task
        self._incoming: Incoming | None = None
        self._answer: StreamAnswer | None = None
        self._kept: GenerateResponse | None = None
        self._problem: BotticelliError | None = None
        # no generator over `self`: in that cycle only the collector could free a forgotten stream, and
        # closing it from there takes the pool's lock, which the collecting thread may hold
        self._ready: deque[StreamChunk] = deque()
        self._begun = self._closed = self._over = False
        self._busy = threading.Lock()

    @property
    def response(self) -> GenerateResponse:
        """The answer as far as it has come; whole after the final chunk."""
        if self._answer is not None:
            return self._answer.response
        return self._kept or GenerateResponse()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamChunk:
        ready = self._ready
        while not ready:
            if self._over:
                raise StopIteration
            self._alone(self._advance)
        return ready.popleft()

    def __enter__(self) -> Self:
        self._alone(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; harmless when repeated.

        A thread that waits for the answer meanwhile wakes, with a `ConfigurationError` that says so.
        """
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._busy.release()
        else:
            # the connection is in use, maybe by this very thread, that a signal has interrupted: it is
            # broken here, and let go by who uses it
            self._courier.abandon(self._task)

    def _let_go(self) -> None:
        self._closed = True
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.close()
        self._task.count()

    def _alone(self, step: Callable[[], None]) -> None:
        """Do this while nobody else does anything with the connection."""
        try:
            with self._busy:
                step()
        finally:
            if self._closed and self._incoming is not None:
                # another thread has closed the stream, and left this to do
                self.close()

    def __del__(self) -> None:
        if getattr(self, "_incoming", None) is not None:
            # not closed here: that takes the pool's lock, which this very thread may hold
            warnings.warn(
                f"unclosed {type(self).__name__}: use it inside with",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _begin(self) -> None:
        """Send the request and wait for the head of a good answer, or take the answer from the cache."""
        if self._problem is not None:
            raise self._problem
        self._check()
        if self._begun:
            return
        self._begun = True
        task, courier = self._task, self._courier
        try:
            self._kept = task.cached()
            if self._kept is None:
                self._incoming, self._answer = courier.run(task, self._attempt)
            self._check()
        except BaseException as error:
            if (told := self._failed(error)) is not error:
                raise told from None
            raise

    def _check(self) -> None:
        if self._closed:
            raise _closed()

    def _failed(self, error: BaseException) -> BaseException:
        """The stream is over; what its reader is to be told."""
        if self._closed and isinstance(error, Exception):
            error = _closed()  # by another thread; what came of it doesn't matter
        if isinstance(error, BotticelliError):
            self._problem = error
        self._let_go()
        return error

    def _attempt(self) -> tuple[Incoming, StreamAnswer]:
        incoming = self._courier.open(self._task)
        try:
            return incoming, StreamAnswer(self._task)
        except BaseException:
            incoming.close()
            raise

    def _advance(self) -> None:
        """Read until something is ready or all is over."""
        self._begin()
        if self._kept is not None:
            self._ready.extend(chunks_of(self._kept))
            self._over = True
            self._let_go()
            return
        answer, incoming = self._answer, self._incoming
        if answer is None or incoming is None:
            raise _closed()
        try:
            if not answer.ended:
                piece = incoming.next(self._task)
                self._check()
                if piece is not None:
                    self._ready.extend(answer.feed(piece))
                    return
            else:
                incoming.linger(self._task)
            self._ready.extend(answer.finish())
            self._over = True
        except BaseException as error:
            if isinstance(error, BotticelliError):
                answer.failed(error)
            if (told := self._failed(error)) is not error:
                raise told from None
            raise
        self._let_go()


def _closed() -> ConfigurationError:
    return ConfigurationError("the stream is closed", setting="stream", hint="ask again")

"""Hold every error that Botticelli raises, and nothing else.

The tree; the word in brackets is `kind`, the stable name that cases, reports and other languages use::

    BotticelliError
    ├── ConfigurationError [configuration]      a setting is missing or malformed: before any network
    ├── RequestError [request]                  the format can't carry the request: before any network
    ├── ClosedError [closed]                    the driver or the stream is closed: before any network
    └── ModelsError                             something went wrong between us and a model
        ├── TransportError                      the connection failed
        │   ├── ConnectError [connect]          no connection was made
        │   ├── CallTimeoutError [timeout]      a limit was passed: phase, seconds
        │   └── ConnectionLostError [connection_lost]
        ├── ApiError [api]                      the status isn't 2xx
        │   ├── AuthenticationError [authentication]
        │   ├── PermissionDeniedError [permission_denied]
        │   ├── ModelNotFoundError [model_not_found]
        │   ├── NotChatModelError [not_chat_model]
        │   ├── NotFoundError [not_found]
        │   ├── RateLimitError [rate_limit]
        │   ├── CreditsExhaustedError [credits_exhausted]
        │   ├── ContextLengthError [context_length]
        │   ├── ContentFilteredError [content_filtered]
        │   ├── InvalidRequestError [invalid_request]
        │   ├── RequestTooLargeError [request_too_large]
        │   └── ServerError [server]
        ├── ResponseError                       a 2xx whose body breaks the format
        │   ├── MalformedResponseError [malformed_response]
        │   └── EmptyResponseError [empty_response]
        └── StreamError [stream_error]          an error inside a 2xx
            └── StreamTruncatedError [stream_truncated]

Classes without a word in brackets group others for ``except`` and aren't raised themselves.

Every error pickles, copies, prints as one line and carries its data as attributes. All of them have `status`,
`retry_after` and `partial`, which are None where they have no meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from botticelli.core.response import GenerateResponse, RateLimits

__all__ = [
    "KINDS",
    "ApiError",
    "AuthenticationError",
    "BotticelliError",
    "CallTimeoutError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLostError",
    "ContentFilteredError",
    "ContextLengthError",
    "CreditsExhaustedError",
    "EmptyResponseError",
    "InvalidRequestError",
    "MalformedResponseError",
    "ModelNotFoundError",
    "ModelsError",
    "NotChatModelError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RequestTooLargeError",
    "ResponseError",
    "ServerError",
    "StreamError",
    "StreamTruncatedError",
    "TransportError",
]


_SAFE_TO_QUOTE = (type(None), bool, int, float)


def _describe(value: object) -> str:
    """Return a value's text if it can be neither secret nor long, else what it is."""
    if type(value) not in _SAFE_TO_QUOTE:
        return f"a {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > 64:
        # Python refuses to write out an integer of more than 4,300 digits
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def _restore(cls: type[BotticelliError], message: str, state: dict[str, Any]) -> BotticelliError:
    """Make an error again from its pickle, without calling a constructor that takes other arguments."""
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class BotticelliError(Exception):
    """The root of the tree: ``except BotticelliError`` catches whatever this package raises.

    Attributes:
        kind: The stable word for this sort of error; a class attribute.
        message: What went wrong, in prose. For an error that the server sent: the server's own words.
        hint: What to do about it, or None.
        status: The HTTP status, or None where there was none.
        retry_after: How many seconds the server asks us to wait, or None.
        partial: The part of the answer that had arrived before the error, or None.
    """

    kind: ClassVar[str] = "error"

    message: str
    hint: str | None = None
    status: int | None = None
    retry_after: float | None = None
    partial: GenerateResponse | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    def _context(self) -> list[str]:
        """Return the facts that `__str__` puts in brackets behind the message."""
        return []

    def __str__(self) -> str:
        line = " ".join(self.message.split()) or self.kind.replace("_", " ")
        context = ", ".join(self._context())
        if context:
            line = f"{line} ({context})"
        if self.hint:
            line = f"{line.removesuffix('.')}; {self.hint}"
        return " ".join(line.split())  # the context may contain line breaks too: a path, an id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, self.__dict__)


class ConfigurationError(BotticelliError):
    """A setting is missing or malformed; raised before any network.

    Attributes:
        setting: The name of the parameter or the environment variable, or None.
        missing: Whether the setting is missing; False means that its value is wrong.
    """

    kind = "configuration"

    def __init__(
        self, message: str, *, setting: str | None = None, missing: bool = False, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.setting = setting
        self.missing = missing

    @classmethod
    def wrong(cls, setting: str, wanted: str, given: object, *, hint: str | None = None) -> Self:
        """Return the error for a value that a setting can't have.

        Args:
            setting: The setting as the user writes it, such as ``max_retries`` or ``timeout.pool``.
            wanted: What it takes, such as ``a whole number, 0 or more``.
            given: The value. The message quotes numbers; of anything else it names only the type, since the
                value may be secret or very large.
            hint: What to do about it.
        """
        return cls(f"{setting} must be {wanted}, not {_describe(given)}", setting=setting, hint=hint)


class RequestError(BotticelliError):
    """The format can't carry the request; raised before any network.

    Each format has a closed list of rules: the module ``rules`` of its folder in `botticelli.dialects`.

    Attributes:
        path: The JSON path of the offending part, such as ``$.messages[0].content[1]``.
        rule: The name of the rule that it breaks, such as ``number-range``.
    """

    kind = "request"

    def __init__(self, message: str, *, path: str, rule: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.rule = rule

    def _context(self) -> list[str]:
        return [f"at {self.path}"]


class ClosedError(BotticelliError):
    """The driver or the stream was closed before this call; raised before any network."""

    kind = "closed"


class ModelsError(BotticelliError):
    """Something went wrong between us and a model. Drivers raise only its subclasses.

    Attributes:
        provider: The name of the driver's provider, such as ``huggingface``; None until `during` sets it.
        model: The model that was asked for; None until `during` sets it, and where none was asked for.
        request_id: The server's id of the request, which its support will ask for, or None.
        host: The server's host and port, where the base URL isn't the provider's own; else None.
        attempts: How many requests this call began, including the first and those that never reached the
            server; 0 if the time for the whole call was over before the first.
        partial: The part of the answer that had arrived before the error, or None.
    """

    kind = "models"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        partial: GenerateResponse | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider: str | None = None
        self.model: str | None = None
        self.host: str | None = None
        self.request_id = request_id
        self.attempts = 1
        if partial is not None:
            self.partial = partial

    def during(self, *, provider: str, model: str, attempts: int, host: str | None = None) -> Self:
        """Record the call in which the error happened, and return the error itself.

        Args:
            provider: The name of the driver's provider.
            model: The model that was asked for; empty if none was, as for the list of models.
            attempts: How many requests the call began.
            host: The server's host and port, where the base URL isn't the provider's own.
        """
        self.provider, self.model, self.attempts, self.host = provider, model or None, attempts, host
        return self

    def _context(self) -> list[str]:
        facts: list[str] = []
        if self.provider:
            facts.append(self.host or self.provider)
        if self.model:
            facts.append(f"model {self.model}")
        if self.request_id:
            facts.append(f"request {self.request_id}")
        if self.attempts > 1:
            facts.append(f"after {self.attempts} attempts")
        return facts


class TransportError(ModelsError):
    """The connection failed. Only the subclasses are raised."""

    kind = "transport"


class ConnectError(TransportError):
    """No connection was made: name not found, refused, TLS handshake failed, proxy unreachable.

    Attributes:
        lasting: Whether trying again can't help, since a certificate is refused.
    """

    kind = "connect"
    lasting: bool = False


class CallTimeoutError(TransportError):
    """A phase of the call took longer than its limit.

    Attributes:
        phase: ``pool``, ``connect``, ``first_byte``, ``idle``, ``progress`` or ``total``, as in
            `botticelli.Timeouts`.
        seconds: The limit that was passed, in seconds.
    """

    kind = "timeout"

    def __init__(
        self,
        phase: str,
        seconds: float,
        *,
        hint: str | None = None,
        partial: GenerateResponse | None = None,
    ) -> None:
        super().__init__(
            f"no answer in time: {phase} limit of {seconds:g} s passed", hint=hint, partial=partial
        )
        self.phase = phase
        self.seconds = seconds


class ConnectionLostError(TransportError):
    """The connection was lost before the answer was complete.

    Attributes:
        answered: Whether any byte of the answer had arrived; if none had, the request may be sent again.
        body: The first MiB of what had arrived of a whole answer's body, with the API key masked.
    """

    kind = "connection_lost"

    body: bytes = b""

    def __init__(
        self,
        message: str,
        *,
        answered: bool = False,
        partial: GenerateResponse | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, partial=partial, hint=hint)
        self.answered = answered


class ApiError(ModelsError):
    """The server answered with a status that isn't 2xx; this class itself: a status without a class below.

    The status decides the class, as the docstring of each class says. Declared rules of the format and of
    the provider may refine it by an exact code or a message pattern (see `botticelli.protocol.error_rules`).

    Attributes:
        status: The HTTP status.
        code: The code in the error body (an int or a str, as sent), or None.
        type: The type in the error body, or None.
        param: The request member that the error body names, or None.
        body: The first MiB of the answer's body, with the API key masked.
        retry_after: How many seconds the server asks us to wait, or None.
        should_retry: Whether the server says that a retry makes sense (``x-should-retry``), or None.
        rate_limits: The limits that the headers state, or None.
    """

    kind = "api"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | int | None = None,
        type: str | None = None,  # noqa: A002 -- the name of the member in error bodies
        param: str | None = None,
        body: bytes = b"",
        retry_after: float | None = None,
        should_retry: bool | None = None,
        rate_limits: RateLimits | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.body = body
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.rate_limits = rate_limits

    def _context(self) -> list[str]:
        facts = [str(self.status), *super()._context()]
        if self.retry_after is not None:
            facts.append(f"retry after {self.retry_after:g} s")
        return facts


class AuthenticationError(ApiError):
    """401: the request has no API key, or one that the server doesn't accept."""

    kind = "authentication"


class PermissionDeniedError(ApiError):
    """403: the server knows the API key but doesn't allow this request."""

    kind = "permission_denied"


class ModelNotFoundError(ApiError):
    """The server doesn't serve this model: a 404 that names it, or by a rule of the provider."""

    kind = "model_not_found"


class NotChatModelError(ApiError):
    """The model exists but can't chat, such as a base model or an embedding model; by rule."""

    kind = "not_chat_model"


class NotFoundError(ApiError):
    """404 that doesn't name the model: often a base URL that lacks its version, such as ``/v1``."""

    kind = "not_found"


class RateLimitError(ApiError):
    """429: too many requests or tokens; `retry_after` is when to try again, if the server says."""

    kind = "rate_limit"


class CreditsExhaustedError(ApiError):
    """402, or 429 with the code of a used-up quota: waiting doesn't help, paying does."""

    kind = "credits_exhausted"


class ContextLengthError(ApiError):
    """The messages and the answer together don't fit into the model's context; 400 or 413, by rule.

    Attributes:
        limit: How many tokens fit, where the server says so, or None.
        used: How many tokens were asked for by the server's count, of the messages or of messages and answer
            together, or None.
    """

    kind = "context_length"
    limit: int | None = None
    used: int | None = None


class ContentFilteredError(ApiError):
    """The prompt or the answer was blocked for what is in it; 400 or 403, by rule.

    An answer that a filter cut short is no error: its finish reason is ``content_filter``.
    """

    kind = "content_filtered"


class InvalidRequestError(ApiError):
    """400, 405, 409 (after retries) or 422: the server rejects the request as it is."""

    kind = "invalid_request"


class RequestTooLargeError(ApiError):
    """413: the request body is too large for the server or for a gateway in front of it."""

    kind = "request_too_large"


class ServerError(ApiError):
    """5xx or 408 (after retries): the server failed; trying again later may help."""

    kind = "server"


class ResponseError(ModelsError):
    """A 2xx answer breaks the format so far that it can't be read. Only the subclasses are raised.

    Attributes:
        status: The HTTP status of the answer.
        body: The first MiB of the answer's body, or of the offending event; with the API key masked.
    """

    kind = "response"

    def __init__(
        self,
        message: str,
        *,
        status: int = 200,
        body: bytes = b"",
        partial: GenerateResponse | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, partial=partial, request_id=request_id)
        self.status = status
        self.body = body


class MalformedResponseError(ResponseError):
    """A 2xx answer can't be read as the format.

    Attributes:
        path: The first place that breaks the format: a JSON path (``$.choices``), or ``byte 17``.
    """

    kind = "malformed_response"

    def __init__(
        self,
        message: str,
        *,
        path: str = "$",
        status: int = 200,
        body: bytes = b"",
        partial: GenerateResponse | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, status=status, body=body, partial=partial, request_id=request_id, hint=hint)
        self.path = path

    def _context(self) -> list[str]:
        return [f"at {self.path}", *super()._context()]


class EmptyResponseError(ResponseError):
    """A 2xx answer has no body, or holds no choice."""

    kind = "empty_response"


class StreamError(ModelsError):
    """The server sent an error inside a 2xx answer: an error event in a stream, or an error member in a body.

    Attributes:
        status: The HTTP status that the error names for itself, or None.
        code: The code in the error, or None.
        type: The type in the error, or None.
        param: The request member that the error names, or None.
        cause_kind: The `kind` that the error would have had as a status, or None where that is unclear.
        body: The first MiB of the offending event or body, with the API key masked.
    """

    kind = "stream_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | int | None = None,
        type: str | None = None,  # noqa: A002 -- the name of the member in error bodies
        param: str | None = None,
        cause_kind: str | None = None,
        body: bytes = b"",
        partial: GenerateResponse | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, partial=partial, request_id=request_id)
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.cause_kind = cause_kind
        self.body = body

    def _context(self) -> list[str]:
        facts = super()._context()
        if self.cause_kind:
            facts.insert(0, self.cause_kind.replace("_", " "))
        return facts


class StreamTruncatedError(StreamError):
    """A stream ended without the end that its format requires; `partial` holds what had arrived."""

    kind = "stream_truncated"


def _tree(cls: type[BotticelliError]) -> list[type[BotticelliError]]:
    """Return a class and everything below it, parents first."""
    return [cls, *(found for sub in cls.__subclasses__() for found in _tree(sub))]


_GROUPS = (BotticelliError, ModelsError, TransportError, ResponseError)

KINDS: dict[str, type[BotticelliError]] = {
    cls.kind: cls for cls in _tree(BotticelliError) if cls not in _GROUPS
}
"""The class of each kind that is raised."""

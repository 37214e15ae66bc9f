"""Every error Botticelli raises, and nothing else: no wire, no I/O, no other module of the package.

The tree (the word in brackets is `kind`, the stable name that cases, reports and other languages use)::

    BotticelliError
    ├── ConfigurationError [configuration]      key missing or malformed, bad base URL: before any network
    ├── RequestError [request]                  the request can't be expressed: before any network
    ├── ClosedError [closed]                    the driver or stream was closed before it was used
    └── ModelsError                             something went wrong between us and a model
        ├── TransportError
        │   ├── ConnectError [connect]          no connection was made
        │   ├── CallTimeoutError [timeout]      a phase ran out: phase, seconds
        │   └── ConnectionLostError [connection_lost]
        ├── ApiError [api]                      an answer whose status isn't 2xx
        │   ├── AuthenticationError [authentication]
        │   ├── PermissionDeniedError [permission_denied]
        │   ├── ModelNotFoundError [model_not_found]
        │   ├── NotChatModelError [not_chat_model]
        │   ├── NotFoundError [not_found]
        │   ├── RateLimitError [rate_limit]
        │   ├── CreditsExhaustedError [credits_exhausted]
        │   ├── ContextLengthError [context_length]
        │   ├── InvalidRequestError [invalid_request]
        │   ├── RequestTooLargeError [request_too_large]
        │   └── ServerError [server]
        ├── ResponseError                       a 2xx that breaks the format
        │   ├── MalformedResponseError [malformed_response]
        │   └── EmptyResponseError [empty_response]
        └── StreamError [stream_error]          an error that came inside a 200
            └── StreamTruncatedError [stream_truncated]

Every error pickles, copies, prints one line and carries its data as attributes. `status`, `retry_after`
and `partial` can be asked of all of them and are None where they have no meaning.
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


_QUOTED = (type(None), bool, int, float)


def _shown(value: object) -> str:
    if type(value) not in _QUOTED:
        return f"a {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > 64:
        # Python itself refuses to write out some thousand digits
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def _restore(cls: type[BotticelliError], message: str, state: dict[str, Any]) -> BotticelliError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class BotticelliError(Exception):
    """The root: ``except BotticelliError`` catches whatever this package raises, and only that.

    Attributes:
        kind: The stable word for this sort of error; a class attribute.
        message: What went wrong, in prose. For an answer of the server: the server's own words.
        hint: What to do about it, or None.
        status: The HTTP status, or None where there was none.
        retry_after: Seconds the server asked us to wait, or None.
        partial: What had been delivered when it happened, or None.
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
        """The facts that stand in brackets behind the message."""
        return []

    def __str__(self) -> str:
        line = " ".join(self.message.split()) or self.kind.replace("_", " ")
        context = ", ".join(self._context())
        if context:
            line = f"{line} ({context})"
        if self.hint:
            line = f"{line.removesuffix('.')}; {self.hint}"
        return " ".join(line.split())  # a path or an id may hold a line break too

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, self.__dict__)


class ConfigurationError(BotticelliError):
    """A setting is missing or malformed; raised before any network.

    Attributes:
        setting: Which one: a parameter's or an environment variable's name.
        missing: Whether it isn't set at all.
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
        """The error for a value that a setting can't have.

        Args:
            setting: The setting, as the user writes it: ``max_retries``, ``timeout.pool``.
            wanted: What it takes, such as ``a whole number, 0 or more``.
            given: What it was given. Numbers are quoted, of anything else the type is named: it may be
                somebody's secret, or the size of a film.
            hint: What to do about it.
        """
        return cls(f"{setting} must be {wanted}, not {_shown(given)}", setting=setting, hint=hint)


class RequestError(BotticelliError):
    """A request that the format can't carry, by a closed list of rules; raised before any network.

    The rules are listed in `botticelli.dialects.openai.rules`.

    Attributes:
        path: Where in the request, such as ``$.messages[0].content[1]``.
        rule: The rule's name, such as ``number-range``.
    """

    kind = "request"

    def __init__(self, message: str, *, path: str, rule: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.rule = rule

    def _context(self) -> list[str]:
        return [f"at {self.path}"]


class ClosedError(BotticelliError):
    """The driver or stream is closed; raised before any network."""

    kind = "closed"


class ModelsError(BotticelliError):
    """Anything that goes wrong between us and a model.

    Attributes:
        provider: The driver's provider, such as ``huggingface``; None until a driver has filled it in.
        model: The model that was asked for.
        request_id: The server's id of the request, for its support desk.
        attempts: How many requests were begun for this call, the first one included and whether or not they
            reached the server; 0 if the call's time was over before.
        partial: The answer as far as it was delivered, or None.
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
        self.request_id = request_id
        self.attempts = 1
        if partial is not None:
            self.partial = partial

    def during(self, *, provider: str, model: str, attempts: int) -> Self:
        """Fill in which call this happened in, and return the error itself."""
        self.provider, self.model, self.attempts = provider, model, attempts
        return self

    def _context(self) -> list[str]:
        facts: list[str] = []
        if self.provider:
            facts.append(self.provider)
        if self.model:
            facts.append(f"model {self.model}")
        if self.request_id:
            facts.append(f"request {self.request_id}")
        if self.attempts > 1:
            facts.append(f"after {self.attempts} attempts")
        return facts


class TransportError(ModelsError):
    """The connection failed, not the server's answer. Only its subclasses are raised."""

    kind = "transport"


class ConnectError(TransportError):
    """No connection was made: name not found, refused, TLS handshake failed, proxy unreachable."""

    kind = "connect"


class CallTimeoutError(TransportError):
    """A phase of the call took longer than it may.

    Attributes:
        phase: ``pool``, ``connect``, ``first_byte``, ``idle``, ``progress`` or ``total``.
        seconds: The limit that was passed.
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
    """The connection was lost before a whole answer had come.

    Attributes:
        answered: Whether a byte of the answer had arrived; if not, the request may be sent again.
    """

    kind = "connection_lost"

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
    """An answer whose status isn't 2xx. The status decides the class; see the table in DESIGN.

    Attributes:
        status: The HTTP status.
        code: The server's own code (an int or a str, as sent), or None.
        type: The server's own type, or None.
        param: The request member that the server blames, or None.
        body: The answer's body (at most the first MiB), the token blanked out.
        retry_after: Seconds, or None.
        should_retry: What ``x-should-retry`` says, or None.
        rate_limits: What the headers say about the limits, or None.
    """

    kind = "api"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | int | None = None,
        type: str | None = None,  # noqa: A002 -- the format's own word
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
    """401: no token, or one the server doesn't know."""

    kind = "authentication"


class PermissionDeniedError(ApiError):
    """403: the token is known but may not do this."""

    kind = "permission_denied"


class ModelNotFoundError(ApiError):
    """The server doesn't serve this model: a 404 that names it, or what the provider's table says."""

    kind = "model_not_found"


class NotChatModelError(ApiError):
    """The model exists but doesn't chat: a base model, an embedding model."""

    kind = "not_chat_model"


class NotFoundError(ApiError):
    """Any other 404: usually a base URL that lacks its ``/v1``."""

    kind = "not_found"


class RateLimitError(ApiError):
    """429: too many requests or tokens; `retry_after` says when to come back, if the server said."""

    kind = "rate_limit"


class CreditsExhaustedError(ApiError):
    """402, or a 429 with a terminal quota code: waiting doesn't help, paying does."""

    kind = "credits_exhausted"


class ContextLengthError(ApiError):
    """The messages and the answer together are longer than the model can hold."""

    kind = "context_length"


class InvalidRequestError(ApiError):
    """400, 405, 409 (after retries) or 422: the server refuses the request as it is."""

    kind = "invalid_request"


class RequestTooLargeError(ApiError):
    """413: the request's body has too many bytes for the server or for a gateway before it."""

    kind = "request_too_large"


class ServerError(ApiError):
    """5xx, 529, or 408 (after retries): the server's fault; trying later may help."""

    kind = "server"


class ResponseError(ModelsError):
    """A 2xx that breaks the format beyond what can be mended. Only its subclasses are raised.

    Attributes:
        status: The HTTP status of the answer.
        body: The answer's body (at most the first MiB), or the offending event.
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
    """A 2xx that can't be read as the format.

    Attributes:
        path: Where it stops being the format: a JSON path (``$.choices``), or ``byte 17``.
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
    """A 2xx without a single choice."""

    kind = "empty_response"


class StreamError(ModelsError):
    """An error that came inside a 200: an error event in a stream, or an error member in a body.

    Attributes:
        status: What the server says it would have been as a status, or None.
        code: The server's own code, or None.
        type: The server's own type, or None.
        param: The request member that the server blames, or None.
        cause_kind: The `kind` the error would have had as a status, or None where it says too little.
        body: The offending event or body.
    """

    kind = "stream_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | int | None = None,
        type: str | None = None,  # noqa: A002 -- the format's own word
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
    """A stream that ended with neither a finish reason nor ``[DONE]``; `partial` has what came."""

    kind = "stream_truncated"


def _tree(cls: type[BotticelliError]) -> list[type[BotticelliError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in _tree(sub))]


_ABSTRACT = (BotticelliError, ModelsError, TransportError, ResponseError)

KINDS: dict[str, type[BotticelliError]] = {
    cls.kind: cls for cls in _tree(BotticelliError) if cls not in _ABSTRACT
}
"""Every kind that is raised, and its class."""

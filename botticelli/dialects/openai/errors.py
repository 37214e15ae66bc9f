"""The one mapping from an answer that failed to an error: (status, headers, body) in, `ApiError` out. Pure.

Whatever the bytes are, one error of the tree comes out and nothing is raised. The status decides its class;
the rows of `error_rules` may make it more precise. The server's own message survives, without keys.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, overload

from botticelli.core.errors import StreamError
from botticelli.protocol import error_body
from botticelli.protocol import response_headers as told
from botticelli.protocol.error_rules import (
    CLASSES,
    DEFAULT_HINTS,
    DEFAULT_RULES,
    WORDS,
    ErrorRule,
    hint_for,
    refine,
)
from botticelli.protocol.redaction import redact, redact_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.errors import ApiError
    from botticelli.core.response import GenerateResponse

__all__ = ["ErrorRule", "embedded_failure", "failure"]

_NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})

_KINDS: Final = {
    400: "invalid_request",
    401: "authentication",
    402: "credits_exhausted",
    403: "permission_denied",
    404: "not_found",
    405: "invalid_request",
    408: "server",
    409: "invalid_request",
    413: "request_too_large",
    422: "invalid_request",
    429: "rate_limit",
}


def failure(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    model: str | None = None,
    error_rules: tuple[ErrorRule, ...] = (),
    hints: Mapping[str, str] = _NO_HINTS,
    secrets: tuple[str, ...] = (),
) -> ApiError:
    """The error that an answer with this status is.

    Args:
        status: The HTTP status, not a 2xx.
        headers: The answer's headers, names in lower case.
        body: What was received of the body; the first MiB is read.
        now: When the answer came, in Unix seconds: dates in headers are relative to it.
        model: The model that was asked for: a 404 that names it is about the model, not the path.
        error_rules: The provider's rows, tried before the format's.
        hints: The provider's hints, likewise.
        secrets: The keys of the call, to be masked wherever the server repeats them.

    Returns:
        The error, not raised. Its message is the server's, of at most `error_body.MAX_MESSAGE` characters;
        without one, the status's own phrase.
    """
    body = body[: error_body.MAX_BODY]
    said = error_body.read(body, headers.get("content-type", ""))
    message = (
        _shown(said.message, secrets)
        or _shown(headers.get("x-error-message", ""), secrets)
        or _phrase(status)
    )
    code = said.code if said.code is not None else error_body.word(headers.get("x-error-code"))
    kind = _kind(status, code, said, message, model, error_rules) or "api"
    wait = told.retry_after(headers, now, limited=status == HTTPStatus.TOO_MANY_REQUESTS)
    error = CLASSES[kind](
        message,
        status=status,
        code=_masked(code, secrets),
        type=_masked(said.type, secrets),
        param=_masked(said.param, secrets),
        body=redact_bytes(body, secrets),
        retry_after=said.wait if wait is None else wait,
        should_retry=told.should_retry(headers),
        rate_limits=told.rate_limits(headers, now),
        request_id=_masked(told.request_id(headers), secrets),
        hint=hint_for(kind, status, hints, DEFAULT_HINTS),
    )
    error.model = model
    return error


def embedded_failure(
    body: bytes,
    *,
    model: str | None = None,
    error_rules: tuple[ErrorRule, ...] = (),
    hints: Mapping[str, str] = _NO_HINTS,
    secrets: tuple[str, ...] = (),
    partial: GenerateResponse | None = None,
    request_id: str | None = None,
) -> StreamError:
    """The error that a server put inside a 200: the whole body, or the data of one event, just as it came.

    Whether it is an error is the caller's to see: a member ``error`` that isn't empty, ``"object": "error"``,
    a choice with an ``error`` or with the finish reason ``error``, an event named ``error``.

    Args:
        body: The JSON (or text) that holds the error.
        model: The model that was asked for.
        error_rules: The provider's rows, tried before the format's.
        hints: The provider's hints, likewise.
        secrets: The keys of the call, to be masked.
        partial: What had been delivered before.
        request_id: The server's id of the request.

    Returns:
        The error, not raised. `cause_kind` is what the same table makes of the status that the server
        names inside, or else of its code and type; None where it gives neither.
    """
    body = body[: error_body.MAX_BODY]
    said = error_body.read(body)
    message = _shown(said.message, secrets) or "the server ended its answer with an error and no message"
    kind = _kind(said.status, said.code, said, message, model, error_rules)
    error = StreamError(
        message,
        status=said.status,
        code=_masked(said.code, secrets),
        type=_masked(said.type, secrets),
        param=_masked(said.param, secrets),
        cause_kind=kind,
        body=redact_bytes(body, secrets),
        partial=partial,
        request_id=request_id,
        hint=hint_for(kind, said.status, hints, DEFAULT_HINTS) if kind else None,
    )
    error.model = model
    error.retry_after = said.wait
    return error


def _kind(
    status: int | None,
    code: str | int | None,
    said: error_body.Said,
    message: str,
    model: str | None,
    error_rules: tuple[ErrorRule, ...],
) -> str | None:
    refined = refine((*error_rules, *DEFAULT_RULES), status, code, said.type, message)
    if refined:
        return refined
    if status is None:
        return WORDS.get(str(code)) or WORDS.get(str(said.type))
    if status == HTTPStatus.NOT_FOUND and (said.param == "model" or (model and _names(message, model))):
        return "model_not_found"
    return "server" if 500 <= status <= 599 else _KINDS.get(status, "api")


def _names(message: str, model: str) -> bool:
    """Whether the message speaks of the model, with or without its ``:provider``, and not of a path."""
    names = {model, model.partition(":")[0]} - {""}
    return any(re.search(rf"(?<![\w/.:-]){re.escape(name)}(?![\w/-]|\.\w)", message) for name in names)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"


def _shown(text: str, secrets: tuple[str, ...]) -> str:
    return error_body.clean(redact(text, secrets), error_body.MAX_MESSAGE)


@overload
def _masked(value: str | None, secrets: tuple[str, ...]) -> str | None: ...
@overload
def _masked(value: str | int | None, secrets: tuple[str, ...]) -> str | int | None: ...
def _masked(value: str | int | None, secrets: tuple[str, ...]) -> str | int | None:
    return redact(value, secrets) if isinstance(value, str) else value

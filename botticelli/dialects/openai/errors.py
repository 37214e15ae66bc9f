"""Turn the OpenAI format's errors into exceptions: read from top to bottom to see why an answer became which.

The status decides (`_STATUSES`); a rule may refine that (the provider's rules first, then `_RULES`). The kind
of an error inside a 200 that names no status comes from its code or type (`_KINDS_BY_CODE`). `_HINTS` say
what to do. `botticelli.protocol.error_rules` applies the tables; `botticelli.core.errors` has the class of
each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from botticelli.dialects.dialect import CallContext
from botticelli.protocol.error_rules import ErrorRule, ErrorTable, build_error, build_stream_error
from botticelli.protocol.known_errors import KNOWN_ERRORS
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botticelli.core.errors import ApiError, StreamError
    from botticelli.core.response import GenerateResponse
    from botticelli.protocol.http import ResponseHead

__all__ = [
    "FAILED",
    "OPENAI_ERRORS",
    "MakeStreamError",
    "error_from_response",
    "error_in_success",
    "is_error",
]

FAILED: Final = ("error", "network_error")
"""Finish reasons that mean an error: OpenRouter's and Mistral's, Zhipu's (promptfoo/promptfoo#9905)."""

_STATUSES: Final[Mapping[int, str]] = {
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
"""The kind of each status. Every 5xx is ``server``; a status that isn't here is ``api``; a 404 that names the
model that was asked for is ``model_not_found``."""

_REFUSED = frozenset({400, 404, 413, 422})

_RULES: Final[tuple[ErrorRule, ...]] = (
    *KNOWN_ERRORS,
    ErrorRule(
        kind="not_chat_model",
        statuses=_REFUSED,
        patterns=(
            # OpenAI, source: truefoundry/models#846
            r"\bThis is not a chat model\b",
            # Ollama, source: its server/routes.go
            r'^"[^"]*" does not support chat$',
        ),
    ),
    # LM Studio answers unknown paths with a 200 and an error member, which has no status to go by
    ErrorRule(kind="not_found", patterns=(r"^Unexpected endpoint or method\b",)),
)
"""Rules that hold whoever the provider: those of every format, then this one's."""

_KINDS_BY_CODE: Final[Mapping[str, str]] = {
    "invalid_request_error": "invalid_request",
    "BadRequestError": "invalid_request",
    "INVALID_ARGUMENT": "invalid_request",
    "validation": "invalid_request",
    "template_error": "invalid_request",
    "tool_error": "invalid_request",
    "authentication_error": "authentication",
    "invalid_api_key": "authentication",
    "UNAUTHENTICATED": "authentication",
    "permission_error": "permission_denied",
    "PERMISSION_DENIED": "permission_denied",
    "billing_error": "credits_exhausted",
    "insufficient_quota": "credits_exhausted",
    "content_filter": "content_filtered",
    "not_found_error": "not_found",
    "NotFoundError": "not_found",
    "NOT_FOUND": "not_found",
    "request_too_large": "request_too_large",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "too_many_requests_error": "rate_limit",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "overloaded": "rate_limit",
    "server_error": "server",
    "api_error": "server",
    "internal_server_error": "server",
    "InternalServerError": "server",
    "INTERNAL": "server",
    "UNAVAILABLE": "server",
    "overloaded_error": "server",
    "server_is_overloaded": "server",
    "unavailable_error": "server",
    "service_unavailable_error": "server",
    "timeout_error": "server",
    "generation": "server",
    "incomplete_generation": "server",
    "incomplete_generation_stream": "server",
}
"""What codes and types mean where no status says so: in an error inside a 200, the code before the type.

OpenAI's, Anthropic's, vLLM's, llama.cpp's, TGI's and Google's own words. Source: `fixtures/errors.json`.
"""

_HINTS: Final[Mapping[str, str]] = {
    "authentication": "check the API key",
    "permission_denied": "the key is known but may not do this: check its permissions",
    "model_not_found": "check the model's name; the server's model list tells what it serves",
    "not_chat_model": "choose a model that chats: an instruct or chat variant",
    "not_found": "check the base URL: most servers want it to end in /v1",
    "rate_limit": "wait before the next call, or make fewer at a time",
    "credits_exhausted": "add credits or raise the quota: waiting a little doesn't help",
    "context_length": "shorten the messages or lower max_tokens",
    "content_filtered": "the server won't have this content: change the messages",
    "invalid_request/405": "check the base URL: most servers want it to end in /v1",
    "request_too_large": "send less: fewer or shorter messages, smaller images",
    "server": "the fault is the server's; trying again later may help",
    "server/504": "a gateway gave up waiting; stream the answer, or lower max_tokens",
    "api/301": "the server has moved: set the base URL to its new address",
    "api/302": "the server has moved: set the base URL to its new address",
    "api/307": "the server has moved: set the base URL to its new address",
    "api/308": "the server has moved: set the base URL to its new address",
}
"""What to do about each kind, whoever the provider; see `find_hint` for the keys."""

OPENAI_ERRORS: Final = ErrorTable(statuses=_STATUSES, rules=_RULES, kinds=_KINDS_BY_CODE, hints=_HINTS)

_NO_CONTEXT: Final = CallContext()


def error_from_response(head: ResponseHead, body: bytes, context: CallContext = _NO_CONTEXT) -> ApiError:
    """Return the error for an answer whose status isn't a 2xx."""
    return build_error(
        head,
        body,
        OPENAI_ERRORS,
        model=context.model,
        error_rules=context.error_rules,
        hints=context.hints,
        secrets=context.secrets,
    )


def error_in_success(
    body: bytes, context: CallContext = _NO_CONTEXT, *, partial: GenerateResponse | None = None
) -> StreamError:
    """Return the error for a 2xx body, or the data of an event, of which `is_error` is true."""
    return build_stream_error(
        body,
        OPENAI_ERRORS,
        model=context.model,
        error_rules=context.error_rules,
        hints=context.hints,
        secrets=context.secrets,
        partial=partial,
    )


class MakeStreamError(Protocol):
    """Make an exception of an error inside a 200: `error_in_success`, bound to the call's context."""

    def __call__(self, body: bytes, /, *, partial: GenerateResponse | None = None) -> StreamError:
        """Return the error, not raised."""
        ...


_ANSWER_MEMBERS = {"choices", "data", "usage"}
_NO_ERROR: Final[tuple[object, ...]] = (None, 0, "0", "")


def is_error(value: Any) -> bool:
    """Return whether a JSON value that came with a 2xx is an error nonetheless.

    An ``error`` member that holds anything decides, wherever it stands. Servers send ``{}``, ``""`` and
    ``{"code": 0, "message": ""}`` to say that there is no error. Other members (``detail``, a ``message``
    that is text, and those of `_is_named_otherwise`) count only where there is no part of an answer beside
    them.
    """
    if is_array(value):
        return bool(value) and is_object(value[0]) and _holds_anything(value[0].get("error"))
    if not is_object(value):
        return False
    if _holds_anything(value.get("error")) or value.get("object") == "error":
        return True
    choices = value.get("choices")
    if is_array(choices) and any(map(_failed, choices)):
        return True
    if not value.get("choices") and not value.get("data") and _is_named_otherwise(value):
        return True
    if value.keys() & _ANSWER_MEMBERS:
        return False
    message = value.get("message")
    return (
        _holds_anything(value.get("errors"))
        or _holds_anything(value.get("detail"))
        or (bool(message) and isinstance(message, str))
    )


def _failed(choice: Any) -> bool:
    return is_object(choice) and (
        _holds_anything(choice.get("error")) or choice.get("finish_reason") in FAILED
    )


def _is_named_otherwise(value: dict[str, Any]) -> bool:
    """Return whether an object without choices is an error in words of its own.

    error-other-names: MiniMax's ``base_resp`` with a ``status_code`` that isn't 0, Qianfan's ``error_code``
    with ``error_msg``, others' ``error_type`` with ``error_message``.
    Source: langgenius/dify-official-plugins#2008, labring/aiproxy#321.
    """
    base = value.get("base_resp")
    if is_object(base) and base.get("status_code") not in _NO_ERROR:
        return True
    said = value.get("error_message") or value.get("error_msg")
    word = value.get("error_type") or value.get("error_code")
    return isinstance(said, str) and bool(said) and word not in _NO_ERROR


def _holds_anything(value: Any) -> bool:
    """Return whether a value, or a member of it, is neither empty nor zero."""
    return any(value.values()) if is_object(value) else bool(value)

"""Which exact codes, types and messages refine what a status means, and what to do about each kind: tables.

The status decides an error's class. A row of a table may refine it, and nothing else may: no free text is
guessed at. A provider adds rows and hints of its own; its rows are tried before the format's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from botticelli.core.errors import KINDS, ApiError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CLASSES", "DEFAULT_HINTS", "DEFAULT_RULES", "WORDS", "ErrorRule", "hint_for", "refine"]

CLASSES: Final[Mapping[str, type[ApiError]]] = {
    kind: cls for kind, cls in KINDS.items() if issubclass(cls, ApiError)
}
"""The kinds that an answer with an error status can have, and their classes."""


class ErrorRule(msgspec.Struct, frozen=True, kw_only=True):
    """One row: when every criterion that is given holds, the error is of this kind.

    Within a criterion any one value suffices. An error inside a 200 that names no status meets every
    `statuses`.

    Attributes:
        kind: One of `CLASSES`.
        statuses: The statuses it may come with; empty for any.
        codes: The server's code, exactly.
        types: The server's type, exactly.
        patterns: Regular expressions, case ignored, searched for in the message.

    Raises:
        ConfigurationError: If the kind is unknown, a pattern isn't one, or the row has nothing but
            statuses to go by.
    """

    kind: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str | int] = frozenset()
    types: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise ConfigurationError(f"no API error has the kind {self.kind!r}", setting="error_rules")
        if not (self.codes or self.types or self.patterns):
            raise ConfigurationError(
                f"the refinement to {self.kind!r} names neither code nor type nor message",
                setting="error_rules",
            )
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigurationError(
                    f"the pattern {pattern!r} can't be read: {error}", setting="error_rules"
                ) from None

    def matches(self, status: int | None, code: str | int | None, type_: str | None, message: str) -> bool:
        """Whether this row speaks of such an error."""
        return (
            (not self.statuses or status is None or status in self.statuses)
            and (not self.codes or code in self.codes)
            and (not self.types or type_ in self.types)
            and (not self.patterns or any(re.search(p, message, re.IGNORECASE) for p in self.patterns))
        )


def refine(
    rows: Iterable[ErrorRule], status: int | None, code: str | int | None, type_: str | None, message: str
) -> str | None:
    """The kind that the first fitting row gives, or None."""
    return next((row.kind for row in rows if row.matches(status, code, type_, message)), None)


def hint_for(kind: str, status: int | None, *tables: Mapping[str, str]) -> str | None:
    """What to do about an error, from the first table that knows.

    Args:
        kind: The error's kind.
        status: Its status, or None.
        tables: Keys are ``kind/status`` or ``kind``; in each table the more precise key wins.
    """
    for table in tables:
        found = table.get(f"{kind}/{status}") or table.get(kind)
        if found:
            return found
    return None


_REFUSED = frozenset({400, 404, 413, 422})

DEFAULT_RULES: Final[tuple[ErrorRule, ...]] = (
    # quotas that no waiting refills, source: learn.microsoft.com, Dev Proxy "openai-insufficient-quota"
    ErrorRule(
        kind="credits_exhausted",
        statuses=frozenset({429}),
        codes=frozenset(
            {
                "insufficient_quota",
                "credit_balance_exhausted",
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
            }
        ),
    ),
    ErrorRule(kind="credits_exhausted", statuses=frozenset({429}), types=frozenset({"insufficient_quota"})),
    ErrorRule(kind="context_length", statuses=_REFUSED, codes=frozenset({"context_length_exceeded"})),
    # llama.cpp, source: oobabooga/textgen#7257
    ErrorRule(kind="context_length", statuses=_REFUSED, types=frozenset({"exceed_context_size_error"})),
    ErrorRule(
        kind="context_length",
        statuses=_REFUSED,
        patterns=(
            # vLLM and OpenAI, source: llm-d/llm-d-inference-sim#596
            r"\bmaximum context length is \d+ tokens\b",
            # TGI, source: its router's validation of inputs
            r"\btokens \+ `max_new_tokens` must be <= \d+",
        ),
    ),
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
    ErrorRule(
        kind="model_not_found",
        statuses=_REFUSED,
        codes=frozenset({"model_not_found"}),
    ),
    # Novita, source: public client tests
    ErrorRule(kind="model_not_found", statuses=_REFUSED, types=frozenset({"MODEL_NOT_FOUND"})),
    # llama.cpp's router says so with a 400, source: ggml-org/llama.cpp#17968
    ErrorRule(kind="model_not_found", statuses=_REFUSED, patterns=(r"^model not found\.?$",)),
    # LM Studio answers unknown paths with a 200 and an error member, which has no status to go by
    ErrorRule(kind="not_found", patterns=(r"^Unexpected endpoint or method\b",)),
)
"""The rows that hold for the format, whoever the provider."""

DEFAULT_HINTS: Final[Mapping[str, str]] = {
    "authentication": "check the API key",
    "permission_denied": "the key is known but may not do this: check its permissions",
    "model_not_found": "check the model's name; the server's model list tells what it serves",
    "not_chat_model": "choose a model that chats: an instruct or chat variant",
    "not_found": "check the base URL: most servers want it to end in /v1",
    "rate_limit": "wait before the next call, or make fewer at a time",
    "credits_exhausted": "add credits or raise the quota: waiting a little doesn't help",
    "context_length": "shorten the messages or lower max_tokens",
    "invalid_request/405": "check the base URL: most servers want it to end in /v1",
    "request_too_large": "send less: fewer or shorter messages, smaller images",
    "server": "the fault is the server's; trying again later may help",
    "server/504": "a gateway gave up waiting; stream the answer, or lower max_tokens",
    "api/301": "the server has moved: set the base URL to its new address",
    "api/302": "the server has moved: set the base URL to its new address",
    "api/307": "the server has moved: set the base URL to its new address",
    "api/308": "the server has moved: set the base URL to its new address",
}
"""What to do about each kind, whoever the provider; see `hint_for` for the keys."""

WORDS: Final[Mapping[str, str]] = {
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

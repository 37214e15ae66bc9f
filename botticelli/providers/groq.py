"""Groq: the provider, what is special about it, and the two drivers.

Sources: https://console.groq.com/docs/errors and the client ``groq`` 1.7.0 for the variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.driver import AsyncChatDriver, ChatDriver
from botticelli.drivers.provider import Provider
from botticelli.protocol.error_rules import ErrorRule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GROQ", "GROQ_HINTS", "GROQ_RULES", "AsyncGroqDriver", "GroqDriver", "read_base_url"]

GROQ_RULES: Final[tuple[ErrorRule, ...]] = (
    # a speech model, source: Groq's answers for whisper-large-v3 and distil-whisper-large-v3-en
    ErrorRule(
        kind="not_chat_model", statuses=frozenset({400}), patterns=(r"\bdoes not support chat completions\b",)
    ),
    # a model whose terms the account hasn't accepted, source: Groq's answers for
    # playai-tts and mistral-saba-24b
    ErrorRule(kind="permission_denied", statuses=frozenset({400}), codes=frozenset({"model_terms_required"})),
    # the flex tier has no room at the moment, source: console.groq.com/docs/flex-processing
    ErrorRule(kind="server", statuses=frozenset({498}), codes=frozenset({"capacity_exceeded"})),
)
"""Tried before the format's own rows."""

GROQ_HINTS: Final[Mapping[str, str]] = {
    "authentication": "check GROQ_API_KEY: keys start with gsk_ and are made at https://console.groq.com/keys",
    "model_not_found": "check the model's name against `botticelli models --provider groq`",
    # tokens per minute count the prompt and max_tokens, source: zeeyado/koassistant#106
    "request_too_large": "send less or lower max_tokens: both count against the limit of tokens per minute",
    "server/498": "the flex tier is full: try again later, or ask for another service_tier",
    "not_found": "check the base URL: Groq's is https://api.groq.com/openai/v1",
}
"""Tried before the format's own hints."""


def read_base_url(value: str) -> str:
    """Return the base URL for a value of ``GROQ_BASE_URL``.

    Groq's own client takes a host there and adds ``/openai/v1`` itself, so it is added to a bare host.

    >>> read_base_url("https://api.groq.com")
    'https://api.groq.com/openai/v1'
    >>> read_base_url("http://127.0.0.1:8000/v1")
    'http://127.0.0.1:8000/v1'
    """
    value = value.strip()
    try:
        parts = urlsplit(value)
    except ValueError:
        return value  # the check of base URLs says what is wrong with it
    is_bare = parts.netloc and parts.path in ("", "/") and not parts.query and not parts.fragment
    return f"{value.rstrip('/')}/openai/v1" if is_bare else value


GROQ: Final = Provider(
    name="groq",
    base_url="https://api.groq.com/openai/v1",
    # max_tokens is deprecated there, source: the client groq 1.7.0
    dialect=OpenAIDialect(max_tokens_field="max_completion_tokens"),
    default_model="llama-3.1-8b-instant",
    key_env=("GROQ_API_KEY",),
    base_url_env="GROQ_BASE_URL",
    base_url_reader=read_base_url,
    key_prefix="gsk_",
    key_help="create a key at https://console.groq.com/keys",
    error_rules=GROQ_RULES,
    hints=GROQ_HINTS,
)
"""Groq's service."""


class GroqDriver(ChatDriver):
    """Models served by Groq.

    Example:
        >>> from botticelli import GenerateRequest, GroqDriver, Message
        >>> driver = GroqDriver("llama-3.1-8b-instant")  # doctest: +SKIP
        >>> driver.generate(GenerateRequest([Message.user("Hello!")])).text  # doctest: +SKIP
    """

    provider = GROQ


class AsyncGroqDriver(AsyncChatDriver):
    """The same for asyncio and trio; one driver belongs to one event loop."""

    provider = GROQ

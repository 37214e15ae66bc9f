"""OpenAI's own service: the provider, what is special about it, and the two drivers.

Sources: https://github.com/openai/openai-openapi and the client ``openai`` 3.57.0 for the variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.driver import AsyncChatDriver, ChatDriver
from botticelli.drivers.provider import Provider
from botticelli.protocol.error_rules import ErrorRule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPENAI", "OPENAI_HINTS", "OPENAI_RULES", "AsyncOpenAIDriver", "OpenAIDriver"]

OPENAI_RULES: Final[tuple[ErrorRule, ...]] = (
    # an account without a way to pay, source: BerriAI/litellm#2743, plandex-ai/plandex#257; the type came
    # without a code in 2023, source: Chanzhaoyu/chatgpt-web#1273
    ErrorRule(kind="credits_exhausted", statuses=frozenset({429}), types=frozenset({"billing_not_active"})),
)
"""Tried before the format's own rows, which come from OpenAI too."""

OPENAI_HINTS: Final[Mapping[str, str]] = {
    "authentication": "check OPENAI_API_KEY: keys are made at https://platform.openai.com/api-keys",
    "permission_denied": "check the key's project and permissions, and whether your country is supported",
    "credits_exhausted": "https://platform.openai.com/settings/organization/billing shows what is left",
    "model_not_found": "check the model's name against `botticelli models --provider openai`",
    "not_found": "check the base URL: OpenAI's is https://api.openai.com/v1",
}
"""Tried before the format's own hints."""

OPENAI: Final = Provider(
    name="openai",
    base_url="https://api.openai.com/v1",
    # its newest models refuse max_tokens, source: tailcallhq/forgecode#1081, microsoft/clarity-agent#59
    dialect=OpenAIDialect(max_tokens_field="max_completion_tokens"),
    default_model="gpt-4o-mini",
    key_env=("OPENAI_API_KEY",),
    base_url_env="OPENAI_BASE_URL",
    key_prefix="sk-",
    key_help="create a key at https://platform.openai.com/api-keys",
    headers_env={"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"},
    error_rules=OPENAI_RULES,
    hints=OPENAI_HINTS,
)
"""OpenAI's service."""


class OpenAIDriver(ChatDriver):
    """OpenAI's models, through its Chat Completions API.

    Example:
        >>> from botticelli import GenerateRequest, Message, OpenAIDriver
        >>> driver = OpenAIDriver("gpt-4o-mini")  # doctest: +SKIP
        >>> driver.generate(GenerateRequest([Message.user("Hello!")])).text  # doctest: +SKIP
    """

    provider = OPENAI


class AsyncOpenAIDriver(AsyncChatDriver):
    """The same for asyncio and trio; one driver belongs to one event loop."""

    provider = OPENAI

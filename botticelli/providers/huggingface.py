"""Define HuggingFace's router: the provider, the rules and hints for its errors, and the two drivers.

Source: https://huggingface.co/docs/inference-providers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botticelli.dialects.openai.dialect import OpenAIDialect
from botticelli.drivers.driver import AsyncChatDriver, ChatDriver
from botticelli.drivers.provider import Provider
from botticelli.protocol.error_rules import ErrorRule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HUGGINGFACE",
    "HUGGINGFACE_HINTS",
    "HUGGINGFACE_RULES",
    "AsyncHuggingFaceDriver",
    "HuggingFaceDriver",
]

_CLIENT_ERRORS = frozenset({400, 404, 422})

HUGGINGFACE_RULES: Final[tuple[ErrorRule, ...]] = (
    # the router uses one code for two errors (error-router-not-chat-model, error-router-no-provider);
    # source: huggingface/mlclaw, probe of June 2026
    ErrorRule(
        kind="not_chat_model",
        statuses=_CLIENT_ERRORS,
        codes=frozenset({"model_not_supported"}),
        patterns=(r"\bis not a chat model\b",),
    ),
    ErrorRule(
        kind="model_not_found",
        statuses=_CLIENT_ERRORS,
        codes=frozenset({"model_not_supported"}),
        patterns=(r"\bis not supported by any provider\b",),
    ),
    # a provider pinned with "model:provider" (error-router-pinned-provider); source:
    # huggingface/huggingface.js#2225
    ErrorRule(
        kind="model_not_found", statuses=_CLIENT_ERRORS, patterns=(r"^Model not supported by provider \S+$",)
    ),
    # hf-inference and its proxy, source: huggingface.js, recorded
    ErrorRule(
        kind="model_not_found",
        statuses=_CLIENT_ERRORS,
        patterns=(r"^Model \S+ does not exist\.?$", r"^Not Found: Model not found\.?$"),
    ),
    # TGI with a base model, which has no chat template (error-tgi-no-template); source: huggingface.js,
    # recorded
    ErrorRule(
        kind="not_chat_model",
        statuses=_CLIENT_ERRORS,
        types=frozenset({"template_error"}),
        patterns=(r"\btemplate not found\b",),
    ),
)
"""Rules for errors, tried before the format's own."""

HUGGINGFACE_HINTS: Final[Mapping[str, str]] = {
    "authentication": (
        "check HUGGINGFACE_API_KEY: HuggingFace tokens start with hf_ and are made at "
        "https://huggingface.co/settings/tokens"
    ),
    "permission_denied": (
        'give the token the fine-grained permission "Make calls to Inference Providers" at '
        "https://huggingface.co/settings/tokens"
    ),
    "model_not_found": "check the name (org/name or org/name:provider) against `botticelli models`",
    "not_chat_model": 'choose a model that chats, such as one with "Instruct" in its name',
    "not_found": "check the base URL: the router's is https://router.huggingface.co/v1",
    "rate_limit": "wait before the next call; without a token fewer are allowed",
    "credits_exhausted": "https://huggingface.co/settings/billing shows what is left of the credits",
}
"""Hints for errors, by kind, tried before the format's own."""


def login_token_path(environment: Mapping[str, str]) -> str:
    """Return the file in which ``hf auth login`` keeps the token, by the rules of huggingface_hub.

    Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{cache}/huggingface"
    return environment.get("HF_TOKEN_PATH") or f"{home}/token"


HUGGINGFACE: Final = Provider(
    name="huggingface",
    base_url="https://router.huggingface.co/v1",
    dialect=OpenAIDialect(),
    default_model="meta-llama/Llama-3.2-1B-Instruct",
    key_env=("HUGGINGFACE_API_KEY", "HF_TOKEN"),
    key_file=login_token_path,
    base_url_env="HUGGINGFACE_BASE_URL",
    key_prefix="hf_",
    key_help="create a token at https://huggingface.co/settings/tokens",
    bill_to_header="X-HF-Bill-To",
    inference_provider_header="x-inference-provider",
    error_rules=HUGGINGFACE_RULES,
    hints=HUGGINGFACE_HINTS,
)
"""HuggingFace's router."""


class HuggingFaceDriver(ChatDriver):
    """A driver for HuggingFace's models, through its router.

    A model's name may end with a provider or a policy: ``org/name:together``, ``org/name:fastest``.

    Example:
        >>> from botticelli import GenerateRequest, HuggingFaceDriver, Message
        >>> driver = HuggingFaceDriver("meta-llama/Llama-3.2-1B-Instruct")  # doctest: +SKIP
        >>> request = GenerateRequest(messages=[Message.user("Hello!")], max_tokens=100)
        >>> print(driver.generate(request).text)  # doctest: +SKIP

        Streamed:

        >>> with driver.generate_stream(request) as stream:  # doctest: +SKIP
        ...     for chunk in stream:
        ...         print(chunk.text, end="", flush=True)

        A local server:

        >>> driver = HuggingFaceDriver.with_api_token(None, "tiny", base_url="http://127.0.0.1:8000/v1")
    """

    provider = HUGGINGFACE


class AsyncHuggingFaceDriver(AsyncChatDriver):
    """The same driver for asyncio and trio. Use each driver in one event loop only.

    Example:
        >>> from botticelli import AsyncHuggingFaceDriver, GenerateRequest, Message
        >>> async def main() -> None:
        ...     request = GenerateRequest(messages=[Message.user("Hello!")])
        ...     async with AsyncHuggingFaceDriver("meta-llama/Llama-3.2-1B-Instruct") as driver:
        ...         async with driver.generate_stream(request) as stream:
        ...             async for chunk in stream:
        ...                 print(chunk.text, end="", flush=True)
    """

    provider = HUGGINGFACE

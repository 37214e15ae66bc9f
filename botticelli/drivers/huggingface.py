"""HuggingFace's router: one value, and the two drivers that use it. Nothing else may enter."""

from __future__ import annotations

from botticelli.drivers.aio import AsyncChatDriver
from botticelli.drivers.driver import ChatDriver
from botticelli.drivers.huggingface_errors import HUGGINGFACE_HINTS, HUGGINGFACE_RULES
from botticelli.drivers.provider import Provider

__all__ = ["HUGGINGFACE", "AsyncHuggingFaceDriver", "HuggingFaceDriver"]

HUGGINGFACE = Provider(
    name="huggingface",
    base_url="https://router.huggingface.co/v1",
    key_env=("HUGGINGFACE_API_KEY", "HF_TOKEN"),
    base_url_env="HUGGINGFACE_BASE_URL",
    key_prefix="hf_",
    key_help="create a token at https://huggingface.co/settings/tokens",
    bill_to_header="X-HF-Bill-To",
    error_rules=HUGGINGFACE_RULES,
    hints=HUGGINGFACE_HINTS,
)
"""The router, and what is peculiar about it. Source: https://huggingface.co/docs/inference-providers."""


class HuggingFaceDriver(ChatDriver):
    """HuggingFace's models, through its router.

    A model may name its provider or a policy: ``org/name:together``, ``org/name:fastest``.

    Example:
        >>> from botticelli import GenerateRequest, HuggingFaceDriver, Message
        >>> driver = HuggingFaceDriver("meta-llama/Llama-3.2-1B-Instruct")  # doctest: +SKIP
        >>> request = GenerateRequest(messages=[Message.user("Hello!")], max_tokens=100)
        >>> print(driver.generate(request).text)  # doctest: +SKIP

        As it comes:

        >>> with driver.generate_stream(request) as stream:  # doctest: +SKIP
        ...     for chunk in stream:
        ...         print(chunk.text, end="", flush=True)

        A local server:

        >>> driver = HuggingFaceDriver.with_api_token(None, "tiny", base_url="http://127.0.0.1:8000/v1")
    """

    provider = HUGGINGFACE


class AsyncHuggingFaceDriver(AsyncChatDriver):
    """The same for asyncio and trio; one driver belongs to one event loop.

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

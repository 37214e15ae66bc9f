"""Adapters for ``openai``, sync and async, used as its README does: raw chunks, raw finish reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.toolkit import (
    AsyncClientAdapter,
    ClientAdapter,
    error_of,
    http_timeout,
    import_client,
    split_body,
    version_of,
    whole_response,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["AsyncOpenAIAdapter", "OpenAIAdapter"]

_CAPABILITIES = frozenset(
    {
        *("generate", "stream", "models", "events", "raw_arguments"),
        *("tools", "n", "logprobs", "reasoning", "refusal", "structured_output", "vision", "audio", "files"),
        *("stream_usage", "extra", "retry", "headers", "code", "request_id", "cancel"),
        *("pool_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"),
    }
)


class _Common:
    def __init__(self) -> None:
        super().__init__()
        self._openai = import_client("openai", "openai")
        self.errors: tuple[type[BaseException], ...] = (self._openai.OpenAIError,)
        self.version = version_of("openai")

    def arguments(self, call: Document) -> Document:
        """Return what a client is made with; ``Timeout`` is httpx's, as openai passes it on."""
        options = call["options"]
        given = {"max_retries": options["max_retries"]} if "max_retries" in options else {}
        if "timeouts" in options:
            given["timeout"] = http_timeout(self._openai, call)
        return {
            "api_key": call["api_key"],
            "base_url": call["base_url"],
            "default_headers": options.get("headers"),
            **given,
        }

    def request(self, call: Document, *, stream: bool = False) -> Document:
        """Return the arguments of ``create``; what it has no argument for goes into ``extra_body``."""
        body, extra = split_body(call, stream=stream)
        return {**body, "extra_body": extra} if extra else body

    def response(self, answer: Any) -> Document:
        """Return the neutral response."""
        return {**whole_response(_as_dict(answer)), "request_id": getattr(answer, "_request_id", None)}

    def error(self, error: BaseException) -> Document:
        """Return one of openai's errors: by its class where it has no status."""
        return {
            **error_of(error, self._kind(error)),
            "code": getattr(error, "code", None),
            "request_id": getattr(error, "request_id", None),
        }

    def _kind(self, error: BaseException) -> str | None:
        openai = self._openai
        if isinstance(error, openai.APIResponseValidationError):
            return "malformed_response"
        if isinstance(error, openai.APIStatusError | openai.APIConnectionError):
            return None
        return "stream_error" if isinstance(error, openai.APIError) else "configuration"


def _as_dict(value: Any) -> Any:
    """Return an object of openai as JSON; some answers that it can't read are handed out as they came.

    Without warnings: openai doesn't check what it reads, and tells its users as little.
    """
    return value.to_dict(warnings=False) if hasattr(value, "to_dict") else value


class OpenAIAdapter(_Common, ClientAdapter):
    """Adapt ``openai.OpenAI``."""

    capabilities = _CAPABILITIES

    def connect(self, call: Document) -> Any:
        """Return a client."""
        return self._openai.OpenAI(**self.arguments(call))

    def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        return self.response(client.chat.completions.create(**self.request(call)))

    def stream(self, client: Any, call: Document) -> Generator[Document, None, None]:
        """Ask for a stream."""
        with client.chat.completions.create(**self.request(call, stream=True)) as stream:
            for chunk in stream:
                yield _as_dict(chunk)

    def models(self, client: Any) -> list[str]:
        """List the models."""
        return [model.id for model in client.models.list()]


class AsyncOpenAIAdapter(_Common, AsyncClientAdapter):
    """Adapt ``openai.AsyncOpenAI``."""

    capabilities = _CAPABILITIES | {"cancel_any_time"}

    def connect(self, call: Document) -> Any:
        """Return a client."""
        return self._openai.AsyncOpenAI(**self.arguments(call))

    async def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        return self.response(await client.chat.completions.create(**self.request(call)))

    async def stream(self, client: Any, call: Document) -> AsyncGenerator[Document, None]:
        """Ask for a stream."""
        async with await client.chat.completions.create(**self.request(call, stream=True)) as stream:
            async for chunk in stream:
                yield _as_dict(chunk)

    async def models(self, client: Any) -> list[str]:
        """List the models."""
        return [model.id async for model in client.models.list()]

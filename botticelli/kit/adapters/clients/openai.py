"""Adapters for ``openai``, sync and async, used as its README does: raw chunks, raw finish reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.toolkit import (
    AsyncClientAdapter,
    ClientAdapter,
    client_options,
    error_of,
    import_client,
    plain,
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
        """Return what a client is made with."""
        place = {"api_key": call["api_key"], "base_url": call["base_url"]}
        return {**place, **client_options(self._openai, call)}

    def request(self, call: Document, *, stream: bool = False) -> Document:
        """Return the arguments of ``create``; what it has no argument for goes into ``extra_body``."""
        body, extra = split_body(call, stream=stream)
        return {**body, "extra_body": extra} if extra else body

    def response(self, answer: Any) -> Document:
        """Return the neutral response."""
        return {**whole_response(plain(answer)), "request_id": getattr(answer, "_request_id", None)}

    def error(self, error: BaseException) -> Document:
        """Return one of openai's errors. What is no APIError is about how the client was made."""
        kind = None if isinstance(error, self._openai.APIError) else "configuration"
        return {
            **error_of(error, kind),
            "code": getattr(error, "code", None),
            "request_id": getattr(error, "request_id", None),
        }


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
                yield plain(chunk)

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
                yield plain(chunk)

    async def models(self, client: Any) -> list[str]:
        """List the models."""
        return [model.id async for model in client.models.list()]

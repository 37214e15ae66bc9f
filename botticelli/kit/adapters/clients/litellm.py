"""Adapter for ``litellm``, used as its README does: raw chunks, and the finish reasons that it makes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.toolkit import (
    ClientAdapter,
    chain_of,
    error_of,
    import_client,
    limits_of,
    plain,
    split_body,
    transport_kind,
    version_of,
    whole_response,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["LiteLLMAdapter"]


class LiteLLMAdapter(ClientAdapter):
    """Adapt ``litellm.completion``, which has no client object and no list of a server's models."""

    capabilities = frozenset(
        {
            *("generate", "stream", "events", "raw_arguments"),
            *("tools", "n", "logprobs", "reasoning", "structured_output", "vision", "audio", "files"),
            *("stream_usage", "extra", "retry", "headers", "cancel"),
            *("first_byte_timeout", "idle_timeout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        # Without it litellm loads a list of prices from the net when it is imported; the run is offline.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        self._litellm = import_client("litellm", "litellm")
        # Its documentation: all its exceptions inherit from those of openai.
        self._openai = import_client("openai", "openai")
        self.errors = (self._openai.OpenAIError,)
        self.version = version_of("litellm")

    def connect(self, call: Document) -> Any:
        """Return the arguments that are the same for all calls."""
        options = call["options"]
        given = {
            "api_base": call["base_url"],
            "api_key": call["api_key"],
            # Not num_retries, which tries anything again, and beside it what the client below tries again.
            "max_retries": options.get("max_retries"),
            "extra_headers": options.get("headers"),
            "timeout": limits_of(call).read,
        }
        return {name: value for name, value in given.items() if value is not None}

    def disconnect(self, client: Any) -> None:
        """Do nothing: litellm keeps its connections itself."""

    def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        return whole_response(plain(self._litellm.completion(**client, **_request(call))))

    def stream(self, client: Any, call: Document) -> Generator[Document, None, None]:
        """Ask for a stream."""
        stream = self._litellm.completion(**client, **_request(call, stream=True))
        try:
            for chunk in stream:
                yield plain(chunk)
        finally:
            stream.close()

    def error(self, error: BaseException) -> Document:
        """Return one of litellm's errors. Those of the connection have a status that no server sent.

        Its Timeout is also what becomes of a server's 408, which is openai's error for that status before.
        """
        lost = self._lost(error)
        about = self._about_content(error)
        found = error_of(error, lost or about)
        answered = any(isinstance(link, self._openai.APIStatusError) for link in chain_of(error))
        return {**found, "status": None} if lost and not answered else found

    def _about_content(self, error: BaseException) -> str | None:
        known = self._litellm.exceptions
        if isinstance(error, known.ContextWindowExceededError):
            return "context_length"
        return "content_filtered" if isinstance(error, known.ContentPolicyViolationError) else None

    def _lost(self, error: BaseException) -> str | None:
        known = self._litellm.exceptions
        if isinstance(error, known.Timeout):
            return "timeout"
        if isinstance(error, known.APIConnectionError):
            return transport_kind(error) or "connection_lost"
        if isinstance(error, known.MidStreamFallbackError):
            # It wraps an APIConnectionError whatever went wrong; below that is openai's error for an event
            # that holds one, which is of this very class.
            wrapped: BaseException | None = getattr(error, "original_exception", None)
            sent = type(getattr(wrapped, "__context__", None)) is self._openai.APIError
            return transport_kind(error) or ("stream_error" if sent else "stream_truncated")
        return None


def _request(call: Document, *, stream: bool = False) -> Document:
    body, extra = split_body(call, stream=stream)
    if "metadata" in body:  # litellm has metadata of its own, which isn't sent
        extra = {"metadata": body.pop("metadata"), **extra}
    return {**body, "model": f"openai/{call['model']}", **({"extra_body": extra} if extra else {})}

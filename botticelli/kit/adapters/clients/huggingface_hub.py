"""Adapter for ``huggingface_hub.InferenceClient``, as in its README: raw chunks, raw finish reasons."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import is_array, is_object
from botticelli.kit.adapters.toolkit import (
    ClientAdapter,
    error_of,
    import_client,
    limits_of,
    split_body,
    version_of,
    whole_response,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["HuggingFaceHubAdapter"]


class HuggingFaceHubAdapter(ClientAdapter):
    """Adapt ``InferenceClient``. It has one limit for everything, no retries, and no list of models."""

    capabilities = frozenset(
        {
            *("generate", "stream", "events", "raw_arguments"),
            *("tools", "n", "logprobs", "reasoning", "structured_output", "vision"),
            *("stream_usage", "extra", "headers", "cancel", "first_byte_timeout", "idle_timeout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._library = import_client("huggingface_hub", "huggingface_hub")
        # HfHubHTTPError and InferenceTimeoutError are HTTPErrors, as are those of the HTTP library.
        known = import_client("huggingface_hub.errors", "huggingface_hub")
        self.errors = (known.HTTPError,)
        self._stream_error = known.TextGenerationError
        self.version = version_of("huggingface_hub")

    def connect(self, call: Document) -> Any:
        """Return a client."""
        return self._library.InferenceClient(
            base_url=call["base_url"],
            api_key=call["api_key"],
            timeout=limits_of(call).read,
            headers=call["options"].get("headers"),
        )

    def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        return whole_response(_attributes(client.chat.completions.create(**_request(client, call))))

    def stream(self, client: Any, call: Document) -> Generator[Document, None, None]:
        """Ask for a stream. The client has no other way to leave one than to be closed."""
        try:
            for chunk in client.chat.completions.create(**_request(client, call, stream=True)):
                yield _attributes(chunk)
        finally:
            client.close()

    def error(self, error: BaseException) -> Document:
        """Return one of the errors; those inside of a stream have a class of their own."""
        return error_of(error, "stream_error" if isinstance(error, self._stream_error) else None)


def _attributes(value: Any) -> Any:
    """Return one of the client's objects as JSON: its attributes, with those that its class doesn't know.

    They are dicts as well, but those lack in the depth what the classes don't know.
    """
    if is_array(value):
        return [_attributes(item) for item in value]
    if is_object(value) and hasattr(value, "__dict__"):
        return {name: _attributes(item) for name, item in vars(value).items()}
    return value


def _request(client: Any, call: Document, *, stream: bool = False) -> Document:
    """Return the arguments of ``create``; what it has no argument for goes into ``extra_body``."""
    body, extra = split_body(call, stream=stream)
    known = inspect.signature(client.chat_completion).parameters
    unknown = {name: value for name, value in body.items() if name not in known}
    given = {name: value for name, value in body.items() if name in known}
    return {**given, "extra_body": {**unknown, **extra}} if unknown or extra else given

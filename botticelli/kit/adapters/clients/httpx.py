"""Adapter for bare ``httpx``: the control. It does what a few lines without a client's library do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botticelli.kit.adapters.toolkit import (
    ClientAdapter,
    body_of,
    http_timeout,
    import_client,
    version_of,
    whole_response,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["HttpxAdapter"]


class HttpxAdapter(ClientAdapter):
    """Adapt ``httpx.Client``, with the loop over lines that everybody writes."""

    capabilities = frozenset(
        {
            *("generate", "stream", "models", "events", "raw_arguments"),
            *(
                "tools",
                "n",
                "logprobs",
                "reasoning",
                "refusal",
                "structured_output",
                "vision",
                "audio",
                "files",
            ),
            *("stream_usage", "extra", "headers", "anonymous", "cancel"),
            *("pool_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._httpx = import_client("httpx", "httpx")
        self.errors = (self._httpx.HTTPError, self._httpx.InvalidURL)
        self.version = version_of("httpx")

    def connect(self, call: Document) -> Any:
        """Return a client."""
        options = call["options"]
        headers = dict(options.get("headers", {}))
        if call["api_key"] is not None:
            headers["Authorization"] = f"Bearer {call['api_key']}"
        limits = {"timeout": http_timeout(self._httpx, call)} if "timeouts" in options else {}
        return self._httpx.Client(base_url=call["base_url"], headers=headers, **limits)

    def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        answer = client.post("/chat/completions", json=body_of(call))
        answer.raise_for_status()
        return whole_response(answer.json())

    def stream(self, client: Any, call: Document) -> Generator[Document, None, None]:
        """Ask for a stream."""
        with client.stream("POST", "/chat/completions", json=body_of(call, stream=True)) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    data = line.removeprefix("data: ")
                    if data == "[DONE]":
                        return
                    yield json.loads(data)

    def models(self, client: Any) -> list[str]:
        """List the models."""
        answer = client.get("/models")
        answer.raise_for_status()
        return [model["id"] for model in answer.json()["data"]]

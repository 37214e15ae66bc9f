"""Adapter for ``langchain_openai.ChatOpenAI``, used as its README does.

Chunks are added up with ``+``, as LangChain's documentation does, so it claims ``assembles``.
"""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import as_object, is_object
from botticelli.kit.adapters.toolkit import (
    ClientAdapter,
    error_of,
    http_timeout,
    import_client,
    split_body,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["LangChainAdapter"]

_NAME = "langchain-openai"


class LangChainAdapter(ClientAdapter):
    """Adapt ``ChatOpenAI``. One call of ``invoke`` gives one message, so ``n`` isn't claimed."""

    capabilities = frozenset(
        {
            *("generate", "stream", "assembles"),
            *("tools", "logprobs", "refusal", "structured_output", "vision", "audio", "files"),
            *("stream_usage", "extra", "retry", "headers", "code", "cancel"),
            *("pool_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._library = import_client("langchain_openai", _NAME)
        self._openai = import_client("openai", "openai")
        core = import_client("langchain_core.exceptions", _NAME)
        # ChatOpenAI raises openai's exceptions; those of its own are both.
        self.errors = (self._openai.OpenAIError, core.LangChainException)
        self.version = version_of(_NAME)

    def connect(self, call: Document) -> Any:
        """Return a chat model."""
        options = call["options"]
        given = {
            "max_retries": options.get("max_retries"),
            "timeout": http_timeout(self._openai, call) if "timeouts" in options else None,
            "default_headers": options.get("headers"),
        }
        return self._library.ChatOpenAI(
            model=call["model"],
            api_key=call["api_key"],
            base_url=call["base_url"],
            **{name: value for name, value in given.items() if value is not None},
        )

    def disconnect(self, client: Any) -> None:
        """Do nothing: ChatOpenAI can't be closed."""

    def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        messages, settings = _request(call)
        return _response(client.invoke(messages, **settings))

    def stream(self, client: Any, call: Document) -> Generator[Any, None, None]:
        """Ask for a stream."""
        messages, settings = _request(call)
        usage = call["request"].get("stream_usage")
        yield from client.stream(messages, **settings, **({} if usage is None else {"stream_usage": usage}))

    def texts(self, chunk: Any) -> list[str]:
        """Return a chunk's text."""
        return [chunk.text] if chunk.text else []

    def streamed(self, chunks: list[Any]) -> Document:
        """Return the sum of the chunks."""
        found: Document = _response(reduce(add, chunks)) if chunks else {"choices": []}
        texts = [text for chunk in chunks for text in self.texts(chunk)]
        return {**found, "chunks": texts, "final_chunks": 1}

    def error(self, error: BaseException) -> Document:
        """Return one of the errors."""
        openai, kind = self._openai, None
        if type(error).__name__.endswith("ContextOverflowError"):
            kind = "context_length"
        elif isinstance(error, openai.APIError) and not isinstance(
            error, openai.APIStatusError | openai.APIConnectionError
        ):
            kind = "stream_error"
        return {**error_of(error, kind), "code": getattr(error, "code", None)}


def _request(call: Document) -> tuple[list[Document], Document]:
    """Return the messages, which may be those of the format, and the settings of a call."""
    body, extra = split_body(call)
    messages = body.pop("messages", [])
    del body["model"]
    if "metadata" in body:  # LangChain has metadata of its own, which isn't sent
        extra = {"metadata": body.pop("metadata"), **extra}
    return messages, {**body, **({"extra_body": extra} if extra else {})}


def _response(message: Any) -> Document:
    about = as_object(message.response_metadata)
    usage = message.usage_metadata
    return {
        "choices": [
            {
                "index": 0,
                "text": message.text,
                "refusal": message.additional_kwargs.get("refusal"),
                "finish_reason": None,
                "finish_reason_raw": about.get("finish_reason"),
                "tool_calls": _tool_calls(message),
                "logprobs": about.get("logprobs"),
            }
        ],
        "usage": usage
        and {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        },
        "id": about.get("id") or _sent_id(message.id),
        "model": about.get("model_name"),
    }


def _sent_id(own: str | None) -> str | None:
    """Return the id of a streamed message, which is the server's unless LangChain had to make one."""
    return None if own is None or own.startswith(("lc_", "run-")) else own


def _tool_calls(message: Any) -> list[Document]:
    """Return the calls: parsed ones as JSON again, and those that aren't JSON as they came."""
    pieces = {piece["id"]: piece["args"] for piece in getattr(message, "tool_call_chunks", ())}
    return [
        {
            "id": call["id"],
            "name": call["name"],
            "arguments": pieces.get(call["id"]) or _text(call["args"]),
        }
        for call in (*message.tool_calls, *message.invalid_tool_calls)
    ]


def _text(arguments: object) -> Any:
    is_parsed = is_object(arguments)
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":")) if is_parsed else arguments

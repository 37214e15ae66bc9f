"""Adapter for ``pydantic-ai``: its direct model requests, with ``OpenAIChatModel``.

It has messages, words for finish reasons, and answers of its own; a stream's parts it puts together itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botticelli.contracts.jsonvalue import as_object, as_objects
from botticelli.kit.adapters.toolkit import (
    AsyncClientAdapter,
    error_of,
    http_timeout,
    import_client,
    split_body,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from botticelli.contracts.jsonvalue import Document

__all__ = ["PydanticAIAdapter"]

_NAME = "pydantic-ai-slim[openai]"
_FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter", "tool_call": "tool_use"}
_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "parallel_tool_calls": "parallel_tool_calls",
    "stop": "stop_sequences",
    "logprobs": "openai_logprobs",
    "top_logprobs": "openai_top_logprobs",
    "tool_choice": "tool_choice",
}


class PydanticAIAdapter(AsyncClientAdapter):
    """Adapt ``pydantic_ai.direct``."""

    capabilities = frozenset(
        {
            *("generate", "stream", "assembles", "finish_words"),
            *("tools", "reasoning", "vision", "extra", "retry", "headers", "cancel", "cancel_any_time"),
            *("pool_timeout", "connect_timeout", "first_byte_timeout", "idle_timeout"),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self._ai = import_client("pydantic_ai", _NAME)
        self._direct = import_client("pydantic_ai.direct", _NAME)
        self._models = import_client("pydantic_ai.models.openai", _NAME)
        self._providers = import_client("pydantic_ai.providers.openai", _NAME)
        self._openai = import_client("openai", "openai")
        known = import_client("pydantic_ai.exceptions", _NAME)
        self.errors = (known.AgentRunError, known.UserError)
        self._user_error = known.UserError
        self.version = version_of("pydantic-ai-slim")

    def connect(self, call: Document) -> Any:
        """Return a model, and the client of openai that it uses."""
        options = call["options"]
        given = {
            "max_retries": options.get("max_retries"),
            "timeout": http_timeout(self._openai, call) if "timeouts" in options else None,
        }
        client = self._openai.AsyncOpenAI(
            api_key=call["api_key"],
            base_url=call["base_url"],
            **{name: value for name, value in given.items() if value is not None},
        )
        provider = self._providers.OpenAIProvider(openai_client=client)
        headers = options.get("headers")
        settings = {"extra_headers": headers} if headers else None
        return self._models.OpenAIChatModel(call["model"], provider=provider, settings=settings)

    async def disconnect(self, client: Any) -> None:
        """Close the client below the model."""
        await client.client.close()

    async def generate(self, client: Any, call: Document) -> Document:
        """Ask for a whole answer."""
        messages, settings = self.request(call)
        return _response(await self._direct.model_request(client, messages, **settings))

    async def stream(self, client: Any, call: Document) -> AsyncGenerator[Any, None]:
        """Ask for a stream; each event comes with the answer so far."""
        messages, settings = self.request(call)
        async with self._direct.model_request_stream(client, messages, **settings) as stream:
            async for event in stream:
                yield event, stream.get

    def texts(self, chunk: Any) -> list[str]:
        """Return the text that an event adds."""
        event, _ = chunk
        text: str = ""
        if event.event_kind == "part_start" and event.part.part_kind == "text":
            text = event.part.content
        elif event.event_kind == "part_delta" and event.delta.part_delta_kind == "text":
            text = event.delta.content_delta
        return [text] if text else []

    def streamed(self, chunks: list[Any]) -> Document:
        """Return the answer that the stream has put together."""
        found: Document = _response(chunks[-1][1]()) if chunks else {"choices": []}
        texts = [text for chunk in chunks for text in self.texts(chunk)]
        return {**found, "chunks": texts, "final_chunks": 1}

    def error(self, error: BaseException) -> Document:
        """Return one of the errors; those inside of a stream say so."""
        in_stream = "stream_error" if getattr(error, "in_stream", False) else None
        return error_of(error, "request" if isinstance(error, self._user_error) else in_stream)

    def request(self, call: Document) -> tuple[list[Any], Document]:
        """Return the messages and the other arguments of a request."""
        body, extra = split_body(call)
        settings = {_SETTINGS[name]: value for name, value in body.items() if name in _SETTINGS}
        if isinstance(settings.get("stop_sequences"), str):
            settings["stop_sequences"] = [settings["stop_sequences"]]
        if chosen := as_object(as_object(body.get("tool_choice")).get("function")):
            settings["tool_choice"] = [chosen["name"]]
        rest = {
            name: value
            for name, value in body.items()
            if name not in _SETTINGS and name not in ("messages", "model", "tools")
        }
        if rest or extra:
            settings["extra_body"] = {**rest, **extra}
        tools = [
            self._ai.ToolDefinition(
                name=tool["name"],
                description=tool.get("description"),
                strict=tool.get("strict"),
                **({"parameters_json_schema": tool["parameters"]} if "parameters" in tool else {}),
            )
            for tool in (as_object(given.get("function")) for given in as_objects(body.get("tools")))
        ]
        parameters = self._ai.models.ModelRequestParameters(function_tools=tools)
        return [self.message(message) for message in body.get("messages", [])], {
            "model_settings": settings,
            "model_request_parameters": parameters,
        }

    def message(self, message: Document) -> Any:
        """Return a message of the format as one of pydantic-ai's."""
        ai, content = self._ai, message.get("content")
        match message["role"]:
            case "system" | "developer":
                return ai.ModelRequest(parts=[ai.SystemPromptPart(_joined(content))])
            case "tool":
                part = ai.ToolReturnPart("", _joined(content), message["tool_call_id"])
                return ai.ModelRequest(parts=[part])
            case "assistant":
                calls = [
                    ai.ToolCallPart(call["function"]["name"], call["function"]["arguments"], call["id"])
                    for call in as_objects(message.get("tool_calls"))
                ]
                return ai.ModelResponse(parts=[*([ai.TextPart(_joined(content))] if content else []), *calls])
            case _:
                parts = content if isinstance(content, str) else [self.part(part) for part in content or ()]
                return ai.ModelRequest(parts=[ai.UserPromptPart(parts)])

    def part(self, part: Document) -> Any:
        """Return a part of a user's message."""
        if part["type"] == "image_url":
            image = part["image_url"]
            about = {"detail": image["detail"]} if "detail" in image else None
            return self._ai.ImageUrl(image["url"], vendor_metadata=about)
        return part["text"]


def _joined(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in as_objects(content))


def _response(answer: Any) -> Document:
    about = as_object(answer.provider_details)
    parts = answer.parts
    usage = answer.usage
    calls = [part for part in parts if part.part_kind == "tool-call"]
    return {
        "choices": [
            {
                "index": 0,
                "text": "".join(part.content for part in parts if part.part_kind == "text"),
                "reasoning": "".join(part.content for part in parts if part.part_kind == "thinking"),
                "finish_reason": _FINISH.get(answer.finish_reason, "other"),
                "finish_reason_raw": about.get("finish_reason"),
                "tool_calls": [
                    {
                        "id": part.tool_call_id,
                        "name": part.tool_name,
                        "arguments": part.args if isinstance(part.args, str) else part.args_as_json_str(),
                    }
                    for part in calls
                ],
            }
        ],
        # Its counts are never None; has_values tells those that were sent from those that weren't.
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        if usage.has_values()
        else None,
        "id": answer.provider_response_id,
        "model": answer.model_name,
    }

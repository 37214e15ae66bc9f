"""Adapters from our driver classes to the judge: neutral JSON in and out, as `contracts/kit` describes it.

Nothing of the judge is imported, and nothing is mended on the way. What a driver raises outside its own
tree passes through: the judge has to see it. A call that a `GenerateRequest` can't express is
``unsupported``.
"""

from __future__ import annotations

import json
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import msgspec

from botticelli.core.errors import BotticelliError, CallTimeoutError, ModelsError, StreamError
from botticelli.core.message import (
    Audio,
    Document,
    Image,
    MediaSource,
    Message,
    Other,
    Reasoning,
    Role,
    Text,
    ToolCall,
)
from botticelli.core.request import GenerateRequest, NamedTool, ResponseFormat, ToolDefinition
from botticelli.core.response import Citations, Refusal, ToolCalls
from botticelli.protocol.deadlines import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botticelli.core.message import Input
    from botticelli.core.response import Choice, GenerateResponse, Output, StreamChunk
    from botticelli.drivers.config import Options
    from botticelli.drivers.driver import AsyncChatDriver, ChatDriver

__all__ = ["CAPABILITIES", "AsyncChatAdapter", "ChatAdapter", "Inexpressible", "request_of"]

_Json = dict[str, Any]
_DriverT = TypeVar("_DriverT")

CAPABILITIES = frozenset(
    {
        *("generate", "stream", "models"),
        *("tools", "n", "logprobs", "reasoning", "refusal", "structured_output", "vision", "audio", "files"),
        *("stream_usage", "extra", "headers", "anonymous"),
        *("retry", "max_retry_after", "attempts", "code", "retry_after", "partial", "phase"),
        *("pool_timeout", "connect_timeout", "first_byte_timeout"),
        *("idle_timeout", "progress_timeout", "total_timeout"),
        *("assembles", "finish_words", "request_id", "provider"),
        *("cancel", "content", "deviations", "audit", "rate_limits", "raw_arguments"),
    }
)
"""What our drivers can do, in the words of `contracts/kit/case.schema.json`, which explains them."""


class Inexpressible(Exception):  # noqa: N818 -- not an error: an outcome
    """The call asks for something that a `GenerateRequest` can't express."""


def _maker(driver: Any, kind: str, library: str | None) -> Callable[..., tuple[Any, Any]]:
    """Return a function that makes a driver and its client: None, or one of the library that is named."""

    def make(key: str | None, model: str, **options: Any) -> tuple[Any, Any]:
        client = None if library is None else getattr(import_module(library), kind)(timeout=None)
        return driver.with_api_token(key, model, http_client=client, **options), client

    return make


class _Drivers(Generic[_DriverT]):
    """Makes one driver for all calls that share a base URL, a key, a model and options."""

    def __init__(self, make: Callable[..., tuple[_DriverT, Any]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], tuple[_DriverT, Any]] = {}

    def of(self, call: _Json) -> _DriverT:
        config = json.dumps([call["api_key"], call["model"], call["options"]], sort_keys=True)
        key = (call["base_url"], config)
        with self._lock:
            if key not in self._open:
                self._open[key] = self._make(call["api_key"], call["model"], **options_of(call))
            return self._open[key][0]

    def take(self, base_url: str | None = None) -> list[tuple[_DriverT, Any]]:
        """Return the drivers of one base URL, or all of them, with their clients, for the caller to close."""
        with self._lock:
            keys = [key for key in self._open if base_url in (None, key[0])]
            return [self._open.pop(key) for key in keys]


class ChatAdapter:
    """Lets the judge call one of our sync drivers. A sync stream can be left between chunks, not cancelled.

    Args:
        driver: The driver's class.
        library: ``httpx`` or ``httpx2``, to give each driver a client of that, as a user does; None lets the
            drivers make their own.
    """

    capabilities = CAPABILITIES

    def __init__(self, driver: type[ChatDriver], library: str | None = None) -> None:
        self._drivers: _Drivers[ChatDriver] = _Drivers(_maker(driver, "Client", library))

    def exchange(self, call: _Json) -> _Json:
        """Make the call and return its outcome."""
        try:
            if "seconds" in call.get("cancel_after", {}):
                return {"unsupported": "a sync call can't be cancelled"}
            return self._outcome(call)
        finally:
            if call["last"]:
                self._close(call["base_url"])

    def close(self) -> None:
        """Close the drivers that are left."""
        self._close()

    def _close(self, base_url: str | None = None) -> None:
        for driver, client in self._drivers.take(base_url):
            driver.close()
            if client is not None:  # the caller closes what the caller made
                client.close()

    def _outcome(self, call: _Json) -> _Json:
        chunks: list[StreamChunk] = []
        try:
            driver = self._drivers.of(call)
            if call["operation"] == "models":
                return {"models": [model.id for model in driver.models()]}
            request = request_of(call["request"])
            if call["operation"] == "generate":
                return {"response": response_of(driver.generate(request))}
            limit = call.get("cancel_after", {}).get("chunks")
            with driver.generate_stream(request) as stream:
                if limit == 0:
                    return _cancelled(chunks)
                for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) == limit:
                        return _cancelled(chunks)
                return {"response": response_of(stream.response, chunks)}
        except Inexpressible as reason:
            return {"unsupported": str(reason)}
        except BotticelliError as error:
            return {"error": error_of(error), "partial_chunks": _texts(chunks)}


class AsyncChatAdapter:
    """Lets the judge call one of our async drivers.

    Args:
        driver: The driver's class.
        library: As in `ChatAdapter`.
    """

    capabilities = CAPABILITIES | {"cancel_any_time"}

    def __init__(self, driver: type[AsyncChatDriver], library: str | None = None) -> None:
        self._drivers: _Drivers[AsyncChatDriver] = _Drivers(_maker(driver, "AsyncClient", library))

    async def exchange(self, call: _Json) -> _Json:
        """Make the call and return its outcome."""
        chunks: list[StreamChunk] = []
        try:
            with anyio.move_on_after(call.get("cancel_after", {}).get("seconds")):
                return await self._outcome(call, chunks)
            return _cancelled(chunks)
        finally:
            if call["last"]:
                await self._close(call["base_url"])

    async def close(self) -> None:
        """Close the drivers that are left."""
        await self._close()

    async def _close(self, base_url: str | None = None) -> None:
        with anyio.CancelScope(shield=True):
            for driver, client in self._drivers.take(base_url):
                await driver.close()
                if client is not None:  # the caller closes what the caller made
                    await client.aclose()

    async def _outcome(self, call: _Json, chunks: list[StreamChunk]) -> _Json:
        try:
            driver = self._drivers.of(call)
            if call["operation"] == "models":
                return {"models": [model.id for model in await driver.models()]}
            request = request_of(call["request"])
            if call["operation"] == "generate":
                return {"response": response_of(await driver.generate(request))}
            limit = call.get("cancel_after", {}).get("chunks")
            async with driver.generate_stream(request) as stream:
                if limit == 0:
                    return _cancelled(chunks)
                async for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) == limit:
                        return _cancelled(chunks)
                return {"response": response_of(stream.response, chunks)}
        except Inexpressible as reason:
            return {"unsupported": str(reason)}
        except BotticelliError as error:
            return {"error": error_of(error), "partial_chunks": _texts(chunks)}


def _cancelled(chunks: list[StreamChunk]) -> _Json:
    return {"cancelled": True, "partial_chunks": _texts(chunks)}


def _texts(chunks: list[StreamChunk]) -> list[str]:
    return [chunk.text for chunk in chunks if chunk.text]


def options_of(call: _Json) -> Options:
    """Return a driver's options from those of a call."""
    options = call["options"]
    found: Options = {"base_url": call["base_url"]}
    for name in ("max_retries", "backoff", "max_retry_after", "audit", "headers"):
        if name in options:
            found[name] = options[name]
    if "timeouts" in options:
        found["timeout"] = Timeouts(**options["timeouts"])
    return found


def request_of(body: _Json) -> GenerateRequest:
    """Return a request from a body of the published format; unknown members become `extra`.

    Raises:
        Inexpressible: A message holds something that `Message` can't express.
    """
    fields: _Json = {}
    extra: _Json = {}
    for name, given in body.items():
        value: Any = given
        is_text = isinstance(given, str)
        if name == "messages":
            fields[name] = [_message(message) for message in value]
        elif name == "extra":
            extra |= value
        elif name == "tools" and all(tool.get("type") == "function" for tool in value):
            fields[name] = [ToolDefinition(**tool["function"]) for tool in value]
        elif name == "tool_choice" and "function" in value:
            fields[name] = NamedTool(value["function"]["name"])
        elif name in ("tools", "tool_choice") and not is_text:
            extra[name] = value
        elif name == "response_format":
            fields[name] = ResponseFormat(type=value["type"], **value.get("json_schema", {}))
        elif name in GenerateRequest.__struct_fields__:
            fields[name] = value
        else:
            extra[name] = value
    return GenerateRequest(**fields, extra=extra)


def _message(message: _Json) -> Message:
    content = message.get("content")
    parts: list[_Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return Message(
        role=Role(message["role"]),
        content=[_part(part) for part in parts],
        name=message.get("name"),
        tool_call_id=message.get("tool_call_id"),
        tool_calls=[_tool_call(call) for call in message.get("tool_calls", ())],
        refusal=message.get("refusal"),
        reasoning=message.get("reasoning_content"),
        extra={name: value for name, value in message.items() if name not in _MESSAGE_MEMBERS},
    )


_MESSAGE_MEMBERS = frozenset(
    {"role", "content", "name", "tool_call_id", "tool_calls", "refusal", "reasoning_content"}
)
_PART_TYPES = frozenset({"text", "image_url", "input_audio", "file"})


def _part(part: _Json) -> Input:
    match part:
        case {"type": "text", "text": text}:
            return Text(text, {name: value for name, value in part.items() if name not in ("type", "text")})
        case {"type": "image_url", "image_url": image}:
            return Image(MediaSource.from_url(image["url"]), image.get("detail"))
        case {"type": "input_audio", "input_audio": audio}:
            source = MediaSource.from_base64(audio["data"], f"audio/{audio['format']}")
            return Audio(source, audio["format"])
        case {"type": "file", "file": {"file_data": data} as file}:
            media_type, _, encoded = str(data).removeprefix("data:").partition(";base64,")
            return Document(MediaSource.from_base64(encoded, media_type), file.get("filename"))
        case {"type": str(kind)} if kind not in _PART_TYPES:
            return Other(kind, part)
        case _:
            raise Inexpressible(f"there is no part for {part.get('type')!r} in {sorted(part)}")


def _tool_call(call: _Json) -> ToolCall:
    extra = {name: value for name, value in call.items() if name not in ("id", "type", "function", "custom")}
    if call.get("type") == "custom":
        inner = call["custom"]
        return ToolCall(call["id"], inner["name"], inner["input"], "custom", extra)
    inner = call["function"]
    return ToolCall(call["id"], inner["name"], inner["arguments"], extra=extra)


def response_of(
    response: GenerateResponse, chunks: Sequence[StreamChunk] | None = None, *, partial: bool = False
) -> _Json:
    """Return a response in neutral JSON; with `chunks`, the response of a stream."""
    usage = response.usage
    found: _Json = {
        "choices": [_choice(choice, partial=partial) for choice in response.choices],
        "usage": usage
        and {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
        "id": response.id or None,
        "model": response.model or None,
        "request_id": response.request_id,
        "inference_provider": response.inference_provider,
        "rate_limits": msgspec.to_builtins(response.rate_limits),
        "deviations": [deviation.code for deviation in response.deviations],
    }
    if chunks is not None:
        found["chunks"] = [chunk.text for chunk in chunks if chunk.text]
        found["final_chunks"] = sum(chunk.is_final for chunk in chunks)
    return found


def _choice(choice: Choice, *, partial: bool) -> _Json:
    unfinished = partial and choice.finish_reason_raw is None
    return {
        "index": choice.index,
        "text": choice.text,
        "reasoning": choice.reasoning,
        "refusal": choice.refusal,
        "finish_reason": None if unfinished else str(choice.finish_reason),
        "finish_reason_raw": choice.finish_reason_raw,
        "tool_calls": [
            {"id": call.id, "type": call.type, "name": call.name, "arguments": call.arguments_json}
            for call in choice.tool_calls
        ],
        "content": [_block(output) for output in choice.outputs],
        "logprobs": choice.logprobs,
    }


def _block(output: Output) -> _Json:
    """Return one block of the answer, with the type that `contracts/kit/outcome.schema.json` gives it."""
    match output:
        case Text(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "reasoning", "text": text}
        case Refusal(text):
            return {"type": "refusal", "text": text}
        case ToolCalls(calls):
            return {"type": "tool_calls", "count": len(calls)}
        case Audio():
            return {"type": "audio", "text": output.transcript}
        case Image():
            return {"type": "image", "count": 1}
        case Citations(items):
            return {"type": "citations", "count": len(items)}
        case Other():
            return {"type": "other"}


def error_of(error: BotticelliError) -> _Json:
    """Return an error in neutral JSON."""
    answered = error if isinstance(error, ModelsError) else None
    return {
        "kind": error.kind,
        "message": error.message,
        "status": error.status,
        "code": getattr(error, "code", None),
        "retry_after": error.retry_after,
        "phase": error.phase if isinstance(error, CallTimeoutError) else None,
        "cause_kind": error.cause_kind if isinstance(error, StreamError) else None,
        "partial": error.partial and response_of(error.partial, partial=True),
        "request_id": answered.request_id if answered else None,
        "attempts": answered.attempts if answered else 0,  # other errors are raised before any network
    }

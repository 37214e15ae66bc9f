"""Between our vocabulary and the judge's neutral JSON (`contracts/kit`): translation only, nothing mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from collections.abc import Sequence

    from botticelli.core.message import Input
    from botticelli.core.response import Choice, GenerateResponse, Output, StreamChunk
    from botticelli.drivers.settings import Options

__all__ = ["CAPABILITIES", "Inexpressible", "error_of", "options_of", "request_of", "response_of"]

_Json = dict[str, Any]

CAPABILITIES = frozenset(
    {
        *("generate", "stream", "models"),
        *("tools", "n", "logprobs", "reasoning", "refusal", "structured_output", "vision", "audio", "files"),
        *("stream_usage", "extra", "headers", "anonymous"),
        *("retry", "attempts", "timeouts", "total_timeout", "progress_timeout", "phase"),
        *("cancel", "content", "deviations", "audit", "rate_limits"),
    }
)
"""The words of `contracts/kit/case.schema.json`; what they mean is said there."""


class Inexpressible(Exception):  # noqa: N818 -- not an error: an outcome
    """The call asks for what a `GenerateRequest` has no word for."""


def options_of(call: _Json) -> Options:
    """A driver's options from a call's."""
    options = call["options"]
    found: Options = {"base_url": call["base_url"]}
    for name in ("max_retries", "backoff", "max_retry_after", "audit", "headers"):
        if name in options:
            found[name] = options[name]
    if "timeouts" in options:
        found["timeout"] = Timeouts(**options["timeouts"])
    return found


def request_of(body: _Json) -> GenerateRequest:
    """A request from the published body; members that `GenerateRequest` doesn't know become `extra`.

    Raises:
        Inexpressible: There is no word for something in a message.
    """
    fields: _Json = {}
    extra: _Json = {}
    for name, given in body.items():
        value: Any = given
        a_word = isinstance(given, str)
        if name == "messages":
            fields[name] = [_message(message) for message in value]
        elif name == "extra":
            extra |= value
        elif name == "tools" and all(tool.get("type") == "function" for tool in value):
            fields[name] = [ToolDefinition(**tool["function"]) for tool in value]
        elif name == "tool_choice" and "function" in value:
            fields[name] = NamedTool(value["function"]["name"])
        elif name in ("tools", "tool_choice") and not a_word:
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
        extra={name: value for name, value in message.items() if name not in _MEMBERS},
    )


_MEMBERS = frozenset(
    {"role", "content", "name", "tool_call_id", "tool_calls", "refusal", "reasoning_content"}
)


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
        case {"type": str(kind)} if kind not in _KNOWN:
            return Other(kind, part)
        case _:
            raise Inexpressible(f"there is no part for {part.get('type')!r} in {sorted(part)}")


_KNOWN = frozenset({"text", "image_url", "input_audio", "file"})


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
    """A neutral response; with `chunks`, that of a stream."""
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
    """Return one block of the answer, under its word in `contracts/kit/outcome.schema.json`."""
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
    """A neutral error."""
    models = error if isinstance(error, ModelsError) else None
    return {
        "kind": error.kind,
        "message": error.message,
        "status": error.status,
        "code": getattr(error, "code", None),
        "retry_after": error.retry_after,
        "phase": error.phase if isinstance(error, CallTimeoutError) else None,
        "cause_kind": error.cause_kind if isinstance(error, StreamError) else None,
        "partial": error.partial and response_of(error.partial, partial=True),
        "request_id": models.request_id if models else None,
        "attempts": models.attempts if models else 0,  # the others come before any network
    }

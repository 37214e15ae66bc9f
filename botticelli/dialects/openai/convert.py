"""Pieces of the wire -> pieces of the vocabulary, for whole answers and streams alike. No bytes, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from botticelli.core.message import Text, ToolCall
from botticelli.core.response import (
    AudioOutput,
    Choice,
    CompletionTokens,
    FinishReason,
    Output,
    PromptTokens,
    Reasoning,
    Refusal,
    ToolCalls,
    Usage,
)
from botticelli.protocol import lenient_json
from botticelli.protocol.deviations import Fault
from botticelli.protocol.lenient_json import is_array, is_object

if TYPE_CHECKING:
    from botticelli.dialects.openai import wire
    from botticelli.protocol.deviations import Notes

__all__ = [
    "as_text",
    "audio",
    "choice",
    "content_parts",
    "distinct",
    "finish_reason",
    "id_text",
    "reasoning_text",
    "tool_call",
    "usage",
    "whole",
]

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_USE,
    "function_call": FinishReason.TOOL_USE,
    "content_filter": FinishReason.CONTENT_FILTER,
    # Words seen in the wild: TGI, Together, Anthropic, Gemini, Mistral.
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_USE,
    "safety": FinishReason.CONTENT_FILTER,
}

_CALL_MEMBERS = frozenset({"index", "id", "type", "function", "custom"})


def finish_reason(word: Any) -> FinishReason:
    """The sense of a server's word for why it stopped; OTHER for a word nobody published, and for none."""
    return _FINISH.get(word.lower(), FinishReason.OTHER) if isinstance(word, str) else FinishReason.OTHER


def as_text(value: Any) -> str:
    """A text as it is, nothing for null, and the JSON text of anything else."""
    if isinstance(value, str):
        return value
    return "" if value is None else lenient_json.write(value)


def whole(value: Any) -> int | None:
    """A whole number as JSON Schema sees it, which counts 1.0 among them; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def id_text(value: Any) -> str:
    """An id as a text, whole numbers included; empty for anything else."""
    if isinstance(value, str):
        return value
    number = whole(value)
    return "" if number is None else str(number)


def tool_call(raw: dict[str, Any]) -> ToolCall:
    """A tool call in any observed shape; its id is empty where the server sent none."""
    word = raw.get("type")
    kind = word if isinstance(word, str) and word else "function"
    inner = raw.get("function")
    if is_object(raw.get("custom")) and (kind == "custom" or not is_object(inner)):
        inner, kind = raw["custom"], "custom"
    if is_object(inner):
        kind = "custom" if kind == "custom" else "function"
    else:
        inner = {}
    written = inner.get("input") if kind == "custom" else inner.get("arguments")
    return ToolCall(
        id=id_text(raw.get("id")),
        name=as_text(inner.get("name")),
        arguments_json=as_text(written),
        type=kind,
        extra={name: value for name, value in raw.items() if name not in _CALL_MEMBERS},
    )


def distinct(calls: list[ToolCall], choice_index: int, notes: Notes, path: str) -> list[ToolCall]:
    """The calls with ids that are there and differ, so that each call's result finds its way back."""
    taken = {call.id for call in calls}
    seen: set[str] = set()
    attempts: dict[str, int] = {}  # the next one by id: to start anew at each repeat would be quadratic
    result: list[ToolCall] = []
    for position, call in enumerate(calls):
        identity = call.id
        attempt = attempts.get(identity, 1) if identity else 1
        if identity and identity in seen:
            place = f"{path}.message.tool_calls[{position}].id"
            notes.add("tool-id-repeated", place, "$.choices[].message.tool_calls[].id")
        while not identity or identity in seen or (identity != call.id and identity in taken):
            suffix = f"-{attempt}" if attempt > 1 or call.id else ""
            identity = f"{call.id or f'call_{choice_index}_{position}'}{suffix}"
            attempt += 1
        seen.add(identity)
        attempts[call.id] = attempt
        result.append(call if identity == call.id else msgspec.structs.replace(call, id=identity))
    return result


def content_parts(parts: list[Any]) -> tuple[str, str]:
    """The text and the thinking of a content that came as a list of parts."""
    text: list[str] = []
    thinking: list[str] = []
    for part in parts:
        if not is_object(part):
            text.append(as_text(part))
        elif inner := part.get("thinking"):
            thinking.append(content_parts(inner)[0] if is_array(inner) else as_text(inner))
        else:
            text.append(as_text(part.get("text", part.get("refusal"))))
    return "".join(text), "".join(thinking)


def reasoning_text(*spellings: Any) -> str:
    """The thinking, in all of its spellings; the same text in two of them is one text."""
    return "".join(dict.fromkeys(text for text in spellings if isinstance(text, str)))


def audio(spoken: Any) -> AudioOutput | None:
    """Spoken output, or None where there is none."""
    if not is_object(spoken):
        return None
    return AudioOutput(
        id=as_text(spoken.get("id")),
        data=as_text(spoken.get("data")),
        transcript=as_text(spoken.get("transcript")),
        expires_at=whole(spoken.get("expires_at")),
    )


def choice(
    index: int,
    *,
    text: str,
    reasoning: str = "",
    refusal: str = "",
    spoken: AudioOutput | None = None,
    calls: list[ToolCall],
    finish: Any,
    logprobs: Any = None,
    annotations: Any = None,
    notes: Notes,
    path: str,
) -> Choice:
    """One answer, its parts in their fixed order."""
    outputs: list[Output] = []
    if reasoning:
        outputs.append(Reasoning(reasoning))
    if text:
        outputs.append(Text(text))
    if refusal:
        outputs.append(Refusal(refusal))
    if spoken is not None:
        outputs.append(spoken)
    if calls:
        outputs.append(ToolCalls(distinct(calls, index, notes, path)))
    elif finish == "tool_calls":
        place = f"{path}.message.tool_calls"
        if text or refusal or (spoken and (spoken.data or spoken.transcript)):
            notes.add("tool-calls-missing", place, "$.choices[].message.tool_calls")
        else:
            # Whoever runs the tools and asks again would be asking the same for ever.
            lost = Fault(place, "the finish reason is tool_calls, but there is neither call nor answer")
            notes.fault = notes.fault or lost
    return Choice(
        index=index,
        outputs=outputs,
        finish_reason=finish_reason(finish),
        finish_reason_raw=finish if finish != "" else None,
        logprobs=logprobs,
        annotations=annotations if is_array(annotations) else [],
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def usage(counted: wire.Usage) -> Usage:
    """What a call took."""
    prompt, completion = counted.prompt_tokens_details, counted.completion_tokens_details
    return Usage(
        prompt_tokens=_count(counted.prompt_tokens),
        completion_tokens=_count(counted.completion_tokens),
        total_tokens=_count(counted.total_tokens),
        prompt_details=PromptTokens(
            cached_tokens=_count(prompt.cached_tokens),
            audio_tokens=_count(prompt.audio_tokens),
            cache_write_tokens=_count(prompt.cache_write_tokens),
            text_tokens=_count(prompt.text_tokens),
            image_tokens=_count(prompt.image_tokens),
        )
        if prompt is not UNSET
        else None,
        completion_details=CompletionTokens(
            reasoning_tokens=_count(completion.reasoning_tokens),
            audio_tokens=_count(completion.audio_tokens),
            accepted_prediction_tokens=_count(completion.accepted_prediction_tokens),
            rejected_prediction_tokens=_count(completion.rejected_prediction_tokens),
            text_tokens=_count(completion.text_tokens),
        )
        if completion is not UNSET
        else None,
    )

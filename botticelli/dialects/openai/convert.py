"""Convert parts of an answer, whole or streamed, into the vocabulary of `botticelli.core`."""

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
from botticelli.protocol.lenient_json import as_id, as_text, as_whole_number, is_array, is_object

if TYPE_CHECKING:
    from botticelli.dialects.openai import wire
    from botticelli.protocol.deviations import DeviationLog

__all__ = [
    "build_choice",
    "encode_call",
    "join_reasoning",
    "make_ids_distinct",
    "split_content_parts",
    "to_audio",
    "to_finish_reason",
    "to_tool_call",
    "to_usage",
]

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_USE,
    "function_call": FinishReason.TOOL_USE,
    "content_filter": FinishReason.CONTENT_FILTER,
    # Unpublished reasons of TGI, Together, Anthropic, Gemini and Mistral (finish-native-stop,
    # finish-native-length, finish-tool-use, finish-safety); the deviation code is finish-reason-unknown
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_USE,
    # Gemini's, Zhipu's and Anthropic's words for what a filter or the model itself withheld
    **dict.fromkeys(
        (
            *("safety", "recitation", "prohibited_content", "blocklist", "spii", "model_armor"),
            *("image_safety", "image_prohibited_content", "image_recitation", "sensitive", "refusal"),
        ),
        FinishReason.CONTENT_FILTER,
    ),
}

_CALL_MEMBERS = frozenset({"index", "id", "type", "function", "custom"})


def to_finish_reason(word: Any) -> FinishReason:
    """Return what a server's finish reason means; OTHER for an unknown one, and for none."""
    if not isinstance(word, str):
        return FinishReason.OTHER
    # finish-content-filter-with-cause: gateways put the cause behind it, "content_filter: RECITATION"
    return _FINISH.get(word.lower().partition(":")[0].strip(), FinishReason.OTHER)


def to_tool_call(raw: dict[str, Any]) -> ToolCall:
    """Return a tool call in any observed shape; its id is empty where the server sent none."""
    word = raw.get("type")
    kind = word if isinstance(word, str) and word else "function"  # tool-type-missing-or-custom
    inner = raw.get("function")
    if is_object(raw.get("custom")) and (kind == "custom" or not is_object(inner)):
        inner, kind = raw["custom"], "custom"
    if is_object(inner):
        kind = "custom" if kind == "custom" else "function"
    else:
        inner = {}
    written = inner.get("input") if kind == "custom" else inner.get("arguments")
    return ToolCall(
        id=as_id(raw.get("id")),
        name=as_text(inner.get("name")),
        arguments_json=as_text(written),
        type=kind,
        extra={name: value for name, value in raw.items() if name not in _CALL_MEMBERS},
    )


def make_ids_distinct(
    calls: list[ToolCall], choice_index: int, log: DeviationLog, path: str
) -> list[ToolCall]:
    """Return the calls with ids that exist and differ, so that each result can name its call."""
    # servers send empty ids and the same id for several calls (tool-ids-empty, tool-ids-all-the-same)
    taken = {call.id for call in calls}
    given: set[str] = set()
    attempts: dict[str, int] = {}  # the next one by id: to start anew at each repeat would be quadratic
    result: list[ToolCall] = []
    for position, call in enumerate(calls):
        identity = call.id
        attempt = attempts.get(identity, 1) if identity else 1
        if identity and identity in given:
            place = f"{path}.message.tool_calls[{position}].id"
            log.add("tool-id-repeated", place, "$.choices[].message.tool_calls[].id")
        while not identity or identity in given or (identity != call.id and identity in taken):
            suffix = f"-{attempt}" if attempt > 1 or call.id else ""
            identity = f"{call.id or f'call_{choice_index}_{position}'}{suffix}"
            attempt += 1
        given.add(identity)
        attempts[call.id] = attempt
        result.append(call if identity == call.id else msgspec.structs.replace(call, id=identity))
    return result


def split_content_parts(parts: list[Any]) -> tuple[str, str]:
    """Return the text and the reasoning of a content that came as a list of parts."""
    # some servers send content as a list (reasoning-content-parts, forward-new-part-of-the-answer)
    text: list[str] = []
    thinking: list[str] = []
    for part in parts:
        if not is_object(part):
            text.append(as_text(part))
        elif inner := part.get("thinking"):
            thinking.append(split_content_parts(inner)[0] if is_array(inner) else as_text(inner))
        else:
            text.append(as_text(part.get("text", part.get("refusal"))))
    return "".join(text), "".join(thinking)


def join_reasoning(*spellings: Any) -> str:
    """Return the reasoning from all of its member names; the same text under two names counts once."""
    # some servers send the same text under several names (reasoning-both-names)
    return "".join(dict.fromkeys(text for text in spellings if isinstance(text, str)))


def to_audio(spoken: Any) -> AudioOutput | None:
    """Return the spoken output, or None where there is none."""
    if not is_object(spoken):
        return None
    return AudioOutput(
        id=as_text(spoken.get("id")),
        data=as_text(spoken.get("data")),
        transcript=as_text(spoken.get("transcript")),
        expires_at=as_whole_number(spoken.get("expires_at")),
    )


def build_choice(
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
    log: DeviationLog,
    path: str,
) -> Choice:
    """Build a choice, its outputs in their fixed order."""
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
        outputs.append(ToolCalls(make_ids_distinct(calls, index, log, path)))
    elif finish == "tool_calls":
        place = f"{path}.message.tool_calls"
        # the text may be the answer in spite of the finish reason (tool-calls-announced-text-there)
        if text or refusal or (spoken and (spoken.data or spoken.transcript)):
            log.add("tool-calls-missing", place, "$.choices[].message.tool_calls")
        else:
            # A caller that runs the tools and asks again would loop: tool-calls-announced-none-there.
            log.refuse_because(place, "the finish reason is tool_calls, but there is neither call nor answer")
    return Choice(
        index=index,
        outputs=outputs,
        finish_reason=to_finish_reason(finish),
        finish_reason_raw=finish if finish != "" else None,
        logprobs=logprobs,
        annotations=annotations if is_array(annotations) else [],
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def to_usage(counted: wire.Usage) -> Usage:
    """Return the token counts."""
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


def encode_call(call: ToolCall) -> dict[str, Any]:
    """Encode a tool call: the inverse of `to_tool_call` for calls that keep the format."""
    inner = (
        {"custom": {"name": call.name, "input": call.arguments_json}}
        if call.type == "custom"
        else {"function": {"name": call.name, "arguments": call.arguments_json}}
    )
    return {**call.extra, "id": call.id, "type": call.type, **inner}
